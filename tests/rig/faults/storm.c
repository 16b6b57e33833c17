/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A storm of signals, which interrupts whatever the library does and nothing of the test. */
#include "fault.h"

#include <sys/syscall.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define EVERY_NS 250000

static bool rages;
static _Thread_local bool here; /* in this thread */
static _Thread_local bool reaches;
static volatile sig_atomic_t signals;
static int64_t exposed_ns;
static int64_t exposed_since_ns;

static void count_signal(int number)
{
    (void)number;
    signals = signals + 1;
}

static void set_mask(int how)
{
    sigset_t storm;

    (void)sigemptyset(&storm);
    (void)sigaddset(&storm, SIGUSR1);
    (void)pthread_sigmask(how, &storm, NULL);
}

void storm_start(void)
{
    struct itimerspec every = {{0, EVERY_NS}, {0, EVERY_NS}};
    struct sigevent event;
    timer_t timer;

    set_mask(SIG_BLOCK);
    memset(&event, 0, sizeof(event));
    (void)dispose(SIGUSR1, count_signal, 0); /* without SA_RESTART */
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &every, NULL) != 0)
        give_up("no timer for the storm");
    rages = here = true;
}

void storm_reaches(bool library)
{
    if (!rages || !here || library == reaches)
        return;
    reaches = library;
    if (library)
        exposed_since_ns = real_ns();
    else
        exposed_ns += real_ns() - exposed_since_ns;
    set_mask(library ? SIG_UNBLOCK : SIG_BLOCK);
}

int storm_signals(int64_t *exposed)
{
    *exposed = exposed_ns;
    return signals;
}
