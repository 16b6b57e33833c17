/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Cancelling a connection, and what is tied to it.
 *
 *  Whatever is tied to one connection has a lock in common, which outlives all of them and is never held
 *  while somebody is cancelled: the kernel may have to wait for a send that is copying. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "conn/cancel.h"

#include "base/error_internal.h"
#include "sys/sys.h"

#include <pthread.h>
#include <stdlib.h>

/* What is tied to a connection. */
struct nb__ties {
    atomic_size_t references; /* of that connection, and of each tie */
    struct nb__conn_owner
        *owner; /* of that connection, if it has to be called before each wait, or NULL */

    pthread_mutex_t lock;   /* for what follows, and for the ties themselves */
    pthread_cond_t changed; /* somebody is not in use any more */
    nb_conn *to;            /* there as long as something is on the list, or looks */
    size_t looks;           /* how many threads call its owner just now */
    struct nb__tie *first;
};

struct nb__tie {
    struct nb__conn_owner owner; /* of the connection that is tied */
    struct nb__ties *ties;
    int wake[2];    /* rung when the connect is to give up; closed when it is over */
    nb_conn *conn;  /* NULL while the connect goes on */
    bool linked;    /* on the list */
    bool cancelled; /* and therefore not on the list any more */
    bool in_use; /* somebody else is cancelling the connection, outside the lock: it has to wait */
    struct nb__tie *prev;
    struct nb__tie *next;
};

static void release_ties(struct nb__ties *ties)
{
    if (atomic_fetch_sub(&ties->references, 1) != 1)
        return;
    (void)pthread_cond_destroy(&ties->changed);
    (void)pthread_mutex_destroy(&ties->lock);
    free(ties);
}

/* What is tied to a connection, made when it is asked for first; NULL without memory. */
static struct nb__ties *ties_of(nb_conn *conn)
{
    struct nb__ties *known = atomic_load(&conn->ties);
    struct nb__ties *ties;

    if (known != NULL)
        return known;
    ties = nb__sys_calloc(1, sizeof(*ties));
    if (ties == NULL)
        return NULL;
    atomic_init(&ties->references, 1);
    ties->owner = conn->slow_path ? conn->owner : NULL;
    ties->to = conn;
    (void)pthread_mutex_init(&ties->lock, NULL);
    (void)pthread_cond_init(&ties->changed, NULL);
    if (atomic_compare_exchange_strong(&conn->ties, &known, ties))
        return ties;
    release_ties(ties); /* another thread was faster */
    return known;
}

/* The lock is held. */
static void link_tie(struct nb__ties *ties, struct nb__tie *tie)
{
    tie->linked = true;
    tie->next = ties->first;
    if (ties->first != NULL)
        ties->first->prev = tie;
    ties->first = tie;
}

/* The lock is held. */
static void unlink_tie(struct nb__ties *ties, struct nb__tie *tie)
{
    if (!tie->linked)
        return;
    tie->linked = false;
    if (tie->prev != NULL)
        tie->prev->next = tie->next;
    else
        ties->first = tie->next;
    if (tie->next != NULL)
        tie->next->prev = tie->prev;
    tie->prev = tie->next = NULL;
}

/* Cancels one that has been taken off the list. The lock is held, but not meanwhile. */
static void cancel_tied(struct nb__ties *ties, struct nb__tie *tie)
{
    tie->cancelled = true;
    if (tie->conn == NULL) {
        (void)nb__sys_wake_ring(tie->wake);
        return;
    }
    tie->in_use = true;
    (void)pthread_mutex_unlock(&ties->lock);
    nb_cancel(tie->conn);
    (void)pthread_mutex_lock(&ties->lock);
    tie->in_use = false;
    (void)pthread_cond_broadcast(&ties->changed);
}

void nb_cancel(nb_conn *conn)
{
    struct nb__ties *ties;

    if (conn == NULL)
        return;
    atomic_store(&conn->cancelled, true);
    (void)nb__sys_disconnect(conn->waitable.fd);
    ties = atomic_load(&conn->ties); /* whoever ties something later looks at `cancelled` then */
    if (ties == NULL)
        return;
    (void)pthread_mutex_lock(&ties->lock);
    while (ties->first != NULL) {
        struct nb__tie *tie = ties->first;

        unlink_tie(ties, tie);
        cancel_tied(ties, tie);
    }
    (void)pthread_mutex_unlock(&ties->lock);
}

/* Lets the owner look of the connection that something is tied to. It may cancel that, and so what is
   tied. */
static void look(struct nb__tie *tie, struct nb__wait_bounds *bounds)
{
    struct nb__ties *ties = tie->ties;
    bool there;

    (void)pthread_mutex_lock(&ties->lock);
    there = tie->linked; /* and with it what it is tied to */
    ties->looks += there;
    (void)pthread_mutex_unlock(&ties->lock);
    if (!there)
        return;
    (void)ties->owner->before_wait(ties->owner, ties->to, bounds);
    (void)pthread_mutex_lock(&ties->lock);
    ties->looks--;
    (void)pthread_cond_broadcast(&ties->changed);
    (void)pthread_mutex_unlock(&ties->lock);
}

static void look_for_connect(void *tie, struct nb__wait_bounds *bounds)
{
    look(tie, bounds);
}

static nb_status look_for_conn(struct nb__conn_owner *owner, nb_conn *conn,
                               struct nb__wait_bounds *bounds)
{
    (void)conn;
    look((struct nb__tie *)owner, bounds);
    return NB_OK; /* it is never idle */
}

/* What a owner has to do at the end, nb__conn_untie() does. */
static void leave(struct nb__conn_owner *owner, nb_conn *conn, nb_status how)
{
    (void)owner;
    (void)conn;
    (void)how;
}

static bool let_go(struct nb__conn_owner *owner, nb_conn *conn)
{
    (void)owner;
    (void)conn;
    return true;
}

static void free_tie(struct nb__tie *tie)
{
    release_ties(tie->ties);
    free(tie);
}

/* Links a tie for which everything is there. */
static nb_status begin(struct nb__tie *tie, nb_conn *to)
{
    struct nb__ties *ties = tie->ties;

    tie->owner.on_close = leave;
    tie->owner.on_detach = let_go;
    tie->owner.before_wait = look_for_conn;
    tie->owner.before_every_wait = ties->owner != NULL;
    (void)pthread_mutex_lock(&ties->lock);
    atomic_fetch_add(&ties->references, 1);
    link_tie(ties, tie);
    (void)pthread_mutex_unlock(&ties->lock);
    if (!atomic_load(&to->cancelled))
        return NB_OK;
    nb__tie_end(tie);
    return NB_CANCELLED;
}

nb_status nb__tie_begin(struct nb__tie **out, nb_conn *to, int *system_error)
{
    struct nb__tie *tie = nb__sys_calloc(1, sizeof(*tie));
    int rc;

    if (tie != NULL)
        tie->ties = ties_of(to);
    if (tie == NULL || tie->ties == NULL) {
        free(tie);
        return NB_NO_MEMORY;
    }
    rc = nb__sys_wake_open(tie->wake);
    if (rc < 0) {
        free(tie);
        *system_error = -rc;
        return nb__status_of_errno(-rc);
    }
    *out = tie;
    return begin(tie, to);
}

void nb__tie_cancels(struct nb__tie *tie, struct nb__cancels *out)
{
    out->fds[1] = tie->wake[0];
    out->before_wait = tie->ties->owner != NULL ? look_for_connect : NULL;
    out->context = tie;
}

void nb__tie_end(struct nb__tie *tie)
{
    (void)pthread_mutex_lock(&tie->ties->lock);
    unlink_tie(tie->ties, tie);
    (void)pthread_mutex_unlock(&tie->ties->lock);
    nb__sys_wake_close(tie->wake);
    free_tie(tie);
}

nb_status nb__tie_complete(struct nb__tie *tie, nb_conn *conn)
{
    nb_status status;
    bool linked;

    (void)pthread_mutex_lock(&tie->ties->lock);
    status = tie->cancelled ? NB_CANCELLED : NB_OK;
    linked = tie->linked;
    if (linked) {
        conn->tie = tie;
        nb__conn_set_owner(conn, &tie->owner);
        tie->conn = conn;
    }
    (void)pthread_mutex_unlock(&tie->ties->lock);
    nb__sys_wake_close(tie->wake);
    if (!linked)
        free_tie(tie);
    return status;
}

/* Lets nobody cancel a connection any more for the sake of what it is tied to. */
static void leave_ties(struct nb__tie *tie)
{
    (void)pthread_mutex_lock(&tie->ties->lock);
    while (tie->in_use)
        (void)pthread_cond_wait(&tie->ties->changed, &tie->ties->lock);
    unlink_tie(tie->ties, tie);
    (void)pthread_mutex_unlock(&tie->ties->lock);
}

/* Lets go of all that is tied to a connection, which nobody cancels any more. */
static void end_ties(struct nb__ties *ties)
{
    (void)pthread_mutex_lock(&ties->lock);
    while (ties->first != NULL)
        unlink_tie(ties, ties->first);
    while (ties->looks > 0)
        (void)pthread_cond_wait(&ties->changed, &ties->lock);
    (void)pthread_mutex_unlock(&ties->lock);
    release_ties(ties);
}

void nb__conn_untie(nb_conn *conn)
{
    struct nb__ties *ties = atomic_load(&conn->ties);

    if (conn->tie != NULL)
        leave_ties(conn->tie);
    if (ties != NULL) {
        end_ties(ties);
        atomic_store(&conn->ties, NULL);
    }
    if (conn->tie != NULL) {
        nb__conn_set_owner(conn, NULL);
        free_tie(conn->tie);
        conn->tie = NULL;
    }
}
