/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of a stop that handlers can see: connections between two requests, and the end of the
 *         drain on demand. */
#include "servers.h"
#include "sys/sys.h"

#define IDLE_CASE(name) NET_CASE_FOR(name, workers)
#define IDLE_CASE_FOR_BOTH(name) NET_CASE_FOR_BOTH(name)

/* --- A small protocol: a line is a request, and each gets HELLO. --- */

#define ASK "ask\n"
#define BYE "bye\n"

static nb_status take_line(nb_conn *conn, nb_deadline by)
{
    char line[16];

    return nb_recv_line(conn, line, sizeof(line), NULL, by);
}

static nb_status reply(nb_conn *conn, const char *text)
{
    return nb_send_all(conn, text, strlen(text), NULL, plenty());
}

static nb_status serve_one(nb_conn *conn, nb_deadline by)
{
    nb_status status = take_line(conn, by);

    return status == NB_OK ? reply(conn, HELLO) : status;
}

static nb_status serve_requests(nb_conn *conn, void *unused)
{
    nb_status status = NB_OK;
    (void)unused;
    while (status == NB_OK) {
        nb_conn_idle(conn);
        status = serve_one(conn, nb_forever());
    }
    if (status == NB_STOPPING)
        (void)reply(conn, BYE);
    return status;
}

/* A server whose drain nobody wants to wait for. */
static struct server *patient_server(nb_handler *handler, void *context, const struct mode *mode)
{
    return run_server_with(handler, mode, .context = context, .drain_ms = 10 * PATIENCE_MS,
                           .linger_ms = 10 * PATIENCE_MS);
}

/* A client that has asked and was answered: now it may be idle. */
static int ask_once(const struct server *server)
{
    int fd = dial(&server->address);

    say(fd, ASK, strlen(ASK));
    assert_int_equal(answer_so_far(fd, HELLO), 0);
    return fd;
}

/* Stops it, and waits until it drains. The loop in the calling thread notices a stop only when its handler
   has returned. */
static void stop_and_drain(struct server *server, const struct mode *mode)
{
    nb_listener_stop(server->listener);
    if (mode->concurrency > 1)
        eventually(server_heard(server, NB_EVENT_DRAINING) == 1);
}

static void check_all_in_order(struct server *server)
{
    assert_ends(server);
    assert_counters(server, forced, 0, unserved, 0);
    for (int i = 0; i < server_heard(server, NB_EVENT_CLOSED); i++)
        assert_status(server_event(server, NB_EVENT_CLOSED, i).status, NB_OK);
}

/* The same after a client got its rest. */
static void check_last_answer(struct server *server, int client, const char *text)
{
    assert_int_equal(answer(client, text), 0);
    check_all_in_order(server);
}

#define TEST(name) TEST_AS(name, IDLE_CASE_FOR_BOTH)

/* --- Connections between two requests --- */

TEST(idle_connections_get_an_orderly_close_at_a_stop)
{
    const struct mode *mode = *state;
    struct server *server = patient_server(serve_requests, NULL, mode);
    int clients[16];

    for (int i = 0; i < mode->concurrency; i++)
        clients[i] = ask_once(server);
    int64_t stopped_at = now_ns();
    nb_listener_stop(server->listener);
    for (int i = 0; i < mode->concurrency; i++)
        assert_int_equal(answer(clients[i], BYE), 0);
    check_all_in_order(server);
    assert_in_range(ms_since(stopped_at), 0, PATIENCE_MS);
}

/* The receives that can be told of the stop. None of them may consume anything then. */
static nb_status recv_in_way(nb_conn *conn, int way)
{
    char buf[16];
    size_t got = 0;
    nb_status status = NB_INVALID;

    nb_conn_idle(conn);
    switch (way) {
    case 0:
        status = nb_recv(conn, buf, sizeof(buf), &got, nb_forever());
        break;
    case 1:
        status = nb_recv_exact(conn, buf, sizeof(buf), &got, plenty());
        break;
    case 2:
        status = nb_recv_until(conn, buf, sizeof(buf), "\n", 1, &got, nb_forever());
        break;
    case 3:
        status = nb_recv_line(conn, buf, sizeof(buf), &got, plenty());
        break;
    case 4:
        status = nb_recv_to_end(conn, buf, sizeof(buf), &got, nb_forever());
        break;
    case 5:
        status = nb_recv_frame(conn, buf, sizeof(buf), &got, plenty());
        break;
    default:
        status = nb_wait_readable(conn, nb_forever());
        break;
    }
    return got == 0 ? status : NB_INVALID;
}

enum { WAYS = 7 };

static nb_status receive_in_all_ways(nb_conn *conn, void *seen)
{
    atomic_int *statuses = seen;

    (void)serve_one(conn, plenty());
    for (int i = 0; i < WAYS; i++)
        statuses[i] = (int)recv_in_way(conn, i);
    /* Nothing is sticky, and it is not idle any more: a receive waits for what comes. */
    statuses[WAYS] = (int)nb_conn_status(conn, NB_RECEIVE);
    (void)reply(conn, BYE);
    return take_line(conn, plenty());
}

TEST(every_receive_reports_the_stop_and_consumes_nothing)
{
    atomic_int seen[WAYS + 1] = {0};
    struct server *server = patient_server(receive_in_all_ways, seen, *state);
    int client = ask_once(server);

    nb_listener_stop(server->listener);
    assert_int_equal(answer_so_far(client, BYE), 0);
    for (int i = 0; i < WAYS; i++)
        assert_status(seen[i], NB_STOPPING);
    assert_status(seen[WAYS], NB_OK);
    say(client, ASK, strlen(ASK));
    check_last_answer(server, client, "");
}

TEST(a_request_that_has_begun_is_completed_after_the_stop)
{
    struct server *server = patient_server(serve_requests, NULL, *state);
    int client = ask_once(server);

    say(client, ASK, 1);
    eventually(is_acknowledged(client));
    stop_and_drain(server, *state);
    say(client, &ASK[1], strlen(ASK) - 1);
    check_last_answer(server, client, HELLO BYE);
}

static atomic_bool stop_has_come;

/* Takes one request, and at the stop marks the connection while a part of the next one is read ahead. */
static nb_status mark_within_a_request(nb_conn *conn, void *unused)
{
    (void)unused;
    (void)serve_one(conn, plenty());
    wait_until(stop_has_come);
    nb_conn_idle(conn);
    handler_saw = (int)take_line(conn, nb_after_ms(300));
    return (nb_status)handler_saw;
}

TEST(a_request_partly_in_the_readahead_counts_as_begun)
{
    struct server *server = patient_server(mark_within_a_request, NULL, *state);

    stop_has_come = false;
    int client = dial(&server->address);
    say(client, ASK "as", strlen(ASK) + 2);
    assert_int_equal(answer_so_far(client, HELLO), 0);
    nb_listener_stop(server->listener);
    stop_has_come = true;
    assert_int_equal(answer(client, ""), ECONNRESET);
    assert_ends(server);
    assert_status(handler_saw, NB_TIMEOUT);
}

TEST(a_client_that_sends_nothing_is_given_a_second_after_the_stop)
{
    struct server *server = patient_server(serve_requests, NULL, *state);
    int64_t dialled_at = now_ns();
    int client = dial(&server->address);

    nb_listener_stop(server->listener);
    assert_int_equal(answer(client, BYE), 0);
    assert_in_range(ms_since(dialled_at), 1000, PATIENCE_MS);
    check_all_in_order(server);
}

TEST(a_first_request_within_a_second_of_the_stop_is_served)
{
    struct server *server = patient_server(serve_requests, NULL, *state);
    int client = dial(&server->address);
    int64_t dialled_at = now_ns();

    stop_and_drain(server, *state);
    if (ms_since(dialled_at) > 500) /* on this machine nobody can speak in time */
        skip();
    say(client, ASK, strlen(ASK));
    check_last_answer(server, client, HELLO BYE);
}

/* A handler that makes its reply the last one when the server stops. */
static nb_status serve_until_the_stop(nb_conn *conn, void *listener)
{
    nb_status status = NB_OK;
    bool last = false;

    while (status == NB_OK && !last) {
        nb_conn_idle(conn);
        status = take_line(conn, plenty());
        last = nb_listener_stopping(listener);
        if (status == NB_OK)
            status = reply(conn, last ? BYE : HELLO);
    }
    return status;
}

/* A client has 128 ms for its next request. This much of them is its own, counted from the request before, as
   nobody knows when the reply to that came; the rest is for a machine that is busy, where what was sent may
   arrive late even on loopback. */
#define NEXT_REQUEST_MS 16

struct busy_client {
    const struct server *server;
    atomic_int asked;
    int lost;
};

/* Asks again and again, until a reply says that it is the last. */
static void keep_asking(void *argument)
{
    struct busy_client *client = argument;
    int fd = dial_quietly(&client->server->address);
    int64_t asked_at = now_ns();
    char reply[8] = "";
    bool more = true;

    while (more && strcmp(reply, BYE) != 0) {
        int64_t before = now_ns();
        ssize_t sent = send(fd, ASK, strlen(ASK), MSG_NOSIGNAL);
        bool in_time = ms_since(asked_at) < NEXT_REQUEST_MS;
        ssize_t got = sent > 0 ? recv(fd, reply, sizeof(reply) - 1, 0) : -1;

        asked_at = before;
        more = got > 0;
        client->lost += !more && in_time;
        reply[more ? got : 0] = '\0';
        client->asked++;
    }
    client->lost += more && recv(fd, reply, sizeof(reply), 0) != 0;
    close(fd);
}

TEST(busy_clients_lose_no_request_at_a_stop)
{
    const struct mode *mode = *state;
    struct server *server = server_new("127.0.0.1:0", serve_until_the_stop, mode);
    struct busy_client clients[4];
    struct task tasks[4];
    int count = mode->concurrency == 1 ? 1 : 4;

    server->context = server->listener;
    server->options.drain_ms = 10 * PATIENCE_MS;
    server_run(server);
    for (int i = 0; i < count; i++) {
        clients[i] = (struct busy_client){server, 0, 0};
        task_start(&tasks[i], keep_asking, &clients[i]);
    }
    /* Each of them: a server owes nothing to who comes after the stop. */
    for (int i = 0; i < count; i++)
        eventually(clients[i].asked > 25);
    nb_listener_stop(server->listener);
    for (int i = 0; i < count; i++) {
        task_join(&tasks[i]);
        assert_int_equal(clients[i].lost, 0);
    }
    check_all_in_order(server);
}

/* Handlers that look every now and then whether there is something else to do. */
static nb_status look_often(nb_conn *conn, void *waits)
{
    nb_status status = serve_one(conn, plenty());

    gate_pass();
    if (status == NB_OK)
        status = NB_TIMEOUT;
    while (status == NB_TIMEOUT) {
        nb_conn_idle(conn);
        status = *(const bool *)waits ? nb_wait_readable(conn, nb_after_ms(20))
                                      : take_line(conn, nb_after_ms(20));
    }
    if (status == NB_STOPPING)
        (void)reply(conn, BYE);
    return status;
}

static void check_told_of_the_stop(bool waits, const struct mode *mode)
{
    struct server *server = patient_server(look_often, &waits, mode);
    int client = ask_once(server);

    stop_and_open_gate(server);
    check_last_answer(server, client, BYE);
}

TEST(waits_with_short_deadlines_report_the_stop)
{
    check_told_of_the_stop(true, *state);
}

TEST(receives_with_short_deadlines_report_the_stop)
{
    check_told_of_the_stop(false, *state);
}

/* Its client has had an eighth of a second for its next request before the stop. */
static nb_status serve_after_a_pause(nb_conn *conn, void *unused)
{
    nb_status status = serve_one(conn, plenty());

    (void)unused;
    nb_conn_idle(conn);
    for (int i = 0; i < 20 && (status == NB_OK || status == NB_TIMEOUT); i++)
        status = take_line(conn, nb_after_ms(20));
    gate_pass();
    if (status == NB_TIMEOUT)
        status = take_line(conn, nb_after_ms(20));
    if (status == NB_OK)
        status = reply(conn, BYE);
    return status;
}

TEST(a_request_before_the_stop_is_received_despite_a_short_deadline)
{
    struct server *server = patient_server(serve_after_a_pause, NULL, *state);
    int client = ask_once(server);

    eventually(gate_waiting() == 1);
    say(client, ASK, strlen(ASK));
    eventually(is_acknowledged(client));
    stop_and_open_gate(server);
    check_last_answer(server, client, BYE);
}

static nb_status close_while_idle(nb_conn *conn, void *unused)
{
    (void)unused;
    nb_conn_idle(conn);
    gate_pass();
    handler_saw = (int)nb_close(conn, plenty());
    return NB_OK;
}

TEST(a_close_on_an_idle_connection_is_not_ended_by_the_stop)
{
    struct server *server = patient_server(close_while_idle, NULL, *state);
    int client = client_at_the_gate(server);

    handler_saw = -1;
    stop_and_open_gate(server);
    assert_int_equal(answer(client, ""), 0);
    assert_ends(server);
    assert_status(handler_saw, NB_OK);
}

/* A time-out between two requests is no failure; one within a request is. */
static nb_status wait_a_little(nb_conn *conn, void *unused)
{
    (void)unused;
    nb_conn_idle(conn);
    return take_line(conn, nb_after_ms(50));
}

TEST(a_timeout_before_a_request_begins_is_an_orderly_close)
{
    struct server *server = patient_server(wait_a_little, NULL, *state);
    int client = dial(&server->address);

    assert_int_equal(answer(client, ""), 0);
    hang_up_all();
    client = dial(&server->address);
    say(client, ASK, 1);
    assert_int_equal(answer(client, ""), ECONNRESET);
    hang_up_all();
    assert_status(server_finish(server), NB_OK);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_OK);
    assert_status(server_event(server, NB_EVENT_CLOSED, 1).status, NB_TIMEOUT);
}

static int refuse_timers(int fd, int level, int name, const void *value, socklen_t length)
{
    return name == SO_RCVTIMEO ? -EINVAL : real.setsockopt(fd, level, name, value, length);
}

TEST(the_stop_is_reported_when_socket_timers_cannot_be_set)
{
    struct server *server = patient_server(serve_requests, NULL, *state);

    sys.setsockopt = refuse_timers;
    int client = ask_once(server);
    nb_listener_stop(server->listener);
    check_last_answer(server, client, BYE);
}

static int system_calls(void)
{
    return calls(ON_RECV) + calls(ON_SEND) + calls(ON_POLL) + calls(ON_SETSOCKOPT);
}

TEST(nb_conn_idle_costs_no_system_call_per_request)
{
    enum { REQUESTS = 200 };
    struct server *server = patient_server(serve_requests, NULL, *state);
    int client = ask_once(server);
    int before = system_calls();

    for (int i = 0; i < REQUESTS; i++) {
        say(client, ASK, strlen(ASK));
        assert_int_equal(answer_so_far(client, HELLO), 0);
    }
    /* A machine that keeps somebody waiting for longer than 128 ms costs a few more. */
    assert_in_range(system_calls() - before, 2 * REQUESTS - 2, 2 * REQUESTS + REQUESTS / 4);
    nb_listener_stop(server->listener);
    check_last_answer(server, client, BYE);
}

TEST_AS(nb_conn_idle_outside_a_server_does_nothing, IDLE_CASE)
{
    nb_conn *a;
    nb_conn *b;
    size_t got;
    char byte;

    conn_pair(OVER_IPV4, &a, &b);
    int before = calls(ON_SETSOCKOPT);
    nb_conn_idle(NULL);
    nb_conn_idle(a);
    assert_int_equal(calls(ON_SETSOCKOPT), before);
    assert_status(nb_recv(a, &byte, 1, &got, nb_after_ms(1)), NB_TIMEOUT);
    nb_abort(a);
    nb_abort(b);
}

/* --- What says that a server stops --- */

static bool is_readable(nb_fd fd)
{
    struct pollfd entry = {fd, POLLIN, 0};

    return poll(&entry, 1, 0) == 1;
}

TEST_AS(a_stop_can_be_queried_and_polled_for, IDLE_CASE)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_listener *listener;
    nb_conn *conn;

    assert_status(nb_listen(&listener, "127.0.0.1:0", NULL, NULL), NB_OK);
    nb_fd stop = nb_listener_stop_fd(listener);
    assert_false(nb_listener_stopping(listener));
    assert_false(is_readable(stop));
    nb_listener_stop(listener);
    assert_true(nb_listener_stopping(listener));
    assert_true(is_readable(stop));
    assert_status(nb_accept(listener, &conn, plenty(), NULL), NB_CANCELLED);
    assert_true(is_readable(stop));
    options.cancel_fd = &stop;
    assert_status(nb_connect(&conn, "127.0.0.1:1", &options, plenty(), NULL), NB_CANCELLED);
    nb_listener_close(listener);
    assert_false(nb_listener_stopping(NULL));
    assert_int_equal(nb_listener_stop_fd(NULL), -1);
}

TEST(the_stop_descriptor_stays_readable_during_the_drain)
{
    struct server *server = patient_server(wait_for_ever, NULL, *state);

    (void)active_client(server);
    assert_false(is_readable(nb_listener_stop_fd(server->listener)));
    stop_and_drain(server, *state);
    assert_true(is_readable(nb_listener_stop_fd(server->listener)));
    assert_ends(server);
    assert_true(is_readable(nb_listener_stop_fd(server->listener)));
}

/* --- The end of the drain on demand --- */

TEST(nb_listener_stop_now_ends_the_drain)
{
    const struct mode *mode = *state;
    struct server *server = patient_server(wait_for_ever, NULL, mode);

    dial_times(mode->concurrency + 3, &server->address);
    eventually((int)server_counters(server).active == mode->concurrency);
    stop_and_drain(server, *state);
    nb_listener_stop_now(server->listener);
    nb_listener_stop_now(server->listener);
    assert_status(server_wait(server), NB_OK);
    assert_status(handler_saw, NB_CANCELLED);
    assert_counters(server, forced, mode->concurrency, unserved, 3);
}

static nb_listener *_Atomic to_be_stopped;

static void stop_now_from_signal(int number)
{
    (void)number;
    nb_listener_stop_now(to_be_stopped);
}

TEST(a_signal_handler_may_end_the_drain)
{
    struct server *server = patient_server(wait_for_ever, NULL, *state);
    struct sigaction old = dispose(SIGUSR2, stop_now_from_signal, SA_RESTART);

    to_be_stopped = server->listener;
    (void)active_client(server);
    stop_and_drain(server, *state);
    assert_int_equal(pthread_kill(server->thread, SIGUSR2), 0);
    assert_status(server_wait(server), NB_OK);
    assert_status(handler_saw, NB_CANCELLED);
    assert_int_equal(sigaction(SIGUSR2, &old, NULL), 0);
}

TEST(nb_listener_stop_now_skips_the_drain)
{
    struct server *server = patient_server(wait_for_ever, NULL, *state);

    (void)active_client(server);
    nb_listener_stop_now(server->listener);
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(server_counters(server).forced, 1);
    nb_listener_stop_now(NULL);
}

TEST(lingering_ends_with_the_drain)
{
    struct server *server = patient_server(say_hello, NULL, *state);

    (void)dial(&server->address);
    eventually(server_counters(server).lingering == 1);
    stop_and_drain(server, *state);
    nb_listener_stop_now(server->listener);
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(server_counters(server).forced, 0);
}

/* --- A child of fork(2) shares the wakeups --- */

/* The same protocol by a handler that is never idle. */
static nb_status serve_requests_always(nb_conn *conn, void *unused)
{
    nb_status status = NB_OK;

    (void)unused;
    while (status == NB_OK)
        status = serve_one(conn, plenty());
    return status;
}

static void check_undisturbed_by_a_child(nb_handler *handler, const struct mode *mode)
{
    struct server *server = patient_server(handler, NULL, mode);
    int client = ask_once(server);
    int64_t begin;

    stop_in_a_child(server->listener);
    int polls = calls(ON_POLL);
    /* Who spins does nothing else from the first poll on, which comes after 128 ms. */
    for (begin = now_ns(); ms_since(begin) < 400;)
        a_moment();
    assert_in_range(calls(ON_POLL) - polls, 0, 100);
    say(client, ASK, strlen(ASK));
    assert_int_equal(answer_so_far(client, HELLO), 0);
    assert_false(nb_listener_stopping(server->listener));
    assert_rest(client, "");
    nb_listener_stop(server->listener);
    check_all_in_order(server);
}

TEST(a_stop_in_a_forked_child_does_not_disturb_idle_clients)
{
    skip_without_children();
    check_undisturbed_by_a_child(serve_requests_always, *state);
    check_undisturbed_by_a_child(serve_requests, *state);
}

TEST_GROUP(move_to_own_network, NULL)
