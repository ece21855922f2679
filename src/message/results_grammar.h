/*
 * The kinds of value in an Authentication-Results field, for its writer and its parser. Pure.
 */
#ifndef TRIMILTER_MESSAGE_RESULTS_GRAMMAR_H
#define TRIMILTER_MESSAGE_RESULTS_GRAMMAR_H

#include "base/str.h"

/** token, RFC 2045 section 5.1 */
bool results_is_token(struct str s);
/** domain-name: at least two labels of letters, digits, and hyphens within; 8-bit bytes are letters. RFC 6376
 * section 3.5 */
bool results_is_domain_name(struct str s);
/** [ local-part ] "@" domain-name, where the local part is a dot-atom. RFC 8601 section 2.2 */
bool results_is_plain_address(struct str s);

#endif
