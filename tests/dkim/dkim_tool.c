/*
 * DKIM by hand, for tests against other implementations: signs or verifies one message in a file.
 *
 *	dkim_tool sign -k KEYFILE -d DOMAIN -s SELECTOR [-c HEADER/BODY] [-i IDENTITY] [-t NOW] [-x TTL] [-l] [-z]
 *		[-n CHUNK] MESSAGE      the signed message on standard output, with CRLF
 *	dkim_tool verify -Z ZONE [-t NOW] [-n CHUNK] MESSAGE
 *		one line for each signature: result, d=, s=, a=, key bits, reason
 *
 * ZONE: lines "NAME TXT" (repeatable); "NAME" alone: the DNS fails; a name that is not in it does not exist.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "base/buf.h"
#include "lab.h"

struct arguments {
	const char *key, *domain, *selector, *canonicalization, *identity, *zone;
	int64_t now;
	uint32_t ttl;
	bool lengths, diagnostics;
	size_t chunk; /* bytes per dkim_body_add() */
};

static _Noreturn void die(int status, const char *what, const char *name)
{
	fprintf(stderr, "dkim_tool: fatal: %s: %s\n", name, what);
	exit(status);
}

static struct str read_file(struct arena *arena, const char *path)
{
	struct buf out = buf_in(arena);
	char part[65536];
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		die(EX_NOINPUT, "cannot be opened", path);
	for (size_t n; (n = fread(part, 1, sizeof(part), file)) > 0;)
		buf_add(&out, str_from(part, n));
	fclose(file);
	return buf_str(&out);
}

/* A file without any CRLF is text with LF. */
static struct str with_crlf(struct arena *arena, struct str text)
{
	struct buf out = buf_in(arena);
	if (text.n == 0 || memmem(text.p, text.n, "\r\n", 2) != NULL)
		return text;
	for (struct str rest = text, line; str_cut(&rest, '\n', &line);) {
		buf_add(&out, line);
		if (rest.p != NULL)
			buf_add(&out, STR("\r\n"));
	}
	return buf_str(&out);
}

static struct dkim_sign_options sign_options(const struct arguments *arguments)
{
	static const struct str oversign[] = {STR_INIT("from")};
	struct str body = str_of(arguments->canonicalization), header;
	str_cut(&body, '/', &header);
	return (struct dkim_sign_options){
		.header_canonicalization = str_eq(header, STR("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE,
		.body_canonicalization = str_eq(body, STR("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE,
		.oversign_headers = oversign,
		.n_oversign_headers = 1,
		.signature_ttl = arguments->ttl,
		.body_lengths = arguments->lengths,
		.diagnostics = arguments->diagnostics,
	};
}

static int sign(struct arena *arena, const struct arguments *arguments, struct str message)
{
	const char *error;
	struct lab lab;
	struct dkim_private_key *key = dkim_private_key_parse(read_file(arena, arguments->key), &error);
	if (key == NULL)
		die(EX_CONFIG, error, arguments->key);
	struct dkim_signer signer = {
		str_of(arguments->domain), str_of(arguments->selector), str_of(arguments->identity), key};
	struct dkim_sign_options options = sign_options(arguments);
	lab_init(&lab, arena);
	lab.now = arguments->now;
	lab.chunk = arguments->chunk;
	struct str field = lab_sign(&lab, &options, &signer, message);
	if (field.n == 0)
		die(EX_SOFTWARE, "OpenSSL refused", arguments->key);
	fwrite(field.p, 1, field.n, stdout);
	fwrite(message.p, 1, message.n, stdout);
	dkim_private_key_unref(key);
	return 0;
}

/* NAME TXT: the record's bytes as they are, to the end of the line; NAME alone: the DNS fails. */
static void read_zone(struct lab *lab, struct str text)
{
	size_t capacity = 0;
	struct lab_record *zone = NULL;
	for (struct str rest = text, line; str_cut(&rest, '\n', &line);) {
		struct str txt = line, name;
		str_cut(&txt, ' ', &name);
		if (name.n == 0)
			continue;
		zone = arena_grow(lab->arena, zone, &capacity, lab->n_zone + 1, sizeof(*zone));
		zone[lab->n_zone++] = (struct lab_record){
			arena_dup(lab->arena, name).p, txt.p != NULL ? arena_dup(lab->arena, txt).p : NULL};
	}
	lab->zone = zone;
}

static void print_result(const struct dkim_result *result)
{
	printf("%s\t%.*s\t%.*s\t%.*s\t%u\t%s%s\n", dkim_status_text(result->status), STR_ARG(result->domain),
		STR_ARG(result->selector), STR_ARG(result->algorithm), result->key_bits,
		result->reason != NULL ? result->reason : "", result->partial_body ? " (partial)" : "");
}

static int verify(struct arena *arena, const struct arguments *arguments, struct str message)
{
	struct lab lab;
	lab_init(&lab, arena);
	lab.now = arguments->now;
	lab.chunk = arguments->chunk;
	read_zone(&lab, read_file(arena, arguments->zone));
	if (!lab_verify(&lab, message))
		die(EX_SOFTWARE, "not complete", "verify");
	for (size_t i = 0; i < lab.n_results; i++)
		print_result(&lab.results[i]);
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.canonicalization = "relaxed/simple",
		.identity = "",
		.domain = "",
		.selector = "",
		.key = "/dev/null",
		.zone = "/dev/null",
		.now = time(NULL),
		.chunk = 65535};
	int (*run)(struct arena *, const struct arguments *, struct str) = NULL;
	if (argc > 1 && strcmp(argv[1], "sign") == 0)
		run = sign;
	else if (argc > 1 && strcmp(argv[1], "verify") == 0)
		run = verify;
	else
		die(EX_USAGE, "sign or verify", "usage");
	for (int option; (option = getopt(argc - 1, argv + 1, "k:d:s:c:i:t:x:Z:n:lz")) != -1;) {
		switch (option) {
		case 'k':
			arguments.key = optarg;
			break;
		case 'd':
			arguments.domain = optarg;
			break;
		case 's':
			arguments.selector = optarg;
			break;
		case 'c':
			arguments.canonicalization = optarg;
			break;
		case 'i':
			arguments.identity = optarg;
			break;
		case 't':
			arguments.now = atoll(optarg);
			break;
		case 'x':
			arguments.ttl = (uint32_t)atoll(optarg);
			break;
		case 'Z':
			arguments.zone = optarg;
			break;
		case 'n':
			arguments.chunk = (size_t)atoll(optarg);
			break;
		case 'l':
			arguments.lengths = true;
			break;
		case 'z':
			arguments.diagnostics = true;
			break;
		default:
			return EX_USAGE;
		}
	}
	if (optind + 1 >= argc)
		die(EX_USAGE, "no message named", "usage");
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		die(EX_SOFTWARE, "out of memory", "start");
	int status = run(arena, &arguments, with_crlf(arena, read_file(arena, argv[optind + 1])));
	arena_free(arena);
	return status;
}
