/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tutorial, first step: one connection after the other, by hand. */
/* [all] */
#include <netbasics/netbasics.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int main(int argc, char **argv)
{
    const char *endpoint = argc > 1 ? argv[1] : "localhost:9999";
    char text[NB_ADDRESS_TEXT_MAX];
    nb_listener *listener;
    nb_address address;
    nb_conn *conn;
    nb_error err;

    if (nb_listen(&listener, endpoint, NULL, &err) != NB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (size_t i = 0;
         nb_listener_address(listener, i, &address) == NB_OK; i++)
        printf("Listening on %s\n",
               nb_address_format(&address, text, sizeof text));
    fflush(stdout);

    while (nb_accept(listener, &conn, nb_forever(), &err) == NB_OK) {
        time_t now = time(NULL);
        char line[40];

        strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S\r\n",
                 localtime(&now));
        nb_send_all(conn, line, strlen(line), NULL, nb_after_ms(5000));
        /* In order: the client gets the whole line. */
        nb_close(conn, nb_after_ms(1000));
    }
    fprintf(stderr, "%s\n", err.message);
    nb_listener_close(listener);
    return 1;
}
/* [all] */
