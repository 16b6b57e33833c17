/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The limit of connections of one peer, under load from many peers. */
#include "net/address_internal.h"
#include "soak.h"

#define PEERS 8
#define CLIENTS_OF_EACH 4
#define LIMIT 3
#define LINE "a line\n"

/* Peers at 127.0.0.2 and so on. All but the last have more clients than the limit allows; the client of the
   last one comes back as soon as it was served. */
static struct peer {
    nb_address address;
    atomic_int left;
    atomic_int served; /* as its clients tell */
    atomic_int refused;
    atomic_int other;
    atomic_int running; /* handlers */
    atomic_int most;    /* of these at once */
} peers[PEERS + 1];

static nb_address server_address;

/* 0 when it was served, ECONNRESET when it was refused. (The system tells of a reset once, to whichever
   call comes first.) */
static int converse(int fd)
{
    if (send(fd, LINE, strlen(LINE), MSG_NOSIGNAL) < 0)
        return ECONNRESET;
    (void)shutdown(fd, SHUT_WR);
    return answer(fd, LINE);
}

static void visit(void *argument)
{
    struct peer *peer = argument;

    while (peer->left-- > 0) {
        int fd = dial_quietly_from(&peer->address, &server_address);
        int ending = fd < 0 ? -fd : converse(fd);

        if (fd >= 0)
            close(fd);
        peer->served += ending == 0;
        peer->refused += ending == ECONNRESET;
        peer->other += ending != 0 && ending != ECONNRESET;
    }
}

static struct peer *peer_of(const nb_conn *conn)
{
    nb_address address;
    size_t i = 0;

    nb_conn_peer(conn, &address);
    while (i < PEERS && !nb__address_same_peer(&peers[i].address, &address))
        i++;
    return &peers[i];
}

static nb_status echo_and_count(nb_conn *conn, void *unused)
{
    struct peer *peer = peer_of(conn);
    int now = ++peer->running;
    int most = peer->most;

    while (now > most && !atomic_compare_exchange_weak(&peer->most, &most, now))
        ;
    a_moment();
    echo(conn, unused);
    peer->running--;
    return NB_OK;
}

static void begin_peers(int visits)
{
    memset(peers, 0, sizeof(peers));
    for (size_t i = 0; i <= PEERS; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "127.0.0.%zu:0", i + 2);
        peers[i].address = address_of(text);
        peers[i].left = visits;
    }
}

/* Whoever was served got all of it, whoever was not was reset and counted. */
static void check_peers(const struct server *server, int visits)
{
    nb_serve_counters counters = server_counters(server);
    uint64_t served = 0;
    uint64_t refused = 0;

    for (size_t i = 0; i <= PEERS; i++) {
        served += (uint64_t)peers[i].served;
        refused += (uint64_t)peers[i].refused;
        assert_int_equal(peers[i].other, 0);
        assert_in_range(peers[i].most, 1, LIMIT);
    }
    print_message("# %llu served, %llu refused\n", (unsigned long long)served,
                  (unsigned long long)refused);
    assert_int_equal(counters.accepted, served);
    assert_int_equal(counters.refused, refused);
    assert_true(refused > 0);
    assert_int_equal(peers[PEERS].served, visits);
}

#define TEST(name) TEST_AS(name, SOAK_CASE)

TEST(many_peers_keep_to_max_per_peer_and_do_not_affect_each_other)
{
    const int visits = (int)rounds(1000, 7000);
    struct mode many = {2 * PEERS * CLIENTS_OF_EACH};
    struct server *server = server_new("127.0.0.1:0", echo_and_count, &many);
    struct task tasks[PEERS * CLIENTS_OF_EACH + 1];

    begin_peers(visits);
    server_address = server->address;
    server->options.max_per_peer = LIMIT;
    server_run(server);
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_start(&tasks[i], visit, &peers[i / CLIENTS_OF_EACH]);
    for (size_t i = 0; i <= PEERS; i++) {
        while (peers[i].left > 0) /* the alarm bounds it */
            a_moment();
    }
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_join(&tasks[i]);
    assert_status(server_stop(server), NB_OK);
    check_peers(server, visits);
}
