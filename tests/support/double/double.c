/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The double: what was called, and what is to fail. */
#include "double.h"

#include <errno.h>
#include <stdatomic.h>

/* What is to fail; without a lock as long as nothing is. */
struct fault {
    atomic_int times;
    int good;
    int error;
};

static atomic_int counts[CALLS];
static struct fault faults[CALLS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int (*decide_fault)(enum call call, int which);

void fail_after(enum call call, int good, int error, int times)
{
    (void)real.pthread_mutex_lock(&lock);
    faults[call].good = good;
    faults[call].error = error;
    faults[call].times = times;
    (void)real.pthread_mutex_unlock(&lock);
}

void fail_next(enum call call, int error, int times)
{
    fail_after(call, 0, error, times);
}

int calls(enum call call)
{
    return counts[call];
}

void forget_calls(void)
{
    for (enum call call = 0; call < CALLS; call++)
        counts[call] = 0;
}

void double_reset(void)
{
    forget_calls();
    for (enum call call = 0; call < CALLS; call++)
        fail_next(call, 0, 0);
#define RESET(name, call) sys.name = usual.name;
    EACH_CALL(RESET)
#undef RESET
}

static int error_due(struct fault *fault)
{
    if (fault->times == 0)
        return 0;
    if (fault->good > 0) {
        fault->good--;
        return 0;
    }
    if (fault->times > 0)
        fault->times--;
    return fault->error;
}

static int planned_fault(enum call call)
{
    struct fault *fault = &faults[call];
    int error;

    if (fault->times == 0)
        return 0;
    (void)real.pthread_mutex_lock(&lock);
    error = error_due(fault);
    (void)real.pthread_mutex_unlock(&lock);
    return error;
}

/* What counts as one and the same. */
static enum call kind_of(enum call call)
{
    switch (call) {
    case ON_SENDMSG:
        return ON_SEND;
    case ON_LIBC_CALLOC:
    case ON_LIBC_REALLOC:
        return ON_LIBC_MALLOC;
    default:
        return call;
    }
}

int call_begins(enum call call, int which)
{
    counts[kind_of(call)]++;
    if (decide_fault != NULL)
        return decide_fault(call, which);
    return planned_fault(kind_of(call));
}

bool happens_anyway(enum call call, int error)
{
    switch (call) {
    case ON_CLOSE: /* the descriptor is gone */
    case ON_DISCONNECT:
    case ON_WAKE_RING:
        return true;
    case ON_CONNECT: /* the handshake goes on */
        return error == EINTR || error == EINPROGRESS;
    case ON_WAKE_CLEAR: /* it is silent already */
        return error == EAGAIN;
    default:
        return false;
    }
}
