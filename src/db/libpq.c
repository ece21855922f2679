#include "db/libpq.h"

#include <dlfcn.h>
#include <stdio.h>

#define LIBRARY "libpq.so.5"

bool libpq_load(struct libpq *ret_libpq, char *error, size_t size)
{
	/* Never closed: it and what it brings along do not expect that. */
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		snprintf(error, size, "PostgreSQL needs the library " LIBRARY " (Debian: libpq5): %s", dlerror());
		return false;
	}
#define LIBPQ_LOAD(name)                                                                                               \
	if ((ret_libpq->name = __extension__(__typeof__(name) *) dlsym(library, #name)) == NULL) {                     \
		snprintf(error, size, LIBRARY " is too old: it has no " #name);                                        \
		return false;                                                                                          \
	}
	LIBPQ_FUNCTIONS(LIBPQ_LOAD)
#undef LIBPQ_LOAD
	return true;
}
