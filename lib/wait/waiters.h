/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: who waits for something else for the sake of a waitable, and is woken with it. */
#ifndef NETBASICS_WAITERS_H
#define NETBASICS_WAITERS_H

#include "wait/wait.h"

#include <stdbool.h>

enum nb__waiter_state {
    NB__WAITER_LISTED, /* it will be woken */
    NB__WAITER_WOKEN,  /* it was, or is just now */
    NB__WAITER_RELEASED /* what it waited for the sake of has ended, or it has left: nobody wakes it */
};

/* One of them. Zeroed, and then listed. */
struct nb__waiter {
    void (*wake)(void *context); /* called once at most, and without a lock */
    void *context;
    struct nb__waiters *list; /* whose lock guards the rest */
    enum nb__waiter_state state;
    bool being_woken; /* outside the lock: it has to wait for that before it goes */
    struct nb__waiter *prev;
    struct nb__waiter *next;
};

/* Lists a waiter that knows how to wake it. Whether the waitable was woken before must be asked afterwards.
   False without memory. */
bool nb__waiter_join(struct nb__waiter *waiter, struct nb__waitable *waitable);

/* Changes how a waiter is woken, if it is still to be. It is not being woken when this returns its state. */
enum nb__waiter_state nb__waiter_change(struct nb__waiter *waiter, void (*wake)(void *context),
                                        void *context);

/* Keeps what a waiter waits for the sake of from ending, until it is let go; false: it has been woken or
   released. */
bool nb__waiter_hold(struct nb__waiter *waiter);
void nb__waiter_let_go(struct nb__waiter *waiter);

/* Takes a waiter off the list, if it is on one. When this returns, nobody is waking it, and nobody will. */
void nb__waiter_leave(struct nb__waiter *waiter);
/* The end of a waiter that has left, and that nobody uses. */
void nb__waiter_end(struct nb__waiter *waiter);

/* Wakes all waiters, and takes them off the list. Each is woken outside the lock, so that it may do what the
   system can hold up. */
void nb__waiters_wake(struct nb__waitable *waitable);

/* The end of a waitable that nobody wakes any more: lets go of its waiters, and waits for those that hold
   it. */
void nb__waiters_release(struct nb__waitable *waitable);

/* The way to wake a thread: rings a wakeup, which is an int[2]. */
void nb__waiter_ring(void *wakeup);

#endif
