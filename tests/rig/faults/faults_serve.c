/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults in the accept loop: with one handler at a time, and (faults_workers) with several. */
#include "talk.h"

#include <semaphore.h>

#define CLIENTS_MOST 10

/* When the loop is stopped at last, should faults have kept handlers from it; how long the drain may take,
   and lingering. Where the clock is real, nobody waits for more than is needed. */
#define STOP_MS (patient ? 1000 : grace_ms > 0 ? 100 : 40)
#define DRAIN_MS STOP_MS
#define LINGER_MS (STOP_MS / 4)

#define ANSWER "an answer\n"

#ifndef CONCURRENCY
#define CONCURRENCY 1
#endif
#define SERVING(name) SCENARIO_AS(name, TWO_FAULTS | (CONCURRENCY > 1 ? IN_THREADS : 0))

/* One run of the loop. */
static struct {
    nb_listener *listener;
    nb_serve_options options;
    int clients[CLIENTS_MOST];
    int count;
    atomic_int handled;
    atomic_int heard[NB_EVENT_LIMIT_CLEARED + 1];
    sem_t over; /* the last client is handled */
} net;

static void on_event(const nb_event *event, void *unused)
{
    (void)unused;
    holds(event->size == sizeof(*event) && event->message[0] != '\0');
    if (event->kind == NB_EVENT_LISTENING)
        loop_began();
    if (event->kind == NB_EVENT_STOPPED)
        holds(atomic_load(&net.heard[NB_EVENT_STOPPED]) == 0);
    atomic_fetch_add(&net.heard[event->kind], 1);
}

static void stop(void *listener)
{
    nb_listener_stop(listener);
}

static void begin(const char *endpoint)
{
    nb_error err;
    nb_status status;

    memset(&net, 0, sizeof(net));
    (void)sem_init(&net.over, 0, 0);
    net.options = (nb_serve_options)NB_SERVE_OPTIONS_INIT;
    net.options.concurrency = CONCURRENCY;
    net.options.drain_ms = DRAIN_MS;
    net.options.linger_ms = LINGER_MS;
    net.options.linger_max = 8;
    net.options.on_event = on_event;
    /* Faults in this are those of faults_listen.c. */
    status = nb_listen(&net.listener, endpoint, NULL, &err);
    if (status != NB_OK)
        give_up("no listener: %s", err.message);
}

static void add_client(const char *request, bool ends)
{
    nb_address address;
    size_t sockets = nb_listener_count(net.listener);
    int fd;

    (void)nb_listener_address(net.listener, (size_t)net.count % sockets, &address);
    fd = peer_connect(&address);
    peer_say(fd, request);
    if (ends)
        peer_end(fd);
    net.clients[net.count++] = fd;
}

static void add_clients(int count)
{
    for (int i = 0; i < count; i++)
        add_client("request\n", true);
}

/* Ends a handler: the last one stops the loop. */
static void handled(void)
{
    if (atomic_fetch_add(&net.handled, 1) + 1 < net.count)
        return;
    DO(nb_listener_stop(net.listener));
    (void)sem_post(&net.over);
}

static nb_status answer(nb_conn *conn, void *unused)
{
    struct account account = {.length = 0};

    (void)unused;
    enter_foreign();
    if (receive_line(conn, "request"))
        send_text(conn, ANSWER, &account);
    handled();
    leave_foreign();
    return NB_OK;
}

/* Stops the loop when it should have come to its end. */
static void *stop_in_time(void *unused)
{
    struct timespec until;

    enter_foreign();
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_MS / 1000;
    until.tv_nsec += STOP_MS % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)sem_timedwait(&net.over, &until);
    nb_listener_stop(net.listener);
    return unused;
}

/* What a client has in the end: the whole answer and an end in order (true); or else it has been broken
   off or ended, but is not left waiting. */
static bool was_answered(int fd)
{
    char heard[64];
    bool ended;
    size_t length = peer_hear(fd, heard, sizeof(heard), &ended);
    ssize_t more = recv(fd, heard + length, 1, MSG_DONTWAIT);

    holds(more == 0 || (more < 0 && errno != EAGAIN));
    return ended && length == sizeof(ANSWER) - 1 && memcmp(heard, ANSWER, length) == 0;
}

static void check_counts(nb_status status)
{
    nb_serve_counters counters = NB_SERVE_COUNTERS_INIT;
    int began = atomic_load(&net.heard[NB_EVENT_LISTENING]) > 0;

    nb_listener_counters(net.listener, &counters);
    holds(counters.active == 0 && counters.lingering == 0);
    holds(counters.accepted == (uint64_t)atomic_load(&net.heard[NB_EVENT_ACCEPTED]));
    holds(counters.refused == (uint64_t)atomic_load(&net.heard[NB_EVENT_REFUSED]));
    holds(atomic_load(&net.heard[NB_EVENT_CLOSED]) == atomic_load(&net.heard[NB_EVENT_ACCEPTED]));
    holds(atomic_load(&net.heard[NB_EVENT_STOPPED]) == began);
    holds(atomic_load(&net.heard[NB_EVENT_DRAINING]) == began);
    holds(began || status != NB_OK);
}

/* Runs the loop: how many clients were answered. */
static int serve(nb_handler *handler, nb_status *status)
{
    nb_error err;
    pthread_t stopper = pthread_self(); /* nobody else yet */
    int answered = 0;

    if (grace_ms > 0)
        at_time(nb_after_ms(STOP_MS), stop, net.listener);
    else
        (void)pthread_create(&stopper, NULL, stop_in_time, NULL);
    also_allowed(S(NB_CANCELLED));
    *status = STEP(API_SERVE, S(NB_OK), nb_serve(net.listener, handler, NULL, &net.options, &err));
    also_allowed(0);
    if (grace_ms == 0) {
        (void)sem_post(&net.over);
        (void)pthread_join(stopper, NULL);
    }
    holds(err.status == *status);
    check_counts(*status);
    DO(nb_listener_close(net.listener));
    for (int i = 0; i < net.count; i++)
        answered += was_answered(net.clients[i]);
    for (int i = 0; i < net.count; i++)
        peer_close(net.clients[i]);
    (void)sem_destroy(&net.over);
    return answered;
}

/* A fault that passes costs no more than the connection that it hits. (An accept that finds nothing says
   that nobody is left in the queue.) */
static void serve_all(nb_handler *handler)
{
    nb_status status;
    int expected = net.count;
    int answered = serve(handler, &status);

    if (!planned(ON_ACCEPT, EAGAIN) && status == NB_OK && !disturbed_for_ever())
        holds(answered >= expected - kernel.fired);
    if (!disturbed())
        holds(answered == expected);
}

/* Ten clients ask, are answered, and end; one of them does not end. */
SERVING(serve_ten)
{
    begin("127.0.0.1:0");
    add_clients(4);
    add_client("request\n", false);
    add_clients(5);
    serve_all(answer);
}

/* The same at both addresses of localhost, with signals that stop. */
SERVING(serve_at_localhost)
{
    struct sigaction before;
    struct sigaction after;

    (void)sigaction(SIGTERM, NULL, &before);
    begin("localhost:0");
    net.options.stop_on_signals = true;
    add_clients(4);
    serve_all(answer);
    (void)sigaction(SIGTERM, NULL, &after);
    if (kernel.failed[ON_SIGACTION] == 0)
        holds(before.sa_handler == after.sa_handler);
    (void)sigaction(SIGTERM, &before, NULL);
}

static nb_status answer_and_stop(nb_conn *conn, void *context)
{
    enter_foreign();
    DO(nb_listener_stop(net.listener));
    leave_foreign();
    answer(conn, context);
    return NB_OK;
}

/* The first handler stops the loop: those that wait in the queue are still served. */
SERVING(serve_clients_queued_at_the_stop)
{
    begin("127.0.0.1:0");
    add_clients(5);
    serve_all(answer_and_stop);
}

/* Waits for a line that never comes, as often as it is allowed to. */
static nb_status wait_for_ever(nb_conn *conn, void *unused)
{
    char line[16];
    nb_status status;

    (void)unused;
    enter_foreign();
    atomic_fetch_add(&net.handled, 1);
    do
        status = STEP_ON(conn, API_RECEIVE, S(NB_CANCELLED),
                         nb_recv_line(conn, line, sizeof(line), NULL, nb_forever()));
    while (status == NB_NO_MEMORY && !disturbed_for_ever());
    leave_foreign();
    return NB_OK;
}

/* A handler that waits for ever is cut off at the end of the drain. */
SERVING(serve_silent_client_until_the_drain_ends)
{
    nb_status status;

    begin("127.0.0.1:0");
    add_client("req", false);
    holds(serve(wait_for_ever, &status) == 0);
}

/* A handler that waits for ever is cut off at the end of its connection's life. */
SERVING(serve_until_connection_ms)
{
    nb_status status;

    begin("127.0.0.1:0");
    net.options.connection_ms = LINGER_MS;
    add_client("req", false);
    holds(serve(wait_for_ever, &status) == 0);
}

static nb_status end_yourself(nb_conn *conn, void *unused)
{
    static const char *const requests[] = {"close", "abort", "keep"};
    char line[16] = "";
    nb_fd fd = -1;

    (void)unused;
    enter_foreign();
    (void)STEP_ON(conn, API_RECEIVE, S(NB_OK),
                  nb_recv_line(conn, line, sizeof(line), NULL, soon()));
    if (strcmp(line, requests[0]) == 0)
        (void)STEP_ON(conn, API_CLOSE, S(NB_OK), nb_close(conn, soon()));
    else if (strcmp(line, requests[1]) == 0)
        DO(nb_abort(conn));
    else if (strcmp(line, requests[2]) == 0 &&
             STEP(API_DETACH, S(NB_OK), nb_conn_detach(conn, &fd, NULL, 0, NULL)) == NB_OK)
        (void)close(fd);
    handled();
    leave_foreign();
    return NB_OK;
}

/* Handlers close, abort and keep their connections themselves. */
SERVING(serve_handlers_that_end_their_connections)
{
    nb_status status;

    begin("127.0.0.1:0");
    add_client("close\n", true);
    add_client("abort\n", true);
    add_client("keep\n", true);
    holds(serve(end_yourself, &status) == 0);
}

/* One peer may have two connections. */
SERVING(serve_with_max_per_peer)
{
    nb_status status;

    begin("127.0.0.1:0");
    net.options.max_per_peer = 2;
    for (int i = 0; i < 5; i++)
        add_client("request\n", false);
    (void)serve(answer, &status);
}
