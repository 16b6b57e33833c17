/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the buffer of a connection, which holds what was received and not yet asked for.
 *
 *  Calls that look for an end read ahead into it, 16 KiB if so much is there; every receive call serves it
 *  first. It is small while a connection waits with an empty one, as thousands of them do. */
#ifndef NETBASICS_AHEAD_H
#define NETBASICS_AHEAD_H

#include "base/deadline_internal.h"
#include "conn/conn_internal.h"

#include <netbasics/conn.h>
#include <netbasics/deadline.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes in the buffer do not make up for a deadline that has passed; nb__io_recv() asks itself. */
static inline bool nb__ahead_too_late(const nb_conn *conn, nb_deadline by)
{
    return nb__conn_ahead(conn) > 0 && nb_expired(by);
}

/* What it is at most while it is empty, unless the last receive has filled it: then there is more, and
   the next receive needs it again, or gives it back. */
#define NB__AHEAD_IDLE ((size_t)4096)

/* Makes it as small as that; it is empty. */
void nb__ahead_give_back(struct nb__ahead *ahead);

static inline const unsigned char *nb__ahead_bytes(const nb_conn *conn)
{
    return conn->ahead.data + conn->ahead.start;
}

static inline void nb__ahead_drop(nb_conn *conn, size_t length)
{
    conn->ahead.start += length;
    if (conn->ahead.start == conn->ahead.end) {
        conn->ahead.start = conn->ahead.end = 0;
        if (conn->ahead.capacity > NB__AHEAD_IDLE && !conn->ahead.filled)
            nb__ahead_give_back(&conn->ahead);
    }
    nb__conn_count(conn, NB_RECEIVE, length);
}

/* Moves what fits out of the buffer: how many bytes. */
static inline size_t nb__ahead_take(nb_conn *conn, void *buf, size_t capacity)
{
    size_t length = nb__conn_ahead(conn) < capacity ? nb__conn_ahead(conn) : capacity;

    if (length > 0) {
        memcpy(buf, nb__ahead_bytes(conn), length);
        nb__ahead_drop(conn, length);
    }
    return length;
}

/* Receives into the buffer, behind what is there, which is fewer than `most` bytes; it does not grow
   beyond that or 16 KiB, whichever is more. NB_NO_MEMORY when there is no room and none is to be had. */
nb_status nb__ahead_fill(nb_conn *conn, size_t most, nb_deadline by);

/* Receives one byte into the buffer, which is empty. */
nb_status nb__ahead_fill_one(nb_conn *conn, nb_deadline by);

#endif
