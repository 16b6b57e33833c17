/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief How connections come into the accept loop, until the stop and at the stop. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/incoming.h"

#include "base/deadline_internal.h"
#include "serve/events.h"
#include "serve/linger.h"
#include "sys/sys.h"
#include "wait/wait.h"

#include <errno.h>

/* As many connections are taken from a queue after the stop where the system does not tell its
   length. */
#define QUEUE_MOST 4096

/* Notes that a shortage has begun or is over: odd is a number of changes during one. */
static void note_shortage(struct nb__server *server, int system_error)
{
    bool shortage = server->accepting.backoff_ms > 0;
    unsigned changes = atomic_load(&server->shortage_changes);

    if (shortage == (changes % 2 != 0))
        return;
    if (shortage)
        atomic_store(&server->shortage_error, system_error);
    atomic_store(&server->shortage_changes, changes + 1);
}

static bool has_untold_shortage(const struct nb__server *server)
{
    return atomic_load(&server->shortage_changes) != atomic_load(&server->shortages_told);
}

bool nb__incoming_has_news(const struct nb__server *server)
{
    return has_untold_shortage(server) || nb__linger_has_news(server);
}

void nb__incoming_tell_news(struct nb__server *server)
{
    while (has_untold_shortage(server)) {
        bool begins = atomic_fetch_add(&server->shortages_told, 1) % 2 == 0;
        int system_error = begins ? atomic_load(&server->shortage_error) : 0;

        if (begins)
            nb__event_of_loop(server, NB_EVENT_ACCEPT_BACKING_OFF, nb__accept_status(system_error),
                              system_error);
        else
            nb__event_of_loop(server, NB_EVENT_ACCEPT_RECOVERED, NB_OK, 0);
    }
    nb__linger_tell_news(server);
}

static enum nb__accept_result note_outcome(struct nb__server *server, enum nb__accept_result tried,
                                           int system_error)
{
    note_shortage(server, system_error);
    if (tried == NB__ACCEPT_BROKEN)
        server->broken = system_error;
    return tried;
}

bool nb__admit(struct nb__server *server, const nb_conn *conn)
{
    if (server->options.max_per_peer != NB_NO_LIMIT &&
        nb__server_count_peer(server, conn) + nb__linger_count_peer(server, conn) >=
            (uint64_t)server->options.max_per_peer) {
        nb__count_up(&server->listener->counters.refused);
        return false;
    }
    nb__count_up(&server->listener->counters.accepted);
    return true;
}

void nb__admit_refuse(struct nb__server *server, nb_conn *conn)
{
    nb_event event = nb__event_describe(NB_EVENT_REFUSED, conn, NB_OK);

    nb_abort(conn); /* whoever hears of it may take a while */
    nb__event_report(server, &event);
}

static bool is_want_of_descriptors(enum nb__accept_result tried, int system_error)
{
    return tried == NB__ACCEPT_SHORTAGE && (system_error == EMFILE || system_error == ENFILE);
}

static bool make_room(struct nb__server *server)
{
    bool made = nb__linger_make_room(server);

    server->made_room += made;
    return made;
}

/* Tries to accept. In want of descriptors those that linger give up theirs, the oldest first. */
static enum nb__accept_result try_listener(struct nb__server *server, const struct pollfd *ready,
                                           int *system_error)
{
    struct nb__accepting before = server->accepting;
    enum nb__accept_result tried;

    do {
        server->accepting = before;
        tried = nb__accept_try(server->listener, &server->accepting, ready, server->spare,
                               system_error);
    } while (is_want_of_descriptors(tried, *system_error) && make_room(server));
    return tried;
}

/* Who the peer of a Unix socket is, where that matters; -1 when the system does not tell. */
static int64_t user_of(const struct nb__server *server, const nb_conn *conn)
{
    int64_t pid;
    int64_t uid;
    int64_t gid;

    if (server->options.max_per_peer == NB_NO_LIMIT ||
        nb_address_family(&conn->peer) != NB_FAMILY_UNIX ||
        nb__sys_peer_credentials(conn->waitable.fd, &pid, &uid, &gid) < 0)
        return -1;
    return uid;
}

/* Tries to accept, into memory that is there before: *out is the connection or NULL. */
static enum nb__accept_result try_accept(struct nb__server *server, const struct pollfd *ready,
                                         nb_conn **out)
{
    int system_error = ENOMEM;
    enum nb__accept_result tried;

    *out = NULL;
    if (server->spare == NULL)
        server->spare = nb__conn_new();
    if (server->spare == NULL)
        tried = nb__accept_failed(server->listener, &server->accepting, system_error);
    else
        tried = try_listener(server, ready, &system_error);
    (void)note_outcome(server, tried, system_error);
    if (tried == NB__ACCEPT_DONE) {
        *out = server->spare;
        server->spare = NULL;
        (*out)->id = ++server->last_id;
        (*out)->accepted_ns = nb__now_ns();
        (*out)->peer_uid = user_of(server, *out);
    }
    return tried;
}

/* Waits for something to accept, or for the end of a shortage: what to try then. */
static enum nb__accept_result await_and_try(struct nb__server *server, struct pollfd *fds,
                                            bool tend, nb_conn **out)
{
    bool shortage = server->accepting.backoff_ms > 0;
    nb_deadline until = nb__accept_retry(&server->accepting);
    size_t count = nb__accept_watch(server->listener, fds);
    int ready;

    *out = NULL;
    if (shortage)
        count = 1; /* the stop alone */
    ready = tend ? nb__linger_poll(server, fds, count, until) : nb__wait(fds, (nfds_t)count, until);
    if (ready < 0 && ready != -EINTR)
        return note_outcome(
            server, nb__accept_poll_failed(server->listener, &server->accepting, -ready), -ready);
    if (ready > 0 && fds[0].revents != 0)
        nb__listener_wake_clear(server->listener, server->listener->wake);
    if (nb__listener_stopped(server->listener) || (ready <= 0 && !shortage))
        return NB__ACCEPT_NOTHING;
    return try_accept(server, shortage ? NULL : fds + 1, out);
}

/* How much there has been to tell of so far. */
static uint64_t count_news(const struct nb__server *server)
{
    return atomic_load(&server->shortage_changes) + server->made_room;
}

nb_conn *nb__incoming_next(struct nb__server *server, struct pollfd *fds, bool tend)
{
    uint64_t before = count_news(server);
    nb_conn *conn = NULL;

    while (conn == NULL && count_news(server) == before &&
           !nb__listener_stopped(server->listener)) {
        if (await_and_try(server, fds, tend, &conn) == NB__ACCEPT_BROKEN)
            nb_listener_stop(server->listener);
    }
    return conn;
}

/* How many may still be taken from a socket's queue: as many as it holds now. A Unix socket does not
   tell, but when it is shut down for reading it refuses whoever is new, and can still be emptied. */
static size_t backlog_of(const struct nb__listen_socket *socket)
{
    int length;

    if (nb_address_family(&socket->address) == NB_FAMILY_UNIX && !socket->shared &&
        nb__sys_shutdown(socket->fd, SHUT_RD) == 0)
        return SIZE_MAX;
    length = nb__sys_queue_length(socket->fd);
    return length >= 0 ? (size_t)length : QUEUE_MOST;
}

/* New connections may come faster than they can be taken, so that taking them until there are none
   could go on for ever. Those that come too late are reset when the socket is closed. */
void nb__incoming_stop(struct nb__server *server)
{
    nb__listener_hide(server->listener);
    for (size_t i = 0; i < server->listener->count; i++)
        server->backlog_left[i] = backlog_of(&server->listener->sockets[i]);
}

/* Queues a connection, unless its peer has too many. */
static void enqueue(struct nb__server *server, nb_conn *conn)
{
    bool admitted;

    nb__server_lock(server);
    admitted = nb__admit(server, conn);
    if (admitted)
        nb__server_enqueue(server, conn);
    nb__server_unlock(server);
    if (!admitted)
        nb__admit_refuse(server, conn);
}

/* Takes one of those that a queue held. True when that has to be tried again later. */
static bool take_from_backlog(struct nb__server *server, const struct pollfd *ready,
                              size_t *backlog_left)
{
    nb_conn *conn;
    enum nb__accept_result tried = try_accept(server, ready, &conn);

    if (conn != NULL)
        enqueue(server, conn);
    if (tried == NB__ACCEPT_NOTHING)
        *backlog_left = 0;
    if (tried == NB__ACCEPT_DONE || tried == NB__ACCEPT_LOST)
        *backlog_left -= 1;
    return tried == NB__ACCEPT_INTERRUPTED || server->accepting.backoff_ms > 0;
}

/* Takes them from all sockets. False when that has to go on later. */
static bool take_backlog(struct nb__server *server, struct pollfd *fds)
{
    size_t watched = nb__accept_watch(server->listener, fds);

    for (size_t i = 1; i < watched; i++) {
        size_t *backlog_left = &server->backlog_left[i - 1];

        fds[i].revents = POLLIN; /* from this socket alone */
        while (*backlog_left > 0 && server->broken == 0) {
            if (take_from_backlog(server, fds + 1, backlog_left))
                return false;
        }
        fds[i].revents = 0;
    }
    return true;
}

bool nb__incoming_drain_backlog(struct nb__server *server, struct pollfd *fds, nb_deadline *retry)
{
    bool taken = take_backlog(server, fds);

    *retry = taken ? nb_forever() : nb_after_ms(server->accepting.backoff_ms);
    if (taken)
        nb__incoming_end(server);
    nb__incoming_tell_news(server);
    return taken;
}

/* How many still wait of those that a queue held; none where the system does not tell. (Who waits at a
   Unix socket could be accepted to be counted, but would then see an end instead of a reset.) */
static size_t still_waiting(const struct nb__listen_socket *socket, size_t backlog_left)
{
    int length = backlog_left > 0 ? nb__sys_queue_length(socket->fd) : 0;
    size_t waiting = length > 0 ? (size_t)length : 0;

    return waiting < backlog_left ? waiting : backlog_left;
}

void nb__incoming_end(struct nb__server *server)
{
    nb_listener *listener = server->listener;

    for (size_t i = 0; i < listener->count; i++) {
        size_t left = still_waiting(&listener->sockets[i], server->backlog_left[i]);

        atomic_fetch_add(&listener->counters.unserved, left);
        server->backlog_left[i] = 0;
    }
    nb__listener_shut(listener);
}

nb_conn *nb__incoming_queued(struct nb__server *server)
{
    nb_conn *conn;

    nb__server_lock(server);
    conn = nb__server_dequeue(server);
    nb__server_unlock(server);
    return conn;
}

void nb__incoming_reset_queue(struct nb__server *server)
{
    nb_conn *conn;

    while ((conn = nb__incoming_queued(server)) != NULL) {
        nb__count_up(&server->listener->counters.unserved);
        nb__event_of_conn(server, NB_EVENT_ACCEPTED, conn, NB_OK);
        nb__event_of_conn(server, NB_EVENT_CLOSED, conn, NB_CANCELLED);
        nb_abort(conn);
    }
}
