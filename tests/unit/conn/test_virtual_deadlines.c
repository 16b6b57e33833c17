/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of deadlines on the scripted kernel: of every size, with timers as late as they can be,
 *         among signals, with peers that do as little as they can, whatever the wall clock does. */
#include "kernel.h"
#include "support.h"

#define LARGE ((size_t)64 << 20)

static nb_conn *conn;
static char buf[4096];
static size_t wanted; /* all that a peer gives who gives a line, else more than any does */
static size_t got;
static char *large; /* bytes of no meaning, never touched */

/* ---- peers ---- */

static const struct kernel_step never[] = {{KERNEL_NEVER, 1, 0}};

static const struct kernel_peer silent = {never, 1, NULL, 0, never, 1, 0};

/* One who gives, and takes, so many bytes, one at a time, and nothing more. */
static const struct kernel_peer *drip(int64_t every_ns, size_t count)
{
    static struct kernel_step steps[70000];
    static struct kernel_peer peer;

    assert_true(count <= COUNT(steps));
    for (size_t i = 0; i < count; i++)
        steps[i] = (struct kernel_step){every_ns, 1, 0};
    peer = (struct kernel_peer){steps, count, NULL, 1, steps, count, 0};
    return &peer;
}

/* Everything is there, and there is room for everything. */
/* Ten bytes: a frame of five and an LF, or all together a line. */
static const unsigned char line_or_frame[] = "\0\0\0\5hello\n";
static const struct kernel_step line_is_there[] = {{0, 10, 0}, {0, 0, 0}};
static const struct kernel_peer ready = {line_is_there, 2, line_or_frame, 0, NULL, 0, 0};

/* ---- all calls that wait ---- */

CALL_BY(wait_recv, nb_recv(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_exact, nb_recv_exact(conn, buf, wanted, &got, by))
CALL_BY(wait_until, nb_recv_until(conn, buf, sizeof(buf), "\n", 1, &got, by))
CALL_BY(wait_line, nb_recv_line(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_to_end, nb_recv_to_end(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_frame, nb_recv_frame(conn, buf, sizeof(buf), &got, by))

static nb_status wait_send_frame(nb_deadline by)
{
    nb_status status = nb_send_frame(conn, large, LARGE, by);
    uint64_t sent;

    nb_conn_counters(conn, NULL, &sent);
    got = (size_t)sent;
    return status;
}

CALL_BY(wait_readable, nb_wait_readable(conn, by))
CALL_BY(wait_send, nb_send_all(conn, large, LARGE, &got, by))

static nb_status wait_send_v(nb_deadline by)
{
    nb_slice slices[] = {{large, LARGE / 2}, {NULL, 0}, {large, LARGE / 2}};

    return nb_send_slices(conn, slices, 3, &got, by);
}

static nb_status wait_close(nb_deadline by)
{
    nb_conn *closing = conn;

    conn = NULL;
    return nb_close(closing, by);
}

enum does { RECEIVES, SENDS, LOOKS, CLOSES };

static const struct operation {
    const char *name;
    nb_status (*run)(nb_deadline by);
    enum does does;
    bool needs_few; /* a few bytes of any kind are enough for it */
} operations[] = {{"nb_recv", wait_recv, RECEIVES, true},
                  {"nb_recv_exact", wait_exact, RECEIVES, false},
                  {"nb_recv_until", wait_until, RECEIVES, false},
                  {"nb_recv_line", wait_line, RECEIVES, false},
                  {"nb_recv_to_end", wait_to_end, RECEIVES, false},
                  {"nb_recv_frame", wait_frame, RECEIVES, true},
                  {"nb_wait_readable", wait_readable, LOOKS, true},
                  {"nb_close", wait_close, CLOSES, false},
                  {"nb_send_all", wait_send, SENDS, false},
                  {"nb_send_slices", wait_send_v, SENDS, false},
                  {"nb_send_frame", wait_send_frame, SENDS, false}};

enum { CLOSE = 7 };

/* ---- fixtures ---- */

static bool on_unix;

/* A fresh world with one connection. */
static void meet(const struct kernel_peer *peer)
{
    kernel_begin();
    assert_status(nb_conn_adopt(&conn, kernel_connection(peer, on_unix), NULL), NB_OK);
    wanted = peer->stream != NULL ? 10 : sizeof(buf);
    got = 0;
    forget_calls();
}

static void part(const struct operation *call)
{
    nb_abort(conn);
    conn = NULL;
    kernel_end();
    if (kernel.complaint != NULL || kernel_open() > 0 || kernel.wall_reads > 0 || kernel.misarmed)
        fail_msg("%s: %s, %zu open, %zu looks at the wall clock%s", call->name,
                 kernel.complaint != NULL ? kernel.complaint : "no complaint", kernel_open(),
                 kernel.wall_reads, kernel.misarmed ? ", misarmed" : "");
}

static int begin(void **state)
{
    on_unix = *(const bool *)*state;
    return case_begin(state);
}

static int end(void **state)
{
    if (kernel.now != 0)
        part(&operations[0]);
    return case_end(state);
}

static int make_memory(void **state)
{
    (void)state;
    large = calloc(1, LARGE);
    return large == NULL;
}

static int free_memory(void **state)
{
    (void)state;
    free(large);
    return 0;
}

/* Lets a call run into its deadline: it ends with NB_TIMEOUT, not before, and not later than so. */
static void assert_ends_on_time(const struct operation *call, nb_deadline by, int64_t late_ns)
{
    nb_status status;
    int64_t late;

    kernel.by = by;
    status = call->run(by);
    late = kernel.now - by.ns;
    if (status != NB_TIMEOUT || late < 0 || late > late_ns)
        fail_msg("%s: %s, %lld us late", call->name, nb_status_name(status),
                 (long long)late / 1000);
}

/* Lets each call run into a deadline so long from now, in a world of its own: few timers are set. A peer
   who gives a few bytes is none for those that are content with them. */
static void each_ends_after(int64_t ns, const struct kernel_peer *peer, int64_t late_permille,
                            int64_t signal_every_ns)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        if (operations[i].needs_few && peer != &silent)
            continue;
        meet(peer);
        kernel.late_permille = late_permille;
        kernel.signal_every_ns = signal_every_ns;
        assert_ends_on_time(&operations[i], KERNEL_IN(ns), 0);
        if (calls(ON_SETSOCKOPT) > 12)
            fail_msg("%s: %d timers", operations[i].name, calls(ON_SETSOCKOPT));
        part(&operations[i]);
    }
}

/* In the world that a case has begun: the call ends so, and then. */
static void assert_ends(const struct operation *call, nb_deadline by, nb_status expected,
                        int64_t takes_ns)
{
    nb_status status = call->run(by);

    if (status != expected || kernel.now - KERNEL_START != takes_ns)
        fail_msg("%s: %s", call->name, nb_status_name(status));
    part(call);
}

/* ---- deadlines of every size ---- */

/* From now: the past, this moment, and so on. */
static const int64_t past_ns[] = {-KERNEL_START - 1, -KERNEL_START, -1, 0};
static const int64_t future_ns[] = {1, 50 * KERNEL_MS, 20000 * KERNEL_MS, 86400000 * KERNEL_MS};

static void passed_deadline_ends_at_once(const struct operation *call, nb_deadline by)
{
    meet(call->does == LOOKS || call->does == CLOSES ? &silent : &ready);
    assert_status(call->run(by), NB_TIMEOUT);
    assert_true(kernel.now == KERNEL_START);
    /* A close drops what is there, which takes one look. */
    assert_int_equal(kernel.receives + kernel.sends, call->does == CLOSES ? 1 : 0);
    if (call->does == RECEIVES) { /* nothing was consumed */
        assert_int_equal(got, 0);
        assert_status(nb_recv_exact(conn, buf, 10, &got, nb_forever()), NB_OK);
        assert_memory_equal(buf, line_or_frame, 10);
    }
    if (call->does ==
        SENDS) /* and it stays: nothing was sent, but the next byte would be the wrong one */
        assert_status(nb_send_all(conn, "x", 1, NULL, nb_forever()), NB_TIMEOUT);
    part(call);
}

/* ---- the kinds of cases ---- */

static const bool tcp = false;
static const bool local = true;

#define ROW(name, over) CASE_WITH(name, over, begin, end)
#define BOTH(name) ROW(name, tcp), ROW(name, local)
#define TCP(name) ROW(name, tcp)
#define UNIX(name) ROW(name, local)

#define TEST(name) TEST_AS(name, BOTH)

TEST(deadline_that_has_passed_ends_at_once_and_consumes_nothing)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        for (size_t k = 0; k < COUNT(past_ns); k++)
            passed_deadline_ends_at_once(&operations[i], (nb_deadline){KERNEL_START + past_ns[k]});
        passed_deadline_ends_at_once(&operations[i], (nb_deadline){INT64_MIN});
        passed_deadline_ends_at_once(&operations[i], nb_after_ms(0));
        passed_deadline_ends_at_once(&operations[i], nb_after_ms(INT64_MIN));
    }
}

TEST(wait_with_a_passed_deadline_polls_once)
{
    for (size_t k = 0; k < COUNT(past_ns); k++) {
        meet(&ready);
        assert_status(nb_wait_readable(conn, KERNEL_IN(past_ns[k])), NB_OK);
        assert_int_equal(kernel.polls, 1);
        part(&operations[0]);
    }
}

TEST(close_with_a_passed_deadline_ends_the_stream_without_waiting)
{
    for (size_t k = 0; k < COUNT(past_ns); k++) {
        int fd;

        meet(&silent);
        fd = nb_conn_fd(conn);
        assert_status(wait_close(KERNEL_IN(past_ns[k])), NB_TIMEOUT);
        assert_int_equal(kernel_fate(fd), KERNEL_ENDED);
        assert_int_equal(kernel.polls, 0);
        assert_int_equal(kernel.receives, 1);
        part(&operations[0]);
    }
}

TEST(future_deadline_is_kept_to_the_nanosecond)
{
    static const int64_t late[] = {0, 300, 1000};

    for (size_t k = 0; k < COUNT(future_ns); k++) {
        for (size_t l = 0; l < COUNT(late); l++)
            each_ends_after(future_ns[k], &silent, late[l], 0);
    }
}

TEST(one_nanosecond_is_enough_for_bytes_that_are_ready)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        meet(&ready);
        assert_ends(&operations[i], KERNEL_IN(1), NB_OK, 0);
    }
}

TEST(largest_deadline_is_not_an_expired_one)
{
    static const int64_t ends[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - KERNEL_MS};
    static const struct kernel_step late[] = {{INT64_MAX / 4, 10, 0}, {0, 0, 0}};
    static const struct kernel_step room[] = {{INT64_MAX / 4, 2 * LARGE, 0}};
    static const struct kernel_peer patient = {late, 2, line_or_frame, 0, room, 1, 0};

    for (size_t i = 0; i < COUNT(operations); i++) {
        for (size_t k = 0; k < COUNT(ends); k++) {
            if (operations[i].does == CLOSES && ends[k] == INT64_MAX)
                continue; /* it gives up before */
            meet(&patient);
            kernel.late_permille = 1000;
            assert_ends(&operations[i], (nb_deadline){ends[k]}, NB_OK, INT64_MAX / 4);
        }
    }
}

/* ---- what must not matter ---- */

static void set_wall_clock(void *ahead_ns)
{
    kernel.wall_ahead_ns = *(const int64_t *)ahead_ns;
}

TEST(setting_the_wall_clock_moves_no_deadline)
{
    static const int64_t ahead[] = {INT64_MAX / 4, -KERNEL_START, 86400000 * KERNEL_MS};

    for (size_t i = 0; i < COUNT(operations); i++) {
        meet(&silent);
        for (size_t k = 0; k < COUNT(ahead); k++)
            kernel_at(kernel.now + (int64_t)(k + 1) * 1000 * KERNEL_MS, set_wall_clock,
                      (void *)&ahead[k]);
        assert_ends(&operations[i], KERNEL_IN(20000 * KERNEL_MS), NB_TIMEOUT, 20000 * KERNEL_MS);
    }
}

TEST(byte_each_100_ms_extends_no_deadline)
{
    for (int64_t late = 0; late <= 1000; late += 1000) {
        each_ends_after(777 * KERNEL_MS, drip(100 * KERNEL_MS, 18000), late, 0);
        each_ends_after(99000 * KERNEL_MS, drip(100 * KERNEL_MS, 18000), late, 0);
    }
}

TEST(signal_each_300_ms_extends_no_deadline)
{
    each_ends_after(1000 * KERNEL_MS, &silent, 1000, 300 * KERNEL_MS);
}

TEST(signal_each_300_ms_and_a_byte_each_100_ms_extend_no_deadline)
{
    each_ends_after(20000 * KERNEL_MS, drip(100 * KERNEL_MS, 18000), 0, 30 * KERNEL_MS);
}

TEST(send_to_a_peer_that_never_reads_ends_at_its_deadline)
{
    static const struct kernel_step some[] = {{0, 100000, 0}};
    static const struct kernel_peer lazy = {never, 1, NULL, 0, some, 1, 0};

    for (size_t i = 0; i < COUNT(operations); i++) {
        if (operations[i].does != SENDS)
            continue;
        meet(&lazy);
        kernel.late_permille = 1000;
        assert_ends_on_time(&operations[i], KERNEL_IN(20000 * KERNEL_MS), 0);
        assert_int_equal(got, 100000);
        assert_int_equal(kernel_sent(nb_conn_fd(conn)), 100000);
        part(&operations[i]);
    }
}

/* A Unix socket's timer starts anew with every piece: 18.8 s were measured for one of 256 ms. */
TEST(peer_that_reads_slowly_extends_no_send)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        if (operations[i].does != SENDS)
            continue;
        meet(drip(100 * KERNEL_MS, 18000));
        kernel.late_permille = 1000;
        assert_ends_on_time(&operations[i], KERNEL_IN(256 * KERNEL_MS), 0);
        assert_int_equal(got, 2);
        part(&operations[i]);
    }
}

TEST(call_of_20_seconds_is_never_10_ms_late)
{
    static const int64_t late[] = {0, 1, 500, 999, 1000};

    for (size_t i = 0; i < COUNT(operations); i++) {
        for (size_t k = 0; k < COUNT(late); k++) {
            meet(k % 2 == 0 || operations[i].needs_few ? &silent : drip(100 * KERNEL_MS, 18000));
            kernel.late_permille = late[k];
            kernel.poll_late_ns = 4 * KERNEL_MS; /* one tick of a slow machine */
            assert_ends_on_time(&operations[i], KERNEL_IN(20000 * KERNEL_MS), 10 * KERNEL_MS - 1);
            part(&operations[i]);
        }
    }
}

TEST(deadlines_are_kept_on_a_system_without_socket_timers)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        meet(operations[i].needs_few ? &silent : drip(100 * KERNEL_MS, 18000));
        kernel.no_timers = true;
        assert_ends(&operations[i], KERNEL_IN(20000 * KERNEL_MS), NB_TIMEOUT, 20000 * KERNEL_MS);
    }
}

TEST(spuriously_ready_socket_extends_no_deadline)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        if (operations[i].does == LOOKS)
            continue; /* it says what poll(2) says */
        for (size_t k = 0; k < COUNT(future_ns) - 1; k++) {
            meet(k % 2 == 0 || operations[i].needs_few ? &silent : drip(100 * KERNEL_MS, 18000));
            kernel.idle_poll_ns = KERNEL_MS;
            assert_ends(&operations[i], KERNEL_IN(future_ns[k] / 10 + 1), NB_TIMEOUT,
                        future_ns[k] / 10 + 1);
        }
    }
}

/* ---- cancellation ---- */

static void cancel(void *argument)
{
    (void)argument;
    nb_cancel(conn);
}

TEST(cancel_ends_every_wait_at_once)
{
    static const int64_t times[] = {0, 1, 31 * KERNEL_MS, 19000 * KERNEL_MS};

    for (size_t i = 0; i < COUNT(operations); i++) {
        for (size_t k = 0; k < COUNT(times) && operations[i].does != CLOSES; k++) {
            meet(&silent);
            kernel_at(kernel.now + times[k], cancel, NULL);
            assert_ends(&operations[i], k % 2 == 0 ? nb_forever() : KERNEL_IN(20000 * KERNEL_MS),
                        NB_CANCELLED, times[k]);
        }
    }
}

/* ---- how timers are used ---- */

static const int64_t spans_ms[] = {32,   33,    34,    35,    36,     44,      45,      50,
                                   80,   81,    100,   152,   153,    500,     1000,    5000,
                                   9999, 18440, 20000, 60000, 600000, 3600000, 86400000};

/* The largest power of two that keeps the distance. */
static int64_t best_timer(int64_t left_ms)
{
    int64_t ms = 1;

    while (ms * 2 + ms * 2 / 8 + 8 <= left_ms)
        ms *= 2;
    return ms;
}

/* A deadline so many milliseconds from now, and a little more: what timers must keep a distance from. */
static nb_deadline within(int64_t ms)
{
    kernel.by = KERNEL_IN(ms * KERNEL_MS + 123457);
    return kernel.by;
}

static void assert_times_out(nb_status (*run)(nb_deadline), int64_t ms)
{
    const struct operation call = {"the call", run, RECEIVES, false};

    assert_ends_on_time(&call, within(ms), 0);
}

TEST(every_deadline_is_kept_to_the_nanosecond)
{
    for (size_t k = 0; k < COUNT(spans_ms); k++)
        each_ends_after(spans_ms[k] * KERNEL_MS + 123457, &silent, spans_ms[k] % 2 == 0 ? 1000 : 0,
                        0);
}

/* Lets one call of a direction run into a deadline, with timers that are as late as they can be or
   not late at all: one timer is set, then the rest of the time is one poll. */
static void uses_timer_then_poll(nb_status (*run)(nb_deadline), nb_direction direction, int64_t ms,
                                 bool late)
{
    nb_deadline by;

    meet(&silent);
    kernel.late_permille = late ? 1000 : 0;
    by = within(ms);
    assert_status(run(by), NB_TIMEOUT);
    assert_int_equal(calls(ON_SETSOCKOPT), 1);
    assert_true(kernel.armed_ms[direction] <= best_timer(ms));
    assert_true(ms > 2000000 || kernel.armed_ms[direction] == best_timer(ms));
    assert_true(calls(ON_POLL) <= 1); /* the latest timer may fire at the very deadline */
    assert_true(calls(ON_POLL) == 0 || kernel.last_poll.ns == by.ns);
    assert_true(calls(ON_RECV) + calls(ON_SEND) <= 2);
    part(&operations[0]);
}

CALL_BY(wait_send_byte, nb_send_all(conn, "x", 1, NULL, by))

TEST(receive_is_one_timer_and_one_poll_at_most)
{
    for (size_t i = 0; i < COUNT(spans_ms); i++) {
        uses_timer_then_poll(wait_recv, NB_RECEIVE, spans_ms[i], false);
        uses_timer_then_poll(wait_recv, NB_RECEIVE, spans_ms[i], true);
    }
}

TEST_AS(tcp_send_is_one_timer_and_one_poll_at_most, TCP)
{
    for (size_t i = 0; i < COUNT(spans_ms); i++) {
        uses_timer_then_poll(wait_send_byte, NB_SEND, spans_ms[i], false);
        uses_timer_then_poll(wait_send_byte, NB_SEND, spans_ms[i], true);
    }
}

TEST_AS(wait_of_20_s_is_a_timer_of_16384_ms_and_a_poll, TCP)
{
    uses_timer_then_poll(wait_recv, NB_RECEIVE, 20000, true);
    assert_int_equal(kernel.armed_ms[NB_RECEIVE], 16384);
    uses_timer_then_poll(wait_send_byte, NB_SEND, 20000, true);
    assert_int_equal(kernel.armed_ms[NB_SEND], 16384);
}

TEST_AS(unix_send_with_a_deadline_never_waits_in_the_kernels_send, UNIX)
{
    for (size_t i = 0; i < COUNT(spans_ms); i++) {
        meet(&silent);
        assert_times_out(wait_send, spans_ms[i]);
        assert_false(kernel.blocked);
        assert_int_equal(calls(ON_SETSOCKOPT), 0);
        part(&operations[0]);
    }
}

TEST(short_deadline_is_one_poll_without_a_timer)
{
    meet(&silent);
    assert_times_out(wait_recv, 33); /* a timer is set now, and not to be used */
    kernel.blocked = false;
    for (int64_t ms = 1; ms < 32; ms++) {
        forget_calls();
        assert_times_out(wait_recv, ms);
        assert_int_equal(calls(ON_POLL), 1);
        assert_int_equal(calls(ON_SETSOCKOPT), 0);
        assert_true(calls(ON_RECV) <= 1);
    }
    assert_false(kernel.blocked);
}

/* Receives so many times, each with a deadline of its own. */
static void receive_often(int times, int64_t ms, int64_t other_ms)
{
    for (int i = 0; i < times; i++)
        assert_status(wait_recv(within(i % 2 != 0 ? ms : other_ms)), NB_OK);
}

TEST_AS(new_deadlines_of_the_same_length_set_the_timer_once, TCP)
{
    meet(drip(KERNEL_MS, 1000));
    receive_often(1000, 20000, 20000);
    assert_int_equal(calls(ON_SETSOCKOPT), 1);
    assert_int_equal(calls(ON_RECV), 1000);
    assert_int_equal(calls(ON_POLL), 0);
}

TEST_AS(timeout_in_the_steady_state_is_one_recv_and_one_poll, TCP)
{
    meet(drip(KERNEL_MS, 3));
    receive_often(3, 20000, 20000);
    forget_calls();
    assert_times_out(wait_recv, 20000);
    assert_int_equal(calls(ON_RECV), 1);
    assert_int_equal(calls(ON_POLL), 1);
    assert_int_equal(calls(ON_SETSOCKOPT), 0);
}

TEST_AS(deadlines_around_a_power_of_two_do_not_set_the_timer_each_time, TCP)
{
    meet(drip(KERNEL_MS, 2000));
    receive_often(1000, 18441, 18439);
    assert_true(calls(ON_SETSOCKOPT) <= 2);
    assert_int_equal(calls(ON_RECV), 1000);
    forget_calls();
    receive_often(1000, 20000, 10000);
    assert_true(calls(ON_SETSOCKOPT) <= 2);
}

TEST_AS(timer_shrinks_for_a_shorter_deadline, TCP)
{
    meet(drip(KERNEL_MS, 3));
    receive_often(3, 20000, 20000);
    assert_times_out(wait_recv, 100);
    assert_int_equal(calls(ON_SETSOCKOPT), 2);
}

TEST_AS(timer_grows_for_a_much_longer_deadline, TCP)
{
    meet(drip(KERNEL_MS, 3));
    receive_often(3, 100, 100);
    forget_calls();
    kernel.late_permille = 1000;
    assert_times_out(wait_recv, 3600000);
    assert_int_equal(calls(ON_SETSOCKOPT), 1);
    assert_true(kernel.armed_ms[NB_RECEIVE] > 1000000);
}

TEST_AS(one_deadline_for_many_receives_sets_the_timer_a_few_times, TCP)
{
    nb_deadline by;
    nb_status status;

    meet(drip(10 * KERNEL_MS, 3000));
    by = within(20000);
    do
        status = wait_recv(by);
    while (status == NB_OK);
    assert_status(status, NB_TIMEOUT);
    assert_true(kernel.now == by.ns);
    assert_true(calls(ON_SETSOCKOPT) <= 12);
}

TEST(wait_without_a_deadline_outlives_an_earlier_deadline)
{
    meet(drip(100000000 * KERNEL_MS, 1));
    assert_times_out(wait_recv, 100);
    forget_calls();
    kernel.by.ns = 0;
    assert_status(wait_recv(nb_forever()), NB_OK);
    assert_int_equal(calls(ON_RECV), 1);
    assert_int_equal(calls(ON_POLL), 0);
    assert_true(calls(ON_SETSOCKOPT) <= 1);
}

TEST(send_without_a_deadline_outlives_an_earlier_deadline)
{
    static const struct kernel_step room[] = {{10 * KERNEL_MS, 1, 0},
                                              {100000000 * KERNEL_MS, 1, 0},
                                              {100000000 * KERNEL_MS, 1, 0},
                                              {100000000 * KERNEL_MS, 1, 0}};
    static const struct kernel_peer slow = {NULL, 0, NULL, 0, room, COUNT(room), 0};

    meet(&slow);
    assert_status(wait_send_byte(within(100)), NB_OK);
    kernel.by.ns = 0;
    for (int i = 0; i < 3; i++) {
        forget_calls();
        assert_status(wait_send_byte(nb_forever()), NB_OK);
        assert_int_equal(calls(ON_POLL), 0);
        assert_true(calls(ON_SEND) + calls(ON_SETSOCKOPT) <= (i == 0 ? 3 : 1));
    }
}

TEST_AS(sends_that_wait_set_the_timer_once, TCP)
{
    meet(drip(KERNEL_MS, 1000));
    for (int i = 0; i < 1000; i++)
        assert_status(wait_send_byte(within(20000)), NB_OK);
    assert_int_equal(calls(ON_SETSOCKOPT), 1);
    assert_int_equal(calls(ON_POLL), 0);
    assert_true(calls(ON_SEND) <= 1001);
}

TEST(sends_that_need_not_wait_are_one_call_each)
{
    meet(&ready);
    for (int i = 0; i < 1000; i++)
        assert_status(wait_send_byte(within(i % 3 != 0 ? 20000 : 500)), NB_OK);
    assert_true(calls(ON_SEND) + calls(ON_SETSOCKOPT) <= 1001);
    assert_int_equal(calls(ON_POLL), 0);
}

TEST(timer_that_fires_early_does_not_end_a_wait)
{
    meet(drip(19999 * KERNEL_MS, 1));
    assert_status(wait_recv(within(20000)), NB_OK);
    assert_int_equal(got, 1);
}

TEST(signals_extend_no_deadline_on_the_virtual_clock)
{
    each_ends_after(20000 * KERNEL_MS, &silent, 0, 3 * KERNEL_MS);
}

TEST(slow_bytes_extend_no_deadline_on_the_virtual_clock)
{
    each_ends_after(20000 * KERNEL_MS, drip(7 * KERNEL_MS, 3000), 0, 0);
}

TEST(deadlines_are_kept_when_the_timer_cannot_be_set)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        meet(&silent);
        kernel.no_timers = true;
        assert_ends_on_time(&operations[i], within(20000), 0);
        assert_true(calls(ON_SETSOCKOPT) <= 12);
        part(&operations[i]);
    }
}

TEST(largest_deadlines_do_not_overflow)
{
    static const int64_t ends[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - 1000 * KERNEL_MS,
                                   INT64_MAX / 2};
    static const struct kernel_step late[] = {{1000000000 * KERNEL_MS, 2, 0}};
    static const struct kernel_step room[] = {{2000000000 * KERNEL_MS, 1, 0}};
    static const struct kernel_peer slow = {late, 1, NULL, 1, room, 1, 0};

    for (size_t i = 0; i < COUNT(ends); i++) {
        meet(&slow);
        kernel.late_permille = 1000;
        assert_status(wait_recv((nb_deadline){ends[i]}), NB_OK);
        assert_status(wait_readable((nb_deadline){ends[i]}), NB_OK);
        assert_status(wait_send_byte((nb_deadline){ends[i]}), NB_OK);
        part(&operations[0]);
    }
}

TEST(send_with_a_deadline_uses_small_system_calls)
{
    meet(&ready);
    assert_status(wait_send(within(20000)), NB_OK);
    assert_true(kernel.longest_send <= (size_t)4 << 20);
    assert_true(kernel.longest_send >= (size_t)1 << 20);
}

TEST(send_without_a_deadline_passes_everything_in_one_system_call)
{
    meet(&ready);
    assert_status(wait_send(nb_forever()), NB_OK);
    assert_int_equal(kernel.longest_send, LARGE);
    assert_int_equal(calls(ON_SEND), 1);
}

static const struct kernel_step all_is_there[] = {{0, KERNEL_ALL, 0}};
static const struct kernel_peer bytewise = {all_is_there, 1, NULL, 1, NULL, 0, 0};

TEST(deadline_is_checked_before_each_system_call)
{
    nb_deadline by;

    meet(&bytewise);
    by = within(10);
    assert_status(wait_recv(by), NB_OK);
    kernel.now = by.ns - 1;
    assert_status(wait_recv(by), NB_OK);
    kernel.now = by.ns;
    forget_calls();
    assert_status(wait_recv(by), NB_TIMEOUT);
    assert_int_equal(calls(ON_RECV), 0);
    assert_status(wait_send_byte(by), NB_TIMEOUT);
    assert_int_equal(calls(ON_SEND), 0);
}

TEST(close_without_a_deadline_gives_up_after_60_idle_seconds)
{
    meet(&silent);
    assert_status(wait_close(nb_forever()), NB_TIMEOUT);
    assert_true(kernel.now - KERNEL_START == 60000 * KERNEL_MS);
}

TEST(close_without_a_deadline_keeps_waiting_while_bytes_arrive)
{
    meet(drip(59000 * KERNEL_MS, 70000));
    assert_status(wait_close(nb_forever()), NB_TOO_LONG);
    assert_true(kernel.now - KERNEL_START > INT64_C(65000) * 59000 * KERNEL_MS);
}

TEST(close_with_a_deadline_may_wait_longer_than_60_seconds)
{
    meet(&silent);
    assert_times_out(wait_close, 3600000);
}

static ssize_t recv_for_a_ms(int fd, void *buffer, size_t length, int flags)
{
    kernel.now += KERNEL_MS;
    return usual.recv(fd, buffer, length, flags);
}

TEST(close_ends_in_time_however_fast_bytes_arrive)
{
    meet(&bytewise);
    sys.recv = recv_for_a_ms;
    assert_ends_on_time(&operations[CLOSE], within(100), 20 * KERNEL_MS);
}

/* Also at a deadline, and after it. */
static int poll_that_is_always_ready(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    int done = usual.poll(fds, count, by);

    fds[0].revents = fds[0].events;
    return done == 0 ? 1 : done;
}

TEST(close_ends_in_time_despite_spurious_wakeups)
{
    meet(&silent);
    kernel.idle_poll_ns = KERNEL_MS;
    sys.poll = poll_that_is_always_ready;
    assert_ends_on_time(&operations[CLOSE], within(100), KERNEL_MS);
}

TEST(close_without_a_deadline_gives_up_despite_spurious_wakeups)
{
    meet(&silent);
    kernel.idle_poll_ns = 100 * KERNEL_MS;
    sys.poll = poll_that_is_always_ready;
    assert_status(wait_close(nb_forever()), NB_TIMEOUT);
    assert_true(kernel.now - KERNEL_START == 60000 * KERNEL_MS);
}

TEST_GROUP(make_memory, free_memory)
