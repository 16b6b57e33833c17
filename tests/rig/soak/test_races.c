/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Races: calls that may meet are made to meet, again and again, a little earlier or later each
 *         time. Meant for the thread sanitizer, and good without it.
 *
 *  Most rounds use Unix sockets, which are fast; every twentieth uses TCP. */
#include "soak.h"

#include <semaphore.h>

#define RIVALS 3
#define NS_PER_US INT64_C(1000)

/* ---- threads that do something at the same time as the case, once in each round ---- */

static struct rival {
    struct task task;
    sem_t go;
    sem_t done;
    void (*run)(void);
} rivals[RIVALS];

static void compete(void *argument)
{
    struct rival *rival = argument;

    for (;;) {
        while (sem_wait(&rival->go) != 0)
            ;
        if (rival->run == NULL)
            return;
        rival->run();
        (void)sem_post(&rival->done);
    }
}

static int begin(void **state)
{
    int failed = soak_case_begin(state);

    for (size_t i = 0; i < RIVALS; i++) {
        (void)sem_init(&rivals[i].go, 0, 0);
        (void)sem_init(&rivals[i].done, 0, 0);
        task_start(&rivals[i].task, compete, &rivals[i]);
    }
    return failed;
}

static void set_off(size_t index, void (*run)(void))
{
    rivals[index].run = run;
    (void)sem_post(&rivals[index].go);
}

static void await(size_t index)
{
    while (sem_wait(&rivals[index].done) != 0)
        ;
}

static int end(void **state)
{
    for (size_t i = 0; i < RIVALS; i++) {
        set_off(i, NULL);
        task_join(&rivals[i].task);
        (void)sem_destroy(&rivals[i].go);
        (void)sem_destroy(&rivals[i].done);
    }
    return net_case_end(state);
}

#define RACE(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* Another moment in each round: at once, or up to 60 us later, when who waits is really waiting. */
static void dither(size_t round)
{
    int64_t until = now_ns() + (int64_t)(round % 13) * 5 * NS_PER_US;

    while (round % 13 != 0 && now_ns() < until)
        ;
}

/* One function, or two at the same time, against another that comes a little later, twice at once. */
static void race(size_t round, void (*first)(void), void (*second)(void), void (*late)(void))
{
    set_off(0, first);
    if (second != NULL)
        set_off(1, second);
    dither(round);
    set_off(2, late);
    late();
    await(0);
    if (second != NULL)
        await(1);
    await(2);
}

static bool is_over_tcp(size_t round)
{
    return round % 20 == 19;
}

static const char *endpoint_of(size_t round)
{
    static char name[64];

    if (is_over_tcp(round))
        return "127.0.0.1:0";
    (void)snprintf(name, sizeof(name), "unix:@netbasics-races-%d", (int)getpid());
    return name;
}

/* ---- the stop ---- */

static nb_listener *listener;
static nb_status accept_statuses[2];
static nb_conn *accepted[2];

static void accept_first(void)
{
    accept_statuses[0] = nb_accept(listener, &accepted[0], nb_forever(), NULL);
}

static void accept_second(void)
{
    accept_statuses[1] = nb_accept(listener, &accepted[1], nb_after_ms(3600000), NULL);
}

static void stop_listener(void)
{
    nb_listener_stop(listener);
}

/* A listener, and in every second round a client that is connected to it. */
static int listen_in(size_t round)
{
    nb_address address;

    assert_status(nb_listen(&listener, endpoint_of(round), NULL, NULL), NB_OK);
    assert_status(nb_listener_address(listener, 0, &address), NB_OK);
    return round % 2 == 0 ? dial(&address) : -1;
}

#define TEST(name) TEST_AS(name, RACE)

TEST(a_stop_races_with_accepts)
{
    size_t taken = 0;
    size_t count = rounds(25000, 250000);

    for (size_t round = 0; round < count; round++) {
        bool client = listen_in(round) >= 0;
        int got = 0;

        race(round, accept_first, accept_second, stop_listener);
        for (size_t i = 0; i < 2; i++) {
            assert_true(accept_statuses[i] == NB_OK || accept_statuses[i] == NB_CANCELLED);
            assert_true((accept_statuses[i] == NB_OK) == (accepted[i] != NULL));
            got += accepted[i] != NULL;
            nb_abort(accepted[i]);
        }
        assert_in_range(got, 0, client);
        taken += (size_t)got;
        nb_listener_close(listener);
        hang_up_all();
    }
    print_message("# %zu stops against two accepts: %zu took a connection before\n", count, taken);
}

static nb_serve_options serve_options;
static nb_status serve_status;

static void serve_listener(void)
{
    serve_status = nb_serve(listener, say_hello, NULL, &serve_options, NULL);
}

TEST(a_stop_races_with_the_start_of_a_server)
{
    size_t count = rounds(15000, 150000);

    serve_options = (nb_serve_options)NB_SERVE_OPTIONS_INIT;
    serve_options.linger_ms = NB_NO_LINGER;
    for (size_t round = 0; round < count; round++) {
        int client = listen_in(round);

        serve_options.concurrency = round % 3 == 0 ? 4 : 1;
        race(round, serve_listener, NULL, stop_listener);
        assert_status(serve_status, NB_OK);
        if (client >= 0)
            assert_int_equal(answer(client, HELLO), 0);
        nb_listener_close(listener);
        hang_up_all();
    }
    print_message("# %zu stops against the start of nb_serve()\n", count);
}

/* ---- cancellation ---- */

static nb_conn *conn;
static nb_status receive_status;
static nb_status send_status;
static size_t receive_kind;

static void receive(void)
{
    char buf[64];
    size_t got;

    if (receive_kind == 0)
        receive_status = nb_recv(conn, buf, sizeof(buf), &got, nb_forever());
    else if (receive_kind == 1)
        receive_status = nb_recv_line(conn, buf, sizeof(buf), &got, nb_after_ms(3600000));
    else
        receive_status = nb_wait_readable(conn, nb_forever());
}

static void send_much(void)
{
    static const char much[1 << 20];

    send_status = nb_send_all(conn, much, sizeof(much), NULL,
                              receive_kind == 0 ? nb_after_ms(3600000) : nb_forever());
}

static void cancel(void)
{
    nb_cancel(conn);
}

TEST(a_cancel_races_with_receives_and_sends)
{
    size_t count = rounds(40000, 400000);

    for (size_t round = 0; round < count; round++) {
        int peer;

        conn = conn_and_peer(is_over_tcp(round) ? OVER_IPV4 : OVER_UNIX, &peer);
        raw_shrink(nb_conn_fd(conn));
        raw_shrink(peer);
        receive_kind = round % 3;
        race(round, receive, send_much, cancel);
        assert_status(receive_status, NB_CANCELLED);
        assert_status(send_status, NB_CANCELLED);
        if (round % 2 == 0)
            nb_abort(conn);
        else
            assert_status(nb_close(conn, nb_forever()), NB_CANCELLED);
        if (is_over_tcp(round))
            assert_int_equal(raw_ending(peer, NULL), ECONNRESET);
        raw_close(peer);
    }
    print_message("# %zu cancellations against a receive, a send and another cancellation\n",
                  count);
}

/* ---- the end of a connection's life against the handler's own end of it ---- */

static atomic_int lives;
static atomic_int cut_off; /* before the handler came to it */

static atomic_int broken; /* handed out although they were cut off */

static void let_go(nb_conn *going)
{
    nb_fd fd;
    char byte;

    if (nb_conn_detach(going, &fd, NULL, 0, NULL) != NB_OK)
        return;
    broken += recv(fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN;
    (void)close(fd);
}

/* Its life is a millisecond; it ends it itself at about the same time. */
static nb_status end_it_then(nb_conn *ending, void *unused)
{
    int life = lives++;
    nb_deadline then = {now_ns() + 1000 * NS_PER_US + ((int64_t)life % 31 - 10) * 10 * NS_PER_US};

    (void)unused;
    cut_off += nb_wait_readable(ending, then) == NB_CANCELLED;
    if (life % 4 == 0)
        (void)nb_close(ending, nb_after_ms(0));
    else if (life % 4 == 1)
        nb_abort(ending);
    else if (life % 4 == 2)
        let_go(ending);
    return NB_OK;
}

/* What the clients share; they may not assert. */
static struct {
    nb_address address;
    atomic_int left;
    atomic_int failed;
} visits;

static void visit(void *unused)
{
    (void)unused;
    while (visits.left-- > 0) {
        int fd = dial_quietly(&visits.address);

        visits.failed += fd < 0 || answer(fd, "") == EAGAIN;
        if (fd >= 0)
            close(fd);
    }
}

static void end_lives(size_t count, size_t round)
{
    struct mode eight = {8};
    struct server *server = server_new(endpoint_of(round), end_it_then, &eight);
    struct task tasks[8];

    visits.address = server->address;
    visits.left = (int)count;
    server->options.connection_ms = 1;
    server->options.linger_ms = NB_NO_LINGER;
    server_run(server);
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_start(&tasks[i], visit, NULL);
    while (visits.left > 0) /* the alarm bounds it */
        a_moment();
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_join(&tasks[i]);
    assert_status(server_stop(server), NB_OK);
    assert_int_equal(visits.failed, 0);
    assert_int_equal(server_counters(server).accepted, count);
    server_free(server);
}

TEST_AS(connection_ms_races_with_the_return_of_the_handler, SOAK_CASE)
{
    size_t count = rounds(20000, 200000);

    lives = visits.failed = cut_off = broken = 0;
    end_lives(count / 20, 19);
    end_lives(count - count / 20, 0);
    print_message("# %zu lives that ended as their handlers ended them: %d were cut off before\n",
                  count, (int)cut_off);
    assert_in_range(cut_off, 1, count - 1);
    assert_int_equal(broken, 0);
}
