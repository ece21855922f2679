#include "base/domain.h"

#include <idn2.h>

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

static void free_idn(void *text)
{
	idn2_free(text);
}

static bool to_a_labels(struct arena *arena, struct str text, struct str *ret_domain)
{
	/* UTS 46 maps full stops of other scripts to '.', so the result is checked for empty labels afterwards. */
	if (text.n > 4 * DOMAIN_MAX || memchr(text.p, '\0', text.n) != NULL)
		return false;
	char *ascii = NULL;
	if (idn2_to_ascii_8z(arena_dup(arena, text).p, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	arena_on_reset(arena, free_idn, ascii);
	*ret_domain = arena_dup_lower(arena, str_of(ascii));
	return true;
}

bool domain_normalize(struct arena *arena, struct str text, struct str *ret_domain)
{
	if (text.n > 0 && text.p[text.n - 1] == '.')
		text.n--;
	if (text.n == 0)
		return false;
	struct str domain;
	if (is_ascii(text))
		domain = arena_dup_lower(arena, text);
	else if (!to_a_labels(arena, text, &domain))
		return false;
	if (!domain_is_askable(domain))
		return false;
	*ret_domain = domain;
	return true;
}

bool domain_is_askable(struct str domain)
{
	if (domain.n == 0 || domain.n > DOMAIN_MAX)
		return false;
	for (struct str rest = domain, label; str_cut(&rest, '.', &label);)
		if (label.n == 0 || label.n > DOMAIN_LABEL_MAX)
			return false;
	return true;
}

bool domain_is_hostname(struct str domain)
{
	if (!domain_is_askable(domain))
		return false;
	for (size_t i = 0; i < domain.n; i++) {
		char c = domain.p[i];
		if (!str_is_alpha(c) && !str_is_digit(c) && c != '-' && c != '_' && c != '.')
			return false;
	}
	return true;
}

size_t domain_labels(struct str domain)
{
	size_t n = domain.n > 0;
	for (size_t i = 0; i < domain.n; i++)
		n += domain.p[i] == '.';
	return n;
}

struct str domain_last_labels(struct str domain, size_t n)
{
	for (size_t labels = domain_labels(domain); labels > n; labels--)
		domain = domain_parent(domain);
	return domain;
}

struct str domain_parent(struct str domain)
{
	ptrdiff_t dot = str_index(domain, '.');
	return dot < 0 ? str_from(domain.p + domain.n, 0) : str_skip(domain, (size_t)dot + 1);
}

bool domain_is_within(struct str domain, struct str ancestor)
{
	if (ancestor.n == 0 || !str_ends(domain, ancestor))
		return false;
	return domain.n == ancestor.n || domain.p[domain.n - ancestor.n - 1] == '.';
}
