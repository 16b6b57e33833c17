/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What is measured: the servers of bare_server.c, written with netbasics.
 *
 *  nb_server echo|time|requests CONCURRENCY CONNECTIONS forever|once|each|idle linger|no-linger
 *  nb_server lines BOUND CONNECTIONS forever|once|each linger|no-linger
 *
 *  Serves so many connections on a loopback port, which it prints, and exits. CONCURRENCY is that of
 *  nb_serve(); 0 is a plain loop of nb_accept(). The echo server waits without a deadline, with one
 *  for the whole connection, or with a fresh one for each round trip. "lines" counts lines of less than
 *  BOUND bytes; 0 is a buffer of its own over nb_recv(), the measure of the others. With "idle" the echo
 *  server says nb_conn_idle() before each receive, too. "requests" answers lines until SIGTERM comes; then it
 *  says which reply is the last. */
#include "bench.h"

#include <netbasics/netbasics.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { ONCE_MS = 60000, EACH_MS = 5000 };

static enum waits { FOREVER, ONCE, EACH, IDLE } deadline;
static atomic_int left;
static size_t bound;

static void check(const char *what, nb_status status)
{
    if (status != NB_OK)
        die(what, nb_status_text(status));
}

static void echo(nb_conn *conn)
{
    char buf[BUFFER_BYTES];
    nb_deadline by = deadline == ONCE ? nb_after_ms(ONCE_MS) : nb_forever();
    for (;;) {
        if (deadline == EACH)
            by = nb_after_ms(EACH_MS);
        if (deadline == IDLE)
            nb_conn_idle(conn);

        size_t n;
        nb_status status = nb_recv(conn, buf, sizeof(buf), &n, by);
        if (status == NB_EOF)
            return;
        check("nb_recv", status);
        check("nb_send_all", nb_send_all(conn, buf, n, NULL, by));
    }
}

/* Ends a connection: the last one stops the loop. */
static nb_status done(nb_listener *listener)
{
    if (atomic_fetch_sub(&left, 1) == 1)
        nb_listener_stop(listener);
    return NB_OK;
}

static nb_status handle_echo(nb_conn *conn, void *listener)
{
    echo(conn);
    return done(listener);
}

static nb_status handle_time(nb_conn *conn, void *listener)
{
    check("nb_send_all", nb_send_all(conn, TIME_TEXT, TIME_BYTES, NULL, nb_forever()));
    return done(listener);
}

/* What programs do by hand. */
static int count_lines_of_buffer(nb_conn *conn, nb_deadline by)
{
    char buf[OWN_BUFFER_BYTES];
    size_t have = 0;
    int lines = 0;
    for (;;) {
        size_t n;
        nb_status status = nb_recv(conn, buf + have, sizeof(buf) - have, &n, by);
        if (status == NB_EOF)
            return lines;
        check("nb_recv", status);
        have += n;

        char *line = buf;
        char *end;
        while ((end = memchr(line, '\n', (size_t)(buf + have - line))) != NULL) {
            *end = '\0';
            lines++;
            line = end + 1;
        }
        have = (size_t)(buf + have - line);
        memmove(buf, line, have);
    }
}

static int count_lines(nb_conn *conn, nb_deadline by)
{
    static char line[OWN_BUFFER_BYTES];
    for (int lines = 0;; lines++) {
        nb_status status;
        if (deadline == EACH)
            by = nb_after_ms(EACH_MS);
        status = nb_recv_line(conn, line, bound, NULL, by);
        if (status == NB_EOF)
            return lines;
        check("nb_recv_line", status);
    }
}

static nb_status handle_lines(nb_conn *conn, void *listener)
{
    nb_deadline by = deadline == FOREVER ? nb_forever() : nb_after_ms(ONCE_MS);
    int lines = bound == 0 ? count_lines_of_buffer(conn, by) : count_lines(conn, by);
    char text[MESSAGE_BYTES];
    int length = snprintf(text, sizeof(text), "%d", lines);
    check("nb_send_all", nb_send_all(conn, text, (size_t)length, NULL, nb_forever()));
    return done(listener);
}

static nb_status handle_requests(nb_conn *conn, void *listener)
{
    nb_status status = NB_OK;
    bool last = false;
    while (status == NB_OK && !last) {
        char line[MESSAGE_BYTES];
        nb_conn_idle(conn);
        status = nb_recv_line(conn, line, sizeof(line), NULL, nb_forever());
        last = nb_listener_stopping(listener);
        if (status == NB_OK)
            status = nb_send_all(conn, last ? "last\n" : "more\n", 5, NULL, nb_forever());
    }
    return status;
}

static nb_handler *handler_of(const char *work)
{
    if (strcmp(work, "requests") == 0)
        return handle_requests;
    if (strcmp(work, "lines") == 0)
        return handle_lines;
    return strcmp(work, "time") == 0 ? handle_time : handle_echo;
}

static enum waits deadline_of(const char *how)
{
    if (strcmp(how, "once") == 0)
        return ONCE;
    if (strcmp(how, "each") == 0)
        return EACH;
    return strcmp(how, "idle") == 0 ? IDLE : FOREVER;
}

static void accept_each(nb_listener *listener, nb_handler *handler, bool linger)
{
    while (atomic_load(&left) > 0) {
        nb_conn *conn;
        check("nb_accept", nb_accept(listener, &conn, nb_forever(), NULL));
        handler(conn, listener);
        check("nb_close", nb_close(conn, nb_after_ms(linger ? EACH_MS : 0)));
    }
}

int main(int argc, char **argv)
{
    if (argc != 6)
        die("usage", "nb_server echo|time|lines|requests CONCURRENCY|BOUND CONNECTIONS "
                     "forever|once|each|idle linger|no-linger");
    nb_handler *handler = handler_of(argv[1]);
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    if (handler == handle_lines)
        bound = (size_t)number(argv[2]);
    else
        options.concurrency = number(argv[2]);
    atomic_init(&left, number(argv[3]));
    deadline = deadline_of(argv[4]);
    options.stop_on_signals = handler == handle_requests;
    bool linger = strcmp(argv[5], "linger") == 0;
    options.linger_ms = linger ? 0 : NB_NO_LINGER;

    nb_listener *listener;
    nb_address address;
    check("nb_listen", nb_listen(&listener, "127.0.0.1:0", NULL, NULL));
    check("nb_listener_address", nb_listener_address(listener, 0, &address));
    print_port(nb_address_port(&address));

    if (options.concurrency == 0 || handler == handle_lines)
        accept_each(listener, handler, linger);
    else
        check("nb_serve", nb_serve(listener, handler, listener, &options, NULL));
    nb_listener_close(listener);
    return EXIT_SUCCESS;
}
