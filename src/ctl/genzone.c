/*
 * trimilterctl genzone: the records of all keys as lines of a zone file, or as commands for nsupdate.
 */
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#include "ctl/command_line.h"
#include "ctl/files.h"
#include "ctl/new_key.h"
#include "ctl/public_keys.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl genzone -c FILE [OPTION]...\n"
	"The records of all keys of a configuration as a piece of a zone file, keys under rotation included.\n\n"
	"  -d, --domain DOMAIN      only keys of this domain; stands in for % in a KeyTable\n"
	"  -s, --selector SELECTOR  only keys of this name\n"
	"  -t, --ttl SECONDS        time to live of each record (nsupdate needs one: default 3600 there)\n"
	"  -o, --output FILE        write there, complete or not at all (default: standard output)\n"
	"  -D, --relative           names below the domain, SELECTOR._domainkey; needs -d\n"
	"  -F, --full               names with their domain and a dot; so it is anyway\n"
	"  -u, --nsupdate           commands for nsupdate(1) instead\n"
	"  -c FILE                  the configuration; may be repeated\n"
	"  --json                   one JSON object instead: owner, ttl, record\n";

static const struct option options[] = {
	{"domain", required_argument, NULL, 'd'},
	{"selector", required_argument, NULL, 's'},
	{"ttl", required_argument, NULL, 't'},
	{"output", required_argument, NULL, 'o'},
	{"relative", no_argument, NULL, 'D'},
	{"full", no_argument, NULL, 'F'},
	{"nsupdate", no_argument, NULL, 'u'},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

#define TTL_MAX 604800 /* a week; a rotation waits for it */
#define NSUPDATE_TTL 3600

struct request {
	struct ctl ctl;
	struct str domain, selector;
	int64_t ttl; /* -1: the zone's */
	const char *output;
	bool relative, nsupdate;
};

static void write_zone(const struct request *request, const struct public_keys *keys, struct buf *out)
{
	for (size_t i = 0; i < keys->n; i++) {
		const struct public_key *key = &keys->list[i];
		if (request->relative)
			buf_printf(out, "%.*s._domainkey ", STR_ARG(key->selector));
		else
			buf_printf(out, "%.*s. ", STR_ARG(key->owner));
		if (request->ttl >= 0)
			buf_printf(out, "%lld ", (long long)request->ttl);
		buf_add_cstr(out, "IN TXT ");
		zone_strings_add(out, key->record);
		buf_add_char(out, '\n');
	}
}

static void write_nsupdate(const struct request *request, const struct public_keys *keys, struct buf *out)
{
	long long ttl = request->ttl >= 0 ? (long long)request->ttl : NSUPDATE_TTL;
	for (size_t i = 0; i < keys->n; i++) {
		struct buf strings = buf_in(out->arena);
		const struct public_key *key = &keys->list[i];
		zone_strings_add(&strings, key->record);
		/* Its commands know no parentheses. */
		struct str inner = str_from(strings.p + 2, strings.n - 4);
		buf_printf(out, "update delete %.*s. TXT\nupdate add %.*s. %lld TXT %.*s\nsend\n", STR_ARG(key->owner),
			STR_ARG(key->owner), ttl, STR_ARG(inner));
	}
}

static void write_json(const struct request *request, const struct public_keys *keys, struct buf *out)
{
	struct json json = json_to(out);
	json_object_begin(&json, NULL);
	json_array_begin(&json, "records");
	for (size_t i = 0; i < keys->n; i++) {
		json_object_begin(&json, NULL);
		json_str(&json, "owner", keys->list[i].owner);
		if (request->ttl >= 0)
			json_int(&json, "ttl", request->ttl);
		else
			json_cstr(&json, "ttl", NULL);
		json_str(&json, "record", keys->list[i].record);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
	buf_add_char(out, '\n');
}

static int generate(struct request *request)
{
	static const struct file_rights rights = {(uid_t)-1, (gid_t)-1, 0644};
	struct ctl *ctl = &request->ctl;
	struct public_keys keys;
	struct buf out = buf_in(ctl->arena);
	int status = ctl_open(ctl);
	if (status == EX_OK)
		status = public_keys_find(ctl, "genzone", request->domain, request->selector, &keys);
	if (status != EX_OK)
		return status;
	if (ctl->json)
		write_json(request, &keys, &out);
	else if (request->nsupdate)
		write_nsupdate(request, &keys, &out);
	else
		write_zone(request, &keys, &out);
	if (request->output == NULL)
		return fwrite(out.p, 1, out.n, stdout) == out.n ? EX_OK : EX_IOERR;
	struct files *files = files_new(ctl->arena, "genzone");
	files_overwrite(files, request->output, buf_str(&out), &rights);
	if (!files_apply(files))
		return EX_IOERR;
	files_finish(files);
	return EX_OK;
}

static int take_option(void *context, int option, const char *argument)
{
	struct request *request = context;
	uint64_t ttl;
	switch (option) {
	case 'd':
		return ctl_take_domain(request->ctl.arena, "genzone", argument, &request->domain);
	case 's':
		request->selector = str_of(argument);
		return EX_OK;
	case 't':
		if (!str_to_u64(str_of(argument), TTL_MAX, &ttl))
			return ctl_usage_error(
				"genzone", "-t: \"%s\" is not a number of seconds up to a week", argument);
		request->ttl = (int64_t)ttl;
		return EX_OK;
	case 'o':
		request->output = argument;
		return EX_OK;
	case 'D':
		request->relative = true;
		return EX_OK;
	case 'F':
		request->relative = false;
		return EX_OK;
	case 'u':
		request->nsupdate = true;
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct ctl_command command = {"genzone", usage, "c:d:s:t:o:DFuh", options, take_option};

int ctl_genzone(int argc, char **argv)
{
	struct request request = {.ttl = -1};
	ctl_init(&request.ctl);
	int status = ctl_options(&request.ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(&request.ctl, status);
	if (optind != argc || request.ctl.n_config_paths == 0)
		status = ctl_usage_error("genzone", "-c FILE is needed, and options alone");
	else if (request.relative && request.domain.n == 0)
		status = ctl_usage_error("genzone", "-D needs -d DOMAIN: names without a domain are one zone's");
	else
		status = generate(&request);
	return ctl_close(&request.ctl, status);
}
