/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Networks that deliver late, out of order, twice or damaged. */
#include "shuttle.h"

static void tell_counts(void)
{
    size_t carried;
    size_t overtook;

    shuttle_counts(&carried, &overtook);
    print_message("# %zu packets carried, %zu overtaken\n", carried, overtook);
}

static void exchange_over(const char *address, size_t bytes, const char *network)
{
    struct exchange exchange;
    nb_conn *conn = connect_to(serve_there(address, echo, NULL), NULL);
    int64_t begin = now_ns();

    exchange_begin(&exchange, conn, bytes, nb_after_ms(40000));
    exchange_end(&exchange);
    tell_counts();
    print_message("# %lld ms\n", (long long)ms_since(begin));
    assert_whole_or_named(&exchange, network);
    nb_abort(conn);
}

#define TEST(name) TEST_AS(name, SHUTTLE_CASE)

TEST(a_distant_peer_gets_everything)
{
    need_shuttle(.delay_ms = 50);
    exchange_over(FAR_IPV4, 1 << 20, "50 ms each way");
}

TEST(reordered_packets_arrive_as_an_ordered_stream)
{
    size_t carried;
    size_t overtook;

    need_shuttle(.delay_ms = 5, .jitter_ms = 15);
    exchange_over(FAR_IPV4, 1 << 20, "5 to 20 ms, IPv4");
    exchange_over(FAR_IPV6, 1 << 20, "5 to 20 ms, IPv6");
    shuttle_counts(&carried, &overtook);
    assert_true(overtook > 0);
}

TEST(duplicate_and_corrupt_packets_do_no_harm)
{
    need_shuttle(.delay_ms = 2, .jitter_ms = 3, .twice_percent = 5, .damaged_percent = 2);
    exchange_over(FAR_IPV4, 1 << 19, "5 % twice, 2 % damaged, IPv4");
    exchange_over(FAR_IPV6, 1 << 19, "5 % twice, 2 % damaged, IPv6");
}

TEST(a_handshake_longer_than_the_deadline_is_a_timeout)
{
    struct server *server;
    nb_conn *conn;

    need_shuttle(.delay_ms = 400);
    server = serve_there(FAR_IPV4, say_hello, NULL);
    assert_times_out(host_at(FAR_IPV4, &server->address), 150);
    /* The server is none the worse for it. */
    conn = connect_to(server, NULL);
    assert_status(nb_close(conn, plenty()), NB_OK);
}

/* Less than the loop reads and drops after the reply, and all of it unread when the reply goes out. */
#define REQUEST ((size_t)32 << 10)

TEST(a_distant_peer_gets_a_reply_to_an_unread_request)
{
    static char request[REQUEST];
    char reply[64];
    size_t length;
    nb_conn *conn;

    need_shuttle(.delay_ms = 50);
    conn = connect_to(serve_there(FAR_IPV4, say_hello, NULL), NULL);
    assert_status(nb_send_all(conn, request, sizeof(request), NULL, plenty()), NB_OK);
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_status(nb_recv_to_end(conn, reply, sizeof(reply), &length, plenty()), NB_OK);
    assert_bytes(reply, length, HELLO);
    assert_status(nb_close(conn, plenty()), NB_OK);
}

static const char *visited;

struct visit {
    struct task task;
    nb_status connecting;
    nb_status receiving;
    size_t length;
};

static void visit(void *argument)
{
    struct visit *visit = argument;
    char reply[64];
    nb_conn *conn;

    visit->connecting = nb_connect(&conn, visited, NULL, nb_after_ms(8000), NULL);
    if (visit->connecting != NB_OK)
        return;
    visit->receiving =
        nb_recv_to_end(conn, reply, sizeof(reply), &visit->length, nb_after_ms(8000));
    nb_abort(conn);
}

/* Each client is served whole, or learns at once that it is not. */
static void assert_told(const struct visit *visit)
{
    print_message("# at the stop: connect %s, receive %s, %zu bytes\n",
                  nb_status_name(visit->connecting), nb_status_name(visit->receiving),
                  visit->length);
    if (visit->connecting != NB_OK)
        assert_true(visit->connecting == NB_REFUSED || visit->connecting == NB_RESET);
    else if (visit->receiving == NB_OK)
        assert_int_equal(visit->length, strlen(HELLO));
    else
        assert_status(visit->receiving, NB_RESET);
}

TEST(a_stop_during_handshakes_serves_or_resets_every_client)
{
    static struct visit visits[8];
    struct server *server;

    need_shuttle(.delay_ms = 60, .jitter_ms = 120);
    server = serve_there(FAR_IPV4, say_hello, NULL);
    memset(visits, 0, sizeof(visits));
    visited = host_at(FAR_IPV4, &server->address);
    for (size_t i = 0; i < COUNT(visits); i++)
        task_start(&visits[i].task, visit, &visits[i]);
    eventually(server_counters(server).accepted > 0);
    assert_status(server_stop(server), NB_OK);
    for (size_t i = 0; i < COUNT(visits); i++)
        task_join(&visits[i].task);
    for (size_t i = 0; i < COUNT(visits); i++)
        assert_told(&visits[i]);
}

TEST_GROUP(hosts_begin, hosts_end)
