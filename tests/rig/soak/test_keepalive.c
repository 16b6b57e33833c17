/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Stops of a keep-alive server: clients that are idle and clients that are busy, none of whom may
 *         lose anything or hold the stop up. */
#include "soak.h"

#define IDLE 50
#define BUSY 40
#define DRAIN_MS 60000
#define STOP_MS_MAX 10000

#define REQUEST "request\n"
#define REPLY "go on\n"
#define LAST_REPLY "the last\n"

/* Answers each request, and says when an answer is the last one. */
static nb_status serve_requests(nb_conn *conn, void *listener)
{
    nb_status status = NB_OK;
    bool last = false;

    while (status == NB_OK && !last) {
        const char *reply;
        char line[32];

        nb_conn_idle(conn);
        status = nb_recv_line(conn, line, sizeof(line), NULL, nb_forever());
        last = nb_listener_stopping(listener);
        reply = last ? LAST_REPLY : REPLY;
        if (status == NB_OK)
            status = nb_send_all(conn, reply, strlen(reply), NULL, nb_forever());
    }
    return status;
}

static struct {
    nb_address address;
    atomic_int ready; /* clients that have spoken */
    atomic_int asked;
    atomic_int lost;  /* requests without a reply */
    atomic_int reset; /* connections that did not end in order */
} clients;

/* A client has so long for its next request, less what this machine may take from it; counted from the
   request before, as nobody knows when the reply to that came. */
#define NEXT_REQUEST_MS 64

/* Asks once, after having asked at some time: whether there may be another request. */
static bool ask(int fd, int64_t *asked_at)
{
    char reply[32];
    int64_t before = now_ns();
    ssize_t sent = send(fd, REQUEST, strlen(REQUEST), MSG_NOSIGNAL);
    bool in_time = ms_since(*asked_at) < NEXT_REQUEST_MS;
    ssize_t got = sent > 0 ? recv(fd, reply, sizeof(reply), 0) : -1;

    *asked_at = before;
    clients.asked++;
    clients.lost += got <= 0 && in_time;
    return got == (ssize_t)strlen(REPLY) && memcmp(reply, REPLY, strlen(REPLY)) == 0;
}

/* Waits for the end, and ends too. */
static void end(int fd)
{
    clients.reset += answer(fd, "") != 0;
    close(fd);
}

static void be_idle(void *unused)
{
    int64_t asked_at = now_ns();
    int fd = dial_quietly(&clients.address);

    (void)unused;
    clients.lost += !ask(fd, &asked_at);
    clients.ready++;
    end(fd);
}

static void be_busy(void *unused)
{
    int64_t asked_at = now_ns();
    int fd = dial_quietly(&clients.address);
    bool more = ask(fd, &asked_at);

    (void)unused;
    clients.ready++;
    while (more)
        more = ask(fd, &asked_at);
    end(fd);
}

#define TEST(name) TEST_AS(name, SOAK_CASE)

TEST(a_stop_gives_idle_and_busy_clients_an_orderly_close)
{
    size_t count = rounds(10, 500);
    int64_t longest = 0;

    for (size_t round = 0; round < count; round++) {
        struct mode crowd = {IDLE + BUSY};
        struct server *server = server_new("127.0.0.1:0", serve_requests, &crowd);
        struct task tasks[IDLE + BUSY];
        int64_t stopped_at;

        memset(&clients, 0, sizeof(clients));
        clients.address = server->address;
        server->context = server->listener;
        server->options.drain_ms = DRAIN_MS;
        server_run(server);
        for (int i = 0; i < IDLE + BUSY; i++)
            task_start(&tasks[i], i < IDLE ? be_idle : be_busy, NULL);
        eventually(clients.ready == IDLE + BUSY);
        stopped_at = now_ns();
        assert_status(server_stop(server), NB_OK);
        if (ms_since(stopped_at) > longest)
            longest = ms_since(stopped_at);
        for (int i = 0; i < IDLE + BUSY; i++)
            task_join(&tasks[i]);
        assert_int_equal(clients.lost, 0);
        assert_int_equal(clients.reset, 0);
        assert_int_equal(server_counters(server).forced, 0);
        assert_int_equal(server_counters(server).unserved, 0);
        server_free(server);
    }
    printf("# %zu stops with %d idle and %d busy clients: the longest took %d ms\n", count, IDLE,
           BUSY, (int)longest);
    assert_in_range(longest, 0, STOP_MS_MAX * slowness());
}

TEST_GROUP(move_to_wide_network, NULL)
