/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Receiving: what has arrived, an exact number of bytes, or up to a delimiter. */
#include "conn/conn_internal.h"
#include "conn/io.h"
#include "conn/readahead.h"

#include <string.h>

/* Receives into the caller's memory, from the read-ahead first. */
static nb_status recv_some(nb_conn *conn, void *buf, size_t capacity, size_t *received,
                           nb_deadline by)
{
    nb_status status;

    *received = nb__readahead_take(conn, buf, capacity);
    if (*received > 0)
        return NB_OK;
    status = nb__io_recv(conn, buf, capacity, received, by);
    nb__conn_count(conn, NB_RECEIVE, *received);
    return status;
}

nb_status nb_recv(nb_conn *conn, void *buf, size_t capacity, size_t *received, nb_deadline by)
{
    bool valid = buf != NULL && capacity > 0 && nb__is_length(capacity) && received != NULL;
    nb_status status = nb__conn_check_receive(conn, valid);

    if (received != NULL)
        *received = 0;
    if (status != NB_OK)
        return status;
    if (nb__readahead_too_late(conn, by))
        return nb__io_fail(conn, NB_RECEIVE, NB_TIMEOUT, 0);
    return recv_some(conn, buf, capacity, received, by);
}

/* Receives until the caller's memory is full. */
static nb_status recv_full(nb_conn *conn, char *buf, size_t length, size_t *received,
                           nb_deadline by)
{
    if (*received < length && nb__readahead_too_late(conn, by))
        return nb__io_fail(conn, NB_RECEIVE, NB_TIMEOUT, 0);
    while (*received < length) {
        size_t more;
        nb_status status = recv_some(conn, buf + *received, length - *received, &more, by);

        *received += more;
        if (status != NB_OK)
            return status;
    }
    return NB_OK;
}

nb_status nb_recv_exact(nb_conn *conn, void *buf, size_t length, size_t *received, nb_deadline by)
{
    bool valid = (buf != NULL || length == 0) && nb__is_length(length) && received != NULL;
    nb_status status = nb__conn_check_receive(conn, valid);

    if (received != NULL)
        *received = 0;
    return status == NB_OK ? recv_full(conn, buf, length, received, by) : status;
}

/* The caller's memory is full: checks that the stream ends here. If it does not, one byte is read
   ahead. */
static nb_status recv_end(nb_conn *conn, nb_deadline by)
{
    nb_status status;

    if (nb__readahead_too_late(conn, by))
        return nb__io_fail(conn, NB_RECEIVE, NB_TIMEOUT, 0);
    if (nb__conn_readahead(conn) > 0)
        return NB_TOO_LONG;
    status = nb__readahead_fill_one(conn, by);
    return status == NB_OK ? NB_TOO_LONG : status;
}

nb_status nb_recv_to_end(nb_conn *conn, void *buf, size_t capacity, size_t *received,
                         nb_deadline by)
{
    bool valid = (buf != NULL || capacity == 0) && nb__is_length(capacity) && received != NULL;
    nb_status status = nb__conn_check_receive(conn, valid);

    if (received != NULL)
        *received = 0;
    if (status == NB_OK)
        status = recv_full(conn, buf, capacity, received, by);
    if (status == NB_OK)
        status = recv_end(conn, by);
    return status == NB_EOF ? NB_OK : status;
}

/* A delimiter to look for, within `bound` bytes. */
struct search {
    const unsigned char *end;
    size_t end_length;
    size_t bound;
};

/* The number of bytes up to and including the delimiter; 0 when it is not there. The first
   `searched` bytes are known not to contain all of it: the search begins where it could begin in
   them. */
static inline size_t find_end(const nb_conn *conn, const struct search *search, size_t searched)
{
    size_t have = nb__conn_readahead(conn);
    size_t length = have < search->bound ? have : search->bound;
    size_t at = searched >= search->end_length ? searched - search->end_length + 1 : 0;

    while (at + search->end_length <= length) {
        const unsigned char *bytes = nb__readahead_bytes(conn);
        size_t starts = length - search->end_length + 1 - at;
        const unsigned char *hit = memchr(bytes + at, search->end[0], starts);

        if (hit == NULL)
            return 0;
        at = (size_t)(hit - bytes);
        if (memcmp(hit + 1, search->end + 1, search->end_length - 1) == 0)
            return at + search->end_length;
        at++;
    }
    return 0;
}

/* Reads ahead until the delimiter is in the buffer, where it is not yet. */
__attribute__((cold, noinline)) static nb_status
look_for_slow(nb_conn *conn, const struct search *search, size_t *found, nb_deadline by)
{
    do {
        size_t searched = nb__conn_readahead(conn);
        nb_status status;

        if (searched >= search->bound)
            return NB_TOO_LONG;
        status = nb__readahead_fill(conn, search->bound, by);
        if (status != NB_OK)
            return status;
        *found = find_end(conn, search, searched);
    } while (*found == 0);
    return NB_OK;
}

/* Reads ahead until the delimiter is in the buffer: NB_OK and its place, NB_TOO_LONG when the bound
   is reached without it, or the failure. Takes nothing out of the buffer. The fast path, for a
   delimiter that is in the buffer already, does not read the clock. */
static inline nb_status look_for(nb_conn *conn, const struct search *search, size_t *found,
                                 nb_deadline by)
{
    *found = find_end(conn, search, 0);
    return *found > 0 ? NB_OK : look_for_slow(conn, search, found, by);
}

/* How many bytes at the end of the first `length` ones may be the beginning of the delimiter. */
static size_t begun_in(const nb_conn *conn, const struct search *search, size_t length)
{
    size_t begun = length < search->end_length ? length : search->end_length - 1;

    while (begun > 0 && memcmp(nb__readahead_bytes(conn) + length - begun, search->end, begun) != 0)
        begun--;
    return begun;
}

static bool can_be_repeated(nb_status status)
{
    return status == NB_TIMEOUT || status == NB_NO_MEMORY || status == NB_STOPPING;
}

nb_status nb_recv_until(nb_conn *conn, void *buf, size_t capacity, const void *delimiter,
                        size_t delimiter_length, size_t *received, nb_deadline by)
{
    bool valid = buf != NULL && delimiter != NULL && delimiter_length > 0 &&
                 capacity >= delimiter_length && nb__is_length(capacity) && received != NULL;
    struct search search = {delimiter, delimiter_length, capacity};
    nb_status status = nb__conn_check_receive(conn, valid);
    size_t found;

    if (received != NULL)
        *received = 0;
    if (status != NB_OK)
        return status;
    status = look_for(conn, &search, &found, by);
    if (status == NB_OK)
        *received = nb__readahead_take(conn, buf, found);
    else if (status == NB_TOO_LONG) /* a delimiter that has begun stays whole for the next call */
        *received = nb__readahead_take(conn, buf, capacity - begun_in(conn, &search, capacity));
    else if (!can_be_repeated(status))
        *received = nb__readahead_take(conn, buf, capacity);
    return status == NB_TOO_LONG ? nb__io_fail(conn, NB_RECEIVE, status, 0) : status;
}

/* Looks for the end of a line of at most `most` bytes: gives its length with (*found) and without
   it. */
static nb_status look_for_line(nb_conn *conn, size_t most, size_t *found, size_t *length,
                               nb_deadline by)
{
    struct search search = {(const unsigned char *)"\n", 1, most + 1};
    nb_status status = look_for(conn, &search, found, by);

    /* One byte over is fine if it is the CR of a CRLF. */
    if (status == NB_TOO_LONG && nb__readahead_bytes(conn)[most] == '\r') {
        search.bound++;
        status = look_for(conn, &search, found, by);
        if (status == NB_EOF)
            status = NB_TOO_LONG; /* the CR was the last byte of the stream */
    }
    if (status != NB_OK)
        return status;
    *length = *found - 1;
    if (*length > 0 && nb__readahead_bytes(conn)[*length - 1] == '\r')
        *length -= 1;
    return NB_OK;
}

/* Receives a line of at most `most` bytes, without its end. */
static nb_status recv_line(nb_conn *conn, char *buf, size_t most, size_t *length, nb_deadline by)
{
    size_t found;
    nb_status status = look_for_line(conn, most, &found, length, by);

    if (status == NB_OK) {
        memcpy(buf, nb__readahead_bytes(conn), *length);
        nb__readahead_drop(conn, found);
    } else {
        *length = can_be_repeated(status) ? 0 : nb__readahead_take(conn, buf, most);
    }
    return status == NB_TOO_LONG ? nb__io_fail(conn, NB_RECEIVE, status, 0) : status;
}

nb_status nb_recv_line(nb_conn *conn, char *buf, size_t capacity, size_t *length, nb_deadline by)
{
    bool valid = buf != NULL && capacity > 0 && nb__is_length(capacity);
    nb_status status = nb__conn_check_receive(conn, valid);
    size_t received = 0;

    if (status == NB_OK)
        status = recv_line(conn, buf, capacity - 1, &received, by);
    if (status != NB_INVALID)
        buf[received] = '\0';
    if (length != NULL)
        *length = received;
    return status;
}

/* Drops the bytes in the buffer up to and including the delimiter; without one, all that cannot be
   its beginning, and reduces the bound. Then nothing else may be received until the delimiter is
   found: NB_TOO_LONG is sticky until then. */
static nb_status skip_what_is_there(nb_conn *conn, struct search *search, size_t searched)
{
    size_t found = find_end(conn, search, searched);
    size_t have = nb__conn_readahead(conn);
    size_t within = have < search->bound ? have : search->bound;
    size_t dropped = within - begun_in(conn, search, within);

    if (found > 0) {
        nb__readahead_drop(conn, found);
        nb__io_clear_status(conn, NB_RECEIVE);
        return NB_OK;
    }
    if (dropped > 0) {
        (void)nb__io_fail(conn, NB_RECEIVE, NB_TOO_LONG, 0);
        nb__readahead_drop(conn, dropped);
    }
    search->bound -= dropped;
    return NB_TOO_LONG;
}

static nb_status skip(nb_conn *conn, struct search *search, nb_deadline by)
{
    size_t searched = 0;

    for (;;) {
        nb_status status = skip_what_is_there(conn, search, searched);

        searched = nb__conn_readahead(conn);
        if (status == NB_OK || searched >= search->bound)
            return status;
        status = nb__readahead_fill(conn, search->bound, by);
        if (status != NB_OK) {
            if (!can_be_repeated(status))
                nb__readahead_drop(conn, nb__conn_readahead(conn));
            return status;
        }
    }
}

nb_status nb_skip_until(nb_conn *conn, size_t most, const void *delimiter, size_t delimiter_length,
                        nb_deadline by)
{
    bool valid = delimiter != NULL && delimiter_length > 0 && most >= delimiter_length &&
                 nb__is_length(most);
    struct search search = {delimiter, delimiter_length, most};
    nb_status status = nb__conn_check_receive(conn, valid);

    return status == NB_OK || status == NB_TOO_LONG ? skip(conn, &search, by) : status;
}

nb_status nb_skip_line(nb_conn *conn, size_t most, nb_deadline by)
{
    return nb_skip_until(conn, most, "\n", 1, by);
}

nb_status nb_wait_readable(nb_conn *conn, nb_deadline by)
{
    nb_status status = nb__conn_check_receive(conn, true);

    if (status != NB_OK || nb__conn_readahead(conn) > 0)
        return status;
    if (conn->readahead.capacity > NB__READAHEAD_IDLE)
        nb__readahead_give_back(&conn->readahead);
    return nb__io_wait_readable(conn, by);
}

size_t nb_conn_buffered(const nb_conn *conn)
{
    return conn != NULL ? nb__conn_readahead(conn) : 0;
}
