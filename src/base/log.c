#define SYSLOG_NAMES 1 /* the table of facility names */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_SIZE 4096

/* Set at start and at reload; a torn read between two settings costs one line its destination, no more. */
static struct {
	_Atomic(const char *) program;
	atomic_bool use_syslog;
	atomic_bool quiet_stderr;
	_Atomic(int) level;
} sink = {.level = LOG_LEVEL_INFO};

void log_open(const char *program, bool use_syslog, int facility, bool use_stderr, enum log_level level)
{
	if (use_syslog)
		openlog(program, LOG_PID | LOG_NDELAY, facility);
	atomic_store(&sink.program, program);
	atomic_store(&sink.use_syslog, use_syslog);
	atomic_store(&sink.quiet_stderr, !use_stderr);
	atomic_store(&sink.level, (int)level);
}

int log_facility(const char *name)
{
	for (const CODE *row = facilitynames; row->c_name != NULL; row++)
		if (strcmp(row->c_name, name) == 0)
			return row->c_val;
	return -1;
}

/* Replace control bytes, in place where it fits. */
static void sanitize(const char *from, char *to, size_t size)
{
	size_t n = 0;
	for (; *from != '\0' && n + 5 < size; from++) {
		unsigned char c = (unsigned char)*from;
		if (c >= 0x20 && c != 0x7f) {
			to[n++] = (char)c;
		} else {
			snprintf(to + n, 5, "\\x%02X", c);
			n += 4;
		}
	}
	to[n] = '\0';
}

__attribute__((format(printf, 2, 0))) static void log_line(enum log_level level, const char *format, va_list args)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
	if ((int)level > atomic_load(&sink.level))
		return;
	char raw[LINE_SIZE], line[LINE_SIZE];
	vsnprintf(raw, sizeof(raw), format, args);
	sanitize(raw, line, sizeof(line));
	if (atomic_load(&sink.use_syslog))
		syslog(priorities[level], "%s%s", words[level], line);
	if (!atomic_load(&sink.quiet_stderr)) {
		const char *program = atomic_load(&sink.program);
		char out[LINE_SIZE + 128];
		int n = snprintf(
			out, sizeof(out), "%s: %s%s\n", program != NULL ? program : "trimilter", words[level], line);
		/* One write, so that lines of several threads and processes do not mix. */
		if (n > 0 && write(STDERR_FILENO, out, (size_t)n) < 0)
			return;
	}
}

#define DEFINE_LOG(name, level)                                                                                        \
	void name(const char *format, ...)                                                                             \
	{                                                                                                              \
		va_list args;                                                                                          \
		va_start(args, format);                                                                                \
		log_line((level), format, args);                                                                       \
		va_end(args);                                                                                          \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
