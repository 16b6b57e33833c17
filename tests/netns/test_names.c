/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Names whose addresses are dead, in a hosts file of the test's own (a mount namespace holds it). */
#define _GNU_SOURCE /* unshare */

#include "wire.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static const char *why_no_names = NULL;

/* What this process and its children see as /etc is a copy that it may change. */
static int names_begin(void **state)
{
    int failed = hosts_begin(state);

    if (unshare(CLONE_NEWNS) != 0 ||
        !try_command("mount --make-rprivate / && mount -t tmpfs tmpfs /mnt && cp -a /etc/. /mnt && "
                     "cd /mnt && rm -f hosts host.conf nsswitch.conf resolv.conf && "
                     "echo multi on >host.conf && echo hosts: files dns >nsswitch.conf && "
                     "mount --bind /mnt /etc"))
        why_no_names = "a mount namespace of its own is not allowed here (not root)";
    return failed;
}

#define need_names()                                                                               \
    do {                                                                                           \
        need_hosts();                                                                              \
        if (why_no_names != NULL)                                                                  \
            skip_because(why_no_names);                                                            \
    } while (0)

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

static void a_dead_first_address_costs_a_quarter_of_a_second(void **state)
{
    (void)state;
    need_names();
    set_hosts(HOLE_IPV4 " twofold.test\n" THERE_IPV4 " twofold.test\n");
    assert_connects_to(serve_name("twofold.test"), THERE_IPV4, 1);
}

static void a_dead_family_costs_a_quarter_of_a_second(void **state)
{
    (void)state;
    need_names();
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
static void families_take_turns(void **state)
{
    char hosts[1024];
    size_t length = 0;
    const char *endpoint;
    long before;

    (void)state;
    need_names();
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

static void an_address_that_refuses_costs_nothing(void **state)
{
    nb_deadline by = nb_after_ms(60000);
    const char *endpoint;
    nb_conn *conn;

    (void)state;
    need_names();
    set_hosts(NO_ROUTE_IPV4 " unrouted.test\n" HERE_IPV4 " unrouted.test\n" THERE_IPV4
                            " unrouted.test\n");
    endpoint = serve_name("unrouted.test");
    assert_status(nb_connect(&conn, endpoint, NULL, by, NULL), NB_OK);
    assert_status(nb_close(conn, plenty()), NB_OK);
}

static void when_all_are_dead_the_deadline_counts_and_all_are_named(void **state)
{
    nb_error err;

    (void)state;
    need_names();
    set_hosts(HOLE_IPV6 " dead.test\n" HOLE_IPV4 " dead.test\n" THERE_IPV4 " dead.test\n");
    filter(THERE, "meta l4proto tcp drop");
    assert_status(failure_of_connect("dead.test:80", nb_after_ms(1200), &err), NB_TIMEOUT);
    assert_non_null(strstr(err.message, "[" HOLE_IPV6 "]:80"));
    assert_non_null(strstr(err.message, HOLE_IPV4 ":80"));
    assert_non_null(strstr(err.message, THERE_IPV4 ":80"));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        WIRE_CASE(a_dead_first_address_costs_a_quarter_of_a_second),
        WIRE_CASE(a_dead_family_costs_a_quarter_of_a_second),
        WIRE_CASE(families_take_turns),
        WIRE_CASE(an_address_that_refuses_costs_nothing),
        WIRE_CASE(when_all_are_dead_the_deadline_counts_and_all_are_named),
    };

    return cmocka_run_group_tests(cases, names_begin, hosts_end);
}
