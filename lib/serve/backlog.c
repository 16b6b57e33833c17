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

/* How many connections are accepted from a queue if the system does not tell its length. */
#define BACKLOG_MOST 4096

/* How many may still be accepted from a socket: as many as its queue holds now. The length is not
   known for a Unix socket, but after a shutdown for reading it refuses new connections, and can
   still be emptied. */
static size_t backlog_of(const struct nb__listen_socket *socket)
{
    int length;

    if (nb_address_family(&socket->address) == NB_FAMILY_UNIX && !socket->shared &&
        nb__sys_shutdown(socket->fd, SHUT_RD) == 0)
        return SIZE_MAX;
    length = nb__sys_queue_length(socket->fd);
    return length >= 0 ? (size_t)length : BACKLOG_MOST;
}

/* New connections may come faster than they are accepted, so that accepting until the queue is
   empty could go on for ever. Those that come too late are reset when the socket is closed. */
void nb__backlog_measure(struct nb__server *server)
{
    nb__listener_hide(server->listener);
    for (size_t i = 0; i < server->listener->count; i++)
        server->backlog_left[i] = backlog_of(&server->listener->sockets[i]);
}

/* Accepts one of those that a queue held. True when it has to be tried again later. */
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

/* Accepts them from all sockets. False when that has to go on later. */
static bool take_backlog(struct nb__server *server, struct pollfd *fds)
{
    size_t watched = nb__accept_watch(server->listener, fds);

    for (size_t i = 1; i < watched; i++) {
        size_t *backlog_left = &server->backlog_left[i - 1];

        fds[i].revents = POLLIN; /* only from this socket */
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

/* How many of those that a queue held are still in it; 0 if the system does not tell. (To count
   those of a Unix socket they would have to be accepted, but then they would see an end instead of
   a reset.) */
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
