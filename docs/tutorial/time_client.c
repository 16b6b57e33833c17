/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tutorial: the client of the first step. */
/* [all] */
#include <netbasics/netbasics.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *endpoint = argc > 1 ? argv[1] : "localhost:9999";
    nb_deadline by = nb_after_ms(5000); /* For everything. */
    char line[100];
    nb_conn *conn;
    nb_error err;

    if (nb_connect(&conn, endpoint, NULL, by, &err) != NB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    nb_status status = nb_recv_line(conn, line, sizeof line, NULL, by);
    if (status == NB_OK)
        printf("%s\n", line);
    else
        fprintf(stderr, "receive from %s: %s\n", endpoint,
                nb_status_text(status));
    nb_close(conn, by);
    return status == NB_OK ? 0 : 1;
}
/* [all] */
