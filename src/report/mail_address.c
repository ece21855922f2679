#include "report/mail.h"

#include "base/domain.h"

/* RFC 5321 section 4.5.3.1: what every MTA must take. */
#define LOCAL_PART_MAX 64
#define PATH_MAX_BYTES 254 /* 256 with the brackets */

static bool is_atext(char c)
{
	return str_is_alpha(c) || str_is_digit(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_dot_string(struct str s)
{
	if (s.n == 0)
		return false;
	for (struct str rest = s, atom; str_cut(&rest, '.', &atom);) {
		if (atom.n == 0)
			return false;
		for (size_t i = 0; i < atom.n; i++)
			if (!is_atext(atom.p[i]))
				return false;
	}
	return true;
}

static bool is_quoted_string(struct str s)
{
	if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
		return false;
	for (size_t i = 1; i + 1 < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '"')
			return false;
		if (s.p[i] == '\\' && (++i + 1 >= s.n || s.p[i] < ' ' || s.p[i] > '~'))
			return false;
	}
	return true;
}

static bool split(struct str address, struct str *ret_local, struct str *ret_domain)
{
	ptrdiff_t at = str_rindex(address, '@');
	if (at < 0)
		return false;
	*ret_local = str_head(address, (size_t)at);
	*ret_domain = str_skip(address, (size_t)at + 1);
	return true;
}

bool mail_address_usable(struct str address)
{
	struct str local, domain;
	if (address.n > PATH_MAX_BYTES || !split(address, &local, &domain) || local.n > LOCAL_PART_MAX)
		return false;
	return (is_dot_string(local) || is_quoted_string(local)) && local.p[0] != '-' && domain_is_hostname(domain);
}

/* ---- VERP ---- */

/* Stands for itself in a local part that begins with "reports+" and goes on with "=". */
static bool stands_as_it_is(struct str local, size_t i)
{
	char c = local.p[i];
	if (c == '.')
		return i > 0 && i + 1 < local.n && local.p[i - 1] != '.' && local.p[i + 1] != '.';
	return str_is_alpha(c) || str_is_digit(c) || c == '-' || c == '_' || c == '+';
}

struct str mail_verp(struct arena *arena, struct str address, struct str recipient)
{
	struct str own_local, own_domain, local, domain;
	struct buf out = buf_in(arena);
	if (!split(address, &own_local, &own_domain) || !split(recipient, &local, &domain))
		return address;
	buf_add(&out, own_local);
	buf_add_char(&out, '+');
	/* Others as "=XX", also those that some MTA gives a meaning ("%", "!"). */
	for (size_t i = 0; i < local.n; i++) {
		if (stands_as_it_is(local, i))
			buf_add_char(&out, local.p[i]);
		else
			buf_printf(&out, "=%02X", (unsigned char)local.p[i]);
	}
	buf_printf(&out, "=%.*s", STR_ARG(domain));
	if (out.n > LOCAL_PART_MAX)
		return address;
	buf_printf(&out, "@%.*s", STR_ARG(own_domain));
	return buf_str(&out);
}

static bool decode(struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '=') {
			buf_add_char(out, text.p[i]);
			continue;
		}
		if (i + 2 >= text.n || str_hex_digit(text.p[i + 1]) < 0 || str_hex_digit(text.p[i + 2]) < 0)
			return false;
		buf_add_char(out, (char)(str_hex_digit(text.p[i + 1]) << 4 | str_hex_digit(text.p[i + 2])));
		i += 2;
	}
	return true;
}

bool mail_verp_parse(struct arena *arena, struct str address, struct str sender, struct str *ret_recipient)
{
	struct str own_local, own_domain, local, domain;
	struct buf out = buf_in(arena);
	if (!split(address, &own_local, &own_domain) || !split(sender, &local, &domain) ||
		!str_ieq(domain, own_domain) || !str_istarts(local, own_local))
		return false;
	local = str_skip(local, own_local.n);
	ptrdiff_t equals = str_rindex(local, '=');
	if (!str_starts(local, STR("+")) || equals < 0)
		return false;
	if (!decode(str_from(local.p + 1, (size_t)equals - 1), &out))
		return false;
	buf_printf(&out, "@%.*s", STR_ARG(str_skip(local, (size_t)equals + 1)));
	*ret_recipient = buf_str(&out);
	return mail_address_usable(*ret_recipient);
}
