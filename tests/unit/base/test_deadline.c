/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of deadlines, on a clock that the tests set. */
#include "base/deadline_internal.h"
#include "support.h"

/* An uptime that is no whole number of anything. */
#define SOME_TIME INT64_C(5000123456789)

static bool clock_is_real;
static int64_t clock_ns;

static int own_libc_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock_is_real)
        return real.libc_clock_gettime(clock, now);
    if (clock != CLOCK_MONOTONIC)
        fail_msg("clock %d is not the monotonic one", (int)clock);
    now->tv_sec = (time_t)(clock_ns / NB__NS_PER_S);
    now->tv_nsec = (long)(clock_ns % NB__NS_PER_S);
    return 0;
}

REPLACE(libc_clock_gettime, own_libc_clock_gettime)

static int set_clock(void **state)
{
    (void)state;
    clock_is_real = false;
    clock_ns = SOME_TIME;
    return 0;
}

/* The last moment that a clock of this system can show. */
static int64_t last_moment(void)
{
    return sizeof(time_t) > 4 ? INT64_MAX : INT32_MAX * NB__NS_PER_S + NB__NS_PER_S - 1;
}

static nb_deadline at(int64_t ns)
{
    return (nb_deadline){ns};
}

#define deadline_test(name) cmocka_unit_test_setup(name, set_clock)

#define TEST(name) TEST_AS(name, deadline_test)

TEST(now_combines_the_seconds_and_nanoseconds_of_the_clock)
{
    assert_result(nb__now_ns(), SOME_TIME);
    clock_ns = 0;
    assert_result(nb__now_ns(), 0);
    clock_ns = last_moment();
    assert_result(nb__now_ns(), last_moment());
}

TEST(real_clock_never_goes_back)
{
    int64_t last = 0;

    clock_is_real = true;
    for (int i = 0; i < 1000; i++) {
        int64_t now = nb__now_ns();

        check_at(now >= last, now);
        last = now;
    }
}

static void check_has_passed(nb_deadline by, int64_t number)
{
    check_at(nb_expired(by), number);
    check_at(nb_remaining_ms(by) == 0, number);
}

TEST(zeroed_deadline_has_passed)
{
    check_has_passed((nb_deadline){0}, 0);
}

TEST(zeroed_deadline_has_passed_even_at_boot)
{
    clock_ns = 0;
    check_has_passed((nb_deadline){0}, 0);
}

TEST(forever_never_passes)
{
    static const int64_t times[] = {0, SOME_TIME, INT64_MAX - 1, INT64_MAX};

    for (size_t i = 0; i < COUNT(times); i++) {
        clock_ns = times[i];
        check_at(!nb_expired(nb_forever()), times[i]);
        check_at(nb_remaining_ms(nb_forever()) == INT64_MAX, times[i]);
    }
}

TEST(only_forever_is_forever)
{
    assert_true(nb__is_forever(nb_forever()));
    assert_false(nb__is_forever(at(INT64_MAX - 1)));
    assert_false(nb__is_forever(nb_after_ms(1)));
    assert_false(nb__is_forever(nb_after_ms(0)));
}

TEST(zero_or_negative_timeout_has_already_passed)
{
    static const int64_t none[] = {0, -1, -1000, INT64_MIN / 2, INT64_MIN + 1, INT64_MIN};

    for (size_t i = 0; i < COUNT(none); i++) {
        clock_ns = SOME_TIME;
        check_has_passed(nb_after_ms(none[i]), none[i]);
        clock_ns = 0;
        check_has_passed(nb_after_ms(none[i]), none[i]);
    }
}

TEST(deadline_is_exactly_the_given_milliseconds_ahead)
{
    static const int64_t ahead[] = {
        1, 2, 999, 1000, 60000, INT64_C(86400000), INT64_C(31536000000)};

    for (size_t i = 0; i < COUNT(ahead); i++) {
        check_at(nb_after_ms(ahead[i]).ns == SOME_TIME + ahead[i] * 1000000, ahead[i]);
        check_at(nb_remaining_ms(nb_after_ms(ahead[i])) == ahead[i], ahead[i]);
        check_at(!nb_expired(nb_after_ms(ahead[i])), ahead[i]);
    }
}

TEST(largest_timeout_that_the_clock_can_hold_is_exact)
{
    int64_t most = (INT64_MAX - SOME_TIME) / 1000000;

    assert_result(nb_after_ms(most).ns, SOME_TIME + most * 1000000);
    assert_result(nb_after_ms(most - 1).ns, SOME_TIME + (most - 1) * 1000000);
    assert_result(nb_remaining_ms(nb_after_ms(most)), most);
    assert_false(nb_expired(nb_after_ms(most)));
}

TEST(timeout_too_large_for_the_clock_is_forever)
{
    const int64_t most = (INT64_MAX - SOME_TIME) / 1000000;
    const int64_t large[] = {most + 1,
                             INT64_MAX / 1000000,
                             INT64_MAX / 1000000 + 1,
                             INT64_MAX / 1000,
                             INT64_MAX / 2,
                             INT64_MAX - SOME_TIME,
                             INT64_MAX - 1,
                             INT64_MAX,
                             INT64_MAX / 1000000 * 2,
                             INT64_C(1) << 62,
                             INT64_C(18446744073710),
                             INT64_C(18446744073709)};

    for (size_t i = 0; i < COUNT(large); i++) {
        check_at(nb__is_forever(nb_after_ms(large[i])), large[i]);
        check_at(nb_remaining_ms(nb_after_ms(large[i])) == INT64_MAX, large[i]);
    }
}

TEST(largest_timeout_at_boot_is_exact)
{
    clock_ns = 0;
    assert_result(nb_after_ms(INT64_MAX / 1000000).ns, INT64_MAX / 1000000 * 1000000);
    assert_true(nb__is_forever(nb_after_ms(INT64_MAX / 1000000 + 1)));
}

TEST(any_timeout_at_the_end_of_the_clock_is_forever)
{
    if (sizeof(time_t) <= 4)
        skip_because("a time_t of 32 bits cannot show it");
    clock_ns = INT64_MAX - 999999;
    assert_true(nb__is_forever(nb_after_ms(1)));
    clock_ns = INT64_MAX;
    assert_true(nb__is_forever(nb_after_ms(1)));
    assert_true(nb__is_forever(nb_after_ms(INT64_MAX)));
}

TEST(longer_timeout_never_gives_an_earlier_deadline)
{
    const int64_t most = (INT64_MAX - SOME_TIME) / 1000000;
    const int64_t rising[] = {INT64_MIN,        -1,       0,    1,        2,        1000,
                              INT64_C(1) << 40, most - 1, most, most + 1, most + 2, INT64_MAX - 1,
                              INT64_MAX};

    for (size_t i = 1; i < COUNT(rising); i++)
        check_at(nb_after_ms(rising[i]).ns >= nb_after_ms(rising[i - 1]).ns, rising[i]);
}

TEST(deadline_passes_at_its_exact_nanosecond)
{
    assert_true(nb_expired(at(INT64_MIN)));
    assert_true(nb_expired(at(-1)));
    assert_true(nb_expired(at(SOME_TIME - 1)));
    assert_true(nb_expired(at(SOME_TIME)));
    assert_false(nb_expired(at(SOME_TIME + 1)));
    assert_false(nb_expired(at(SOME_TIME + 1000000)));
    assert_false(nb_expired(at(INT64_MAX - 1)));
}

TEST(deadline_passes_when_the_clock_reaches_it)
{
    nb_deadline by = nb_after_ms(250);

    clock_ns += INT64_C(249999999);
    assert_false(nb_expired(by));
    assert_result(nb_remaining_ms(by), 1);
    clock_ns += 1;
    assert_true(nb_expired(by));
    assert_result(nb_remaining_ms(by), 0);
}

TEST(remaining_time_is_rounded_up)
{
    static const int64_t ns_and_ms[][2] = {
        {INT64_MIN + SOME_TIME, 0},
        {-SOME_TIME, 0},
        {-1, 0},
        {0, 0},
        {1, 1},
        {2, 1},
        {999999, 1},
        {1000000, 1},
        {1000001, 2},
        {1999999, 2},
        {2000000, 2},
        {INT64_C(60000000000), 60000},
        {INT64_C(60000000001), 60001},
    };

    for (size_t i = 0; i < COUNT(ns_and_ms); i++) {
        nb_deadline by = at(SOME_TIME + ns_and_ms[i][0]);

        check_at(nb_remaining_ms(by) == ns_and_ms[i][1], ns_and_ms[i][0]);
    }
}

TEST(latest_finite_deadline_is_rounded_up_without_overflow)
{
    clock_ns = 0;
    assert_result(nb_remaining_ms(at(INT64_MAX - 1)), INT64_MAX / 1000000 + 1);
}

TEST(remaining_time_is_zero_exactly_when_the_deadline_has_passed)
{
    for (int64_t ns = -3; ns <= 3; ns++)
        check_at((nb_remaining_ms(at(SOME_TIME + ns)) == 0) == nb_expired(at(SOME_TIME + ns)), ns);
}

TEST(remaining_time_never_grows)
{
    nb_deadline by = nb_after_ms(20);
    int64_t last = 20;

    for (int step = 0; step < 100; step++) {
        int64_t left = nb_remaining_ms(by);

        check_at(left <= last && left >= 0, step);
        last = left;
        clock_ns += 333333;
    }
    assert_result(last, 0);
}

TEST(remaining_nanoseconds_are_exact_and_never_negative)
{
    assert_result(nb__remaining_ns(at(SOME_TIME), SOME_TIME - 1), 1);
    assert_result(nb__remaining_ns(at(SOME_TIME), SOME_TIME), 0);
    assert_result(nb__remaining_ns(at(SOME_TIME), SOME_TIME + 1), 0);
    assert_result(nb__remaining_ns(at(SOME_TIME), INT64_MAX), 0);
    assert_result(nb__remaining_ns(at(INT64_MIN), INT64_MAX), 0);
    assert_result(nb__remaining_ns(at(0), 0), 0);
    assert_result(nb__remaining_ns(at(INT64_MAX - 1), 0), INT64_MAX - 1);
    assert_result(nb__remaining_ns(nb_forever(), SOME_TIME), INT64_MAX);
    assert_result(nb__remaining_ns(nb_forever(), INT64_MAX), INT64_MAX);
}

TEST(adding_milliseconds_to_a_time_saturates)
{
    assert_result(nb__ms_after(SOME_TIME, 0).ns, SOME_TIME);
    assert_result(nb__ms_after(SOME_TIME, 7).ns, SOME_TIME + 7000000);
    assert_result(nb__ms_after(0, INT64_MAX / 1000000).ns, INT64_MAX / 1000000 * 1000000);
    assert_result(nb__ms_after(0, INT64_MAX / 1000000 + 1).ns, INT64_MAX);
    assert_result(nb__ms_after(SOME_TIME, INT64_MAX).ns, INT64_MAX);
    assert_result(nb__ms_after(INT64_MAX, 0).ns, INT64_MAX);
    assert_result(nb__ms_after(INT64_MAX, INT64_MAX).ns, INT64_MAX);
}

TEST(earlier_of_two_deadlines_passes_first)
{
    assert_result(nb__earlier(at(1), at(2)).ns, 1);
    assert_result(nb__earlier(at(2), at(1)).ns, 1);
    assert_result(nb__earlier(at(2), at(2)).ns, 2);
    assert_result(nb__earlier(nb_forever(), at(2)).ns, 2);
    assert_result(nb__earlier(at(0), nb_forever()).ns, 0);
    assert_true(nb__is_forever(nb__earlier(nb_forever(), nb_forever())));
}

TEST(reading_the_clock_preserves_errno)
{
    clock_is_real = true;
    errno = ODD_ERRNO;
    (void)nb_remaining_ms(nb_after_ms(1000));
    (void)nb_expired(nb_after_ms(1000));
    assert_int_equal(errno, ODD_ERRNO);
}
