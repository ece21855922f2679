/*
 * What a report comes wrapped in: gzip, zip, a mail message. Pure.
 */
#ifndef TRIMILTER_REPORT_AGGREGATE_UNPACK_H
#define TRIMILTER_REPORT_AGGREGATE_UNPACK_H

#include "report/aggregate_gzip.h"

/**
 * Find the document in @data, which *ret_reader borrows: XML as it is, gzip, a zip file with one document, gzip within
 * one of these, or the first of them that is attached to a mail message. NULL, or what is wrong; static.
 */
const char *aggregate_unpack(struct arena *arena, struct str data, struct gzip_reader **ret_reader);

/** The same for a mail message alone. */
const char *aggregate_unpack_mail(struct arena *arena, struct str message, struct gzip_reader **ret_reader);

/** The three forms in which a document may be attached. NULL and *ret_reader NULL: it is none of them. */
const char *aggregate_unpack_file(struct arena *arena, struct str data, struct gzip_reader **ret_reader);

#endif
