/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The connection object, and what can be asked about it. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/error_internal.h"
#include "conn/conn_internal.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <stdlib.h>
#include <string.h>

nb_conn *nb__conn_new(void)
{
    nb_conn *conn = nb__sys_calloc(1, sizeof(*conn));

    if (conn == NULL)
        return NULL;
    conn->waitable.fd = -1;
    conn->idle_at = NB__NOT_IDLE;
    for (size_t i = 0; i < 2; i++)
        conn->sides[i].timer_from_ns = conn->sides[i].timer_to_ns = INT64_MAX;
    return conn;
}

void nb__conn_free(nb_conn *conn)
{
    free(conn->readahead.data);
    free(conn);
}

void nb__conn_open(nb_conn *conn, int fd, nb_family family, const nb_address *peer)
{
    conn->waitable.fd = fd;
    conn->peer = *peer;
    conn->timed_sends = family != NB_FAMILY_UNIX;
    conn->refuses_rights = family == NB_FAMILY_UNIX;
}

nb_status nb_conn_status(const nb_conn *conn, nb_direction direction)
{
    if (conn == NULL || (direction != NB_RECEIVE && direction != NB_SEND))
        return NB_INVALID;
    return nb__conn_check(conn, direction);
}

void nb_conn_error(const nb_conn *conn, nb_direction direction, nb_error *err)
{
    nb_status status = nb_conn_status(conn, direction);
    char peer[NB_ADDRESS_TEXT_MAX];
    int system_error;
    struct nb__text text;

    if (status == NB_OK)
        status = (nb_status)atomic_load(&conn->sides[direction].passed);
    if (status == NB_OK) {
        nb__error_clear(err);
        return;
    }
    if (status == NB_INVALID && conn == NULL) {
        (void)nb__error_invalid(err, "connection", "expected one, not NULL");
        return;
    }
    if (status == NB_INVALID) {
        (void)nb__error_invalid(err, "direction", "expected NB_RECEIVE or NB_SEND");
        return;
    }
    system_error = status == NB_CANCELLED ? 0 : atomic_load(&conn->sides[direction].system_error);
    text = nb__error_begin(err, status, system_error);
    nb__text_add(&text, "%s %s: ", direction == NB_SEND ? "send to" : "receive from",
                 nb_address_format(&conn->peer, peer, sizeof(peer)));
    nb__text_add_reason(&text, status, system_error);
}

void nb_conn_peer(const nb_conn *conn, nb_address *out)
{
    if (out == NULL)
        return;
    if (conn != NULL)
        *out = conn->peer;
    else
        memset(out, 0, sizeof(*out));
}

void nb_conn_local(const nb_conn *conn, nb_address *out)
{
    if (out == NULL)
        return;
    if (conn != NULL)
        (void)nb__socket_local(conn->waitable.fd, out);
    /* After a cancellation the system no longer returns the real address. */
    if (conn == NULL || atomic_load(&conn->cancelled))
        memset(out, 0, sizeof(*out));
}

static uint64_t bytes_of(const nb_conn *conn, nb_direction direction)
{
    if (conn == NULL)
        return 0;
    return atomic_load_explicit(&conn->sides[direction].bytes, memory_order_relaxed);
}

void nb_conn_counters(const nb_conn *conn, uint64_t *received, uint64_t *sent)
{
    if (received != NULL)
        *received = bytes_of(conn, NB_RECEIVE);
    if (sent != NULL)
        *sent = bytes_of(conn, NB_SEND);
}

nb_fd nb_conn_fd(const nb_conn *conn)
{
    return conn != NULL ? conn->waitable.fd : -1;
}
