#include "config/values.h"
#include "convert/collect.h"

static const char head[] = "# Made by \"trimilterctl conf convert\". Here stands what differs from the defaults; "
			   "trimilter.conf(5) has all "
			   "options.\n"
			   "# Behind each line: where it comes from. Keys stay where they are.\n"
			   "#\n";

static void add_place(struct buf *out, struct diag_place place)
{
	buf_add_cstr(out, place.file);
	if (place.line != 0)
		buf_printf(out, ":%u", place.line);
}

static bool is_said(const struct conversion *conversion, const char *option)
{
	return conversion->items[option_find(str_of(option)) - option_rows].text.p != NULL;
}

/* A table of ours beside an option that names another one. */
static void report_two(const struct conversion *conversion)
{
	const struct {
		const struct dataset *table;
		const char *options[4];
	} pairs[] = {
		{&conversion->keys, {"KeyTable", "KeyList", "KeyFile"}},
		{&conversion->internal, {"InternalHosts"}},
		{&conversion->options, {"SignatureOptions"}},
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		for (size_t k = 0; k < 4 && pairs[i].options[k] != NULL && pairs[i].table->n > 0; k++)
			if (is_said(conversion, pairs[i].options[k]))
				diag_error(conversion->diag, pairs[i].table->rows[0].place,
					"another file has %s already: what this one says is written to a table that "
					"nothing "
					"names yet: put the two together",
					pairs[i].options[k]);
}

static struct str table_text(const struct conversion *conversion, const struct dataset *table)
{
	struct buf out = buf_in(conversion->arena);
	unsigned line = 0;
	const char *file = NULL;
	for (size_t i = 0; i < table->n; i++) {
		const struct dataset_row *row = &table->rows[i];
		if (row->place.file != file || row->place.line != line) {
			buf_add_cstr(&out, "# ");
			add_place(&out, row->place);
			buf_add_char(&out, '\n');
		}
		file = row->place.file;
		line = row->place.line;
		buf_printf(&out, "%.*s%s%.*s\n", STR_ARG(row->key), row->value.n > 0 ? "  " : "", STR_ARG(row->value));
	}
	return buf_str(&out);
}

const struct convert_table *conversion_tables(const struct conversion *conversion, size_t *n)
{
	struct convert_table *tables = ARENA_ARRAY(conversion->arena, 4, struct convert_table);
	tables[0] = (struct convert_table){"InternalHosts", table_text(conversion, &conversion->internal)};
	tables[1] = (struct convert_table){"KeyTable", table_text(conversion, &conversion->keys)};
	tables[2] = (struct convert_table){"SigningTable", table_text(conversion, &conversion->authors)};
	tables[3] = (struct convert_table){"SignatureOptions", table_text(conversion, &conversion->options)};
	*n = 4;
	return tables;
}

bool conversion_is_secret(const struct conversion *conversion)
{
	for (size_t i = 0; i < n_option_rows; i++) {
		struct str text = conversion->items[i].text;
		if (text.p != NULL && !str_eq(dataset_shown(conversion->arena, text), text))
			return true;
	}
	return false;
}

/* On-Default changes the others unless they are said, also where they say what is the default without it. */
static bool differs(const struct conversion *conversion, const struct option_row *row)
{
	bool on_default = is_said(conversion, "On-Default");
	return (on_default && str_starts(str_of(row->name), STR("On-"))) ||
	       !option_equal(row, conversion->values, conversion->defaults);
}

static const struct convert_table *table_of(
	const struct convert_table *tables, size_t n_tables, const struct option_row *row)
{
	for (size_t i = 0; i < n_tables; i++)
		if (tables[i].text.n > 0 && str_eq(str_of(tables[i].name), str_of(row->name)))
			return &tables[i];
	return NULL;
}

static void add_options(const struct conversion *conversion, struct str directory, struct buf *out)
{
	const char *section = NULL;
	size_t n_tables;
	const struct convert_table *tables = conversion_tables(conversion, &n_tables);
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		if (row->section != NULL)
			section = row->section;
		if (row->module == NULL)
			continue;
		const struct convert_item *item = &conversion->items[i];
		const struct convert_table *table = item->text.p == NULL ? table_of(tables, n_tables, row) : NULL;
		if (table == NULL && (item->text.p == NULL || !differs(conversion, row)))
			continue;
		if (section != NULL)
			buf_printf(out, "\n# ---- %s ----\n", section);
		section = NULL;
		if (table != NULL) {
			buf_printf(out, "%-20s file:%.*s/%s\n", row->name, STR_ARG(directory), table->name);
			continue;
		}
		buf_printf(out, "%-20s %-40.*s # ", row->name, STR_ARG(item->text));
		add_place(out, item->place);
		buf_add_char(out, '\n');
	}
}

static void add_same(const struct conversion *conversion, struct buf *out)
{
	bool any = false;
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct convert_item *item = &conversion->items[i];
		if (item->text.p == NULL || differs(conversion, &option_rows[i]))
			continue;
		buf_add_cstr(out, any ? ", " : "\n# As by default, and so left out: ");
		buf_printf(out, "%s (", option_rows[i].name);
		add_place(out, item->place);
		buf_add_char(out, ')');
		any = true;
	}
	buf_add_cstr(out, any ? "\n" : "");
}

/* "OpenDKIM's default is simple/simple." out of the help of Canonicalization. */
static struct str other_default(const struct option_row *row, bool opendkim)
{
	struct str needle = opendkim ? STR("OpenDKIM's default is ") : STR("OpenDMARC's default is ");
	const char *found = strstr(row->help, needle.p);
	struct str rest = found != NULL ? str_of(found + needle.n) : STR("");
	ptrdiff_t dot = str_index(rest, '.'), comma = str_index(rest, ',');
	return str_head(rest, (size_t)(comma >= 0 && comma < dot ? comma : dot >= 0 ? dot : 0));
}

static void add_other_defaults(const struct conversion *conversion, bool opendkim, struct buf *out)
{
	bool any = false;
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		struct str other = row->module != NULL ? other_default(row, opendkim) : STR("");
		if (other.n == 0 || conversion->items[i].text.p != NULL)
			continue;
		if (!any)
			buf_printf(out, "\n# Not said, and %s has another default; take the # away to have it back:\n",
				opendkim ? "OpenDKIM" : "OpenDMARC");
		buf_printf(out, "#%s %.*s\n", row->name, STR_ARG(other));
		any = true;
	}
}

static bool was_there(const struct conversion *conversion, enum convert_kind kind)
{
	for (size_t i = 0; i < conversion->n_files; i++)
		if (conversion->files[i].kind == kind)
			return true;
	return false;
}

static void add_diag(const struct diag *diag, enum diag_severity severity, const char *heading, struct buf *out)
{
	bool any = false;
	for (size_t i = 0; i < diag->n; i++) {
		if (diag->entries[i].severity != severity)
			continue;
		buf_printf(out, "%s# ", any ? "" : heading);
		/* Texts of files stand in it, and none may begin a line of its own. */
		for (size_t k = 0; k < diag->entries[i].text.n; k++) {
			char c = diag->entries[i].text.p[k];
			buf_add_char(out, (unsigned char)c < ' ' ? ' ' : c);
		}
		buf_add_char(out, '\n');
		any = true;
	}
}

void conversion_write(const struct conversion *conversion, struct str directory, struct buf *out)
{
	buf_add_cstr(out, head);
	for (size_t i = 0; i < conversion->n_files; i++)
		buf_printf(
			out, "#   %s (%s)\n", conversion->files[i].path, convert_kind_text(conversion->files[i].kind));
	report_two(conversion);
	add_diag(conversion->diag, DIAG_ERROR, "\n# ---- Not converted, and needed: see to these ----\n", out);
	add_diag(conversion->diag, DIAG_WARNING, "\n# ---- Not converted, or otherwise than it was ----\n", out);
	add_options(conversion, directory, out);
	add_same(conversion, out);
	if (was_there(conversion, CONVERT_OPENDKIM))
		add_other_defaults(conversion, true, out);
	if (was_there(conversion, CONVERT_OPENDMARC))
		add_other_defaults(conversion, false, out);
}
