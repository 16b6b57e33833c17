/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of deadlines: never early, hardly late, and never extended by progress, signals or
 *         the coarseness of the kernel's timers. */
#include "conn_case.h"

#define NS_PER_MS INT64_C(1000000)
#define LARGE ((size_t)64 << 20)

static char buf[4096];
static size_t got;
static char *large; /* bytes of no meaning, never touched */

static int make_large(void **state)
{
    (void)state;
    large = calloc(1, LARGE);
    return large == NULL;
}

static int free_large(void **state)
{
    (void)state;
    free(large);
    return 0;
}

/* ---- all calls that wait ---- */

CALL_BY(wait_recv, nb_recv(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_exact, nb_recv_exact(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_until, nb_recv_until(conn, buf, sizeof(buf), "\n", 1, &got, by))
CALL_BY(wait_line, nb_recv_line(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_to_end, nb_recv_to_end(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_readable, nb_wait_readable(conn, by))
CALL_BY(wait_send, nb_send_all(conn, large, LARGE, &got, by))

static nb_status wait_send_v(nb_deadline by)
{
    nb_slice slices[] = {{large, LARGE / 2}, {large, LARGE / 2}};

    return nb_send_slices(conn, slices, 2, &got, by);
}

static nb_status wait_close(nb_deadline by)
{
    nb_conn *closing = conn;

    conn = NULL;
    return nb_close(closing, by);
}

static const struct operation {
    const char *name;
    nb_status (*run)(nb_deadline by);
    bool receives; /* and reads more than once */
} operations[] = {{"nb_recv", wait_recv, false},         {"nb_recv_exact", wait_exact, true},
                  {"nb_recv_until", wait_until, true},   {"nb_recv_line", wait_line, true},
                  {"nb_recv_to_end", wait_to_end, true}, {"nb_wait_readable", wait_readable, false},
                  {"nb_close", wait_close, true},        {"nb_send_all", wait_send, false},
                  {"nb_send_slices", wait_send_v, false}};

enum { SEND_ALL = 7, SEND_ALL_V = 8 };

/* ---- in the real world ---- */

/* What goes on around a call; each may be NULL. */
struct surroundings {
    void (*begin)(void);
    void (*end)(void);
};

/* Lets a call run into its deadline: how late it was. */
static int64_t lateness(const struct operation *call, int64_t ms, const struct surroundings *around)
{
    nb_deadline by;
    nb_status status;
    int64_t late;

    if (around->begin != NULL)
        around->begin();
    by = nb_after_ms(ms);
    status = call->run(by);
    late = now_ns() - by.ns;
    if (around->end != NULL)
        around->end();
    if (status != NB_TIMEOUT || late < 0)
        fail_msg("%s: %s, %lld ns late", call->name, nb_status_name(status), (long long)late);
    return late;
}

/* A busy machine makes some tries late, a wrong timer makes all of them late. */
static void is_on_time(const struct operation *call, int64_t ms, const struct surroundings *around)
{
    int64_t best = INT64_MAX;

    for (int i = 0; i < 20 && best >= 10 * NS_PER_MS; i++) {
        int64_t late = lateness(call, ms, around);

        best = late < best ? late : best;
        start_over();
    }
    if (best >= 10 * NS_PER_MS)
        fail_msg("%s, %d ms: %lld us late", call->name, (int)ms, (long long)best / 1000);
}

static const struct surroundings quiet = {NULL, NULL};

#define TEST(name) TEST_AS(name, BOTH)

TEST(recv_is_on_time)
{
    static const int64_t times[] = {1, 5, 31, 32, 33, 34, 35, 44, 100, 150, 500};

    for (size_t i = 0; i < COUNT(times); i++)
        is_on_time(&operations[0], times[i], &quiet);
}

TEST(every_call_is_on_time)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        is_on_time(&operations[i], 5, &quiet);
        is_on_time(&operations[i], 70, &quiet);
    }
}

/* What the peer does meanwhile. */
static struct task busy_peer;
static atomic_bool busy;

static void trickle(void *argument)
{
    (void)argument;
    while (atomic_load(&busy)) {
        (void)send(peer, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)nanosleep(&(struct timespec){0, 3 * NS_PER_MS}, NULL);
    }
}

static void begin_trickle(void)
{
    atomic_store(&busy, true);
    task_start(&busy_peer, trickle, NULL);
}

static void read_a_little(void *argument)
{
    static char little[4096];

    (void)argument;
    while (atomic_load(&busy)) {
        (void)recv(peer, little, sizeof(little), MSG_DONTWAIT);
        (void)nanosleep(&(struct timespec){0, 2 * NS_PER_MS}, NULL);
    }
}

static void begin_to_read_slowly(void)
{
    raw_shrink(nb_conn_fd(conn));
    raw_shrink(peer);
    atomic_store(&busy, true);
    task_start(&busy_peer, read_a_little, NULL);
}

static void end_busy_peer(void)
{
    atomic_store(&busy, false);
    task_join(&busy_peer);
}

TEST(peer_that_sends_byte_by_byte_extends_no_deadline)
{
    static const struct surroundings trickling = {begin_trickle, end_busy_peer};

    for (size_t i = 0; i < COUNT(operations); i++) {
        if (operations[i].receives)
            is_on_time(&operations[i], 100, &trickling);
    }
}

TEST(peer_that_never_reads_extends_no_deadline)
{
    is_on_time(&operations[SEND_ALL], 300, &quiet);
    is_on_time(&operations[SEND_ALL_V], 300, &quiet);
    assert_true(got < LARGE);
}

TEST(peer_that_reads_slowly_extends_no_deadline)
{
    static const struct surroundings reading = {begin_to_read_slowly, end_busy_peer};

    is_on_time(&operations[SEND_ALL], 300, &reading);
    assert_true(got > 0 && got < LARGE);
}

static int signals_handled;

static void begin_signals_that_interrupt(void)
{
    storm_begin(0);
}

static void begin_signals_that_restart(void)
{
    storm_begin(SA_RESTART);
}

static void end_signals(void)
{
    signals_handled += storm_end();
}

static void each_is_on_time_among_signals(void (*begin_signals)(void))
{
    const struct surroundings signals = {begin_signals, end_signals};

    signals_handled = 0;
    for (size_t i = 0; i < COUNT(operations); i++)
        is_on_time(&operations[i], 60, &signals);
    assert_true(signals_handled >= (int)COUNT(operations)); /* a busy machine merges most of them */
}

TEST(signals_that_interrupt_extend_no_deadline)
{
    each_is_on_time_among_signals(begin_signals_that_interrupt);
}

TEST(signals_that_restart_extend_no_deadline)
{
    each_is_on_time_among_signals(begin_signals_that_restart);
}

TEST(signals_do_not_end_a_wait)
{
    static const int flags[] = {0, SA_RESTART};

    for (size_t i = 0; i < COUNT(flags); i++) {
        begin_trickle();
        storm_begin(flags[i]);
        errno = 1234;
        assert_status(nb_recv_exact(conn, buf, 10, &got, nb_forever()), NB_OK);
        assert_status(nb_recv_exact(conn, buf, 10, &got, plenty()), NB_OK);
        assert_status(nb_wait_readable(conn, plenty()), NB_OK);
        assert_int_equal(errno, 1234);
        assert_true(storm_end() >= 1);
        end_busy_peer();
    }
}

TEST_GROUP(make_large, free_large)
