/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of listening on sockets that others have opened: fd: and systemd:. */
#include "net/address_internal.h"
#include "servers.h"
#include "sys/sys.h"

#include <netinet/tcp.h>

/* --- Sockets as others make them: blocking, and not close-on-exec --- */

static nb_error err;

static int plain_listener(enum transport over)
{
    struct sockaddr_storage address;
    socklen_t length;
    int fd = raw_listener(over, &address, &length);

    assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
    return fd;
}

static int plain_socket(int family, int type)
{
    int fd = socket(family, type, 0);

    assert_true(fd >= 0);
    return fd;
}

/* One that takes IPv4 connections as well: what service managers make by default. */
static int dual_stack_listener(void)
{
    struct sockaddr_in6 any;
    int fd = plain_socket(AF_INET6, SOCK_STREAM);

    memset(&any, 0, sizeof(any));
    any.sin6_family = AF_INET6;
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static bool is_blocking(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

static bool is_close_on_exec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static const char *endpoint_of(int fd)
{
    static char text[32];

    (void)snprintf(text, sizeof(text), "fd:%d", fd);
    return text;
}

/* That listening fails for a reason, and that the descriptor is the caller's as it was. */
static void check_refused(int fd, const nb_listen_options *options, nb_status expected,
                          const char *word)
{
    int descriptor_flags = fcntl(fd, F_GETFD);
    int flags = fcntl(fd, F_GETFL);
    nb_listener *listener = (nb_listener *)(void *)&descriptor_flags;
    nb_status status = nb_listen(&listener, endpoint_of(fd), options, &err);

    assert_status(status, expected);
    assert_null(listener);
    assert_status(err.status, expected);
    assert_non_null(strstr(err.message, endpoint_of(fd)));
    if (strstr(err.message, word) == NULL)
        fail_msg("\"%s\" does not tell \"%s\"", err.message, word);
    assert_int_equal(fcntl(fd, F_GETFD), descriptor_flags);
    assert_int_equal(fcntl(fd, F_GETFL), flags);
}

static nb_conn *accepted_from(const nb_address *from)
{
    (void)dial(from);
    return accept_next();
}

/* That the next connection has an option with this value. */
static void check_accepted(int level, int name, int expected)
{
    nb_conn *conn = accept_next();

    assert_int_equal(raw_option(nb_conn_fd(conn), level, name), expected);
    nb_abort(conn);
}

/* --- fd: --- */

static void check_adopted(enum transport over, nb_family family)
{
    int fd = plain_listener(over);
    nb_address own = own_address(fd);
    nb_address address = listen_here(endpoint_of(fd));

    assert_int_equal(nb_listener_count(the_listener), 1);
    assert_int_equal(nb_listener_fd(the_listener, 0), fd);
    assert_int_equal(nb_address_family(&address), family);
    assert_same_address(address, own);
    assert_false(is_blocking(fd));
    assert_true(is_close_on_exec(fd));
    nb_abort(accepted_from(&address));
    close_listener();
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

#define TEST(name) TEST_AS(name, NET_CASE)

TEST(a_listening_socket_of_each_family_is_adopted)
{
    check_adopted(OVER_IPV4, NB_FAMILY_IPV4);
    check_adopted(OVER_IPV6, NB_FAMILY_IPV6);
    check_adopted(OVER_UNIX, NB_FAMILY_UNIX);
}

TEST(peers_of_an_inherited_dual_stack_socket_are_ipv4)
{
    int fd = dual_stack_listener();
    nb_address own = own_address(fd);
    nb_address v4 = address_of(host_at("127.0.0.1", &own));
    nb_address v6 = address_of(host_at("[::1]", &own));
    nb_address seen;

    (void)listen_here(endpoint_of(fd));
    nb_conn *conn = accepted_from(&v4);
    nb_conn_peer(conn, &seen);
    assert_int_equal(nb_address_family(&seen), NB_FAMILY_IPV4);
    assert_same_address(local_address(conn), v4);
    nb_abort(conn);
    conn = accepted_from(&v6);
    nb_conn_peer(conn, &seen);
    assert_int_equal(nb_address_family(&seen), NB_FAMILY_IPV6);
    nb_abort(conn);
}

TEST(connections_of_an_inherited_socket_are_configured_as_usual)
{
    int fd = plain_listener(OVER_IPV4);
    nb_address own = listen_here(endpoint_of(fd));

    nb_conn *conn = accepted_from(&own);
    assert_true(is_blocking(nb_conn_fd(conn)));
    assert_true(is_close_on_exec(nb_conn_fd(conn)));
    assert_int_equal(raw_option(nb_conn_fd(conn), IPPROTO_TCP, TCP_NODELAY), 1);
    nb_abort(conn);
}

TEST(options_reach_connections_accepted_from_an_inherited_socket)
{
    skip_under_qemu("TCP_INFO is cut short");
    int fd = plain_listener(OVER_IPV4);
    nb_address own = own_address(fd);
    nb_listen_options options = {.size = sizeof(options), .keepalive_count = 3, .backlog = 5};

    assert_status(nb_listen(&the_listener, endpoint_of(fd), &options, NULL), NB_OK);
    (void)dial(&own);
    check_accepted(IPPROTO_TCP, TCP_KEEPCNT, 3);
    assert_int_equal(queue_limit(fd), 16); /* as it came */
}

/* Those that were waiting already, too: they have what the socket had when they came. */
static void check_nothing_inherited(enum transport over)
{
    int fd = plain_listener(over);
    nb_address own = own_address(fd);

    assert_in_range(spoil(fd), 5, 10);
    (void)dial(&own);
    (void)listen_here(endpoint_of(fd));
    (void)dial(&own);
    for (int i = 0; i < 2; i++) {
        nb_conn *conn = accept_next();

        check_unspoiled(nb_conn_fd(conn));
        nb_abort(conn);
    }
    close_listener();
}

TEST(accepted_connections_inherit_no_option_that_breaks_a_promise)
{
    check_nothing_inherited(OVER_IPV4);
    check_nothing_inherited(OVER_IPV6);
    check_nothing_inherited(OVER_UNIX);
}

TEST(a_single_byte_is_received_despite_inherited_receive_options)
{
    int fd = plain_listener(OVER_IPV4);
    nb_address own = own_address(fd);
    char buf[8];
    size_t length;

    (void)spoil(fd);
    int client = dial(&own);
    (void)listen_here(endpoint_of(fd));
    nb_conn *conn = accept_next();
    assert_int_equal(send(client, "!", 1, MSG_OOB), 1);
    say(client, "x", 1);
    assert_status(nb_recv(conn, buf, sizeof(buf), &length, plenty()), NB_OK);
    assert_bytes(buf, length, "x"); /* and what was urgent is not part of it */
    nb_abort(conn);
}

TEST(connections_already_queued_get_the_requested_options)
{
    int fd = plain_listener(OVER_IPV4);
    nb_address own = own_address(fd);
    nb_listen_options options = NB_LISTEN_OPTIONS_INIT;

    (void)dial(&own);
    options.user_timeout_ms = 4000;
    assert_status(nb_listen(&the_listener, endpoint_of(fd), &options, NULL), NB_OK);
    nb_conn *conn = accept_next();
    assert_int_equal(raw_option(nb_conn_fd(conn), IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(raw_option(nb_conn_fd(conn), IPPROTO_TCP, TCP_USER_TIMEOUT), 4000);
    nb_abort(conn);
}

/* A socket unit of systemd sets such options. */
TEST(options_that_were_not_requested_are_left_unchanged)
{
    int fd = plain_listener(OVER_IPV4);
    nb_address own = own_address(fd);

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)), 0);
    (void)listen_here(endpoint_of(fd));
    (void)dial(&own);
    check_accepted(SOL_SOCKET, SO_KEEPALIVE, 1);
}

TEST(options_that_cannot_apply_to_an_inherited_socket_are_refused)
{
    int fd = plain_listener(OVER_IPV4);
    int over_unix = plain_listener(OVER_UNIX);
    nb_listen_options options = {.size = sizeof(options), .reuse_port = true};

    check_refused(fd, &options, NB_UNSUPPORTED, "reuse_port");
    options.reuse_port = false;
    options.unix_mode = 0600;
    check_refused(fd, &options, NB_UNSUPPORTED, "unix_mode");
    check_refused(over_unix, &options, NB_UNSUPPORTED, "unix_mode");
    options.unix_mode = 0;
    options.user_timeout_ms = 1000;
    check_refused(over_unix, &options, NB_UNSUPPORTED, "user_timeout_ms");
    raw_close(over_unix);
    raw_close(fd);
}

TEST(inherited_descriptor_must_be_a_listening_stream_socket)
{
    int fds[2];
    int file = open("/dev/null", O_RDONLY);
    int datagram = plain_socket(AF_INET, SOCK_DGRAM);
    int bound = plain_socket(AF_INET, SOCK_STREAM);
    int foreign = socket(AF_NETLINK, SOCK_RAW, 0);

    raw_pair(OVER_IPV4, fds);
    check_refused(file, NULL, NB_BAD_ENDPOINT, "not a socket");
    check_refused(datagram, NULL, NB_BAD_ENDPOINT, "not a stream socket");
    check_refused(foreign, NULL, NB_BAD_ENDPOINT, "not a stream socket");
    check_refused(bound, NULL, NB_BAD_ENDPOINT, "not listening");
    check_refused(fds[0], NULL, NB_BAD_ENDPOINT, "not listening");
    raw_close_pair(fds);
    raw_close(file);
    raw_close(datagram);
    raw_close(foreign);
    raw_close(bound);
}

TEST(a_descriptor_that_is_closed_is_named)
{
    assert_status(nb_listen(&the_listener, "fd:1000000", NULL, &err), NB_BAD_ENDPOINT);
    assert_int_equal(err.system_error, EBADF);
    assert_non_null(strstr(err.message, "descriptor 1000000 is not a socket"));
}

TEST(a_socket_of_an_unknown_family_is_refused)
{
    int fd = plain_listener(OVER_IPV4);

    fail_next(ON_GETSOCKNAME, ENOBUFS, 1);
    check_refused(fd, NULL, NB_BAD_ENDPOINT, "not an IPv4, IPv6 or Unix socket");
    fail_after(ON_GETSOCKOPT, 1, ENOPROTOOPT, 1);
    check_refused(fd, NULL, NB_BAD_ENDPOINT, "not listening");
    raw_close(fd);
}

TEST(a_failure_leaves_the_inherited_descriptor_unchanged)
{
    int fd = plain_listener(OVER_IPV4);
    nb_listen_options options = NB_LISTEN_OPTIONS_INIT;

    fail_next(ON_GET_FLAGS, EBADF, 1);
    check_refused(fd, NULL, NB_SYSTEM, "EBADF");
    fail_next(ON_SET_CLOEXEC, EBADF, 1);
    check_refused(fd, NULL, NB_SYSTEM, "FD_CLOEXEC: ");
    fail_next(ON_SET_BLOCKING, EPERM, 1);
    check_refused(fd, NULL, NB_PERMISSION, "O_NONBLOCK: ");
    assert_false(is_close_on_exec(fd));
    options.send_buffer_bytes = 10000;
    fail_after(ON_SETSOCKOPT, 1, EPERM, 1); /* the default before it may fail */
    check_refused(fd, &options, NB_PERMISSION, "send_buffer_bytes");
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &(int){9}, sizeof(int)), 0);
    fail_after(ON_SETSOCKOPT, 1, EBADF, 1); /* that it has this option no longer */
    check_refused(fd, NULL, NB_SYSTEM, "SO_RCVLOWAT: ");
    raw_close(fd);
}

TEST(a_default_that_cannot_be_set_on_an_inherited_socket_is_ignored)
{
    int fd = plain_listener(OVER_IPV4);

    fail_next(ON_SETSOCKOPT, EPERM, 1);
    (void)listen_here(endpoint_of(fd));
}

TEST(an_inherited_descriptor_cannot_be_taken_twice)
{
    int fd = plain_listener(OVER_IPV4);
    int another = plain_listener(OVER_IPV4);

    (void)listen_here(endpoint_of(fd));
    assert_status(nb_listener_add(the_listener, endpoint_of(fd), NULL, NULL), NB_ADDRESS_IN_USE);
    assert_status(nb_listener_add(the_listener, endpoint_of(another), NULL, NULL), NB_OK);
    assert_status(nb_listener_add(the_listener, endpoint_of(fd), NULL, NULL), NB_ADDRESS_IN_USE);
    assert_status(nb_listener_add(the_listener, endpoint_of(another), NULL, &err),
                  NB_ADDRESS_IN_USE);
    assert_non_null(strstr(err.message, "already"));
    assert_int_equal(nb_listener_count(the_listener), 2);
}

/* Two listeners that close one number close somebody else's, too. */
TEST(an_inherited_descriptor_has_only_one_listener)
{
    int fd = plain_listener(OVER_IPV4);
    nb_address address = listen_here(endpoint_of(fd));
    nb_listener *another;

    check_refused(fd, NULL, NB_ADDRESS_IN_USE, "a listener of this process");
    nb_abort(accepted_from(&address)); /* the first is as it was */
    assert_status(nb_listen(&another, "127.0.0.1:0", NULL, NULL), NB_OK);
    check_refused(nb_listener_fd(another, 0), NULL, NB_ADDRESS_IN_USE, "a listener");
    nb_listener_close(another);
}

TEST(a_descriptor_that_was_refused_or_closed_may_be_listened_on)
{
    int fd = plain_listener(OVER_IPV4);

    for (int i = 0; i < 2; i++) {
        fail_next(ON_SET_BLOCKING, EPERM, 1);
        check_refused(fd, NULL, NB_PERMISSION, "O_NONBLOCK");
    }
    (void)listen_here(endpoint_of(fd));
    nb_listener_close(the_listener);
    int again = plain_listener(OVER_IPV4);
    assert_int_equal(again, fd); /* the lowest that is free */
    (void)listen_here(endpoint_of(again));
}

/* What a child has is its own. */
TEST(a_forked_child_may_listen_on_an_inherited_descriptor)
{
    int fd = plain_listener(OVER_IPV4);

    (void)listen_here(endpoint_of(fd));
    pid_t child = fork();
    if (child == 0) {
        nb_listener *listener;

        _exit(nb_listen(&listener, endpoint_of(fd), NULL, NULL) == NB_OK ? 0 : 1);
    }
    assert_int_equal(exit_status(child), 0);
}

TEST(success_keeps_errno)
{
    int fd = plain_listener(OVER_IPV4);

    errno = 4711;
    (void)listen_here(endpoint_of(fd));
    assert_int_equal(errno, 4711);
}

/* --- What is shared with others --- */

/* Listens at a path; the caller removes the file. */
static int path_listener(char *path, nb_address *address)
{
    char text[80];
    socklen_t length;
    int fd = plain_socket(AF_UNIX, SOCK_STREAM);

    assert_non_null(mkdtemp(path));
    (void)snprintf(text, sizeof(text), "unix:%s/socket", path);
    *address = address_of(text);
    const struct sockaddr *raw = nb__address_sockaddr(address, &length);
    assert_int_equal(bind(fd, raw, length), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static void remove_path(const char *path, const nb_address *address)
{
    assert_int_equal(unlink(nb__address_path(address)), 0);
    assert_int_equal(rmdir(path), 0);
}

TEST_AS(closing_a_listener_does_not_shut_down_a_shared_socket, NET_CASE_FOR_BOTH)
{
    char path[] = "/tmp/nb-inherited-XXXXXX";
    nb_address address;
    int fd = path_listener(path, &address);
    int shared = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct server *server = server_new(endpoint_of(fd), say_hello, *state);

    server_run(server);
    assert_int_equal(answer(dial(&address), HELLO), 0);
    assert_status(server_finish(server), NB_OK);
    server_free(server);
    assert_int_equal(calls(ON_SHUTDOWN), 1); /* of the connection */
    (void)dial(&address);                    /* the other one still listens */
    raw_close(shared);
    remove_path(path, &address);
}

TEST(connections_in_a_shared_accept_queue_are_served_after_the_stop)
{
    int fd = plain_listener(OVER_UNIX);
    struct server *server = run_server_with(say_hello_later, &sequential, .at = endpoint_of(fd));

    (void)client_at_the_gate(server);
    int waiting = dial(&server->address);
    stop_and_open_gate(server);
    assert_int_equal(answer(waiting, HELLO), 0);
    assert_status(server_finish(server), NB_OK);
}

/* --- systemd: --- */

/* What a process finds that was started with sockets. */
struct started {
    nb_status status;
    nb_error err;
    size_t count;
    nb_address addresses[3];
    bool ready;      /* all sockets are non-blocking and close-on-exec */
    bool closed;     /* they were, at the end */
    nb_status twice; /* of listening a second time meanwhile */
    nb_error err_twice;
    nb_status by_number; /* and at the first of them alone */
    int another;         /* a socket of its own, which gets the number of the first */
    bool reused;         /* it did, and is as it was */
    nb_status later;
    nb_error err_later;
    bool flags_kept; /* of the first descriptor, after a failure */
};

static void listen_as_started(struct started *out)
{
    int flags = fcntl(3, F_GETFL);
    nb_listener *listener;
    nb_listener *second;

    out->status = nb_listen(&listener, "systemd:", NULL, &out->err);
    out->flags_kept = fcntl(3, F_GETFL) == flags && fcntl(3, F_GETFD) == 0;
    if (out->status != NB_OK)
        return;
    out->ready = true;
    out->count = nb_listener_count(listener);
    for (size_t i = 0; i < out->count && i < COUNT(out->addresses); i++) {
        out->ready = out->ready && nb_listener_fd(listener, i) == 3 + (int)i &&
                     !is_blocking(3 + (int)i) && is_close_on_exec(3 + (int)i);
        (void)nb_listener_address(listener, i, &out->addresses[i]);
    }
    out->twice = nb_listen(&second, "systemd:", NULL, &out->err_twice);
    out->by_number = nb_listen(&second, "fd:3", NULL, NULL);
    nb_listener_close(listener);
    out->closed = fcntl(3, F_GETFD) < 0;
    out->reused = dup2(out->another, 3) == 3;
    out->later = nb_listen(&second, "systemd:", NULL, &out->err_later);
    out->reused = out->reused && fcntl(3, F_GETFL) == fcntl(out->another, F_GETFL);
}

/* Descriptors 3 and up, as far as a case needs them, and what they were before. */
#define SLOTS 4
struct slots {
    int before[SLOTS]; /* -1: closed */
    int flags[SLOTS];
};

static void put(int fd, int at)
{
    if (fd >= 0)
        assert_int_equal(dup2(fd, at), at);
    else
        (void)close(at);
}

static struct slots lay_out(const int *fds, int count)
{
    struct slots slots;

    for (int i = 0; i < SLOTS; i++) {
        slots.flags[i] = fcntl(3 + i, F_GETFD);
        slots.before[i] = fcntl(3 + i, F_DUPFD_CLOEXEC, 3 + SLOTS);
    }
    for (int i = 0; i < SLOTS; i++) {
        int fd = i < count ? fds[i] : -1;

        put(fd >= 3 && fd < 3 + SLOTS ? slots.before[fd - 3] : fd, 3 + i);
    }
    return slots;
}

static void put_back(const struct slots *slots)
{
    for (int i = 0; i < SLOTS; i++) {
        put(slots->before[i], 3 + i);
        if (slots->before[i] >= 0) {
            (void)fcntl(3 + i, F_SETFD, slots->flags[i]);
            raw_close(slots->before[i]);
        }
    }
}

static void set_variable(const char *name, const char *value)
{
    if (value == NULL)
        assert_int_equal(unsetenv(name), 0);
    else
        assert_int_equal(setenv(name, value, 1), 0);
}

static bool is_set_to(const char *name, const char *value)
{
    const char *now = getenv(name);

    return (now == NULL) == (value == NULL) && (now == NULL || strcmp(now, value) == 0);
}

/* Each case is another process, as it were, in which nothing was passed at first. */
static void forget_what_was_passed(void)
{
    nb_listener *listener;

    assert_status(nb_listen(&listener, "systemd:", NULL, NULL), NB_ADDRESS_UNAVAILABLE);
}

/* Listens as a process does that was started with these sockets. "self" is its own number. */
static struct started start(const int *fds, int count, const char *pid, const char *number)
{
    struct started found;
    char self[16];
    int another = plain_listener(OVER_IPV4);

    memset(&found, 0, sizeof(found));
    found.another = fcntl(another, F_DUPFD_CLOEXEC, 64); /* out of the way */
    raw_close(another);
    struct slots slots = lay_out(fds, count);
    forget_what_was_passed();
    (void)snprintf(self, sizeof(self), "%d", (int)getpid());
    if (pid != NULL && strcmp(pid, "self") == 0)
        pid = self;
    set_variable("LISTEN_PID", pid);
    set_variable("LISTEN_FDS", number);
    listen_as_started(&found);
    raw_close(found.another);
    put_back(&slots);
    assert_true(is_set_to("LISTEN_PID", pid));
    assert_true(is_set_to("LISTEN_FDS", number));
    set_variable("LISTEN_PID", NULL);
    set_variable("LISTEN_FDS", NULL);
    assert_status(found.err.status, found.status);
    return found;
}

static void check_not_started(const int *fds, int count, const char *pid, const char *number,
                              nb_status expected, const char *word)
{
    struct started found = start(fds, count, pid, number);

    assert_status(found.status, expected);
    assert_non_null(strstr(found.err.message, "listen on systemd:"));
    if (strstr(found.err.message, word) == NULL)
        fail_msg("\"%s\" does not tell \"%s\"", found.err.message, word);
}

TEST(all_passed_sockets_are_listened_on)
{
    int fds[] = {plain_listener(OVER_IPV4), plain_listener(OVER_UNIX), dual_stack_listener()};
    struct started found = start(fds, 3, "self", "3");

    assert_string_equal(found.err.message, "");
    assert_status(found.status, NB_OK);
    assert_int_equal(found.count, 3);
    assert_true(found.ready);
    assert_true(found.closed);
    for (size_t i = 0; i < 3; i++) {
        assert_same_address(found.addresses[i], own_address(fds[i]));
        raw_close(fds[i]);
    }
}

TEST(passed_sockets_have_only_one_listener)
{
    int fds[] = {plain_listener(OVER_IPV4), plain_listener(OVER_IPV4)};
    struct started found = start(fds, 2, "self", "2");

    assert_status(found.status, NB_OK);
    assert_status(found.twice, NB_ADDRESS_IN_USE);
    assert_non_null(strstr(found.err_twice.message, "a listener of this process"));
    assert_status(found.by_number, NB_ADDRESS_IN_USE);
    assert_true(found.closed);
    raw_close_pair(fds);
}

/* The number of a socket that was passed may be anybody's once it was closed. */
TEST(passed_sockets_can_be_listened_on_only_once)
{
    int fd = plain_listener(OVER_IPV4);
    struct started found = start(&fd, 1, "self", "1");

    assert_status(found.status, NB_OK);
    assert_status(found.later, NB_INVALID);
    assert_non_null(strstr(found.err_later.message, "closed with their listener"));
    assert_true(found.reused);
    raw_close(fd);
}

TEST(no_more_sockets_are_taken_than_listen_fds_says)
{
    int fds[] = {plain_listener(OVER_IPV4), plain_listener(OVER_IPV4)};
    struct started found = start(fds, 2, "self", "1");

    assert_status(found.status, NB_OK);
    assert_int_equal(found.count, 1);
    raw_close_pair(fds);
}

TEST(missing_passed_sockets_are_reported)
{
    check_not_started(NULL, 0, NULL, NULL, NB_ADDRESS_UNAVAILABLE, "not set");
    check_not_started(NULL, 0, "self", NULL, NB_ADDRESS_UNAVAILABLE, "LISTEN_FDS is not set");
    check_not_started(NULL, 0, NULL, "1", NB_ADDRESS_UNAVAILABLE, "LISTEN_PID or");
    check_not_started(NULL, 0, "self", "0", NB_ADDRESS_UNAVAILABLE, "LISTEN_FDS is 0");
}

TEST(sockets_of_another_process_are_not_taken)
{
    int fd = plain_listener(OVER_IPV4);

    check_not_started(&fd, 1, "1", "1", NB_ADDRESS_UNAVAILABLE, "LISTEN_PID is another one");
    check_not_started(&fd, 1, "0", "1", NB_ADDRESS_UNAVAILABLE, "LISTEN_PID is another one");
    raw_close(fd);
}

TEST(listen_pid_and_listen_fds_are_parsed_strictly)
{
    static const char *const pids[] = {"", " 1", "+1", "1 ", "-1", "0x1", "1a", "4294967297", "01"};
    static const char *const numbers[] = {"",    " 1", "+1",         "1 ",         "-1",
                                          "0x1", "1a", "2147483645", "4294967297", "01"};
    int fd = plain_listener(OVER_IPV4);

    for (size_t i = 0; i < COUNT(pids); i++)
        check_not_started(&fd, 1, pids[i], "1", NB_BAD_ENDPOINT, "LISTEN_PID");
    for (size_t i = 0; i < COUNT(numbers); i++)
        check_not_started(&fd, 1, "self", numbers[i], NB_BAD_ENDPOINT, "LISTEN_FDS");
    raw_close(fd);
}

TEST(more_sockets_than_a_listener_holds_are_refused)
{
    int fd = plain_listener(OVER_IPV4);

    check_not_started(&fd, 1, "self", "65", NB_TOO_LONG, "64");
    check_not_started(&fd, 1, "self", "2147483644", NB_TOO_LONG, "64");
    raw_close(fd);
}

TEST(every_passed_descriptor_must_be_a_listening_socket)
{
    int fds[] = {plain_listener(OVER_IPV4), plain_socket(AF_INET, SOCK_DGRAM)};

    check_not_started(fds, 2, "self", "2", NB_BAD_ENDPOINT, "descriptor 4 is not a stream socket");
    check_not_started(fds, 1, "self", "2", NB_BAD_ENDPOINT, "descriptor 4 is not a socket");
    raw_close_pair(fds);
}

TEST(a_failure_of_one_passed_socket_leaves_all_unchanged)
{
    static const enum call calls_that_fail[] = {ON_GET_FLAGS, ON_SET_CLOEXEC, ON_SET_BLOCKING};
    int fds[] = {plain_listener(OVER_IPV4), plain_listener(OVER_IPV4)};

    for (size_t i = 0; i < 2 * COUNT(calls_that_fail); i++) {
        fail_after(calls_that_fail[i / 2], (int)(i % 2), EBADF,
                   1); /* at the first, at the second */
        struct started found = start(fds, 2, "self", "2");
        assert_status(found.status, NB_SYSTEM);
        assert_true(found.flags_kept);
    }
    raw_close_pair(fds);
}
