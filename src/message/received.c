#include "message/received.h"

#include "base/buf.h"

/* Real ones have some 300 bytes; HELO alone may have 255. */
#define RECEIVED_MAX 4000

/* All white space becomes one blank. False: bytes that no MTA writes here. */
static bool unfold(struct arena *arena, struct str value, struct str *ret_text)
{
	struct buf out = buf_in(arena);
	if (value.n > RECEIVED_MAX)
		return false;
	value = str_trim(value);
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if (str_is_space(value.p[i])) {
			if (!str_is_space(value.p[i - 1]))
				buf_add_char(&out, ' ');
		} else if (c < ' ' || c >= 0x7f) {
			return false;
		} else {
			buf_add_char(&out, value.p[i]);
		}
	}
	*ret_text = buf_str(&out);
	return true;
}

static bool skip_text(struct str *s, struct str prefix)
{
	if (!str_istarts(*s, prefix))
		return false;
	*s = str_skip(*s, prefix.n);
	return true;
}

static bool skip_blank(struct str *s)
{
	return skip_text(s, STR(" "));
}

static struct str take_while(struct str *s, bool (*wanted)(char c))
{
	size_t n = 0;
	while (n < s->n && wanted(s->p[n]))
		n++;
	struct str word = str_head(*s, n);
	*s = str_skip(*s, n);
	return word;
}

/* What a word of HELO may hold without being taken for the field's own structure. */
static bool is_word_char(char c)
{
	return strchr(" ()<>@,;\\\"", c) == NULL;
}

static bool is_name_char(char c)
{
	return str_is_alpha(c) || str_is_digit(c) || c == '.' || c == '-' || c == '_';
}

static bool is_port_char(char c)
{
	return str_is_digit(c);
}

static bool is_address_char(char c)
{
	return c != ']' && c != ' ';
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]", "[2001:db8::1]", and ":25" where Exim logs ports. */
static bool take_literal(struct str *s, struct ip *ret_ip)
{
	if (!skip_text(s, STR("[")))
		return false;
	skip_text(s, STR("IPv6:"));
	if (!ip_parse(take_while(s, is_address_char), ret_ip) || !skip_text(s, STR("]")))
		return false;
	return !skip_text(s, STR(":")) || take_while(s, is_port_char).n > 0;
}

/* The comment at the front of *@s; one may stand in another. */
static bool take_comment(struct str *s, struct str *ret_inside)
{
	size_t depth = 0;
	if (!str_starts(*s, STR("(")))
		return false;
	for (size_t i = 0; i < s->n && s->p[i] != '\\'; i++) {
		depth += s->p[i] == '(';
		if (s->p[i] != ')' || --depth > 0)
			continue;
		*ret_inside = str_from(s->p + 1, i - 1);
		*s = str_skip(*s, i + 1);
		return true;
	}
	return false;
}

/* Exim's "helo=NAME", perhaps behind "port=N ". */
static bool take_exim_helo(struct str *s, struct str *ret_helo)
{
	if (skip_text(s, STR("port=")) && (take_while(s, is_port_char).n == 0 || !skip_blank(s)))
		return false;
	if (!skip_text(s, STR("helo=")))
		return false;
	*ret_helo = take_while(s, is_word_char);
	return ret_helo->n > 0 && s->n == 0;
}

/*
 * The comment behind the first word, of
 *	Postfix, Sendmail  from HELO (name [192.0.2.1])      Sendmail: ([192.0.2.1]), (name [192.0.2.1] (may be forged))
 *	Exim               from name ([192.0.2.1] helo=HELO)  from [192.0.2.1] (helo=HELO)
 *	Exchange           from HELO (192.0.2.1)
 * A host name has no '=', a comment of Postfix's no blank before its bracket but behind the name: each is one alone.
 */
static bool read_client(struct str first, struct str comment, struct received *ret, bool *ret_exchange)
{
	struct str rest = comment, name = take_while(&rest, is_name_char);
	ret->helo = first;
	*ret_exchange = ip_parse(comment, &ret->client);
	if (*ret_exchange)
		return true;
	if (name.n > 0 && str_starts(rest, STR("="))) {
		rest = comment;
		return take_literal(&first, &ret->client) && first.n == 0 && take_exim_helo(&rest, &ret->helo);
	}
	if ((name.n > 0 && !skip_blank(&rest)) || !take_literal(&rest, &ret->client))
		return false;
	if (rest.n == 0 || str_eq(rest, STR(" (may be forged)")))
		return true;
	return name.n == 0 && skip_blank(&rest) && take_exim_helo(&rest, &ret->helo);
}

static bool is_one_of(struct str word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_ieq(word, str_of(words[i])))
			return true;
	return false;
}

/* Postfix tells of TLS in comments before "by"; a client of it is no such comment's author but of a name in it. */
static bool skip_tls(struct str *s)
{
	struct str comment;
	while (str_starts(*s, STR("(")))
		if (!take_comment(s, &comment) ||
			!(str_starts(comment, STR("using ")) || str_starts(comment, STR("Client ")) ||
				str_starts(comment, STR("No client "))) ||
			!skip_blank(s))
			return false;
	return true;
}

/*
 * From "by" to the end: one host, one protocol, one date. What a client could have brought in with an unchecked HELO
 * (all of this, in front of the true client) leaves a second "by", or a second semicolon.
 * *ret_with  what stands behind "with"
 */
static bool read_rest(struct str s, struct str *ret_with)
{
	struct str word, comment;
	*ret_with = STR("");
	if (!skip_text(&s, STR("by ")) || take_while(&s, is_word_char).n == 0)
		return false;
	while (s.n > 0 && s.p[0] != ';') {
		if (s.p[0] == '(') {
			if (!take_comment(&s, &comment))
				return false;
			continue;
		}
		word = take_while(&s, is_word_char);
		if (str_ieq(word, STR("by")) || str_ieq(word, STR("from")))
			return false;
		if (str_ieq(word, STR("with")) && ret_with->n == 0)
			*ret_with = str_trim(s);
		if (word.n == 0)
			s = str_skip(s, 1);
	}
	/* The date. */
	return s.n > 1 && str_index(str_skip(s, 1), ';') < 0 && str_index(s, '[') < 0;
}

/* RFC 3848 section 2, RFC 6531 section 4.3; Exchange names itself. */
static const char *check_protocol(struct str with, bool is_exchange)
{
	static const char *const authenticated[] = {"ESMTPA", "ESMTPSA", "SMTPA", "SMTPSA", "UTF8SMTPA", "UTF8SMTPSA"};
	static const char *const plain[] = {
		"SMTP", "ESMTP", "SMTPS", "ESMTPS", "UTF8SMTP", "UTF8SMTPS", "LMTP", "LMTPS"};
	struct str rest = with, word = take_while(&rest, is_word_char);
	if (is_one_of(word, authenticated, sizeof(authenticated) / sizeof(*authenticated)))
		return "a Received field of an authenticated client";
	if (is_exchange ? !str_istarts(with, STR("Microsoft SMTP Server"))
			: !is_one_of(word, plain, sizeof(plain) / sizeof(*plain)))
		return "a Received field that does not tell of SMTP";
	return NULL;
}

const char *received_parse(struct arena *arena, struct str value, struct received *ret_received)
{
	struct str s, comment, with;
	bool is_exchange;
	if (!unfold(arena, value, &s))
		return "a Received field with bytes that no MTA writes";
	if (!skip_text(&s, STR("from ")))
		return "a Received field without a client";
	struct str first = take_while(&s, is_word_char);
	if (first.n == 0 || !skip_blank(&s) || !take_comment(&s, &comment) || !skip_blank(&s) ||
		!read_client(first, comment, ret_received, &is_exchange))
		return "a Received field whose client cannot be told with certainty";
	if (!skip_tls(&s) || !read_rest(s, &with))
		return "a Received field that does not say by whom, how and when";
	return check_protocol(with, is_exchange);
}
