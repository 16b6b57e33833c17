/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of deadlines: never early, hardly late, and never extended by progress, signals or
 *         the coarseness of the kernel's timers.
 *
 *  Half of the cases run on a virtual clock, in a world where nothing really waits. */
#include "support.h"
#include "sys/sys.h"

#include <sys/time.h>
#include <sys/uio.h>

#define NS_PER_MS INT64_C(1000000)
#define NEVER INT64_MAX
#define LARGE ((size_t)64 << 20)

static nb_conn *conn;
static int peer;
static enum transport over;

static char buf[4096];
static size_t got;
static char *large; /* bytes of no meaning, never touched */

/* ---- the virtual world ---- */

static struct world {
    bool on;
    int64_t now;
    int64_t readable;      /* when the next byte can be received */
    int64_t every;         /* so long after it comes the one after it; 0: they are all there */
    int64_t writable;      /* when bytes can be sent */
    int64_t alarm_every;   /* poll(2) calls the socket readable for nothing so often; 0: never */
    int64_t receive_takes; /* how long each receive takes */
    int64_t signal_every;  /* signals interrupt waits so often; 0: never */
    bool late;             /* whether the socket's timers are as late as they can be */
    bool no_timers;        /* whether the system refuses to set them */
    nb_deadline by;        /* the deadline that holds: what the timers must keep a distance from */

    int64_t armed_ms[2]; /* the socket's timers, 0: none */
    int receives;        /* how often each was called */
    int sends;
    int polls;
    int set_options;
    int waits; /* blocking calls and polls that had to wait */
    nb_deadline last_poll;
    size_t longest_send;
    bool misarmed; /* a blocking call could have come back too late */
    bool blocked;  /* a receive or send was allowed to wait in the kernel */
    bool hung;     /* something waited for ever */
} world;

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t latest_end(int64_t ms)
{
    return ms + ms / 8 + 8;
}

/* Lets time pass until one of several things happens: 1 when that is readiness, 0 at the limit,
   -EINTR for a signal. */
static int pass_time(int64_t ready, int64_t limit)
{
    int64_t signal = world.signal_every > 0 ? world.now + world.signal_every : NEVER;
    int64_t until = earlier(earlier(ready, limit), signal);

    if (ready <= world.now || limit <= world.now)
        return ready <= world.now;
    if (until == NEVER || ++world.waits > 100000) {
        world.hung = true;
        return -EBADF;
    }
    world.now = until;
    if (ready == until)
        return 1;
    return limit == until ? 0 : -EINTR;
}

/* A blocking call: 1 when it can be served, or -errno. */
static int block(nb_direction direction, int64_t ready)
{
    int64_t armed = world.armed_ms[direction];
    int64_t left = world.by.ns == NEVER ? NEVER : world.by.ns - world.now;
    int64_t fires = world.late ? latest_end(armed) : armed;
    int done;

    world.blocked = true;
    if (left != NEVER && (armed == 0 || latest_end(armed) * NS_PER_MS > left))
        world.misarmed = true;
    done = pass_time(ready, armed == 0 ? NEVER : world.now + fires * NS_PER_MS);
    return done == 0 ? -EAGAIN : done;
}

static int serve(nb_direction direction, int64_t ready, int flags)
{
    if ((flags & MSG_DONTWAIT) != 0)
        return ready <= world.now ? 1 : -EAGAIN;
    return block(direction, ready);
}

static ssize_t own_recv(int fd, void *buffer, size_t length, int flags)
{
    int served;

    world.receives++;
    if (!world.on)
        return real.recv(fd, buffer, length, flags);
    world.now += world.receive_takes;
    served = serve(NB_RECEIVE, world.readable, flags);
    if (served > 0) {
        *(char *)buffer = 'x';
        world.readable += world.every;
    }
    return served;
}

REPLACE(recv, own_recv)

/* A send that is not served by the real world: the bytes taken, or -errno. */
static ssize_t send_in_world(size_t length, int flags)
{
    int served;

    served = serve(NB_SEND, world.writable, flags);
    return served > 0 ? (ssize_t)length : served;
}

static void count_send(size_t length)
{
    world.sends++;
    world.longest_send = length > world.longest_send ? length : world.longest_send;
}

static ssize_t own_send(int fd, const void *data, size_t length, int flags)
{
    count_send(length);
    return world.on ? send_in_world(length, flags) : real.send(fd, data, length, flags);
}

REPLACE(send, own_send)

static ssize_t own_sendmsg(int fd, struct iovec *parts, size_t count, int flags)
{
    size_t length = 0;

    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    count_send(length);
    return world.on ? send_in_world(length, flags) : real.sendmsg(fd, parts, count, flags);
}

REPLACE(sendmsg, own_sendmsg)

static int own_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    int64_t ready = (fds[0].events & POLLIN) != 0 ? world.readable : world.writable;

    world.polls++;
    world.last_poll = by;
    if (!world.on)
        return real.poll(fds, count, by);
    if (world.alarm_every > 0 && (world.now < by.ns || by.ns == NEVER))
        ready = earlier(ready, world.now + world.alarm_every);
    else if (world.alarm_every > 0)
        ready = world.now;
    return pass_time(ready, by.ns);
}

REPLACE(poll, own_poll)

static int own_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    struct timeval timer;

    world.set_options++;
    if (!world.on || level != SOL_SOCKET || (name != SO_RCVTIMEO && name != SO_SNDTIMEO))
        return real.setsockopt(fd, level, name, value, length);
    if (world.no_timers)
        return -ENOPROTOOPT;
    memcpy(&timer, value, sizeof(timer));
    world.armed_ms[name == SO_RCVTIMEO ? NB_RECEIVE : NB_SEND] =
        (int64_t)timer.tv_sec * 1000 + timer.tv_usec / 1000;
    return 0;
}

REPLACE(setsockopt, own_setsockopt)

static int own_libc_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!world.on || clock != CLOCK_MONOTONIC)
        return real.libc_clock_gettime(clock, now);
    now->tv_sec = (time_t)(world.now / (1000 * NS_PER_MS));
    now->tv_nsec = (long)(world.now % (1000 * NS_PER_MS));
    return 0;
}

REPLACE(libc_clock_gettime, own_libc_clock_gettime)

/* Nothing is ever ready, unless a case says otherwise. */
static void enter_world(void)
{
    memset(&world, 0, sizeof(world));
    world.now = 123456789 * NS_PER_MS;
    world.readable = NEVER;
    world.writable = NEVER;
    world.by = nb_forever();
    world.on = true;
}

/* A deadline so many milliseconds from now, and a little more. */
static nb_deadline in_world(int64_t ms)
{
    world.by = (nb_deadline){world.now + ms * NS_PER_MS + 123457};
    return world.by;
}

static void clear_counts(void)
{
    world.receives = world.sends = world.polls = world.set_options = world.waits = 0;
}

/* That a call with so much time ends at its deadline, neither early nor late. */
static void assert_times_out(nb_status (*run)(nb_deadline), int64_t ms)
{
    nb_deadline by = in_world(ms);

    assert_status(run(by), NB_TIMEOUT);
    assert_true(world.now == by.ns);
}

static void assert_world_is_sound(void)
{
    assert_false(world.misarmed);
    assert_false(world.hung);
}

/* ---- fixtures ---- */

static int begin(void **state)
{
    (void)case_begin(state);
    over = *(const enum transport *)*state;
    conn = conn_and_peer(over, &peer);
    return 0;
}

static int begin_world(void **state)
{
    (void)begin(state);
    enter_world();
    return 0;
}

static int end(void **state)
{
    world.on = false;
    nb_abort(conn);
    if (peer >= 0)
        raw_close(peer);
    return case_end(state);
}

static void renew(void)
{
    nb_abort(conn);
    raw_close(peer);
    conn = conn_and_peer(over, &peer);
}

static void leave_world(void)
{
    world.on = false;
    renew();
}

static int make_large(void **state)
{
    (void)state;
    large = calloc(1, LARGE);
    return large == NULL;
}

static int free_large(void **state)
{
    (void)state;
    free(large);
    return 0;
}

/* ---- all calls that wait ---- */

CALL_BY(wait_recv, nb_recv(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_exact, nb_recv_exact(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_until, nb_recv_until(conn, buf, sizeof(buf), "\n", 1, &got, by))
CALL_BY(wait_line, nb_recv_line(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_to_end, nb_recv_to_end(conn, buf, sizeof(buf), &got, by))
CALL_BY(wait_readable, nb_wait_readable(conn, by))
CALL_BY(wait_send, nb_send_all(conn, large, LARGE, &got, by))

static nb_status wait_send_v(nb_deadline by)
{
    nb_slice slices[] = {{large, LARGE / 2}, {large, LARGE / 2}};

    return nb_send_slices(conn, slices, 2, &got, by);
}

static nb_status wait_close(nb_deadline by)
{
    nb_conn *closing = conn;

    conn = NULL;
    return nb_close(closing, by);
}

static const struct operation {
    const char *name;
    nb_status (*run)(nb_deadline by);
    bool receives; /* and reads more than once */
} operations[] = {{"nb_recv", wait_recv, false},         {"nb_recv_exact", wait_exact, true},
                  {"nb_recv_until", wait_until, true},   {"nb_recv_line", wait_line, true},
                  {"nb_recv_to_end", wait_to_end, true}, {"nb_wait_readable", wait_readable, false},
                  {"nb_close", wait_close, true},        {"nb_send_all", wait_send, false},
                  {"nb_send_slices", wait_send_v, false}};

enum { SEND_ALL = 7, SEND_ALL_V = 8 };

/* ---- in the real world ---- */

/* What goes on around a call; each may be NULL. */
struct surroundings {
    void (*begin)(void);
    void (*end)(void);
};

/* Lets a call run into its deadline: how late it was. */
static int64_t lateness(const struct operation *call, int64_t ms, const struct surroundings *around)
{
    nb_deadline by;
    nb_status status;
    int64_t late;

    if (around->begin != NULL)
        around->begin();
    by = nb_after_ms(ms);
    status = call->run(by);
    late = now_ns() - by.ns;
    if (around->end != NULL)
        around->end();
    if (status != NB_TIMEOUT || late < 0)
        fail_msg("%s: %s, %lld ns late", call->name, nb_status_name(status), (long long)late);
    return late;
}

/* A busy machine makes some tries late, a wrong timer makes all of them late. */
static void is_on_time(const struct operation *call, int64_t ms, const struct surroundings *around)
{
    int64_t best = NEVER;

    for (int i = 0; i < 20 && best >= 10 * NS_PER_MS; i++) {
        best = earlier(best, lateness(call, ms, around));
        renew();
    }
    if (best >= 10 * NS_PER_MS)
        fail_msg("%s, %d ms: %lld us late", call->name, (int)ms, (long long)best / 1000);
}

static const struct surroundings quiet = {NULL, NULL};

/* ---- the kinds of cases ---- */

static const enum transport ipv4 = OVER_IPV4;
static const enum transport local = OVER_UNIX;

#define ROW(name, transport, begin) CASE_WITH(name, transport, begin, end)
#define REAL(name) ROW(name, ipv4, begin), ROW(name, local, begin)
#define VIRTUAL(name) ROW(name, ipv4, begin_world), ROW(name, local, begin_world)
#define VIRTUAL_TCP(name) ROW(name, ipv4, begin_world)
#define VIRTUAL_UNIX(name) ROW(name, local, begin_world)

#define TEST(name) TEST_AS(name, VIRTUAL)

TEST_AS(recv_is_on_time, REAL)
{
    static const int64_t times[] = {1, 5, 31, 32, 33, 34, 35, 44, 100, 150, 500};

    for (size_t i = 0; i < COUNT(times); i++)
        is_on_time(&operations[0], times[i], &quiet);
}

TEST_AS(every_call_is_on_time, REAL)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        is_on_time(&operations[i], 5, &quiet);
        is_on_time(&operations[i], 70, &quiet);
    }
}

/* What the peer does meanwhile. */
static struct task busy_peer;
static atomic_bool busy;

static void trickle(void *argument)
{
    (void)argument;
    while (atomic_load(&busy)) {
        (void)send(peer, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)nanosleep(&(struct timespec){0, 3 * NS_PER_MS}, NULL);
    }
}

static void begin_trickle(void)
{
    atomic_store(&busy, true);
    task_start(&busy_peer, trickle, NULL);
}

static void read_a_little(void *argument)
{
    static char little[4096];

    (void)argument;
    while (atomic_load(&busy)) {
        (void)recv(peer, little, sizeof(little), MSG_DONTWAIT);
        (void)nanosleep(&(struct timespec){0, 2 * NS_PER_MS}, NULL);
    }
}

static void begin_to_read_slowly(void)
{
    raw_shrink(nb_conn_fd(conn));
    raw_shrink(peer);
    atomic_store(&busy, true);
    task_start(&busy_peer, read_a_little, NULL);
}

static void end_busy_peer(void)
{
    atomic_store(&busy, false);
    task_join(&busy_peer);
}

TEST_AS(peer_that_trickles_extends_no_deadline, REAL)
{
    static const struct surroundings trickling = {begin_trickle, end_busy_peer};

    for (size_t i = 0; i < COUNT(operations); i++) {
        if (operations[i].receives)
            is_on_time(&operations[i], 100, &trickling);
    }
}

TEST_AS(peer_that_never_reads_extends_no_deadline, REAL)
{
    is_on_time(&operations[SEND_ALL], 300, &quiet);
    is_on_time(&operations[SEND_ALL_V], 300, &quiet);
    assert_true(got < LARGE);
}

TEST_AS(peer_that_reads_slowly_extends_no_deadline, REAL)
{
    static const struct surroundings reading = {begin_to_read_slowly, end_busy_peer};

    is_on_time(&operations[SEND_ALL], 300, &reading);
    assert_true(got > 0 && got < LARGE);
}

static int signals_handled;

static void begin_signals_that_interrupt(void)
{
    storm_begin(0);
}

static void begin_signals_that_restart(void)
{
    storm_begin(SA_RESTART);
}

static void end_signals(void)
{
    signals_handled += storm_end();
}

static void each_is_on_time_among_signals(void (*begin_signals)(void))
{
    const struct surroundings signals = {begin_signals, end_signals};

    signals_handled = 0;
    for (size_t i = 0; i < COUNT(operations); i++)
        is_on_time(&operations[i], 60, &signals);
    assert_true(signals_handled >= (int)COUNT(operations)); /* a busy machine merges most of them */
}

TEST_AS(signals_that_interrupt_extend_no_deadline, REAL)
{
    each_is_on_time_among_signals(begin_signals_that_interrupt);
}

TEST_AS(signals_that_restart_extend_no_deadline, REAL)
{
    each_is_on_time_among_signals(begin_signals_that_restart);
}

TEST_AS(signals_end_no_wait, REAL)
{
    static const int flags[] = {0, SA_RESTART};

    for (size_t i = 0; i < COUNT(flags); i++) {
        begin_trickle();
        storm_begin(flags[i]);
        errno = 1234;
        assert_status(nb_recv_exact(conn, buf, 10, &got, nb_forever()), NB_OK);
        assert_status(nb_recv_exact(conn, buf, 10, &got, plenty()), NB_OK);
        assert_status(nb_wait_readable(conn, plenty()), NB_OK);
        assert_int_equal(errno, 1234);
        assert_true(storm_end() >= 1);
        end_busy_peer();
    }
}

/* ---- on the virtual clock ---- */

static const int64_t spans_ms[] = {32,   33,    34,    35,    36,     44,      45,      50,
                                   80,   81,    100,   152,   153,    500,     1000,    5000,
                                   9999, 18440, 20000, 60000, 600000, 3600000, 86400000};

/* The largest power of two that keeps the distance. */
static int64_t best_timer(int64_t left_ms)
{
    int64_t ms = 1;

    while (latest_end(ms * 2) <= left_ms)
        ms *= 2;
    return ms;
}

/* In the world that a case has described: the call ends at its deadline, and has set few timers. */
static void ends_at_its_deadline(const struct operation *call, int64_t ms)
{
    nb_deadline by = in_world(ms);
    nb_status status = call->run(by);

    if (status != NB_TIMEOUT || world.now != by.ns || world.misarmed || world.hung ||
        world.set_options > 12)
        fail_msg("%s, %lld ms: %s at %lld ns%s%s, %d timers", call->name, (long long)ms,
                 nb_status_name(status), (long long)(world.now - by.ns),
                 world.misarmed ? ", misarmed" : "", world.hung ? ", hung" : "", world.set_options);
    leave_world();
}

TEST(every_deadline_is_kept_to_the_nanosecond)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        for (size_t k = 0; k < COUNT(spans_ms); k++) {
            enter_world();
            world.late = spans_ms[k] % 2 == 0;
            ends_at_its_deadline(&operations[i], spans_ms[k]);
        }
    }
}

/* Lets one call of a direction run into a deadline, with timers that are as late as they can be or
   not late at all: one timer is set, then the rest of the time is one poll. */
static void uses_timer_then_poll(nb_status (*run)(nb_deadline), nb_direction direction, int64_t ms,
                                 bool late)
{
    nb_deadline by;

    enter_world();
    world.late = late;
    by = in_world(ms);
    assert_status(run(by), NB_TIMEOUT);
    assert_world_is_sound();
    assert_int_equal(world.set_options, 1);
    assert_true(world.armed_ms[direction] <= best_timer(ms));
    assert_true(ms > 2000000 || world.armed_ms[direction] == best_timer(ms));
    assert_true(world.polls <= 1); /* the latest timer may fire at the very deadline */
    assert_true(world.polls == 0 || world.last_poll.ns == by.ns);
    assert_true(world.receives + world.sends <= 2);
    leave_world();
}

CALL_BY(wait_send_byte, nb_send_all(conn, "x", 1, NULL, by))

TEST(receive_is_one_timer_and_one_poll_at_most)
{
    for (size_t i = 0; i < COUNT(spans_ms); i++) {
        uses_timer_then_poll(wait_recv, NB_RECEIVE, spans_ms[i], false);
        uses_timer_then_poll(wait_recv, NB_RECEIVE, spans_ms[i], true);
    }
}

TEST_AS(tcp_send_is_one_timer_and_one_poll_at_most, VIRTUAL_TCP)
{
    for (size_t i = 0; i < COUNT(spans_ms); i++) {
        uses_timer_then_poll(wait_send_byte, NB_SEND, spans_ms[i], false);
        uses_timer_then_poll(wait_send_byte, NB_SEND, spans_ms[i], true);
    }
}

TEST_AS(twenty_seconds_are_a_timer_of_16384_ms_and_a_poll, VIRTUAL_TCP)
{
    uses_timer_then_poll(wait_recv, NB_RECEIVE, 20000, true);
    assert_int_equal(world.armed_ms[NB_RECEIVE], 16384);
    uses_timer_then_poll(wait_send_byte, NB_SEND, 20000, true);
    assert_int_equal(world.armed_ms[NB_SEND], 16384);
}

TEST_AS(unix_send_with_a_deadline_never_waits_in_the_kernels_send, VIRTUAL_UNIX)
{
    for (size_t i = 0; i < COUNT(spans_ms); i++) {
        enter_world();
        assert_times_out(wait_send, spans_ms[i]);
        assert_false(world.blocked);
        assert_int_equal(world.set_options, 0);
        leave_world();
    }
}

TEST(short_time_is_one_poll_without_a_timer)
{
    assert_status(wait_recv(in_world(33)), NB_TIMEOUT); /* a timer is set now, and not to be used */
    world.blocked = false;
    for (int64_t ms = 1; ms < 32; ms++) {
        clear_counts();
        assert_times_out(wait_recv, ms);
        assert_int_equal(world.polls, 1);
        assert_int_equal(world.set_options, 0);
        assert_true(world.receives <= 1);
    }
    assert_false(world.blocked);
}

/* Receives so many times, each with a deadline of its own; bytes come every millisecond. */
static void receive_often(int times, int64_t ms, int64_t other_ms)
{
    world.readable = world.now + NS_PER_MS;
    world.every = NS_PER_MS;
    for (int i = 0; i < times; i++)
        assert_status(wait_recv(in_world(i % 2 != 0 ? ms : other_ms)), NB_OK);
    world.readable = NEVER;
    assert_world_is_sound();
}

TEST_AS(fresh_deadlines_of_one_length_set_the_timer_once, VIRTUAL_TCP)
{
    receive_often(1000, 20000, 20000);
    assert_int_equal(world.set_options, 1);
    assert_int_equal(world.receives, 1000);
    assert_int_equal(world.polls, 0);
}

TEST_AS(timeout_in_the_steady_state_is_one_recv_and_one_poll, VIRTUAL_TCP)
{
    receive_often(3, 20000, 20000);
    clear_counts();
    assert_times_out(wait_recv, 20000);
    assert_int_equal(world.receives, 1);
    assert_int_equal(world.polls, 1);
    assert_int_equal(world.set_options, 0);
}

TEST_AS(deadlines_around_a_power_of_two_do_not_set_the_timer_each_time, VIRTUAL_TCP)
{
    receive_often(1000, 18441, 18439);
    assert_true(world.set_options <= 2);
    assert_int_equal(world.receives, 1000);
    clear_counts();
    receive_often(1000, 20000, 10000);
    assert_true(world.set_options <= 2);
}

TEST_AS(timer_shrinks_for_a_shorter_deadline, VIRTUAL_TCP)
{
    receive_often(3, 20000, 20000);
    assert_times_out(wait_recv, 100);
    assert_world_is_sound();
    assert_int_equal(world.set_options, 2);
}

TEST_AS(timer_grows_for_a_much_longer_deadline, VIRTUAL_TCP)
{
    receive_often(3, 100, 100);
    clear_counts();
    world.late = true;
    assert_times_out(wait_recv, 3600000);
    assert_int_equal(world.set_options, 1);
    assert_true(world.armed_ms[NB_RECEIVE] > 1000000);
}

TEST_AS(one_deadline_for_many_receives_sets_the_timer_a_few_times, VIRTUAL_TCP)
{
    nb_deadline by;
    nb_status status;

    world.readable = world.now;
    world.every = 10 * NS_PER_MS;
    by = in_world(20000);
    do
        status = wait_recv(by);
    while (status == NB_OK);
    assert_status(status, NB_TIMEOUT);
    assert_true(world.now == by.ns);
    assert_world_is_sound();
    assert_true(world.set_options <= 12);
}

TEST(wait_without_a_deadline_outlives_an_earlier_deadline)
{
    assert_status(wait_recv(in_world(100)), NB_TIMEOUT);
    clear_counts();
    world.readable = world.now + 100000000 * NS_PER_MS;
    world.by = nb_forever();
    assert_status(wait_recv(nb_forever()), NB_OK);
    assert_false(world.hung);
    assert_int_equal(world.receives, 1);
    assert_int_equal(world.polls, 0);
    assert_true(world.set_options <= 1);
}

TEST(send_without_a_deadline_outlives_an_earlier_deadline)
{
    world.writable = world.now + 10 * NS_PER_MS;
    assert_status(wait_send_byte(in_world(100)), NB_OK);
    world.by = nb_forever();
    for (int i = 0; i < 3; i++) {
        clear_counts();
        world.writable = world.now + 100000000 * NS_PER_MS;
        assert_status(wait_send_byte(nb_forever()), NB_OK);
        assert_false(world.hung);
        assert_int_equal(world.polls, 0);
        assert_true(world.sends + world.set_options <= (i == 0 ? 3 : 1));
    }
}

TEST_AS(sends_that_wait_set_the_timer_once, VIRTUAL_TCP)
{
    for (int i = 0; i < 1000; i++) {
        world.writable = world.now + NS_PER_MS;
        assert_status(wait_send_byte(in_world(20000)), NB_OK);
    }
    assert_world_is_sound();
    assert_int_equal(world.set_options, 1);
    assert_int_equal(world.polls, 0);
    assert_true(world.sends <= 1001);
}

TEST(sends_that_need_not_wait_are_one_call_each)
{
    world.writable = world.now;
    for (int i = 0; i < 1000; i++)
        assert_status(wait_send_byte(in_world(i % 3 != 0 ? 20000 : 500)), NB_OK);
    assert_true(world.sends + world.set_options <= 1001);
    assert_int_equal(world.polls, 0);
}

TEST(timer_that_fires_early_does_not_end_a_wait)
{
    world.readable = world.now + 19999 * NS_PER_MS;
    assert_status(wait_recv(in_world(20000)), NB_OK);
    assert_int_equal(got, 1);
    assert_world_is_sound();
}

TEST(signals_extend_no_deadline_on_the_virtual_clock)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        enter_world();
        world.signal_every = 3 * NS_PER_MS;
        ends_at_its_deadline(&operations[i], 20000);
    }
}

TEST(trickle_extends_no_deadline_on_the_virtual_clock)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        if (!operations[i].receives)
            continue;
        enter_world();
        world.readable = world.now;
        world.every = 7 * NS_PER_MS;
        ends_at_its_deadline(&operations[i], 20000);
    }
}

TEST(timers_that_cannot_be_set_are_done_without)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        enter_world();
        world.no_timers = true;
        ends_at_its_deadline(&operations[i], 20000);
    }
}

TEST(deadlines_at_the_end_of_time_do_not_overflow)
{
    static const int64_t ends[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - 1000 * NS_PER_MS,
                                   INT64_MAX / 2};

    for (size_t i = 0; i < COUNT(ends); i++) {
        enter_world();
        world.late = true;
        world.readable = world.now + 1000000000 * NS_PER_MS;
        assert_status(wait_recv((nb_deadline){ends[i]}), NB_OK);
        assert_status(wait_readable((nb_deadline){ends[i]}), NB_OK);
        world.writable = world.now + 1000000000 * NS_PER_MS;
        assert_status(wait_send_byte((nb_deadline){ends[i]}), NB_OK);
        assert_false(world.hung);
        leave_world();
    }
}

TEST(send_with_a_deadline_moves_little_at_once)
{
    world.writable = world.now;
    assert_status(wait_send(in_world(20000)), NB_OK);
    assert_true(world.longest_send <= (size_t)4 << 20);
    assert_true(world.longest_send >= (size_t)1 << 20);
}

TEST(send_without_a_deadline_moves_all_at_once)
{
    world.writable = world.now;
    assert_status(wait_send(nb_forever()), NB_OK);
    assert_int_equal(world.longest_send, LARGE);
    assert_int_equal(world.sends, 1);
}

TEST(deadline_that_has_passed_is_noticed_before_each_step)
{
    nb_deadline by;

    world.readable = world.now;
    by = in_world(10);
    assert_status(wait_recv(by), NB_OK);
    world.now = by.ns - 1;
    assert_status(wait_recv(by), NB_OK);
    world.now = by.ns;
    clear_counts();
    assert_status(wait_recv(by), NB_TIMEOUT);
    assert_int_equal(world.receives, 0);
    assert_status(wait_send_byte(by), NB_TIMEOUT);
    assert_int_equal(world.sends, 0);
}

TEST(close_without_a_deadline_gives_up_after_60_idle_seconds)
{
    int64_t begun = world.now;

    assert_status(wait_close(nb_forever()), NB_TIMEOUT);
    assert_false(world.hung);
    assert_true(world.now - begun == 60000 * NS_PER_MS);
}

TEST(close_without_a_deadline_waits_on_while_bytes_come)
{
    int64_t begun = world.now;

    world.readable = world.now + 59000 * NS_PER_MS;
    world.every = 59000 * NS_PER_MS;
    assert_status(wait_close(nb_forever()), NB_TOO_LONG);
    assert_false(world.hung);
    assert_true(world.now - begun > INT64_C(65000) * 59000 * NS_PER_MS);
}

TEST(close_with_a_deadline_may_wait_longer_than_60_seconds)
{
    assert_times_out(wait_close, 3600000);
}

TEST(close_ends_in_time_however_fast_bytes_come)
{
    nb_deadline by = in_world(100);

    world.readable = world.now;
    world.every = 1;
    world.receive_takes = NS_PER_MS;
    assert_status(wait_close(by), NB_TIMEOUT);
    assert_false(world.hung);
    assert_in_range(world.now - by.ns, 0, 20 * NS_PER_MS);
}

TEST(close_ends_in_time_when_it_is_woken_for_nothing)
{
    nb_deadline by = in_world(100);

    world.alarm_every = NS_PER_MS;
    assert_status(wait_close(by), NB_TIMEOUT);
    assert_false(world.hung);
    assert_in_range(world.now - by.ns, 0, NS_PER_MS);
}

TEST(close_without_a_deadline_gives_up_when_it_is_woken_for_nothing)
{
    int64_t begun = world.now;

    world.alarm_every = 100 * NS_PER_MS;
    assert_status(wait_close(nb_forever()), NB_TIMEOUT);
    assert_false(world.hung);
    assert_true(world.now - begun == 60000 * NS_PER_MS);
}

TEST_GROUP(make_large, free_large)
