#include "report/submit.h"

#include "base/clock.h"

struct str submit_note(struct arena *arena, struct str words)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < words.n && out.n < SUBMIT_NOTE_MAX; i++) {
		char c = words.p[i];
		bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
		if (!space)
			buf_add_char(&out, c > ' ' && c < 0x7f ? c : '?');
		else if (out.n > 0 && out.p[out.n - 1] != ' ')
			buf_add_char(&out, ' ');
	}
	return str_trim(buf_str(&out));
}

enum mail_outcome mail_submit(struct arena *arena, const struct report_options *options, const struct mail *mail,
	struct str text, unsigned timeout, struct str *ret_note)
{
	int64_t deadline = clock_monotonic_ms() + (int64_t)timeout * 1000;
	if (!mail_address_usable(mail->to)) {
		*ret_note = STR("not an address that mail could be sent to");
		return MAIL_REFUSED;
	}
	if (mail->sender.n > 0 && !mail_address_usable(mail->sender)) {
		*ret_note = arena_printf(arena, "\"%.*s\" cannot be an envelope sender", STR_ARG(mail->sender));
		return MAIL_LATER;
	}
	if (options->n_command > 0)
		return submit_command(arena, options->command, options->n_command, mail, text, deadline, ret_note);
	return submit_smtp(arena, options->smtp_host, mail, text, deadline, ret_note);
}
