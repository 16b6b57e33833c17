/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults while listening and accepting. */
#include "talk.h"

static void listen_and_talk(const char *endpoint, size_t sockets, enum api api)
{
    nb_listener *listener = listening(endpoint, NULL, api);

    if (listener == NULL)
        return;
    holds(nb_listener_count(listener) <= sockets);
    if (!disturbed())
        holds(nb_listener_count(listener) == sockets);
    for (size_t i = 0; i < nb_listener_count(listener); i++)
        talk_at(listener, i);
    DO(nb_listener_close(listener));
}

SCENARIO_OF(at_an_ipv4_address, TWO_FAULTS, listen_and_talk("127.0.0.1:0", 1, API_LISTEN))
SCENARIO_OF(at_an_ipv6_address, ONE_FAULT, listen_and_talk("[::1]:0", 1, API_LISTEN))
SCENARIO_OF(at_localhost, TWO_FAULTS, listen_and_talk("localhost:0", 2, API_LISTEN_TWICE))

SCENARIO(at_all_interfaces)
{
    nb_listener *listener = listening("*:0", NULL, API_LISTEN_TWICE);

    DO(nb_listener_close(listener));
}

SCENARIO(with_all_options)
{
    nb_listen_options options = NB_LISTEN_OPTIONS_INIT;
    nb_listener *listener;

    options.backlog = 16;
    options.reuse_port = true;
    options.nagle = true;
    options.keepalive_idle_ms = 1000;
    options.keepalive_interval_ms = 1000;
    options.keepalive_count = 3;
    options.user_timeout_ms = 5000;
    options.send_buffer_bytes = 65536;
    options.receive_buffer_bytes = 65536;
    wanted_options(true);
    listener = listening("127.0.0.1:0", &options, API_LISTEN);
    DO(nb_listener_close(listener));
    wanted_options(false);
}

/* A port that is in use stays so, whatever else fails. */
SCENARIO(at_a_busy_port)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_listener *listener = NULL;
    nb_error err;
    int busy = peer_listen(OVER_IPV4, endpoint, sizeof(endpoint));
    nb_status status =
        STEP(API_LISTEN, S(NB_ADDRESS_IN_USE), nb_listen(&listener, endpoint, NULL, &err));

    holds(listener == NULL && err.status == status && err.message[0] != '\0');
    (void)close(busy);
}

/* A second endpoint: when it fails, the first one is as it was. */
SCENARIO(at_a_second_endpoint)
{
    nb_listener *listener = listening("127.0.0.1:0", NULL, API_LISTEN);
    nb_error err;
    nb_status status;

    if (listener == NULL)
        return;
    status = STEP(API_LISTEN, S(NB_OK), nb_listener_add(listener, "[::1]:0", NULL, &err));
    holds(nb_listener_count(listener) == (status == NB_OK ? 2 : 1));
    holds(err.status == status);
    for (size_t i = 0; i < nb_listener_count(listener); i++)
        talk_at(listener, i);
    DO(nb_listener_close(listener));
}

static void cannot_accept(nb_listener *listener, nb_status expected)
{
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status = STEP(API_ACCEPT, S(expected), nb_accept(listener, &conn, soon(), &err));

    holds(conn == NULL && err.status == status);
}

/* Nobody comes: the time ends it, and then the stop does. */
SCENARIO(without_a_connection)
{
    nb_listener *listener = listening("localhost:0", NULL, API_LISTEN_TWICE);

    if (listener == NULL)
        return;
    cannot_accept(listener, NB_TIMEOUT);
    DO(nb_listener_stop(listener));
    cannot_accept(listener, NB_CANCELLED);
    DO(nb_listener_close(listener));
}

/* The stop comes while it waits. */
static void stop(void *listener)
{
    nb_listener_stop(listener);
}

SCENARIO(stopped_while_it_waits)
{
    nb_listener *listener = listening("127.0.0.1:0", NULL, API_LISTEN);

    if (listener == NULL)
        return;
    at_time(nb_after_ms(STEP_MS / 2), stop, listener);
    cannot_accept(listener, NB_CANCELLED);
    DO(nb_listener_close(listener));
}

/* The peer is gone before it is accepted. */
SCENARIO(accepted_too_late)
{
    nb_listener *listener = listening("127.0.0.1:0", NULL, API_LISTEN);
    nb_address address;
    nb_conn *conn;
    int peer;

    if (listener == NULL)
        return;
    (void)nb_listener_address(listener, 0, &address);
    peer = peer_connect(&address);
    peer_close(peer);
    conn = accepted(listener);
    if (conn != NULL) {
        receive_once(conn, S(NB_RESET));
        send_once(conn, S(NB_RESET));
        close_once(conn, 0);
    }
    DO(nb_listener_close(listener));
}
