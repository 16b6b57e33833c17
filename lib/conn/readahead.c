/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The read-ahead of a connection: how its buffer grows and shrinks. */
#include "conn/readahead.h"

#include "conn/io.h"
#include "sys/sys.h"

#include <stdlib.h>

/* The first capacity, and the one that a buffer may grow to whatever was asked for. */
#define CAPACITY_FIRST ((size_t)1024)
#define CAPACITY_MAX ((size_t)16384)

static bool resize(struct nb__readahead *readahead, size_t capacity)
{
    unsigned char *data = nb__sys_realloc(readahead->data, capacity);

    if (data == NULL)
        return false;
    readahead->data = data;
    readahead->capacity = capacity;
    return true;
}

void nb__readahead_give_back(struct nb__readahead *readahead)
{
    (void)resize(readahead, NB__READAHEAD_IDLE); /* on failure it stays as it is */
}

static size_t next_capacity(const struct nb__readahead *readahead, size_t most)
{
    size_t larger = readahead->capacity * 4;
    size_t limit = most > CAPACITY_MAX ? most : CAPACITY_MAX;

    if (larger < CAPACITY_FIRST)
        return CAPACITY_FIRST;
    return larger < limit ? larger : limit;
}

/* Makes room for at least one more byte after those in the buffer, which are fewer than `most`. It
   grows when they take half of it, and, up to CAPACITY_MAX, also when the last receive filled
   it. */
static bool make_room(struct nb__readahead *readahead, size_t most)
{
    size_t length = readahead->end - readahead->start;
    bool is_short = length >= readahead->capacity / 2;
    size_t larger;

    if (readahead->start > 0) {
        memmove(readahead->data, readahead->data + readahead->start, length);
        readahead->start = 0;
        readahead->end = length;
    }
    if (!is_short && !readahead->filled)
        return true;
    larger = next_capacity(readahead, is_short ? most : 0);
    return (larger > readahead->capacity && resize(readahead, larger)) ||
           length < readahead->capacity;
}

static nb_status receive(nb_conn *conn, size_t length, nb_deadline by)
{
    struct nb__readahead *readahead = &conn->readahead;
    size_t received;
    nb_status status = nb__io_recv(conn, readahead->data + readahead->end, length, &received, by);

    readahead->end += received;
    readahead->filled = readahead->end == readahead->capacity;
    return status;
}

/* Uses a large, empty buffer for what has arrived already; if that is nothing, shrinks it before
   the wait. */
static nb_status receive_what_is_there(nb_conn *conn, nb_deadline by)
{
    struct nb__readahead *readahead = &conn->readahead;
    nb_status status = NB_OK;

    if (!nb_expired(by))
        status = nb__io_recv_now(conn, readahead->data, readahead->capacity, &readahead->end);
    readahead->filled = readahead->end == readahead->capacity;
    if (readahead->end == 0)
        nb__readahead_give_back(readahead);
    return status;
}

nb_status nb__readahead_fill(nb_conn *conn, size_t most, nb_deadline by)
{
    struct nb__readahead *readahead = &conn->readahead;

    if (!make_room(readahead, most))
        return nb__io_fail(conn, NB_RECEIVE, NB_NO_MEMORY, 0);
    if (readahead->end == 0 && readahead->capacity > NB__READAHEAD_IDLE) {
        nb_status status = receive_what_is_there(conn, by);

        if (status != NB_OK || readahead->end > 0)
            return status;
    }
    return receive(conn, readahead->capacity - readahead->end, by);
}

nb_status nb__readahead_fill_one(nb_conn *conn, nb_deadline by)
{
    if (!make_room(&conn->readahead, 1))
        return nb__io_fail(conn, NB_RECEIVE, NB_NO_MEMORY, 0);
    return receive(conn, 1, by);
}
