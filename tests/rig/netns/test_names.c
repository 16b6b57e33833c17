/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Names whose addresses are dead, and resolvers that are silent, slow or say no, by files in /etc
 *         of the test's own (a mount namespace holds them). */
#include "net/address_internal.h"
#include "wire.h"

#include <sched.h>
#include <sys/eventfd.h>

/* What this process and its children see as /etc is a copy that it may change. */
static int names_begin(void **state)
{
    int failed = hosts_begin(state);

    if (unshare(CLONE_NEWNS) != 0 ||
        !try_command("mount --make-rprivate / && mount -t tmpfs tmpfs /mnt && cp -a /etc/. /mnt && "
                     "cd /mnt && rm -f hosts host.conf nsswitch.conf resolv.conf && "
                     "echo multi on >host.conf && echo hosts: files dns >nsswitch.conf && "
                     "mount --bind /mnt /etc"))
        no_hosts_because("a mount namespace of its own is not allowed here (not root)");
    return failed;
}

/* What the hosts file says, for the rest of the case. */
static void set_hosts(const char *text)
{
    run_command("printf '%%s' '%s' >/etc/hosts; : >/etc/resolv.conf", text);
}

/* A server there at both families' addresses, and "NAME:PORT" of it. */
static const char *serve_name(const char *name)
{
    struct server *server;
    nb_listener *listener;

    go(THERE);
    server = server_new("*:0", say_hello, &workers);
    go(HERE);
    listener = server->listener;
    assert_int_equal(nb_listener_count(listener), 2);
    server->options.drain_ms = 500;
    server->options.linger_ms = 500;
    server_run(server);
    return host_at(name, &server->address);
}

/* Connects by name: to this address, and well before the deadline. */
static void assert_connects_to(const char *endpoint, const char *host, size_t dead_before)
{
    nb_deadline by = nb_after_ms(60000);
    int64_t begin = now_ns();
    char peer[NB_ADDRESS_TEXT_MAX];
    nb_address address;
    nb_error err;
    nb_conn *conn;

    if (nb_connect(&conn, endpoint, NULL, by, &err) != NB_OK)
        fail_msg("%s", err.message);
    print_message("# %zu dead addresses first: connected after %lld ms\n", dead_before,
                  (long long)ms_since(begin));
    assert_true(ms_since(begin) >= (int64_t)dead_before * 200);
    assert_true(ms_since(begin) < (int64_t)dead_before * 250 + LATE_MS);
    nb_conn_peer(conn, &address);
    assert_memory_equal(nb_address_format(&address, peer, sizeof(peer)), host, strlen(host));
    assert_status(nb_close(conn, plenty()), NB_OK);
}

#define TEST(name) TEST_AS(name, WIRE_CASE)

TEST(a_dead_first_address_costs_a_quarter_of_a_second)
{
    set_hosts(HOLE_IPV4 " twofold.test\n" THERE_IPV4 " twofold.test\n");
    assert_connects_to(serve_name("twofold.test"), THERE_IPV4, 1);
}

TEST(a_dead_family_costs_a_quarter_of_a_second)
{
    set_hosts(HOLE_IPV6 " both.test\n" THERE_IPV4 " both.test\n");
    assert_connects_to(serve_name("both.test"), THERE_IPV4, 1);
}

/* How many connections were tried from here so far, whatever became of them. */
static long attempts_made(void)
{
    FILE *file = fopen("/proc/thread-self/net/snmp", "re");
    char line[512];
    long count = -1;

    assert_non_null(file);
    while (count < 0 && fgets(line, sizeof(line), file) != NULL)
        (void)sscanf(line, "Tcp: %*d %*d %*d %*d %ld", &count);
    assert_int_equal(fclose(file), 0);
    assert_true(count >= 0);
    return count;
}

/* Fifteen addresses of one family are dead, and still the other family comes second, not last. */
TEST(address_families_alternate)
{
    char hosts[1024];
    size_t length = 0;
    const char *endpoint;
    long before;

    for (int i = 1; i <= 15; i++) {
        length += (size_t)snprintf(hosts + length, sizeof(hosts) - length, "fd09::%d many.test\n",
                                   100 + i);
        run_command("ip neigh replace fd09::%d lladdr 02:00:00:00:00:66 dev wire nud permanent",
                    100 + i);
    }
    (void)snprintf(hosts + length, sizeof(hosts) - length, THERE_IPV4 " many.test\n");
    set_hosts(hosts);
    endpoint = serve_name("many.test");
    before = attempts_made();
    assert_connects_to(endpoint, THERE_IPV4, 1);
    print_message("# %ld of 16 addresses tried\n", attempts_made() - before);
    assert_true(attempts_made() - before < 8);
}

TEST(an_address_that_refuses_costs_no_time)
{
    nb_deadline by = nb_after_ms(60000);
    const char *endpoint;
    nb_conn *conn;

    set_hosts(NO_ROUTE_IPV4 " unrouted.test\n" HERE_IPV4 " unrouted.test\n" THERE_IPV4
                            " unrouted.test\n");
    endpoint = serve_name("unrouted.test");
    assert_status(nb_connect(&conn, endpoint, NULL, by, NULL), NB_OK);
    assert_status(nb_close(conn, plenty()), NB_OK);
}

TEST(dead_addresses_end_at_the_deadline_and_are_all_named)
{
    nb_error err;

    set_hosts(HOLE_IPV6 " dead.test\n" HOLE_IPV4 " dead.test\n" THERE_IPV4 " dead.test\n");
    filter(THERE, "meta l4proto tcp drop");
    assert_status(failure_of_connect("dead.test:80", nb_after_ms(1200), &err), NB_TIMEOUT);
    assert_non_null(strstr(err.message, "[" HOLE_IPV6 "]:80"));
    assert_non_null(strstr(err.message, HOLE_IPV4 ":80"));
    assert_non_null(strstr(err.message, THERE_IPV4 ":80"));
}

/* --- Resolvers --- */

/* Where to ask for names that no file knows, for the rest of the case, and how long: one try of so many
   seconds. */
static void set_resolver(const char *address, int seconds)
{
    run_command(": >/etc/hosts; printf 'nameserver %s\\noptions timeout:%d attempts:1\\n' "
                ">/etc/resolv.conf",
                address, seconds);
}

/* Lookups that nobody waits for end by themselves. */
#define until_lookups_have_ended(threads_before) eventually(running_threads() == (threads_before))

TEST(a_resolver_that_never_answers_ends_at_the_deadline)
{
    size_t threads = running_threads();

    set_resolver(HOLE_IPV4, 2);
    assert_times_out("nowhere.test:80", 300);
    until_lookups_have_ended(threads);
}

TEST(a_timeout_of_the_resolver_itself_is_a_temporary_failure)
{
    set_resolver(HOLE_IPV4, 1);
    assert_fails("nowhere.test:80", NB_NAME_TEMPORARY);
}

TEST(a_host_without_a_resolver_is_a_temporary_failure)
{
    set_resolver(THERE_IPV4, 5); /* where nobody has that port */
    assert_fails("nowhere.test:80", NB_NAME_TEMPORARY);
}

TEST(the_seventeenth_lookup_waits_until_an_abandoned_one_has_ended)
{
    size_t threads = running_threads();
    nb_error err;

    set_resolver(HOLE_IPV4, 6);
    for (int i = 0; i < 64 && running_threads() < threads + 16; i++)
        assert_times_out("nowhere.test:80", 40);
    assert_status(failure_of_connect("nowhere.test:80", nb_after_ms(40), &err), NB_TIMEOUT);
    assert_non_null(strstr(err.message, "(16 earlier lookups still go on)"));
    assert_int_equal(running_threads(), threads + 16);
    assert_fails(THERE_IPV4 ":80", NB_REFUSED);
    set_hosts(THERE_IPV4 " known.test\n");
    assert_fails("known.test:80", NB_REFUSED);
}

struct attempt {
    struct task task;
    int cancel_fd;
    nb_status status;
};

static void connect_nowhere(void *argument)
{
    struct attempt *attempt = argument;
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;

    options.cancel_fd = &attempt->cancel_fd;
    attempt->status = nb_connect(&conn, "nowhere.test:80", &options, nb_after_ms(60000), NULL);
    nb_abort(conn);
}

TEST(a_lookup_without_an_answer_can_be_cancelled)
{
    size_t threads = running_threads();
    struct attempt attempt;

    attempt.cancel_fd = eventfd(0, EFD_CLOEXEC);
    set_resolver(HOLE_IPV4, 2);
    task_start(&attempt.task, connect_nowhere, &attempt);
    task_until_blocked(&attempt.task);
    assert_int_equal(eventfd_write(attempt.cancel_fd, 1), 0);
    task_join(&attempt.task);
    assert_status(attempt.status, NB_CANCELLED);
    until_lookups_have_ended(threads);
    raw_close(attempt.cancel_fd);
}

/* --- A resolver of our own, at the other host --- */

/* What it answers: a code (RFC 1035 section 4.1.1), or with 0 the address THERE, if that was asked for. */
enum code { HAS_ADDRESS = 0, SERVER_FAILURE = 2, NO_SUCH_NAME = 3 };

static struct {
    struct task task;
    atomic_bool enough;
    int fd;
    enum code code;
} resolver;

/* Where the one question of a message ends; 0 when there is none. */
static size_t end_of_question(const unsigned char *message, size_t length)
{
    size_t at = 12;

    while (at < length && message[at] != 0)
        at += message[at] + (size_t)1;
    return at + 5 <= length ? at + 5 : 0;
}

/* Makes the answer of a question; returns its length. */
static size_t make_answer(unsigned char *message, size_t question_end)
{
    static const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 9, 0, 2};
    bool has = resolver.code == HAS_ADDRESS && message[question_end - 3] == 1;

    message[2] |= 0x80;                                 /* an answer */
    message[3] = (unsigned char)(0x80 | resolver.code); /* of one who asks others */
    memset(message + 6, 0, 6);
    message[7] = has;
    if (has)
        memcpy(message + question_end, record, sizeof(record));
    return question_end + (has ? sizeof(record) : 0);
}

static void answer_questions(void *unused)
{
    (void)unused;
    while (!resolver.enough) {
        struct pollfd asked = {resolver.fd, POLLIN, 0};
        struct sockaddr_storage from;
        socklen_t from_length = sizeof(from);
        unsigned char message[1024];
        size_t end = 0;
        ssize_t length;

        if (poll(&asked, 1, 20) != 1)
            continue;
        length = recvfrom(resolver.fd, message, 512, 0, (struct sockaddr *)&from, &from_length);
        if (length > 0)
            end = end_of_question(message, (size_t)length);
        if (end > 0)
            (void)sendto(resolver.fd, message, make_answer(message, end), 0,
                         (struct sockaddr *)&from, from_length);
    }
}

static void resolver_begin(enum code code)
{
    nb_address address = address_of(THERE_IPV4 ":53");
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(&address, &length);

    go(THERE);
    resolver.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    go(HERE);
    assert_true(resolver.fd >= 0);
    assert_int_equal(bind(resolver.fd, raw, length), 0);
    resolver.code = code;
    resolver.enough = false;
    task_start(&resolver.task, answer_questions, NULL);
    set_resolver(THERE_IPV4, 5);
}

static void resolver_end(void)
{
    resolver.enough = true;
    task_join(&resolver.task);
    raw_close(resolver.fd);
}

static void assert_means(enum code code, nb_status status)
{
    resolver_begin(code);
    assert_fails("some.test:80", status);
    resolver_end();
}

TEST(every_answer_of_the_resolver_has_its_status)
{
    assert_means(NO_SUCH_NAME, NB_NAME_NOT_FOUND);
    assert_means(SERVER_FAILURE, NB_NAME_TEMPORARY);
    resolver_begin(HAS_ADDRESS);
    assert_connects_to(serve_name("some.test"), THERE_IPV4, 0);
    resolver_end();
}

TEST_GROUP(names_begin, hosts_end)
