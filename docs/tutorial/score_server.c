/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tutorial, third step: a line protocol with bounds. */
/* [all] */
#include <netbasics/netbasics.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Shared by all handlers, which run in several threads at once. */
struct score {
    pthread_mutex_t lock;
    long points;
};

/* [answer] */
/* ADD N adds N; ADD and TOTAL reply with the total; QUIT ends. */
static bool answer(struct score *score, const char *line, size_t length,
                   char *reply, size_t capacity)
{
    /* strcmp() and sscanf() stop at a NUL, which a line may contain. */
    bool whole = strlen(line) == length;
    bool more = !whole || strcmp(line, "QUIT") != 0;
    long points = 0;
    char rest;

    if (!more) {
        snprintf(reply, capacity, "BYE\r\n");
    } else if (whole &&
               (strcmp(line, "TOTAL") == 0 ||
                sscanf(line, "ADD %4ld%c", &points, &rest) == 1)) {
        pthread_mutex_lock(&score->lock);
        score->points += points;
        snprintf(reply, capacity, "OK %ld\r\n", score->points);
        pthread_mutex_unlock(&score->lock);
    } else {
        snprintf(reply, capacity,
                 "ERROR expected ADD NUMBER, TOTAL or QUIT\r\n");
    }
    return more;
}
/* [answer] */

/* [handler] */
static nb_status serve_player(nb_conn *conn, void *context)
{
    /* No client can make the server store more than this. */
    char line[80];
    char reply[80];
    size_t length;
    nb_status status;
    bool more = true;

    while (more) {
        /* For one command and its reply. */
        nb_deadline by = nb_after_ms(60000);

        nb_conn_idle(conn); /* Idle until the next command begins. */
        status = nb_recv_line(conn, line, sizeof line, &length, by);
        if (status == NB_STOPPING)
            return nb_send_all(conn, "BYE\r\n", 5, NULL, by);
        if (status == NB_TOO_LONG) /* An error reply is a reply, too. */
            return nb_send_all(conn, "ERROR line too long\r\n", 21,
                               NULL, by);
        if (status != NB_OK)
            return status; /* After NB_EOF, the loop closes in order. */
        more = answer(context, line, length, reply, sizeof reply);
        status = nb_send_all(conn, reply, strlen(reply), NULL, by);
        if (status != NB_OK)
            return status; /* The loop resets the connection. */
    }
    return NB_OK;
}
/* [handler] */

static void report(const nb_event *event, void *context)
{
    (void)context;
    if (event->kind == NB_EVENT_LISTENING)
        printf("%s\n", event->message);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct score score = {PTHREAD_MUTEX_INITIALIZER, 0};
    const char *endpoint = argc > 1 ? argv[1] : "localhost:7777";
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    nb_listener *listener;
    nb_error err;

    /* [limits] */
    /* Players at once; others wait in the accept queue. */
    options.concurrency = 100;
    options.max_per_peer = 10; /* Per address. */
    /* Nobody plays longer than an hour. */
    options.connection_ms = 3600000;
    options.drain_ms = 2000; /* After Ctrl-C. */
    /* [limits] */
    options.stop_on_signals = true;
    options.on_event = report;
    if (nb_listen(&listener, endpoint, NULL, &err) != NB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    nb_status status =
        nb_serve(listener, serve_player, &score, &options, &err);
    if (status != NB_OK)
        fprintf(stderr, "%s\n", err.message);
    nb_listener_close(listener);
    return status == NB_OK ? 0 : 1;
}
/* [all] */
