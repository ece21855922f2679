#include "dns/packet.h"

#include <stdlib.h>

#define HEADER_SIZE 12
#define WIRE_MAX 255 /* bytes of a name, RFC 1035 section 2.3.4 */
#define CHAIN_MAX 16 /* CNAMEs; resolvers give up at about ten, so longer is no honest answer */

#define CLASS_IN 1
#define TYPE_CNAME 5
#define TYPE_SOA 6

#define RCODE_NOERROR 0
#define RCODE_NXDOMAIN 3

struct packet {
	const uint8_t *p;
	size_t n;
};

/* A name in wire form, uncompressed and lower case: compared byte by byte. */
struct name {
	size_t n;
	uint8_t wire[WIRE_MAX];
};

struct rr {
	struct name owner;
	unsigned type, class;
	uint32_t ttl;
	size_t data, n_data; /* offset in the packet, length */
	size_t next;         /* offset of what follows */
};

/* Where a section starts and how many records it has. */
struct section {
	size_t offset;
	unsigned n;
};

static unsigned read_u16(const struct packet *packet, size_t at)
{
	return (unsigned)packet->p[at] << 8 | packet->p[at + 1];
}

static uint32_t read_u32(const struct packet *packet, size_t at)
{
	return (uint32_t)read_u16(packet, at) << 16 | read_u16(packet, at + 2);
}

/*
 * Read the name at *at, which then stands behind it. A pointer must lead to
 * before the run of labels that it ends, so each jump goes further back and
 * the walk ends; the length bound ends it sooner.
 */
static bool read_name(const struct packet *packet, size_t *at, struct name *ret_name)
{
	size_t i = *at, run = *at;
	bool jumped = false;
	ret_name->n = 0;
	for (;;) {
		if (i >= packet->n)
			return false;
		unsigned length = packet->p[i];
		if (length >= 0xc0) {
			if (i + 1 >= packet->n)
				return false;
			size_t target = read_u16(packet, i) & 0x3fff;
			if (target >= run)
				return false;
			if (!jumped)
				*at = i + 2;
			jumped = true;
			i = run = target;
			continue;
		}
		if (length > DOMAIN_LABEL_MAX || length >= packet->n - i || ret_name->n + length + 1 > WIRE_MAX)
			return false;
		ret_name->wire[ret_name->n++] = (uint8_t)length;
		for (unsigned k = 1; k <= length; k++)
			ret_name->wire[ret_name->n++] = (uint8_t)str_lower_char((char)packet->p[i + k]);
		i += length + 1;
		if (length == 0)
			break;
	}
	if (!jumped)
		*at = i;
	return true;
}

static bool name_eq(const struct name *a, const struct name *b)
{
	return a->n == b->n && memcmp(a->wire, b->wire, a->n) == 0;
}

static bool name_from_text(struct str text, struct name *ret_name)
{
	if (!domain_is_askable(text))
		return false;
	ret_name->n = 0;
	for (struct str rest = text, label; str_cut(&rest, '.', &label);) {
		ret_name->wire[ret_name->n++] = (uint8_t)label.n;
		for (size_t i = 0; i < label.n; i++)
			ret_name->wire[ret_name->n++] = (uint8_t)str_lower_char(label.p[i]);
	}
	ret_name->wire[ret_name->n++] = 0;
	return true;
}

/* The form that base/answer.h promises. @to: NULL to measure only. Returns its length. */
static size_t name_to_text(const struct name *name, char *to)
{
	size_t n = 0;
	for (size_t i = 0; name->wire[i] != 0; i += name->wire[i] + 1u) {
		if (i > 0) {
			if (to != NULL)
				to[n] = '.';
			n++;
		}
		for (size_t k = 1; k <= name->wire[i]; k++) {
			char c = (char)name->wire[i + k];
			bool escaped = c == '.' || c == '\\';
			if (to != NULL && escaped)
				memcpy(to + n, c == '.' ? "\\046" : "\\092", 4);
			else if (to != NULL)
				to[n] = c;
			n += escaped ? 4 : 1;
		}
	}
	return n;
}

static bool read_rr(const struct packet *packet, size_t at, struct rr *ret_rr)
{
	if (!read_name(packet, &at, &ret_rr->owner) || packet->n - at < 10)
		return false;
	ret_rr->type = read_u16(packet, at);
	ret_rr->class = read_u16(packet, at + 2);
	ret_rr->ttl = read_u32(packet, at + 4);
	/* RFC 2181 section 8: a TTL with the topmost bit set is zero. */
	if (ret_rr->ttl > INT32_MAX)
		ret_rr->ttl = 0;
	ret_rr->n_data = read_u16(packet, at + 8);
	ret_rr->data = at + 10;
	ret_rr->next = ret_rr->data + ret_rr->n_data;
	return ret_rr->n_data <= packet->n - ret_rr->data;
}

/* Every record of the section can be read; *at then stands behind it. */
static bool section_is_sound(const struct packet *packet, const struct section *section, size_t *at)
{
	struct rr rr;
	*at = section->offset;
	for (unsigned i = 0; i < section->n; i++) {
		if (!read_rr(packet, *at, &rr))
			return false;
		*at = rr.next;
	}
	return true;
}

/* The character strings of RFC 1035 section 3.3.14, joined. */
static bool read_txt(const struct packet *packet, const struct rr *rr, char *to, size_t *ret_n)
{
	size_t n = 0;
	for (size_t i = rr->data; i < rr->next;) {
		size_t length = packet->p[i++];
		if (length > rr->next - i)
			return false;
		if (to != NULL)
			memcpy(to + n, packet->p + i, length);
		n += length;
		i += length;
	}
	*ret_n = n;
	return true;
}

static bool read_name_data(const struct packet *packet, const struct rr *rr, size_t skip, struct name *ret_name)
{
	size_t at = rr->data + skip;
	return rr->n_data > skip && read_name(packet, &at, ret_name) && at == rr->next;
}

/*
 * The record's data as base/answer.h has it. Called twice: with @to NULL to measure, then to write.
 * False: not of the form that its type has.
 */
static bool read_data(const struct packet *packet, const struct rr *rr, enum dns_type type, char *to, size_t *ret_n)
{
	struct name name;
	switch (type) {
	case DNS_TXT:
		return read_txt(packet, rr, to, ret_n);
	case DNS_A:
	case DNS_AAAA:
		if (rr->n_data != (type == DNS_A ? 4 : 16))
			return false;
		if (to != NULL)
			memcpy(to, packet->p + rr->data, rr->n_data);
		*ret_n = rr->n_data;
		return true;
	case DNS_MX:
	case DNS_PTR:
		if (!read_name_data(packet, rr, type == DNS_MX ? 2 : 0, &name))
			return false;
		*ret_n = name_to_text(&name, to);
		return true;
	}
	return false;
}

static bool is_of(const struct rr *rr, const struct name *owner, unsigned type)
{
	return rr->class == CLASS_IN && rr->type == type && name_eq(&rr->owner, owner);
}

/* The first record of @owner and @type in a sound section. */
static bool find_rr(const struct packet *packet, const struct section *section, const struct name *owner, unsigned type,
	struct rr *ret_rr)
{
	size_t at = section->offset;
	for (unsigned i = 0; i < section->n; i++) {
		if (!read_rr(packet, at, ret_rr))
			return false;
		if (is_of(ret_rr, owner, type))
			return true;
		at = ret_rr->next;
	}
	return false;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static struct dns_answer *failed(const char *why)
{
	struct dns_answer *answer = dns_answer_new(DNS_FAILED, NULL, 0);
	if (answer != NULL)
		answer->why = why;
	return answer;
}

/* All records of @owner and @type, in the packet's order. */
static struct dns_answer *collect(const struct packet *packet, const struct section *section, const struct name *owner,
	enum dns_type type, uint32_t ttl)
{
	struct rr rr;
	size_t n = 0, bytes = 0, at = section->offset;
	for (unsigned i = 0; i < section->n && read_rr(packet, at, &rr); i++, at = rr.next) {
		size_t length;
		if (!is_of(&rr, owner, type))
			continue;
		if (!read_data(packet, &rr, type, NULL, &length))
			return failed("malformed answer");
		ttl = min_u32(ttl, rr.ttl);
		bytes += length;
		n++;
	}
	struct dns_record *records = calloc(1, n * sizeof(*records) + bytes);
	if (records == NULL)
		return NULL;
	char *data = (char *)(records + n);
	at = section->offset;
	size_t n_read = 0;
	for (unsigned i = 0; i < section->n && read_rr(packet, at, &rr); i++, at = rr.next) {
		size_t length;
		if (!is_of(&rr, owner, type) || !read_data(packet, &rr, type, data, &length))
			continue;
		uint16_t preference = type == DNS_MX ? (uint16_t)read_u16(packet, rr.data) : 0;
		records[n_read++] = (struct dns_record){str_from(data, length), preference};
		data += length;
	}
	struct dns_answer *answer = dns_answer_new(DNS_DATA, records, n_read);
	free(records);
	if (answer != NULL)
		answer->ttl = ttl;
	return answer;
}

/* How long the absence may be believed: RFC 2308 section 5. */
static uint32_t negative_ttl(const struct packet *packet, const struct section *authority)
{
	struct rr rr;
	size_t at = authority->offset;
	for (unsigned i = 0; i < authority->n && read_rr(packet, at, &rr); i++, at = rr.next) {
		struct name name;
		size_t end = rr.data;
		if (rr.type != TYPE_SOA || rr.class != CLASS_IN)
			continue;
		if (!read_name(packet, &end, &name) || !read_name(packet, &end, &name) || end + 20 != rr.next)
			return 0;
		return min_u32(rr.ttl, read_u32(packet, end + 16));
	}
	return 0;
}

static struct dns_answer *negative(enum dns_status status, uint32_t ttl)
{
	struct dns_answer *answer = dns_answer_new(status, NULL, 0);
	if (answer != NULL)
		answer->ttl = ttl;
	return answer;
}

static struct dns_answer *judge(const struct packet *packet, const struct section *section,
	const struct section *authority, const struct dns_question *question, struct name *owner)
{
	uint32_t ttl = UINT32_MAX;
	struct rr rr;
	for (int hops = 0; hops <= CHAIN_MAX; hops++) {
		if (find_rr(packet, section, owner, question->type, &rr))
			return collect(packet, section, owner, question->type, ttl);
		if (!find_rr(packet, section, owner, TYPE_CNAME, &rr)) {
			bool absent = (packet->p[3] & 0x0f) == RCODE_NXDOMAIN;
			ttl = min_u32(ttl, negative_ttl(packet, authority));
			return negative(absent ? DNS_NXDOMAIN : DNS_NODATA, ttl);
		}
		ttl = min_u32(ttl, rr.ttl);
		if (!read_name_data(packet, &rr, 0, owner))
			return failed("malformed answer");
	}
	return failed("CNAME chain too long");
}

struct dns_answer *packet_read(const uint8_t *bytes, size_t n, const struct dns_question *question)
{
	struct packet packet = {bytes, n};
	struct name asked, echoed;
	size_t at = HEADER_SIZE;
	/* QR must be set, the opcode QUERY, and the one question echoed (RFC 1035 section 4.1.1). */
	if (n < HEADER_SIZE || (bytes[2] & 0xf8) != 0x80 || read_u16(&packet, 4) != 1)
		return failed("malformed answer");
	if (!name_from_text(question->name, &asked) || !read_name(&packet, &at, &echoed) || n - at < 4)
		return failed("malformed answer");
	if (!name_eq(&asked, &echoed) || read_u16(&packet, at) != question->type ||
		read_u16(&packet, at + 2) != CLASS_IN)
		return failed("answer to another question");
	unsigned rcode = bytes[3] & 0x0f;
	if (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN)
		return failed(packet_rcode_text(rcode));
	if ((bytes[2] & 0x02) != 0)
		return failed("truncated answer");
	struct section section = {at + 4, read_u16(&packet, 6)}, authority = {0, read_u16(&packet, 8)};
	if (!section_is_sound(&packet, &section, &authority.offset) || !section_is_sound(&packet, &authority, &at))
		return failed("malformed answer");
	return judge(&packet, &section, &authority, question, &asked);
}

const char *packet_rcode_text(unsigned rcode)
{
	static const char *const texts[] = {[1] = "FORMERR", [2] = "SERVFAIL", [4] = "NOTIMP", [5] = "REFUSED"};
	if (rcode < sizeof(texts) / sizeof(texts[0]) && texts[rcode] != NULL)
		return texts[rcode];
	return "unexpected response code";
}
