/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Stops under load: clients hammer a server, and it is stopped in the middle of that, hundreds
 *         of times. */
#include "serve/backlog.h"
#include "soak.h"
#include "sys/sys.h"

#define CLIENTS 20
#define LINE "a line\n"
#define MARGIN_MS 10000
#define QUEUE_MOST 4096 /* as the documentation says */

/* How a server is stopped. */
struct way {
    int concurrency;
    int64_t drain_ms; /* short where somebody would wait for ever */
    int sitters;      /* clients that say nothing and do not go away */
};

static const struct way ways[] = {
    {3, 10000, 0}, {1, 10000, 0}, {64, 10000, 0}, {4, 50, 2}, {1, 50, 1}};

/* ---- what the loop sees when it notices the stop ---- */

static struct seen {
    const struct server *server;
    bool stops; /* just now; at other times the queues are looked at, too */
    bool yet;
    bool told;      /* how long the queues were */
    bool shut;      /* nobody new gets in since then */
    uint64_t held;  /* what they held together */
    uint64_t taken; /* before */
    atomic_int accepted;
} seen;

static int own_accept(int fd, struct sockaddr *peer, socklen_t *length)
{
    int accepted = real.accept(fd, peer, length);

    seen.accepted += accepted >= 0;
    return accepted;
}

REPLACE(accept, own_accept)

/* Connections that came out of the kernel's queues. */
static uint64_t taken(const struct server *server)
{
    return (uint64_t)seen.accepted + server_counters(server).lost_accepts;
}

static void note_stop(void)
{
    if (!seen.yet)
        seen.taken = taken(seen.server);
    seen.yet = true;
}

static void own_nb__backlog_measure(struct nb__server *run)
{
    seen.stops = true;
    real.nb__backlog_measure(run);
    seen.stops = false;
}

REPLACE(nb__backlog_measure, own_nb__backlog_measure)

static int own_queue_length(int fd)
{
    int length = real.queue_length(fd);

    if (!seen.stops)
        return length;
    note_stop();
    seen.told = length >= 0;
    if (length > 0)
        seen.held += (uint64_t)length;
    return length;
}

REPLACE(queue_length, own_queue_length)

static int own_shutdown(int fd, int how)
{
    int result = real.shutdown(fd, how);

    if (how == SHUT_RD) { /* nobody does that to a connection */
        note_stop();
        seen.shut = true;
    }
    return result;
}

REPLACE(shutdown, own_shutdown)

/* ---- the clients ---- */

/* A connection is known to be complete when the other end has acknowledged bytes, or, over a Unix socket,
   when there is one: then it is being served, or in the queue of its socket. It is lost when that was so
   before the stop and no echo came; one that looks whole and is not is a lie; one that hears nothing at
   all hangs. */
static struct load {
    nb_address addresses[2]; /* the same for both where there is one socket */
    atomic_bool stopped;
    atomic_int answered;
    atomic_int complete; /* known to be before the stop, and answered after it */
    atomic_int lost;
    atomic_int lies;
    atomic_int hung;
    atomic_int failed; /* of those that must not */
} load;

static bool is_unix(void)
{
    return nb_address_family(&load.addresses[0]) == NB_FAMILY_UNIX;
}

/* Whether the echo came. */
static bool converse(int fd)
{
    bool complete;
    int ending;

    /* The system tells of a reset once, to whichever call comes first. */
    if (send(fd, LINE, strlen(LINE), MSG_NOSIGNAL) < 0)
        return false;
    complete = (is_unix() || is_acknowledged(fd)) && !load.stopped;
    (void)shutdown(fd, SHUT_WR);
    ending = answer(fd, LINE);
    load.answered += ending == 0;
    load.complete += complete && ending == 0 && load.stopped;
    load.lost += complete && ending != 0;
    load.lies += ending == -1 && !is_unix(); /* which know no reset */
    load.hung += ending == EAGAIN;
    return ending == 0;
}

/* Whether it was served, or refused after the stop. */
static bool visit(const nb_address *address, bool *refused)
{
    int fd = dial_quietly(address);
    bool served = fd >= 0 && converse(fd);

    if (fd >= 0)
        close(fd);
    *refused = fd < 0 && load.stopped;
    return served;
}

/* Goes on until nobody lets it in. */
static void hammer(void *address)
{
    bool refused;

    do
        (void)visit(address, &refused);
    while (!refused);
}

/* Goes on until the stop, and must be served each time. */
static void insist(void *address)
{
    bool refused;

    while (!load.stopped)
        load.failed += !visit(address, &refused);
}

/* ---- the server ---- */

static atomic_int handled;

static nb_status echo_and_count(nb_conn *conn, void *unused)
{
    handled++;
    echo(conn, unused);
    return NB_OK;
}

/* ---- a round ---- */

static void show_to_clients(const struct server *server)
{
    size_t last = nb_listener_count(server->listener) - 1;

    assert_status(nb_listener_address(server->listener, 0, &load.addresses[0]), NB_OK);
    assert_status(nb_listener_address(server->listener, last, &load.addresses[1]), NB_OK);
}

static void begin_round(struct server *server, const struct way *way)
{
    memset(&seen, 0, sizeof(seen));
    seen.server = server;
    handled = 0;
    load.answered = load.complete = load.lost = load.lies = load.hung = 0;
    load.stopped = false;
    server->options.drain_ms = way->drain_ms;
    server_run(server);
}

static void check_round(const struct server *server, const struct way *way, int64_t took_ms)
{
    nb_serve_counters counters = server_counters(server);
    uint64_t after = taken(server) - seen.taken;

    assert_in_range(took_ms, 0, way->drain_ms + MARGIN_MS);
    assert_true(seen.yet);
    if (seen.told)
        assert_int_equal(after, seen.held);
    /* Each client has one connection at a time; as long as it gets in that may be a new one. */
    assert_in_range(after, 0, seen.told || seen.shut ? CLIENTS + way->sitters : QUEUE_MOST);
    assert_int_equal(counters.accepted, handled);
    assert_int_equal(server_heard(server, NB_EVENT_CLOSED), counters.accepted);
    if (way->sitters == 0)
        assert_int_equal(counters.unserved + counters.forced, 0);
    assert_in_range(load.lost, 0, counters.unserved + counters.forced);
    assert_int_equal(load.lies, 0);
    assert_int_equal(load.hung, 0);
}

/* What all rounds together came to. */
struct sum {
    uint64_t accepted;
    uint64_t after; /* the stop */
    uint64_t after_most;
    uint64_t complete;
    int64_t longest_ms;
};

static void add_up(struct sum *sum, const struct server *server, int64_t took_ms)
{
    uint64_t after = taken(server) - seen.taken;

    sum->accepted += server_counters(server).accepted;
    sum->after += after;
    sum->after_most = after > sum->after_most ? after : sum->after_most;
    sum->complete += (uint64_t)load.complete;
    sum->longest_ms = took_ms > sum->longest_ms ? took_ms : sum->longest_ms;
}

static void end_round(struct server *server, const struct way *way, int64_t took_ms,
                      struct sum *sum)
{
    check_round(server, way, took_ms);
    add_up(sum, server, took_ms);
    server_free(server);
}

static void stop_once(const char *endpoint, const struct way *way, struct sum *sum)
{
    struct mode mode = {way->concurrency};
    struct server *server = server_new(endpoint, echo_and_count, &mode);
    struct task tasks[CLIENTS];
    int sitters[2];
    int64_t took_ms;
    int64_t begin;

    show_to_clients(server);
    begin_round(server, way);
    for (size_t i = 0; i < CLIENTS; i++)
        task_start(&tasks[i], hammer, &load.addresses[i % 2]);
    eventually(load.answered >= 2 * CLIENTS);
    for (int i = 0; i < way->sitters; i++)
        sitters[i] = dial(&server->address);
    begin = now_ns();
    load.stopped = true;
    nb_listener_stop(server->listener);
    assert_status(server_wait(server), NB_OK);
    took_ms = ms_since(begin);
    for (size_t i = 0; i < CLIENTS; i++)
        task_join(&tasks[i]);
    for (int i = 0; i < way->sitters; i++)
        assert_int_equal(raw_ending(sitters[i], NULL), is_unix() ? 0 : ECONNRESET);
    hang_up_all();
    end_round(server, way, took_ms, sum);
}

static void report(const char *endpoint, size_t stops, const struct sum *sum)
{
    print_message(
        "# %s: %zu stops, %llu connections; taken after the stop: %llu, at most %llu; %llu "
        "known to be complete before and answered after it; the longest took %lld ms\n",
        endpoint, stops, (unsigned long long)sum->accepted, (unsigned long long)sum->after,
        (unsigned long long)sum->after_most, (unsigned long long)sum->complete,
        (long long)sum->longest_ms);
    assert_true(sum->after > 0);
    assert_true(sum->complete > 0);
}

/* ---- sockets that were inherited ---- */

/* "fd:7" and the like; good until the next call. */
static const char *numbered(const char *kind, int number)
{
    static char endpoint[64];

    (void)snprintf(endpoint, sizeof(endpoint), "%s%d", kind, number);
    return endpoint;
}

static int open_listening(enum transport over)
{
    struct sockaddr_storage address;
    socklen_t length;
    int fd = raw_listener(over, &address, &length);

    assert_int_equal(listen(fd, 128), 0);
    return fd;
}

static void stop_at(const char *endpoint, size_t stops)
{
    struct sum sum = {0, 0, 0, 0, 0};

    for (size_t i = 0; i < stops; i++)
        stop_once(endpoint, &ways[i % COUNT(ways)], &sum);
    report(endpoint, stops, &sum);
}

/* Nobody else has the socket: at the end of the server it is closed. */
static void stop_inherited(enum transport over, const char *name, size_t stops)
{
    struct sum sum = {0, 0, 0, 0, 0};

    for (size_t i = 0; i < stops; i++)
        stop_once(numbered("fd:", open_listening(over)), &ways[i % COUNT(ways)], &sum);
    report(name, stops, &sum);
}

/* One server follows the other on a socket that lives on: what the one does not take, the other finds. */
static void restart_under_load(enum transport over, const char *name, size_t restarts)
{
    int shared = open_listening(over);
    struct task tasks[CLIENTS];
    struct sum sum = {0, 0, 0, 0, 0};

    load.failed = 0;
    for (size_t i = 0; i <= restarts; i++) {
        const struct way *way = &ways[i % 3];
        struct mode mode = {way->concurrency};
        const char *endpoint = numbered("fd:", fcntl(shared, F_DUPFD_CLOEXEC, 0));
        struct server *server = server_new(endpoint, echo_and_count, &mode);
        int64_t begin;

        if (i == 0)
            show_to_clients(server);
        begin_round(server, way);
        for (size_t k = 0; i == 0 && k < CLIENTS; k++)
            task_start(&tasks[k], insist, &load.addresses[0]);
        eventually(load.answered >= 2 * CLIENTS);
        load.stopped = i == restarts;
        for (size_t k = 0; i == restarts && k < CLIENTS; k++)
            task_join(&tasks[k]);
        begin = now_ns();
        assert_status(server_stop(server), NB_OK);
        end_round(server, way, ms_since(begin), &sum);
        assert_int_equal(load.failed, 0);
    }
    raw_close(shared);
    report(name, restarts, &sum);
}

#define TEST(name) TEST_AS(name, SOAK_CASE)

TEST(a_stop_serves_the_accept_queue_and_loses_no_client)
{
    stop_at("127.0.0.1:0", rounds(400, 1000));
}

TEST(a_stop_of_two_sockets_loses_no_client)
{
    stop_at("localhost:0", rounds(200, 1000));
}

TEST(a_stop_of_a_unix_socket_loses_no_client)
{
    stop_at(numbered("unix:/tmp/netbasics-", (int)getpid()), rounds(150, 1000));
}

TEST(a_stop_of_an_abstract_name_loses_no_client)
{
    stop_at(numbered("unix:@netbasics-", (int)getpid()), rounds(150, 1000));
}

TEST(a_stop_of_an_inherited_socket_loses_no_client)
{
    stop_inherited(OVER_IPV4, "an inherited TCP socket", rounds(50, 1000));
    stop_inherited(OVER_UNIX, "an inherited Unix socket", rounds(50, 1000));
}

TEST(restarts_on_a_shared_socket_lose_no_client)
{
    restart_under_load(OVER_IPV4, "restarts on a TCP socket", rounds(100, 1000));
    restart_under_load(OVER_UNIX, "restarts on a Unix socket", rounds(100, 1000));
}
