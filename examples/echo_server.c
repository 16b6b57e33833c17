/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Sends every byte back to the client that sent it. */
#include "arguments.h"
#include "event_log.h"
#include "failure.h"
#include <netbasics/netbasics.h>

static const char help[] = "Usage: echo_server [OPTION]... [ENDPOINT]\n"
                           "Sends back every byte that a client sends, until it ends its stream.\n"
                           "Listens on ENDPOINT, by default localhost:12345.\n"
                           "\n" WAITING_SERVER_HELP;

/*
 * Serves one connection; nb_serve() calls it in several threads at once. Each wait for the client has
 * a deadline, so that a silent client gives its place to others. (--connection-ms bounds the whole
 * connection, and --drain-ms what is left of it after a stop.) The buffer is small because the stacks
 * of these threads are.
 */
static nb_status echo(nb_conn *conn, void *context)
{
    const server_arguments *arguments = context;
    char buffer[16384];
    nb_status status = NB_OK;
    size_t length;

    while (status == NB_OK) {
        nb_conn_idle(conn); /* Nothing is under way: a stop may end the connection here. */
        status = nb_recv(conn, buffer, sizeof buffer, &length, nb_after_ms(arguments->idle_ms));
        if (status == NB_OK)
            status = nb_send_all(conn, buffer, length, NULL, nb_after_ms(arguments->idle_ms));
    }
    /* If nothing more came (NB_EOF, NB_STOPPING, NB_TIMEOUT), nb_serve() closes the connection in
     * order. Otherwise the client sees a reset, and does not take what it got for the whole echo. */
    return status;
}

int main(int argc, char **argv)
{
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    server_arguments arguments = {
        .endpoint = "localhost:12345", .options = &options, .idle_ms = 60000};
    event_log events;
    nb_listener *listener;
    nb_error err;

    read_server_arguments(&arguments, "echo_server", help, argc, argv);
    open_event_log(&events, "Connected by", arguments.quiet);

    if (nb_listen(&listener, arguments.endpoint, NULL, &err) != NB_OK)
        return fail_with(&err);

    options.stop_on_signals = true;
    options.on_event = log_event;
    options.event_context = &events;

    /* Returns after SIGINT or SIGTERM, when the last connection has ended. */
    nb_status status = nb_serve(listener, echo, &arguments, &options, &err);
    nb_listener_close(listener);
    return status == NB_OK ? 0 : fail_with(&err);
}
