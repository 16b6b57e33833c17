/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One run of the accept loop: the connections being handled, and the end of their time. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/server.h"

#include "base/deadline_internal.h"
#include "net/address_internal.h"
#include "serve/stop_signals.h"
#include "sys/sys.h"
#include "wait/wait.h"

#include <string.h>

int nb__server_poll(const struct nb__server *server, struct pollfd *fds, nfds_t count,
                    nb_deadline by)
{
    return server->opens_signals ? nb__stop_signals_poll(fds, count, by) : nb__wait(fds, count, by);
}

void nb__server_lock(struct nb__server *server)
{
    (void)pthread_mutex_lock(&server->lock);
}

void nb__server_unlock(struct nb__server *server)
{
    (void)pthread_mutex_unlock(&server->lock);
}

nb_deadline nb__server_drain_end(const struct nb__server *server)
{
    int64_t stopped_at = atomic_load(&server->listener->stopped_at_ns);

    if (stopped_at != 0 && atomic_load(&server->listener->hurried))
        return (nb_deadline){0};
    if (stopped_at == 0 || server->options.drain_ms == NB_NO_LIMIT)
        return nb_forever();
    return nb__ms_after(stopped_at, server->options.drain_ms);
}

nb_deadline nb__server_drain_end_again(const struct nb__server *server, const struct pollfd *wake)
{
    if (wake->revents != 0)
        (void)nb__sys_wake_clear(server->listener->wake);
    return nb__server_drain_end(server);
}

static bool is_cancelled(const struct nb__handling *handling)
{
    return nb__conn_check(handling->conn, NB_SEND) == NB_CANCELLED;
}

/* The lock is held. */
static void await_cancellation(struct nb__server *server, const struct nb__handling *handling)
{
    while (handling->being_cancelled)
        (void)pthread_cond_wait(&server->cancelled, &server->lock);
}

/* Cancels a connection. The lock is held, but not meanwhile: the kernel may have to wait for a send
   that is copying. The work stays on the list until that is done. A thread that uses the connection, or one
   that is tied to it, beside its handler's may be doing so just now: then this returns when it has, and the
   handler may have ended the connection by then. */
static void cancel(struct nb__server *server, struct nb__handling *handling)
{
    await_cancellation(server, handling);
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

void nb__server_begin(struct nb__server *server, struct nb__handling *handling, nb_conn *conn)
{
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

nb_conn *nb__server_unlist(struct nb__server *server, struct nb__handling *handling)
{
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

nb_conn *nb__server_retire(struct nb__server *server, struct nb__handling *handling)
{
    nb_conn *conn;

    nb__server_lock(server);
    await_cancellation(server, handling);
    conn = handling->conn;
    handling->leaving = true;
    if (conn != NULL)
        nb__conn_set_owner(conn, NULL);
    nb__server_unlock(server);
    return conn;
}

nb_conn *nb__server_finish(struct nb__server *server, struct nb__handling *handling)
{
    nb_conn *conn;

    nb__server_lock(server);
    await_cancellation(server, handling);
    conn = nb__server_unlist(server, handling);
    nb__server_unlock(server);
    return conn;
}

nb_conn *nb__server_let_go(struct nb__server *server, struct nb__handling *handling)
{
    nb_conn *conn = NULL;

    nb__server_lock(server);
    await_cancellation(server, handling);
    if (!is_cancelled(handling))
        conn = nb__server_unlist(server, handling);
    nb__server_unlock(server);
    return conn;
}

nb_deadline nb__server_end_lives(struct nb__server *server)
{
    nb_deadline next = nb_forever();
    int64_t now;

    if (server->options.connection_ms == NB_NO_LIMIT)
        return next;
    now = nb__now_ns();
    /* Who begins later lives longer than this, so nobody needs to be told of it. */
    next = nb__ms_after(now, server->options.connection_ms);
    nb__server_lock(server);
    for (struct nb__handling *handling = server->oldest; handling != NULL;
         handling = handling->next) {
        if (handling->life.ns > now) {
            next = handling->life;
            break;
        }
        cancel(server, handling);
    }
    nb__server_unlock(server);
    return next;
}

void nb__server_cancel_all(struct nb__server *server)
{
    nb__server_lock(server);
    server->over = true;
    for (struct nb__handling *handling = server->oldest; handling != NULL;
         handling = handling->next)
        cancel(server, handling);
    nb__server_unlock(server);
}

bool nb__server_same_peer(const nb_conn *a, const nb_conn *b)
{
    if (a->peer_uid >= 0)
        return a->peer_uid == b->peer_uid;
    return nb__address_same_peer(&a->peer, &b->peer);
}

size_t nb__server_count_peer(const struct nb__server *server, const nb_conn *of)
{
    size_t count = 0;

    for (const struct nb__handling *handling = server->oldest; handling != NULL;
         handling = handling->next)
        count += handling->admitted && nb__server_same_peer(handling->conn, of);
    return count;
}
