/*
 * The parser reads the input; then the input's pieces are written as results, which must read back as they
 * were written, in number, method and property.
 */
#include <stdlib.h>

#include "message/results.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_round_trip(struct arena *arena, struct str a, struct str b)
{
	const struct result results[] = {
		{.method = "spf",
			.value = "fail",
			.reason = a,
			.comment = b,
			.properties = {{"smtp", "mailfrom", a}, {"smtp", "helo", b}},
			.n_properties = 2},
		{.method = "dkim",
			.value = "pass",
			.comment = a,
			.properties = {{"header", "i", b}},
			.n_properties = 1},
	};
	struct buf out = buf_in(arena);
	results_write(&out, STR("mx.example"), results, 2, "\n");
	struct results_read read;
	results_parse(arena, buf_str(&out), &read);
	check(read.error == NULL && read.n == 2 && str_eq(read.authserv_id, STR("mx.example")));
	check(str_eq(read.results[0].method, STR("spf")) && str_eq(read.results[0].value, STR("fail")));
	check(str_eq(read.results[1].method, STR("dkim")) && str_eq(read.results[1].value, STR("pass")));
	const size_t max = 400; /* longer values are left out */
	check(read.results[0].n_properties == (size_t)(a.n > 0 && a.n <= max) + (b.n > 0 && b.n <= max));
	check(read.results[1].n_properties == (b.n > 0 && b.n <= max));
	for (struct str rest = buf_str(&out), line; str_cut(&rest, '\n', &line);)
		check(line.n < 998);
	const struct str id = STR("mx.example");
	check(results_claims(buf_str(&out), &id, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct str value = str_from((const char *)data, size);
	struct results_read read;
	results_parse(arena, value, &read);
	/* What a strict reader takes for an id's field, the broad search must find. */
	if (read.error == NULL) {
		struct str id = arena_dup_lower(arena, read.authserv_id);
		bool is_name = id.n > 0;
		for (size_t i = 0; i < id.n; i++)
			is_name = is_name && (str_is_alpha(id.p[i]) || str_is_digit(id.p[i]) || id.p[i] == '-');
		check(!is_name || results_claims(value, &id, 1));
	}
	check_round_trip(arena, str_head(value, size / 2), str_skip(value, size / 2));
	arena_free(arena);
	return 0;
}
