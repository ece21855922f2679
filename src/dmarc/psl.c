#include "dmarc/psl.h"

#include <errno.h>
#include <libpsl.h>
#include <stdlib.h>

#include "base/domain.h"

struct dmarc_suffixes {
	psl_ctx_t *list;
};

struct dmarc_suffixes *dmarc_suffixes_load(const char *path)
{
	struct dmarc_suffixes *suffixes = calloc(1, sizeof(*suffixes));
	if (suffixes == NULL)
		return NULL;
	errno = 0;
	/* psl_latest() compares the list that libpsl was built with and the one that the distribution updates. */
	suffixes->list = path != NULL ? psl_load_file(path) : psl_latest(NULL);
	/* A list without a suffix (another file, an empty one) would make every domain an organization of its own. */
	if (suffixes->list != NULL && psl_suffix_count(suffixes->list) != 0)
		return suffixes;
	int error = suffixes->list == NULL && errno != 0 ? errno : EINVAL;
	dmarc_suffixes_free(suffixes);
	errno = error;
	return NULL;
}

void dmarc_suffixes_free(struct dmarc_suffixes *suffixes)
{
	if (suffixes == NULL)
		return;
	psl_free(suffixes->list);
	free(suffixes);
}

/*
 * libpsl compares bytes: it wants a C string in lower case (a rule is there by its U-labels and by its A-labels).
 * NULL: the name cannot be in a list.
 */
static const char *lowered(struct str domain, char text[DOMAIN_MAX + 1])
{
	if (!domain_is_askable(domain) || memchr(domain.p, '\0', domain.n) != NULL)
		return NULL;
	for (size_t i = 0; i < domain.n; i++)
		text[i] = str_lower_char(domain.p[i]);
	text[domain.n] = '\0';
	return text;
}

size_t dmarc_suffixes_organizational_labels(const struct dmarc_suffixes *suffixes, struct str domain)
{
	char text[DOMAIN_MAX + 1];
	const char *lower = suffixes != NULL ? lowered(domain, text) : NULL;
	const char *registrable = lower != NULL ? psl_registrable_domain(suffixes->list, lower) : NULL;
	return domain_labels(registrable != NULL ? str_of(registrable) : domain);
}

struct str dmarc_suffixes_organizational(const struct dmarc_suffixes *suffixes, struct arena *arena, struct str domain)
{
	return arena_dup_lower(
		arena, domain_last_labels(domain, dmarc_suffixes_organizational_labels(suffixes, domain)));
}

bool dmarc_suffixes_is_suffix(const struct dmarc_suffixes *suffixes, struct arena *arena, struct str domain)
{
	(void)arena;
	char text[DOMAIN_MAX + 1];
	const char *lower = suffixes != NULL ? lowered(domain, text) : NULL;
	return lower != NULL && psl_is_public_suffix(suffixes->list, lower) != 0;
}
