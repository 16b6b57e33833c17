/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: cancelling a connect. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "stage.h"

#include <pthread.h>
#include <unistd.h>

/* [tie] */
/* For a handler: asks a backend, for no longer than conn lives. */
static nb_status ask(nb_conn *conn, const char *backend, char *line,
                     size_t capacity)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_conn *upstream;
    nb_status status;

    options.tie = conn;
    status =
        nb_connect(&upstream, backend, &options, nb_forever(), NULL);
    if (status == NB_OK)
        status =
            nb_recv_line(upstream, line, capacity, NULL, nb_forever());
    nb_abort(upstream);
    return status;
}
/* [tie] */

static void *cancel(void *conn)
{
    nb_cancel(conn);
    return NULL;
}

static void show_tie(void)
{
    struct stage stage = stage_connect();
    struct stage backend = stage_listen();
    pthread_t thread;
    char line[16];

    EXPECT(pthread_create(&thread, NULL, cancel, stage.server) == 0);
    EXPECT(ask(stage.server, backend.endpoint, line, sizeof(line)) ==
           NB_CANCELLED);
    pthread_join(thread, NULL);
    stage_close(&stage);
    stage_close(&backend);
}

int main(void)
{
    int give_up[2];

    EXPECT(pipe(give_up) == 0);
    EXPECT(write(give_up[1], "x", 1) == 1);
    /* [cancel_fd] */
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;
    nb_error err;

    /* Another thread, or a signal handler, writes a byte. */
    options.cancel_fd = &give_up[0];
    if (nb_connect(&conn, "192.0.2.1:80", &options, nb_after_ms(60000),
                   &err) == NB_CANCELLED)
        puts("given up");
    /* [cancel_fd] */
    EXPECT(err.status == NB_CANCELLED);
    close(give_up[0]);
    close(give_up[1]);
    show_tie();
    return 0;
}
