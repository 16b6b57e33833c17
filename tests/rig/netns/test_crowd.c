/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief More clients than may linger, over a long way: what they are sent reaches them whole, whoever
 *         else crowds in.
 *
 *  The options are the defaults but for the time of the drain. */
#include "shuttle.h"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define ROUND_TRIP_MS 100
#define BATCH 256

#define SHORT_REPLY ((size_t)32 << 10)
#define LONG_REPLY ((size_t)1 << 20)

static nb_status send_short_reply(nb_conn *conn, void *unused)
{
    size_t sent;

    (void)unused;
    return send_pattern(conn, SHORT_REPLY, &sent, plenty());
}

static atomic_int coming;

static nb_status send_the_first_a_long_reply(nb_conn *conn, void *unused)
{
    size_t sent;

    (void)unused;
    return send_pattern(conn, coming++ == 0 ? LONG_REPLY : SHORT_REPLY, &sent, plenty());
}

static struct server *serve_by_default(nb_handler *handler)
{
    struct server *server = server_there(FAR_IPV4, handler, NULL, NULL);

    server->options.concurrency = 0;
    server->options.linger_ms = 0;
    server_run(server);
    return server;
}

/* Both ends of all connections are this process's. */
static void raise_limit_of_descriptors(void)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 4096) {
        limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
}

/* --- Honest clients: each fetches the reply, ends, and comes again. --- */

struct client {
    int fd;
    size_t received;
};

struct crowd {
    int epoll;
    struct sockaddr_in server;
    size_t fetching; /* clients that wait for a reply */
    size_t whole;
    size_t cut; /* an end before that of the reply, or another byte than was sent */
    size_t broken;
    size_t unfinished;
};

static bool come(struct crowd *crowd, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    client->received = 0;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        return false;
    (void)connect(client->fd, (struct sockaddr *)&crowd->server, sizeof(crowd->server));
    crowd->fetching++;
    return epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, client->fd, &event) == 0;
}

/* The outcome of a fetch, 0 while there is none. */
static size_t *hear(struct crowd *crowd, struct client *client)
{
    unsigned char piece[65536];

    for (;;) {
        ssize_t length = recv(client->fd, piece, sizeof(piece), 0);

        if (length < 0)
            return errno == EAGAIN ? NULL : &crowd->broken;
        if (length == 0)
            return client->received == SHORT_REPLY ? &crowd->whole : &crowd->cut;
        if (!pattern_holds(piece, (size_t)length, client->received))
            return &crowd->cut;
        client->received += (size_t)length;
    }
}

static void leave(struct crowd *crowd, struct client *client)
{
    close(client->fd);
    client->fd = -1;
    crowd->fetching--;
}

/* Goes on with those that have something to read. */
static void attend(struct crowd *crowd, bool again)
{
    struct epoll_event events[BATCH];
    int ready = epoll_wait(crowd->epoll, events, BATCH, 100);

    for (int i = 0; i < ready; i++) {
        struct client *client = events[i].data.ptr;
        size_t *outcome = hear(crowd, client);

        if (outcome == NULL)
            continue;
        (*outcome)++;
        leave(crowd, client);
        if (again)
            assert_true(come(crowd, client));
    }
}

static void crowd_in(struct crowd *crowd, struct client *clients, size_t count, int64_t ms)
{
    nb_deadline enough = nb_after_ms(ms);
    nb_deadline until = nb_after_ms(ms + 20000);

    for (size_t i = 0; i < count; i++)
        assert_true(come(crowd, &clients[i]));
    while (!nb_expired(enough))
        attend(crowd, true);
    while (crowd->fetching > 0 && !nb_expired(until))
        attend(crowd, false);
    crowd->unfinished = crowd->fetching;
    for (size_t i = 0; i < count; i++) {
        if (clients[i].fd >= 0)
            leave(crowd, &clients[i]);
    }
}

static struct crowd crowd_new(const struct server *server)
{
    struct crowd crowd = {.fetching = 0};

    crowd.server.sin_family = AF_INET;
    crowd.server.sin_port = htons(nb_address_port(&server->address));
    crowd.server.sin_addr.s_addr = inet_addr(FAR_IPV4);
    crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_true(crowd.epoll >= 0);
    return crowd;
}

#define TEST(name) TEST_AS(name, SHUTTLE_CASE)

TEST(more_clients_than_linger_max_each_get_the_whole_reply)
{
    static struct client clients[800];
    struct server *server;
    struct crowd crowd;
    size_t carried;
    size_t overtook;

    need_shuttle(.delay_ms = ROUND_TRIP_MS / 2);
    raise_limit_of_descriptors();
    server = serve_by_default(send_short_reply);
    crowd = crowd_new(server);
    crowd_in(&crowd, clients, COUNT(clients), 5000);
    close(crowd.epoll);
    shuttle_counts(&carried, &overtook);
    print_message(
        "# %zu replies whole, %zu cut short, %zu broken off, %zu unfinished, %zu packets\n",
        crowd.whole, crowd.cut, crowd.broken, crowd.unfinished, carried);
    print_message("# at most %d handlers at once\n", (int)server_counters(server).peak);
    assert_int_equal(crowd.cut, 0);
    assert_int_equal(crowd.broken, 0);
    assert_true(crowd.whole >= COUNT(clients));
}

/* --- One who comes with more connections than may linger, and ends none of them. --- */

#define STRANGERS 300

/* Reads, little by little, until the handler has sent all and returned: how many bytes. */
static size_t read_until_it_lingers(int fd, const struct server *server)
{
    unsigned char piece[4096];
    nb_deadline until = plenty();
    size_t received = 0;

    while (server_counters(server).lingering == 0 && !nb_expired(until)) {
        ssize_t length = recv(fd, piece, sizeof(piece), 0);

        if (length <= 0 || !pattern_holds(piece, (size_t)length, received))
            break;
        received += (size_t)length;
    }
    return received;
}

static size_t read_to_end(int fd, size_t received, int *error)
{
    unsigned char piece[65536];
    ssize_t length;

    while ((length = recv(fd, piece, sizeof(piece), 0)) > 0 &&
           pattern_holds(piece, (size_t)length, received))
        received += (size_t)length;
    *error = length < 0 ? errno : 0;
    return received;
}

static bool is_delivered(struct server *server, size_t reply)
{
    nb_event event;

    for (int i = 0; i < server_heard(server, NB_EVENT_CLOSED); i++) {
        event = server_event(server, NB_EVENT_CLOSED, i);
        if (event.sent == reply)
            return event.delivered;
    }
    return true;
}

TEST(one_peer_with_300_connections_does_not_harm_a_slow_reader)
{
    static struct client strangers[STRANGERS];
    struct server *server;
    struct crowd crowd;
    size_t before;
    size_t received;
    int reader;
    int error;

    need_shuttle(.delay_ms = ROUND_TRIP_MS / 2);
    raise_limit_of_descriptors();
    coming = 0;
    server = serve_by_default(send_the_first_a_long_reply);
    reader = dial(&server->address);
    before = read_until_it_lingers(reader, server);
    assert_int_equal(server_counters(server).lingering, 1);
    print_message("# %zu bytes read when the handler had returned\n", before);
    assert_true(before < LONG_REPLY - ((size_t)64 << 10));
    crowd = crowd_new(server);
    for (size_t i = 0; i < COUNT(strangers); i++)
        assert_true(come(&crowd, &strangers[i]));
    eventually(server_heard(server, NB_EVENT_CLOSED) == STRANGERS + 1 - 256);
    assert_false(is_delivered(server, LONG_REPLY));
    received = read_to_end(reader, before, &error);
    for (size_t i = 0; i < COUNT(strangers); i++)
        leave(&crowd, &strangers[i]);
    close(crowd.epoll);
    print_message("# %zu bytes read, then %s\n", received,
                  error == 0 ? "the end" : strerror(error));
    assert_int_equal(error, 0);
    assert_int_equal(received, LONG_REPLY);
}

TEST_GROUP(hosts_begin, hosts_end)
