/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: one run of the accept loop: what its parts share. */
#ifndef NETBASICS_SERVER_H
#define NETBASICS_SERVER_H

#include "conn/conn_internal.h"
#include "listen/accept.h"
#include "listen/listener_internal.h"

#include <netbasics/serve.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nb__server;

/* The connection that a handler has just now: one for each thread that runs handlers. */
struct nb__handling {
    struct nb__conn_owner owner;
    struct nb__server *server;
    nb_conn *conn;             /* NULL once it has left */
    int64_t begun_ns;          /* when it was given to the handler */
    nb_deadline life;          /* when it is to be cancelled */
    bool impatient;            /* the drain is too short to be noticed late */
    bool being_cancelled;      /* by somebody else, outside the lock: it has to wait */
    bool admitted;             /* it counts for its peer */
    bool leaving;              /* its handler has returned: nobody else may touch it */
    struct nb__handling *prev; /* in the list of the server, while `conn` is there */
    struct nb__handling *next;
};

struct nb__server {
    nb_listener *listener;
    nb_handler *handler;
    void *context;
    bool opens_signals;       /* that stop, and that the calling thread blocks */
    bool began;               /* the loop did: the listener cannot be served again */
    nb_serve_options options; /* with the defaults filled in; NB_NO_LIMIT where there is none */

    /* For the thread that accepts: one at a time. */
    struct nb__accepting accepting;
    nb_conn *spare;               /* memory for the next connection */
    _Atomic uint64_t last_id;     /* how many connections have been accepted so far */
    int broken;                   /* the errno that ended listening; 0: none */
    atomic_uint shortage_changes; /* shortages that have begun, and that are over */
    atomic_int shortage_error;    /* the errno of the last one */
    atomic_uint
        shortages_reported; /* of these changes, by events; for the thread that called nb_serve() */
    _Atomic(nb_conn *) unreported; /* closed to free descriptors; their events are pending */
    uint64_t made_room;            /* how many have been, in all; for the thread that accepts */
    /* Since the stop: how many of each socket's queue may still be taken. */
    size_t backlog_left[NB_LISTENER_SOCKETS_MAX];

    /* For what follows; never held during a wait, a callback or a system call: even recv(2) and
       close(2) can wait, for a descriptor that a peer has sent. */
    pthread_mutex_t lock;
    pthread_cond_t cancelled; /* a handling is not being cancelled any more */
    struct nb__handling *oldest;
    struct nb__handling *newest;
    bool over;           /* drain time is up: nothing starts; cancellations count as forced */
    nb_conn *queue_head; /* accepted at the stop, not yet served */
    nb_conn *queue_tail;
    size_t queued;
    nb_conn *oldest_lingerer;
    nb_conn *newest_lingerer;
    size_t lingering; /* options.linger_max at most */
};

/* Waits as nb__wait() does; for the calling thread of nb_serve(). */
int nb__server_poll(const struct nb__server *server, struct pollfd *fds, nfds_t count,
                    nb_deadline by);

void nb__server_lock(struct nb__server *server);
void nb__server_unlock(struct nb__server *server);

/* The end of the drain, in the past if it has to end at once; nb_forever() before the stop, and for
   a drain without limit. */
nb_deadline nb__server_drain_end(const struct nb__server *server);

/* The same, after poll(2) has checked the listener's wakeup: clears it. Only the drain uses it
   then. */
nb_deadline nb__server_drain_end_again(const struct nb__server *server, const struct pollfd *wake);

/* Whether the peers of two connections count as one: the same user of Unix sockets, or the same
   host. */
bool nb__server_same_peer(const nb_conn *a, const nb_conn *b);

/* Changes a counter of the listener. Whoever sees the change also sees what was counted before. */
static inline void nb__count_up(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_release);
}

static inline void nb__count_down(_Atomic uint64_t *counter)
{
    atomic_fetch_sub_explicit(counter, 1, memory_order_release);
}

#endif
