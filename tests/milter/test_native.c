/*
 * The native front's loops with limits small enough to be met.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake_auth.h"
#include "milter/front_native.h"
#include "milter/service.h"
#include "test.h"

static const char offer[] = "\0\0\0\x0dO\0\0\0\6\0\0\1\xff\0\x1f\xff\xff";

struct fixture {
	struct native native;
	struct loop *loops[2];
	pthread_t threads[2];
	struct sockaddr_un address;
	socklen_t address_size;
};

static void *run(void *loop)
{
	loop_run(loop);
	return NULL;
}

static void set_up(struct fixture *fixture, struct native_limits limits)
{
	*fixture = (struct fixture){.address = {.sun_family = AF_UNIX}, .address_size = sizeof(fixture->address)};
	struct native *native = &fixture->native;
	native->service = service_new(NULL);
	service_publish(native->service, runtime_new(), true);
	native->limits = limits;
	if (limits.slow_ms == 0)
		native->limits.slow_ms = 60000;
	native->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The bare family: the kernel chooses an abstract name. */
	assert_int_equal(bind(native->listener, (struct sockaddr *)&fixture->address, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(native->listener, 16), 0);
	getsockname(native->listener, (struct sockaddr *)&fixture->address, &fixture->address_size);
	native->loops = fixture->loops;
	for (; native->n_loops < COUNT(fixture->loops); native->n_loops++)
		fixture->loops[native->n_loops] = loop_new(native);
	assert_int_equal(loop_accept(fixture->loops[0]), ERR_OK);
	for (size_t i = 0; i < COUNT(fixture->loops); i++)
		pthread_create(&fixture->threads[i], NULL, run, fixture->loops[i]);
}

static void tear_down(struct fixture *fixture)
{
	for (size_t i = 0; i < COUNT(fixture->loops); i++)
		loop_end(fixture->loops[i]);
	for (size_t i = 0; i < COUNT(fixture->loops); i++)
		pthread_join(fixture->threads[i], NULL);
	for (size_t i = 0; i < COUNT(fixture->loops); i++)
		loop_free(fixture->loops[i]);
	assert_int_equal(service_load(fixture->native.service).sessions, 0);
	assert_int_equal(fixture->native.n_connections, 0);
	assert_int_equal(fake_auth_live(), 0);
	if (fixture->native.listener >= 0)
		close(fixture->native.listener);
	service_free(fixture->native.service);
}

static int connect_to(const struct fixture *fixture)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&fixture->address, fixture->address_size), 0);
	assert_int_equal(write(fd, offer, sizeof(offer) - 1), sizeof(offer) - 1);
	return fd;
}

/* Something, or the end, comes within that time. */
static bool hears(int fd, int ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	return poll(&poll_fd, 1, ms) == 1;
}

static bool is_answered(int fd)
{
	char reply[256];
	return hears(fd, 2000) && read(fd, reply, sizeof(reply)) > 0;
}

static bool is_closed(int fd, int ms)
{
	char byte;
	return hears(fd, ms) && read(fd, &byte, 1) <= 0;
}

static void test_connections_over_the_limit_wait(void **state)
{
	(void)state;
	struct fixture fixture;
	int fds[4];
	set_up(&fixture, (struct native_limits){
				 .connections = 3, .buffer_bytes = 1 << 20, .idle_ms = 60000, .silent_ms = 60000});
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = connect_to(&fixture);
	for (size_t i = 0; i < 3; i++)
		assert_true(is_answered(fds[i]));
	assert_false(hears(fds[3], 300));
	close(fds[0]);
	assert_true(is_answered(fds[3]));
	for (size_t i = 1; i < COUNT(fds); i++)
		close(fds[i]);
	tear_down(&fixture);
}

static void test_idle_connections_are_closed(void **state)
{
	(void)state;
	static const char quit[] = "\0\0\0\1A";
	struct fixture fixture;
	set_up(&fixture, (struct native_limits){.connections = 100, .buffer_bytes = 1 << 20, .idle_ms = 600});
	int idle = connect_to(&fixture), busy = connect_to(&fixture);
	assert_true(is_answered(idle) && is_answered(busy));
	for (unsigned i = 0; i < 10; i++) {
		usleep(100000);
		assert_int_equal(write(busy, quit, sizeof(quit) - 1), sizeof(quit) - 1);
	}
	assert_true(is_closed(idle, 1000));
	assert_false(hears(busy, 0));
	assert_true(is_closed(busy, 2000));
	close(idle);
	close(busy);
	tear_down(&fixture);
}

static void test_each_loop_gets_its_share(void **state)
{
	(void)state;
	struct fixture fixture;
	int fds[64];
	set_up(&fixture, (struct native_limits){
				 .connections = 100, .buffer_bytes = 1 << 20, .idle_ms = 60000, .silent_ms = 60000});
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = connect_to(&fixture);
		assert_true(is_answered(fds[i]));
	}
	assert_int_equal(loop_connections(fixture.loops[0]), 32);
	assert_int_equal(loop_connections(fixture.loops[1]), 32);
	/* Those are closed by the loops' end. */
	tear_down(&fixture);
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
}

static void say(int fd, const void *bytes, size_t n)
{
	assert_int_equal(write(fd, bytes, n), n);
}

static void speak(int fd)
{
	say(fd, "\0\0\0\1A", 5);
}

/* Where all places are taken the one that has been silent for longest loses its own; half a command is silence. */
static void test_silent_ones_make_room(void **state)
{
	(void)state;
	struct fixture fixture;
	int fds[6];
	set_up(&fixture,
		(struct native_limits){.connections = 4, .buffer_bytes = 1 << 20, .idle_ms = 60000, .silent_ms = 400});
	for (size_t i = 0; i < 4; i++)
		fds[i] = connect_to(&fixture);
	for (size_t i = 0; i < 4; i++)
		assert_true(is_answered(fds[i]));
	for (unsigned i = 0; i < 12; i++) {
		usleep(50000);
		speak(fds[0]);
		say(fds[2], "\0", i < 3);
	}
	/* The loop that accepts has 0 and 2. */
	fds[4] = connect_to(&fixture);
	assert_true(is_answered(fds[4]));
	assert_true(is_closed(fds[2], 0));
	/* Nobody else has been silent for so long there. */
	speak(fds[0]);
	fds[5] = connect_to(&fixture);
	assert_false(hears(fds[5], 200));
	assert_false(hears(fds[0], 0) || hears(fds[1], 0) || hears(fds[3], 0) || hears(fds[4], 0));
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	tear_down(&fixture);
}

/* A verdict for a message without anything. */
static void bring_message(int fd)
{
	static const char mail[] = "\0\0\0\5M<a>\0", rest[] = "\0\0\0\5R<b>\0\0\0\0\1N\0\0\0\1E";
	say(fd, mail, sizeof(mail) - 1);
	assert_true(is_answered(fd));
	say(fd, rest, sizeof(rest) - 1);
	do
		assert_true(is_answered(fd));
	while (hears(fd, 50));
}

/* Whoever goes on talking without a message to its end loses its place as well, the longest at it first. */
static void test_slow_ones_make_room(void **state)
{
	(void)state;
	struct fixture fixture;
	int fds[6];
	set_up(&fixture, (struct native_limits){.connections = 4,
				 .buffer_bytes = 1 << 20,
				 .idle_ms = 60000,
				 .silent_ms = 60000,
				 .slow_ms = 3000});
	for (size_t i = 0; i < 4; i++)
		fds[i] = connect_to(&fixture);
	for (size_t i = 0; i < 4; i++)
		assert_true(is_answered(fds[i]));
	for (unsigned i = 0; i < 64; i++) {
		usleep(50000);
		speak(fds[2]);
		if (i % 16 == 0)
			bring_message(fds[0]);
	}
	/* The loop that accepts has 0 and 2. */
	fds[4] = connect_to(&fixture);
	assert_true(is_answered(fds[4]));
	assert_true(is_closed(fds[2], 0));
	bring_message(fds[0]);
	fds[5] = connect_to(&fixture);
	assert_false(hears(fds[5], 200));
	assert_false(hears(fds[0], 0) || hears(fds[1], 0) || hears(fds[3], 0) || hears(fds[4], 0));
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	tear_down(&fixture);
}

static void send_part(int fd, size_t n)
{
	static char part[900000];
	for (size_t sent = 0, more; sent < n; sent += more) {
		more = n - sent < 8000 ? n - sent : 8000;
		say(fd, part + sent, more);
	}
	usleep(50000);
}

/* What is announced costs nothing; where there is no more room who holds most gives way to who needs a little. */
static void test_the_largest_gives_way(void **state)
{
	(void)state;
	static const char head[] = {0, 0x50, 0, 0, 'L'};
	struct fixture fixture;
	int fds[20];
	set_up(&fixture, (struct native_limits){
				 .connections = 100, .buffer_bytes = 3000000, .idle_ms = 60000, .silent_ms = 60000});
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = connect_to(&fixture);
		assert_true(is_answered(fds[i]));
		say(fds[i], head, sizeof(head));
		send_part(fds[i], 20000);
	}
	/* All even ones are of one loop. */
	send_part(fds[2], 900000);
	assert_false(hears(fds[2], 0));
	for (size_t i = 4; i < COUNT(fds) && !hears(fds[2], 0); i += 2)
		send_part(fds[i], 400000);
	for (size_t i = 0; i < COUNT(fds); i++)
		assert_int_equal(hears(fds[i], 0), i == 2);
	assert_true(is_closed(fds[2], 0));
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	tear_down(&fixture);
}

/* A message of that many bytes, which stops within its header. */
static int hold(const struct fixture *fixture, const char *bytes)
{
	static const char begin[] = "\0\0\0\5M<a>\0\0\0\0\5R<b>\0\0\0\0\x0fLX-Eat\0";
	int fd = connect_to(fixture);
	assert_true(is_answered(fd));
	say(fd, begin, sizeof(begin) - 1);
	say(fd, bytes, 8);
	assert_true(is_answered(fd));
	usleep(50000);
	return fd;
}

/* Before the memory of all messages is used up those go that hold much and say nothing. */
static void test_large_messages_give_way(void **state)
{
	(void)state;
	struct fixture fixture;
	set_up(&fixture, (struct native_limits){
				 .connections = 100, .buffer_bytes = 1 << 20, .idle_ms = 60000, .silent_ms = 60000});
	struct runtime *runtime = runtime_new();
	runtime->auth.maximum_memory = 1000000;
	service_publish(fixture.native.service, runtime, true);
	int small = hold(&fixture, " 000100"), other_loop = connect_to(&fixture);
	int first = hold(&fixture, " 400000"), other_too = connect_to(&fixture);
	int second = hold(&fixture, " 300000");
	/* The latter makes it more than three quarters; it is the loop of the former too. */
	int another = connect_to(&fixture);
	int third = hold(&fixture, " 200000");
	assert_true(is_closed(first, 1000));
	assert_false(hears(small, 0) || hears(second, 0) || hears(third, 0));
	const int fds[] = {small, other_loop, first, other_too, second, another, third};
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	tear_down(&fixture);
}

static void test_stopped_ones_leave_connections_to_others(void **state)
{
	(void)state;
	struct fixture fixture;
	set_up(&fixture, (struct native_limits){
				 .connections = 100, .buffer_bytes = 1 << 20, .idle_ms = 60000, .silent_ms = 60000});
	int before = connect_to(&fixture), other = dup(fixture.native.listener);
	assert_true(is_answered(before));
	atomic_store(&fixture.native.stopping, true);
	loop_wake(fixture.loops[0]);
	usleep(100000);
	int after = connect_to(&fixture);
	assert_false(hears(after, 300));
	/* Another process that listens on the same socket takes it. */
	int taken = accept(other, NULL, NULL);
	assert_true(taken >= 0);
	assert_false(hears(before, 0));
	close(taken);
	/* Where there is none nobody can even connect. */
	close(other);
	int refused = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(refused, (const struct sockaddr *)&fixture.address, fixture.address_size), -1);
	close(refused);
	close(after);
	close(before);
	tear_down(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections_over_the_limit_wait),
		cmocka_unit_test(test_idle_connections_are_closed),
		cmocka_unit_test(test_each_loop_gets_its_share),
		cmocka_unit_test(test_silent_ones_make_room),
		cmocka_unit_test(test_slow_ones_make_room),
		cmocka_unit_test(test_the_largest_gives_way),
		cmocka_unit_test(test_large_messages_give_way),
		cmocka_unit_test(test_stopped_ones_leave_connections_to_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
