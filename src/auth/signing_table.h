/*
 * Which rows of a SigningTable match an author. Pure.
 *
 * file:, csl: and lists are asked in opendkim.conf(5)'s order: user@host, host, user@.domain for each parent,
 * .domain for each parent, user@*, *. refile: rows are patterns, and the first in file order comes first; the usual
 * ones (*@domain, *@*.domain, *) are found by hash, only the odd rest is walked.
 */
#ifndef TRIMILTER_AUTH_SIGNING_TABLE_H
#define TRIMILTER_AUTH_SIGNING_TABLE_H

#include "message/address.h"
#include "tables/dataset.h"

struct signing_row {
	size_t index;             /* in the table, 0 first */
	struct str key;           /* as written, lower case */
	void *value;              /* the caller's */
	struct signing_row *next; /* of the same key, in table order */
};

struct signing_table;

/** An empty table, in @arena. @idle  for warnings: what a row comes to that matches nothing, "the row has no effect" */
struct signing_table *signing_table_new(struct arena *arena, enum dataset_kind kind, const char *idle);

/** Add the next row. A key that can never match is a warning that names the remedy. */
void signing_table_add(
	struct signing_table *table, struct str key, void *value, struct diag_place place, struct diag *diag);

/**
 * @all          every matching row, else the first alone
 * *ret_rows     in @arena, in the order in which they apply
 */
size_t signing_table_match(const struct signing_table *table, struct arena *arena, const struct address *author,
	bool all, const struct signing_row ***ret_rows);

#endif
