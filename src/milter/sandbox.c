#include "milter/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/log.h"

/* Names, so that a call which this machine does not have is passed over. Anything else gives EPERM. */
static const char *const allowed[] = {
	/* Memory, threads, signals. */
	"brk",
	"futex",
	"get_robust_list",
	"madvise",
	"memfd_create", /* LMDB is read from a copy */
	"membarrier",
	"mmap",
	"mprotect",
	"mremap",
	"munmap",
	"rseq",
	"sched_getaffinity",
	"sched_yield",
	"set_robust_list",
	"set_tid_address",
	"exit",
	"exit_group",
	"getpid",
	"getppid",
	"gettid",
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"sigaltstack",
	"restart_syscall",
	"tgkill",
	"kill",
	/* Time. */
	"clock_getres",
	"clock_gettime",
	"clock_nanosleep",
	"gettimeofday",
	"nanosleep",
	"time",
	"timerfd_create",
	"timerfd_gettime",
	"timerfd_settime",
	/* Files: configuration, keys and tables at reload, the spool, the store. */
	"access",
	"chmod",
	"close",
	"close_range",
	"dup",
	"dup2",
	"dup3",
	"faccessat",
	"faccessat2",
	"fallocate",
	"fchmod",
	"fchmodat",
	"fcntl",
	"fdatasync",
	"flock",
	"fstat",
	"fstatfs",
	"fsync",
	"ftruncate",
	"getcwd",
	"getdents64",
	"lseek",
	"lstat",
	"mkdir",
	"mkdirat",
	"newfstatat",
	"open",
	"openat",
	"pread64",
	"pwrite64",
	"pwritev",
	"read",
	"readlink",
	"readlinkat",
	"readv",
	"rename",
	"renameat",
	"renameat2",
	"rmdir",
	"stat",
	"statfs",
	"statx",
	"umask",
	"unlink",
	"unlinkat",
	"utimensat",
	"write",
	"writev",
	/* Sockets. socket(2) itself: below. */
	"accept",
	"accept4",
	"bind",
	"connect",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"eventfd2",
	"getpeername",
	"getsockname",
	"getsockopt",
	"listen",
	"pipe",
	"pipe2",
	"poll",
	"ppoll",
	"pselect6",
	"recvfrom",
	"recvmmsg",
	"recvmsg",
	"select",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"setsockopt",
	"shutdown",
	"socketpair",
	/* Who and where we are. */
	"getegid",
	"geteuid",
	"getgid",
	"getgroups",
	"getpgrp",
	"getrandom",
	"getresgid",
	"getresuid",
	"getrlimit",
	"getrusage",
	"getuid",
	"prctl",
	"prlimit64",
	"sched_getparam",
	"sched_getscheduler",
	"setrlimit",
	"sysinfo",
	"uname",
};

/* Whoever makes one of these is not us any more. */
static const char *const fatal[] = {
	"bpf",
	"chroot",
	"delete_module",
	"execve",
	"execveat",
	"finit_module",
	"init_module",
	"kexec_file_load",
	"kexec_load",
	"mount",
	"move_mount",
	"open_tree",
	"perf_event_open",
	"pidfd_getfd",
	"pivot_root",
	"process_vm_readv",
	"process_vm_writev",
	"ptrace",
	"reboot",
	"setns",
	"swapoff",
	"swapon",
	"umount2",
	"userfaultfd",
};

static const int families[] = {
	AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, /* the C library asks which addresses the host has */
};

static const unsigned long io_controls[] = {FIONBIO, FIONREAD, TCGETS};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* 0, or a negated errno like all of libseccomp. */
static int add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t n)
{
	int error = 0;
	for (size_t i = 0; i < n && error == 0; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);
		if (call != __NR_SCMP_ERROR)
			error = seccomp_rule_add(filter, action, call, 0);
	}
	return error;
}

static int add_some(scmp_filter_ctx filter)
{
	int error = 0;
	for (size_t i = 0; i < COUNT(families) && error == 0; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	for (size_t i = 0; i < COUNT(io_controls) && error == 0; i++)
		error = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, io_controls[i], 0));
	/* A thread, never a process. clone3 hides its flags in memory: without it the C library takes clone. */
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return error;
}

static int load(scmp_filter_ctx filter)
{
	int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (error == 0)
		error = add_names(filter, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
	if (error == 0)
		error = add_names(filter, SCMP_ACT_KILL_PROCESS, fatal, COUNT(fatal));
	if (error == 0)
		error = add_some(filter);
	return error == 0 ? seccomp_load(filter) : error;
}

static bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return true;
#endif
#endif
	return false;
}

/* Of the processor; it takes some ms. */
#define SECONDS_MAX 2

/*
 * libseccomp 2.5 goes round for ever where it gets no memory at one place, and mail would wait for ever: a process that
 * ends is started again. The filter does not let us stop the timer, so behind it nobody listens.
 */
static void limit_time(bool on)
{
	struct itimerval limit = {.it_value.tv_sec = SECONDS_MAX};
	signal(SIGPROF, on ? SIG_DFL : SIG_IGN);
	if (on)
		setitimer(ITIMER_PROF, &limit, NULL);
}

bool sandbox_enter(void)
{
	if (is_sanitized())
		return true;
	limit_time(true);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error = filter != NULL ? load(filter) : -ENOMEM;
	seccomp_release(filter);
	limit_time(false);
	if (error != 0)
		log_warning("system calls are not restricted: %s", strerror(-error));
	return error == 0;
}
