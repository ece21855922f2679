/*
 * The front on libmilter. The one file that includes its header.
 *
 * Debian builds libmilter with a pool of threads: consecutive callbacks of a
 * session may run on different ones, so nothing is thread-local here, and
 * xxfi_close may run under the pool's lock, so it never waits.
 *
 * It hides the descriptors of its connections, so over TCP nobody can set
 * TCP_QUICKACK, and a Postfix on the other side waits 40 ms once per message for
 * our delayed acknowledgement. A local socket has no such pause.
 */
#include "milter/front.h"

#include <errno.h>
#include <fcntl.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "milter/effects.h"
#include "milter/service.h"
#include "milter/session.h"
#include "milter/wire.h"

/* What is asked for is wire.h's, so that both fronts ask for the same. */
_Static_assert((int)WIRE_NR_CONNECT == SMFIP_NR_CONN && (int)WIRE_NR_HELO == SMFIP_NR_HELO &&
		       (int)WIRE_NR_MAIL == SMFIP_NR_MAIL && (int)WIRE_NR_RCPT == SMFIP_NR_RCPT &&
		       (int)WIRE_NR_HEADER == SMFIP_NR_HDR && (int)WIRE_NR_EOH == SMFIP_NR_EOH &&
		       (int)WIRE_NR_BODY == SMFIP_NR_BODY && (int)WIRE_NO_DATA == SMFIP_NODATA &&
		       (int)WIRE_NO_UNKNOWN == SMFIP_NOUNKNOWN && (int)WIRE_LEADING_SPACE == SMFIP_HDR_LEADSPC,
	"the protocol's bits are libmilter's");
_Static_assert(WIRE_SET_MACROS == SMFIF_SETSYMLIST && WIRE_ADD_RECIPIENT == SMFIF_ADDRCPT, "so are the actions");

struct libmilter {
	struct service *service;
	int listener;
	_Atomic pthread_t acceptor; /* the thread that waits for connections */
	atomic_ulong granted;       /* by the latest negotiation */
};

/* libmilter hands no pointer of ours to xxfi_negotiate; set once, before its threads exist. */
static struct libmilter *libmilter;

struct connection {
	SMFICTX *ctx;
	struct session *session;
	unsigned long granted; /* SMFIP_* */
	pthread_mutex_t lock;
	pthread_cond_t awake;
	bool is_awake; /* under lock */
};

/* ---- what the session asks of its connection ---- */

static struct str connection_macro(void *context, const char *name)
{
	struct connection *connection = context;
	return str_of(smfi_getsymval(connection->ctx, (char *)(uintptr_t)name));
}

static void connection_wake(void *context)
{
	struct connection *connection = context;
	pthread_mutex_lock(&connection->lock);
	connection->is_awake = true;
	pthread_cond_signal(&connection->awake);
	pthread_mutex_unlock(&connection->lock);
}

static void connection_wait(struct connection *connection, int64_t deadline_ms)
{
	struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
	pthread_mutex_lock(&connection->lock);
	while (!connection->is_awake)
		if (pthread_cond_timedwait(&connection->awake, &connection->lock, &until) == ETIMEDOUT)
			break;
	connection->is_awake = false;
	pthread_mutex_unlock(&connection->lock);
}

/* ---- begin and end ---- */

static void connection_free(struct connection *connection)
{
	if (connection == NULL)
		return;
	session_free(connection->session);
	pthread_cond_destroy(&connection->awake);
	pthread_mutex_destroy(&connection->lock);
	free(connection);
}

static struct connection *connection_new(SMFICTX *ctx, unsigned long granted)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	if (connection == NULL)
		return NULL;
	connection->ctx = ctx;
	connection->granted = granted;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&connection->awake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&connection->lock, NULL);
	struct front_peer peer = {connection_macro, connection_wake, connection};
	connection->session = session_new(libmilter->service, &peer, (granted & SMFIP_HDR_LEADSPC) != 0);
	if (connection->session == NULL || smfi_setpriv(ctx, connection) != MI_SUCCESS) {
		connection_free(connection);
		return NULL;
	}
	return connection;
}

static struct connection *connection_of(SMFICTX *ctx)
{
	return smfi_getpriv(ctx);
}

/* What a callback returns that refuses nothing. */
static sfsistat go_on(const struct connection *connection, unsigned long no_reply_bit)
{
	return (connection->granted & no_reply_bit) != 0 ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static void ask_for_macros(SMFICTX *ctx)
{
	for (size_t i = 0; i < WIRE_MACRO_LISTS; i++) {
		const struct wire_macro_list *list = &wire_macro_lists[i];
		if (smfi_setsymlist(ctx, (int)list->stage, (char *)(uintptr_t)list->names.p) != MI_SUCCESS)
			log_warning("libmilter does not take the macro list \"%.*s\"", STR_ARG(list->names));
	}
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long protocol, unsigned long reserved2,
	unsigned long reserved3, unsigned long *ret_actions, unsigned long *ret_protocol, unsigned long *ret_reserved2,
	unsigned long *ret_reserved3)
{
	(void)reserved2;
	(void)reserved3;
	/* Of the no-reply bits those that an old MTA lacks are libmilter's to play. */
	const struct wire_offer offer = {WIRE_VERSION, (uint32_t)actions, (uint32_t)protocol};
	struct wire_terms terms;
	if (!wire_agree(&offer, &terms)) {
		fault_log(LOG_LEVEL_ERROR, STR(""),
			"the MTA does not let a milter insert and delete header fields and quarantine (actions "
			"offered: "
			"0x%lx)",
			actions);
		return SMFIS_REJECT;
	}
	if (connection_new(ctx, terms.protocol) == NULL) {
		fault_log(LOG_LEVEL_ERROR, STR(""), "out of memory: connection of the MTA refused");
		return SMFIS_REJECT;
	}
	atomic_store(&libmilter->granted, terms.protocol);
	*ret_actions = terms.actions;
	*ret_protocol = terms.protocol;
	*ret_reserved2 = *ret_reserved3 = 0;
	if ((terms.actions & WIRE_SET_MACROS) != 0)
		ask_for_macros(ctx);
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct connection *connection = connection_of(ctx);
	smfi_setpriv(ctx, NULL);
	connection_free(connection);
	return SMFIS_CONTINUE;
}

/* ---- the conversation ---- */

static sfsistat on_connect(SMFICTX *ctx, char *hostname, _SOCK_ADDR *address)
{
	struct connection *connection = connection_of(ctx);
	/* "Quit, new connection follows" closes without another negotiation: what was granted holds on. */
	if (connection == NULL)
		connection = connection_new(ctx, atomic_load(&libmilter->granted));
	if (connection == NULL)
		return SMFIS_TEMPFAIL;
	struct ip client = ip_from_sockaddr(address);
	session_connect(connection->session, &client, str_of(hostname));
	return go_on(connection, SMFIP_NR_CONN);
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
	struct connection *connection = connection_of(ctx);
	if (connection == NULL)
		return SMFIS_TEMPFAIL;
	session_helo(connection->session, str_of(name));
	return go_on(connection, SMFIP_NR_HELO);
}

static sfsistat on_mail(SMFICTX *ctx, char **arguments)
{
	struct connection *connection = connection_of(ctx);
	if (connection == NULL)
		return SMFIS_TEMPFAIL;
	session_mail(connection->session, str_of(arguments[0]));
	return go_on(connection, SMFIP_NR_MAIL);
}

static sfsistat on_rcpt(SMFICTX *ctx, char **arguments)
{
	struct connection *connection = connection_of(ctx);
	if (connection == NULL)
		return SMFIS_TEMPFAIL;
	session_rcpt(connection->session, str_of(arguments[0]));
	return go_on(connection, SMFIP_NR_RCPT);
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct connection *connection = connection_of(ctx);
	if (connection == NULL)
		return SMFIS_TEMPFAIL;
	session_header(connection->session, str_of(name), str_of(value));
	return go_on(connection, SMFIP_NR_HDR);
}

static sfsistat on_eoh(SMFICTX *ctx)
{
	struct connection *connection = connection_of(ctx);
	if (connection == NULL)
		return SMFIS_TEMPFAIL;
	session_eoh(connection->session);
	return go_on(connection, SMFIP_NR_EOH);
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t size)
{
	struct connection *connection = connection_of(ctx);
	if (connection == NULL)
		return SMFIS_TEMPFAIL;
	session_body(connection->session, str_from((const char *)chunk, size));
	return go_on(connection, SMFIP_NR_BODY);
}

static sfsistat on_abort(SMFICTX *ctx)
{
	struct connection *connection = connection_of(ctx);
	if (connection != NULL)
		session_abort(connection->session);
	return SMFIS_CONTINUE;
}

/* ---- the end of the message ---- */

static bool port_delete_field(void *context, const char *name, unsigned ordinal)
{
	return smfi_chgheader(context, (char *)(uintptr_t)name, (int)ordinal, NULL) == MI_SUCCESS;
}

static bool port_insert_field(void *context, const char *name, const char *value)
{
	return smfi_insheader(context, 0, (char *)(uintptr_t)name, (char *)(uintptr_t)value) == MI_SUCCESS;
}

/* Fails where it was not negotiated. */
static bool port_add_recipient(void *context, const char *address)
{
	return smfi_addrcpt(context, (char *)(uintptr_t)address) == MI_SUCCESS;
}

static bool port_quarantine(void *context, const char *reason)
{
	return smfi_quarantine(context, (char *)(uintptr_t)reason) == MI_SUCCESS;
}

static bool port_set_reply(void *context, const char *code, const char *enhanced_code, const char *text)
{
	return smfi_setreply(context, (char *)(uintptr_t)code, (char *)(uintptr_t)enhanced_code,
		       (char *)(uintptr_t)text) == MI_SUCCESS;
}

static sfsistat action_status(enum verdict_action action)
{
	switch (action) {
	case VERDICT_REJECT:
		return SMFIS_REJECT;
	case VERDICT_TEMPFAIL:
		return SMFIS_TEMPFAIL;
	case VERDICT_DISCARD:
		return SMFIS_DISCARD;
	case VERDICT_ACCEPT:
	case VERDICT_QUARANTINE:
		break;
	}
	return SMFIS_CONTINUE;
}

static sfsistat on_end(SMFICTX *ctx)
{
	struct connection *connection = connection_of(ctx);
	const struct verdict *verdict;
	if (connection == NULL)
		return SMFIS_TEMPFAIL;
	while (session_end(connection->session, &verdict) == SESSION_WAITING)
		connection_wait(connection, session_deadline(connection->session));
	struct effects_port port = {port_delete_field, port_insert_field, port_add_recipient, port_quarantine,
		port_set_reply, ctx, (connection->granted & SMFIP_HDR_LEADSPC) != 0};
	bool applied = effects_apply(&port, verdict);
	if (!applied) {
		service_count_event(libmilter->service, SERVICE_REPLY_LOST);
		verdict = session_internal_error(connection->session);
		effects_apply(&port, verdict);
	}
	sfsistat status = action_status(verdict->action);
	session_finish(connection->session, applied);
	return status;
}

/* ---- the service ---- */

static enum err libmilter_prepare(struct service *service, int listener)
{
	struct smfiDesc description = {
		.xxfi_name = (char *)(uintptr_t) "trimilter",
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_QUARANTINE | SMFIF_ADDRCPT | SMFIF_SETSYMLIST,
		.xxfi_connect = on_connect,
		.xxfi_helo = on_helo,
		.xxfi_envfrom = on_mail,
		.xxfi_envrcpt = on_rcpt,
		.xxfi_header = on_header,
		.xxfi_eoh = on_eoh,
		.xxfi_body = on_body,
		.xxfi_eom = on_end,
		.xxfi_abort = on_abort,
		.xxfi_close = on_close,
		.xxfi_negotiate = on_negotiate,
	};
	char socket[32];
	snprintf(socket, sizeof(socket), "fd:%d", listener);
	libmilter = calloc(1, sizeof(*libmilter));
	if (libmilter == NULL)
		return ERR_NOMEM;
	libmilter->service = service;
	libmilter->listener = listener;
	smfi_setmaxdatasize(WIRE_PACKET_MAX);
	if (smfi_register(description) != MI_SUCCESS || smfi_setconn(socket) != MI_SUCCESS ||
		smfi_setbacklog(SOMAXCONN) != MI_SUCCESS || smfi_opensocket(false) != MI_SUCCESS)
		return ERR_LIBRARY;
	return ERR_OK;
}

static void do_nothing(int number)
{
	(void)number;
}

/* A signal whose number nothing else uses is to interrupt poll() in this thread. */
static void let_be_woken(void)
{
	sigset_t set;
	sigaction(SIGRTMIN, &(struct sigaction){.sa_handler = do_nothing}, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	atomic_store(&libmilter->acceptor, pthread_self());
}

static enum err libmilter_run(void)
{
	let_be_woken();
	smfi_main();
	return ERR_LIBRARY;
}

/*
 * smfi_stop() would leave sessions unserved that wait for their MTA. So the library goes on listening, on a socket to
 * which nobody connects: it takes the place of the real one under the same number. That one is closed when the library
 * no longer waits in poll() for it, which it would do for five seconds.
 */
static enum err libmilter_stop_accepting(void)
{
	int nowhere = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr unnamed = {.sa_family = AF_UNIX};
	if (nowhere < 0)
		return ERR_IO;
	/* Binding to the bare family lets the kernel choose an abstract name. */
	bool done = bind(nowhere, &unnamed, sizeof(unnamed.sa_family)) == 0 && listen(nowhere, 1) == 0 &&
		    dup3(nowhere, libmilter->listener, O_CLOEXEC) >= 0;
	close(nowhere);
	pthread_t acceptor = atomic_load(&libmilter->acceptor);
	if (acceptor != 0)
		pthread_kill(acceptor, SIGRTMIN);
	return done ? ERR_OK : ERR_IO;
}

const struct front front_libmilter = {"libmilter", libmilter_prepare, libmilter_run, libmilter_stop_accepting};
