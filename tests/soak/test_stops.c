/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Stops under load: clients hammer a server, and it is stopped in the middle of that, hundreds
 *         of times.
 *
 *  Wraps: nb__sys_queue_length nb__sys_shutdown */
#define _GNU_SOURCE

#include "soak.h"
#include "sys.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLIENTS 20
#define LINE "a line\n"
#define MARGIN_MS 10000

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
    bool yet;
    bool told;      /* how long the queues were; else nobody new gets in since then */
    uint64_t held;  /* what they held together */
    uint64_t taken; /* before */
} seen;

/* Connections that came out of the kernel's queues. */
static uint64_t taken(const struct server *server)
{
    nb_serve_stats stats = server_stats(server);

    return stats.accepted + stats.refused + stats.lost_accepts;
}

static void note_stop(void)
{
    if (!seen.yet)
        seen.taken = taken(seen.server);
    seen.yet = true;
}

int __real_nb__sys_queue_length(int fd);
int __wrap_nb__sys_queue_length(int fd);
int __wrap_nb__sys_queue_length(int fd)
{
    int length = __real_nb__sys_queue_length(fd);

    note_stop();
    seen.told = length >= 0;
    if (length > 0)
        seen.held += (uint64_t)length;
    return length;
}

int __real_nb__sys_shutdown(int fd, int how);
int __wrap_nb__sys_shutdown(int fd, int how);
int __wrap_nb__sys_shutdown(int fd, int how)
{
    int result = __real_nb__sys_shutdown(fd, how);

    if (how == SHUT_RD) /* nobody does that to a connection */
        note_stop();
    return result;
}

/* ---- the clients ---- */

/* A connection is known to be complete when the other end has acknowledged bytes (over a Unix socket, when
   there is one): then it is being served, or in the queue of its socket. It is lost when that was so before the stop and no echo came; one
   that looks whole and is not is a lie; one that hears nothing at all hangs. */
static struct load {
    nb_address addresses[2]; /* the same for both where there is one socket */
    atomic_bool stopped;
    atomic_int answered;
    atomic_int complete; /* known to be before the stop, and answered after it */
    atomic_int lost;
    atomic_int lies;
    atomic_int hung;
} load;

static bool is_unix(void)
{
    return nb_address_family(&load.addresses[0]) == NB_FAMILY_UNIX;
}

static bool is_acknowledged(int fd)
{
    int left = 1;

    if (is_unix())
        return true;
    for (int looks = 0; looks < 100 && left > 0; looks++) {
        if (ioctl(fd, SIOCOUTQ, &left) < 0)
            return false;
    }
    return left == 0;
}

static void converse(int fd)
{
    bool complete;
    int ending;

    /* The system tells of a reset once, to whichever call comes first. */
    if (send(fd, LINE, strlen(LINE), MSG_NOSIGNAL) < 0)
        return;
    complete = is_acknowledged(fd) && !load.stopped;
    (void)shutdown(fd, SHUT_WR);
    ending = answer(fd, LINE);
    load.answered += ending == 0;
    load.complete += complete && ending == 0 && load.stopped;
    load.lost += complete && ending != 0;
    load.lies += ending == -1 && !is_unix(); /* which know no reset */
    load.hung += ending == EAGAIN;
}

/* Goes on until nobody lets it in. */
static void hammer(void *argument)
{
    const nb_address *address = argument;
    bool refused = false;

    while (!refused) {
        int fd = dial_quietly(address);

        if (fd >= 0) {
            converse(fd);
            close(fd);
        }
        refused = fd < 0 && load.stopped;
    }
}

/* ---- the server ---- */

static atomic_int handled;

static void echo_and_count(nb_conn *conn, void *unused)
{
    handled++;
    echo(conn, unused);
}

/* ---- a round ---- */

static void begin_round(struct server *server, const struct way *way)
{
    size_t last = nb_listener_count(server->listener) - 1;

    memset(&seen, 0, sizeof(seen));
    seen.server = server;
    handled = 0;
    load.answered = load.complete = load.lost = load.lies = load.hung = 0;
    load.stopped = false;
    assert_status(nb_listener_address(server->listener, 0, &load.addresses[0]), NB_OK);
    assert_status(nb_listener_address(server->listener, last, &load.addresses[1]), NB_OK);
    server->options.drain_ms = way->drain_ms;
    server_run(server);
}

static void check_round(const struct server *server, const struct way *way, int64_t took_ms)
{
    nb_serve_stats stats = server_stats(server);
    uint64_t after = taken(server) - seen.taken;

    assert_in_range(took_ms, 0, way->drain_ms + MARGIN_MS);
    assert_true(seen.yet);
    if (seen.told)
        assert_int_equal(after, seen.held);
    assert_in_range(after, 0, CLIENTS + way->sitters); /* each has one connection at a time */
    assert_int_equal(stats.accepted, (uint64_t)handled + stats.unserved);
    assert_int_equal(server_heard(server, NB_EVENT_CLOSED), stats.accepted);
    if (way->sitters == 0)
        assert_int_equal(stats.unserved + stats.forced, 0);
    assert_in_range(load.lost, 0, stats.unserved + stats.forced);
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

    sum->accepted += server_stats(server).accepted;
    sum->after += after;
    sum->after_most = after > sum->after_most ? after : sum->after_most;
    sum->complete += (uint64_t)load.complete;
    sum->longest_ms = took_ms > sum->longest_ms ? took_ms : sum->longest_ms;
}

static void stop_once(const char *endpoint, const struct way *way, struct sum *sum)
{
    struct mode mode = {way->concurrency};
    struct server *server = server_new(endpoint, echo_and_count, &mode);
    struct task tasks[CLIENTS];
    int sitters[2];
    int64_t begin;

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
    begin = ms_since(begin);
    for (size_t i = 0; i < CLIENTS; i++)
        task_join(&tasks[i]);
    for (int i = 0; i < way->sitters; i++)
        assert_int_equal(raw_ending(sitters[i], NULL), is_unix() ? 0 : ECONNRESET);
    hang_up_all();
    check_round(server, way, begin);
    add_up(sum, server, begin);
    server_free(server);
}

static void stop_again_and_again(const char *endpoint, size_t stops)
{
    struct sum sum = {0, 0, 0, 0, 0};

    for (size_t i = 0; i < stops; i++)
        stop_once(endpoint, &ways[i % COUNT(ways)], &sum);
    print_message(
        "# %s: %zu stops, %llu connections; taken after the stop: %llu, at most %llu; %llu "
        "known to be complete before and answered after it; the longest took %lld ms\n",
        endpoint, stops, (unsigned long long)sum.accepted, (unsigned long long)sum.after,
        (unsigned long long)sum.after_most, (unsigned long long)sum.complete,
        (long long)sum.longest_ms);
    assert_true(sum.after > 0);
    assert_true(sum.complete > 0);
}

static void a_stop_takes_who_waited_and_loses_nobody(void **state)
{
    (void)state;
    stop_again_and_again("127.0.0.1:0", rounds(200, 1000));
}

static void a_stop_of_two_sockets_takes_who_waited_and_loses_nobody(void **state)
{
    (void)state;
    stop_again_and_again("localhost:0", rounds(100, 1000));
}

static void a_stop_of_a_unix_socket_takes_who_waited_and_loses_nobody(void **state)
{
    char endpoint[64];

    (void)state;
    (void)snprintf(endpoint, sizeof(endpoint), "unix:/tmp/netbasics-%d", (int)getpid());
    stop_again_and_again(endpoint, rounds(100, 1000));
}

static void a_stop_of_an_abstract_name_takes_who_waited_and_loses_nobody(void **state)
{
    char endpoint[64];

    (void)state;
    (void)snprintf(endpoint, sizeof(endpoint), "unix:@netbasics-%d", (int)getpid());
    stop_again_and_again(endpoint, rounds(100, 1000));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        SOAK_CASE(a_stop_takes_who_waited_and_loses_nobody),
        SOAK_CASE(a_stop_of_two_sockets_takes_who_waited_and_loses_nobody),
        SOAK_CASE(a_stop_of_a_unix_socket_takes_who_waited_and_loses_nobody),
        SOAK_CASE(a_stop_of_an_abstract_name_takes_who_waited_and_loses_nobody),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
