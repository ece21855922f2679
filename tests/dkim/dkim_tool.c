/*
 * DKIM by hand, for tests against other implementations: signs or verifies one message in a file.
 *
 *	dkim_tool sign -k KEYFILE -d DOMAIN -s SELECTOR [-c HEADER/BODY] [-i IDENTITY] [-t NOW] [-x TTL] [-l] [-z]
 *		[-n CHUNK] MESSAGE      the signed message on standard output, with CRLF
 *	dkim_tool verify -Z ZONE [-t NOW] [-n CHUNK] MESSAGE
 *		one line for each signature: result, d=, s=, a=, key bits, reason
 *
 * ZONE: lines "NAME txt HEX" (repeatable), "NAME fail", "NAME nodata"; a name that is not in it does not exist.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "base/buf.h"
#include "dkim/dkim.h"

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

static void feed(struct dkim_body *body, struct str text, size_t chunk)
{
	while (text.n > 0 && dkim_body_add(body, str_head(text, chunk)))
		text = str_skip(text, chunk);
	dkim_body_end(body);
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
	struct headers headers;
	struct str body_text, value;
	struct dkim_private_key *key = dkim_private_key_parse(read_file(arena, arguments->key), &error);
	if (key == NULL)
		die(EX_CONFIG, error, arguments->key);
	struct dkim_signer signer = {
		str_of(arguments->domain), str_of(arguments->selector), str_of(arguments->identity), key};
	struct dkim_sign_options options = sign_options(arguments);
	struct dkim_body *body = dkim_body_new(arena);
	headers_init(&headers, arena, SIZE_MAX, SIZE_MAX);
	headers_split(&headers, message, &body_text);
	struct dkim_signing *signing = dkim_sign_begin(arena, &options, &signer, &headers, body, arguments->now);
	feed(body, body_text, arguments->chunk);
	if (!dkim_sign_end(signing, &value))
		die(EX_SOFTWARE, "OpenSSL refused", arguments->key);
	fputs("DKIM-Signature:", stdout);
	for (struct str rest = value, line; str_cut(&rest, '\n', &line);)
		printf("%.*s\r\n", STR_ARG(line));
	fwrite(message.p, 1, message.n, stdout);
	dkim_private_key_unref(key);
	return 0;
}

static struct str unhex(struct arena *arena, struct str hex)
{
	char *out = arena_alloc(arena, hex.n / 2 + 1);
	for (size_t i = 0; i + 1 < hex.n; i += 2) {
		char digits[3] = {hex.p[i], hex.p[i + 1], '\0'};
		out[i / 2] = (char)strtoul(digits, NULL, 16);
	}
	return str_from(out, hex.n / 2);
}

static struct dns_answer *look_up(struct arena *arena, struct str zone, struct str name)
{
	struct dns_record records[8];
	size_t n = 0;
	enum dns_status status = DNS_NXDOMAIN;
	for (struct str line; str_cut(&zone, '\n', &line);) {
		struct str words = line, owner, kind;
		str_cut(&words, ' ', &owner);
		if (!str_ieq(owner, name) || !str_cut(&words, ' ', &kind))
			continue;
		if (str_eq(kind, STR("fail")))
			status = DNS_FAILED;
		else if (str_eq(kind, STR("nodata")))
			status = DNS_NODATA;
		else if (n < 8) {
			status = DNS_DATA;
			records[n++] = (struct dns_record){.data = unhex(arena, words)};
		}
	}
	return dns_answer_new(status, records, n);
}

static void print_result(const struct dkim_result *result)
{
	printf("%s\t%.*s\t%.*s\t%.*s\t%u\t%s%s\n", dkim_status_text(result->status), STR_ARG(result->domain),
		STR_ARG(result->selector), STR_ARG(result->algorithm), result->key_bits,
		result->reason != NULL ? result->reason : "", result->partial_body ? " (partial)" : "");
}

static int verify(struct arena *arena, const struct arguments *arguments, struct str message)
{
	static const struct dkim_verify_options options = {
		.minimum_key_bits = 1024, .maximum_signatures = 10, .clock_drift = 300};
	struct headers headers;
	struct str body_text, key_name, zone = read_file(arena, arguments->zone);
	struct dkim_body *body = dkim_body_new(arena);
	struct dkim_verifier *verifier = dkim_verifier_new(arena, &options, arguments->now);
	struct answers *answers = answers_new(arena);
	const struct dkim_result *results;
	size_t n;
	headers_init(&headers, arena, SIZE_MAX, SIZE_MAX);
	headers_split(&headers, message, &body_text);
	for (size_t i = 0; i < headers.n; i++)
		if (str_ieq(header_field_name(&headers.fields[i]), STR("dkim-signature")))
			dkim_verifier_add(verifier, &headers.fields[i], &key_name);
	dkim_verifier_headers_done(verifier, &headers, NULL, 0, body);
	feed(body, body_text, arguments->chunk);
	while (!dkim_verifier_judge(verifier, answers, &results, &n))
		for (struct dns_question question; answers_next_wanted(answers, &question);)
			answers_put(answers, &question, look_up(arena, zone, question.name));
	for (size_t i = 0; i < n; i++)
		print_result(&results[i]);
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
