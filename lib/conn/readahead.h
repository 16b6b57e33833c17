/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the read-ahead of a connection: bytes received but not asked for yet.
 *
 *  Calls that look for a delimiter read ahead into it, up to 16 KiB at a time; every receive takes from
 *  it first. While a connection waits with an empty buffer, the buffer is small: there may be thousands
 *  of them. */
#ifndef NETBASICS_READAHEAD_H
#define NETBASICS_READAHEAD_H

#include "base/deadline_internal.h"
#include "conn/conn_internal.h"

#include <netbasics/conn.h>
#include <netbasics/deadline.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* An expired deadline fails a receive even if the buffer has bytes. With an empty buffer,
   nb__io_recv() checks that itself. */
static inline bool nb__readahead_too_late(const nb_conn *conn, nb_deadline by)
{
    return nb__conn_readahead(conn) > 0 && nb_expired(by);
}

/* The capacity at most while it is empty, unless the last receive filled it: then there is probably
   more, and the next receive either uses it or gives it back. */
#define NB__READAHEAD_IDLE ((size_t)4096)

/* Shrinks the buffer, which must be empty, to that capacity. */
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

/* Moves as many bytes as fit out of the buffer. Returns how many. */
static inline size_t nb__readahead_take(nb_conn *conn, void *buf, size_t capacity)
{
    size_t length = nb__conn_readahead(conn) < capacity ? nb__conn_readahead(conn) : capacity;

    if (length > 0) {
        memcpy(buf, nb__readahead_bytes(conn), length);
        nb__readahead_drop(conn, length);
    }
    return length;
}

/* Receives into the buffer, after the bytes there, which are fewer than `most`; it does not grow
   beyond `most` or 16 KiB, whichever is more. NB_NO_MEMORY when it is full and cannot grow. */
nb_status nb__readahead_fill(nb_conn *conn, size_t most, nb_deadline by);

/* Receives one byte into the buffer, which must be empty. */
nb_status nb__readahead_fill_one(nb_conn *conn, nb_deadline by);

#endif
