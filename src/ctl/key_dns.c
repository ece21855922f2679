#include "ctl/key_dns.h"

#include <stdio.h>
#include <sysexits.h>

#include "dkim/key.h"

struct server {
	struct str name;
	struct dns *dns;
};

struct key_dns {
	struct ctl *ctl;
	struct server *servers;
	size_t n;
};

static int open_server(struct key_dns *dns, const char *verb, struct str name, const struct dns_options *options)
{
	char error[DNS_ERROR_SIZE];
	struct server *server = &dns->servers[dns->n];
	enum err err = dns_new(options, &server->dns, error);
	if (err != ERR_OK) {
		fprintf(stderr, "trimilterctl %s: %s\n", verb, error);
		return err_exit_status(err);
	}
	server->name = name;
	dns->n++;
	return EX_OK;
}

int key_dns_open(const struct key_tables *tables, struct key_dns **ret_dns)
{
	struct ctl *ctl = tables->ctl;
	struct dns_options options = tables->dns;
	struct key_dns *dns = ARENA_NEW(ctl->arena, struct key_dns);
	const struct str *names = ctl->n_nameservers > 0 ? ctl->nameservers : options.nameservers;
	size_t n = ctl->n_nameservers > 0 ? ctl->n_nameservers : options.n_nameservers;
	bool from_file = ctl->n_nameservers == 0 && options.zone_file.n > 0;
	int status = EX_OK;
	*ret_dns = dns;
	dns->ctl = ctl;
	dns->servers = ARENA_ARRAY(ctl->arena, n + 1, struct server);
	options.key_file = STR(""); /* what TestPublicKeys says is not published */
	if (ctl->dns_timeout_ms > 0)
		options.timeout_ms = ctl->dns_timeout_ms;
	if (from_file || n == 0)
		return open_server(
			dns, tables->verb, from_file ? options.zone_file : STR("the system's name servers"), &options);
	options.zone_file = STR("");
	for (size_t i = 0; status == EX_OK && i < n; i++) {
		options.nameservers = &names[i];
		options.n_nameservers = 1;
		status = open_server(dns, tables->verb, names[i], &options);
	}
	return status;
}

void key_dns_close(struct key_dns *dns)
{
	for (size_t i = 0; dns != NULL && i < dns->n; i++)
		dns_free(dns->servers[i].dns);
}

/* What one server says; *ret_why stays empty where it has the record. */
static enum key_presence look(
	struct arena *arena, const struct dns_answer *answer, const struct dkim_private_key *key, struct str *ret_why)
{
	struct dkim_key published;
	*ret_why = STR("");
	if (answer->status == DNS_FAILED) {
		*ret_why = str_of(answer->why != NULL ? answer->why : "does not answer");
		return KEY_UNCERTAIN;
	}
	if (answer->status != DNS_DATA) {
		*ret_why = STR("has no such record");
		return KEY_NOWHERE;
	}
	if (key == NULL) {
		for (size_t i = 0; i < answer->n_records; i++) {
			dkim_key_parse(arena, answer->records[i].data, &published);
			if (published.problem == NULL)
				return KEY_EVERYWHERE;
		}
		*ret_why = STR("has no usable record");
		return KEY_NOWHERE;
	}
	/* RFC 6376 section 3.6.2.2: with several records anything may happen. */
	if (answer->n_records > 1) {
		*ret_why = arena_printf(arena, "has %zu records, there must be one", answer->n_records);
		return KEY_UNCERTAIN;
	}
	const char *wrong = dkim_key_compare(arena, answer->records[0].data, key);
	if (wrong != NULL)
		*ret_why = str_of(wrong);
	return wrong == NULL ? KEY_EVERYWHERE : KEY_UNCERTAIN;
}

enum key_presence key_dns_ask(struct key_dns *dns, struct str selector, struct str domain,
	const struct dkim_private_key *key, uint32_t *ret_ttl, struct str *ret_why)
{
	struct arena *arena = dns->ctl->arena;
	struct str owner = arena_printf(arena, "%.*s._domainkey.%.*s", STR_ARG(selector), STR_ARG(domain));
	size_t n_there = 0, n_missing = 0;
	*ret_why = STR("");
	*ret_ttl = 0;
	for (size_t i = 0; i < dns->n; i++) {
		struct answers *answers = answers_new(arena);
		struct str why;
		answers_want(answers, DNS_TXT, owner);
		dns_fetch(dns->servers[i].dns, answers, 0);
		answers_give_up(answers);
		const struct dns_answer *answer = answers_get(answers, DNS_TXT, owner);
		enum key_presence presence = look(arena, answer, key, &why);
		n_there += presence == KEY_EVERYWHERE;
		n_missing += presence == KEY_NOWHERE;
		if (answer->ttl > *ret_ttl)
			*ret_ttl = answer->ttl;
		if (why.n > 0 && ret_why->n == 0)
			*ret_why = arena_printf(arena, "%.*s: %.*s", STR_ARG(dns->servers[i].name), STR_ARG(why));
	}
	if (n_there == dns->n)
		return KEY_EVERYWHERE;
	return n_missing == dns->n ? KEY_NOWHERE : KEY_UNCERTAIN;
}
