/*
 * trimilterctl showkeys: the public record of each key of a configuration.
 */
#include <stdio.h>
#include <sysexits.h>

#include "ctl/command_line.h"
#include "ctl/new_key.h"
#include "ctl/public_keys.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl showkeys -c FILE [-d DOMAIN] [-s SELECTOR] [--json]\n"
	"The record that each key of a configuration needs in the DNS, keys under rotation included.\n\n"
	"  -d, --domain DOMAIN      only keys of this domain; stands in for % in a KeyTable\n"
	"  -s, --selector SELECTOR  only keys of this name\n"
	"  -c FILE                  the configuration; may be repeated\n"
	"  --json                   one JSON object instead of text\n";

static const struct option options[] = {
	{"domain", required_argument, NULL, 'd'},
	{"selector", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

static void show_json(struct buf *out, const struct public_keys *keys)
{
	struct json json = json_to(out);
	json_object_begin(&json, NULL);
	json_array_begin(&json, "keys");
	for (size_t i = 0; i < keys->n; i++) {
		const struct public_key *key = &keys->list[i];
		json_object_begin(&json, NULL);
		json_str(&json, "domain", key->domain);
		json_str(&json, "selector", key->selector);
		json_cstr(&json, "algorithm", key_type_text(key->type));
		json_int(&json, "key_bits", key->bits);
		json_str_or_null(&json, "key_file", key->key_file);
		json_cstr(&json, "stage", key->stage);
		json_str(&json, "owner", key->owner);
		json_str(&json, "record", key->record);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
}

static void show_text(struct buf *out, const struct public_keys *keys)
{
	for (size_t i = 0; i < keys->n; i++) {
		const struct public_key *key = &keys->list[i];
		buf_printf(out, "%.*s (%s, %u bits%s%s)", STR_ARG(key->owner), key_type_text(key->type), key->bits,
			key->stage != NULL ? ", " : "", key->stage != NULL ? key->stage : "");
		if (key->key_file.n > 0)
			buf_printf(out, " [%.*s]", STR_ARG(key->key_file));
		buf_printf(out, "\n%.*s\n", STR_ARG(key->record));
	}
	out->n--;
}

struct request {
	struct ctl ctl;
	struct str domain, selector;
};

static int show(struct request *request)
{
	struct public_keys keys;
	struct ctl *ctl = &request->ctl;
	struct buf out = buf_in(ctl->arena);
	int status = ctl_open(ctl);
	if (status == EX_OK)
		status = public_keys_find(ctl, "showkeys", request->domain, request->selector, &keys);
	if (status != EX_OK)
		return status;
	if (ctl->json)
		show_json(&out, &keys);
	else
		show_text(&out, &keys);
	ctl_print(&out);
	return EX_OK;
}

static int take_option(void *context, int option, const char *argument)
{
	struct request *request = context;
	switch (option) {
	case 'd':
		return ctl_take_domain(request->ctl.arena, "showkeys", argument, &request->domain);
	case 's':
		request->selector = str_of(argument);
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct ctl_command command = {"showkeys", usage, "c:d:s:h", options, take_option};

int ctl_showkeys(int argc, char **argv)
{
	struct request request = {.domain = STR(""), .selector = STR("")};
	ctl_init(&request.ctl);
	int status = ctl_options(&request.ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(&request.ctl, status);
	if (optind != argc || request.ctl.n_config_paths == 0)
		status = ctl_usage_error("showkeys", "-c FILE is needed, and nothing else");
	else
		status = show(&request);
	return ctl_close(&request.ctl, status);
}
