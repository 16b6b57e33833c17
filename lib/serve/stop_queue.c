/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The queue of the stop: connections accepted from the backlog that wait for a handler. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/stop_queue.h"

void nb__stop_queue_add(struct nb__server *server, nb_conn *conn)
{
    conn->next = NULL;
    nb__server_lock(server);
    if (server->queue_tail != NULL)
        server->queue_tail->next = conn;
    else
        server->queue_head = conn;
    server->queue_tail = conn;
    server->queued++;
    nb__server_unlock(server);
}

nb_conn *nb__stop_queue_take(struct nb__server *server)
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

void nb__stop_queue_reset(struct nb__server *server)
{
    nb_conn *conn;

    nb__server_lock(server);
    conn = server->queue_head;
    server->queue_head = server->queue_tail = NULL;
    server->queued = 0;
    nb__server_unlock(server);
    while (conn != NULL) {
        nb_conn *next = conn->next;

        nb__count_up(&server->listener->counters.unserved);
        nb_abort(conn);
        conn = next;
    }
}
