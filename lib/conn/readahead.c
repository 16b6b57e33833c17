/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The buffer of a connection: how it grows, and what of it is given back. */
#include "conn/readahead.h"

#include "conn/io.h"
#include "sys/sys.h"

#include <stdlib.h>

/* What it begins with, and what it grows to at once when that was filled, whatever was asked for. */
#define AHEAD_FIRST ((size_t)1024)
#define AHEAD_MAX ((size_t)16384)

static bool resize(struct nb__ahead *ahead, size_t capacity)
{
    unsigned char *data = nb__sys_realloc(ahead->data, capacity);

    if (data == NULL)
        return false;
    ahead->data = data;
    ahead->capacity = capacity;
    return true;
}

void nb__ahead_give_back(struct nb__ahead *ahead)
{
    (void)resize(ahead, NB__AHEAD_IDLE); /* without memory for less it stays what it is */
}

static size_t next_capacity(const struct nb__ahead *ahead, size_t most)
{
    size_t larger = ahead->capacity * 4;
    size_t limit = most > AHEAD_MAX ? most : AHEAD_MAX;

    if (larger < AHEAD_FIRST)
        return AHEAD_FIRST;
    return larger < limit ? larger : limit;
}

/* Makes room for at least one more byte behind those in the buffer; they are fewer than most. It grows
   when they take half of it, and up to AHEAD_MAX also when the last receive has filled it. */
static bool make_room(struct nb__ahead *ahead, size_t most)
{
    size_t length = ahead->end - ahead->start;
    bool is_short = length >= ahead->capacity / 2;
    size_t larger;

    if (ahead->start > 0) {
        memmove(ahead->data, ahead->data + ahead->start, length);
        ahead->start = 0;
        ahead->end = length;
    }
    if (!is_short && !ahead->filled)
        return true;
    larger = next_capacity(ahead, is_short ? most : 0);
    return (larger > ahead->capacity && resize(ahead, larger)) || length < ahead->capacity;
}

static nb_status receive(nb_conn *conn, size_t length, nb_deadline by)
{
    struct nb__ahead *ahead = &conn->ahead;
    size_t received;
    nb_status status = nb__io_recv(conn, ahead->data + ahead->end, length, &received, by);

    ahead->end += received;
    ahead->filled = ahead->end == ahead->capacity;
    return status;
}

/* Whoever waits with an empty buffer does so with a small one: a large one is for what is there. */
static nb_status receive_what_is_there(nb_conn *conn, nb_deadline by)
{
    struct nb__ahead *ahead = &conn->ahead;
    nb_status status = NB_OK;

    if (!nb_expired(by))
        status = nb__io_recv_now(conn, ahead->data, ahead->capacity, &ahead->end);
    ahead->filled = ahead->end == ahead->capacity;
    if (ahead->end == 0)
        nb__ahead_give_back(ahead);
    return status;
}

nb_status nb__ahead_fill(nb_conn *conn, size_t most, nb_deadline by)
{
    struct nb__ahead *ahead = &conn->ahead;

    if (!make_room(ahead, most))
        return nb__io_fail(conn, NB_RECEIVE, NB_NO_MEMORY, 0);
    if (ahead->end == 0 && ahead->capacity > NB__AHEAD_IDLE) {
        nb_status status = receive_what_is_there(conn, by);

        if (status != NB_OK || ahead->end > 0)
            return status;
    }
    return receive(conn, ahead->capacity - ahead->end, by);
}

nb_status nb__ahead_fill_one(nb_conn *conn, nb_deadline by)
{
    if (!make_room(&conn->ahead, 1))
        return nb__io_fail(conn, NB_RECEIVE, NB_NO_MEMORY, 0);
    return receive(conn, 1, by);
}
