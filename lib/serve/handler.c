/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One connection, from its prologue to its end. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/handler.h"

#include "base/deadline_internal.h"
#include "conn/cancel.h"
#include "serve/events.h"
#include "serve/handling.h"
#include "serve/linger.h"
#include "serve/prologue.h"
#include "sys/sys.h"

#include <string.h>

/* How long after the start of its handler a client may take to send its first byte while the server
   stops. */
#define FIRST_WORD_MS 1000

/* The handler ends its connection itself. */
static void leave(struct nb__conn_owner *owner, nb_conn *conn, nb_status how)
{
    struct nb__handling *handling = (struct nb__handling *)owner;

    (void)nb__handling_finish(handling);
    nb__event_of_conn(handling->server, NB_EVENT_CLOSED, conn, how);
}

/* The handler keeps its connection. */
static bool let_go(struct nb__conn_owner *owner, nb_conn *conn)
{
    struct nb__handling *handling = (struct nb__handling *)owner;

    if (nb__handling_let_go(handling) == NULL)
        return false;
    nb__event_of_conn(handling->server, NB_EVENT_CLOSED, conn, NB_OK);
    return true;
}

/* An idle connection also waits for the stop. One that has not sent a byte yet gets a moment to do
   so: it came in time. */
static nb_status heed_stop(const struct nb__handling *handling, const nb_conn *conn,
                           struct nb__wait_bounds *bounds)
{
    const nb_listener *listener = handling->server->listener;
    nb_deadline first_word = nb__ms_after(handling->begun_ns, FIRST_WORD_MS);

    if (!nb__listener_stopped(listener)) {
        bounds->fd = listener->stop[0];
        return NB_OK;
    }
    if (nb__conn_come(conn) > 0 || first_word.ns <= bounds->now_ns)
        return NB_STOPPING;
    bounds->until = nb__earlier(bounds->until, first_word);
    return NB_OK;
}

/* During the drain, which the listener's wakeup may shorten. */
static void watch_drain(const struct nb__handling *handling, struct nb__wait_bounds *bounds)
{
    const nb_listener *listener = handling->server->listener;
    nb_deadline end;

    if (bounds->fd_ready)
        (void)nb__sys_wake_clear(listener->wake);
    end = nb__server_drain_end(handling->server);
    if (end.ns <= bounds->now_ns)
        nb__handling_cancel_all(handling->server);
    else
        bounds->until = nb__earlier(bounds->until, end);
    bounds->fd = listener->wake[0];
}

/* Ends the connection's time if no other thread does: while the inline engine's handler waits,
   nothing else checks the stop and the clock. The waiting connection may be tied to one that its
   handler has just ended or detached, so that only the run knows whether there is still something
   to cancel. */
static void watch(const struct nb__handling *handling, struct nb__wait_bounds *bounds)
{
    const nb_listener *listener = handling->server->listener;

    bounds->fd = listener->stop[0];
    if (nb__listener_stopped(listener))
        watch_drain(handling, bounds);
    if (handling->life.ns <= bounds->now_ns)
        (void)nb__handling_end_lives(handling->server);
    else
        bounds->until = nb__earlier(bounds->until, handling->life);
}

__attribute__((cold)) static nb_status look_closely(struct nb__handling *handling, nb_conn *conn,
                                                    struct nb__wait_bounds *bounds)
{
    const nb_listener *listener = handling->server->listener;
    nb_status status = NB_OK;

    if (bounds->fd_ready)
        nb__listener_wake_clear(listener, listener->stop);
    if (bounds->idle)
        status = heed_stop(handling, conn, bounds);
    if (handling->owner.before_every_wait)
        watch(handling, bounds);
    return status;
}

/* Nearly always there is nothing to do: this is the fast path. */
static nb_status look(struct nb__conn_owner *owner, nb_conn *conn, struct nb__wait_bounds *bounds)
{
    struct nb__handling *handling = (struct nb__handling *)owner;
    const nb_listener *listener = handling->server->listener;

    bounds->soon = handling->impatient;
    if (bounds->idle || bounds->fd_ready || nb__listener_stopped(listener) ||
        handling->life.ns <= bounds->now_ns)
        return look_closely(handling, conn, bounds);
    bounds->fd = listener->stop[0];
    bounds->until = nb__earlier(bounds->until, handling->life);
    return NB_OK;
}

/* The end of the drain may be noticed late by a quarter of its time, and a socket's timer may take
   200 ms. */
static bool is_impatient(const struct nb__server *server)
{
    return server->options.drain_ms != NB_NO_LIMIT && server->options.drain_ms / 4 < 200;
}

void nb__handler_prepare(struct nb__handling *handling, struct nb__server *server, bool supervised)
{
    memset(handling, 0, sizeof(*handling));
    handling->server = server;
    handling->owner.on_close = leave;
    handling->owner.on_detach = let_go;
    handling->owner.before_wait = look;
    handling->owner.before_every_wait = !supervised;
    handling->impatient = !supervised && is_impatient(server);
}

/* Whether the stream may look complete to the peer, given what the handler returned. */
static bool is_content(const nb_conn *conn, nb_status status)
{
    switch (status) {
    case NB_OK:
    case NB_EOF:
    case NB_STOPPING:
        return true;
    case NB_TIMEOUT: /* no request came */
        return nb__conn_is_idle(conn);
    default:
        return false;
    }
}

/* Resets a stream that must not look complete. */
static void reset(struct nb__server *server, struct nb__handling *handling, nb_status why)
{
    nb_conn *conn = nb__handling_finish(handling);

    nb__event_of_conn(server, NB_EVENT_CLOSED, conn, why);
    nb_abort(conn);
}

bool nb__handler_run(struct nb__handling *handling)
{
    struct nb__server *server = handling->server;
    nb_status status;
    nb_conn *left;

    if (!nb__prologue(handling))
        return false;
    status = server->handler(handling->conn, server->context);
    left = nb__handling_retire(handling);
    nb__count_down(&server->listener->counters.active);
    if (left == NULL)
        return false;
    nb__conn_untie(left);
    if (is_content(left, status))
        return nb__linger(server, handling);
    reset(server, handling, status);
    return false;
}
