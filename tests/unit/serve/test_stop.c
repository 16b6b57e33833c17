/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of how the accept loop ends: stop, drain, signals, also under load. */
#include "listen/listener_internal.h"
#include "servers.h"
#include "sys/sys.h"

#include <sys/mman.h>
#include <sys/wait.h>

/* The number that all processes have, as if each were in a PID namespace of its own. */
static pid_t number_of_all(void)
{
    return 1;
}

/* While set: a server that stops while one of its workers is in accept(2). */
static struct server *_Atomic stopping_in_accept;

/* Gives the thread that serves the time to find the stop out. */
static void stop_in_accept(struct server *server)
{
    nb_deadline until = nb_after_ms(100);

    nb_listener_stop(server->listener);
    while (!nb_expired(until) && !thread_waits(server->tid, FOR_A_LOCK))
        a_moment();
}

static int own_accept(int fd, struct sockaddr *peer, socklen_t *length)
{
    struct server *server = atomic_exchange(&stopping_in_accept, NULL);

    if (server != NULL)
        stop_in_accept(server);
    return real.accept(fd, peer, length);
}

REPLACE(accept, own_accept)

/* Those who come after the loop has looked at the queue, and before it takes anybody. */
static struct latecomers {
    const struct server *_Atomic server; /* NULL: nobody comes */
    int clients[5];
} latecomers;

static void let_latecomers_in(void)
{
    const struct server *server = latecomers.server;

    if (server == NULL || !nb__listener_stopped(server->listener))
        return; /* it is looked at before the stop, too, when all places are taken */
    latecomers.server = NULL;
    for (size_t i = 0; i < COUNT(latecomers.clients); i++)
        latecomers.clients[i] = dial_quietly(&server->address);
}

static int own_queue_length(int fd)
{
    int length = real.queue_length(fd);

    let_latecomers_in();
    return length;
}

REPLACE(queue_length, own_queue_length)

/* The end of a drain that several threads notice: the one that cancels goes on when the others wait for
   that. */
static struct {
    atomic_int others;    /* 0: it goes on at once */
    atomic_int cancelled; /* calls of nb_cancel() */
    atomic_int waits;     /* calls of pthread_cond_wait() */
} many_cancel;

static void many_cancel_begin(int others)
{
    many_cancel.cancelled = many_cancel.waits = 0;
    many_cancel.others = others;
}

static int own_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    atomic_fetch_add(&many_cancel.waits, 1);
    return real.pthread_cond_wait(condition, lock);
}

REPLACE(pthread_cond_wait, own_pthread_cond_wait)

static void own_nb_cancel(nb_conn *conn)
{
    int others = many_cancel.others;

    if (others > 0 && atomic_fetch_add(&many_cancel.cancelled, 1) == 0)
        wait_until(many_cancel.waits >= others);
    real.nb_cancel(conn);
}

REPLACE(nb_cancel, own_nb_cancel)

static int concurrency_of(void **state)
{
    return ((const struct mode *)*state)->concurrency;
}

static void stop_and_drain(struct server *server)
{
    nb_listener_stop(server->listener);
    eventually(server_heard(server, NB_EVENT_DRAINING) == 1);
}

static void run_stopped(struct server *server)
{
    nb_listener_stop(server->listener);
    server_run(server);
}

#define SIGNAL_CASE_FOR_WORKERS(name) SIGNAL_CASE_FOR(name, workers)
#define TEST(name) TEST_AS(name, NET_CASE_FOR_BOTH)

/* --- The stop --- */

TEST(a_stop_ends_a_waiting_server)
{
    struct server *server = run_server_with(say_hello, *state, .at = "localhost:0");
    int64_t begin = now_ns();

    assert_status(server_stop(server), NB_OK);
    assert_in_range(ms_since(begin), 0, PATIENCE_MS);
    assert_int_equal(calls(ON_QUEUE_LENGTH), 2); /* each socket is asked once */
    assert_int_equal(server_heard(server, NB_EVENT_DRAINING), 1);
    assert_int_equal(server->events[server->event_count - 1].kind, NB_EVENT_STOPPED);
}

TEST_AS(a_stop_ends_a_server_with_idle_workers, NET_CASE)
{
    struct server *server = run_server(say_hello_later, NULL, &workers);
    int clients[8];

    dial_all(clients, &server->address);
    eventually(gate_waiting() == COUNT(clients));
    gate_open();
    assert_all_greeted(clients);
    assert_status(server_finish(server), NB_OK);
    assert_true(calls(ON_PTHREAD_CREATE) > (int)COUNT(clients));
    assert_int_equal(calls(ON_PTHREAD_JOIN), calls(ON_PTHREAD_CREATE));
}

TEST(a_stop_before_the_start_is_not_lost)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, *state);

    run_stopped(server);
    assert_status(server_wait(server), NB_OK);
    assert_heard(server, LISTENING, 1, DRAINING, 1);
    assert_int_equal(server_heard(server, NB_EVENT_STOPPED), 1);
}

/* Runs a server that is stopped already. */
static void check_served_after_the_stop(struct server *server, const int *clients, size_t count)
{
    run_stopped(server);
    assert_each_greeted(clients, count);
    assert_ends(server);
    assert_int_equal(server_counters(server).accepted, count);
}

TEST(clients_queued_before_a_stop_that_precedes_the_start_are_served)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, *state);
    int clients[20];

    dial_all(clients, &server->address);
    check_served_after_the_stop(server, clients, COUNT(clients));
}

TEST(many_stops_act_as_one)
{
    struct server *server = run_server(say_hello, NULL, *state);

    for (int i = 0; i < 1000; i++)
        nb_listener_stop(server->listener);
    assert_status(server_wait(server), NB_OK);
    nb_listener_stop(server->listener);
    assert_int_equal(server_heard(server, NB_EVENT_DRAINING), 1);
}

static void stop_it(void *argument)
{
    struct server *server = argument;

    for (int i = 0; i < 100; i++)
        nb_listener_stop(server->listener);
}

TEST(several_threads_may_stop)
{
    struct server *server = run_server(say_hello, NULL, *state);
    struct task tasks[4];

    for (size_t i = 0; i < COUNT(tasks); i++)
        task_start(&tasks[i], stop_it, server);
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_join(&tasks[i]);
    assert_status(server_wait(server), NB_OK);
}

static nb_status hello_and_stop(nb_conn *conn, void *argument)
{
    struct server *server = argument;

    nb_listener_stop(server->listener);
    say_hello(conn, NULL);
    return NB_OK;
}

TEST(a_handler_may_stop_the_server_and_finish)
{
    struct server *server = server_new("127.0.0.1:0", hello_and_stop, *state);

    server->context = server;
    server_run(server);
    assert_serves(server, 1);
    assert_ends(server);
}

static _Atomic nb_event_kind stopping_kind;

static void stop_at_that(const nb_event *event, void *context)
{
    struct server *server = context;

    if (event->kind == stopping_kind)
        nb_listener_stop(server->listener);
}

static void check_stop_at(nb_event_kind kind, const struct mode *mode)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, mode);
    int client = dial(&server->address);

    stopping_kind = kind;
    server->also = stop_at_that;
    server_run(server);
    assert_int_equal(answer(client, HELLO), 0);
    hang_up(client);
    if (kind == NB_EVENT_STOPPED)
        nb_listener_stop(server->listener);
    assert_status(server_wait(server), NB_OK);
}

TEST(an_event_callback_may_stop_the_server)
{
    check_stop_at(NB_EVENT_LISTENING, *state);
    check_stop_at(NB_EVENT_ACCEPTED, *state);
    check_stop_at(NB_EVENT_CLOSED, *state);
    check_stop_at(NB_EVENT_STOPPED, *state);
}

TEST_AS(a_stop_while_a_worker_accepts_ends_the_server, NET_CASE)
{
    struct server *server = run_server(say_hello, NULL, &workers);

    stopping_in_accept = server;
    assert_serves(server, 1);
    assert_ends(server);
}

static nb_listener *_Atomic to_be_stopped;

static void stop_from_signal(int number)
{
    (void)number;
    nb_listener_stop(to_be_stopped);
}

TEST(a_signal_handler_may_stop_the_server)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, *state);
    struct sigaction old = dispose(SIGUSR2, stop_from_signal, SA_RESTART);

    to_be_stopped = server->listener;
    server_run(server);
    eventually(thread_waits(server->tid, FOR_EVENTS));
    assert_int_equal(pthread_kill(server->thread, SIGUSR2), 0);
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(sigaction(SIGUSR2, &old, NULL), 0);
}

static void do_nothing(int number)
{
    (void)number;
}

TEST(signals_do_not_disturb_handlers)
{
    struct sigaction old = dispose(SIGUSR2, do_nothing, 0); /* system calls are not restarted */
    struct server *server = run_server(echo, NULL, *state);
    int client = dial(&server->address);

    for (int i = 0; i < 50; i++) {
        raw_send_text(client, "round");
        assert_int_equal(pthread_kill(server->thread, SIGUSR2), 0);
        raw_recv(client, (char[5]){0}, 5);
        assert_int_equal(pthread_kill(server->thread, SIGUSR2), 0);
    }
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(sigaction(SIGUSR2, &old, NULL), 0);
}

/* --- The drain --- */

TEST(handlers_may_finish_during_the_drain)
{
    struct server *server = run_server(say_hello_later, NULL, *state);
    int client = client_at_the_gate(server);

    stop_and_open_gate(server);
    assert_ends_with(server, client);
    assert_int_equal(server_counters(server).forced, 0);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_OK);
}

TEST(conversations_continue_during_the_drain)
{
    struct server *server = run_server(echo, NULL, *state);
    int client = dial(&server->address);

    assert_echoes(client, "before");
    nb_listener_stop(server->listener);
    for (int i = 0; i < 10; i++)
        assert_echoes(client, "during");
    assert_rest(client, "");
    assert_status(server_wait(server), NB_OK);
}

/* connection_ms is 0 for the default. */
static void check_cut_off_within(int64_t connection_ms, nb_handler *handler,
                                 const struct mode *mode, int clients)
{
    struct server *server =
        run_server_with(handler, mode, .drain_ms = 100, .connection_ms = connection_ms);
    int fds[16];

    dial_each(fds, (size_t)clients, &server->address);
    eventually(server_counters(server).active == (uint64_t)clients);
    int64_t begin = now_ns();
    nb_listener_stop(server->listener);
    for (int i = 0; i < clients; i++)
        assert_int_equal(raw_ending(fds[i], NULL), ECONNRESET);
    assert_status(server_wait(server), NB_OK);
    assert_in_range(ms_since(begin), 100, 5000);
    assert_status(handler_saw, NB_CANCELLED);
    assert_counters(server, forced, clients, active, 0);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_CANCELLED);
}

TEST(handlers_that_wait_forever_are_cut_off_when_the_drain_ends)
{
    check_cut_off_within(0, wait_for_ever, *state, concurrency_of(state) == 1 ? 1 : 16);
}

TEST(handlers_that_retry_timeouts_are_cut_off_when_the_drain_ends)
{
    check_cut_off_within(0, retry_timeouts, *state, 1);
}

TEST(handlers_blocked_in_a_send_are_cut_off_when_the_drain_ends)
{
    check_cut_off_within(0, send_for_ever, *state, 1);
}

/* Neither their deadline nor the life of their connection ends the wait. */
TEST(handlers_without_any_time_limit_are_cut_off_when_the_drain_ends)
{
    check_cut_off_within(NB_NO_LIMIT, wait_for_ever, *state, 1);
    check_cut_off_within(NB_NO_LIMIT, send_for_ever, *state, 1);
}

/* The shortest drain there is: everything is over as soon as somebody looks. */
TEST(a_drain_of_one_millisecond_ends_at_once)
{
    struct server *server = run_server_with(wait_for_ever, *state, .drain_ms = 1);

    (void)active_client(server);
    assert_status(server_stop(server), NB_OK);
    assert_status(handler_saw, NB_CANCELLED);
    assert_int_equal(server_counters(server).forced, 1);
}

TEST(a_drain_without_limit_waits_for_the_handlers)
{
    struct server *server = run_server_with(echo, *state, .drain_ms = NB_NO_LIMIT);
    int client = dial(&server->address);

    assert_echoes(client, HELLO);
    nb_listener_stop(server->listener);
    assert_echoes(client, HELLO);
    assert_false(server->ended);
    assert_rest(client, "");
    assert_status(server_wait(server), NB_OK);
}

/* The gate is a handler's own code: the library cannot cut it short. */
TEST_AS(a_handler_running_its_own_code_is_waited_for, NET_CASE)
{
    struct server *server = run_server_with(say_hello_later, &workers, .drain_ms = 20);
    int client = client_at_the_gate(server);

    nb_listener_stop(server->listener);
    eventually(server_counters(server).forced == 1);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    assert_false(server->ended);
    gate_open();
    assert_status(server_wait(server), NB_OK);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_CANCELLED);
}

static nb_conn *_Atomic cancelled_before;

/* The first connection is cancelled by the program, and its handler takes its time nevertheless. */
static nb_status wait_at_the_gate_or_for_ever(nb_conn *conn, void *unused)
{
    nb_conn *none = NULL;

    if (atomic_compare_exchange_strong(&cancelled_before, &none, conn))
        gate_pass();
    else
        wait_for_ever(conn, unused);
    return NB_OK;
}

TEST_AS(a_connection_cancelled_before_is_not_counted_as_forced, NET_CASE)
{
    struct server *server = run_server_with(wait_at_the_gate_or_for_ever, &workers, .drain_ms = 20);

    cancelled_before = NULL;
    (void)client_at_the_gate(server);
    nb_cancel(cancelled_before);
    int client = dial(&server->address);
    eventually(server_counters(server).active == 2);
    nb_listener_stop(server->listener);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    gate_open();
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(server_counters(server).forced, 1);
}

TEST(lingering_connections_are_waited_for_until_the_drain_ends)
{
    struct server *server = run_server_with(say_hello, *state, .drain_ms = 100);

    (void)lingering_client(server);
    int64_t begin = now_ns();
    assert_status(server_stop(server), NB_OK);
    assert_in_range(ms_since(begin), 100, 5000);
    assert_int_equal(server_counters(server).lingering, 0);
    assert_int_equal(server_heard(server, NB_EVENT_CLOSED), 1);
}

TEST(lingering_connections_may_end_during_the_drain)
{
    struct server *server = run_server(say_hello, NULL, *state);

    (void)lingering_client(server);
    stop_and_drain(server);
    assert_ends(server);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_OK);
}

/* A handler of the drain may be the last to speak to a peer that sends more than it reads. */
TEST(unread_input_does_not_cost_the_reply_during_the_drain)
{
    struct server *server = run_server(say_hello_later, NULL, *state);
    static const char much[30000];
    int client = client_at_the_gate(server);

    say(client, much, sizeof(much));
    stop_and_open_gate(server);
    assert_ends_with(server, client);
}

/* --- Those who wait in the queue --- */

/* A server whose handlers are all at the gate, with so many more clients in its queue. */
static struct server *full_server(void **state, int *clients, int waiting)
{
    struct mode few = {concurrency_of(state) == 1 ? 1 : 2};
    struct server *server = run_server(say_hello_later, NULL, &few);

    dial_to_the_gate(few.concurrency, server);
    for (int i = 0; i < waiting; i++)
        clients[i] = dial(&server->address);
    return server;
}

static void check_all_served(struct server *server, const int *clients, size_t count)
{
    stop_and_open_gate(server);
    assert_each_greeted(clients, count);
    assert_ends(server);
}

TEST(clients_in_the_accept_queue_are_served_after_the_stop)
{
    int clients[10];
    struct server *server = full_server(state, clients, COUNT(clients));

    check_all_served(server, clients, COUNT(clients));
    assert_int_equal(server_counters(server).unserved, 0);
    assert_heard(server, ACCEPTED, server_counters(server).accepted, CLOSED,
                 server_counters(server).accepted);
}

TEST(the_concurrency_limit_holds_during_the_drain)
{
    int clients[10];
    struct server *server = full_server(state, clients, COUNT(clients));

    check_all_served(server, clients, COUNT(clients));
    assert_int_equal(server_counters(server).peak, concurrency_of(state) == 1 ? 1 : 2);
}

/* Who is taken out of the queue of the stop is admitted like others: one peer does not get all workers. */
TEST(max_per_peer_holds_during_the_drain)
{
    struct mode few = {concurrency_of(state) == 1 ? 1 : 4};
    struct server *server = server_new("127.0.0.1:0", say_hello_later, &few);

    server->options.max_per_peer = 2;
    dial_times(5, &server->address);
    int other = dial_from("127.0.0.2:0", &server->address);
    run_stopped(server);
    gate_open();
    assert_int_equal(answer(other, HELLO), 0);
    eventually(server_counters(server).refused == 3); /* the first two linger */
    assert_ends(server);
    assert_counters(server, accepted, 3, unserved, 0);
    assert_int_equal(server_heard(server, NB_EVENT_REFUSED), 3);
}

/* They are served one after the other, so that the peer never has more than one. */
TEST_AS(max_per_peer_does_not_count_connections_queued_at_the_stop, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &sequential);
    int clients[3];

    server->options.max_per_peer = 1;
    server->options.linger_ms = NB_NO_LINGER;
    dial_all(clients, &server->address);
    run_stopped(server);
    assert_all_greeted(clients);
    assert_status(server_wait(server), NB_OK);
    assert_counters(server, accepted, COUNT(clients), refused, 0);
}

TEST_AS(more_workers_start_for_connections_queued_at_the_stop, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello_later, &workers);

    dial_times(10, &server->address);
    run_stopped(server);
    eventually(gate_waiting() == 10);
}

/* The errors of accept mean the same after the stop. The two that were lost are of those in the queue. */
TEST(a_lost_connection_at_the_stop_does_not_affect_the_others)
{
    int clients[5];
    struct server *server = full_server(state, clients, COUNT(clients));

    fail_next(ON_ACCEPT, ECONNABORTED, 2);
    stop_and_open_gate(server);
    for (size_t i = 0; i < COUNT(clients) - 2; i++)
        assert_int_equal(answer(clients[i], HELLO), 0);
    assert_ends(server);
    assert_int_equal(server_counters(server).lost_accepts, 2);
}

TEST(endless_lost_connections_at_the_stop_end_with_the_queue)
{
    skip_under_qemu("TCP_INFO is cut short");
    struct server *server = server_new("127.0.0.1:0", say_hello, *state);

    server->options.drain_ms = NB_NO_LIMIT;
    for (int i = 0; i < 70; i++) /* so many that there is a pause */
        (void)dial(&server->address);
    nb_listener_stop(server->listener);
    fail_next(ON_ACCEPT, ECONNABORTED, -1);
    server_run(server);
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(server_counters(server).lost_accepts, 70);
}

TEST(an_interrupted_accept_at_the_stop_loses_no_client)
{
    int clients[5];
    struct server *server = full_server(state, clients, COUNT(clients));

    fail_next(ON_ACCEPT, EINTR, 2);
    check_all_served(server, clients, COUNT(clients));
}

TEST(a_shortage_at_the_stop_loses_no_client)
{
    int clients[5];
    struct server *server = full_server(state, clients, COUNT(clients));

    fail_next(ON_ACCEPT, EMFILE, 2);
    check_all_served(server, clients, COUNT(clients));
    assert_int_equal(server_counters(server).unserved, 0);
}

/* What accept does all the time until the drain is over: those in the queue are not forgotten. */
static void check_unserved_after(int error, const struct mode *mode)
{
    struct server *server = server_new("localhost:0", say_hello, mode);
    nb_address v6 = address_of(host_at("[::1]", &server->address));
    int clients[4];

    for (size_t i = 0; i < COUNT(clients); i++)
        clients[i] = dial(i == 0 ? &v6 : &server->address);
    server->options.drain_ms = 100;
    nb_listener_stop(server->listener);
    fail_next(ON_ACCEPT, error, -1);
    server_run(server);
    assert_status(server_wait(server), NB_OK);
    assert_all_reset(clients);
    assert_counters(server, accepted, 0, unserved, COUNT(clients));
    fail_next(ON_ACCEPT, 0, 0);
}

TEST(connections_not_accepted_before_the_drain_ends_are_counted)
{
    skip_under_qemu("TCP_INFO is cut short");
    check_unserved_after(EMFILE, *state);
}

TEST(endless_signals_do_not_extend_the_drain)
{
    skip_under_qemu("TCP_INFO is cut short");
    check_unserved_after(EINTR, *state);
}

TEST(connections_in_a_queue_of_unknown_length_are_served)
{
    int clients[5];
    struct server *server = full_server(state, clients, COUNT(clients));

    fail_next(ON_QUEUE_LENGTH, EOPNOTSUPP, -1);
    check_all_served(server, clients, COUNT(clients));
}

static struct server *unix_server(const struct mode *mode)
{
    char where[64];

    (void)snprintf(where, sizeof(where), "unix:@netbasics-stop-%ld", (long)getpid());
    return server_new(where, say_hello, mode);
}

/* A Unix socket that is shut lets nobody in any more: all who are in are taken, however many. */
TEST(the_whole_accept_queue_of_a_unix_socket_is_served)
{
    struct server *server = unix_server(*state);
    int clients[3];

    dial_all(clients, &server->address);
    fail_next(ON_QUEUE_LENGTH, -1, -1); /* asked for it, the system tells of one */
    check_served_after_the_stop(server, clients, COUNT(clients));
}

/* Accepted and closed, so that they could be counted, they would see an end. */
TEST(unix_clients_not_accepted_before_the_drain_ends_are_reset)
{
    struct server *server = unix_server(*state);
    int clients[3];

    dial_all(clients, &server->address);
    server->options.drain_ms = 100;
    nb_listener_stop(server->listener);
    /* After pauses of 5, 10, 20 and 40 ms there is no time for a sixth try. */
    fail_next(ON_ACCEPT, EMFILE, 5);
    server_run(server);
    assert_all_reset(clients);
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(server_counters(server).accepted, 0);
}

/* Not one too many, not one too few; and who is not served is told so at once, although it believes
   to be connected and may wait to be spoken to. */
TEST(a_stop_serves_the_queued_clients_and_resets_later_ones)
{
    skip_under_qemu("TCP_INFO is cut short");
    int clients[3];
    struct server *server = full_server(state, clients, COUNT(clients));
    uint64_t before = server_counters(server).accepted;

    latecomers.server = server;
    stop_and_open_gate(server);
    assert_all_greeted(clients);
    for (size_t i = 0; i < COUNT(latecomers.clients); i++) {
        assert_true(latecomers.clients[i] >= 0);
        assert_int_equal(raw_ending(latecomers.clients[i], NULL), ECONNRESET);
        raw_close(latecomers.clients[i]);
    }
    assert_ends(server);
    assert_counters(server, accepted, before + COUNT(clients), unserved, 0);
}

/* Those of one socket do not take the places of those of another. */
TEST(each_accept_queue_is_drained_separately)
{
    skip_under_qemu("TCP_INFO is cut short");
    struct server *server = server_new("localhost:0", say_hello, *state);
    nb_address v6 = address_of(host_at("[::1]", &server->address));
    int clients[10];

    for (size_t i = 0; i < COUNT(clients); i++)
        clients[i] = dial(i % 5 == 4 ? &v6 : &server->address);
    latecomers.server = server;
    run_stopped(server);
    assert_all_greeted(clients);
    for (size_t i = 0; i < COUNT(latecomers.clients); i++)
        raw_close(latecomers.clients[i]);
    assert_ends(server);
    assert_int_equal(server_counters(server).accepted, COUNT(clients));
}

TEST(connections_not_served_when_the_drain_ends_are_reset_and_counted)
{
    struct mode few = {concurrency_of(state) == 1 ? 1 : 2};
    struct server *server = run_server_with(wait_for_ever, &few, .drain_ms = 100);
    int clients[3];

    dial_times(few.concurrency, &server->address);
    eventually(server_counters(server).active == (uint64_t)few.concurrency);
    dial_all(clients, &server->address);
    nb_listener_stop(server->listener);
    assert_all_reset(clients);
    assert_status(server_wait(server), NB_OK);
    assert_counters(server, unserved, COUNT(clients), forced, few.concurrency);
    /* They were never admitted: nothing else is told of them. */
    assert_int_equal(server_counters(server).accepted, few.concurrency);
    assert_heard(server, ACCEPTED, few.concurrency, CLOSED, few.concurrency);
}

static void *send_without_end(void *conn)
{
    static const char bytes[65536];

    while (nb_send_all(conn, bytes, sizeof(bytes), NULL, nb_forever()) == NB_OK)
        ;
    return NULL;
}

/* One thread receives, another one sends; both are stuck. */
static nb_status wait_in_both_directions(nb_conn *conn, void *unused)
{
    pthread_t sender;
    bool started = pthread_create(&sender, NULL, send_without_end, conn) == 0;

    wait_for_ever(conn, unused);
    if (started)
        (void)pthread_join(sender, NULL);
    return NB_OK;
}

TEST_AS(a_connection_cut_off_by_two_threads_is_counted_once, NET_CASE)
{
    many_cancel_begin(1);
    struct server *server = run_server_with(wait_in_both_directions, &sequential, .drain_ms = 20);
    int client = active_client(server);
    assert_status(server_stop(server), NB_OK);
    many_cancel.others = 0;
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    assert_status(handler_saw, NB_CANCELLED);
    assert_int_equal(many_cancel.cancelled, 1);
    assert_int_equal(server_counters(server).forced, 1);
}

static void receive_in_vain(void *conn)
{
    size_t count;
    char byte;

    if (nb_recv(conn, &byte, 1, &count, nb_forever()) == NB_OK)
        abort();
}

/* Begins when the handler waits to end its connection. */
static void receive_late_in_vain(void *conn)
{
    wait_until(many_cancel.waits >= 1);
    receive_in_vain(conn);
}

static nb_conn *connect_tied(const nb_address *to, nb_conn *tie)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_conn *conn;

    options.tie = tie;
    if (nb_connect(&conn, nb_address_format(to, endpoint, sizeof(endpoint)), &options, plenty(),
                   NULL) != NB_OK)
        abort();
    return conn;
}

/* One thread cancels the connection, the handler waits to end it, and then another thread waits, too. */
static nb_status end_while_others_cancel(nb_conn *conn, void *to)
{
    nb_conn *tied[2] = {connect_tied(to, conn), connect_tied(to, conn)};
    struct task tasks[2];

    gate_pass();
    task_start(&tasks[0], receive_in_vain, tied[0]);
    wait_until(many_cancel.cancelled >= 1);
    task_start(&tasks[1], receive_late_in_vain, tied[1]);
    nb_abort(conn);
    for (size_t i = 0; i < COUNT(tied); i++) {
        task_join(&tasks[i]);
        nb_abort(tied[i]);
    }
    return NB_OK;
}

/* Which of the two goes on first is up to the system. */
TEST_AS(a_handler_may_end_a_connection_that_is_being_cut_off, NET_CASE)
{
    nb_address address;

    (void)bare_listener("127.0.0.1:0", 64, &address);
    for (int i = 0; i < 16; i++) {
        struct server *server = server_new("127.0.0.1:0", end_while_others_cancel, &sequential);

        server->context = &address;
        server->options.drain_ms = 20;
        server_run(server);
        (void)client_at_the_gate(server);
        many_cancel_begin(2);
        nb_listener_stop(server->listener);
        gate_open_for(1);
        assert_status(server_wait(server), NB_OK);
        many_cancel.others = 0;
        assert_int_equal(server_counters(server).forced, 1);
        server_free(server);
    }
}

TEST_AS(no_new_connections_are_accepted_during_the_drain, NET_CASE)
{
    struct server *server = run_server_with(say_hello_later, &workers, .at = "localhost:0");
    nb_address v6 = address_of(host_at("[::1]", &server->address));
    int client = client_at_the_gate(server);

    stop_and_drain(server);
    eventually(dial_quietly(&server->address) == -ECONNREFUSED);
    eventually(dial_quietly(&v6) == -ECONNREFUSED);
    gate_open();
    assert_int_equal(answer(client, HELLO), 0);
    hang_up(client);
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(server_counters(server).accepted, 1);
}

/* --- Under load --- */

/* Clients that come and go as fast as they can. A connection counts as lost when it was known to be
   complete before the stop, as the other end had acknowledged a byte, and did not get its whole
   answer; one that looks whole and is not is a lie; one that hears nothing at all hangs. */
struct load {
    nb_address address;
    _Atomic int64_t stopped_at;
    atomic_int answered;
    atomic_int lost;
    atomic_int lies;
    atomic_int hung;
};

static void come_and_go(void *argument)
{
    struct load *load = argument;

    while (load->stopped_at == 0) {
        int fd = dial_quietly(&load->address);

        if (fd < 0)
            continue;
        /* A reset is told once: after a send that was told, recv() would see a mere end. */
        int ending = send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
        bool complete = ending == 0 && is_acknowledged(fd) && load->stopped_at == 0;
        if (ending == 0)
            ending = answer(fd, HELLO);
        close(fd);
        load->answered += ending == 0;
        load->lies += ending == -1;
        load->hung += ending == EAGAIN;
        load->lost += complete && ending != 0;
    }
}

/* Half a millisecond of work, so that there is always somebody in the queue. */
static nb_status work_and_say_hello(nb_conn *conn, void *unused)
{
    a_moment();
    say_hello(conn, unused);
    return NB_OK;
}

static void one_round_under_load(const struct mode *mode, struct load *load)
{
    struct server *server = server_new("127.0.0.1:0", work_and_say_hello, mode);
    static struct task tasks[8];
    int enough = load->answered + 40;

    load->address = server->address;
    load->stopped_at = 0;
    server_run(server);
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_start(&tasks[i], come_and_go, load);
    eventually(load->answered >= enough);
    int64_t begin = now_ns();
    load->stopped_at = begin;
    assert_status(server_stop(server), NB_OK);
    assert_in_range(ms_since(begin), 0, 5000);
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_join(&tasks[i]);
    assert_int_equal(server_counters(server).unserved, 0);
    server_free(server);
}

TEST(a_stop_under_load_loses_no_complete_connection)
{
    struct mode few = {concurrency_of(state) == 1 ? 1 : 3};
    static struct load load;

    memset(&load, 0, sizeof(load));
    for (int round = 0; round < 20; round++)
        one_round_under_load(&few, &load);
    assert_int_equal(load.lost, 0);
    assert_int_equal(load.lies, 0);
    assert_int_equal(load.hung, 0);
}

/* --- Signals, for those who ask for them --- */

static atomic_int own_signals;

static void count_own(int number)
{
    (void)number;
    own_signals++;
}

static struct sigaction disposition_of(int number)
{
    struct sigaction action;

    assert_int_equal(sigaction(number, NULL, &action), 0);
    return action;
}

static sigset_t mask_before;

static int signals_case_begin(void **state)
{
    own_signals = 0;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask_before), 0);
    return net_case_begin(state);
}

static int signals_case_end(void **state)
{
    int failed = net_case_end(state);

    (void)dispose(SIGINT, SIG_IGN, 0); /* drops those that are pending */
    (void)dispose(SIGTERM, SIG_IGN, 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mask_before, NULL), 0);
    (void)dispose(SIGINT, SIG_DFL, 0);
    (void)dispose(SIGTERM, SIG_DFL, 0);
    return failed;
}

#define SIGNAL_CASE_FOR(name, mode) CASE_WITH(name, mode, signals_case_begin, signals_case_end)
#define SIGNAL_CASE_FOR_BOTH(name) SIGNAL_CASE_FOR(name, sequential), SIGNAL_CASE_FOR(name, workers)

static void check_stops_at(int number, struct server *server)
{
    assert_int_equal(raise(number), 0);
    assert_status(server_wait(server), NB_OK);
}

static struct server *signalled_server(nb_handler *handler, void **state)
{
    return run_server_with(handler, *state, .stop_on_signals = true);
}

static void check_killed(int number, struct server *server)
{
    assert_int_equal(kill(getpid(), number), 0);
    assert_status(server_wait(server), NB_OK);
}

TEST_AS(sigterm_stops_a_server_with_stop_on_signals, SIGNAL_CASE_FOR_BOTH)
{
    check_killed(SIGTERM, signalled_server(say_hello, state));
}

TEST_AS(sigint_stops_a_server_with_stop_on_signals, SIGNAL_CASE_FOR_BOTH)
{
    check_killed(SIGINT, signalled_server(say_hello, state));
}

TEST_AS(a_signal_to_the_serving_thread_stops_the_server, SIGNAL_CASE_FOR_BOTH)
{
    struct server *server = signalled_server(say_hello, state);

    eventually(thread_waits(server->tid, FOR_EVENTS));
    assert_int_equal(pthread_kill(server->thread, SIGTERM), 0);
    assert_status(server_wait(server), NB_OK);
}

TEST_AS(a_conversation_continues_after_the_signal, SIGNAL_CASE_FOR_BOTH)
{
    struct server *server = signalled_server(echo, state);
    int client = dial(&server->address);

    assert_echoes(client, "before");
    assert_int_equal(pthread_kill(server->thread, SIGTERM), 0);
    assert_echoes(client, "during");
    assert_rest(client, "");
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(server_counters(server).forced, 0);
}

/* As whoever starts a program may leave them. */
static void block_signals(void)
{
    sigset_t both;

    (void)sigemptyset(&both);
    (void)sigaddset(&both, SIGINT);
    (void)sigaddset(&both, SIGTERM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &both, NULL), 0);
}

TEST_AS(signals_blocked_in_every_thread_still_stop_the_server, SIGNAL_CASE_FOR_BOTH)
{
    static const int numbers[] = {SIGTERM, SIGINT};

    block_signals();
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct server *server = signalled_server(say_hello, state);

        assert_serves(server, 1);
        hang_up_all();
        check_killed(numbers[i], server);
        assert_true(server->mask_kept);
        server_free(server);
    }
}

TEST_AS(a_signal_during_a_handler_that_blocks_it_stops_afterwards, SIGNAL_CASE_FOR_BOTH)
{
    block_signals();
    struct server *server = signalled_server(say_hello_later, state);
    int client = client_at_the_gate(server);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    gate_open();
    assert_ends_with(server, client);
    assert_true(server->mask_kept);
}

/* What the program has blocked is its own affair where it has not asked for a stop. */
TEST_AS(a_server_without_stop_on_signals_unblocks_no_signal, SIGNAL_CASE_FOR_BOTH)
{
    sigset_t pending;

    block_signals();
    (void)dispose(SIGTERM, count_own, 0);
    struct server *server = run_server(say_hello, NULL, *state);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_serves(server, 1);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(own_signals, 0);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGTERM), 1);
}

TEST_AS(the_old_signal_dispositions_are_restored, SIGNAL_CASE_FOR_BOTH)
{
    (void)dispose(SIGTERM, count_own, SA_NODEFER);
    (void)dispose(SIGINT, SIG_DFL, 0);
    struct server *server = signalled_server(say_hello, state);
    assert_true(disposition_of(SIGTERM).sa_handler != count_own);
    assert_status(server_stop(server), NB_OK);
    assert_true(disposition_of(SIGTERM).sa_handler == count_own);
    assert_int_equal(disposition_of(SIGTERM).sa_flags & SA_NODEFER, SA_NODEFER);
    assert_true(disposition_of(SIGINT).sa_handler == SIG_DFL);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(own_signals, 1);
}

TEST_AS(a_disposition_set_by_the_program_meanwhile_is_kept, SIGNAL_CASE_FOR_BOTH)
{
    struct server *server = signalled_server(say_hello, state);

    (void)dispose(SIGINT, count_own, SA_NODEFER);
    assert_int_equal(raise(SIGINT), 0);
    assert_status(server_stop(server), NB_OK);
    assert_true(disposition_of(SIGINT).sa_handler == count_own);
    assert_int_equal(disposition_of(SIGINT).sa_flags & SA_NODEFER, SA_NODEFER);
    assert_true(disposition_of(SIGTERM).sa_handler == SIG_DFL);
    assert_int_equal(raise(SIGINT), 0);
    assert_int_equal(own_signals, 2);
}

/* As a program does that saves what it finds, sets its own for a while, and puts the old back. */
TEST_AS(a_signal_handler_reinstalled_after_the_end_swallows_no_signal, SIGNAL_CASE_FOR_BOTH)
{
    (void)dispose(SIGTERM, count_own, 0);
    struct server *server = signalled_server(say_hello, state);
    struct sigaction found = disposition_of(SIGTERM);
    assert_status(server_stop(server), NB_OK);
    assert_int_equal(sigaction(SIGTERM, &found, NULL), 0);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(own_signals, 1);
    assert_true(disposition_of(SIGTERM).sa_handler == count_own);
}

#define ALTERNATE_STACK_SIZE ((size_t)256 << 10)

static void raise_with_an_alternate_stack(void *memory)
{
    stack_t alternate = {.ss_sp = memory, .ss_size = ALTERNATE_STACK_SIZE};
    stack_t none = {.ss_flags = SS_DISABLE};
    sigset_t open;

    (void)sigemptyset(&open);
    (void)pthread_sigmask(SIG_SETMASK, &open, NULL);
    if (sigaltstack(&alternate, NULL) == 0)
        (void)raise(SIGTERM);
    (void)sigaltstack(&none, NULL);
}

/* Threads may have too little stack for a signal: it is handled where they say. */
TEST_AS(a_signal_is_handled_on_the_alternate_stack_of_its_thread, SIGNAL_CASE_FOR_BOTH)
{
    static char memory[ALTERNATE_STACK_SIZE];
    size_t used = 0;
    struct task task;

    skip_under_valgrind("a thread that changes its stack writes where nothing was");
    memset(memory, 0, sizeof(memory));
    struct server *server = signalled_server(say_hello, state);
    task_start(&task, raise_with_an_alternate_stack, memory);
    task_join(&task);
    assert_status(server_wait(server), NB_OK);
    for (size_t i = 0; i < sizeof(memory); i++)
        used += memory[i] != 0;
    assert_true(used > 0);
}

TEST_AS(an_ignored_signal_remains_ignored, SIGNAL_CASE_FOR_BOTH)
{
    (void)dispose(SIGINT, SIG_IGN, 0);
    struct server *server = signalled_server(say_hello, state);
    assert_true(disposition_of(SIGINT).sa_handler == SIG_IGN);
    assert_int_equal(raise(SIGINT), 0);
    assert_serves(server, 1);
    assert_int_equal(server_heard(server, NB_EVENT_DRAINING), 0);
    hang_up_all();
    check_stops_at(SIGTERM, server);
    assert_true(disposition_of(SIGINT).sa_handler == SIG_IGN);
}

TEST_AS(its_signal_handlers_restart_system_calls_and_keep_errno, SIGNAL_CASE_FOR_BOTH)
{
    struct server *server = signalled_server(say_hello, state);

    assert_int_equal(disposition_of(SIGTERM).sa_flags & SA_RESTART, SA_RESTART);
    assert_int_equal(disposition_of(SIGINT).sa_flags & SA_RESTART, SA_RESTART);
    errno = E2BIG;
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(errno, E2BIG);
    assert_status(server_wait(server), NB_OK);
}

TEST_AS(a_server_without_stop_on_signals_leaves_dispositions_unchanged, SIGNAL_CASE_FOR_BOTH)
{
    (void)dispose(SIGTERM, count_own, 0);
    struct server *server = run_server(say_hello, NULL, *state);
    assert_true(disposition_of(SIGTERM).sa_handler == count_own);
    assert_true(disposition_of(SIGINT).sa_handler == SIG_DFL);
    assert_true(disposition_of(SIGPIPE).sa_handler == SIG_DFL);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(own_signals, 1);
    assert_status(server_stop(server), NB_OK);
    assert_int_equal(server_heard(server, NB_EVENT_DRAINING), 1);
}

TEST_AS(only_one_server_of_a_process_can_have_stop_on_signals, SIGNAL_CASE_FOR_BOTH)
{
    struct server *server = signalled_server(say_hello, state);
    struct server *other = server_new("127.0.0.1:0", say_hello, *state);
    struct server *silent = server_new("127.0.0.1:0", say_hello, *state);
    nb_error err;

    other->options.stop_on_signals = true;
    assert_status(nb_serve(other->listener, say_hello, NULL, &other->options, &err), NB_INVALID);
    assert_status(err.status, NB_INVALID);
    assert_non_null(strstr(err.message, "stop_on_signals"));
    server_run(silent);
    check_stops_at(SIGTERM, server);
    assert_false(silent->ended);
    server_run(other); /* nothing was done to it, and the signals are free again */
    check_stops_at(SIGTERM, other);
}

TEST_AS(servers_may_use_stop_on_signals_one_after_another, SIGNAL_CASE_FOR_BOTH)
{
    for (int i = 0; i < 10; i++) {
        struct server *server = signalled_server(say_hello, state);

        check_stops_at(i % 2 == 0 ? SIGTERM : SIGINT, server);
        server_free(server);
    }
}

TEST_AS(a_storm_of_signals_is_one_stop, SIGNAL_CASE_FOR_BOTH)
{
    struct server *server = signalled_server(say_hello_later, state);
    int client = client_at_the_gate(server);

    for (int i = 0; i < 200; i++)
        assert_int_equal(kill(getpid(), i % 2 == 0 ? SIGTERM : SIGINT), 0);
    gate_open();
    assert_ends_with(server, client);
    assert_int_equal(server_heard(server, NB_EVENT_DRAINING), 1);
}

/* As Ctrl-C twice: the handler would wait for its client for ever. */
TEST_AS(a_second_signal_ends_the_drain, SIGNAL_CASE_FOR_WORKERS)
{
    struct server *server =
        run_server_with(wait_for_ever, *state, .drain_ms = NB_NO_LIMIT, .stop_on_signals = true);
    int client = active_client(server);
    int64_t begin = now_ns();

    assert_int_equal(raise(SIGINT), 0);
    eventually(server_heard(server, NB_EVENT_DRAINING) == 1);
    eventually(ms_since(begin) >= 510);
    assert_int_equal(server_counters(server).forced, 0);
    check_stops_at(SIGTERM, server);
    assert_status(handler_saw, NB_CANCELLED);
    assert_int_equal(server_counters(server).forced, 1);
    hang_up(client);
}

/* As timeout(1) sends them. A machine may be so slow that they do not come at once. */
TEST_AS(two_signals_at_once_count_as_one, SIGNAL_CASE_FOR_WORKERS)
{
    struct server *server = signalled_server(say_hello_later, state);
    int client = client_at_the_gate(server);
    int64_t begin = now_ns();

    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(raise(SIGTERM), 0);
    if (ms_since(begin) >= 500)
        skip_because("it took half a second to raise two signals");
    eventually(server_heard(server, NB_EVENT_DRAINING) == 1);
    gate_open();
    assert_ends_with(server, client);
    assert_int_equal(server_counters(server).forced, 0);
}

/* The second one belongs to another run. */
TEST_AS(a_signal_of_the_previous_run_does_not_count, SIGNAL_CASE_FOR_WORKERS)
{
    int64_t begin = now_ns();
    struct server *server = signalled_server(say_hello, state);

    check_stops_at(SIGTERM, server);
    server_free(server);
    eventually(ms_since(begin) >= 510);
    server = signalled_server(say_hello_later, state);
    int client = client_at_the_gate(server);
    assert_int_equal(raise(SIGTERM), 0);
    eventually(server_heard(server, NB_EVENT_DRAINING) == 1);
    gate_open();
    assert_ends_with(server, client);
    assert_int_equal(server_counters(server).forced, 0);
}

/* Lets a child live until it says that it is ready, sends it SIGTERM, and tells how it ended. */
static int end_of_signalled_child(void (*live)(int ready))
{
    int ready[2];
    int status = -1;
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        live(ready[1]);
        _exit(99);
    }
    raw_close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    raw_close(ready[0]);
    return status;
}

static void get_ready(int ready)
{
    if (write(ready, "", 1) != 1)
        _exit(98);
}

static void idle(int ready)
{
    get_ready(ready);
    (void)sleep(10);
}

/* The parent is not rung, and works and ends as ever. */
static void check_undisturbed(struct server *server)
{
    struct pollfd wake = {.fd = server->listener->wake[0], .events = POLLIN};

    assert_int_equal(poll(&wake, 1, 0), 0);
    assert_serves(server, 1);
    assert_int_equal(server_heard(server, NB_EVENT_DRAINING), 0);
    hang_up_all();
    check_stops_at(SIGTERM, server);
}

TEST_AS(a_signal_to_a_forked_child_does_not_stop_the_server, SIGNAL_CASE_FOR_BOTH)
{
    skip_without_children();
    struct server *server = signalled_server(say_hello, state);
    int status = end_of_signalled_child(idle);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    check_undisturbed(server);
}

static void exit_with_42(int number)
{
    (void)number;
    _exit(42);
}

/* That a child of a server exits with 42 at the signal, and that the server itself goes on. */
static void check_child_exits(void (*live)(int ready), void **state)
{
    struct server *server = signalled_server(say_hello, state);
    int status = end_of_signalled_child(live);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    check_undisturbed(server);
}

TEST_AS(a_forked_child_gets_the_previous_dispositions, SIGNAL_CASE_FOR_BOTH)
{
    skip_without_children();
    (void)dispose(SIGTERM, exit_with_42, 0);
    check_child_exits(idle, state);
}

/* As in a container whose first process starts another container. */
TEST_AS(a_signal_to_a_child_with_the_same_pid_does_not_stop_the_server, SIGNAL_CASE_FOR_BOTH)
{
    skip_without_children();
    skip_under_qemu("it clears nothing at a fork");
    (void)dispose(SIGTERM, exit_with_42, 0);
    sys.libc_getpid = number_of_all;
    check_child_exits(idle, state);
}

static void tell_begin(const nb_event *event, void *ready)
{
    if (event->kind == NB_EVENT_LISTENING)
        get_ready(*(int *)ready);
}

static void serve(int ready)
{
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    nb_listener *listener;

    options.concurrency = 1;
    options.stop_on_signals = true;
    options.on_event = tell_begin;
    options.event_context = &ready;
    if (nb_listen(&listener, "127.0.0.1:0", NULL, NULL) != NB_OK)
        _exit(97);
    nb_status status = nb_serve(listener, say_hello, NULL, &options, NULL);
    nb_listener_close(listener);
    _exit(status == NB_OK && disposition_of(SIGTERM).sa_handler == SIG_DFL ? 42 : 96);
}

TEST_AS(a_forked_child_may_run_and_stop_its_own_server, SIGNAL_CASE_FOR_BOTH)
{
    skip_without_children();
    check_child_exits(serve, state);
}

TEST_AS(a_child_with_the_same_pid_may_run_and_stop_its_own_server, SIGNAL_CASE_FOR_BOTH)
{
    skip_without_children();
    skip_under_qemu("it clears nothing at a fork");
    sys.libc_getpid = number_of_all;
    check_child_exits(serve, state);
}

/* --- Signals of threads: faults --- */

static void *no_mans_land;

/* The first argument is the signal; for SIGSEGV the fault is a real one. */
static nb_status come_to_grief(nb_conn *conn, void *number)
{
    (void)conn;
    if (*(int *)number == SIGSEGV)
        *(volatile char *)no_mans_land = 1;
    else
        (void)raise(*(int *)number);
    _exit(95);
}

/* A program with a handler of its own for a signal that occurs in a worker thread. Its first client is
   itself. */
static void live_with_a_fault(int number)
{
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    nb_listener *listener;
    nb_address address;

    (void)alarm((unsigned)(PATIENCE_MS / 1000));
    options.concurrency = 2;
    no_mans_land = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)dispose(number, exit_with_42, 0);
    if (no_mans_land == MAP_FAILED || nb_listen(&listener, "127.0.0.1:0", NULL, NULL) != NB_OK ||
        nb_listener_address(listener, 0, &address) != NB_OK || dial_quietly(&address) < 0)
        _exit(97);
    _exit(nb_serve(listener, come_to_grief, &number, &options, NULL) == NB_OK ? 96 : 94);
}

TEST_AS(a_crash_in_a_handler_reaches_the_programs_own_signal_handler, NET_CASE)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
                                  SIGTRAP, SIGSYS, SIGABRT, SIGPROF};

    skip_without_children();
    for (size_t i = 0; i < COUNT(numbers); i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            live_with_a_fault(numbers[i]);
        assert_int_equal(exit_status(child), 42);
    }
}

TEST_GROUP(move_to_own_network, NULL)
