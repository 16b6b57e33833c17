/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the raw transfers of a connection, and the one place where it waits.
 *
 *  In the steady state a transfer is one blocking system call, bounded by the socket's own timer.
 *  This file has that fast path; everything else is in io.c. */
#ifndef NETBASICS_IO_H
#define NETBASICS_IO_H

#include "base/deadline_internal.h"
#include "conn/conn_internal.h"
#include "sys/sys.h"

#include <errno.h>
#include <netbasics/conn.h>
#include <netbasics/deadline.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* Most bytes of one send without a deadline. */
#define NB__IO_SEND_MAX ((size_t)1 << 30)

/* Most bytes of one send with a deadline, and of any receive: the kernel's timer does not count the
   time for copying, and a receive goes on copying as long as a fast peer sends. */
#define NB__IO_TIMED_SEND_MAX ((size_t)4 << 20)
#define NB__IO_RECV_MAX ((size_t)1 << 20)

/* How far a transfer has got in its wait. */
enum nb__stage {
    NB__UNTRIED,     /* nothing was tried */
    NB__WOULD_BLOCK, /* a try without waiting moved nothing */
    NB__TIMER_FIRED  /* the socket's timer fired: clock and poll(2) bound the rest of the wait */
};

/* The slow paths, after a first try that moved nothing. `outcome` is its result: 0 or -errno, or
   -EINTR when there was no try. On NB_OK at least one byte was moved. NB_EOF means an orderly end
   only. Sticky failures are recorded. Cold, to keep these calls out of the fast path. */
__attribute__((cold)) nb_status nb__io_recv_slow(nb_conn *conn, void *buf, size_t capacity,
                                                 ssize_t outcome, size_t *received, nb_deadline by);
__attribute__((cold)) nb_status nb__io_send_slow(nb_conn *conn, const void *data, size_t length,
                                                 enum nb__stage stage, ssize_t outcome,
                                                 size_t *sent, nb_deadline by);

/* Receives what has arrived already: NB_OK and 0 bytes when that is nothing; always so on the slow
   path. */
nb_status nb__io_recv_now(nb_conn *conn, void *buf, size_t capacity, size_t *received);

/* Sends some of the parts, which have at most nb__io_send_max() bytes. */
nb_status nb__io_send_parts(nb_conn *conn, struct iovec *parts, size_t count, size_t *sent,
                            nb_deadline by);

/* At most this many bytes may be given to one send. */
static inline size_t nb__io_send_max(const nb_conn *conn, nb_deadline by)
{
    return nb__is_forever(by) && !conn->slow_path ? NB__IO_SEND_MAX : NB__IO_TIMED_SEND_MAX;
}

/* Waits until there is something to receive, which may be an end or a failure. An expired deadline
   asks once. */
nb_status nb__io_wait_readable(nb_conn *conn, nb_deadline by);

/* What a receive of 0 bytes means: NB_EOF, or NB_RESET (NB_UNREACHABLE) when the kernel has already
   reported that failure elsewhere. */
nb_status nb__io_end_of_stream(const nb_conn *conn);

/* What an errno means on an established connection: one of the statuses that calls on it may
   return. */
nb_status nb__io_status_of(nb_direction direction, int error);

/* Records a failure of a direction, for good if it is sticky. Returns the status. */
nb_status nb__io_fail(nb_conn *conn, nb_direction direction, nb_status status, int system_error);

/* Clears a sticky failure. */
void nb__io_clear_status(nb_conn *conn, nb_direction direction);

static inline int64_t nb__io_left_ns(nb_deadline by)
{
    return nb__is_forever(by) ? INT64_MAX : nb__remaining_ns(by, nb__now_ns());
}

/* Whether the current timer of a direction fits the time left. */
static inline bool nb__io_timer_fits(const nb_conn *conn, nb_direction direction, int64_t left_ns)
{
    const struct nb__side *side = &conn->sides[direction];

    return left_ns >= side->timer_from_ns && left_ns <= side->timer_to_ns;
}

/* Receives 1 to capacity bytes. */
static inline nb_status nb__io_recv(nb_conn *conn, void *buf, size_t capacity, size_t *received,
                                    nb_deadline by)
{
    size_t most = capacity < NB__IO_RECV_MAX ? capacity : NB__IO_RECV_MAX;
    ssize_t outcome = -EINTR;

    if (!conn->slow_path && nb__io_timer_fits(conn, NB_RECEIVE, nb__io_left_ns(by)))
        outcome = nb__sys_recv(conn->waitable.fd, buf, most, 0);
    if (outcome > 0) {
        *received = (size_t)outcome;
        return NB_OK;
    }
    return nb__io_recv_slow(conn, buf, most, outcome, received, by);
}

/* Sends some of the bytes, at most nb__io_send_max(). A send seldom has to wait, so it is tried
   before a timer is set for it. */
static inline nb_status nb__io_send(nb_conn *conn, const void *data, size_t length, size_t *sent,
                                    nb_deadline by)
{
    int64_t left_ns = nb__io_left_ns(by);
    bool fits = nb__io_timer_fits(conn, NB_SEND, left_ns);
    ssize_t outcome = -EINTR;

    if (!conn->slow_path && left_ns > 0)
        outcome = nb__sys_send(conn->waitable.fd, data, length, fits ? 0 : MSG_DONTWAIT);
    if (outcome > 0) {
        *sent = (size_t)outcome;
        return NB_OK;
    }
    return nb__io_send_slow(conn, data, length, fits ? NB__TIMER_FIRED : NB__WOULD_BLOCK, outcome,
                            sent, by);
}

#endif
