/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Ten thousand failures of each kind, which leave memory and descriptors as they were. */
#include "soak.h"

#include <sys/un.h>

#define WARM_UP ((size_t)100)

static bool listen_fails;

/* A port that turns out busy only at listen(2) takes a race, which here is always lost. */
static int own_listen(int fd, int backlog)
{
    return listen_fails ? -EADDRINUSE : real.listen(fd, backlog);
}

REPLACE(listen, own_listen)

struct failing {
    const char *endpoint;
    nb_status status;
};

/* Does it to each in turn, so many times in all. */
static void fail_often(void (*attempt)(const struct failing *), const struct failing *list,
                       size_t kinds, const char *what)
{
    size_t count = rounds(10000, 100000);
    struct usage before;

    for (size_t i = 0; i < WARM_UP; i++)
        attempt(&list[i % kinds]);
    before = usage_now();
    for (size_t i = 0; i < count; i++)
        attempt(&list[i % kinds]);
    assert_no_growth(&before, count, what);
}

static void fail_to_listen(const struct failing *failing)
{
    nb_listener *listener;
    nb_error err;

    assert_status(nb_listen(&listener, failing->endpoint, NULL, &err), failing->status);
    assert_null(listener);
    assert_status(err.status, failing->status);
}

#define TEST(name) TEST_AS(name, SOAK_CASE)

TEST(failed_binds_leak_nothing)
{
    nb_address taken;
    nb_address taken_ipv6;

    (void)bare_listener("127.0.0.1:0", 16, &taken);
    (void)bare_listener("[::1]:0", 16, &taken_ipv6);
    {
        const struct failing list[] = {
            {host_at("127.0.0.1", &taken), NB_ADDRESS_IN_USE},
            {host_at("[::1]", &taken_ipv6), NB_ADDRESS_IN_USE},
            {host_at("localhost", &taken), NB_ADDRESS_IN_USE},
            {"192.0.2.1:0", NB_ADDRESS_UNAVAILABLE},
            {"unix:/nowhere/at/all", NB_ADDRESS_UNAVAILABLE},
        };

        fail_often(fail_to_listen, list, COUNT(list), "binds failed");
    }
}

TEST(failed_listens_leak_nothing)
{
    static const struct failing list[] = {
        {"127.0.0.1:0", NB_ADDRESS_IN_USE},
        {"[::1]:0", NB_ADDRESS_IN_USE},
        {"localhost:0", NB_ADDRESS_IN_USE},
        {"*:0", NB_ADDRESS_IN_USE},
        {"unix:@netbasics-test-failures", NB_ADDRESS_IN_USE},
    };

    listen_fails = true;
    fail_often(fail_to_listen, list, COUNT(list), "listens failed");
    listen_fails = false;
}

static void fail_to_connect(const struct failing *failing)
{
    nb_conn *conn;
    nb_error err;

    assert_status(nb_connect(&conn, failing->endpoint, NULL, plenty(), &err), failing->status);
    assert_null(conn);
    assert_status(err.status, failing->status);
}

TEST(failed_connects_leak_nothing)
{
    nb_address dead;
    nb_address dead_ipv6;

    (void)dead_port("127.0.0.1:0", &dead);
    (void)dead_port("[::1]:0", &dead_ipv6);
    {
        const struct failing list[] = {
            {host_at("127.0.0.1", &dead), NB_REFUSED},
            {host_at("[::1]", &dead_ipv6), NB_REFUSED},
            {"unix:@netbasics-test-nobody", NB_REFUSED},
            {"127.0.0.1:65536", NB_BAD_ENDPOINT},
        };

        fail_often(fail_to_connect, list, COUNT(list), "connects failed");
    }
}

/* In a network of its own, where no resolver can be reached, each lookup fails in no time. */
static void fail_to_look_up(const struct failing *failing)
{
    nb_conn *conn;
    nb_status status = nb_connect(&conn, failing->endpoint, NULL, plenty(), NULL);

    if (status != NB_NAME_TEMPORARY)
        assert_status(status, failing->status);
    assert_null(conn);
}

TEST(failed_lookups_leak_nothing)
{
    static const struct failing list[] = {{"nowhere.invalid:80", NB_NAME_NOT_FOUND}};

    if (!has_own_network())
        skip_because("a network of its own is not allowed here (not root)");
    fail_often(fail_to_look_up, list, COUNT(list), "lookups failed");
}

static void fail_to_accept(const struct failing *failing)
{
    nb_conn *conn;

    assert_status(nb_accept(the_listener, &conn, past(), NULL), failing->status);
    assert_null(conn);
}

static void fail_to_add(const struct failing *failing)
{
    assert_status(nb_listener_add(the_listener, failing->endpoint, NULL, NULL), failing->status);
    assert_int_equal(nb_listener_count(the_listener), 1);
}

TEST(a_listener_survives_failed_accepts_and_adds)
{
    static const struct failing accepts[] = {{NULL, NB_TIMEOUT}};
    nb_address address;
    nb_conn *client;

    assert_status(nb_listen(&the_listener, "127.0.0.1:0", NULL, NULL), NB_OK);
    assert_status(nb_listener_address(the_listener, 0, &address), NB_OK);
    {
        const struct failing adds[] = {{host_at("127.0.0.1", &address), NB_ADDRESS_IN_USE},
                                       {"192.0.2.1:0", NB_ADDRESS_UNAVAILABLE},
                                       {"example.org:80", NB_BAD_ENDPOINT}};

        fail_often(fail_to_accept, accepts, COUNT(accepts), "accepts timed out");
        fail_often(fail_to_add, adds, COUNT(adds), "endpoints not added");
    }
    assert_status(nb_connect(&client, host_at("127.0.0.1", &address), NULL, plenty(), NULL), NB_OK);
    nb_abort(accept_next());
    nb_abort(client);
}

TEST_GROUP(move_to_wide_network, NULL)
