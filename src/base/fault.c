#include "base/fault.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"

/* ---- the rule ---- */

static void tell_one(struct fault *fault, fault_tell *tell, void *context)
{
	uint64_t times = fault->waiting;
	fault->waiting = 0;
	tell(context, fault->level, fault->text, times);
}

/* The one of that cause, or a place for it: the one that was told longest ago goes. */
static struct fault *place_of(struct faults *faults, uint64_t cause)
{
	struct fault *place = &faults->list[0];
	for (size_t i = 0; i < FAULT_CAUSES; i++) {
		struct fault *fault = &faults->list[i];
		if (fault->cause == cause)
			return fault;
		if (place->cause != 0 && (fault->cause == 0 || fault->told_ms < place->told_ms))
			place = fault;
	}
	return place;
}

void faults_add(struct faults *faults, int64_t now_ms, enum log_level level, uint64_t cause, const char *text,
	fault_tell *tell, void *context)
{
	struct fault *fault = place_of(faults, cause);
	bool is_new = fault->cause != cause;
	if (is_new && fault->waiting > 0)
		tell_one(fault, tell, context);
	fault->cause = cause;
	fault->level = level;
	fault->waiting++;
	snprintf(fault->text, sizeof(fault->text), "%s", text);
	if (!is_new && now_ms - fault->told_ms < FAULT_AGAIN_MS)
		return;
	fault->told_ms = now_ms;
	tell_one(fault, tell, context);
}

void faults_rest(struct faults *faults, int64_t now_ms, fault_tell *tell, void *context)
{
	for (size_t i = 0; i < FAULT_CAUSES; i++) {
		struct fault *fault = &faults->list[i];
		if (fault->waiting == 0 || now_ms - fault->told_ms < FAULT_AGAIN_MS)
			continue;
		fault->told_ms = now_ms;
		tell_one(fault, tell, context);
	}
}

/* ---- the log ---- */

static struct {
	pthread_mutex_t lock;
	struct faults faults;
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void write_line(void *context, enum log_level level, const char *text, uint64_t times)
{
	char count[64] = "";
	(void)context;
	if (times > 1)
		snprintf(count, sizeof(count), " (%" PRIu64 " times since the last such line)", times);
	switch (level) {
	case LOG_LEVEL_ERROR:
		log_error("%s%s", text, count);
		break;
	case LOG_LEVEL_WARNING:
		log_warning("%s%s", text, count);
		break;
	case LOG_LEVEL_INFO:
		log_info("%s%s", text, count);
		break;
	case LOG_LEVEL_DEBUG:
		log_debug("%s%s", text, count);
		break;
	}
}

void fault_log(enum log_level level, struct str cause, const char *format, ...)
{
	static const struct hash_key any = {{0, 0}};
	uint64_t number = hash_bytes(&any, (uintptr_t)format, cause) | 1;
	char text[FAULT_TEXT_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pthread_mutex_lock(&process.lock);
	faults_add(&process.faults, clock_monotonic_ms(), level, number, text, write_line, NULL);
	pthread_mutex_unlock(&process.lock);
}

void fault_log_rest(bool all)
{
	pthread_mutex_lock(&process.lock);
	faults_rest(&process.faults, all ? INT64_MAX : clock_monotonic_ms(), write_line, NULL);
	pthread_mutex_unlock(&process.lock);
}
