#include "auth/signature_options.h"

#include "auth/signing_table.h"
#include "dkim/dkim.h"

#define TTL_MAX 315360000 /* ten years, as SignatureTTL */

struct signature_options {
	struct signing_table *table;
};

static bool read_flag(struct str text, bool *ret_flag)
{
	*ret_flag = str_ieq(text, STR("yes")) || str_ieq(text, STR("y"));
	return *ret_flag || str_ieq(text, STR("no")) || str_ieq(text, STR("n"));
}

/* NULL, or what would be right. */
static const char *read_setting(struct str name, struct str value, struct dkim_sign_options *options)
{
	uint64_t seconds;
	if (str_ieq(name, STR("c")))
		return dkim_canonicalization_parse(
			       value, &options->header_canonicalization, &options->body_canonicalization)
			       ? NULL
			       : "c=HEADER/BODY, each \"relaxed\" or \"simple\"";
	if (str_ieq(name, STR("ttl"))) {
		if (!str_to_u64(value, TTL_MAX, &seconds))
			return "ttl=SECONDS, at most 315360000; 0 for no end";
		options->signature_ttl = (uint32_t)seconds;
		return NULL;
	}
	if (str_ieq(name, STR("l")))
		return read_flag(value, &options->body_lengths) ? NULL : "l=yes or l=no";
	if (str_ieq(name, STR("z")))
		return read_flag(value, &options->diagnostics) ? NULL : "z=yes or z=no";
	if (str_ieq(name, STR("r")))
		return read_flag(value, &options->report_requested) ? NULL : "r=yes or r=no";
	return "one of c=, ttl=, l=, z=, r=";
}

static bool is_between(char c)
{
	return str_is_space(c) || c == ';';
}

static void add_row(struct signature_options *all, struct arena *arena, const struct dataset_row *row,
	const struct dkim_sign_options *common, struct diag *diag)
{
	struct dkim_sign_options *options = ARENA_NEW(arena, struct dkim_sign_options);
	struct str rest = row->value;
	*options = *common;
	if (rest.n == 0)
		diag_error(diag, row->place,
			"SignatureOptions: \"%.*s\" has no settings: write %.*s  c=relaxed/relaxed", STR_ARG(row->key),
			STR_ARG(row->key));
	while (rest.n > 0) {
		size_t n = 0;
		while (n < rest.n && !is_between(rest.p[n]))
			n++;
		struct str word = str_head(rest, n), value = word, name;
		rest = str_skip(rest, n < rest.n ? n + 1 : n);
		if (word.n == 0)
			continue;
		str_cut(&value, '=', &name);
		const char *wanted = read_setting(name, value.p != NULL ? value : STR(""), options);
		if (wanted != NULL)
			diag_error(diag, row->place, "SignatureOptions: \"%.*s\" is not %s", STR_ARG(word), wanted);
	}
	signing_table_add(all->table, row->key, options, row->place, diag);
}

struct signature_options *signature_options_new(
	struct arena *arena, const struct dataset *dataset, const struct dkim_sign_options *common, struct diag *diag)
{
	struct signature_options *all = ARENA_NEW(arena, struct signature_options);
	all->table = signing_table_new(arena, dataset->kind, "it changes no signature");
	for (size_t i = 0; i < dataset->n; i++)
		add_row(all, arena, &dataset->rows[i], common, diag);
	return all;
}

const struct dkim_sign_options *signature_options_for(const struct signature_options *table, struct arena *arena,
	const struct address *sender, const struct dkim_sign_options *common)
{
	const struct signing_row **rows;
	if (table == NULL || signing_table_match(table->table, arena, sender, false, &rows) == 0)
		return common;
	return rows[0]->value;
}
