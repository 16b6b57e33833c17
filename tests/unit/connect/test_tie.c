/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of what is tied to a connection: its cancellation, its life and the drain end that, too. */
#include "servers.h"
#include "sys/sys.h"

#include <netdb.h>

/* The resolver never answers. */
static int own_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    (void)host;
    (void)out;
    (void)number;
    gate_pass();
    return EAI_AGAIN;
}

REPLACE(getaddrinfo, own_getaddrinfo)

static void own_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

REPLACE(freeaddrinfo, own_freeaddrinfo)

/* --- Connections that are tied, and where they lead. --- */

static nb_status try_tied(nb_conn **out, const nb_address *to, nb_conn *tie, nb_deadline by,
                          nb_error *err)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    char endpoint[NB_ADDRESS_TEXT_MAX];

    options.tie = tie;
    return nb_connect(out, nb_address_format(to, endpoint, sizeof(endpoint)), &options, by, err);
}

static nb_conn *connect_tied(const nb_address *to, nb_conn *tie)
{
    nb_conn *conn;

    assert_status(try_tied(&conn, to, tie, plenty(), NULL), NB_OK);
    return conn;
}

static bool is_cancelled(const nb_conn *conn)
{
    return nb_conn_status(conn, NB_RECEIVE) == NB_CANCELLED;
}

/* What a thread does with a tie. */
struct tied {
    struct task task;
    nb_address to;
    const char *name; /* instead of `to` */
    nb_conn *tie;
    nb_conn *conn;
    nb_status status;
    nb_error err;
};

static void connect_in_vain(void *argument)
{
    struct tied *tied = argument;
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;

    options.tie = tied->tie;
    if (tied->name != NULL)
        tied->status = nb_connect(&tied->conn, tied->name, &options, nb_forever(), &tied->err);
    else
        tied->status = try_tied(&tied->conn, &tied->to, tied->tie, nb_forever(), &tied->err);
}

static void receive_in_vain(void *argument)
{
    struct tied *tied = argument;
    size_t count;
    char byte;

    tied->status = nb_recv(tied->conn, &byte, 1, &count, nb_forever());
}

static void start_connect(struct tied *tied, nb_conn *tie)
{
    tied->tie = tie;
    tied->conn = tie; /* which is not what comes of it */
    task_start(&tied->task, connect_in_vain, tied);
    eventually(thread_waits(atomic_load(&tied->task.tid), FOR_EVENTS));
}

static void check_cancelled(struct tied *tied)
{
    task_join(&tied->task);
    assert_status(tied->status, NB_CANCELLED);
    assert_null(tied->conn);
    assert_int_equal(tied->err.system_error, 0);
}

/* A connection to tie to, the socket at its other end, and a listener to connect to. */
static nb_conn *first;
static int first_peer;
static int listening;
static nb_address address;

static int tie_case_begin(void **state)
{
    (void)net_case_begin(state);
    first = conn_and_peer(OVER_IPV4, &first_peer);
    listening = bare_listener("127.0.0.1:0", 64, &address);
    return 0;
}

static int tie_case_end(void **state)
{
    nb_abort(first);
    raw_close(first_peer);
    return net_case_end(state);
}

#define TIE_CASE(name) cmocka_unit_test_setup_teardown(name, tie_case_begin, tie_case_end)

#define TEST(name) TEST_AS(name, TIE_CASE)

TEST(cancel_ends_a_connect_that_waits_for_its_peer)
{
    struct tied tied = {.name = NULL};

    silent_port("127.0.0.1:0", &tied.to);
    start_connect(&tied, first);
    nb_cancel(first);
    check_cancelled(&tied);
    assert_non_null(strstr(tied.err.message, ": cancelled"));
}

TEST(cancel_ends_a_connect_that_waits_for_a_lookup)
{
    struct tied tied = {.name = "some.test:80"};
    nb_conn *conn;
    int peer;

    conn = conn_and_peer(OVER_UNIX, &peer);
    start_connect(&tied, conn);
    eventually(gate_waiting() == 1);
    nb_cancel(conn);
    check_cancelled(&tied);
    assert_int_equal(gate_waiting(), 1);
    nb_abort(conn);
    raw_close(peer);
}

TEST(cancel_ends_every_connect_that_waits)
{
    static struct tied tied[5];

    for (size_t i = 0; i < COUNT(tied); i++) {
        tied[i].name = NULL;
        silent_port("127.0.0.1:0", &tied[i].to);
        start_connect(&tied[i], first);
    }
    nb_cancel(first);
    for (size_t i = 0; i < COUNT(tied); i++)
        check_cancelled(&tied[i]);
}

TEST(a_connect_tied_to_a_cancelled_connection_is_cancelled)
{
    nb_conn *other;
    nb_error err;

    nb_cancel(first);
    assert_status(try_tied(&other, &address, first, plenty(), &err), NB_CANCELLED);
    assert_null(other);
    assert_non_null(strstr(err.message, ": cancelled"));
    assert_status(try_tied(&other, &address, first, past(), NULL), NB_CANCELLED);
}

TEST(cancel_ends_a_receive_of_a_tied_connection)
{
    struct tied tied = {.name = NULL};
    int other;

    tied.conn = connect_tied(&address, first);
    other = accept(listening, NULL, NULL);
    task_start(&tied.task, receive_in_vain, &tied);
    task_until_blocked(&tied.task);
    nb_cancel(first);
    task_join(&tied.task);
    assert_status(tied.status, NB_CANCELLED);
    assert_int_equal(raw_ending(other, NULL), ECONNRESET);
    nb_abort(tied.conn);
    raw_close(other);
}

TEST(cancel_propagates_through_chains_of_ties)
{
    nb_conn *conns[4];
    int peer;

    conns[0] = conn_and_peer(OVER_IPV4, &peer);
    conns[1] = connect_tied(&address, conns[0]);
    conns[2] = connect_tied(&address, conns[1]);
    conns[3] = connect_tied(&address, conns[1]);
    nb_cancel(conns[1]);
    assert_false(is_cancelled(conns[0]));
    for (size_t i = 1; i < COUNT(conns); i++)
        assert_true(is_cancelled(conns[i]));
    nb_cancel(conns[0]);
    for (size_t i = 0; i < COUNT(conns); i++)
        nb_abort(conns[i]);
    raw_close(peer);
}

/* --- How a tie ends. --- */

static void close_it(nb_conn *conn)
{
    (void)nb_close(conn, past());
}

static void detach_it(nb_conn *conn)
{
    nb_fd fd = -1;

    assert_status(nb_conn_detach(conn, &fd, NULL, 0, NULL), NB_OK);
    raw_close(fd);
}

static void (*const ends[])(nb_conn *) = {close_it, nb_abort, detach_it};

TEST(closing_the_first_connection_unties_the_others)
{
    for (size_t i = 0; i < COUNT(ends); i++) {
        nb_conn *conn, *tied[2];
        int peer;

        conn = conn_and_peer(OVER_IPV4, &peer);
        for (size_t k = 0; k < COUNT(tied); k++)
            tied[k] = connect_tied(&address, conn);
        ends[i](conn);
        for (size_t k = 0; k < COUNT(tied); k++) {
            assert_false(is_cancelled(tied[k]));
            assert_status(nb_send_all(tied[k], "x", 1, NULL, plenty()), NB_OK);
            nb_abort(tied[k]);
        }
        raw_close(peer);
    }
}

TEST(closing_a_tied_connection_unties_it)
{
    for (size_t i = 0; i < COUNT(ends); i++) {
        nb_conn *conn, *tied[3];
        int peer;

        conn = conn_and_peer(OVER_IPV4, &peer);
        for (size_t k = 0; k < COUNT(tied); k++)
            tied[k] = connect_tied(&address, conn);
        ends[i](tied[1]);
        nb_cancel(conn);
        assert_true(is_cancelled(tied[0]));
        assert_true(is_cancelled(tied[2]));
        nb_abort(tied[0]);
        nb_abort(tied[2]);
        nb_abort(conn);
        raw_close(peer);
    }
}

TEST(a_failed_connect_leaves_no_tie)
{
    nb_address dead, silent;
    nb_conn *other;

    (void)dead_port("127.0.0.1:0", &dead);
    silent_port("127.0.0.2:0", &silent);
    assert_status(try_tied(&other, &dead, first, plenty(), NULL), NB_REFUSED);
    assert_status(try_tied(&other, &silent, first, nb_after_ms(20), NULL), NB_TIMEOUT);
    assert_status(try_tied(&other, &silent, first, past(), NULL), NB_TIMEOUT);
    nb_cancel(first);
}

TEST(a_tied_connection_that_was_cancelled_cannot_be_detached)
{
    nb_conn *tied;
    nb_fd fd = -1;

    tied = connect_tied(&address, first);
    nb_cancel(first);
    assert_status(nb_conn_detach(tied, &fd, NULL, 0, NULL), NB_CANCELLED);
    assert_int_equal(fd, -1);
    nb_abort(tied);
}

/* --- Servers: what a handler connects to ends with its own connection. --- */

struct proxy {
    nb_address to;
    bool reaches_it; /* and waits for it to speak; else it waits for the connection */
    atomic_int status;
    nb_conn *upstream;
};

static nb_status wait_for_upstream(nb_conn *conn, void *context)
{
    struct proxy *proxy = context;
    size_t count;
    char byte;
    nb_status status = try_tied(&proxy->upstream, &proxy->to, conn, nb_forever(), NULL);

    if (status == NB_OK)
        status = nb_recv(proxy->upstream, &byte, 1, &count, nb_forever());
    atomic_store(&proxy->status, (int)status);
    nb_abort(proxy->upstream);
    return status;
}

static struct server *run_proxy(struct proxy *proxy, bool reaches_it, const struct mode *mode)
{
    struct server *server = server_new("127.0.0.1:0", wait_for_upstream, mode);

    memset(proxy, 0, sizeof(*proxy));
    if (reaches_it)
        (void)bare_listener("127.0.0.1:0", 8, &proxy->to);
    else
        silent_port("127.0.0.1:0", &proxy->to);
    atomic_store(&proxy->status, -1);
    server->context = proxy;
    return server;
}

static void check_the_drain_ends_it(bool reaches_it, const struct mode *mode)
{
    static struct proxy proxy;
    struct server *server = run_proxy(&proxy, reaches_it, mode);
    int client = dial(&server->address);

    server->options.drain_ms = 200;
    server_run(server);
    eventually(server_counters(server).active == 1);
    assert_status(server_stop(server), NB_OK); /* which would wait for ever */
    assert_status((nb_status)atomic_load(&proxy.status), NB_CANCELLED);
    assert_int_equal(server_counters(server).forced, 1);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
}

TEST_AS(the_end_of_the_drain_cancels_a_handlers_connect, NET_CASE_FOR_BOTH)
{
    check_the_drain_ends_it(false, *state);
}

TEST_AS(the_end_of_the_drain_cancels_a_handlers_tied_connection, NET_CASE_FOR_BOTH)
{
    check_the_drain_ends_it(true, *state);
}

static void check_the_life_ends_it(bool reaches_it, const struct mode *mode)
{
    static struct proxy proxy;
    struct server *server = run_proxy(&proxy, reaches_it, mode);
    int client = dial(&server->address);

    server->options.connection_ms = 200;
    server_run(server);
    assert_int_equal(raw_ending(client, NULL), ECONNRESET);
    eventually(atomic_load(&proxy.status) == NB_CANCELLED);
    assert_status(server_finish(server), NB_OK);
}

TEST_AS(connection_ms_cancels_a_handlers_connect, NET_CASE_FOR_BOTH)
{
    check_the_life_ends_it(false, *state);
}

TEST_AS(connection_ms_cancels_a_handlers_tied_connection, NET_CASE_FOR_BOTH)
{
    check_the_life_ends_it(true, *state);
}

/* The first connection is left to the case, and the second one waits at the gate. */
static nb_status leave_upstream(nb_conn *conn, void *context)
{
    struct proxy *proxy = context;

    if (proxy->upstream != NULL)
        gate_pass();
    else
        (void)try_tied(&proxy->upstream, &proxy->to, conn, plenty(), NULL);
    return NB_OK;
}

/* Whoever has it now does not hear of what becomes of later connections, which the same thread serves. */
TEST_AS(a_tie_ends_when_the_handler_returns, NET_CASE_FOR_BOTH)
{
    static struct proxy proxy;
    struct server *server = run_proxy(&proxy, true, *state);
    int client = dial(&server->address);
    size_t count;
    char byte;

    server->handler = leave_upstream;
    server->options.connection_ms = 100;
    server->options.linger_ms = 60000;
    server_run(server);
    assert_int_equal(raw_ending(client, NULL), 0);
    (void)dial(&server->address);
    eventually(gate_waiting() == 1);
    assert_status(nb_recv(proxy.upstream, &byte, 1, &count, nb_after_ms(300)), NB_TIMEOUT);
    gate_open();
    assert_status(server_stop(server), NB_OK);
    assert_status(nb_send_all(proxy.upstream, "x", 1, NULL, plenty()), NB_OK);
    nb_abort(proxy.upstream);
}

/* A connection whose life ends while its handler keeps it, and the answer to that. */
static struct keeping {
    nb_address to;
    nb_conn *conn;
    nb_conn *upstream;
    nb_status waited; /* what it came to to wait there */
    atomic_bool told;
    atomic_int status;
} keeping;

static void *wait_beside_the_handler(void *upstream)
{
    size_t count;
    char byte;

    keeping.waited = nb_recv(upstream, &byte, 1, &count, nb_forever());
    return NULL;
}

static nb_status keep_it(nb_conn *conn, void *unused)
{
    pthread_t thread;
    nb_status status;
    nb_fd fd;

    (void)unused;
    keeping.conn = conn;
    (void)try_tied(&keeping.upstream, &keeping.to, conn, plenty(), NULL);
    if (pthread_create(&thread, NULL, wait_beside_the_handler, keeping.upstream) != 0)
        return NB_SYSTEM;
    status = nb_conn_detach(conn, &fd, NULL, 0, NULL);
    if (status == NB_OK)
        (void)close(fd);
    nb_cancel(keeping.upstream);
    (void)pthread_join(thread, NULL);
    nb_abort(keeping.upstream);
    atomic_store(&keeping.status, (int)status);
    return NB_OK;
}

/* Whoever hears of the end takes longer than the life would have lasted. */
static void outlast_the_life(const nb_event *event, void *unused)
{
    nb_deadline until = nb_after_ms(900);

    (void)unused;
    if (event->kind != NB_EVENT_CLOSED)
        return;
    atomic_store(&keeping.told, true);
    while (!nb_expired(until) && nb_conn_status(keeping.conn, NB_RECEIVE) != NB_CANCELLED)
        a_moment();
}

/* In the thread that accepts, who waits with what is tied to it looks at its life. */
TEST_AS(connection_ms_does_not_apply_to_a_connection_that_is_kept, NET_CASE_FOR_BOTH)
{
    struct server *server = server_new("127.0.0.1:0", keep_it, *state);
    int client = dial(&server->address);

    memset(&keeping, 0, sizeof(keeping));
    atomic_store(&keeping.status, -1);
    (void)bare_listener("127.0.0.1:0", 8, &keeping.to);
    server->also = outlast_the_life;
    server->options.connection_ms = 500;
    server_run(server);
    eventually(atomic_load(&keeping.status) != -1);
    if (atomic_load(&keeping.told)) { /* else it was over before, on a slow machine */
        assert_status((nb_status)atomic_load(&keeping.status), NB_OK);
        assert_status(keeping.waited, NB_CANCELLED);
        assert_int_equal(raw_ending(client, NULL), 0);
    }
    assert_status(server_finish(server), NB_OK);
}

/* --- Threads --- */

#define ROUNDS 200

static void end_it(void *conn)
{
    nb_abort(conn);
}

/* Whoever ends what is tied waits for whoever cancels it just then. */
TEST(cancel_races_with_closing_a_tied_connection)
{
    for (int round = 0; round < ROUNDS; round++) {
        nb_conn *conn, *tied, *behind;
        struct task task;
        int peer;

        conn = conn_and_peer(OVER_UNIX, &peer);
        tied = connect_tied(&address, conn);
        behind = connect_tied(&address, tied);
        task_start(&task, end_it, tied);
        nb_cancel(conn);
        task_join(&task);
        nb_abort(behind);
        nb_abort(conn);
        raw_close(peer);
        for (int i = 0; i < 2; i++)
            close(accept(listening, NULL, NULL));
    }
}

TEST(closing_both_ends_of_a_tie_at_once_is_safe)
{
    for (int round = 0; round < ROUNDS; round++) {
        nb_conn *conn, *tied;
        struct task task;
        int peer;

        conn = conn_and_peer(OVER_UNIX, &peer);
        tied = connect_tied(&address, conn);
        task_start(&task, end_it, tied);
        nb_abort(conn);
        task_join(&task);
        raw_close(peer);
        close(accept(listening, NULL, NULL));
    }
}

static void connect_and_end(void *argument)
{
    struct tied *tied = argument;

    tied->status = try_tied(&tied->conn, &tied->to, tied->tie, plenty(), NULL);
    if (tied->status == NB_OK && nb_send_all(tied->conn, "x", 1, NULL, plenty()) != NB_OK)
        tied->status = nb_conn_status(tied->conn, NB_SEND);
    nb_abort(tied->conn);
}

/* Several threads tie something to one connection while it is cancelled. */
TEST(cancel_races_with_tied_connects)
{
    for (int round = 0; round < ROUNDS / 4; round++) {
        static struct tied tied[4];
        nb_conn *conn;
        int peer, one;

        conn = conn_and_peer(OVER_UNIX, &peer);
        for (size_t i = 0; i < COUNT(tied); i++) {
            tied[i].to = address;
            tied[i].tie = conn;
            task_start(&tied[i].task, connect_and_end, &tied[i]);
        }
        nb_cancel(conn);
        for (size_t i = 0; i < COUNT(tied); i++) {
            task_join(&tied[i].task);
            assert_true(tied[i].status == NB_OK || tied[i].status == NB_CANCELLED);
        }
        nb_abort(conn);
        raw_close(peer);
        while (poll(&(struct pollfd){listening, POLLIN, 0}, 1, 0) == 1 &&
               (one = accept(listening, NULL, NULL)) >= 0)
            close(one);
    }
}

/* --- Out of something --- */

TEST(a_tied_connect_out_of_memory_connects_and_leaks_nothing)
{
    nb_status status = NB_NO_MEMORY;
    nb_conn *tied = NULL;
    int failed = 0;

    while (status == NB_NO_MEMORY && failed < 20) {
        fail_after(ON_LIBC_MALLOC, failed++, ENOMEM, 1);
        status = try_tied(&tied, &address, first, plenty(), NULL);
    }
    fail_next(ON_LIBC_MALLOC, 0, 0);
    assert_status(status, NB_OK);
    /* The connection, room for its candidates, the tie, and what ties to the first have in common. */
    assert_int_equal(failed, 5);
    nb_abort(tied);
}

TEST(a_tied_connect_out_of_descriptors_is_reported)
{
    nb_conn *tied;
    nb_error err;

    fail_next(ON_WAKE_OPEN, EMFILE, 1);
    assert_status(try_tied(&tied, &address, first, plenty(), &err), NB_NO_DESCRIPTORS);
    assert_int_equal(err.system_error, EMFILE);
    nb_cancel(first);
}

/* Once it is connected, a tie takes none. */
TEST(a_tied_connection_takes_one_descriptor)
{
    nb_conn *tied;
    size_t before;

    before = open_descriptors();
    tied = connect_tied(&address, first);
    assert_int_equal(open_descriptors(), before + 1);
    nb_abort(tied);
}
