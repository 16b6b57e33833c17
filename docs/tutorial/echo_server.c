/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tutorial, second step: the accept loop. */
/* [all] */
#include <netbasics/netbasics.h>
#include <stdio.h>

/* [handler] */
static nb_status echo(nb_conn *conn, void *context)
{
    char buffer[4096];
    nb_status status = NB_OK;
    size_t length;

    (void)context;
    while (status == NB_OK) {
        /* Between requests: a stop may end the connection here. */
        nb_conn_idle(conn);
        status = nb_recv(conn, buffer, sizeof buffer, &length,
                         nb_after_ms(30000));
        if (status == NB_OK)
            status = nb_send_all(conn, buffer, length, NULL,
                                 nb_after_ms(30000));
    }
    /* The connection ends in order when the client has ended its
       stream, at a stop, and when no byte came in time. Otherwise it
       is reset: the client must not take what it got for the whole. */
    return status;
}
/* [handler] */

/* [events] */
static void report(const nb_event *event, void *context)
{
    (void)context;
    printf("%s\n", event->message);
    fflush(stdout);
}
/* [events] */

int main(int argc, char **argv)
{
    const char *endpoint = argc > 1 ? argv[1] : "localhost:12345";
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    nb_listener *listener;
    nb_error err;

    /* After Ctrl-C, requests in progress may finish. */
    options.stop_on_signals = true;
    options.on_event = report;
    if (nb_listen(&listener, endpoint, NULL, &err) != NB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    nb_status status = nb_serve(listener, echo, NULL, &options, &err);
    if (status != NB_OK)
        fprintf(stderr, "%s\n", err.message);
    nb_listener_close(listener);
    return status == NB_OK ? 0 : 1;
}
/* [all] */
