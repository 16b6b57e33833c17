/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Sends a message, or standard input, to an echo server and prints what comes back. */
#include "arguments.h"
#include "failure.h"
#include "progress.h"
#include "standard_io.h"
#include <errno.h>
#include <inttypes.h>
#include <netbasics/netbasics.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: echo_client [OPTION]... [ENDPOINT [MESSAGE]]\n"
    "Sends MESSAGE, by default \"Hello, world\", to the echo server at ENDPOINT, by\n"
    "default localhost:12345, and prints what comes back. If MESSAGE is -, sends\n"
    "standard input, and writes what comes back to standard output as it is.\n"
    "\n" MESSAGE_CLIENT_HELP;

/* A server is silent when four receives in a row time out. */
enum { RECEIVE_MS = 250, SILENT_RECEIVES = 4 };

/* What the two threads share: one sends while the other receives. A client that sent everything first
 * could wait for ever: an echo server stops reading when nobody reads its answer. */
typedef struct exchange {
    nb_conn *conn;
    nb_deadline by;
    int64_t receive_ms;  /* How long one receive may wait. */
    const char *message; /* NULL: standard input. */
    bool quiet;          /* No progress. */
    pthread_mutex_t lock;
    bool sent; /* All of it is sent: from now on the server may end its stream, too. */
} exchange;

static bool all_is_sent(exchange *ex)
{
    pthread_mutex_lock(&ex->lock);
    bool sent = ex->sent;
    pthread_mutex_unlock(&ex->lock);
    return sent;
}

/*
 * Ends our stream once everything has come back, or nothing more comes. Not earlier: some servers take
 * the client's end for the end of the connection, and drop the rest of their answer. Both threads call
 * this, as the last byte can come back before the sender knows that it is sent.
 */
static void end_stream(exchange *ex, bool silent)
{
    uint64_t received, sent;

    pthread_mutex_lock(&ex->lock);
    nb_conn_counters(ex->conn, &received, &sent);
    if (ex->sent && (silent || received >= sent))
        nb_shutdown_send(ex->conn); /* The server sees the end; receiving goes on. */
    pthread_mutex_unlock(&ex->lock);
}

static void send_input(exchange *ex)
{
    char buffer[65536];
    ssize_t length;

    do
        length = read_input(buffer, sizeof buffer);
    while (length > 0 && nb_send_all(ex->conn, buffer, (size_t)length, NULL, ex->by) == NB_OK);
    if (length < 0)
        nb_cancel(ex->conn); /* The server must not take what it got for all of it. */
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
    nb_conn_error(ex->conn, NB_SEND, &err); /* Errors are sticky: asking once is enough. */
    if (err.status != NB_OK) {
        fail_with(&err);
        nb_cancel(ex->conn); /* Wakes the thread that receives. */
        return NULL;
    }
    pthread_mutex_lock(&ex->lock);
    ex->sent = true;
    pthread_mutex_unlock(&ex->lock);
    end_stream(ex, false);
    return NULL;
}

/* Receives what comes back next. If that is nothing for a second, the server may be waiting for our
 * end. */
static nb_status receive(exchange *ex, char *buffer, size_t capacity, size_t *length)
{
    int silent_receives = 0;
    nb_status status;

    do {
        bool sent = all_is_sent(ex); /* Silence counts only after that. */
        bool last = nb_remaining_ms(ex->by) <= ex->receive_ms;
        status = nb_recv(ex->conn, buffer, capacity, length,
                         last ? ex->by : nb_after_ms(ex->receive_ms));
        silent_receives += sent && status == NB_TIMEOUT;
        end_stream(ex, silent_receives >= SILENT_RECEIVES);
    } while (status == NB_TIMEOUT && !nb_expired(ex->by));
    return status;
}

/* Writes what comes back to standard output, until the server ends its stream. */
static nb_status receive_output(exchange *ex)
{
    char buffer[65536];
    uint64_t total = 0;
    progress transfer;
    size_t length;
    nb_status status;

    progress_begin(&transfer, ex->quiet);
    while ((status = receive(ex, buffer, sizeof buffer, &length)) == NB_OK) {
        if (!write_output(buffer, length))
            return NB_SYSTEM;
        total += length;
        progress_update(&transfer, total);
    }
    progress_end(&transfer, total);
    return status == NB_EOF ? NB_OK : status;
}

/* Prints what comes back, which must not be more than was sent. */
static nb_status receive_message(exchange *ex)
{
    size_t most = strlen(ex->message), total = 0, length;
    char *answer = malloc(most + 1); /* Room to notice one byte too many. */
    nb_status status = answer == NULL ? NB_NO_MEMORY : NB_OK;

    while (status == NB_OK) {
        status = receive(ex, answer + total, most + 1 - total, &length);
        if (status == NB_OK && (total += length) > most)
            status = NB_TOO_LONG;
    }
    if (status == NB_EOF)
        print_escaped("Received '", answer, total, "'\n");
    free(answer);
    return status == NB_EOF ? NB_OK : status;
}

/* Whether the answer is complete, now that the server has ended its stream. */
static bool is_complete(exchange *ex)
{
    uint64_t received, sent;

    nb_conn_counters(ex->conn, &received, &sent);
    /* A message can be back before the sender knows that it is sent. */
    return all_is_sent(ex) || (ex->message != NULL && received == strlen(ex->message));
}

int main(int argc, char **argv)
{
    client_arguments arguments = {"localhost:12345", "Hello, world", .timeout_ms = 10000};
    /* Static, as the sending thread may outlive main(). */
    static exchange ex = {.lock = PTHREAD_MUTEX_INITIALIZER, .receive_ms = RECEIVE_MS};
    uint64_t received, sent;
    pthread_t sender;
    nb_error err;

    read_client_arguments(&arguments, "echo_client", help, argc, argv);
    ex.message = strcmp(arguments.message, "-") == 0 ? NULL : arguments.message;
    ex.quiet = arguments.quiet;
    if (ex.receive_ms > arguments.timeout_ms / 8)
        ex.receive_ms = arguments.timeout_ms / 8 + 1; /* At most half of it is spent on silence. */
    ex.by = nb_after_ms(arguments.timeout_ms);        /* One deadline for everything. */
    if (nb_connect(&ex.conn, arguments.endpoint, NULL, ex.by, &err) != NB_OK)
        return fail_with(&err);
    errno = pthread_create(&sender, NULL, send_everything, &ex);
    if (errno != 0)
        return fail_with_errno("start a thread");

    nb_status status = ex.message == NULL ? receive_output(&ex) : receive_message(&ex);
    if (status != NB_OK || !is_complete(&ex)) {
        fail_to_receive(arguments.endpoint, status == NB_OK ? NB_EOF : status);
        nb_cancel(ex.conn);     /* Wakes the sender; the server sees a reset, not an end. */
        pthread_detach(sender); /* It may still be waiting for standard input. */
        return EXIT_FAILURE;
    }
    pthread_join(sender, NULL);
    nb_conn_counters(ex.conn, &received, &sent);
    nb_close(ex.conn, ex.by);
    if (received != sent)
        return fail("%" PRIu64 " bytes were sent, but %" PRIu64 " came back", sent, received);
    return close_output();
}
