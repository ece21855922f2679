#include "report/aggregate_read_xml.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>

/* libxml2 tells the encoding from the first four bytes. */
#define FIRST_BYTES 4
/* libxml2 bounds neither in a push parser without a tree, and keeps memory for both. */
#define DEPTH_MAX 64
#define SILENCE_MAX ((size_t)4 * 1024 * 1024) /* bytes that are neither an element nor text: one endless tag */

struct event {
	enum xml_event_kind kind;
	size_t at, n; /* within text */
};

/*
 * Filled by the callbacks, which stand in libxml2's frames and so must not jump: memory is malloc's, and want of it a
 * flag. As large as the events of one call of xml_reader_add(), at most.
 */
struct xml_reader {
	struct arena *arena;
	xmlParserCtxtPtr parser;
	xmlSAXHandler handler;
	struct event *events;
	size_t n_events, events_capacity, next;
	char *text;
	size_t n_text, text_capacity;
	size_t depth;  /* of elements that are open */
	size_t silent; /* bytes since the last event */
	bool out_of_memory;
	bool in_schema;     /* within an "<xs:schema ...>" */
	bool closes_schema; /* by an end tag that is not its own */
	bool ended;
	struct str first; /* up to FIRST_BYTES bytes, until there are as many */
	char first_bytes[FIRST_BYTES];
	char error[256]; /* empty: none */
};

/* ---- callbacks ---- */

static void fail(struct xml_reader *reader, const char *why)
{
	struct str message = str_trim(str_of(why));
	snprintf(reader->error, sizeof(reader->error), "line %d: %.*s", xmlSAX2GetLineNumber(reader->parser),
		STR_ARG(message));
	for (char *p = reader->error; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
	xmlStopParser(reader->parser);
}

static bool grow(struct xml_reader *reader, void **array, size_t *capacity, size_t n, size_t size)
{
	if (n <= *capacity)
		return true;
	size_t wanted = n + n / 2 + 256;
	void *grown = realloc(*array, wanted * size);
	if (grown == NULL) {
		reader->out_of_memory = true;
		xmlStopParser(reader->parser);
		return false;
	}
	*array = grown;
	*capacity = wanted;
	return true;
}

static void add_event(struct xml_reader *reader, enum xml_event_kind kind, struct str text)
{
	void *events = reader->events, *chars = reader->text;
	bool grown = grow(reader, &events, &reader->events_capacity, reader->n_events + 1, sizeof(struct event)) &&
		     grow(reader, &chars, &reader->text_capacity, reader->n_text + text.n, 1);
	reader->events = events;
	reader->text = chars;
	if (!grown)
		return;
	if (text.n > 0)
		memcpy(reader->text + reader->n_text, text.p, text.n);
	reader->events[reader->n_events++] = (struct event){kind, reader->n_text, text.n};
	reader->n_text += text.n;
}

static struct str name_of(const xmlChar *name)
{
	return str_of((const char *)name);
}

/*
 * Some reporters put the schema's start tag behind the root's, and its end nowhere: then the root's end tag closes it.
 * What is within counts as if the tag were not there.
 */
static bool is_schema(const xmlChar *name, const xmlChar *uri)
{
	return str_eq(name_of(name), STR("schema")) && str_eq(name_of(uri), STR("http://www.w3.org/2001/XMLSchema"));
}

static void on_begin(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_namespaces,
	const xmlChar **namespaces, int n_attributes, int n_defaulted, const xmlChar **attributes)
{
	struct xml_reader *reader = context;
	(void)prefix, (void)n_namespaces, (void)namespaces, (void)n_attributes, (void)n_defaulted, (void)attributes;
	if (++reader->depth > DEPTH_MAX)
		fail(reader, "too many elements within each other");
	else if (is_schema(name, uri))
		reader->in_schema = true;
	else
		add_event(reader, XML_BEGIN, name_of(name));
}

static void on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	struct xml_reader *reader = context;
	(void)prefix;
	reader->depth--;
	if (!is_schema(name, uri)) {
		if (reader->closes_schema)
			fail(reader, "start and end tags do not match");
		add_event(reader, XML_END, name_of(name));
		return;
	}
	reader->in_schema = false;
	reader->ended = reader->closes_schema;
	if (reader->ended)
		add_event(reader, XML_END, STR("feedback"));
}

static void on_text(void *context, const xmlChar *text, int n)
{
	add_event(context, XML_TEXT, str_from((const char *)text, (size_t)n));
}

static void on_doctype(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	(void)name, (void)external, (void)system;
	fail(context,
		"it has a document type declaration, which no report has and which could make it grow without bound");
}

static bool is_harmless(struct xml_reader *reader, const xmlError *error)
{
	if (error->level == XML_ERR_WARNING || error->domain == XML_FROM_NAMESPACE)
		return true;
	switch (error->code) {
	case XML_ERR_INVALID_ENCODING: /* this one or the next, as the library likes */
	case XML_ERR_INVALID_CHAR:
	case XML_ERR_INVALID_HEX_CHARREF:
	case XML_ERR_INVALID_DEC_CHARREF:
	case XML_ERR_UNDECLARED_ENTITY:
	case XML_ERR_NAME_REQUIRED: /* a bare "&" */
	case XML_ERR_ENTITYREF_SEMICOL_MISSING:
		return true;
	case XML_ERR_TAG_NAME_MISMATCH:
		return reader->closes_schema = reader->in_schema;
	default:
		return reader->ended;
	}
}

static void on_error(void *context, xmlErrorPtr error)
{
	struct xml_reader *reader = context;
	if (reader->error[0] != '\0' || is_harmless(reader, error))
		return;
	/* What libxml2 calls extra content is content that is missing. */
	fail(reader, error->code == XML_ERR_DOCUMENT_END ? "the document ends early" : error->message);
}

/* ---- */

static void free_reader(void *object)
{
	struct xml_reader *reader = object;
	xmlFreeParserCtxt(reader->parser);
	free(reader->events);
	free(reader->text);
}

struct xml_reader *xml_reader_new(struct arena *arena)
{
	struct xml_reader *reader = ARENA_NEW(arena, struct xml_reader);
	reader->arena = arena;
	reader->handler = (xmlSAXHandler){
		.initialized = XML_SAX2_MAGIC,
		.startElementNs = on_begin,
		.endElementNs = on_end,
		.characters = on_text,
		.cdataBlock = on_text,
		.internalSubset = on_doctype,
		.serror = on_error,
	};
	arena_on_reset(arena, free_reader, reader);
	return reader;
}

static void make_parser(struct xml_reader *reader)
{
	reader->parser = xmlCreatePushParserCtxt(&reader->handler, reader, reader->first.p, (int)reader->first.n, NULL);
	if (reader->parser == NULL)
		arena_fail(reader->arena);
	/* RECOVER: what is harmless is for on_error() to say. */
	xmlCtxtUseOptions(reader->parser, XML_PARSE_NONET | XML_PARSE_RECOVER);
}

/* White space, and a mark of the encoding, in front of the declaration would be an error. */
static struct str begin(struct xml_reader *reader, struct str bytes)
{
	while (reader->first.n == 0 && bytes.n > 0 && str_is_space(bytes.p[0]))
		bytes = str_skip(bytes, 1);
	struct str head = str_head(bytes, FIRST_BYTES - reader->first.n);
	if (head.n > 0)
		memcpy(reader->first_bytes + reader->first.n, head.p, head.n);
	reader->first = str_from(reader->first_bytes, reader->first.n + head.n);
	return str_skip(bytes, head.n);
}

const char *xml_reader_add(struct xml_reader *reader, struct str bytes)
{
	bool end = bytes.n == 0;
	reader->n_events = reader->n_text = reader->next = 0;
	if (reader->parser == NULL) {
		bytes = begin(reader, bytes);
		if (reader->first.n < FIRST_BYTES)
			return end ? "there is no XML in it" : NULL;
		make_parser(reader);
	}
	xmlParseChunk(reader->parser, bytes.p, (int)bytes.n, end);
	if (reader->out_of_memory)
		arena_fail(reader->arena);
	reader->silent = reader->n_events == 0 ? reader->silent + bytes.n : 0;
	if (reader->silent > SILENCE_MAX && reader->error[0] == '\0')
		fail(reader, "a tag or a comment does not end");
	return reader->error[0] != '\0' ? arena_printf(reader->arena, "%s", reader->error).p : NULL;
}

bool xml_reader_next(struct xml_reader *reader, struct xml_event *ret_event)
{
	if (reader->next == reader->n_events)
		return false;
	const struct event *event = &reader->events[reader->next++];
	*ret_event = (struct xml_event){event->kind, str_from(reader->text + event->at, event->n)};
	return true;
}
