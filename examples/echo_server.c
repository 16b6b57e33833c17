/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Sends back to everybody who connects every byte, until the end of the stream. */
#include "common.h"
#include <netbasics/netbasics.h>

static const char help[] = "Usage: echo_server [OPTION]... [ENDPOINT]\n"
                           "Sends back every byte it gets, until the client ends its stream.\n"
                           "Listens on ENDPOINT, by default localhost:12345.\n"
                           "\n" WAITING_SERVER_HELP;

/*
 * Serves one connection; nb_serve() calls it in several threads at once. Each wait for the client has
 * an end: whoever is silent gives the place to others. (--connection-ms bounds all of it together, and
 * --drain-ms what is left after a stop.) Where nothing is under way, a stop need not wait at all. The
 * buffer is small because the stack of these threads is.
 */
static nb_status echo(nb_conn *conn, void *context)
{
    const server_arguments *arguments = context;
    char buffer[16384];
    size_t length;
    nb_status status;

    do {
        nb_conn_idle(conn);
        status = nb_recv(conn, buffer, sizeof buffer, &length, nb_after_ms(arguments->idle_ms));
        if (status == NB_OK)
            status = nb_send_all(conn, buffer, length, NULL, nb_after_ms(arguments->idle_ms));
    } while (status == NB_OK);

    /* When nothing more came, nb_serve() ends the connection in order: NB_EOF, NB_STOPPING, NB_TIMEOUT.
     * Whatever else happened, the client sees a reset, and does not take what it got for the whole. */
    return status;
}

/* Hears what happens in nb_serve(), from several threads at once. */
static void report(const nb_event *event, void *context)
{
    const server_arguments *arguments = context;
    char address[NB_ADDRESS_TEXT_MAX];

    nb_address_format(&event->address, address, sizeof address);
    switch (event->kind) {
    case NB_EVENT_LISTENING:
        log_line("Listening on %s", address);
        break;
    case NB_EVENT_ACCEPTED:
        if (!arguments->quiet)
            log_line("Connected by %s", address);
        break;
    case NB_EVENT_REFUSED:
        if (!arguments->quiet)
            log_line("Refused %s, which has enough connections", address);
        break;
    case NB_EVENT_ACCEPT_BACKING_OFF:
    case NB_EVENT_ACCEPT_RECOVERED:
    case NB_EVENT_LIMIT_REACHED:
    case NB_EVENT_LIMIT_CLEARED:
        log_problem("%s", event->message);
        break;
    default:
        break;
    }
}

int main(int argc, char **argv)
{
    server_arguments arguments = {.endpoint = "localhost:12345", .idle_ms = 60000};
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    nb_listener *listener;
    nb_error err;

    read_server_arguments(&arguments, "echo_server", help, argc, argv);

    if (nb_listen(&listener, arguments.endpoint, NULL, &err) != NB_OK)
        return fail_with(&err);

    options.concurrency = arguments.concurrency;
    options.max_per_peer = arguments.max_per_peer;
    options.connection_ms = arguments.connection_ms;
    options.drain_ms = arguments.drain_ms;
    options.stop_on_signals = true;
    options.on_event = report;
    options.event_context = &arguments;

    /* Returns after SIGINT or SIGTERM, when the last connection has ended. */
    nb_status status = nb_serve(listener, echo, &arguments, &options, &err);
    nb_listener_close(listener);
    return status == NB_OK ? 0 : fail_with(&err);
}
