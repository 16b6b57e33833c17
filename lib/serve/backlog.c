/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The backlog at the stop: connections that were complete by then are accepted, others are
 *         reset. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/backlog.h"

#include "base/deadline_internal.h"
#include "serve/incoming.h"
#include "serve/stop_queue.h"
#include "sys/sys.h"

/* As many connections are taken from a backlog where the system does not tell its length. */
#define BACKLOG_MOST 4096

/* How many may still be taken from a socket's queue: as many as it holds now. A Unix socket does not
   tell, but when it is shut down for reading it refuses new connections, and can still be emptied. */
static size_t backlog_of(const struct nb__listen_socket *socket)
{
    int length;

    if (nb_address_family(&socket->address) == NB_FAMILY_UNIX && !socket->shared &&
        nb__sys_shutdown(socket->fd, SHUT_RD) == 0)
        return SIZE_MAX;
    length = nb__sys_queue_length(socket->fd);
    return length >= 0 ? (size_t)length : BACKLOG_MOST;
}

/* New connections may come faster than they can be taken, so that taking them until there are none
   could go on for ever. Those that come too late are reset when the socket is closed. */
void nb__backlog_measure(struct nb__server *server)
{
    nb__listener_hide(server->listener);
    for (size_t i = 0; i < server->listener->count; i++)
        server->backlog_left[i] = backlog_of(&server->listener->sockets[i]);
}

/* Takes one of those that a queue held. True when that has to be tried again later. */
static bool take_from_backlog(struct nb__server *server, const struct pollfd *ready,
                              size_t *backlog_left)
{
    nb_conn *conn;
    enum nb__accept_result tried = nb__incoming_try(server, ready, &conn);

    if (conn != NULL)
        nb__stop_queue_add(server, conn);
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

bool nb__backlog_take(struct nb__server *server, struct pollfd *fds, nb_deadline *retry)
{
    bool taken = take_backlog(server, fds);

    *retry = taken ? nb_forever() : nb_after_ms(server->accepting.backoff_ms);
    if (taken)
        nb__backlog_end(server);
    nb__incoming_report_events(server);
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

void nb__backlog_end(struct nb__server *server)
{
    nb_listener *listener = server->listener;

    for (size_t i = 0; i < listener->count; i++) {
        size_t left = still_waiting(&listener->sockets[i], server->backlog_left[i]);

        atomic_fetch_add(&listener->counters.unserved, left);
        server->backlog_left[i] = 0;
    }
    nb__listener_shut(listener);
}
