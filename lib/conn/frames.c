/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Frames: messages that begin with their length. */
#include "conn/conn_internal.h"
#include "conn/io.h"
#include "conn/readahead.h"

#include <stdint.h>

/* The length: four bytes, big-endian. */
#define HEADER ((size_t)4)

static size_t length_in(const unsigned char *header)
{
    return (size_t)((uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 |
                    (uint32_t)header[2] << 8 | (uint32_t)header[3]);
}

nb_status nb_send_frame(nb_conn *conn, const void *data, size_t length, nb_deadline by)
{
    unsigned char header[HEADER] = {(unsigned char)(length >> 24), (unsigned char)(length >> 16),
                                    (unsigned char)(length >> 8), (unsigned char)length};
    nb_slice parts[] = {{header, HEADER}, {data, length}};

    if (length > UINT32_MAX)
        return NB_INVALID;
    return nb_send_slices(conn, parts, 2, NULL, by);
}

/* Reads ahead until `wanted` bytes are in the buffer; if it has to grow, not beyond `most`. If the
   stream ends before, it ends inside a frame, unless nothing of the frame has come. */
static nb_status await_bytes(nb_conn *conn, size_t wanted, size_t most, nb_deadline by)
{
    while (nb__conn_readahead(conn) < wanted) {
        nb_status status = nb__readahead_fill(conn, most, by);

        if (status == NB_EOF && nb__conn_readahead(conn) > 0)
            return nb__io_fail(conn, NB_RECEIVE, NB_RESET, 0);
        if (status != NB_OK)
            return status;
    }
    return NB_OK;
}

/* Waits for a complete frame, and leaves it in the buffer; of one that is too long, drops the
   header. */
static nb_status await_frame(nb_conn *conn, size_t capacity, size_t *length, nb_deadline by)
{
    nb_status status = await_bytes(conn, HEADER, HEADER + capacity, by);
    size_t announced;

    if (status != NB_OK)
        return status;
    announced = length_in(nb__readahead_bytes(conn));
    if (announced > capacity) {
        nb__readahead_drop(conn, HEADER);
        *length = announced;
        return nb__io_fail(conn, NB_RECEIVE, NB_TOO_LONG, 0);
    }
    status = await_bytes(conn, HEADER + announced, HEADER + announced, by);
    if (status == NB_OK)
        *length = announced;
    return status;
}

nb_status nb_recv_frame(nb_conn *conn, void *buf, size_t capacity, size_t *length, nb_deadline by)
{
    bool valid = (buf != NULL || capacity == 0) && nb__is_length(capacity) && length != NULL;
    nb_status status = nb__conn_check_receive(conn, valid);

    if (length != NULL)
        *length = 0;
    if (status == NB_OK)
        status = await_frame(conn, capacity, length, by);
    if (status == NB_OK) {
        nb__readahead_drop(conn, HEADER);
        if (buf != NULL)
            (void)nb__readahead_take(conn, buf, *length);
    }
    return status;
}
