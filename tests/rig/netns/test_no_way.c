/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Connecting where there is no way: black holes, missing routes, refusals of all kinds. Each ends
 *         with its own status, in time, and leaves nothing behind. */
#include "wire.h"

/* Long enough to tell a deadline from an answer. */
#define SHORT_MS 600
/* Never reached by what is answered. */
#define LONG_MS 30000

#define TEST(name) TEST_AS(name, WIRE_CASE)

/* --- Silence --- */

TEST(a_black_hole_ends_at_the_deadline)
{
    assert_times_out(HOLE_IPV4 ":80", SHORT_MS);
    assert_times_out("[" HOLE_IPV6 "]:80", SHORT_MS);
}

TEST(a_host_that_drops_what_arrives_ends_at_the_deadline)
{
    filter(THERE, "meta l4proto tcp drop");
    assert_times_out(THERE_IPV4 ":80", SHORT_MS);
    assert_times_out("[" THERE_IPV6 "]:80", SHORT_MS);
}

TEST(answers_that_are_dropped_end_at_the_deadline)
{
    filter(HERE, "meta l4proto tcp drop");
    assert_times_out(THERE_IPV4 ":80", SHORT_MS);
}

TEST(etimedout_of_an_unanswered_connect_is_not_a_timeout)
{
    set_for_case("net/ipv4/tcp_syn_retries", "1");
    if (try_command("test -e /proc/sys/net/ipv4/tcp_syn_linear_timeouts"))
        set_for_case("net/ipv4/tcp_syn_linear_timeouts", "0");
    assert_fails(HOLE_IPV4 ":80", NB_UNREACHABLE);
}

TEST(a_lost_syn_is_sent_again)
{
    nb_conn *conn;
    struct server *server = serve_there(THERE_IPV4, say_hello, NULL);

    filter(THERE, "tcp flags syn numgen inc mod 2 == 0 drop");
    conn = connect_to(server, NULL);
    assert_status(nb_close(conn, plenty()), NB_OK);
}

/* --- No route --- */

TEST(without_a_route_a_host_is_unreachable)
{
    assert_fails(NO_ROUTE_IPV4 ":80", NB_UNREACHABLE);
    assert_fails("[" NO_ROUTE_IPV6 "]:80", NB_UNREACHABLE);
}

TEST(every_kind_of_rejecting_route_has_its_status)
{
    run_command("ip route add unreachable 10.98.0.1; ip -6 route add unreachable fd98::1; "
                "ip route add prohibit 10.98.0.2; ip -6 route add prohibit fd98::2");
    assert_fails("10.98.0.1:80", NB_UNREACHABLE);
    assert_fails("[fd98::1]:80", NB_UNREACHABLE);
    assert_fails("10.98.0.2:80", NB_PERMISSION);
    assert_fails("[fd98::2]:80", NB_PERMISSION);
}

TEST(a_neighbour_that_does_not_answer_is_unreachable)
{
    set_for_case("net/ipv4/neigh/wire/mcast_solicit", "1");
    assert_fails(NOBODY_IPV4 ":80", NB_UNREACHABLE);
}

TEST(a_link_that_is_down_is_unreachable)
{
    run_command(
        "ip link add down0 type veth peer name down1 && ip addr add 10.97.0.1/24 dev down0");
    assert_fails("10.97.0.2:80", NB_UNREACHABLE);
    run_command("ip link del down0");
}

TEST(a_loopback_that_is_down_ends_at_the_deadline)
{
    run_command("ip link set lo down");
    assert_times_out("127.0.0.1:80", SHORT_MS);
}

/* --- Refusals --- */

struct refusal {
    const char *how; /* the word of nft(8) */
    nb_status ipv4;
    nb_status ipv6;
};

/* What an attempt ends with is what the kernel makes of the answer; for IPv6 it takes a prohibition for
   want of permission. */
static const struct refusal refusals[] = {
    {"with tcp reset", NB_REFUSED, NB_REFUSED},
    {"with icmpx port-unreachable", NB_REFUSED, NB_REFUSED},
    {"with icmpx host-unreachable", NB_UNREACHABLE, NB_UNREACHABLE},
    {"with icmpx no-route", NB_UNREACHABLE, NB_UNREACHABLE},
    {"with icmpx admin-prohibited", NB_UNREACHABLE, NB_PERMISSION},
};

TEST(every_icmp_refusal_has_its_status)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        print_message("# %s\n", refusals[i].how);
        filter(THERE, "meta l4proto tcp reject %s", refusals[i].how);
        assert_fails(THERE_IPV4 ":80", refusals[i].ipv4);
        assert_fails("[" THERE_IPV6 "]:80", refusals[i].ipv6);
        calm();
    }
}

TEST(every_other_icmp_refusal_of_ipv4_is_unreachable)
{
    static const char *const codes[] = {"net-unreachable", "net-prohibited", "host-prohibited",
                                        "prot-unreachable"};

    for (size_t i = 0; i < COUNT(codes); i++) {
        print_message("# %s\n", codes[i]);
        filter(THERE, "ip protocol tcp reject with icmp %s", codes[i]);
        assert_fails(THERE_IPV4 ":80", NB_UNREACHABLE);
        calm();
    }
}

TEST(a_port_without_a_listener_is_refused)
{
    assert_fails(THERE_IPV4 ":80", NB_REFUSED);
    assert_fails("[" THERE_IPV6 "]:80", NB_REFUSED);
}

TEST(a_connect_succeeds_after_an_earlier_refusal)
{
    nb_conn *conn;
    struct server *server = serve_there(THERE_IPV6, say_hello, NULL);

    filter(THERE, "meta l4proto tcp reject");
    assert_fails(host_at("[" THERE_IPV6 "]", &server->address), NB_REFUSED);
    calm();
    conn = connect_to(server, NULL);
    assert_status(nb_close(conn, plenty()), NB_OK);
}

/* --- Ports of our own --- */

#define TWO_LOCAL_PORTS() set_for_case("net/ipv4/ip_local_port_range", "45000 45001")

/* Whether a bare connect to a dead port of our own has met itself. */
static bool meets_itself(const nb_address *address)
{
    int fd = dial_quietly(address);

    if (fd < 0)
        return false;
    raw_reset(fd, -1);
    return true;
}

static void assert_never_itself(const char *endpoint)
{
    nb_address address = address_of(endpoint);
    int to_itself = 0;

    for (int i = 0; i < 50; i++) {
        nb_conn *conn;

        to_itself += meets_itself(&address);
        assert_status(nb_connect(&conn, endpoint, NULL, nb_after_ms(LONG_MS), NULL), NB_REFUSED);
        assert_null(conn);
    }
    print_message("# %s: a bare socket met itself %d times of 50\n", endpoint, to_itself);
    assert_true(to_itself > 0);
}

TEST(an_unused_port_of_our_own_address_is_always_refused)
{
    TWO_LOCAL_PORTS();
    assert_never_itself(HERE_IPV4 ":45000");
    assert_never_itself("[" HERE_IPV6 "]:45000");
}

TEST(running_out_of_local_ports_is_address_unavailable)
{
    struct server *server = serve_there(THERE_IPV4, echo, NULL);

    TWO_LOCAL_PORTS();
    (void)dial(&server->address);
    (void)dial(&server->address);
    assert_fails(host_at(THERE_IPV4, &server->address), NB_ADDRESS_UNAVAILABLE);
}

TEST_GROUP(hosts_begin, hosts_end)
