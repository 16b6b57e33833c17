/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief SIGINT and SIGTERM as a stop: the one slot of the process for the listener they stop. */
#undef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* SA_ONSTACK */

#include "serve/stop_signals.h"

#include "base/deadline_internal.h"
#include "sys/sys.h"
#include "wait/wait.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Some programs send a signal twice at once, as timeout(1) does, to its child and to the process
   group. A person who does not want to wait any longer takes more time than this to send
   another. */
#define AGAIN_MS 500

static void on_signal(int number);

static const int numbers[] = {SIGINT, SIGTERM};

/* The slot: the process that has taken it (a number of nb__sys_process()), or 0, and the listener.
   A child of fork(2) inherits it with the handlers. A handler may run on any thread, and may still
   run when the dispositions have been restored: `inside` counts them. */
static atomic_int owner;
static nb_listener *_Atomic target;
static atomic_int inside;
static _Atomic int64_t signalled_at_ns; /* when the last one came; 0: none has come yet */
static struct {
    bool taken;
    struct sigaction old;
} dispositions[COUNT(numbers)];

/* Whether the program has replaced our handler. */
static bool is_replaced(int number)
{
    struct sigaction now;

    return nb__sys_sigaction(number, NULL, &now) == 0 && now.sa_handler != on_signal;
}

/* A signal that is not for us has the effect that it would have without us. */
static void pass_on(int number)
{
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (numbers[i] == number)
            (void)nb__sys_sigaction(number, &dispositions[i].old, NULL);
    }
    (void)nb__sys_raise(number);
}

static void stop(nb_listener *listener)
{
    int64_t now = nb__now_ns();
    int64_t before = atomic_exchange(&signalled_at_ns, now);

    if (before != 0 && now - before >= AGAIN_MS * NB__NS_PER_MS)
        nb_listener_stop_now(listener);
    else
        nb_listener_stop(listener);
}

/* A forked child shares the listener's wakeup with its parent, which must not be woken by this.
   When the slot is free, either the program has restored our handler after the end, having saved it
   before; or the signal came just before the end, and the listener has stopped already. */
static void on_signal(int number)
{
    if (atomic_load(&owner) != nb__sys_process()) {
        if (!is_replaced(number))
            pass_on(number);
        return;
    }
    atomic_fetch_add(&inside, 1);
    stop(atomic_load(&target));
    atomic_fetch_sub(&inside, 1);
}

static int take(size_t index)
{
    struct sigaction now;
    struct sigaction action;
    int rc = nb__sys_sigaction(numbers[index], NULL, &now);

    dispositions[index].taken = false;
    if (rc < 0 || now.sa_handler == SIG_IGN)
        return rc;
    if (now.sa_handler != on_signal) /* or else inherited, and so is the old one */
        dispositions[index].old = now;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | SA_ONSTACK; /* the thread's own stack may be too small */
    (void)sigemptyset(&action.sa_mask);
    rc = nb__sys_sigaction(numbers[index], &action, NULL);
    dispositions[index].taken = rc == 0;
    return rc;
}

/* Takes the slot for this process: one that was inherited is free. While it is negative no handler
   looks at the listener, which may still be the inherited one. */
static bool take_slot(nb_listener *listener)
{
    int own = nb__sys_process();
    int whose = atomic_load(&owner);

    if (whose == own || whose == -own || !atomic_compare_exchange_strong(&owner, &whose, -own))
        return false;
    if (whose != 0)
        atomic_store(&inside, 0); /* the child has not inherited the threads that were inside */
    atomic_store(&target, listener);
    atomic_store(&signalled_at_ns, 0);
    atomic_store(&owner, own);
    return true;
}

int nb__stop_signals_take(nb_listener *listener)
{
    if (!take_slot(listener))
        return 1;
    for (size_t i = 0; i < COUNT(numbers); i++)
        dispositions[i].taken = false; /* they were taken by the parent, not by this process */
    for (size_t i = 0; i < COUNT(numbers); i++) {
        int rc = take(i);

        if (rc < 0) {
            nb__stop_signals_release();
            return rc;
        }
    }
    return 0;
}

/* Unblocks a signal in the calling thread, if it has been taken. Returns whether it was blocked. */
static bool open_blocked(size_t index)
{
    return dispositions[index].taken && nb__sys_signal_open(numbers[index]) > 0;
}

bool nb__stop_signals_are_blocked(void)
{
    bool any = false;

    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (!open_blocked(i))
            continue;
        (void)nb__sys_signal_block(numbers[i]);
        any = true;
    }
    return any;
}

/* No signal is missed on the way to the wait or back: it rings the listener, which is polled. */
int nb__stop_signals_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    bool blocked[COUNT(numbers)];
    int ready;

    for (size_t i = 0; i < COUNT(numbers); i++)
        blocked[i] = open_blocked(i);
    ready = nb__wait(fds, count, by);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (blocked[i])
            (void)nb__sys_signal_block(numbers[i]);
    }
    return ready;
}

void nb__stop_signals_release(void)
{
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (dispositions[i].taken && !is_replaced(numbers[i]))
            (void)nb__sys_sigaction(numbers[i], &dispositions[i].old, NULL);
        dispositions[i].taken = false;
    }
    /* A handler that has the listener already is about to return. */
    atomic_store(&target, NULL);
    while (atomic_load(&inside) > 0) /* GCOV_EXCL_BR_LINE: a matter of nanoseconds */
        (void)sched_yield();         /* GCOV_EXCL_LINE */
    atomic_store(&owner, 0);
}
