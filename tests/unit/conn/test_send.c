/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of sending: all of it, from one place or many, with an exact account; and of ending
 *         our stream. */
#include "conn_case.h"
#include "support.h"

#include <netinet/tcp.h>
#include <sys/mman.h>

#define SHORT_MS 20 /* a wait that is expected to be in vain */
#define TOO_LARGE (SIZE_MAX / 2 + 1)
#define LARGE ((size_t)8 << 20) /* more than the system takes while nobody reads */

/* What a call reported as sent, and as received. */
static size_t sent;
static size_t got;

/* A lot to send, and a place to receive it. */
static unsigned char large[LARGE];
static unsigned char copy[LARGE];

static nb_status send_text(const char *text, nb_deadline by)
{
    return nb_send_all(conn, text, strlen(text), &sent, by);
}

/* Sends a byte after the other until there is no room for one: how many bytes wait for the peer.
   The last send was given the deadline *by. */
static size_t send_until_timeout(nb_deadline *by)
{
    nb_status status;
    size_t filling;

    shrink();
    filling = raw_fill(nb_conn_fd(conn));
    do {
        *by = nb_after_ms(SHORT_MS);
        status = send_text("x", *by);
        filling += sent;
    } while (status == NB_OK);
    assert_status(status, NB_TIMEOUT);
    return filling;
}

/* That the peer receives a text. */
static void peer_receives(const char *text)
{
    char received[64];

    raw_recv(peer, received, strlen(text));
    assert_memory_equal(received, text, strlen(text));
}

#define TEST(name) TEST_AS(name, BOTH)

/* That the peer receives so much of the pattern. */
static void peer_receives_pattern(size_t length)
{
    raw_recv(peer, copy, length);
    assert_true(pattern_holds(copy, length, 0));
}

/* ---- the order of checks ---- */

TEST_AS(sends_refuse_invalid_lengths_and_null, TCP)
{
    nb_slice no_data = {NULL, 1};
    nb_slice too_large = {"x", TOO_LARGE};
    nb_slice together_too_large[] = {{"x", SIZE_MAX / 2}, {"x", 1}};
    nb_slice overflowing[] = {{"x", SIZE_MAX / 2}, {"x", SIZE_MAX / 2}, {"x", 3}};
    nb_slice bad_at_the_end[] = {{"x", 1}, {NULL, 0}, {NULL, 1}};

    probe_clear();
    assert_status(nb_send_all(NULL, "x", 1, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_all(conn, NULL, 1, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_all(conn, "x", TOO_LARGE, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_all(conn, "x", SIZE_MAX, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_slices(NULL, NULL, 0, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_slices(conn, NULL, 1, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_slices(conn, &no_data, 1, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_slices(conn, &too_large, 1, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_slices(conn, together_too_large, 2, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_slices(conn, overflowing, 3, &sent, plenty()), NB_INVALID);
    assert_status(nb_send_slices(conn, bad_at_the_end, 3, &sent, plenty()), NB_INVALID);
    assert_status(nb_shutdown_send(NULL), NB_INVALID);
    assert_int_equal(sent, 0);
    assert_int_equal(probe_total(), 0);
}

TEST_AS(invalid_argument_of_a_send_is_not_sticky, TCP)
{
    assert_status(nb_send_all(conn, NULL, 1, &sent, plenty()), NB_INVALID);
    assert_status(nb_conn_status(conn, NB_SEND), NB_OK);
    assert_status(send_text("ok", plenty()), NB_OK);
    peer_receives("ok");
}

TEST_AS(send_reports_an_invalid_argument_before_a_cancellation, TCP)
{
    nb_cancel(conn);
    assert_status(nb_send_all(conn, NULL, 1, &sent, past()), NB_INVALID);
    assert_status(nb_send_slices(conn, NULL, 1, &sent, past()), NB_INVALID);
    assert_status(send_text("x", past()), NB_CANCELLED);
}

TEST(send_reports_a_cancellation_before_a_sticky_failure)
{
    assert_status(send_text("x", past()), NB_TIMEOUT);
    nb_cancel(conn);
    assert_status(send_text("x", past()), NB_CANCELLED);
    assert_status(send_text("", plenty()), NB_CANCELLED);
    assert_status(nb_shutdown_send(conn), NB_CANCELLED);
}

TEST_AS(send_reports_a_sticky_failure_before_a_length_of_zero, TCP)
{
    fail_next(ON_SEND, ECONNRESET, 1);
    assert_status(send_text("x", plenty()), NB_RESET);
    assert_status(send_text("", plenty()), NB_RESET);
    assert_status(nb_send_slices(conn, NULL, 0, &sent, plenty()), NB_RESET);
    assert_status(send_text("x", past()), NB_RESET);
}

TEST_AS(send_of_length_zero_succeeds_despite_an_expired_deadline, TCP)
{
    nb_slice empty[] = {{NULL, 0}, {"", 0}};

    assert_status(nb_send_all(conn, NULL, 0, &sent, past()), NB_OK);
    assert_status(nb_send_slices(conn, NULL, 0, &sent, past()), NB_OK);
    assert_sends(nb_send_slices(conn, empty, 2, &sent, past()), NB_OK, 0);
    assert_status(nb_conn_status(conn, NB_SEND), NB_OK);
}

TEST_AS(length_of_zero_makes_no_system_call, TCP)
{
    nb_slice empty[] = {{NULL, 0}, {"", 0}};

    probe_clear();
    assert_status(nb_send_all(conn, NULL, 0, &sent, nb_forever()), NB_OK);
    assert_status(nb_send_all(conn, "x", 0, &sent, plenty()), NB_OK);
    assert_status(nb_send_slices(conn, NULL, 0, NULL, plenty()), NB_OK);
    assert_status(nb_send_slices(conn, empty, 2, NULL, plenty()), NB_OK);
    assert_int_equal(probe_total(), 0);
}

TEST(expired_deadline_sends_nothing_and_is_sticky)
{
    probe_clear();
    assert_sends(send_text("x", past()), NB_TIMEOUT, 0);
    assert_int_equal(calls(ON_SEND), 0);
    assert_status(send_text("x", nb_forever()), NB_TIMEOUT);
    assert_status(nb_conn_status(conn, NB_SEND), NB_TIMEOUT);
    start_over();
    assert_status(send_text("x", (nb_deadline){0}), NB_TIMEOUT);
    assert_status(send_text("x", nb_forever()), NB_TIMEOUT);
}

/* ---- what goes out ---- */

TEST_AS(send_all_sends_all, ALL)
{
    assert_sends(send_text("hello", plenty()), NB_OK, 5);
    assert_sends(send_text(", world", nb_forever()), NB_OK, 7);
    peer_receives("hello, world");
}

TEST_AS(count_of_sent_bytes_may_be_null, TCP)
{
    nb_slice slice = {"lo", 2};

    assert_status(nb_send_all(conn, "hel", 3, NULL, plenty()), NB_OK);
    assert_status(nb_send_slices(conn, &slice, 1, NULL, plenty()), NB_OK);
    peer_receives("hello");
    assert_status(nb_send_all(conn, "x", 1, NULL, past()), NB_TIMEOUT);
}

TEST(success_leaves_errno_alone)
{
    errno = 1234;
    assert_status(send_text("hello", plenty()), NB_OK);
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_int_equal(errno, 1234);
}

TEST(send_without_a_deadline_is_one_system_call)
{
    probe_clear();
    assert_status(send_text("hello", nb_forever()), NB_OK);
    assert_int_equal(calls(ON_SEND), 1);
    assert_int_equal(probe_total(), 1);
    assert_int_equal(calls(ON_LIBC_MALLOC), 0);
}

TEST(send_with_a_deadline_is_one_system_call_from_the_second_on)
{
    assert_status(send_text("x", nb_after_ms(10000)), NB_OK);
    probe_clear();
    for (int i = 0; i < 4; i++)
        assert_status(send_text("x", nb_after_ms(10000)), NB_OK);
    assert_int_equal(calls(ON_SEND), 4);
    assert_int_equal(probe_total(), 4);
    assert_int_equal(calls(ON_LIBC_MALLOC), 0);
}

TEST_AS(each_direction_has_its_own_timer, TCP)
{
    raw_send_text(peer, "abcd");
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            probe_clear();
        assert_status(send_text("x", nb_after_ms(10000)), NB_OK);
        assert_status(nb_recv(conn, copy, 1, &got, plenty()), NB_OK);
    }
    assert_int_equal(probe_total(), 4);
}

TEST(header_and_body_are_one_system_call)
{
    nb_slice slices[] = {{"header ", 7}, {NULL, 0}, {"body", 4}};

    probe_clear();
    assert_sends(nb_send_slices(conn, slices, 3, &sent, nb_forever()), NB_OK, 11);
    assert_int_equal(probe_total(), 1);
    peer_receives("header body");
}

static size_t length_refused;

static ssize_t refuse_parts(int fd, struct iovec *parts, size_t count, int flags)
{
    (void)fd;
    (void)flags;
    length_refused = 0;
    for (size_t i = 0; i < count; i++)
        length_refused += parts[i].iov_len;
    return -EPIPE;
}

static ssize_t refuse(int fd, const void *data, size_t length, int flags)
{
    struct iovec part = {(void *)(uintptr_t)data, length};

    return refuse_parts(fd, &part, 1, flags);
}

TEST_AS(one_system_call_never_gets_more_than_a_gibibyte, TCP)
{
    size_t huge = (size_t)1 << (sizeof(size_t) > 4 ? 33 : 30);
    nb_slice slices[2];
    void *place;

    skip_under_valgrind("so many addresses take gigabytes");
    place = mmap(NULL, huge, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        skip();
    slices[0] = (nb_slice){place, huge};
    slices[1] = (nb_slice){place, huge / 2}; /* together what 32 bits allow */
    sys.send = refuse;
    sys.sendmsg = refuse_parts;
    assert_status(nb_send_slices(conn, slices, 2, &sent, nb_forever()), NB_RESET);
    assert_true(length_refused <= (size_t)1 << 30);
    assert_true(length_refused >= (size_t)1 << 20);
    assert_int_equal(munmap(place, huge), 0);
}

/* Reads in little pieces, so that the sender has to wait again and again. */
static void read_slowly(void *argument)
{
    size_t *total = argument;
    ssize_t n;

    do {
        n = recv(peer, copy + *total, LARGE - *total < 3000 ? LARGE - *total : 3000, 0);
        *total += n > 0 ? (size_t)n : 0;
    } while (n > 0 && *total < LARGE);
}

TEST_AS(large_amount_arrives_whole_through_small_buffers, ALL)
{
    struct task reader;
    size_t total = 0;

    shrink();
    pattern_fill(large, LARGE, 0);
    task_start(&reader, read_slowly, &total);
    assert_sends(nb_send_all(conn, large, LARGE / 2, &sent, nb_forever()), NB_OK, LARGE / 2);
    assert_sends(nb_send_all(conn, large + LARGE / 2, LARGE / 2, &sent, plenty()), NB_OK,
                 LARGE / 2);
    task_join(&reader);
    assert_int_equal(total, LARGE);
    assert_true(pattern_holds(copy, total, 0));
}

/* Lists pieces of uneven lengths, many of them empty, that make up the beginning of the pattern. */
static size_t cut_to_slices(nb_slice *slices, size_t count)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        size_t length = i % 3 == 0 ? 0 : (i * 7) % 23;

        slices[i] = (nb_slice){length > 0 || i % 2 != 0 ? large + at : NULL, length};
        at += length;
    }
    return at;
}

static void check_slices(size_t count, size_t limit)
{
    nb_slice *slices = calloc(count, sizeof(*slices));
    nb_slice *before = calloc(count, sizeof(*slices));
    size_t total;

    assert_non_null(slices);
    assert_non_null(before);
    total = cut_to_slices(slices, count);
    memcpy(before, slices, count * sizeof(*slices));
    probe.send.limit = limit;
    assert_sends(nb_send_slices(conn, slices, count, &sent, plenty()), NB_OK, total);
    assert_memory_equal(slices, before, count * sizeof(*slices));
    peer_receives_pattern(total);
    free(slices);
    free(before);
}

TEST(any_number_of_slices_arrives_in_order)
{
    static const size_t counts[] = {1, 2, 63, 64, 65, 96, 97, 128, 200, 1024, 1500};

    pattern_fill(large, 65536, 0);
    for (size_t i = 0; i < COUNT(counts); i++)
        check_slices(counts[i], 0);
}

TEST(slices_are_resumed_after_a_short_send)
{
    pattern_fill(large, 65536, 0);
    for (size_t limit = 1; limit < 30; limit++)
        check_slices(limit < 5 ? 20 : 100, limit);
}

TEST(large_slices_arrive_whole_through_small_buffers)
{
    nb_slice slices[] = {{large, 1},
                         {NULL, 0},
                         {large + 1, LARGE / 2},
                         {large + 1 + LARGE / 2, 0},
                         {large + 1 + LARGE / 2, LARGE / 2 - 2},
                         {large + LARGE - 1, 1}};
    struct task reader;
    size_t total = 0;

    shrink();
    pattern_fill(large, LARGE, 0);
    task_start(&reader, read_slowly, &total);
    assert_sends(nb_send_slices(conn, slices, COUNT(slices), &sent, plenty()), NB_OK, LARGE);
    task_join(&reader);
    assert_true(pattern_holds(copy, total, 0));
}

TEST(short_sends_are_continued)
{
    probe.send.limit = 7;
    pattern_fill(large, 1000, 0);
    assert_sends(nb_send_all(conn, large, 1000, &sent, plenty()), NB_OK, 1000);
    peer_receives_pattern(1000);
}

TEST(send_continues_after_a_signal)
{
    fail_next(ON_SEND, EINTR, 3);
    assert_status(send_text("hello", nb_forever()), NB_OK);
    fail_next(ON_SEND, EINTR, 3);
    assert_status(send_text(", world", plenty()), NB_OK);
    peer_receives("hello, world");
}

/* One send of a lot in another thread. */
static nb_deadline send_by;
static nb_status send_status;
static int send_errno;

static void send_a_lot(void *argument)
{
    (void)argument;
    errno = 1234;
    send_status = nb_send_all(conn, large, LARGE, &sent, send_by);
    send_errno = errno;
}

TEST_AS(blocked_send_continues_when_the_peer_reads, ALL)
{
    static const nb_deadline deadlines[] = {{INT64_MAX}, {INT64_MAX - 1}};

    shrink();
    pattern_fill(large, LARGE, 0);
    for (size_t i = 0; i < COUNT(deadlines); i++) {
        struct task task;

        send_by = deadlines[i];
        task_start(&task, send_a_lot, NULL);
        task_until_blocked(&task);
        raw_recv(peer, copy, LARGE);
        task_join(&task);
        assert_status(send_status, NB_OK);
        assert_int_equal(send_errno, 1234);
        assert_int_equal(sent, LARGE);
        assert_true(pattern_holds(copy, LARGE, 0));
    }
}

static void echo_a_lot(void *argument)
{
    nb_conn *echo = argument;
    static char block[10000];
    nb_status status;
    size_t length;

    do {
        status = nb_recv(echo, block, sizeof(block), &length, nb_forever());
        (void)nb_send_all(echo, block, length, NULL, nb_forever());
    } while (status == NB_OK);
    (void)nb_shutdown_send(echo);
}

TEST_AS(both_directions_work_at_the_same_time, ALL)
{
    struct task echoer;
    struct task sender;
    nb_conn *echo = adopt(peer);

    peer = -1;
    pattern_fill(large, LARGE, 0);
    task_start(&echoer, echo_a_lot, echo);
    send_by = nb_forever();
    task_start(&sender, send_a_lot, NULL);
    assert_status(nb_recv_exact(conn, copy, LARGE, &got, plenty()), NB_OK);
    task_join(&sender);
    assert_status(send_status, NB_OK);
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_status(nb_recv_to_end(conn, NULL, 0, &got, plenty()), NB_OK);
    task_join(&echoer);
    assert_true(pattern_holds(copy, LARGE, 0));
    assert_status(nb_close(echo, plenty()), NB_OK);
}

/* ---- failures ---- */

/* Makes the next send fail with an errno, and looks what the direction says then. */
static void send_fails_with(int number, nb_status status)
{
    nb_conn *other = conn;
    int other_peer = peer;

    conn = conn_and_peer(OVER_UNIX, &peer);
    fail_next(ON_SEND, number, 1);
    assert_sends(send_text("x", plenty()), status, 0);
    assert_directions(NB_OK, status);
    assert_status(send_text("x", nb_forever()), status);
    raw_send_text(peer, "y");
    assert_status(nb_recv(conn, copy, 1, &got, plenty()), NB_OK);
    nb_abort(conn);
    assert_ending(0, 0);
    raw_close(peer);
    conn = other;
    peer = other_peer;
}

TEST_AS(every_failure_of_a_send_is_sticky, TCP)
{
    send_fails_with(ECONNRESET, NB_RESET);
    send_fails_with(EPIPE, NB_RESET);
    send_fails_with(ENOTCONN, NB_RESET);
    send_fails_with(ETIMEDOUT, NB_UNREACHABLE);
    send_fails_with(EHOSTUNREACH, NB_UNREACHABLE);
    send_fails_with(ENETUNREACH, NB_UNREACHABLE);
    send_fails_with(ECONNREFUSED, NB_UNREACHABLE);
    send_fails_with(ENOPROTOOPT, NB_UNREACHABLE);
    send_fails_with(EOPNOTSUPP, NB_UNREACHABLE);
    send_fails_with(EPERM, NB_PERMISSION);
    send_fails_with(EACCES, NB_PERMISSION);
    send_fails_with(ENOBUFS, NB_NO_MEMORY);
    send_fails_with(ENOMEM, NB_NO_MEMORY);
    send_fails_with(EIO, NB_SYSTEM);
    send_fails_with(EADDRNOTAVAIL, NB_SYSTEM);
}

TEST(failure_in_the_middle_reports_what_was_sent)
{
    nb_slice slices[] = {{"hel", 3}, {"lo", 2}};

    probe.send.limit = 4;
    fail_next(ON_SEND, 0, 0);
    assert_sends(nb_send_slices(conn, slices, 2, &sent, plenty()), NB_OK, 5);
    peer_receives("hello");
    peer_closes();
    while (send_text("hello", plenty()) == NB_OK)
        assert_int_equal(sent, 5);
    assert_status(nb_conn_status(conn, NB_SEND), NB_RESET);
    assert_true(sent <= 4);
}

TEST(timeout_reports_exactly_what_was_sent)
{
    shrink();
    pattern_fill(large, LARGE, 0);
    assert_status(nb_send_all(conn, large, LARGE, &sent, before_long()), NB_TIMEOUT);
    assert_true(sent > 0 && sent < LARGE);
    peer_receives_pattern(sent);
    assert_int_equal(shutdown(nb_conn_fd(conn), SHUT_WR), 0);
    assert_ending(0, 0);
}

TEST(timeout_of_slices_reports_exactly_what_was_sent)
{
    nb_slice slices[] = {{large, 1000}, {large + 1000, LARGE / 2}, {large, LARGE / 2}};
    uint64_t counted;

    shrink();
    pattern_fill(large, LARGE, 0);
    assert_status(nb_send_slices(conn, slices, 3, &sent, before_long()), NB_TIMEOUT);
    nb_conn_counters(conn, NULL, &counted);
    assert_int_equal(counted, sent);
    peer_receives_pattern(sent);
}

TEST(timeout_with_nothing_sent_is_sticky)
{
    nb_deadline by;
    size_t filling;

    filling = send_until_timeout(&by);
    assert_int_equal(sent, 0);
    assert_status(nb_conn_status(conn, NB_SEND), NB_TIMEOUT);
    raw_recv(peer, copy, filling);
    until_event(nb_conn_fd(conn), POLLOUT);
    assert_status(send_text("x", nb_forever()), NB_TIMEOUT);
    assert_status(send_text("", nb_forever()), NB_TIMEOUT);
    assert_status(nb_shutdown_send(conn), NB_TIMEOUT);
    assert_int_equal(recv(peer, copy, 1, MSG_DONTWAIT), -1);
}

TEST(timeout_is_never_early)
{
    nb_deadline by;

    (void)send_until_timeout(&by);
    assert_passed(by, 10000);
}

TEST_AS(send_to_a_closed_peer_is_a_reset_without_sigpipe, ALL)
{
    struct sigaction action;
    nb_slice slices[] = {{"x", 1}, {"y", 1}};

    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    peer_closes();
    /* The first may still be taken; it makes the other end answer with a reset. */
    if (send_text("x", plenty()) == NB_OK)
        until_event(nb_conn_fd(conn), POLLHUP);
    assert_sends(nb_send_slices(conn, slices, 2, &sent, plenty()), NB_RESET, 0);
    assert_status(send_text("x", plenty()), NB_RESET);
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
}

TEST(no_kind_of_send_raises_sigpipe)
{
    nb_slice slices[] = {{"x", 1}, {"y", 1}};
    static const nb_deadline deadlines[] = {{INT64_MAX}, {INT64_MAX - 1}};

    for (int i = 0; i < 6;) {
        nb_deadline by;
        nb_status status;

        peer_breaks_off();
        if (over == OVER_IPV4) /* the first error is the reset, only the second a broken pipe */
            assert_int_equal(recv(nb_conn_fd(conn), copy, 1, 0), -1);
        by = i < 4 ? deadlines[i / 2] : nb_after_ms(15);
        status = i % 2 != 0 ? nb_send_slices(conn, slices, 2, &sent, by) : send_text("x", by);
        if (i < 4 || status != NB_TIMEOUT) { /* else there was no time to begin: once more */
            assert_status(status, NB_RESET);
            i++;
        }
        start_over();
    }
}

TEST(reset_wakes_a_blocked_send)
{
    struct task task;

    shrink();
    send_by = nb_forever();
    task_start(&task, send_a_lot, NULL);
    task_until_blocked(&task);
    raw_reset(peer, -1);
    peer = -1;
    task_join(&task);
    assert_status(send_status, NB_RESET);
    assert_true(sent < LARGE);
}

static void receiving_goes_on(void)
{
    char text[16];

    raw_send_text(peer, "hello\n");
    assert_status(nb_recv_line(conn, text, sizeof(text), &got, plenty()), NB_OK);
    assert_string_equal(text, "hello");
}

TEST(receiving_continues_after_a_failed_send)
{
    assert_status(send_text("x", past()), NB_TIMEOUT);
    receiving_goes_on();
}

/* ---- the end of our stream ---- */

TEST_AS(shutdown_shows_the_peer_the_end_after_the_last_byte, ALL)
{
    assert_status(send_text("bye", plenty()), NB_OK);
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_ending(0, 3);
}

TEST(receiving_continues_after_shutdown)
{
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_int_equal(raw_ending(peer, NULL), 0);
    receiving_goes_on();
}

TEST(sends_after_shutdown_are_invalid)
{
    nb_slice slice = {"x", 1};

    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_sends(send_text("x", plenty()), NB_INVALID, 0);
    assert_status(send_text("", plenty()), NB_INVALID);
    assert_status(nb_send_slices(conn, &slice, 1, &sent, past()), NB_INVALID);
    nb_cancel(conn);
    assert_status(send_text("x", plenty()), NB_INVALID);
}

TEST(shutdown_may_be_called_again)
{
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_status(nb_shutdown_send(conn), NB_OK);
    peer_closes();
    assert_status(nb_shutdown_send(conn), NB_OK);
}

TEST(shutdown_after_a_reset_by_the_peer_succeeds)
{
    peer_breaks_off();
    errno = 1234;
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_int_equal(errno, 1234);
    assert_status(nb_recv(conn, copy, 1, &got, plenty()), over == OVER_UNIX ? NB_EOF : NB_RESET);
}

TEST(shutdown_after_a_failed_send_sends_no_fin)
{
    assert_status(send_text("half", plenty()), NB_OK);
    assert_status(send_text("x", past()), NB_TIMEOUT);
    assert_status(nb_shutdown_send(conn), NB_TIMEOUT);
    peer_receives("half");
    assert_int_equal(recv(peer, copy, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

TEST(sending_works_after_the_peers_end_was_received)
{
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    assert_status(nb_recv(conn, copy, 1, &got, plenty()), NB_EOF);
    assert_status(send_text("answer", plenty()), NB_OK);
    assert_status(nb_shutdown_send(conn), NB_OK);
    peer_receives("answer");
    assert_int_equal(raw_ending(peer, NULL), 0);
}
