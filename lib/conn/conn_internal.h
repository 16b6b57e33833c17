/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: what a connection is. */
#ifndef NETBASICS_CONN_INTERNAL_H
#define NETBASICS_CONN_INTERNAL_H

#include "wait/wait.h"

#include <netbasics/conn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The hooks of whatever owns connections: the accept loop, or a tie. */
struct nb__conn_owner {
    /* Called when a connection is about to be freed, with how it ended, while its descriptor is
       still open. */
    void (*on_close)(struct nb__conn_owner *owner, nb_conn *conn, nb_status how);

    /* Called when it is about to be detached. False, and it is not, when it was cancelled. */
    bool (*on_detach)(struct nb__conn_owner *owner, nb_conn *conn);

    /* Called before each wait of an idle connection; of any connection if `before_every_wait`, when
       no other thread watches the clock. It may tighten the bounds, and cancel the connection.
       NB_OK, or NB_STOPPING when an idle connection is to end. */
    nb_status (*before_wait)(struct nb__conn_owner *owner, nb_conn *conn,
                             struct nb__wait_bounds *bounds);
    bool before_every_wait;
};

/* One direction. Only the thread that uses it writes here; others may read the atomic members. */
struct nb__side {
    atomic_int status; /* the sticky failure, or NB_OK */
    atomic_int passed; /* the last failure that was not sticky, or NB_OK */
    atomic_int system_error;
    _Atomic uint64_t bytes;
    /* The range of time left, in nanoseconds, for which the current SO_RCVTIMEO or SO_SNDTIMEO
       fits: it fires neither too late nor much too early. Without a timer, both are INT64_MAX: for
       ever. */
    int64_t timer_from_ns;
    int64_t timer_to_ns;
    bool attentive; /* its waits depend on more than the socket, so that its timer is short */
};

/* Bytes received but not asked for yet: data[start] to data[end - 1]. */
struct nb__readahead {
    unsigned char *data;
    size_t capacity;
    size_t start;
    size_t end;
    bool filled; /* the last receive filled it: there may be more */
};

/* State of a lingering connection: its handler has returned, but its peer has not ended yet
   (linger.c). */
struct nb__lingering {
    uint64_t budget; /* bytes that may still be dropped */
    nb_deadline until;
    nb_status how;      /* the result of the last check: NB_TIMEOUT while it lingers on */
    bool busy;          /* being drained without the lock: nobody else may take it */
    bool delivered;     /* the result of nb__conn_delivered() before its socket was closed */
    nb_conn *next_busy; /* in the list of busy ones */
    nb_conn *older;     /* in the server's list; nb_conn.next is the next younger one */
};

#define NB__NOT_IDLE UINT64_MAX

struct nb__tie;

struct nb_conn {
    struct nb__waitable waitable;
    bool timed_sends;       /* SO_SNDTIMEO bounds a send as a whole: TCP, not Unix */
    bool claimed;           /* by nb__owned_claim() */
    bool refuses_rights;    /* we have turned SO_PASSRIGHTS off */
    bool slow_path;         /* each wait calls the owner first */
    atomic_bool cancelled;  /* by nb_cancel() */
    atomic_bool ended;      /* we have ended our stream */
    atomic_bool was_reset;  /* before we ended our stream: an end received later is not orderly */
    bool ended_before;      /* our stream may have ended before the socket was ours */
    uint64_t idle_at;       /* idle while this many bytes have come; or NB__NOT_IDLE */
    nb_deadline request_by; /* while idle: it waits until then even if stopping; 0: not set */
    struct nb__side sides[2];
    struct nb__readahead readahead;
    struct nb__conn_owner *owner; /* NULL: none */
    nb_conn *next;                /* in a queue of its owner */
    uint64_t id;                  /* given by the accept loop; 0: not accepted by one */
    int64_t accepted_ns;          /* when the accept loop accepted it */
    int64_t peer_uid;             /* user ID of a Unix peer, for the accept loop; -1: not known */
    struct nb__lingering lingering;
    nb_address peer;
    struct nb__tie *tie; /* its tie to another connection, or NULL */
};

/* Allocates a connection that has no socket yet; NULL when out of memory. */
nb_conn *nb__conn_new(void);
void nb__conn_free(nb_conn *conn);

/* Makes the connection own a connected, blocking socket without timeouts. */
void nb__conn_open(nb_conn *conn, int fd, nb_family family, const nb_address *peer);

/* Forgets the timer of a direction: from now on the kernel waits only with the short one. */
static inline void nb__side_be_attentive(struct nb__side *side)
{
    side->attentive = true;
    side->timer_from_ns = INT64_MAX;
    side->timer_to_ns = 0;
}

/* Sets the owner; NULL: none. */
static inline void nb__conn_set_owner(nb_conn *conn, struct nb__conn_owner *owner)
{
    conn->owner = owner;
    conn->slow_path = owner != NULL && owner->before_every_wait;
    for (size_t i = 0; i < 2 && conn->slow_path; i++)
        nb__side_be_attentive(&conn->sides[i]);
}

/* NB_CANCELLED, or the sticky failure of a direction, or NB_OK. */
static inline nb_status nb__conn_check(const nb_conn *conn, nb_direction direction)
{
    if (atomic_load_explicit(&conn->cancelled, memory_order_relaxed))
        return NB_CANCELLED;
    return (nb_status)atomic_load_explicit(&conn->sides[direction].status, memory_order_acquire);
}

static inline bool nb__is_length(size_t length)
{
    return length <= SIZE_MAX / 2;
}

/* The checks of a receive that need neither clock nor kernel. */
static inline nb_status nb__conn_check_receive(const nb_conn *conn, bool valid)
{
    return valid && conn != NULL ? nb__conn_check(conn, NB_RECEIVE) : NB_INVALID;
}

/* The same for a send. */
static inline nb_status nb__conn_check_send(const nb_conn *conn, bool valid)
{
    if (!valid || conn == NULL || atomic_load_explicit(&conn->ended, memory_order_relaxed))
        return NB_INVALID;
    return nb__conn_check(conn, NB_SEND);
}

/* Adds to a counter that only the calling thread writes. */
static inline void nb__conn_count(nb_conn *conn, nb_direction direction, size_t bytes)
{
    _Atomic uint64_t *counter = &conn->sides[direction].bytes;

    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
}

static inline size_t nb__conn_readahead(const nb_conn *conn)
{
    return conn->readahead.end - conn->readahead.start;
}

/* How many bytes have come, including those in the read-ahead. For the receiving thread. */
static inline uint64_t nb__conn_come(const nb_conn *conn)
{
    return atomic_load_explicit(&conn->sides[NB_RECEIVE].bytes, memory_order_relaxed) +
           nb__conn_readahead(conn);
}

/* Whether nb_conn_idle() was called and nothing has come since. For the receiving thread. */
static inline bool nb__conn_is_idle(const nb_conn *conn)
{
    return conn->idle_at != NB__NOT_IDLE && conn->idle_at == nb__conn_come(conn);
}

#endif
