/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One connection, from its handler to its end. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/handler.h"

#include "base/deadline_internal.h"
#include "conn/cancel.h"
#include "serve/events.h"
#include "serve/linger.h"
#include "sys/sys.h"

#include <string.h>

/* How long after the start of its handler a client may take to say its first word while the server
   stops. */
#define FIRST_WORD_MS 1000

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

/* What a connection between two requests has to heed: the stop. One that has not spoken yet has a moment
   for its first word: it came in time. */
static nb_status heed_stop(const struct nb__work *work, const nb_conn *conn,
                           struct nb__outlook *outlook)
{
    const nb_listener *listener = work->run->listener;
    nb_deadline first_word = nb__ms_after(work->begun_ns, FIRST_WORD_MS);

    if (!nb__listener_stopped(listener)) {
        outlook->fd = listener->stop[0];
        return NB_OK;
    }
    if (nb__conn_come(conn) > 0 || first_word.ns <= outlook->now_ns)
        return NB_STOPPING;
    outlook->until = nb__earlier(outlook->until, first_word);
    return NB_OK;
}

/* During the drain, which is over sooner when somebody rings. */
static void watch_drain(const struct nb__work *work, struct nb__outlook *outlook)
{
    const nb_listener *listener = work->run->listener;
    nb_deadline end;

    if (outlook->rung)
        (void)nb__sys_wake_clear(listener->wake);
    end = nb__run_drain_end(work->run);
    if (end.ns <= outlook->now_ns)
        nb__run_cancel_all(work->run);
    else
        outlook->until = nb__earlier(outlook->until, end);
    outlook->fd = listener->wake[0];
}

/* Ends the connection's time where nobody else does: in the thread that accepts, no one looks at the stop
   and at the clock meanwhile. Who looks may have been tied to one that its handler has just ended or kept, so
   that only the run knows whether there is still something to cancel. */
static void watch(const struct nb__work *work, struct nb__outlook *outlook)
{
    const nb_listener *listener = work->run->listener;

    outlook->fd = listener->stop[0];
    if (nb__listener_stopped(listener))
        watch_drain(work, outlook);
    if (work->life.ns <= outlook->now_ns)
        (void)nb__run_end_lives(work->run);
    else
        outlook->until = nb__earlier(outlook->until, work->life);
}

__attribute__((cold)) static nb_status look_closely(struct nb__work *work, nb_conn *conn,
                                                    struct nb__outlook *outlook)
{
    const nb_listener *listener = work->run->listener;
    nb_status status = NB_OK;

    if (outlook->rung)
        nb__listener_wake_clear(listener, listener->stop);
    if (outlook->idle)
        status = heed_stop(work, conn, outlook);
    if (work->keeper.watches)
        watch(work, outlook);
    return status;
}

/* Nearly always there is nothing to see: that way leads past the rest. */
static nb_status look(struct nb__keeper *keeper, nb_conn *conn, struct nb__outlook *outlook)
{
    struct nb__work *work = (struct nb__work *)keeper;
    const nb_listener *listener = work->run->listener;

    outlook->soon = work->impatient;
    if (outlook->idle || outlook->rung || nb__listener_stopped(listener) ||
        work->life.ns <= outlook->now_ns)
        return look_closely(work, conn, outlook);
    outlook->fd = listener->stop[0];
    outlook->until = nb__earlier(outlook->until, work->life);
    return NB_OK;
}

/* The end of the drain may be noticed a quarter of its time late, and a timer of the socket may take a
   fifth of a second. */
static bool is_impatient(const struct nb__run *run)
{
    return run->options.drain_ms != NB_NO_LIMIT && run->options.drain_ms / 4 < 200;
}

void nb__handle_prepare(struct nb__work *work, struct nb__run *run, bool watched)
{
    memset(work, 0, sizeof(*work));
    work->run = run;
    work->keeper.leave = leave;
    work->keeper.let_go = let_go;
    work->keeper.look = look;
    work->keeper.watches = !watched;
    work->impatient = !watched && is_impatient(run);
}

/* Whether the peer may take what it got for the whole, given what the handler returned. */
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
    nb__conn_untie(left);
    if (is_content(left, status))
        return nb__linger(run, work);
    reset(run, work, status);
    return false;
}
