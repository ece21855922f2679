/*
 * The sequence of callbacks, in any order, with any content, into a session over the real decision and a small zone.
 *
 * One line of input is one call; its first byte says which:
 *
 *	C name ip | H name | M address | R address | L name:value | N | B text | E | A | I queue id | U user
 *
 * In values and bodies '\r' stands for a line break, as the protocol has it there (LF, CRLF).
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "milter/effects.h"
#include "milter/session.h"

static const char zone[] = "example.org TXT \"v=spf1 ip4:192.0.2.0/24 include:example.net -all\"\n"
			   "example.net TXT \"v=spf1 a mx ?all\"\n"
			   "example.net MX 10 mail.example.net\n"
			   "mail.example.net A 192.0.2.9\n"
			   "_dmarc.example.org TXT \"v=DMARC1; p=reject\"\n"
			   "_dmarc.example.net TXT \"v=DMARC1; p=quarantine; sp=none\"\n"
			   "ed._domainkey.example.org TXT \"v=DKIM1; k=ed25519; "
			   "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n"
			   "slow.example TIMEOUT\n";

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

static struct service *service_once(void)
{
	struct dns *dns;
	char path[64], error[DNS_ERROR_SIZE];
	int fd = memfd_create("zone", MFD_CLOEXEC);
	if (fd < 0 || write(fd, zone, sizeof(zone) - 1) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct dns_options options = {.zone_file = str_of(path),
		.timeout_ms = 1000,
		.cache_bytes = 65536,
		.maximum_in_flight = 100,
		.maximum_per_domain = 100};
	if (dns_new(&options, &dns, error) != ERR_OK) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	close(fd);
	struct runtime *runtime = runtime_new();
	struct service *service = service_new(dns);
	if (runtime == NULL || service == NULL)
		abort();
	/* Low enough to be reached. */
	runtime->auth.maximum_message_memory = (size_t)256 * 1024;
	runtime->auth.maximum_headers = 50;
	runtime->auth.maximum_header_bytes = 20000;
	runtime->auth.reject_multi_value_from = true;
	service_publish(service, runtime, true);
	log_open("fuzz_session", false, 0, false, LOG_LEVEL_ERROR);
	return service;
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
		service = service_once();
	struct arena *arena = arena_new(0);
	struct session *session = session_new(service, &front_peer, size % 2 == 0);
	if (arena == NULL || session == NULL)
		abort();
	for (struct str rest = str_from((const char *)data, size), line; rest.p != NULL && str_cut(&rest, '\n', &line);)
		if (line.n > 0)
			call(session, &peer, arena, line.p[0], str_skip(line, 1));
	session_free(session);
	arena_free(arena);
	if (service_load(service).sessions != 0 || service_load(service).messages != 0)
		abort();
	return 0;
}
