/*
 * Content-Type's parameters, and a multipart's parts.
 */
#include "test.h"

#include "base/buf.h"
#include "report/mime.h"

static const struct {
	const char *value, *type, *boundary;
} values[] = {
	{"", "", ""},
	{"text/plain", "text/plain", ""},
	{"multipart/mixed; boundary=abc", "multipart/mixed", "abc"},
	{" Multipart/Mixed ; BOUNDARY = \"a b;c\" ", "Multipart/Mixed", "a b;c"},
	{"multipart/report; report-type=delivery-status;\r\n\tboundary=\"=_x\"; charset=utf-8", "multipart/report",
		"=_x"},
	{"multipart/mixed; flag; boundary=abc", "multipart/mixed", "abc"},
	{"multipart/mixed; boundary=abc (a comment)", "multipart/mixed", "abc"},
	{"multipart/mixed; x=\"; boundary=no\"; boundary=yes", "multipart/mixed", "yes"},
	{"multipart/mixed; x=\"\\\"; boundary=no\"; boundary=yes", "multipart/mixed", "yes"},
	{"multipart/mixed; xboundary=no; boundary-x=no", "multipart/mixed", ""},
	{"multipart/mixed; boundary=\"not closed", "multipart/mixed", "not closed"},
	{"multipart/mixed; boundary=\"", "multipart/mixed", ""},
	{"multipart/mixed; boundary=\"\"", "multipart/mixed", ""},
	{"multipart/mixed; boundary=\"\\", "multipart/mixed", "\\"},
	{"multipart/mixed; boundary=", "multipart/mixed", ""},
	{"multipart/mixed; boundary", "multipart/mixed", ""},
	{"; boundary=abc", "", "abc"},
	{";;; boundary=abc", "", "abc"},
	{"boundary=abc", "boundary=abc", ""},
};

static void parameters(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		check_str(values[i].value, mime_type(str_of(values[i].value)), values[i].type);
		check_str(values[i].value, mime_parameter(str_of(values[i].value), "boundary"), values[i].boundary);
	}
}

static const struct {
	const char *body, *parts; /* each in brackets */
} bodies[] = {
	{"", ""},
	{"no delimiter\n", ""},
	{"--b\none\n--b\ntwo\n--b--\nepilogue\n", "[one\n][two\n]"},
	{"preamble\r\n--b\r\none\r\n--b--\r\n", "[one\r\n]"},
	{"--b  \none\n--b--", "[one\n]"},
	{"--b\n--b\none\n--b--", "[][one\n]"},
	{"--b\nnot --b here\n--b--", "[not --b here\n]"},
	{"--b\none\n--b\nno end", "[one\n][no end]"},
	{"--b\none\n--b", "[one\n][]"},
	{"--b", "[]"},
	{"--b--\n", ""},
	{"x--b\n", ""},
	/* RFC 2046 section 5.1.1: the boundary need only begin the line. */
	{"--b\none\n--bb\ntwo\n--b--\n", "[one\n][two\n]"},
};

static void parts_of_a_multipart(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		struct arena *arena = arena_new(0);
		struct buf shown = buf_in(arena);
		struct mime_parts parts = mime_parts_of(arena, str_of(bodies[i].body), STR("b"));
		for (struct str part; mime_next_part(&parts, &part);)
			buf_printf(&shown, "[%.*s]", STR_ARG(part));
		check_str(bodies[i].body, buf_str(&shown), bodies[i].parts);
		arena_free(arena);
	}
}

static void without_a_boundary_there_are_none(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct str part;
	struct mime_parts parts = mime_parts_of(arena, STR("--\none\n--\n"), STR(""));
	assert_false(mime_next_part(&parts, &part));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters),
		cmocka_unit_test(parts_of_a_multipart),
		cmocka_unit_test(without_a_boundary_there_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
