/*
 * report/failure.h for test_failure.py: names and values, each ended by NUL, on standard input; the envelope's sender
 * on a line and then the message on standard output.
 */
#include <stdio.h>

#include "failure_lab.h"

int main(void)
{
	static char bytes[1 << 22];
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return 70;
	struct str rest = str_from(bytes, fread(bytes, 1, sizeof(bytes), stdin)), name, value;
	struct failure_lab lab;
	failure_lab_init(&lab);
	while (rest.n > 0 && str_cut(&rest, '\0', &name) && str_cut(&rest, '\0', &value))
		if (!failure_lab_set(&lab, name, value)) {
			fprintf(stderr, "%.*s: nothing of this name\n", STR_ARG(name));
			return 64;
		}
	struct mail mail;
	failure_lab_write(arena, &lab, &mail);
	struct runtime *runtime = runtime_new();
	struct buf out = buf_in(arena);
	bool is_signed;
	enum err err = mail_write(arena, &mail, runtime, lab.context.now, &out, &is_signed);
	printf("%.*s\n", STR_ARG(mail.sender));
	fwrite(out.p, 1, out.n, stdout);
	runtime_unref(runtime);
	arena_free(arena);
	return err_exit_status(err);
}
