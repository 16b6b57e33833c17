/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults while listening and accepting. */
#include "listening.h"
#include "talk.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static void at_an_ipv4_address(void)
{
    listen_and_talk("127.0.0.1:0", 1, API_LISTEN);
}

static void at_an_ipv6_address(void)
{
    listen_and_talk("[::1]:0", 1, API_LISTEN);
}

static void at_localhost(void)
{
    listen_and_talk("localhost:0", 2, API_LISTEN_TWICE);
}

static void at_all_interfaces(void)
{
    nb_listener *listener = listening("*:0", NULL, API_LISTEN_TWICE);

    DO(nb_listener_close(listener));
}

static void with_all_options(void)
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
static void at_a_busy_port(void)
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
static void at_one_more(void)
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

/* Nobody comes: the time ends it, and then the stop does. */
static void without_a_connection(void)
{
    nb_listener *listener = listening("localhost:0", NULL, API_LISTEN_TWICE);
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;

    if (listener == NULL)
        return;
    status = STEP(API_ACCEPT, S(NB_TIMEOUT), nb_accept(listener, &conn, soon(), &err));
    holds(conn == NULL && err.status == status);
    DO(nb_listener_stop(listener));
    status = STEP(API_ACCEPT, S(NB_CANCELLED), nb_accept(listener, &conn, soon(), &err));
    holds(conn == NULL && err.status == status);
    DO(nb_listener_close(listener));
}

/* The stop comes while it waits. */
static void stop(void *listener)
{
    nb_listener_stop(listener);
}

static void stopped_while_it_waits(void)
{
    nb_listener *listener = listening("127.0.0.1:0", NULL, API_LISTEN);
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;

    if (listener == NULL)
        return;
    at_time(nb_after_ms(STEP_MS / 2), stop, listener);
    status = STEP(API_ACCEPT, S(NB_CANCELLED), nb_accept(listener, &conn, soon(), &err));
    holds(conn == NULL && err.status == status);
    DO(nb_listener_close(listener));
}

/* The peer is gone before it is accepted. */
static void accepted_too_late(void)
{
    nb_listener *listener = listening("127.0.0.1:0", NULL, API_LISTEN);
    char buf[8];
    size_t length;
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
        (void)STEP_ON(conn, API_RECEIVE, S(NB_RESET),
                      nb_recv(conn, buf, sizeof(buf), &length, soon()));
        (void)STEP_ON(conn, API_SEND, S(NB_RESET), nb_send_all(conn, "x", 1, NULL, soon()));
        (void)STEP_ON(conn, API_CLOSE, 0, nb_close(conn, soon()));
    }
    DO(nb_listener_close(listener));
}

int main(int count, char **arguments)
{
    static const struct scenario scenarios[] = {
        {"at_an_ipv4_address", at_an_ipv4_address, 2, false, true},
        {"at_an_ipv6_address", at_an_ipv6_address, 2, false, false},
        {"at_localhost", at_localhost, 2, false, true},
        {"at_all_interfaces", at_all_interfaces, 2, false, true},
        {"with_all_options", with_all_options, 2, false, true},
        {"at_a_busy_port", at_a_busy_port, 2, false, true},
        {"at_one_more", at_one_more, 2, false, true},
        {"without_a_connection", without_a_connection, 2, false, true},
        {"stopped_while_it_waits", stopped_while_it_waits, 2, false, true},
        {"accepted_too_late", accepted_too_late, 2, false, true},
    };

    (void)count;
    return run_scenarios(scenarios, COUNT(scenarios), arguments + 1);
}
