#include "base/err.h"

#include <sysexits.h>

const char *err_text(enum err err)
{
	switch (err) {
	case ERR_OK:
		return "no error";
	case ERR_NOMEM:
		return "out of memory";
	case ERR_IO:
		return "input/output error";
	case ERR_CONFIG:
		return "configuration error";
	case ERR_LIMIT:
		return "limit reached";
	case ERR_LIBRARY:
		return "library error";
	}
	return "unknown error";
}

int err_exit_status(enum err err)
{
	switch (err) {
	case ERR_OK:
		return EX_OK;
	case ERR_IO:
		return EX_IOERR;
	case ERR_CONFIG:
		return EX_CONFIG;
	case ERR_NOMEM:
	case ERR_LIMIT:
	case ERR_LIBRARY:
		return EX_SOFTWARE;
	}
	return EX_SOFTWARE;
}
