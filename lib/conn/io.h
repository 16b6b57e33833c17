/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the raw operations of a connection, and the one place where it waits.
 *
 *  In the steady state a transfer is one blocking system call, bounded by the socket's own timer.
 *  That is what stands here; whatever else can happen is in io.c. */
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

/* Most bytes of one send: the kernel takes any length as it stands. */
#define NB__IO_SEND_MAX ((size_t)1 << 30)

/* Most bytes of one send with a deadline, and of any receive: copying does not count against the
   kernel's timer, and a receive copies for as long as the peer is fast enough. */
#define NB__IO_TIMED_SEND_MAX ((size_t)4 << 20)
#define NB__IO_RECV_MAX ((size_t)1 << 20)

/* How far a transfer has got in its wait. */
enum nb__stage {
    NB__UNTRIED,     /* nothing was tried */
    NB__WOULD_BLOCK, /* it would have to wait */
    NB__TIMER_FIRED  /* a timer has fired: the clock decides, and poll(2) waits for the rest */
};

/* Go on after a first try that moved nothing and came to `outcome`: 0 or -errno, or -EINTR when there
   was none. They move at least one byte. NB_EOF is the orderly end only. Failures that stay are
   recorded. Cold: what leads here stands out of the way of the steady state. */
__attribute__((cold)) nb_status nb__io_recv_slow(nb_conn *conn, void *buf, size_t capacity,
                                                 ssize_t outcome, size_t *received, nb_deadline by);
__attribute__((cold)) nb_status nb__io_send_slow(nb_conn *conn, const void *data, size_t length,
                                                 enum nb__stage stage, ssize_t outcome,
                                                 size_t *sent, nb_deadline by);

/* Receives what is there already: NB_OK and 0 bytes when that is nothing, and always where somebody has to
   be asked before each wait. */
nb_status nb__io_recv_now(nb_conn *conn, void *buf, size_t capacity, size_t *received);

/* Sends some of the parts, which are nb__io_send_max() bytes at most. */
nb_status nb__io_send_parts(nb_conn *conn, struct iovec *parts, size_t count, size_t *sent,
                            nb_deadline by);

/* How many bytes one send may be given. */
static inline size_t nb__io_send_max(const nb_conn *conn, nb_deadline by)
{
    return nb__is_forever(by) && !conn->slow_path ? NB__IO_SEND_MAX : NB__IO_TIMED_SEND_MAX;
}

/* Waits until there is something to receive, an end or a failure included. An expired deadline asks
   once. */
nb_status nb__io_wait_readable(nb_conn *conn, nb_deadline by);

/* What a receive of 0 bytes means: NB_EOF, or NB_RESET when the kernel has told about the reset
   already, to somebody else. */
nb_status nb__io_end_of_stream(const nb_conn *conn);

/* What an errno means on a connection that is there: one of the statuses that calls on it may return. */
nb_status nb__io_status_of(nb_direction direction, int error);

/* Records a failure of a direction, for good if it is one that stays. Returns the status. */
nb_status nb__io_fail(nb_conn *conn, nb_direction direction, nb_status status, int system_error);

/* Takes a failure that stays back. */
void nb__io_clear_status(nb_conn *conn, nb_direction direction);

static inline int64_t nb__io_left_ns(nb_deadline by)
{
    return nb__is_forever(by) ? INT64_MAX : nb__remaining_ns(by, nb__now_ns());
}

/* Whether the timer of a direction, as it is set now, bounds a wait well. */
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

/* Sends some of the bytes, which are nb__io_send_max() at most. A send seldom has to wait, so that it
   is tried before a timer is set for it. */
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
