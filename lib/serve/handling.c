/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The connections that are being handled: their list, and the end of their time. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/handling.h"

#include "base/deadline_internal.h"

static bool is_cancelled(const struct nb__handling *handling)
{
    return nb__conn_check(handling->conn, NB_SEND) == NB_CANCELLED;
}

/* The lock is held. */
static void await_cancellation(const struct nb__handling *handling)
{
    while (handling->being_cancelled)
        (void)pthread_cond_wait(&handling->server->cancelled, &handling->server->lock);
}

/* Cancels a connection. The lock is held before and after, but not meanwhile: cancelling can block
   while the kernel finishes copying a send. The connection stays on the list until that is done. If
   another thread is cancelling it already, this waits for that, and the handler may have ended the
   connection by then. */
static void cancel(struct nb__handling *handling)
{
    struct nb__server *server = handling->server;

    await_cancellation(handling);
    if (handling->conn == NULL || handling->leaving || is_cancelled(handling))
        return;
    if (server->over && handling->admitted) /* others count as unserved */
        nb__count_up(&server->listener->counters.forced);
    handling->being_cancelled = true;
    nb__server_unlock(server);
    nb_cancel(handling->conn);
    nb__server_lock(server);
    handling->being_cancelled = false;
    (void)pthread_cond_broadcast(&server->cancelled);
}

void nb__handling_begin(struct nb__handling *handling, nb_conn *conn)
{
    struct nb__server *server = handling->server;

    nb__conn_set_owner(conn, &handling->owner);
    handling->conn = conn;
    handling->admitted = false;
    handling->leaving = false;
    handling->begun_ns = nb__now_ns();
    handling->life = server->options.connection_ms == NB_NO_LIMIT
                         ? nb_forever()
                         : nb__ms_after(handling->begun_ns, server->options.connection_ms);
    handling->prev = server->newest;
    handling->next = NULL;
    if (server->newest != NULL)
        server->newest->next = handling;
    else
        server->oldest = handling;
    server->newest = handling;
}

nb_conn *nb__handling_unlist(struct nb__handling *handling)
{
    struct nb__server *server = handling->server;
    nb_conn *conn = handling->conn;

    if (handling->prev != NULL)
        handling->prev->next = handling->next;
    else
        server->oldest = handling->next;
    if (handling->next != NULL)
        handling->next->prev = handling->prev;
    else
        server->newest = handling->prev;
    handling->conn = NULL;
    nb__conn_set_owner(conn, NULL);
    return conn;
}

nb_conn *nb__handling_retire(struct nb__handling *handling)
{
    struct nb__server *server = handling->server;
    nb_conn *conn;

    nb__server_lock(server);
    await_cancellation(handling);
    conn = handling->conn;
    handling->leaving = true;
    if (conn != NULL)
        nb__conn_set_owner(conn, NULL);
    nb__server_unlock(server);
    return conn;
}

nb_conn *nb__handling_finish(struct nb__handling *handling)
{
    struct nb__server *server = handling->server;
    nb_conn *conn;

    nb__server_lock(server);
    await_cancellation(handling);
    conn = nb__handling_unlist(handling);
    nb__server_unlock(server);
    return conn;
}

nb_conn *nb__handling_let_go(struct nb__handling *handling)
{
    struct nb__server *server = handling->server;
    nb_conn *conn = NULL;

    nb__server_lock(server);
    await_cancellation(handling);
    if (!is_cancelled(handling))
        conn = nb__handling_unlist(handling);
    nb__server_unlock(server);
    return conn;
}

nb_deadline nb__handling_end_lives(struct nb__server *server)
{
    nb_deadline next = nb_forever();
    int64_t now;

    if (server->options.connection_ms == NB_NO_LIMIT)
        return next;
    now = nb__now_ns();
    /* A connection that begins later ends later than this. */
    next = nb__ms_after(now, server->options.connection_ms);
    nb__server_lock(server);
    for (struct nb__handling *handling = server->oldest; handling != NULL;
         handling = handling->next) {
        if (handling->life.ns > now) {
            next = handling->life;
            break;
        }
        cancel(handling);
    }
    nb__server_unlock(server);
    return next;
}

void nb__handling_cancel_all(struct nb__server *server)
{
    nb__server_lock(server);
    server->over = true;
    for (struct nb__handling *handling = server->oldest; handling != NULL;
         handling = handling->next)
        cancel(handling);
    nb__server_unlock(server);
}

size_t nb__handling_count_peer(const struct nb__server *server, const nb_conn *of)
{
    size_t count = 0;

    for (const struct nb__handling *handling = server->oldest; handling != NULL;
         handling = handling->next)
        count += handling->admitted && nb__server_same_peer(handling->conn, of);
    return count;
}
