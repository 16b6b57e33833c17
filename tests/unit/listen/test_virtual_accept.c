/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the accept loop on the scripted kernel: the exact moments of its tries, the end of
 *         its connections, and its stop. */
#include "kernel.h"
#include "support.h"

static nb_listener *listener;

/* ---- peers ---- */

static const struct kernel_step hello[] = {{0, 5, 0}, {0, 0, 0}};
static const struct kernel_peer polite = {hello, 2, NULL, 0, NULL, 0, 0};

/* Says hello, and never ends. */
static const struct kernel_step lasting_hello[] = {{0, 5, 0}};
static const struct kernel_peer lasting = {lasting_hello, 1, NULL, 0, NULL, 0, 0};

/* Says nothing. */
static const struct kernel_peer silent = {NULL, 0, NULL, 0, NULL, 0, 0};

/* Never stops talking: 100 bytes each second. */
static struct kernel_step endless[100000];
static const struct kernel_peer talking = {endless, COUNT(endless), NULL, 0, NULL, 0, 0};

/* ---- fixtures ---- */

static int events[16];

static void note(const nb_event *event, void *context)
{
    (void)context;
    events[event->kind]++;
}

/* How a world serves: one client after the other, unless its case says more. */
static nb_serve_options options;

static void serve_alone(void)
{
    options = (nb_serve_options)NB_SERVE_OPTIONS_INIT;
    options.concurrency = 1;
    options.on_event = note;
    memset(events, 0, sizeof(events));
}

static int fill_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(endless); i++)
        endless[i] = (struct kernel_step){1000 * KERNEL_MS, 100, 0};
    serve_alone();
    return 0;
}

static void listen_to(const struct kernel_client *clients, size_t count)
{
    kernel_begin();
    kernel.clients = clients;
    kernel.client_count = count;
    assert_status(nb_listen(&listener, "127.0.0.1:0", NULL, NULL), NB_OK);
}

static void finish(void)
{
    nb_listener_close(listener);
    if (kernel.complaint != NULL)
        fail_msg("%s", kernel.complaint);
    assert_int_equal(kernel_open(), 0);
    assert_int_equal(kernel.wall_reads, 0);
    kernel_end();
    serve_alone();
}

static void stop(void *argument)
{
    (void)argument;
    nb_listener_stop(listener);
}

/* That accept was tried these milliseconds after each other, beginning at once. */
static void assert_accept_waits(const int64_t *ms, size_t count)
{
    assert_int_equal(kernel.accepts, count + 1);
    for (size_t i = 0; i < count; i++) {
        int64_t waited = kernel.accept_times[i + 1] - kernel.accept_times[i];

        if (waited != ms[i] * KERNEL_MS)
            fail_msg("wait %zu is %lld ns", i, (long long)waited);
    }
}

/* That an accept ends so; who came is sent away. */
static void assert_accept(nb_deadline by, nb_status expected)
{
    nb_conn *conn;

    assert_status(nb_accept(listener, &conn, by, NULL), expected);
    nb_abort(conn);
}

/* ---- nb_accept() ---- */

/* Shortages, and then a client. */
#define CLIENTS_MAX 24
static struct kernel_client clients[CLIENTS_MAX];

static size_t short_of(int error, size_t times)
{
    for (size_t i = 0; i < times; i++)
        clients[i] = (struct kernel_client){0, error, NULL, 0};
    clients[times] = (struct kernel_client){0, 0, &polite, 0};
    return times + 1;
}

static const int64_t back_off_ms[] = {5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000};
static const int shortages[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};

#define TEST(name) TEST_AS(name, CASE)

TEST(accept_retries_after_5_ms_doubling_to_a_second)
{
    for (size_t i = 0; i < COUNT(shortages); i++) {
        listen_to(clients, short_of(shortages[i], COUNT(back_off_ms)));
        assert_accept(nb_forever(), NB_OK);
        assert_accept_waits(back_off_ms, COUNT(back_off_ms));
        finish();
    }
}

TEST(accept_during_a_shortage_ends_at_its_deadline)
{
    static const int64_t times_ms[] = {1, 5, 6, 35, 36, 2000};

    for (size_t i = 0; i < COUNT(times_ms); i++) {
        listen_to(clients, short_of(EMFILE, CLIENTS_MAX - 1));
        assert_accept(KERNEL_IN(times_ms[i] * KERNEL_MS), NB_NO_DESCRIPTORS);
        assert_true(kernel.now == KERNEL_START + times_ms[i] * KERNEL_MS);
        finish();
    }
}

TEST(stop_ends_the_backoff_of_a_shortage_at_once)
{
    listen_to(clients, short_of(EMFILE, CLIENTS_MAX - 1));
    kernel_at(KERNEL_START + 1700 * KERNEL_MS, stop, NULL);
    assert_accept(nb_forever(), NB_CANCELLED);
    assert_true(kernel.now == KERNEL_START + 1700 * KERNEL_MS);
    finish();
}

TEST(signals_do_not_shorten_the_backoff_of_a_shortage)
{
    listen_to(clients, short_of(EMFILE, 11));
    kernel.signal_every_ns = 300 * KERNEL_MS;
    assert_accept(nb_forever(), NB_OK);
    assert_true(kernel.accepts <= 24);
    assert_true(kernel.now - KERNEL_START >= 1000 * KERNEL_MS);
    finish();
}

TEST(lost_connections_cost_no_time)
{
    static const int errors[] = {ECONNABORTED, EPROTO, EPERM, ENETDOWN, EHOSTUNREACH, ETIMEDOUT};

    for (size_t i = 0; i < COUNT(errors); i++) {
        listen_to(clients, short_of(errors[i], CLIENTS_MAX - 1));
        assert_accept(KERNEL_IN(1), NB_OK);
        assert_true(kernel.now == KERNEL_START);
        finish();
    }
}

TEST(accept_keeps_its_deadline_to_the_nanosecond)
{
    static const int64_t ns[] = {0, 1, 50 * KERNEL_MS, 20000 * KERNEL_MS};

    for (size_t i = 0; i < 2 * COUNT(ns); i++) {
        listen_to(NULL, 0);
        kernel.signal_every_ns = i < COUNT(ns) ? 0 : 300 * KERNEL_MS;
        assert_accept(KERNEL_IN(ns[i % COUNT(ns)]), NB_TIMEOUT);
        assert_true(kernel.now == KERNEL_START + ns[i % COUNT(ns)]);
        assert_int_equal(kernel.accepts, 0);
        finish();
    }
}

TEST(accept_waits_on_after_spurious_readiness)
{
    listen_to(NULL, 0);
    kernel.idle_poll_ns = KERNEL_MS;
    assert_accept(KERNEL_IN(1000 * KERNEL_MS), NB_TIMEOUT);
    assert_true(kernel.now == KERNEL_START + 1000 * KERNEL_MS);
    assert_in_range(kernel.accepts, 990, 1000);
    finish();
}

TEST(accept_with_a_passed_deadline_accepts_nobody)
{
    listen_to(clients, short_of(0, 0));
    assert_accept((nb_deadline){INT64_MIN}, NB_TIMEOUT);
    assert_accept(KERNEL_IN(0), NB_TIMEOUT);
    assert_int_equal(kernel.accepts, 0);
    assert_accept(KERNEL_IN(1), NB_OK);
    finish();
}

/* ---- nb_serve(), one after the other ---- */

static nb_status read_hello(nb_conn *conn, void *context)
{
    char buf[5];
    size_t got;

    (void)context;
    assert_status(nb_recv_exact(conn, buf, sizeof(buf), &got, nb_forever()), NB_OK);
    return NB_OK;
}

static nb_status handler_status;

/* Waits for what never comes, and retries time-outs. */
static nb_status wait_for_ever(nb_conn *conn, void *context)
{
    char byte;
    size_t got;

    (void)context;
    do
        handler_status = nb_recv(conn, &byte, 1, &got, nb_after_ms(7000));
    while (handler_status == NB_OK || handler_status == NB_TIMEOUT);
    return NB_OK;
}

static void serve_until(int64_t stop_ms, nb_handler *handler)
{
    kernel_at(KERNEL_START + stop_ms * KERNEL_MS, stop, NULL);
    assert_status(nb_serve(listener, handler, NULL, &options, NULL), NB_OK);
}

TEST(loop_retries_after_5_ms_doubling_to_a_second_and_reports_it_once)
{
    listen_to(clients, short_of(EMFILE, COUNT(back_off_ms)));
    serve_until(10000, read_hello);
    assert_accept_waits(back_off_ms, COUNT(back_off_ms));
    assert_int_equal(events[NB_EVENT_ACCEPT_BACKING_OFF], 1);
    assert_int_equal(events[NB_EVENT_ACCEPT_RECOVERED], 1);
    assert_int_equal(events[NB_EVENT_CLOSED], 1);
    assert_true(kernel.now == KERNEL_START + 10000 * KERNEL_MS);
    finish();
}

static const struct kernel_client one_polite[] = {{0, 0, &polite, 0}};
static const struct kernel_client one_lasting[] = {{0, 0, &lasting, 0}};
static const struct kernel_client one_silent[] = {{0, 0, &silent, 0}};
static const struct kernel_client one_talking[] = {{0, 0, &talking, 0}};

static int64_t closed_ns;
static int64_t lasted_ns;
static char closed_line[600];
static nb_status closed_as;

static void note_close(const nb_event *event, void *context)
{
    note(event, context);
    if (event->kind == NB_EVENT_CLOSED) {
        closed_ns = kernel.now;
        lasted_ns = event->duration_ns;
        (void)snprintf(closed_line, sizeof(closed_line), "%s", event->message);
        closed_as = event->status;
    }
}

/* Serves one client until 1000 s: how it ended, and that it was then, in milliseconds. */
static void assert_closed(const struct kernel_client *client, nb_handler *handler, nb_status how,
                          int64_t ms)
{
    options.on_event = note_close;
    listen_to(client, 1);
    serve_until(1000000, handler);
    assert_int_equal(events[NB_EVENT_CLOSED], 1);
    assert_status(closed_as, how);
    if (closed_ns != KERNEL_START + ms * KERNEL_MS)
        fail_msg("closed after %lld us", (long long)(closed_ns - KERNEL_START) / 1000);
    assert_true(lasted_ns == ms * KERNEL_MS);
    finish();
}

/* What the line about the end says behind the peer. */
static const char *end_of_line(void)
{
    const char *peer = "connection 1 from 192.0.2.1:";

    assert_memory_equal(closed_line, peer, strlen(peer));
    return strchr(closed_line + strlen(peer), ':') + 2;
}

TEST(client_that_ends_with_an_orderly_close_is_closed_at_once)
{
    assert_closed(one_polite, read_hello, NB_OK, 0);
}

TEST(client_that_never_ends_lingers_for_linger_ms)
{
    assert_closed(one_lasting, read_hello, NB_TIMEOUT, 5000);
    options.linger_ms = 123456;
    assert_closed(one_lasting, read_hello, NB_TIMEOUT, 123456);
}

TEST(line_of_a_closed_event_gives_reason_duration_and_bytes)
{
    assert_closed(one_polite, read_hello, NB_OK, 0);
    assert_string_equal(end_of_line(), "closed after 0.000 s, 5 bytes received, 0 sent");
    options.linger_ms = 123456;
    assert_closed(one_lasting, read_hello, NB_TIMEOUT, 123456);
    assert_string_equal(end_of_line(), "timed out after 123.456 s, 5 bytes received, 0 sent");
}

TEST(connection_ms_ends_lingering)
{
    options.linger_ms = 60000;
    options.connection_ms = 7000;
    assert_closed(one_lasting, read_hello, NB_TIMEOUT, 7000);
}

TEST(client_that_keeps_sending_lingers_for_linger_bytes)
{
    options.linger_ms = 900000;
    options.linger_bytes = 1000;
    assert_closed(one_talking, read_hello, NB_TOO_LONG, 11000);
}

TEST(connection_ms_ends_a_handler_that_retries_timeouts)
{
    options.connection_ms = 60000;
    assert_closed(one_silent, wait_for_ever, NB_CANCELLED, 60000);
    assert_status(handler_status, NB_CANCELLED);
    options.connection_ms = 60000;
    assert_closed(one_talking, wait_for_ever, NB_CANCELLED, 60000);
    assert_status(handler_status, NB_CANCELLED);
}

TEST(stop_takes_no_longer_than_drain_ms)
{
    static const int64_t drains_ms[] = {1, 5, 100, 500, 1000, 10000, 77777};
    /* In the beginning of the wait, and when it goes on for long. */
    static const int64_t stops_ms[] = {1, 3000};

    for (size_t i = 0; i < COUNT(drains_ms) * COUNT(stops_ms); i++) {
        int64_t drain_ms = drains_ms[i / COUNT(stops_ms)];
        int64_t stop_ms = stops_ms[i % COUNT(stops_ms)];
        nb_serve_counters counters = NB_SERVE_COUNTERS_INIT;
        int64_t late;

        options.drain_ms = drain_ms;
        listen_to(one_silent, 1);
        serve_until(stop_ms, wait_for_ever);
        late = kernel.now - (KERNEL_START + (stop_ms + drain_ms) * KERNEL_MS);
        assert_true(late >= 0);
        /* nobody watches the clock for the handler: its own waits look at the stop four times */
        assert_true(late <= drain_ms * KERNEL_MS / 4 + KERNEL_MS);
        nb_listener_counters(listener, &counters);
        assert_int_equal(counters.forced, 1);
        finish();
    }
}

TEST(clients_queued_at_the_stop_are_served_and_later_ones_are_not)
{
    static const struct kernel_client crowd[] = {{2000 * KERNEL_MS, 0, &polite, 0},
                                                 {1000 * KERNEL_MS, 0, &polite, 0},
                                                 {0, ECONNABORTED, NULL, 0},
                                                 {0, EMFILE, NULL, 0},
                                                 {0, 0, &polite, 0},
                                                 {0, 0, &polite, 0},
                                                 {1, 0, &polite, 0},
                                                 {KERNEL_MS, 0, &polite, 0}};
    nb_serve_counters counters = NB_SERVE_COUNTERS_INIT;

    listen_to(crowd, COUNT(crowd));
    serve_until(3000, read_hello);
    nb_listener_counters(listener, &counters);
    assert_int_equal(counters.accepted, 4);
    assert_int_equal(counters.unserved, 0);
    assert_int_equal(counters.lost_accepts, 1);
    for (size_t i = 0; i < COUNT(crowd); i++) {
        bool served = crowd[i].error == 0 && i < 6;

        assert_int_equal(kernel.outcomes[i].accepted, served);
        assert_int_equal(kernel.outcomes[i].fate == KERNEL_ENDED, served);
    }
    finish();
}

TEST(lingering_ends_with_the_drain)
{
    options.linger_ms = 3600000;
    options.drain_ms = 2500;
    listen_to(one_lasting, 1);
    serve_until(3000, read_hello);
    assert_true(kernel.now == KERNEL_START + 5500 * KERNEL_MS);
    finish();
}

TEST_GROUP(fill_scripts, NULL)
