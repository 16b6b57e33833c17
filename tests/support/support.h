/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What the C tests share: sockets in pairs, scripted peers, threads, signals, and a count
 *         of what a case leaves behind. */
#ifndef NETBASICS_TESTS_SUPPORT_H
#define NETBASICS_TESTS_SUPPORT_H

#include "cases.h"
#include "double.h"

#include <netbasics/netbasics.h>

/* What nearly every test needs; the build defines _GNU_SOURCE for all of them. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* One row of a table of cases. An alarm bounds each case, and it fails when it leaves a descriptor
   or a thread behind. */
#define CASE(name) cmocka_unit_test_setup_teardown(name, case_begin, case_end)
int case_begin(void **state);
int case_end(void **state);

/* One row for what is done again and again, with this as its state, between a begin and an end of its
   own. */
#define CASE_WITH(name, what, begin, end)                                                          \
    {                                                                                              \
#name "[" #what "]", name, begin, end, (void *)&(what)                                     \
    }

/* The expected status comes last, and names are what a failure prints. */
#define assert_status(actual, expected)                                                            \
    assert_string_equal(nb_status_name(actual), nb_status_name(expected))

/* That buf holds exactly the bytes of a string literal, which may contain NULs. */
#define assert_bytes(buf, length, literal)                                                         \
    do {                                                                                           \
        assert_int_equal(length, sizeof(literal) - 1);                                             \
        assert_memory_equal(buf, literal, sizeof(literal) - 1);                                    \
    } while (0)

/* Like assert_int_equal(), which prints a negative number as a large one. */
#define assert_result(actual, expected)                                                            \
    do {                                                                                           \
        long long result_ = (actual);                                                              \
        if (result_ != (long long)(expected))                                                      \
            fail_msg("%s is %lld, not %lld", #actual, result_, (long long)(expected));             \
    } while (0)

/* Fails with the number at which a condition does not hold. */
#define check_at(condition, number)                                                                \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("at %lld: %s", (long long)(number), #condition);                              \
    } while (0)

/* Says why a case is skipped, and skips it. */
#define skip_because(why)                                                                          \
    do {                                                                                           \
        print_message("# skipped: %s\n", why);                                                     \
        skip();                                                                                    \
    } while (0)

/* For what valgrind does not let a program do. */
#define skip_under_valgrind(why)                                                                   \
    do {                                                                                           \
        if (getenv("NETBASICS_VALGRIND") != NULL)                                                  \
            skip_because("under valgrind " why);                                                   \
    } while (0)

/* For what the user mode of qemu does not do as the kernel does. */
#define skip_under_qemu(why)                                                                       \
    do {                                                                                           \
        if (getenv("NETBASICS_QEMU") != NULL)                                                      \
            skip_because("under qemu " why);                                                       \
    } while (0)

/* For cases with a child that goes on in a copy of the process. */
#ifdef __SANITIZE_THREAD__
#define skip_without_children()                                                                    \
    skip_because("under the thread sanitizer children are not as they are")
#else
#define skip_without_children() skip_under_valgrind("a child answers for the memory of its parent")
#endif

/* How many times longer than usual everything may take; what runs the tests knows. */
unsigned slowness(void);

/* Whatever has to happen happens within this time, sanitizers and busy machines included. */
#define PATIENCE_MS (10000 * (int64_t)slowness())

/* A call as a function of its deadline `by`, for tables of them. */
#define CALL_BY(name, call)                                                                        \
    static nb_status name(nb_deadline by)                                                          \
    {                                                                                              \
        return call;                                                                               \
    }

/* The number of elements of an array. */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A list of texts that ends in NULL. */
#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What errno is set to, to see whether it stays. */
#define ODD_ERRNO 4711

/* What stands where a structure's size should, when nobody has set it: too little, no whole number of
   fields, or more than any structure has. */
#define SIZES_NEVER_SET                                                                            \
    {                                                                                              \
        0, 1, sizeof(size_t) - 1, sizeof(size_t) + 1, 1024 + sizeof(size_t), (size_t)1 << 31,      \
            SIZE_MAX / 2 + 1                                                                       \
    }

/* ---- sockets ---- */

enum transport { OVER_IPV4, OVER_IPV6, OVER_UNIX };

/* A listening socket on loopback, at a port (or an abstract name) of the system's choice. */
int raw_listener(enum transport over, struct sockaddr_storage *address, socklen_t *length);
/* A socket connected to it. Raw sockets wait ten seconds at most, then fail with EAGAIN. */
int raw_connect(const struct sockaddr_storage *address, socklen_t length);
/* Lets a socket wait that long and no longer. */
void be_patient(int fd);
/* Two sockets connected to each other; without Nagle's delay on TCP. */
void raw_pair(enum transport over, int fds[2]);

/* Adopts a descriptor. */
nb_conn *adopt(int fd);
/* A connection whose peer is a raw socket, to be scripted. */
nb_conn *conn_and_peer(enum transport over, int *peer);
/* Two connections to each other. */
void conn_pair(enum transport over, nb_conn **a, nb_conn **b);

void raw_close(int fd);
void raw_close_pair(const int fds[2]);
/* Closes it so that the other end sees a reset, and waits until that end's descriptor shows it;
   other is -1 when there is none to look at. (TCP; a Unix socket is only closed.) */
void raw_reset(int fd, int other);
void raw_send(int fd, const void *data, size_t length);
void raw_send_text(int fd, const char *text);
/* The value of an integer option of a socket. */
int raw_option(int fd, int level, int name);
/* Receives exactly so many bytes. */
void raw_recv(int fd, void *buf, size_t length);
/* Reads and drops all that comes: 0 when the stream ended in order, else the errno. When count is
   not NULL it receives how many bytes there were. */
int raw_ending(int fd, size_t *count);
/* Makes both buffers of a socket small, so that little fills them. */
void raw_shrink(int fd);
/* Sends until nothing more fits: how many bytes went. */
size_t raw_fill(int fd);
/* Sends so much, and waits until it has arrived at the other end's descriptor. */
void raw_deliver(int fd, int other, const void *data, size_t length);
/* Waits until so many bytes wait in a socket, without reading them. */
void until_arrived(int fd, size_t count);
/* Waits until one of these events of poll(2) shows at a socket: POLLRDHUP is the peer's end. */
void until_event(int fd, short events);

/* Bytes of which each tells its place in the stream, so that loss, doubling and disorder show. */
void pattern_fill(void *buf, size_t length, size_t offset);
bool pattern_holds(const void *buf, size_t length, size_t offset);

/* Sets socket options that break what is promised of connections: how many the socket has of them. */
size_t spoil(int fd);
/* That none of them is set. */
void check_unspoiled(int fd);

/* ---- threads ---- */

/* A function that runs in a thread, with all signals blocked. It must not assert. */
struct task {
    pthread_t thread;
    void (*run)(void *argument);
    void *argument;
    atomic_int tid;
};

void task_start(struct task *task, void (*run)(void *), void *argument);
/* Waits until the thread sleeps inside a system call that waits for a socket. */
void task_until_blocked(struct task *task);
/* Whether a thread of this process is inside a system call that waits for something of this kind. */
enum wait { FOR_A_SOCKET, FOR_EVENTS, FOR_A_LOCK };
bool thread_waits(int tid, enum wait what);
/* Waits for its end, ten seconds at most. */
void task_join(struct task *task);

/* ---- signals ---- */

/* Sets what a signal does, with the flags of sigaction(2): what it did before. */
struct sigaction dispose(int number, void (*handler)(int), int flags);

/* Sends SIGUSR1 to the main thread every two milliseconds. The flags are those of sigaction(2). */
void storm_begin(int flags);
/* Ends it: how many signals were handled. */
int storm_end(void);

/* ---- time and counts ---- */

int64_t now_ns(void);
/* A deadline that is never reached when all goes well. */
nb_deadline plenty(void);
/* A deadline that passes soon, but not before a call has taken what is there already. */
nb_deadline before_long(void);
/* A deadline that has just passed. */
nb_deadline past(void);
/* That a deadline has passed, and not by more than late_ms. */
#define assert_passed(by, late_ms)                                                                 \
    do {                                                                                           \
        int64_t late_ns_ = now_ns() - (by).ns;                                                     \
        assert_true(late_ns_ >= 0);                                                                \
        assert_true(late_ns_ < (late_ms)*INT64_C(1000000));                                        \
    } while (0)

/* How many descriptors and threads the process has. */
size_t open_descriptors(void);
size_t running_threads(void);

#endif
