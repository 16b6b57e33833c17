/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the wait for descriptors, and of what ends it early. */
#include "support.h"
#include "wait/cancellable.h"

#define TEST(name) TEST_AS(name, CASE)

/* Two pairs of sockets: what is waited for, and what ends the wait. */
static int wanted[2];
static int other[2];
static struct pollfd polled[1 + NB__WAIT_ROOM];

static void open_pairs(void)
{
    raw_pair(OVER_UNIX, wanted);
    raw_pair(OVER_UNIX, other);
    polled[0] = (struct pollfd){wanted[0], POLLIN, 0};
}

static void close_pairs(void)
{
    for (int i = 0; i < 2; i++) {
        raw_close(wanted[i]);
        raw_close(other[i]);
    }
}

static void make_ready(const int pair[2])
{
    raw_deliver(pair[1], pair[0], "x", 1);
}

TEST(wait_returns_the_number_of_ready_descriptors)
{
    open_pairs();
    make_ready(wanted);
    assert_int_equal(nb__wait(polled, 1, plenty()), 1);
    assert_int_equal(polled[0].revents, POLLIN);
    close_pairs();
}

TEST(wait_ends_at_its_deadline)
{
    nb_deadline by = before_long();

    open_pairs();
    assert_int_equal(nb__wait(polled, 1, by), 0);
    assert_passed(by, PATIENCE_MS);
    close_pairs();
}

TEST(waitable_is_ready_when_its_descriptor_is_ready)
{
    struct nb__waitable waitable = {.fd = -1};
    struct nb__wait_bounds bounds = {.until = plenty(), .fd = -1};

    open_pairs();
    waitable.fd = wanted[0];
    make_ready(wanted);
    assert_true(nb__wait_on(&waitable, NB_RECEIVE, &bounds) > 0);
    assert_true(nb__wait_on(&waitable, NB_SEND, &bounds) > 0);
    bounds.fd = other[0];
    make_ready(other);
    assert_true(nb__wait_on(&waitable, NB_RECEIVE, &bounds) > 0);
    close_pairs();
}

TEST(bounds_end_the_wait_on_a_waitable)
{
    struct nb__waitable waitable = {.fd = -1};
    struct nb__wait_bounds bounds = {.until = before_long(), .fd = -1};

    open_pairs();
    waitable.fd = wanted[0];
    assert_int_equal(nb__wait_on(&waitable, NB_RECEIVE, &bounds), 0);
    assert_passed(bounds.until, PATIENCE_MS);
    assert_false(bounds.fd_ready);
    bounds = (struct nb__wait_bounds){.until = plenty(), .fd = other[0]};
    make_ready(other);
    assert_int_equal(nb__wait_on(&waitable, NB_RECEIVE, &bounds), 0);
    assert_true(bounds.fd_ready);
    close_pairs();
}

TEST(wait_is_cancelled_by_either_descriptor_even_when_others_are_ready)
{
    open_pairs();
    make_ready(wanted);
    make_ready(other);
    for (int i = 0; i < 2; i++) {
        struct nb__cancels cancels = {.fds = {-1, -1}};

        cancels.fds[i] = other[0];
        assert_int_equal(nb__wait_cancellable(polled, 1, plenty(), &cancels), -ECANCELED);
    }
    close_pairs();
}

/* What the function before each wait was told last, and how it narrows the bounds. */
struct watch {
    bool told_ready;
    nb_deadline until;
    int fd;
};

static void narrow(void *context, struct nb__wait_bounds *bounds)
{
    struct watch *watch = context;

    watch->told_ready = bounds->fd_ready;
    bounds->until = watch->until;
    bounds->fd = watch->fd;
}

TEST(wait_ends_at_the_time_set_by_before_wait)
{
    struct watch watch = {false, before_long(), -1};
    struct nb__cancels cancels = {.fds = {-1, -1}, .before_wait = narrow, .context = &watch};

    open_pairs();
    assert_int_equal(nb__wait_cancellable(polled, 1, nb_forever(), &cancels), 0);
    assert_passed(watch.until, PATIENCE_MS);
    assert_false(cancels.fd_ready);
    close_pairs();
}

TEST(before_wait_is_told_that_its_descriptor_ended_the_wait)
{
    struct watch watch = {false, plenty(), -1};
    struct nb__cancels cancels = {.fds = {-1, -1}, .before_wait = narrow, .context = &watch};

    open_pairs();
    watch.fd = other[0];
    make_ready(other);
    assert_int_equal(nb__wait_cancellable(polled, 1, nb_forever(), &cancels), 0);
    assert_false(watch.told_ready);
    make_ready(wanted);
    assert_int_equal(nb__wait_cancellable(polled, 1, nb_forever(), &cancels), 1);
    assert_true(watch.told_ready);
    close_pairs();
}
