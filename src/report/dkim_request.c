#include "dkim/crypto.h"
#include "dkim/signature.h"
#include "message/tags.h"
#include "report/failure.h"

/* ---- the record ---- */

static unsigned kind_of_word(struct str word)
{
	static const struct {
		struct str word;
		enum dkim_report_kind kind;
	} kinds[] = {
		{STR_INIT("all"), DKIM_REPORT_ALL},
		{STR_INIT("d"), DKIM_REPORT_DNS},
		{STR_INIT("o"), DKIM_REPORT_OTHER},
		{STR_INIT("p"), DKIM_REPORT_POLICY},
		{STR_INIT("s"), DKIM_REPORT_SIGNATURE},
		{STR_INIT("u"), DKIM_REPORT_UNKNOWN},
		{STR_INIT("v"), DKIM_REPORT_VERIFICATION},
		{STR_INIT("x"), DKIM_REPORT_EXPIRED},
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (str_ieq(word, kinds[i].word))
			return kinds[i].kind;
	return 0;
}

/* Words that we do not know ask for nothing that we could tell. */
static unsigned read_kinds(const struct str *rr)
{
	if (rr == NULL)
		return DKIM_REPORT_ALL;
	unsigned kinds = 0;
	for (struct str rest = *rr, word; str_cut(&rest, ':', &word);)
		kinds |= kind_of_word(str_trim(word));
	return kinds;
}

static bool read_percent(const struct str *rp, unsigned *ret_percent)
{
	uint64_t percent = 100;
	if (rp != NULL && !str_to_u64(*rp, 100, &percent))
		return false;
	*ret_percent = (unsigned)percent;
	return true;
}

/* A local part and nothing else: whatever it says, reports go to the signer's own domain. RFC 6651 section 3.2 */
static bool read_address(struct arena *arena, const struct str *ra, struct str domain, struct str *ret_address)
{
	struct str local_part;
	if (ra == NULL || !dkim_quoted_printable_decode(arena, *ra, &local_part) || str_index(local_part, '"') >= 0)
		return false;
	struct buf address = buf_in(arena);
	buf_add(&address, local_part); /* any byte may be in it */
	buf_add_char(&address, '@');
	buf_add(&address, domain);
	*ret_address = buf_str(&address);
	return mail_address_usable(*ret_address);
}

static struct str read_smtp(struct arena *arena, const struct str *rs)
{
	struct str text;
	if (rs == NULL || !dkim_quoted_printable_decode(arena, *rs, &text))
		return STR("");
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < ' ' || text.p[i] > '~')
			return STR("");
	return text;
}

bool dkim_report_request_parse(
	struct arena *arena, struct str domain, struct str record, struct dkim_report_request *ret_request)
{
	struct tags tags;
	tags_parse(arena, record, &tags);
	*ret_request = (struct dkim_report_request){
		.kinds = read_kinds(tags_get(&tags, "rr")),
		.smtp = read_smtp(arena, tags_get(&tags, "rs")),
	};
	return tags.error == NULL && read_percent(tags_get(&tags, "rp"), &ret_request->percent) &&
	       read_address(arena, tags_get(&tags, "ra"), domain, &ret_request->address);
}

bool dkim_report_request_find(struct arena *arena, struct str domain, struct answers *answers, bool *ret_found,
	bool *ret_retry, struct dkim_report_request *ret_request)
{
	*ret_found = *ret_retry = false;
	/* d= may be any text that came with a message. */
	if (!domain_is_hostname(domain) || domain_labels(domain) < 2)
		return true;
	struct str name = arena_printf(arena, "_report._domainkey.%.*s", STR_ARG(domain));
	const struct dns_answer *answer = answers_get(answers, DNS_TXT, name);
	if (answer == NULL)
		return false;
	*ret_retry = answer->status == DNS_FAILED;
	size_t n = 0;
	for (size_t i = 0; answer->status == DNS_DATA && i < answer->n_records; i++) {
		struct dkim_report_request request;
		if (!dkim_report_request_parse(arena, domain, answer->records[i].data, &request))
			continue;
		*ret_request = request;
		n++;
	}
	/* Two requests: which is meant cannot be told. */
	*ret_found = n == 1;
	return true;
}

/* ---- what it asks for ---- */

/* RFC 6651 section 3.3 */
static unsigned kind_of(const struct report_failed_signature *signature)
{
	struct str result = signature->result, reason = signature->reason;
	if (str_eq(result, STR("temperror")) || str_eq(reason, STR(DKIM_REASON_NO_KEY)))
		return DKIM_REPORT_DNS;
	if (str_eq(reason, STR(DKIM_REASON_EXPIRED)))
		return DKIM_REPORT_EXPIRED;
	if (str_eq(result, STR("policy")))
		return DKIM_REPORT_POLICY;
	if (str_eq(result, STR("fail")))
		return DKIM_REPORT_VERIFICATION;
	if (str_eq(result, STR("permerror")) && !str_eq(reason, STR(DKIM_REASON_REVOKED)))
		return DKIM_REPORT_SIGNATURE;
	return DKIM_REPORT_OTHER;
}

/* 0..99, the same for the same identifier wherever and whenever it is asked. */
static bool percentile(struct arena *arena, struct str id, unsigned *ret_percentile)
{
	uint8_t digest[SHA256_SIZE];
	struct sha256 *sha256 = sha256_new(arena);
	sha256_add(sha256, id);
	if (!sha256_end(sha256, digest))
		return false;
	*ret_percentile = ((unsigned)digest[0] << 16 | (unsigned)digest[1] << 8 | digest[2]) % 100;
	return true;
}

bool dkim_report_wanted(struct arena *arena, const struct dkim_report_request *request,
	const struct report_failed_signature *signature, struct str record_id)
{
	unsigned at;
	return signature->report_requested && (request->kinds & kind_of(signature)) != 0 &&
	       percentile(arena, record_id, &at) && at < request->percent;
}
