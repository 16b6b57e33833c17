/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of name lookup, through nb_connect(). */
#include "servers.h"

#include <arpa/inet.h>
#include <sys/wait.h>

/* What the resolver answers beside addresses. */
static int answer_code;
static int answer_errno;
static nb_deadline answer_not_before;
static pthread_mutex_t answers_lock = PTHREAD_MUTEX_INITIALIZER; /* against threads left behind */
static char asked_for[512];
static atomic_bool hangs;       /* the resolver waits at the gate, and then has no answer */
static atomic_bool asks_system; /* it is the system's own */
static bool answers_too_late;   /* the lookup is over when its caller has just given up */
static atomic_bool good_asked;  /* good.test was looked up */
static atomic_size_t stack_size;
static atomic_bool signals_blocked; /* but not SIGSEGV and SIGPROF */

/* What the thread is like that a lookup runs in. */
static void look_at_thread(void)
{
    pthread_attr_t attributes;
    size_t size = 0;
    sigset_t blocked;

    (void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    atomic_store(&signals_blocked,
                 sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGUSR1) == 1 &&
                     sigismember(&blocked, SIGSEGV) == 0 && sigismember(&blocked, SIGPROF) == 0);
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    (void)pthread_attr_getstacksize(&attributes, &size);
    (void)pthread_attr_destroy(&attributes);
    atomic_store(&stack_size, size);
}

static int own_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    nb_deadline until;
    int code;

    look_at_thread();
    if (strcmp(host, "good.test") == 0)
        atomic_store(&good_asked, true);
    if (atomic_load(&asks_system))
        return real.getaddrinfo(host, out, number);
    if (atomic_load(&hangs)) {
        gate_pass();
        return EAI_AGAIN;
    }
    pthread_mutex_lock(&answers_lock);
    (void)snprintf(asked_for, sizeof(asked_for), "%s", host);
    until = answer_not_before;
    code = answer_code;
    *number = answer_errno;
    *out = code == 0 ? answers() : NULL;
    pthread_mutex_unlock(&answers_lock);
    while (!nb_expired(until))
        a_moment();
    return code;
}

REPLACE(getaddrinfo, own_getaddrinfo)
REPLACE(freeaddrinfo, answers_free)

static int own_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    if (!answers_too_late)
        return real.poll(fds, count, by);
    (void)real.poll(fds, count, nb_forever());
    while (!nb_expired(by))
        a_moment();
    return 0;
}

REPLACE(poll, own_poll)

/* While set: at the third question for the process, which is asked between reading how many lookups
   were left behind and changing that, another one is left behind. */
static struct {
    bool on;
    int questions;
    nb_status status;
} meanwhile;

static int own_process(void)
{
    nb_conn *conn;

    if (meanwhile.on && ++meanwhile.questions == 3) {
        meanwhile.on = false;
        meanwhile.status = nb_connect(&conn, "other.test:80", NULL, nb_forever(), NULL);
    }
    return real.process();
}

REPLACE(process, own_process)

static void answer_not_until(nb_deadline until)
{
    pthread_mutex_lock(&answers_lock);
    answer_not_before = until;
    pthread_mutex_unlock(&answers_lock);
}

static void answer_with(int code, int number)
{
    pthread_mutex_lock(&answers_lock);
    answers_clear();
    answer_code = code;
    answer_errno = number;
    pthread_mutex_unlock(&answers_lock);
    answer_not_until((nb_deadline){0});
}

static void answer_mapped_loopback(void)
{
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};

    (void)inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
    answer_sockaddr((struct sockaddr *)&mapped, sizeof(mapped));
}

static void answer_other_family(void)
{
    static const struct sockaddr other = {.sa_family = AF_PACKET};

    answer_sockaddr(&other, sizeof(other));
}

/* Connects; whatever comes of it is ended. Threads, which cannot assert, may do it. */
static nb_status try_by(const char *endpoint, nb_deadline by, nb_error *out)
{
    nb_conn *conn;
    nb_status status = nb_connect(&conn, endpoint, NULL, by, out);

    if ((status == NB_OK) != (conn != NULL))
        status = NB_INVALID; /* which no case expects */
    nb_abort(conn);
    return status;
}

/* Somebody listens there, and this is what failed, in the case that runs. */
static nb_address v4;
static nb_error err;

static int resolve_case_begin(void **state)
{
    atomic_store(&hangs, false);
    atomic_store(&asks_system, false);
    answers_too_late = false;
    memset(&err, 0, sizeof(err));
    answer_with(0, 0);
    if (net_case_begin(state) != 0)
        return -1;
    (void)bare_listener("127.0.0.1:0", 64, &v4);
    return 0;
}

static nb_status try_connect(const char *endpoint)
{
    return try_by(endpoint, plenty(), &err);
}

static const char *some_test(void)
{
    return host_at("some.test", &v4);
}

#define assert_tells(text) assert_non_null(strstr(err.message, text))

static void assert_reaches(const nb_address *to, const char *endpoint)
{
    nb_address peer;
    nb_conn *conn;

    assert_status(nb_connect(&conn, endpoint, NULL, plenty(), NULL), NB_OK);
    nb_conn_peer(conn, &peer);
    nb_abort(conn);
    assert_true(nb_address_equal(&peer, to));
}

static void assert_fails(const char *endpoint, nb_status expected, int system_error)
{
    assert_status(try_connect(endpoint), expected);
    assert_int_equal(err.system_error, system_error);
}

#undef NET_CASE
#define NET_CASE(name) cmocka_unit_test_setup_teardown(name, resolve_case_begin, net_case_end)

#define TEST(name) TEST_AS(name, NET_CASE)

TEST(literals_are_never_looked_up)
{
    nb_address v6;
    int threads = calls(ON_PTHREAD_CREATE);

    (void)bare_listener("[::1]:0", 8, &v6);
    assert_status(try_connect(host_at("127.0.0.1", &v4)), NB_OK);
    assert_status(try_connect(host_at("[::1]", &v6)), NB_OK);
    assert_int_equal(calls(ON_GETADDRINFO), 0);
    assert_int_equal(calls(ON_PTHREAD_CREATE), threads);
}

TEST(localhost_is_never_looked_up)
{
    int threads = calls(ON_PTHREAD_CREATE);

    assert_status(try_connect(host_at("localhost", &v4)), NB_OK);
    assert_status(try_connect(host_at("LocalHost", &v4)), NB_OK);
    assert_status(try_connect(host_at("localhost.", &v4)), NB_OK);
    assert_status(try_connect(host_at("app.localhost", &v4)), NB_OK);
    assert_int_equal(calls(ON_GETADDRINFO), 0);
    assert_int_equal(calls(ON_PTHREAD_CREATE), threads);
}

TEST(a_name_is_looked_up_once_and_without_its_port)
{
    answer_address("127.0.0.1:9");
    assert_status(try_connect(host_at("some-host.test", &v4)), NB_OK);
    assert_int_equal(calls(ON_GETADDRINFO), 1);
    assert_string_equal(asked_for, "some-host.test");
}

TEST(the_port_is_set_in_every_address)
{
    answer_address("[::1]:9");
    answer_address("127.0.0.2:9");
    answer_address("127.0.0.1:9");
    assert_status(try_connect(some_test()), NB_OK);
}

TEST(addresses_are_tried_in_the_order_of_the_resolver)
{
    nb_address first, second;

    (void)bare_listener("127.0.0.3:0", 8, &first);
    (void)bare_listener(host_at("127.0.0.2", &first), 8, &second);
    answer_address("127.0.0.3:0");
    answer_address("127.0.0.2:0");
    assert_reaches(&first, host_at("some.test", &first));
}

TEST(every_failure_of_a_lookup_has_its_status)
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

    for (size_t i = 0; i < COUNT(rows); i++) {
        answer_with(rows[i].code, rows[i].number);
        assert_status(try_connect("some.test:80"), rows[i].status);
        assert_status(err.status, rows[i].status);
        assert_int_equal(err.system_error, rows[i].system_error);
        assert_tells("some.test:80");
    }
    assert_int_equal(calls(ON_GETADDRINFO), COUNT(rows));
    assert_int_equal(calls(ON_FREEADDRINFO), 0);
}

TEST(a_failed_lookup_reports_the_reason)
{
    answer_with(EAI_NONAME, 0);
    assert_status(try_connect("some.test:80"), NB_NAME_NOT_FOUND);
    assert_tells(nb_status_text(NB_NAME_NOT_FOUND));
    assert_tells("EAI_NONAME");
}

TEST(a_lookup_without_addresses_is_name_not_found)
{
    assert_status(try_connect("some.test:80"), NB_NAME_NOT_FOUND);
}

TEST(addresses_of_other_families_are_left_out)
{
    answer_other_family();
    answer_address("127.0.0.1:0");
    assert_status(try_connect(some_test()), NB_OK);
}

TEST(a_lookup_with_only_other_families_is_name_not_found)
{
    answer_other_family();
    assert_status(try_connect("some.test:80"), NB_NAME_NOT_FOUND);
    assert_int_equal(calls(ON_FREEADDRINFO), 1);
}

TEST(an_ipv4_mapped_address_of_the_resolver_becomes_ipv4)
{
    answer_mapped_loopback();
    assert_reaches(&v4, some_test());
}

/* A hosts file can hold it; no socket can be connected to it. */
TEST(a_resolved_link_local_address_without_a_zone_is_skipped)
{
    answer_address("[fe80::1]:0");
    assert_status(try_connect(some_test()), NB_ADDRESS_UNAVAILABLE);
    assert_tells("[fe80::1]:");
    assert_tells("a link-local address without its zone");
    answer_address("127.0.0.1:0");
    assert_status(try_connect(some_test()), NB_OK);
}

TEST(the_list_of_the_resolver_is_freed_once)
{
    nb_address dead;

    (void)dead_port("127.0.0.1:0", &dead);
    answer_address("127.0.0.2:0");
    answer_address("127.0.0.1:0");
    assert_status(try_connect(some_test()), NB_OK);
    assert_int_equal(calls(ON_FREEADDRINFO), 1);
    assert_status(try_connect(host_at("some.test", &dead)), NB_REFUSED);
    assert_int_equal(calls(ON_FREEADDRINFO), 2);
}

TEST(a_lookup_that_outlasts_the_deadline_is_a_timeout)
{
    answer_address("127.0.0.1:0");
    for (int64_t ms = 30; calls(ON_GETADDRINFO) == 0; ms *= 2) { /* until there was time to begin */
        nb_deadline by = nb_after_ms(ms);

        answer_not_until(by);
        assert_status(try_by(some_test(), by, &err), NB_TIMEOUT);
    }
    assert_tells("some.test");
    eventually(calls(ON_FREEADDRINFO) == calls(ON_GETADDRINFO));
}

TEST(a_lookup_that_fails_too_late_is_a_timeout)
{
    nb_deadline by = nb_after_ms(30);

    answer_with(EAI_AGAIN, 0);
    answer_not_until(by);
    assert_status(try_by("some.test:80", by, &err), NB_TIMEOUT);
    assert_int_equal(err.system_error, 0);
    assert_tells("some.test:80: timed out");
}

TEST(an_expired_deadline_does_not_look_up)
{
    assert_status(try_by("some.test:80", nb_after_ms(0), NULL), NB_TIMEOUT);
    assert_int_equal(calls(ON_GETADDRINFO), 0);
}

TEST(an_invalid_name_never_reaches_the_resolver)
{
    static const char *const rows[] = {
        "1:80",          "127.1:80",       "0177.0.0.1:80", "0x7f.1:80",    "2130706433:80",
        "127.0.0.1.:80", "127.0.0.256:80", "some test:80",  "some/test:80", "some.test:http",
        "some.test:0",   "some.test:",     "some.test",     "a:b:c",        "some.test:65536",
    };

    answer_with(EAI_NONAME, 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_status(try_connect(rows[i]), NB_BAD_ENDPOINT);
        assert_tells(rows[i]);
    }
    assert_int_equal(calls(ON_GETADDRINFO), 0);
}

static nb_status try_name_of(int length)
{
    char endpoint[300];

    memset(endpoint, 'a', sizeof(endpoint));
    (void)snprintf(endpoint + length, sizeof(endpoint) - (size_t)length, ":80");
    return try_connect(endpoint);
}

TEST(the_longest_name_is_looked_up_and_a_longer_one_is_not)
{
    answer_with(EAI_NONAME, 0);
    assert_status(try_name_of(253), NB_NAME_NOT_FOUND);
    assert_int_equal(strlen(asked_for), 253);
    assert_status(try_name_of(254), NB_BAD_ENDPOINT);
    assert_int_equal(calls(ON_GETADDRINFO), 1);
}

TEST(a_hundred_dead_addresses_give_one_bounded_message)
{
    char text[32];
    nb_address dead;

    (void)dead_port("127.0.1.1:0", &dead);
    for (int i = 1; i <= 100; i++) {
        (void)snprintf(text, sizeof(text), "127.0.1.%d:0", i);
        answer_address(text);
    }
    assert_status(try_connect(host_at("some.test", &dead)), NB_REFUSED);
    assert_tells(host_at("127.0.1.1", &dead));
    assert_true(strlen(err.message) < sizeof(err.message));
    assert_null(strchr(err.message, '\n'));
}

/* One allocation after the other fails, until none is left to fail. */
TEST(out_of_memory_for_a_lookup_leaks_nothing)
{
    nb_status status = NB_NO_MEMORY;
    int failed = 0;

    answer_address("127.0.0.1:0");
    while (status == NB_NO_MEMORY && failed < 20) {
        fail_after(ON_LIBC_MALLOC, failed++, ENOMEM, 1);
        status = try_connect(some_test());
    }
    fail_next(ON_LIBC_MALLOC, 0, 0);
    assert_status(status, NB_OK);
    assert_true(failed > 1);
    assert_int_equal(calls(ON_FREEADDRINFO), calls(ON_GETADDRINFO));
}

/* --- The thread --- */

/* Leaves one lookup behind that hangs. The deadline moves on until there was time to begin it, and is
   returned. */
static nb_deadline look_up_in_vain(int64_t ms)
{
    size_t threads = running_threads();
    nb_deadline by;

    do {
        by = nb_after_ms(ms);
        ms *= 2;
        assert_status(try_by("some.test:80", by, &err), NB_TIMEOUT);
    } while (running_threads() == threads);
    return by;
}

TEST(a_lookup_that_hangs_is_abandoned_at_the_deadline)
{
    nb_deadline by;

    atomic_store(&hangs, true);
    by = look_up_in_vain(100);
    assert_passed(by, 10000);
    eventually(gate_waiting() == 1);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message, "connect to some.test:80: timed out");
}

TEST(signals_do_not_move_the_deadline_of_a_lookup)
{
    nb_deadline by;

    atomic_store(&hangs, true);
    storm_begin(0);
    by = nb_after_ms(150);
    assert_status(try_by("some.test:80", by, NULL), NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_true(storm_end() > 0);
}

struct cancelled {
    struct task task;
    nb_fd fds[2]; /* a pipe */
    nb_status status;
    nb_error err;
};

static void look_up_until_cancelled(void *argument)
{
    struct cancelled *cancelled = argument;
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_conn *conn;

    options.cancel_fd = &cancelled->fds[0];
    cancelled->status = nb_connect(&conn, "some.test:80", &options, nb_forever(), &cancelled->err);
    nb_abort(conn);
}

static void assert_can_be_cancelled(struct cancelled *cancelled)
{
    assert_int_equal(write(cancelled->fds[1], "x", 1), 1);
    task_join(&cancelled->task);
    assert_status(cancelled->status, NB_CANCELLED);
    assert_int_equal(cancelled->err.system_error, 0);
    assert_string_equal(cancelled->err.message, "connect to some.test:80: cancelled");
    raw_close_pair(cancelled->fds);
}

TEST(a_lookup_that_hangs_can_be_cancelled)
{
    struct cancelled cancelled;

    assert_int_equal(pipe(cancelled.fds), 0);
    atomic_store(&hangs, true);
    task_start(&cancelled.task, look_up_until_cancelled, &cancelled);
    eventually(gate_waiting() == 1);
    assert_can_be_cancelled(&cancelled);
    assert_int_equal(gate_waiting(), 1);
}

/* Leaves so many lookups behind that hang. */
static void leave_behind(int count)
{
    int before = gate_waiting();

    atomic_store(&hangs, true);
    for (int i = 0; i < count; i++)
        (void)look_up_in_vain(5);
    eventually(gate_waiting() == before + count);
}

static void assert_no_place(void)
{
    assert_status(try_by("some.test:80", before_long(), &err), NB_TIMEOUT);
    assert_tells("(16 earlier lookups still go on)");
}

TEST(a_lookup_waits_while_sixteen_abandoned_ones_hang)
{
    nb_deadline by;

    leave_behind(16);
    by = nb_after_ms(150);
    assert_status(try_by("some.test:80", by, &err), NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_string_equal(err.message,
                        "connect to some.test:80: timed out (16 earlier lookups still go on)");
    assert_int_equal(err.system_error, 0);
    assert_int_equal(calls(ON_GETADDRINFO), 16);
    assert_int_equal(calls(ON_PTHREAD_CREATE), 16);
    assert_status(try_connect(host_at("127.0.0.1", &v4)), NB_OK);
    assert_status(try_connect(host_at("localhost", &v4)), NB_OK);
}

TEST(lookups_work_again_once_one_that_hung_has_ended)
{
    for (int round = 0; round < 3; round++) {
        size_t threads = running_threads();

        leave_behind(16);
        assert_int_equal(running_threads(), threads + 16);
        gate_open();
        eventually(running_threads() == threads);
        gate_close();
    }
    atomic_store(&hangs, false);
    answer_address("127.0.0.1:0");
    assert_status(try_connect(some_test()), NB_OK);
}

struct waiter {
    struct task task;
    const char *endpoint;
    atomic_int status;
};

static void wait_for_lookup(void *argument)
{
    struct waiter *waiter = argument;

    atomic_store(&waiter->status, try_by(waiter->endpoint, plenty(), NULL));
}

static void start_waiter(struct waiter *waiter, const char *endpoint)
{
    waiter->endpoint = endpoint;
    task_start(&waiter->task, wait_for_lookup, waiter);
}

static void start_waiters(struct waiter *waiters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        start_waiter(&waiters[i], "some.test:80");
}

static void assert_told_in_the_end(struct waiter *waiters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        task_join(&waiters[i].task);
        assert_status((nb_status)atomic_load(&waiters[i].status), NB_NAME_TEMPORARY);
    }
}

static void open_the_gate_soon(void *argument)
{
    (void)argument;
    for (int polls = calls(ON_POLL); calls(ON_POLL) < polls + 3;) /* somebody waits for a place */
        a_moment();
    atomic_store(&hangs, false);
    gate_open();
}

/* Whoever chose the names of those that hang holds it up no longer than they take. */
TEST(a_lookup_that_waits_for_a_slot_finds_its_name)
{
    struct task task;

    answer_address("127.0.0.1:0");
    leave_behind(16);
    task_start(&task, open_the_gate_soon, NULL);
    assert_status(try_connect(host_at("good.test", &v4)), NB_OK);
    task_join(&task);
    assert_string_equal(asked_for, "good.test");
}

/* Whoever asks for slow names again and again, with short deadlines, does not get a place before it. */
TEST(a_lookup_waiting_for_a_slot_is_not_overtaken)
{
    struct waiter good;
    int polls;

    atomic_store(&good_asked, false);
    leave_behind(16);
    polls = calls(ON_POLL);
    start_waiter(&good, host_at("good.test", &v4));
    eventually(calls(ON_POLL) >= polls + 8); /* its pauses are long now */
    gate_open_for(1);
    for (int i = 0; i < 200 && !atomic_load(&good_asked); i++)
        assert_status(try_by("bad.test:80", nb_after_ms(5), NULL), NB_TIMEOUT);
    eventually(atomic_load(&good_asked)); /* there was one place */
    gate_open();
    task_join(&good.task);
}

/* More than can be noted wait, and all of them are served when the places come free. */
TEST(many_lookups_waiting_for_slots_all_get_one)
{
    static struct waiter waiters[80];
    int polls;

    leave_behind(16);
    polls = calls(ON_POLL);
    start_waiters(waiters, COUNT(waiters));
    eventually(calls(ON_POLL) >= polls + 2 * (int)COUNT(waiters));
    assert_int_equal(calls(ON_GETADDRINFO), 16);
    gate_open();
    assert_told_in_the_end(waiters, COUNT(waiters));
    assert_int_equal(calls(ON_GETADDRINFO), 16 + COUNT(waiters));
}

TEST(a_lookup_waiting_for_a_slot_can_be_cancelled)
{
    struct cancelled cancelled;
    int polls;

    leave_behind(16);
    assert_int_equal(pipe(cancelled.fds), 0);
    polls = calls(ON_POLL);
    task_start(&cancelled.task, look_up_until_cancelled, &cancelled);
    /* Also before it waits: whether it is cancelled already. */
    eventually(calls(ON_POLL) >= polls + 3);
    assert_can_be_cancelled(&cancelled);
    assert_int_equal(calls(ON_GETADDRINFO), 16);
}

TEST(a_failure_to_wait_for_a_lookup_slot_is_reported)
{
    leave_behind(16);
    fail_next(ON_POLL, ENOMEM, 1);
    assert_status(try_by("some.test:80", plenty(), &err), NB_NO_MEMORY);
    assert_int_equal(err.system_error, ENOMEM);
    fail_next(ON_POLL, EINTR, 1);
    assert_status(try_by("some.test:80", nb_after_ms(10), NULL), NB_TIMEOUT);
}

/* Only those that nobody waits for count. */
TEST(only_abandoned_lookups_count_toward_the_limit)
{
    static struct waiter waiters[20];

    atomic_store(&hangs, true);
    start_waiters(waiters, COUNT(waiters));
    eventually(gate_waiting() == (int)COUNT(waiters));
    leave_behind(15);
    assert_status(try_by("some.test:80", nb_after_ms(5), NULL), NB_TIMEOUT);
    gate_open();
    assert_told_in_the_end(waiters, COUNT(waiters));
}

TEST(a_lookup_runs_with_the_signals_of_the_process_blocked)
{
    answer_with(EAI_NONAME, 0);
    assert_status(try_connect("some.test:80"), NB_NAME_NOT_FOUND);
    assert_true(atomic_load(&signals_blocked));
}

TEST(a_lookup_thread_has_enough_stack_for_the_resolver)
{
    answer_with(EAI_NONAME, 0);
    assert_status(try_connect("some.test:80"), NB_NAME_NOT_FOUND);
    /* A sanitizer adds its own thread-local variables. */
    assert_in_range(atomic_load(&stack_size), (size_t)256 << 10, (size_t)4 << 20);
}

/* Whatever it answers here: it runs. It may wait for an answer as long as it does by itself. */
TEST(the_system_resolver_runs_in_the_lookup_thread)
{
    nb_status status;

    atomic_store(&asks_system, true);
    status = try_by("no-such-host.invalid:80", plenty(), &err);
    assert_true(status == NB_NAME_NOT_FOUND || status == NB_NAME_TEMPORARY || status == NB_TIMEOUT);
    assert_tells("no-such-host.invalid:80");
}

TEST(a_lookup_thread_that_cannot_be_started_is_out_of_memory)
{
    answer_address("127.0.0.1:0");
    fail_next(ON_PTHREAD_CREATE, EAGAIN, 1);
    assert_fails(some_test(), NB_NO_MEMORY, EAGAIN);
    assert_status(try_connect(some_test()), NB_OK);
}

TEST(a_lookup_out_of_descriptors_is_reported)
{
    answer_address("127.0.0.1:0");
    fail_next(ON_WAKE_OPEN, EMFILE, 1);
    assert_fails(some_test(), NB_NO_DESCRIPTORS, EMFILE);
    assert_int_equal(calls(ON_PTHREAD_CREATE), 0);
    assert_status(try_connect(some_test()), NB_OK);
}

TEST(a_lookup_without_thread_resources_is_out_of_memory)
{
    answer_address("127.0.0.1:0");
    fail_next(ON_LIBRARY_HOLD, ENOMEM, 1);
    assert_fails(some_test(), NB_NO_MEMORY, ENOMEM);
    fail_next(ON_PTHREAD_ATTR_INIT, ENOMEM, 1);
    assert_fails(some_test(), NB_NO_MEMORY, ENOMEM);
    assert_int_equal(calls(ON_GETADDRINFO), 0);
    assert_status(try_connect(some_test()), NB_OK);
}

TEST(a_lookup_that_cannot_be_waited_for_is_abandoned)
{
    atomic_store(&hangs, true);
    fail_next(ON_POLL, ENOMEM, 1);
    assert_fails("some.test:80", NB_NO_MEMORY, ENOMEM);
    eventually(gate_waiting() == 1);
}

/* It is over when its caller gives up: then it counts for nothing, and its answer is freed. */
TEST(a_lookup_that_ends_while_being_abandoned_leaks_nothing)
{
    answer_address("127.0.0.1:0");
    answers_too_late = true;
    while (calls(ON_GETADDRINFO) < 20) {
        assert_status(try_by("some.test:80", nb_after_ms(10), NULL), NB_TIMEOUT);
        assert_int_equal(calls(ON_FREEADDRINFO), calls(ON_GETADDRINFO));
    }
}

TEST(lookups_abandoned_at_the_same_time_are_all_counted)
{
    atomic_store(&hangs, true);
    fail_next(ON_POLL, ENOMEM, 2);
    meanwhile.questions = 0;
    meanwhile.on = true;
    assert_status(try_connect("some.test:80"), NB_NO_MEMORY);
    assert_false(meanwhile.on);
    assert_status(meanwhile.status, NB_NO_MEMORY);
    eventually(gate_waiting() == 2);
    leave_behind(14);
    assert_no_place();
}

/* The threads that hang in the parent do not exist in the child. */
TEST(a_forked_child_is_not_limited_by_its_parents_lookups)
{
    nb_status status = NB_SYSTEM;
    pid_t child;
    int fds[2];

    skip_under_qemu("a fork beside other threads ends the emulator");
#ifdef __SANITIZE_THREAD__
    skip_because("the thread sanitizer cannot start threads in a child");
#endif
    skip_under_valgrind("what the threads of the parent hold is lost in a child");
    leave_behind(16);
    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        atomic_store(&hangs, false);
        answer_with(EAI_NONAME, 0);
        status = try_connect("some.test:80");
        _exit(write(fds[1], &status, sizeof(status)) != sizeof(status));
    }
    raw_close(fds[1]);
    assert_int_equal(read(fds[0], &status, sizeof(status)), sizeof(status));
    raw_close(fds[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_status(status, NB_NAME_NOT_FOUND);
    assert_no_place();
}

TEST_GROUP(move_to_own_network, NULL)
