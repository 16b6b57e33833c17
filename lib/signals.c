/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief SIGINT and SIGTERM as a stop: the slot of the process that says whom they stop. */
#define _POSIX_C_SOURCE 200809L

#include "signals.h"

#include "sys.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const int numbers[] = {SIGINT, SIGTERM};

/* The slot. The handler may run on any thread, and may still run when the dispositions are back:
   `inside` tells. */
static nb_listener *_Atomic target;
static atomic_int inside;
static struct {
    bool taken;
    struct sigaction old;
} dispositions[COUNT(numbers)];

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&inside, 1);
    nb_listener_stop(atomic_load(&target));
    atomic_fetch_sub(&inside, 1);
}

static int take(size_t index)
{
    struct sigaction action;
    int failed = nb__sys_sigaction(numbers[index], NULL, &dispositions[index].old);

    dispositions[index].taken = false;
    if (failed < 0 || dispositions[index].old.sa_handler == SIG_IGN)
        return failed;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    (void)sigemptyset(&action.sa_mask);
    failed = nb__sys_sigaction(numbers[index], &action, NULL);
    dispositions[index].taken = failed == 0;
    return failed;
}

int nb__signals_take(nb_listener *listener)
{
    nb_listener *nobody = NULL;

    if (!atomic_compare_exchange_strong(&target, &nobody, listener))
        return 1;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        int failed = take(i);

        if (failed < 0) {
            nb__signals_release();
            return failed;
        }
    }
    return 0;
}

void nb__signals_release(void)
{
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (dispositions[i].taken)
            (void)nb__sys_sigaction(numbers[i], &dispositions[i].old, NULL);
        dispositions[i].taken = false;
    }
    /* A handler that has the listener already is about to return. */
    atomic_store(&target, NULL);
    while (atomic_load(&inside) > 0) /* GCOV_EXCL_BR_LINE: a matter of nanoseconds */
        (void)sched_yield();         /* GCOV_EXCL_LINE */
}
