#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

__attribute__((format(printf, 4, 0))) static void add(
	struct diag *diag, enum diag_severity severity, struct diag_place place, const char *format, va_list args)
{
	char text[2048];
	vsnprintf(text, sizeof(text), format, args);
	diag->entries = arena_grow(diag->arena, diag->entries, &diag->capacity, diag->n + 1, sizeof(*diag->entries));
	struct diag_entry *entry = &diag->entries[diag->n++];
	entry->severity = severity;
	if (place.file == NULL)
		entry->text = arena_dup(diag->arena, str_of(text));
	else if (place.line == 0)
		entry->text = arena_printf(diag->arena, "%s: %s", place.file, text);
	else
		entry->text = arena_printf(diag->arena, "%s:%u: %s", place.file, place.line, text);
	diag->n_errors += severity == DIAG_ERROR;
}

void diag_error(struct diag *diag, struct diag_place place, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add(diag, DIAG_ERROR, place, format, args);
	va_end(args);
}

void diag_warning(struct diag *diag, struct diag_place place, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add(diag, DIAG_WARNING, place, format, args);
	va_end(args);
}

void diag_log(const struct diag *diag)
{
	for (size_t i = 0; i < diag->n; i++) {
		const struct diag_entry *entry = &diag->entries[i];
		if (entry->severity == DIAG_ERROR)
			log_error("%.*s", STR_ARG(entry->text));
		else
			log_warning("%.*s", STR_ARG(entry->text));
	}
}
