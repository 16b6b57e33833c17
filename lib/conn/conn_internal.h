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

/* What whoever owns connections hangs on them (the accept loop does). */
struct nb__conn_owner {
    /* Called when a connection is about to be freed, with the way it ended, while its descriptor is
       still its own. */
    void (*on_close)(struct nb__conn_owner *owner, nb_conn *conn, nb_status how);

    /* Called when it is about to be detached. False, and it stays, when it was cancelled. */
    bool (*on_detach)(struct nb__conn_owner *owner, nb_conn *conn);

    /* Called before each wait of a connection that is idle, and of all if `before_every_wait`: then nobody else
       watches the clock for them. It may narrow the bounds, and cancel the connection. NB_OK, or
       NB_STOPPING when one that is idle is to end. */
    nb_status (*before_wait)(struct nb__conn_owner *owner, nb_conn *conn,
                             struct nb__wait_bounds *bounds);
    bool before_every_wait;
};

/* One direction. Only its own thread writes here; others may read what is atomic. */
struct nb__side {
    atomic_int status; /* the failure that stays, or NB_OK */
    atomic_int passed; /* the last one that did not stay, or NB_OK */
    atomic_int system_error;
    _Atomic uint64_t bytes;
    /* The time left, in nanoseconds, for which SO_RCVTIMEO or SO_SNDTIMEO will do as it is set now:
       not too late, and not much too early. Without a timer: INT64_MAX, all the time. */
    int64_t timer_from_ns;
    int64_t timer_to_ns;
    bool attentive; /* its waits have more to heed than the socket, so that its timer is short */
};

/* Bytes received behind an end that was looked for: data[start] to data[end]. */
struct nb__readahead {
    unsigned char *data;
    size_t capacity;
    size_t start;
    size_t end;
    bool filled; /* the last receive left no room: there may be more */
};

/* What the accept loop remembers of a connection whose handler has returned and whose peer has not
   ended yet (linger.c). */
struct nb__lingering {
    uint64_t budget; /* bytes that may still be dropped */
    nb_deadline until;
    nb_status how;      /* what the last look came to: NB_TIMEOUT while it has to go on */
    bool busy;          /* being drained, outside the lock: nobody else may take it */
    bool delivered;     /* what nb__conn_delivered() said before its socket was closed */
    nb_conn *next_busy; /* of those that are */
    nb_conn *older;     /* in the list of the server; nb_conn.next is the next younger one */
};

#define NB__NOT_IDLE UINT64_MAX

struct nb__tie;

struct nb_conn {
    struct nb__waitable waitable;
    bool timed_sends;       /* SO_SNDTIMEO bounds a send as a whole: TCP, not Unix */
    bool claimed;           /* its number is: see nb__owned_claim() */
    bool refuses_rights;    /* SO_PASSRIGHTS is off, by our doing */
    bool slow_path;         /* each wait asks the owner first */
    atomic_bool cancelled;  /* by nb_cancel() */
    atomic_bool ended;      /* we have ended our stream */
    atomic_bool was_reset;  /* before we could end it: no end that is received later is one */
    bool ended_before;      /* it may have ended before the socket was ours */
    uint64_t idle_at;       /* idle until more than so many bytes have come; or NB__NOT_IDLE */
    nb_deadline request_by; /* while idle: so long it waits, come what may; 0: it has not yet */
    struct nb__side sides[2];
    struct nb__readahead readahead;
    struct nb__conn_owner *owner; /* NULL: nobody's but the caller's */
    nb_conn *next;                /* in a queue of whoever owns it */
    uint64_t id;                  /* among those that an accept loop has accepted; 0: not by one */
    int64_t accepted_ns;          /* when that was */
    int64_t peer_uid;             /* the user of a Unix peer, for who accepted it; -1: not known */
    struct nb__lingering lingering;
    nb_address peer;
    struct nb__tie *tie; /* to what it is tied, or NULL */
};

/* Memory for a connection, before there is a socket; NULL when there is none. */
nb_conn *nb__conn_new(void);
void nb__conn_free(nb_conn *conn);

/* Makes the connection own a connected, blocking socket without time-outs. */
void nb__conn_open(nb_conn *conn, int fd, nb_family family, const nb_address *peer);

/* From now on no wait of a direction is left to the kernel before its timer is set to the short time. */
static inline void nb__side_be_attentive(struct nb__side *side)
{
    side->attentive = true;
    side->timer_from_ns = INT64_MAX;
    side->timer_to_ns = 0;
}

/* Gives it to a owner, or, with NULL, takes it back from one. */
static inline void nb__conn_set_owner(nb_conn *conn, struct nb__conn_owner *owner)
{
    conn->owner = owner;
    conn->slow_path = owner != NULL && owner->before_every_wait;
    for (size_t i = 0; i < 2 && conn->slow_path; i++)
        nb__side_be_attentive(&conn->sides[i]);
}

/* NB_CANCELLED, or what a direction has failed with, or NB_OK. */
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

/* The checks of a receive that come before a clock or the kernel is asked. */
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

/* How many bytes have come, those included that nobody has asked for yet. For who receives. */
static inline uint64_t nb__conn_come(const nb_conn *conn)
{
    return atomic_load_explicit(&conn->sides[NB_RECEIVE].bytes, memory_order_relaxed) +
           nb__conn_readahead(conn);
}

/* Whether nb_conn_idle() was called and nothing has come since. For who receives. */
static inline bool nb__conn_is_idle(const nb_conn *conn)
{
    return conn->idle_at != NB__NOT_IDLE && conn->idle_at == nb__conn_come(conn);
}

#endif
