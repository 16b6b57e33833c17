/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the race of a host's addresses, on a virtual clock and with hosts that answer as a
 *         table says: who is tried when, who wins, and what is told of the others. */
#include "base/deadline_internal.h"
#include "net/address_internal.h"
#include "support.h"
#include "sys/sys.h"

#include <netdb.h>

#define HOSTS_MAX 24
#define FIRST_FD 1000000 /* of the sockets of this world */
#define NEVER INT64_MAX

/* One address of "host.test", in the order of the resolver. */
struct host {
    const char *address;
    int64_t answers; /* milliseconds after it was asked: 0 at once, NEVER */
    int error;       /* 0: it lets us in */
};

struct attempt {
    nb_address to;
    const struct host *host;
    int64_t asked_ms;
    bool open;
    int blocking;
};

static struct world {
    int64_t now_ns;
    const struct host *hosts;
    size_t host_count;
    struct attempt attempts[HOSTS_MAX]; /* in the order in which they began */
    int begun;
    int no_ipv6;         /* the errno for which there are no sockets of IPv6; 0: there are */
    int socket_failures; /* so many of the next sockets cannot be made */
    int interruptions;   /* so many of the next waits end by a signal, after a millisecond */
    int late_ms;         /* the machine is busy: each wait takes so much longer */
    int slow_ms;         /* and so does each attempt to connect */
    int lookup_ms;       /* what the lookup takes */
    int disturbances;    /* so many waits for a lookup end as interruptions do */
} world;

static int64_t now_ms(void)
{
    return world.now_ns / NB__NS_PER_MS;
}

static nb_address address_at(const char *text)
{
    nb_address address;

    if (nb_address_parse(&address, text) != NB_OK)
        memset(&address, 0, sizeof(address));
    return address;
}

static bool is_ours(int fd)
{
    return fd >= FIRST_FD;
}

static struct attempt *attempt_of(int fd)
{
    return &world.attempts[fd - FIRST_FD];
}

static int64_t answers_at_ns(const struct attempt *attempt)
{
    if (attempt->host == NULL || attempt->host->answers == NEVER)
        return NEVER;
    return (attempt->asked_ms + attempt->host->answers) * NB__NS_PER_MS;
}

/* ---- the system, as the library sees it ---- */

static int own_libc_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (world.hosts == NULL)
        return real.libc_clock_gettime(clock, out);
    out->tv_sec = (time_t)(world.now_ns / NB__NS_PER_S);
    out->tv_nsec = (long)(world.now_ns % NB__NS_PER_S);
    return 0;
}

REPLACE(libc_clock_gettime, own_libc_clock_gettime)

/* Lookups that are left behind read the world, too. */
static pthread_mutex_t lookup_lock = PTHREAD_MUTEX_INITIALIZER;

static int own_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    static struct addrinfo entries[HOSTS_MAX];
    static nb_address addresses[HOSTS_MAX];

    *number = 0;
    pthread_mutex_lock(&lookup_lock);
    memset(entries, 0, sizeof(entries));
    for (size_t i = 0; i < world.host_count; i++) {
        addresses[i] = address_at(world.hosts[i].address);
        entries[i].ai_addr = (struct sockaddr *)(void *)addresses[i].storage;
        entries[i].ai_addrlen = addresses[i].length;
        if (i > 0)
            entries[i - 1].ai_next = &entries[i];
    }
    *out = entries;
    pthread_mutex_unlock(&lookup_lock);
    return strcmp(host, "host.test") == 0 ? 0 : EAI_NONAME;
}

REPLACE(getaddrinfo, own_getaddrinfo)

static void own_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

REPLACE(freeaddrinfo, own_freeaddrinfo)

static int own_socket(int family)
{
    if (family == AF_INET6 && world.no_ipv6 != 0)
        return -world.no_ipv6;
    if (world.socket_failures > 0) {
        world.socket_failures--;
        return -EMFILE;
    }
    world.attempts[world.begun].open = true;
    world.attempts[world.begun].blocking = -1;
    return FIRST_FD + world.begun++;
}

REPLACE(socket, own_socket)

static int own_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct attempt *attempt = attempt_of(fd);

    attempt->to = nb__address_from(address, length);
    attempt->asked_ms = now_ms();
    world.now_ns += world.slow_ms * NB__NS_PER_MS;
    for (size_t i = 0; i < world.host_count; i++) {
        nb_address host = address_at(world.hosts[i].address);

        if (nb_address_equal(&host, &attempt->to))
            attempt->host = &world.hosts[i];
    }
    if (attempt->host == NULL)
        return -EFAULT;
    return attempt->host->answers == 0 ? -attempt->host->error : -EINPROGRESS;
}

REPLACE(connect, own_connect)

static int own_close(int fd)
{
    if (!is_ours(fd))
        return real.close(fd);
    if (!attempt_of(fd)->open)
        return -EBADF;
    attempt_of(fd)->open = false;
    return 0;
}

REPLACE(close, own_close)

static int show_answers(struct pollfd *fds, nfds_t count)
{
    int ready = 0;

    for (nfds_t i = 0; i < count; i++) {
        if (!is_ours(fds[i].fd) || answers_at_ns(attempt_of(fds[i].fd)) > world.now_ns)
            continue;
        fds[i].revents = attempt_of(fds[i].fd)->host->error == 0 ? POLLOUT : POLLERR | POLLHUP;
        ready++;
    }
    return ready;
}

/* A wait that is not about sockets of this world. */
static int wait_for_lookup(struct pollfd *fds, nfds_t count)
{
    if (world.disturbances > 0) {
        world.disturbances--;
        world.now_ns += NB__NS_PER_MS;
        return -EINTR;
    }
    world.now_ns += world.lookup_ms * NB__NS_PER_MS;
    return real.poll(fds, count, nb_forever());
}

static int own_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    int64_t until = by.ns;
    bool any = false;

    for (nfds_t i = 0; i < count; i++) {
        any = any || is_ours(fds[i].fd);
        if (is_ours(fds[i].fd) && answers_at_ns(attempt_of(fds[i].fd)) < until)
            until = answers_at_ns(attempt_of(fds[i].fd));
    }
    if (!any)
        return wait_for_lookup(fds, count);
    if (until == NEVER)
        return -EDEADLK;
    if (world.interruptions > 0) {
        world.interruptions--;
        world.now_ns += NB__NS_PER_MS;
        return -EINTR;
    }
    if (until > world.now_ns)
        world.now_ns = until;
    world.now_ns += world.late_ms * NB__NS_PER_MS;
    return show_answers(fds, count);
}

REPLACE(poll, own_poll)

static int own_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    (void)level;
    (void)name;
    memcpy(value, &attempt_of(fd)->host->error, sizeof(int));
    *length = sizeof(int);
    return 0;
}

REPLACE(getsockopt, own_getsockopt)

static int own_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    (void)fd;
    (void)level;
    (void)name;
    (void)value;
    (void)length;
    return 0;
}

REPLACE(setsockopt, own_setsockopt)

static int own_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    (void)fd;
    (void)address;
    (void)length;
    return -ENOBUFS;
}

REPLACE(getsockname, own_getsockname)

static int own_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    socklen_t own;
    const struct sockaddr *peer = nb__address_sockaddr(&attempt_of(fd)->to, &own);

    memcpy(address, peer, own);
    *length = own;
    return answers_at_ns(attempt_of(fd)) > world.now_ns ? -ENOTCONN : 0;
}

REPLACE(getpeername, own_getpeername)

static int own_set_blocking(int fd, bool blocking)
{
    attempt_of(fd)->blocking = blocking;
    return 0;
}

REPLACE(set_blocking, own_set_blocking)

/* ---- what the cases say ---- */

static nb_error err;
static char winner[NB_ADDRESS_TEXT_MAX]; /* whom a race got; "" for nobody */

static int race_case_begin(void **state)
{
    memset(&world, 0, sizeof(world));
    return case_begin(state);
}

/* Waits until no lookup is left behind; the alarm of the case bounds it. */
static void until_lookups_end(size_t threads)
{
    while (running_threads() > threads)
        (void)nanosleep(&(struct timespec){0, 500000}, NULL);
}

static int race_case_end(void **state)
{
    pthread_mutex_lock(&lookup_lock);
    world.hosts = NULL;
    pthread_mutex_unlock(&lookup_lock);
    return case_end(state);
}

#define RACE_CASE(name) cmocka_unit_test_setup_teardown(name, race_case_begin, race_case_end)

/* What a case has said of the machine stays. */
static void begin_world(const struct host *hosts, size_t count)
{
    struct world begun = {.hosts = hosts, .host_count = count};

    begun.no_ipv6 = world.no_ipv6;
    begun.socket_failures = world.socket_failures;
    begun.interruptions = world.interruptions;
    begun.late_ms = world.late_ms;
    begun.slow_ms = world.slow_ms;
    begun.lookup_ms = world.lookup_ms;
    begun.disturbances = world.disturbances;
    pthread_mutex_lock(&lookup_lock);
    world = begun;
    pthread_mutex_unlock(&lookup_lock);
}

/* Connects to port 80 of a host with these addresses, within so many milliseconds (-1: for ever), and
   keeps whom it got; all other sockets must have been closed. The world begins at 0 ms. */
static nb_status race(const struct host *hosts, size_t count, int64_t ms)
{
    nb_deadline by = ms < 0 ? nb_forever() : (nb_deadline){ms * NB__NS_PER_MS};
    nb_conn *conn;
    nb_status status;
    nb_address peer;

    begin_world(hosts, count);
    status = nb_connect(&conn, "host.test:80", NULL, by, &err);
    assert_true((status == NB_OK) == (conn != NULL));
    assert_status(err.status, status);
    for (int i = 0; i < world.begun; i++)
        assert_true(world.attempts[i].open == (conn != NULL && nb_conn_fd(conn) == FIRST_FD + i));
    winner[0] = '\0';
    if (conn == NULL)
        return status;
    assert_int_equal(attempt_of(nb_conn_fd(conn))->blocking, true);
    nb_conn_peer(conn, &peer);
    (void)nb_address_format(&peer, winner, sizeof(winner));
    nb_abort(conn);
    return status;
}

#define RACE(hosts, ms) race(hosts, COUNT(hosts), ms)

/* Whom it asked, and when: "ADDRESS@MS ...". */
static const char *course(void)
{
    static char text[HOSTS_MAX * 64];
    size_t length = 0;

    text[0] = '\0';
    for (int i = 0; i < world.begun; i++) {
        char address[NB_ADDRESS_TEXT_MAX];

        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "%s%s@%d", i > 0 ? " " : "",
                             nb_address_format(&world.attempts[i].to, address, sizeof(address)),
                             (int)world.attempts[i].asked_ms);
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

TEST(families_take_turns_in_the_order_of_the_resolver)
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

TEST(an_address_that_comes_twice_is_tried_once)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 5, ECONNREFUSED},
                                        {"192.0.2.1:80", 5, ECONNREFUSED},
                                        {"192.0.2.2:80", 5, ECONNREFUSED},
                                        {"192.0.2.1:80", 5, ECONNREFUSED}};

    assert_race(10000, NB_REFUSED, "192.0.2.1:80@0 192.0.2.2:80@5");
}

/* Twenty of one family must not push the other one out. */
TEST(sixteen_are_tried_and_both_families_are_among_them)
{
    static struct host hosts[22];
    static char names[22][32];

    for (int i = 0; i < 22; i++) {
        (void)snprintf(names[i], sizeof(names[i]), i < 20 ? "[2001:db8::%x]:80" : "192.0.2.%d:80",
                       (unsigned)(i + 1));
        hosts[i] = (struct host){names[i], 0, ECONNREFUSED};
    }
    assert_status(RACE(hosts, 10000), NB_REFUSED);
    assert_int_equal(world.begun, 16);
    assert_string_equal(names[20], "192.0.2.21:80");
    assert_non_null(strstr(course(), "[2001:db8::1]:80@0 192.0.2.21:80@0 [2001:db8::2]:80@0 "
                                     "192.0.2.22:80@0 [2001:db8::3]:80@0 [2001:db8::4]:80@0"));
}

/* --- Time --- */

TEST(a_failure_starts_the_next_at_once_and_the_stagger_anew)
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

TEST(an_answer_within_the_stagger_leaves_the_others_alone)
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

TEST(of_two_that_answer_together_the_earlier_wins)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 300, 0}, {"192.0.2.2:80", 50, 0}};

    assert_winner(10000, "192.0.2.1:80");
}

TEST(where_time_is_short_every_address_gets_its_share_of_it)
{
    static const struct host hosts[] = {{"192.0.2.1:80", NEVER, 0},
                                        {"192.0.2.2:80", NEVER, 0},
                                        {"192.0.2.3:80", NEVER, 0},
                                        {"192.0.2.4:80", 1, 0}};

    assert_race(400, NB_OK, "192.0.2.1:80@0 192.0.2.2:80@100 192.0.2.3:80@200 192.0.2.4:80@300");
}

TEST(attempts_are_never_closer_than_ten_milliseconds)
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

    world.interruptions = 1000000;
    assert_race(2000, NB_TIMEOUT, "192.0.2.1:80@0 192.0.2.2:80@250");
    assert_int_equal(now_ms(), 2000);
}

TEST(without_a_deadline_the_patience_of_the_system_ends_it)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 127000, ETIMEDOUT},
                                        {"192.0.2.2:80", 127000, ETIMEDOUT}};

    assert_status(RACE(hosts, -1), NB_UNREACHABLE);
    assert_int_equal(err.system_error, ETIMEDOUT);
    assert_int_equal(now_ms(), 127250);
}

/* An answer that has come counts, even when the machine was too busy to look in time. */
TEST(an_answer_that_is_there_beats_the_deadline)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 100, 0}};

    world.late_ms = 500;
    assert_status(RACE(hosts, 300), NB_OK);
}

TEST(after_the_deadline_no_attempt_begins)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 0, ECONNREFUSED},
                                        {"192.0.2.2:80", 0, ECONNREFUSED},
                                        {"192.0.2.3:80", 0, ECONNREFUSED}};

    world.slow_ms = 100;
    assert_race(150, NB_TIMEOUT, "192.0.2.1:80@0 192.0.2.2:80@100");
    assert_non_null(strstr(err.message, "192.0.2.3:80: not tried"));
}

TEST(a_lookup_is_over_at_the_deadline_whatever_interrupts_it)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 1, 0}};
    size_t threads = running_threads();

    world.disturbances = 1000000;
    assert_status(RACE(hosts, 300), NB_TIMEOUT);
    assert_int_equal(now_ms(), 300);
    assert_int_equal(world.begun, 0);
    until_lookups_end(threads);
    world.disturbances = 50;
    assert_status(RACE(hosts, 300), NB_OK);
    assert_int_equal(now_ms(), 51);
}

TEST(a_lookup_that_failed_too_late_is_a_timeout)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 1, 0}};
    nb_conn *conn;

    begin_world(hosts, COUNT(hosts));
    world.lookup_ms = 500;
    assert_status(nb_connect(&conn, "none.test:80", NULL, (nb_deadline){300 * NB__NS_PER_MS}, &err),
                  NB_TIMEOUT);
    assert_int_equal(err.system_error, 0);
    begin_world(hosts, COUNT(hosts));
    assert_status(nb_connect(&conn, "none.test:80", NULL, (nb_deadline){900 * NB__NS_PER_MS}, &err),
                  NB_NAME_NOT_FOUND);
}

/* --- What it comes to when all fail --- */

TEST(when_all_fail_the_status_is_what_tells_most)
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
TEST(a_socket_that_this_machine_refuses_tells_less_than_the_host)
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

            world.no_ipv6 = reasons[i];
            assert_status(RACE(hosts, 10000), answers[k].status);
            assert_int_equal(err.system_error, answers[k].error);
        }
    }
}

TEST(a_shortage_at_one_attempt_does_not_stop_the_next)
{
    static const struct host hosts[] = {{"192.0.2.1:80", 1, 0}, {"192.0.2.2:80", 1, 0}};

    world.socket_failures = 1;
    assert_winner(10000, "192.0.2.2:80");
    world.socket_failures = 2;
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
