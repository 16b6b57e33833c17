/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The waiters of a waitable: waits for something else that end when it is cancelled.
 *
 *  The waiters of a waitable share a lock, which outlives them all. It is never held while a waiter is
 *  woken: waking may cancel a connection, which can block while the kernel finishes copying a send. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "wait/waiters.h"

#include "sys/sys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct nb__waiters {
    atomic_size_t references; /* one of the waitable, and one of each waiter until its end */

    pthread_mutex_t lock;   /* guards what follows, and the waiters themselves */
    pthread_cond_t changed; /* a waiter is no longer being woken, or a hold was let go */
    size_t holds;
    struct nb__waiter *first;
};

static void release(struct nb__waiters *list)
{
    if (atomic_fetch_sub(&list->references, 1) != 1)
        return;
    (void)pthread_cond_destroy(&list->changed);
    (void)pthread_mutex_destroy(&list->lock);
    free(list);
}

/* The list of a waitable, made on first use; NULL when out of memory. */
static struct nb__waiters *list_of(struct nb__waitable *waitable)
{
    struct nb__waiters *known = atomic_load(&waitable->waiters);
    struct nb__waiters *list;

    if (known != NULL)
        return known;
    list = nb__sys_calloc(1, sizeof(*list));
    if (list == NULL)
        return NULL;
    atomic_init(&list->references, 1);
    (void)pthread_mutex_init(&list->lock, NULL);
    (void)pthread_cond_init(&list->changed, NULL);
    if (atomic_compare_exchange_strong(&waitable->waiters, &known, list))
        return list;
    release(list); /* another thread was faster */
    return known;
}

/* Takes a listed waiter off the list. The lock is held. */
static void unlink_as(struct nb__waiter *waiter, enum nb__waiter_state state)
{
    waiter->state = state;
    if (waiter->prev != NULL)
        waiter->prev->next = waiter->next;
    else
        waiter->list->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->prev = waiter->prev;
    waiter->prev = waiter->next = NULL;
}

/* The lock is held. */
static void await_wake(const struct nb__waiter *waiter)
{
    while (waiter->being_woken)
        (void)pthread_cond_wait(&waiter->list->changed, &waiter->list->lock);
}

bool nb__waiter_join(struct nb__waiter *waiter, struct nb__waitable *waitable)
{
    struct nb__waiters *list = list_of(waitable);

    if (list == NULL)
        return false;
    waiter->list = list;
    (void)pthread_mutex_lock(&list->lock);
    atomic_fetch_add(&list->references, 1);
    waiter->state = NB__WAITER_LISTED;
    waiter->next = list->first;
    if (list->first != NULL)
        list->first->prev = waiter;
    list->first = waiter;
    (void)pthread_mutex_unlock(&list->lock);
    return true;
}

enum nb__waiter_state nb__waiter_change(struct nb__waiter *waiter, void (*wake)(void *context),
                                        void *context)
{
    enum nb__waiter_state state;

    (void)pthread_mutex_lock(&waiter->list->lock);
    await_wake(waiter);
    state = waiter->state;
    waiter->wake = wake;
    waiter->context = context;
    (void)pthread_mutex_unlock(&waiter->list->lock);
    return state;
}

bool nb__waiter_hold(struct nb__waiter *waiter)
{
    struct nb__waiters *list = waiter->list;
    bool listed;

    (void)pthread_mutex_lock(&list->lock);
    listed = waiter->state == NB__WAITER_LISTED; /* then its waitable still exists, too */
    list->holds += listed;
    (void)pthread_mutex_unlock(&list->lock);
    return listed;
}

void nb__waiter_let_go(struct nb__waiter *waiter)
{
    struct nb__waiters *list = waiter->list;

    (void)pthread_mutex_lock(&list->lock);
    list->holds--;
    (void)pthread_cond_broadcast(&list->changed);
    (void)pthread_mutex_unlock(&list->lock);
}

void nb__waiter_leave(struct nb__waiter *waiter)
{
    (void)pthread_mutex_lock(&waiter->list->lock);
    await_wake(waiter);
    if (waiter->state == NB__WAITER_LISTED)
        unlink_as(waiter, NB__WAITER_RELEASED);
    (void)pthread_mutex_unlock(&waiter->list->lock);
}

void nb__waiter_end(struct nb__waiter *waiter)
{
    release(waiter->list);
}

/* Wakes a listed waiter. The lock is held before and after, but not while it is woken. */
static void wake(struct nb__waiters *list, struct nb__waiter *waiter)
{
    unlink_as(waiter, NB__WAITER_WOKEN);
    waiter->being_woken = true;
    (void)pthread_mutex_unlock(&list->lock);
    waiter->wake(waiter->context);
    (void)pthread_mutex_lock(&list->lock);
    waiter->being_woken = false;
    (void)pthread_cond_broadcast(&list->changed);
}

void nb__waiters_wake(struct nb__waitable *waitable)
{
    struct nb__waiters *list = atomic_load(&waitable->waiters);

    if (list == NULL)
        return;
    (void)pthread_mutex_lock(&list->lock);
    while (list->first != NULL)
        wake(list, list->first);
    (void)pthread_mutex_unlock(&list->lock);
}

void nb__waiters_release(struct nb__waitable *waitable)
{
    struct nb__waiters *list = atomic_load(&waitable->waiters);

    if (list == NULL)
        return;
    (void)pthread_mutex_lock(&list->lock);
    while (list->first != NULL)
        unlink_as(list->first, NB__WAITER_RELEASED);
    while (list->holds > 0)
        (void)pthread_cond_wait(&list->changed, &list->lock);
    (void)pthread_mutex_unlock(&list->lock);
    release(list);
    atomic_store(&waitable->waiters, NULL);
}

void nb__waiter_ring(void *wakeup)
{
    (void)nb__sys_wake_ring(wakeup);
}
