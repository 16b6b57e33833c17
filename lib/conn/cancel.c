/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Cancelling a connection, and whatever is tied to it. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "conn/cancel.h"

#include "base/error_internal.h"
#include "sys/sys.h"
#include "wait/waiters.h"

#include <stdlib.h>

/* A tied connect, and later its connection, is a waiter of the connection it is tied to. */
struct nb__tie {
    struct nb__conn_owner owner; /* of the tied connection */
    struct nb__waiter waiter;
    int wakeup[2]; /* rung to cancel the connect; closed when that ends */
    nb_conn *to;
    struct nb__conn_owner *owner_of_to; /* if it must be called before each wait, or NULL */
};

void nb_cancel(nb_conn *conn)
{
    if (conn == NULL)
        return;
    atomic_store(&conn->cancelled, true);
    (void)nb__sys_disconnect(conn->waitable.fd);
    nb__waiters_wake(&conn->waitable); /* whoever joins later checks `cancelled` afterwards */
}

static void cancel(void *conn)
{
    nb_cancel(conn);
}

/* Calls the owner of the connection that the tie leads to: it may cancel that, and so what is
   tied. */
static void ask_owner_of_to(struct nb__tie *tie, struct nb__wait_bounds *bounds)
{
    if (!nb__waiter_hold(&tie->waiter))
        return;
    (void)tie->owner_of_to->before_wait(tie->owner_of_to, tie->to, bounds);
    nb__waiter_let_go(&tie->waiter);
}

static void before_wait_of_connect(void *tie, struct nb__wait_bounds *bounds)
{
    ask_owner_of_to(tie, bounds);
}

static nb_status before_wait_of_conn(struct nb__conn_owner *owner, nb_conn *conn,
                                     struct nb__wait_bounds *bounds)
{
    (void)conn;
    ask_owner_of_to((struct nb__tie *)owner, bounds);
    return NB_OK; /* a tied connection is never idle */
}

/* Nothing to do here: nb__conn_untie() ends the tie. */
static void on_close(struct nb__conn_owner *owner, nb_conn *conn, nb_status how)
{
    (void)owner;
    (void)conn;
    (void)how;
}

static bool on_detach(struct nb__conn_owner *owner, nb_conn *conn)
{
    (void)owner;
    (void)conn;
    return true;
}

static struct nb__tie *new_tie(nb_conn *to)
{
    struct nb__tie *tie = nb__sys_calloc(1, sizeof(*tie));

    if (tie == NULL)
        return NULL;
    tie->to = to;
    tie->owner_of_to = to->slow_path ? to->owner : NULL;
    tie->owner.on_close = on_close;
    tie->owner.on_detach = on_detach;
    tie->owner.before_wait = before_wait_of_conn;
    tie->owner.before_every_wait = tie->owner_of_to != NULL;
    tie->waiter.wake = nb__waiter_ring;
    tie->waiter.context = tie->wakeup;
    return tie;
}

/* The steps that can fail after the tie is allocated. */
static struct nb__result join(struct nb__tie *tie)
{
    int rc = nb__sys_wake_open(tie->wakeup);

    if (rc < 0)
        return nb__result_of(rc);
    if (nb__waiter_join(&tie->waiter, &tie->to->waitable))
        return nb__ok();
    nb__sys_wake_close(tie->wakeup);
    return nb__failure(NB_NO_MEMORY, 0);
}

struct nb__result nb__tie_begin(struct nb__tie **out, nb_conn *to)
{
    struct nb__tie *tie = new_tie(to);
    struct nb__result result = tie == NULL ? nb__failure(NB_NO_MEMORY, 0) : join(tie);

    if (result.status != NB_OK) {
        free(tie);
        return result;
    }
    *out = tie;
    if (!atomic_load(&to->cancelled))
        return nb__ok();
    nb__tie_end(tie);
    return nb__failure(NB_CANCELLED, 0);
}

void nb__tie_cancels(struct nb__tie *tie, struct nb__cancels *out)
{
    out->fds[1] = tie->wakeup[0];
    out->before_wait = tie->owner_of_to != NULL ? before_wait_of_connect : NULL;
    out->context = tie;
}

/* For a tie whose waiter has left. */
static void free_tie(struct nb__tie *tie)
{
    nb__waiter_end(&tie->waiter);
    free(tie);
}

void nb__tie_end(struct nb__tie *tie)
{
    nb__waiter_leave(&tie->waiter);
    nb__sys_wake_close(tie->wakeup);
    free_tie(tie);
}

nb_status nb__tie_complete(struct nb__tie *tie, nb_conn *conn)
{
    enum nb__waiter_state state = nb__waiter_change(&tie->waiter, cancel, conn);

    nb__sys_wake_close(tie->wakeup);
    if (state == NB__WAITER_LISTED) {
        conn->tie = tie;
        nb__conn_set_owner(conn, &tie->owner);
        return NB_OK;
    }
    free_tie(tie);
    return state == NB__WAITER_WOKEN ? NB_CANCELLED : NB_OK;
}

/* The tie is freed last: until the waiters are released, one of them may still call its owner. */
void nb__conn_untie(nb_conn *conn)
{
    struct nb__tie *tie = conn->tie;

    if (tie != NULL)
        nb__waiter_leave(&tie->waiter);
    nb__waiters_release(&conn->waitable);
    if (tie == NULL)
        return;
    nb__conn_set_owner(conn, NULL);
    free_tie(tie);
    conn->tie = NULL;
}
