/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The raw operations of a connection, and the one place where it waits.
 *
 *  In the steady state a transfer is one blocking system call, bounded by the socket's own timer.
 *  That timer is coarse (up to an eighth and two ticks late), so it is armed with a margin, and the
 *  monotonic clock and ppoll(2) do the rest. */
#define _POSIX_C_SOURCE 200809L

#include "io.h"

#include "conn_internal.h"
#include "deadline_internal.h"
#include "error_internal.h"
#include "sys.h"

#include <errno.h>
#include <sys/time.h>

/* Below this the socket's timer is too coarse to be of use. */
#define POLL_BELOW_NS (32 * NB__NS_PER_MS)

/* Longest the timer is ever set to, about 35 minutes. */
#define ARMED_MAX_MS (INT32_C(1) << 21)

/* One receive or send, whatever it takes. */
struct transfer {
    nb_direction direction;
    struct iovec *parts;
    size_t count;
};

static ssize_t move_bytes(const nb_conn *conn, const struct transfer *transfer, int flags)
{
    struct iovec *first = transfer->parts;

    if (transfer->direction == NB_RECEIVE)
        return nb__sys_recv(conn->fd, first->iov_base, first->iov_len, flags);
    if (transfer->count == 1)
        return nb__sys_send(conn->fd, first->iov_base, first->iov_len, flags);
    return nb__sys_sendmsg(conn->fd, first, transfer->count, flags);
}

/* How much time a timer of so many milliseconds can take, and a little for what comes after it. */
static int64_t longest_ns(int32_t armed_ms)
{
    return ((int64_t)armed_ms + armed_ms / 8 + 8) * NB__NS_PER_MS;
}

/* The largest power of two that is sure to end in time; 0, for none, when there is all the time. */
static int32_t timer_for(int64_t left_ns)
{
    int32_t armed = left_ns == INT64_MAX ? 0 : ARMED_MAX_MS;

    while (longest_ns(armed) > left_ns)
        armed /= 2;
    return armed;
}

/* Whether the timer as it is will do: not too late, and not much too early. */
static bool timer_fits(int32_t armed, int64_t left_ns)
{
    if (left_ns == INT64_MAX)
        return armed == 0;
    return armed != 0 && longest_ns(armed) <= left_ns &&
           (armed > ARMED_MAX_MS / 4 || longest_ns(4 * armed) > left_ns);
}

/* Sets the socket's timer; 0 for none. */
static bool set_timer(nb_conn *conn, nb_direction direction, int32_t ms)
{
    static const int options[] = {[NB_RECEIVE] = SO_RCVTIMEO, [NB_SEND] = SO_SNDTIMEO};
    struct timeval value = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    if (nb__sys_setsockopt(conn->fd, SOL_SOCKET, options[direction], &value, sizeof(value)) < 0)
        return false;
    conn->sides[direction].armed_ms = ms;
    return true;
}

/* Whether somebody has to be asked before each wait. */
static bool is_kept(const nb_conn *conn)
{
    return conn->keeper != NULL && conn->keeper->look != NULL;
}

/* How long the next step may wait. */
struct span {
    nb_deadline until;
    int64_t left_ns;
};

/* Decides how long the next step may wait: NB_OK, or why it may not. */
static nb_status look_at_clock(nb_conn *conn, nb_deadline by, struct span *span)
{
    int64_t now;

    span->until = by;
    span->left_ns = INT64_MAX;
    if (nb__is_forever(by) && !is_kept(conn))
        return NB_OK;
    now = nb__now_ns();
    if (is_kept(conn)) {
        span->until = conn->keeper->look(conn->keeper, conn, now, by);
        if (atomic_load(&conn->cancelled))
            return NB_CANCELLED;
    }
    span->left_ns = nb__remaining_ns(span->until, now);
    return span->left_ns > 0 ? NB_OK : NB_TIMEOUT;
}

static int poll_for(const nb_conn *conn, short events, nb_deadline until)
{
    struct pollfd entry = {conn->fd, events, 0};

    return nb__sys_poll(&entry, 1, until);
}

/* How far a transfer has got in its wait. */
enum stage {
    FRESH, /* nothing was tried */
    TRIED, /* it would have to wait */
    FIRED  /* a timer has fired: the clock decides, and poll(2) waits for the rest */
};

static ssize_t poll_and_move(const nb_conn *conn, const struct transfer *transfer,
                             nb_deadline until)
{
    int ready = poll_for(conn, transfer->direction == NB_RECEIVE ? POLLIN : POLLOUT, until);

    if (ready <= 0)
        return ready == 0 ? -EAGAIN : ready;
    return move_bytes(conn, transfer, MSG_DONTWAIT);
}

/* One step: bytes moved, or -errno; -EAGAIN leads to the next stage. */
static ssize_t step(nb_conn *conn, const struct transfer *transfer, enum stage *stage,
                    const struct span *span)
{
    nb_direction direction = transfer->direction;
    bool timed = (conn->timed_sends || direction == NB_RECEIVE || span->left_ns == INT64_MAX) &&
                 span->left_ns >= POLL_BELOW_NS && *stage != FIRED;

    if (timed && timer_fits(conn->sides[direction].armed_ms, span->left_ns)) {
        *stage = FIRED;
        return move_bytes(conn, transfer, 0);
    }
    /* A send seldom has to wait, and then needs no timer. (And a small one often fits where poll(2)
       does not call the socket writable yet.) */
    if (direction == NB_SEND && *stage == FRESH) {
        *stage = TRIED;
        return move_bytes(conn, transfer, MSG_DONTWAIT);
    }
    *stage = FIRED;
    if (timed && set_timer(conn, direction, timer_for(span->left_ns)))
        return move_bytes(conn, transfer, 0);
    return poll_and_move(conn, transfer, span->until);
}

static nb_status transfer_some(nb_conn *conn, const struct transfer *transfer, size_t *done,
                               nb_deadline by)
{
    enum stage stage = FRESH;

    *done = 0;
    for (;;) {
        enum stage before = stage;
        struct span span;
        nb_status status = look_at_clock(conn, by, &span);
        ssize_t moved;

        if (status != NB_OK)
            return nb__io_fail(conn, transfer->direction, status, 0);
        moved = step(conn, transfer, &stage, &span);
        if (moved > 0) {
            *done = (size_t)moved;
            return NB_OK;
        }
        if (atomic_load(&conn->cancelled))
            return NB_CANCELLED;
        if (moved == 0)
            return nb__io_fail(conn, transfer->direction, nb__io_end_of_stream(conn), 0);
        if (moved == -EINTR)
            stage = before;
        else if (moved != -EAGAIN)
            return nb__io_fail(conn, transfer->direction, nb__status_of_errno((int)-moved),
                               (int)-moved);
    }
}

nb_status nb__io_recv(nb_conn *conn, void *buf, size_t capacity, size_t *received, nb_deadline by)
{
    struct iovec part = {buf, capacity < NB__IO_MAX ? capacity : NB__IO_MAX};
    struct transfer transfer = {NB_RECEIVE, &part, 1};

    return transfer_some(conn, &transfer, received, by);
}

nb_status nb__io_send(nb_conn *conn, struct iovec *parts, size_t count, size_t *sent,
                      nb_deadline by)
{
    struct transfer transfer = {NB_SEND, parts, count};
    nb_status status;

    atomic_store_explicit(&conn->sending, true, memory_order_relaxed);
    status = transfer_some(conn, &transfer, sent, by);
    atomic_store_explicit(&conn->sending, false, memory_order_release);
    return status;
}

size_t nb__io_send_max(const nb_conn *conn, nb_deadline by)
{
    return nb__is_forever(by) && !is_kept(conn) ? NB__IO_MAX : NB__IO_TIMED_SEND_MAX;
}

nb_status nb__io_wait_readable(nb_conn *conn, nb_deadline by)
{
    for (;;) {
        struct span span;
        nb_status status = look_at_clock(conn, by, &span);
        int ready;

        if (status == NB_CANCELLED)
            return status;
        ready = poll_for(conn, POLLIN, span.until);
        if (atomic_load(&conn->cancelled))
            return NB_CANCELLED;
        if (ready > 0)
            return NB_OK;
        if (ready == 0 && status == NB_TIMEOUT)
            return NB_TIMEOUT;
        if (ready < 0 && ready != -EINTR)
            return nb__io_fail(conn, NB_RECEIVE, nb__status_of_errno(-ready), -ready);
    }
}

/* The kernel keeps one error for both directions and gives it once. When a send has taken it, or may
   be about to, recv(2) answers 0 as if the stream had ended well; but a connection that is closed
   before we have ended our own stream was reset. */
nb_status nb__io_end_of_stream(const nb_conn *conn)
{
    const struct nb__side *send = &conn->sides[NB_SEND];
    bool sending = atomic_load_explicit(&conn->sending, memory_order_acquire);
    int failed = atomic_load_explicit(&send->status, memory_order_acquire);

    if (failed == NB_RESET || failed == NB_UNREACHABLE)
        return (nb_status)failed;
    if ((sending || failed != NB_OK) && !atomic_load(&conn->ended) &&
        nb__sys_tcp_closed(conn->fd) == 1)
        return NB_RESET;
    return NB_EOF;
}

static bool stays(nb_direction direction, nb_status status)
{
    if (status == NB_CANCELLED)
        return false; /* conn->cancelled says it */
    return direction == NB_SEND || (status != NB_TIMEOUT && status != NB_NO_MEMORY);
}

nb_status nb__io_fail(nb_conn *conn, nb_direction direction, nb_status status, int system_error)
{
    struct nb__side *side = &conn->sides[direction];

    if (stays(direction, status)) {
        atomic_store_explicit(&side->system_error, system_error, memory_order_relaxed);
        atomic_store_explicit(&side->status, (int)status, memory_order_release);
    }
    return status;
}

void nb_cancel(nb_conn *conn)
{
    if (conn == NULL)
        return;
    atomic_store(&conn->cancelled, true);
    (void)nb__sys_disconnect(conn->fd);
}
