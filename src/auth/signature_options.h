/*
 * SignatureOptions: how the signatures of some senders differ from those of all others.
 *
 * A row is PATTERN, as in SigningTable, and settings apart by white space or ';': c=HEADER/BODY, ttl=SECONDS,
 * l=yes|no, z=yes|no, r=yes|no. What it does not name is as the options for all say. The first row that matches the
 * sender decides. Immutable, any thread.
 */
#ifndef TRIMILTER_AUTH_SIGNATURE_OPTIONS_H
#define TRIMILTER_AUTH_SIGNATURE_OPTIONS_H

#include "dkim/options.h"
#include "message/address.h"
#include "tables/dataset.h"

struct signature_options;

/** @common  what holds for all. Mistakes go to @diag with what would be right. */
struct signature_options *signature_options_new(
	struct arena *arena, const struct dataset *dataset, const struct dkim_sign_options *common, struct diag *diag);

/** Borrowed from @table or @common. NULL @table: @common. @arena  scratch */
const struct dkim_sign_options *signature_options_for(const struct signature_options *table, struct arena *arena,
	const struct address *sender, const struct dkim_sign_options *common);

#endif
