/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The queue of the stop: connections accepted from the backlog that wait for a handler. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/stop_queue.h"

#include "serve/events.h"

void nb__stop_queue_add(struct nb__server *server, nb_conn *conn)
{
    conn->next = NULL;
    if (server->queue_tail != NULL)
        server->queue_tail->next = conn;
    else
        server->queue_head = conn;
    server->queue_tail = conn;
    server->queued++;
}

nb_conn *nb__stop_queue_take_locked(struct nb__server *server)
{
    nb_conn *conn = server->queue_head;

    if (conn == NULL)
        return NULL;
    server->queue_head = conn->next;
    if (server->queue_head == NULL)
        server->queue_tail = NULL;
    server->queued--;
    return conn;
}

nb_conn *nb__stop_queue_take(struct nb__server *server)
{
    nb_conn *conn;

    nb__server_lock(server);
    conn = nb__stop_queue_take_locked(server);
    nb__server_unlock(server);
    return conn;
}

void nb__stop_queue_reset(struct nb__server *server)
{
    nb_conn *conn;

    while ((conn = nb__stop_queue_take(server)) != NULL) {
        nb__count_up(&server->listener->counters.unserved);
        nb__event_of_conn(server, NB_EVENT_ACCEPTED, conn, NB_OK);
        nb__event_of_conn(server, NB_EVENT_CLOSED, conn, NB_CANCELLED);
        nb_abort(conn);
    }
}

size_t nb__stop_queue_count_peer(const struct nb__server *server, const nb_conn *of)
{
    size_t count = 0;

    for (const nb_conn *conn = server->queue_head; conn != NULL; conn = conn->next)
        count += nb__server_same_peer(conn, of);
    return count;
}
