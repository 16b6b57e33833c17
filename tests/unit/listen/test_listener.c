/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of listening and accepting. */
#include "listen/listener_internal.h"
#include "net/address_internal.h"
#include "servers.h"
#include "sys/sys.h"

#include <netinet/tcp.h>

struct addrinfo;

/* What the wrapped functions do beyond failing; each case begins without. */
static struct {
    int socket_family; /* sockets of this family fail with socket_error */
    int socket_error;
    int bind_family; /* binds of this family fail with bind_error, so many times (-1: always) */
    int bind_error;
    int bind_times;
    int chooses[4]; /* the families whose bind chose the port, of the first rounds */
    size_t rounds;
} now;

static nb_error err;

/* How often somebody has waited for its stop in poll. */
static atomic_int waits;

static int own_socket(int family)
{
    if (now.socket_error != 0 && family == now.socket_family)
        return -now.socket_error;
    return real.socket(family);
}

REPLACE(socket, own_socket)

static void note_who_chooses(const struct sockaddr *address, socklen_t length)
{
    nb_address wanted = nb__address_from(address, length);

    if (nb_address_port(&wanted) != 0)
        return;
    if (now.rounds < COUNT(now.chooses))
        now.chooses[now.rounds] = address->sa_family;
    now.rounds++;
}

static int own_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    note_who_chooses(address, length);
    if (address->sa_family == now.bind_family && now.bind_times != 0) {
        now.bind_times -= now.bind_times > 0;
        return -now.bind_error;
    }
    return real.bind(fd, address, length);
}

REPLACE(bind, own_bind)

static int own_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    if (the_listener != NULL && fds[0].fd == the_listener->wake[0])
        waits++;
    return real.poll(fds, count, by);
}

REPLACE(poll, own_poll)

static int own_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    (void)host;
    *out = NULL;
    *number = 0;
    return 0;
}

REPLACE(getaddrinfo, own_getaddrinfo)

static int listener_case_begin(void **state)
{
    memset(&now, 0, sizeof(now));
    waits = 0;
    return net_case_begin(state);
}

#undef NET_CASE
#define NET_CASE(name) cmocka_unit_test_setup_teardown(name, listener_case_begin, net_case_end)

static nb_status try_listen_with(const char *endpoint, const nb_listen_options *options,
                                 nb_error *error)
{
    nb_listener *listener = (nb_listener *)(void *)&now;
    nb_status status = nb_listen(&listener, endpoint, options, error);

    assert_true((status == NB_OK) == (listener != NULL));
    assert_true(error == NULL || error->status == status);
    nb_listener_close(listener);
    return status;
}

static nb_status try_listen(const char *endpoint, nb_error *error)
{
    return try_listen_with(endpoint, NULL, error);
}

/* Accepts one connection, which is ended at once. */
static nb_status accept_one(nb_deadline by, nb_error *error)
{
    nb_conn *conn = (nb_conn *)(void *)&now;
    nb_status status = nb_accept(the_listener, &conn, by, error);

    assert_true((status == NB_OK) == (conn != NULL));
    assert_true(error == NULL || error->status == status);
    nb_abort(conn);
    return status;
}

static void check_accepted(const nb_address *address)
{
    (void)dial(address);
    assert_status(accept_one(plenty(), NULL), NB_OK);
}

static void check_reached(size_t index)
{
    nb_address address = socket_address(the_listener, index);

    check_accepted(&address);
}

/* That listening fails, with this errno, and that the message has a word. */
static void check_fails(const char *endpoint, nb_status expected, int system_error,
                        const char *word)
{
    assert_status(try_listen(endpoint, &err), expected);
    assert_int_equal(err.system_error, system_error);
    assert_non_null(strstr(err.message, word));
}

#define TEST(name) TEST_AS(name, NET_CASE)

/* --- Where it listens --- */

static void check_one_socket(const char *endpoint, nb_family family)
{
    nb_address address = listen_here(endpoint);

    assert_int_equal(nb_listener_count(the_listener), 1);
    assert_int_equal(nb_address_family(&address), family);
    assert_int_not_equal(nb_address_port(&address), 0);
    check_reached(0);
}

TEST(listening_on_an_ipv4_literal_opens_one_socket)
{
    check_one_socket("127.0.0.1:0", NB_FAMILY_IPV4);
}

TEST(listening_on_an_ipv6_literal_opens_one_socket)
{
    check_one_socket("[::1]:0", NB_FAMILY_IPV6);
}

static void check_two_families(const char *endpoint, const char *v4, const char *v6)
{
    nb_address first = listen_here(endpoint);

    assert_int_equal(nb_listener_count(the_listener), 2);
    assert_same_address(first, address_of(host_at(v4, &first)));
    assert_same_address(socket_address(the_listener, 1), address_of(host_at(v6, &first)));
}

TEST(listening_on_localhost_opens_two_sockets_on_one_port)
{
    check_two_families("localhost:0", "127.0.0.1", "[::1]");
    check_reached(0);
    check_reached(1);
}

TEST(listening_on_a_name_below_localhost_opens_two_sockets_on_one_port)
{
    check_two_families("app.localhost.:0", "127.0.0.1", "[::1]");
}

TEST(listening_without_a_host_means_all_interfaces_of_both_families)
{
    check_two_families(":0", "0.0.0.0", "[::]");
}

TEST(listening_on_a_star_means_all_interfaces_of_both_families)
{
    check_two_families("*:0", "0.0.0.0", "[::]");
}

TEST(all_interfaces_are_reached_over_both_families)
{
    nb_address any = listen_here(":0");
    nb_address v4 = address_of(host_at("127.0.0.9", &any));
    nb_address v6 = address_of(host_at("[::1]", &any));

    check_accepted(&v4);
    check_accepted(&v6);
}

TEST(a_fixed_port_is_bound_as_given)
{
    nb_address wanted;

    hang_up(dead_port("127.0.0.1:0", &wanted));
    nb_address address = listen_here(host_at("localhost", &wanted));
    assert_int_equal(nb_address_port(&address), nb_address_port(&wanted));
    assert_int_equal(nb_listener_count(the_listener), 2);
}

TEST(a_busy_port_is_named)
{
    const char *text = nb_status_text(NB_ADDRESS_IN_USE);
    nb_address busy;

    (void)bare_listener("127.0.0.1:0", 8, &busy);
    check_fails(host_at("127.0.0.1", &busy), NB_ADDRESS_IN_USE, EADDRINUSE, text);
    check_fails(host_at("127.0.0.1", &busy), NB_ADDRESS_IN_USE, EADDRINUSE,
                host_at("127.0.0.1", &busy));
}

TEST(a_port_busy_in_one_family_is_busy)
{
    nb_address busy4, busy6;

    (void)bare_listener("127.0.0.1:0", 8, &busy4);
    assert_status(try_listen(host_at("localhost", &busy4), NULL), NB_ADDRESS_IN_USE);
    assert_int_equal(calls(ON_BIND), 1); /* a fixed port is not tried again */
    (void)bare_listener("[::1]:0", 8, &busy6);
    assert_status(try_listen(host_at("localhost", &busy6), NULL), NB_ADDRESS_IN_USE);
    nb_address other = address_of(host_at("127.0.0.1", &busy6));
    assert_int_equal(dial_quietly(&other), -ECONNREFUSED);
}

TEST(listening_on_an_address_of_another_host_is_unavailable)
{
    check_fails("192.0.2.1:0", NB_ADDRESS_UNAVAILABLE, EADDRNOTAVAIL, "192.0.2.1:0");
}

TEST(listening_on_a_privileged_port_is_a_permission_error)
{
    fail_next(ON_BIND, EACCES, -1);
    check_fails("localhost:0", NB_PERMISSION, EACCES, "");
}

static void check_bad_endpoints(const char *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_status(try_listen(rows[i], &err), NB_BAD_ENDPOINT);
        assert_non_null(strstr(err.message, rows[i]));
    }
}

TEST(listen_refuses_and_names_an_invalid_endpoint)
{
    static const char *const rows[] = {"",
                                       "80",
                                       "99999",
                                       "-1",
                                       "80x",
                                       "localhost",
                                       "a:b:c",
                                       "[::1",
                                       "1:80",
                                       "127.0.0.1:65536",
                                       "127.0.0.1:",
                                       "127.0.0.1:-1",
                                       "127.0.0.1:80x",
                                       "127.0.0.1: 80",
                                       "::1:80",
                                       "127.1:80",
                                       ":99999",
                                       "*:80x",
                                       "**:80",
                                       "[]:80",
                                       "[*]:80",
                                       "localhost:http"};

    check_bad_endpoints(rows, COUNT(rows));
    assert_int_equal(calls(ON_SOCKET), 0);
}

TEST(listening_looks_up_no_names)
{
    static const char *const rows[] = {"example.org:80", "some-host:0", "localhost.test:0"};

    check_bad_endpoints(rows, COUNT(rows));
    assert_int_equal(calls(ON_GETADDRINFO), 0);
}

TEST(control_bytes_of_an_endpoint_are_escaped)
{
    assert_status(try_listen("ho\nst\033[1m:80", &err), NB_BAD_ENDPOINT);
    assert_null(strchr(err.message, '\n'));
    assert_null(strchr(err.message, '\033'));
}

TEST(a_null_argument_is_invalid)
{
    nb_listener *listener = (nb_listener *)(void *)&now;
    nb_address address;
    nb_conn *conn;

    assert_status(nb_listen(NULL, "127.0.0.1:0", NULL, &err), NB_INVALID);
    assert_status(nb_listen(&listener, NULL, NULL, NULL), NB_INVALID);
    assert_null(listener);
    assert_status(nb_listener_add(NULL, "127.0.0.1:0", NULL, &err), NB_INVALID);
    (void)listen_here("127.0.0.1:0");
    assert_status(nb_listener_add(the_listener, NULL, NULL, &err), NB_INVALID);
    assert_status(nb_accept(NULL, &conn, nb_forever(), &err), NB_INVALID);
    assert_null(conn);
    assert_status(nb_accept(the_listener, NULL, nb_forever(), NULL), NB_INVALID);
    assert_status(nb_listener_address(NULL, 0, &address), NB_INVALID);
    assert_status(nb_listener_address(the_listener, 0, NULL), NB_INVALID);
    assert_int_equal(nb_listener_fd(NULL, 0), -1);
    nb_listener_stop(NULL);
    nb_listener_close(NULL);
}

TEST(an_index_out_of_range_has_no_address_and_no_descriptor)
{
    nb_address address;

    (void)listen_here("127.0.0.1:0");
    assert_status(nb_listener_address(the_listener, 1, &address), NB_INVALID);
    assert_status(nb_listener_address(the_listener, SIZE_MAX, &address), NB_INVALID);
    assert_int_equal(nb_listener_fd(the_listener, 1), -1);
    assert_int_equal(nb_listener_fd(the_listener, SIZE_MAX), -1);
}

TEST(success_keeps_errno)
{
    errno = E2BIG;
    nb_address address = listen_here("localhost:0");
    assert_int_equal(errno, E2BIG);
    (void)dial(&address);
    errno = E2BIG;
    assert_status(accept_one(plenty(), NULL), NB_OK);
    assert_int_equal(errno, E2BIG);
}

/* --- Options --- */

struct later_options {
    nb_listen_options known;
    char later[24];
};

TEST(listen_options_without_a_size_are_invalid)
{
    static const size_t sizes[] = SIZES_NEVER_SET;
    nb_listen_options options = NB_LISTEN_OPTIONS_INIT;

    for (size_t i = 0; i < COUNT(sizes); i++) {
        options.size = sizes[i];
        assert_status(try_listen_with("127.0.0.1:0", &options, NULL), NB_INVALID);
    }
}

TEST(options_of_an_older_version_are_accepted)
{
    nb_listen_options options = NB_LISTEN_OPTIONS_INIT;

    options.size = sizeof(size_t);
    assert_status(try_listen_with("127.0.0.1:0", &options, NULL), NB_OK);
}

static void check_later(char last, nb_status expected)
{
    struct later_options options = {NB_LISTEN_OPTIONS_INIT, {0}};

    options.known.size = sizeof(options);
    options.later[sizeof(options.later) - 1] = last;
    assert_status(try_listen_with("127.0.0.1:0", &options.known, NULL), expected);
}

TEST(listen_accepts_an_option_of_a_later_version_that_is_zero)
{
    check_later(0, NB_OK);
}

TEST(listen_refuses_an_option_of_a_later_version_that_is_set)
{
    check_later(1, NB_INVALID);
}

static int system_maximum(void)
{
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "r");
    int maximum = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &maximum), 1);
    fclose(file);
    return maximum;
}

static int limit_with(int64_t backlog)
{
    nb_listen_options options = {.size = sizeof(options), .backlog = backlog};
    nb_listener *listener;

    assert_status(nb_listen(&listener, "127.0.0.1:0", &options, NULL), NB_OK);
    int limit = queue_limit(nb_listener_fd(listener, 0));
    nb_listener_close(listener);
    return limit;
}

TEST(a_backlog_of_zero_or_less_means_the_system_maximum)
{
    skip_under_qemu("TCP_INFO is cut short");
    (void)listen_here("localhost:0");
    assert_int_equal(queue_limit(nb_listener_fd(the_listener, 0)), system_maximum());
    assert_int_equal(queue_limit(nb_listener_fd(the_listener, 1)), system_maximum());
    assert_int_equal(limit_with(0), system_maximum());
    assert_int_equal(limit_with(-1), system_maximum());
    assert_int_equal(limit_with(INT32_MIN), system_maximum());
}

TEST(a_requested_backlog_is_set)
{
    skip_under_qemu("TCP_INFO is cut short");
    assert_int_equal(limit_with(7), 7);
}

TEST(a_backlog_is_limited_to_the_system_maximum)
{
    skip_under_qemu("TCP_INFO is cut short");
    assert_int_equal(limit_with(INT32_MAX), system_maximum());
    assert_int_equal(limit_with((INT64_C(1) << 32) + 7), system_maximum());
    assert_int_equal(limit_with(INT64_MAX), system_maximum());
}

/* --- The sockets --- */

TEST(ipv6_sockets_never_take_ipv4)
{
    nb_address address = listen_here("[::]:0");
    nb_address v4 = address_of(host_at("127.0.0.1", &address));

    assert_int_equal(raw_option(nb_listener_fd(the_listener, 0), IPPROTO_IPV6, IPV6_V6ONLY), 1);
    assert_int_equal(dial_quietly(&v4), -ECONNREFUSED);
}

TEST(sockets_have_so_reuseaddr_but_not_so_reuseport)
{
    (void)listen_here("localhost:0");
    for (size_t i = 0; i < 2; i++) {
        int fd = nb_listener_fd(the_listener, i);

        assert_int_equal(raw_option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
        assert_int_equal(raw_option(fd, SOL_SOCKET, SO_REUSEPORT), 0);
    }
}

TEST(a_second_listener_cannot_share_the_port)
{
    nb_address address = listen_here("localhost:0");

    assert_status(try_listen(host_at("localhost", &address), NULL), NB_ADDRESS_IN_USE);
    assert_status(try_listen(host_at("127.0.0.1", &address), NULL), NB_ADDRESS_IN_USE);
    assert_status(try_listen(host_at("[::1]", &address), NULL), NB_ADDRESS_IN_USE);
    assert_status(try_listen(host_at("", &address), NULL), NB_ADDRESS_IN_USE);
}

TEST(every_descriptor_is_close_on_exec)
{
    bool before[256];

    for (int fd = 0; fd < 256; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    (void)listen_here("localhost:0");
    for (int fd = 0; fd < 256; fd++)
        assert_true(before[fd] || fcntl(fd, F_GETFD) < 0 || fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

/* Leaves a connection in TIME_WAIT on the listener's port. */
static void close_first(const nb_address *address)
{
    int client = dial(address);
    nb_conn *conn = accept_next();

    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_int_equal(answer(client, ""), 0);
    hang_up(client);
    assert_status(nb_close(conn, plenty()), NB_OK);
}

TEST(a_restart_works_while_connections_are_in_time_wait)
{
    nb_address address = listen_here("127.0.0.1:0");
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(&address, &length);
    int plain = socket(AF_INET, SOCK_STREAM, 0);

    close_first(&address);
    nb_listener_close(the_listener);
    assert_int_equal(bind(plain, raw, length), -1); /* it is in TIME_WAIT */
    close(plain);
    assert_same_address(listen_here(host_at("127.0.0.1", &address)), address);
    check_reached(0);
}

/* --- A port for both families --- */

static void fail_socket(int family, int error)
{
    now.socket_family = family;
    now.socket_error = error;
}

static void fail_bind(int family, int error, int times)
{
    now.bind_family = family;
    now.bind_error = error;
    now.bind_times = times;
}

static void check_one_port(void)
{
    nb_address first = listen_here("localhost:0");
    nb_address second = socket_address(the_listener, 1);

    assert_int_equal(nb_address_port(&first), nb_address_port(&second));
    check_reached(0);
    check_reached(1);
}

TEST(another_port_is_chosen_when_the_second_family_has_it_busy)
{
    fail_bind(AF_INET6, EADDRINUSE, 3);
    check_one_port();
    assert_in_range(now.rounds, 4, 16);
}

TEST(another_port_is_chosen_when_listen_finds_it_busy)
{
    /* the second socket of the first round, and two more */
    fail_after(ON_LISTEN, 1, EADDRINUSE, 3);
    check_one_port();
}

TEST(the_families_alternate_in_choosing_the_port)
{
    fail_next(ON_LISTEN, EADDRINUSE, -1);
    assert_status(try_listen("localhost:0", NULL), NB_ADDRESS_IN_USE);
    assert_int_not_equal(now.chooses[0], now.chooses[1]);
    assert_int_not_equal(now.chooses[1], now.chooses[2]);
    assert_int_not_equal(now.chooses[2], now.chooses[3]);
}

TEST(a_port_found_after_many_attempts_is_used)
{
    fail_next(ON_LISTEN, EADDRINUSE, 12);
    (void)listen_here("localhost:0");
    assert_in_range(now.rounds, 13, 16); /* a port may really be busy, too */
}

TEST(choosing_a_port_gives_up_after_sixteen_attempts)
{
    fail_next(ON_LISTEN, EADDRINUSE, -1);
    check_fails("localhost:0", NB_ADDRESS_IN_USE, EADDRINUSE, "localhost:0");
    assert_int_equal(now.rounds, 16);
}

TEST(only_a_busy_port_makes_listen_choose_another)
{
    fail_after(ON_LISTEN, 1, EACCES, 1);
    assert_status(try_listen("localhost:0", NULL), NB_PERMISSION);
    assert_int_equal(calls(ON_LISTEN), 2);
}

/* That listening works with the one family that is left. */
static void check_other_family(const char *endpoint, int family)
{
    nb_address address = listen_here(endpoint);

    assert_int_equal(nb_listener_count(the_listener), 1);
    assert_int_not_equal(nb__address_domain(&address), family);
    assert_int_not_equal(nb_address_port(&address), 0);
    check_reached(0);
    close_listener();
}

TEST(a_missing_family_does_not_prevent_listening_on_the_other)
{
    static const int families[] = {AF_INET, AF_INET6};
    static const char *const endpoints[] = {"localhost:0", ":0", "*:0"};

    for (size_t i = 0; i < COUNT(families) * COUNT(endpoints); i++) {
        fail_socket(families[i % 2], EAFNOSUPPORT);
        check_other_family(endpoints[i / 2], families[i % 2]);
    }
}

/* Filters of system calls and other policies answer as they like. */
TEST(a_forbidden_family_does_not_prevent_listening_on_the_other)
{
    static const int families[] = {AF_INET, AF_INET6};
    static const int errors[] = {EOPNOTSUPP, EPROTONOSUPPORT, EPERM, EACCES, ENOSYS};

    for (size_t i = 0; i < COUNT(families) * COUNT(errors); i++) {
        fail_socket(families[i % 2], errors[i / 2]);
        fail_bind(families[i % 2], errors[i / 2], -1);
        check_other_family("localhost:0", families[i % 2]);
        fail_socket(families[i % 2], 0);
        check_other_family("localhost:0", families[i % 2]);
    }
}

TEST(a_family_without_an_address_does_not_prevent_the_other)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < COUNT(families); i++) {
        fail_bind(families[i], EADDRNOTAVAIL, -1);
        check_other_family("localhost:0", families[i]);
    }
}

/* The status is that of the family that got further, whichever was tried first. */
TEST(listen_reports_the_most_informative_failure_of_both_families)
{
    static const struct {
        int of_socket, of_bind;
        nb_status status;
    } rows[] = {
        {EAFNOSUPPORT, EACCES, NB_PERMISSION},
        {EPROTONOSUPPORT, EADDRNOTAVAIL, NB_ADDRESS_UNAVAILABLE},
        {EPERM, EADDRNOTAVAIL, NB_PERMISSION},
        {EOPNOTSUPP, EADDRINUSE, NB_ADDRESS_IN_USE},
    };
    static const int families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        const char *at = families[i % 2] == AF_INET ? "[::1]" : "127.0.0.1";
        fail_socket(families[i % 2], rows[i / 2].of_socket);
        fail_bind(families[1 - i % 2], rows[i / 2].of_bind, -1);
        assert_status(try_listen("localhost:0", &err), rows[i / 2].status);
        if (rows[i / 2].status != NB_PERMISSION || rows[i / 2].of_bind == EACCES)
            assert_non_null(strstr(err.message, at));
    }
}

/* Also where a family could be left out for it. */
TEST(an_option_that_one_family_refuses_fails_the_listen)
{
    nb_listen_options options = {.size = sizeof(options), .send_buffer_bytes = 10000};

    fail_after(ON_SETSOCKOPT, 1, EPERM, 1); /* the default before it may fail */
    assert_status(try_listen_with("localhost:0", &options, &err), NB_PERMISSION);
    assert_non_null(strstr(err.message, "send_buffer_bytes"));
}

TEST(listening_without_any_address_family_is_an_error)
{
    fail_next(ON_BIND, EADDRNOTAVAIL, -1);
    assert_status(try_listen("localhost:0", NULL), NB_ADDRESS_UNAVAILABLE);
    fail_next(ON_BIND, EAFNOSUPPORT, -1);
    assert_status(try_listen("localhost:0", NULL), NB_UNSUPPORTED);
}

TEST(listening_on_a_literal_of_a_missing_family_is_unsupported)
{
    fail_socket(AF_INET6, EAFNOSUPPORT);
    assert_status(try_listen("[::1]:0", NULL), NB_UNSUPPORTED);
}

TEST(other_failures_of_one_family_fail_the_listen)
{
    static const struct {
        int error;
        nb_status status;
    } rows[] = {
        {EMFILE, NB_NO_DESCRIPTORS},
        {ENOBUFS, NB_NO_MEMORY},
        {EINVAL, NB_SYSTEM},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        fail_socket(AF_INET6, rows[i].error);
        check_fails("localhost:0", rows[i].status, rows[i].error, "");
    }
}

TEST(an_ipv6_socket_that_cannot_be_made_ipv6_only_fails)
{
    fail_next(ON_SETSOCKOPT, EIO, -1);
    assert_status(try_listen("[::1]:0", &err), NB_SYSTEM);
    assert_non_null(strstr(err.message, "IPV6_V6ONLY"));
}

TEST(a_default_option_that_cannot_be_set_does_not_fail_the_listen)
{
    fail_next(ON_SETSOCKOPT, EIO, -1);
    (void)listen_here("127.0.0.1:0");
}

struct without_ipv6 {
    bool disabled;
    nb_status status;
    size_t count;
};

static void listen_without_ipv6(void *argument)
{
    struct without_ipv6 *host = argument;
    FILE *file = fopen("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w");
    nb_listener *listener;

    if (file == NULL)
        return;
    host->disabled = fputs("1", file) >= 0;
    host->disabled = fclose(file) == 0 && host->disabled;
    host->status = nb_listen(&listener, "localhost:0", NULL, NULL);
    host->count = listener != NULL ? nb_listener_count(listener) : 0;
    nb_listener_close(listener);
}

TEST(a_host_with_ipv6_switched_off_is_served_over_ipv4)
{
    struct without_ipv6 host = {false, NB_OK, 0};

    if (!in_own_network(listen_without_ipv6, &host) || !host.disabled)
        skip_because("a network of its own is not allowed here (not root)");
    assert_status(host.status, NB_OK);
    assert_int_equal(host.count, 1);
}

/* --- More endpoints --- */

TEST(one_accept_serves_all_endpoints)
{
    (void)listen_here("127.0.0.1:0");
    assert_status(nb_listener_add(the_listener, "127.0.0.2:0", NULL, NULL), NB_OK);
    assert_status(nb_listener_add(the_listener, "localhost:0", NULL, NULL), NB_OK);
    assert_int_equal(nb_listener_count(the_listener), 4);
    nb_address second = socket_address(the_listener, 1);
    assert_string_equal(
        nb_address_format(&second, (char[NB_ADDRESS_TEXT_MAX]){0}, NB_ADDRESS_TEXT_MAX),
        host_at("127.0.0.2", &second));
    for (size_t i = 0; i < 4; i++)
        check_reached(i);
}

TEST(an_endpoint_that_cannot_be_added_leaves_the_listener_unchanged)
{
    nb_address address = listen_here("127.0.0.1:0");
    nb_address busy;
    int fd = nb_listener_fd(the_listener, 0);

    (void)bare_listener("127.0.0.2:0", 8, &busy);
    size_t descriptors = open_descriptors();
    assert_status(nb_listener_add(the_listener, host_at("127.0.0.2", &busy), NULL, &err),
                  NB_ADDRESS_IN_USE);
    assert_non_null(strstr(err.message, host_at("127.0.0.2", &busy)));
    assert_status(nb_listener_add(the_listener, "example.org:80", NULL, &err), NB_BAD_ENDPOINT);
    assert_status(nb_listener_add(the_listener, host_at("127.0.0.1", &address), NULL, NULL),
                  NB_ADDRESS_IN_USE);
    assert_int_equal(open_descriptors(), descriptors);
    assert_int_equal(nb_listener_count(the_listener), 1);
    assert_int_equal(nb_listener_fd(the_listener, 0), fd);
    check_reached(0);
}

TEST(a_listener_has_at_most_sixty_four_sockets)
{
    (void)listen_here("127.0.0.1:0");
    while (nb_listener_count(the_listener) < NB_LISTENER_SOCKETS_MAX - 1)
        assert_status(nb_listener_add(the_listener, "127.0.0.1:0", NULL, &err), NB_OK);
    assert_status(nb_listener_add(the_listener, "localhost:0", NULL, &err), NB_TOO_LONG);
    assert_status(err.status, NB_TOO_LONG);
    assert_int_equal(nb_listener_count(the_listener), NB_LISTENER_SOCKETS_MAX - 1);
    assert_status(nb_listener_add(the_listener, "127.0.0.1:0", NULL, &err), NB_OK);
    assert_status(nb_listener_add(the_listener, "127.0.0.1:0", NULL, &err), NB_TOO_LONG);
    assert_int_equal(nb_listener_count(the_listener), NB_LISTENER_SOCKETS_MAX);
    check_reached(0);
    check_reached(NB_LISTENER_SOCKETS_MAX - 1);
}

TEST(nothing_is_added_to_a_stopped_listener)
{
    (void)listen_here("127.0.0.1:0");
    nb_listener_stop(the_listener);
    assert_status(nb_listener_add(the_listener, "127.0.0.1:0", NULL, NULL), NB_CANCELLED);
    assert_int_equal(nb_listener_count(the_listener), 1);
}

TEST(options_of_an_added_endpoint_apply)
{
    nb_listen_options options = NB_LISTEN_OPTIONS_INIT;

    skip_under_qemu("TCP_INFO is cut short");
    (void)listen_here("127.0.0.1:0");
    options.backlog = 7;
    assert_status(nb_listener_add(the_listener, "127.0.0.1:0", &options, NULL), NB_OK);
    assert_int_equal(queue_limit(nb_listener_fd(the_listener, 1)), 7);
    options.size = 0;
    assert_status(nb_listener_add(the_listener, "127.0.0.1:0", &options, NULL), NB_INVALID);
}

/* --- Accepting --- */

TEST(an_accepted_connection_is_blocking_close_on_exec_and_without_delay)
{
    nb_conn *conn;

    (void)listen_here("localhost:0");
    for (size_t i = 0; i < 2; i++) {
        nb_address address = socket_address(the_listener, i);

        (void)dial(&address);
        conn = accept_next();
        assert_int_equal(fcntl(nb_conn_fd(conn), F_GETFL) & O_NONBLOCK, 0);
        assert_int_equal(fcntl(nb_conn_fd(conn), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(raw_option(nb_conn_fd(conn), IPPROTO_TCP, TCP_NODELAY), 1);
        nb_abort(conn);
    }
}

TEST(the_peer_of_an_accepted_connection_is_the_client)
{
    (void)listen_here("localhost:0");
    for (size_t i = 0; i < 2; i++) {
        nb_address address = socket_address(the_listener, i);
        nb_address client = own_address(dial(&address));
        nb_conn *conn = accept_next();

        assert_same_address(peer_address(conn), client);
        assert_same_address(local_address(conn), address);
        nb_abort(conn);
    }
}

TEST(accept_without_a_client_ends_at_its_deadline)
{
    (void)listen_here("localhost:0");
    nb_deadline by = nb_after_ms(50);
    assert_status(accept_one(by, &err), NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_int_equal(err.system_error, 0);
}

TEST(signals_do_not_move_the_deadline_of_accept)
{
    (void)listen_here("127.0.0.1:0");
    storm_begin(0);
    nb_deadline by = nb_after_ms(100);
    assert_status(accept_one(by, NULL), NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_true(storm_end() > 0);
}

TEST(accept_with_an_expired_deadline_accepts_nobody)
{
    (void)listen_with_a_client();
    assert_status(accept_one(nb_after_ms(0), NULL), NB_TIMEOUT);
    assert_int_equal(calls(ON_ACCEPT), 0);
    assert_status(accept_one(plenty(), NULL), NB_OK);
}

TEST(an_accepted_connection_outlives_its_listener)
{
    int client = listen_with_a_client();
    nb_conn *conn = accept_next();

    close_listener();
    assert_status(nb_send_all(conn, HELLO, strlen(HELLO), NULL, plenty()), NB_OK);
    assert_int_equal(answer_so_far(client, HELLO), 0);
    nb_abort(conn);
}

static bool peer_is_at(nb_conn *conn, const nb_address *socket)
{
    nb_address local = local_address(conn);

    nb_abort(conn);
    return nb_address_equal(&local, socket);
}

static void check_fair(size_t busy, size_t quiet)
{
    int accepts = 1;

    (void)listen_here("127.0.0.1:0");
    assert_status(nb_listener_add(the_listener, "127.0.0.1:0", NULL, NULL), NB_OK);
    nb_address busy_address = socket_address(the_listener, busy);
    nb_address quiet_address = socket_address(the_listener, quiet);
    dial_times(20, &busy_address);
    (void)dial(&quiet_address);
    while (accepts <= 20 && !peer_is_at(accept_next(), &quiet_address))
        accepts++;
    assert_in_range(accepts, 1, 4);
}

TEST(a_busy_first_socket_does_not_starve_the_second)
{
    check_fair(0, 1);
}

TEST(a_busy_second_socket_does_not_starve_the_first)
{
    check_fair(1, 0);
}

/* What those who accept until the listener is stopped have accepted, and how many have ended then. */
static atomic_int accepted;
static atomic_int endings;

static void accept_until_stopped(void *unused)
{
    (void)unused;
    nb_conn *conn;
    nb_status status;

    while ((status = nb_accept(the_listener, &conn, nb_forever(), NULL)) == NB_OK) {
        accepted++;
        nb_close(conn, nb_after_ms(0)); /* a reset could be what the client's connect() gives */
    }
    endings += status == NB_CANCELLED && conn == NULL;
}

/* Waits until a thread waits in nb_accept(): for a connection, or for its turn. */
static void until_accepting(const struct task *task)
{
    eventually(thread_waits(task->tid, FOR_EVENTS) || thread_waits(task->tid, FOR_A_LOCK));
}

static void start_accepting(struct task *tasks, size_t length)
{
    accepted = endings = 0;
    for (size_t i = 0; i < length; i++)
        task_start(&tasks[i], accept_until_stopped, NULL);
}

static void until_all_accept(const struct task *tasks, size_t length)
{
    for (size_t i = 0; i < length; i++)
        until_accepting(&tasks[i]);
}

/* Stops the listener, which has to end all of them. */
static void stop_accepting(struct task *tasks, size_t length)
{
    nb_listener_stop(the_listener);
    for (size_t i = 0; i < length; i++)
        task_join(&tasks[i]);
    assert_int_equal(endings, length);
}

TEST(several_threads_accept_each_connection_once)
{
    nb_address address = listen_here("localhost:0");
    struct task tasks[4];

    start_accepting(tasks, COUNT(tasks));
    dial_times(40, &address);
    eventually(accepted == 40);
    until_all_accept(tasks, COUNT(tasks));
    stop_accepting(tasks, COUNT(tasks));
    assert_int_equal(accepted, 40);
}

TEST(a_connection_wakes_only_one_of_many_accepting_threads)
{
    nb_address address = listen_here("127.0.0.1:0");
    struct task tasks[16];

    start_accepting(tasks, COUNT(tasks));
    until_all_accept(tasks, COUNT(tasks));
    for (int i = 0; i < 20; i++) {
        (void)dial(&address);
        eventually(accepted == i + 1);
    }
    stop_accepting(tasks, COUNT(tasks));
    assert_in_range(waits, 20, 21);
}

/* One accept in a thread. */
struct accepting {
    struct task task;
    nb_deadline by;
    atomic_int status;
};

static void accept_once(void *argument)
{
    struct accepting *accepting = argument;
    nb_conn *conn;

    accepting->status = nb_accept(the_listener, &conn, accepting->by, NULL);
    nb_close(conn, nb_after_ms(0));
}

static void start_to_accept(struct accepting *accepting, nb_deadline by)
{
    accepting->by = by;
    accepting->status = -1;
    task_start(&accepting->task, accept_once, accepting);
}

TEST(a_thread_waiting_for_its_turn_to_accept_keeps_its_deadline)
{
    struct accepting first;

    (void)listen_here("127.0.0.1:0");
    start_to_accept(&first, nb_forever());
    task_until_blocked(&first.task);
    nb_deadline by = nb_after_ms(50);
    assert_status(accept_one(by, NULL), NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_int_equal(waits, 1);
    nb_listener_stop(the_listener);
    task_join(&first.task);
    assert_status((nb_status)first.status, NB_CANCELLED);
}

TEST(an_accept_that_times_out_passes_its_turn_on)
{
    nb_address address = listen_here("127.0.0.1:0");
    struct accepting first, second;

    start_to_accept(&first, nb_after_ms(200));
    task_until_blocked(&first.task);
    start_to_accept(&second, plenty());
    task_join(&first.task);
    assert_status((nb_status)first.status, NB_TIMEOUT);
    (void)dial(&address);
    task_join(&second.task);
    assert_status((nb_status)second.status, NB_OK);
}

TEST(a_thread_waiting_for_its_turn_to_accept_reports_the_shortage)
{
    struct accepting first;

    (void)listen_with_a_client();
    fail_next(ON_ACCEPT, EMFILE, -1);
    start_to_accept(&first, nb_forever());
    eventually(calls(ON_ACCEPT) >= 2);
    assert_status(accept_one(nb_after_ms(50), &err), NB_NO_DESCRIPTORS);
    assert_int_equal(err.system_error, EMFILE);
    fail_next(ON_ACCEPT, 0, 0);
    task_join(&first.task);
    assert_status((nb_status)first.status, NB_OK);
}

/* --- Stopping --- */

TEST(a_stop_wakes_a_blocked_accept)
{
    struct task task;

    (void)listen_here("localhost:0");
    start_accepting(&task, 1);
    task_until_blocked(&task);
    int64_t begin = now_ns();
    stop_accepting(&task, 1);
    assert_in_range(ms_since(begin), 0, PATIENCE_MS);
}

TEST(a_stop_before_accept_is_not_lost)
{
    (void)listen_here("127.0.0.1:0");
    nb_listener_stop(the_listener);
    assert_status(accept_one(nb_forever(), &err), NB_CANCELLED);
    assert_int_equal(err.system_error, 0);
}

TEST(a_stop_is_sticky)
{
    (void)listen_with_a_client();
    for (int i = 0; i < 3; i++) {
        nb_listener_stop(the_listener);
        assert_status(accept_one(nb_forever(), NULL), NB_CANCELLED);
    }
    assert_int_equal(calls(ON_ACCEPT), 0);
}

TEST(a_stop_is_reported_before_an_expired_deadline)
{
    (void)listen_here("127.0.0.1:0");
    nb_listener_stop(the_listener);
    assert_status(accept_one(nb_after_ms(0), NULL), NB_CANCELLED);
}

TEST(a_thousand_stops_never_block)
{
    (void)listen_here("127.0.0.1:0");
    for (int i = 0; i < 1000; i++)
        nb_listener_stop(the_listener);
    assert_status(accept_one(nb_forever(), NULL), NB_CANCELLED);
}

static void stop_in_a_handler(int number)
{
    int saved = errno;

    (void)number;
    errno = ENOTTY;
    nb_listener_stop(the_listener);
    endings -= errno != ENOTTY;
    errno = saved;
}

static void accept_with_signals(void *unused)
{
    sigset_t none;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    accept_until_stopped(unused);
}

TEST(a_stop_from_a_signal_handler_ends_the_accept_it_interrupts)
{
    struct sigaction old = dispose(SIGUSR2, stop_in_a_handler, SA_RESTART);
    struct task task;

    endings = 0;
    (void)listen_here("127.0.0.1:0");
    task_start(&task, accept_with_signals, NULL);
    task_until_blocked(&task);
    assert_int_equal(pthread_kill(task.thread, SIGUSR2), 0);
    task_join(&task);
    assert_int_equal(sigaction(SIGUSR2, &old, NULL), 0);
    assert_int_equal(endings, 1);
}

/* The child shares the descriptor that wakes who accepts, but not the stop. */
TEST(a_stop_in_a_forked_child_does_not_make_accept_spin)
{
    nb_address address = listen_here("127.0.0.1:0");
    struct task tasks[3];

    skip_without_children();
    start_accepting(tasks, COUNT(tasks));
    until_all_accept(tasks, COUNT(tasks));
    stop_in_a_child(the_listener);
    (void)dial(&address);
    eventually(accepted == 1);
    assert_in_range(waits, 1, 5 * COUNT(tasks));
    stop_accepting(tasks, COUNT(tasks));
}

TEST(a_closed_listener_refuses_connections)
{
    nb_address address = listen_here("localhost:0");
    struct task task;

    start_accepting(&task, 1);
    task_until_blocked(&task);
    stop_accepting(&task, 1);
    close_listener();
    assert_int_equal(dial_quietly(&address), -ECONNREFUSED);
    assert_int_equal(accepted, 0);
}

/* --- Peers that are gone --- */

TEST(a_peer_that_reset_before_accept_still_comes_with_its_address)
{
    int client = listen_with_a_client();
    nb_address client_address = own_address(client);
    char buf[8];
    size_t received;

    say(client, "last", 4);
    break_off(client);
    nb_conn *conn = accept_next();
    assert_same_address(peer_address(conn), client_address);
    assert_status(nb_recv_exact(conn, buf, 4, &received, plenty()), NB_OK);
    assert_memory_equal(buf, "last", 4);
    assert_status(nb_recv(conn, buf, 1, &received, plenty()), NB_RESET);
    nb_abort(conn);
}

TEST(clients_that_have_left_do_not_keep_others_from_being_accepted)
{
    nb_address address = listen_here("127.0.0.1:0");
    bool found = false;

    for (int i = 0; i < 5; i++)
        break_off(dial(&address));
    say(dial(&address), "!", 1);
    for (int i = 0; i < 6 && !found; i++) {
        nb_conn *conn = accept_next();
        char byte;
        size_t received;

        found = nb_recv(conn, &byte, 1, &received, plenty()) == NB_OK && byte == '!';
        nb_abort(conn);
    }
    assert_true(found);
}

/* --- Out of descriptors, out of memory, broken --- */

TEST(accept_out_of_descriptors_ends_at_its_deadline_without_spinning)
{
    int64_t ms = 150;
    nb_deadline by;
    nb_status status;

    (void)listen_with_a_client();
    limit_descriptors(0);
    do { /* until there was time to try twice */
        by = nb_after_ms(ms);
        ms *= 2;
        status = accept_one(by, &err);
    } while (calls(ON_ACCEPT) < 2);
    unlimit_descriptors();
    assert_status(status, NB_NO_DESCRIPTORS);
    assert_passed(by, 10000);
    assert_int_equal(err.system_error, EMFILE);
    assert_in_range(calls(ON_ACCEPT), 2, 10); /* after 0, 5, 15, 35, 75 ms, and at the end */
}

TEST(accept_out_of_descriptors_without_a_client_is_a_timeout)
{
    (void)listen_here("127.0.0.1:0");
    limit_descriptors(0);
    nb_status status = accept_one(nb_after_ms(20), NULL);
    unlimit_descriptors();
    assert_status(status, NB_TIMEOUT);
}

static void free_descriptors_at_the_third_try(void *unused)
{
    (void)unused;
    wait_until(calls(ON_ACCEPT) >= 3);
    unlimit_descriptors();
}

TEST(accept_recovers_when_descriptors_become_free)
{
    struct task task;

    (void)listen_with_a_client();
    limit_descriptors(0);
    task_start(&task, free_descriptors_at_the_third_try, NULL);
    assert_status(accept_one(plenty(), NULL), NB_OK);
    task_join(&task);
    assert_in_range(calls(ON_ACCEPT), 3, 6);
}

/* Each retry waits on the clock, not anew after each signal. */
TEST(signals_do_not_delay_the_next_attempt_to_accept)
{
    (void)listen_with_a_client();
    fail_next(ON_ACCEPT, EMFILE, 3);
    storm_begin(0);
    assert_status(accept_one(plenty(), NULL), NB_OK);
    (void)storm_end();
}

/* How many milliseconds a stop takes that comes when the next try is 640 ms away. */
static int64_t stop_during_a_shortage(void)
{
    int tries = calls(ON_ACCEPT);
    struct task task;

    (void)listen_with_a_client();
    fail_next(ON_ACCEPT, EMFILE, -1);
    start_accepting(&task, 1);
    eventually(calls(ON_ACCEPT) >= tries + 8);
    int64_t begin = now_ns();
    stop_accepting(&task, 1);
    int64_t ms = ms_since(begin);
    close_listener();
    return ms;
}

TEST(a_stop_ends_the_wait_of_accept_for_descriptors)
{
    int slow = 0;

    while (stop_during_a_shortage() > 450)
        assert_true(++slow < 5); /* on a busy machine one may take as long as the wait */
}

/* At most so many descriptors as a socket pair and its wake-up need. */
TEST(listening_with_too_few_descriptors_leaks_none)
{
    for (int more = 0; more < 3; more++) {
        size_t before = open_descriptors();
        nb_listener *listener;

        limit_descriptors(more);
        nb_status status = nb_listen(&listener, "localhost:0", NULL, NULL);
        unlimit_descriptors();
        assert_status(status, NB_NO_DESCRIPTORS);
        assert_null(listener);
        assert_int_equal(open_descriptors(), before);
    }
}

TEST(a_wakeup_that_cannot_be_created_fails_the_listen)
{
    fail_next(ON_WAKE_OPEN, EMFILE, 1);
    check_fails("127.0.0.1:0", NB_NO_DESCRIPTORS, EMFILE, "127.0.0.1:0");
}

TEST(out_of_memory_for_a_listener_leaks_nothing)
{
    nb_status status = NB_NO_MEMORY;
    int failed = 0;

    while (status == NB_NO_MEMORY && failed < 20) {
        fail_after(ON_LIBC_MALLOC, failed++, ENOMEM, 1);
        status = try_listen("localhost:0", NULL);
    }
    fail_next(ON_LIBC_MALLOC, 0, 0);
    assert_status(status, NB_OK);
    assert_true(failed > 1);
}

TEST(accept_out_of_memory_reports_it_and_the_next_accept_works)
{
    nb_address address = listen_here("127.0.0.1:0");

    (void)dial(&address);
    fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
    assert_status(accept_one(plenty(), NULL), NB_NO_MEMORY);
    check_accepted(&address);
}

/* As `ss -K` does to a listening socket. */
TEST(accept_on_a_destroyed_socket_fails_without_spinning)
{
    (void)listen_here("127.0.0.1:0");
    assert_int_equal(shutdown(nb_listener_fd(the_listener, 0), SHUT_RDWR), 0);
    assert_status(accept_one(plenty(), &err), NB_SYSTEM);
    assert_int_equal(err.system_error, EINVAL);
    assert_int_equal(calls(ON_ACCEPT), 1);
}

TEST_GROUP(move_to_own_network, NULL)
