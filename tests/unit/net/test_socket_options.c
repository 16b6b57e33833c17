/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the socket options of nb_connect() and nb_listen(): what the kernel was told. */
#include "servers.h"

#include <netinet/tcp.h>

/* The option that the system refuses (error 0: none), and how many there were before and after the
   socket was connected or bound. */
static struct {
    int level;
    int name;
    int error;
    int before;
    int after;
    bool used;
} now;

static nb_error err;

static int begin(void **state)
{
    memset(&now, 0, sizeof(now));
    memset(&err, 0, sizeof(err));
    return net_case_begin(state);
}

#define OPTION_CASE(name) cmocka_unit_test_setup_teardown(name, begin, net_case_end)

static int own_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    *(now.used ? &now.after : &now.before) += 1;
    if (now.error != 0 && level == now.level && name == now.name)
        return -now.error;
    return real.setsockopt(fd, level, name, value, length);
}

REPLACE(setsockopt, own_setsockopt)

static int own_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    now.used = true;
    return real.connect(fd, address, length);
}

REPLACE(connect, own_connect)

static int own_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    now.used = true;
    return real.bind(fd, address, length);
}

REPLACE(bind, own_bind)

/* One option, in both structures, and what the kernel makes of a value. */
static const struct option {
    const char *name;
    size_t in_connect; /* where the field is */
    size_t in_listen;
    int64_t value;
    int64_t most;
    int level;
    int option;
    int becomes;
    int becomes_at_most; /* with the largest value; 0: as it likes */
} options[] = {
#define FIELD(field) #field, offsetof(nb_connect_options, field), offsetof(nb_listen_options, field)
    {FIELD(nagle), 1, 1, IPPROTO_TCP, TCP_NODELAY, 0, 0},
    {FIELD(keepalive_idle_ms), 1, 32767000, IPPROTO_TCP, TCP_KEEPIDLE, 1, 32767},
    {FIELD(keepalive_interval_ms), 2001, 32767000, IPPROTO_TCP, TCP_KEEPINTVL, 3, 32767},
    {FIELD(keepalive_count), 7, 127, IPPROTO_TCP, TCP_KEEPCNT, 7, 127},
    {FIELD(user_timeout_ms), 1234, INT32_MAX, IPPROTO_TCP, TCP_USER_TIMEOUT, 1234, INT32_MAX},
    {FIELD(send_buffer_bytes), 20000, INT32_MAX, SOL_SOCKET, SO_SNDBUF, 40000, 0},
    {FIELD(receive_buffer_bytes), 30000, INT32_MAX, SOL_SOCKET, SO_RCVBUF, 60000, 0},
    {"reuse_port", 0, offsetof(nb_listen_options, reuse_port), 1, 1, SOL_SOCKET, SO_REUSEPORT, 1,
     1},
};
#define OPTIONS_END (options + COUNT(options))
#define CONNECT_END (OPTIONS_END - 1) /* the last one is for listeners alone */

static bool is_for_any_socket(const struct option *option)
{
    return option->option == SO_SNDBUF || option->option == SO_RCVBUF;
}

static void put(void *structure, size_t at, int64_t value)
{
    memcpy((char *)structure + at, &value, sizeof(value));
}

static nb_connect_options connecting_with(const struct option *option, int64_t value)
{
    nb_connect_options made = NB_CONNECT_OPTIONS_INIT;

    put(&made, option->in_connect, value);
    return made;
}

static nb_listen_options listening_with(const struct option *option, int64_t value)
{
    nb_listen_options made = NB_LISTEN_OPTIONS_INIT;

    put(&made, option->in_listen, value);
    return made;
}

static void assert_becomes(nb_fd fd, const struct option *option)
{
    assert_int_equal(raw_option(fd, option->level, option->option), option->becomes);
}

static const char *somewhere(void)
{
    nb_address address;

    (void)bare_listener("127.0.0.1:0", 8, &address);
    return host_at("127.0.0.1", &address);
}

static nb_conn *connected_with(const nb_connect_options *made)
{
    nb_conn *conn;

    if (nb_connect(&conn, somewhere(), made, plenty(), &err) != NB_OK)
        fail_msg("%s", err.message);
    return conn;
}

/* Makes the listener of the case. */
static void listen_with(const char *endpoint, const nb_listen_options *made)
{
    if (nb_listen(&the_listener, endpoint, made, &err) != NB_OK)
        fail_msg("%s", err.message);
}

static nb_conn *accepted(void)
{
    nb_address address;

    assert_status(nb_listener_address(the_listener, 0, &address), NB_OK);
    (void)dial(&address);
    return accept_next();
}

static void refuse(int level, int name, int error)
{
    now.level = level;
    now.name = name;
    now.error = error;
}

/* That connecting or listening fails so with a value of an option, which is named. */
static void check_connect_fails(const char *endpoint, const struct option *option, int64_t value,
                                nb_status expected)
{
    nb_connect_options made = connecting_with(option, value);
    nb_conn *conn;

    memset(&err, 0, sizeof(err));
    assert_status(nb_connect(&conn, endpoint, &made, plenty(), &err), expected);
    assert_null(conn);
    assert_non_null(strstr(err.message, option->name));
}

static void check_listen_fails(const char *endpoint, const struct option *option, int64_t value,
                               nb_status expected)
{
    nb_listen_options made = listening_with(option, value);
    nb_listener *listener;

    memset(&err, 0, sizeof(err));
    assert_status(nb_listen(&listener, endpoint, &made, &err), expected);
    assert_null(listener);
    assert_non_null(strstr(err.message, option->name));
}

#define TEST(name) TEST_AS(name, OPTION_CASE)

/* ---- what the kernel is told ---- */

TEST(each_option_reaches_the_socket_that_connects)
{
    for (const struct option *option = options; option < CONNECT_END; option++) {
        nb_connect_options made = connecting_with(option, option->value);
        nb_conn *conn = connected_with(&made);

        assert_becomes(nb_conn_fd(conn), option);
        nb_abort(conn);
    }
}

TEST(each_option_reaches_every_listening_and_accepted_socket)
{
    for (const struct option *option = options; option < OPTIONS_END; option++) {
        nb_listen_options made = listening_with(option, option->value);
        nb_conn *conn;

        listen_with("localhost:0", &made);
        conn = accepted();
        for (size_t j = 0; j < nb_listener_count(the_listener); j++)
            assert_becomes(nb_listener_fd(the_listener, j), option);
        assert_becomes(nb_conn_fd(conn), option);
        nb_abort(conn);
        close_listener();
    }
}

TEST(the_largest_option_values_are_accepted)
{
    for (const struct option *option = options; option < OPTIONS_END; option++) {
        nb_listen_options made = listening_with(option, option->most);
        int value;

        listen_with("127.0.0.1:0", &made);
        value = raw_option(nb_listener_fd(the_listener, 0), option->level, option->option);
        if (option->becomes_at_most != 0)
            assert_int_equal(value, option->becomes_at_most);
        close_listener();
    }
}

TEST(milliseconds_are_rounded_up_to_the_kernels_seconds)
{
    static const struct {
        int64_t ms;
        int seconds;
    } rows[] = {{1, 1}, {999, 1}, {1000, 1}, {1001, 2}, {60000, 60}, {32766001, 32767}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        nb_connect_options made = NB_CONNECT_OPTIONS_INIT;
        nb_conn *conn;

        made.keepalive_idle_ms = made.keepalive_interval_ms = rows[i].ms;
        conn = connected_with(&made);
        assert_int_equal(raw_option(nb_conn_fd(conn), IPPROTO_TCP, TCP_KEEPIDLE), rows[i].seconds);
        assert_int_equal(raw_option(nb_conn_fd(conn), IPPROTO_TCP, TCP_KEEPINTVL), rows[i].seconds);
        nb_abort(conn);
    }
}

TEST(each_of_the_three_keepalive_options_turns_keepalive_on)
{
    for (const struct option *option = options; option < CONNECT_END; option++) {
        nb_connect_options made = connecting_with(option, option->value);
        nb_conn *conn = connected_with(&made);

        assert_int_equal(raw_option(nb_conn_fd(conn), SOL_SOCKET, SO_KEEPALIVE),
                         strncmp(option->name, "keepalive_", 10) == 0);
        nb_abort(conn);
    }
}

TEST(only_tcp_nodelay_is_set_by_default)
{
    nb_conn *conn = connected_with(NULL);
    int fresh = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(now.before + now.after, 1);
    assert_int_equal(raw_option(nb_conn_fd(conn), IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(raw_option(nb_conn_fd(conn), SOL_SOCKET, SO_KEEPALIVE), 0);
    for (const struct option *option = options + 1; option < OPTIONS_END; option++) {
        if (!is_for_any_socket(option))
            assert_int_equal(raw_option(nb_conn_fd(conn), option->level, option->option),
                             raw_option(fresh, option->level, option->option));
    }
    nb_abort(conn);
    raw_close(fresh);
}

TEST(tcp_nodelay_is_never_set_with_nagle)
{
    nb_connect_options made = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;

    made.nagle = true;
    conn = connected_with(&made);
    assert_int_equal(now.before + now.after, 1);
    nb_abort(conn);
}

TEST(options_are_set_before_the_socket_is_used)
{
    nb_connect_options connecting = NB_CONNECT_OPTIONS_INIT;
    nb_listen_options made = NB_LISTEN_OPTIONS_INIT;
    nb_conn *conn;

    connecting.receive_buffer_bytes = connecting.user_timeout_ms = 4096;
    conn = connected_with(&connecting);
    assert_int_equal(now.before, 3);
    assert_int_equal(now.after, 0);
    nb_abort(conn);
    memset(&now, 0, sizeof(now));
    made.receive_buffer_bytes = made.user_timeout_ms = 4096;
    made.reuse_port = true;
    listen_with("127.0.0.1:0", &made);
    assert_int_equal(now.before, 5); /* with TCP_NODELAY and SO_REUSEADDR */
    assert_int_equal(now.after, 0);
}

/* ---- what is no value ---- */

/* That a message says that it is a wrong call, and which value is the largest. */
static void assert_explained(const struct option *option)
{
    char most[32];

    assert_status(err.status, NB_INVALID);
    (void)snprintf(most, sizeof(most), "expected 0 to %lld", (long long)option->most);
    assert_non_null(strstr(err.message, most));
}

TEST(a_value_out_of_its_range_is_invalid_and_named)
{
    for (const struct option *option = options; option < OPTIONS_END; option++) {
        const int64_t wrong[] = {-1, option->most + 1, INT64_MIN, INT64_MAX};

        for (size_t j = 0; j < COUNT(wrong); j++) {
            nb_listen_options made = listening_with(option, wrong[j]);

            if (option < CONNECT_END) {
                check_connect_fails(somewhere(), option, wrong[j], NB_INVALID);
                assert_explained(option);
            }
            check_listen_fails("127.0.0.1:0", option, wrong[j], NB_INVALID);
            assert_explained(option);
            listen_with("127.0.0.1:0", NULL);
            assert_status(nb_listener_add(the_listener, "127.0.0.1:0", &made, &err), NB_INVALID);
            assert_non_null(strstr(err.message, option->name));
            assert_explained(option);
            close_listener();
        }
    }
}

/* ---- what the system refuses ---- */

static void assert_unsupported_by_the_system(void)
{
    assert_int_equal(err.system_error, ENOPROTOOPT);
    assert_non_null(strstr(err.message, "ENOPROTOOPT"));
}

TEST(a_requested_option_that_is_refused_fails_the_connect_and_is_named)
{
    for (const struct option *option = options; option < CONNECT_END; option++) {
        refuse(option->level, option->option, ENOPROTOOPT);
        check_connect_fails(somewhere(), option, option->value, NB_UNSUPPORTED);
        assert_unsupported_by_the_system();
    }
}

TEST(a_requested_option_that_is_refused_fails_the_listen_and_is_named)
{
    for (const struct option *option = options; option < OPTIONS_END; option++) {
        refuse(option->level, option->option, ENOPROTOOPT);
        check_listen_fails("localhost:0", option, option->value, NB_UNSUPPORTED);
        assert_unsupported_by_the_system();
    }
}

TEST(a_refused_keepalive_is_named_after_the_option_that_requested_it)
{
    nb_connect_options made = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;

    made.keepalive_count = 3;
    refuse(SOL_SOCKET, SO_KEEPALIVE, EPERM);
    assert_status(nb_connect(&conn, somewhere(), &made, plenty(), &err), NB_PERMISSION);
    assert_non_null(strstr(err.message, "keepalive_count"));
}

TEST(a_refused_option_is_named_for_every_address_that_was_tried)
{
    nb_connect_options made = NB_CONNECT_OPTIONS_INIT;
    nb_address address;
    nb_conn *conn;

    (void)bare_listener("127.0.0.1:0", 8, &address);
    made.user_timeout_ms = 1000;
    refuse(IPPROTO_TCP, TCP_USER_TIMEOUT, ENOPROTOOPT);
    assert_status(nb_connect(&conn, host_at("localhost", &address), &made, plenty(), &err),
                  NB_UNSUPPORTED);
    assert_non_null(strstr(err.message, "user_timeout_ms"));
    assert_non_null(strstr(err.message, "tried "));
}

TEST(a_refused_default_is_ignored)
{
    refuse(IPPROTO_TCP, TCP_NODELAY, ENOPROTOOPT);
    nb_abort(connected_with(NULL));
    listen_with("localhost:0", NULL);
    nb_abort(accepted());
}

/* ---- Unix sockets ---- */

/* An abstract name of this process alone. */
static const char *unix_endpoint(void)
{
    static char endpoint[64];

    (void)snprintf(endpoint, sizeof(endpoint), "unix:@netbasics-options-%d", (int)getpid());
    return endpoint;
}

/* A connection to the listener of the case, which is at that name. */
static nb_conn *connected_over_unix(const nb_connect_options *made)
{
    nb_conn *conn;

    assert_status(nb_connect(&conn, unix_endpoint(), made, plenty(), NULL), NB_OK);
    return conn;
}

TEST(buffer_sizes_of_unix_sockets_are_set_at_both_ends)
{
    nb_listen_options made = NB_LISTEN_OPTIONS_INIT;
    nb_connect_options connecting = NB_CONNECT_OPTIONS_INIT;
    nb_conn *client;
    nb_conn *conn;

    made.send_buffer_bytes = 20000;
    made.receive_buffer_bytes = 30000;
    connecting.send_buffer_bytes = 10000;
    connecting.receive_buffer_bytes = 15000;
    listen_with(unix_endpoint(), &made);
    client = connected_over_unix(&connecting);
    conn = accept_next();
    assert_int_equal(raw_option(nb_conn_fd(conn), SOL_SOCKET, SO_SNDBUF), 40000);
    assert_int_equal(raw_option(nb_conn_fd(conn), SOL_SOCKET, SO_RCVBUF), 60000);
    assert_int_equal(raw_option(nb_conn_fd(client), SOL_SOCKET, SO_SNDBUF), 20000);
    assert_int_equal(raw_option(nb_conn_fd(client), SOL_SOCKET, SO_RCVBUF), 30000);
    nb_abort(client);
    nb_abort(conn);
}

TEST(tcp_options_on_unix_sockets_are_unsupported_and_named)
{
    listen_with(unix_endpoint(), NULL);
    memset(&now, 0, sizeof(now));
    for (const struct option *option = options; option < OPTIONS_END; option++) {
        nb_listen_options made = listening_with(option, option->value);

        if (is_for_any_socket(option))
            continue;
        refuse(option->level, option->option, EPERM); /* it is not left to the system */
        assert_status(nb_listener_add(the_listener, unix_endpoint(), &made, &err), NB_UNSUPPORTED);
        assert_non_null(strstr(err.message, option->name));
        if (option < CONNECT_END)
            check_connect_fails(unix_endpoint(), option, option->value, NB_UNSUPPORTED);
    }
    assert_false(now.used);
}

TEST(an_option_failure_on_an_accepted_socket_is_ignored)
{
    nb_listen_options made = NB_LISTEN_OPTIONS_INIT;
    nb_conn *client;

    made.send_buffer_bytes = 20000;
    listen_with(unix_endpoint(), &made);
    client = connected_over_unix(NULL);
    refuse(SOL_SOCKET, SO_SNDBUF, ENOBUFS);
    nb_abort(accept_next());
    nb_abort(client);
}

TEST(accepting_over_tcp_sets_no_option)
{
    nb_listen_options made = NB_LISTEN_OPTIONS_INIT;
    nb_conn *conn;

    made.send_buffer_bytes = 20000;
    listen_with("127.0.0.1:0", &made);
    conn = accepted();
    assert_int_equal(now.after, 0);
    nb_abort(conn);
}

/* ---- sharing a port ---- */

TEST(a_port_is_shared_only_when_both_ask_for_it)
{
    nb_listen_options made = NB_LISTEN_OPTIONS_INIT;
    nb_listener *second;
    nb_address address;

    made.reuse_port = true;
    listen_with("127.0.0.1:0", &made);
    assert_status(nb_listener_address(the_listener, 0, &address), NB_OK);
    assert_status(nb_listen(&second, host_at("127.0.0.1", &address), NULL, NULL),
                  NB_ADDRESS_IN_USE);
    assert_status(nb_listen(&second, host_at("127.0.0.1", &address), &made, NULL), NB_OK);
    nb_listener_close(second);
}

TEST_GROUP(move_to_own_network, NULL)
