/*
 * The sequence of callbacks, in any order, with any content, into a session over the real decision and a small zone.
 *
 * One line of input is one call; its first byte says which:
 *
 *	C name ip | H name | M address | R address | L name:value | N | B text | E | A | I queue id | U user
 *
 * In values and bodies '\r' stands for a line break, as the protocol has it there (LF, CRLF).
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "lab.h"
#include "milter/effects.h"
#include "milter/session.h"

struct peer {
	struct str queue_id, user;
};

static struct str peer_macro(void *context, const char *name)
{
	const struct peer *peer = context;
	if (strcmp(name, "i") == 0)
		return peer->queue_id;
	if (strcmp(name, "{auth_authen}") == 0)
		return peer->user;
	return (struct str){0};
}

static void peer_wake(void *context)
{
	(void)context;
}

static void adjust(struct runtime *runtime)
{
	runtime->auth.reject_multi_value_from = true;
}

/* Whatever the input: a verdict must be one that the protocol can carry. */
static void check_text(struct str text, bool breaks_allowed)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == '\0' || c == '\r' || (c == '\n' && !breaks_allowed))
			abort();
		/* A break that is not followed by white space would begin another field. */
		if (c == '\n' && (i + 1 == text.n || (text.p[i + 1] != ' ' && text.p[i + 1] != '\t')))
			abort();
	}
}

static bool take_delete(void *context, const char *name, unsigned ordinal)
{
	(void)context;
	if (name[0] == '\0' || ordinal == 0)
		abort();
	return true;
}

static bool take_insert(void *context, const char *name, const char *value)
{
	(void)context;
	check_text(str_of(name), false);
	check_text(str_of(value), true);
	return true;
}

static bool take_text(void *context, const char *text)
{
	(void)context;
	check_text(str_of(text), false);
	return true;
}

static bool take_reply(void *context, const char *code, const char *enhanced_code, const char *text)
{
	(void)context;
	if (strlen(code) != 3 || enhanced_code[0] != code[0] || strlen(text) > 960)
		abort();
	check_text(str_of(text), false);
	return true;
}

static void end(struct session *session)
{
	static const struct effects_port port = {
		take_delete, take_insert, take_text, take_text, take_reply, NULL, true};
	const struct verdict *verdict = NULL;
	/* Every answer is at hand, so nothing may be waited for. */
	if (session_end(session, &verdict) != SESSION_DONE || verdict == NULL || !effects_apply(&port, verdict))
		abort();
	for (size_t i = 0; i < verdict->n_insertions; i++)
		check_text(verdict->insertions[i].value, true);
	session_finish(session, true);
}

static struct str with_breaks(struct arena *arena, struct str text, struct str line_break)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\r')
			buf_add(&out, line_break);
		else
			buf_add_char(&out, text.p[i]);
	}
	return buf_str(&out);
}

static void do_connect(struct session *session, struct str rest)
{
	struct ip ip = {0};
	struct str name;
	str_cut(&rest, ' ', &name);
	ip_parse(rest, &ip);
	session_connect(session, &ip, name);
}

static void call(struct session *session, struct peer *peer, struct arena *arena, char which, struct str rest)
{
	struct str name;
	switch (which) {
	case 'C':
		do_connect(session, rest);
		break;
	case 'H':
		session_helo(session, rest);
		break;
	case 'M':
		session_mail(session, rest);
		break;
	case 'R':
		session_rcpt(session, rest);
		break;
	case 'L':
		str_cut(&rest, ':', &name);
		session_header(session, name, with_breaks(arena, rest, STR("\n")));
		break;
	case 'N':
		session_eoh(session);
		break;
	case 'B':
		session_body(session, with_breaks(arena, rest, STR("\r\n")));
		break;
	case 'E':
		end(session);
		break;
	case 'A':
		session_abort(session);
		break;
	case 'I':
		peer->queue_id = rest;
		break;
	case 'U':
		peer->user = rest;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct service *service;
	struct peer peer = {0};
	struct front_peer front_peer = {peer_macro, peer_wake, &peer};
	if (service == NULL)
		service = lab_service("fuzz_session", adjust);
	struct arena *arena = arena_new(0);
	struct session *session = session_new(service, &front_peer, size % 2 == 0);
	if (arena == NULL || session == NULL)
		abort();
	for (struct str rest = str_from((const char *)data, size), line; rest.p != NULL && str_cut(&rest, '\n', &line);)
		if (line.n > 0)
			call(session, &peer, arena, line.p[0], str_skip(line, 1));
	session_free(session);
	arena_free(arena);
	lab_check_idle(service);
	return 0;
}
