/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the accept loop: handlers, limits, lingering, events, counters. Most cases run for
 *         the sequential mode and for worker threads. */
#include "net/address_internal.h"
#include "serve/admit.h"
#include "serve/handling.h"
#include "servers.h"
#include "sys/sys.h"

#include <sys/syscall.h>
#include <sys/un.h>

static nb_error err;

/* While set: who rings a wakeup goes on only when this server has admitted or refused one connection; who
   ends a stream, when it has two. */
static struct server *_Atomic held_back;
static struct server *_Atomic held_at_the_end;

static void hold(struct server *_Atomic *whose, uint64_t seen)
{
    const struct server *server = atomic_exchange(whose, NULL);

    wait_until(server == NULL ||
               server_counters(server).accepted + server_counters(server).refused >= seen);
}

static int own_wake_ring(const int fds[2])
{
    int result = real.wake_ring(fds);

    hold(&held_back, 1);
    return result;
}

REPLACE(wake_ring, own_wake_ring)

/* While set: this server is stopped at the moment when somebody clears a wakeup. */
static struct server *_Atomic stopped_meanwhile;

static int own_wake_clear(const int fds[2])
{
    struct server *server = atomic_exchange(&stopped_meanwhile, NULL);

    if (server != NULL)
        nb_listener_stop(server->listener);
    return real.wake_clear(fds);
}

REPLACE(wake_clear, own_wake_clear)

static int own_shutdown(int fd, int how)
{
    hold(&held_at_the_end, 2);
    return real.shutdown(fd, how);
}

REPLACE(shutdown, own_shutdown)

/* While set: there is memory to poll for so many descriptors and no more. */
static atomic_size_t poll_room = SIZE_MAX;
static atomic_int without_room;
/* While set: there is none to poll for this descriptor. */
static atomic_int unwatched = -1;

static int own_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].fd == unwatched)
            return -ENOMEM;
    }
    if (count > poll_room) {
        without_room++;
        return -ENOMEM;
    }
    return real.poll(fds, count, by);
}

REPLACE(poll, own_poll)

/* While set: the next receive that is not to wait does, at the gate. */
static atomic_bool receive_hangs;

static ssize_t own_recv(int fd, void *buf, size_t length, int flags)
{
    if ((flags & MSG_DONTWAIT) != 0 && atomic_exchange(&receive_hangs, false))
        gate_pass();
    return real.recv(fd, buf, length, flags);
}

REPLACE(recv, own_recv)

/* Whose the Unix peers are: so many users further on than the test's own, or nobody knows. */
static atomic_int user_offset;
static atomic_bool user_unknown;
static atomic_int users_asked;
static atomic_bool user_takes_long; /* the next one who asks waits at the gate */

static int own_peer_credentials(int fd, int64_t *pid, int64_t *uid, int64_t *gid)
{
    int failed = real.peer_credentials(fd, pid, uid, gid);

    users_asked++;
    if (atomic_exchange(&user_takes_long, false))
        gate_pass();
    *uid += user_offset;
    return user_unknown ? -EOPNOTSUPP : failed;
}

REPLACE(peer_credentials, own_peer_credentials)

/* While above zero: so many have to come before any of them is admitted. */
static atomic_int admitted_together;

static bool own_nb__admit(struct nb__handling *handling)
{
    nb_deadline until = plenty();

    admitted_together--;
    while (admitted_together > 0 && !nb_expired(until))
        ;
    return real.nb__admit(handling);
}

REPLACE(nb__admit, own_nb__admit)

/* --- Handlers --- */

static nb_status say_hello_and_count(nb_conn *conn, void *count)
{
    ++*(atomic_int *)count;
    say_hello(conn, NULL);
    return NB_OK;
}

#define CLOSED_CASE_FOR_BOTH(name) CLOSED_CASE_FOR(name, sequential), CLOSED_CASE_FOR(name, workers)
#define TEST(name) TEST_AS(name, NET_CASE_FOR_BOTH)

TEST(each_connection_gets_its_handler_and_the_context)
{
    atomic_int count = 0;
    struct server *server = run_server(say_hello_and_count, &count, *state);

    assert_serves(server, 20);
    assert_int_equal(count, 20);
    assert_int_equal(server_counters(server).accepted, 20);
    assert_status(server_finish(server), NB_OK);
}

static int standard_descriptors[3]; /* kept while they are closed */

static void give_standard_descriptors_back(void)
{
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(standard_descriptors[fd], fd);
}

static int closed_case_begin(void **state)
{
    for (int fd = 0; fd < 3; fd++)
        standard_descriptors[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int failed = net_case_begin(state);
    for (int fd = 0; fd < 3; fd++)
        (void)close(fd);
    return failed;
}

/* When the case has failed, its server may have these numbers until it ends. */
static int closed_case_end(void **state)
{
    give_standard_descriptors_back();
    int failed = net_case_end(state);
    give_standard_descriptors_back();
    for (int fd = 0; fd < 3; fd++)
        (void)close(standard_descriptors[fd]);
    return failed;
}

#define CLOSED_CASE_FOR(name, mode) CASE_WITH(name, mode, closed_case_begin, closed_case_end)

/* The wakeups of the listener are descriptors 0 and 1 then, and its first socket is 2. */
TEST_AS(a_server_works_with_the_standard_descriptors_closed, CLOSED_CASE_FOR_BOTH)
{
    struct server *server = server_new("localhost:0", say_hello, *state);

    assert_int_equal(nb_listener_fd(server->listener, 0), 2);
    server_run(server);
    assert_serves(server, 1);
    assert_status(server_finish(server), NB_OK);
    server_free(server);
}

TEST(both_families_are_served)
{
    struct server *server = run_server_with(say_hello, *state, .at = "localhost:0");
    nb_address v6 = address_of(host_at("[::1]", &server->address));

    assert_serves(server, 1);
    assert_int_equal(answer(dial(&v6), HELLO), 0);
    assert_status(server_finish(server), NB_OK);
}

TEST(a_conversation_may_have_many_rounds)
{
    struct server *server = run_server(echo, NULL, *state);
    int client = dial(&server->address);

    for (int i = 0; i < 100; i++)
        assert_echoes(client, "round");
    assert_rest(client, "");
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(null_options_mean_the_defaults, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &workers);

    server_run_by_default(server);
    assert_serves(server, 1);
    assert_status(server_finish(server), NB_OK);
}

static nb_status close_it(nb_conn *conn, void *unused)
{
    say_hello(conn, unused);
    (void)nb_close(conn, nb_after_ms(0));
    return NB_OK;
}

static nb_status abort_it(nb_conn *conn, void *unused)
{
    (void)unused;
    nb_abort(conn);
    return NB_OK;
}

static nb_status detach_it(nb_conn *conn, void *descriptor)
{
    nb_fd fd = -1;

    if (nb_conn_detach(conn, &fd, NULL, 0, NULL) == NB_OK)
        *(atomic_int *)descriptor = fd;
    return NB_OK;
}

static nb_status say_hello_and_return(nb_conn *conn, void *what)
{
    (void)say_hello(conn, NULL);
    return *(const nb_status *)what;
}

/* What a handler returns, and how its connection ends. */
static const struct {
    nb_status returned;
    bool whole;
} ends[] = {
    {NB_OK, true},         {NB_EOF, true},        {NB_TIMEOUT, false},     {NB_RESET, false},
    {NB_TOO_LONG, false},  {NB_INVALID, false},   {NB_UNREACHABLE, false}, {NB_SYSTEM, false},
    {NB_CANCELLED, false}, {NB_NO_MEMORY, false}, {(nb_status)-1, false},  {(nb_status)1000, false},
};

TEST(the_return_value_of_a_handler_decides_how_its_connection_ends)
{
    nb_status returned;
    struct server *server = run_server(say_hello_and_return, &returned, *state);

    for (size_t i = 0; i < COUNT(ends); i++) {
        nb_status told = ends[i].whole ? NB_OK : ends[i].returned;

        returned = ends[i].returned;
        assert_int_equal(answer(dial(&server->address), HELLO), ends[i].whole ? 0 : ECONNRESET);
        hang_up_all();
        eventually(server_heard(server, NB_EVENT_CLOSED) == (int)i + 1);
        assert_int_equal(server_event(server, NB_EVENT_CLOSED, (int)i).status, told);
    }
    assert_status(server_finish(server), NB_OK);
}

static nb_status send_in_vain(nb_conn *conn, void *unused)
{
    (void)unused;
    (void)nb_send_all(conn, HELLO, strlen(HELLO), NULL, nb_after_ms(0));
    return NB_OK;
}

/* A hole in the stream stays a hole, whatever the handler thinks of it. */
TEST(a_truncated_reply_is_reset_even_if_the_handler_returns_success)
{
    struct server *server = run_server(send_in_vain, NULL, *state);

    assert_int_equal(answer(dial(&server->address), ""), ECONNRESET);
    assert_status(server_finish(server), NB_OK);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_TIMEOUT);
}

TEST(a_handler_may_close_its_connection)
{
    struct server *server = run_server(close_it, NULL, *state);

    assert_serves(server, 3);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 3);
    assert_int_equal(server_event(server, NB_EVENT_CLOSED, 0).sent, strlen(HELLO));
    assert_int_equal(server_counters(server).lingering, 0);
    eventually(server_counters(server).active == 0);
    assert_status(server_finish(server), NB_OK);
}

TEST(a_handler_may_abort_its_connection)
{
    struct server *server = run_server(abort_it, NULL, *state);

    for (int i = 0; i < 3; i++)
        assert_int_equal(answer(dial(&server->address), ""), ECONNRESET);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 3);
    assert_status(server_finish(server), NB_OK);
}

TEST(a_handler_may_keep_its_connection)
{
    atomic_int descriptor = -1;
    struct server *server = run_server(detach_it, &descriptor, *state);
    int client = dial(&server->address);

    assert_closes_with(server, NB_OK);
    assert_status(server_stop(server), NB_OK);
    assert_int_equal(write(descriptor, HELLO, strlen(HELLO)), strlen(HELLO));
    assert_int_equal(close(descriptor), 0);
    assert_int_equal(answer(client, HELLO), 0);
}

static nb_status detach_in_vain(nb_conn *conn, void *unused)
{
    nb_fd fd = -1;

    (void)unused;
    handler_saw = (int)nb_conn_detach(conn, &fd, NULL, 0, NULL);
    return NB_OK;
}

static nb_conn *cancel_and_let_go(struct nb__handling *work)
{
    nb_cancel(work->conn);
    return real.nb__handling_let_go(work);
}

TEST(a_connection_that_was_just_cancelled_cannot_be_kept)
{
    struct server *server = run_server(detach_in_vain, NULL, *state);

    sys.nb__handling_let_go = cancel_and_let_go;
    assert_int_equal(raw_ending(dial(&server->address), NULL), ECONNRESET);
    assert_closes_with(server, NB_CANCELLED);
    assert_status(handler_saw, NB_CANCELLED);
    assert_status(server_finish(server), NB_OK);
}

static nb_conn *_Atomic offered;

static nb_status offer_and_wait(nb_conn *conn, void *unused)
{
    offered = conn;
    wait_for_ever(conn, unused);
    gate_pass(); /* the connection lives until nb_cancel() has returned */
    return NB_OK;
}

TEST(a_connection_may_be_cancelled_from_outside)
{
    struct server *server = run_server(offer_and_wait, NULL, *state);

    offered = NULL;
    int client = dial(&server->address);
    eventually(offered != NULL);
    nb_cancel(offered);
    gate_open();
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    assert_closes_with(server, NB_CANCELLED);
    assert_status(handler_saw, NB_CANCELLED);
    assert_status(server_finish(server), NB_OK);
}

TEST(clients_that_have_left_do_not_keep_others_from_being_served)
{
    struct server *server = run_server(echo, NULL, *state);

    for (int i = 0; i < 10; i++)
        break_off(dial(&server->address));
    int client = dial(&server->address);
    say(client, HELLO, strlen(HELLO));
    assert_rest(client, HELLO);
    assert_status(server_finish(server), NB_OK);
}

/* --- Who runs the handlers --- */

static nb_status note_thread(nb_conn *conn, void *thread)
{
    *(atomic_int *)thread = (int)syscall(SYS_gettid);
    say_hello(conn, NULL);
    return NB_OK;
}

TEST_AS(concurrency_1_runs_in_the_calling_thread_and_starts_none, NET_CASE)
{
    atomic_int thread = 0;
    struct server *server = run_server(note_thread, &thread, &sequential);

    assert_serves(server, 10);
    assert_int_equal(thread, server->tid);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(calls(ON_PTHREAD_CREATE), 1); /* that of the server itself */
}

TEST_AS(handlers_of_workers_run_in_other_threads, NET_CASE)
{
    atomic_int thread = 0;
    struct server *server = run_server(note_thread, &thread, &workers);

    assert_serves(server, 1);
    assert_int_not_equal(thread, server->tid);
    assert_int_not_equal(thread, 0);
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(short_connections_reuse_existing_workers, NET_CASE)
{
    struct mode by_default = {0};
    struct server *server = run_server(say_hello, NULL, &by_default);

    for (int i = 0; i < 1000; i++)
        hang_up(greeted_client(server));
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_counters(server).accepted, 1000);
    assert_in_range(calls(ON_PTHREAD_CREATE), 2, 16);
}

TEST_AS(clients_beyond_the_concurrency_wait_in_the_accept_queue, NET_CASE)
{
    struct mode three = {3};
    struct server *server = run_server(say_hello_later, NULL, &three);
    int fd = nb_listener_fd(server->listener, 0);
    int clients[5];

    dial_all(clients, &server->address);
    eventually(gate_waiting() == 3);
    eventually(queue_length(fd) == 2);
    assert_counters(server, active, 3, accepted, 3);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPTED), 3);
    gate_open();
    assert_all_greeted(clients);
    assert_int_equal(queue_length(fd), 0);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_counters(server).peak, 3);
}

/* Serves three at once: a fourth waits, and is told of; how often anybody waits in poll(2) is bounded. */
static void check_waiting_in_vain(const char *endpoint)
{
    struct mode three = {3};
    struct server *server = run_server_with(say_hello_later, &three, .at = endpoint);
    int clients[4];

    dial_all(clients, &server->address);
    eventually(gate_waiting() == 3);
    int64_t begin = now_ns();
    int polls = calls(ON_POLL);
    eventually(server_heard(server, NB_EVENT_LIMIT_REACHED) == 1);
    assert_in_range(calls(ON_POLL) - polls, 1, 10 + 3 * ms_since(begin) / 1000);
    assert_int_equal(server_counters(server).limit_reached, 1);
    assert_int_equal(server_heard(server, NB_EVENT_LIMIT_CLEARED), 0);
    gate_open();
    assert_all_served(clients);
    eventually(server_heard(server, NB_EVENT_LIMIT_CLEARED) == 1);
    assert_int_equal(server_heard(server, NB_EVENT_LIMIT_REACHED), 1);
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(limit_reached_is_reported_once_after_a_client_waits_a_second, NET_CASE)
{
    check_waiting_in_vain("127.0.0.1:0");
}

TEST_AS(limit_reached_is_reported_once_for_a_unix_socket, NET_CASE)
{
    check_waiting_in_vain("unix:@netbasics-no-place");
}

/* As many looks as it takes to find out, and then another. */
TEST_AS(limit_reached_is_not_reported_while_no_client_waits, NET_CASE)
{
    struct mode three = {3};
    struct server *server = run_server(say_hello_later, NULL, &three);

    dial_times(three.concurrency, &server->address);
    eventually(gate_waiting() == 3);
    int polls = calls(ON_POLL);
    eventually(calls(ON_POLL) >= polls + 3);
    assert_int_equal(server_heard(server, NB_EVENT_LIMIT_REACHED), 0);
    assert_int_equal(server_counters(server).limit_reached, 0);
    gate_open();
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(concurrency_1_serves_the_next_client_when_the_last_is_done, NET_CASE)
{
    struct server *server = run_server(say_hello_later, NULL, &sequential);
    int clients[3];

    dial_all(clients, &server->address);
    eventually(gate_waiting() == 1);
    assert_int_equal(queue_length(nb_listener_fd(server->listener, 0)), 2);
    assert_int_equal(server_counters(server).accepted, 1);
    gate_open();
    assert_all_greeted(clients);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_counters(server).peak, 1);
}

TEST(many_clients_that_wait_for_the_server_to_speak_are_served)
{
    struct server *server = run_server(say_hello_later, NULL, *state);
    int clients[300];

    dial_all(clients, &server->address);
    eventually(gate_waiting() == ((const struct mode *)*state)->concurrency);
    gate_open();
    assert_all_greeted(clients);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_counters(server).accepted, COUNT(clients));
}

/* SIGKILL and SIGSTOP cannot be blocked, and those between SIGSYS and SIGRTMIN are the C library's. */
static bool can_be_blocked(int number)
{
    return number != SIGKILL && number != SIGSTOP && (number <= SIGSYS || number >= SIGRTMIN);
}

/* What a thread causes itself, or a profiler measures it by. */
static bool is_of_the_thread(int number)
{
    static const int those[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};

    for (size_t i = 0; i < COUNT(those); i++) {
        if (those[i] == number)
            return true;
    }
    return false;
}

/* How many signals a handler saw blocked, and how many not; and how many of those that are of its thread
   it saw blocked. */
struct signals {
    atomic_int blocked;
    atomic_int open;
    atomic_int blocked_of_thread;
};

static nb_status look_at_signals(nb_conn *conn, void *context)
{
    struct signals *seen = context;
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (!can_be_blocked(number))
            continue;
        if (is_of_the_thread(number))
            atomic_fetch_add(&seen->blocked_of_thread, sigismember(&mask, number));
        else
            atomic_fetch_add(sigismember(&mask, number) == 1 ? &seen->blocked : &seen->open, 1);
    }
    say_hello(conn, NULL);
    return NB_OK;
}

TEST_AS(workers_block_signals_but_not_those_of_the_thread, NET_CASE)
{
    skip_under_qemu("two signals belong to the emulator");
    struct signals seen = {0, 0, 0};
    struct server *server = run_server(look_at_signals, &seen, &workers);

    assert_serves(server, 1);
    assert_true(seen.blocked > 0);
    assert_int_equal(seen.open, 0);
    assert_int_equal(seen.blocked_of_thread, 0);
    assert_status(server_finish(server), NB_OK);
    assert_true(server->mask_kept);
}

/* A program may wait for SIGABRT with sigwait(3), with all of its threads blocking it. */
TEST_AS(what_the_calling_thread_blocks_workers_block_too, NET_CASE)
{
    skip_under_qemu("two signals belong to the emulator");
    struct signals seen = {0, 0, 0};
    sigset_t all, before;

    (void)sigfillset(&all);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
    struct server *server = run_server(look_at_signals, &seen, &workers);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    assert_serves(server, 1);
    assert_int_equal(seen.open, 0);
    assert_int_equal(seen.blocked_of_thread, 8);
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(the_calling_thread_keeps_its_signal_mask, NET_CASE)
{
    struct signals seen = {0, 0, 0};
    struct server *server = run_server(look_at_signals, &seen, &sequential);

    assert_serves(server, 1);
    assert_int_equal(seen.blocked + seen.blocked_of_thread, 0);
    assert_true(seen.open > 0);
    assert_status(server_finish(server), NB_OK);
    assert_true(server->mask_kept);
}

/* The child shares the descriptor that wakes the loop, but not the stop. */
TEST(a_stop_in_a_forked_child_does_not_stop_the_server)
{
    skip_without_children();
    struct server *server = run_server(say_hello, NULL, *state);
    eventually(thread_waits(server->tid, FOR_EVENTS));
    int polls = calls(ON_POLL);
    stop_in_a_child(server->listener);
    assert_serves(server, 1);
    assert_in_range(calls(ON_POLL), polls, polls + 20);
    assert_int_equal(server_heard(server, NB_EVENT_DRAINING), 0);
    assert_status(server_finish(server), NB_OK);
}

/* While the wakeup of the child is silenced, the real one comes. */
TEST(a_stop_after_one_in_a_forked_child_is_not_lost)
{
    skip_without_children();
    struct server *server = run_server(say_hello, NULL, *state);
    eventually(thread_waits(server->tid, FOR_EVENTS));
    stopped_meanwhile = server;
    stop_in_a_child(server->listener);
    assert_status(server_wait(server), NB_OK);
}

static nb_status measure_stack(nb_conn *conn, void *kib)
{
    pthread_attr_t attr;
    size_t size = 0;

    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstacksize(&attr, &size);
        pthread_attr_destroy(&attr);
    }
    *(atomic_int *)kib = (int)(size / 1024);
    say_hello(conn, NULL);
    return NB_OK;
}

static int stack_kib(size_t asked)
{
    atomic_int kib = 0;
    struct server *server = server_new("127.0.0.1:0", measure_stack, &workers);

    server->context = &kib;
    server->options.stack_size = (int64_t)asked;
    server_run(server);
    assert_serves(server, 1);
    assert_status(server_finish(server), NB_OK);
    return kib;
}

TEST_AS(workers_have_the_requested_stack_size, NET_CASE)
{
    int by_default = stack_kib(0); /* sanitizers add some of their own */
    int asked_for = stack_kib((size_t)1 << 20);

    assert_in_range(by_default, 240, 2000);
    assert_in_range(asked_for, 1000, 2000);
}

static nb_status hello_until_the_send_fails(nb_conn *conn, void *unused)
{
    static const char much[65536];

    (void)unused;
    while (nb_send_all(conn, much, sizeof(much), NULL, nb_after_ms(20)) == NB_OK)
        continue;
    return NB_OK;
}

TEST(the_peer_sees_a_reset_after_a_failed_send)
{
    struct server *server = run_server(hello_until_the_send_fails, NULL, *state);
    int client = dial(&server->address);

    assert_closes_with(server, NB_TIMEOUT);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    assert_status(server_finish(server), NB_OK);
}

/* --- Lingering --- */

static nb_status hello_to_who_speaks(nb_conn *conn, void *unused)
{
    if (nb_wait_readable(conn, plenty()) == NB_OK)
        say_hello(conn, unused);
    return NB_OK;
}

TEST(unread_input_does_not_cost_the_client_its_reply)
{
    struct server *server = run_server(hello_to_who_speaks, NULL, *state);
    static const char much[30000];
    int client = dial(&server->address);

    say(client, much, sizeof(much));
    assert_int_equal(answer(client, HELLO), 0);
    say(client, much, sizeof(much));
    assert_false(is_broken(client));
    hang_up(client);
    assert_closes_with(server, NB_OK);
    assert_status(server_finish(server), NB_OK);
}

TEST(many_lingering_connections_delay_no_client)
{
    struct mode few = {((const struct mode *)*state)->concurrency == 1 ? 1 : 2};
    struct server *server = run_server_with(say_hello, &few, .linger_ms = 10 * PATIENCE_MS);

    assert_serves(server, 40);
    eventually(server_counters(server).lingering == 40);
    assert_int_equal(server_counters(server).active, 0);
    assert_int_equal(server_heard(server, NB_EVENT_CLOSED), 0);
}

TEST(a_connection_whose_client_has_closed_does_not_linger)
{
    struct server *server = run_server(say_hello, NULL, *state);
    int client = lingering_client(server);

    hang_up(client);
    assert_closes_with(server, NB_OK);
    assert_int_equal(server_counters(server).lingering, 0);
}

TEST(a_reset_during_lingering_is_reported)
{
    struct server *server = run_server(say_hello, NULL, *state);
    int client = lingering_client(server);

    break_off(client);
    assert_closes_with(server, NB_RESET);
}

TEST(a_client_that_does_not_close_lingers_for_linger_ms)
{
    struct server *server = run_server_with(say_hello, *state, .linger_ms = 80);
    int64_t begin = now_ns();
    int client = greeted_client(server);

    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    assert_in_range(ms_since(begin), 80, 4500);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_TIMEOUT);
    say(client, "?", 1);
    eventually(is_broken(client));
}

TEST(a_client_that_sends_slowly_does_not_extend_lingering)
{
    struct server *server = run_server_with(say_hello, *state, .linger_ms = 80);
    int64_t begin = now_ns();
    int client = greeted_client(server);

    while (server_heard(server, NB_EVENT_CLOSED) == 0 && ms_since(begin) < PATIENCE_MS) {
        (void)send(client, "?", 1, MSG_NOSIGNAL);
        a_moment();
    }
    assert_in_range(ms_since(begin), 80, 4500);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_TIMEOUT);
}

/* Signals come so fast from now on that each wait is interrupted. */
static nb_status say_hello_before_the_hail(nb_conn *conn, void *unused)
{
    say_hello(conn, unused);
    fail_next(ON_POLL, EINTR, -1);
    return NB_OK;
}

TEST(a_storm_of_signals_does_not_extend_lingering)
{
    struct server *server = run_server_with(say_hello_before_the_hail, *state, .linger_ms = 80);

    assert_serves(server, 1);
    assert_closes_with(server, NB_TIMEOUT);
    fail_next(ON_POLL, 0, 0);
}

TEST(a_client_that_keeps_sending_is_cut_off_after_linger_bytes)
{
    struct server *server = run_server_with(say_hello, *state, .linger_bytes = 10000);
    static const char much[20000];
    int client = greeted_client(server);

    say(client, much, 5000);
    assert_int_equal(server_heard(server, NB_EVENT_CLOSED), 0);
    (void)send(client, much, sizeof(much), MSG_NOSIGNAL);
    assert_closes_with(server, NB_TOO_LONG);
    eventually(is_broken(client));
}

/* Of 2^32 bytes, a size_t of 32 bits holds none. */
TEST(linger_bytes_may_exceed_size_t)
{
    struct server *server = run_server_with(say_hello, *state, .linger_bytes = INT64_C(1) << 32);
    int client = lingering_client(server);

    say(client, "late", 4);
    hang_up(client);
    assert_closes_with(server, NB_OK);
}

TEST(the_oldest_lingering_connection_makes_room_beyond_linger_max)
{
    struct server *server =
        run_server_with(say_hello, *state, .linger_ms = 10 * PATIENCE_MS, .linger_max = 2);
    int clients[4];

    for (size_t i = 0; i < COUNT(clients); i++) {
        clients[i] = dial(&server->address);
        assert_int_equal(answer(clients[i], HELLO), 0);
        eventually(server_counters(server).lingering == (i == 0 ? 1 : 2));
        eventually(server_heard(server, NB_EVENT_CLOSED) == (i < 2 ? 0 : (int)i - 1));
    }
    for (int i = 0; i < 2; i++) {
        assert_status(server_event(server, NB_EVENT_CLOSED, i).status, NB_TIMEOUT);
        assert_false(is_broken(clients[i]));
        say(clients[i], "?", 1); /* nobody is there any more */
        eventually(is_broken(clients[i]));
    }
    assert_false(is_broken(clients[2]) || is_broken(clients[3]));
    assert_int_equal(server_counters(server).lingering, 2);
    assert_int_equal(server_heard(server, NB_EVENT_CLOSED), 2);
}

TEST(linger_max_is_256_by_default)
{
    struct server *server = run_server_with(say_hello, *state, .linger_ms = 10 * PATIENCE_MS);

    assert_serves(server, 260);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 4);
    assert_int_equal(server_counters(server).lingering, 256);
}

TEST(a_connection_ends_at_once_without_lingering)
{
    struct server *server = run_server_with(say_hello, *state, .linger_ms = NB_NO_LINGER);

    assert_serves(server, 1);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    assert_int_equal(server_counters(server).lingering, 0);
}

/* The time of lingering is a window in which nothing happens: whoever looked all the time would look
   thousands of times. */
TEST(lingering_does_not_spin)
{
    struct server *server = run_server_with(say_hello, *state, .linger_ms = 100);

    assert_serves(server, 1);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    assert_in_range(calls(ON_POLL), 1, 20);
}

/* What a loop polls for apart from those that linger: the bell or the listening socket, and the stop. */
#define POLLED_ANYHOW 2

TEST(all_clients_are_served_when_out_of_memory_for_lingering)
{
    struct server *server = run_server(say_hello, NULL, *state);

    assert_serves(server, 4);
    eventually(server_counters(server).lingering == 4);
    without_room = 0;
    poll_room = POLLED_ANYHOW;
    assert_serves(server, 1);
    eventually(without_room >= 3);
    assert_serves(server, 1);
    poll_room = SIZE_MAX;
    assert_false(server->ended);
    hang_up_all();
    eventually(server_heard(server, NB_EVENT_CLOSED) == 6);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 0);
}

static nb_status say_hello_unwatched(nb_conn *conn, void *unused)
{
    int nobody = -1;

    (void)atomic_compare_exchange_strong(&unwatched, &nobody, nb_conn_fd(conn));
    return say_hello(conn, unused);
}

/* A client lingers whose late bytes nobody has read: close(2) alone would make a reset of them, and the
   reply would be lost. There is no memory to watch it, so that nobody reads them in time. They are more than
   one look at a connection takes. */
static struct server *server_with_unread_bytes(int *client, int64_t linger_ms,
                                               const struct mode *mode)
{
    static const char late[150000];
    nb_listen_options listening = {.size = sizeof(listening),
                                   .receive_buffer_bytes = 2 * (int64_t)sizeof(late)};
    struct server *server = server_new_with("127.0.0.1:0", say_hello_unwatched, mode, &listening);

    server->options.linger_bytes = (int64_t)sizeof(late);
    server->options.linger_ms = linger_ms;
    server->options.linger_max = 1;
    server->options.drain_ms = 100;
    unwatched = -1;
    server_run(server);
    *client = dial(&server->address);
    eventually(server_counters(server).lingering == 1);
    say(*client, late, sizeof(late));
    eventually(is_acknowledged(*client));
    return server;
}

static void assert_lost_nothing(struct server *server, int client)
{
    eventually(server_heard(server, NB_EVENT_CLOSED) > 0);
    unwatched = -1;
    assert_int_equal(answer(client, HELLO), 0);
    assert_false(is_broken(client));
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_TIMEOUT);
}

TEST(a_lingering_connection_that_makes_room_loses_no_reply)
{
    int client;
    struct server *server = server_with_unread_bytes(&client, 10 * PATIENCE_MS, *state);

    assert_serves(server, 1);
    assert_lost_nothing(server, client);
}

TEST(a_connection_that_lingers_too_long_loses_no_reply)
{
    int client;
    struct server *server = server_with_unread_bytes(&client, 300, *state);

    assert_lost_nothing(server, client);
}

TEST(a_connection_lingering_when_the_drain_ends_loses_no_reply)
{
    int client;
    struct server *server = server_with_unread_bytes(&client, 10 * PATIENCE_MS, *state);

    assert_status(server_stop(server), NB_OK);
    assert_lost_nothing(server, client);
}

/* One makes room that has read its reply, or has not yet: whether the event says that it was delivered. */
static bool delivered_to_who_makes_room(const char *endpoint, const struct mode *mode, bool reads)
{
    struct server *server = run_server_with(say_hello_unwatched, mode, .at = endpoint,
                                            .linger_ms = 10 * PATIENCE_MS, .linger_max = 1);
    bool is_tcp = nb_address_family(&server->address) != NB_FAMILY_UNIX;

    unwatched = -1;
    int client = dial(&server->address);
    if (reads)
        assert_int_equal(answer(client, HELLO), 0);
    eventually(server_counters(server).lingering == 1);
    if (reads || is_tcp) /* the client's system may take its time */
        eventually(is_acknowledged(unwatched));
    assert_serves(server, 1);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    nb_event event = server_event(server, NB_EVENT_CLOSED, 0);
    assert_status(event.status, NB_TIMEOUT);
    if (!reads)
        assert_int_equal(answer(client, HELLO), 0);
    unwatched = -1;
    hang_up_all();
    assert_status(server_stop(server), NB_OK);
    server_free(server);
    return event.delivered;
}

TEST(closed_reports_whether_everything_was_delivered)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "unix:@netbasics-delivered-%d", (int)getpid());
    assert_true(delivered_to_who_makes_room("127.0.0.1:0", *state, true));
    assert_true(delivered_to_who_makes_room("127.0.0.1:0", *state, false));
    assert_true(delivered_to_who_makes_room(path, *state, true));
    assert_false(delivered_to_who_makes_room(path, *state, false));
}

/* As it may for descriptors that a peer has sent: closing them can take as long as the peer likes. Of so many
   more clients, all but so many that linger are closed. */
static void check_a_receive_that_hangs(int64_t linger_max, int64_t max_per_peer, int clients)
{
    struct server *server = run_server_with(say_hello, &workers, .linger_ms = 10 * PATIENCE_MS,
                                            .linger_max = linger_max, .max_per_peer = max_per_peer);
    int client = lingering_client(server);

    receive_hangs = true;
    say(client, "late", 4);
    eventually(gate_waiting() == 1);
    assert_serves(server, clients);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 3);
    assert_int_equal(server_counters(server).lingering, linger_max);
    gate_open();
    hang_up(client);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 4);
    assert_status(server_event(server, NB_EVENT_CLOSED, 3).status, NB_OK);
    assert_int_equal(server_counters(server).lingering, linger_max - 1);
}

/* The one that is being drained cannot make room: the others do. */
TEST_AS(a_receive_that_hangs_during_lingering_delays_no_other_client, NET_CASE)
{
    check_a_receive_that_hangs(2, 10, 4);
}

/* With room for one alone, which is being drained just now: who comes makes room itself. */
TEST_AS(a_receive_that_hangs_in_the_only_lingering_connection_delays_nobody, NET_CASE)
{
    check_a_receive_that_hangs(1, 0, 3);
}

/* Each look takes 5 ms and two polls. */
TEST(lingering_ends_in_time_when_out_of_memory)
{
    struct server *server = run_server_with(say_hello, *state, .linger_ms = 80);

    poll_room = POLLED_ANYHOW;
    assert_serves(server, 3);
    nb_status status = server_stop(server);
    poll_room = SIZE_MAX;
    assert_status(status, NB_OK);
    assert_int_equal(server_heard(server, NB_EVENT_CLOSED), 3);
    assert_status(server_event(server, NB_EVENT_CLOSED, 2).status, NB_TIMEOUT);
    assert_in_range(calls(ON_POLL), 1, 200);
}

/* --- The life of a connection --- */

static void check_life(nb_handler *handler, const struct mode *mode)
{
    struct server *server = run_server_with(handler, mode, .connection_ms = 100);
    int64_t begin = now_ns();
    int client = dial(&server->address);

    assert_closes_with(server, NB_CANCELLED);
    assert_in_range(ms_since(begin), 100, 5000);
    assert_status(handler_saw, NB_CANCELLED);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    assert_int_equal(server_counters(server).forced, 0);
    assert_status(server_finish(server), NB_OK);
}

TEST(connection_ms_ends_a_handler_that_waits_forever)
{
    check_life(wait_for_ever, *state);
}

TEST(connection_ms_ends_a_handler_that_retries_every_timeout)
{
    check_life(retry_timeouts, *state);
}

static nb_status wait_long(nb_conn *conn, void *unused)
{
    size_t received;
    char byte;

    (void)unused;
    handler_saw = (int)nb_recv(conn, &byte, 1, &received, nb_after_ms(60000));
    return NB_OK;
}

TEST(connection_ms_ends_a_handler_with_a_long_deadline)
{
    check_life(wait_long, *state);
}

TEST(connection_ms_ends_a_handler_blocked_in_a_send)
{
    check_life(send_for_ever, *state);
}

static nb_status wait_until_readable(nb_conn *conn, void *unused)
{
    (void)unused;
    handler_saw = (int)nb_wait_readable(conn, nb_forever());
    return NB_OK;
}

TEST(connection_ms_ends_a_handler_that_waits_for_readability)
{
    check_life(wait_until_readable, *state);
}

TEST(connection_ms_includes_lingering)
{
    struct server *server = run_server_with(say_hello, *state, .connection_ms = 100);
    int64_t begin = now_ns();

    assert_serves(server, 1);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    assert_in_range(ms_since(begin), 100, 4500);
    assert_true(server_event(server, NB_EVENT_CLOSED, 0).status != NB_OK);
}

TEST(a_connection_without_a_time_limit_is_served)
{
    struct server *server =
        run_server_with(echo, *state, .connection_ms = NB_NO_LIMIT, .drain_ms = NB_NO_LIMIT);
    int client = dial(&server->address);

    say(client, HELLO, strlen(HELLO));
    assert_rest(client, HELLO);
    assert_status(server_finish(server), NB_OK);
}

/* As above: a life is a window in which nothing happens, here with others in the queue. */
TEST(waiting_at_the_concurrency_limit_does_not_spin)
{
    struct mode most = {((const struct mode *)*state)->concurrency == 1 ? 1 : 2};
    struct server *server = run_server_with(wait_for_ever, &most, .connection_ms = 100);

    dial_times(most.concurrency + 1, &server->address);
    eventually(server_heard(server, NB_EVENT_CLOSED) == most.concurrency + 1);
    assert_in_range(calls(ON_POLL), 1, 60);
    assert_in_range(calls(ON_ACCEPT), most.concurrency + 1, 4 * (most.concurrency + 1));
}

/* --- Limits for one peer --- */

TEST_AS(max_per_peer_limits_the_connections_of_one_peer, NET_CASE)
{
    struct server *server = run_server_with(say_hello_later, &workers, .max_per_peer = 2);

    dial_to_the_gate(2, server);
    int third = dial(&server->address);
    nb_address refused = own_address(third);
    assert_int_equal(answer(third, ""), ECONNRESET);
    eventually(server_heard(server, NB_EVENT_REFUSED) == 1);
    assert_same_address(server_event(server, NB_EVENT_REFUSED, 0).address, refused);
    assert_counters(server, refused, 1, accepted, 2);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPTED), 2);
}

/* A worker has accepted a connection and cannot start the next worker at once; the supervisor does, and
   that one accepts the next connection and admits it before the first worker goes on: the first connection
   is the one over the limit. */
TEST_AS(max_per_peer_counts_in_order_of_admission_not_of_accept, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello_later, &workers);

    server->options.max_per_peer = 1;
    fail_after(ON_PTHREAD_CREATE, 2, EAGAIN, 1);
    dial_times(2, &server->address);
    held_back = server;
    server_run(server);
    eventually(server_counters(server).accepted + server_counters(server).refused == 2);
    held_back = NULL;
    assert_counters(server, accepted, 1, refused, 1);
    eventually(server_heard(server, NB_EVENT_REFUSED) == 1);
    assert_int_equal(server_event(server, NB_EVENT_REFUSED, 0).id, 1);
    assert_int_equal(server_event(server, NB_EVENT_ACCEPTED, 0).id, 2);
}

/* Its handler has returned, its stream is about to be ended, and it does not linger yet. */
TEST_AS(max_per_peer_counts_a_connection_that_is_being_ended, NET_CASE)
{
    struct server *server = run_server_with(say_hello, &workers, .max_per_peer = 1);

    held_at_the_end = server;
    int first = dial(&server->address);
    assert_int_equal(answer_so_far(first, HELLO), 0);
    eventually(held_at_the_end == NULL);
    assert_int_equal(answer(dial(&server->address), ""), ECONNRESET);
    assert_counters(server, accepted, 1, refused, 1);
}

/* Who has seen the end of a connection may come again at once. */
TEST_AS(max_per_peer_no_longer_counts_a_connection_seen_to_end, NET_CASE)
{
    struct server *server =
        run_server_with(say_hello, &workers, .max_per_peer = 1, .linger_ms = NB_NO_LINGER);

    assert_serves(server, 50);
    assert_int_equal(server_counters(server).refused, 0);
}

TEST_AS(max_per_peer_holds_with_many_clients, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello_later, &workers);

    server->options.max_per_peer = 1;
    dial_times(200, &server->address);
    server_run(server);
    eventually(server_counters(server).accepted + server_counters(server).refused == 200);
    assert_int_equal(server_counters(server).accepted, 1);
}

TEST_AS(max_per_peer_is_separate_for_each_peer, NET_CASE)
{
    struct server *server = run_server_with(say_hello_later, &workers, .max_per_peer = 1);

    (void)dial(&server->address);
    (void)dial_from("127.0.0.2:0", &server->address);
    (void)dial_from("127.0.0.3:0", &server->address);
    eventually(gate_waiting() == 3);
    assert_int_equal(answer(dial_from("127.0.0.2:0", &server->address), ""), ECONNRESET);
}

TEST_AS(max_per_peer_applies_to_ipv6_peers, NET_CASE)
{
    struct server *server =
        run_server_with(say_hello_later, &workers, .at = "[::1]:0", .max_per_peer = 1);

    (void)client_at_the_gate(server);
    assert_int_equal(answer(dial(&server->address), ""), ECONNRESET);
}

/* Two workers have accepted a connection each and admit them at the same moment. */
TEST_AS(max_per_peer_holds_for_two_connections_admitted_at_once, NET_CASE)
{
    struct server *server =
        run_server_with(echo, &workers, .max_per_peer = 1, .linger_ms = NB_NO_LINGER);

    for (int i = 1; i <= 50; i++) {
        admitted_together = 2;
        dial_times(2, &server->address);
        eventually(server_heard(server, NB_EVENT_REFUSED) == i);
        hang_up_all();
        eventually(server_heard(server, NB_EVENT_CLOSED) == i);
    }
    assert_counters(server, accepted, 50, refused, 50);
}

/* A server whose first client is at the gate before it is admitted, as its user is asked for. */
static struct server *server_with_a_slow_user(int64_t drain_ms, int *slow)
{
    struct server *server = run_server_with(say_hello, &workers, .at = "unix:@netbasics-slow-user",
                                            .max_per_peer = 100, .drain_ms = drain_ms);

    user_offset = 0;
    user_unknown = false;
    user_takes_long = true;
    *slow = client_at_the_gate(server);
    return server;
}

TEST_AS(a_connection_slow_to_be_admitted_delays_no_other_client, NET_CASE)
{
    int slow;
    struct server *server = server_with_a_slow_user(0, &slow);

    assert_serves(server, 3);
    assert_int_equal(server_counters(server).accepted, 3);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPTED), 3);
    gate_open();
    assert_int_equal(answer(slow, HELLO), 0);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_counters(server).accepted, 4);
}

/* The drain is over before the one connection is admitted: nobody serves it any more. */
TEST_AS(a_connection_not_admitted_by_the_end_of_the_drain_is_unserved, NET_CASE)
{
    int client;
    struct server *server = server_with_a_slow_user(1, &client);

    nb_listener_stop(server->listener);
    assert_int_equal(answer(client, ""), 0); /* it was cancelled; Unix sockets know no reset */
    gate_open();
    assert_status(server_wait(server), NB_OK);
    assert_int_equal(server_counters(server).unserved, 1);
    assert_int_equal(server_counters(server).accepted + server_counters(server).forced, 0);
    assert_heard(server, ACCEPTED, 0, CLOSED, 0);
}

TEST(max_per_peer_counts_lingering_connections)
{
    struct server *server = run_server_with(say_hello, *state, .max_per_peer = 2);
    int first = greeted_client(server);

    assert_serves(server, 1);
    eventually(server_counters(server).lingering == 2);
    assert_int_equal(answer(dial(&server->address), ""), ECONNRESET);
    hang_up(first);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    assert_serves(server, 1);
    assert_int_equal(server_counters(server).refused, 1);
}

TEST_AS(max_per_peer_without_a_limit_allows_many_connections, NET_CASE)
{
    struct server *server = run_server_with(say_hello_later, &workers, .max_per_peer = NB_NO_LIMIT);

    dial_to_the_gate(workers.concurrency, server);
}

/* A server on a Unix socket at which each user may have so many connections. */
static struct server *serve_users(int64_t most)
{
    struct server *server = run_server_with(say_hello_later, &workers,
                                            .at = "unix:@netbasics-users", .max_per_peer = most);

    user_offset = 0;
    user_unknown = false;
    users_asked = 0;
    return server;
}

TEST_AS(max_per_peer_identifies_a_unix_peer_by_its_user, NET_CASE)
{
    struct server *server = serve_users(2);

    dial_to_the_gate(2, server);
    assert_int_equal(answer(dial(&server->address), ""), 0); /* Unix sockets know no reset */
    user_offset = 1;
    (void)dial(&server->address);
    eventually(gate_waiting() == 3);
    assert_int_equal(server_counters(server).refused, 1);
    gate_open();
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(max_per_peer_ignores_unix_peers_of_unknown_user, NET_CASE)
{
    struct server *server = serve_users(1);

    user_unknown = true;
    dial_to_the_gate(3, server);
    gate_open();
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(the_user_of_a_unix_peer_is_not_queried_without_max_per_peer, NET_CASE)
{
    struct server *server = serve_users(NB_NO_LIMIT);

    (void)client_at_the_gate(server);
    assert_int_equal(users_asked, 0);
    gate_open();
    assert_status(server_finish(server), NB_OK);
}

/* No thread can be started for them, and then the calling thread cannot wait any more. */
TEST_AS(clients_queued_when_the_server_fails_are_unserved_without_events, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &workers);
    int clients[3];

    dial_all(clients, &server->address);
    nb_listener_stop(server->listener);
    fail_after(ON_PTHREAD_CREATE, 1, EAGAIN, -1); /* that of the server starts */
    fail_next(ON_POLL, EFAULT, -1);
    server_run(server);
    assert_status(server_wait(server), NB_SYSTEM);
    assert_all_reset(clients);
    assert_counters(server, unserved, COUNT(clients), accepted, 0);
    assert_heard(server, ACCEPTED, 0, CLOSED, 0);
}

/* --- Bad options --- */

TEST(an_invalid_option_is_named_and_changes_nothing)
{
    static const struct {
        nb_serve_options options;
        const char *message; /* how it begins */
    } rows[] = {
        {{.concurrency = -1}, "serve: concurrency is -1, expected 0 to 2147483647"},
        {{.max_per_peer = -2}, "serve: max_per_peer is -2, expected -1 to 2147483647"},
        {{.linger_max = -1}, "serve: linger_max is -1, expected 0 to 2147483647"},
        {{.linger_ms = -2}, "serve: linger_ms is -2, expected -1 to 9223372036854775807"},
        {{.connection_ms = -2}, "serve: connection_ms is -2, expected -1 to 9223372036854775807"},
        {{.linger_bytes = -1}, "serve: linger_bytes is -1, expected 0 to 9223372036854775807"},
        {{.drain_ms = -2}, "serve: drain_ms is -2, expected -1 to 9223372036854775807"},
        {{.stack_size = 1}, "serve: stack_size is 1, expected "},
        {{.stack_size = -1}, "serve: stack_size is -1, expected "},
        {{.concurrency = INT64_C(1) << 31},
         "serve: concurrency is 2147483648, expected 0 to 2147483647"},
        {{.max_per_peer = INT64_C(1) << 32},
         "serve: max_per_peer is 4294967296, expected -1 to 2147483647"},
        {{.linger_max = INT64_MAX},
         "serve: linger_max is 9223372036854775807, expected 0 to 2147483647"},
        {{.stop_on_signals = 2}, "serve: stop_on_signals is 2, expected 0 to 1"},
    };
    struct server *server = server_new("127.0.0.1:0", say_hello, *state);

    for (size_t i = 0; i < COUNT(rows); i++) {
        nb_serve_options options = rows[i].options;

        options.size = sizeof(options);
        options.on_event = server->options.on_event;
        options.event_context = server->options.event_context;
        if (options.concurrency == 0)
            options.concurrency = server->options.concurrency;
        assert_status(nb_serve(server->listener, say_hello, NULL, &options, &err), NB_INVALID);
        assert_status(err.status, NB_INVALID);
        assert_ptr_equal(strstr(err.message, rows[i].message), err.message);
        assert_status(nb_serve(server->listener, say_hello, NULL, &options, NULL), NB_INVALID);
    }
    assert_int_equal(server_heard(server, NB_EVENT_LISTENING), 0);
    server_run(server);
    assert_serves(server, 1);
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(a_null_listener_or_handler_is_invalid, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &sequential);

    assert_status(nb_serve(NULL, say_hello, NULL, NULL, &err), NB_INVALID);
    assert_status(err.status, NB_INVALID);
    assert_status(nb_serve(server->listener, NULL, NULL, NULL, NULL), NB_INVALID);
}

struct later_options {
    nb_serve_options known;
    char later[24];
};

TEST_AS(serve_options_without_a_size_are_invalid, NET_CASE)
{
    static const size_t sizes[] = SIZES_NEVER_SET;
    struct server *server = server_new("127.0.0.1:0", say_hello, &sequential);
    nb_listener *listener = server->listener;

    for (size_t i = 0; i < COUNT(sizes); i++) {
        server->options.size = sizes[i];
        assert_status(nb_serve(listener, say_hello, NULL, &server->options, &err), NB_INVALID);
        assert_non_null(strstr(err.message, "size"));
    }
}

TEST_AS(serve_refuses_an_option_of_a_later_version_that_is_set, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &sequential);
    struct later_options options;

    memset(&options, 0, sizeof(options));
    options.known.size = sizeof(options);
    options.later[sizeof(options.later) - 1] = 1;
    assert_status(nb_serve(server->listener, say_hello, NULL, &options.known, NULL), NB_INVALID);
    nb_listener_stop(server->listener);
    options.later[sizeof(options.later) - 1] = 0;
    assert_status(nb_serve(server->listener, say_hello, NULL, &options.known, NULL), NB_OK);
}

/* A caller that knows only the first field: what lies behind it is not looked at. */
TEST_AS(options_of_an_older_version_are_accepted, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &sequential);

    server->options.size = offsetof(nb_serve_options, max_per_peer);
    server->options.max_per_peer = -77;
    server->options.linger_max = -77;
    server->options.drain_ms = -77;
    nb_listener_stop(server->listener);
    assert_status(nb_serve(server->listener, say_hello, NULL, &server->options, NULL), NB_OK);
    assert_int_equal(server_heard(server, NB_EVENT_STOPPED), 0);
}

TEST(a_listener_is_served_only_once)
{
    struct server *server = run_server(say_hello, NULL, *state);

    assert_status(nb_serve(server->listener, say_hello, NULL, NULL, &err), NB_INVALID);
    assert_status(err.status, NB_INVALID);
    assert_serves(server, 1);
    assert_status(server_finish(server), NB_OK);
    assert_status(nb_serve(server->listener, say_hello, NULL, NULL, NULL), NB_INVALID);
}

TEST(nothing_is_added_to_a_listener_that_is_served)
{
    struct server *server = run_server(say_hello, NULL, *state);

    assert_status(nb_listener_add(server->listener, "127.0.0.1:0", NULL, NULL), NB_INVALID);
    assert_int_equal(nb_listener_count(server->listener), 1);
}

TEST(the_addresses_are_known_after_serve_closed_the_sockets)
{
    struct server *server = run_server(say_hello, NULL, *state);

    assert_status(server_finish(server), NB_OK);
    assert_int_equal(nb_listener_fd(server->listener, 0), -1);
    assert_int_equal(nb_listener_count(server->listener), 1);
    assert_same_address(socket_address(server->listener, 0), server->address);
    assert_int_equal(dial_quietly(&server->address), -ECONNREFUSED);
}

TEST(success_clears_the_error_and_keeps_errno)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, *state);

    memset(&err, 0xff, sizeof(err));
    nb_listener_stop(server->listener);
    errno = E2BIG;
    assert_status(nb_serve(server->listener, say_hello, NULL, &server->options, &err), NB_OK);
    assert_int_equal(errno, E2BIG);
    assert_status(err.status, NB_OK);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message, "");
}

/* --- Events --- */

static nb_status answer_four_bytes(nb_conn *conn, void *unused)
{
    char buf[4];
    size_t received;

    if (nb_recv_exact(conn, buf, sizeof(buf), &received, plenty()) == NB_OK)
        say_hello(conn, unused);
    return NB_OK;
}

TEST(the_events_of_one_connection_come_in_order)
{
    static const nb_event_kind kinds[] = {NB_EVENT_LISTENING, NB_EVENT_LISTENING, NB_EVENT_ACCEPTED,
                                          NB_EVENT_CLOSED,    NB_EVENT_DRAINING,  NB_EVENT_STOPPED};
    struct server *server = run_server_with(answer_four_bytes, *state, .at = "localhost:0");
    int client = dial(&server->address);

    say(client, "1234", 4);
    assert_int_equal(answer(client, HELLO), 0);
    hang_up(client);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server->event_count, COUNT(kinds));
    for (size_t i = 0; i < COUNT(kinds); i++)
        assert_int_equal(server->events[i].kind, kinds[i]);
}

TEST(listening_events_report_each_socket)
{
    struct server *server = run_server_with(say_hello, *state, .at = "localhost:0");

    for (int i = 0; i < 2; i++)
        assert_same_address(server_event(server, NB_EVENT_LISTENING, i).address,
                            socket_address(server->listener, (size_t)i));
}

TEST(accepted_and_closed_events_carry_the_peer_and_closed_the_bytes)
{
    struct server *server = run_server(answer_four_bytes, NULL, *state);
    int client = dial(&server->address);
    nb_address peer = own_address(client);

    say(client, "1234 and what nobody reads", 26);
    assert_int_equal(answer(client, HELLO), 0);
    hang_up(client);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    nb_event accepted = server_event(server, NB_EVENT_ACCEPTED, 0);
    nb_event closed = server_event(server, NB_EVENT_CLOSED, 0);
    assert_same_address(accepted.address, peer);
    assert_same_address(closed.address, peer);
    assert_status(accepted.status, NB_OK);
    assert_status(closed.status, NB_OK);
    assert_int_equal(closed.system_error, 0);
    assert_int_equal(closed.received, 4);
    assert_int_equal(closed.sent, strlen(HELLO));
}

TEST(closed_event_reports_a_reset)
{
    struct server *server = run_server(wait_for_ever, NULL, *state);
    int client = dial(&server->address);

    eventually(server_heard(server, NB_EVENT_ACCEPTED) == 1);
    break_off(client);
    assert_closes_with(server, NB_RESET);
    assert_status(handler_saw, NB_RESET);
    assert_int_equal(server_event(server, NB_EVENT_CLOSED, 0).system_error, ECONNRESET);
}

static atomic_int bad_events;

static bool is_line(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    }
    return text[0] != '\0';
}

static void check_event(const nb_event *event, void *unused)
{
    bool has_id = event->kind == NB_EVENT_ACCEPTED || event->kind == NB_EVENT_REFUSED ||
                  event->kind == NB_EVENT_CLOSED;

    (void)unused;
    bad_events += event->size != sizeof(*event);
    bad_events += (event->id != 0) != has_id;
    bad_events += event->duration_ns != 0 && event->kind != NB_EVENT_CLOSED;
    bad_events += !is_line(event->message);
}

TEST(each_event_has_a_size_and_a_line_and_connection_events_an_id)
{
    bad_events = 0;
    struct server *server =
        run_server_with(echo, *state, .also = check_event, .max_per_peer = 1, .drain_ms = 1);
    int client = dial(&server->address);
    eventually(server_heard(server, NB_EVENT_ACCEPTED) == 1);
    (void)dial(&server->address); /* refused at once, or at the stop */
    fail_next(ON_ACCEPT, EMFILE, 1);
    (void)dial_from("127.0.0.2:0", &server->address);
    assert_status(server_stop(server), NB_OK);
    hang_up(client);
    assert_int_equal(bad_events, 0);
}

TEST(every_connection_has_an_id_of_its_own)
{
    struct server *server = run_server(say_hello, NULL, *state);
    bool seen[41] = {false};

    for (int i = 0; i < 40; i++)
        hang_up(greeted_client(server));
    assert_status(server_finish(server), NB_OK);
    for (int i = 0; i < 40; i++) {
        uint64_t id = server_event(server, NB_EVENT_ACCEPTED, i).id;

        assert_in_range(id, 1, 40);
        assert_false(seen[id]);
        seen[id] = true;
    }
    for (int i = 0; i < 40; i++) {
        uint64_t id = server_event(server, NB_EVENT_CLOSED, i).id;

        assert_in_range(id, 1, 40);
        assert_true(seen[id]);
        seen[id] = false;
    }
}

static char line_of_accepted[600];

static void keep_line(const nb_event *event, void *unused)
{
    (void)unused;
    if (event->kind == NB_EVENT_ACCEPTED)
        (void)snprintf(line_of_accepted, sizeof(line_of_accepted), "%s", event->message);
}

/* Its name would clear a terminal and forge a line of the log. */
TEST(a_hostile_name_of_a_peer_is_escaped_in_the_line)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0\x1b[2J\nforged"};
    struct server *server =
        run_server_with(say_hello, *state, .at = "unix:@netbasics-hostile-name", .also = keep_line);
    nb_address from = nb__address_from((const struct sockaddr *)&name,
                                       offsetof(struct sockaddr_un, sun_path) + 12);
    int client = dial_quietly_from(&from, &server->address);

    assert_true(client >= 0);
    assert_int_equal(answer(client, HELLO), 0);
    assert_string_equal(line_of_accepted, "connection 1 from unix:@\\x1b[2J\\x0aforged: accepted");
    raw_close(client);
    assert_status(server_finish(server), NB_OK);
}

static bool was_accepted_before(const struct server *server, size_t closed)
{
    for (size_t i = 0; i < closed; i++) {
        if (server->events[i].kind == NB_EVENT_ACCEPTED &&
            nb_address_equal(&server->events[i].address, &server->events[closed].address))
            return true;
    }
    return false;
}

TEST(every_connection_is_accepted_before_it_is_closed)
{
    struct server *server = run_server(say_hello, NULL, *state);
    int clients[100];

    dial_all(clients, &server->address);
    assert_all_served(clients);
    assert_status(server_finish(server), NB_OK);
    assert_heard(server, ACCEPTED, COUNT(clients), CLOSED, COUNT(clients));
    for (size_t i = 0; i < server->event_count; i++)
        assert_true(server->events[i].kind != NB_EVENT_CLOSED || was_accepted_before(server, i));
    assert_int_equal(server->events[server->event_count - 2].kind == NB_EVENT_STOPPED, 0);
    assert_int_equal(server->events[server->event_count - 1].kind, NB_EVENT_STOPPED);
}

/* A lock of the loop that is held here would never come free again. */
static void ask_and_stop(const nb_event *event, void *context)
{
    struct server *server = context;

    (void)server_counters(server);
    if (event->kind == NB_EVENT_CLOSED)
        nb_listener_stop(server->listener);
    (void)server_counters(server);
}

TEST(an_event_callback_may_query_and_stop_the_server)
{
    struct server *server = run_server_with(say_hello, *state, .also = ask_and_stop,
                                            .max_per_peer = 1, .linger_ms = 50);
    int client = greeted_client(server);

    (void)dial(&server->address); /* refused or, after the stop, not */
    hang_up(client);
    assert_status(server_wait(server), NB_OK);
}

static void stay_in_closed(const nb_event *event, void *unused)
{
    (void)unused;
    if (event->kind == NB_EVENT_CLOSED)
        gate_pass();
}

TEST_AS(a_slow_event_callback_delays_only_its_own_thread, NET_CASE)
{
    struct server *server = run_server_with(abort_it, &workers, .also = stay_in_closed);

    (void)client_at_the_gate(server);
    (void)dial(&server->address);
    eventually(gate_waiting() == 2);
    gate_open();
    assert_status(server_finish(server), NB_OK);
}

/* Whether this thread is inside a call of a handler's that ends its connection. */
static _Thread_local bool is_ending;
static atomic_int heard_inside;

static void note_closed_inside(const nb_event *event, void *unused)
{
    (void)unused;
    heard_inside += event->kind == NB_EVENT_CLOSED && is_ending;
}

static nb_status end_it_somehow(nb_conn *conn, void *count)
{
    atomic_int descriptor = -1;

    is_ending = true;
    switch (++*(atomic_int *)count) {
    case 1:
        (void)close_it(conn, NULL);
        break;
    case 2:
        (void)abort_it(conn, NULL);
        break;
    default:
        (void)detach_it(conn, &descriptor);
        (void)close(descriptor);
    }
    is_ending = false;
    return NB_OK;
}

/* As documented, for those who hold a lock then. */
TEST(closed_event_is_raised_inside_the_call_that_ends_the_connection)
{
    atomic_int count = 0;
    struct server *server =
        run_server_with(end_it_somehow, *state, .context = &count, .also = note_closed_inside);

    heard_inside = 0;
    for (int i = 1; i <= 3; i++) {
        (void)dial(&server->address);
        eventually(server_heard(server, NB_EVENT_CLOSED) == i);
    }
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(heard_inside, 3);
}

/* The kind of which the first event takes its time. */
static _Atomic nb_event_kind slow_kind;

static void stay_in_the_first(const nb_event *event, void *context)
{
    const struct server *server = context;

    nb_event_kind kind = slow_kind;

    if (event->kind == kind && server_heard(server, kind) == 1)
        gate_pass();
}

TEST_AS(a_slow_callback_for_accepted_delays_no_other_client, NET_CASE)
{
    struct server *server = run_server_with(say_hello, &workers, .also = stay_in_the_first);

    slow_kind = NB_EVENT_ACCEPTED;
    int slow = client_at_the_gate(server);
    assert_serves(server, 3);
    assert_int_equal(gate_waiting(), 1);
    gate_open();
    assert_int_equal(answer(slow, HELLO), 0);
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(a_slow_callback_for_refused_delays_no_other_client, NET_CASE)
{
    struct server *server =
        run_server_with(echo, &workers, .also = stay_in_the_first, .max_per_peer = 1);

    slow_kind = NB_EVENT_REFUSED;
    (void)dial(&server->address);
    eventually(server_heard(server, NB_EVENT_ACCEPTED) == 1);
    assert_int_equal(answer(dial(&server->address), ""), ECONNRESET);
    eventually(gate_waiting() == 1);
    assert_int_equal(answer(dial(&server->address), ""), ECONNRESET);
    (void)dial_from("127.0.0.2:0", &server->address);
    eventually(server_heard(server, NB_EVENT_ACCEPTED) == 2);
    assert_int_equal(gate_waiting(), 1);
    gate_open();
    assert_status(server_finish(server), NB_OK);
}

/* --- Counters --- */

/* How much nb_listener_counters() has written behind the size. */
static size_t count_written(const struct server *server, size_t size, nb_status expected)
{
    nb_serve_counters counters;
    size_t written = 0;

    memset(&counters, '#', sizeof(counters));
    counters.size = size;
    assert_status(nb_listener_counters(server->listener, &counters), expected);
    assert_int_equal(counters.size, size);
    for (size_t i = sizeof(counters.size); i < sizeof(counters); i++)
        written += ((unsigned char *)&counters)[i] != '#';
    return written;
}

TEST_AS(counters_without_a_size_are_invalid_and_unchanged, NET_CASE)
{
    static const size_t sizes[] = SIZES_NEVER_SET;
    struct server *server = server_new("127.0.0.1:0", say_hello, &sequential);

    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_int_equal(count_written(server, sizes[i], NB_INVALID), 0);
    assert_int_equal(count_written(server, sizeof(size_t), NB_OK), 0);
}

TEST_AS(counters_of_a_null_listener_are_invalid, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &sequential);
    nb_serve_counters counters = NB_SERVE_COUNTERS_INIT;

    assert_status(nb_listener_counters(NULL, &counters), NB_INVALID);
    assert_status(nb_listener_counters(server->listener, NULL), NB_INVALID);
}

TEST_AS(the_counters_start_at_zero, NET_CASE)
{
    struct server *server = server_new("127.0.0.1:0", say_hello, &sequential);
    nb_serve_counters counters, zero = NB_SERVE_COUNTERS_INIT;

    counters = server_counters(server);
    assert_memory_equal(&counters, &zero, sizeof(counters));
}

TEST(the_counters_can_be_read_after_the_server_has_ended)
{
    struct server *server = run_server(say_hello, NULL, *state);

    assert_serves(server, 5);
    assert_status(server_finish(server), NB_OK);
    assert_counters(server, accepted, 5, active, 0);
    assert_counters(server, lingering, 0, refused, 0);
    assert_counters(server, lost_accepts, 0, forced, 0);
    assert_int_equal(server_counters(server).unserved, 0);
    assert_in_range(server_counters(server).peak, 1, 5);
}

/* What an event says has been counted before. */
static void check_counted(const nb_event *event, void *context)
{
    const struct server *server = context;
    uint64_t accepted = (uint64_t)server_heard(server, NB_EVENT_ACCEPTED);
    uint64_t refused = (uint64_t)server_heard(server, NB_EVENT_REFUSED);
    nb_serve_counters counters = server_counters(server);

    bad_events += counters.accepted < accepted;
    bad_events += counters.refused < refused;
    bad_events += event->kind == NB_EVENT_ACCEPTED && counters.active < 1;
}

/* Looks at the counters until the server ends. */
static void add_up(void *argument)
{
    const struct server *server = argument;

    while (!server->ended) {
        nb_serve_counters counters = server_counters(server);

        bad_events += counters.active + counters.lingering > counters.accepted;
    }
}

static void come_a_hundred_times(void *argument)
{
    const struct server *server = argument;

    for (int i = 0; i < 100; i++) {
        int fd = dial_quietly(&server->address);

        (void)answer(fd, HELLO);
        raw_close(fd);
    }
}

TEST(the_counters_add_up_at_all_times)
{
    struct task clients[4], looker;

    bad_events = 0;
    struct server *server =
        run_server_with(say_hello, *state, .also = check_counted, .max_per_peer = 2);
    task_start(&looker, add_up, server);
    for (size_t i = 0; i < COUNT(clients); i++)
        task_start(&clients[i], come_a_hundred_times, server);
    for (size_t i = 0; i < COUNT(clients); i++)
        task_join(&clients[i]);
    eventually(server_counters(server).active + server_counters(server).lingering == 0);
    (void)dial(&server->address); /* lingers */
    eventually(server_counters(server).lingering == 1);
    eventually(server_counters(server).accepted ==
               1 + (uint64_t)server_heard(server, NB_EVENT_CLOSED));
    nb_serve_counters counters = server_counters(server);
    assert_int_equal(counters.accepted, server_heard(server, NB_EVENT_ACCEPTED));
    /* The event comes after the count. */
    eventually(server_heard(server, NB_EVENT_REFUSED) == (int)counters.refused);
    assert_int_equal(counters.accepted + counters.refused, COUNT(clients) * 100 + 1);
    assert_int_equal(counters.active, 0);
    assert_status(server_finish(server), NB_OK);
    task_join(&looker);
    assert_int_equal(bad_events, 0);
}

TEST_AS(accepted_counts_active_lingering_and_closed_connections, NET_CASE)
{
    struct server *server = run_server_with(say_hello_later, &workers, .max_per_peer = 3);
    int first = dial(&server->address);

    gate_open_for(1);
    assert_int_equal(answer(first, HELLO), 0);
    hang_up(first);
    eventually(server_heard(server, NB_EVENT_CLOSED) == 1);
    gate_open_for(1);
    (void)lingering_client(server);
    dial_to_the_gate(2, server);
    assert_int_equal(answer(dial(&server->address), ""), ECONNRESET);
    assert_counters(server, accepted, 4, active, 2);
    assert_counters(server, lingering, 1, refused, 1);
    assert_int_equal(server_heard(server, NB_EVENT_CLOSED), 1);
    gate_open();
    assert_status(server_finish(server), NB_OK);
}

TEST(the_counters_fill_only_the_fields_the_caller_knows)
{
    struct server *server = run_server(say_hello, NULL, *state);
    struct {
        nb_serve_counters known;
        uint64_t later[2];
    } counters;

    assert_serves(server, 1);
    memset(&counters, 0xff, sizeof(counters));
    counters.known.size = offsetof(nb_serve_counters, active);
    assert_status(nb_listener_counters(server->listener, &counters.known), NB_OK);
    assert_int_equal(counters.known.accepted, 1);
    assert_true(counters.known.active == UINT64_MAX);
    counters.known.size = sizeof(counters);
    assert_status(nb_listener_counters(server->listener, &counters.known), NB_OK);
    assert_int_equal(counters.known.size, sizeof(counters));
    assert_int_equal(counters.known.accepted, 1);
    assert_true(counters.later[0] == 0 && counters.later[1] == 0);
}

TEST_GROUP(move_to_own_network, NULL)
