/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The life of a connection: from a socket, to its end, and what can be asked meanwhile. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "net/address_internal.h"
#include "conn/cancel.h"
#include "conn/conn_internal.h"
#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "net/inherited.h"
#include "conn/io.h"
#include "net/owned.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* What nb_close() reads and drops at most, and how long it waits for a byte when it may for ever. */
#define CLOSE_BYTES ((size_t)64 << 10)
#define CLOSE_IDLE_MS 60000

/* How often bytes that nobody wants are received before somebody looks at the clock again. */
#define DRAIN_READS 16

nb_conn *nb__conn_new(void)
{
    nb_conn *conn = nb__sys_calloc(1, sizeof(*conn));

    if (conn == NULL)
        return NULL;
    conn->fd = -1;
    conn->idle_at = NB__NOT_IDLE;
    for (size_t i = 0; i < 2; i++)
        conn->sides[i].timer_from_ns = conn->sides[i].timer_to_ns = INT64_MAX;
    return conn;
}

void nb__conn_free(nb_conn *conn)
{
    free(conn->ahead.data);
    free(conn);
}

void nb__conn_open(nb_conn *conn, int fd, nb_family family, const nb_address *peer)
{
    conn->fd = fd;
    conn->peer = *peer;
    conn->timed_sends = family != NB_FAMILY_UNIX;
    conn->refuses_rights = family == NB_FAMILY_UNIX;
}

nb_status nb__conn_verdict(const nb_conn *conn)
{
    nb_status sending = nb__conn_check(conn, NB_SEND);
    nb_status receiving = nb__conn_check(conn, NB_RECEIVE);

    if (sending != NB_OK)
        return sending;
    return receiving == NB_EOF || receiving == NB_TOO_LONG ? NB_OK : receiving;
}

nb_status nb__conn_end(nb_conn *conn)
{
    nb_status status = nb__conn_verdict(conn);

    return status == NB_OK ? nb_shutdown_send(conn) : status;
}

nb_status nb__conn_drain(nb_conn *conn, uint64_t *budget)
{
    char dropped[4096];
    ssize_t length = 1;

    if (nb__conn_check(conn, NB_RECEIVE) == NB_EOF)
        return NB_OK;
    for (int reads = 0; reads < DRAIN_READS && length > 0; reads++) {
        length = nb__sys_recv(conn->fd, dropped, sizeof(dropped), MSG_DONTWAIT);
        if (length > 0 && (uint64_t)length > *budget)
            return NB_TOO_LONG;
        if (length > 0)
            *budget -= (uint64_t)length;
    }
    if (atomic_load(&conn->cancelled))
        return NB_CANCELLED;
    if (length > 0 || length == -EAGAIN || length == -EINTR)
        return NB_TIMEOUT;
    if (length == 0) {
        nb_status how = nb__io_end_of_stream(conn);

        return how == NB_EOF ? NB_OK : nb__io_fail(conn, NB_RECEIVE, how, 0);
    }
    return nb__io_fail(conn, NB_RECEIVE, nb__io_status_of(NB_RECEIVE, (int)-length), (int)-length);
}

bool nb__conn_delivered(const nb_conn *conn)
{
    return nb__conn_check(conn, NB_SEND) == NB_OK && nb__sys_acknowledged(conn->fd) == 1;
}

/* Makes close(2) send a reset. */
static void close_resets(const nb_conn *conn)
{
    struct linger at_once = {1, 0};

    (void)nb__sys_setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* Tells the keeper, while the descriptor is still the connection's. */
static void leave(nb_conn *conn, nb_status how)
{
    if (conn->keeper != NULL)
        conn->keeper->leave(conn->keeper, conn, how);
}

static void destroy(nb_conn *conn, nb_status how)
{
    leave(conn, how);
    nb__conn_untie(conn);
    if (conn->claimed)
        nb__owned_release(conn->fd);
    (void)nb__sys_close(conn->fd);
    nb__conn_free(conn);
}

nb_status nb__conn_dispose(nb_conn *conn, nb_status how)
{
    if (nb__conn_check(conn, NB_SEND) != NB_OK)
        close_resets(conn);
    destroy(conn, how);
    return how;
}

/* Waits for the peer's end, dropping what comes before it. A socket that is readable for nothing, again
   and again, is no progress. */
static nb_status await_end(nb_conn *conn, nb_deadline by)
{
    uint64_t budget = CLOSE_BYTES;
    uint64_t left_before = UINT64_MAX; /* no byte was waited for yet */
    nb_deadline until = by;
    nb_status status = NB_OK;

    if (nb__conn_check(conn, NB_RECEIVE) == NB_EOF)
        return NB_OK;
    while (status == NB_OK) {
        status = nb__conn_drain(conn, &budget);
        if (status != NB_TIMEOUT)
            return status;
        if (nb__is_forever(by) && budget != left_before)
            until = nb_after_ms(CLOSE_IDLE_MS);
        left_before = budget;
        if (!nb_expired(until))
            status = nb__io_wait_readable(conn, until);
    }
    return status;
}

nb_status nb_close(nb_conn *conn, nb_deadline by)
{
    nb_status status;

    if (conn == NULL)
        return NB_OK;
    conn->idle_at = NB__NOT_IDLE; /* no request is waited for any more */
    status = nb__conn_end(conn);
    if (status == NB_OK)
        status = await_end(conn, by);
    return nb__conn_dispose(conn, status);
}

void nb_abort(nb_conn *conn)
{
    nb_status how;

    if (conn == NULL)
        return;
    how = nb__conn_verdict(conn);
    close_resets(conn);
    destroy(conn, how == NB_OK ? NB_CANCELLED : how);
}

nb_status nb_conn_status(const nb_conn *conn, nb_direction direction)
{
    if (conn == NULL || (direction != NB_RECEIVE && direction != NB_SEND))
        return NB_INVALID;
    return nb__conn_check(conn, direction);
}

void nb_conn_error(const nb_conn *conn, nb_direction direction, nb_error *err)
{
    nb_status status = nb_conn_status(conn, direction);
    char peer[NB_ADDRESS_TEXT_MAX];
    int system_error;
    struct nb__text text;

    if (status == NB_OK)
        status = (nb_status)atomic_load(&conn->sides[direction].passed);
    if (status == NB_OK) {
        nb__error_clear(err);
        return;
    }
    if (status == NB_INVALID && conn == NULL) {
        (void)nb__error_invalid(err, "connection", "expected one, not NULL");
        return;
    }
    if (status == NB_INVALID) {
        (void)nb__error_invalid(err, "direction", "expected NB_RECEIVE or NB_SEND");
        return;
    }
    system_error = status == NB_CANCELLED ? 0 : atomic_load(&conn->sides[direction].system_error);
    text = nb__error_begin(err, status, system_error);
    nb__text_add(&text, "%s %s: ", direction == NB_SEND ? "send to" : "receive from",
                 nb_address_format(&conn->peer, peer, sizeof(peer)));
    nb__text_add_reason(&text, status, system_error);
}

void nb_conn_peer(const nb_conn *conn, nb_address *out)
{
    *out = conn->peer;
}

/* An address that the kernel is asked for; none when it does not tell. */
static nb_address ask(int (*question)(int, struct sockaddr *, socklen_t *), int fd)
{
    struct sockaddr_storage answer;
    socklen_t length = sizeof(answer);

    if (question(fd, (struct sockaddr *)&answer, &length) < 0)
        length = 0;
    return nb__address_from((const struct sockaddr *)&answer, length);
}

void nb_conn_local(const nb_conn *conn, nb_address *out)
{
    *out = ask(nb__sys_getsockname, conn->fd);
    if (atomic_load(&conn->cancelled)) /* the system tells something, but no longer the address */
        memset(out, 0, sizeof(*out));
}

void nb_conn_counters(const nb_conn *conn, uint64_t *received, uint64_t *sent)
{
    if (received != NULL)
        *received = atomic_load_explicit(&conn->sides[NB_RECEIVE].bytes, memory_order_relaxed);
    if (sent != NULL)
        *sent = atomic_load_explicit(&conn->sides[NB_SEND].bytes, memory_order_relaxed);
}

nb_fd nb_conn_fd(const nb_conn *conn)
{
    return conn->fd;
}

static void set_time_outs_to_none(int fd)
{
    struct timeval none = {0, 0};

    (void)nb__sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    (void)nb__sys_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
}

static int make_ready(int fd, const char **refused)
{
    int failed = nb__sys_set_cloexec(fd);

    *refused = "FD_CLOEXEC";
    if (failed < 0)
        return failed;
    *refused = "O_NONBLOCK";
    failed = nb__sys_set_blocking(fd, true);
    return failed < 0 ? failed : nb__foreign_settle(fd, refused);
}

static nb_status not_ready(nb_error *err, int failed, int fd, const char *refused)
{
    struct nb__text text = nb__error_begin(err, NB_SYSTEM, -failed);

    nb__text_add(&text, "adopt descriptor %d: %s: ", fd, refused);
    nb__text_add_reason(&text, NB_SYSTEM, -failed);
    return NB_SYSTEM;
}

static nb_status adopt_failed(nb_error *err, nb_status status, int system_error, int fd,
                              const char *why)
{
    struct nb__text text = nb__error_begin(err, status, system_error);

    nb__text_add(&text, "adopt descriptor %d: ", fd);
    if (why != NULL)
        nb__text_add(&text, "%s, expected a connected stream socket", why);
    else
        nb__text_add_reason(&text, status, system_error);
    return status;
}

static nb_status take_over(int fd, nb_error *err)
{
    const char *refused;
    int failed;

    if (!nb__owned_claim(fd))
        return adopt_failed(err, NB_INVALID, 0, fd, "a connection's already");
    failed = make_ready(fd, &refused);
    if (failed >= 0)
        return NB_OK;
    nb__owned_release(fd);
    return not_ready(err, failed, fd, refused);
}

nb_status nb_conn_adopt(nb_conn **out, nb_fd fd, nb_error *err)
{
    int failed;
    const char *why;
    struct nb__foreign found;
    nb_address peer;
    nb_status status;
    nb_conn *conn;

    if (out == NULL)
        return nb__error_invalid(err, "adopt", "expected a place for the connection, not NULL");
    *out = NULL;
    why = nb__foreign_look(fd, &found, &failed);
    if (why == NULL && found.listens)
        why = "a listening socket";
    if (why != NULL)
        return adopt_failed(err, NB_INVALID, failed < 0 ? -failed : 0, fd, why);
    conn = nb__conn_new();
    if (conn == NULL)
        return adopt_failed(err, NB_NO_MEMORY, 0, fd, NULL);
    status = take_over(fd, err);
    if (status != NB_OK) {
        nb__conn_free(conn);
        return status;
    }
    peer = ask(nb__sys_getpeername, fd);
    nb__conn_open(conn, fd, nb_address_family(&found.address), &peer);
    conn->ended_before = nb__sys_tcp_ended(fd) != 0;
    conn->refuses_rights = false; /* as it came */
    conn->claimed = true;
    *out = conn;
    nb__error_clear(err);
    return NB_OK;
}

nb_status nb_conn_detach(nb_conn *conn, nb_fd *out, void *buffered, size_t capacity, size_t *length)
{
    size_t ahead;

    if (conn == NULL || out == NULL || (buffered == NULL && capacity > 0))
        return NB_INVALID;
    if (nb__conn_check(conn, NB_RECEIVE) == NB_CANCELLED)
        return NB_CANCELLED;
    ahead = nb__conn_ahead(conn);
    if (length != NULL)
        *length = ahead;
    if (capacity < ahead)
        return NB_TOO_LONG;
    if (ahead > 0) /* before it is let go: then nothing can fail any more */
        memcpy(buffered, conn->ahead.data + conn->ahead.start, ahead);
    if (conn->keeper != NULL && !conn->keeper->let_go(conn->keeper, conn))
        return NB_CANCELLED;
    nb__conn_untie(conn);
    if (nb__conn_check(conn, NB_RECEIVE) == NB_CANCELLED) /* until then, by what it was tied to */
        return NB_CANCELLED;
    set_time_outs_to_none(conn->fd);
    if (conn->refuses_rights)
        (void)nb__sys_pass_rights(conn->fd, true);
    if (conn->claimed)
        nb__owned_release(conn->fd);
    *out = conn->fd;
    nb__conn_free(conn);
    return NB_OK;
}
