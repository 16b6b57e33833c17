/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the buffer of a connection, which holds what was received and not yet asked for.
 *
 *  Calls that look for an end read ahead into it, 16 KiB if so much is there; every receive call serves it
 *  first. It is small while a connection waits with an empty one, as thousands of them do. */
#ifndef NETBASICS_READAHEAD_H
#define NETBASICS_READAHEAD_H

#include "base/deadline_internal.h"
#include "conn/conn_internal.h"

#include <netbasics/conn.h>
#include <netbasics/deadline.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes in the buffer do not make up for a deadline that has passed; nb__io_recv() asks itself. */
static inline bool nb__readahead_too_late(const nb_conn *conn, nb_deadline by)
{
    return nb__conn_readahead(conn) > 0 && nb_expired(by);
}

/* What it is at most while it is empty, unless the last receive has filled it: then there is more, and
   the next receive needs it again, or gives it back. */
#define NB__READAHEAD_IDLE ((size_t)4096)

/* Makes it as small as that; it is empty. */
void nb__readahead_give_back(struct nb__readahead *readahead);

static inline const unsigned char *nb__readahead_bytes(const nb_conn *conn)
{
    return conn->readahead.data + conn->readahead.start;
}

static inline void nb__readahead_drop(nb_conn *conn, size_t length)
{
    conn->readahead.start += length;
    if (conn->readahead.start == conn->readahead.end) {
        conn->readahead.start = conn->readahead.end = 0;
        if (conn->readahead.capacity > NB__READAHEAD_IDLE && !conn->readahead.filled)
            nb__readahead_give_back(&conn->readahead);
    }
    nb__conn_count(conn, NB_RECEIVE, length);
}

/* Moves what fits out of the buffer: how many bytes. */
static inline size_t nb__readahead_take(nb_conn *conn, void *buf, size_t capacity)
{
    size_t length = nb__conn_readahead(conn) < capacity ? nb__conn_readahead(conn) : capacity;

    if (length > 0) {
        memcpy(buf, nb__readahead_bytes(conn), length);
        nb__readahead_drop(conn, length);
    }
    return length;
}

/* Receives into the buffer, behind what is there, which is fewer than `most` bytes; it does not grow
   beyond that or 16 KiB, whichever is more. NB_NO_MEMORY when there is no room and none is to be had. */
nb_status nb__readahead_fill(nb_conn *conn, size_t most, nb_deadline by);

/* Receives one byte into the buffer, which is empty. */
nb_status nb__readahead_fill_one(nb_conn *conn, nb_deadline by);

#endif
