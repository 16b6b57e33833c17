/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults while connecting: one address and several, names, options, and no answer. */
#include "servers.h"
#include "talk.h"

/* Connects to what listens there, talks, and closes. */
static void talk_to(const char *endpoint, int listener, const nb_connect_options *options,
                    enum api api)
{
    nb_conn *conn = connected(endpoint, options, api);
    int peer;

    if (conn == NULL)
        return;
    peer = peer_accept(listener, nb_conn_fd(conn));
    peer_speak(peer);
    exchange(conn, peer);
}

/* Whatever happens, there is no connection. */
static void cannot_connect(const char *endpoint, const nb_connect_options *options, enum api api,
                           nb_status expected)
{
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status = STEP(api, S(expected), nb_connect(&conn, endpoint, options, soon(), &err));

    holds(conn == NULL && err.status == status && err.message[0] != '\0');
}

static const char *port_of(const char *endpoint)
{
    return strrchr(endpoint, ':');
}

static void with_options(enum transport over, const nb_connect_options *options)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    int listener = peer_listen(over, endpoint, sizeof(endpoint));

    talk_to(endpoint, listener, options, API_CONNECT);
    (void)close(listener);
}

SCENARIO_OF(to_an_ipv4_address, TWO_FAULTS, with_options(OVER_IPV4, NULL))
SCENARIO_OF(to_an_ipv6_address, ONE_FAULT, with_options(OVER_IPV6, NULL))

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

SCENARIO_OF(to_localhost_over_ipv4, TWO_FAULTS, one_of_two("localhost", OVER_IPV4))
SCENARIO_OF(to_localhost_over_ipv6, ONE_FAULT, one_of_two("localhost", OVER_IPV6))
SCENARIO_OF(to_a_name, TWO_FAULTS, one_of_two("both.example", OVER_IPV4))

SCENARIO(with_all_options)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;

    wanted_options(true);
    options.nagle = true;
    options.keepalive_idle_ms = 1000;
    options.keepalive_interval_ms = 1000;
    options.keepalive_count = 3;
    options.user_timeout_ms = 5000;
    options.send_buffer_bytes = 65536;
    options.receive_buffer_bytes = 65536;
    with_options(OVER_IPV4, &options);
    wanted_options(false);
}

SCENARIO(from_a_local_address)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;

    options.local = "127.0.0.1:0";
    with_options(OVER_IPV4, &options);
}

/* Tied to a connection that is there, which is cancelled at the end. */
SCENARIO(tied)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    int listener = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));
    nb_conn *conn;
    int other = -1;
    int peer;

    options.tie = connection(OVER_UNIX, &peer);
    if (options.tie == NULL) {
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
SCENARIO(cancelled_by_descriptor)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    int ends[2];
    int listener = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));

    raw_pair(OVER_UNIX, ends);
    raw_send_text(ends[1], "x");
    options.cancel_fd = &ends[0];
    cannot_connect(endpoint, &options, API_CONNECT, NB_CANCELLED);
    peer_close(ends[0]);
    peer_close(ends[1]);
    (void)close(listener);
}

/* Nobody listens there: refused, whatever else happens. */
static void refused(const char *host, enum transport over, enum api api)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    char name[64];
    int listener = peer_listen(over, endpoint, sizeof(endpoint));

    (void)close(listener);
    (void)snprintf(name, sizeof(name), "%s%s", host, port_of(endpoint));
    cannot_connect(name, NULL, api, NB_REFUSED);
}

SCENARIO_OF(to_an_unused_port, TWO_FAULTS, refused("127.0.0.1", OVER_IPV4, API_CONNECT))
SCENARIO_OF(to_two_unused_ports, TWO_FAULTS, refused("localhost", OVER_IPV4, API_RACE))

/* The queue is full, so that the kernel drops every attempt: the time ends it. */
SCENARIO(without_an_answer)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_address to;
    int listener = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));
    int waiting;

    (void)listen(listener, 0);
    holds(nb_address_parse(&to, endpoint) == NB_OK);
    waiting = peer_connect(&to);
    until_event(listener, POLLIN); /* one fits even into a queue of none */
    cannot_connect(endpoint, NULL, API_CONNECT, NB_TIMEOUT);
    peer_close(waiting);
    (void)close(listener);
}

/* The only port that a connection could come from is the one that it goes to; each time another one, as
   the system remembers ports for a while. */
SCENARIO(to_itself)
{
    static const char range[] = "/proc/sys/net/ipv4/ip_local_port_range";
    static unsigned turn;
    char ports[32];
    char endpoint[32];
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;
    bool untold;

    if (!has_own_network())
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
SCENARIO(zones)
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
