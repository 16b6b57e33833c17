/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: giving up a connect. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "stage.h"

#include <unistd.h>

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
    return 0;
}
