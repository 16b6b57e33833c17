/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The end of a connection: an orderly close, or a reset. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "conn/close.h"

#include "base/deadline_internal.h"
#include "conn/cancel.h"
#include "conn/io.h"
#include "net/owned.h"
#include "sys/sys.h"

#include <errno.h>

/* How many bytes nb_close() drops at most, and how long it waits for one if it has no deadline. */
#define CLOSE_BYTES ((size_t)64 << 10)
#define CLOSE_IDLE_MS 60000

/* Unwanted bytes are received in small pieces, as the stack may be small. The clock is checked
   after 64 full pieces, or 16 partial ones, as a receive may take a while. */
#define DRAIN_PIECE 1024
#define DRAIN_EFFORT 64
#define DRAIN_EFFORT_OF_A_PART 4

nb_status nb__conn_verdict(const nb_conn *conn)
{
    nb_status sending = nb__conn_check(conn, NB_SEND);
    nb_status receiving = nb__conn_check(conn, NB_RECEIVE);

    if (sending != NB_OK)
        return sending;
    return receiving == NB_EOF || receiving == NB_TOO_LONG ? NB_OK : receiving;
}

nb_status nb__conn_end(nb_conn *conn)
{
    nb_status status = nb__conn_verdict(conn);

    return status == NB_OK ? nb_shutdown_send(conn) : status;
}

nb_status nb__conn_drain(nb_conn *conn, uint64_t *budget)
{
    char dropped[DRAIN_PIECE];
    ssize_t length = 1;
    int effort = 0;

    if (nb__conn_check(conn, NB_RECEIVE) == NB_EOF)
        return NB_OK;
    while (effort < DRAIN_EFFORT && length > 0) {
        length = nb__sys_recv(conn->waitable.fd, dropped, sizeof(dropped), MSG_DONTWAIT);
        if (length > 0 && (uint64_t)length > *budget)
            return NB_TOO_LONG;
        if (length > 0)
            *budget -= (uint64_t)length;
        effort += length == DRAIN_PIECE ? 1 : DRAIN_EFFORT_OF_A_PART;
    }
    if (atomic_load(&conn->cancelled))
        return NB_CANCELLED;
    if (length > 0 || length == -EAGAIN || length == -EINTR)
        return NB_TIMEOUT;
    if (length == 0) {
        nb_status how = nb__io_end_of_stream(conn);

        return how == NB_EOF ? NB_OK : nb__io_fail(conn, NB_RECEIVE, how, 0);
    }
    return nb__io_fail(conn, NB_RECEIVE, nb__io_status_of(NB_RECEIVE, (int)-length), (int)-length);
}

bool nb__conn_delivered(const nb_conn *conn)
{
    return nb__conn_check(conn, NB_SEND) == NB_OK && nb__sys_acknowledged(conn->waitable.fd) == 1;
}

/* Makes close(2) send a reset. */
static void close_resets(const nb_conn *conn)
{
    struct linger at_once = {1, 0};

    (void)nb__sys_setsockopt(conn->waitable.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* Tells the owner while the descriptor is still open. */
static void tell_owner(nb_conn *conn, nb_status how)
{
    if (conn->owner != NULL)
        conn->owner->on_close(conn->owner, conn, how);
}

static void destroy(nb_conn *conn, nb_status how)
{
    tell_owner(conn, how);
    nb__conn_untie(conn);
    if (conn->claimed)
        nb__owned_release(conn->waitable.fd);
    (void)nb__sys_close(conn->waitable.fd);
    nb__conn_free(conn);
}

nb_status nb__conn_dispose(nb_conn *conn, nb_status how)
{
    if (nb__conn_check(conn, NB_SEND) != NB_OK)
        close_resets(conn);
    destroy(conn, how);
    return how;
}

/* Waits for the peer's end of the stream, dropping the bytes before it. Only bytes count as
   progress: a socket may be reported readable, again and again, without any. */
static nb_status await_end(nb_conn *conn, nb_deadline by)
{
    uint64_t budget = CLOSE_BYTES;
    uint64_t left_before = UINT64_MAX; /* nothing was awaited yet */
    nb_deadline until = by;
    nb_status status = NB_OK;

    if (nb__conn_check(conn, NB_RECEIVE) == NB_EOF)
        return NB_OK;
    while (status == NB_OK) {
        status = nb__conn_drain(conn, &budget);
        if (status != NB_TIMEOUT)
            return status;
        if (nb__is_forever(by) && budget != left_before)
            until = nb_after_ms(CLOSE_IDLE_MS);
        left_before = budget;
        if (!nb_expired(until))
            status = nb__io_wait_readable(conn, until);
    }
    return status;
}

nb_status nb_close(nb_conn *conn, nb_deadline by)
{
    nb_status status;

    if (conn == NULL)
        return NB_OK;
    conn->idle_at = NB__NOT_IDLE; /* no request is expected any more */
    status = nb__conn_end(conn);
    if (status == NB_OK)
        status = await_end(conn, by);
    return nb__conn_dispose(conn, status);
}

void nb_abort(nb_conn *conn)
{
    nb_status how;

    if (conn == NULL)
        return;
    how = nb__conn_verdict(conn);
    close_resets(conn);
    destroy(conn, how == NB_OK ? NB_CANCELLED : how);
}
