/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: the accept loop. */
#include "stage.h"

#include <pthread.h>
#include <string.h>

static nb_status greet(nb_conn *conn, void *context)
{
    (void)context;
    return nb_send_all(conn, "hello\n", 6, NULL, nb_after_ms(5000));
}

/* [nb_conn_idle] */
static nb_status answer_lines(nb_conn *conn, void *listener)
{
    nb_status status = NB_OK;
    bool last = false;
    char line[100];

    while (status == NB_OK && !last) {
        nb_deadline by = nb_after_ms(60000);
        const char *reply;

        nb_conn_idle(conn); /* Idle until the next line begins. */
        status = nb_recv_line(conn, line, sizeof(line), NULL, by);
        if (status == NB_STOPPING) /* There is no request. */
            return nb_send_all(conn, "goodbye\n", 8, NULL, by);
        if (status != NB_OK)
            return status;
        last = nb_listener_stopping(listener);
        reply = last ? "done, goodbye\n" : "done, go on\n";
        status = nb_send_all(conn, reply, strlen(reply), NULL, by);
    }
    return status;
}
/* [nb_conn_idle] */

static void report(const nb_event *event, void *context)
{
    (void)context;
    if (event->kind != NB_EVENT_ACCEPTED)
        printf("%s\n", event->message);
}

/* [nb_serve] */
static nb_status serve(nb_listener *listener)
{
    /* Zero in a field means its default. */
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    nb_status status;
    nb_error err;

    options.concurrency = 64;      /* At most 64 handlers at once. */
    options.connection_ms = 30000; /* No connection lives longer. */
    /* After the stop, handlers may continue for that long. */
    options.drain_ms = 5000;
    options.on_event = report;
    status = nb_serve(listener, greet, NULL, &options, &err);
    if (status != NB_OK)
        fprintf(stderr, "%s\n", err.message);
    return status;
}
/* [nb_serve] */

static void print_counters(const nb_listener *listener)
{
    /* [nb_listener_counters] */
    nb_serve_counters counters = NB_SERVE_COUNTERS_INIT;

    nb_listener_counters(listener, &counters);
    printf("%llu accepted, %llu of them not served\n",
           (unsigned long long)counters.accepted,
           (unsigned long long)counters.unserved);
    /* [nb_listener_counters] */
    EXPECT(counters.accepted == 1);
}

static void *visit(void *context)
{
    struct stage *stage = context;
    char line[10];

    EXPECT(nb_connect(&stage->client, stage->endpoint, NULL,
                      nb_after_ms(60000), NULL) == NB_OK);
    EXPECT(nb_recv_line(stage->client, line, sizeof(line), NULL,
                        nb_after_ms(60000)) == NB_OK);
    EXPECT(strcmp(line, "hello") == 0);
    EXPECT(nb_close(stage->client, nb_after_ms(60000)) == NB_OK);
    stage->client = NULL;
    nb_listener_stop(stage->listener);
    return NULL;
}

/* Sends one request, and hears of the stop while it is idle. */
static void *ask(void *context)
{
    struct stage *stage = context;
    nb_deadline by = nb_after_ms(60000);
    char line[20];
    nb_conn *conn;

    EXPECT(nb_connect(&conn, stage->endpoint, NULL, by, NULL) == NB_OK);
    EXPECT(nb_send_all(conn, "question\n", 9, NULL, by) == NB_OK);
    EXPECT(nb_recv_line(conn, line, sizeof(line), NULL, by) == NB_OK);
    EXPECT(strcmp(line, "done, go on") == 0);
    nb_listener_stop(stage->listener);
    EXPECT(nb_recv_line(conn, line, sizeof(line), NULL, by) == NB_OK);
    EXPECT(strcmp(line, "goodbye") == 0);
    EXPECT(nb_recv_line(conn, line, sizeof(line), NULL, by) == NB_EOF);
    EXPECT(nb_close(conn, by) == NB_OK);
    return NULL;
}

static void stop_while_idle(void)
{
    struct stage stage = stage_listen();
    pthread_t visitor;

    EXPECT(pthread_create(&visitor, NULL, ask, &stage) == 0);
    EXPECT(nb_serve(stage.listener, answer_lines, stage.listener, NULL,
                    NULL) == NB_OK);
    EXPECT(pthread_join(visitor, NULL) == 0);
    stage_close(&stage);
}

int main(void)
{
    struct stage stage = stage_listen();
    pthread_t visitor;

    EXPECT(pthread_create(&visitor, NULL, visit, &stage) == 0);
    EXPECT(serve(stage.listener) == NB_OK);
    EXPECT(pthread_join(visitor, NULL) == 0);
    print_counters(stage.listener);
    stage_close(&stage);
    stop_while_idle();
    return 0;
}
