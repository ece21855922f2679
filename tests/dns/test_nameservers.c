#include "dns/nameservers.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "dns/anchors.h"

static void test_words(void **state)
{
	static const struct {
		const char *word, *text; /* NULL: refused */
	} rows[] = {
		{"192.0.2.1", "192.0.2.1@53"},
		{"192.0.2.1@5353", "192.0.2.1@5353"},
		{"2001:db8::1", "2001:db8::1@53"},
		{"2001:DB8::1@65535", "2001:db8::1@65535"},
		{"fe80::1%7", "fe80::1%7@53"},
		{"fe80::1%lo@54", "fe80::1%1@54"},
		{"192.0.2.1@0", NULL},
		{"192.0.2.1@65536", NULL},
		{"192.0.2.1@", NULL},
		{"192.0.2.1:53", NULL},
		{"192.0.2.1@53@53", NULL},
		{"fe80::1%", NULL},
		{"fe80::1%a-name-that-is-longer-than-any-interface-has-and-than-any-that-there-is", NULL},
		{"fe80::1%nosuchinterface", NULL},
		{"ns.example.com", NULL},
		{"", NULL},
		{"@53", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nameservers servers = {0};
		assert_int_equal(nameservers_add(&servers, str_of(rows[i].word)), rows[i].text != NULL);
		if (rows[i].text != NULL)
			assert_string_equal(servers.text[0], rows[i].text);
	}
}

static void test_too_many(void **state)
{
	(void)state;
	struct nameservers servers = {0};
	for (size_t i = 0; i < NAMESERVERS_MAX; i++)
		assert_true(nameservers_add(&servers, STR("192.0.2.1")));
	assert_false(nameservers_add(&servers, STR("192.0.2.1")));
}

static void test_resolv_conf(void **state)
{
	static const struct {
		const char *text, *first, *second; /* NULL: no more */
	} rows[] = {
		{"nameserver 192.0.2.1\n", "192.0.2.1@53", NULL},
		{"nameserver 192.0.2.1", "192.0.2.1@53", NULL},
		{"# by hand\nsearch example.com\nnameserver\t192.0.2.1 \noptions edns0\nnameserver 2001:db8::1\n",
			"192.0.2.1@53", "2001:db8::1@53"},
		{"nameserver 192.0.2.1\r\n", "192.0.2.1@53", NULL},
		{"nameserver 192.0.2.1 # the router\n", "192.0.2.1@53", NULL},
		{"nameserver 192.0.2.1@5353\n", "192.0.2.1@5353", NULL},
		/* The C library passes over all of these. */
		{"#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", "127.0.0.1@53", NULL},
		{" nameserver 192.0.2.1\n", "127.0.0.1@53", NULL},
		{"nameservers 192.0.2.1\n", "127.0.0.1@53", NULL},
		{"nameserver ns.example.com\nnameserver 192.0.2.2\n", "192.0.2.2@53", NULL},
		{"nameserver 192.0.2.1:5353\n", "127.0.0.1@53", NULL},
		{"nameserver\n", "127.0.0.1@53", NULL},
		{"", "127.0.0.1@53", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nameservers servers;
		nameservers_parse_resolv_conf(str_of(rows[i].text), &servers);
		assert_int_equal(servers.n, rows[i].second != NULL ? 2 : 1);
		assert_string_equal(servers.text[0], rows[i].first);
		if (rows[i].second != NULL)
			assert_string_equal(servers.text[1], rows[i].second);
	}
}

static void put(const char *path, const char *text, time_t modified)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	struct timespec times[2] = {{modified, 5}, {modified, 5}};
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* What makes a file another one: its bytes' number, its time, or that it was put in place of the former. */
static void test_file(void **state)
{
	(void)state;
	char path[] = "/tmp/trimilter-nameservers-XXXXXX", other[sizeof(path) + 2];
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	snprintf(other, sizeof(other), "%s.2", path);
	struct nameservers servers;
	put(path, "nameserver 192.0.2.7\n", 1000);
	assert_int_equal(nameservers_read(path, &servers), ERR_OK);
	assert_string_equal(servers.text[0], "192.0.2.7@53");
	struct file_stamp first = file_stamp_of(path), stamp = file_stamp_of(path);
	assert_true(file_stamp_eq(&first, &stamp));
	stamp.modified.tv_nsec++;
	assert_false(file_stamp_eq(&first, &stamp));
	put(path, "nameserver 192.0.2.7\n", 2000);
	stamp = file_stamp_of(path);
	assert_false(file_stamp_eq(&first, &stamp));
	put(path, "nameserver 192.0.2.77\n", 1000);
	stamp = file_stamp_of(path);
	assert_false(file_stamp_eq(&first, &stamp));
	put(other, "nameserver 192.0.2.7\n", 1000);
	assert_int_equal(rename(other, path), 0);
	stamp = file_stamp_of(path);
	assert_false(file_stamp_eq(&first, &stamp));
	/* No more of it is read than there is room for. */
	FILE *file = fopen(path, "w");
	for (int i = 0; i < 20000; i++)
		fputs("# comment\n", file);
	fputs("nameserver 192.0.2.7\n", file);
	fclose(file);
	assert_int_equal(nameservers_read(path, &servers), ERR_OK);
	assert_string_equal(servers.text[0], "127.0.0.1@53");
	unlink(path);
	assert_int_equal(nameservers_read(path, &servers), ERR_IO);
	stamp = file_stamp_of(path);
	assert_int_equal(stamp.inode, 0);
}

static void test_anchors(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct anchors anchors = anchors_split(arena, STR("; autotrust trust anchor file\n"
							  ";;id: . 1\n"
							  ".\t86400\tIN\tDNSKEY\t257 3 8 AwEA ;{id = 20326}\n"
							  "\n"
							  "example. IN DS (\r\n"
							  "  34259 15 2 ; digest follows\r\n"
							  "  dc2b )\r\n"
							  "last. DS 1 2 3 aa"));
	assert_int_equal(anchors.n, 3);
	assert_string_equal(anchors.items[0].text, ". 86400 IN DNSKEY 257 3 8 AwEA");
	assert_int_equal(anchors.items[0].line, 3);
	assert_string_equal(anchors.items[2].text, "last. DS 1 2 3 aa");
	assert_int_equal(anchors.items[1].line, 5);
	assert_non_null(strstr(anchors.items[1].text, "34259 15 2"));
	assert_non_null(strstr(anchors.items[1].text, "dc2b"));
	assert_null(strchr(anchors.items[1].text, '('));
	assert_int_equal(anchors_split(arena, STR("; nothing\n\n")).n, 0);
	anchors = anchors_split(arena, str_from(". DS 1 2 3 aa\0bb\n", 17));
	assert_string_equal(anchors.items[0].text, ". DS 1 2 3 aa?bb");
	arena_free(arena);
}

static void test_anchor_files(void **state)
{
	(void)state;
	char path[] = "/tmp/trimilter-anchors-XXXXXX";
	struct arena *arena = arena_new(0);
	struct anchors anchors;
	close(mkstemp(path));
	put(path, ". DS 1 2 3 aa\n", 1000);
	assert_int_equal(anchors_read(arena, path, &anchors), ERR_OK);
	assert_int_equal(anchors.n, 1);
	unlink(path);
	assert_int_equal(anchors_read(arena, path, &anchors), ERR_IO);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(anchors_read(arena, "/tmp", &anchors), ERR_IO);
	assert_int_equal(errno, EISDIR);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_anchors),
		cmocka_unit_test(test_anchor_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
