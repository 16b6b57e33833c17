/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the one way into the kernel: -errno, errno as it was, what sockets really do. */
#include "sys/sys.h"

#include "base/deadline_internal.h"
#include "servers.h"

#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>

/* Makes a call with an odd errno and gives its result; fails when errno is another one then. */
#define kept(call) (errno = ODD_ERRNO, errno_kept((long)(call), #call))

static long errno_kept(long result, const char *call)
{
    if (errno != ODD_ERRNO)
        fail_msg("%s gives %ld and leaves errno at %d", call, result, errno);
    return result;
}

static atomic_int bad_closes;

/* Counts the closes of what was closed already: to another thread they are a disaster. */
static int own_libc_close(int fd)
{
    int result = real.libc_close(fd);

    if (result != 0)
        atomic_fetch_add(&bad_closes, 1);
    return result;
}

REPLACE(libc_close, own_libc_close)

static int poll_one(int fd, short events, nb_deadline by)
{
    struct pollfd one = {fd, events, 0};

    return nb__sys_poll(&one, 1, by);
}

static bool is_readable(int fd)
{
    return poll_one(fd, POLLIN, past()) == 1;
}

static void await(int fd, short events)
{
    assert_result(poll_one(fd, events, plenty()), 1);
}

static bool is_cloexec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static bool is_blocking(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

/* Where the socket is bound that was made last, and the same for the calls. */
static struct sockaddr_in address;
static struct sockaddr *const address_head = (struct sockaddr *)&address;

static void set_address_to_any_port(void)
{
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* A socket bound to a free port of the loopback interface. */
static int bound(void)
{
    socklen_t length = sizeof(address);
    int fd = nb__sys_socket(AF_INET);

    set_address_to_any_port();
    assert_true(fd >= 0);
    assert_result(kept(nb__sys_bind(fd, address_head, sizeof(address))), 0);
    assert_result(kept(nb__sys_getsockname(fd, address_head, &length)), 0);
    assert_int_equal(length, sizeof(address));
    assert_int_not_equal(address.sin_port, 0);
    return fd;
}

static int listening(void)
{
    int fd = bound();

    assert_result(kept(nb__sys_listen(fd, 16)), 0);
    return fd;
}

static int connected(void)
{
    int fd = nb__sys_socket(AF_INET);
    long result = kept(nb__sys_connect(fd, address_head, sizeof(address)));

    assert_true(result == 0 || result == -EINPROGRESS);
    await(fd, POLLOUT);
    assert_result(nb__sys_set_blocking(fd, true), 0);
    return fd;
}

/* A listener, and a connection that waits to be accepted from it. */
static int listening_with_a_client(int *client)
{
    int fd = listening();

    *client = connected();
    await(fd, POLLIN);
    return fd;
}

/* Two blocking ends of a TCP connection; the first one was accepted. */
static void tcp_pair(int pair[2])
{
    int listener = listening_with_a_client(&pair[1]);

    pair[0] = (int)kept(nb__sys_accept(listener, NULL, NULL));
    assert_true(pair[0] >= 0);
    assert_result(nb__sys_close(listener), 0);
}

static void unix_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

#define close_all(...) close_each((const int[]){__VA_ARGS__}, COUNT(((const int[]){__VA_ARGS__})))
static void close_each(const int *some, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_result(kept(nb__sys_close(some[i])), 0);
}

/* What a case is given that wants two connected sockets, or something that wakes. */
static int fds[2];
static int wake[2];

static int begin_with_tcp(void **state)
{
    (void)state;
    tcp_pair(fds);
    return 0;
}

static int begin_with_unix(void **state)
{
    (void)state;
    unix_pair(fds);
    return 0;
}

static int end_with_pair(void **state)
{
    (void)state;
    close_all(fds[0], fds[1]);
    return 0;
}

static int begin_with_wake(void **state)
{
    (void)state;
    return nb__sys_wake_open(wake);
}

static int end_with_wake(void **state)
{
    (void)state;
    nb__sys_wake_close(wake);
    return 0;
}

#define TCP_PAIR(name) cmocka_unit_test_setup_teardown(name, begin_with_tcp, end_with_pair)
#define UNIX_PAIR(name) cmocka_unit_test_setup_teardown(name, begin_with_unix, end_with_pair)
#define WAKE(name) cmocka_unit_test_setup_teardown(name, begin_with_wake, end_with_wake)

/* Lets this process have only so many descriptors; gives back what the limit was. */
static struct rlimit limit_to(rlim_t count)
{
    struct rlimit old;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){count, old.rlim_max}), 0);
    return old;
}

/* In place of connect(2), of a kernel that does not disconnect. */
static int refuse_to_disconnect(int fd, const struct sockaddr *to, socklen_t length)
{
    if (to->sa_family != AF_UNSPEC)
        return real.libc_connect(fd, to, length);
    errno = EBUSY;
    return -1;
}

static int let_the_kernel_disconnect(void **state)
{
    (void)state;
    double_reset();
    return 0;
}

#define DISCONNECT_CASE(name) cmocka_unit_test_teardown(name, let_the_kernel_disconnect)
#define TEST(name) TEST_AS(name, cmocka_unit_test)

/* ---- errors ---- */

TEST(calls_on_a_bad_descriptor_return_the_error_and_preserve_errno)
{
    static const int bad_wake[2] = {-1, -1};
    socklen_t length = sizeof(address);
    struct iovec part = {&address, 1};
    int64_t ids[3];
    int value = 0;

    set_address_to_any_port();
    assert_result(kept(nb__sys_bind(-1, address_head, length)), -EBADF);
    assert_result(kept(nb__sys_listen(-1, 1)), -EBADF);
    assert_result(kept(nb__sys_accept(-1, NULL, NULL)), -EBADF);
    assert_result(kept(nb__sys_connect(-1, address_head, length)), -EBADF);
    assert_result(kept(nb__sys_disconnect(-1)), -EBADF);
    assert_result(kept(nb__sys_getsockname(-1, address_head, &length)), -EBADF);
    assert_result(kept(nb__sys_getpeername(-1, address_head, &length)), -EBADF);
    assert_result(kept(nb__sys_setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value))),
                  -EBADF);
    assert_result(kept(nb__sys_getsockopt(-1, SOL_SOCKET, SO_TYPE, &value, &length)), -EBADF);
    assert_result(kept(nb__sys_set_blocking(-1, true)), -EBADF);
    assert_result(kept(nb__sys_set_cloexec(-1)), -EBADF);
    assert_result(kept(nb__sys_shutdown(-1, SHUT_RDWR)), -EBADF);
    assert_result(kept(nb__sys_close(-1)), -EBADF);
    assert_result(kept(nb__sys_recv(-1, &value, 1, 0)), -EBADF);
    assert_result(kept(nb__sys_send(-1, &value, 1, 0)), -EBADF);
    assert_result(kept(nb__sys_sendmsg(-1, &part, 1, 0)), -EBADF);
    assert_result(kept(nb__sys_wake_ring(bad_wake)), -EBADF);
    assert_result(kept(nb__sys_wake_clear(bad_wake)), -EBADF);
    assert_result(kept(nb__sys_queue_length(-1)), -EBADF);
    assert_result(kept(nb__sys_tcp_closed(-1)), -EBADF);
    assert_result(kept(nb__sys_tcp_ended(-1)), -EBADF);
    assert_result(kept(nb__sys_peer_credentials(-1, &ids[0], &ids[1], &ids[2])), -EBADF);
}

TEST(other_failures_return_the_error_and_preserve_errno)
{
    int first;
    int second;
    socklen_t length = sizeof(address);
    char byte = 0;

    skip_under_valgrind("SIGKILL may be given a handler");
    first = bound();
    second = nb__sys_socket(AF_INET);
    assert_result(kept(nb__sys_socket(-1)), -EAFNOSUPPORT);
    assert_result(kept(nb__sys_bind(second, address_head, length)), -EADDRINUSE);
    assert_result(kept(nb__sys_accept(second, NULL, NULL)), -EINVAL);
    assert_result(kept(nb__sys_getpeername(second, address_head, &length)), -ENOTCONN);
    assert_result(kept(nb__sys_shutdown(second, SHUT_WR)), -ENOTCONN);
    assert_result(kept(nb__sys_recv(second, &byte, 1, 0)), -ENOTCONN);
    assert_result(kept(nb__sys_send(second, &byte, 1, 0)), -EPIPE);
    assert_result(kept(nb__sys_setsockopt(second, -1, -1, &byte, 1)), -ENOPROTOOPT);
    assert_result(
        kept(nb__sys_sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_DFL}, NULL)),
        -EINVAL);
    assert_result(kept(nb__sys_raise(-1)), -EINVAL);
    assert_result(kept(nb__sys_close(first)), 0);
    assert_result(kept(nb__sys_close(second)), 0);
    assert_result(kept(nb__sys_close(second)), -EBADF);
}

TEST(flags_can_be_read_and_restored)
{
    int fd = nb__sys_socket(AF_INET);
    struct nb__flags before;
    struct nb__flags after = {-1, -1};

    assert_result(kept(nb__sys_get_flags(fd, &before)), 0);
    assert_int_equal(before.of_descriptor, FD_CLOEXEC);
    assert_true((before.of_file & O_NONBLOCK) != 0);
    assert_result(kept(nb__sys_set_flags(fd, &(struct nb__flags){0, 0})), 0);
    assert_result(kept(nb__sys_get_flags(fd, &after)), 0);
    assert_int_equal(after.of_descriptor, 0);
    assert_int_equal(after.of_file & O_NONBLOCK, 0);
    assert_result(kept(nb__sys_set_flags(fd, &before)), 0);
    assert_result(kept(nb__sys_get_flags(fd, &after)), 0);
    assert_int_equal(after.of_descriptor, before.of_descriptor);
    assert_int_equal(after.of_file, before.of_file);
    assert_result(nb__sys_close(fd), 0);
    assert_result(kept(nb__sys_get_flags(fd, &after)), -EBADF);
    assert_result(kept(nb__sys_set_flags(fd, &before)), -EBADF);
}

TEST(calls_out_of_descriptors_return_the_error_and_preserve_errno)
{
    int client;
    int listener = listening_with_a_client(&client);
    struct rlimit old = limit_to(0);
    long opened[3];

    opened[0] = kept(nb__sys_socket(AF_INET));
    opened[1] = kept(nb__sys_accept(listener, NULL, NULL));
    opened[2] = kept(nb__sys_wake_open(wake));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    for (size_t i = 0; i < COUNT(opened); i++)
        assert_result(opened[i], -EMFILE);
    close_all(client, listener);
}

TEST(connect_to_an_unused_port_is_refused)
{
    int dead = bound();
    int fd = nb__sys_socket(AF_INET);

    assert_result(nb__sys_set_blocking(fd, true), 0);
    assert_result(kept(nb__sys_connect(fd, address_head, sizeof(address))), -ECONNREFUSED);
    close_all(fd, dead);
}

/* ---- descriptors ---- */

TEST(new_socket_is_close_on_exec_and_non_blocking)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};

    for (size_t i = 0; i < COUNT(families); i++) {
        int fd = (int)kept(nb__sys_socket(families[i]));
        int type = 0;
        socklen_t length = sizeof(type);

        if (fd == -EAFNOSUPPORT)
            continue;
        assert_true(fd >= 0);
        assert_true(is_cloexec(fd));
        assert_false(is_blocking(fd));
        assert_result(kept(nb__sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length)), 0);
        assert_int_equal(type, SOCK_STREAM);
        assert_result(kept(nb__sys_close(fd)), 0);
    }
}

TEST(new_accepted_socket_is_close_on_exec_and_blocking)
{
    int client;
    int listener = listening_with_a_client(&client);
    int fd = (int)kept(nb__sys_accept(listener, NULL, NULL));

    assert_false(is_blocking(listener));
    assert_true(is_cloexec(fd));
    assert_true(is_blocking(fd));
    close_all(fd, client, listener);
}

TEST(accept_returns_the_peer_address)
{
    struct sockaddr_in peer;
    struct sockaddr_in local;
    socklen_t length = sizeof(peer);
    int client;
    int listener = listening_with_a_client(&client);
    int fd = (int)kept(nb__sys_accept(listener, (struct sockaddr *)&peer, &length));

    assert_int_equal(length, sizeof(peer));
    length = sizeof(local);
    assert_result(kept(nb__sys_getsockname(client, (struct sockaddr *)&local, &length)), 0);
    assert_int_equal(peer.sin_port, local.sin_port);
    length = sizeof(local);
    assert_result(kept(nb__sys_getpeername(client, (struct sockaddr *)&local, &length)), 0);
    assert_int_equal(local.sin_port, address.sin_port);
    close_all(fd, client, listener);
}

TEST(accept_on_an_empty_queue_does_not_block)
{
    int listener = listening();

    assert_result(kept(nb__sys_accept(listener, NULL, NULL)), -EAGAIN);
    assert_result(nb__sys_close(listener), 0);
}

TEST_AS(blocking_can_be_turned_on_and_off_without_other_changes, UNIX_PAIR)
{
    assert_int_equal(fcntl(fds[0], F_SETFL, O_APPEND), 0);
    assert_result(kept(nb__sys_set_blocking(fds[0], false)), 0);
    assert_false(is_blocking(fds[0]));
    assert_result(kept(nb__sys_set_blocking(fds[0], true)), 0);
    assert_true(is_blocking(fds[0]));
    assert_true((fcntl(fds[0], F_GETFL) & O_APPEND) != 0);
}

TEST_AS(close_on_exec_can_be_set, UNIX_PAIR)
{
    assert_false(is_cloexec(fds[0]));
    assert_result(kept(nb__sys_set_cloexec(fds[0])), 0);
    assert_true(is_cloexec(fds[0]));
}

TEST(option_that_was_set_can_be_read)
{
    int fd = nb__sys_socket(AF_INET);
    int value = 1;
    socklen_t length = sizeof(value);

    assert_result(kept(nb__sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, length)), 0);
    value = 0;
    assert_result(kept(nb__sys_getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length)), 0);
    assert_true(value != 0);
    assert_result(nb__sys_close(fd), 0);
}

/* ---- bytes ---- */

/* What receiving one byte gives. */
static long recv_byte(int fd, int flags)
{
    char byte;

    return kept(nb__sys_recv(fd, &byte, 1, flags));
}

TEST_AS(bytes_arrive_with_exact_counts, TCP_PAIR)
{
    char buf[8] = "";

    assert_result(kept(nb__sys_send(fds[0], "hello", 5, 0)), 5);
    assert_result(kept(nb__sys_recv(fds[1], buf, 5, MSG_WAITALL)), 5);
    assert_string_equal(buf, "hello");
}

TEST_AS(gathered_parts_arrive_in_order, TCP_PAIR)
{
    char words[] = "one two three";
    struct iovec parts[] = {{words, 4}, {words, 0}, {words + 4, 4}, {words + 8, 5}};
    char buf[32] = "";

    assert_result(kept(nb__sys_sendmsg(fds[0], parts, COUNT(parts), 0)), 13);
    assert_result(kept(nb__sys_recv(fds[1], buf, 13, MSG_WAITALL)), 13);
    assert_string_equal(buf, "one two three");
}

TEST_AS(flags_reach_the_kernel, UNIX_PAIR)
{
    static char chunk[65536];
    struct iovec part = {chunk, sizeof(chunk)};
    long sent;

    assert_result(kept(nb__sys_recv(fds[0], chunk, 1, MSG_DONTWAIT)), -EAGAIN);
    do
        sent = kept(nb__sys_send(fds[0], chunk, sizeof(chunk), MSG_DONTWAIT));
    while (sent > 0);
    assert_result(sent, -EAGAIN);
    assert_result(kept(nb__sys_sendmsg(fds[0], &part, 1, MSG_DONTWAIT)), -EAGAIN);
    assert_result(kept(nb__sys_recv(fds[1], chunk, 1, MSG_PEEK)), 1);
}

/* The first of `fds` ends its stream, and the other one sees it. */
static void end_the_first(void)
{
    assert_result(kept(nb__sys_shutdown(fds[0], SHUT_WR)), 0);
    assert_result(recv_byte(fds[1], 0), 0);
}

TEST_AS(end_of_the_stream_is_zero, TCP_PAIR)
{
    end_the_first();
    assert_result(kept(nb__sys_send(fds[1], "x", 1, 0)), 1);
    assert_result(recv_byte(fds[0], 0), 1);
}

static void unblock_sigpipe(void)
{
    sigset_t pipe_only;

    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
}

/* The runner of the tests may have had it ignored: then no test would notice. */
static void let_sigpipe_kill(void)
{
    (void)dispose(SIGPIPE, SIG_DFL, 0);
    unblock_sigpipe();
}

static void check_sends_fail_without_a_signal(int fd)
{
    struct iovec part = {"x", 1};

    let_sigpipe_kill();
    assert_result(kept(nb__sys_send(fd, "x", 1, 0)), -EPIPE);
    assert_result(kept(nb__sys_sendmsg(fd, &part, 1, 0)), -EPIPE);
}

TEST(sends_to_a_closed_unix_peer_fail_without_sigpipe)
{
    unix_pair(fds);
    assert_result(nb__sys_close(fds[1]), 0);
    check_sends_fail_without_a_signal(fds[0]);
    assert_result(nb__sys_close(fds[0]), 0);
}

TEST(sends_to_a_reset_tcp_peer_fail_without_sigpipe)
{
    tcp_pair(fds);
    raw_reset(fds[1], fds[0]);
    assert_result(recv_byte(fds[0], 0), -ECONNRESET);
    check_sends_fail_without_a_signal(fds[0]);
    assert_result(nb__sys_close(fds[0]), 0);
}

TEST_AS(sends_after_shutdown_fail_without_sigpipe, TCP_PAIR)
{
    assert_result(nb__sys_shutdown(fds[0], SHUT_WR), 0);
    check_sends_fail_without_a_signal(fds[0]);
}

/* ---- waiting ---- */

TEST_AS(poll_with_a_passed_deadline_checks_once, UNIX_PAIR)
{
    static const int64_t passed[] = {0, 1, -1, INT64_MIN};

    for (size_t i = 0; i < COUNT(passed); i++)
        assert_result(kept(poll_one(fds[0], POLLIN, (nb_deadline){passed[i]})), 0);
    assert_result(nb__sys_send(fds[1], "x", 1, 0), 1);
    for (size_t i = 0; i < COUNT(passed); i++)
        assert_result(kept(poll_one(fds[0], POLLIN, (nb_deadline){passed[i]})), 1);
}

TEST_AS(poll_without_a_deadline_returns_what_is_ready, UNIX_PAIR)
{
    struct pollfd polled[2];

    assert_result(nb__sys_send(fds[1], "x", 1, 0), 1);
    polled[0] = (struct pollfd){fds[0], POLLIN | POLLOUT, 0};
    polled[1] = (struct pollfd){fds[1], POLLIN, 0};
    assert_result(kept(nb__sys_poll(polled, 2, nb_forever())), 1);
    assert_int_equal(polled[0].revents, POLLIN | POLLOUT);
    assert_int_equal(polled[1].revents, 0);
}

TEST_AS(poll_accepts_deadlines_however_far_away, UNIX_PAIR)
{
    /* The fifth is 80 years: more seconds than a time_t of 32 bits can hold. */
    static const int64_t ahead[] = {
        1, 1000, INT64_C(1) << 31, INT64_C(1) << 40, INT64_C(80) * 365 * 86400 * 1000, INT64_MAX};

    for (size_t i = 0; i < COUNT(ahead); i++)
        assert_result(kept(poll_one(fds[0], POLLOUT, nb_after_ms(ahead[i]))), 1);
    assert_result(kept(poll_one(fds[0], POLLOUT, (nb_deadline){INT64_MAX - 1})), 1);
}

TEST_AS(poll_ends_at_its_deadline_and_not_before, UNIX_PAIR)
{
    static const int64_t ahead[] = {1, 3, 20};

    for (size_t i = 0; i < COUNT(ahead); i++) {
        nb_deadline by = nb_after_ms(ahead[i]);

        assert_result(kept(poll_one(fds[0], POLLIN, by)), 0);
        assert_true(nb_expired(by));
    }
}

TEST_AS(poll_for_less_than_a_millisecond_does_not_spin_or_hang, UNIX_PAIR)
{
    nb_deadline by = {nb__now_ns() + NB__NS_PER_MS / 4};

    assert_result(kept(poll_one(fds[0], POLLIN, by)), 0);
    assert_true(nb_expired(by));
}

TEST(poll_without_descriptors_waits_for_its_deadline)
{
    nb_deadline by = nb_after_ms(1);

    assert_result(kept(nb__sys_poll(NULL, 0, by)), 0);
    assert_true(nb_expired(by));
}

TEST(poll_of_too_many_fails)
{
    struct pollfd polled[65];
    struct rlimit old;
    long result;

    skip_under_valgrind("the limit of descriptors is only imitated");
    for (size_t i = 0; i < COUNT(polled); i++)
        polled[i] = (struct pollfd){-1, 0, 0};
    old = limit_to(COUNT(polled) - 1);
    result = kept(nb__sys_poll(polled, COUNT(polled), past()));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_result(result, -EINVAL);
}

static void ignore(int number)
{
    (void)number;
}

TEST(poll_reports_a_signal)
{
    struct sigaction act = {.sa_handler = ignore};
    struct sigaction old;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec often = {{0, 2000000}, {0, 2000000}};
    timer_t timer;
    long result;

    assert_result(kept(nb__sys_sigaction(SIGALRM, &act, &old)), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
    result = kept(nb__sys_poll(NULL, 0, plenty()));
    assert_int_equal(timer_delete(timer), 0);
    assert_result(kept(nb__sys_sigaction(SIGALRM, &old, NULL)), 0);
    assert_result(result, -EINTR);
}

/* ---- wake-ups ---- */

TEST(new_wakeup_is_unset_close_on_exec_and_non_blocking)
{
    assert_result(kept(nb__sys_wake_open(wake)), 0);
    assert_false(is_readable(wake[0]));
    for (int i = 0; i < 2; i++) {
        assert_true(is_cloexec(wake[i]));
        assert_false(is_blocking(wake[i]));
    }
    errno = ODD_ERRNO;
    nb__sys_wake_close(wake);
    assert_int_equal(errno, ODD_ERRNO);
}

static void ring_and_see(void)
{
    assert_true(kept(nb__sys_wake_ring(wake)) >= 0);
    assert_true(is_readable(wake[0]));
}

static void clear_and_see(void)
{
    assert_true(kept(nb__sys_wake_clear(wake)) >= 0);
    assert_false(is_readable(wake[0]));
}

TEST_AS(wakeup_stays_readable_until_it_is_cleared, WAKE)
{
    ring_and_see();
    for (int i = 0; i < 2; i++)
        assert_true(is_readable(wake[0]));
    clear_and_see();
}

TEST_AS(one_clear_undoes_many_wakeups, WAKE)
{
    for (int i = 0; i < 1000; i++)
        ring_and_see();
    clear_and_see();
}

TEST_AS(cleared_wakeup_can_be_signalled_again, WAKE)
{
    for (int i = 0; i < 3; i++) {
        ring_and_see();
        clear_and_see();
    }
}

TEST_AS(clearing_an_unset_wakeup_does_not_block, WAKE)
{
    assert_result(kept(nb__sys_wake_clear(wake)), -EAGAIN);
    assert_false(is_readable(wake[0]));
}

TEST(closing_a_wakeup_leaves_no_descriptor)
{
    assert_result(nb__sys_wake_open(wake), 0);
    atomic_store(&bad_closes, 0);
    nb__sys_wake_close(wake);
    assert_int_equal(atomic_load(&bad_closes), 0);
    assert_int_equal(fcntl(wake[0], F_GETFD), -1);
    assert_int_equal(fcntl(wake[1], F_GETFD), -1);
}

static void ring(void *rung)
{
    (void)nb__sys_wake_ring(rung);
}

TEST_AS(wakeup_from_another_thread_ends_a_poll_without_a_deadline, WAKE)
{
    struct task task;

    task_start(&task, ring, wake);
    assert_result(kept(poll_one(wake[0], POLLIN, nb_forever())), 1);
    task_join(&task);
}

static void ring_in_a_handler(int number)
{
    (void)number;
    (void)nb__sys_wake_ring(wake);
}

TEST(wakeup_in_a_signal_handler_preserves_errno)
{
    struct sigaction act = {.sa_handler = ring_in_a_handler};
    struct sigaction old;

    assert_result(nb__sys_wake_open(wake), 0);
    assert_result(kept(nb__sys_sigaction(SIGUSR1, &act, &old)), 0);
    assert_result(kept(raise(SIGUSR1)), 0);
    assert_result(kept(nb__sys_sigaction(SIGUSR1, &old, &act)), 0);
    assert_true(act.sa_handler == ring_in_a_handler);
    assert_true(is_readable(wake[0]));
    nb__sys_wake_close(wake);
}

/* ---- who a process is ---- */

/* The number that getpid(2) gives; 0: the right one. */
static pid_t other_number;

static pid_t own_libc_getpid(void)
{
    return other_number != 0 ? other_number : real.libc_getpid();
}

REPLACE(libc_getpid, own_libc_getpid)

TEST(process_identity_is_constant_within_a_process)
{
    int self = nb__sys_process();

    assert_true(self > 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(kept(nb__sys_process()), self);
}

/* As in a child that shares the memory of its parent, as vfork(2) makes one, or where the kernel clears
   nothing at a fork. */
TEST(process_with_another_pid_has_another_identity)
{
    int self = nb__sys_process();

    other_number = real.libc_getpid() + 1;
    assert_int_not_equal(nb__sys_process(), self);
    assert_true(nb__sys_process() > 0);
    other_number = 0;
    assert_int_equal(nb__sys_process(), self);
}

/* Lets a child of a child of a child tell who each of them is, when all have the same number. */
static void tell_who(int to, int generations)
{
    for (int i = 0; i < generations; i++) {
        int who = nb__sys_process();

        if (write(to, &who, sizeof(who)) != (ssize_t)sizeof(who))
            _exit(1);
        if (fork() != 0)
            break;
    }
    (void)wait(NULL);
    _exit(0);
}

TEST(forked_process_differs_from_all_its_ancestors)
{
    int who[5];

    skip_under_qemu("it clears nothing at a fork");
    other_number = 1;
    who[0] = nb__sys_process();
    assert_int_equal(pipe(fds), 0);
    if (fork() == 0)
        tell_who(fds[1], (int)COUNT(who) - 1);
    assert_true(wait(NULL) > 0);
    other_number = 0;
    assert_int_equal(read(fds[0], who + 1, sizeof(who) - sizeof(who[0])),
                     sizeof(who) - sizeof(who[0]));
    for (size_t i = 0; i < COUNT(who); i++) {
        assert_true(who[i] > 0);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(who[i], who[j]);
    }
    close_all(fds[0], fds[1]);
}

/* ---- the queue of a listener ---- */

TEST(accept_queue_length_counts_the_waiting_connections)
{
    skip_under_qemu("TCP_INFO is cut short");
    int listener = listening();
    int clients[3];

    assert_result(kept(nb__sys_queue_length(listener)), 0);
    for (size_t i = 0; i < COUNT(clients); i++) {
        clients[i] = connected();
        assert_result(kept(nb__sys_queue_length(listener)), (int)i + 1);
    }
    for (size_t i = 0; i < COUNT(clients); i++) {
        int fd = (int)kept(nb__sys_accept(listener, NULL, NULL));

        assert_true(fd >= 0);
        assert_result(kept(nb__sys_queue_length(listener)), (int)(COUNT(clients) - 1 - i));
        close_all(fd, clients[i]);
    }
    assert_result(nb__sys_close(listener), 0);
}

/* What it tells is 0 of everything then, which says nothing. */
TEST(accept_queue_length_with_backlog_zero_is_unsupported)
{
    int fd = bound();

    assert_result(nb__sys_listen(fd, 0), 0);
    assert_result(kept(nb__sys_queue_length(fd)), -EOPNOTSUPP);
    assert_result(nb__sys_close(fd), 0);
}

TEST_AS(accept_queue_length_is_known_only_for_listening_tcp_sockets, TCP_PAIR)
{
    assert_result(nb__sys_send(fds[0], "x", 1, 0), 1);
    assert_result(kept(nb__sys_queue_length(fds[0])), -EOPNOTSUPP);
    close_all(fds[0], fds[1]);
    assert_result(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_result(kept(nb__sys_queue_length(fds[0])), -EOPNOTSUPP);
}

/* ---- connections that are no more ---- */

static void check_tcp(int fd, bool closed, bool ended)
{
    assert_result(kept(nb__sys_tcp_closed(fd)), closed);
    assert_result(kept(nb__sys_tcp_ended(fd)), ended);
}

TEST_AS(live_connection_is_not_closed, TCP_PAIR)
{
    skip_under_qemu("TCP_INFO is cut short");
    check_tcp(fds[0], false, false);
    check_tcp(fds[1], false, false);
}

TEST_AS(half_closed_connection_is_not_closed, TCP_PAIR)
{
    skip_under_qemu("TCP_INFO is cut short");
    end_the_first();
    check_tcp(fds[0], false, true);
    check_tcp(fds[1], false, false);
}

static void await_tcp_closed(int fd)
{
    eventually(nb__sys_tcp_closed(fd) != 0);
    check_tcp(fd, true, true);
}

TEST_AS(connection_that_both_sides_shut_down_is_closed, TCP_PAIR)
{
    skip_under_qemu("TCP_INFO is cut short");
    end_the_first();
    assert_result(nb__sys_shutdown(fds[1], SHUT_WR), 0);
    await_tcp_closed(fds[0]);
    await_tcp_closed(fds[1]);
}

TEST(connection_reset_by_the_peer_is_closed)
{
    skip_under_qemu("TCP_INFO is cut short");
    tcp_pair(fds);
    raw_reset(fds[1], fds[0]);
    await_tcp_closed(fds[0]);
    assert_result(nb__sys_close(fds[0]), 0);
}

TEST_AS(tcp_info_query_fails_on_a_unix_socket, UNIX_PAIR)
{
    assert_true(kept(nb__sys_tcp_closed(fds[0])) < 0);
    assert_true(kept(nb__sys_tcp_ended(fds[0])) < 0);
}

TEST_AS(disconnect_shows_a_tcp_peer_a_reset, TCP_PAIR)
{
    assert_result(kept(nb__sys_disconnect(fds[0])), 0);
    await(fds[1], POLLIN);
    assert_result(recv_byte(fds[1], 0), -ECONNRESET);
}

TEST_AS(disconnect_during_a_reply_does_not_look_like_its_end, TCP_PAIR)
{
    static char chunk[65536];
    long received;

    assert_true(nb__sys_send(fds[0], chunk, sizeof(chunk), MSG_DONTWAIT) > 0);
    assert_result(kept(nb__sys_disconnect(fds[0])), 0);
    do
        received = nb__sys_recv(fds[1], chunk, sizeof(chunk), 0);
    while (received > 0);
    assert_result(received, -ECONNRESET);
}

TEST_AS(disconnect_ends_both_directions_of_a_unix_socket, UNIX_PAIR)
{
    let_sigpipe_kill();
    assert_result(nb__sys_disconnect(fds[0]), 0);
    assert_result(recv_byte(fds[0], MSG_DONTWAIT), 0);
    assert_result(recv_byte(fds[1], MSG_DONTWAIT), 0);
    assert_result(nb__sys_send(fds[0], "x", 1, MSG_DONTWAIT), -EPIPE);
    assert_result(nb__sys_send(fds[1], "x", 1, MSG_DONTWAIT), -EPIPE);
}

TEST_AS(disconnect_of_a_unix_socket_preserves_errno, UNIX_PAIR)
{
    assert_result(kept(nb__sys_disconnect(fds[0])), 0);
}

static char more_than_fits[1 << 24];

/* What is waited in, on the first of `fds`: the result, which is at most 0 when it went well. */
static long wait_in_recv(void)
{
    char byte;

    return nb__sys_recv(fds[0], &byte, 1, 0);
}

static long wait_in_send(void)
{
    long sent = nb__sys_send(fds[0], more_than_fits, sizeof(more_than_fits), 0);

    return sent < (long)sizeof(more_than_fits) ? 0 : sent;
}

static long wait_in_poll(void)
{
    return poll_one(fds[0], POLLIN, nb_forever()) == 1 ? 0 : 1;
}

/* A thread that waits; static, so that one which never wakes does no harm. */
static struct {
    struct task task;
    long (*wait)(void);
    long result;
} waiter;

static void run_waiter(void *unused)
{
    (void)unused;
    unblock_sigpipe();
    waiter.result = waiter.wait();
}

/* Disconnects the first of `fds` while a thread waits on it; gives what the wait gave. */
static long disconnect_under(long (*wait)(void))
{
    waiter.wait = wait;
    task_start(&waiter.task, run_waiter, NULL);
    task_until_blocked(&waiter.task);
    assert_result(nb__sys_disconnect(fds[0]), 0);
    task_join(&waiter.task);
    return waiter.result;
}

typedef void make_pair(int pair[2]);

static void check_disconnect_wakes_all_kinds_of_waits(make_pair *pair)
{
    long (*const waits[])(void) = {wait_in_recv, wait_in_send, wait_in_poll};

    let_sigpipe_kill();
    for (size_t i = 0; i < COUNT(waits); i++) {
        pair(fds);
        assert_true(disconnect_under(waits[i]) <= 0);
        close_all(fds[0], fds[1]);
    }
}

TEST(disconnect_wakes_all_kinds_of_waits_on_tcp)
{
    check_disconnect_wakes_all_kinds_of_waits(tcp_pair);
}

TEST(disconnect_wakes_all_kinds_of_waits_on_a_unix_socket)
{
    check_disconnect_wakes_all_kinds_of_waits(unix_pair);
}

TEST_AS(disconnect_wakes_all_kinds_of_waits_when_the_kernel_refuses_it, DISCONNECT_CASE)
{
    sys.libc_connect = refuse_to_disconnect;
    check_disconnect_wakes_all_kinds_of_waits(tcp_pair);
}

TEST_AS(disconnect_that_the_kernel_refuses_preserves_errno, DISCONNECT_CASE)
{
    tcp_pair(fds);
    sys.libc_connect = refuse_to_disconnect;
    assert_result(kept(nb__sys_disconnect(fds[0])), 0);
    assert_result(recv_byte(fds[1], 0), 0);
    close_all(fds[0], fds[1]);
}

/* Linux 6.4 to 6.6 refuse to disconnect a socket that somebody waits on. */
static bool kernel_disconnects_under_a_wait(void)
{
    struct utsname name;
    int major = 0;
    int minor = 0;

    return uname(&name) == 0 && strcmp(name.sysname, "Linux") == 0 &&
           sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
           !(major == 6 && minor >= 4 && minor <= 6);
}

TEST_AS(disconnect_under_a_blocked_recv_shows_the_peer_a_reset, TCP_PAIR)
{
    if (!kernel_disconnects_under_a_wait())
        skip();
    assert_true(disconnect_under(wait_in_recv) <= 0);
    await(fds[1], POLLIN);
    assert_result(recv_byte(fds[1], 0), -ECONNRESET);
}

/* ---- names ---- */

TEST(interface_is_found_by_name_and_by_index)
{
    unsigned index = if_nametoindex("lo");
    char name[IF_NAMESIZE];

    if (index == 0)
        skip();
    assert_result(kept(nb__sys_if_index("lo")), index);
    assert_result(kept(nb__sys_if_name(index, name)), 0);
    assert_string_equal(name, "lo");
}

TEST(interface_that_does_not_exist_is_not_found)
{
    char name[IF_NAMESIZE];

    assert_result(kept(nb__sys_if_index("nosuchif")), -ENXIO);
    assert_result(kept(nb__sys_if_index("")), -ENXIO);
    assert_result(kept(nb__sys_if_index("a name too long for any interface")), -ENXIO);
    assert_result(kept(nb__sys_if_name(0, name)), -ENXIO);
    assert_result(kept(nb__sys_if_name(INT32_MAX, name)), -ENXIO);
    assert_result(kept(nb__sys_if_name(UINT32_MAX, name)), -ENXIO);
}

TEST(lookup_of_a_numeric_host_returns_its_stream_address)
{
    struct addrinfo *list = NULL;
    int number = 0;

    assert_result(kept(nb__sys_getaddrinfo("127.0.0.1", &list, &number)), 0);
    assert_non_null(list);
    assert_int_equal(list->ai_family, AF_INET);
    assert_int_equal(list->ai_socktype, SOCK_STREAM);
    assert_null(list->ai_next);
    errno = ODD_ERRNO;
    nb__sys_freeaddrinfo(list);
    assert_int_equal(errno, ODD_ERRNO);
}

/* The zone makes it fail before any name server is asked. */
TEST(failed_lookup_returns_its_code_and_preserves_errno)
{
    struct addrinfo *list = NULL;
    int number = 0;

    assert_result(kept(nb__sys_getaddrinfo("::1%nosuchif", &list, &number)), EAI_NONAME);
}
