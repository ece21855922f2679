/*
 * dkim-milter's KeyList: lines PATTERN:DOMAIN:/path/to/SELECTOR, read as a KeyTable and a SigningTable of patterns.
 */
#ifndef TRIMILTER_CONFIG_KEYLIST_H
#define TRIMILTER_CONFIG_KEYLIST_H

#include "tables/dataset.h"

/**
 * @lines  of the file, whole lines as keys
 * Appends to both tables; strings in @arena. The selector is the last part of the path; where there is no such file,
 * the key is looked for behind ".pem" and ".private". Mistakes go to @diag.
 */
void keylist_read(struct arena *arena, const struct dataset *lines, struct dataset *ret_keys, struct dataset *ret_authors,
	struct diag *diag);

#endif
