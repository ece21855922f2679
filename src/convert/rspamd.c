/*
 * rspamd's dkim_signing module: which key signs whose mail, as rows of a KeyTable and a SigningTable.
 *
 * rspamd looks for the key of a domain in "domain", then in its maps, then at the path that it makes of $domain and
 * $selector. A message whose key file is missing there leaves unsigned; with us it would wait (On-SignatureError).
 * So the files that are there become a row each.
 */
#include <glob.h>
#include <unistd.h>

#include "base/domain.h"
#include "config/values.h"
#include "convert/collect.h"
#include "convert/ucl.h"

#define PATH_DEFAULT "/var/lib/rspamd/dkim/$domain.$selector.key"

struct rspamd {
	struct conversion *conversion;
	const char *file;
	const struct ucl_node *settings;
	struct dataset selectors, paths; /* the maps */
	bool esld;                       /* a domain's key signs all below it */
};

static struct diag_place place_of(const struct rspamd *rspamd, const struct ucl_node *node)
{
	return (struct diag_place){rspamd->file, node != NULL ? node->line : 0};
}

/* The text of a setting, of the default where there is none. */
static struct str text_of(const struct rspamd *rspamd, const char *name, const char *otherwise)
{
	const struct ucl_node *node = ucl_find(rspamd->settings, name);
	return node != NULL && node->kind == UCL_TEXT ? node->text : str_of(otherwise);
}

static bool is_true(const struct rspamd *rspamd, const char *name, const char *otherwise)
{
	struct str text = text_of(rspamd, name, otherwise);
	bool value = false;
	option_parse_bool(text, &value);
	return value;
}

/* ---- what has no counterpart ---- */

static const struct setting {
	const char *name;
	const char *fine; /* the values for which nothing needs to be said, a blank between; "*": any */
	const char *help; /* NULL: it is converted */
	bool essential;
} settings[] = {
	{"enabled", "", NULL, false},
	{"domain", "", NULL, false},
	{"path", "", NULL, false},
	{"path_map", "", NULL, false},
	{"selector", "", NULL, false},
	{"selector_map", "", NULL, false},
	{"key_table", "", NULL, false},
	{"signing_table", "", NULL, false},
	{"sign_local", "", NULL, false},
	{"sign_networks", "", NULL, false},
	{"sign_headers", "", NULL, false},
	{"try_fallback", "", NULL, false},
	{"use_esld", "", NULL, false},
	{"allow_username_mismatch", "", NULL, false},
	{"sign_authenticated", "true",
		"mail of authenticated clients is always signed: let them come through a daemon of the MTA "
		"that SignDaemons does not name",
		true},
	{"auth_only", "true", "mail of authenticated clients is always signed", true},
	{"sign_inbound", "false", "mail from outside is not signed: see ResignMailTo", true},
	{"use_domain", "header",
		"the author's domain (From) alone decides: write rows of SigningTable for what is to be otherwise",
		true},
	{"use_domain_sign_local", "header", "the author's domain (From) alone decides", true},
	{"use_domain_sign_networks", "header", "the author's domain (From) alone decides", true},
	{"use_domain_sign_inbound", "*", "", false},
	{"use_domain_custom", "", "scripts are not run: say it with rows of SigningTable", true},
	{"sign_condition", "", "scripts are not run: say it with rows of SigningTable", true},
	{"use_redis", "false", "keys in Redis are not read: write each to a file and give it a row in KeyTable", true},
	{"use_vault", "false", "keys in Vault are not read: write each to a file and give it a row in KeyTable", true},
	{"use_http_headers", "false", "orders in HTTP are not taken", true},
	{"allow_hdrfrom_mismatch", "true", "what MAIL FROM says does not matter: mail is signed by its From alone",
		false},
	{"allow_envfrom_empty", "*", "", false},
	{"allow_hdrfrom_multiple", "*", "", false},
	{"allow_pubkey_mismatch", "*", "", false},
	{"allow_hdrfrom_mismatch_local", "*", "", false},
	{"allow_hdrfrom_mismatch_sign_networks", "*", "", false},
	{"check_pubkey", "*", "", false},
	{"key_prefix", "*", "", false},
	{"symbol", "*", "", false},
};

static bool is_fine(const struct setting *setting, const struct ucl_node *node)
{
	bool is, wanted;
	struct str fine = str_of(setting->fine);
	if (setting->help == NULL || str_eq(fine, STR("*")))
		return true;
	if (node->kind != UCL_TEXT)
		return false;
	return str_ieq(node->text, fine) ||
	       (option_parse_bool(fine, &wanted) && option_parse_bool(node->text, &is) && is == wanted);
}

static void note_setting(const struct rspamd *rspamd, const struct ucl_node *node)
{
	struct diag *diag = rspamd->conversion->diag;
	struct diag_place place = place_of(rspamd, node);
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		if (!str_ieq(node->key, str_of(settings[i].name)))
			continue;
		if (!is_fine(&settings[i], node) && settings[i].essential)
			diag_error(diag, place, "%s %.*s: %s", settings[i].name, STR_ARG(node->text), settings[i].help);
		else if (!is_fine(&settings[i], node))
			diag_warning(
				diag, place, "%s %.*s: %s", settings[i].name, STR_ARG(node->text), settings[i].help);
		return;
	}
	diag_warning(diag, place, "%.*s is not known and not used", STR_ARG(node->key));
}

/* ---- paths and maps ---- */

/* $NAME or ${NAME}, each by @values (name, value). */
static struct str expand(struct arena *arena, struct str text, const struct str (*values)[2], size_t n)
{
	struct buf out = buf_in(arena);
	while (text.n > 0) {
		size_t i = 0, used = 0;
		for (; i < n && used == 0; i++) {
			struct str bare = arena_printf(arena, "$%.*s", STR_ARG(values[i][0]));
			struct str braced = arena_printf(arena, "${%.*s}", STR_ARG(values[i][0]));
			used = str_starts(text, bare) ? bare.n : str_starts(text, braced) ? braced.n : 0;
			if (used > 0)
				buf_add(&out, values[i][1]);
		}
		if (used == 0)
			buf_add_char(&out, text.p[0]);
		text = str_skip(text, used > 0 ? used : 1);
	}
	return buf_str(&out);
}

static struct str key_path(const struct rspamd *rspamd, struct str template, struct str domain, struct str selector)
{
	const struct str values[][2] = {
		{STR("domain"), domain},
		{STR("selector"), selector},
		{STR("DBDIR"), STR("/var/lib/rspamd")},
		{STR("LOCAL_CONFDIR"), STR("/etc/rspamd")},
		{STR("CONFDIR"), STR("/etc/rspamd")},
	};
	return expand(rspamd->conversion->arena, template, values, sizeof(values) / sizeof(*values));
}

/* The path of a map; empty, and the reason in the diag: it is none that can be read. */
static struct str map_path(const struct rspamd *rspamd, const struct ucl_node *node)
{
	struct str path = node->kind == UCL_TEXT ? key_path(rspamd, node->text, STR(""), STR("")) : STR("");
	if (str_starts(path, STR("file://")))
		path = str_skip(path, 7);
	if (path.n > 0 && path.p[0] == '/')
		return path;
	diag_error(rspamd->conversion->diag, place_of(rspamd, node),
		"%.*s: only the path of a file is read: write what it holds to one", STR_ARG(node->key));
	return STR("");
}

static void read_map(const struct rspamd *rspamd, const char *name, struct dataset *map)
{
	const struct ucl_node *node = ucl_find(rspamd->settings, name);
	struct str path = node != NULL ? map_path(rspamd, node) : STR("");
	if (path.n > 0)
		dataset_read(rspamd->conversion->arena,
			arena_printf(rspamd->conversion->arena, "file:%.*s", STR_ARG(path)), place_of(rspamd, node),
			rspamd->conversion->diag, map);
}

static const struct dataset_row *find_row(const struct dataset *map, struct str key)
{
	for (size_t i = 0; i < map->n; i++)
		if (str_ieq(map->rows[i].key, key))
			return &map->rows[i];
	return NULL;
}

/* ---- keys ---- */

static void add_domain(
	const struct rspamd *rspamd, struct str domain, struct str selector, struct str path, struct diag_place place)
{
	struct conversion *conversion = rspamd->conversion;
	struct str name = convert_key(conversion, domain, selector, key_path(rspamd, path, domain, selector), place);
	convert_author(conversion, domain, name, place);
	if (rspamd->esld)
		convert_author(conversion, arena_printf(conversion->arena, ".%.*s", STR_ARG(domain)), name, place);
}

/* One selector of a domain, completed by what is said for all. */
static void add_selector(
	const struct rspamd *rspamd, struct str domain, const struct ucl_node *node, struct diag_place place)
{
	const struct ucl_node *selector = ucl_find(node, "selector"), *path = ucl_find(node, "path");
	const struct dataset_row *mapped = find_row(&rspamd->selectors, domain), *at = find_row(&rspamd->paths, domain);
	add_domain(rspamd, domain,
		selector != NULL ? selector->text
		: mapped != NULL ? mapped->value
				 : text_of(rspamd, "selector", "dkim"),
		path != NULL ? path->text
		: at != NULL ? at->value
			     : text_of(rspamd, "path", PATH_DEFAULT),
		place);
}

static void add_section(const struct rspamd *rspamd, const struct ucl_node *section)
{
	struct diag_place place = place_of(rspamd, section);
	const struct ucl_node *selectors = ucl_find(section, "selectors");
	struct str domain;
	if (!convert_domain(rspamd->conversion, section->key, "domain", place, &domain))
		return;
	if (ucl_find(section, "selector") != NULL || ucl_find(section, "path") != NULL || selectors == NULL)
		add_selector(rspamd, domain, section, place);
	if (selectors == NULL)
		return;
	for (const struct ucl_node *node = selectors->first; node != NULL; node = node->next) {
		if (selectors->first->next != NULL)
			convert_set(rspamd->conversion, "MultipleSignatures", STR("yes"), place);
		add_selector(rspamd, domain, node, place_of(rspamd, node));
	}
}

static void add_sections(const struct rspamd *rspamd)
{
	for (const struct ucl_node *node = rspamd->settings->first; node != NULL; node = node->next)
		if (str_ieq(node->key, STR("domain")))
			for (const struct ucl_node *section = node->first; section != NULL; section = section->next)
				add_section(rspamd, section);
}

static void add_maps(const struct rspamd *rspamd)
{
	static const struct ucl_node nothing = {.kind = UCL_OBJECT};
	const struct dataset *maps[] = {&rspamd->selectors, &rspamd->paths};
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < maps[i]->n; k++) {
			const struct dataset_row *row = &maps[i]->rows[k];
			struct str domain;
			if (!convert_domain(rspamd->conversion, row->key, "domain", row->place, &domain))
				continue;
			if (find_row(&rspamd->conversion->authors, domain) == NULL)
				add_selector(rspamd, domain, &nothing, row->place);
		}
}

/* The domain in @path, which the star of @pattern stands for. */
static struct str starred(struct str pattern, struct str path)
{
	ptrdiff_t star = str_index(pattern, '*');
	size_t behind = pattern.n - (size_t)star - 1;
	return str_head(str_skip(path, (size_t)star), path.n - (size_t)star - behind);
}

static void add_files(const struct rspamd *rspamd, struct str template, struct str selector, struct diag_place place)
{
	struct conversion *conversion = rspamd->conversion;
	struct str pattern = key_path(rspamd, template, STR("*"), selector), domain;
	glob_t found = {0};
	const char *path = arena_dup(conversion->arena, pattern).p;
	if (str_index(pattern, '*') == str_rindex(pattern, '*') && glob(path, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++) {
			struct str file = str_of(found.gl_pathv[i]);
			domain = arena_dup_lower(conversion->arena, starred(pattern, file));
			if (domain_is_hostname(domain) && find_row(&conversion->authors, domain) == NULL)
				add_domain(rspamd, domain, selector, arena_dup(conversion->arena, file), place);
		}
	if (found.gl_pathc > 0)
		diag_warning(conversion->diag, place,
			"path: every key at %s has a row; a new domain needs its own (trimilterctl domain add)", path);
	else if (place.line != 0)
		diag_error(conversion->diag, place,
			"path: no key is at %s, or this user may not look: run this as root, or add rows to KeyTable",
			path);
	globfree(&found);
}

static void add_fallback(const struct rspamd *rspamd)
{
	struct conversion *conversion = rspamd->conversion;
	struct str template = text_of(rspamd, "path", PATH_DEFAULT), selector = text_of(rspamd, "selector", "dkim");
	struct diag_place place = place_of(rspamd, ucl_find(rspamd->settings, "path"));
	if (!is_true(rspamd, "try_fallback", "true"))
		return;
	if (!str_eq(key_path(rspamd, template, STR("*"), selector), key_path(rspamd, template, STR(""), selector))) {
		add_files(rspamd, template, selector, place);
		return;
	}
	struct str name =
		convert_key(conversion, STR("%"), selector, key_path(rspamd, template, STR(""), selector), place);
	convert_author(conversion, STR("*"), name, place);
	if (rspamd->esld)
		diag_warning(conversion->diag, place,
			"path: one key for every domain: mail from below a domain is signed for the name that stands "
			"in From, "
			"not for the domain above it (use_esld): give these a row each");
}

/* ---- whose mail ---- */

static void add_host(const struct rspamd *rspamd, struct str host, struct diag_place place)
{
	const struct dataset_row row = {host, STR(""), place};
	dataset_add(rspamd->conversion->arena, &rspamd->conversion->internal, &row);
}

static void add_networks(const struct rspamd *rspamd)
{
	/* local_addrs of rspamd's options.inc, and what is the host itself. */
	static const char *const local[] = {"local", "127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12",
		"192.168.0.0/16", "169.254.0.0/16", "fd00::/8", "fe80::/10"};
	const struct ucl_node *networks = ucl_find(rspamd->settings, "sign_networks");
	const struct ucl_node *sign_local = ucl_find(rspamd->settings, "sign_local");
	struct dataset map = {0};
	if (is_true(rspamd, "sign_local", "true"))
		for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
			add_host(rspamd, str_of(local[i]), place_of(rspamd, sign_local));
	if (networks != NULL && networks->kind == UCL_ARRAY)
		for (const struct ucl_node *node = networks->first; node != NULL; node = node->next)
			add_host(rspamd, node->text, place_of(rspamd, node));
	else
		read_map(rspamd, "sign_networks", &map);
	for (size_t i = 0; i < map.n; i++)
		add_host(rspamd, map.rows[i].key, map.rows[i].place);
	/* No client at all is one that cannot be, of RFC 5737. */
	if (rspamd->conversion->internal.n == 0)
		add_host(rspamd, STR("192.0.2.0/32"), place_of(rspamd, sign_local));
}

/* "(o)from:(x)sender:to": (o) is signed once more than it occurs, (x) where it occurs. */
static void set_headers(const struct rspamd *rspamd)
{
	const struct ucl_node *node = ucl_find(rspamd->settings, "sign_headers");
	struct buf names = buf_in(rspamd->conversion->arena), over = buf_in(rspamd->conversion->arena);
	if (node == NULL)
		return;
	for (struct str rest = node->text, name; str_cut(&rest, ':', &name);) {
		name = str_trim(name);
		bool is_over = str_istarts(name, STR("(o)"));
		name = str_skip(name, is_over || str_istarts(name, STR("(x)")) ? 3 : 0);
		if (name.n > 0)
			buf_printf(&names, "%s%.*s", names.n > 0 ? "," : "", STR_ARG(name));
		if (is_over && name.n > 0)
			buf_printf(&over, "%s%.*s", over.n > 0 ? "," : "", STR_ARG(name));
	}
	convert_set(rspamd->conversion, "SignHeaders", buf_str(&names), place_of(rspamd, node));
	if (over.n > 0)
		convert_set(rspamd->conversion, "OversignHeaders", buf_str(&over), place_of(rspamd, node));
}

/* By default only who is USER@DOMAIN has mail of DOMAIN signed. */
static void set_users(const struct rspamd *rspamd)
{
	struct diag_place place = place_of(rspamd, ucl_find(rspamd->settings, "allow_username_mismatch"));
	if (is_true(rspamd, "allow_username_mismatch", "false"))
		return;
	convert_set(rspamd->conversion, "UserDomains", STR("csl:*=%"), place);
	diag_warning(rspamd->conversion->diag, place,
		"allow_username_mismatch false, the default, is UserDomains csl:*=%% here: who has authenticated as "
		"user@example.com has mail of example.com signed, but not of hosts below it");
}

/* Tables of OpenDKIM, which rspamd reads as well. */
static void set_tables(const struct rspamd *rspamd)
{
	static const char *const names[][2] = {{"key_table", "KeyTable"}, {"signing_table", "SigningTable"}};
	for (size_t i = 0; i < 2; i++) {
		const struct ucl_node *node = ucl_find(rspamd->settings, names[i][0]);
		struct str path = node != NULL ? map_path(rspamd, node) : STR("");
		if (path.n > 0)
			convert_set(rspamd->conversion, names[i][1],
				arena_printf(rspamd->conversion->arena, "refile:%.*s", STR_ARG(path)),
				place_of(rspamd, node));
	}
}

/* The sections dkim_signing and arc may stand around it, as in rspamd.conf.local. */
static const struct ucl_node *signing_settings(const struct rspamd *rspamd, const struct ucl_node *root)
{
	const struct ucl_node *signing = ucl_find(root, "dkim_signing"), *arc = ucl_find(root, "arc");
	struct str path = str_of(rspamd->file);
	bool is_arc = str_eq(str_skip(path, (size_t)(str_rindex(path, '/') + 1)), STR("arc.conf"));
	if (is_arc || (arc != NULL && arc->kind == UCL_OBJECT))
		diag_warning(rspamd->conversion->diag, place_of(rspamd, is_arc ? NULL : arc),
			"ARC is neither written nor evaluated here: leave it to rspamd, behind this filter, or do "
			"without");
	if (signing != NULL && signing->kind == UCL_OBJECT)
		return signing;
	return is_arc || arc != NULL ? NULL : root;
}

void convert_rspamd(struct conversion *conversion, struct str text, const char *file)
{
	struct rspamd rspamd = {.conversion = conversion, .file = file};
	rspamd.settings = signing_settings(&rspamd, ucl_parse(conversion->arena, text, file, conversion->diag));
	if (rspamd.settings == NULL)
		return;
	for (const struct ucl_node *node = rspamd.settings->first; node != NULL; node = node->next)
		note_setting(&rspamd, node);
	if (!is_true(&rspamd, "enabled", "true")) {
		convert_set(conversion, "Mode", STR("v"), place_of(&rspamd, ucl_find(rspamd.settings, "enabled")));
		return;
	}
	rspamd.esld = is_true(&rspamd, "use_esld", "true");
	convert_set(conversion, "Canonicalization", STR("relaxed/relaxed"), (struct diag_place){file, 0});
	set_users(&rspamd);
	set_headers(&rspamd);
	add_networks(&rspamd);
	if (ucl_find(rspamd.settings, "key_table") != NULL) {
		set_tables(&rspamd);
		return;
	}
	read_map(&rspamd, "selector_map", &rspamd.selectors);
	read_map(&rspamd, "path_map", &rspamd.paths);
	add_sections(&rspamd);
	add_maps(&rspamd);
	if (!is_true(&rspamd, "use_redis", "false") && !is_true(&rspamd, "use_vault", "false"))
		add_fallback(&rspamd);
}
