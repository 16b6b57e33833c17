/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the listener object. */
#ifndef NETBASICS_LISTENER_INTERNAL_H
#define NETBASICS_LISTENER_INTERNAL_H

#include "listen/listen_socket.h"

#include <netbasics/listener.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the accept loop counts; see nb_serve_counters. */
struct nb__counters {
    _Atomic uint64_t accepted;
    _Atomic uint64_t active;
    _Atomic uint64_t peak;
    _Atomic uint64_t refused;
    _Atomic uint64_t lost_accepts;
    _Atomic uint64_t lingering;
    _Atomic uint64_t forced;
    _Atomic uint64_t unserved;
    _Atomic uint64_t limit_reached;
};

struct nb_listener {
    int wake[2];                   /* rung by each stop, for accepting and draining threads */
    int stop[2];                   /* rung by the first stop, and never cleared */
    _Atomic int64_t stopped_at_ns; /* when the first stop came; 0: not yet */
    atomic_bool hurried;           /* the drain has to end at once */
    atomic_bool served;            /* an accept loop runs on it, or has run */
    atomic_uint turn;              /* which socket is tried first */
    pthread_mutex_t lock;          /* guards `accepting`; never held during a wait */
    pthread_cond_t vacant;         /* no thread is accepting any more */
    bool accepting;                /* a thread has the turn in nb_accept(): others wait for it */
    atomic_int shortage;           /* the errno of the shortage it backs off from; 0: none */
    size_t count;
    struct nb__listen_socket sockets[NB_LISTENER_SOCKETS_MAX];
    struct nb__counters counters;
};

static inline bool nb__listener_stopped(const nb_listener *listener)
{
    return atomic_load_explicit(&listener->stopped_at_ns, memory_order_acquire) != 0;
}

/* For a thread that finds one of its wakeups readable: clears it unless the listener was stopped.
   (A child of fork(2) may have rung it.) */
void nb__listener_wake_clear(const nb_listener *listener, const int wake[2]);

/* Removes the files of its own Unix sockets, so that no new client finds them. */
void nb__listener_hide(nb_listener *listener);

/* Closes the sockets; their addresses can still be asked for. */
void nb__listener_shut(nb_listener *listener);

#endif
