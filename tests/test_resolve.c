/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of name lookup, through nb_connect().
 *
 *  Wraps: nb__sys_getaddrinfo nb__sys_freeaddrinfo malloc calloc realloc */
#define _GNU_SOURCE /* the EAI codes that POSIX dropped */

#include "address_internal.h"
#include "support_serve.h"
#include "sys.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the resolver answers: addresses in this order, each with a port that must not be used. */
#define ANSWERS_MAX 128
static struct addrinfo answers[ANSWERS_MAX];
static nb_address answer_addresses[ANSWERS_MAX];
static size_t answer_count;
static int answer_code;
static int answer_errno;
static nb_deadline answer_not_before;
static char asked_for[512];

int __wrap_nb__sys_getaddrinfo(const char *host, struct addrinfo **out, int *number);
void __wrap_nb__sys_freeaddrinfo(struct addrinfo *list);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

int __wrap_nb__sys_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    (void)fault(ON_GETADDRINFO);
    (void)snprintf(asked_for, sizeof(asked_for), "%s", host);
    while (!nb_expired(answer_not_before))
        a_moment();
    *number = answer_errno;
    *out = answer_code == 0 && answer_count > 0 ? answers : NULL;
    return answer_code;
}

void __wrap_nb__sys_freeaddrinfo(struct addrinfo *list)
{
    if (list != NULL)
        (void)fault(ON_FREEADDRINFO);
}

void *__wrap_malloc(size_t size)
{
    return fault(ON_MALLOC) != 0 ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fault(ON_MALLOC) != 0 ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fault(ON_MALLOC) != 0 ? NULL : __real_realloc(old, size);
}

static void answer_with(int code, int number)
{
    answer_count = 0;
    answer_code = code;
    answer_errno = number;
    answer_not_before = (nb_deadline){0};
}

static void answer_sockaddr(const struct sockaddr *address, socklen_t length)
{
    struct addrinfo *next = &answers[answer_count];

    assert_true(answer_count < ANSWERS_MAX);
    memset(next, 0, sizeof(*next));
    memcpy(answer_addresses[answer_count].storage, address, length);
    next->ai_family = address->sa_family;
    next->ai_socktype = SOCK_STREAM;
    next->ai_addr = (struct sockaddr *)(void *)answer_addresses[answer_count].storage;
    next->ai_addrlen = length;
    if (answer_count > 0)
        answers[answer_count - 1].ai_next = next;
    answer_count++;
}

static void answer_address(const char *text)
{
    nb_address address = address_of(text);
    socklen_t length;
    const struct sockaddr *as_socket = nb__address_sockaddr(&address, &length);

    answer_sockaddr(as_socket, length);
}

static void answer_mapped_loopback(void)
{
    struct sockaddr_in6 mapped;

    memset(&mapped, 0, sizeof(mapped));
    mapped.sin6_family = AF_INET6;
    mapped.sin6_addr.s6_addr[10] = 0xff;
    mapped.sin6_addr.s6_addr[11] = 0xff;
    mapped.sin6_addr.s6_addr[12] = 127;
    mapped.sin6_addr.s6_addr[15] = 1;
    answer_sockaddr((struct sockaddr *)&mapped, sizeof(mapped));
}

static void answer_other_family(void)
{
    struct sockaddr other;

    memset(&other, 0, sizeof(other));
    other.sa_family = AF_PACKET;
    answer_sockaddr(&other, sizeof(other));
}

/* Connects within two seconds; whatever comes of it is ended. */
static nb_status try_connect(const char *endpoint, nb_error *err)
{
    nb_conn *conn;
    nb_status status = nb_connect(&conn, endpoint, NULL, nb_after_ms(2000), err);

    nb_abort(conn);
    return status;
}

static void literals_are_never_looked_up(void **state)
{
    nb_address v4, v6;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 8, &v4);
    (void)bare_listener("[::1]:0", 8, &v6);
    assert_status(try_connect(host_at("127.0.0.1", &v4), NULL), NB_OK);
    assert_status(try_connect(host_at("[::1]", &v6), NULL), NB_OK);
    assert_int_equal(calls(ON_GETADDRINFO), 0);
}

static void localhost_is_never_looked_up(void **state)
{
    nb_address v4;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 8, &v4);
    assert_status(try_connect(host_at("localhost", &v4), NULL), NB_OK);
    assert_status(try_connect(host_at("LocalHost", &v4), NULL), NB_OK);
    assert_int_equal(calls(ON_GETADDRINFO), 0);
}

static void a_name_is_looked_up_once_and_without_its_port(void **state)
{
    nb_address v4;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 8, &v4);
    answer_with(0, 0);
    answer_address("127.0.0.1:9");
    assert_status(try_connect(host_at("some-host.test", &v4), NULL), NB_OK);
    assert_int_equal(calls(ON_GETADDRINFO), 1);
    assert_string_equal(asked_for, "some-host.test");
}

static void the_port_goes_to_every_address(void **state)
{
    nb_address v4;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 8, &v4);
    answer_with(0, 0);
    answer_address("[::1]:9");
    answer_address("127.0.0.2:9");
    answer_address("127.0.0.1:9");
    assert_status(try_connect(host_at("some.test", &v4), NULL), NB_OK);
}

static void addresses_are_tried_in_the_order_of_the_resolver(void **state)
{
    nb_address first, second, peer;
    nb_conn *conn;

    (void)state;
    (void)bare_listener("127.0.0.3:0", 8, &first);
    (void)bare_listener(host_at("127.0.0.2", &first), 8, &second);
    answer_with(0, 0);
    answer_address("127.0.0.3:0");
    answer_address("127.0.0.2:0");
    assert_status(nb_connect(&conn, host_at("some.test", &first), NULL, nb_after_ms(2000), NULL),
                  NB_OK);
    nb_conn_peer(conn, &peer);
    nb_abort(conn);
    assert_true(nb_address_equal(&peer, &first));
}

static void every_failure_of_a_lookup_has_its_status(void **state)
{
    static const struct {
        int code, number;
        nb_status status;
        int system_error;
    } rows[] = {
        {EAI_NONAME, 0, NB_NAME_NOT_FOUND, EAI_NONAME},
        {EAI_FAIL, 0, NB_NAME_NOT_FOUND, EAI_FAIL},
        {EAI_NODATA, 0, NB_NAME_NOT_FOUND, EAI_NODATA},
        {EAI_ADDRFAMILY, 0, NB_NAME_NOT_FOUND, EAI_ADDRFAMILY},
        {EAI_AGAIN, 0, NB_NAME_TEMPORARY, EAI_AGAIN},
        {EAI_MEMORY, 0, NB_NO_MEMORY, EAI_MEMORY},
        {EAI_SERVICE, 0, NB_SYSTEM, EAI_SERVICE},
        {EAI_SYSTEM, EMFILE, NB_NO_DESCRIPTORS, EMFILE},
        {EAI_SYSTEM, EIO, NB_SYSTEM, EIO},
    };
    nb_error err;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        answer_with(rows[i].code, rows[i].number);
        assert_status(try_connect("some.test:80", &err), rows[i].status);
        assert_status(err.status, rows[i].status);
        assert_int_equal(err.system_error, rows[i].system_error);
        assert_non_null(strstr(err.message, "some.test:80"));
    }
    assert_int_equal(calls(ON_GETADDRINFO), COUNT(rows));
    assert_int_equal(calls(ON_FREEADDRINFO), 0);
}

static void a_failed_lookup_says_why(void **state)
{
    nb_error err;

    (void)state;
    answer_with(EAI_NONAME, 0);
    assert_status(try_connect("some.test:80", &err), NB_NAME_NOT_FOUND);
    assert_non_null(strstr(err.message, nb_status_text(NB_NAME_NOT_FOUND)));
    assert_non_null(strstr(err.message, "EAI_NONAME"));
}

static void a_lookup_without_addresses_is_name_not_found(void **state)
{
    (void)state;
    answer_with(0, 0);
    assert_status(try_connect("some.test:80", NULL), NB_NAME_NOT_FOUND);
}

static void addresses_of_other_families_are_left_out(void **state)
{
    nb_address v4;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 8, &v4);
    answer_with(0, 0);
    answer_other_family();
    answer_address("127.0.0.1:0");
    assert_status(try_connect(host_at("some.test", &v4), NULL), NB_OK);
}

static void only_addresses_of_other_families_is_name_not_found(void **state)
{
    (void)state;
    answer_with(0, 0);
    answer_other_family();
    assert_status(try_connect("some.test:80", NULL), NB_NAME_NOT_FOUND);
    assert_int_equal(calls(ON_FREEADDRINFO), 1);
}

static void a_mapped_address_of_the_resolver_becomes_ipv4(void **state)
{
    nb_address v4, peer;
    nb_conn *conn;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 8, &v4);
    answer_with(0, 0);
    answer_mapped_loopback();
    assert_status(nb_connect(&conn, host_at("some.test", &v4), NULL, nb_after_ms(2000), NULL),
                  NB_OK);
    nb_conn_peer(conn, &peer);
    nb_abort(conn);
    assert_true(nb_address_equal(&peer, &v4));
}

static void the_list_is_freed_once(void **state)
{
    nb_address v4, dead;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 8, &v4);
    (void)dead_port("127.0.0.1:0", &dead);
    answer_with(0, 0);
    answer_address("127.0.0.2:0");
    answer_address("127.0.0.1:0");
    assert_status(try_connect(host_at("some.test", &v4), NULL), NB_OK);
    assert_int_equal(calls(ON_FREEADDRINFO), 1);
    assert_status(try_connect(host_at("some.test", &dead), NULL), NB_REFUSED);
    assert_int_equal(calls(ON_FREEADDRINFO), 2);
}

static void a_lookup_that_outlasts_the_deadline_is_a_timeout(void **state)
{
    nb_address v4;
    nb_deadline by = nb_after_ms(30);
    nb_conn *conn;
    nb_error err;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 8, &v4);
    answer_with(0, 0);
    answer_address("127.0.0.1:0");
    answer_not_before = by;
    assert_status(nb_connect(&conn, host_at("some.test", &v4), NULL, by, &err), NB_TIMEOUT);
    assert_null(conn);
    assert_non_null(strstr(err.message, "some.test"));
    assert_int_equal(calls(ON_FREEADDRINFO), 1);
}

static void a_lookup_that_fails_too_late_is_a_timeout(void **state)
{
    nb_deadline by = nb_after_ms(30);
    nb_conn *conn;
    nb_error err;

    (void)state;
    answer_with(EAI_AGAIN, 0);
    answer_not_before = by;
    assert_status(nb_connect(&conn, "some.test:80", NULL, by, &err), NB_TIMEOUT);
    assert_null(conn);
    assert_int_equal(err.system_error, 0);
    assert_non_null(strstr(err.message, "some.test:80: timed out"));
}

static void an_expired_deadline_does_not_look_up(void **state)
{
    nb_conn *conn;

    (void)state;
    answer_with(0, 0);
    assert_status(nb_connect(&conn, "some.test:80", NULL, nb_after_ms(0), NULL), NB_TIMEOUT);
    assert_int_equal(calls(ON_GETADDRINFO), 0);
}

static void what_is_no_name_never_reaches_the_resolver(void **state)
{
    static const char *const rows[] = {
        "1:80",          "127.1:80",       "0177.0.0.1:80", "0x7f.1:80",    "2130706433:80",
        "127.0.0.1.:80", "127.0.0.256:80", "some test:80",  "some/test:80", "some.test:http",
        "some.test:0",   "some.test:",     "some.test",     "a:b:c",        "some.test:65536",
    };
    nb_error err;

    (void)state;
    answer_with(EAI_NONAME, 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_status(try_connect(rows[i], &err), NB_BAD_ENDPOINT);
        assert_non_null(strstr(err.message, rows[i]));
    }
    assert_int_equal(calls(ON_GETADDRINFO), 0);
}

static void the_longest_name_is_looked_up_and_a_longer_one_is_not(void **state)
{
    char endpoint[300];
    const int longest = 253;

    (void)state;
    answer_with(EAI_NONAME, 0);
    memset(endpoint, 'a', sizeof(endpoint));
    (void)snprintf(endpoint + longest, sizeof(endpoint) - (size_t)longest, ":80");
    assert_status(try_connect(endpoint, NULL), NB_NAME_NOT_FOUND);
    assert_int_equal(strlen(asked_for), longest);
    memset(endpoint, 'a', sizeof(endpoint));
    (void)snprintf(endpoint + longest + 1, sizeof(endpoint) - (size_t)longest - 1, ":80");
    assert_status(try_connect(endpoint, NULL), NB_BAD_ENDPOINT);
    assert_int_equal(calls(ON_GETADDRINFO), 1);
}

static void a_hundred_dead_addresses_end_in_one_bounded_line(void **state)
{
    char text[32];
    nb_address dead;
    nb_error err;

    (void)state;
    (void)dead_port("127.0.1.1:0", &dead);
    answer_with(0, 0);
    for (int i = 1; i <= 100; i++) {
        (void)snprintf(text, sizeof(text), "127.0.1.%d:0", i);
        answer_address(text);
    }
    assert_status(try_connect(host_at("some.test", &dead), &err), NB_REFUSED);
    assert_non_null(strstr(err.message, host_at("127.0.1.1", &dead)));
    assert_true(strlen(err.message) < sizeof(err.message));
    assert_null(strchr(err.message, '\n'));
}

/* One allocation after the other fails, until none is left to fail. */
static void no_memory_for_a_lookup_leaks_nothing(void **state)
{
    nb_address v4;
    nb_status status = NB_NO_MEMORY;
    int failed = 0;

    (void)state;
    (void)bare_listener("127.0.0.1:0", 64, &v4);
    answer_with(0, 0);
    answer_address("127.0.0.1:0");
    while (status == NB_NO_MEMORY && failed < 20) {
        fail_after(ON_MALLOC, failed, ENOMEM, 1);
        status = try_connect(host_at("some.test", &v4), NULL);
        failed++;
    }
    fail_next(ON_MALLOC, 0, 0);
    assert_status(status, NB_OK);
    assert_true(failed > 1);
    assert_int_equal(calls(ON_FREEADDRINFO), calls(ON_GETADDRINFO));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        NET_CASE(literals_are_never_looked_up),
        NET_CASE(localhost_is_never_looked_up),
        NET_CASE(a_name_is_looked_up_once_and_without_its_port),
        NET_CASE(the_port_goes_to_every_address),
        NET_CASE(addresses_are_tried_in_the_order_of_the_resolver),
        NET_CASE(every_failure_of_a_lookup_has_its_status),
        NET_CASE(a_failed_lookup_says_why),
        NET_CASE(a_lookup_without_addresses_is_name_not_found),
        NET_CASE(addresses_of_other_families_are_left_out),
        NET_CASE(only_addresses_of_other_families_is_name_not_found),
        NET_CASE(a_mapped_address_of_the_resolver_becomes_ipv4),
        NET_CASE(the_list_is_freed_once),
        NET_CASE(a_lookup_that_outlasts_the_deadline_is_a_timeout),
        NET_CASE(a_lookup_that_fails_too_late_is_a_timeout),
        NET_CASE(an_expired_deadline_does_not_look_up),
        NET_CASE(what_is_no_name_never_reaches_the_resolver),
        NET_CASE(the_longest_name_is_looked_up_and_a_longer_one_is_not),
        NET_CASE(a_hundred_dead_addresses_end_in_one_bounded_line),
        NET_CASE(no_memory_for_a_lookup_leaks_nothing),
    };

    return cmocka_run_group_tests(cases, move_to_own_network, NULL);
}
