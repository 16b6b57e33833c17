/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The accept loop in worker threads: they take turns accepting, and the one that accepts
 *         serves. The calling thread supervises time, lingering, stop and drain. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "serve/backlog.h"
#include "serve/engine.h"
#include "serve/events.h"
#include "serve/handler.h"
#include "serve/handling.h"
#include "serve/incoming.h"
#include "serve/linger.h"
#include "serve/saturation.h"
#include "serve/stop_queue.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long to wait before starting a thread is tried again. */
#define THREAD_RETRY_MS 100

/* How often to check whether connections wait while all places are taken. */
#define LOOK_MS 1000

struct worker {
    struct nb__handling handling;
    struct pool *pool;
    pthread_t thread;
    struct worker *next; /* in the list of all that were started */
};

/* The workers of a server; the lock of the server guards all of it but the first three members. */
struct pool {
    struct nb__server *server;
    int wakeup[2];                                    /* wakes the supervisor */
    struct pollfd accept_fds[NB__ACCEPT_WATCHED_MAX]; /* for the thread that accepts */

    pthread_cond_t turn;   /* there may be something to do for a worker */
    pthread_cond_t vacant; /* no thread accepts any more */
    struct worker *workers;
    int alive;           /* threads that run, or are being started */
    int starting;        /* threads that are being started, and have nothing to do yet */
    int waiting;         /* threads that wait for their turn */
    bool accepting;      /* a thread accepts, or waits to */
    bool queue_complete; /* after the stop: the queue has all that will come */
    bool rung;           /* the wakeup has been rung, and the supervisor has not looked yet */
    bool no_threads;     /* there is not even one thread: that was reported */
    int start_error;     /* why the last worker could not be started */
    int fatal; /* the errno for which no thread will ever start; for the supervisor alone */
    struct nb__saturation saturation;
    nb_deadline next_look; /* at it; for the supervisor alone */
};

static void lock(struct pool *pool)
{
    nb__server_lock(pool->server);
}

static void unlock(struct pool *pool)
{
    nb__server_unlock(pool->server);
}

static void ring(struct pool *pool)
{
    bool first;

    lock(pool);
    first = !pool->rung;
    pool->rung = true;
    unlock(pool);
    if (first)
        (void)nb__sys_wake_ring(pool->wakeup);
}

static void *run_worker(void *argument);

/* Starts a worker, which is counted in `alive` already: 0, or -errno. It may end before it is on
   the list, but the thread that starts it ends later than that: so end_all() finds it there. */
static int start_worker(struct pool *pool)
{
    struct worker *worker = nb__sys_calloc(1, sizeof(*worker));
    int rc;

    if (worker == NULL)
        return -ENOMEM;
    worker->pool = pool;
    nb__handler_prepare(&worker->handling, pool->server, true);
    rc = nb__sys_thread_start(&worker->thread, (size_t)pool->server->options.stack_size, run_worker,
                              worker);
    if (rc < 0) {
        free(worker);
        return rc;
    }
    lock(pool);
    worker->next = pool->workers;
    pool->workers = worker;
    unlock(pool);
    return 0;
}

/* Whether one more worker would have something to do and is allowed. The lock is held. */
static bool needs_worker(const struct pool *pool)
{
    const struct nb__server *server = pool->server;
    size_t free_workers = (size_t)pool->waiting + (size_t)pool->starting;
    bool wanted = nb__listener_stopped(server->listener) ? free_workers < server->queued
                                                         : free_workers == 0 && !pool->accepting;

    return wanted && pool->alive < server->options.concurrency;
}

/* Reserves the place of one more worker, if one is needed. The lock is held. */
static bool reserve(struct pool *pool)
{
    bool needed = needs_worker(pool);

    pool->alive += needed;
    pool->starting += needed;
    return needed;
}

/* Starts the worker that was reserved. If that fails, the existing ones go on, and the supervisor
   tries again later. */
static bool start_reserved(struct pool *pool)
{
    int rc = start_worker(pool);

    if (rc == 0)
        return true;
    lock(pool);
    pool->start_error = -rc;
    pool->alive--;
    pool->starting--;
    unlock(pool);
    return false;
}

/* Whether no worker is left to accept. The lock is held. */
static bool is_full(const struct pool *pool)
{
    return !pool->accepting && pool->waiting == 0 && pool->starting == 0 &&
           pool->alive >= pool->server->options.concurrency;
}

/* Ends this worker's turn to accept, so that another one can accept while it serves. The accepted
   connection is listed at once, so that the end of the drain cannot miss it. */
static void hand_over(struct worker *worker, nb_conn *accepted)
{
    struct pool *pool = worker->pool;
    bool needed;
    bool look;

    lock(pool);
    if (accepted != NULL)
        nb__handling_begin(&worker->handling, accepted);
    pool->accepting = false;
    (void)pthread_cond_broadcast(&pool->vacant);
    if (pool->waiting > 0)
        (void)pthread_cond_signal(&pool->turn);
    needed = reserve(pool);
    look = is_full(pool) && nb__saturation_full(&pool->saturation);
    unlock(pool);
    if ((needed && !start_reserved(pool)) || look)
        ring(pool);
}

/* Takes the turn to accept. False when there is nothing to serve this time. */
static bool accept_next(struct worker *worker)
{
    struct pool *pool = worker->pool;
    nb_conn *conn = nb__incoming_next(pool->server, pool->accept_fds, false);

    hand_over(worker, conn);
    if (nb__incoming_has_events(pool->server))
        ring(pool);
    return conn != NULL;
}

enum step { STEP_SERVE, STEP_ACCEPT, STEP_LEAVE, STEP_WAIT };

/* What a worker does next. A connection that it takes from the queue is listed at once, as in
   hand_over(). The lock is held. */
static enum step choose_step(struct worker *worker)
{
    struct pool *pool = worker->pool;
    nb_conn *queued = nb__stop_queue_take(pool->server);

    if (queued != NULL) {
        nb__handling_begin(&worker->handling, queued);
        return STEP_SERVE;
    }
    if (pool->queue_complete) {
        pool->alive--;
        return STEP_LEAVE;
    }
    if (pool->accepting || nb__listener_stopped(pool->server->listener))
        return STEP_WAIT;
    pool->accepting = true;
    return STEP_ACCEPT;
}

/* A new worker counts as starting until its first step is chosen, in one hold of the lock: in between,
   the supervisor would start another one for nothing. */
static enum step next_step(struct worker *worker, bool first)
{
    struct pool *pool = worker->pool;
    enum step step;

    lock(pool);
    pool->starting -= first;
    while ((step = choose_step(worker)) == STEP_WAIT) {
        pool->waiting++;
        (void)pthread_cond_wait(&pool->turn, &pool->server->lock);
        pool->waiting--;
    }
    unlock(pool);
    return step;
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    enum step step = next_step(worker, true);

    for (; step != STEP_LEAVE; step = next_step(worker, false)) {
        if (step == STEP_ACCEPT && !accept_next(worker))
            continue;
        if (nb__handler_run(&worker->handling))
            ring(pool);
    }
    ring(pool);
    return NULL;
}

/* Reports when no worker is left, and when there is one again. */
static void report_threads(struct pool *pool, bool none, int system_error)
{
    if (none == pool->no_threads)
        return;
    pool->no_threads = none;
    if (none)
        nb__event_of_loop(pool->server, NB_EVENT_ACCEPT_BACKING_OFF, NB_NO_MEMORY, system_error);
    else
        nb__event_of_loop(pool->server, NB_EVENT_ACCEPT_RECOVERED, NB_OK, 0);
}

/* Whether starting a thread that failed with this error may succeed later. */
static bool may_pass(int system_error)
{
    return system_error == EAGAIN || system_error == ENOMEM;
}

/* Starts workers while some are needed. True when one could not be started. */
static bool start_workers(struct pool *pool)
{
    int system_error;
    bool needed;
    bool starved;
    bool none;

    do {
        lock(pool);
        needed = reserve(pool);
        unlock(pool);
    } while (needed && start_reserved(pool));
    lock(pool);
    starved = needs_worker(pool);
    none = starved && pool->alive == 0;
    system_error = pool->start_error;
    unlock(pool);
    if (!none || may_pass(system_error))
        report_threads(pool, none, system_error);
    else
        pool->fatal = system_error;
    return starved;
}

/* Waits for the wakeup, a stop, or the next thing that is due. 0, or the errno when waiting does
   not work, or can lead to nothing. */
static int supervise_once(struct pool *pool, struct pollfd *fds, nb_deadline until)
{
    int ready;

    if (pool->fatal != 0)
        return pool->fatal;
    until = nb__earlier(until, nb__handling_end_lives(pool->server));
    fds[0] = (struct pollfd){pool->wakeup[0], POLLIN, 0};
    fds[1] = (struct pollfd){pool->server->listener->wake[0], POLLIN, 0};
    ready = nb__linger_poll(pool->server, fds, 2, until);
    if (ready > 0 && fds[0].revents != 0) {
        (void)nb__sys_wake_clear(pool->wakeup);
        lock(pool);
        pool->rung = false;
        unlock(pool);
    }
    nb__incoming_report_events(pool->server);
    return ready >= 0 || ready == -EINTR ? 0 : -ready;
}

/* How many connections have been accepted so far. */
static uint64_t count_taken(const struct nb__server *server)
{
    return atomic_load(&server->last_id) + atomic_load(&server->listener->counters.lost_accepts);
}

/* Checks whether connections wait too long for a place, and reports it. */
static void look_at_places(struct pool *pool)
{
    nb_listener *listener = pool->server->listener;
    struct nb__saturation_look look = {.taken_before = count_taken(pool->server)};
    enum nb__saturation_change change;

    look.waiting = nb__accept_waiting(listener);
    lock(pool);
    look.full = is_full(pool);
    look.taken = count_taken(pool->server);
    change = nb__saturation_look(&pool->saturation, &look);
    unlock(pool);
    if (change == NB__SATURATION_REACHED) {
        nb__count_up(&listener->counters.limit_reached);
        nb__event_of_loop(pool->server, NB_EVENT_LIMIT_REACHED, NB_OK, 0);
    } else if (change == NB__SATURATION_CLEARED) {
        nb__event_of_loop(pool->server, NB_EVENT_LIMIT_CLEARED, NB_OK, 0);
    }
}

/* Checks that when it is due. Returns when to check next. */
static nb_deadline watch_places(struct pool *pool)
{
    bool watched;

    lock(pool);
    watched = pool->saturation.watched;
    unlock(pool);
    if (watched && nb_expired(pool->next_look)) {
        look_at_places(pool);
        pool->next_look = nb_after_ms(LOOK_MS);
    }
    return watched ? pool->next_look : nb_forever();
}

/* Runs until the stop. 0, or the errno that ends the run: waiting does not work, or no thread can
   start. */
static int supervise(struct pool *pool, struct pollfd *fds)
{
    nb_listener *listener = pool->server->listener;
    int rc = 0;

    while (!nb__listener_stopped(listener)) {
        nb_deadline until = watch_places(pool);

        if (start_workers(pool))
            until = nb__earlier(until, nb_after_ms(THREAD_RETRY_MS));
        rc = supervise_once(pool, fds, until);
        if (rc != 0)
            nb_listener_stop(listener);
        else if (fds[1].revents != 0)
            nb__listener_wake_clear(listener, listener->wake);
    }
    return rc;
}

/* Waits until no thread accepts any more. */
static void await_accepting(struct pool *pool)
{
    lock(pool);
    while (pool->accepting)
        (void)pthread_cond_wait(&pool->vacant, &pool->server->lock);
    unlock(pool);
}

/* Tells the workers that the queue has grown, or will not grow any more. */
static void wake_workers(struct pool *pool, bool queue_complete)
{
    lock(pool);
    pool->queue_complete = queue_complete;
    (void)pthread_cond_broadcast(&pool->turn);
    unlock(pool);
}

static bool is_drained(struct pool *pool)
{
    bool drained;

    lock(pool);
    drained = pool->queue_complete && pool->alive == 0 && pool->server->queued == 0 &&
              pool->server->lingering == 0;
    unlock(pool);
    return drained;
}

/* Lets the workers serve the connections that completed before the stop, and waits for handlers and
   lingering connections. */
static void drain(struct pool *pool, struct pollfd *fds)
{
    struct nb__server *server = pool->server;
    nb_deadline end = nb__server_drain_end(server);
    nb_deadline retry;
    int rc = 0;

    nb__backlog_measure(server);
    wake_workers(pool, nb__backlog_take(server, fds, &retry));
    nb__event_of_loop(server, NB_EVENT_DRAINING, NB_OK, 0);
    while (rc == 0 && !nb_expired(end) && !is_drained(pool)) {
        nb_deadline until = nb__earlier(end, retry);

        if (start_workers(pool))
            until = nb__earlier(until, nb_after_ms(THREAD_RETRY_MS));
        rc = supervise_once(pool, fds, until);
        end = nb__server_drain_end_again(server, &fds[1]);
        if (!pool->queue_complete && nb_expired(retry))
            wake_workers(pool, nb__backlog_take(server, fds, &retry));
    }
    if (server->broken == 0)
        server->broken = rc;
}

/* Takes a worker off the list; running workers may still add to it. */
static struct worker *take_worker(struct pool *pool)
{
    struct worker *worker;

    lock(pool);
    worker = pool->workers;
    if (worker != NULL)
        pool->workers = worker->next;
    unlock(pool);
    return worker;
}

/* Drain time is up: starts nothing more, cancels the connections, and waits for the workers to
   end. */
static void end_all(struct pool *pool)
{
    nb__backlog_end(pool->server);
    /* First the queue, or a worker whose connection is cancelled would take the next one. */
    nb__stop_queue_reset(pool->server);
    nb__handling_cancel_all(pool->server);
    wake_workers(pool, true);
    for (struct worker *worker = take_worker(pool); worker != NULL; worker = take_worker(pool)) {
        (void)pthread_join(worker->thread, NULL);
        free(worker);
    }
    nb__linger_end_all(pool->server);
}

/* The steps of setting up that can fail: NB_OK, or why it failed. */
static struct nb__result open_pool(struct pool *pool, struct nb__server *server)
{
    int rc;

    memset(pool, 0, sizeof(*pool));
    pool->server = server;
    rc = nb__sys_wake_open(pool->wakeup);
    if (rc < 0)
        return nb__result_of(rc);
    (void)pthread_cond_init(&pool->turn, NULL);
    (void)pthread_cond_init(&pool->vacant, NULL);
    return nb__ok();
}

static void close_pool(struct pool *pool)
{
    (void)pthread_cond_destroy(&pool->turn);
    (void)pthread_cond_destroy(&pool->vacant);
    nb__sys_wake_close(pool->wakeup);
}

struct nb__result nb__engine_threads(struct nb__server *server, struct pollfd *fds)
{
    struct pool pool;
    struct nb__result result = open_pool(&pool, server);
    int rc;

    if (result.status != NB_OK)
        return result;
    nb__event_listening(server);
    rc = supervise(&pool, fds);
    await_accepting(&pool);
    if (server->broken == 0)
        server->broken = rc;
    drain(&pool, fds);
    end_all(&pool);
    close_pool(&pool);
    return nb__ok();
}
