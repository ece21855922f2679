/*
 * Stores for tests, on both databases (tests/db/databases.h), and records to put into them.
 */
#ifndef TRIMILTER_TESTS_REPORT_STORE_LAB_H
#define TRIMILTER_TESTS_REPORT_STORE_LAB_H

#include "../db/databases.h"

#include "report/store.h"

/* 2026-01-31 00:00 UTC */
#define LAB_DAY 1769817600

static inline struct store *lab_open(enum db_kind kind)
{
	struct store *store;
	char error[STORE_ERROR_SIZE];
	if (store_open(str_of(databases_url(kind)), &store, error) != ERR_OK)
		fail_msg("%s", error);
	return store;
}

static inline void lab_ok(struct store *store, enum err err)
{
	if (err != ERR_OK)
		fail_msg("%s", store_error(store));
}

/** A message of @domain from @ip; all else is the same. */
static inline struct report_record lab_record(const char *domain, const char *ip)
{
	return (struct report_record){
		.id = STR("host.1.1"),
		.time = LAB_DAY + 7,
		.reporter = STR("mx.example"),
		.queue_id = STR("4ABC"),
		.policy = {str_of(domain), STR("v=DMARC1; p=none; rua=mailto:d@example.com"), STR("treewalk")},
		.row =
			{
				.source_ip = str_of(ip),
				.disposition = STR("none"),
				.header_from = str_of(domain),
				.envelope_from = STR("bounce.example.net"),
				.spf_domain = STR("bounce.example.net"),
				.spf_result = STR("pass"),
			},
	};
}

static inline void lab_count(struct store *store, const char *domain, const char *ip)
{
	struct report_record record = lab_record(domain, ip);
	lab_ok(store, store_count(store, &record, LAB_DAY));
}

/** The first batch of those that store_batches() gives; fails where there is none. */
static inline struct store_batch lab_batch(struct store *store, struct arena *arena, int64_t before)
{
	const struct store_batch *batches;
	size_t n;
	lab_ok(store, store_batches(store, arena, before, false, 0, 100, &batches, &n));
	assert_true(n > 0);
	return batches[0];
}

#endif
