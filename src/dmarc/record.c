#include "dmarc/record.h"

/* The value of a tag that matters, and what is wrong with it. */
struct tag {
	struct str name;
	struct str value; /* p is NULL: absent */
	bool invalid;     /* bytes that the grammar does not have, or two values */
};

enum tag_index { TAG_P, TAG_SP, TAG_NP, TAG_ADKIM, TAG_ASPF, TAG_PSD, TAG_T, TAG_RUA, TAG_RUF, TAG_FO, N_TAGS };

/* WSP only: a CR or LF in a record is not white space but an error. RFC 9989 section 4.8 */
static struct str trim(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_skip(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static bool split_tag(struct str part, struct str *ret_name, struct str *ret_value)
{
	ptrdiff_t equals = str_index(part, '=');
	if (equals < 0)
		return false;
	*ret_name = trim(str_head(part, (size_t)equals));
	*ret_value = trim(str_skip(part, (size_t)equals + 1));
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
	if (!is_value(value) || (tag->value.p != NULL && !str_ieq(tag->value, value)))
		tag->invalid = true;
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

static struct str valid_value(const struct tag *tag)
{
	return tag->invalid ? (struct str){NULL, 0} : tag->value;
}

static void read_tags(struct str rest, struct tag tags[N_TAGS])
{
	struct str part, name, value;
	while (str_cut(&rest, ';', &part)) {
		if (!split_tag(part, &name, &value))
			continue;
		for (size_t i = 0; i < N_TAGS; i++)
			if (str_ieq(name, tags[i].name))
				note_tag(&tags[i], value);
	}
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
	struct str rest = text, part, name, value;
	if (!str_cut(&rest, ';', &part) || !split_tag(part, &name, &value))
		return false;
	/* The tag's name is any case, its value is not; nothing may stand before it. */
	if (part.p[0] == ' ' || part.p[0] == '\t' || !str_ieq(name, STR("v")) || !str_eq(value, STR("DMARC1")))
		return false;
	struct tag tags[N_TAGS] = {
		[TAG_P] = {.name = STR("p")},
		[TAG_SP] = {.name = STR("sp")},
		[TAG_NP] = {.name = STR("np")},
		[TAG_ADKIM] = {.name = STR("adkim")},
		[TAG_ASPF] = {.name = STR("aspf")},
		[TAG_PSD] = {.name = STR("psd")},
		[TAG_T] = {.name = STR("t")},
		[TAG_RUA] = {.name = STR("rua")},
		[TAG_RUF] = {.name = STR("ruf")},
		[TAG_FO] = {.name = STR("fo")},
	};
	read_tags(rest, tags);
	struct dmarc_record record = {
		.text = text,
		.rua = valid_value(&tags[TAG_RUA]),
		.ruf = valid_value(&tags[TAG_RUF]),
		.fo = valid_value(&tags[TAG_FO]),
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

static bool is_hex(char c)
{
	c = str_lower_char(c);
	return str_is_digit(c) || (c >= 'a' && c <= 'f');
}

/* The characters of RFC 3986 section 2, without "!" and ",", which must be encoded here. */
static bool is_uri_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '%') {
			if (s.n - i < 3 || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2]))
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
		if (is_uri(trim(uri)))
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
