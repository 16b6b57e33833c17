/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The accept loop in the calling thread: one handler after the other, no threads. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/deadline_internal.h"
#include "serve/engine.h"
#include "serve/events.h"
#include "serve/handler.h"
#include "serve/incoming.h"
#include "serve/linger.h"

#include <errno.h>

static void serve(struct nb__work *work, nb_conn *conn)
{
    nb__run_lock(work->run);
    nb__run_begin(work->run, work, conn);
    nb__run_unlock(work->run);
    (void)nb__handle(work, conn);
}

/* Serves the next one that comes, if there is one. */
static void serve_next(struct nb__work *work, struct pollfd *fds)
{
    struct nb__run *run = work->run;
    nb_conn *conn = nb__intake_next(run, fds, true);
    bool admitted;

    nb__intake_tell_news(run);
    if (conn == NULL)
        return;
    nb__run_lock(run);
    admitted = nb__intake_admit(run, conn);
    nb__run_unlock(run);
    if (admitted)
        serve(work, conn);
    else
        nb__intake_refuse(run, conn);
}

/* Serves those that were complete at the stop, and waits for those that linger. */
static void drain(struct nb__run *run, struct nb__work *work, struct pollfd *fds)
{
    nb_deadline end = nb__run_drain_end(run);
    nb_deadline retry;
    bool taken;

    nb__intake_stop(run);
    taken = nb__intake_rest(run, fds, &retry);
    nb__run_event(run, NB_EVENT_DRAINING, NB_OK, 0);
    while (!nb_expired(end)) {
        nb_conn *conn = nb__intake_queued(run);
        nb_deadline until = nb_after_ms(0); /* only a look at those that linger */
        int ready;

        if (conn != NULL)
            serve(work, conn);
        else if (taken && run->lingering == 0)
            break;
        else
            until = nb__earlier(end, retry);
        fds[0] = (struct pollfd){run->listener->wake[0], POLLIN, 0};
        ready = nb__linger_poll(run, fds, 1, until);
        end = nb__run_drain_end_again(run, &fds[0]);
        if (ready < 0 && ready != -EINTR) {
            run->broken = -ready;
            break;
        }
        if (!taken && nb_expired(retry))
            taken = nb__intake_rest(run, fds, &retry);
    }
    nb__intake_end(run);
    nb__intake_reset_queue(run);
    nb__linger_end_all(run);
}

void nb__loop_sequential(struct nb__run *run, struct pollfd *fds)
{
    struct nb__work work;

    nb__run_announce(run);
    nb__handle_prepare(&work, run, false);
    while (!nb__listener_stopped(run->listener))
        serve_next(&work, fds);
    drain(run, &work, fds);
}
