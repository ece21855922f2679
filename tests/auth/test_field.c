/*
 * Received-SPF: RFC 7208 section 9.1, with what a client may say in it.
 */
#include "test.h"

#include "auth/field.h"

static void received_spf_is_well_formed(void **state)
{
	(void)state;
	static const struct {
		const char *client, *helo, *mail_from;
		struct spf_result spf;
		const char *wanted;
	} rows[] = {
		{"192.0.2.1", "mx.example.com", "joe@example.com",
			{.status = SPF_PASS, .mechanism = STR_INIT("ip4:192.0.2.0/24")},
			" pass\n\treceiver=mx.example.net;\n\tidentity=mailfrom;\n\tclient-ip=192.0.2.1;\n\thelo=mx."
			"example.com;"
			"\n\tenvelope-from=\"joe@example.com\";\n\tmechanism=\"ip4:192.0.2.0/24\""},
		{"2001:db8::1", "x; pass (", "",
			{.status = SPF_PERMERROR, .identity = SPF_HELO, .reason = "void look-up limit exceeded"},
			" permerror\n\treceiver=mx.example.net;\n\tidentity=helo;\n\tclient-ip=\"2001:db8::1\";"
			"\n\thelo=x??pass??;"
			"\n\tproblem=void?look-up?limit?exceeded"},
		{"192.0.2.1", "a", "\"a\r\nX: y\"@example.com", {.status = SPF_NONE, .reason = "no record"},
			" none\n\treceiver=mx.example.net;\n\tidentity=mailfrom;\n\tclient-ip=192.0.2.1;\n\thelo=a;"
			"\n\tenvelope-from=\"?a??X:?y?@example.com\""},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct auth_options options = {.authserv_id = STR("mx.example.net")};
		struct auth_findings findings = {.spf_evaluated = true, .spf = rows[i].spf};
		struct auth_envelope envelope = {.helo = str_of(rows[i].helo), .mail_from = str_of(rows[i].mail_from)};
		assert_true(ip_parse(str_of(rows[i].client), &envelope.client));
		check_str(rows[i].client, field_received_spf(arena, &options, &findings, &envelope), rows[i].wanted);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(received_spf_is_well_formed)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
