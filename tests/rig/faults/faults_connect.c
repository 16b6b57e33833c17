/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults while connecting: one address and several, names, options, and no answer. */
#include "talk.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Connects to what listens there, talks, and closes. */
static void talk_to(const char *endpoint, int listener, const nb_connect_options *options,
                    enum api api)
{
    struct account account = {.length = 0};
    nb_conn *conn = connected(endpoint, options, api);
    int peer;

    if (conn == NULL)
        return;
    peer = peer_accept(listener, nb_conn_fd(conn));
    raw_send(peer, EXCHANGED, sizeof(EXCHANGED) - 1);
    peer_end(peer);
    exchange(conn, &account);
    close_and_check(conn, peer, &account);
}

static const char *port_of(const char *endpoint)
{
    return strrchr(endpoint, ':');
}

static void one_address(enum transport over)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    int listener = peer_listen(over, endpoint, sizeof(endpoint));

    talk_to(endpoint, listener, NULL, API_CONNECT);
    (void)close(listener);
}

static void to_an_ipv4_address(void)
{
    one_address(OVER_IPV4);
}

static void to_an_ipv6_address(void)
{
    one_address(OVER_IPV6);
}

/* Two addresses, of which only one is listened at: the faults of an attempt may be got over. */
static void one_of_two(const char *host, enum transport over)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    char name[64];
    int listener = peer_listen(over, endpoint, sizeof(endpoint));

    (void)snprintf(name, sizeof(name), "%s%s", host, port_of(endpoint));
    talk_to(name, listener, NULL, API_RACE);
    (void)close(listener);
}

static void to_localhost_over_ipv4(void)
{
    one_of_two("localhost", OVER_IPV4);
}

static void to_localhost_over_ipv6(void)
{
    one_of_two("localhost", OVER_IPV6);
}

static void to_a_name(void)
{
    one_of_two("both.example", OVER_IPV4);
}

static void with_all_options(void)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    int listener = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));

    wanted_options(true);
    options.nagle = true;
    options.keepalive_idle_ms = 1000;
    options.keepalive_interval_ms = 1000;
    options.keepalive_count = 3;
    options.user_timeout_ms = 5000;
    options.send_buffer_bytes = 65536;
    options.receive_buffer_bytes = 65536;
    talk_to(endpoint, listener, &options, API_CONNECT);
    wanted_options(false);
    (void)close(listener);
}

static void from_a_local_address(void)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    int listener = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));

    options.local = "127.0.0.1:0";
    talk_to(endpoint, listener, &options, API_CONNECT);
    (void)close(listener);
}

/* Tied to a connection that is there, which is cancelled at the end. */
static void tied(void)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    int listener = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));
    nb_conn *conn;
    int other = -1;
    int peer;

    options.tie = connection(OVER_UNIX, &peer);
    if (options.tie == NULL) {
        peer_close(peer);
        (void)close(listener);
        return;
    }
    talk_to(endpoint, listener, &options, API_CONNECT);
    conn = connected(endpoint, &options, API_CONNECT);
    if (conn != NULL)
        other = peer_accept(listener, nb_conn_fd(conn));
    DO(nb_cancel(options.tie));
    if (conn != NULL) {
        holds(nb_conn_status(conn, NB_SEND) == NB_CANCELLED);
        DO(nb_abort(conn));
        peer_close(other);
    }
    DO(nb_abort(options.tie));
    peer_close(peer);
    (void)close(listener);
}

/* Somebody gives up for us: before it begins, and, should that not be seen, meanwhile. */
static void given_up(void)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;
    int ends[2];
    int listener = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));

    raw_pair(OVER_UNIX, ends);
    raw_send_text(ends[1], "x");
    options.cancel_fd = &ends[0];
    status =
        STEP(API_CONNECT, S(NB_CANCELLED), nb_connect(&conn, endpoint, &options, soon(), &err));
    holds(conn == NULL && err.status == status);
    peer_close(ends[0]);
    peer_close(ends[1]);
    (void)close(listener);
}

/* Nobody listens there: refused, whatever else happens. */
static void refused(const char *host, enum transport over, enum api api)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    char name[64];
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;
    int listener = peer_listen(over, endpoint, sizeof(endpoint));

    (void)close(listener);
    (void)snprintf(name, sizeof(name), "%s%s", host, port_of(endpoint));
    status = STEP(api, S(NB_REFUSED), nb_connect(&conn, name, NULL, soon(), &err));
    holds(conn == NULL && err.status == status && err.message[0] != '\0');
}

static void to_a_dead_port(void)
{
    refused("127.0.0.1", OVER_IPV4, API_CONNECT);
}

static void to_two_dead_ports(void)
{
    refused("localhost", OVER_IPV4, API_RACE);
}

/* The queue is full, so that the kernel drops every attempt: the time ends it. */
static void without_an_answer(void)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_address to;
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;
    int listener = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));
    int waiting;

    (void)listen(listener, 0);
    holds(nb_address_parse(&to, endpoint) == NB_OK);
    waiting = peer_connect(&to);
    until_event(listener, POLLIN); /* one fits even into a queue of none */
    status = STEP(API_CONNECT, S(NB_TIMEOUT), nb_connect(&conn, endpoint, NULL, soon(), &err));
    holds(conn == NULL && err.status == status);
    peer_close(waiting);
    (void)close(listener);
}

/* The only port that a connection could come from is the one that it goes to; each time another one, as
   the system remembers ports for a while. */
static void to_itself(void)
{
    static const char range[] = "/proc/sys/net/ipv4/ip_local_port_range";
    static unsigned turn;
    char ports[32];
    char endpoint[32];
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;
    bool untold;

    if (!network_is_ours)
        return;
    turn++;
    (void)snprintf(ports, sizeof(ports), "%u %u", 40000 + turn % 20000, 40000 + turn % 20000);
    (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", 40000 + turn % 20000);
    write_text(range, ports);
    step_begin(API_CONNECT, "nb_connect", NULL);
    status = nb_connect(&conn, endpoint, NULL, soon(), &err);
    untold = kernel.failed[ON_GETSOCKNAME] + kernel.failed[ON_GETPEERNAME] > 0;
    (void)step_end(status, S(NB_REFUSED) | (untold ? S(NB_OK) : 0));
    holds(err.status == status && (conn != NULL) == (status == NB_OK));
    DO(nb_abort(conn));
    write_text(range, "32768 60999");
}

/* Zones have the name of an interface, or its number where there is no name to be had. */
static void zones(void)
{
    char text[NB_ADDRESS_TEXT_MAX];
    nb_address address;
    nb_status status = STEP(API_PARSE, S(NB_OK), nb_address_parse(&address, "[fe80::1%lo]:80"));

    if (status != NB_OK)
        return;
    DO(nb_address_format(&address, text, sizeof(text)));
    holds(strcmp(text, "[fe80::1%lo]:80") == 0 ||
          (kernel.failed[ON_IF_NAME] + kernel.failed[ON_IF_INDEX] > 0 &&
           strcmp(text, "[fe80::1%1]:80") == 0));
}

int main(int count, char **arguments)
{
    static const struct scenario scenarios[] = {
        {"to_an_ipv4_address", to_an_ipv4_address, 2, false, true},
        {"to_an_ipv6_address", to_an_ipv6_address, 2, false, false},
        {"to_localhost_over_ipv4", to_localhost_over_ipv4, 2, false, true},
        {"to_localhost_over_ipv6", to_localhost_over_ipv6, 2, false, false},
        {"to_a_name", to_a_name, 2, false, true},
        {"with_all_options", with_all_options, 2, false, true},
        {"from_a_local_address", from_a_local_address, 2, false, true},
        {"tied", tied, 2, false, true},
        {"given_up", given_up, 2, false, true},
        {"to_a_dead_port", to_a_dead_port, 2, false, true},
        {"to_two_dead_ports", to_two_dead_ports, 2, false, true},
        {"to_itself", to_itself, 2, false, true},
        {"zones", zones, 2, false, true},
        {"without_an_answer", without_an_answer, 2, false, true},
    };

    (void)count;
    return run_scenarios(scenarios, COUNT(scenarios), arguments + 1);
}
