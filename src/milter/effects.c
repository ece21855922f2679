#include "milter/effects.h"

#include <stdlib.h>

#include "base/fault.h"

/* libmilter refuses longer lines (980 with everything); each '%' may become two. */
#define MAX_REPLY_TEXT 480

/* NUL-terminated, malloc'd. */
static char *c_string(struct str s)
{
	return strndup(s.n > 0 ? s.p : "", s.n);
}

/*
 * One line of printable US-ASCII: control bytes would end the SMTP reply early.
 * @double_percent  the MTA takes the text for a format (smfi_setreply)
 */
static char *reply_string(struct str text, bool double_percent)
{
	text = str_head(text, MAX_REPLY_TEXT);
	char *line = malloc(2 * text.n + 1);
	if (line == NULL)
		return NULL;
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		line[n++] = c >= ' ' && c <= '~' ? c : '?';
		if (c == '%' && double_percent)
			line[n++] = '%';
	}
	line[n] = '\0';
	return line;
}

static bool set_reply(const struct effects_port *port, const struct verdict *verdict)
{
	char *code = c_string(verdict->reply_code);
	char *enhanced_code = c_string(verdict->enhanced_code);
	char *text = reply_string(verdict->reply_text, true);
	bool done = code != NULL && enhanced_code != NULL && text != NULL &&
		    port->set_reply(port->context, code, enhanced_code, text);
	free(code);
	free(enhanced_code);
	free(text);
	return done;
}

static bool delete_field(const struct effects_port *port, const struct verdict_deletion *deletion)
{
	char *name = c_string(deletion->name);
	bool done = name != NULL && port->delete_field(port->context, name, deletion->ordinal);
	free(name);
	return done;
}

static bool insert_field(const struct effects_port *port, const struct verdict_insertion *insertion)
{
	struct str text = insertion->value;
	/* Without LEADSPC the MTA writes the space itself. */
	if (!port->leading_space && str_starts(text, STR(" ")))
		text = str_skip(text, 1);
	char *name = c_string(insertion->name);
	char *value = c_string(text);
	bool done = name != NULL && value != NULL && port->insert_field(port->context, name, value);
	free(name);
	free(value);
	return done;
}

static bool quarantine(const struct effects_port *port, const struct verdict *verdict)
{
	char *reason = reply_string(verdict->quarantine_reason, false);
	bool done = reason != NULL && port->quarantine(port->context, reason);
	free(reason);
	return done;
}

/* The message is more than its copy: it goes on without. */
static void add_recipient(const struct effects_port *port, struct str address)
{
	char *text = c_string(address);
	if (text == NULL || !port->add_recipient(port->context, text))
		fault_log(LOG_LEVEL_WARNING, STR(""),
			"the MTA did not take the recipient %.*s for a copy (CopyFailuresTo)", STR_ARG(address));
	free(text);
}

static bool change_message(const struct effects_port *port, const struct verdict *verdict)
{
	for (size_t i = 0; i < verdict->n_deletions; i++)
		if (!delete_field(port, &verdict->deletions[i]))
			return false;
	for (size_t i = 0; i < verdict->n_insertions; i++)
		if (!insert_field(port, &verdict->insertions[i]))
			return false;
	if (verdict->copy_to.n > 0)
		add_recipient(port, verdict->copy_to);
	return true;
}

bool effects_apply(const struct effects_port *port, const struct verdict *verdict)
{
	switch (verdict->action) {
	case VERDICT_DISCARD:
		return true;
	case VERDICT_REJECT:
	case VERDICT_TEMPFAIL:
		/* Without its text the refusal still stands, in the MTA's own words. */
		if (!set_reply(port, verdict))
			fault_log(LOG_LEVEL_WARNING, STR(""), "the MTA did not take the reply text \"%.*s %.*s %.*s\"",
				STR_ARG(verdict->reply_code), STR_ARG(verdict->enhanced_code),
				STR_ARG(verdict->reply_text));
		return true;
	case VERDICT_QUARANTINE:
		return change_message(port, verdict) && quarantine(port, verdict);
	case VERDICT_ACCEPT:
		return change_message(port, verdict);
	}
	return false;
}
