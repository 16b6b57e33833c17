/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The accept loop in the calling thread: one handler after the other, no threads. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/deadline_internal.h"
#include "serve/backlog.h"
#include "serve/engine.h"
#include "serve/events.h"
#include "serve/handler.h"
#include "serve/handling.h"
#include "serve/incoming.h"
#include "serve/linger.h"
#include "serve/stop_queue.h"

#include <errno.h>

static void serve(struct nb__handling *handling, nb_conn *conn)
{
    nb__server_lock(handling->server);
    nb__handling_begin(handling, conn);
    nb__server_unlock(handling->server);
    (void)nb__handler_run(handling);
}

/* Waits for the next connection, and serves it if there is one. */
static void serve_next(struct nb__handling *handling, struct pollfd *fds)
{
    struct nb__server *server = handling->server;
    nb_conn *conn = nb__incoming_next(server, fds, true);

    nb__incoming_report_events(server);
    if (conn != NULL)
        serve(handling, conn);
}

/* Serves the first connection of the stop's queue. False when there is none. */
static bool serve_queued(struct nb__handling *handling)
{
    struct nb__server *server = handling->server;
    nb_conn *conn;

    nb__server_lock(server);
    conn = nb__stop_queue_take(server);
    nb__server_unlock(server);
    if (conn != NULL)
        serve(handling, conn);
    return conn != NULL;
}

/* Serves the connections that completed before the stop, and waits for lingering ones. */
static void drain(struct nb__server *server, struct nb__handling *handling, struct pollfd *fds)
{
    nb_deadline end = nb__server_drain_end(server);
    nb_deadline retry;
    bool taken;

    nb__backlog_measure(server);
    taken = nb__backlog_take(server, fds, &retry);
    nb__event_of_loop(server, NB_EVENT_DRAINING, NB_OK, 0);
    while (!nb_expired(end)) {
        bool served = serve_queued(handling);
        nb_deadline until = served ? nb_after_ms(0) : nb__earlier(end, retry);
        int ready;

        if (!served && taken && server->lingering == 0)
            break;
        fds[0] = (struct pollfd){server->listener->wake[0], POLLIN, 0};
        ready = nb__linger_poll(server, fds, 1, until);
        end = nb__server_drain_end_again(server, &fds[0]);
        if (ready < 0 && ready != -EINTR) {
            server->broken = -ready;
            break;
        }
        if (!taken && nb_expired(retry))
            taken = nb__backlog_take(server, fds, &retry);
    }
    nb__backlog_end(server);
    nb__stop_queue_reset(server);
    nb__linger_end_all(server);
}

void nb__engine_inline(struct nb__server *server, struct pollfd *fds)
{
    struct nb__handling handling;

    nb__event_listening(server);
    nb__handler_prepare(&handling, server, false);
    while (!nb__listener_stopped(server->listener))
        serve_next(&handling, fds);
    drain(server, &handling, fds);
}
