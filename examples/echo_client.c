/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Sends a message, or standard input, to an echo server and prints what comes back. */
#include "common.h"
#include <inttypes.h>
#include <netbasics/netbasics.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: echo_client [OPTION]... [ENDPOINT [MESSAGE]]\n"
    "Sends MESSAGE, by default \"Hello, world\", to the echo server at ENDPOINT, by\n"
    "default localhost:12345, and prints what comes back. MESSAGE - is standard\n"
    "input, and what comes back goes to standard output as it is.\n"
    "\n" MESSAGE_CLIENT_HELP;

/* What two threads share: one sends while the other receives. Whoever sends everything first can
 * wait for ever, as an echo server stops reading when nobody takes its answer. */
typedef struct exchange {
    nb_conn *conn;
    nb_deadline by;
    const char *message; /* NULL: standard input. */
    bool quiet;          /* No progress. */
    atomic_bool sent;    /* All of it: from now on the server may end its stream, too. */
} exchange;

static void send_input(exchange *ex)
{
    char buffer[65536];
    ssize_t length;

    do
        length = read_input(buffer, sizeof buffer);
    while (length > 0 && nb_send_all(ex->conn, buffer, (size_t)length, NULL, ex->by) == NB_OK);
    if (length < 0)
        nb_cancel(ex->conn); /* The server must not take what it has for the whole. */
}

/* The thread that sends. */
static void *send_everything(void *context)
{
    exchange *ex = context;
    nb_error err;

    if (ex->message == NULL)
        send_input(ex);
    else
        nb_send_all(ex->conn, ex->message, strlen(ex->message), NULL, ex->by);
    nb_conn_error(ex->conn, NB_SEND, &err); /* What failed stays failed: one look is enough. */
    if (err.status == NB_OK) {
        atomic_store(&ex->sent, true);
        nb_shutdown_send(ex->conn); /* The server sees the end; we go on receiving. */
    } else {
        fail_with(&err);
        nb_cancel(ex->conn); /* Wakes the thread that receives. */
    }
    return NULL;
}

/* Passes on what comes back, until the server ends its stream. */
static nb_status receive_output(exchange *ex)
{
    char buffer[65536];
    uint64_t total = 0;
    progress watched;
    size_t length;
    nb_status status;

    progress_begin(&watched, ex->quiet);
    while ((status = nb_recv(ex->conn, buffer, sizeof buffer, &length, ex->by)) == NB_OK) {
        if (!write_output(buffer, length))
            return NB_SYSTEM;
        total += length;
        progress_show(&watched, total);
    }
    progress_end(&watched, total);
    return status == NB_EOF ? NB_OK : status;
}

/* Prints what comes back, which is not more than was sent. */
static nb_status receive_message(exchange *ex)
{
    size_t capacity = strlen(ex->message), length;
    char *answer = malloc(capacity + 1);

    if (answer == NULL)
        return NB_NO_MEMORY;
    nb_status status = nb_recv_to_end(ex->conn, answer, capacity, &length, ex->by);
    if (status == NB_OK)
        print_escaped("Received '", answer, length, "'\n");
    free(answer);
    return status;
}

int main(int argc, char **argv)
{
    client_arguments arguments = {"localhost:12345", "Hello, world", .timeout_ms = 10000};
    static exchange ex; /* Static, as the sender may outlive main(). */
    uint64_t received, sent;
    pthread_t sender;
    nb_error err;

    read_client_arguments(&arguments, "echo_client", help, argc, argv);
    ex.message = strcmp(arguments.message, "-") == 0 ? NULL : arguments.message;
    ex.quiet = arguments.quiet;
    ex.by = nb_after_ms(arguments.timeout_ms); /* One deadline for all that follows. */
    if (nb_connect(&ex.conn, arguments.endpoint, NULL, ex.by, &err) != NB_OK)
        return fail_with(&err);
    if (pthread_create(&sender, NULL, send_everything, &ex) != 0)
        return fail("no thread could be started");

    nb_status status = ex.message == NULL ? receive_output(&ex) : receive_message(&ex);
    if (status != NB_OK || !atomic_load(&ex.sent)) {
        fail_to_receive(arguments.endpoint, status == NB_OK ? NB_EOF : status);
        nb_cancel(ex.conn);     /* Wakes the sender; the server sees a reset and not an end. */
        pthread_detach(sender); /* It may still wait for standard input. */
        return EXIT_FAILURE;
    }
    pthread_join(sender, NULL);
    nb_conn_counters(ex.conn, &received, &sent);
    nb_close(ex.conn, ex.by);
    if (received != sent)
        return fail("%" PRIu64 " bytes were sent, but %" PRIu64 " came back", sent, received);
    return close_output();
}
