/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What befalls a connection that is there: a blackout, errors of routers, resets by others, peers
 *         that vanish or forget. */
#include "wire.h"

#define BYTES ((size_t)1 << 20)
#define MUCH ((size_t)16 << 20) /* more than buffers hold */
#define SHORT_MS 700

/* An exchange that meets this verdict on all packets for some time, in its middle. */
static void exchange_through(const char *verdict, int ms)
{
    struct exchange exchange;
    nb_conn *conn = connect_to(serve_there(THERE_IPV4, echo, NULL), NULL);

    after_kilobytes(THERE, 200, verdict);
    exchange_begin(&exchange, conn, BYTES, nb_after_ms(60000));
    until_packets_met(THERE);
    last_ms(ms);
    calm();
    exchange_end(&exchange);
    assert_whole_or_named(&exchange, verdict);
    nb_abort(conn);
}

#define TEST(name) TEST_AS(name, WIRE_CASE)

/* --- Bad moments --- */

TEST(a_blackout_of_three_seconds_loses_nothing)
{
    exchange_through("drop", 3000);
}

TEST(icmp_errors_break_no_connection)
{
    exchange_through("reject with icmpx host-unreachable", 700);
    exchange_through("reject with icmpx port-unreachable", 700);
    exchange_through("reject with icmpx admin-prohibited", 700);
}

TEST(a_link_that_goes_down_for_a_second_loses_nothing)
{
    struct exchange exchange;
    nb_conn *conn = connect_to(serve_there(THERE_IPV4, echo, NULL), NULL);

    pull_plug();
    exchange_begin(&exchange, conn, BYTES, nb_after_ms(60000));
    last_ms(1000);
    plug_in();
    exchange_end(&exchange);
    assert_whole_or_named(&exchange, "link down");
    nb_abort(conn);
}

TEST(large_packets_that_are_dropped_end_at_the_deadline)
{
    struct exchange exchange;
    nb_conn *conn = connect_to(serve_there(THERE_IPV4, echo, NULL), NULL);

    filter(THERE, "meta length > 600 drop");
    exchange_begin(&exchange, conn, BYTES, nb_after_ms(SHORT_MS));
    exchange_end(&exchange);
    assert_whole_or_named(&exchange, "large packets vanish");
    assert_status(exchange.receiving, NB_TIMEOUT);
    assert_int_equal(exchange.received, 0);
    nb_abort(conn);
}

TEST(a_reset_by_a_middlebox_is_no_end)
{
    struct exchange exchange;
    nb_conn *conn = connect_to(serve_there(THERE_IPV4, echo, NULL), NULL);

    after_kilobytes(THERE, 200, "reject with tcp reset");
    exchange_begin(&exchange, conn, MUCH, nb_after_ms(60000));
    exchange_end(&exchange);
    assert_true(exchange.intact);
    assert_status(exchange.receiving, NB_RESET);
    assert_status(exchange.sending, NB_RESET);
    assert_status(nb_close(conn, plenty()), NB_RESET);
}

/* --- Peers that vanish --- */

TEST(a_vanished_peer_holds_no_call_beyond_its_deadline)
{
    static char much[MUCH];
    size_t count;
    nb_deadline by;
    nb_conn *conn = connect_to(serve_there(THERE_IPV4, echo, NULL), NULL);

    black_out();
    by = nb_after_ms(SHORT_MS);
    assert_status(nb_recv(conn, much, 1, &count, by), NB_TIMEOUT);
    assert_passed(by, LATE_MS);
    by = nb_after_ms(SHORT_MS);
    assert_status(nb_send_all(conn, much, MUCH, &count, by), NB_TIMEOUT);
    assert_passed(by, LATE_MS);
    assert_true(count < MUCH);
    assert_status(nb_close(conn, plenty()), NB_TIMEOUT);
}

TEST(a_close_waits_for_a_vanished_peer_until_its_deadline)
{
    nb_deadline by;
    nb_conn *conn = connect_to(serve_there(THERE_IPV4, echo, NULL), NULL);

    black_out();
    assert_status(nb_send_all(conn, "farewell", 8, NULL, plenty()), NB_OK);
    by = nb_after_ms(SHORT_MS);
    assert_status(nb_close(conn, by), NB_TIMEOUT);
    assert_passed(by, LATE_MS);
}

TEST(keepalive_detects_a_vanished_silent_peer)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;
    size_t count;
    char byte;

    options.keepalive_idle_ms = 1000;
    options.keepalive_interval_ms = 1000;
    options.keepalive_count = 2;
    conn = connect_to(serve_there(THERE_IPV4, echo, NULL), &options);
    black_out();
    assert_status(nb_recv(conn, &byte, 1, &count, nb_forever()), NB_UNREACHABLE);
    assert_int_not_equal(nb_send_all(conn, &byte, 1, NULL, plenty()), NB_OK);
    nb_abort(conn);
}

TEST(user_timeout_detects_that_bytes_do_not_arrive)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;
    size_t count;
    char byte = 0;

    options.user_timeout_ms = 1000;
    conn = connect_to(serve_there(THERE_IPV4, echo, NULL), &options);
    black_out();
    assert_status(nb_send_all(conn, &byte, 1, NULL, plenty()), NB_OK);
    assert_status(nb_recv(conn, &byte, 1, &count, nb_forever()), NB_UNREACHABLE);
    nb_abort(conn);
}

/* RFC 5482: a window of zero is no acknowledgement of anything. */
TEST(user_timeout_also_gives_up_a_live_peer_that_does_not_read)
{
    static char bytes[MUCH];
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;

    options.user_timeout_ms = 1000;
    conn = connect_to(serve_there(THERE_IPV4, say_hello_later, NULL), &options);
    assert_status(nb_send_all(conn, bytes, sizeof(bytes), NULL, nb_forever()), NB_UNREACHABLE);
    nb_abort(conn);
    gate_open();
}

TEST(etimedout_of_a_vanished_peer_is_not_a_timeout)
{
    nb_conn *conn;
    size_t count;
    char byte = 0;

    set_for_case("net/ipv4/tcp_retries2", "2");
    conn = connect_to(serve_there(THERE_IPV4, echo, NULL), NULL);
    black_out();
    assert_status(nb_send_all(conn, &byte, 1, NULL, plenty()), NB_OK);
    assert_status(nb_recv(conn, &byte, 1, &count, nb_after_ms(60000)), NB_UNREACHABLE);
    nb_abort(conn);
}

TEST(a_peer_that_lost_the_connection_state_is_a_reset)
{
    static struct heard heard;
    size_t count;
    char byte = 0;
    struct server *server = serve_there(THERE_IPV4, listen_to_pattern, &heard);
    nb_conn *conn = connect_to(server, NULL);

    eventually(server_counters(server).active == 1);
    black_out();
    assert_status(server_stop(server), NB_OK); /* its farewell is not heard */
    calm();
    assert_status(nb_send_all(conn, &byte, 1, NULL, plenty()), NB_OK);
    until_event(nb_conn_fd(conn), POLLHUP); /* its reset has come, for the send to take */
    assert_status(nb_send_all(conn, &byte, 1, NULL, plenty()), NB_RESET);
    assert_status(nb_recv(conn, &byte, 1, &count, plenty()), NB_RESET);
    nb_abort(conn);
}

/* --- Servers whose clients vanish --- */

static nb_status give_much(nb_conn *conn, void *unused)
{
    static char much[MUCH];

    (void)unused;
    nb_send_all(conn, much, sizeof(much), NULL, nb_forever());
    return NB_OK;
}

/* So many clients that do not read, and are gone. */
static struct server *server_of_vanished(int clients, int64_t connection_ms)
{
    struct server *server = server_there(THERE_IPV4, give_much, NULL, NULL);

    server->options.connection_ms = connection_ms;
    server_run(server);
    for (int i = 0; i < clients; i++)
        (void)dial(&server->address);
    eventually(server_counters(server).active == (uint64_t)clients);
    black_out();
    return server;
}

TEST(connection_ms_ends_the_connection_of_a_vanished_client)
{
    struct server *server = server_of_vanished(4, SHORT_MS);

    eventually(server_heard(server, NB_EVENT_CLOSED) == 4);
    assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, NB_CANCELLED);
    assert_status(server_stop(server), NB_OK);
}

TEST(vanished_clients_do_not_delay_a_stop)
{
    struct server *server = server_of_vanished(4, NB_NO_LIMIT);
    int64_t begin = now_ns();

    assert_status(server_stop(server), NB_OK);
    assert_true(ms_since(begin) < server->options.drain_ms + LATE_MS);
    assert_int_equal(server_counters(server).forced, 4);
}

TEST(keepalive_frees_a_handler_whose_client_has_vanished)
{
    static struct heard heard;
    nb_listen_options options = NB_LISTEN_OPTIONS_INIT;
    struct server *server;

    options.keepalive_idle_ms = 1000;
    options.keepalive_interval_ms = 1000;
    options.keepalive_count = 1;
    server = server_there(THERE_IPV4, listen_to_pattern, &heard, &options);
    server_run(server);
    (void)dial(&server->address);
    eventually(server_counters(server).active == 1);
    black_out();
    eventually(heard.ended);
    assert_status((nb_status)heard.status, NB_UNREACHABLE);
}

TEST_GROUP(hosts_begin, hosts_end)
