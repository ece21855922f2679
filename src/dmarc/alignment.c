#include "dmarc/alignment.h"

#include "dmarc/psl.h"

/* The highest domain that could turn out to be the author's organization, whatever the failed look-ups hold. */
static struct str widest_organizational(const struct dmarc_walk *walk)
{
	struct dmarc_guesses guesses = {0};
	dmarc_guesses_add(&guesses, walk); /* all guesses are now "nothing there" */
	struct str widest = dmarc_walk_organizational(walk);
	for (size_t i = 0; i < walk->n; i++)
		if (walk->steps[i]->found == DMARC_FOUND_FAILED && walk->steps[i]->domain.n < widest.n)
			widest = walk->steps[i]->domain;
	return widest;
}

static enum dmarc_alignment compare_walks(const struct dmarc_walk *author, const struct dmarc_walk *identifier)
{
	struct dmarc_guesses guesses = {0};
	dmarc_guesses_add(&guesses, author);
	dmarc_guesses_add(&guesses, identifier);
	if (guesses.too_many)
		return DMARC_ALIGNMENT_UNKNOWN;
	bool some = false, all = true;
	do {
		bool same = str_eq(dmarc_walk_organizational(author), dmarc_walk_organizational(identifier));
		some |= same;
		all &= same;
	} while (dmarc_guesses_next(&guesses));
	if (all)
		return DMARC_ALIGNED;
	return some ? DMARC_ALIGNMENT_UNKNOWN : DMARC_UNALIGNED;
}

static enum dmarc_progress align_by_walk(struct dmarc_lookups *lookups, const struct dmarc_walk *author,
	struct str identifier, enum dmarc_alignment *ret_alignment)
{
	*ret_alignment = DMARC_UNALIGNED;
	if (!domain_is_within(identifier, widest_organizational(author)))
		return DMARC_READY;
	struct dmarc_walk walk;
	enum dmarc_progress progress = dmarc_walk(lookups, identifier, &walk);
	if (progress == DMARC_READY)
		*ret_alignment = compare_walks(author, &walk);
	return progress;
}

enum dmarc_progress dmarc_align(struct dmarc_lookups *lookups, const struct dmarc_discovered *found, struct str author,
	struct str identifier, enum dmarc_mode mode, enum dmarc_alignment *ret_alignment)
{
	/* Equal names align in both modes, a public suffix with itself too. */
	*ret_alignment = str_eq(author, identifier) ? DMARC_ALIGNED : DMARC_UNALIGNED;
	if (*ret_alignment == DMARC_ALIGNED || mode == DMARC_STRICT)
		return DMARC_READY;
	switch (lookups->options->discovery) {
	case DMARC_TREE_WALK:
		return align_by_walk(lookups, &found->walk, identifier, ret_alignment);
	case DMARC_PSL:
		break;
	}
	size_t labels = dmarc_suffixes_organizational_labels(lookups->options->suffixes, identifier);
	if (str_eq(domain_last_labels(identifier, labels), found->organizational_domain))
		*ret_alignment = DMARC_ALIGNED;
	return DMARC_READY;
}
