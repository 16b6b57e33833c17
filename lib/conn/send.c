/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Sending: all or an exact count of what was sent. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "conn/conn_internal.h"
#include "conn/io.h"
#include "sys/sys.h"

#include <errno.h>

/* At most this many slices go into one system call. */
#define PARTS_MAX ((size_t)64)

/* What is still to be sent: slices, without the first `skip` bytes of the first one. */
struct rest {
    const nb_slice *slices;
    size_t count;
    size_t skip;
};

/* Lists the next bytes to send, at most `most`. */
static size_t gather(const struct rest *rest, struct iovec *parts, size_t most)
{
    size_t skip = rest->skip;
    size_t count = 0;

    for (size_t i = 0; i < rest->count && count < PARTS_MAX && most > 0; i++) {
        const char *data = rest->slices[i].data;
        size_t length = rest->slices[i].length - skip;

        if (length > most)
            length = most;
        if (length > 0)
            parts[count++] = (struct iovec){(void *)(data + skip), length};
        most -= length;
        skip = 0;
    }
    return count;
}

static void advance(struct rest *rest, size_t sent)
{
    while (rest->count > 0 && sent >= rest->slices->length - rest->skip) {
        sent -= rest->slices->length - rest->skip;
        rest->skip = 0;
        rest->slices++;
        rest->count--;
    }
    rest->skip += sent;
}

static nb_status send_rest(nb_conn *conn, struct rest *rest, size_t total, size_t *sent,
                           nb_deadline by)
{
    size_t most = nb__io_send_max(conn, by);

    while (*sent < total) {
        struct iovec parts[PARTS_MAX];
        size_t count = gather(rest, parts, most);
        size_t more;
        nb_status status = nb__io_send_parts(conn, parts, count, &more, by);

        if (status != NB_OK)
            return status;
        *sent += more;
        nb__conn_count(conn, NB_SEND, more);
        advance(rest, more);
    }
    return NB_OK;
}

/* Adds up the lengths; false when a slice is not valid or the sum is too large. */
static bool add_up(const nb_slice *slices, size_t count, size_t *total)
{
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        if (slices[i].data == NULL && slices[i].length > 0)
            return false;
        if (slices[i].length > SIZE_MAX / 2 - *total)
            return false;
        *total += slices[i].length;
    }
    return true;
}

nb_status nb_send_slices(nb_conn *conn, const nb_slice *slices, size_t count, size_t *sent,
                         nb_deadline by)
{
    struct rest rest = {slices, count, 0};
    size_t total = 0;
    bool valid = (slices != NULL || count == 0) && add_up(slices, count, &total);
    nb_status status = nb__conn_check_send(conn, valid);
    size_t done = 0;

    if (status == NB_OK)
        status = send_rest(conn, &rest, total, &done, by);
    if (sent != NULL)
        *sent = done;
    return status;
}

/* Sends the bytes after the first *done ones. */
__attribute__((cold, noinline)) static nb_status
send_slow(nb_conn *conn, const char *data, size_t length, size_t *done, nb_deadline by)
{
    size_t most = nb__io_send_max(conn, by);
    nb_status status = NB_OK;

    while (status == NB_OK && *done < length) {
        size_t rest = length - *done;
        size_t more;

        status = nb__io_send(conn, data + *done, rest < most ? rest : most, &more, by);
        nb__conn_count(conn, NB_SEND, more);
        *done += more;
    }
    return status;
}

nb_status nb_send_all(nb_conn *conn, const void *data, size_t length, size_t *sent, nb_deadline by)
{
    bool valid = nb__is_length(length) && (data != NULL || length == 0);
    nb_status status = nb__conn_check_send(conn, valid);
    size_t done = 0;

    /* Nearly always one send takes all: this fast path has no loop. */
    if (status == NB_OK && length > 0 && length <= NB__IO_TIMED_SEND_MAX) {
        status = nb__io_send(conn, data, length, &done, by);
        nb__conn_count(conn, NB_SEND, done);
    }
    if (status == NB_OK && done < length)
        status = send_slow(conn, data, length, &done, by);
    if (sent != NULL)
        *sent = done;
    return status;
}

/* Remembers that the connection was gone before we ended our stream: the kernel may have reported
   the error elsewhere already, and reports an end of the stream from then on. */
static void note_reset(nb_conn *conn)
{
    if (!conn->ended_before && nb__sys_tcp_closed(conn->waitable.fd) == 1)
        atomic_store(&conn->was_reset, true);
}

nb_status nb_shutdown_send(nb_conn *conn)
{
    nb_status status = conn != NULL ? nb__conn_check(conn, NB_SEND) : NB_INVALID;
    int rc;

    if (status != NB_OK || atomic_exchange(&conn->ended, true))
        return status;
    rc = nb__sys_shutdown(conn->waitable.fd, SHUT_WR);
    if (rc == -ENOTCONN) /* the peer has reset it: the next receive reports that */
        note_reset(conn);
    if (rc == 0 || rc == -ENOTCONN)
        return NB_OK;
    return nb__io_fail(conn, NB_SEND, NB_SYSTEM, -rc);
}
