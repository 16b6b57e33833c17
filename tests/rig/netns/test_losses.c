/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Networks that lose packets or are slow: what is sent arrives intact, or a named status comes at
 *         the deadline; progress extends no deadline. */
#include "wire.h"

/* Far more than a megabit a second brings within the lateness that is allowed. */
#define MUCH ((size_t)3 << 20)
#define CLIENTS 20

/* The handshake comes before the losses: without luck it would take longer than all the rest. */
static void exchange_over(const char *address, int percent, size_t bytes, int64_t ms,
                          const char *network)
{
    struct exchange exchange;
    nb_conn *conn = connect_to(serve_there(address, echo, NULL), NULL);
    int64_t begin = now_ns();

    if (percent > 0)
        lose(percent);
    exchange_begin(&exchange, conn, bytes, nb_after_ms(ms));
    exchange_end(&exchange);
    print_message("# %lld ms\n", (long long)ms_since(begin));
    assert_whole_or_named(&exchange, network);
    nb_abort(conn);
}

#define TEST(name) TEST_AS(name, WIRE_CASE)

TEST(streams_survive_the_loss_of_one_packet_in_twenty)
{
    exchange_over(THERE_IPV4, 5, 4 << 20, 40000, "5 % loss, IPv4");
    calm();
    exchange_over(THERE_IPV6, 5, 4 << 20, 40000, "5 % loss, IPv6");
}

TEST(streams_survive_the_loss_of_one_packet_in_five)
{
    exchange_over(THERE_IPV4, 20, 1 << 17, 25000, "20 % loss");
}

TEST(many_clients_are_served_despite_packet_loss)
{
    static struct exchange exchanges[CLIENTS];
    nb_deadline by = nb_after_ms(60000);
    int whole = 0;
    struct server *server = serve_there(THERE_IPV4, echo, NULL);

    lose(5);
    for (size_t i = 0; i < CLIENTS; i++)
        exchange_begin(&exchanges[i], connect_to(server, NULL), 1 << 14, by);
    for (size_t i = 0; i < CLIENTS; i++)
        exchange_end(&exchanges[i]);
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_whole_or_named(&exchanges[i], "5 % loss, a crowd");
        whole += exchanges[i].receiving == NB_EOF;
        nb_abort(exchanges[i].conn);
    }
    print_message("# %d of %d clients had all\n", whole, CLIENTS);
}

/* --- A slow wire --- */

TEST(streams_survive_a_link_of_one_megabit_per_second)
{
    slow_down();
    exchange_over(THERE_IPV4, 0, 1 << 17, 40000, "1 Mbit/s");
}

static nb_status give_much(nb_conn *conn, void *unused)
{
    size_t sent;

    (void)unused;
    return send_pattern(conn, MUCH, &sent, nb_forever());
}

TEST(a_slow_answer_extends_no_deadline)
{
    static unsigned char much[MUCH];
    nb_deadline by;
    size_t received;
    size_t rest;
    nb_conn *conn;

    slow_down();
    conn = connect_to(serve_there(THERE_IPV4, give_much, NULL), NULL);
    by = nb_after_ms(1500);
    assert_status(nb_recv_exact(conn, much, MUCH, &received, by), NB_TIMEOUT);
    assert_passed(by, LATE_MS);
    assert_true(received > 0 && received < MUCH);
    calm();
    assert_status(nb_recv_exact(conn, much + received, MUCH - received, &rest, plenty()), NB_OK);
    assert_true(pattern_holds(much, MUCH, 0));
    assert_status(nb_close(conn, plenty()), NB_OK);
}

TEST(a_slow_send_ends_at_its_deadline_with_an_exact_count)
{
    static struct heard heard;
    static unsigned char much[2 * MUCH];
    nb_deadline by;
    nb_conn *conn;
    size_t sent;

    slow_down();
    pattern_fill(much, sizeof(much), 0);
    conn = connect_to(serve_there(THERE_IPV4, listen_to_pattern, &heard), NULL);
    raw_shrink(nb_conn_fd(conn));
    by = nb_after_ms(1500);
    assert_status(nb_send_all(conn, much, sizeof(much), &sent, by), NB_TIMEOUT);
    assert_passed(by, LATE_MS);
    assert_true(sent > 0 && sent < sizeof(much));
    assert_status(nb_close(conn, plenty()), NB_TIMEOUT);
    eventually(heard.ended); /* while it is slow: calm() would drop the reset with all that waits */
    assert_true(heard.intact);
    assert_true(heard.bytes <= sent);
    assert_status((nb_status)heard.status, NB_RESET);
}

TEST_GROUP(hosts_begin, hosts_end)
