/*
 * report/courier.h without any reports: what the process around it does can be
 * seen and steered from outside. FAKE_COURIER in the environment is a file whose
 * word says what a turn does:
 *
 *	crash    abort()
 *	hang     never come back
 *	work     go on until it is asked to stop
 *	fail     the store does not work
 *
 * Each turn, and each end of the courier's, is a line in FAKE_COURIER.log.
 */
#include "report/courier.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* "FILE.log" */
static void note(const char *what)
{
	char path[512];
	const char *file = getenv("FAKE_COURIER");
	if (file == NULL)
		return;
	snprintf(path, sizeof(path), "%s.log", file);
	FILE *log = fopen(path, "a");
	if (log == NULL)
		return;
	fprintf(log, "%s %d\n", what, (int)getpid());
	fclose(log);
}

static bool told_to(const char *what)
{
	char word[32] = "";
	const char *path = getenv("FAKE_COURIER");
	FILE *file = path != NULL ? fopen(path, "r") : NULL;
	if (file == NULL)
		return false;
	if (fscanf(file, "%31s", word) != 1)
		word[0] = '\0';
	fclose(file);
	return strcmp(word, what) == 0;
}

enum err courier_turn(struct courier *courier, int64_t now, struct courier_result *ret_result)
{
	(void)now;
	*ret_result = (struct courier_result){.sent = 1};
	note("turn");
	if (told_to("crash"))
		abort();
	while (told_to("hang"))
		pause();
	while (told_to("work") && !courier->stop(courier->context))
		usleep(10000);
	return told_to("fail") ? ERR_IO : ERR_OK;
}

void courier_leave(struct courier *courier)
{
	(void)courier;
	note("leave");
}

enum err store_open(struct str url, struct store **ret_store, char error[STORE_ERROR_SIZE])
{
	(void)url;
	(void)error;
	*ret_store = (struct store *)1;
	return ERR_OK;
}

struct str runtime_host_name(struct arena *arena)
{
	(void)arena;
	return STR("host");
}

void store_close(struct store *store)
{
	(void)store;
	note("close");
}
