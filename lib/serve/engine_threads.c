/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The accept loop in worker threads: they take turns accepting, and the one that accepts
 *         serves. The calling thread supervises time, lingering, stop and drain. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "serve/engine.h"
#include "serve/events.h"
#include "serve/handler.h"
#include "serve/incoming.h"
#include "serve/linger.h"
#include "serve/saturation.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long to wait before a thread that could not be started is tried again. */
#define THREAD_RETRY_MS 100

/* How often it is looked whether connections wait, while all places are taken. */
#define LOOK_MS 1000

struct worker {
    struct nb__work work;
    struct crew *crew;
    pthread_t thread;
    struct worker *next; /* in the list of all that were started */
};

/* The workers of a run; the lock of the run guards all of it but the first three members. */
struct crew {
    struct nb__run *run;
    int bell[2];                                        /* wakes the supervisor */
    struct pollfd accept_fds[NB__LISTENER_WATCHED_MAX]; /* for who accepts */

    pthread_cond_t turn;   /* a worker may look for something to do */
    pthread_cond_t vacant; /* nobody accepts any more */
    struct worker *workers;
    int alive;       /* threads that run, or are being started */
    int starting;    /* threads that are being started, and have nothing to do yet */
    int parked;      /* threads that wait for their turn */
    bool accepting;  /* a thread accepts, or waits to */
    bool taken;      /* after the stop: the queue has all that will come */
    bool rung;       /* the bell has been, and the supervisor has not looked yet */
    bool silent;     /* there is not even one thread, as an event has told */
    int start_error; /* why the last worker could not be started */
    int hopeless;    /* the errno for which there will never be one; for the supervisor alone */
    struct nb__saturation saturation;
    nb_deadline next_look; /* at it; for the supervisor alone */
};

static void lock(struct crew *crew)
{
    nb__run_lock(crew->run);
}

static void unlock(struct crew *crew)
{
    nb__run_unlock(crew->run);
}

static void ring(struct crew *crew)
{
    bool first;

    lock(crew);
    first = !crew->rung;
    crew->rung = true;
    unlock(crew);
    if (first)
        (void)nb__sys_wake_ring(crew->bell);
}

static void *work(void *argument);

/* Starts a worker, for which `alive` counts already: 0, or -errno. It may have come to its end before it
   is on the list; but whoever starts it ends later than that, and so end_all() finds it there. */
static int start_worker(struct crew *crew)
{
    struct worker *worker = nb__sys_calloc(1, sizeof(*worker));
    int failed;

    if (worker == NULL)
        return -ENOMEM;
    worker->crew = crew;
    nb__handle_prepare(&worker->work, crew->run, true);
    failed =
        nb__sys_thread_start(&worker->thread, (size_t)crew->run->options.stack_size, work, worker);
    if (failed < 0) {
        free(worker);
        return failed;
    }
    lock(crew);
    worker->next = crew->workers;
    crew->workers = worker;
    unlock(crew);
    return 0;
}

/* Whether a worker more would have something to do and is allowed. The lock is held. */
static bool is_short_handed(const struct crew *crew)
{
    const struct nb__run *run = crew->run;
    size_t free_hands = (size_t)crew->parked + (size_t)crew->starting;
    bool wanted = nb__listener_stopped(run->listener) ? free_hands < run->queued
                                                      : free_hands == 0 && !crew->accepting;

    return wanted && crew->alive < run->options.concurrency;
}

/* Reserves the place of a worker more, if one is needed. The lock is held. */
static bool reserve(struct crew *crew)
{
    bool needed = is_short_handed(crew);

    crew->alive += needed;
    crew->starting += needed;
    return needed;
}

/* Starts the worker that was reserved. When that fails, those that are there go on, and the
   supervisor tries again later. */
static bool start_reserved(struct crew *crew)
{
    int failed = start_worker(crew);

    if (failed == 0)
        return true;
    lock(crew);
    crew->start_error = -failed;
    crew->alive--;
    crew->starting--;
    unlock(crew);
    return false;
}

/* Whether nobody is left to accept. The lock is held. */
static bool is_full(const struct crew *crew)
{
    return !crew->accepting && crew->parked == 0 && crew->starting == 0 &&
           crew->alive >= crew->run->options.concurrency;
}

/* Ends this worker's turn to accept, so that another one can accept while it serves. */
static void hand_over(struct crew *crew)
{
    bool needed;
    bool look;

    lock(crew);
    crew->accepting = false;
    (void)pthread_cond_broadcast(&crew->vacant);
    if (crew->parked > 0)
        (void)pthread_cond_signal(&crew->turn);
    needed = reserve(crew);
    look = is_full(crew) && nb__saturation_full(&crew->saturation);
    unlock(crew);
    if ((needed && !start_reserved(crew)) || look)
        ring(crew);
}

/* Lists a connection, before the next one is accepted, which may be of the same peer. False when that
   has too many. */
static bool begin(struct worker *worker, nb_conn *conn)
{
    struct crew *crew = worker->crew;
    bool admitted;

    lock(crew);
    admitted = nb__intake_admit(crew->run, conn);
    if (admitted)
        nb__run_begin(crew->run, &worker->work, conn);
    unlock(crew);
    return admitted;
}

/* Takes the turn to accept. NULL when there is nothing to serve for this time. Events come when the turn
   is over, so that whoever hears of them holds up nobody who connects. */
static nb_conn *accept_next(struct worker *worker)
{
    struct crew *crew = worker->crew;
    nb_conn *conn = nb__intake_next(crew->run, crew->accept_fds, false);
    bool begun = conn != NULL && begin(worker, conn);

    hand_over(crew);
    if (nb__intake_has_news(crew->run))
        ring(crew);
    if (conn != NULL && !begun)
        nb__intake_refuse(crew->run, conn);
    return begun ? conn : NULL;
}

enum step { STEP_SERVE, STEP_ACCEPT, STEP_LEAVE, STEP_PARK };

/* What a worker is to do next. What it takes from the queue is listed at once, so that it always
   counts for its peer. The lock is held. */
static enum step choose_step(struct worker *worker, nb_conn **queued)
{
    struct crew *crew = worker->crew;

    *queued = nb__run_dequeue(crew->run);
    if (*queued != NULL) {
        nb__run_begin(crew->run, &worker->work, *queued);
        return STEP_SERVE;
    }
    if (crew->taken) {
        crew->alive--;
        return STEP_LEAVE;
    }
    if (crew->accepting || nb__listener_stopped(crew->run->listener))
        return STEP_PARK;
    crew->accepting = true;
    return STEP_ACCEPT;
}

static enum step next_step(struct worker *worker, nb_conn **queued)
{
    struct crew *crew = worker->crew;
    enum step step;

    lock(crew);
    while ((step = choose_step(worker, queued)) == STEP_PARK) {
        crew->parked++;
        (void)pthread_cond_wait(&crew->turn, &crew->run->lock);
        crew->parked--;
    }
    unlock(crew);
    return step;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct crew *crew = worker->crew;
    nb_conn *conn;
    enum step step;

    lock(crew);
    crew->starting--;
    unlock(crew);
    while ((step = next_step(worker, &conn)) != STEP_LEAVE) {
        if (step == STEP_ACCEPT)
            conn = accept_next(worker);
        if (conn != NULL && nb__handle(&worker->work, conn))
            ring(crew);
    }
    ring(crew);
    return NULL;
}

/* Tells when there is not even one worker, and when there is one again. */
static void note_silence(struct crew *crew, bool silent, int system_error)
{
    if (silent == crew->silent)
        return;
    crew->silent = silent;
    if (silent)
        nb__run_event(crew->run, NB_EVENT_ACCEPT_BACKING_OFF, NB_NO_MEMORY, system_error);
    else
        nb__run_event(crew->run, NB_EVENT_ACCEPT_RECOVERED, NB_OK, 0);
}

/* Whether threads that could not be started for this reason may be startable later. */
static bool may_pass(int system_error)
{
    return system_error == EAGAIN || system_error == ENOMEM;
}

/* Starts workers while some are needed. True when one could not be started. */
static bool muster(struct crew *crew)
{
    int system_error;
    bool needed;
    bool starved;
    bool silent;

    do {
        lock(crew);
        needed = reserve(crew);
        unlock(crew);
    } while (needed && start_reserved(crew));
    lock(crew);
    starved = is_short_handed(crew);
    silent = starved && crew->alive == 0;
    system_error = crew->start_error;
    unlock(crew);
    if (!silent || may_pass(system_error))
        note_silence(crew, silent, system_error);
    else
        crew->hopeless = system_error;
    return starved;
}

/* Waits for the bell, for a stop, and for the next thing that the clock brings. 0, or the errno when
   waiting does not work, or is in vain. */
static int supervise_once(struct crew *crew, struct pollfd *fds, nb_deadline until)
{
    int ready;

    if (crew->hopeless != 0)
        return crew->hopeless;
    until = nb__earlier(until, nb__run_end_lives(crew->run));
    fds[0] = (struct pollfd){crew->bell[0], POLLIN, 0};
    fds[1] = (struct pollfd){crew->run->listener->wake[0], POLLIN, 0};
    ready = nb__linger_poll(crew->run, fds, 2, until);
    if (ready > 0 && fds[0].revents != 0) {
        (void)nb__sys_wake_clear(crew->bell);
        lock(crew);
        crew->rung = false;
        unlock(crew);
    }
    nb__intake_tell_news(crew->run);
    return ready >= 0 || ready == -EINTR ? 0 : -ready;
}

/* How many connections have been taken out of the kernel's queues. */
static uint64_t count_taken(const nb_listener *listener)
{
    const struct nb__counters *counters = &listener->counters;

    return atomic_load(&counters->accepted) + atomic_load(&counters->refused) +
           atomic_load(&counters->lost_accepts);
}

/* Looks whether connections wait in vain, and tells. */
static void look_at_places(struct crew *crew)
{
    nb_listener *listener = crew->run->listener;
    struct nb__saturation_look look = {.taken_before = count_taken(listener)};
    enum nb__saturation_change change;

    look.waiting = nb__listener_waiting(listener);
    lock(crew);
    look.full = is_full(crew);
    look.taken = count_taken(listener);
    change = nb__saturation_look(&crew->saturation, &look);
    unlock(crew);
    if (change == NB__SATURATION_REACHED) {
        nb__count_up(&listener->counters.limit_reached);
        nb__run_event(crew->run, NB_EVENT_LIMIT_REACHED, NB_OK, 0);
    } else if (change == NB__SATURATION_CLEARED) {
        nb__run_event(crew->run, NB_EVENT_LIMIT_CLEARED, NB_OK, 0);
    }
}

/* Looks when that is due: when to look next. */
static nb_deadline watch_places(struct crew *crew)
{
    bool watched;

    lock(crew);
    watched = crew->saturation.watched;
    unlock(crew);
    if (watched && nb_expired(crew->next_look)) {
        look_at_places(crew);
        crew->next_look = nb_after_ms(LOOK_MS);
    }
    return watched ? crew->next_look : nb_forever();
}

/* Until the stop. 0, or the errno that ends the run: waiting does not work, or there are no threads. */
static int supervise(struct crew *crew, struct pollfd *fds)
{
    nb_listener *listener = crew->run->listener;
    int failed = 0;

    while (!nb__listener_stopped(listener)) {
        nb_deadline until = watch_places(crew);

        if (muster(crew))
            until = nb__earlier(until, nb_after_ms(THREAD_RETRY_MS));
        failed = supervise_once(crew, fds, until);
        if (failed != 0)
            nb_listener_stop(listener);
        else if (fds[1].revents != 0)
            nb__listener_wake_clear(listener, listener->wake);
    }
    return failed;
}

/* Waits until nobody accepts any more. */
static void await_vacancy(struct crew *crew)
{
    lock(crew);
    while (crew->accepting)
        (void)pthread_cond_wait(&crew->vacant, &crew->run->lock);
    unlock(crew);
}

/* Lets the workers know that the queue has grown, or that it will not grow any more. */
static void announce(struct crew *crew, bool taken)
{
    lock(crew);
    crew->taken = taken;
    (void)pthread_cond_broadcast(&crew->turn);
    unlock(crew);
}

static bool is_drained(struct crew *crew)
{
    bool drained;

    lock(crew);
    drained =
        crew->taken && crew->alive == 0 && crew->run->queued == 0 && crew->run->lingering == 0;
    unlock(crew);
    return drained;
}

/* Has those served that were complete at the stop, and waits for handlers and lingerers. */
static void drain(struct crew *crew, struct pollfd *fds)
{
    struct nb__run *run = crew->run;
    nb_deadline end = nb__run_drain_end(run);
    nb_deadline retry;
    int failed = 0;

    nb__intake_stop(run);
    announce(crew, nb__intake_rest(run, fds, &retry));
    nb__run_event(run, NB_EVENT_DRAINING, NB_OK, 0);
    while (failed == 0 && !nb_expired(end) && !is_drained(crew)) {
        nb_deadline until = nb__earlier(end, retry);

        if (muster(crew))
            until = nb__earlier(until, nb_after_ms(THREAD_RETRY_MS));
        failed = supervise_once(crew, fds, until);
        end = nb__run_drain_end_again(run, &fds[1]);
        if (!crew->taken && nb_expired(retry))
            announce(crew, nb__intake_rest(run, fds, &retry));
    }
    if (run->broken == 0)
        run->broken = failed;
}

/* Takes a worker off the list, to which those that have not ended yet may still add. */
static struct worker *take_worker(struct crew *crew)
{
    struct worker *worker;

    lock(crew);
    worker = crew->workers;
    if (worker != NULL)
        crew->workers = worker->next;
    unlock(crew);
    return worker;
}

/* The drain is over: nothing is begun any more, handlers are cut off, and the workers end. */
static void end_all(struct crew *crew)
{
    nb__intake_end(crew->run);
    /* First the queue, or a handler that is cut off makes room for one of them. */
    nb__intake_reset_queue(crew->run);
    nb__run_cancel_all(crew->run);
    announce(crew, true);
    for (struct worker *worker = take_worker(crew); worker != NULL; worker = take_worker(crew)) {
        (void)pthread_join(worker->thread, NULL);
        free(worker);
    }
    nb__linger_end_all(crew->run);
}

/* Sets up what can fail: NB_OK, or what it lacks. */
static nb_status assemble(struct crew *crew, struct nb__run *run, int *system_error)
{
    int failed;

    memset(crew, 0, sizeof(*crew));
    crew->run = run;
    failed = nb__sys_wake_open(crew->bell);
    if (failed < 0) {
        *system_error = -failed;
        return nb__status_of_errno(-failed);
    }
    (void)pthread_cond_init(&crew->turn, NULL);
    (void)pthread_cond_init(&crew->vacant, NULL);
    return NB_OK;
}

static void dismiss(struct crew *crew)
{
    (void)pthread_cond_destroy(&crew->turn);
    (void)pthread_cond_destroy(&crew->vacant);
    nb__sys_wake_close(crew->bell);
}

nb_status nb__loop_workers(struct nb__run *run, struct pollfd *fds, int *system_error)
{
    struct crew crew;
    nb_status status = assemble(&crew, run, system_error);
    int failed;

    if (status != NB_OK)
        return status;
    nb__run_announce(run);
    failed = supervise(&crew, fds);
    await_vacancy(&crew);
    if (run->broken == 0)
        run->broken = failed;
    drain(&crew, fds);
    end_all(&crew);
    dismiss(&crew);
    return NB_OK;
}
