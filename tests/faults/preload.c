/*
 * Faults on order, preloaded into a program under test (LD_PRELOAD): allocations,
 * writes, replies on sockets, threads and processes that fail.
 *
 * The orders stand in a file that FAULT_ORDERS names; it is mapped, so that the
 * test changes them while the program runs and reads back what was done. Only the
 * process whose command line has the word FAULT_ROLE ("worker") obeys; without
 * FAULT_ROLE all do. tests/faults/orders.py is the other side.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct orders {
	/* Orders. Chances are of a million calls. */
	_Atomic uint32_t alloc_chance, write_chance, thread_chance, fork_chance, send_chance, write_error; /* 0: EIO */
	_Atomic uint64_t alloc_nth; /* this one fails, counted from the start of the process; 0: none */
	/* What was done. */
	_Atomic uint64_t allocs, failed_allocs, failed_writes, failed_threads, failed_forks, failed_sends;
	char culprit[256]; /* who asked for the last allocation that failed */
	char aborted[256]; /* who called abort() */
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static struct orders *_Atomic orders;
static _Thread_local bool spared;       /* allocations of this thread do not fail now */
static _Thread_local char culprit[256]; /* the last of this thread */

/* ---- orders ---- */

static bool has_role(const char *role)
{
	char line[4096];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof(line)) : -1;
	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(line, (size_t)n, role, strlen(role) + 1) != NULL;
}

__attribute__((constructor)) static void take_orders(void)
{
	const char *path = getenv("FAULT_ORDERS"), *role = getenv("FAULT_ROLE");
	if (path == NULL || (role != NULL && !has_role(role)))
		return;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *mapped =
		fd >= 0 ? mmap(NULL, sizeof(struct orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	if (fd >= 0)
		close(fd);
	/* A test without its faults would pass. */
	if (mapped == MAP_FAILED)
		_exit(125);
	atomic_store(&orders, mapped);
}

static bool happens(uint32_t chance)
{
	static _Atomic uint64_t state = 88172645463325252U;
	if (chance == 0)
		return false;
	/* splitmix64: each call gets a number of its own, whatever the threads do. */
	uint64_t x = atomic_fetch_add(&state, 0x9E3779B97F4A7C15U);
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
	return (x ^ (x >> 31)) % 1000000 < chance;
}

/* "libspf2.so.2 SPF_response_new": without an allocation of its own. */
static void name_caller(char *slot, size_t size, const void *caller, size_t bytes)
{
	Dl_info info;
	if (dladdr(caller, &info) == 0)
		return;
	const char *file = strrchr(info.dli_fname, '/');
	snprintf(slot, size, "%s %s %zu", file != NULL ? file + 1 : info.dli_fname,
		info.dli_sname != NULL ? info.dli_sname : "?", bytes);
}

static bool alloc_fails(const void *caller, size_t size)
{
	struct orders *mine = atomic_load(&orders);
	if (mine == NULL || spared)
		return false;
	uint64_t number = atomic_fetch_add(&mine->allocs, 1) + 1;
	if (number != atomic_load(&mine->alloc_nth) && !happens(atomic_load(&mine->alloc_chance)))
		return false;
	spared = true;
	atomic_fetch_add(&mine->failed_allocs, 1);
	name_caller(culprit, sizeof(culprit), caller, size);
	memcpy(mine->culprit, culprit, sizeof(culprit));
	spared = false;
	errno = ENOMEM;
	return true;
}

/* ---- memory ---- */

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
	return alloc_fails(CALLER, size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return alloc_fails(CALLER, n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	/* Making it smaller, or giving it back, fails nowhere. */
	return size != 0 && alloc_fails(CALLER, size) ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t n, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(n, size, &bytes) || (bytes != 0 && alloc_fails(CALLER, bytes))) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(old, bytes);
}

void *memalign(size_t alignment, size_t size)
{
	return alloc_fails(CALLER, size) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return alloc_fails(CALLER, size) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *p = alloc_fails(CALLER, size) ? NULL : __libc_memalign(alignment, size);
	if (p == NULL)
		return ENOMEM;
	*ret = p;
	return 0;
}

/*
 * glibc 2.36 keeps its resolver's lock for good where it gets no memory for /etc/resolv.conf, so the caller waits for
 * ever. We call it at the start and at a reload, for the host's own name; nothing of ours can be learnt from that.
 */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	spared = true;
	int status = real(node, service, hints, ret);
	spared = false;
	return status;
}

void abort(void)
{
	struct orders *mine = atomic_load(&orders);
	/* The next process is to start, and the culprit to stay what it is, until the test has seen this one's end. */
	if (mine != NULL) {
		atomic_store(&mine->alloc_chance, 0);
		memcpy(mine->culprit, culprit, sizeof(culprit));
		name_caller(mine->aborted, sizeof(mine->aborted), CALLER, 0);
	}
	signal(SIGABRT, SIG_DFL);
	raise(SIGABRT);
	_exit(134);
}

/* ---- files ---- */

/* The log of a test is a file too, and must tell of the faults. */
static bool write_fails(int fd)
{
	struct orders *mine = atomic_load(&orders);
	struct stat there;
	if (mine == NULL || fd <= STDERR_FILENO || atomic_load(&mine->write_chance) == 0 || fstat(fd, &there) != 0 ||
		!S_ISREG(there.st_mode) || !happens(atomic_load(&mine->write_chance)))
		return false;
	uint32_t error = atomic_load(&mine->write_error);
	atomic_fetch_add(&mine->failed_writes, 1);
	errno = error != 0 ? (int)error : EIO;
	return true;
}

/* A disk that becomes full takes a piece of the bytes first, every other time. */
static size_t piece(size_t n)
{
	struct orders *mine = atomic_load(&orders);
	return errno == ENOSPC && atomic_load(&mine->failed_writes) % 2 == 0 ? n / 2 : 0;
}

ssize_t write(int fd, const void *data, size_t n)
{
	size_t some = 0;
	if (write_fails(fd) && (some = piece(n)) == 0)
		return -1;
	return syscall(SYS_write, fd, data, some != 0 ? some : n);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	size_t some = 0;
	if (write_fails(fd) && (some = piece(n)) == 0)
		return -1;
	return syscall(SYS_pwrite64, fd, data, some != 0 ? some : n, at);
}

/* Of the replies to the MTA: every other one that fails goes out in part, as a full socket buffer has it. */
ssize_t send(int fd, const void *data, size_t n, int flags)
{
	struct orders *mine = atomic_load(&orders);
	if (mine != NULL && happens(atomic_load(&mine->send_chance))) {
		bool in_part = atomic_fetch_add(&mine->failed_sends, 1) % 2 == 0 && n > 1;
		if (!in_part) {
			errno = ECONNRESET;
			return -1;
		}
		n /= 2;
	}
	return syscall(SYS_sendto, fd, data, n, flags, NULL, 0);
}

int fsync(int fd)
{
	return write_fails(fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return write_fails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* ---- threads and processes ---- */

int pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	struct orders *mine = atomic_load(&orders);
	if (mine != NULL && happens(atomic_load(&mine->thread_chance))) {
		atomic_fetch_add(&mine->failed_threads, 1);
		return EAGAIN;
	}
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(ret, attributes, run, context);
}

pid_t fork(void)
{
	static pid_t (*real)(void);
	struct orders *mine = atomic_load(&orders);
	if (mine != NULL && happens(atomic_load(&mine->fork_chance))) {
		atomic_fetch_add(&mine->failed_forks, 1);
		errno = EAGAIN;
		return -1;
	}
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "fork");
	return real();
}
