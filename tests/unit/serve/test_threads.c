/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of a server whose threads cannot be started. */
#include "servers.h"

#define TEST(name) TEST_AS(name, NET_CASE)

/* A server with clients in its queue that cannot start so many of its threads, after the first few.
   The very first thread is the one that serves. */
static struct server *server_short_of_threads(int good, int times, int *clients, size_t count)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &workers);

    dial_each(clients, count, &server->address);
    fail_after(ON_PTHREAD_CREATE, 1 + good, EAGAIN, times);
    server_run(server);
    return server;
}

static void check_all_served(struct server *server, const int *clients, size_t count)
{
    assert_each_greeted(clients, count);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_counters(server).accepted, count);
}

TEST(starting_the_first_thread_is_retried)
{
    int clients[5];
    struct server *server = server_short_of_threads(0, 2, clients, COUNT(clients));

    check_all_served(server, clients, COUNT(clients));
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 1);
    eventually(server_heard(server, NB_EVENT_ACCEPT_RECOVERED) == 1);
}

TEST(a_server_works_when_later_threads_cannot_be_started)
{
    int clients[20];
    struct server *server = server_short_of_threads(1, -1, clients, COUNT(clients));

    check_all_served(server, clients, COUNT(clients));
    assert_int_equal(server_counters(server).peak, 1);
}

TEST(threads_are_started_again_when_that_becomes_possible)
{
    struct server *server = server_new("127.0.0.1:0", say_hello_later, &workers);

    dial_times(5, &server->address);
    fail_after(ON_PTHREAD_CREATE, 2, EAGAIN, -1);
    server_run(server);
    eventually(gate_waiting() == 1);
    eventually(calls(ON_PTHREAD_CREATE) >= 3);
    fail_next(ON_PTHREAD_CREATE, 0, 0);
    eventually(gate_waiting() == 5);
}

TEST(failed_thread_starts_are_not_retried_continuously)
{
    struct server *server = server_new("127.0.0.1:0", wait_for_ever, &workers);

    server->options.connection_ms = 200;
    (void)dial(&server->address);
    fail_after(ON_PTHREAD_CREATE, 2, EAGAIN, -1);
    server_run(server);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    assert_in_range(calls(ON_PTHREAD_CREATE), 3, 20);
}

TEST(a_server_without_any_thread_can_be_stopped)
{
    int client;
    struct server *server = server_short_of_threads(0, -1, &client, 1);

    eventually(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF) == 1);
    check_told(server, NB_NO_MEMORY, EAGAIN);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_RECOVERED), 0);
    eventually(calls(ON_PTHREAD_CREATE) >= 2);
    hang_up(client);
    nb_listener_stop(server->listener);
    fail_next(ON_PTHREAD_CREATE, 0, 0);
    assert_status(server_wait(server), NB_OK);
}

TEST(clients_of_a_server_without_threads_are_reset_after_the_drain)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &workers);
    int client = dial(&server->address);

    server->options.drain_ms = 100;
    fail_after(ON_PTHREAD_CREATE, 1, EAGAIN, -1);
    server_run(server);
    eventually(calls(ON_PTHREAD_CREATE) >= 2);
    assert_status(server_stop(server), NB_OK);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    assert_int_equal(server_counters(server).unserved, 1);
}

/* What is no shortage does not go away by waiting. */
TEST(a_server_that_can_never_start_a_thread_fails_with_the_reason)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &workers);
    int client = dial(&server->address);

    skip_under_qemu("TCP_INFO is cut short");
    fail_after(ON_PTHREAD_CREATE, 1, EINVAL, -1);
    server_run(server);
    check_ends_with(server, NB_SYSTEM, EINVAL);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    assert_int_equal(server_counters(server).unserved, 1);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 0);
}

TEST(a_server_works_when_later_threads_can_never_be_started)
{
    int clients[5];
    struct server *server = server_new("127.0.0.1:0", say_hello, &workers);

    dial_all(clients, &server->address);
    fail_after(ON_PTHREAD_CREATE, 2, EPERM, -1);
    server_run(server);
    check_all_served(server, clients, COUNT(clients));
}

TEST(out_of_memory_for_the_first_thread_is_reported_as_such)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &workers);
    int client = dial(&server->address);

    fail_after(ON_PTHREAD_CREATE, 1, ENOMEM, 1);
    server_run(server);
    assert_int_equal(answer(client, HELLO), 0);
    check_told(server, NB_NO_MEMORY, ENOMEM);
}
