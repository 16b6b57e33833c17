/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the race of a host's addresses, on a virtual clock and with hosts that answer as a
 *         table says: who is tried when, who wins, and what is told of the others. */
#include "kernel.h"
#include "net/address_internal.h"
#include "servers.h"

#define HOSTS_MAX 24
#define MS KERNEL_MS
#define NEVER KERNEL_NEVER

/* One address of "host.test", in the order of the resolver. */
struct host {
    const char *address;
    int64_t answers; /* milliseconds after it was asked: 0 at once, NEVER */
    int error;       /* 0: it lets us in */
};

static const struct host *its_hosts;
static size_t host_count;
static nb_address asked[HOSTS_MAX]; /* in the order in which the attempts began */
static struct kernel_attempt attempts[HOSTS_MAX];

/* What a case says of the machine; it holds for all its races. */
static struct {
    int no_ipv6;         /* the errno for which there are no sockets of IPv6; 0: there are */
    int64_t signal_ms;   /* signals interrupt waits so often; 0: never */
    int64_t late_ms;     /* the machine is busy: each wait for an answer takes so much longer, */
    int64_t late_lookup; /* and so does the one for the lookup, */
    int64_t slow_ms;     /* and each attempt to connect */
    int64_t lookup_ms;   /* what the lookup takes */
} machine;

static int64_t now_ms(void)
{
    return (kernel.now - KERNEL_START) / MS;
}

/* ---- the system, as the library sees it ---- */

/* The thread of a lookup runs when the clock comes to its end. */
static struct {
    void *(*run)(void *argument);
    void *argument;
    bool goes_on;
} lookup;

static void end_lookup(void *unused)
{
    (void)unused;
    lookup.goes_on = false;
    (void)lookup.run(lookup.argument);
}

static int own_thread_start(pthread_t *out, size_t stack_size, void *(*run)(void *), void *argument)
{
    (void)stack_size;
    *out = pthread_self();
    lookup.run = run;
    lookup.argument = argument;
    lookup.goes_on = true;
    kernel_at(kernel.now + machine.lookup_ms * MS, end_lookup, NULL);
    return 0;
}

static int own_join(pthread_t thread, void **ended)
{
    (void)thread;
    (void)ended;
    return 0;
}

static int own_detach(pthread_t thread)
{
    (void)thread;
    return 0;
}

static int own_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    *number = 0;
    *out = answers();
    return strcmp(host, "host.test") == 0 ? 0 : EAI_NONAME;
}

static int own_socket(int family)
{
    return family == AF_INET6 && machine.no_ipv6 != 0 ? -machine.no_ipv6 : usual.socket(family);
}

static int own_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    static const struct kernel_peer silent;
    size_t turn = kernel.connects;
    int result;

    asked[turn] = nb__address_from(address, length);
    for (size_t i = 0; i < host_count; i++) {
        const struct host *host = &its_hosts[i];
        nb_address its = address_of(host->address);

        if (nb_address_equal(&its, &asked[turn]))
            attempts[turn] = (struct kernel_attempt){
                .after_ns = host->answers == NEVER ? NEVER : host->answers * MS,
                .error = host->error,
                .at_once = host->answers == 0,
                .peer = &silent};
    }
    result = usual.connect(fd, address, length);
    kernel.now += machine.slow_ms * MS;
    return result;
}

static int own_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    int result = usual.poll(fds, count, by);

    kernel.now += (kernel.connects > 0 ? machine.late_ms : machine.late_lookup) * MS;
    return result;
}

/* ---- what the cases say ---- */

static nb_error err;
static char winner[NB_ADDRESS_TEXT_MAX]; /* whom a race got; "" for nobody */

static int race_case_begin(void **state)
{
    (void)case_begin(state);
    memset(&machine, 0, sizeof(machine));
    sys.thread_start = own_thread_start;
    sys.pthread_join = own_join;
    sys.pthread_detach = own_detach;
    sys.getaddrinfo = own_getaddrinfo;
    sys.freeaddrinfo = answers_free;
    sys.socket = own_socket;
    sys.connect = own_connect;
    sys.poll = own_poll;
    return 0;
}

static int race_case_end(void **state)
{
    kernel_end();
    return case_end(state);
}

#define RACE_CASE(name) cmocka_unit_test_setup_teardown(name, race_case_begin, race_case_end)

/* Connects to port 80 of a host with these addresses, within so many milliseconds (-1: for ever), and
   keeps whom it got; all other sockets must have been closed. The world begins at 0 ms. */
static nb_status race_to(const char *endpoint, const struct host *hosts, size_t count, int64_t ms)
{
    struct nb__flags flags;
    nb_conn *conn;
    nb_status status;
    nb_address peer;

    kernel_begin();
    kernel.attempts = attempts;
    kernel.attempt_count = COUNT(attempts);
    kernel.signal_every_ns = machine.signal_ms * MS;
    memset(attempts, 0, sizeof(attempts));
    its_hosts = hosts;
    host_count = count;
    answers_clear();
    for (size_t i = 0; i < count; i++)
        answer_address(hosts[i].address);
    status = nb_connect(&conn, endpoint, NULL, ms < 0 ? nb_forever() : KERNEL_IN(ms * MS), &err);
    assert_true((status == NB_OK) == (conn != NULL));
    assert_status(err.status, status);
    assert_null(kernel.complaint);
    assert_int_equal(kernel_open(), (conn != NULL) + lookup.goes_on);
    winner[0] = '\0';
    if (conn == NULL)
        return status;
    assert_int_equal(usual.get_flags(nb_conn_fd(conn), &flags), 0);
    assert_true(flags.of_file); /* it waits */
    nb_conn_peer(conn, &peer);
    (void)nb_address_format(&peer, winner, sizeof(winner));
    nb_abort(conn);
    return status;
}

#define RACE(hosts, ms) race_to("host.test:80", hosts, COUNT(hosts), ms)

/* Whom it asked, and when: "ADDRESS@MS ...". */
static const char *course(void)
{
    static char text[HOSTS_MAX * 64];
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < kernel.connects; i++) {
        char address[NB_ADDRESS_TEXT_MAX];

        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "%s%s@%d", i > 0 ? " " : "",
                             nb_address_format(&asked[i], address, sizeof(address)),
                             (int)((kernel.connect_times[i] - KERNEL_START) / MS));
    }
    return text;
}

/* That the race of the `hosts` of a case comes to this, and takes this course. */
#define assert_race(ms, status, expected)                                                          \
    do {                                                                                           \
        assert_status(RACE(hosts, ms), status);                                                    \
        assert_string_equal(course(), expected);                                                   \
    } while (0)

#define assert_winner(ms, expected)                                                                \
    do {                                                                                           \
        assert_status(RACE(hosts, ms), NB_OK);                                                     \
        assert_string_equal(winner, expected);                                                     \
    } while (0)

#define TEST(name) TEST_AS(name, RACE_CASE)

/* --- Order --- */

TEST(families_alternate_in_resolver_order)
{
    static const struct host hosts[] = {{"[2001:db8::1]:80", NEVER, 0},
                                        {"[2001:db8::2]:80", NEVER, 0},
                                        {"[2001:db8::3]:80", NEVER, 0},
                                        {"192.0.2.1:80", NEVER, 0},
                                        {"192.0.2.2:80", NEVER, 0}};

    assert_race(10000, NB_TIMEOUT,
                "[2001:db8::1]:80@0 192.0.2.1:80@250 [2001:db8::2]:80@500 "
                "192.0.2.2:80@750 [2001:db8::3]:80@1000");
}

TEST(the_family_that_the_resolver_prefers_is_first)
{
    static const struct host hosts[] = {
        {"192.0.2.1:80", NEVER, 0}, {"192.0.2.2:80", NEVER, 0}, {"[2001:db8::1]:80", NEVER, 0}};

    assert_race(10000, NB_TIMEOUT, "192.0.2.1:80@0 [2001:db8::1]:80@250 192.0.2.2:80@500");
}

TEST(a_duplicate_address_is_tried_once)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 5, ECONNREFUSED},
                                        {"192.0.2.1:80", 5, ECONNREFUSED},
                                        {"192.0.2.2:80", 5, ECONNREFUSED},
                                        {"192.0.2.1:80", 5, ECONNREFUSED}};

    assert_race(10000, NB_REFUSED, "192.0.2.1:80@0 192.0.2.2:80@5");
}

/* Twenty of one family must not push the other one out. */
TEST(at_most_sixteen_addresses_of_both_families_are_tried)
{
    static struct host hosts[22];
    static char names[22][32];

    for (int i = 0; i < 22; i++) {
        (void)snprintf(names[i], sizeof(names[i]), i < 20 ? "[2001:db8::%x]:80" : "192.0.2.%d:80",
                       (unsigned)(i + 1));
        hosts[i] = (struct host){names[i], 0, ECONNREFUSED};
    }
    assert_status(RACE(hosts, 10000), NB_REFUSED);
    assert_int_equal(kernel.connects, 16);
    assert_string_equal(names[20], "192.0.2.21:80");
    assert_non_null(strstr(course(), "[2001:db8::1]:80@0 192.0.2.21:80@0 [2001:db8::2]:80@0 "
                                     "192.0.2.22:80@0 [2001:db8::3]:80@0 [2001:db8::4]:80@0"));
}

/* --- Time --- */

TEST(a_failed_attempt_starts_the_next_at_once_and_restarts_the_stagger)
{
    static const struct host hosts[] = {
        {"192.0.2.1:80", 0, ENETUNREACH},    {"192.0.2.2:80", 40, ECONNREFUSED},
        {"192.0.2.3:80", 300, ECONNREFUSED}, {"192.0.2.4:80", NEVER, 0},
        {"192.0.2.5:80", NEVER, 0},          {"192.0.2.6:80", 1, 0}};

    assert_race(10000, NB_OK,
                "192.0.2.1:80@0 192.0.2.2:80@0 192.0.2.3:80@40 192.0.2.4:80@290 "
                "192.0.2.5:80@340 192.0.2.6:80@590");
    assert_string_equal(winner, "192.0.2.6:80");
    assert_int_equal(now_ms(), 591);
}

TEST(an_answer_within_the_stagger_starts_no_other_attempt)
{
    static const struct host hosts[] = {{"[2001:db8::1]:80", 249, 0}, {"192.0.2.1:80", 1, 0}};

    assert_race(10000, NB_OK, "[2001:db8::1]:80@0");
    assert_string_equal(winner, "[2001:db8::1]:80");
}

TEST(a_dead_address_costs_a_quarter_of_a_second)
{
    static const struct host hosts[] = {{"[2001:db8::1]:80", NEVER, 0}, {"192.0.2.1:80", 3, 0}};

    assert_winner(-1, "192.0.2.1:80");
    assert_int_equal(now_ms(), 253);
}

TEST(an_earlier_attempt_that_answers_late_still_wins)
{
    static const struct host hosts[] = {
        {"192.0.2.1:80", 600, 0}, {"192.0.2.2:80", 400, 0}, {"192.0.2.3:80", 150, ECONNREFUSED}};

    assert_winner(10000, "192.0.2.1:80");
    assert_int_equal(now_ms(), 600);
}

TEST(the_earlier_of_two_simultaneous_answers_wins)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 300, 0}, {"192.0.2.2:80", 50, 0}};

    assert_winner(10000, "192.0.2.1:80");
}

TEST(a_short_deadline_is_shared_among_all_addresses)
{
    static const struct host hosts[] = {{"192.0.2.1:80", NEVER, 0},
                                        {"192.0.2.2:80", NEVER, 0},
                                        {"192.0.2.3:80", NEVER, 0},
                                        {"192.0.2.4:80", 1, 0}};

    assert_race(400, NB_OK, "192.0.2.1:80@0 192.0.2.2:80@100 192.0.2.3:80@200 192.0.2.4:80@300");
}

TEST(attempts_start_at_least_ten_milliseconds_apart)
{
    static const struct host hosts[] = {
        {"192.0.2.1:80", NEVER, 0}, {"192.0.2.2:80", NEVER, 0}, {"192.0.2.3:80", NEVER, 0}};

    assert_race(15, NB_TIMEOUT, "192.0.2.1:80@0 192.0.2.2:80@10");
    assert_non_null(strstr(err.message, "(tried 192.0.2.1:80: timed out, 192.0.2.2:80: timed out, "
                                        "192.0.2.3:80: not tried)"));
}

TEST(the_deadline_ends_all_attempts_together)
{
    static const struct host hosts[] = {
        {"192.0.2.1:80", NEVER, 0}, {"192.0.2.2:80", 5, ECONNREFUSED}, {"192.0.2.3:80", NEVER, 0}};

    assert_status(RACE(hosts, 2000), NB_TIMEOUT);
    assert_int_equal(now_ms(), 2000);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message,
                        "connect to host.test:80: timed out (tried 192.0.2.1:80: timed "
                        "out, 192.0.2.2:80: connection refused (ECONNREFUSED), "
                        "192.0.2.3:80: timed out)");
}

TEST(signals_move_neither_the_stagger_nor_the_deadline)
{
    static const struct host hosts[] = {{"192.0.2.1:80", NEVER, 0}, {"192.0.2.2:80", NEVER, 0}};

    machine.signal_ms = 1;
    assert_race(2000, NB_TIMEOUT, "192.0.2.1:80@0 192.0.2.2:80@250");
    assert_int_equal(now_ms(), 2000);
}

TEST(without_a_deadline_the_kernels_timeout_ends_a_connect)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 127000, ETIMEDOUT},
                                        {"192.0.2.2:80", 127000, ETIMEDOUT}};

    assert_status(RACE(hosts, -1), NB_UNREACHABLE);
    assert_int_equal(err.system_error, ETIMEDOUT);
    assert_int_equal(now_ms(), 127250);
}

/* An answer that has come counts, even when the machine was too busy to look in time. */
TEST(an_answer_that_has_arrived_beats_the_deadline)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 100, 0}};

    machine.late_ms = 500;
    assert_status(RACE(hosts, 300), NB_OK);
}

TEST(no_attempt_starts_after_the_deadline)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 0, ECONNREFUSED},
                                        {"192.0.2.2:80", 0, ECONNREFUSED},
                                        {"192.0.2.3:80", 0, ECONNREFUSED}};

    machine.slow_ms = 100;
    assert_race(150, NB_TIMEOUT, "192.0.2.1:80@0 192.0.2.2:80@100");
    assert_non_null(strstr(err.message, "192.0.2.3:80: not tried"));
}

TEST(a_lookup_ends_at_the_deadline_despite_interruptions)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 1, 0}};

    machine.signal_ms = 1;
    machine.lookup_ms = 1000;
    assert_status(RACE(hosts, 300), NB_TIMEOUT);
    assert_int_equal(now_ms(), 300);
    assert_int_equal(kernel.connects, 0);
    kernel_idle(1000 * MS);
    assert_int_equal(kernel_open(), 0);
    machine.lookup_ms = 50;
    assert_status(RACE(hosts, 300), NB_OK);
    assert_int_equal(now_ms(), 51);
}

TEST(a_lookup_that_failed_too_late_is_a_timeout)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 1, 0}};

    machine.late_lookup = 500;
    assert_status(race_to("none.test:80", hosts, 1, 300), NB_TIMEOUT);
    assert_int_equal(err.system_error, 0);
    assert_status(race_to("none.test:80", hosts, 1, 900), NB_NAME_NOT_FOUND);
}

/* --- What it comes to when all fail --- */

TEST(the_most_informative_failure_is_reported_when_all_attempts_fail)
{
    static const struct {
        int errors[3];
        nb_status status;
        int system_error;
    } rows[] = {
        {{ECONNREFUSED, ENETUNREACH, ENETUNREACH}, NB_REFUSED, ECONNREFUSED},
        {{ENETUNREACH, ECONNREFUSED, ENETUNREACH}, NB_REFUSED, ECONNREFUSED},
        {{ENETUNREACH, ENETUNREACH, ECONNREFUSED}, NB_REFUSED, ECONNREFUSED},
        {{EADDRNOTAVAIL, ECONNRESET, EHOSTUNREACH}, NB_RESET, ECONNRESET},
        {{EADDRNOTAVAIL, EAFNOSUPPORT, EHOSTUNREACH}, NB_UNREACHABLE, EHOSTUNREACH},
        {{EAFNOSUPPORT, ENETUNREACH, ETIMEDOUT}, NB_UNREACHABLE, ENETUNREACH},
        {{EADDRNOTAVAIL, EAFNOSUPPORT, EAFNOSUPPORT}, NB_ADDRESS_UNAVAILABLE, EADDRNOTAVAIL},
        {{EAFNOSUPPORT, EADDRNOTAVAIL, EAFNOSUPPORT}, NB_UNSUPPORTED, EAFNOSUPPORT},
        {{ECONNREFUSED, EMFILE, ECONNREFUSED}, NB_NO_DESCRIPTORS, EMFILE},
        {{ECONNREFUSED, ECONNREFUSED, ENOBUFS}, NB_NO_MEMORY, ENOBUFS},
        {{ENETUNREACH, EPERM, EHOSTUNREACH}, NB_PERMISSION, EPERM},
        {{ENETUNREACH, EPROTO, EHOSTUNREACH}, NB_SYSTEM, EPROTO},
        {{ENOPROTOOPT, EAFNOSUPPORT, EAFNOSUPPORT}, NB_UNREACHABLE, ENOPROTOOPT},
        {{ECONNRESET, ECONNREFUSED, EACCES}, NB_RESET, ECONNRESET},
        {{EPERM, ECONNREFUSED, EACCES}, NB_REFUSED, ECONNREFUSED},
        {{EACCES, EPERM, EACCES}, NB_PERMISSION, EACCES},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int64_t answers = 0; answers <= 5; answers += 5) {
            const struct host hosts[] = {
                {"192.0.2.1:80", answers, rows[i].errors[0]},
                {"192.0.2.2:80", answers, rows[i].errors[1]},
                {"192.0.2.3:80", answers, rows[i].errors[2]},
            };

            assert_status(RACE(hosts, 10000), rows[i].status);
            assert_int_equal(err.system_error, rows[i].system_error);
        }
    }
}

/* Whatever errno a filter of system calls has chosen for a family. */
TEST(an_answer_of_the_host_outranks_a_failed_socket_call)
{
    static const int reasons[] = {EPERM,  EACCES, EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT,
                                  EINVAL, EPROTO, ENOSYS,     ECONNREFUSED};
    static const struct {
        int error;
        nb_status status;
    } answers[] = {
        {ECONNREFUSED, NB_REFUSED},  {ECONNRESET, NB_RESET}, {EHOSTUNREACH, NB_UNREACHABLE},
        {ETIMEDOUT, NB_UNREACHABLE}, {EPERM, NB_PERMISSION},
    };

    for (size_t i = 0; i < COUNT(reasons); i++) {
        for (size_t k = 0; k < COUNT(answers); k++) {
            const struct host hosts[] = {
                {"[2001:db8::1]:80", 1, 0},
                {"192.0.2.1:80", 1, answers[k].error},
                {"[2001:db8::2]:80", 1, 0},
            };

            machine.no_ipv6 = reasons[i];
            assert_status(RACE(hosts, 10000), answers[k].status);
            assert_int_equal(err.system_error, answers[k].error);
        }
    }
}

TEST(a_shortage_at_one_attempt_does_not_stop_the_next)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 1, 0}, {"192.0.2.2:80", 1, 0}};

    fail_next(ON_SOCKET, EMFILE, 1);
    assert_winner(10000, "192.0.2.2:80");
    fail_next(ON_SOCKET, EMFILE, 2);
    assert_status(RACE(hosts, 10000), NB_NO_DESCRIPTORS);
    assert_non_null(strstr(err.message, "(tried 192.0.2.1:80: out of file descriptors (EMFILE), "
                                        "192.0.2.2:80: out of file descriptors (EMFILE))"));
}

/* The longest texts there are, each with its reason. */
TEST(sixteen_attempts_fit_into_the_message)
{
    static struct host hosts[16];
    static char names[16][64];
    int told = 0;

    for (int i = 0; i < 16; i++) {
        (void)snprintf(
            names[i], sizeof(names[i]),
            i < 8 ? "[2001:db8:1111:2222:3333:4444:5555:66%02d]:80" : "192.168.111.1%02d:80", i);
        hosts[i] = (struct host){names[i], 0, ECONNREFUSED};
    }
    assert_status(RACE(hosts, 10000), NB_REFUSED);
    for (int i = 0; i < 16; i++)
        told += strstr(err.message, names[i]) != NULL;
    assert_int_equal(told, 16);
    assert_null(strstr(err.message, "..."));
}
