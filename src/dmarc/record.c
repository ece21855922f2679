#include "dmarc/record.h"

#include "base/buf.h"

/* The value of a tag that matters, and what is wrong with it. */
struct tag {
	struct str name;
	struct str value; /* p is NULL: absent */
	bool twice;       /* with different values */
	bool invalid;     /* twice, or bytes that the grammar does not have */
};

enum tag_index {
	TAG_P,
	TAG_SP,
	TAG_NP,
	TAG_ADKIM,
	TAG_ASPF,
	TAG_PSD,
	TAG_T,
	TAG_FO,
	TAG_RUA,
	TAG_RUF,
	TAG_PCT,
	N_TAGS
};

static const char *const tag_names[N_TAGS] = {"p", "sp", "np", "adkim", "aspf", "psd", "t", "fo", "rua", "ruf", "pct"};

/* What a file's or a form's last line break leaves behind the record: no one means p=none by it. */
static struct str without_last_line_break(struct str text)
{
	while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
		text.n--;
	return text;
}

static bool split_tag(struct str part, struct str *ret_name, struct str *ret_value)
{
	ptrdiff_t equals = str_index(part, '=');
	if (equals < 0)
		return false;
	*ret_name = str_trim_wsp(str_head(part, (size_t)equals));
	*ret_value = str_trim_wsp(str_skip(part, (size_t)equals + 1));
	return true;
}

/* dmarc-value: printing characters; the semicolon is gone already. */
static bool is_value(struct str value)
{
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < 0x20 || value.p[i] > 0x7e)
			return false;
	return value.n > 0;
}

/*
 * A tag given twice is a syntax error of that tag alone (RFC 9989 section 4.8 keeps the rest of the record),
 * unless both say the same: nobody may be able to add a tag that overrules another.
 */
static void note_tag(struct tag *tag, struct str value)
{
	tag->twice |= tag->value.p != NULL && !str_ieq(tag->value, value);
	tag->invalid |= tag->twice || !is_value(value);
	tag->value = value;
}

static bool is_absent(const struct tag *tag)
{
	return tag->value.p == NULL;
}

/* False: there, but not one of the three words. Absent gives UNSET. */
static bool read_policy(const struct tag *tag, enum dmarc_policy *ret_policy)
{
	*ret_policy = DMARC_POLICY_UNSET;
	if (is_absent(tag))
		return true;
	if (tag->invalid)
		return false;
	if (str_ieq(tag->value, STR("none")))
		*ret_policy = DMARC_P_NONE;
	else if (str_ieq(tag->value, STR("quarantine")))
		*ret_policy = DMARC_P_QUARANTINE;
	else if (str_ieq(tag->value, STR("reject")))
		*ret_policy = DMARC_P_REJECT;
	return *ret_policy != DMARC_POLICY_UNSET;
}

static bool says(const struct tag *tag, struct str word)
{
	return !tag->invalid && str_ieq(tag->value, word);
}

/* False: it does not begin with the version. */
static bool read_tags(struct str text, struct tag tags[N_TAGS])
{
	struct str rest = without_last_line_break(text), part, name, value;
	if (!str_cut(&rest, ';', &part) || !split_tag(part, &name, &value))
		return false;
	/* The tag's name is any case, its value is not; nothing may stand before it. */
	if (part.p[0] == ' ' || part.p[0] == '\t' || !str_ieq(name, STR("v")) || !str_eq(value, STR("DMARC1")))
		return false;
	for (size_t i = 0; i < N_TAGS; i++)
		tags[i] = (struct tag){.name = str_of(tag_names[i])};
	while (str_cut(&rest, ';', &part)) {
		if (!split_tag(part, &name, &value))
			continue;
		for (size_t i = 0; i < N_TAGS; i++)
			if (str_ieq(name, tags[i].name))
				note_tag(&tags[i], value);
	}
	return true;
}

/* "0" and "1" exclude each other, and nothing stands twice. False: none of the grammar's. */
static bool read_failure_options(struct str list, unsigned *ret_bits)
{
	static const char words[] = "01ds";
	unsigned bits = 0;
	for (struct str word; str_cut(&list, ':', &word);) {
		const char *at = word.n == 1 ? memchr(words, str_lower_char(word.p[0]), sizeof(words) - 1) : NULL;
		unsigned bit = at != NULL ? 1U << (at - words) : 0;
		if (bit == 0 || (bits & bit) != 0)
			return false;
		bits |= bit;
	}
	*ret_bits = bits;
	return bits != 0 && (bits & (DMARC_FO_ALL | DMARC_FO_ANY)) != (DMARC_FO_ALL | DMARC_FO_ANY);
}

unsigned dmarc_record_fo(const struct dmarc_record *record)
{
	unsigned bits;
	return record->ruf.n > 0 && read_failure_options(record->fo, &bits) ? bits : DMARC_FO_ALL;
}

static struct str valid_value(const struct tag *tag)
{
	return tag->invalid ? (struct str){NULL, 0} : tag->value;
}

static unsigned percentage(const struct tag *tag)
{
	uint64_t percent;
	return !tag->invalid && str_to_u64(tag->value, 100, &percent) ? (unsigned)percent : 100;
}

static void read_policies(const struct tag tags[N_TAGS], enum dmarc_discovery discovery, struct dmarc_record *record)
{
	bool valid = read_policy(&tags[TAG_P], &record->p) && record->p != DMARC_POLICY_UNSET;
	valid &= read_policy(&tags[TAG_SP], &record->sp);
	if (discovery == DMARC_TREE_WALK)
		valid &= read_policy(&tags[TAG_NP], &record->np);
	record->usable = valid;
	if (valid)
		return;
	/* As if "p=none" had been retrieved, where somebody wants reports. RFC 9989 section 4.10.1, RFC 7489 6.6.3 */
	record->usable = dmarc_uri_list_is_usable(record->rua);
	record->p = record->usable ? DMARC_P_NONE : DMARC_POLICY_UNSET;
	record->sp = record->np = DMARC_POLICY_UNSET;
}

bool dmarc_record_parse(enum dmarc_discovery discovery, struct str text, struct dmarc_record *ret_record)
{
	struct tag tags[N_TAGS];
	if (!read_tags(text, tags))
		return false;
	struct dmarc_record record = {
		.text = text,
		.rua = valid_value(&tags[TAG_RUA]),
		.ruf = valid_value(&tags[TAG_RUF]),
		.fo = valid_value(&tags[TAG_FO]),
		.pct = percentage(&tags[TAG_PCT]),
	};
	read_policies(tags, discovery, &record);
	/* Anything else than the words of the grammar is the default. */
	record.adkim = says(&tags[TAG_ADKIM], STR("s")) ? DMARC_STRICT : DMARC_RELAXED;
	record.aspf = says(&tags[TAG_ASPF], STR("s")) ? DMARC_STRICT : DMARC_RELAXED;
	if (discovery == DMARC_TREE_WALK) {
		record.testing = says(&tags[TAG_T], STR("y"));
		record.psd = says(&tags[TAG_PSD], STR("y"))   ? DMARC_PSD_YES
			     : says(&tags[TAG_PSD], STR("n")) ? DMARC_PSD_NO
							      : DMARC_PSD_UNKNOWN;
	}
	*ret_record = record;
	return true;
}

/* ---- reporting URIs ---- */

/* The characters of RFC 3986 section 2, without "!" and ",", which must be encoded here. */
static bool is_uri_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '%') {
			if (s.n - i < 3 || str_hex_digit(s.p[i + 1]) < 0 || str_hex_digit(s.p[i + 2]) < 0)
				return false;
			i += 2;
		} else if (c == '\0' ||
			   (!str_is_alpha(c) && !str_is_digit(c) && strchr("-._~:/?#[]@$&'()*+;=", c) == NULL)) {
			return false;
		}
	}
	return s.n > 0;
}

static bool is_scheme(struct str s)
{
	if (s.n == 0 || !str_is_alpha(s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!str_is_alpha(s.p[i]) && !str_is_digit(s.p[i]) && s.p[i] != '+' && s.p[i] != '-' && s.p[i] != '.')
			return false;
	return true;
}

/* obs-dmarc-report-size, without its "!" */
static bool is_size(struct str s)
{
	if (s.n > 1 && strchr("kmgt", str_lower_char(s.p[s.n - 1])) != NULL)
		s.n--;
	for (size_t i = 0; i < s.n; i++)
		if (!str_is_digit(s.p[i]))
			return false;
	return s.n > 0;
}

static bool is_uri(struct str uri)
{
	ptrdiff_t mark = str_index(uri, '!');
	if (mark >= 0) {
		if (!is_size(str_skip(uri, (size_t)mark + 1)))
			return false;
		uri = str_head(uri, (size_t)mark);
	}
	ptrdiff_t colon = str_index(uri, ':');
	if (colon < 0 || !is_scheme(str_head(uri, (size_t)colon)))
		return false;
	struct str rest = str_skip(uri, (size_t)colon + 1);
	if (!is_uri_text(rest))
		return false;
	if (!str_ieq(str_head(uri, (size_t)colon), STR("mailto")))
		return true;
	/* Nothing can be sent to a mailto: without an address. */
	struct str address;
	str_cut(&rest, '?', &address);
	ptrdiff_t at = str_rindex(address, '@');
	return at > 0 && (size_t)at + 1 < address.n;
}

bool dmarc_uri_list_is_usable(struct str list)
{
	struct str uri;
	while (str_cut(&list, ',', &uri))
		if (is_uri(str_trim_wsp(uri)))
			return true;
	return false;
}

enum dmarc_policy dmarc_policy_one_below(enum dmarc_policy policy)
{
	switch (policy) {
	case DMARC_P_REJECT:
		return DMARC_P_QUARANTINE;
	case DMARC_P_QUARANTINE:
		return DMARC_P_NONE;
	case DMARC_P_NONE:
	case DMARC_POLICY_UNSET:
		break;
	}
	return policy;
}

/* ---- what is wrong with a record ---- */

/* Longer values are shown in part: a report is no place for what somebody put into the DNS by the kilobyte. */
#define SHOWN_MAX 60

static void add_fault(struct buf *out, const char *name, struct str value, const char *wrong)
{
	buf_printf(out, "%s%s=", out->n > 0 ? "; " : "", name);
	for (size_t i = 0; i < value.n && i < SHOWN_MAX; i++)
		buf_add_char(out, value.p[i] >= 0x20 && value.p[i] <= 0x7e ? value.p[i] : '?');
	buf_printf(out, "%s: %s", value.n > SHOWN_MAX ? "..." : "", wrong);
}

/* One of the few words of the tag's grammar, or absent? @wrong tells what was done instead. */
static void check_words(struct buf *out, const struct tag *tag, const char *const *words, const char *wrong)
{
	bool known = is_absent(tag);
	for (size_t i = 0; words[i] != NULL; i++)
		known = known || says(tag, str_of(words[i]));
	if (!known)
		add_fault(out, tag->name.p, tag->value, tag->twice ? "given twice with different values" : wrong);
}

static void check_uris(struct buf *out, const struct tag *tag)
{
	if (is_absent(tag))
		return;
	if (tag->invalid) {
		add_fault(out, tag->name.p, tag->value, tag->twice ? "given twice" : "not printable US-ASCII");
		return;
	}
	for (struct str rest = tag->value, uri; str_cut(&rest, ',', &uri);)
		if (!is_uri(str_trim_wsp(uri)))
			add_fault(out, tag->name.p, str_trim_wsp(uri), "no URI that a report could go to, ignored");
}

static void check_policies(struct buf *out, const struct tag tags[N_TAGS], enum dmarc_discovery discovery)
{
	static const char *const words[] = {"none", "quarantine", "reject", NULL};
	const char *wrong = "neither none, quarantine nor reject";
	if (is_absent(&tags[TAG_P]))
		buf_add_cstr(out, "p is missing");
	check_words(out, &tags[TAG_P], words, wrong);
	check_words(out, &tags[TAG_SP], words, wrong);
	if (discovery == DMARC_TREE_WALK)
		check_words(out, &tags[TAG_NP], words, wrong);
	if (out->n > 0)
		buf_add_cstr(out, "; the record is taken as p=none");
}

struct str dmarc_record_faults(struct arena *arena, enum dmarc_discovery discovery, struct str text)
{
	static const char *const modes[] = {"r", "s", NULL}, *const flags[] = {"y", "n", NULL},
				 *const psd[] = {"y", "n", "u", NULL};
	struct tag tags[N_TAGS];
	struct buf out = buf_in(arena);
	if (!read_tags(text, tags))
		return STR("the record does not begin with v=DMARC1");
	check_policies(&out, tags, discovery);
	check_words(&out, &tags[TAG_ADKIM], modes, "neither r nor s, taken as r");
	check_words(&out, &tags[TAG_ASPF], modes, "neither r nor s, taken as r");
	if (discovery == DMARC_TREE_WALK) {
		check_words(&out, &tags[TAG_T], flags, "neither y nor n, taken as n");
		check_words(&out, &tags[TAG_PSD], psd, "neither y, n nor u, taken as u");
	}
	unsigned bits;
	if (!is_absent(&tags[TAG_FO]) && (tags[TAG_FO].invalid || !read_failure_options(tags[TAG_FO].value, &bits)))
		add_fault(&out, "fo", tags[TAG_FO].value, "not 0 or 1, d, s with colons between, taken as 0");
	check_uris(&out, &tags[TAG_RUA]);
	check_uris(&out, &tags[TAG_RUF]);
	return buf_str(&out);
}
