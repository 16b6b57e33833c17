/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the race of two addresses (RFC 8305) on the scripted kernel: the exact moments at
 *         which attempts begin, win and are given up. */
#include "kernel.h"
#include "support.h"

#define MS KERNEL_MS

static const struct kernel_peer peer = {NULL, 0, NULL, 0, NULL, 0, 0};

/* What becomes of a connect to localhost, which is two addresses. */
struct race {
    const char *name;
    struct kernel_attempt attempts[2];
    int64_t deadline_ns; /* from now; 0: none */
    nb_status status;
    int64_t takes_ns;
    size_t connects;
    int64_t second_ns; /* when the second attempt begins */
};

#define ANSWERS(ns)                                                                                \
    {                                                                                              \
        .after_ns = (ns), .peer = &peer                                                            \
    }
#define FAILS(ns, number)                                                                          \
    {                                                                                              \
        .after_ns = (ns), .error = (number)                                                        \
    }
#define FAILS_AT_ONCE(number)                                                                      \
    {                                                                                              \
        .error = (number), .at_once = true                                                         \
    }
#define NEVER_ANSWERS                                                                              \
    {                                                                                              \
        .after_ns = KERNEL_NEVER                                                                   \
    }

#define RACE(title, first, second, ...)                                                            \
    {                                                                                              \
        title, {first, second}, __VA_ARGS__                                                        \
    }

static const struct race races[] = {
    RACE("the first answers", ANSWERS(249 * MS), ANSWERS(0), 0, NB_OK, 249 * MS, 1, 0),
    RACE("the first answers late", ANSWERS(300 * MS), ANSWERS(400 * MS), 0, NB_OK, 300 * MS, 2,
         250 * MS),
    RACE("the second overtakes", ANSWERS(300 * MS), ANSWERS(30 * MS), 0, NB_OK, 280 * MS, 2,
         250 * MS),
    RACE("the first is dead", NEVER_ANSWERS, ANSWERS(30 * MS), 20000 * MS, NB_OK, 280 * MS, 2,
         250 * MS),
    RACE("the first fails", FAILS(20 * MS, ECONNREFUSED), ANSWERS(5 * MS), 0, NB_OK, 25 * MS, 2,
         20 * MS),
    RACE("the first fails at once", FAILS_AT_ONCE(ENETUNREACH), ANSWERS(MS), 0, NB_OK, MS, 2, 0),
    RACE("the second fails", ANSWERS(700 * MS), FAILS_AT_ONCE(EHOSTUNREACH), 0, NB_OK, 700 * MS, 2,
         250 * MS),
    RACE("both fail", FAILS(20 * MS, ECONNREFUSED), FAILS(MS, ECONNREFUSED), 0, NB_REFUSED, 21 * MS,
         2, 20 * MS),
    RACE("no way is less than a refusal", FAILS_AT_ONCE(ENETUNREACH), FAILS(MS, ECONNREFUSED), 0,
         NB_REFUSED, MS, 2, 0),
    RACE("the kernel gives up", FAILS(130000 * MS, ETIMEDOUT), FAILS(130000 * MS, ETIMEDOUT), 0,
         NB_UNREACHABLE, 130250 * MS, 2, 250 * MS),
    RACE("both are dead", NEVER_ANSWERS, NEVER_ANSWERS, 20000 * MS, NB_TIMEOUT, 20000 * MS, 2,
         250 * MS),
    RACE("both are dead, and time is short", NEVER_ANSWERS, NEVER_ANSWERS, 100 * MS, NB_TIMEOUT,
         100 * MS, 2, 50 * MS),
    RACE("a nanosecond is time for one", NEVER_ANSWERS, NEVER_ANSWERS, 1, NB_TIMEOUT, 1, 1, 0),
    RACE("an answer at the last moment", ANSWERS(20000 * MS - 1), NEVER_ANSWERS, 20000 * MS, NB_OK,
         20000 * MS - 1, 2, 250 * MS),
    RACE("an answer that is too late", ANSWERS(20000 * MS + 1), NEVER_ANSWERS, 20000 * MS,
         NB_TIMEOUT, 20000 * MS, 2, 250 * MS),
};

static void check_race(const struct race *race, int64_t signal_every_ns)
{
    nb_status status;
    nb_conn *conn;
    nb_error err;

    kernel_begin();
    kernel.attempts = race->attempts;
    kernel.attempt_count = 2;
    kernel.signal_every_ns = signal_every_ns;
    status = nb_connect(&conn, "localhost:80", NULL,
                        race->deadline_ns == 0 ? nb_forever() : KERNEL_IN(race->deadline_ns), &err);
    if (status != race->status || kernel.now - KERNEL_START != race->takes_ns ||
        kernel.connects != race->connects)
        fail_msg("%s: %s after %lld us and %zu attempts", race->name, err.message,
                 (long long)(kernel.now - KERNEL_START) / 1000, kernel.connects);
    if (race->connects == 2 && kernel.connect_times[1] - KERNEL_START != race->second_ns)
        fail_msg("%s: the second begins after %lld us", race->name,
                 (long long)(kernel.connect_times[1] - KERNEL_START) / 1000);
    assert_int_equal(kernel_open(), status == NB_OK ? 1 : 0);
    nb_abort(conn);
    assert_int_equal(kernel_open(), 0);
    assert_null(kernel.complaint);
    assert_int_equal(kernel.wall_reads, 0);
    kernel_end();
}

#define TEST(name) TEST_AS(name, CASE)

TEST(addresses_race_as_rfc_8305_says)
{
    for (size_t i = 0; i < COUNT(races); i++)
        check_race(&races[i], 0);
}

TEST(signals_do_not_change_the_race_of_addresses)
{
    for (size_t i = 0; i < COUNT(races); i++) {
        check_race(&races[i], 300 * MS);
        check_race(&races[i], 7 * MS);
    }
}

TEST(connect_with_a_passed_deadline_makes_no_attempt)
{
    static const int64_t ends[] = {INT64_MIN, -1, 0, 1, KERNEL_START - 1, KERNEL_START};

    for (size_t i = 0; i < COUNT(ends); i++) {
        nb_conn *conn;

        kernel_begin();
        assert_status(nb_connect(&conn, "localhost:80", NULL, (nb_deadline){ends[i]}, NULL),
                      NB_TIMEOUT);
        assert_null(conn);
        assert_int_equal(kernel.connects, 0);
        assert_null(kernel.complaint);
        kernel_end();
    }
}

TEST(largest_deadline_does_not_shorten_the_stagger)
{
    static const int64_t ends[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - MS};
    static const struct kernel_attempt attempts[] = {NEVER_ANSWERS, ANSWERS(INT64_MAX / 4)};

    for (size_t i = 0; i < COUNT(ends); i++) {
        nb_conn *conn;

        kernel_begin();
        kernel.attempts = attempts;
        kernel.attempt_count = COUNT(attempts);
        assert_status(nb_connect(&conn, "localhost:80", NULL, (nb_deadline){ends[i]}, NULL), NB_OK);
        assert_true(kernel.now == KERNEL_START + 250 * MS + INT64_MAX / 4);
        nb_abort(conn);
        assert_null(kernel.complaint);
        kernel_end();
    }
}

TEST(literal_connect_tries_only_its_one_address)
{
    static const struct kernel_attempt dead = NEVER_ANSWERS;
    nb_deadline by;
    nb_conn *conn;

    kernel_begin();
    kernel.attempts = &dead;
    kernel.attempt_count = 1;
    by = KERNEL_IN(20000 * MS);
    assert_status(nb_connect(&conn, "192.0.2.7:80", NULL, by, NULL), NB_TIMEOUT);
    assert_true(kernel.now == by.ns);
    assert_int_equal(kernel.polls, 1);
    assert_int_equal(kernel_open(), 0);
    kernel_end();
}
