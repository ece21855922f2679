#include <sys/un.h>

#include "base/ip.h"
#include "config/set.h"

static bool keep(const struct option_setting *setting, struct str text)
{
	*option_string(setting->row, setting->values) = text;
	return true;
}

static bool set_local(const struct option_setting *setting, struct str text, struct str path)
{
	const struct sockaddr_un *address = NULL;
	if (path.n == 0)
		return option_refuse(setting, text, "a socket: the path is missing");
	if (path.n >= sizeof(address->sun_path)) {
		diag_error(setting->diag, setting->place, "%s: the path has %zu bytes, a local socket's may have %zu",
			setting->row->name, path.n, sizeof(address->sun_path) - 1);
		return false;
	}
	return keep(setting, arena_printf(setting->arena, "local:%.*s", STR_ARG(path)));
}

static bool is_loopback(struct str host)
{
	struct ip ip;
	return str_ieq(host, STR("localhost")) || (ip_parse(host, &ip) && ip_is_loopback(&ip));
}

/* Postfix writes inet:HOST:PORT in smtpd_milters; people write the same here. */
static bool suggest_order(const struct option_setting *setting, struct str text, struct str host_port)
{
	uint64_t port;
	ptrdiff_t colon = str_rindex(host_port, ':');
	if (colon <= 0 || !str_to_u64(str_skip(host_port, (size_t)colon + 1), 65535, &port))
		return option_refuse(setting, text, "a socket: write inet:PORT@HOST, PORT being 1 to 65535");
	diag_error(setting->diag, setting->place,
		"%s: \"%.*s\" is how Postfix writes it in smtpd_milters; here it is \"inet:%llu@%.*s\"",
		setting->row->name, STR_ARG(text), (unsigned long long)port,
		STR_ARG(str_head(host_port, (size_t)colon)));
	return false;
}

static bool set_inet(const struct option_setting *setting, struct str text, struct str address, bool v6)
{
	struct str rest = address, port, host = STR("");
	uint64_t number;
	str_cut(&rest, '@', &port);
	if (rest.p != NULL)
		host = rest;
	if (!str_to_u64(port, 65535, &number) || number == 0)
		return suggest_order(setting, text, address);
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_from(host.p + 1, host.n - 2);
	if (host.n == 0) {
		diag_warning(setting->diag, setting->place,
			"%s: \"%.*s\" listens on all interfaces, and who reaches it may have anything signed: write "
			"inet:%llu@localhost, "
			"or close the port to others",
			setting->row->name, STR_ARG(text), (unsigned long long)number);
		host = v6 ? STR("::") : STR("0.0.0.0");
	} else if (!is_loopback(host)) {
		diag_warning(setting->diag, setting->place,
			"%s: %.*s is not a loopback address, and who reaches it may have anything signed: close the "
			"port to all but "
			"the MTA",
			setting->row->name, STR_ARG(host));
	}
	return keep(setting, arena_printf(setting->arena, "%s:%llu@%.*s", v6 ? "inet6" : "inet",
				     (unsigned long long)number, STR_ARG(host)));
}

bool option_set_socket(const struct option_setting *setting, struct str text)
{
	static const struct {
		const char *prefix;
		enum { LOCAL, INET, INET6 } family;
	} prefixes[] = {{"local:", LOCAL}, {"unix:", LOCAL}, {"inet:", INET}, {"inet6:", INET6}};
	uint64_t port;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		struct str prefix = str_of(prefixes[i].prefix);
		if (!str_istarts(text, prefix))
			continue;
		struct str rest = str_trim(str_skip(text, prefix.n));
		if (prefixes[i].family == LOCAL)
			return set_local(setting, text, rest);
		return set_inet(setting, text, rest, prefixes[i].family == INET6);
	}
	if (str_starts(text, STR("/")))
		return set_local(setting, text, text);
	if (str_to_u64(text, 65535, &port) && port > 0)
		return keep(setting, arena_printf(setting->arena, "inet:%llu@localhost", (unsigned long long)port));
	return option_refuse(setting, text, "a socket: write inet:PORT@HOST, inet6:PORT@HOST or local:/PATH");
}
