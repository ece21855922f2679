/*
 * config.h for the fake daemon: "Key value" lines of the few options that its
 * processes need. "Broken read" and "Broken load" are mistakes that are found at
 * the one or the other; "Crash load" is the end of whoever loads, and with "Starve load" there is no memory for it.
 */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "fake_auth.h"

struct config {
	struct milter_options milter;
	struct dns_options dns;
	struct diag_place place;
	const char *broken;
	bool crash, starve;
	bool accept_on_error;
	struct report_options report;
	struct str mark; /* shows in every message which configuration judged it */
};

static void set(struct config *config, struct arena *arena, const char *key, const char *value)
{
	struct str text = arena_dup(arena, str_of(value));
	if (strcmp(key, "Socket") == 0)
		config->milter.socket = text;
	else if (strcmp(key, "UserID") == 0)
		config->milter.user = text;
	else if (strcmp(key, "PidFile") == 0)
		config->milter.pid_file = text;
	else if (strcmp(key, "MilterEngine") == 0)
		config->milter.engine = value[0] == 'n' ? MILTER_ENGINE_NATIVE : MILTER_ENGINE_LIBMILTER;
	else if (strcmp(key, "UMask") == 0)
		config->milter.umask = (unsigned)strtoul(value, NULL, 8);
	else if (strcmp(key, "Background") == 0)
		config->milter.background = value[0] == 'y';
	else if (strcmp(key, "SyslogSuccess") == 0)
		config->milter.syslog_success = value[0] == 'y';
	else if (strcmp(key, "StatisticsInterval") == 0)
		config->milter.statistics_interval = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(key, "On-InternalError") == 0)
		config->accept_on_error = value[0] == 'a';
	else if (strcmp(key, "AggregateReports") == 0)
		config->report.aggregate = value[0] == 'y';
	else if (strcmp(key, "Mark") == 0)
		config->mark = text;
	else if (strcmp(key, "Broken") == 0)
		config->broken = text.p;
	else if (strcmp(key, "Crash") == 0)
		config->crash = true;
	else if (strcmp(key, "Starve") == 0)
		config->starve = true;
}

static bool read_file(struct config *config, struct arena *arena, const char *path)
{
	char line[1024], key[64], value[512];
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	for (unsigned n = 1; fgets(line, sizeof(line), file) != NULL; n++) {
		if (line[0] == '#' || sscanf(line, "%63s %511s", key, value) != 2)
			continue;
		if (strcmp(key, "Broken") == 0)
			config->place = (struct diag_place){path, n};
		set(config, arena, key, value);
	}
	fclose(file);
	return true;
}

enum err config_read(struct arena *arena, const char *const *paths, size_t n_paths, struct diag *diag,
	const struct config **ret_config)
{
	static const struct str nowhere = STR_INIT("127.0.0.1@29999");
	struct config *config = ARENA_NEW(arena, struct config);
	config->milter.umask = -1u;
	config->milter.syslog_facility = STR("mail");
	config->milter.syslog_success = true;
	config->milter.statistics_interval = 600;
	config->dns = (struct dns_options){.nameservers = &nowhere,
		.n_nameservers = 1,
		.timeout_ms = 1000,
		.cache_bytes = 65536,
		.maximum_in_flight = 10,
		.maximum_per_domain = 10};
	for (size_t i = 0; i < n_paths; i++)
		if (!read_file(config, arena, paths[i]))
			diag_error(diag, (struct diag_place){paths[i], 0}, "cannot be opened");
	if (config->broken != NULL && strcmp(config->broken, "read") == 0)
		diag_error(diag, config->place, "Broken: is broken");
	*ret_config = diag->n_errors == 0 ? config : NULL;
	return diag->n_errors == 0 ? ERR_OK : ERR_CONFIG;
}

const struct milter_options *config_milter(const struct config *config)
{
	return &config->milter;
}

const struct dns_options *config_dns(const struct config *config)
{
	return &config->dns;
}

const struct report_options *config_report(const struct config *config)
{
	return &config->report;
}

enum err config_load(const struct config *config, struct diag *diag, struct runtime **ret_runtime)
{
	if (config->crash)
		abort();
	if (config->starve)
		return ERR_NOMEM;
	if (config->broken != NULL) {
		diag_error(diag, config->place, "Broken: a key is broken");
		return ERR_CONFIG;
	}
	*ret_runtime = runtime_new();
	(*ret_runtime)->report.aggregate = false;
	(*ret_runtime)->auth.authserv_id = arena_dup((*ret_runtime)->arena, config->mark);
	if (config->accept_on_error)
		(*ret_runtime)->auth.on_internal_error = AUTH_ON_ERROR_ACCEPT;
	return ERR_OK;
}

void config_warn_restart(const struct config *running, const struct config *wanted, struct diag *diag)
{
	if (!str_eq(running->milter.socket, wanted->milter.socket))
		diag_warning(diag, (struct diag_place){0}, "Socket: a change needs a restart");
}
