#include "base/buf.h"
#include "base/domain.h"
#include "base/ip.h"
#include "config/set.h"
#include "message/address.h"

static bool keep(const struct option_setting *setting, struct str text)
{
	*option_string(setting->row, setting->values) = text;
	return true;
}

/* ---- addresses ---- */

/* RFC 5322 section 3.2.3, atext and dots: what stands in SMTP and in fields without quotes. */
static bool is_plain_local_part(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] > '~' || strchr("()<>[]:;@\\,\"", text.p[i]) != NULL)
			return false;
	return text.n > 0;
}

bool option_parse_address(const struct option_setting *setting, struct str text, struct str *ret_address)
{
	const struct str host_name = STR("@HOSTNAME");
	struct address *addresses;
	const char *reason;
	size_t n;
	struct str full = text;
	if (str_ends(text, host_name))
		full = arena_printf(setting->arena, "%.*s@%.*s", (int)(text.n - host_name.n), text.p,
			STR_ARG(setting->values->spf.receiver));
	if (address_list_parse(setting->arena, full, &addresses, &n, &reason) != ADDRESS_LIST_OK || n != 1 ||
		!is_plain_local_part(addresses[0].local_part))
		return option_refuse(setting, text, "a mail address such as reports@example.com");
	*ret_address = arena_printf(
		setting->arena, "%.*s@%.*s", STR_ARG(addresses[0].local_part), STR_ARG(addresses[0].domain));
	return true;
}

bool option_set_address(const struct option_setting *setting, struct str text)
{
	struct str address = STR("");
	if (text.n > 0 && !option_parse_address(setting, text, &address))
		return false;
	return keep(setting, address);
}

/* ---- how reports leave ---- */

bool option_set_server(const struct option_setting *setting, struct str text)
{
	static const char wanted[] = "a mail server: write HOST or HOST:PORT, an IPv6 address in brackets ([::1]:25)";
	struct str host = text, port = STR("25");
	uint64_t number;
	struct ip ip;
	bool bracket = text.n > 0 && text.p[0] == '[';
	ptrdiff_t end = bracket ? str_index(text, ']') : str_index(text, ':');
	if (bracket && end < 0)
		return option_refuse(setting, text, wanted);
	if (bracket) {
		port = str_skip(text, (size_t)end + 1);
		host = str_from(text.p + 1, (size_t)end - 1);
		if (port.n > 0 && port.p[0] != ':')
			return option_refuse(setting, text, wanted);
		port = port.n > 0 ? str_skip(port, 1) : STR("25");
	} else if (end >= 0) {
		host = str_head(text, (size_t)end);
		port = str_skip(text, (size_t)end + 1);
	}
	if (!str_to_u64(port, 65535, &number) || number == 0)
		return option_refuse(setting, text, wanted);
	bool is_v6 = ip_parse(host, &ip) && ip.family == IP_V6;
	if (bracket ? !ip_parse(host, &ip) : !domain_is_hostname(host))
		return option_refuse(setting, text, wanted);
	return keep(setting, arena_printf(setting->arena, is_v6 ? "[%.*s]:%llu" : "%.*s:%llu", STR_ARG(host),
				     (unsigned long long)number));
}

/* The text may have a password in it and is not repeated. */
bool option_set_store(const struct option_setting *setting, struct str text)
{
	static const char *const prefixes[] = {"sqlite:", "postgresql://", "postgres://"};
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		struct str prefix = str_of(prefixes[i]);
		struct str rest = str_trim(str_skip(text, prefix.n));
		if (str_istarts(text, prefix) && rest.n > 0)
			return keep(setting, arena_printf(setting->arena, "%s%.*s",
						     i == 0 ? "sqlite:" : "postgresql://", STR_ARG(rest)));
	}
	diag_error(setting->diag, setting->place,
		"%s: write sqlite:/PATH/reports.db for a file, or postgresql://USER@HOST/DATABASE", setting->row->name);
	return false;
}

bool option_set_report_format(const struct option_setting *setting, struct str text)
{
	enum report_format *format = &setting->values->report.format;
	*format = str_ieq(text, STR("rfc7489")) ? REPORT_RFC7489 : REPORT_RFC9990;
	return *format == REPORT_RFC7489 || str_ieq(text, STR("rfc9990")) ||
	       option_refuse(setting, text, "rfc9990 or rfc7489");
}

/* ---- a command ---- */

/* The next word of *@rest; false: a quote without its end, or what only a shell understands. */
static bool take_word(struct arena *arena, struct str *rest, struct str *ret_word)
{
	struct buf word = buf_in(arena);
	char quote = '\0';
	size_t i = 0;
	for (; i < rest->n; i++) {
		char c = rest->p[i];
		if (quote != '\0' ? c == quote : c == '\'' || c == '"')
			quote = quote != '\0' ? '\0' : c;
		else if (quote == '\0' && str_is_space(c))
			break;
		else if (quote == '\0' && strchr("|&;<>()$`\\*?[~", c) != NULL)
			return false;
		else
			buf_add_char(&word, c);
	}
	*rest = str_trim(str_skip(*rest, i));
	*ret_word = arena_dup(arena, buf_str(&word));
	return quote == '\0';
}

bool option_set_command(const struct option_setting *setting, struct str text)
{
	struct report_options *report = &setting->values->report;
	struct str *words = NULL;
	size_t n = 0, capacity = 0;
	for (struct str rest = str_trim(text), word; rest.n > 0; n++) {
		if (!take_word(setting->arena, &rest, &word))
			return option_refuse(setting, text,
				"a program with its arguments: there is no shell, so quotes come in pairs and the "
				"characters |&;<>()$`\\*?[~ stand in quotes and mean themselves");
		words = arena_grow(setting->arena, words, &capacity, n + 1, sizeof(*words));
		words[n] = word;
	}
	if (n > 0 && (words[0].n == 0 || words[0].p[0] != '/'))
		return option_refuse(setting, text, "a program: write its whole path, such as /usr/sbin/sendmail");
	report->command = words;
	report->n_command = n;
	return true;
}
