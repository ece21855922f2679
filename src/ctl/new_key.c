#include "ctl/new_key.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sysexits.h>

#include "ctl/common.h"

struct str key_record(struct arena *arena, const struct dkim_private_key *key, const struct record_tags *tags)
{
	struct str flags = tags->testing && tags->strict ? STR("y:s")
			   : tags->testing               ? STR("y")
			   : tags->strict                ? STR("s")
							 : STR("");
	struct str record = dkim_key_record(arena, key, flags);
	struct str head = str_head(record, (size_t)(strstr(record.p, "p=") - record.p));
	struct buf out = buf_in(arena);
	buf_add(&out, head);
	if (tags->mail_only)
		buf_add_cstr(&out, "s=email; ");
	if (tags->note != NULL)
		buf_printf(&out, "n=%s; ", tags->note);
	buf_add(&out, str_skip(record, head.n));
	return buf_str(&out);
}

bool new_key_make(struct arena *arena, enum dkim_key_type type, unsigned bits, struct str domain, struct str selector,
	const struct record_tags *tags, struct new_key *ret_key)
{
	struct dkim_private_key *key = dkim_private_key_generate(type, bits);
	if (key == NULL)
		return false;
	*ret_key = (struct new_key){
		.type = type,
		.bits = dkim_private_key_bits(key),
		.domain = domain,
		.selector = selector,
		.pem = dkim_private_key_pem(arena, key),
		.owner = arena_printf(
			arena, "%.*s._domainkey%s%.*s", STR_ARG(selector), domain.n > 0 ? "." : "", STR_ARG(domain)),
		.record = key_record(arena, key, tags),
	};
	dkim_private_key_unref(key);
	return true;
}

const char *key_type_text(enum dkim_key_type type)
{
	return type == DKIM_KEY_ED25519 ? "ed25519" : "rsa";
}

bool key_type_parse(const char *text, enum dkim_key_type *ret_type)
{
	*ret_type = strcmp(text, "ed25519") == 0 ? DKIM_KEY_ED25519 : DKIM_KEY_RSA;
	return *ret_type == DKIM_KEY_ED25519 || strcmp(text, "rsa") == 0;
}

/* A string of a TXT record has at most 255 bytes, RFC 1035 section 3.3; '"' and '\' need a '\'. */
void zone_strings_add(struct buf *out, struct str record)
{
	buf_add_char(out, '(');
	while (record.n > 0) {
		struct str part = str_head(record, 250);
		record = str_skip(record, part.n);
		buf_add_cstr(out, " \"");
		for (size_t i = 0; i < part.n; i++) {
			if (part.p[i] == '"' || part.p[i] == '\\')
				buf_add_char(out, '\\');
			buf_add_char(out, part.p[i]);
		}
		buf_add_char(out, '"');
	}
	buf_add_cstr(out, " )");
}

void zone_line_add(struct buf *out, struct str name, struct str record)
{
	buf_printf(out, "%.*s IN TXT ", STR_ARG(name));
	zone_strings_add(out, record);
	buf_add_char(out, '\n');
}

bool key_rights(struct str user, struct file_rights *ret_rights)
{
	char name[128];
	struct str rest = user, word;
	*ret_rights = (struct file_rights){(uid_t)-1, (gid_t)-1, 0600};
	if (user.n == 0)
		return true;
	str_cut(&rest, ':', &word);
	snprintf(name, sizeof(name), "%.*s", STR_ARG(word));
	uint64_t number;
	const struct passwd *entry = getpwnam(name);
	if (entry == NULL && str_to_u64(word, UINT32_MAX - 1, &number))
		entry = getpwuid((uid_t)number);
	if (entry == NULL)
		return false;
	ret_rights->uid = entry->pw_uid;
	ret_rights->gid = entry->pw_gid;
	if (rest.p == NULL)
		return true;
	snprintf(name, sizeof(name), "%.*s", STR_ARG(rest));
	const struct group *group = getgrnam(name);
	if (group == NULL && !str_to_u64(rest, UINT32_MAX - 1, &number))
		return false;
	ret_rights->gid = group != NULL ? group->gr_gid : (gid_t)number;
	return true;
}

/* ---- options ---- */

int new_key_bits(const char *verb, const char *text, unsigned *ret_bits)
{
	uint64_t bits;
	if (!str_to_u64(str_of(text), RSA_BITS_MAX, &bits) || bits < RSA_BITS_MIN)
		return ctl_usage_error(verb, "-b: %s is not within 1024 to 4096", text);
	*ret_bits = (unsigned)bits;
	return EX_OK;
}
