/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of who is woken with a waitable, how, and who no longer is. */
#include "servers.h"
#include "sys/sys.h"
#include "wait/waiters.h"

#include <stdatomic.h>

#define TEST(name) TEST_AS(name, NET_CASE)

/* The waitable of all cases, and what they let wait for its sake. */
static struct nb__waitable waitable;
static struct nb__waiter first;
static struct nb__waiter second;
static struct nb__waiter third;
static atomic_int woken; /* how often one of them was */

static void count(void *unused)
{
    (void)unused;
    atomic_fetch_add(&woken, 1);
}

static void join(struct nb__waiter *waiter, void (*wake)(void *context), void *context)
{
    *waiter = (struct nb__waiter){.wake = wake, .context = context};
    assert_true(nb__waiter_join(waiter, &waitable));
}

static void begin(void)
{
    waitable.fd = -1;
    atomic_store(&woken, 0);
    join(&first, count, NULL);
}

static void leave(struct nb__waiter *waiter)
{
    nb__waiter_leave(waiter);
    nb__waiter_end(waiter);
}

static void end(void)
{
    leave(&first);
    nb__waiters_release(&waitable);
    assert_null(atomic_load(&waitable.waiters));
}

TEST(every_waiter_is_woken_once)
{
    begin();
    join(&second, count, NULL);
    nb__waiters_wake(&waitable);
    assert_int_equal(atomic_load(&woken), 2);
    nb__waiters_wake(&waitable);
    assert_int_equal(atomic_load(&woken), 2);
    leave(&second);
    end();
}

/* Wherever on the list it was. */
TEST(a_waiter_that_has_left_is_not_woken)
{
    struct nb__waiter *const all[] = {&first, &second, &third};

    for (size_t i = 0; i < COUNT(all); i++) {
        begin();
        join(&second, count, NULL);
        join(&third, count, NULL);
        nb__waiter_leave(all[i]);
        nb__waiters_wake(&waitable);
        assert_int_equal(atomic_load(&woken), 2);
        leave(&second);
        leave(&third);
        end();
    }
}

TEST(a_waiter_that_joins_after_a_wake_is_woken_by_the_next)
{
    begin();
    nb__waiters_wake(&waitable);
    join(&second, count, NULL);
    nb__waiters_wake(&waitable);
    assert_int_equal(atomic_load(&woken), 2);
    leave(&second);
    end();
}

TEST(waking_and_releasing_without_waiters_does_nothing)
{
    struct nb__waitable other = {.fd = -1};

    nb__waiters_wake(&other);
    nb__waiters_release(&other);
    assert_null(atomic_load(&other.waiters));
}

static void ring_it(void *unused)
{
    (void)unused;
    nb__waiters_wake(&waitable);
}

TEST(a_thread_that_waits_for_descriptors_is_woken_by_its_wakeup)
{
    struct pollfd entry = {.events = POLLIN};
    struct task task;
    int wakeup[2];

    begin();
    assert_int_equal(nb__sys_wake_open(wakeup), 0);
    join(&second, nb__waiter_ring, wakeup);
    task_start(&task, ring_it, NULL);
    entry.fd = wakeup[0];
    assert_int_equal(nb__wait(&entry, 1, plenty()), 1);
    task_join(&task);
    leave(&second);
    nb__sys_wake_close(wakeup);
    end();
}

/* Whoever is woken may cancel something else, which leads to other waiters, and here to the same. */
TEST(a_waiter_is_woken_without_the_lock)
{
    begin();
    join(&second, ring_it, NULL);
    nb__waiters_wake(&waitable);
    assert_int_equal(atomic_load(&woken), 1);
    leave(&second);
    end();
}

TEST(the_wake_function_of_a_waiter_can_be_changed)
{
    atomic_int other = 0;

    begin();
    join(&second, nb__waiter_ring, NULL);
    assert_int_equal(nb__waiter_change(&second, count, NULL), NB__WAITER_LISTED);
    nb__waiters_wake(&waitable);
    assert_int_equal(atomic_load(&woken), 2);
    assert_int_equal(nb__waiter_change(&second, count, &other), NB__WAITER_WOKEN);
    assert_int_equal(nb__waiter_change(&first, count, NULL), NB__WAITER_WOKEN);
    leave(&second);
    end();
}

TEST(releasing_a_waitable_detaches_its_waiters)
{
    begin();
    join(&second, count, NULL);
    nb__waiters_release(&waitable);
    assert_int_equal(nb__waiter_change(&first, count, NULL), NB__WAITER_RELEASED);
    assert_int_equal(nb__waiter_change(&second, count, NULL), NB__WAITER_RELEASED);
    assert_false(nb__waiter_hold(&first));
    assert_int_equal(atomic_load(&woken), 0);
    leave(&first);
    leave(&second);
}

/* --- Those that others are using just then --- */

static void pass_the_gate(void *unused)
{
    (void)unused;
    gate_pass();
}

static void leave_it(void *waiter)
{
    leave(waiter);
    atomic_fetch_add(&woken, 1);
}

TEST(leaving_waits_for_a_wake_in_progress)
{
    struct task waking, leaving;

    begin();
    join(&second, pass_the_gate, NULL);
    task_start(&waking, ring_it, NULL);
    eventually(gate_waiting() == 1);
    task_start(&leaving, leave_it, &second);
    eventually(thread_waits(atomic_load(&leaving.tid), FOR_A_LOCK));
    assert_int_equal(atomic_load(&woken), 0);
    gate_open();
    task_join(&leaving);
    task_join(&waking);
    assert_int_equal(atomic_load(&woken), 2);
    end();
}

static void release_it(void *unused)
{
    (void)unused;
    nb__waiters_release(&waitable);
    atomic_fetch_add(&woken, 1);
}

TEST(releasing_a_waitable_waits_for_waiters_that_hold_it)
{
    struct task task;

    begin();
    assert_true(nb__waiter_hold(&first));
    task_start(&task, release_it, NULL);
    eventually(thread_waits(atomic_load(&task.tid), FOR_A_LOCK));
    assert_int_equal(atomic_load(&woken), 0);
    nb__waiter_let_go(&first);
    task_join(&task);
    leave(&first);
}

TEST(a_woken_waiter_cannot_hold_its_waitable)
{
    begin();
    nb__waiters_wake(&waitable);
    assert_false(nb__waiter_hold(&first));
    end();
}
