/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of what every error of accept(2) does, and of memory and descriptors that run out under
 *         the accept loop. */
#include "listen/accept.h"
#include "servers.h"
#include "sys/sys.h"

/* What accept fails with when the faults are over; 0: it works again. */
static int after_that;
/* While set: when the faults are over, another process that shares the socket takes the next one. */
static atomic_bool taken_elsewhere;

static nb_error err;

static int own_accept(int fd, struct sockaddr *peer, socklen_t *length)
{
    if (atomic_exchange(&taken_elsewhere, false)) {
        (void)close(real.accept(fd, peer, length));
        return -EAGAIN;
    }
    return after_that != 0 ? -after_that : real.accept(fd, peer, length);
}

REPLACE(accept, own_accept)

/* The table of the documentation. */
static const int again[] = {EINTR, EAGAIN};
static const int lost[] = {ECONNABORTED,    ECONNRESET,      EPROTO,       ENETDOWN,    ENOPROTOOPT,
                           EHOSTDOWN,       ENONET,          EHOSTUNREACH, ENETUNREACH, ENOSR,
                           ESOCKTNOSUPPORT, EPROTONOSUPPORT, ETIMEDOUT,    EPERM};
/* Lost connections, too, unless they do not cease; EIO and ENODATA stand for all that nobody knows. */
static const struct told_as {
    int error;
    nb_status status;
} unclear[] = {{EOPNOTSUPP, NB_UNSUPPORTED}, {EIO, NB_SYSTEM}, {ENODATA, NB_SYSTEM}};
static const struct told_as shortages[] = {
    {EMFILE, NB_NO_DESCRIPTORS},
    {ENFILE, NB_NO_DESCRIPTORS},
    {ENOBUFS, NB_NO_MEMORY},
    {ENOMEM, NB_NO_MEMORY},
};
static const int fatal[] = {EBADF, EINVAL, ENOTSOCK, EFAULT};

/* --- nb_accept() --- */

/* What one accept makes of an error that comes so many times, with a client waiting. */
static nb_status accept_with(int error, int times, nb_deadline by, nb_error *told)
{
    nb_conn *conn;

    (void)listen_with_a_client();
    fail_next(ON_ACCEPT, error, times);
    nb_status status = nb_accept(the_listener, &conn, by, told);
    assert_true((status == NB_OK) == (conn != NULL));
    fail_next(ON_ACCEPT, 0, 0);
    nb_abort(conn);
    close_listener();
    hang_up_all();
    return status;
}

#define WORKERS_CASE(name) NET_CASE_FOR(name, workers)
#define TEST(name) TEST_AS(name, NET_CASE)

TEST(accept_retries_after_transient_errors)
{
    for (size_t i = 0; i < COUNT(again); i++)
        assert_status(accept_with(again[i], 3, plenty(), NULL), NB_OK);
    assert_in_range(calls(ON_ACCEPT), 4 * COUNT(again), 5 * COUNT(again));
}

TEST(accept_skips_lost_connections)
{
    for (size_t i = 0; i < COUNT(lost); i++)
        assert_status(accept_with(lost[i], 3, plenty(), NULL), NB_OK);
    assert_in_range(calls(ON_ACCEPT), 4 * COUNT(lost), 5 * COUNT(lost));
}

TEST(accept_retries_until_a_shortage_ends)
{
    int64_t begin = now_ns();

    for (size_t i = 0; i < COUNT(shortages); i++)
        assert_status(accept_with(shortages[i].error, 3, plenty(), NULL), NB_OK);
    assert_int_equal(calls(ON_ACCEPT), 4 * COUNT(shortages));
    assert_true(ms_since(begin) >= 35 * (int64_t)COUNT(shortages)); /* 5 + 10 + 20 each */
}

/* What one accept makes of an error that comes so many times, at a deadline that leaves it the time to
   try at least once. */
static nb_status accept_in_vain(int error, int times)
{
    int before = calls(ON_ACCEPT);
    int64_t ms = 30;
    nb_status status;

    do {
        status = accept_with(error, times, nb_after_ms(ms), &err);
        ms *= 2;
    } while (calls(ON_ACCEPT) == before);
    return status;
}

TEST(accept_reports_a_shortage_at_its_deadline)
{
    for (size_t i = 0; i < COUNT(shortages); i++) {
        assert_status(accept_in_vain(shortages[i].error, -1), shortages[i].status);
        assert_int_equal(err.system_error, shortages[i].error);
    }
    assert_in_range(calls(ON_ACCEPT), COUNT(shortages), 8 * COUNT(shortages));
}

/* Loses connections until the deadline, and tells how many. */
static int lose(int error, int64_t ms)
{
    int before = calls(ON_ACCEPT);

    assert_status(accept_with(error, -1, nb_after_ms(ms), &err), NB_TIMEOUT);
    assert_int_equal(err.system_error, 0);
    return calls(ON_ACCEPT) - before;
}

TEST(lost_connections_until_the_deadline_are_a_timeout)
{
    for (size_t i = 0; i < COUNT(lost); i++) {
        int64_t ms = 20;

        while (lose(lost[i], ms) < 66) /* until there was time for so many */
            ms *= 2;
    }
}

TEST(a_signal_does_not_hide_the_shortage_before_it)
{
    after_that = EINTR;
    for (size_t i = 0; i < COUNT(shortages); i++) {
        assert_status(accept_in_vain(shortages[i].error, 1), shortages[i].status);
        assert_int_equal(err.system_error, shortages[i].error);
    }
    after_that = 0;
}

TEST(accept_fails_at_once_on_a_fatal_error)
{
    for (size_t i = 0; i < COUNT(fatal); i++) {
        assert_status(accept_with(fatal[i], -1, nb_forever(), &err), NB_SYSTEM);
        assert_int_equal(err.system_error, fatal[i]);
    }
    assert_int_equal(calls(ON_ACCEPT), COUNT(fatal));
}

TEST(accept_retries_ten_ambiguous_errors_in_a_row)
{
    for (size_t i = 0; i < COUNT(unclear); i++)
        assert_status(accept_with(unclear[i].error, 10, plenty(), NULL), NB_OK);
}

TEST(accept_fails_when_every_error_is_ambiguous)
{
    for (size_t i = 0; i < COUNT(unclear); i++) {
        int before = calls(ON_ACCEPT);

        assert_status(accept_with(unclear[i].error, -1, nb_forever(), &err), unclear[i].status);
        assert_int_equal(err.system_error, unclear[i].error);
        assert_int_equal(calls(ON_ACCEPT) - before, 11);
    }
}

/* An errno that would be a lost connection's from accept. */
TEST(a_failed_wait_is_not_a_lost_connection)
{
    nb_conn *conn;

    (void)listen_here("127.0.0.1:0");
    for (size_t i = 0; i < COUNT(lost) + COUNT(unclear); i++) {
        int error = i < COUNT(lost) ? lost[i] : unclear[i - COUNT(lost)].error;

        fail_next(ON_POLL, error, 1);
        assert_status(nb_accept(the_listener, &conn, plenty(), &err), nb__accept_status(error));
        assert_int_equal(err.system_error, error);
    }
}

/* --- What is remembered from one error to the next --- */

TEST(the_backoff_doubles_up_to_a_second)
{
    static const int64_t waits[] = {5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000};
    struct nb__accepting accepting = {.unclear_in_row = 0};

    (void)listen_here("127.0.0.1:0");
    for (size_t i = 0; i < COUNT(waits); i++) {
        assert_int_equal(nb__accept_failed(the_listener, &accepting, EMFILE), NB__ACCEPT_SHORTAGE);
        assert_int_equal(accepting.backoff_ms, waits[i]);
    }
}

TEST(any_other_error_restarts_the_count_of_ambiguous_ones)
{
    struct nb__accepting accepting = {.unclear_in_row = 0};

    (void)listen_here("127.0.0.1:0");
    for (int i = 0; i < 22; i++)
        assert_int_not_equal(
            nb__accept_failed(the_listener, &accepting, i == 10 ? ECONNABORTED : EOPNOTSUPP),
            i == 21 ? NB__ACCEPT_LOST : NB__ACCEPT_BROKEN);
}

/* --- nb_serve() --- */

static void check_served(struct server *server)
{
    assert_serves(server, 1);
    assert_status(server_finish(server), NB_OK);
}

/* A server that meets this error so many times before it serves one client. */
static struct server *served_despite(int error, int times, const struct mode *mode)
{
    struct server *server = run_server(say_hello, NULL, mode);

    fail_next(ON_ACCEPT, error, times);
    check_served(server);
    return server;
}

TEST_AS(the_loop_retries_after_transient_errors, NET_CASE_FOR_BOTH)
{
    for (size_t i = 0; i < COUNT(again); i++) {
        struct server *server = served_despite(again[i], 3, *state);

        assert_int_equal(server_counters(server).lost_accepts, 0);
        assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 0);
        server_free(server);
    }
    assert_in_range(calls(ON_ACCEPT), 4 * COUNT(again), 8 * COUNT(again));
}

TEST_AS(the_loop_counts_lost_connections_and_continues, NET_CASE_FOR_BOTH)
{
    for (size_t i = 0; i < COUNT(lost); i++) {
        struct server *server = served_despite(lost[i], 3, *state);

        assert_counters(server, lost_accepts, 3, accepted, 1);
        assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 0);
        server_free(server);
    }
    assert_in_range(calls(ON_ACCEPT), 4 * COUNT(lost), 8 * COUNT(lost));
}

TEST_AS(the_loop_backs_off_from_a_shortage_and_recovers, NET_CASE_FOR_BOTH)
{
    for (size_t i = 0; i < COUNT(shortages); i++) {
        int64_t begin = now_ns();
        struct server *server = served_despite(shortages[i].error, 3, *state);

        assert_true(ms_since(begin) >= 35);
        assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 1);
        eventually(server_heard(server, NB_EVENT_ACCEPT_RECOVERED) == 1);
        check_told(server, shortages[i].status, shortages[i].error);
        assert_int_equal(server_counters(server).lost_accepts, 0);
        server_free(server);
    }
    assert_in_range(calls(ON_ACCEPT), 4 * COUNT(shortages), 8 * COUNT(shortages));
}

TEST_AS(each_shortage_is_reported_once, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server(say_hello, NULL, *state);

    for (int episode = 1; episode <= 3; episode++) {
        fail_next(ON_ACCEPT, EMFILE, 2);
        assert_serves(server, 1);
        eventually(server_heard(server, NB_EVENT_ACCEPT_RECOVERED) == episode);
        assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), episode);
    }
    assert_status(server_finish(server), NB_OK);
}

static void stay_in_backing_off(const nb_event *event, void *unused)
{
    (void)unused;
    if (event->kind == NB_EVENT_ACCEPT_BACKING_OFF)
        gate_pass();
}

/* Its end is told afterwards, and in order. */
TEST(a_slow_event_callback_does_not_prolong_a_shortage)
{
    struct server *server = run_server_with(say_hello, &workers, .also = stay_in_backing_off);

    fail_next(ON_ACCEPT, EMFILE, 2);
    assert_serves(server, 3);
    eventually(gate_waiting() == 1);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_RECOVERED), 0);
    gate_open();
    eventually(server_heard(server, NB_EVENT_ACCEPT_RECOVERED) == 1);
    assert_status(server_finish(server), NB_OK);
}

/* 5, 10, 20, 40, 80 and 160 ms: a constant wait would be over long before. */
TEST_AS(each_backoff_of_a_shortage_is_longer_than_the_last, NET_CASE_FOR_BOTH)
{
    int64_t begin = now_ns();
    struct server *server = served_despite(EMFILE, 6, *state);

    assert_in_range(ms_since(begin), 315, PATIENCE_MS);
    assert_in_range(calls(ON_ACCEPT), 7, 9);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 1);
}

/* How many milliseconds a stop takes that comes when the next try is 640 ms away. */
static int64_t stop_during_a_shortage(const struct mode *mode)
{
    struct server *server = run_server(say_hello, NULL, mode);
    int tries = calls(ON_ACCEPT);

    fail_next(ON_ACCEPT, EMFILE, -1);
    int client = dial(&server->address);
    eventually(calls(ON_ACCEPT) >= tries + 8);
    fail_next(ON_ACCEPT, 0, 0);
    int64_t begin = now_ns();
    nb_listener_stop(server->listener);
    assert_ends_with(server, client);
    server_free(server);
    return ms_since(begin);
}

TEST_AS(a_stop_during_a_shortage_ends_the_backoff, NET_CASE_FOR_BOTH)
{
    int slow = 0;

    while (stop_during_a_shortage(*state) > 450)
        assert_true(++slow < 5); /* on a busy machine one may take as long as the wait */
}

TEST_AS(a_shortage_that_outlasts_the_drain_ends_with_it, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server_with(say_hello, *state, .drain_ms = 100);

    fail_next(ON_ACCEPT, EMFILE, -1);
    int client = dial(&server->address);
    eventually(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF) == 1);
    int64_t begin = now_ns();
    assert_status(server_stop(server), NB_OK);
    assert_in_range(ms_since(begin), 0, 5000);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
}

/* Makes the loop accept; that may end it before the client has got through. */
static void knock(const struct server *server)
{
    int fd = dial_quietly(&server->address);

    if (fd >= 0)
        raw_close(fd);
}

TEST_AS(the_loop_ends_with_a_fatal_error, NET_CASE_FOR_BOTH)
{
    for (size_t i = 0; i < COUNT(fatal); i++) {
        struct server *server = run_server(say_hello, NULL, *state);

        fail_next(ON_ACCEPT, fatal[i], -1);
        knock(server);
        check_ends_with(server, NB_SYSTEM, fatal[i]);
        assert_int_equal(server_heard(server, NB_EVENT_STOPPED), 1);
        assert_int_equal(nb_listener_fd(server->listener, 0), -1);
        fail_next(ON_ACCEPT, 0, 0);
        server_free(server);
    }
    assert_in_range(calls(ON_ACCEPT), COUNT(fatal), 2 * COUNT(fatal));
}

/* --- What never ends --- */

TEST_AS(endless_lost_connections_count_as_a_shortage, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server(say_hello, NULL, *state);

    fail_next(ON_ACCEPT, EPERM, -1);
    int client = dial(&server->address);
    eventually(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF) == 1);
    assert_in_range(calls(ON_ACCEPT), 65, 75);
    fail_next(ON_ACCEPT, 0, 0);
    assert_int_equal(answer(client, HELLO), 0);
    hang_up(client);
    eventually(server_heard(server, NB_EVENT_ACCEPT_RECOVERED) == 1);
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(endless_lost_connections_do_not_outlast_the_drain, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server_with(say_hello, *state, .drain_ms = 100);

    fail_next(ON_ACCEPT, EPERM, -1);
    (void)dial(&server->address);
    int64_t begin = now_ns();
    assert_status(server_stop(server), NB_OK);
    assert_in_range(ms_since(begin), 0, 5000);
    assert_in_range(calls(ON_ACCEPT), 1, 100);
    fail_next(ON_ACCEPT, 0, 0);
}

TEST_AS(a_loop_that_cannot_poll_ends_with_an_error, NET_CASE_FOR_BOTH)
{
    fail_next(ON_POLL, EINVAL, -1);
    struct server *server = run_server(say_hello, NULL, *state);
    check_ends_with(server, NB_SYSTEM, EINVAL);
    assert_in_range(calls(ON_POLL), 1, 20);
    fail_next(ON_POLL, 0, 0);
}

TEST(a_poll_out_of_memory_once_does_not_end_accept)
{
    (void)listen_with_a_client();
    fail_next(ON_POLL, ENOMEM, 1);
    nb_abort(accept_next());
}

TEST(handlers_finish_before_a_failed_loop_ends)
{
    struct server *server = run_server(say_hello_later, NULL, &workers);
    int client = client_at_the_gate(server);

    fail_next(ON_ACCEPT, EINVAL, -1);
    knock(server);
    eventually(server_heard(server, NB_EVENT_DRAINING) == 1);
    assert_false(server->ended);
    gate_open();
    assert_int_equal(answer(client, HELLO), 0);
    hang_up_all();
    assert_status(server_wait(server), NB_SYSTEM);
    assert_int_equal(server_counters(server).forced, 0);
}

/* As `ss -K` does to a listening socket. */
TEST_AS(a_socket_that_was_destroyed_ends_the_loop, NET_CASE_FOR_BOTH)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, *state);
    int fd = nb_listener_fd(server->listener, 0);

    server_run(server);
    assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
    check_ends_with(server, NB_SYSTEM, EINVAL);
    assert_in_range(calls(ON_ACCEPT), 1, 2);
}

TEST_AS(the_loop_retries_ten_ambiguous_errors_in_a_row, NET_CASE_FOR_BOTH)
{
    for (size_t i = 0; i < COUNT(unclear); i++) {
        struct server *server = served_despite(unclear[i].error, 10, *state);

        assert_counters(server, lost_accepts, 10, accepted, 1);
        server_free(server);
    }
}

TEST_AS(only_consecutive_ambiguous_errors_count, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server(say_hello, NULL, *state);

    for (size_t i = 0; i < COUNT(unclear); i++) {
        fail_next(ON_ACCEPT, unclear[i].error, 8);
        assert_serves(server, 1);
    }
    assert_int_equal(server_counters(server).lost_accepts, 8 * COUNT(unclear));
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(the_loop_ends_when_every_error_is_ambiguous, NET_CASE_FOR_BOTH)
{
    for (size_t i = 0; i < COUNT(unclear); i++) {
        struct server *server = run_server(say_hello, NULL, *state);
        int before = calls(ON_ACCEPT);

        fail_next(ON_ACCEPT, unclear[i].error, -1);
        knock(server);
        check_ends_with(server, unclear[i].status, unclear[i].error);
        assert_in_range(calls(ON_ACCEPT) - before, 10, 13);
        fail_next(ON_ACCEPT, 0, 0);
        server_free(server);
    }
}

/* --- Descriptors that really run out --- */

static int limited_case_end(void **state)
{
    unlimit_descriptors();
    return net_case_end(state);
}

#undef NET_CASE
#undef NET_CASE_FOR
#define NET_CASE(name) cmocka_unit_test_setup_teardown(name, net_case_begin, limited_case_end)
#define NET_CASE_FOR(name, mode) CASE_WITH(name, mode, net_case_begin, limited_case_end)

/* A server with a crowd in its queue and descriptors for so many of it. */
static struct server *overrun_server(nb_handler *handler, const struct mode *mode, int *clients,
                                     size_t count, int descriptors)
{
    struct server *server = server_new("127.0.0.1:0", handler, mode);

    dial_each(clients, count, &server->address);
    /* With workers, one wakes who looks after them. */
    limit_descriptors(descriptors + (mode->concurrency > 1));
    server_run(server);
    return server;
}

TEST_AS(clients_beyond_the_descriptor_limit_are_served_when_it_is_raised, NET_CASE_FOR_BOTH)
{
    int clients[30];
    struct server *server = overrun_server(say_hello, *state, clients, COUNT(clients), 0);
    int tries = calls(ON_ACCEPT);

    eventually(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF) == 1);
    eventually(calls(ON_ACCEPT) >= tries + 3);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_RECOVERED), 0);
    unlimit_descriptors();
    assert_all_greeted(clients);
    eventually(server_heard(server, NB_EVENT_ACCEPT_RECOVERED) == 1);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 1);
    assert_in_range(calls(ON_ACCEPT), COUNT(clients), 3 * COUNT(clients));
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(clients_beyond_the_descriptor_limit_are_served_as_others_end, WORKERS_CASE)
{
    int clients[30];
    struct server *server = overrun_server(say_hello_later, *state, clients, COUNT(clients), 4);

    eventually(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF) == 1);
    eventually(gate_waiting() == 4);
    gate_open();
    assert_all_served(clients);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_RECOVERED),
                     server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF));
    assert_in_range(calls(ON_ACCEPT), COUNT(clients), 10 * COUNT(clients));
}

TEST_AS(lingering_connections_make_room_when_out_of_descriptors, NET_CASE_FOR_BOTH)
{
    int clients[30];
    struct server *server = overrun_server(say_hello, *state, clients, COUNT(clients), 3);

    assert_all_greeted(clients);
    for (size_t i = 0; i < COUNT(clients); i++)
        assert_false(is_broken(clients[i]));
    eventually(server_counters(server).lingering == 3);
    eventually(server_heard(server, NB_EVENT_CLOSED) == COUNT(clients) - 3);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_TIMEOUT);
    if (((const struct mode *)*state)->concurrency == 1) /* otherwise handlers may have them all */
        assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 0);
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(a_connection_ended_to_make_room_always_gets_its_closed_event, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server_with(say_hello, *state, .linger_ms = 10 * PATIENCE_MS);

    (void)lingering_client(server);
    fail_next(ON_ACCEPT, EMFILE, 1);
    taken_elsewhere = true;
    (void)dial(&server->address);
    eventually(!taken_elsewhere);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    assert_status(server_finish(server), NB_OK);
}

TEST(a_server_that_starts_without_descriptors_fails_with_the_reason)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &workers);

    limit_descriptors(0);
    nb_status status = nb_serve(server->listener, say_hello, NULL, &server->options, &err);
    unlimit_descriptors();
    assert_status(status, NB_NO_DESCRIPTORS);
    assert_status(err.status, NB_NO_DESCRIPTORS);
    assert_int_equal(err.system_error, EMFILE);
}

/* --- Memory --- */

/* One allocation after the other fails at the beginning, until none is left to fail. Whatever was
   there to begin with, a client is served in the end, or the loop says that it could not begin. */
TEST_AS(out_of_memory_at_the_start_is_reported_or_survived, NET_CASE_FOR_BOTH)
{
    nb_status status = NB_NO_MEMORY;
    int said = 0;

    for (int failed = 0; failed < 12; failed++) {
        struct server *server = server_new("127.0.0.1:0", say_hello, *state);

        fail_after(ON_LIBC_MALLOC, failed, ENOMEM, 1);
        server_run(server);
        if (server->ended) {
            status = server_wait(server);
            said++;
            assert_status(status, NB_NO_MEMORY);
        } else {
            check_served(server);
        }
        fail_next(ON_LIBC_MALLOC, 0, 0);
        server_free(server);
    }
    assert_in_range(said, 1, 11);
}

TEST_AS(out_of_memory_after_the_start_costs_no_client_its_answer, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server(say_hello, NULL, *state);
    int clients[5];

    fail_next(ON_LIBC_MALLOC, ENOMEM, 4);
    dial_all(clients, &server->address);
    assert_all_greeted(clients);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_RECOVERED),
                     server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF));
}
