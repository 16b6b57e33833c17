/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A great many connections, one after the other, with few descriptors: memory and descriptors
 *         stay what they were. */
#include "soak.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define DESCRIPTORS_MAX 20
#define WARM_UP ((size_t)2000)
#define SAID ((size_t)16)

static struct rlimit old_limit;

static int few_descriptors_begin(void **state)
{
    struct rlimit few;

    if (soak_case_begin(state) != 0 || getrlimit(RLIMIT_NOFILE, &old_limit) != 0)
        return -1;
    few = old_limit;
    few.rlim_cur = DESCRIPTORS_MAX;
    return setrlimit(RLIMIT_NOFILE, &few);
}

static int few_descriptors_end(void **state)
{
    if (setrlimit(RLIMIT_NOFILE, &old_limit) != 0)
        return -1;
    return net_case_end(state);
}
#define FEW_DESCRIPTORS_CASE(name)                                                                 \
    cmocka_unit_test_setup_teardown(name, few_descriptors_begin, few_descriptors_end)

/* The ways in which a client ends a connection, in turn. */
static void end(nb_conn *conn, size_t number)
{
    size_t rest;

    switch (number % 4) {
    case 0:
        assert_status(nb_close(conn, plenty()), NB_OK);
        break;
    case 1:
        assert_status(nb_shutdown_send(conn), NB_OK);
        assert_status(nb_recv_to_end(conn, NULL, 0, &rest, plenty()), NB_OK);
        assert_status(nb_close(conn, plenty()), NB_OK);
        break;
    case 2:
        nb_cancel(conn);
        assert_status(nb_close(conn, plenty()), NB_CANCELLED);
        break;
    default:
        nb_abort(conn);
        break;
    }
}

static nb_conn *connect_with_patience(const char *endpoint)
{
    nb_deadline by = plenty();
    nb_status status;
    nb_conn *conn;
    nb_error err;

    /* The server may not have closed the last ones yet. */
    while ((status = nb_connect(&conn, endpoint, NULL, by, &err)) == NB_NO_DESCRIPTORS &&
           !nb_expired(by))
        a_moment();
    if (status != NB_OK)
        fail_msg("%s", err.message);
    return conn;
}

static void visit(const char *endpoint, size_t number)
{
    nb_conn *conn = connect_with_patience(endpoint);
    unsigned char said[SAID];
    size_t received;

    pattern_fill(said, SAID, number);
    assert_status(nb_send_all(conn, said, SAID, NULL, plenty()), NB_OK);
    assert_status(nb_recv_exact(conn, said, SAID, &received, plenty()), NB_OK);
    assert_true(pattern_holds(said, SAID, number));
    end(conn, number);
}

#define UNIX_NAME "unix:@netbasics-test-many"

/* Over IPv4 at several addresses in turn, so that no pair of ports is used too often. */
static const char *endpoint_of(const struct server *server, size_t number)
{
    char host[32] = "[::1]";

    if (nb_address_family(&server->address) == NB_FAMILY_UNIX)
        return UNIX_NAME;
    if (nb_address_family(&server->address) == NB_FAMILY_IPV4)
        (void)snprintf(host, sizeof(host), "127.0.0.%d", (int)(1 + number % 50));
    return host_at(host, &server->address);
}

static void visit_often(const struct server *server, const char *host, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        visit(host != NULL ? host_at(host, &server->address) : endpoint_of(server, i), i);
    eventually(server_counters(server).active == 0 && server_counters(server).lingering == 0);
}

static struct server *frugal_server(const char *listen_at)
{
    static const struct mode few = {4};
    struct server *server = server_new(listen_at, echo, &few);

    memset(server->events, 0, sizeof(server->events)); /* which fill page by page otherwise */
    server->options.linger_max = 4;
    server_run(server);
    return server;
}

/* The host is NULL where that of the endpoint is meant. */
static void serve_many(const char *listen_at, const char *host, size_t count, const char *what)
{
    struct server *server = frugal_server(listen_at);
    struct usage before;

    visit_often(server, host, 0, WARM_UP);
    before = usage_now();
    visit_often(server, host, WARM_UP, count);
    assert_no_growth(&before, count, what);
    assert_true(server_counters(server).accepted >= WARM_UP + count);
    assert_status(server_stop(server), NB_OK);
}

#define TEST(name) TEST_AS(name, FEW_DESCRIPTORS_CASE)

TEST(a_server_with_twenty_descriptors_serves_many_connections)
{
    serve_many("0.0.0.0:0", NULL, rounds(100000, 1000000), "connections served over IPv4");
}

TEST(many_connections_over_ipv6_leak_nothing)
{
    serve_many("[::1]:0", NULL, rounds(20000, 300000), "connections served over IPv6");
}

TEST(many_connections_over_unix_sockets_leak_nothing)
{
    serve_many(UNIX_NAME, NULL, rounds(20000, 300000), "connections served over Unix sockets");
}

TEST(many_connections_accepted_one_by_one_leak_nothing)
{
    size_t count = rounds(20000, 300000);
    nb_listener *listener;
    struct usage before = usage_now();
    nb_address address;

    assert_status(nb_listen(&listener, "127.0.0.1:0", NULL, NULL), NB_OK);
    assert_status(nb_listener_address(listener, 0, &address), NB_OK);
    for (size_t i = 0; i < WARM_UP + count; i++) {
        nb_conn *client;
        nb_conn *conn;
        char line[16];

        if (i == WARM_UP)
            before = usage_now();
        client = connect_with_patience(host_at("127.0.0.1", &address));
        assert_status(nb_accept(listener, &conn, plenty(), NULL), NB_OK);
        assert_status(nb_send_all(client, "hello\n", 6, NULL, plenty()), NB_OK);
        assert_status(nb_recv_line(conn, line, sizeof(line), NULL, plenty()), NB_OK);
        assert_string_equal(line, "hello");
        nb_abort(i % 2 == 0 ? client : conn);
        nb_abort(i % 2 == 0 ? conn : client);
    }
    assert_no_growth(&before, count, "connections accepted");
    nb_listener_close(listener);
}

/* A hosts file of our own, which this process alone sees. False where that is not allowed. */
static bool set_hosts(const char *text)
{
    char path[] = "/tmp/netbasics-test-many-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    bool done;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, 0644), 0);
    raw_close(fd);
    done = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(path, "/etc/hosts", NULL, MS_BIND, NULL) == 0;
    assert_int_equal(unlink(path), 0);
    return done;
}

TEST(many_connections_by_host_name_leak_nothing)
{
    if (!set_hosts("127.0.0.1 many.test\n"))
        skip_because("a mount namespace of its own is not allowed here (not root)");
    serve_many("127.0.0.1:0", "many.test", rounds(10000, 300000),
               "names looked up, and connections made");
}

TEST_GROUP(move_to_wide_network, NULL)
