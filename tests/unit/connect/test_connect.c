/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of nb_connect(). */
#include "net/address_internal.h"
#include "servers.h"

#include <netinet/tcp.h>
#include <sys/time.h>

/* What the wrapped functions do beyond failing; each case begins without. */
static struct {
    int missing_family;       /* this machine refuses its sockets, */
    int missing_for;          /* for this reason */
    int pending_error;        /* what SO_ERROR tells */
    bool to_itself;           /* connects a socket to itself, as the kernel sometimes does */
    bool interrupted;         /* connect goes on and says EINTR */
    int writable_for_nothing; /* so many polls lie */
    bool hung_up;             /* poll shows that it is closed */
} now;

static int own_socket(int family)
{
    return family == now.missing_family ? -now.missing_for : real.socket(family);
}

REPLACE(socket, own_socket)

static int own_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int result;

    if (now.to_itself)
        assert_int_equal(nb__sys_bind(fd, address, length), 0);
    result = real.connect(fd, address, length);
    return now.interrupted && result == -EINPROGRESS ? -EINTR : result;
}

REPLACE(connect, own_connect)

static int own_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    if (now.writable_for_nothing > 0) {
        now.writable_for_nothing--;
        fds[0].revents = now.hung_up ? POLLOUT | POLLHUP : POLLOUT;
        return 1;
    }
    return real.poll(fds, count, by);
}

REPLACE(poll, own_poll)

static int own_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    int result = real.getsockopt(fd, level, name, value, length);

    if (level == SOL_SOCKET && name == SO_ERROR && now.pending_error != 0)
        memcpy(value, &now.pending_error, sizeof(now.pending_error));
    return result;
}

REPLACE(getsockopt, own_getsockopt)

static int own_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    *number = 0;
    *out = answers();
    return strcmp(host, "many.test") == 0 ? 0 : EAI_NONAME;
}

REPLACE(getaddrinfo, own_getaddrinfo)
REPLACE(freeaddrinfo, answers_free)

static int connect_case_begin(void **state)
{
    memset(&now, 0, sizeof(now));
    answers_clear();
    now.missing_family = -1;
    now.missing_for = EAFNOSUPPORT;
    return net_case_begin(state);
}

#undef NET_CASE
#define NET_CASE(name) cmocka_unit_test_setup_teardown(name, connect_case_begin, net_case_end)

/* What "many.test" has. */
static void many_is(const char *first, const char *second, const char *third)
{
    answers_clear();
    answer_address(first);
    answer_address(second);
    if (third != NULL)
        answer_address(third);
}

/* What the connect that failed last has said. */
static nb_error err;

/* Connects; what comes of it is ended, and a failure must have left no connection. */
static nb_status try_by(const char *endpoint, nb_deadline by)
{
    nb_conn *conn = (nb_conn *)(void *)&now; /* a failure has to set it to NULL */
    nb_status status = nb_connect(&conn, endpoint, NULL, by, &err);

    assert_true((status == NB_OK) == (conn != NULL));
    assert_status(err.status, status);
    nb_abort(conn);
    return status;
}

static nb_status try_connect(const char *endpoint)
{
    return try_by(endpoint, plenty());
}

static void check_connect(const char *endpoint, nb_status status, int system_error)
{
    assert_status(try_connect(endpoint), status);
    assert_int_equal(err.system_error, system_error);
}

#define assert_tells(text) assert_non_null(strstr(err.message, text))

/* A listener, and where it is: "HOST:PORT". */
static const char *listener_at(const char *where, const char *host)
{
    nb_address address;

    (void)bare_listener(where, 64, &address);
    return host_at(host, &address);
}

static const char *here(void)
{
    return listener_at("127.0.0.1:0", "127.0.0.1");
}

/* Where nobody listens, and where nobody answers. */
static const char *dead_end(void)
{
    nb_address dead;

    (void)dead_port("127.0.0.1:0", &dead);
    return host_at("127.0.0.1", &dead);
}

static const char *silence(void)
{
    nb_address silent;

    silent_port("127.0.0.1:0", &silent);
    return host_at("127.0.0.1", &silent);
}

/* The client of a listening socket that comes next, and where it comes from. */
static int accept_from(int listening, nb_address *out)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    int fd = accept(listening, (struct sockaddr *)&from, &length);

    *out = nb__address_from((struct sockaddr *)&from, length);
    return fd;
}

static nb_conn *connected_to(const nb_address *address)
{
    char text[NB_ADDRESS_TEXT_MAX];
    nb_conn *conn;

    assert_status(
        nb_connect(&conn, nb_address_format(address, text, sizeof(text)), NULL, plenty(), NULL),
        NB_OK);
    return conn;
}

/* --- Success --- */

/* That bytes go both ways between a connection and the socket at its other end. */
static void check_talk(nb_conn *conn, int other)
{
    char buf[4];
    size_t received;

    assert_status(nb_send_all(conn, "ping", 4, NULL, plenty()), NB_OK);
    assert_int_equal(answer_so_far(other, "ping"), 0);
    assert_int_equal(send(other, "pong", 4, 0), 4);
    assert_status(nb_recv_exact(conn, buf, 4, &received, plenty()), NB_OK);
    assert_memory_equal(buf, "pong", 4);
}

static void check_both_ways(const char *where)
{
    nb_address address, peer, local, seen;
    int listening = bare_listener(where, 8, &address);
    nb_conn *conn = connected_to(&address);
    int other = accept_from(listening, &seen);

    check_talk(conn, other);
    nb_conn_peer(conn, &peer);
    nb_conn_local(conn, &local);
    assert_true(nb_address_equal(&peer, &address));
    assert_true(nb_address_equal(&local, &seen));
    nb_abort(conn);
    close(other);
}

#define TEST(name) TEST_AS(name, NET_CASE)

TEST(an_ipv4_literal_connects)
{
    check_both_ways("127.0.0.1:0");
}

TEST(an_ipv6_literal_connects)
{
    check_both_ways("[::1]:0");
}

TEST(localhost_connects_when_only_ipv4_listens)
{
    assert_status(try_connect(listener_at("127.0.0.1:0", "localhost")), NB_OK);
}

TEST(localhost_connects_when_only_ipv6_listens)
{
    assert_status(try_connect(listener_at("[::1]:0", "localhost")), NB_OK);
}

TEST(localhost_connects_on_a_host_without_ipv6)
{
    now.missing_family = AF_INET6;
    assert_status(try_connect(listener_at("127.0.0.1:0", "localhost")), NB_OK);
}

TEST(localhost_connects_on_a_host_without_ipv4)
{
    now.missing_family = AF_INET;
    assert_status(try_connect(listener_at("[::1]:0", "localhost")), NB_OK);
}

/* As a filter of system calls does it, with the errno that its author has chosen. */
TEST(a_family_blocked_on_this_host_does_not_hide_a_refusal)
{
    static const int reasons[] = {EPERM, EACCES, EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT};
    nb_address dead;

    (void)dead_port("127.0.0.1:0", &dead);
    now.missing_family = AF_INET6;
    for (size_t i = 0; i < COUNT(reasons); i++) {
        now.missing_for = reasons[i];
        check_connect(host_at("localhost", &dead), NB_REFUSED, ECONNREFUSED);
    }
    now.missing_family = AF_INET; /* nobody is left to tell more */
    assert_status(try_connect(host_at("127.0.0.1", &dead)), NB_UNSUPPORTED);
}

TEST(a_connection_is_blocking_close_on_exec_and_without_delay)
{
    nb_address address;
    nb_conn *conn;
    struct timeval wait;
    socklen_t length = sizeof(wait);

    (void)bare_listener("127.0.0.1:0", 8, &address);
    conn = connected_to(&address);
    assert_int_equal(fcntl(nb_conn_fd(conn), F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(nb_conn_fd(conn), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(raw_option(nb_conn_fd(conn), IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(getsockopt(nb_conn_fd(conn), SOL_SOCKET, SO_RCVTIMEO, &wait, &length), 0);
    assert_int_equal(wait.tv_sec + wait.tv_usec, 0);
    nb_abort(conn);
}

TEST(success_clears_the_error_and_keeps_errno)
{
    const char *endpoint = here();

    memset(&err, 0xff, sizeof(err));
    errno = E2BIG;
    assert_status(try_connect(endpoint), NB_OK);
    assert_int_equal(errno, E2BIG);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message, "");
}

TEST(a_connect_without_a_deadline_succeeds)
{
    assert_status(try_by(here(), nb_forever()), NB_OK);
}

TEST(an_option_that_fails_does_not_fail_the_connection)
{
    const char *endpoint = here();

    fail_next(ON_SETSOCKOPT, EINVAL, -1);
    assert_status(try_connect(endpoint), NB_OK);
}

static atomic_int connected;

static void connect_many(void *argument)
{
    const nb_address *address = argument;
    char text[NB_ADDRESS_TEXT_MAX];
    nb_conn *conn;

    (void)nb_address_format(address, text, sizeof(text));
    for (int i = 0; i < 20; i++) {
        if (nb_connect(&conn, text, NULL, plenty(), NULL) == NB_OK)
            atomic_fetch_add(&connected, 1);
        nb_abort(conn);
    }
}

TEST(threads_connect_independently)
{
    struct task tasks[8];
    nb_address address;

    connected = 0;
    (void)bare_listener("127.0.0.1:0", 512, &address);
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_start(&tasks[i], connect_many, &address);
    for (size_t i = 0; i < COUNT(tasks); i++)
        task_join(&tasks[i]);
    assert_int_equal(connected, 20 * COUNT(tasks));
}

/* --- What is no endpoint to connect to --- */

TEST(connect_refuses_and_names_an_invalid_endpoint)
{
    static const char *const rows[] = {
        "",       "a b:80",      "localhost:0",    "80",     "[::1]:0",    "127.0.0.1:-1",
        ":80",    "[::1]80",     "127.0.0.1:+80",  "*:0",    "[zz]:80",    "127.0.0.1: 80",
        "*:80",   "127.1:80",    "127.0.0.1:80x",  "[::1",   "127.0.0.1",  "127.0.0.1:80 ",
        "1:80",   "localhost",   " 127.0.0.1:80",  "a:b:c",  "0x7f.1:80",  "[127.0.0.1]:80",
        "[]:80",  "[::1%]:80",   "127.0.0.1 x:80", "::1:80", "127.0.0.1:", "127.0.0.1:99999",
        "[::1]:", "127.0.0.1:0", "127.0.0.1:65536"};

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_status(try_connect(rows[i]), NB_BAD_ENDPOINT);
        assert_tells(rows[i]);
        assert_int_equal(err.system_error, 0);
    }
    assert_int_equal(calls(ON_SOCKET), 0);
}

TEST(control_bytes_of_an_endpoint_are_escaped)
{
    assert_status(try_connect("ho\nst\033[1m:80"), NB_BAD_ENDPOINT);
    assert_null(strchr(err.message, '\n'));
    assert_null(strchr(err.message, '\033'));
    assert_tells("ho\\x0ast\\x1b");
}

TEST(a_huge_endpoint_gives_one_bounded_line)
{
    static char huge[100000];

    memset(huge, 'x', sizeof(huge) - 1);
    assert_status(try_connect(huge), NB_BAD_ENDPOINT);
    assert_true(strlen(err.message) < sizeof(err.message));
}

TEST(connect_refuses_inherited_socket_endpoints)
{
    static const char *const rows[] = {"fd:3", "systemd:"};

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_status(try_connect(rows[i]), NB_BAD_ENDPOINT);
        assert_tells(rows[i]);
        assert_tells("for listening");
    }
}

TEST(a_null_argument_is_invalid)
{
    nb_conn *conn = (nb_conn *)(void *)&state;

    assert_status(nb_connect(NULL, "127.0.0.1:80", NULL, nb_forever(), &err), NB_INVALID);
    assert_status(err.status, NB_INVALID);
    assert_status(nb_connect(&conn, NULL, NULL, nb_forever(), &err), NB_INVALID);
    assert_null(conn);
    assert_status(nb_connect(NULL, NULL, NULL, nb_forever(), NULL), NB_INVALID);
}

/* --- Options --- */

/* The options as a later version may have them. */
struct later_options {
    nb_connect_options known;
    char later[24];
};

static nb_status try_options(const void *options)
{
    nb_conn *conn;
    nb_status status = nb_connect(&conn, here(), options, plenty(), NULL);

    assert_true((status == NB_OK) == (conn != NULL));
    nb_abort(conn);
    return status;
}

TEST(the_initial_options_are_accepted)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;

    assert_status(try_options(&options), NB_OK);
}

TEST(connect_options_without_a_size_are_invalid)
{
    static const size_t sizes[] = SIZES_NEVER_SET;
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;

    for (size_t i = 0; i < COUNT(sizes); i++) {
        options.size = sizes[i];
        assert_status(try_options(&options), NB_INVALID);
    }
}

static nb_status try_later_option(char value)
{
    struct later_options options = {NB_CONNECT_OPTIONS_INIT, {0}};

    options.known.size = sizeof(options);
    options.later[sizeof(options.later) - 1] = value;
    return try_options(&options);
}

TEST(connect_accepts_an_option_of_a_later_version_that_is_zero)
{
    assert_status(try_later_option(0), NB_OK);
}

TEST(connect_refuses_an_option_of_a_later_version_that_is_set)
{
    assert_status(try_later_option(1), NB_INVALID);
}

/* --- Refused, unreachable, out of something --- */

TEST(a_refusal_names_the_endpoint)
{
    const char *endpoint = dead_end();

    check_connect(endpoint, NB_REFUSED, ECONNREFUSED);
    assert_tells(endpoint);
    assert_tells(nb_status_text(NB_REFUSED));
}

TEST(a_refusal_names_every_attempt)
{
    nb_address dead4, dead6;

    (void)dead_port("127.0.0.1:0", &dead4);
    (void)dead_port(host_at("[::1]", &dead4), &dead6);
    assert_status(try_connect(host_at("localhost", &dead4)), NB_REFUSED);
    assert_tells(host_at("connect to localhost", &dead4));
    assert_tells(host_at("127.0.0.1", &dead4));
    assert_tells(host_at("[::1]", &dead4));
    assert_null(strchr(err.message, '\n'));
}

TEST(a_connect_fails_the_same_without_an_error_to_fill_in)
{
    nb_conn *conn = (nb_conn *)(void *)&now;

    assert_status(nb_connect(&conn, dead_end(), NULL, plenty(), NULL), NB_REFUSED);
    assert_null(conn);
    assert_status(nb_connect(&conn, "127.0.0.1:0", NULL, plenty(), NULL), NB_BAD_ENDPOINT);
    assert_null(conn);
}

/* Connects in vain until a deadline, which moves on until there was time for so many attempts, and is
   returned. */
static nb_deadline time_out_after(int attempts, const char *endpoint)
{
    int64_t ms = attempts * INT64_C(250);
    nb_deadline by;
    int before;

    do {
        before = calls(ON_CONNECT);
        by = nb_after_ms(ms);
        ms *= 2;
        assert_status(try_by(endpoint, by), NB_TIMEOUT);
    } while (calls(ON_CONNECT) < before + attempts);
    return by;
}

TEST(a_refusal_is_reported_when_other_attempts_time_out)
{
    nb_address dead, silent;

    (void)dead_port("127.0.0.2:0", &dead);
    silent_port(host_at("127.0.0.3", &dead), &silent);
    many_is("127.0.0.2:0", "127.0.0.3:0", NULL);
    (void)time_out_after(2, host_at("many.test", &dead));
    assert_tells(nb_status_text(NB_REFUSED));
    many_is("127.0.0.3:0", "127.0.0.2:0", NULL);
    (void)time_out_after(2, host_at("many.test", &dead));
    assert_tells(nb_status_text(NB_REFUSED));
}

/* Each of these errors of one of the wrapped calls, up to a 0, has a status, and is told. */
static void check_each(enum call on, nb_status status, const int *errors)
{
    const char *endpoint = here();

    for (; *errors != 0; errors++) {
        fail_next(on, *errors, 1);
        check_connect(endpoint, status, *errors);
        assert_tells(endpoint);
    }
}

#define check_failures(on, status, ...) check_each(on, status, (const int[]){__VA_ARGS__, 0})

TEST(every_failure_of_socket_has_its_status)
{
    check_failures(ON_SOCKET, NB_NO_DESCRIPTORS, EMFILE, ENFILE);
    check_failures(ON_SOCKET, NB_NO_MEMORY, ENOBUFS, ENOMEM);
    check_failures(ON_SOCKET, NB_PERMISSION, EACCES, EPERM);
    check_failures(ON_SOCKET, NB_SYSTEM, EIO);
    check_failures(ON_SOCKET, NB_UNSUPPORTED, EAFNOSUPPORT);
}

TEST(every_failure_of_connect_has_its_status)
{
    check_failures(ON_CONNECT, NB_REFUSED, ECONNREFUSED);
    check_failures(ON_CONNECT, NB_UNREACHABLE, ENETUNREACH, EHOSTUNREACH, ENETDOWN, ETIMEDOUT);
    check_failures(ON_CONNECT, NB_RESET, ECONNRESET);
    check_failures(ON_CONNECT, NB_ADDRESS_UNAVAILABLE, EADDRNOTAVAIL);
    check_failures(ON_CONNECT, NB_PERMISSION, EACCES, EPERM);
    check_failures(ON_CONNECT, NB_NO_MEMORY, ENOBUFS);
    check_failures(ON_CONNECT, NB_SYSTEM, EINVAL, EAGAIN);
}

TEST(every_pending_error_has_its_status)
{
    static const struct {
        int error;
        nb_status status;
    } rows[] = {
        {ECONNREFUSED, NB_REFUSED},    {ETIMEDOUT, NB_UNREACHABLE}, {EHOSTUNREACH, NB_UNREACHABLE},
        {ENETUNREACH, NB_UNREACHABLE}, {ECONNRESET, NB_RESET},      {EACCES, NB_PERMISSION},
        {EHOSTDOWN, NB_UNREACHABLE},   {EPROTO, NB_SYSTEM},
    };
    const char *endpoint = here();

    for (size_t i = 0; i < COUNT(rows); i++) {
        now.pending_error = rows[i].error;
        check_connect(endpoint, rows[i].status, rows[i].error);
    }
}

TEST(every_failure_of_poll_has_its_status)
{
    check_failures(ON_POLL, NB_NO_MEMORY, ENOMEM);
    check_failures(ON_POLL, NB_SYSTEM, EINVAL);
}

TEST(a_failure_to_read_so_error_fails_the_attempt)
{
    check_failures(ON_GETSOCKOPT, NB_NO_MEMORY, ENOBUFS);
    check_failures(ON_GETSOCKOPT, NB_SYSTEM, EIO);
}

TEST(a_failure_to_make_the_socket_blocking_fails_the_connect)
{
    check_failures(ON_SET_BLOCKING, NB_SYSTEM, EIO);
}

TEST(connect_without_any_address_family_is_unsupported)
{
    nb_address dead;

    (void)dead_port("127.0.0.1:0", &dead);
    fail_next(ON_SOCKET, EAFNOSUPPORT, -1);
    check_connect(host_at("localhost", &dead), NB_UNSUPPORTED, EAFNOSUPPORT);
}

/* The kernel gives up on its own after about two minutes: that is not the caller's deadline. */
TEST(etimedout_of_a_connect_is_not_a_timeout)
{
    const char *endpoint = silence();

    now.pending_error = ETIMEDOUT;
    now.writable_for_nothing = 1;
    check_connect(endpoint, NB_UNREACHABLE, ETIMEDOUT);
}

/* One allocation after the other fails, until none is left to fail. */
TEST(connect_out_of_memory_reports_it_and_leaks_nothing)
{
    nb_status status = NB_NO_MEMORY;
    const char *endpoint = here();
    int failed = 0;

    while (status == NB_NO_MEMORY && failed < 20) {
        fail_after(ON_LIBC_MALLOC, failed++, ENOMEM, 1);
        status = try_connect(endpoint);
    }
    fail_next(ON_LIBC_MALLOC, 0, 0);
    assert_status(status, NB_OK);
    assert_true(failed > 1);
}

/* --- Deadlines --- */

TEST(connect_with_an_expired_deadline_makes_no_attempt)
{
    const char *endpoint = here();

    assert_status(try_by(endpoint, nb_after_ms(0)), NB_TIMEOUT);
    assert_int_equal(calls(ON_SOCKET), 0);
    assert_tells(endpoint);
}

TEST(connect_reports_an_invalid_argument_before_an_expired_deadline)
{
    assert_status(try_by("127.0.0.1:0", nb_after_ms(0)), NB_BAD_ENDPOINT);
}

static void check_times_out(const char *endpoint)
{
    nb_deadline by = nb_after_ms(150);

    assert_status(try_by(endpoint, by), NB_TIMEOUT);
    assert_passed(by, 10000);
}

TEST(connect_without_an_answer_ends_at_its_deadline)
{
    check_times_out(silence());
    assert_int_equal(err.system_error, 0);
    assert_tells(nb_status_text(NB_TIMEOUT));
}

TEST(signals_do_not_move_the_deadline_of_a_connect)
{
    const char *endpoint = silence();

    storm_begin(0);
    check_times_out(endpoint);
    assert_true(storm_end() > 0);
}

TEST(signals_do_not_break_a_connect)
{
    nb_address address;

    (void)bare_listener("127.0.0.1:0", 4096, &address);
    storm_begin(0);
    for (int i = 0; i < 500; i++)
        assert_status(try_connect(host_at("127.0.0.1", &address)), NB_OK);
    (void)storm_end();
}

TEST(an_interrupted_connect_continues_and_is_not_repeated)
{
    now.interrupted = true;
    fail_next(ON_POLL, EINTR, 3);
    assert_status(try_connect(here()), NB_OK);
    assert_int_equal(calls(ON_CONNECT), 1);
}

TEST(a_connect_waits_on_after_spurious_writability)
{
    fail_next(ON_GETPEERNAME, ENOTCONN, 5);
    assert_status(try_connect(here()), NB_OK);
    assert_true(calls(ON_GETPEERNAME) > 5);
}

/* Reset right away, and another thread, or the system, has taken the error. */
TEST(a_connect_that_hangs_up_without_an_error_was_reset)
{
    const char *endpoint = silence();

    now.writable_for_nothing = 1;
    now.hung_up = true;
    check_connect(endpoint, NB_RESET, ECONNRESET);
}

TEST(a_silent_peer_times_out_despite_spurious_writability)
{
    const char *endpoint = silence();
    nb_deadline by;

    now.writable_for_nothing = 5;
    by = time_out_after(1, endpoint);
    assert_passed(by, 10000);
    assert_in_range(calls(ON_POLL), 6, 20);
}

TEST(a_dead_first_address_does_not_use_up_the_deadline)
{
    nb_address silent, address;
    int64_t begin;

    silent_port("127.0.0.2:0", &silent);
    (void)bare_listener(host_at("127.0.0.1", &silent), 8, &address);
    many_is("127.0.0.2:0", "127.0.0.1:0", NULL);
    begin = now_ns();
    assert_status(try_by(host_at("many.test", &silent), plenty()), NB_OK);
    assert_in_range(ms_since(begin), 249, 10000);
}

TEST(attempts_without_answers_end_together_at_the_deadline)
{
    nb_address silent, more;
    nb_deadline by;

    silent_port("127.0.0.2:0", &silent);
    silent_port(host_at("127.0.0.3", &silent), &more);
    silent_port(host_at("127.0.0.4", &silent), &more);
    many_is("127.0.0.2:0", "127.0.0.3:0", "127.0.0.4:0");
    by = time_out_after(3, host_at("many.test", &silent));
    assert_passed(by, 10000);
    assert_tells(host_at("127.0.0.2", &silent));
    assert_tells(host_at("127.0.0.3", &silent));
    assert_tells(host_at("127.0.0.4", &silent));
}

/* --- Where it comes from --- */

static nb_status connect_from(const char *local, const char *endpoint, nb_conn **out)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_status status;

    options.local = local;
    status = nb_connect(out, endpoint, &options, plenty(), &err);
    assert_true((status == NB_OK) == (*out != NULL));
    return status;
}

static nb_status try_from(const char *local, const char *endpoint)
{
    nb_conn *conn;
    nb_status status = connect_from(local, endpoint, &conn);

    nb_abort(conn);
    return status;
}

static void check_comes_from(const char *where, const char *local, const char *expected)
{
    nb_address address, own, seen;
    int listening = bare_listener(where, 8, &address);
    char text[NB_ADDRESS_TEXT_MAX];
    nb_conn *conn;
    int other;

    (void)nb_address_format(&address, text, sizeof(text));
    assert_status(connect_from(local, text, &conn), NB_OK);
    other = accept_from(listening, &seen);
    nb_conn_local(conn, &own);
    assert_true(nb_address_equal(&seen, &own));
    assert_string_equal(nb_address_format(&own, text, sizeof(text)), host_at(expected, &own));
    nb_abort(conn);
    close(other);
}

TEST(a_connection_comes_from_the_requested_local_address)
{
    check_comes_from("127.0.0.1:0", "127.0.0.77:0", "127.0.0.77");
    check_comes_from("[::1]:0", "[::1]:0", "[::1]");
}

TEST(a_local_port_can_be_requested_repeatedly)
{
    static const char *const local = "127.0.0.77:20077";
    nb_address address, from, own = address_of(local);
    int listening = bare_listener("127.0.0.1:0", 8, &address);

    for (int i = 0; i < 3; i++) {
        nb_conn *conn;

        assert_status(connect_from(local, host_at("127.0.0.1", &address), &conn), NB_OK);
        nb_conn_local(conn, &from);
        assert_true(nb_address_equal(&from, &own));
        close(accept(listening, NULL, NULL));
        nb_abort(conn);
    }
}

struct reconnect {
    const char *timestamps; /* what the network's tcp_timestamps is to be */
    bool set;
    nb_status first, ended, second;
};

static bool set_timestamps(const char *value)
{
    FILE *setting = fopen("/proc/sys/net/ipv4/tcp_timestamps", "w");
    bool set = setting != NULL && fputs(value, setting) >= 0;

    return setting != NULL && fclose(setting) == 0 && set;
}

/* Connects twice from one port to one peer, and ends the first connection before the peer does. */
static void reconnect_from_one_port(void *argument)
{
    struct reconnect *reconnect = argument;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_listener *listener = NULL;
    nb_conn *conn, *peer = NULL;
    nb_address address;
    size_t count;
    char byte;

    reconnect->set = set_timestamps(reconnect->timestamps) &&
                     nb_listen(&listener, "127.0.0.1:0", NULL, NULL) == NB_OK &&
                     nb_listener_address(listener, 0, &address) == NB_OK;
    if (!reconnect->set)
        return;
    (void)nb_address_format(&address, endpoint, sizeof(endpoint));
    reconnect->first = connect_from("127.0.0.1:20079", endpoint, &conn);
    reconnect->ended = nb_accept(listener, &peer, plenty(), NULL);
    if (reconnect->ended == NB_OK && nb_shutdown_send(conn) == NB_OK)
        reconnect->ended = nb_recv(peer, &byte, 1, &count, plenty());
    (void)nb_close(peer, nb_after_ms(0));
    (void)nb_close(conn, plenty());
    reconnect->second = connect_from("127.0.0.1:20079", endpoint, &conn);
    nb_abort(conn);
    nb_listener_close(listener);
}

static void check_reconnect(const char *timestamps, nb_status expected)
{
    struct reconnect reconnect = {.timestamps = timestamps};

    if (!in_own_network(reconnect_from_one_port, &reconnect) || !reconnect.set)
        skip_because("not allowed to choose whether TCP has timestamps");
    assert_status(reconnect.first, NB_OK);
    assert_status(reconnect.ended, NB_EOF);
    assert_status(reconnect.second, expected);
}

TEST(a_local_port_is_reusable_at_once_with_tcp_timestamps)
{
    check_reconnect("1", NB_OK);
}

TEST(a_local_port_is_not_reusable_at_once_without_tcp_timestamps)
{
    check_reconnect("0", NB_ADDRESS_UNAVAILABLE);
}

TEST(a_local_port_that_is_listened_on_is_in_use)
{
    const char *busy = listener_at("127.0.0.77:0", "127.0.0.77");

    assert_status(try_from(busy, here()), NB_ADDRESS_IN_USE);
    assert_int_equal(err.system_error, EADDRINUSE);
    assert_tells(": local: address already in use (EADDRINUSE)");
}

TEST(a_local_address_of_another_host_is_unavailable)
{
    nb_address address;

    (void)bare_listener("127.0.0.1:0", 8, &address);
    assert_status(try_from("192.0.2.1:0", host_at("localhost", &address)), NB_ADDRESS_UNAVAILABLE);
    assert_int_equal(err.system_error, EADDRNOTAVAIL);
    assert_tells(host_at("127.0.0.1", &address));
    assert_tells(": local: address not available (EADDRNOTAVAIL)");
}

TEST(only_addresses_of_the_local_family_are_tried)
{
    nb_address address;

    (void)dead_port("127.0.0.1:0", &address);
    assert_status(try_from("127.0.0.1:0", host_at("localhost", &address)), NB_REFUSED);
    assert_int_equal(calls(ON_SOCKET), 1);
    assert_null(strstr(err.message, "[::1]"));
    assert_status(try_from("[::1]:0", host_at("localhost", &address)), NB_REFUSED);
    assert_int_equal(calls(ON_SOCKET), 2);
    assert_null(strstr(err.message, "127.0.0.1"));
}

TEST(no_address_in_the_local_family_means_no_attempt)
{
    static const char *const rows[][2] = {
        {"127.0.0.1:0", "[::1]:80"}, {"[::1]:0", "127.0.0.1:80"}, {"127.0.0.1:0", "unix:@nb-none"}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_status(try_from(rows[i][0], rows[i][1]), NB_ADDRESS_UNAVAILABLE);
        assert_tells(rows[i][1]);
        assert_tells("no address of the family of local");
    }
    assert_int_equal(calls(ON_SOCKET), 0);
}

TEST(an_invalid_local_address_is_refused_and_named)
{
    static const char *const rows[] = {
        "",      "::1:0",       "[fe80::1]:0",       ":0",   "127.1:0",   "unix:/run/nb",
        "*:0",   "unix:@a",     "example.org:0",     "fd:0", "127.0.0.1", "127.0.0.1:99999",
        "[::1]", "localhost:0", "[fe80::1%nosuch]:0"};

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_status(try_from(rows[i], "127.0.0.1:80"), NB_BAD_ENDPOINT);
        assert_tells("connect from");
        assert_tells(rows[i]);
    }
    assert_int_equal(calls(ON_SOCKET), 0);
}

/* Two attempts have to come from one and the same port, to different addresses. */
TEST(attempts_from_one_local_port_can_run_at_once)
{
    nb_address silent, address;

    silent_port("127.0.0.2:0", &silent);
    (void)bare_listener(host_at("127.0.0.1", &silent), 8, &address);
    many_is("127.0.0.2:0", "127.0.0.1:0", NULL);
    assert_status(try_from("127.0.0.77:20078", host_at("many.test", &silent)), NB_OK);
}

/* --- Cancelling --- */

struct cancelled {
    struct task task;
    const char *endpoint;
    nb_fd fds[2]; /* a pipe */
    nb_status status;
    nb_error err;
};

static nb_status try_with_fd(nb_fd fd, const char *endpoint, nb_deadline by, nb_error *out)
{
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;
    nb_status status;

    options.cancel_fd = &fd;
    status = nb_connect(&conn, endpoint, &options, by, out);
    if ((status == NB_OK) != (conn != NULL))
        status = NB_SYSTEM; /* which no case expects: threads cannot assert */
    nb_abort(conn);
    return status;
}

static void connect_until_cancelled(void *argument)
{
    struct cancelled *cancelled = argument;
    cancelled->status =
        try_with_fd(cancelled->fds[0], cancelled->endpoint, plenty(), &cancelled->err);
}

/* Begins to connect, and cancels as soon as it waits for `attempts` of them. */
static void check_cancel(const char *endpoint, int attempts)
{
    struct cancelled cancelled = {.endpoint = endpoint};
    int64_t begin = now_ns();

    assert_int_equal(pipe(cancelled.fds), 0);
    task_start(&cancelled.task, connect_until_cancelled, &cancelled);
    eventually(calls(ON_CONNECT) >= attempts);
    task_until_blocked(&cancelled.task);
    assert_int_equal(write(cancelled.fds[1], "x", 1), 1);
    task_join(&cancelled.task);
    assert_status(cancelled.status, NB_CANCELLED);
    assert_true(ms_since(begin) < PATIENCE_MS);
    assert_non_null(strstr(cancelled.err.message, endpoint));
    assert_non_null(strstr(cancelled.err.message, "cancelled"));
    raw_close_pair(cancelled.fds);
}

TEST(an_unanswered_connect_can_be_cancelled)
{
    check_cancel(silence(), 1);
}

TEST(a_race_can_be_cancelled)
{
    nb_address silent, more;

    silent_port("127.0.0.2:0", &silent);
    silent_port(host_at("127.0.0.3", &silent), &more);
    many_is("127.0.0.2:0", "127.0.0.3:0", NULL);
    check_cancel(host_at("many.test", &silent), 2);
}

TEST(connect_that_was_cancelled_before_makes_no_attempt)
{
    const char *endpoint = here();
    int fds[2];
    char byte;

    assert_int_equal(pipe(fds), 0);
    assert_status(try_with_fd(fds[0], endpoint, plenty(), &err), NB_OK);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_status(try_with_fd(fds[0], endpoint, plenty(), &err), NB_CANCELLED);
    assert_status(err.status, NB_CANCELLED);
    assert_tells(endpoint);
    assert_status(try_with_fd(fds[0], endpoint, nb_after_ms(0), &err), NB_CANCELLED);
    assert_status(try_with_fd(fds[0], "127.0.0.1:0", nb_after_ms(0), &err), NB_BAD_ENDPOINT);
    assert_status(try_with_fd(fds[0], "many.test:80", plenty(), &err), NB_CANCELLED);
    assert_int_equal(calls(ON_SOCKET), 1);
    assert_int_equal(calls(ON_GETADDRINFO), 0);
    assert_int_equal(read(fds[0], &byte, 1), 1); /* the byte is left to its owner */
    raw_close(fds[1]);
    assert_status(try_with_fd(fds[0], endpoint, plenty(), &err), NB_CANCELLED);
    raw_close(fds[0]);
}

TEST(an_invalid_cancel_descriptor_is_invalid)
{
    const char *endpoint = here();
    int fd = dup(STDERR_FILENO);

    close(fd);
    assert_status(try_with_fd(-1, endpoint, plenty(), &err), NB_INVALID);
    assert_tells("cancel_fd");
    assert_status(try_with_fd(fd, endpoint, plenty(), &err), NB_INVALID);
    assert_tells("cancel_fd");
    assert_status(err.status, NB_INVALID);
    assert_int_equal(calls(ON_SOCKET), 0);
}

/* --- Unix sockets --- */

/* A Unix socket at a path or an abstract name of this test's. */
static int unix_socket(const char *endpoint, int type)
{
    nb_address address = address_of(endpoint);
    socklen_t length;
    const struct sockaddr *where = nb__address_sockaddr(&address, &length);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, where, length), 0);
    return fd;
}

static int unix_listener(const char *endpoint, int backlog)
{
    int fd = unix_socket(endpoint, SOCK_STREAM);

    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static const char *own_name(const char *format)
{
    static char name[NB_ADDRESS_TEXT_MAX];

    (void)snprintf(name, sizeof(name), format, (int)getpid());
    return name;
}

static void check_unix_both_ways(const char *endpoint)
{
    int listening = unix_listener(endpoint, 8);
    nb_address peer;
    nb_conn *conn;
    int other;

    assert_status(nb_connect(&conn, endpoint, NULL, plenty(), NULL), NB_OK);
    other = accept(listening, NULL, NULL);
    nb_conn_peer(conn, &peer);
    assert_int_equal(nb_address_family(&peer), NB_FAMILY_UNIX);
    assert_int_equal(fcntl(nb_conn_fd(conn), F_GETFL) & O_NONBLOCK, 0);
    check_talk(conn, other);
    nb_abort(conn);
    close(other);
    close(listening);
}

TEST(a_unix_path_connects)
{
    const char *endpoint = own_name("unix:/tmp/nb-test-connect-%d");

    check_unix_both_ways(endpoint);
    assert_int_equal(unlink(endpoint + 5), 0);
}

TEST(an_abstract_unix_name_connects)
{
    check_unix_both_ways(own_name("unix:@nb-test-connect-%d"));
}

TEST(a_stale_socket_file_refuses_and_a_missing_one_is_unavailable)
{
    const char *endpoint = own_name("unix:/tmp/nb-test-stale-%d");

    close(unix_listener(endpoint, 8));
    check_connect(endpoint, NB_REFUSED, ECONNREFUSED);
    assert_int_equal(unlink(endpoint + 5), 0);
    check_connect(endpoint, NB_ADDRESS_UNAVAILABLE, ENOENT);
    assert_tells(endpoint);
    assert_null(strstr(err.message, "tried"));
    assert_status(try_connect("unix:@nb-test-nobody"), NB_REFUSED);
}

TEST(a_unix_datagram_socket_is_reported_as_no_stream_socket)
{
    const char *endpoint = own_name("unix:/tmp/nb-test-datagrams-%d");
    int fd = unix_socket(endpoint, SOCK_DGRAM);

    check_connect(endpoint, NB_SYSTEM, EPROTOTYPE);
    assert_tells(": no stream socket is there: system error (EPROTOTYPE)");
    close(fd);
    assert_int_equal(unlink(endpoint + 5), 0);
}

/* A listener whose queue has no place left, and the sockets that fill it. */
static int full_queue[5];

static void fill_queue(const char *endpoint)
{
    nb_address address = address_of(endpoint);
    socklen_t length;
    const struct sockaddr *where = nb__address_sockaddr(&address, &length);
    int full = 0;

    full_queue[0] = unix_listener(endpoint, 1);
    for (size_t i = 1; i < COUNT(full_queue); i++) {
        full_queue[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        full += connect(full_queue[i], where, length) != 0;
    }
    assert_true(full > 0);
}

static void close_queue(void)
{
    for (size_t i = 0; i < COUNT(full_queue); i++)
        close(full_queue[i]);
}

TEST(a_full_unix_accept_queue_is_retried_until_the_deadline)
{
    const char *endpoint = own_name("unix:@nb-test-full-%d");

    fill_queue(endpoint);
    check_times_out(endpoint);
    assert_in_range(calls(ON_CONNECT), 1, 20);
    assert_int_equal(err.system_error, 0);
    close_queue();
}

TEST(connect_succeeds_once_a_full_unix_accept_queue_has_room)
{
    struct cancelled waiting = {.endpoint = own_name("unix:@nb-test-full-%d"), .status = NB_SYSTEM};

    fill_queue(waiting.endpoint);
    assert_int_equal(pipe(waiting.fds), 0);
    task_start(&waiting.task, connect_until_cancelled, &waiting);
    eventually(calls(ON_CONNECT) >= 3);
    close(accept(full_queue[0], NULL, NULL));
    close(accept(full_queue[0], NULL, NULL));
    task_join(&waiting.task);
    assert_status(waiting.status, NB_OK);
    raw_close_pair(waiting.fds);
    close_queue();
}

TEST(waiting_for_a_full_unix_accept_queue_can_be_cancelled)
{
    const char *endpoint = own_name("unix:@nb-test-full-%d");

    fill_queue(endpoint);
    check_cancel(endpoint, 2);
    close_queue();
}

/* --- Connections to oneself --- */

/* Connects to a port in vain, from that port. */
static nb_address meet_oneself(const char *where, const char *host)
{
    nb_address own;

    hang_up(dead_port(where, &own));
    now.to_itself = true;
    assert_status(try_connect(host_at(host, &own)), NB_REFUSED);
    return own;
}

TEST(a_connection_to_itself_is_refused)
{
    nb_address own = meet_oneself("127.0.0.1:0", "127.0.0.1");

    assert_tells(host_at("127.0.0.1", &own));
}

/* A reset leaves no TIME_WAIT, which would keep the port from whoever it belongs to. */
TEST(a_connection_to_itself_leaves_the_port_free)
{
    nb_address own = meet_oneself("127.0.0.1:0", "127.0.0.1");
    int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(&own, &length);

    assert_int_equal(bind(plain, raw, length), 0);
    raw_close(plain);
}

TEST(an_ipv6_connection_to_itself_is_refused)
{
    (void)meet_oneself("[::1]:0", "[::1]");
}

#define OWN_PORT "45000"

struct own_ports {
    bool set;
    int to_itself; /* how often bare sockets met themselves */
    int refused;
    int others;
};

static bool meets_itself(const nb_address *address)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof(local);
    int fd = dial_quietly(address);
    nb_address mine;

    if (fd < 0)
        return false;
    (void)getsockname(fd, (struct sockaddr *)&local, &length);
    mine = nb__address_from((struct sockaddr *)&local, length);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(fd);
    return nb_address_equal(&mine, address);
}

static void connect_among_two_ports(void *argument)
{
    struct own_ports *ports = argument;
    FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
    nb_address address;
    nb_conn *conn;

    if (range == NULL)
        return;
    ports->set = fputs(OWN_PORT " 45001", range) >= 0;
    ports->set = fclose(range) == 0 && ports->set;
    ports->set = nb_address_parse(&address, "127.0.0.1:" OWN_PORT) == NB_OK && ports->set;
    for (int i = 0; ports->set && i < 50; i++) {
        ports->to_itself += meets_itself(&address);
        if (nb_connect(&conn, "127.0.0.1:" OWN_PORT, NULL, nb_after_ms(500), NULL) == NB_REFUSED)
            ports->refused++;
        else
            ports->others++;
        nb_abort(conn);
    }
}

TEST(an_unused_port_of_two_ephemeral_ones_is_always_refused)
{
    struct own_ports ports = {false, 0, 0, 0};

    if (!in_own_network(connect_among_two_ports, &ports) || !ports.set)
        skip_because("a network of its own is not allowed here (not root)");
    assert_true(ports.to_itself > 0);
    assert_int_equal(ports.refused, 50);
    assert_int_equal(ports.others, 0);
}

TEST_GROUP(move_to_own_network, NULL)
