/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One run of the accept loop: events, the connections being handled, the queue of the stop. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/server.h"

#include "base/deadline_internal.h"
#include "net/address_internal.h"
#include "serve/stop_signals.h"
#include "sys/sys.h"

#include <string.h>

int nb__run_poll(const struct nb__run *run, struct pollfd *fds, nfds_t count, nb_deadline by)
{
    return run->opens_signals ? nb__signals_poll(fds, count, by) : nb__sys_poll(fds, count, by);
}

void nb__run_lock(struct nb__run *run)
{
    (void)pthread_mutex_lock(&run->lock);
}

void nb__run_unlock(struct nb__run *run)
{
    (void)pthread_mutex_unlock(&run->lock);
}

nb_deadline nb__run_drain_end(const struct nb__run *run)
{
    int64_t stopped_at = atomic_load(&run->listener->stopped_at_ns);

    if (stopped_at != 0 && atomic_load(&run->listener->hurried))
        return (nb_deadline){0};
    if (stopped_at == 0 || run->options.drain_ms == NB_NO_LIMIT)
        return nb_forever();
    return nb__ms_after(stopped_at, run->options.drain_ms);
}

nb_deadline nb__run_drain_end_again(const struct nb__run *run, const struct pollfd *wake)
{
    if (wake->revents != 0)
        (void)nb__sys_wake_clear(run->listener->wake);
    return nb__run_drain_end(run);
}

/* The lock is held. */
static void note_active(struct nb__counters *counters)
{
    uint64_t active = atomic_fetch_add(&counters->active, 1) + 1;

    if (active > atomic_load(&counters->peak))
        atomic_store(&counters->peak, active);
}

static bool is_cancelled(const struct nb__work *work)
{
    return nb__conn_check(work->conn, NB_SEND) == NB_CANCELLED;
}

/* The lock is held. */
static void await_cancellation(struct nb__run *run, const struct nb__work *work)
{
    while (work->being_cancelled)
        (void)pthread_cond_wait(&run->cancelled, &run->lock);
}

/* Cancels a connection. The lock is held, but not meanwhile: the kernel may have to wait for a send
   that is copying. The work stays on the list until that is done. A thread that uses the connection, or one
   that is tied to it, beside its handler's may be doing so just now: then this returns when it has, and the
   handler may have ended the connection by then. */
static void cancel(struct nb__run *run, struct nb__work *work)
{
    await_cancellation(run, work);
    if (work->conn == NULL || work->leaving || is_cancelled(work))
        return;
    if (run->over)
        nb__count_up(&run->listener->counters.forced);
    work->being_cancelled = true;
    nb__run_unlock(run);
    nb_cancel(work->conn);
    nb__run_lock(run);
    work->being_cancelled = false;
    (void)pthread_cond_broadcast(&run->cancelled);
}

void nb__run_begin(struct nb__run *run, struct nb__work *work, nb_conn *conn)
{
    note_active(&run->listener->counters);
    nb__conn_keep(conn, &work->keeper);
    work->conn = conn;
    work->leaving = false;
    work->begun_ns = nb__now_ns();
    work->life = run->options.connection_ms == NB_NO_LIMIT
                     ? nb_forever()
                     : nb__ms_after(work->begun_ns, run->options.connection_ms);
    work->prev = run->newest;
    work->next = NULL;
    if (run->newest != NULL)
        run->newest->next = work;
    else
        run->oldest = work;
    run->newest = work;
}

nb_conn *nb__run_unlist(struct nb__run *run, struct nb__work *work)
{
    nb_conn *conn = work->conn;

    if (work->prev != NULL)
        work->prev->next = work->next;
    else
        run->oldest = work->next;
    if (work->next != NULL)
        work->next->prev = work->prev;
    else
        run->newest = work->prev;
    work->conn = NULL;
    nb__conn_keep(conn, NULL);
    return conn;
}

nb_conn *nb__run_retire(struct nb__run *run, struct nb__work *work)
{
    nb_conn *conn;

    nb__run_lock(run);
    await_cancellation(run, work);
    conn = work->conn;
    work->leaving = true;
    if (conn != NULL)
        nb__conn_keep(conn, NULL);
    nb__run_unlock(run);
    return conn;
}

nb_conn *nb__run_finish(struct nb__run *run, struct nb__work *work)
{
    nb_conn *conn;

    nb__run_lock(run);
    await_cancellation(run, work);
    conn = nb__run_unlist(run, work);
    nb__run_unlock(run);
    return conn;
}

nb_conn *nb__run_let_go(struct nb__run *run, struct nb__work *work)
{
    nb_conn *conn = NULL;

    nb__run_lock(run);
    await_cancellation(run, work);
    if (!is_cancelled(work))
        conn = nb__run_unlist(run, work);
    nb__run_unlock(run);
    return conn;
}

nb_deadline nb__run_end_lives(struct nb__run *run)
{
    nb_deadline next = nb_forever();
    int64_t now;

    if (run->options.connection_ms == NB_NO_LIMIT)
        return next;
    now = nb__now_ns();
    /* Who begins later lives longer than this, so nobody needs to be told of it. */
    next = nb__ms_after(now, run->options.connection_ms);
    nb__run_lock(run);
    for (struct nb__work *work = run->oldest; work != NULL; work = work->next) {
        if (work->life.ns > now) {
            next = work->life;
            break;
        }
        cancel(run, work);
    }
    nb__run_unlock(run);
    return next;
}

void nb__run_cancel_all(struct nb__run *run)
{
    nb__run_lock(run);
    run->over = true;
    for (struct nb__work *work = run->oldest; work != NULL; work = work->next)
        cancel(run, work);
    nb__run_unlock(run);
}

void nb__run_enqueue(struct nb__run *run, nb_conn *conn)
{
    conn->next = NULL;
    if (run->queue_tail != NULL)
        run->queue_tail->next = conn;
    else
        run->queue_head = conn;
    run->queue_tail = conn;
    run->queued++;
}

nb_conn *nb__run_dequeue(struct nb__run *run)
{
    nb_conn *conn = run->queue_head;

    if (conn == NULL)
        return NULL;
    run->queue_head = conn->next;
    if (run->queue_head == NULL)
        run->queue_tail = NULL;
    run->queued--;
    return conn;
}

bool nb__run_same_peer(const nb_conn *a, const nb_conn *b)
{
    if (a->peer_uid >= 0)
        return a->peer_uid == b->peer_uid;
    return nb__address_same_peer(&a->peer, &b->peer);
}

size_t nb__run_count_peer(const struct nb__run *run, const nb_conn *of)
{
    size_t count = 0;

    for (const struct nb__work *work = run->oldest; work != NULL; work = work->next)
        count += nb__run_same_peer(work->conn, of);
    for (const nb_conn *conn = run->queue_head; conn != NULL; conn = conn->next)
        count += nb__run_same_peer(conn, of);
    return count;
}
