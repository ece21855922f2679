/*
 * libpq, loaded when it is first needed: linked, it and the 17 libraries behind it
 * cost every process 3.4 MB of resident memory and 2 to 5 ms of its start.
 */
#ifndef TRIMILTER_DB_LIBPQ_H
#define TRIMILTER_DB_LIBPQ_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#define LIBPQ_FUNCTIONS(X)                                                                                             \
	X(PQclear)                                                                                                     \
	X(PQcmdTuples)                                                                                                 \
	X(PQconnectdbParams)                                                                                           \
	X(PQconninfoFree)                                                                                              \
	X(PQconninfoParse)                                                                                             \
	X(PQconsumeInput)                                                                                              \
	X(PQerrorMessage)                                                                                              \
	X(PQfinish)                                                                                                    \
	X(PQflush)                                                                                                     \
	X(PQfreemem)                                                                                                   \
	X(PQgetResult)                                                                                                 \
	X(PQgetisnull)                                                                                                 \
	X(PQgetlength)                                                                                                 \
	X(PQgetvalue)                                                                                                  \
	X(PQisBusy)                                                                                                    \
	X(PQnfields)                                                                                                   \
	X(PQntuples)                                                                                                   \
	X(PQparameterStatus)                                                                                           \
	X(PQresultErrorField)                                                                                          \
	X(PQresultStatus)                                                                                              \
	X(PQsendPrepare)                                                                                               \
	X(PQsendQuery)                                                                                                 \
	X(PQsendQueryParams)                                                                                           \
	X(PQsendQueryPrepared)                                                                                         \
	X(PQserverVersion)                                                                                             \
	X(PQsetNoticeProcessor)                                                                                        \
	X(PQsetnonblocking)                                                                                            \
	X(PQsocket)                                                                                                    \
	X(PQstatus)

struct libpq {
#define LIBPQ_MEMBER(name) __typeof__(name) *name;
	LIBPQ_FUNCTIONS(LIBPQ_MEMBER)
#undef LIBPQ_MEMBER
};

/** False: what is wrong, in @error. Loading it again costs nothing; it stays until the process ends. */
bool libpq_load(struct libpq *ret_libpq, char *error, size_t size);

#endif
