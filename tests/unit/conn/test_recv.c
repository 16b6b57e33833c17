/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of receiving: what is there, so many bytes, up to a delimiter, a line, to the end. */
#include "conn/conn_internal.h"
#include "conn_case.h"
#include "servers.h"
#include "sys/sys.h"

#include <limits.h>
#include <sched.h>
#include <sys/mman.h>

#define SHORT_MS 20 /* a wait that is expected to be in vain */
#define TOO_LARGE (SIZE_MAX / 2 + 1)

/* Where the calls of a case receive, and what they reported. */
static char buf[4096];
static size_t got;

/* ---- the calls, so that a case takes one line for one ---- */

static void forget_results(void)
{
    memset(buf, '#', sizeof(buf));
    got = 4321;
}

static nb_status some(size_t capacity, nb_deadline by)
{
    forget_results();
    return nb_recv(conn, buf, capacity, &got, by);
}

static nb_status exact(size_t length, nb_deadline by)
{
    forget_results();
    return nb_recv_exact(conn, buf, length, &got, by);
}

static nb_status until(size_t capacity, const char *delimiter, nb_deadline by)
{
    forget_results();
    return nb_recv_until(conn, buf, capacity, delimiter, strlen(delimiter), &got, by);
}

static nb_status line(size_t capacity, nb_deadline by)
{
    forget_results();
    return nb_recv_line(conn, buf, capacity, &got, by);
}

static nb_status to_end(size_t capacity, nb_deadline by)
{
    forget_results();
    return nb_recv_to_end(conn, buf, capacity, &got, by);
}

static nb_status readable(nb_deadline by)
{
    forget_results();
    got = 0;
    return nb_wait_readable(conn, by);
}

/* That a call returns this and gives exactly this line, which is a string. */
#define assert_gives_line(call, status, literal)                                                   \
    do {                                                                                           \
        assert_gives(call, status, literal);                                                       \
        assert_int_equal(buf[got], '\0');                                                          \
    } while (0)

/* ---- what holds for each of the calls ---- */

CALL_BY(some_by, some(64, by))
CALL_BY(exact_by, exact(5, by))
CALL_BY(until_by, until(64, "\n", by))
CALL_BY(line_by, line(64, by))
CALL_BY(to_end_by, to_end(64, by))

static const struct operation {
    const char *name;
    nb_status (*run)(nb_deadline by);
} operations[] = {{"nb_recv", some_by},          {"nb_recv_exact", exact_by},
                  {"nb_recv_until", until_by},   {"nb_recv_line", line_by},
                  {"nb_recv_to_end", to_end_by}, {"nb_wait_readable", readable}};

#define WAIT (COUNT(operations) - 1) /* the last of them, which receives nothing */

static void check_each(nb_deadline by, nb_status expected, size_t from, size_t count)
{
    for (size_t i = from; i < count; i++) {
        nb_status status = operations[i].run(by);

        if (status != expected || got != 0)
            fail_msg("%s: %s, %zu bytes", operations[i].name, nb_status_name(status), got);
    }
}

static void each_call_returns(nb_status expected, nb_deadline by)
{
    check_each(by, expected, 0, COUNT(operations));
}

#define TEST(name) TEST_AS(name, TCP)

TEST(every_receiving_call_refuses_invalid_lengths_and_null)
{
    arrive("hello\n");
    assert_status(nb_recv(NULL, buf, 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv(conn, NULL, 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv(conn, buf, 0, &got, plenty()), NB_INVALID);
    assert_status(nb_recv(conn, buf, TOO_LARGE, &got, plenty()), NB_INVALID);
    assert_status(nb_recv(conn, buf, 1, NULL, plenty()), NB_INVALID);
    assert_status(nb_recv_exact(NULL, buf, 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_exact(conn, NULL, 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_exact(conn, buf, TOO_LARGE, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_exact(conn, buf, 1, NULL, plenty()), NB_INVALID);
    assert_status(nb_recv_exact(conn, buf, 0, NULL, plenty()), NB_INVALID);
    assert_status(nb_recv_until(NULL, buf, 9, "\n", 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_until(conn, NULL, 9, "\n", 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_until(conn, buf, 0, "\n", 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_until(conn, buf, TOO_LARGE, "\n", 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_until(conn, buf, 9, NULL, 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_until(conn, buf, 9, "\n", 0, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_until(conn, buf, 3, "abcd", 4, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_until(conn, buf, 9, "\n", SIZE_MAX, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_until(conn, buf, 9, "\n", 1, NULL, plenty()), NB_INVALID);
    assert_status(nb_recv_line(NULL, buf, 9, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_line(conn, NULL, 9, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_line(conn, buf, 0, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_line(conn, buf, TOO_LARGE, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_to_end(NULL, buf, 9, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_to_end(conn, NULL, 9, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_to_end(conn, buf, TOO_LARGE, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_to_end(conn, buf, 9, NULL, plenty()), NB_INVALID);
    assert_status(nb_recv_to_end(conn, NULL, 0, NULL, plenty()), NB_INVALID);
    assert_status(nb_wait_readable(NULL, plenty()), NB_INVALID);
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    assert_gives_line(line(9, plenty()), NB_OK, "hello");
}

TEST(refused_call_reports_nothing_received)
{
    assert_gives(some(0, plenty()), NB_INVALID, "");
    assert_gives(exact(TOO_LARGE, plenty()), NB_INVALID, "");
    assert_gives(until(1, "ab", plenty()), NB_INVALID, "");
    assert_gives(to_end(TOO_LARGE, plenty()), NB_INVALID, "");
}

TEST(recv_reports_an_invalid_argument_before_a_cancellation)
{
    nb_cancel(conn);
    assert_status(some(0, past()), NB_INVALID);
    assert_status(nb_recv_exact(conn, NULL, 1, &got, past()), NB_INVALID);
    assert_status(until(1, "ab", past()), NB_INVALID);
    assert_status(line(0, past()), NB_INVALID);
    assert_status(nb_recv_to_end(conn, NULL, 1, &got, past()), NB_INVALID);
}

TEST_AS(recv_reports_a_cancellation_before_a_sticky_failure, BOTH)
{
    peer_ends();
    assert_status(some(9, plenty()), NB_EOF);
    nb_cancel(conn);
    each_call_returns(NB_CANCELLED, past());
}

TEST_AS(cancellation_is_reported_before_buffered_bytes, BOTH)
{
    arrive("one\ntwo\n");
    assert_status(line(9, plenty()), NB_OK);
    nb_cancel(conn);
    each_call_returns(NB_CANCELLED, plenty());
}

TEST(recv_reports_a_sticky_failure_before_a_length_of_zero)
{
    peer_resets();
    assert_status(some(9, plenty()), NB_RESET);
    assert_status(exact(0, plenty()), NB_RESET);
    assert_status(to_end(0, plenty()), NB_RESET);
}

TEST(sticky_failure_is_reported_before_an_expired_deadline)
{
    peer_resets();
    assert_status(some(9, plenty()), NB_RESET);
    each_call_returns(NB_RESET, past());
}

TEST(recv_of_length_zero_succeeds_despite_an_expired_deadline)
{
    assert_gives(exact(0, past()), NB_OK, "");
}

TEST(length_of_zero_makes_no_system_call)
{
    probe_clear();
    assert_status(nb_recv_exact(conn, NULL, 0, &got, plenty()), NB_OK);
    assert_status(nb_recv_exact(conn, NULL, 0, &got, nb_forever()), NB_OK);
    assert_int_equal(probe_total(), 0);
}

TEST_AS(expired_deadline_consumes_no_bytes_that_have_arrived, BOTH)
{
    arrive("hello\n");
    check_each(past(), NB_TIMEOUT, 0, WAIT);
    check_each((nb_deadline){0}, NB_TIMEOUT, 0, WAIT);
    check_each(nb_after_ms(0), NB_TIMEOUT, 0, WAIT);
    check_each(nb_after_ms(INT64_MIN), NB_TIMEOUT, 0, WAIT);
    assert_gives(some(9, plenty()), NB_OK, "hello\n");
}

TEST(expired_deadline_consumes_nothing_from_the_buffer)
{
    arrive("one\nhello");
    assert_status(line(64, plenty()), NB_OK);
    check_each(past(), NB_TIMEOUT, 0, WAIT);
    assert_status(to_end(0, past()), NB_TIMEOUT);
    assert_int_equal(nb_conn_buffered(conn), 5);
    assert_gives(some(9, plenty()), NB_OK, "hello");
}

/* A server that has taken every whole command that is there answers before it waits for the rest. */
TEST_AS(expired_deadline_gives_what_is_complete_in_the_buffer, BOTH)
{
    arrive("one\ntwo\nthree;four\r\nfi");
    assert_status(line(64, plenty()), NB_OK);
    probe_clear();
    assert_gives_line(line(64, past()), NB_OK, "two");
    assert_gives(until(64, ";", past()), NB_OK, "three;");
    assert_gives_line(line(64, (nb_deadline){0}), NB_OK, "four");
    assert_gives_line(line(64, past()), NB_TIMEOUT, "");
    assert_gives(until(64, "\n", past()), NB_TIMEOUT, "");
    assert_int_equal(nb_conn_buffered(conn), 2);
    assert_int_equal(probe_total(), 0);
}

TEST(expired_deadline_does_not_hide_that_a_line_is_too_long)
{
    arrive("one\ntwo and more");
    assert_status(line(64, plenty()), NB_OK);
    assert_gives_line(line(4, past()), NB_TOO_LONG, "two");
}

TEST(expired_deadline_is_reported_before_an_end_not_yet_received)
{
    peer_ends();
    check_each(past(), NB_TIMEOUT, 0, WAIT);
    assert_status(to_end(0, past()), NB_TIMEOUT);
    assert_status(some(9, plenty()), NB_EOF);
}

TEST(expired_deadline_makes_no_recv_call)
{
    arrive("hello\n");
    probe_clear();
    check_each(past(), NB_TIMEOUT, 0, WAIT);
    assert_int_equal(calls(ON_RECV), 0);
}

TEST_AS(timeout_of_a_receive_is_not_sticky, BOTH)
{
    each_call_returns(NB_TIMEOUT, nb_after_ms(1));
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    for (size_t i = 0; i < WAIT; i++) {
        arrive("five\n");
        if (operations[i].run == to_end_by)
            peer_ends();
        assert_status(operations[i].run(plenty()), NB_OK);
    }
}

TEST_AS(timeout_is_never_early, BOTH)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        nb_deadline by = nb_after_ms(SHORT_MS);

        assert_status(operations[i].run(by), NB_TIMEOUT);
        assert_passed(by, 10000);
    }
}

static void run_call(void *argument)
{
    const struct operation *call = argument;

    got = call->run(nb_forever()) == NB_OK ? got : SIZE_MAX;
}

TEST_AS(every_call_wakes_up_when_bytes_arrive, ALL)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        struct task task;

        if (operations[i].run == to_end_by)
            continue;
        task_start(&task, run_call, (void *)&operations[i]);
        task_until_blocked(&task);
        raw_send_text(peer, "five\n");
        task_join(&task);
        if (got != (i == WAIT ? 0 : operations[i].run == line_by ? 4 : 5))
            fail_msg("%s: %zu bytes", operations[i].name, got);
    }
}

TEST_AS(to_end_wakes_up_when_the_end_comes, BOTH)
{
    struct task task;

    task_start(&task, run_call, (void *)&operations[4]);
    task_until_blocked(&task);
    raw_send_text(peer, "five\n");
    task_until_blocked(&task);
    peer_ends();
    task_join(&task);
    assert_bytes(buf, got, "five\n");
}

TEST(calls_are_resumed_after_a_signal)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        if (operations[i].run == to_end_by)
            continue;
        arrive("five\n");
        fail_next(i == WAIT ? ON_POLL : ON_RECV, EINTR, 3);
        assert_status(operations[i].run(i % 2 != 0 ? plenty() : nb_forever()), NB_OK);
    }
    peer_ends();
    fail_next(ON_RECV, EINTR, 3);
    assert_gives(to_end(64, plenty()), NB_OK, "five\n");
}

/* poll(2) looks at its descriptors before it looks at signals. */
TEST(wait_ends_at_its_deadline_despite_endless_signals)
{
    fail_next(ON_POLL, EINTR, INT_MAX);
    assert_status(readable(past()), NB_TIMEOUT);
    assert_status(readable(nb_after_ms(5)), NB_TIMEOUT);
}

TEST_AS(success_leaves_errno_alone, BOTH)
{
    arrive_and_end("five\nfive\nfive\nfive\nfive\n");
    errno = 1234;
    assert_status(readable(plenty()), NB_OK);
    assert_status(some(5, plenty()), NB_OK);
    assert_status(exact(5, plenty()), NB_OK);
    assert_status(until(64, "\n", plenty()), NB_OK);
    assert_status(line(64, plenty()), NB_OK);
    assert_gives(to_end(64, plenty()), NB_OK, "five\n");
    assert_int_equal(errno, 1234);
}

/* Makes the next receive fail with an errno, and looks what the direction says then. */
static void receive_fails_with(int number, nb_status status, nb_status stays)
{
    over = OVER_UNIX;
    start_over();
    fail_next(ON_RECV, number, 1);
    assert_status(some(9, plenty()), status);
    assert_int_equal(got, 0);
    assert_directions(stays, NB_OK);
    raw_send_text(peer, "five\n");
    assert_status(exact(5, plenty()), stays);
}

TEST(every_kernel_failure_of_a_receive_is_sticky_except_out_of_memory)
{
    receive_fails_with(ENOMEM, NB_NO_MEMORY, NB_OK);
    receive_fails_with(ENOBUFS, NB_NO_MEMORY, NB_OK);
    receive_fails_with(ECONNRESET, NB_RESET, NB_RESET);
    receive_fails_with(ECONNABORTED, NB_RESET, NB_RESET);
    receive_fails_with(ENOTCONN, NB_RESET, NB_RESET);
    receive_fails_with(ETIMEDOUT, NB_UNREACHABLE, NB_UNREACHABLE);
    receive_fails_with(EHOSTUNREACH, NB_UNREACHABLE, NB_UNREACHABLE);
    receive_fails_with(EIO, NB_SYSTEM, NB_SYSTEM);
}

/* When the kernel gives up a peer that does not answer, it tells what ICMP said of it last. */
TEST(icmp_errors_about_a_peer_are_reported_as_unreachable)
{
    static const int said[] = {ECONNREFUSED, ENOPROTOOPT, EOPNOTSUPP,
                               EACCES,       ENETUNREACH, EHOSTDOWN};

    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
        receive_fails_with(said[i], NB_UNREACHABLE, NB_UNREACHABLE);
}

/* Statuses of connecting and listening are none of a connection that is there. */
TEST(statuses_undocumented_for_a_receive_become_system_errors)
{
    static const int odd[] = {ENOENT, EADDRINUSE, EADDRNOTAVAIL, EMFILE, EPROTO};

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        receive_fails_with(odd[i], NB_SYSTEM, NB_SYSTEM);
}

TEST(out_of_memory_in_the_middle_reports_the_bytes_so_far)
{
    arrive("ab");
    assert_status(until(9, "\n", before_long()), NB_TIMEOUT);
    fail_next(ON_RECV, ENOBUFS, 1);
    assert_gives(exact(5, plenty()), NB_NO_MEMORY, "ab");
    arrive("cde");
    assert_gives(exact(3, plenty()), NB_OK, "cde");
}

/* ---- nb_recv ---- */

TEST_AS(recv_returns_the_bytes_that_are_available, ALL)
{
    arrive("hello");
    assert_gives(some(64, plenty()), NB_OK, "hello");
}

TEST_AS(recv_stops_at_capacity, BOTH)
{
    arrive("hello");
    assert_gives(some(3, plenty()), NB_OK, "hel");
    assert_int_equal(buf[3], '#');
    assert_gives(some(2, plenty()), NB_OK, "lo");
}

TEST_AS(recv_gives_bytes_of_any_value, BOTH)
{
    static const char all[] = "\0\1\n\r\377\0";

    arrive_bytes(all, sizeof(all));
    assert_status(some(64, plenty()), NB_OK);
    assert_int_equal(got, sizeof(all));
    assert_memory_equal(buf, all, sizeof(all));
}

TEST_AS(recv_reports_the_end_after_the_last_byte, ALL)
{
    arrive_and_end("bye");
    assert_gives(some(64, plenty()), NB_OK, "bye");
    assert_gives(some(64, plenty()), NB_EOF, "");
}

TEST_AS(end_is_sticky_for_every_call_but_to_end, BOTH)
{
    peer_ends();
    assert_status(some(64, plenty()), NB_EOF);
    assert_status(some(64, past()), NB_EOF);
    assert_status(exact(5, plenty()), NB_EOF);
    assert_status(exact(0, plenty()), NB_EOF);
    assert_status(until(64, "\n", plenty()), NB_EOF);
    assert_gives_line(line(64, plenty()), NB_EOF, "");
    assert_status(readable(plenty()), NB_EOF);
    assert_gives(to_end(64, plenty()), NB_OK, "");
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_EOF);
}

TEST_AS(end_of_receiving_does_not_end_sending, ALL)
{
    char answer[2];

    peer_ends();
    assert_status(some(64, plenty()), NB_EOF);
    assert_status(nb_conn_status(conn, NB_SEND), NB_OK);
    assert_status(nb_send_all(conn, "ok", 2, NULL, plenty()), NB_OK);
    raw_recv(peer, answer, 2);
    assert_memory_equal(answer, "ok", 2);
}

TEST_AS(recv_without_a_deadline_is_one_system_call, BOTH)
{
    arrive("hello");
    probe_clear();
    assert_status(some(64, nb_forever()), NB_OK);
    assert_int_equal(calls(ON_RECV), 1);
    assert_int_equal(probe_total(), 1);
    assert_int_equal(calls(ON_LIBC_MALLOC), 0);
}

TEST_AS(recv_with_a_deadline_is_one_system_call_from_the_second_on, BOTH)
{
    arrive("hello");
    assert_status(some(1, nb_after_ms(10000)), NB_OK);
    probe_clear();
    for (int i = 0; i < 4; i++)
        assert_status(some(1, nb_after_ms(10000)), NB_OK);
    assert_int_equal(calls(ON_RECV), 4);
    assert_int_equal(probe_total(), 4);
    assert_int_equal(calls(ON_LIBC_MALLOC), 0);
}

TEST_AS(first_deadline_costs_one_setsockopt, BOTH)
{
    arrive("hello");
    probe_clear();
    assert_status(some(1, nb_after_ms(10000)), NB_OK);
    assert_int_equal(calls(ON_SETSOCKOPT), 1);
    assert_int_equal(probe_total(), 2);
}

/* Copying does not count against the kernel's timer. */
TEST_AS(one_receive_never_takes_more_than_a_mebibyte, BOTH)
{
    size_t huge = (size_t)1 << (sizeof(size_t) > 4 ? 33 : 30);
    const size_t most = (size_t)1 << 20;

    skip_under_valgrind("so many addresses take gigabytes");
    void *place = mmap(NULL, huge, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        skip();
    arrive("hello");
    probe_clear();
    for (int i = 0; i < 3; i++) { /* the first of them sets the timer */
        assert_status(nb_recv(conn, place, huge, &got, i < 2 ? plenty() : nb_forever()), NB_OK);
        assert_bytes(place, got, "hello");
        arrive("hello");
    }
    peer_ends();
    assert_status(nb_recv_to_end(conn, place, huge, &got, plenty()), NB_OK);
    assert_bytes(place, got, "hello");
    assert_int_equal(atomic_load(&probe.receive.longest), most);
    assert_int_equal(munmap(place, huge), 0);
}

TEST(urgent_byte_is_not_part_of_the_stream)
{
    int in_line = 1;
    socklen_t length = sizeof(in_line);

    arrive("ab");
    assert_int_equal(send(peer, "!", 1, MSG_OOB), 1);
    raw_send_text(peer, "cd");
    peer_ends();
    assert_gives(to_end(64, plenty()), NB_OK, "abcd");
    assert_int_equal(getsockopt(nb_conn_fd(conn), SOL_SOCKET, SO_OOBINLINE, &in_line, &length), 0);
    assert_int_equal(in_line, 0);
}

/* ---- nb_recv_exact ---- */

TEST_AS(exact_returns_exactly_the_requested_bytes, BOTH)
{
    arrive("hello, world");
    assert_gives(exact(5, plenty()), NB_OK, "hello");
    assert_int_equal(buf[5], '#');
    assert_gives(some(64, plenty()), NB_OK, ", world");
}

TEST(exact_joins_bytes_that_arrive_in_pieces)
{
    probe.receive.limit = 1;
    arrive("hello, world");
    assert_gives(exact(12, plenty()), NB_OK, "hello, world");
    assert_int_equal(buf[12], '#');
}

TEST_AS(exact_reports_partial_bytes_at_the_end, BOTH)
{
    arrive_and_end("hel");
    assert_gives(exact(5, plenty()), NB_EOF, "hel");
    assert_gives(exact(5, plenty()), NB_EOF, "");
}

TEST_AS(exact_is_satisfied_by_the_last_bytes, BOTH)
{
    arrive_and_end("hello");
    assert_gives(exact(5, plenty()), NB_OK, "hello");
    assert_gives(exact(1, plenty()), NB_EOF, "");
}

TEST_AS(exact_is_resumed_after_a_timeout, BOTH)
{
    arrive("hel");
    assert_gives(exact(5, before_long()), NB_TIMEOUT, "hel");
    arrive("lo");
    assert_gives(exact(2, plenty()), NB_OK, "lo");
}

/* ---- nb_recv_until ---- */

TEST_AS(until_includes_the_delimiter_and_leaves_the_rest, BOTH)
{
    arrive("one--two--three");
    assert_gives(until(64, "--", plenty()), NB_OK, "one--");
    assert_int_equal(buf[5], '#');
    assert_gives(until(64, "--", plenty()), NB_OK, "two--");
    assert_int_equal(nb_conn_buffered(conn), 5);
}

TEST(until_gives_the_first_of_several_delimiters)
{
    arrive(",,a,");
    assert_gives(until(64, ",", plenty()), NB_OK, ",");
    assert_gives(until(64, ",", plenty()), NB_OK, ",");
    assert_gives(until(64, ",", plenty()), NB_OK, "a,");
}

TEST_AS(until_finds_a_delimiter_that_arrives_in_two_parts, BOTH)
{
    arrive("one-");
    assert_gives(until(64, "-+-", before_long()), NB_TIMEOUT, "");
    assert_int_equal(nb_conn_buffered(conn), 4);
    arrive("+");
    assert_status(until(64, "-+-", before_long()), NB_TIMEOUT);
    arrive("-two");
    assert_gives(until(64, "-+-", plenty()), NB_OK, "one-+-");
}

TEST(until_finds_a_delimiter_with_a_repeated_prefix)
{
    for (size_t limit = 0; limit < 2; limit++) { /* all at once, and byte by byte */
        probe.receive.limit = limit;
        arrive("aaab");
        assert_gives(until(64, "aab", plenty()), NB_OK, "aaab");
        arrive("\r\n\r\r\n\r\n");
        assert_gives(until(64, "\r\n\r\n", plenty()), NB_OK, "\r\n\r\r\n\r\n");
    }
}

TEST(until_accepts_a_delimiter_with_nuls)
{
    forget_results();
    arrive("a\0b\0\0c");
    assert_gives(nb_recv_until(conn, buf, 64, "\0\0", 2, &got, plenty()), NB_OK, "a\0b\0\0");
}

TEST(until_returns_what_just_fits)
{
    arrive("abc--");
    assert_gives(until(5, "--", plenty()), NB_OK, "abc--");
    assert_int_equal(buf[5], '#');
    arrive("--");
    assert_gives(until(2, "--", plenty()), NB_OK, "--");
}

TEST(until_fails_when_the_delimiter_straddles_the_bound)
{
    arrive("abc--");
    assert_gives(until(4, "--", plenty()), NB_TOO_LONG, "abc");
    assert_int_equal(nb_conn_buffered(conn), 2);
}

TEST(until_fails_when_the_delimiter_is_beyond_the_bound)
{
    arrive("x\nabcdef\n");
    assert_status(until(64, "\n", plenty()), NB_OK);
    assert_gives(until(4, "\n", plenty()), NB_TOO_LONG, "abcd");
}

TEST(until_fails_as_soon_as_its_bound_is_filled)
{
    arrive("abcd");
    assert_gives(until(4, "--", nb_forever()), NB_TOO_LONG, "abcd");
}

TEST(too_long_is_sticky_for_every_call)
{
    arrive("abcde\nnext\n");
    assert_status(until(4, "\n", plenty()), NB_TOO_LONG);
    each_call_returns(NB_TOO_LONG, plenty());
    assert_status(exact(0, plenty()), NB_TOO_LONG);
    assert_directions(NB_TOO_LONG, NB_OK);
}

TEST_AS(until_returns_the_last_bytes_with_the_end, BOTH)
{
    arrive_and_end("one,two");
    assert_status(until(64, ",", plenty()), NB_OK);
    assert_gives(until(64, ",", plenty()), NB_EOF, "two");
    assert_gives(until(64, ",", plenty()), NB_EOF, "");
    assert_int_equal(nb_conn_buffered(conn), 0);
}

TEST(until_finds_a_delimiter_at_the_end_of_the_stream)
{
    arrive_and_end("one,");
    assert_gives(until(64, ",", plenty()), NB_OK, "one,");
    assert_gives(until(64, ",", plenty()), NB_EOF, "");
}

TEST(until_consumes_nothing_when_it_times_out)
{
    arrive("abc");
    assert_gives(until(64, "\n", nb_after_ms(SHORT_MS)), NB_TIMEOUT, "");
    assert_counted(0, 0);
    arrive("\n");
    assert_gives(until(64, "\n", plenty()), NB_OK, "abc\n");
}

TEST(until_can_be_retried_with_another_capacity_or_delimiter)
{
    arrive("abcdef");
    assert_status(until(64, "\n", before_long()), NB_TIMEOUT);
    assert_gives(until(64, "c", plenty()), NB_OK, "abc");
    assert_status(until(4, "\n", before_long()), NB_TIMEOUT);
    arrive("gh\n");
    assert_gives(until(6, "\n", plenty()), NB_OK, "defgh\n");
}

/* ---- nb_recv_line ---- */

TEST_AS(line_is_ended_by_lf_or_crlf_and_stripped, ALL)
{
    arrive("one\ntwo\r\n\n\r\nthree\n");
    assert_gives_line(line(64, plenty()), NB_OK, "one");
    assert_gives_line(line(64, plenty()), NB_OK, "two");
    assert_gives_line(line(64, plenty()), NB_OK, "");
    assert_gives_line(line(64, plenty()), NB_OK, "");
    assert_gives_line(line(64, plenty()), NB_OK, "three");
}

TEST(line_ignores_a_cr_that_another_call_has_received)
{
    arrive("one\nab\r\nab\rtwo\n");
    assert_status(line(64, plenty()), NB_OK);
    assert_gives(exact(3, plenty()), NB_OK, "ab\r");
    assert_gives_line(line(64, plenty()), NB_OK, "");
    assert_status(until(64, "\r", plenty()), NB_OK);
    assert_gives_line(line(64, plenty()), NB_OK, "two");
}

TEST(line_writes_nothing_after_its_nul)
{
    arrive("one\r\ntwo\r\n");
    assert_gives_line(line(64, plenty()), NB_OK, "one");
    assert_int_equal(buf[4], '#');
}

TEST(line_keeps_a_cr_that_is_not_before_the_lf)
{
    arrive("a\rb\r\r\n\r\r\n");
    assert_gives_line(line(64, plenty()), NB_OK, "a\rb\r");
    assert_gives_line(line(64, plenty()), NB_OK, "\r");
}

TEST(line_keeps_embedded_nuls)
{
    arrive("a\0b\0\n\0\n");
    assert_gives_line(line(64, plenty()), NB_OK, "a\0b\0");
    assert_gives_line(line(64, plenty()), NB_OK, "\0");
}

TEST_AS(line_arrives_byte_by_byte, BOTH)
{
    probe.receive.limit = 1;
    arrive("one\r\ntwo\n");
    assert_gives_line(line(4, plenty()), NB_OK, "one");
    assert_gives_line(line(4, plenty()), NB_OK, "two");
    assert_int_equal(nb_conn_buffered(conn), 0);
}

TEST(line_of_capacity_minus_one_bytes_fits_with_either_line_end)
{
    for (size_t limit = 0; limit < 2; limit++) { /* all at once, and byte by byte */
        probe.receive.limit = limit;
        arrive("abc\nabc\r\n");
        assert_gives_line(line(4, plenty()), NB_OK, "abc");
        assert_gives_line(line(4, plenty()), NB_OK, "abc");
        assert_int_equal(buf[4], '#');
    }
}

TEST(line_of_one_byte_less_fits)
{
    arrive("ab\nab\r\n");
    assert_gives_line(line(4, plenty()), NB_OK, "ab");
    assert_gives_line(line(4, plenty()), NB_OK, "ab");
}

TEST(line_of_capacity_bytes_is_too_long)
{
    arrive("abcd\n");
    assert_gives_line(line(4, plenty()), NB_TOO_LONG, "abc");
    assert_int_equal(buf[4], '#');
    each_call_returns(NB_TOO_LONG, plenty());
}

TEST(line_waits_for_what_follows_a_cr_at_the_bound)
{
    arrive("abc\r");
    assert_gives_line(line(4, nb_after_ms(SHORT_MS)), NB_TIMEOUT, "");
    arrive("\n");
    assert_gives_line(line(4, plenty()), NB_OK, "abc");
}

TEST(line_with_a_cr_at_the_bound_and_no_lf_is_too_long)
{
    arrive("abc\rd\n");
    assert_gives_line(line(4, plenty()), NB_TOO_LONG, "abc");
}

TEST(line_with_two_crs_at_the_bound_is_too_long)
{
    arrive("abc\r\r\n");
    assert_gives_line(line(4, plenty()), NB_TOO_LONG, "abc");
}

TEST(last_line_with_a_cr_at_the_bound_is_too_long)
{
    arrive_and_end("abc\r");
    assert_gives_line(line(4, plenty()), NB_TOO_LONG, "abc");
}

TEST(line_already_in_the_buffer_can_be_too_long)
{
    arrive("a\nabcdefgh\n");
    assert_status(line(64, plenty()), NB_OK);
    assert_gives_line(line(4, plenty()), NB_TOO_LONG, "abc");
}

TEST(line_of_capacity_one_is_empty_or_too_long)
{
    arrive("\n\r\n");
    assert_gives_line(line(1, plenty()), NB_OK, "");
    assert_gives_line(line(1, plenty()), NB_OK, "");
    arrive("a\n");
    assert_gives_line(line(1, plenty()), NB_TOO_LONG, "");
    assert_int_equal(buf[1], '#');
}

TEST(line_of_capacity_one_sees_the_end)
{
    peer_ends();
    assert_gives_line(line(1, plenty()), NB_EOF, "");
}

TEST_AS(last_line_without_lf_comes_with_the_end, BOTH)
{
    arrive_and_end("one\ntwo");
    assert_gives_line(line(64, plenty()), NB_OK, "one");
    assert_gives_line(line(64, plenty()), NB_EOF, "two");
    assert_gives_line(line(64, plenty()), NB_EOF, "");
}

TEST(last_line_without_lf_may_fill_the_capacity)
{
    arrive_and_end("abc");
    assert_gives_line(line(4, plenty()), NB_EOF, "abc");
}

TEST(last_line_keeps_its_cr)
{
    arrive_and_end("ab\r");
    assert_gives_line(line(4, plenty()), NB_EOF, "ab\r");
}

TEST(end_after_a_complete_line_comes_with_the_next_call)
{
    arrive_and_end("one\n");
    assert_gives_line(line(64, plenty()), NB_OK, "one");
    assert_gives_line(line(64, plenty()), NB_EOF, "");
}

TEST_AS(line_consumes_nothing_when_it_times_out, BOTH)
{
    arrive("hel");
    assert_gives_line(line(64, nb_after_ms(SHORT_MS)), NB_TIMEOUT, "");
    assert_gives_line(line(64, before_long()), NB_TIMEOUT, "");
    arrive("lo\r");
    assert_status(line(64, before_long()), NB_TIMEOUT);
    arrive("\nnext");
    assert_gives_line(line(64, plenty()), NB_OK, "hello");
    assert_int_equal(nb_conn_buffered(conn), 4);
}

TEST_AS(line_is_nul_terminated_whatever_the_status, BOTH)
{
    assert_gives_line(line(64, past()), NB_TIMEOUT, "");
    peer_resets();
    assert_gives_line(line(64, plenty()), NB_RESET, "");
    assert_gives_line(line(64, plenty()), NB_RESET, "");
    nb_cancel(conn);
    assert_gives_line(line(64, plenty()), NB_CANCELLED, "");
}

TEST(length_of_a_line_may_be_null)
{
    arrive("one\n");
    forget_results();
    assert_status(nb_recv_line(conn, buf, 64, NULL, plenty()), NB_OK);
    assert_string_equal(buf, "one");
    assert_status(nb_recv_line(conn, buf, 64, NULL, past()), NB_TIMEOUT);
    assert_string_equal(buf, "");
}

TEST(a_second_line_in_the_buffer_takes_no_system_call)
{
    arrive("one\ntwo\nthree\n");
    probe_clear();
    assert_status(line(64, nb_forever()), NB_OK);
    assert_int_equal(probe_total(), 1);
    assert_status(line(64, nb_forever()), NB_OK);
    assert_gives_line(line(64, plenty()), NB_OK, "three");
    assert_int_equal(probe_total(), 1);
}

/* ---- the buffer of the connection ---- */

TEST(huge_capacity_does_not_enlarge_the_allocation)
{
    arrive("one\ntwo,");
    probe_clear();
    forget_results();
    assert_gives_line(nb_recv_line(conn, buf, SIZE_MAX / 2, &got, plenty()), NB_OK, "one");
    assert_gives(nb_recv_until(conn, buf, SIZE_MAX / 2, ",", 1, &got, plenty()), NB_OK, "two,");
    assert_true(atomic_load(&probe.allocate.longest) <= 65536);
}

#define READ_AHEAD 16384 /* at most, however many bytes a call asked for */
#define IDLE 4096        /* while it is empty */

static char stream_of_lines[100000];

/* So many bytes, in lines of so many, have arrived. */
static void lines_arrive(size_t length, size_t each)
{
    memset(stream_of_lines, 'x', length);
    for (size_t i = each; i <= length; i += each)
        stream_of_lines[i - 1] = '\n';
    arrive_bytes(stream_of_lines, length);
}

TEST_AS(readahead_does_not_depend_on_the_bound, BOTH)
{
    static const size_t bounds[] = {64, 4096, SIZE_MAX / 2};

    for (size_t i = 0; i < COUNT(bounds); i++) {
        start_over();
        lines_arrive((size_t)30 * 3000, 30);
        probe_clear();
        for (int k = 0; k < 3000; k++) {
            assert_status(nb_recv_line(conn, buf, bounds[i], &got, plenty()), NB_OK);
            assert_int_equal(got, 29);
        }
        assert_true(probe_total() < 12); /* 90 000 bytes by 1, 4 and then 16 KiB */
        assert_int_equal(atomic_load(&probe.allocate.longest), READ_AHEAD);
    }
}

/* Each receive ends with a line: none is left to show that there is more. */
TEST_AS(stream_of_short_lines_is_received_in_large_pieces, BOTH)
{
    enum { LINES = 90112 / 64 };

    lines_arrive((size_t)LINES * 64, 64);
    probe_clear();
    for (int k = 0; k < LINES; k++)
        assert_status(line(64, plenty()), NB_OK);
    assert_true(probe_total() < 12);
}

TEST_AS(line_in_request_response_is_one_receive, BOTH)
{
    for (int i = 0; i < 4; i++) {
        lines_arrive(800, 800);
        probe_clear();
        assert_status(line(1000, i < 2 ? nb_forever() : plenty()), NB_OK);
        assert_int_equal(calls(ON_RECV), 1);
        assert_int_equal(calls(ON_POLL), 0);
        assert_int_equal(calls(ON_LIBC_MALLOC), i == 0 ? 1 : 0);
    }
}

TEST_AS(waiting_connection_with_an_empty_buffer_keeps_a_small_one, BOTH)
{
    /* What fills it to the brim, and what does not. */
    static const size_t lengths[] = {1024 + 4096 + 16384, 32000};
    static nb_status (*const first[])(nb_deadline) = {line_by, until_by, readable};

    for (size_t i = 0; i < COUNT(lengths) * COUNT(first) * 2; i++) {
        size_t length = lengths[i % COUNT(lengths)];

        start_over();
        probe_clear();
        lines_arrive(length, 64);
        for (size_t k = 0; k < length / 64; k++)
            assert_status(line(64, plenty()), NB_OK);
        assert_int_equal(nb_conn_buffered(conn), 0);
        assert_int_equal(atomic_load(&probe.allocate.longest), READ_AHEAD);
        assert_status(first[i / 2 % COUNT(first)](i < 6 ? past() : nb_after_ms(1)), NB_TIMEOUT);
        assert_true(atomic_load(&probe.allocate.last) <= IDLE);
        check_each(nb_after_ms(1), NB_TIMEOUT, 0, COUNT(operations));
        assert_true(atomic_load(&probe.allocate.last) <= IDLE);
    }
}

/* The calls that do not look for an end take no notice of the buffer once it is empty. */
TEST(buffer_shrinks_when_another_call_empties_it)
{
    lines_arrive(64 * 200 + 1000, 64);
    probe_clear();
    for (int k = 0; k < 100; k++)
        assert_status(line(64, plenty()), NB_OK);
    assert_true(atomic_load(&probe.allocate.last) > IDLE);
    assert_status(some(sizeof(buf), plenty()), NB_OK);
    while (nb_conn_buffered(conn) > 0)
        assert_status(some(sizeof(buf), plenty()), NB_OK);
    assert_true(atomic_load(&probe.allocate.last) <= IDLE);
}

TEST(expired_deadline_makes_no_recv_call_after_a_full_receive)
{
    lines_arrive(1024 + 4096 + 64, 64);
    for (int k = 0; k < (1024 + 4096) / 64; k++)
        assert_status(line(64, plenty()), NB_OK);
    probe_clear();
    assert_status(line(64, past()), NB_TIMEOUT);
    assert_int_equal(calls(ON_RECV), 0);
    assert_status(line(64, plenty()), NB_OK);
}

static int looks;

static nb_status look(struct nb__conn_owner *keeper, nb_conn *watched,
                      struct nb__wait_bounds *bounds)
{
    (void)keeper;
    (void)watched;
    (void)bounds;
    looks++;
    return NB_OK;
}

TEST(owner_is_called_before_each_receive)
{
    struct nb__conn_owner keeper = {NULL, NULL, look, true};

    looks = 0;
    nb__conn_set_owner(conn, &keeper);
    lines_arrive(1024 + 4096 + 16384 + 64, 64);
    probe_clear();
    for (int k = 0; k < (1024 + 4096 + 16384 + 64) / 64; k++)
        assert_status(line(64, plenty()), NB_OK);
    assert_true(looks >= calls(ON_RECV));
    nb__conn_set_owner(conn, NULL);
}

TEST_AS(end_is_reported_after_a_full_receive, BOTH)
{
    static void (*const ends[])(void) = {peer_ends, peer_resets};
    static const nb_status told[] = {NB_EOF, NB_RESET};

    for (size_t i = 0; i < COUNT(ends); i++) {
        start_over();
        lines_arrive(1024 + 4096, 64);
        ends[i]();
        for (int k = 0; k < (1024 + 4096) / 64; k++)
            assert_status(line(64, plenty()), NB_OK);
        assert_status(line(64, plenty()), told[i]);
    }
}

TEST_AS(buffer_never_grows_beyond_16_kib_or_the_largest_capacity, BOTH)
{
    lines_arrive(sizeof(stream_of_lines), sizeof(stream_of_lines));
    probe_clear();
    assert_status(nb_recv_until(conn, stream_of_lines, 50000, "\n", 1, &got, plenty()),
                  NB_TOO_LONG);
    assert_true(atomic_load(&probe.allocate.longest) <= 50000);
    assert_status(nb_skip_line(conn, SIZE_MAX / 2, plenty()), NB_OK);
    lines_arrive(sizeof(stream_of_lines), sizeof(stream_of_lines));
    probe_clear();
    assert_status(nb_recv_until(conn, buf, 3, "\n", 1, &got, plenty()), NB_TOO_LONG);
    assert_true(atomic_load(&probe.allocate.longest) <= READ_AHEAD);
}

TEST_AS(buffer_grows_with_the_bytes_that_arrive, BOTH)
{
    static char place[sizeof(stream_of_lines)];

    lines_arrive(sizeof(place), sizeof(place));
    arrive("!");
    probe_clear();
    assert_status(nb_recv_line(conn, place, sizeof(place), &got, plenty()), NB_OK);
    assert_int_equal(got, sizeof(place) - 1);
    assert_memory_equal(place, stream_of_lines, got);
    assert_int_equal(place[got], '\0');
    assert_true(calls(ON_LIBC_MALLOC) < 20);
    assert_gives(some(64, plenty()), NB_OK, "!");
}

TEST(out_of_memory_consumes_nothing_and_is_not_sticky)
{
    arrive("one\n");
    fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
    assert_gives_line(line(64, plenty()), NB_NO_MEMORY, "");
    fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
    assert_gives(until(64, "\n", plenty()), NB_NO_MEMORY, "");
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    assert_gives_line(line(64, plenty()), NB_OK, "one");
}

TEST(out_of_memory_for_a_larger_buffer_loses_nothing)
{
    static char place[20000];

    lines_arrive(10001, 10001);
    assert_status(nb_recv_until(conn, place, 4000, "x", 1, &got, plenty()), NB_OK);
    fail_next(ON_LIBC_MALLOC, ENOMEM, 2); /* the first time there is room for a byte */
    assert_gives(nb_recv_line(conn, place, sizeof(place), &got, plenty()), NB_NO_MEMORY, "");
    assert_status(nb_recv_line(conn, place, sizeof(place), &got, plenty()), NB_OK);
    assert_int_equal(got, 9999);
    assert_memory_equal(place, stream_of_lines, 9999);
}

static void two_messages_in_one_piece(void)
{
    arrive("one\ntwo\nthree");
    assert_gives_line(line(64, plenty()), NB_OK, "one");
    assert_int_equal(nb_conn_buffered(conn), 9);
    probe_clear();
}

TEST_AS(recv_takes_buffered_bytes_first, BOTH)
{
    two_messages_in_one_piece();
    assert_gives(some(4, nb_forever()), NB_OK, "two\n");
    assert_int_equal(nb_conn_buffered(conn), 5);
    assert_gives(some(64, nb_forever()), NB_OK, "three");
    assert_int_equal(nb_conn_buffered(conn), 0);
    assert_int_equal(probe_total(), 0);
    arrive("!");
    assert_gives(some(64, plenty()), NB_OK, "!");
}

TEST_AS(exact_takes_buffered_bytes_first, BOTH)
{
    two_messages_in_one_piece();
    assert_gives(exact(4, nb_forever()), NB_OK, "two\n");
    assert_int_equal(probe_total(), 0);
    arrive(" and four");
    assert_gives(exact(9, plenty()), NB_OK, "three and");
    assert_gives(some(64, plenty()), NB_OK, " four");
}

TEST(until_takes_buffered_bytes_first)
{
    two_messages_in_one_piece();
    assert_gives(until(64, "wo", nb_forever()), NB_OK, "two");
    assert_int_equal(probe_total(), 0);
}

TEST_AS(to_end_takes_buffered_bytes_first, BOTH)
{
    two_messages_in_one_piece();
    arrive_and_end(" and four");
    assert_gives(to_end(64, plenty()), NB_OK, "two\nthree and four");
    assert_int_equal(nb_conn_buffered(conn), 0);
}

TEST(to_end_can_be_too_long_from_buffered_bytes_alone)
{
    two_messages_in_one_piece();
    assert_gives(to_end(4, nb_forever()), NB_TOO_LONG, "two\n");
    assert_status(to_end(0, nb_forever()), NB_TOO_LONG);
    assert_int_equal(probe_total(), 0);
    assert_gives(some(64, plenty()), NB_OK, "three");
}

TEST(wait_returns_at_once_when_bytes_are_buffered)
{
    two_messages_in_one_piece();
    assert_status(readable(nb_forever()), NB_OK);
    assert_status(readable(past()), NB_OK);
    assert_int_equal(probe_total(), 0);
    assert_int_equal(nb_conn_buffered(conn), 9);
}

TEST(bytes_of_a_line_that_timed_out_are_available_to_every_call)
{
    arrive("half");
    assert_status(line(64, before_long()), NB_TIMEOUT);
    assert_status(readable(past()), NB_OK);
    assert_gives(exact(2, plenty()), NB_OK, "ha");
    assert_status(line(64, before_long()), NB_TIMEOUT);
    assert_gives(some(64, plenty()), NB_OK, "lf");
}

/* ---- nb_skip_line, nb_skip_until ---- */

static nb_status skip_line(size_t most, nb_deadline by)
{
    return nb_skip_line(conn, most, by);
}

static nb_status skip_crlf(size_t most, nb_deadline by)
{
    return nb_skip_until(conn, most, "\r\n", 2, by);
}

TEST(skip_refuses_invalid_bounds_and_delimiters)
{
    arrive("\n");
    nb_cancel(conn); /* a broken contract comes first */
    assert_status(nb_skip_line(NULL, 9, plenty()), NB_INVALID);
    assert_status(nb_skip_line(conn, 0, plenty()), NB_INVALID);
    assert_status(nb_skip_line(conn, TOO_LARGE, plenty()), NB_INVALID);
    assert_status(nb_skip_until(NULL, 9, "\n", 1, plenty()), NB_INVALID);
    assert_status(nb_skip_until(conn, 9, NULL, 1, plenty()), NB_INVALID);
    assert_status(nb_skip_until(conn, 9, "\n", 0, plenty()), NB_INVALID);
    assert_status(nb_skip_until(conn, 1, "\r\n", 2, plenty()), NB_INVALID);
    assert_status(nb_skip_until(conn, TOO_LARGE, "\n", 1, plenty()), NB_INVALID);
    assert_status(nb_skip_until(conn, 9, "\n", SIZE_MAX, plenty()), NB_INVALID);
    assert_status(skip_line(9, plenty()), NB_CANCELLED);
}

TEST_AS(skip_discards_the_rest_of_a_line_that_was_too_long, ALL)
{
    arrive("much too long\r\nnext\r\n");
    errno = 1234;
    assert_gives_line(line(5, plenty()), NB_TOO_LONG, "much");
    assert_status(skip_line(11, plenty()), NB_OK);
    assert_int_equal(errno, 1234);
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    assert_counted(15, 0);
    assert_gives_line(line(5, plenty()), NB_OK, "next");
    each_call_returns(NB_TIMEOUT, nb_after_ms(1));
}

TEST(skip_works_without_a_failure_before_it)
{
    arrive("a line\nnext\n");
    assert_status(skip_line(7, plenty()), NB_OK);
    assert_gives_line(line(64, plenty()), NB_OK, "next");
}

/* The CR was the last byte that fitted. */
TEST(skip_finds_a_delimiter_that_straddled_the_bound)
{
    probe.receive.limit = 4;
    arrive("abc\r\nnext\r\n");
    assert_gives(until(4, "\r\n", plenty()), NB_TOO_LONG, "abc");
    assert_status(skip_crlf(2, plenty()), NB_OK);
    assert_gives(until(64, "\r\n", plenty()), NB_OK, "next\r\n");
}

TEST_AS(skip_discards_no_more_than_its_bound, BOTH)
{
    arrive("123456789\r\nnext\r\n");
    assert_status(skip_crlf(10, plenty()), NB_TOO_LONG);
    assert_counted(9, 0);
    each_call_returns(NB_TOO_LONG, plenty());
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_TOO_LONG);
    assert_status(skip_crlf(2, plenty()), NB_OK);
    assert_counted(11, 0);
    assert_gives(until(64, "\r\n", plenty()), NB_OK, "next\r\n");
}

TEST_AS(skip_is_resumed_after_a_timeout, BOTH)
{
    assert_status(skip_crlf(64, nb_after_ms(1)), NB_TIMEOUT);
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    arrive("abc\r");
    assert_status(skip_crlf(64, before_long()), NB_TIMEOUT);
    assert_counted(3, 0);
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_TOO_LONG);
    each_call_returns(NB_TOO_LONG, plenty()); /* what follows is no message */
    arrive("\nnext\r\n");
    assert_status(skip_crlf(64, plenty()), NB_OK);
    assert_gives_line(line(64, plenty()), NB_OK, "next");
}

TEST(skip_with_an_expired_deadline_skips_what_is_in_the_buffer)
{
    arrive("one\ntoo long\nthree\nfo");
    assert_status(line(4, plenty()), NB_OK);
    assert_status(line(4, past()), NB_TOO_LONG);
    probe_clear();
    assert_status(skip_line(64, past()), NB_OK);
    assert_status(skip_line(64, past()), NB_OK);
    assert_status(skip_line(64, past()), NB_TIMEOUT);
    assert_int_equal(probe_total(), 0);
    assert_counted(21, 0);
    arrive("ur\nfive\n");
    assert_status(skip_line(64, plenty()), NB_OK);
    assert_gives_line(line(64, plenty()), NB_OK, "five");
}

TEST_AS(skip_reports_the_end_and_a_reset, BOTH)
{
    arrive_and_end("abc\r");
    assert_status(skip_crlf(64, plenty()), NB_EOF);
    assert_counted(4, 0);
    assert_int_equal(nb_conn_buffered(conn), 0);
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_EOF);
    assert_status(skip_crlf(64, plenty()), NB_EOF);
    start_over();
    arrive_and_reset("abc");
    assert_status(line(3, plenty()), NB_TOO_LONG);
    assert_status(skip_line(64, plenty()), NB_RESET);
    each_call_returns(NB_RESET, plenty());
    assert_status(skip_line(64, plenty()), NB_RESET);
}

TEST(skip_of_any_length_uses_the_same_memory)
{
    lines_arrive(sizeof(stream_of_lines), sizeof(stream_of_lines));
    probe_clear();
    assert_status(skip_line(SIZE_MAX / 2, plenty()), NB_OK);
    assert_counted(sizeof(stream_of_lines), 0);
    assert_int_equal(atomic_load(&probe.allocate.longest), READ_AHEAD);
}

TEST(skip_can_be_retried_when_out_of_memory)
{
    arrive("abc\nnext\n");
    fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
    assert_status(skip_line(64, plenty()), NB_NO_MEMORY);
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    assert_status(skip_line(64, plenty()), NB_OK);
    assert_gives_line(line(64, plenty()), NB_OK, "next");
}

static void skip_until_cancelled(void *argument)
{
    *(nb_status *)argument = skip_line(64, nb_forever());
}

TEST_AS(cancel_wakes_a_blocked_skip, BOTH)
{
    nb_status status = NB_OK;
    struct task task;

    arrive("abc");
    task_start(&task, skip_until_cancelled, &status);
    task_until_blocked(&task);
    nb_cancel(conn);
    task_join(&task);
    assert_status(status, NB_CANCELLED);
}

/* ---- nb_recv_to_end ---- */

TEST_AS(to_end_returns_the_whole_stream, ALL)
{
    probe.receive.limit = 2;
    arrive_and_end("hello");
    assert_gives(to_end(64, plenty()), NB_OK, "hello");
    assert_int_equal(buf[5], '#');
    assert_gives(to_end(64, plenty()), NB_OK, "");
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_EOF);
}

TEST(to_end_of_an_empty_stream_is_empty)
{
    peer_ends();
    assert_gives(to_end(64, plenty()), NB_OK, "");
}

TEST(to_end_returns_what_just_fits)
{
    arrive_and_end("hello");
    assert_gives(to_end(5, plenty()), NB_OK, "hello");
    assert_int_equal(buf[5], '#');
}

TEST_AS(to_end_resumes_after_it_was_too_long, BOTH)
{
    arrive_and_end("hello, world");
    assert_gives(to_end(5, plenty()), NB_TOO_LONG, "hello");
    assert_int_equal(buf[5], '#');
    assert_counted(5, 0);
    assert_gives(to_end(6, plenty()), NB_TOO_LONG, ", worl");
    assert_gives(to_end(1, plenty()), NB_OK, "d");
    assert_counted(12, 0);
}

TEST(other_calls_continue_after_to_end_was_too_long)
{
    arrive("hello, world\nnext\nlast");
    assert_status(to_end(5, plenty()), NB_TOO_LONG);
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    assert_gives(exact(7, plenty()), NB_OK, ", world");
    assert_status(to_end(0, plenty()), NB_TOO_LONG);
    assert_gives_line(line(64, plenty()), NB_OK, "");
    assert_status(to_end(2, plenty()), NB_TOO_LONG);
    assert_gives_line(line(64, plenty()), NB_OK, "xt");
}

TEST(to_end_with_a_full_buffer_waits_for_the_end)
{
    arrive("hello");
    assert_gives(to_end(5, before_long()), NB_TIMEOUT, "hello");
    peer_ends();
    assert_gives(to_end(5, plenty()), NB_OK, "");
}

TEST(to_end_with_capacity_zero_waits_for_the_end)
{
    assert_status(nb_recv_to_end(conn, NULL, 0, &got, nb_after_ms(SHORT_MS)), NB_TIMEOUT);
    arrive("x");
    assert_gives(nb_recv_to_end(conn, NULL, 0, &got, plenty()), NB_TOO_LONG, "");
    assert_gives(some(64, plenty()), NB_OK, "x");
    peer_ends();
    assert_gives(nb_recv_to_end(conn, NULL, 0, &got, plenty()), NB_OK, "");
}

TEST_AS(to_end_is_resumed_after_a_timeout, BOTH)
{
    arrive("hel");
    assert_gives(to_end(64, before_long()), NB_TIMEOUT, "hel");
    arrive_and_end("lo");
    assert_gives(to_end(64, plenty()), NB_OK, "lo");
}

TEST(to_end_loses_nothing_when_out_of_memory_at_its_last_byte)
{
    arrive("hello");
    fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
    assert_gives(to_end(4, plenty()), NB_NO_MEMORY, "hell");
    assert_status(to_end(0, plenty()), NB_TOO_LONG);
    assert_gives(some(64, plenty()), NB_OK, "o");
}

/* ---- nb_wait_readable ---- */

TEST_AS(wait_consumes_nothing, BOTH)
{
    arrive("x");
    probe_clear();
    assert_status(readable(plenty()), NB_OK);
    assert_status(readable(nb_forever()), NB_OK);
    assert_int_equal(calls(ON_RECV), 0);
    assert_gives(some(64, plenty()), NB_OK, "x");
}

TEST_AS(wait_with_an_expired_deadline_asks_once, BOTH)
{
    probe_clear();
    assert_status(readable(past()), NB_TIMEOUT);
    assert_int_equal(probe_total(), 1);
    arrive("x");
    assert_status(readable(past()), NB_OK);
    assert_status(readable((nb_deadline){0}), NB_OK);
    assert_status(readable(nb_after_ms(-1)), NB_OK);
    assert_int_equal(probe_total(), 4);
}

TEST_AS(wait_sees_an_end_that_nobody_has_received_yet, BOTH)
{
    peer_ends();
    assert_status(readable(plenty()), NB_OK);
    assert_status(readable(past()), NB_OK);
    assert_status(some(64, plenty()), NB_EOF);
    assert_status(readable(plenty()), NB_EOF);
}

TEST_AS(wait_sees_a_reset_that_nobody_has_received_yet, BOTH)
{
    peer_resets();
    assert_status(readable(plenty()), NB_OK);
    assert_status(readable(past()), NB_OK);
    assert_status(some(64, plenty()), NB_RESET);
    assert_status(readable(plenty()), NB_RESET);
}

TEST(wait_reports_out_of_memory)
{
    arrive("x");
    fail_next(ON_POLL, ENOMEM, 1);
    assert_status(readable(plenty()), NB_NO_MEMORY);
    assert_status(readable(plenty()), NB_OK);
}

/* ---- resets ---- */

TEST_AS(recv_gives_what_came_before_a_reset, ALL)
{
    arrive_and_reset("abc");
    assert_gives(some(64, plenty()), NB_OK, "abc");
    assert_status(some(64, plenty()), NB_RESET);
    each_call_returns(NB_RESET, plenty());
}

TEST_AS(exact_gives_what_came_before_a_reset, BOTH)
{
    arrive_and_reset("abc");
    assert_gives(exact(5, plenty()), NB_RESET, "abc");
}

TEST_AS(until_gives_what_came_before_a_reset, BOTH)
{
    arrive_and_reset("one\nabc");
    assert_gives(until(64, "\n", plenty()), NB_OK, "one\n");
    assert_gives(until(64, "\n", plenty()), NB_RESET, "abc");
}

TEST_AS(line_gives_what_came_before_a_reset, BOTH)
{
    arrive_and_reset("one\ntwo\nabc");
    assert_gives_line(line(64, plenty()), NB_OK, "one");
    assert_gives_line(line(64, plenty()), NB_OK, "two");
    assert_gives_line(line(64, plenty()), NB_RESET, "abc");
    each_call_returns(NB_RESET, plenty());
}

TEST_AS(to_end_gives_what_came_before_a_reset, BOTH)
{
    arrive_and_reset("abc");
    assert_gives(to_end(64, plenty()), NB_RESET, "abc");
}

TEST_AS(full_buffer_does_not_turn_a_reset_into_an_end, BOTH)
{
    arrive_and_reset("abc");
    assert_gives(to_end(3, plenty()), NB_RESET, "abc");
}

TEST(etimedout_of_a_receive_is_not_a_timeout)
{
    fail_next(ON_RECV, ETIMEDOUT, 1);
    assert_status(exact(5, plenty()), NB_UNREACHABLE);
    each_call_returns(NB_UNREACHABLE, plenty());
}

/* A reset that comes after "abc", whose error a send takes. */
static void send_takes_the_reset(void)
{
    arrive_and_reset("abc");
    assert_status(nb_send_all(conn, "x", 1, NULL, plenty()), NB_RESET);
}

TEST_AS(reset_that_a_send_reported_is_no_end_for_recv, ALL)
{
    send_takes_the_reset();
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    assert_gives(some(64, plenty()), NB_OK, "abc");
    assert_status(some(64, plenty()), NB_RESET);
    each_call_returns(NB_RESET, plenty());
}

TEST_AS(reset_that_a_send_reported_is_no_end_for_to_end, BOTH)
{
    send_takes_the_reset();
    assert_gives(to_end(64, plenty()), NB_RESET, "abc");
}

TEST_AS(reset_that_a_send_reported_is_no_end_for_a_line, BOTH)
{
    send_takes_the_reset();
    assert_gives_line(line(64, plenty()), NB_RESET, "abc");
}

TEST_AS(reset_that_a_send_reported_is_no_end_for_exact, BOTH)
{
    send_takes_the_reset();
    assert_gives(exact(64, nb_forever()), NB_RESET, "abc");
}

/* What happens just before the kernel is asked whether the connection still exists. */
static void (*before_question)(void);

static int own_tcp_closed(int fd)
{
    void (*first)(void) = before_question;

    before_question = NULL;
    if (first != NULL)
        first();
    return real.tcp_closed(fd);
}

REPLACE(tcp_closed, own_tcp_closed)

static void end_ours_too(void)
{
    nb_deadline by = plenty();

    assert_status(nb_shutdown_send(conn), NB_OK);
    while (nb__sys_tcp_closed(nb_conn_fd(conn)) != 1 && !nb_expired(by))
        (void)sched_yield();
    assert_int_equal(nb__sys_tcp_closed(nb_conn_fd(conn)), 1);
}

TEST(end_is_orderly_when_both_sides_have_shut_down)
{
    skip_under_qemu("TCP_INFO is cut short");
    peer_ends();
    end_ours_too();
    assert_status(some(64, plenty()), NB_EOF);
}

/* By the thread that sends, between the kernel's end and what it is asked then. */
TEST(end_is_orderly_when_we_shut_down_during_the_tcp_info_query)
{
    skip_under_qemu("TCP_INFO is cut short");
    peer_ends();
    before_question = end_ours_too;
    assert_status(some(64, plenty()), NB_EOF);
}

TEST(reset_after_the_peers_close_is_no_orderly_close)
{
    arrive("abc");
    peer_closes();
    assert_status(nb_send_all(conn, "x", 1, NULL, plenty()), NB_OK);
    until_event(nb_conn_fd(conn), POLLHUP);
    assert_status(nb_send_all(conn, "x", 1, NULL, plenty()), NB_RESET);
    assert_gives(some(64, plenty()), NB_OK, "abc");
    assert_status(some(64, plenty()), NB_RESET);
}

/* The peer resets, and the kernel has told somebody of it. */
static void take_the_reset(void)
{
    int error = 0;
    socklen_t length = sizeof(error);

    peer_resets();
    assert_int_equal(getsockopt(nb_conn_fd(conn), SOL_SOCKET, SO_ERROR, &error, &length), 0);
    assert_int_equal(error, ECONNRESET);
}

/* The kernel tells of a reset once: to us, or to whoever asks for SO_ERROR on a socket that we let others
   look at, a child that shares it included. */
TEST(reset_reported_to_another_process_is_no_end)
{
    skip_under_qemu("TCP_INFO is cut short");
    for (size_t i = 0; i < WAIT; i++) {
        start_over();
        take_the_reset();
        assert_status(operations[i].run(i % 2 != 0 ? plenty() : nb_forever()), NB_RESET);
        each_call_returns(NB_RESET, plenty());
    }
}

TEST(reset_reported_to_another_process_before_our_fin_is_no_end)
{
    skip_under_qemu("TCP_INFO is cut short");
    take_the_reset();
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_status(some(64, plenty()), NB_RESET);
    each_call_returns(NB_RESET, plenty());
}

TEST(close_reports_a_reset_already_reported_to_another_process)
{
    nb_conn *closing = conn;

    skip_under_qemu("TCP_INFO is cut short");
    take_the_reset();
    conn = NULL;
    assert_status(nb_close(closing, plenty()), NB_RESET);
}

TEST(reset_after_the_peers_fin_is_reported)
{
    skip_under_qemu("TCP_INFO is cut short");
    arrive("abc");
    peer_closes();
    assert_status(nb_send_all(conn, "x", 1, NULL, plenty()), NB_OK);
    until_event(nb_conn_fd(conn), POLLHUP);
    assert_gives(to_end(64, plenty()), NB_RESET, "abc");
}

static void the_last_bytes_arrive(void)
{
    arrive("abc");
    peer_closes();
    until_event(nb_conn_fd(conn), POLLHUP);
}

/* Whoever had the socket before may have ended our stream. */
TEST_AS(end_is_orderly_when_the_stream_was_shut_down_before_adoption, ALL)
{
    int fd;

    for (int closed = 0; closed < 2; closed++) {
        start_over();
        assert_status(nb_shutdown_send(conn), NB_OK);
        assert_int_equal(raw_ending(peer, NULL), 0);
        if (closed != 0)
            the_last_bytes_arrive();
        assert_status(nb_conn_detach(conn, &fd, NULL, 0, NULL), NB_OK);
        conn = adopt(fd);
        if (closed == 0)
            the_last_bytes_arrive();
        assert_gives(to_end(64, plenty()), NB_OK, "abc");
    }
}

/* Sends until it is too much. */
static void send_times_out(void)
{
    nb_status status;

    (void)raw_fill(nb_conn_fd(conn));
    do
        status = nb_send_all(conn, "x", 1, NULL, nb_after_ms(1));
    while (status == NB_OK);
    assert_status(status, NB_TIMEOUT);
}

TEST_AS(end_after_a_send_that_timed_out_is_an_end, BOTH)
{
    send_times_out();
    arrive_and_end("abc");
    assert_gives(to_end(64, plenty()), NB_OK, "abc");
}

TEST(reset_after_a_send_that_timed_out_is_a_reset)
{
    send_times_out();
    arrive_and_reset("abc");
    assert_gives(to_end(64, plenty()), NB_RESET, "abc");
}

TEST_AS(end_after_a_send_that_saw_a_reset_is_a_reset, BOTH)
{
    arrive_and_end("abc");
    fail_next(ON_SEND, ECONNRESET, 1);
    assert_status(nb_send_all(conn, "x", 1, NULL, plenty()), NB_RESET);
    assert_gives(some(64, plenty()), NB_OK, "abc");
    assert_status(some(64, plenty()), NB_RESET);
}

TEST_AS(end_after_our_own_shutdown_is_an_end, ALL)
{
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_int_equal(raw_ending(peer, NULL), 0);
    arrive("abc");
    peer_closes();
    assert_gives(some(64, plenty()), NB_OK, "abc");
    assert_status(some(64, plenty()), NB_EOF);
}

static nb_status send_status;

static void send_one_byte(void *argument)
{
    (void)argument;
    send_status = nb_send_all(conn, "x", 1, NULL, nb_forever());
}

static void send_two_slices(void *argument)
{
    nb_slice slices[] = {{"x", 1}, {"y", 1}};

    (void)argument;
    send_status = nb_send_slices(conn, slices, 2, NULL, nb_forever());
}

/* Starts a send in a thread, which waits at the gate: the kernel has seen it, the library not yet. */
static void begin_send(struct task *task, void (*send_something)(void *))
{
    probe.after_send = gate_pass;
    task_start(task, send_something, NULL);
    eventually(gate_waiting() == 1);
}

static void end_send(struct task *task)
{
    gate_open_for(1);
    task_join(task);
}

static void recv_while_a_send_takes_the_reset(void (*send_something)(void *))
{
    struct task task;

    arrive_and_reset("abc");
    begin_send(&task, send_something);
    assert_gives(some(64, plenty()), NB_OK, "abc");
    assert_status(some(64, plenty()), NB_RESET);
    end_send(&task);
    assert_status(send_status, NB_RESET);
}

TEST_AS(reset_that_another_threads_send_is_about_to_report_is_no_end, ALL)
{
    skip_under_qemu("TCP_INFO is cut short");
    recv_while_a_send_takes_the_reset(send_one_byte);
}

TEST_AS(reset_that_another_threads_vectored_send_will_report_is_no_end, BOTH)
{
    skip_under_qemu("TCP_INFO is cut short");
    recv_while_a_send_takes_the_reset(send_two_slices);
}

TEST_AS(end_while_another_thread_sends_is_an_end, BOTH)
{
    struct task task;

    arrive_and_end("abc");
    begin_send(&task, send_one_byte);
    assert_status(some(64, plenty()), NB_OK);
    assert_status(some(64, plenty()), NB_EOF);
    end_send(&task);
    assert_status(send_status, NB_OK);
}

static void send_until_it_fails(void *argument)
{
    static const char data[4096];

    do
        send_status = nb_send_all(conn, data, sizeof(data), NULL, nb_forever());
    while (send_status == NB_OK && argument == NULL);
}

TEST(reset_is_never_an_end_whichever_direction_reports_it)
{
    skip_under_qemu("TCP_INFO is cut short");
    for (int i = 0; i < 100; i++) {
        struct task task;
        nb_status status;

        task_start(&task, send_until_it_fails, NULL);
        raw_send_text(peer, "abc");
        raw_reset(peer, -1);
        do
            status = some(2, i % 2 != 0 ? plenty() : nb_forever());
        while (status == NB_OK);
        task_join(&task);
        nb_abort(conn);
        conn = conn_and_peer(over, &peer);
        assert_status(status, NB_RESET);
        assert_status(send_status, NB_RESET);
    }
}

/* ---- streams made by chance, against plain models ---- */

static uint32_t chance_state;

static size_t chance(size_t below)
{
    chance_state = chance_state * 1664525 + 1013904223;
    return (size_t)(chance_state >> 8) % below;
}

static size_t random_stream(char *stream, size_t most, const char *alphabet, size_t letters)
{
    size_t length = chance(most + 1);

    for (size_t i = 0; i < length; i++)
        stream[i] = alphabet[chance(letters)];
    return length;
}

/* A connection that has a whole stream before it, in pieces of a random size. */
static void open_stream(const char *stream, size_t length)
{
    over = OVER_UNIX;
    start_over();
    raw_send(peer, stream, length);
    peer_closes();
    probe.receive.limit = chance(5);
}

static char stream[64];
static char delimiter[4];
static size_t delimiter_length;

/* Opens a stream in which a delimiter is looked for: how long it is. */
static size_t open_search(void)
{
    size_t length = random_stream(stream, sizeof(stream), "aab", 3);

    delimiter_length = 1 + chance(sizeof(delimiter));
    for (size_t i = 0; i < delimiter_length; i++)
        delimiter[i] = "aab"[chance(3)];
    open_stream(stream, length);
    return length;
}

/* How many of the last of so many bytes may be the beginning of the delimiter. */
static size_t model_begun(const char *bytes, size_t length)
{
    for (size_t from = 0; from < length; from++) {
        size_t begun = length - from;

        if (begun < delimiter_length && memcmp(bytes + from, delimiter, begun) == 0)
            return begun;
    }
    return 0;
}

/* What nb_recv_until() should return for the stream from here on, and how many bytes; nb_skip_until()
   drops as many, but all of them at the end of the stream. */
static nb_status model_until(const char *rest, size_t left, size_t capacity, size_t *expected)
{
    for (size_t at = 0; at + delimiter_length <= left && at + delimiter_length <= capacity; at++) {
        *expected = at + delimiter_length;
        if (memcmp(rest + at, delimiter, delimiter_length) == 0)
            return NB_OK;
    }
    *expected = left;
    if (left < capacity)
        return NB_EOF;
    *expected = capacity - model_begun(rest, capacity);
    return NB_TOO_LONG;
}

TEST(until_agrees_with_a_plain_search)
{
    chance_state = 1;
    for (int round = 0; round < 1500; round++) {
        size_t length = open_search();
        size_t at = 0;
        nb_status expected_status = NB_OK;

        while (expected_status == NB_OK) {
            size_t capacity = delimiter_length + chance(20);
            size_t expected;
            nb_status status;

            expected_status = model_until(stream + at, length - at, capacity, &expected);
            status =
                nb_recv_until(conn, buf, capacity, delimiter, delimiter_length, &got, nb_forever());
            if (status != expected_status || got != expected || memcmp(buf, stream + at, got) != 0)
                fail_msg("round %d at %zu: %s, %zu bytes", round, at, nb_status_name(status), got);
            at += got;
        }
    }
}

TEST(skip_agrees_with_a_plain_search)
{
    chance_state = 4;
    for (int round = 0; round < 1500; round++) {
        size_t length = open_search();
        uint64_t at = 0;
        nb_status status = NB_OK;

        while (status != NB_EOF) {
            size_t most = delimiter_length + chance(20);
            size_t dropped;
            nb_status expected = model_until(stream + at, length - (size_t)at, most, &dropped);
            uint64_t before = at;

            /* The first that is too long is often not the last. */
            if (status == NB_OK && chance(2) == 0)
                status =
                    nb_recv_until(conn, buf, most, delimiter, delimiter_length, &got, nb_forever());
            else
                status = nb_skip_until(conn, most, delimiter, delimiter_length, nb_forever());
            nb_conn_counters(conn, &at, NULL);
            if (status != expected || at - before != dropped ||
                nb_conn_status(conn, NB_RECEIVE) != expected)
                fail_msg("round %d at %d: %s, %d bytes", round, (int)before, nb_status_name(status),
                         (int)(at - before));
        }
    }
}

/* What nb_recv_line() should return, how many bytes, and how many it consumes. */
static nb_status model_line(const char *rest, size_t left, size_t capacity, size_t *expected,
                            size_t *consumed)
{
    const char *lf = left > 0 ? memchr(rest, '\n', left) : NULL;
    size_t length = lf != NULL ? (size_t)(lf - rest) : left;

    *consumed = lf != NULL ? length + 1 : length;
    if (lf != NULL && length > 0 && rest[length - 1] == '\r')
        length--;
    *expected = length < capacity ? length : capacity - 1;
    if (length >= capacity)
        return NB_TOO_LONG;
    return lf != NULL ? NB_OK : NB_EOF;
}

TEST(line_agrees_with_a_plain_split)
{
    chance_state = 2;
    for (int round = 0; round < 1500; round++) {
        size_t length = random_stream(stream, sizeof(stream), "a\0\r\r\n", 5);
        size_t at = 0;
        nb_status expected_status = NB_OK;

        open_stream(stream, length);
        while (expected_status == NB_OK) {
            size_t capacity = 1 + chance(12);
            size_t expected, consumed;

            expected_status = model_line(stream + at, length - at, capacity, &expected, &consumed);
            nb_status status = line(capacity, nb_forever());
            if (status != expected_status || got != expected || buf[got] != '\0' ||
                memcmp(buf, stream + at, got) != 0 || buf[capacity] != '#')
                fail_msg("round %d at %zu: %s, %zu bytes", round, at, nb_status_name(status), got);
            at += consumed;
        }
    }
}

/* One call of any kind: NB_OK when the stream may go on. */
static nb_status any_call(void)
{
    size_t size = 1 + chance(10);
    nb_status status;

    switch (chance(5)) {
    case 0:
        return some(size, nb_forever());
    case 1:
        return exact(size, nb_forever());
    case 2:
        return until(sizeof(buf), "ab", nb_forever());
    case 3:
        return nb_wait_readable(conn, nb_forever());
    default:
        status = to_end(size, nb_forever());
        return status == NB_TOO_LONG ? NB_OK : status == NB_OK ? NB_EOF : status;
    }
}

TEST(calls_of_all_kinds_share_one_stream)
{
    static char longer[256];

    chance_state = 3;
    for (int round = 0; round < 1000; round++) {
        size_t length = random_stream(longer, sizeof(longer), "abcd", 4);
        uint64_t before = 0;
        uint64_t after = 0;
        nb_status status = NB_OK;

        open_stream(longer, length);
        while (status == NB_OK) {
            got = 0;
            status = any_call();
            nb_conn_counters(conn, &after, NULL);
            if ((status != NB_OK && status != NB_EOF) || after > length ||
                (after != before && (after - before != got || memcmp(buf, longer + before, got))))
                fail_msg("round %d at %d: %s", round, (int)before, nb_status_name(status));
            before = after;
        }
        assert_int_equal(after, length);
    }
}
