#include "message/results_grammar.h"

static bool is_token_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

bool results_is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_token_char(s.p[i]))
			return false;
	return s.n > 0;
}

static bool is_letter_or_digit(char c)
{
	return str_is_alpha(c) || str_is_digit(c) || (unsigned char)c >= 0x80;
}

bool results_is_domain_name(struct str s)
{
	size_t n_labels = 0;
	for (struct str rest = s, label; str_cut(&rest, '.', &label); n_labels++) {
		if (label.n == 0 || !is_letter_or_digit(label.p[0]) || !is_letter_or_digit(label.p[label.n - 1]))
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!is_letter_or_digit(label.p[i]) && label.p[i] != '-')
				return false;
	}
	return n_labels > 1;
}

/* dot-atom-text with the letters of RFC 6531 */
static bool is_dot_atom(struct str s)
{
	for (struct str rest = s, atom; str_cut(&rest, '.', &atom);) {
		if (atom.n == 0)
			return false;
		for (size_t i = 0; i < atom.n; i++)
			if (!is_letter_or_digit(atom.p[i]) &&
				(atom.p[i] == '\0' || !strchr("!#$%&'*+-/=?^_`{|}~", atom.p[i])))
				return false;
	}
	return true;
}

bool results_is_plain_address(struct str s)
{
	ptrdiff_t at = str_rindex(s, '@');
	if (at < 0 || !results_is_domain_name(str_skip(s, (size_t)at + 1)))
		return false;
	return at == 0 || is_dot_atom(str_head(s, (size_t)at));
}
