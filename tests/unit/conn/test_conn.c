/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of a connection's life: adopt, detach, cancel, and what can be asked. */
#include "conn_case.h"
#include "support.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#define LARGE ((size_t)8 << 20)

static char buf[4096];
static size_t got;
static nb_error err;
static nb_fd detached;
static unsigned char large[LARGE];

static void assert_no_time_out(int fd, int name)
{
    struct timeval value = {9, 9};
    socklen_t length = sizeof(value);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &value, &length), 0);
    assert_true(value.tv_sec == 0 && value.tv_usec == 0);
}

/* A descriptor as both adopt and detach leave it. */
static void assert_plain(int fd)
{
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_no_time_out(fd, SO_RCVTIMEO);
    assert_no_time_out(fd, SO_SNDTIMEO);
}

CALL_BY(send_x, nb_send_all(conn, "x", 1, NULL, by))

static nb_status recv_one(void)
{
    return nb_recv(conn, buf, 1, &got, plenty());
}

/* ---- the kinds of cases ---- */

/* These make their own sockets. */
#define EMPTY_ON(name, transport) CASE_WITH(name, transport, conn_case_begin_empty, conn_case_end)
#define EMPTY(name) EMPTY_ON(name, ipv4)
#define EMPTY_TCP(name) EMPTY_ON(name, ipv4), EMPTY_ON(name, ipv6)
#define EMPTY_ALL(name) EMPTY_ON(name, ipv4), EMPTY_ON(name, ipv6), EMPTY_ON(name, local)

#define TEST(name) TEST_AS(name, BOTH)

/* ---- adopt ---- */

TEST_AS(adopt_takes_a_connected_socket, EMPTY_ALL)
{
    int fd = socket_to_peer();

    memset(&err, '#', sizeof(err));
    assert_status(nb_conn_adopt(&conn, fd, &err), NB_OK);
    assert_status(err.status, NB_OK);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message, "");
    assert_int_equal(nb_conn_fd(conn), fd);
    arrive("hello");
    assert_gives(nb_recv(conn, buf, sizeof(buf), &got, plenty()), NB_OK, "hello");
    assert_directions(NB_OK, NB_OK);
}

TEST_AS(adopt_preserves_errno, EMPTY_ALL)
{
    int fd = socket_to_peer();

    errno = 1234;
    assert_status(nb_conn_adopt(&conn, fd, NULL), NB_OK);
    assert_int_equal(errno, 1234);
}

/* That a descriptor is refused, for a reason of ours or an error of the system, and is still the caller's just
   as it was. */
static void refuses(int fd, int system_error)
{
    nb_conn *out = (nb_conn *)(void *)buf;
    bool open = is_open(fd);
    int flags = fcntl(fd, F_GETFL);
    int descriptor_flags = fcntl(fd, F_GETFD);

    memset(&err, '#', sizeof(err));
    assert_status(nb_conn_adopt(&out, fd, &err), NB_INVALID);
    assert_null(out);
    assert_status(err.status, NB_INVALID);
    assert_int_equal(err.system_error, system_error);
    assert_true(strlen(err.message) > 0);
    assert_status(nb_conn_adopt(&out, fd, NULL), NB_INVALID);
    assert_true(is_open(fd) == open);
    assert_int_equal(fcntl(fd, F_GETFL), flags);
    assert_int_equal(fcntl(fd, F_GETFD), descriptor_flags);
    if (open)
        raw_close(fd);
}

static int opened(int fd)
{
    assert_true(fd >= 0);
    return fd;
}

TEST_AS(adopt_refuses_a_closed_descriptor, EMPTY)
{
    int fd = opened(dup(0));

    raw_close(fd);
    refuses(fd, EBADF);
    refuses(-1, EBADF);
    refuses(INT32_MAX, EBADF);
    refuses(INT32_MIN, EBADF);
}

TEST_AS(adopt_refuses_a_descriptor_that_is_not_a_socket, EMPTY)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    refuses(fds[0], ENOTSOCK);
    refuses(fds[1], ENOTSOCK);
    refuses(opened(open("/dev/null", O_RDWR | O_NONBLOCK)), ENOTSOCK);
    refuses(opened(open("/", O_RDONLY)), ENOTSOCK);
}

TEST_AS(adopt_refuses_a_socket_that_is_not_a_stream, EMPTY)
{
    int fds[2];

    refuses(opened(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), 0);
    refuses(opened(socket(AF_INET6, SOCK_DGRAM, 0)), 0);
    refuses(opened(socket(AF_UNIX, SOCK_DGRAM, 0)), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    refuses(fds[0], 0);
    refuses(fds[1], 0);
}

TEST_AS(adopt_refuses_a_listening_socket, EMPTY_ALL)
{
    struct sockaddr_storage address;
    socklen_t length;
    int listener = raw_listener(over, &address, &length);

    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    refuses(listener, 0);
}

TEST_AS(adopt_refuses_an_unknown_address_family, EMPTY)
{
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd < 0)
        skip();
    refuses(fd, 0);
}

TEST_AS(adopt_refuses_a_null_result_pointer, EMPTY)
{
    int fd = socket_to_peer();

    assert_status(nb_conn_adopt(NULL, fd, &err), NB_INVALID);
    assert_status(err.status, NB_INVALID);
    assert_status(nb_conn_adopt(NULL, fd, NULL), NB_INVALID);
    raw_close(fd);
}

TEST_AS(refused_adoption_names_the_descriptor_and_the_reason, EMPTY)
{
    char expected[16];
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_status(nb_conn_adopt(&conn, fds[0], &err), NB_INVALID);
    (void)snprintf(expected, sizeof(expected), "%d", fds[0]);
    assert_non_null(strstr(err.message, expected));
    assert_non_null(strstr(err.message, "adopt"));
    assert_non_null(strstr(err.message, "socket"));
    raw_close(fds[0]);
    raw_close(fds[1]);
}

TEST_AS(adopt_out_of_memory_leaves_the_descriptor_unchanged, EMPTY)
{
    int fd = socket_to_peer();

    fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
    assert_status(nb_conn_adopt(&conn, fd, &err), NB_NO_MEMORY);
    assert_null(conn);
    assert_status(err.status, NB_NO_MEMORY);
    raw_close(fd);
}

TEST_AS(adopt_that_the_system_refuses_leaves_the_descriptor_unchanged, EMPTY)
{
    int fd = socket_to_peer();

    fail_next(ON_SETSOCKOPT, EDOM, 1);
    assert_status(nb_conn_adopt(&conn, fd, &err), NB_SYSTEM);
    assert_null(conn);
    assert_int_equal(err.system_error, EDOM);
    raw_close(fd);
}

TEST_AS(adopted_socket_is_blocking_close_on_exec_and_has_no_timeouts, EMPTY_ALL)
{
    struct timeval time_out = {7, 500000};
    int fd = socket_to_peer();

    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time_out, sizeof(time_out)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time_out, sizeof(time_out)), 0);
    conn = adopt(fd);
    assert_plain(fd);
}

TEST_AS(a_descriptor_cannot_be_adopted_twice, EMPTY_ALL)
{
    nb_conn *second = (nb_conn *)(void *)&err;
    int fds[2];

    raw_pair(over, fds);
    conn = adopt(fds[0]);
    assert_status(nb_conn_adopt(&second, fds[0], &err), NB_INVALID);
    assert_null(second);
    assert_non_null(strstr(err.message, "a connection's already"));
    assert_status(nb_conn_detach(conn, &fds[0], NULL, 0, NULL), NB_OK);
    conn = adopt(fds[0]); /* and so after an end, and after a failure */
    nb_abort(conn);
    raw_close(fds[1]);
    raw_pair(over, fds);
    fail_next(ON_SETSOCKOPT, EDOM, 1);
    assert_status(nb_conn_adopt(&conn, fds[0], &err), NB_SYSTEM);
    conn = adopt(fds[0]);
    peer = fds[1];
}

TEST_AS(adopt_clears_options_that_would_break_a_promise, EMPTY_ALL)
{
    int fd = socket_to_peer();

    assert_in_range(spoil(fd), over == OVER_UNIX ? 5 : 8, 10);
    conn = adopt(fd);
    check_unspoiled(fd);
}

TEST_AS(an_option_that_cannot_be_cleared_is_named, EMPTY)
{
    int fd = socket_to_peer();

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &(int){9}, sizeof(int)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &(int){1}, sizeof(int)), 0);
    fail_next(ON_SETSOCKOPT, EDOM, 1);
    assert_status(nb_conn_adopt(&conn, fd, &err), NB_SYSTEM);
    assert_non_null(strstr(err.message, ": SO_"));
    raw_close(fd);
}

TEST_AS(adopt_leaves_other_options_as_they_are, EMPTY)
{
    int fd = socket_to_peer();

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){0}, sizeof(int)), 0);
    conn = adopt(fd);
    assert_int_equal(raw_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(raw_option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
}

/* close(2) would block for what the peer does not take. */
TEST_AS(an_adopted_socket_with_so_linger_is_closed_in_time, EMPTY_TCP)
{
    static char filling[65536];
    struct linger lingering = {1, 20};
    int fd = socket_to_peer();

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lingering, sizeof(lingering)), 0);
    while (send(fd, filling, sizeof(filling), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    conn = adopt(fd);
    assert_int_equal(raw_option(fd, SOL_SOCKET, SO_LINGER), 0);
    int64_t begin = now_ns();
    assert_status(closed(nb_after_ms(20)), NB_TIMEOUT);
    assert_true(now_ns() - begin < INT64_C(15000000000));
}

TEST_AS(descriptor_zero_can_be_adopted, EMPTY)
{
    int saved = fcntl(0, F_DUPFD_CLOEXEC, 3);

    assert_true(saved >= 0);
    int fd = socket_to_peer();
    assert_int_equal(dup2(fd, 0), 0);
    raw_close(fd);
    conn = adopt(0);
    assert_int_equal(nb_conn_fd(conn), 0);
    arrive("hello");
    assert_status(nb_recv(conn, buf, sizeof(buf), &got, plenty()), NB_OK);
    assert_status(nb_conn_detach(conn, &detached, NULL, 0, NULL), NB_OK);
    assert_int_equal(detached, 0);
    conn = adopt(0);
    peer_ends();
    nb_status status = closed(plenty());
    assert_false(is_open(0));
    assert_int_equal(dup2(saved, 0), 0);
    raw_close(saved);
    assert_status(status, NB_OK);
}

TEST_AS(peer_that_reset_before_it_was_accepted_is_adopted, EMPTY_TCP)
{
    struct sockaddr_storage address;
    socklen_t length;
    int listener = raw_listener(over, &address, &length);
    int client = raw_connect(&address, length);
    nb_address out;

    raw_send_text(client, "abc");
    raw_reset(client, -1);
    int fd = opened(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    raw_close(listener);
    until_event(fd, POLLHUP);
    errno = 1234;
    conn = adopt(fd);
    assert_int_equal(errno, 1234);
    nb_conn_peer(conn, &out);
    assert_int_equal(nb_address_family(&out), NB_FAMILY_NONE);
    assert_gives(nb_recv(conn, buf, sizeof(buf), &got, plenty()), NB_OK, "abc");
    assert_status(nb_recv(conn, buf, sizeof(buf), &got, plenty()), NB_RESET);
    assert_status(send_x(plenty()), NB_RESET);
    nb_conn_error(conn, NB_RECEIVE, &err);
    assert_string_equal(err.message, "receive from (none): connection reset (ECONNRESET)");
}

/* ---- addresses ---- */

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    memset(&address, 0, sizeof(address));
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

static void assert_address(const nb_address *address, const char *host, uint16_t port)
{
    char expected[64], text[NB_ADDRESS_TEXT_MAX];

    (void)snprintf(expected, sizeof(expected), "%s:%d", host, (int)port);
    assert_string_equal(nb_address_format(address, text, sizeof(text)), expected);
}

TEST_AS(both_addresses_of_a_tcp_connection_are_known, TCP_BOTH)
{
    const char *host = over == OVER_IPV6 ? "[::1]" : "127.0.0.1";
    nb_address out;

    nb_conn_peer(conn, &out);
    assert_address(&out, host, port_of(peer));
    nb_conn_local(conn, &out);
    assert_address(&out, host, port_of(nb_conn_fd(conn)));
}

TEST_AS(both_addresses_of_a_unix_pair_are_unnamed, UNIX)
{
    char text[NB_ADDRESS_TEXT_MAX];
    nb_address out;

    nb_conn_peer(conn, &out);
    assert_string_equal(nb_address_format(&out, text, sizeof(text)), "unix:");
    nb_conn_local(conn, &out);
    assert_string_equal(nb_address_format(&out, text, sizeof(text)), "unix:");
}

TEST_AS(peer_address_is_still_known_after_the_peer_is_gone, TCP)
{
    uint16_t port = port_of(peer);
    nb_address out;

    peer_resets();
    assert_status(recv_one(), NB_RESET);
    nb_conn_peer(conn, &out);
    assert_address(&out, "127.0.0.1", port);
    nb_cancel(conn);
    nb_conn_peer(conn, &out);
    assert_address(&out, "127.0.0.1", port);
}

TEST_AS(local_address_is_unavailable_after_a_cancellation, TCP_BOTH)
{
    nb_address out;

    nb_cancel(conn);
    nb_conn_local(conn, &out);
    assert_int_equal(nb_address_family(&out), NB_FAMILY_NONE);
}

TEST_AS(ipv4_mapped_peers_of_a_dual_stack_listener_are_ipv4, EMPTY)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_storage to;
    int listener = opened(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    nb_address out;

    assert_int_equal(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(listener, 1), 0);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4.sin_port = htons(port_of(listener));
    memset(&to, 0, sizeof(to));
    memcpy(&to, &v4, sizeof(v4));
    peer = raw_connect(&to, sizeof(v4));
    conn = adopt(opened(accept4(listener, NULL, NULL, SOCK_CLOEXEC)));
    raw_close(listener);
    nb_conn_peer(conn, &out);
    assert_int_equal(nb_address_family(&out), NB_FAMILY_IPV4);
    assert_address(&out, "127.0.0.1", port_of(peer));
    nb_conn_local(conn, &out);
    assert_address(&out, "127.0.0.1", ntohs(v4.sin_port));
}

/* ---- counters, statuses, errors ---- */

TEST(counters_count_the_bytes_received_and_sent)
{
    uint64_t one;

    assert_counted(0, 0);
    arrive("hello");
    assert_counted(0, 0);
    assert_status(nb_recv(conn, buf, 3, &got, plenty()), NB_OK);
    assert_counted(3, 0);
    assert_status(nb_send_all(conn, "abcd", 4, NULL, plenty()), NB_OK);
    assert_counted(3, 4);
    assert_status(nb_recv_exact(conn, buf, 9, &got, before_long()), NB_TIMEOUT);
    assert_counted(5, 4);
    assert_status(nb_send_all(conn, "abcd", 4, NULL, past()), NB_TIMEOUT);
    assert_counted(5, 4);
    nb_conn_counters(conn, &one, NULL);
    assert_int_equal(one, 5);
    nb_conn_counters(conn, NULL, &one);
    assert_int_equal(one, 4);
    nb_conn_counters(conn, NULL, NULL);
}

TEST_AS(counters_include_line_ends_but_not_read_ahead, TCP)
{
    arrive("one\r\ntwo\nthree,four");
    assert_status(nb_recv_line(conn, buf, 64, &got, plenty()), NB_OK);
    assert_counted(5, 0);
    assert_status(nb_recv_line(conn, buf, 64, &got, plenty()), NB_OK);
    assert_counted(9, 0);
    assert_status(nb_recv_until(conn, buf, 64, ",", 1, &got, plenty()), NB_OK);
    assert_counted(15, 0);
    assert_status(nb_recv_line(conn, buf, 64, &got, before_long()), NB_TIMEOUT);
    assert_counted(15, 0);
    peer_ends();
    assert_status(nb_recv_line(conn, buf, 64, &got, plenty()), NB_EOF);
    assert_counted(19, 0);
}

TEST_AS(status_of_a_working_connection_is_ok, TCP)
{
    assert_directions(NB_OK, NB_OK);
    memset(&err, '#', sizeof(err));
    nb_conn_error(conn, NB_SEND, &err);
    assert_status(err.status, NB_OK);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message, "");
}

TEST_AS(status_of_a_null_connection_or_unknown_direction_is_invalid, TCP)
{
    assert_status(nb_conn_status(NULL, NB_SEND), NB_INVALID);
    assert_status(nb_conn_status(conn, (nb_direction)2), NB_INVALID);
    assert_status(nb_conn_status(conn, (nb_direction)-1), NB_INVALID);
    nb_conn_error(conn, (nb_direction)2, &err);
    assert_status(err.status, NB_INVALID);
    assert_non_null(strstr(err.message, "direction"));
    nb_conn_error(NULL, NB_SEND, &err);
    assert_status(err.status, NB_INVALID);
    assert_non_null(strstr(err.message, "connection"));
}

TEST(directions_fail_independently)
{
    peer_ends();
    assert_status(recv_one(), NB_EOF);
    assert_directions(NB_EOF, NB_OK);
    assert_status(send_x(past()), NB_TIMEOUT);
    assert_directions(NB_EOF, NB_TIMEOUT);
}

TEST(cancelled_connection_reports_it_in_both_directions)
{
    assert_status(send_x(past()), NB_TIMEOUT);
    nb_cancel(conn);
    assert_directions(NB_CANCELLED, NB_CANCELLED);
    nb_conn_error(conn, NB_SEND, &err);
    assert_status(err.status, NB_CANCELLED);
    assert_non_null(strstr(err.message, "cancelled"));
}

static void assert_message(nb_direction direction, const char *operation, const char *reason)
{
    char expected[NB_ERROR_MESSAGE_MAX], text[NB_ADDRESS_TEXT_MAX];
    nb_address address;

    nb_conn_peer(conn, &address);
    (void)snprintf(expected, sizeof(expected), "%s %s: %s", operation,
                   nb_address_format(&address, text, sizeof(text)), reason);
    memset(&err, '#', sizeof(err));
    nb_conn_error(conn, direction, &err);
    assert_string_equal(err.message, expected);
}

TEST_AS(error_names_the_operation_the_peer_and_the_reason, ALL)
{
    fail_next(ON_SEND, ECONNRESET, 1);
    assert_status(send_x(plenty()), NB_RESET);
    assert_message(NB_SEND, "send to", "connection reset (ECONNRESET)");
    assert_status(err.status, NB_RESET);
    assert_int_equal(err.system_error, ECONNRESET);
    fail_next(ON_RECV, ETIMEDOUT, 1);
    assert_status(recv_one(), NB_UNREACHABLE);
    assert_message(NB_RECEIVE, "receive from", "peer unreachable (ETIMEDOUT)");
    assert_status(err.status, NB_UNREACHABLE);
    assert_int_equal(err.system_error, ETIMEDOUT);
}

TEST(error_without_a_system_error_gives_only_the_reason)
{
    peer_ends();
    assert_status(send_x(past()), NB_TIMEOUT);
    assert_message(NB_SEND, "send to", "timed out");
    assert_int_equal(err.system_error, 0);
    assert_status(recv_one(), NB_EOF);
    assert_message(NB_RECEIVE, "receive from", "end of stream");
    assert_int_equal(err.system_error, 0);
}

CALL_BY(line_of_64, nb_recv_line(conn, buf, 64, &got, by))
CALL_BY(some_of_64, nb_recv(conn, buf, 64, &got, by))
CALL_BY(exactly_64, nb_recv_exact(conn, buf, 64, &got, by))
CALL_BY(frame_of_64, nb_recv_frame(conn, buf, 64, &got, by))
CALL_BY(all_of_it, nb_recv_to_end(conn, buf, 0, &got, by))
CALL_BY(wait_for_it, nb_wait_readable(conn, by))

TEST_AS(error_reports_a_receive_that_timed_out, ALL)
{
    static nb_status (*const operations[])(nb_deadline) = {line_of_64,  some_of_64, exactly_64,
                                                           frame_of_64, all_of_it,  wait_for_it};

    for (size_t i = 0; i < COUNT(operations); i++) {
        for (int expired = 0; expired < 2; expired++) {
            assert_status(operations[i](expired != 0 ? past() : nb_after_ms(1)), NB_TIMEOUT);
            assert_message(NB_RECEIVE, "receive from", "timed out");
            assert_status(err.status, NB_TIMEOUT);
            assert_int_equal(err.system_error, 0);
            assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
            fail_next(ON_RECV, ENOBUFS, 1); /* so that the next one is news */
            assert_status(recv_one(), NB_NO_MEMORY);
            assert_message(NB_RECEIVE, "receive from", "out of memory (ENOBUFS)");
            assert_int_equal(err.system_error, ENOBUFS);
        }
    }
    assert_status(nb_conn_status(conn, NB_SEND), NB_OK);
    nb_conn_error(conn, NB_SEND, &err);
    assert_status(err.status, NB_OK);
}

/* A deadline that has passed leaves what is in the buffer alone. */
TEST(error_reports_a_timeout_despite_bytes_in_the_readahead)
{
    static nb_status (*const operations[])(nb_deadline) = {some_of_64, exactly_64, all_of_it};

    arrive("one\ntwo");
    assert_status(line_of_64(plenty()), NB_OK);
    for (size_t i = 0; i < COUNT(operations); i++) {
        assert_status(operations[i](past()), NB_TIMEOUT);
        assert_message(NB_RECEIVE, "receive from", "timed out");
        fail_next(ON_RECV, ENOBUFS, 1);
        assert_status(frame_of_64(plenty()), NB_NO_MEMORY);
    }
}

TEST(error_reports_that_there_is_no_memory_for_the_readahead)
{
    static nb_status (*const operations[])(nb_deadline) = {line_of_64, frame_of_64, all_of_it};

    for (size_t i = 0; i < COUNT(operations); i++) {
        fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
        assert_status(operations[i](plenty()), NB_NO_MEMORY);
        assert_message(NB_RECEIVE, "receive from", "out of memory");
        assert_int_equal(err.system_error, 0);
        assert_status(wait_for_it(past()), NB_TIMEOUT);
    }
}

TEST(sticky_error_is_reported_before_a_transient_one)
{
    assert_status(some_of_64(past()), NB_TIMEOUT);
    arrive("x");
    assert_status(some_of_64(plenty()), NB_OK);
    assert_message(NB_RECEIVE, "receive from",
                   "timed out"); /* the last failure, not the last call */
    peer_ends();
    assert_status(some_of_64(plenty()), NB_EOF);
    assert_message(NB_RECEIVE, "receive from", "end of stream");
    nb_cancel(conn);
    assert_message(NB_RECEIVE, "receive from", "cancelled");
}

/* ---- detach ---- */

TEST_AS(detach_returns_a_plain_descriptor, ALL)
{
    int fd = nb_conn_fd(conn);

    /* Deadlines have set the socket's own timers. */
    assert_status(nb_recv(conn, buf, 1, &got, nb_after_ms(60)), NB_TIMEOUT);
    assert_status(send_x(plenty()), NB_OK);
    got = 4321;
    assert_status(nb_conn_detach(conn, &detached, NULL, 0, &got), NB_OK);
    conn = NULL;
    assert_int_equal(detached, fd);
    assert_int_equal(got, 0);
    assert_plain(fd);
    raw_send_text(fd, "yz");
    raw_recv(peer, buf, 3);
    assert_memory_equal(buf, "xyz", 3);
    raw_close(fd);
}

TEST(detach_returns_the_buffered_bytes)
{
    arrive("one\ntwo\nthree");
    assert_status(nb_recv_line(conn, buf, 64, NULL, plenty()), NB_OK);
    assert_status(nb_recv_exact(conn, buf, 1, &got, plenty()), NB_OK);
    memset(buf, '#', sizeof(buf));
    assert_status(nb_conn_detach(conn, &detached, buf, 8, &got), NB_OK);
    conn = adopt(detached);
    assert_bytes(buf, got, "wo\nthree");
    assert_int_equal(buf[8], '#');
    arrive("!");
    assert_gives(nb_recv(conn, buf, 64, &got, plenty()), NB_OK, "!");
}

TEST_AS(detach_with_too_small_a_buffer_changes_nothing, TCP)
{
    arrive("one\ntwo");
    assert_status(nb_recv_line(conn, buf, 64, NULL, plenty()), NB_OK);
    assert_status(nb_conn_detach(conn, &detached, buf, 2, &got), NB_TOO_LONG);
    assert_int_equal(got, 3);
    got = 4321;
    assert_status(nb_conn_detach(conn, &detached, NULL, 0, &got), NB_TOO_LONG);
    assert_int_equal(got, 3);
    assert_status(nb_conn_detach(conn, &detached, NULL, 0, NULL), NB_TOO_LONG);
    assert_int_equal(nb_conn_buffered(conn), 3);
    assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
    assert_gives(nb_recv(conn, buf, 64, &got, plenty()), NB_OK, "two");
}

TEST_AS(detach_refuses_null, TCP)
{
    assert_status(nb_conn_detach(NULL, &detached, buf, 9, &got), NB_INVALID);
    assert_status(nb_conn_detach(conn, NULL, buf, 9, &got), NB_INVALID);
    assert_status(nb_conn_detach(conn, &detached, NULL, 9, &got), NB_INVALID);
    assert_true(is_open(nb_conn_fd(conn)));
    assert_status(send_x(plenty()), NB_OK);
}

TEST(detach_of_a_cancelled_connection_is_refused)
{
    arrive("one\ntwo");
    assert_status(nb_recv_line(conn, buf, 64, NULL, plenty()), NB_OK);
    nb_cancel(conn);
    detached = -1;
    assert_status(nb_conn_detach(conn, &detached, buf, 64, &got), NB_CANCELLED);
    assert_int_equal(nb_conn_buffered(conn), 3);
    assert_int_equal(detached, -1);
}

TEST(detach_works_after_a_sticky_failure)
{
    peer_ends();
    assert_status(recv_one(), NB_EOF);
    assert_status(nb_conn_detach(conn, &detached, NULL, 0, NULL), NB_OK);
    conn = adopt(detached);
    assert_status(send_x(plenty()), NB_OK);
}

/* ---- cancel ---- */

CALL_BY(until_lf, nb_recv_until(conn, buf, 64, "\n", 1, &got, by))
CALL_BY(to_end_64, nb_recv_to_end(conn, buf, 64, &got, by))
CALL_BY(send_large, nb_send_all(conn, large, LARGE, &got, by))

static nb_status send_large_slices(nb_deadline by)
{
    nb_slice slices[] = {{large, LARGE / 2}, {large, LARGE / 2}};

    return nb_send_slices(conn, slices, 2, &got, by);
}

static nb_status (*const operations[])(nb_deadline) = {some_of_64, exactly_64,       until_lf,
                                                       line_of_64, to_end_64,        wait_for_it,
                                                       send_large, send_large_slices};

static void wake_each(nb_deadline by)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        struct task task;

        got = 0; /* a wait reports nothing */
        shrink();
        start_call(&task, operations[i], by);
        task_until_blocked(&task);
        nb_cancel(conn);
        task_join(&task);
        if (call_status != NB_CANCELLED || (i < 6 && got != 0))
            fail_msg("call %zu: %s, %zu", i, nb_status_name(call_status), got);
        start_over();
    }
}

TEST_AS(cancel_wakes_every_call_without_a_deadline, ALL)
{
    wake_each(nb_forever());
}

TEST(cancel_wakes_every_call_with_a_deadline)
{
    wake_each(plenty());
}

static nb_status sender_status;

static void send_in_another_thread(void *argument)
{
    (void)argument;
    sender_status = nb_send_all(conn, large, LARGE, NULL, nb_forever());
}

/* Lets a receive and a send wait, and cancels both. */
static void cancel_both_directions(struct task tasks[2])
{
    shrink();
    start_call(&tasks[0], some_of_64, nb_forever());
    task_start(&tasks[1], send_in_another_thread, NULL);
    task_until_blocked(&tasks[0]);
    task_until_blocked(&tasks[1]);
    nb_cancel(conn);
}

TEST_AS(cancel_wakes_both_directions, ALL)
{
    struct task tasks[2];

    cancel_both_directions(tasks);
    task_join(&tasks[0]);
    task_join(&tasks[1]);
    assert_status(call_status, NB_CANCELLED);
    assert_status(sender_status, NB_CANCELLED);
}

static void cancel_a_blocked(nb_status (*which)(nb_deadline))
{
    struct task task;

    start_call(&task, which, nb_forever());
    task_until_blocked(&task);
    nb_cancel(conn);
    task_join(&task);
    assert_status(call_status, NB_CANCELLED);
}

TEST(cancelled_receive_reports_the_bytes_received_so_far)
{
    arrive("abc");
    cancel_a_blocked(exactly_64);
    assert_bytes(buf, got, "abc");
}

TEST(cancelled_send_reports_the_bytes_sent_so_far)
{
    uint64_t counted;

    shrink();
    cancel_a_blocked(send_large);
    assert_true(got < LARGE);
    nb_conn_counters(conn, NULL, &counted);
    assert_int_equal(counted, got);
}

TEST(every_call_after_a_cancellation_returns_cancelled)
{
    arrive("hello\n");
    nb_cancel(conn);
    for (size_t i = 0; i < COUNT(operations); i++) {
        got = 0;
        call_status = operations[i](i % 2 != 0 ? plenty() : nb_forever());
        if (call_status != NB_CANCELLED || got != 0)
            fail_msg("call %zu: %s, %zu", i, nb_status_name(call_status), got);
    }
    assert_status(nb_recv_exact(conn, NULL, 0, &got, plenty()), NB_CANCELLED);
    assert_status(nb_send_all(conn, NULL, 0, NULL, plenty()), NB_CANCELLED);
    assert_status(nb_shutdown_send(conn), NB_CANCELLED);
    assert_status(nb_wait_readable(conn, past()), NB_CANCELLED);
}

TEST(cancel_may_be_called_again)
{
    nb_cancel(conn);
    nb_cancel(conn);
    nb_cancel(conn);
    assert_status(nb_conn_status(conn, NB_SEND), NB_CANCELLED);
    assert_status(closed(plenty()), NB_CANCELLED);
}

TEST(cancel_preserves_errno)
{
    errno = 1234;
    nb_cancel(conn);
    assert_int_equal(errno, 1234);
}

TEST(cancel_keeps_the_descriptor)
{
    int fd = nb_conn_fd(conn);

    nb_cancel(conn);
    assert_true(is_open(fd));
    assert_status(closed(plenty()), NB_CANCELLED);
    assert_false(is_open(fd));
}

TEST_AS(cancelled_stream_does_not_look_complete, TCP_BOTH)
{
    assert_status(nb_send_all(conn, "half", 4, NULL, plenty()), NB_OK);
    until_arrived(peer, 4);
    nb_cancel(conn);
    assert_ending(ECONNRESET, 4);
}

TEST_AS(cancelled_stream_does_not_look_complete_while_calls_are_blocked, TCP)
{
    struct task tasks[2];

    cancel_both_directions(tasks);
    assert_int_equal(raw_ending(peer, NULL), ECONNRESET);
    task_join(&tasks[0]);
    task_join(&tasks[1]);
}

TEST(cancellation_is_not_lost_just_before_a_call)
{
    for (size_t i = 0; i < 200; i++) {
        struct task task;

        shrink();
        start_call(&task, operations[i % COUNT(operations)], i % 16 < 8 ? nb_forever() : plenty());
        nb_cancel(conn);
        task_join(&task);
        if (call_status != NB_CANCELLED)
            fail_msg("round %zu: %s", i, nb_status_name(call_status));
        start_over();
    }
}

/* ---- threads ---- */

static atomic_bool stop_asking;

static void ask_everything(void *argument)
{
    nb_error error;
    nb_address address;
    uint64_t in, out;

    (void)argument;
    while (!atomic_load(&stop_asking)) {
        (void)nb_conn_status(conn, NB_RECEIVE);
        (void)nb_conn_status(conn, NB_SEND);
        nb_conn_error(conn, NB_RECEIVE, &error);
        nb_conn_error(conn, NB_SEND, &error);
        nb_conn_peer(conn, &address);
        nb_conn_local(conn, &address);
        nb_conn_counters(conn, &in, &out);
        (void)nb_conn_fd(conn);
    }
}

static void cancel_from_here(void *argument)
{
    nb_cancel(argument);
}

TEST(queries_and_cancellations_work_from_any_thread)
{
    struct task receiver, sender, asker, cancellers[3];

    shrink();
    atomic_store(&stop_asking, false);
    start_call(&receiver, to_end_64, plenty());
    task_start(&sender, send_in_another_thread, NULL);
    task_start(&asker, ask_everything, NULL);
    for (int i = 0; i < 20; i++)
        raw_send_text(peer, "x");
    task_until_blocked(&receiver);
    task_until_blocked(&sender);
    for (size_t i = 0; i < COUNT(cancellers); i++)
        task_start(&cancellers[i], cancel_from_here, conn);
    for (size_t i = 0; i < COUNT(cancellers); i++)
        task_join(&cancellers[i]);
    task_join(&receiver);
    task_join(&sender);
    atomic_store(&stop_asking, true);
    task_join(&asker);
    assert_status(call_status, NB_CANCELLED);
    assert_status(sender_status, NB_CANCELLED);
    assert_int_equal(got, 20);
}
