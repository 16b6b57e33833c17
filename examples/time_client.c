/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Asks a time server for the time and prints it. */
#include "arguments.h"
#include "failure.h"
#include "standard_io.h"
#include <netbasics/netbasics.h>

static const char help[] = "Usage: time_client [OPTION]... [ENDPOINT]\n"
                           "Asks the time server at ENDPOINT, by default localhost:9999, for the\n"
                           "time and prints it.\n"
                           "\n" CLIENT_HELP;

/*
 * Receives one line. The answer is complete only if the end of the server's stream follows: not more
 * bytes, and not a reset either.
 */
static nb_status receive_time(nb_conn *conn, char *line, size_t capacity, size_t *length,
                              nb_deadline by)
{
    nb_status status = nb_recv_line(conn, line, capacity, length, by);
    size_t more;

    return status == NB_OK ? nb_recv_to_end(conn, NULL, 0, &more, by) : status;
}

int main(int argc, char **argv)
{
    client_arguments arguments = {.endpoint = "localhost:9999", .timeout_ms = 10000};
    nb_conn *conn;
    nb_error err;
    char line[64]; /* A bound: never trust a peer to stop by itself. */
    size_t length;

    read_client_arguments(&arguments, "time_client", help, argc, argv);

    /* One deadline for everything: no step on the way can make the whole take longer. */
    nb_deadline by = nb_after_ms(arguments.timeout_ms);
    if (nb_connect(&conn, arguments.endpoint, NULL, by, &err) != NB_OK)
        return fail_with(&err);

    nb_status status = receive_time(conn, line, sizeof line, &length, by);
    if (status != NB_OK) {
        nb_abort(conn);
        return fail_to_receive(arguments.endpoint, status);
    }
    nb_close(conn, by);

    print_escaped("The time got from the server is ", line, length, "\n");
    return close_output();
}
