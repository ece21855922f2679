/*
 * report/mail.h for test_mail.py:
 *
 *	mail_tool write [-k KEYFILE] [-m MULTIPART] FROM TO SUBJECT MESSAGE-ID [TYPE FILENAME PATH]...
 *	mail_tool submit SERVER SENDER TO SECONDS [COMMAND...]	< message; prints the outcome and the note
 *	mail_tool usable < addresses, a line each		prints yes or no for each
 *	mail_tool verp ADDRESS RECIPIENT			prints the sender and what it is read back as
 *
 * The key signs as sel._domainkey.DOMAIN-OF-FROM. The time is 1700000000.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/signers.h"
#include "report/mail.h"

static struct str read_all(struct arena *arena, FILE *file)
{
	struct buf out = buf_in(arena);
	char bytes[65536];
	for (size_t n; (n = fread(bytes, 1, sizeof(bytes), file)) > 0;)
		buf_add(&out, str_from(bytes, n));
	return buf_str(&out);
}

static struct str read_path(struct arena *arena, const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		exit(1);
	}
	struct str data = read_all(arena, file);
	fclose(file);
	return data;
}

static bool use_key(struct runtime *runtime, struct str from, const char *path)
{
	struct str domain = str_skip(from, (size_t)str_rindex(from, '@') + 1);
	struct signers_source source = {.domains = &domain,
		.n_domains = 1,
		.selector = STR("sel"),
		.key_file = str_of(path),
		.minimum_key_bits = 1024};
	struct signers *signers;
	struct diag diag = diag_in(runtime->arena);
	enum err err = signers_build(runtime->arena, &source, &diag, &signers);
	diag_log(&diag);
	runtime->auth.signers = signers;
	return err == ERR_OK;
}

static int do_write(struct arena *arena, int argc, char **argv)
{
	struct runtime *runtime = runtime_new();
	const char *key = NULL, *multipart = "mixed";
	struct buf out = buf_in(arena);
	bool is_signed;
	for (int option; (option = getopt(argc, argv, "+k:m:")) != -1;)
		*(option == 'k' ? &key : &multipart) = optarg;
	argv += optind;
	argc -= optind;
	struct mail_part *parts = ARENA_ARRAY(arena, (size_t)argc, struct mail_part);
	struct mail mail = {.from = str_of(argv[0]),
		.to = str_of(argv[1]),
		.subject = str_of(argv[2]),
		.message_id = str_of(argv[3]),
		.multipart = str_of(multipart),
		.parts = parts};
	for (int i = 4; i + 2 < argc; i += 3)
		parts[mail.n_parts++] = (struct mail_part){.type = str_of(argv[i]),
			.file_name = str_of(argv[i + 1]),
			.description = STR("a part"),
			.data = read_path(arena, argv[i + 2])};
	if (key != NULL && !use_key(runtime, mail.from, key))
		return 1;
	enum err err = mail_write(arena, &mail, runtime, 1700000000, &out, &is_signed);
	fprintf(stderr, "%s\n", err != ERR_OK ? err_text(err) : is_signed ? "signed" : "unsigned");
	if (out.n > 0)
		fwrite(out.p, 1, out.n, stdout);
	runtime_unref(runtime);
	return err_exit_status(err);
}

static int do_submit(struct arena *arena, int argc, char **argv)
{
	static const char *const outcomes[] = {[MAIL_ACCEPTED] = "accepted",
		[MAIL_LATER] = "later",
		[MAIL_REFUSED] = "refused",
		[MAIL_UNREACHABLE] = "unreachable"};
	struct str command[16], note = STR("");
	struct report_options options = {.smtp_host = str_of(argv[1]), .command = command};
	struct mail mail = {.sender = str_of(argv[2]), .to = str_of(argv[3]), .helo = STR("mx.example")};
	for (int i = 5; i < argc; i++)
		command[options.n_command++] = str_of(argv[i]);
	enum mail_outcome outcome =
		mail_submit(arena, &options, &mail, read_all(arena, stdin), (unsigned)atoi(argv[4]), &note);
	printf("%s\n%.*s\n", outcomes[outcome], STR_ARG(note));
	return 0;
}

static int do_usable(struct arena *arena)
{
	for (struct str rest = read_all(arena, stdin), line; rest.n > 0 && str_cut(&rest, '\n', &line);)
		puts(mail_address_usable(line) ? "yes" : "no");
	return 0;
}

static int do_verp(struct arena *arena, char **argv)
{
	struct str sender = mail_verp(arena, str_of(argv[1]), str_of(argv[2])), back = STR("");
	bool ours = mail_verp_parse(arena, str_of(argv[1]), sender, &back);
	printf("%.*s\n%.*s\n", STR_ARG(sender), STR_ARG(ours ? back : STR("-")));
	return 0;
}

int main(int argc, char **argv)
{
	struct arena *arena = arena_new(0);
	int status = 64;
	if (argc >= 6 && strcmp(argv[1], "write") == 0)
		status = do_write(arena, argc - 1, argv + 1);
	else if (argc >= 6 && strcmp(argv[1], "submit") == 0)
		status = do_submit(arena, argc - 1, argv + 1);
	else if (argc == 2 && strcmp(argv[1], "usable") == 0)
		status = do_usable(arena);
	else if (argc == 4 && strcmp(argv[1], "verp") == 0)
		status = do_verp(arena, argv + 1);
	arena_free(arena);
	return status;
}
