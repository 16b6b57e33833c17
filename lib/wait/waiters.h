/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the waiters of a waitable: waits for something else that end when it is cancelled. */
#ifndef NETBASICS_WAITERS_H
#define NETBASICS_WAITERS_H

#include "wait/wait.h"

#include <stdbool.h>

enum nb__waiter_state {
    NB__WAITER_LISTED,  /* it will be woken */
    NB__WAITER_WOKEN,   /* it was woken, or is being woken now */
    NB__WAITER_RELEASED /* its waitable has ended, or it has left: nobody will wake it */
};

/* All zeroes until nb__waiter_join(), except for how to wake it. */
struct nb__waiter {
    void (*wake)(void *context); /* called at most once, without a lock held */
    void *context;
    struct nb__waiters *list; /* its lock guards what follows */
    enum nb__waiter_state state;
    bool being_woken; /* without the lock: whoever leaves waits until that is done */
    struct nb__waiter *prev;
    struct nb__waiter *next;
};

/* Lists a waiter whose `wake` is set. The caller checks afterwards whether the waitable's
   connection was cancelled before. False when out of memory. */
bool nb__waiter_join(struct nb__waiter *waiter, struct nb__waitable *waitable);

/* Changes how a waiter is woken, if it has not been yet. Returns its state, once nobody is waking
   it. */
enum nb__waiter_state nb__waiter_change(struct nb__waiter *waiter, void (*wake)(void *context),
                                        void *context);

/* Keeps the waitable from ending until it is let go. False when the waiter was woken or
   released. */
bool nb__waiter_hold(struct nb__waiter *waiter);
void nb__waiter_let_go(struct nb__waiter *waiter);

/* Takes a waiter off the list, if it is on it. When this returns, nobody is waking it, and nobody
   will. */
void nb__waiter_leave(struct nb__waiter *waiter);
/* The end of a waiter that has left and is no longer used. */
void nb__waiter_end(struct nb__waiter *waiter);

/* Wakes all waiters and takes them off the list. No lock is held while one is woken, so that waking
   may block in the kernel. */
void nb__waiters_wake(struct nb__waitable *waitable);

/* The end of a waitable whose waiters nobody wakes any more: releases them, and waits for those
   that hold it. */
void nb__waiters_release(struct nb__waitable *waitable);

/* A `wake` that wakes a thread: rings a wakeup, which is an int[2]. */
void nb__waiter_ring(void *wakeup);

#endif
