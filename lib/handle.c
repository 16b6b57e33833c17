/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One connection, from its handler to its end. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "handle.h"

#include "deadline_internal.h"
#include "events.h"
#include "linger.h"

#include <string.h>

/* The handler ends its connection itself. */
static void leave(struct nb__keeper *keeper, nb_conn *conn, nb_status how)
{
    struct nb__work *work = (struct nb__work *)keeper;

    (void)nb__run_finish(work->run, work);
    nb__run_event_of(work->run, NB_EVENT_CLOSED, conn, how);
}

/* The handler keeps its connection. */
static bool let_go(struct nb__keeper *keeper, nb_conn *conn)
{
    struct nb__work *work = (struct nb__work *)keeper;

    if (nb__run_let_go(work->run, work) == NULL)
        return false;
    nb__run_event_of(work->run, NB_EVENT_CLOSED, conn, NB_OK);
    return true;
}

/* How long a wait may last before it looks at the stop again. */
static nb_deadline next_look(const struct nb__run *run, int64_t now)
{
    int64_t slice_ms = run->options.drain_ms / 4;

    if (run->options.drain_ms == NB_NO_LIMIT)
        return nb_forever();
    return nb__ms_after(now, slice_ms > 0 ? slice_ms : 1);
}

static nb_deadline look(struct nb__keeper *keeper, nb_conn *conn, int64_t now, nb_deadline by)
{
    struct nb__work *work = (struct nb__work *)keeper;
    nb_deadline drain_end = nb__run_drain_end(work->run);

    if (drain_end.ns <= now)
        nb__run_cancel_all(work->run);
    else if (work->life.ns <= now)
        nb_cancel(conn);
    by = nb__earlier(by, nb__earlier(drain_end, work->life));
    return nb__earlier(by, next_look(work->run, now));
}

void nb__handle_prepare(struct nb__work *work, struct nb__run *run, bool watched)
{
    memset(work, 0, sizeof(*work));
    work->run = run;
    work->keeper.leave = leave;
    work->keeper.let_go = let_go;
    work->keeper.look = watched ? NULL : look;
}

/* Whether the peer may take what it got for the whole, given what the handler returned. */
static bool is_content(nb_status status)
{
    return status == NB_OK || status == NB_EOF;
}

/* Breaks off what must not look whole. */
static void reset(struct nb__run *run, struct nb__work *work, nb_status why)
{
    nb_conn *conn = nb__run_finish(run, work);

    nb__run_event_of(run, NB_EVENT_CLOSED, conn, why);
    nb_abort(conn);
}

bool nb__handle(struct nb__work *work, nb_conn *conn)
{
    struct nb__run *run = work->run;
    nb_status status;
    nb_conn *left;

    nb__run_event_of(run, NB_EVENT_ACCEPTED, conn, NB_OK);
    status = run->handler(conn, run->context);
    left = nb__run_retire(run, work);
    nb__count_down(&run->listener->counters.active);
    if (left == NULL)
        return false;
    if (is_content(status))
        return nb__linger(run, work);
    reset(run, work, status);
    return false;
}
