/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The buffer of a connection: how it grows. */
#include "ahead.h"

#include "io.h"
#include "sys.h"

#include <stdlib.h>

/* What it grows to at once, when so much was asked for. */
#define AHEAD_STEP ((size_t)4096)

/* Makes room for at least one more byte behind those in the buffer; they are fewer than most. */
static bool make_room(struct nb__ahead *ahead, size_t most)
{
    size_t capacity = ahead->capacity * 2 > AHEAD_STEP ? ahead->capacity * 2 : AHEAD_STEP;
    unsigned char *data;

    if (ahead->end < ahead->capacity)
        return true;
    if (ahead->start > 0) {
        memmove(ahead->data, ahead->data + ahead->start, ahead->end - ahead->start);
        ahead->end -= ahead->start;
        ahead->start = 0;
        return true;
    }
    if (capacity > most)
        capacity = most;
    data = nb__sys_realloc(ahead->data, capacity);
    if (data == NULL)
        return false;
    ahead->data = data;
    ahead->capacity = capacity;
    return true;
}

static nb_status receive(nb_conn *conn, size_t length, nb_deadline by)
{
    size_t received;
    nb_status status = nb__io_recv(conn, conn->ahead.data + conn->ahead.end, length, &received, by);

    conn->ahead.end += received;
    return status;
}

nb_status nb__ahead_fill(nb_conn *conn, size_t most, nb_deadline by)
{
    if (!make_room(&conn->ahead, most))
        return nb__io_fail(conn, NB_RECEIVE, NB_NO_MEMORY, 0);
    return receive(conn, conn->ahead.capacity - conn->ahead.end, by);
}

nb_status nb__ahead_fill_one(nb_conn *conn, nb_deadline by)
{
    if (!make_room(&conn->ahead, 1))
        return nb__io_fail(conn, NB_RECEIVE, NB_NO_MEMORY, 0);
    return receive(conn, 1, by);
}
