#include "milter/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define IN_USE_MS 2000

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static int exit_status(int error)
{
	switch (error) {
	case EADDRINUSE:
		return EX_UNAVAILABLE;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
		return EX_OSERR;
	default:
		return EX_CONFIG;
	}
}

/* ---- local ---- */

static bool somebody_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return true;
	/* EAGAIN: the backlog is full, so there is one. */
	bool refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
		       (errno == ECONNREFUSED || errno == ENOENT);
	close(fd);
	return !refused;
}

/* Make room at the path. 0 or errno; *ret_why says what is there. */
static int clear_path(const struct sockaddr_un *address, const char **ret_why)
{
	struct stat there;
	if (lstat(address->sun_path, &there) != 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(there.st_mode)) {
		*ret_why = "something that is not a socket is there: remove it, or choose another path";
		return EEXIST;
	}
	if (somebody_listens(address)) {
		*ret_why = "in use: another process listens there";
		return EADDRINUSE;
	}
	return unlink(address->sun_path) == 0 || errno == ENOENT ? 0 : errno;
}

static int bind_local(int fd, const struct sockaddr_un *address, const char **ret_why)
{
	int64_t give_up = clock_monotonic_ms() + IN_USE_MS;
	int error = clear_path(address, ret_why);
	while (error == EADDRINUSE && clock_monotonic_ms() < give_up) {
		pause_ms(20);
		error = clear_path(address, ret_why);
	}
	if (error != 0)
		return error;
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
}

static int open_local(struct str path, unsigned mask, const struct rights *rights, struct listener *listener)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *why = NULL;
	struct stat made;
	if (path.n == 0 || path.n >= sizeof(address.sun_path)) {
		log_error("Socket: the path \"%.*s\" must have 1 to %zu bytes", STR_ARG(path),
			sizeof(address.sun_path) - 1);
		return EX_CONFIG;
	}
	memcpy(address.sun_path, path.p, path.n);
	memcpy(listener->path, address.sun_path, sizeof(listener->path));
	if (!rights_borrow(rights))
		return EX_OSERR;
	mode_t former = mask != -1u ? umask((mode_t)mask) : 0;
	int error = bind_local(listener->fd, &address, &why);
	if (mask != -1u)
		umask(former);
	if (error == 0 && lstat(listener->path, &made) != 0)
		error = errno;
	if (!rights_return(rights))
		return EX_OSERR;
	if (error != 0) {
		log_error("Socket: local:%s: %s%s", listener->path, why != NULL ? why : strerror(error),
			error == EACCES || error == ENOENT ? " (the directory must exist and UserID may write there)"
							   : "");
		listener->path[0] = '\0';
		return exit_status(error);
	}
	listener->device = made.st_dev;
	listener->inode = made.st_ino;
	return 0;
}

/* ---- TCP ---- */

static int bind_ip(int fd, const struct addrinfo *address)
{
	const int on = 1;
	int64_t give_up = clock_monotonic_ms() + IN_USE_MS;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Inherited by the connections: replies are small and must not wait for one another. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	for (;;) {
		if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
			return 0;
		if (errno != EADDRINUSE || clock_monotonic_ms() >= give_up)
			return errno;
		pause_ms(20);
	}
}

static int open_ip(struct str spec, struct str port_and_host, int family, struct listener *listener)
{
	struct str rest = port_and_host, port_text;
	char host[256] = "", port[8];
	uint64_t number;
	struct addrinfo *address;
	str_cut(&rest, '@', &port_text);
	if (!str_to_u64(port_text, 65535, &number) || number == 0 || (rest.p != NULL && rest.n >= sizeof(host))) {
		log_error("Socket: \"%.*s\" is not inet:PORT@HOST", STR_ARG(spec));
		return EX_CONFIG;
	}
	snprintf(port, sizeof(port), "%u", (unsigned)number);
	if (rest.p != NULL)
		snprintf(host, sizeof(host), "%.*s", STR_ARG(rest));
	struct addrinfo hints = {
		.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	int failure = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &address);
	if (failure != 0) {
		log_error("Socket: %.*s: %s", STR_ARG(spec), gai_strerror(failure));
		return EX_CONFIG;
	}
	int error = bind_ip(listener->fd, address);
	freeaddrinfo(address);
	if (error != 0) {
		log_error("Socket: %.*s: %s", STR_ARG(spec),
			error == EADDRINUSE ? "in use: another process listens there" : strerror(error));
		return exit_status(error);
	}
	return 0;
}

/* ---- both ---- */

int listener_open(struct str spec, unsigned umask, const struct rights *rights, struct listener *ret_listener)
{
	struct str rest = spec, kind;
	str_cut(&rest, ':', &kind);
	int family = str_ieq(kind, STR("inet")) ? AF_INET : str_ieq(kind, STR("inet6")) ? AF_INET6 : AF_UNIX;
	if (rest.p == NULL || (family == AF_UNIX && !str_ieq(kind, STR("local")) && !str_ieq(kind, STR("unix")))) {
		log_error("Socket: \"%.*s\" is none of inet:PORT@HOST, inet6:PORT@HOST, local:PATH", STR_ARG(spec));
		return EX_CONFIG;
	}
	*ret_listener = (struct listener){.fd = -1};
	ret_listener->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ret_listener->fd < 0) {
		log_error("Socket: %.*s: %s", STR_ARG(spec), strerror(errno));
		return EX_OSERR;
	}
	int status = family == AF_UNIX ? open_local(rest, umask, rights, ret_listener)
				       : open_ip(spec, rest, family, ret_listener);
	if (status == 0 && listen(ret_listener->fd, SOMAXCONN) != 0) {
		log_error("Socket: %.*s: listen: %s", STR_ARG(spec), strerror(errno));
		status = exit_status(errno);
	}
	if (status != 0)
		listener_close(ret_listener);
	return status;
}

void listener_close(struct listener *listener)
{
	struct stat there;
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	if (listener->path[0] != '\0' && lstat(listener->path, &there) == 0 && there.st_dev == listener->device &&
		there.st_ino == listener->inode && unlink(listener->path) != 0)
		log_warning("Socket: local:%s is left behind: %s", listener->path, strerror(errno));
	listener->path[0] = '\0';
}
