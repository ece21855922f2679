#include "report/aggregate_write_xml.h"

#include <libxml/xmlwriter.h>

#include "base/buf.h"
#include "base/utf8.h"

struct xml_writer {
	xmlBufferPtr out;
	xmlTextWriterPtr writer;
	bool failed;
};

static const xmlChar *chars(const char *text)
{
	return (const xmlChar *)text;
}

static void note(struct xml_writer *writer, int status)
{
	writer->failed |= status < 0;
}

static void free_writer(void *object)
{
	struct xml_writer *writer = object;
	xmlFreeTextWriter(writer->writer);
	xmlBufferFree(writer->out);
}

struct xml_writer *xml_writer_new(struct arena *arena, const char *root, const char *namespace)
{
	struct xml_writer *writer = ARENA_NEW(arena, struct xml_writer);
	writer->out = xmlBufferCreate();
	if (writer->out != NULL)
		writer->writer = xmlNewTextWriterMemory(writer->out, 0);
	if (writer->writer == NULL) {
		xmlBufferFree(writer->out);
		arena_fail(arena);
	}
	arena_on_reset(arena, free_writer, writer);
	note(writer, xmlTextWriterSetIndent(writer->writer, 1));
	note(writer, xmlTextWriterStartDocument(writer->writer, "1.0", "UTF-8", NULL));
	note(writer, xmlTextWriterStartElementNS(writer->writer, NULL, chars(root), chars(namespace)));
	return writer;
}

void xml_begin(struct xml_writer *writer, const char *name)
{
	note(writer, xmlTextWriterStartElement(writer->writer, chars(name)));
}

void xml_end(struct xml_writer *writer)
{
	note(writer, xmlTextWriterEndElement(writer->writer));
}

/*
 * Bytes of the character at the front of @s where a document may have it, else 0. Control characters that XML 1.0
 * allows and discourages (U+007F to U+009F) are of no use to a reader and of some to one who attacks its terminal.
 */
static size_t character_length(struct str s)
{
	size_t n = utf8_length(s);
	const unsigned char *p = (const unsigned char *)s.p;
	if (n == 1 && (p[0] < 0x20 || p[0] == 0x7f))
		return 0;
	if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0)
		return 0;
	if (n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe)
		return 0; /* U+FFFE, U+FFFF */
	return n;
}

static const char *clean(struct arena *scratch, struct str text)
{
	struct buf out = buf_in(scratch);
	for (;;) {
		size_t good = 0;
		for (size_t n; (n = character_length(str_skip(text, good))) > 0;)
			good += n;
		buf_add(&out, str_head(text, good));
		text = str_skip(text, good);
		if (text.n == 0)
			return buf_cstr(&out);
		buf_add_cstr(&out, str_is_space(text.p[0]) ? " " : "\xef\xbf\xbd");
		/* One mark for a character that is not allowed, one for each byte that is none. */
		size_t length = utf8_length(text);
		text = str_skip(text, length > 0 ? length : 1);
	}
}

void xml_element(struct xml_writer *writer, struct arena *scratch, const char *name, struct str text)
{
	const char *value = clean(scratch, text);
	note(writer, xmlTextWriterWriteElement(writer->writer, chars(name), chars(value)));
}

void xml_finish(struct xml_writer *writer)
{
	note(writer, xmlTextWriterEndDocument(writer->writer));
}

struct str xml_written(struct xml_writer *writer)
{
	note(writer, xmlTextWriterFlush(writer->writer));
	return str_from((const char *)xmlBufferContent(writer->out), (size_t)xmlBufferLength(writer->out));
}

void xml_forget(struct xml_writer *writer)
{
	xmlBufferEmpty(writer->out);
}

bool xml_failed(const struct xml_writer *writer)
{
	return writer->failed;
}
