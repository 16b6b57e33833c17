/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The raw transfers of a connection, and the one place where it waits.
 *
 *  The socket's own timer is coarse (up to one eighth and two ticks late), so it is armed with a margin;
 *  ppoll(2) and the monotonic clock bound the rest of the wait. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "conn/io.h"

#include "base/error_internal.h"

#include <sys/time.h>

/* For less time than this, the socket's timer is too coarse. */
#define POLL_BELOW_NS (32 * NB__NS_PER_MS)

/* The timer of an attentive direction; poll(2) does the rest of the wait. An idle connection may
   wait this long for a request even while its server stops. */
#define ATTENTIVE_MS INT32_C(128)

/* The longest timer, about 35 minutes. */
#define ARMED_MAX_MS (INT32_C(1) << 21)

/* One receive or send, with all its tries. */
struct transfer {
    nb_direction direction;
    struct iovec *parts;
    size_t count;
};

static ssize_t move_bytes(const nb_conn *conn, const struct transfer *transfer, int flags)
{
    struct iovec *first = transfer->parts;

    if (transfer->direction == NB_RECEIVE)
        return nb__sys_recv(conn->waitable.fd, first->iov_base, first->iov_len, flags);
    if (transfer->count == 1)
        return nb__sys_send(conn->waitable.fd, first->iov_base, first->iov_len, flags);
    return nb__sys_sendmsg(conn->waitable.fd, first, transfer->count, flags);
}

/* The longest time that a timer of `armed_ms` milliseconds can take, with a small reserve. */
static int64_t longest_ns(int32_t armed_ms)
{
    return ((int64_t)armed_ms + armed_ms / 8 + 8) * NB__NS_PER_MS;
}

/* The longest timer, in powers of two, that is sure to fire in time; 0, for none, without a
   deadline. */
static int32_t timer_for(const struct nb__side *side, int64_t left_ns)
{
    int32_t armed = left_ns == INT64_MAX ? 0 : ARMED_MAX_MS;

    if (side->attentive)
        armed = ATTENTIVE_MS;
    while (longest_ns(armed) > left_ns)
        armed /= 2;
    return armed;
}

/* Records the range of time left that the timer fits: until it would fire too late, or more than
   four times too early. */
static void note_timer(struct nb__side *side, int32_t ms)
{
    side->timer_from_ns = ms == 0 ? INT64_MAX : longest_ns(ms);
    side->timer_to_ns = ms == 0 ? INT64_MAX : longest_ns(ms * 4) - 1;
    if (ms == ARMED_MAX_MS)
        side->timer_to_ns = INT64_MAX - 1;
    if (side->attentive && ms == ATTENTIVE_MS)
        side->timer_to_ns = INT64_MAX;
    if (side->timer_from_ns < POLL_BELOW_NS)
        side->timer_from_ns = POLL_BELOW_NS;
}

/* Sets the socket's timer; 0 for none. */
static bool set_timer(nb_conn *conn, nb_direction direction, int32_t ms)
{
    static const int options[] = {[NB_RECEIVE] = SO_RCVTIMEO, [NB_SEND] = SO_SNDTIMEO};
    struct timeval value = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    if (nb__sys_setsockopt(conn->waitable.fd, SOL_SOCKET, options[direction], &value,
                           sizeof(value)) < 0)
        return false;
    note_timer(&conn->sides[direction], ms);
    return true;
}

/* How long the next step may wait. */
struct span {
    struct nb__wait_bounds bounds;
    int64_t left_ns;
    bool fired;    /* the timer fired on the fast path */
    bool stopping; /* the bounds end the wait of an idle connection because its server stops */
};

/* Whether the connection has waited ATTENTIVE_MS in the kernel: timers set for deadlines are
   shorter. */
static bool has_waited(const nb_conn *conn, const struct span *span)
{
    return span->fired && conn->sides[NB_RECEIVE].timer_to_ns == INT64_MAX;
}

/* Lets the owner of the connection tighten the bounds. */
static void ask_owner(nb_conn *conn, struct span *span)
{
    nb_status status = conn->owner->before_wait(conn->owner, conn, &span->bounds);

    if (!span->bounds.idle)
        return;
    if (conn->request_by.ns == 0)
        conn->request_by =
            nb__ms_after(span->bounds.now_ns, has_waited(conn, span) ? 0 : (int64_t)ATTENTIVE_MS);
    span->stopping = status == NB_STOPPING;
    if (span->stopping)
        span->bounds.until = nb__earlier(span->bounds.until, conn->request_by);
}

/* Decides how long the next step may wait: NB_OK, or why it may not wait. */
static nb_status look_at_clock(nb_conn *conn, nb_direction direction, nb_deadline by,
                               struct span *span)
{
    struct nb__wait_bounds *bounds = &span->bounds;

    bounds->idle = direction == NB_RECEIVE && nb__conn_is_idle(conn);
    bounds->until = by;
    bounds->fd = -1;
    bounds->soon = false;
    span->left_ns = INT64_MAX;
    span->stopping = false;
    if (nb__is_forever(by) && !conn->slow_path && !bounds->idle)
        return NB_OK;
    bounds->now_ns = nb__now_ns();
    if (conn->slow_path || bounds->idle)
        ask_owner(conn, span);
    if (atomic_load(&conn->cancelled))
        return NB_CANCELLED;
    span->left_ns = nb__remaining_ns(bounds->until, bounds->now_ns);
    if (span->left_ns > 0)
        return NB_OK;
    return span->stopping && by.ns > bounds->now_ns ? NB_STOPPING : NB_TIMEOUT;
}

static ssize_t poll_and_move(const nb_conn *conn, const struct transfer *transfer,
                             struct span *span)
{
    int ready = nb__wait_on(&conn->waitable, transfer->direction, &span->bounds);

    if (ready <= 0)
        return ready == 0 ? -EAGAIN : ready;
    return move_bytes(conn, transfer, MSG_DONTWAIT);
}

/* One step of a transfer: the bytes moved, or -errno; -EAGAIN leads to the next stage. */
static ssize_t step(nb_conn *conn, const struct transfer *transfer, enum nb__stage *stage,
                    struct span *span)
{
    nb_direction direction = transfer->direction;
    const struct nb__side *side = &conn->sides[direction];
    bool timed = *stage != NB__TIMER_FIRED && !span->bounds.soon &&
                 span->left_ns >= POLL_BELOW_NS &&
                 (conn->timed_sends || direction == NB_RECEIVE ||
                  (span->left_ns == INT64_MAX && !side->attentive));

    if (timed && nb__io_timer_fits(conn, direction, span->left_ns)) {
        *stage = NB__TIMER_FIRED;
        return move_bytes(conn, transfer, 0);
    }
    /* A send seldom has to wait, so it is tried before a timer is set. (A small one often fits
       although poll(2) does not report the socket writable yet.) */
    if (direction == NB_SEND && *stage == NB__UNTRIED) {
        *stage = NB__WOULD_BLOCK;
        return move_bytes(conn, transfer, MSG_DONTWAIT);
    }
    *stage = NB__TIMER_FIRED;
    if (timed && set_timer(conn, direction, timer_for(side, span->left_ns)))
        return move_bytes(conn, transfer, 0);
    return poll_and_move(conn, transfer, span);
}

/* When the kernel gives up on a peer that no longer answers, it reports the last ICMP error, if
   there was one: any of the errnos that ICMP maps to. An established connection cannot be refused,
   so these mean that the peer is unreachable. */
nb_status nb__io_status_of(nb_direction direction, int error)
{
    nb_status status = nb__status_of_errno(error);

    switch (status) {
    case NB_RESET:
    case NB_UNREACHABLE:
    case NB_NO_MEMORY:
        return status;
    case NB_PERMISSION: /* for a send, perhaps this machine's own firewall */
        return direction == NB_SEND ? status : NB_UNREACHABLE;
    case NB_REFUSED:
    case NB_UNSUPPORTED:
        return NB_UNREACHABLE;
    default:
        return NB_SYSTEM;
    }
}

/* What a try that moved nothing means: NB_OK to go on, or the status to return. */
static nb_status status_of_try(nb_conn *conn, nb_direction direction, ssize_t outcome)
{
    if (atomic_load(&conn->cancelled))
        return NB_CANCELLED;
    if (outcome == -EAGAIN || outcome == -EINTR)
        return NB_OK;
    if (outcome == 0)
        return nb__io_fail(conn, direction, nb__io_end_of_stream(conn), 0);
    return nb__io_fail(conn, direction, nb__io_status_of(direction, (int)-outcome), (int)-outcome);
}

static nb_status transfer_slow(nb_conn *conn, const struct transfer *transfer, enum nb__stage stage,
                               ssize_t outcome, size_t *moved, nb_deadline by)
{
    struct span span = {.fired = stage == NB__TIMER_FIRED};

    *moved = 0;
    for (;;) {
        nb_status status = status_of_try(conn, transfer->direction, outcome);
        enum nb__stage before = stage;

        if (status != NB_OK)
            return status;
        status = look_at_clock(conn, transfer->direction, by, &span);
        if (status == NB_STOPPING && stage == NB__UNTRIED) /* what has arrived comes first */
            status = NB_OK;
        if (status != NB_OK)
            return nb__io_fail(conn, transfer->direction, status, 0);
        outcome = step(conn, transfer, &stage, &span);
        if (outcome > 0) {
            *moved = (size_t)outcome;
            return NB_OK;
        }
        if (outcome == -EINTR)
            stage = before;
    }
}

nb_status nb__io_recv_slow(nb_conn *conn, void *buf, size_t capacity, ssize_t outcome,
                           size_t *received, nb_deadline by)
{
    struct iovec part = {buf, capacity};
    struct transfer transfer = {NB_RECEIVE, &part, 1};

    return transfer_slow(conn, &transfer, outcome == -EINTR ? NB__UNTRIED : NB__TIMER_FIRED,
                         outcome, received, by);
}

nb_status nb__io_recv_now(nb_conn *conn, void *buf, size_t capacity, size_t *received)
{
    size_t most = capacity < NB__IO_RECV_MAX ? capacity : NB__IO_RECV_MAX;
    ssize_t outcome = -EAGAIN;

    if (!conn->slow_path)
        outcome = nb__sys_recv(conn->waitable.fd, buf, most, MSG_DONTWAIT);
    *received = outcome > 0 ? (size_t)outcome : 0;
    return outcome > 0 ? NB_OK : status_of_try(conn, NB_RECEIVE, outcome);
}

nb_status nb__io_send_slow(nb_conn *conn, const void *data, size_t length, enum nb__stage stage,
                           ssize_t outcome, size_t *sent, nb_deadline by)
{
    struct iovec part = {(void *)data, length};
    struct transfer transfer = {NB_SEND, &part, 1};

    return transfer_slow(conn, &transfer, outcome == -EINTR ? NB__UNTRIED : stage, outcome, sent,
                         by);
}

nb_status nb__io_send_parts(nb_conn *conn, struct iovec *parts, size_t count, size_t *sent,
                            nb_deadline by)
{
    struct transfer transfer = {NB_SEND, parts, count};

    return transfer_slow(conn, &transfer, NB__UNTRIED, -EINTR, sent, by);
}

nb_status nb__io_wait_readable(nb_conn *conn, nb_deadline by)
{
    struct span span = {.fired = false};

    for (;;) {
        nb_status status = look_at_clock(conn, NB_RECEIVE, by, &span);
        int ready;

        if (status == NB_CANCELLED)
            return status;
        ready = nb__wait_on(&conn->waitable, NB_RECEIVE, &span.bounds);
        if (atomic_load(&conn->cancelled))
            return NB_CANCELLED;
        if (ready > 0)
            return NB_OK;
        if ((ready == 0 || ready == -EINTR) && status != NB_OK)
            return nb__io_fail(conn, NB_RECEIVE, status, 0);
        if (ready < 0 && ready != -EINTR)
            return nb__io_fail(conn, NB_RECEIVE, nb__io_status_of(NB_RECEIVE, -ready), -ready);
    }
}

/* The kernel keeps one error for both directions and reports it once. After a send, or anyone else
   who asked the socket, has taken it, recv(2) returns 0 as if the stream had ended in order; but a
   connection that is closed before we ended our own stream was reset. */
nb_status nb__io_end_of_stream(const nb_conn *conn)
{
    int sending = atomic_load_explicit(&conn->sides[NB_SEND].status, memory_order_acquire);

    if (sending == NB_RESET || sending == NB_UNREACHABLE)
        return (nb_status)sending;
    if (atomic_load(&conn->was_reset))
        return NB_RESET;
    if (conn->ended_before || atomic_load(&conn->ended) ||
        nb__sys_tcp_closed(conn->waitable.fd) != 1)
        return NB_EOF;
    /* The sending thread may have ended our stream meanwhile. */
    return atomic_load(&conn->ended) ? NB_EOF : NB_RESET;
}

static bool is_sticky(nb_direction direction, nb_status status)
{
    if (status == NB_CANCELLED)
        return false; /* conn->cancelled makes it so */
    return direction == NB_SEND ||
           (status != NB_TIMEOUT && status != NB_NO_MEMORY && status != NB_STOPPING);
}

nb_status nb__io_fail(nb_conn *conn, nb_direction direction, nb_status status, int system_error)
{
    struct nb__side *side = &conn->sides[direction];

    if (status == NB_STOPPING) /* returned once: a later call waits on */
        conn->idle_at = NB__NOT_IDLE;
    atomic_store_explicit(&side->system_error, system_error, memory_order_relaxed);
    atomic_store_explicit(is_sticky(direction, status) ? &side->status : &side->passed, (int)status,
                          memory_order_release);
    return status;
}

void nb__io_clear_status(nb_conn *conn, nb_direction direction)
{
    atomic_store_explicit(&conn->sides[direction].status, NB_OK, memory_order_release);
}

/* From now on no receive waits in the kernel for longer than the short timer, so that the fast path
   need not check anything. If the timer cannot be set, no receive waits in the kernel. */
__attribute__((cold)) static void be_attentive(nb_conn *conn)
{
    nb__side_be_attentive(&conn->sides[NB_RECEIVE]);
    (void)set_timer(conn, NB_RECEIVE, ATTENTIVE_MS);
}

void nb_conn_idle(nb_conn *conn)
{
    uint64_t idle_at;

    if (conn == NULL || conn->owner == NULL || conn->tie != NULL)
        return;
    /* Bytes in the read-ahead are the beginning of a request. */
    idle_at = nb__conn_readahead(conn) == 0 ? nb__conn_come(conn) : NB__NOT_IDLE;
    if (conn->idle_at != idle_at)
        conn->request_by.ns = 0; /* else it waits for the same request as before */
    conn->idle_at = idle_at;
    if (!conn->sides[NB_RECEIVE].attentive)
        be_attentive(conn);
}
