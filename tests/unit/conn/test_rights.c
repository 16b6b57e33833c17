/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of what becomes of descriptors that the peer of a Unix socket sends: closing one can take as
 *         long as the peer likes. */
#include "servers.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* since Linux 6.16 */
#endif

/* Much longer than anything here takes. */
#define LINGER_S 60

/* Older systems take all that a peer sends: SECURITY.md says what that means. */
static void need_refusal(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){0}, sizeof(int));

    raw_close(fd);
    if (failed != 0)
        skip_because("this system has no SO_PASSRIGHTS");
}

/* Sends a byte and a descriptor: 0, or the errno. */
static int send_with(int fd, int passed)
{
    char byte = 'x';
    struct iovec part = {&byte, 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message;

    memset(&message, 0, sizeof(message));
    memset(&control, 0, sizeof(control));
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof(control.room);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
    return sendmsg(fd, &message, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

/* A socket whose last close(2) takes a minute: its peer takes no more of what it has sent. */
static int lingering_socket(int *silent)
{
    struct linger lingering = {1, LINGER_S};
    int fds[2];

    raw_pair(OVER_IPV4, fds);
    raw_shrink(fds[0]);
    raw_shrink(fds[1]);
    (void)raw_fill(fds[0]);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &lingering, sizeof(lingering)), 0);
    *silent = fds[1];
    return fds[0];
}

/* A peer sends such a socket, and keeps no copy of it: whether it got away with that. */
static bool burden(int peer)
{
    struct linger off = {0, 0};
    int silent;
    int fd = lingering_socket(&silent);
    int failed = send_with(peer, fd);

    if (failed != 0) {
        assert_int_equal(failed, EPERM);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off)), 0);
    }
    raw_close(fd);
    raw_close(silent);
    return failed == 0;
}

static bool is_refused(int peer)
{
    int failed = send_with(peer, STDERR_FILENO);

    assert_true(failed == 0 || failed == EPERM);
    return failed != 0;
}

static char endpoint[64];

static int rights_case_begin(void **state)
{
    (void)snprintf(endpoint, sizeof(endpoint), "unix:@nb-rights-%d", (int)getpid());
    return net_case_begin(state);
}

#undef NET_CASE
#define NET_CASE(name) cmocka_unit_test_setup_teardown(name, rights_case_begin, net_case_end)

/* A client of the library's server that has not been accepted yet. */
static int client_of(const char *where)
{
    nb_address address;

    assert_status(nb_listen(&the_listener, where, NULL, NULL), NB_OK);
    assert_status(nb_listener_address(the_listener, 0, &address), NB_OK);
    return dial(&address);
}

#define TEST(name) TEST_AS(name, NET_CASE)

TEST(a_server_accepts_no_passed_descriptors)
{
    char buf[8];
    size_t length;
    nb_conn *conn;
    int client;

    need_refusal();
    client = client_of(endpoint);
    assert_true(is_refused(client)); /* not even before it is accepted */
    conn = accept_next();
    assert_true(is_refused(client));
    say(client, "plain", 5);
    assert_status(nb_recv(conn, buf, sizeof(buf), &length, plenty()), NB_OK);
    assert_bytes(buf, length, "plain");
    nb_abort(conn);
}

TEST(a_client_accepts_no_passed_descriptors)
{
    char text[NB_ADDRESS_TEXT_MAX];
    nb_address address;
    nb_conn *conn;
    int listener, peer;

    need_refusal();
    listener = bare_listener(endpoint, 4, &address);
    assert_status(
        nb_connect(&conn, nb_address_format(&address, text, sizeof(text)), NULL, plenty(), NULL),
        NB_OK);
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(is_refused(peer));
    nb_abort(conn);
    raw_close(peer);
    raw_close(listener);
}

/* Others who accept from a shared socket may want them. */
TEST(an_inherited_socket_refuses_passed_descriptors_only_after_accept)
{
    char where[32];
    nb_address address;
    nb_conn *conn;
    int listener, another, client;

    need_refusal();
    listener = bare_listener(endpoint, 4, &address);
    another = fcntl(listener, F_DUPFD_CLOEXEC, 0);
    (void)snprintf(where, sizeof(where), "fd:%d", listener);
    client = client_of(where);
    assert_false(is_refused(client)); /* whoever accepts it */
    conn = accept_next();
    assert_true(is_refused(client));
    nb_abort(conn);
    raw_close(another);
}

TEST(an_adopted_socket_still_accepts_passed_descriptors)
{
    int fds[2];
    nb_conn *conn;

    need_refusal();
    raw_pair(OVER_UNIX, fds);
    conn = adopt(fds[0]);
    assert_false(is_refused(fds[1]));
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_PASSRIGHTS, &(int){0}, sizeof(int)), 0);
    assert_true(is_refused(fds[1]));
    assert_status(nb_conn_detach(conn, &fds[0], NULL, 0, NULL), NB_OK);
    assert_true(is_refused(fds[1])); /* as it came */
    raw_close(fds[0]);
    raw_close(fds[1]);
}

TEST(a_detached_socket_accepts_passed_descriptors_again)
{
    nb_conn *conn;
    int client, fd;

    need_refusal();
    client = client_of(endpoint);
    conn = accept_next();
    assert_true(is_refused(client));
    assert_status(nb_conn_detach(conn, &fd, NULL, 0, NULL), NB_OK);
    assert_false(is_refused(client));
    raw_close(fd);
}

static void receive_in_time(nb_conn *conn)
{
    char buf[8];
    size_t length;

    assert_status(nb_recv(conn, buf, sizeof(buf), &length, nb_after_ms(100)), NB_TIMEOUT);
    nb_abort(conn);
}

static void abort_at_once(nb_conn *conn)
{
    nb_abort(conn);
}

static void close_in_time(nb_conn *conn)
{
    assert_status(nb_close(conn, nb_after_ms(100)), NB_TIMEOUT);
}

TEST(a_passed_descriptor_that_is_slow_to_close_delays_nobody)
{
    static void (*const ends[])(nb_conn *) = {receive_in_time, abort_at_once, close_in_time};

    need_refusal();
    for (size_t i = 0; i < COUNT(ends); i++) {
        int client = client_of(endpoint);
        nb_conn *conn = accept_next();
        int64_t begin = now_ns();

        (void)burden(client);
        ends[i](conn);
        assert_true(now_ns() - begin < LINGER_S * INT64_C(500000000));
        nb_listener_close(the_listener);
        the_listener = NULL;
    }
}
