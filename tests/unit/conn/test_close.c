/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the ends of a connection: close, whatever comes before it or meanwhile, and abort. */
#include "conn_case.h"
#include "support.h"

#include <limits.h>

#define SHORT_MS 20 /* a wait that is expected to be in vain */
#define LARGE ((size_t)8 << 20)

static char buf[4096];
static size_t got;
static unsigned char large[LARGE];

CALL_BY(send_x, nb_send_all(conn, "x", 1, NULL, by))

static nb_status recv_one(void)
{
    return nb_recv(conn, buf, 1, &got, plenty());
}

#define TEST(name) TEST_AS(name, BOTH)

/* ---- close ---- */

/* A peer in a thread: reads to the end, says how it came, and closes. */
struct reader {
    struct task task;
    int fd;
    int ending;
    size_t count;
};

static void read_and_close(void *argument)
{
    struct reader *reader = argument;

    reader->ending = raw_ending(reader->fd, &reader->count);
    (void)close(reader->fd);
}

/* Closes while the peer reads so many bytes to the end, and closes. */
static void check_close_beside_a_reader(nb_deadline by, size_t count)
{
    struct reader reader = {.fd = peer};

    peer = -1;
    task_start(&reader.task, read_and_close, &reader);
    assert_status(closed(by), NB_OK);
    task_join(&reader.task);
    assert_int_equal(reader.ending, 0);
    assert_int_equal(reader.count, count);
}

TEST_AS(close_abort_and_cancel_accept_null, TCP)
{
    assert_status(nb_close(NULL, nb_forever()), NB_OK);
    nb_abort(NULL);
    nb_cancel(NULL);
}

TEST_AS(close_waits_for_the_peer_to_close, ALL)
{
    assert_status(nb_send_all(conn, "bye", 3, NULL, plenty()), NB_OK);
    check_close_beside_a_reader(plenty(), 3);
}

TEST(close_without_a_deadline_waits_for_the_peer_to_close)
{
    assert_status(nb_send_all(conn, "bye", 3, NULL, nb_forever()), NB_OK);
    check_close_beside_a_reader(nb_forever(), 3);
}

TEST(close_frees_the_buffer_and_the_descriptor)
{
    int fd = nb_conn_fd(conn);

    arrive("one\ntwo");
    assert_status(nb_recv_line(conn, buf, 64, NULL, plenty()), NB_OK);
    peer_ends();
    assert_status(closed(plenty()), NB_OK);
    assert_false(is_open(fd));
}

TEST(close_preserves_errno)
{
    peer_ends();
    errno = 1234;
    assert_status(closed(plenty()), NB_OK);
    assert_int_equal(errno, 1234);
}

TEST(close_does_not_wait_when_the_end_was_already_received)
{
    peer_ends();
    assert_status(recv_one(), NB_EOF);
    probe_clear();
    assert_status(closed(nb_forever()), NB_OK);
    assert_int_equal(calls(ON_POLL), 0);
    assert_int_equal(raw_ending(peer, NULL), 0);
}

TEST(close_after_shutdown_is_orderly)
{
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_int_equal(raw_ending(peer, NULL), 0);
    peer_closes();
    assert_status(closed(plenty()), NB_OK);
}

/* Bytes that the connection never asks for. */
static void unread_input(size_t length)
{
    memset(large, 'x', length);
    raw_send(peer, large, length);
    until_arrived(nb_conn_fd(conn), length);
}

TEST_AS(reply_is_delivered_despite_unread_input, ALL)
{
    unread_input(32768);
    assert_status(nb_send_all(conn, "reply", 5, NULL, plenty()), NB_OK);
    check_close_beside_a_reader(plenty(), 5);
}

TEST(close_discards_bytes_that_arrive_while_it_waits)
{
    struct task task;

    start_call(&task, closed, nb_forever());
    task_until_blocked(&task);
    raw_send_text(peer, "late");
    task_until_blocked(&task);
    raw_send_text(peer, "later");
    assert_int_equal(raw_ending(peer, NULL), 0);
    raw_close(peer);
    peer = -1;
    task_join(&task);
    assert_status(call_status, NB_OK);
}

TEST(close_gives_up_at_its_deadline)
{
    nb_deadline by = nb_after_ms(SHORT_MS);

    assert_status(nb_send_all(conn, "bye", 3, NULL, plenty()), NB_OK);
    assert_status(closed(by), NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_ending(0, 3);
}

TEST(close_with_an_expired_deadline_sends_a_fin_and_does_not_wait)
{
    assert_status(nb_send_all(conn, "bye", 3, NULL, plenty()), NB_OK);
    probe_clear();
    assert_status(closed(past()), NB_TIMEOUT);
    assert_int_equal(calls(ON_POLL), 0);
    assert_ending(0, 3);
}

/* One call drops so much without a look at the clock. */
TEST_AS(close_with_an_expired_deadline_discards_unread_input, ALL)
{
    int error = -1;
    socklen_t length = sizeof(error);

    unread_input(32768);
    assert_status(nb_send_all(conn, "bye", 3, NULL, plenty()), NB_OK);
    assert_status(closed(past()), NB_TIMEOUT);
    /* A reset that comes after the end does no harm here, but it could overtake the bytes elsewhere. */
    assert_int_equal(getsockopt(peer, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    assert_int_equal(error, 0);
    assert_ending(0, 3);
}

TEST(close_with_an_expired_deadline_sees_an_end_already_received)
{
    peer_ends();
    assert_status(recv_one(), NB_EOF);
    assert_status(closed(past()), NB_OK);
    assert_int_equal(raw_ending(peer, NULL), 0);
}

/* Sends a number of bytes and closes; the connection may break meanwhile. */
static size_t flood_length;

static void flood(void *argument)
{
    size_t left = flood_length;
    ssize_t n = 1;

    (void)argument;
    while (left > 0 && n > 0) {
        n = send(peer, large, left, MSG_NOSIGNAL);
        left -= n > 0 ? (size_t)n : 0;
    }
    (void)shutdown(peer, SHUT_WR);
}

/* Closes while the peer sends so many bytes. */
static nb_status close_under_flood(size_t length)
{
    struct task task;

    flood_length = length;
    task_start(&task, flood, NULL);
    nb_status status = closed(plenty());
    task_join(&task);
    return status;
}

TEST(close_drains_up_to_64_kib)
{
    assert_status(close_under_flood(65535), NB_OK);
}

TEST(close_gives_up_beyond_64_kib)
{
    assert_status(close_under_flood(65537), NB_TOO_LONG);
    start_over();
    assert_status(close_under_flood(LARGE), NB_TOO_LONG);
}

TEST(close_reports_a_reset)
{
    peer_resets();
    assert_status(closed(plenty()), NB_RESET);
}

TEST(close_reports_a_reset_received_earlier)
{
    peer_resets();
    assert_status(recv_one(), NB_RESET);
    assert_status(closed(plenty()), NB_RESET);
}

TEST_AS(close_reports_a_reset_that_arrives_while_it_waits, TCP)
{
    struct task task;

    start_call(&task, closed, nb_forever());
    task_until_blocked(&task);
    raw_reset(peer, -1);
    peer = -1;
    task_join(&task);
    assert_status(call_status, NB_RESET);
}

TEST(close_reports_the_failure_of_a_send)
{
    fail_next(ON_SEND, EHOSTUNREACH, 1);
    assert_status(send_x(plenty()), NB_UNREACHABLE);
    assert_status(closed(plenty()), NB_UNREACHABLE);
    start_over();
    fail_next(ON_SEND, ENOBUFS, 1);
    assert_status(send_x(plenty()), NB_NO_MEMORY);
    peer_ends();
    assert_status(closed(plenty()), NB_NO_MEMORY);
}

TEST_AS(close_reports_the_failure_of_a_send_before_that_of_a_receive, TCP)
{
    fail_next(ON_RECV, ETIMEDOUT, 1);
    assert_status(recv_one(), NB_UNREACHABLE);
    fail_next(ON_SEND, EPERM, 1);
    assert_status(send_x(plenty()), NB_PERMISSION);
    assert_status(closed(plenty()), NB_PERMISSION);
}

TEST_AS(close_reports_the_failure_of_its_wait, TCP)
{
    fail_next(ON_RECV, ETIMEDOUT, 1);
    assert_status(closed(plenty()), NB_UNREACHABLE);
}

TEST_AS(close_continues_after_signals, TCP)
{
    peer_ends();
    fail_next(ON_RECV, EINTR, 3);
    assert_status(closed(plenty()), NB_OK);
    start_over();
    fail_next(ON_POLL, EINTR, 3);
    assert_status(closed(nb_after_ms(SHORT_MS)), NB_TIMEOUT);
}

TEST_AS(close_gives_up_at_its_deadline_despite_endless_signals, TCP)
{
    fail_next(ON_RECV, EINTR, INT_MAX);
    assert_status(closed(nb_after_ms(SHORT_MS)), NB_TIMEOUT);
    start_over();
    fail_next(ON_POLL, EINTR, INT_MAX);
    assert_status(closed(nb_after_ms(SHORT_MS)), NB_TIMEOUT);
}

TEST_AS(close_gives_up_at_its_deadline_despite_spurious_readiness, TCP)
{
    arrive("something");
    fail_next(ON_RECV, EAGAIN, INT_MAX);
    assert_status(closed(nb_after_ms(SHORT_MS)), NB_TIMEOUT);
}

TEST(close_after_a_line_too_long_is_orderly)
{
    arrive("much too long\n");
    assert_status(nb_recv_line(conn, buf, 4, NULL, plenty()), NB_TOO_LONG);
    assert_status(nb_send_all(conn, "no\n", 3, NULL, plenty()), NB_OK);
    check_close_beside_a_reader(plenty(), 3);
}

TEST_AS(truncated_stream_ends_with_a_reset, TCP_BOTH)
{
    assert_status(nb_send_all(conn, "half", 4, NULL, plenty()), NB_OK);
    assert_status(nb_send_all(conn, "rest", 4, NULL, past()), NB_TIMEOUT);
    until_arrived(peer, 4);
    assert_status(closed(plenty()), NB_TIMEOUT);
    assert_ending(ECONNRESET, 4);
}

TEST_AS(stream_truncated_during_a_send_ends_with_a_reset, TCP)
{
    shrink();
    assert_status(nb_send_all(conn, large, LARGE, NULL, nb_after_ms(SHORT_MS)), NB_TIMEOUT);
    assert_status(closed(nb_forever()), NB_TIMEOUT);
    assert_int_equal(raw_ending(peer, &got), ECONNRESET);
}

TEST_AS(truncated_stream_ends_with_a_reset_even_after_the_peers_fin, TCP)
{
    peer_ends();
    assert_status(recv_one(), NB_EOF);
    assert_status(send_x(past()), NB_TIMEOUT);
    assert_status(closed(plenty()), NB_TIMEOUT);
    assert_int_equal(raw_ending(peer, NULL), ECONNRESET);
}

TEST(close_after_a_cancellation_does_not_wait)
{
    assert_status(nb_send_all(conn, "half", 4, NULL, plenty()), NB_OK);
    nb_cancel(conn);
    probe_clear();
    assert_status(closed(nb_forever()), NB_CANCELLED);
    assert_int_equal(calls(ON_POLL), 0);
    assert_int_equal(calls(ON_RECV), 0);
}

/* ---- abort ---- */

TEST_AS(abort_resets, TCP_BOTH)
{
    assert_status(nb_send_all(conn, "half", 4, NULL, plenty()), NB_OK);
    until_arrived(peer, 4);
    nb_abort(conn);
    conn = NULL;
    assert_ending(ECONNRESET, 4);
}

TEST(abort_frees_the_buffer_and_the_descriptor)
{
    int fd = nb_conn_fd(conn);

    arrive("one\ntwo");
    assert_status(nb_recv_line(conn, buf, 64, NULL, plenty()), NB_OK);
    nb_abort(conn);
    conn = NULL;
    assert_false(is_open(fd));
}
