/* Each row in a process of its own, since nobody comes back from the sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "milter/sandbox.h"
#include "test.h"

static void *nothing(void *context)
{
	return context;
}

static int a_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, nothing, NULL);
	return error == 0 ? pthread_join(thread, NULL) : error;
}

static int result(int outcome)
{
	return outcome < 0 ? errno : 0;
}

static int a_file(void)
{
	return result(open("/etc/hosts", O_RDONLY));
}

static int a_connection(void)
{
	return result(socket(AF_INET6, SOCK_STREAM, 0));
}

static int a_raw_packet(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int a_process(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int a_namespace(void)
{
	return result(unshare(CLONE_NEWNS));
}

static int another_user(void)
{
	return result(setuid(65534));
}

static int terminal_input(void)
{
	return result(ioctl(0, TIOCSTI, "x"));
}

static int a_program(void)
{
	char *const arguments[] = {(char[]){"true"}, NULL};
	return result(execv("/bin/true", arguments));
}

static int a_program_by_descriptor(void)
{
	char *const arguments[] = {(char[]){"true"}, NULL};
	return result(fexecve(open("/bin/true", O_RDONLY), arguments, arguments));
}

static int a_tracer(void)
{
	return result((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int a_mount(void)
{
	return result(mount("none", "/mnt", "tmpfs", 0, NULL));
}

/* More than the library may take for the filter. */
static int much_work(void)
{
	while (clock() < 3 * CLOCKS_PER_SEC)
		;
	return 0;
}

/* libseccomp that does not come to its end. */
static bool is_stuck;

int __real_seccomp_load(const scmp_filter_ctx filter);
int __wrap_seccomp_load(const scmp_filter_ctx filter);
int __wrap_seccomp_load(const scmp_filter_ctx filter)
{
	volatile bool stuck = is_stuck;
	while (stuck)
		;
	return __real_seccomp_load(filter);
}

/* The exit status is the errno; a signal counts as 1000 and its number. */
static int in_sandbox(int (*call)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(sandbox_enter() ? call() : 255);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_calls(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int (*call)(void);
		int outcome;
	} rows[] = {
		{"a thread", a_thread, 0},
		{"a file", a_file, 0},
		{"a connection", a_connection, 0},
		{"a raw packet", a_raw_packet, EPERM},
		{"a process", a_process, EPERM},
		{"a namespace", a_namespace, EPERM},
		{"another user", another_user, EPERM},
		{"typing for the terminal", terminal_input, EPERM},
		{"a program", a_program, 1000 + SIGSYS},
		{"a program by descriptor", a_program_by_descriptor, 1000 + SIGSYS},
		{"a tracer", a_tracer, 1000 + SIGSYS},
		{"a mount", a_mount, 1000 + SIGSYS},
		{"much work", much_work, 0},
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		check_int(rows[i].what, in_sandbox(rows[i].call), rows[i].outcome);
}

static void test_never_done(void **state)
{
	(void)state;
	is_stuck = true;
	check_int("the library does not come back", in_sandbox(a_file), 1000 + SIGPROF);
	is_stuck = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_never_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
