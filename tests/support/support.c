/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What the C tests share. Everything here fails the running case when something unexpected
 *         happens, so that tests need not look. */
#include "support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/un.h>

/* How /proc names system calls: as the processor of the machine does, whatever an emulator shows us. */
#ifdef MACHINE_CALLS
#include MACHINE_CALLS
#else
#include <sys/syscall.h>
#endif

#define CASE_S 30                       /* one case may take so long */
#define PATIENCE_S (PATIENCE_MS / 1000) /* and each step of it so long */
#define NS_PER_S INT64_C(1000000000)

/* What was there when the case began. */
static size_t descriptors_at_begin;
static size_t threads_at_begin;

/* Between two looks at something that cannot be waited for. */
static void pause_briefly(void)
{
    (void)nanosleep(&(struct timespec){0, 50000}, NULL);
}

int64_t now_ns(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

unsigned slowness(void)
{
    const char *text = getenv("NETBASICS_SLOWNESS");

    return text == NULL ? 1 : (unsigned)strtoul(text, NULL, 10);
}

nb_deadline plenty(void)
{
    return nb_after_ms(PATIENCE_MS);
}

nb_deadline before_long(void)
{
    return nb_after_ms(100 * (int64_t)slowness());
}

nb_deadline past(void)
{
    return (nb_deadline){now_ns()};
}

static size_t entries_of(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);

    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    assert_int_equal(closedir(dir), 0);
    return count;
}

size_t open_descriptors(void)
{
    return entries_of("/proc/self/fd") - 1; /* the one that reads the folder does not count */
}

size_t running_threads(void)
{
    return entries_of("/proc/self/task");
}

static void *tell_tid(void *tid)
{
    *(int *)tid = (int)gettid();
    return NULL;
}

/* Threads that a sanitizer starts along with our first one. */
#ifdef __SANITIZE_THREAD__
#define SANITIZERS_OWN 1
#else
#define SANITIZERS_OWN 0
#endif

/* Of the sanitizers' own library, where there is one. */
__attribute__((weak)) void __sanitizer_symbolize_pc(void *, const char *, char *, size_t);

/* Makes a sanitizer start now what would count as ours later: a thread along with our first one,
   and a program that names functions. */
static void warm_up(void)
{
    static bool warm;
    pthread_t thread;
    nb_deadline until;
    size_t before;
    char name[64];
    int tid;

    if (warm)
        return;
    until = plenty();
    before = running_threads();
    assert_int_equal(pthread_create(&thread, NULL, tell_tid, &tid), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)snprintf(name, sizeof(name), "/proc/self/task/%d", tid);
    while (access(name, F_OK) == 0)
        pause_briefly(); /* a joined thread is gone for us a little before it is gone for the system */
    while (running_threads() > before + SANITIZERS_OWN && !nb_expired(until))
        pause_briefly(); /* and for an emulator's count of them a little later still */
    if (__sanitizer_symbolize_pc != NULL)
        __sanitizer_symbolize_pc(__builtin_return_address(0), "%f", name, sizeof(name));
    warm = true;
}

int case_begin(void **state)
{
    (void)state;
    (void)alarm(CASE_S * slowness());
    double_reset();
    warm_up();
    descriptors_at_begin = open_descriptors();
    threads_at_begin = running_threads();
    return 0;
}

int case_end(void **state)
{
    int64_t give_up = now_ns() + PATIENCE_S * NS_PER_S;

    (void)state;
    /* Not at once, as in warm_up(). */
    while (running_threads() > threads_at_begin && now_ns() < give_up)
        pause_briefly();
    (void)alarm(0);
    /* There may be fewer: an emulator ends threads of its own when it likes. */
    assert_true(running_threads() <= threads_at_begin);
    assert_int_equal(open_descriptors(), descriptors_at_begin);
    return 0;
}

/* ---- sockets ---- */

void be_patient(int fd)
{
    struct timeval patience = {(time_t)PATIENCE_S, 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
}

static int raw_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    be_patient(fd);
    return fd;
}

/* Loopback with port 0; for Unix the family alone, which makes Linux choose an abstract name. */
static socklen_t loopback(enum transport over, struct sockaddr_storage *address)
{
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)(void *)address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)(void *)address;

    memset(address, 0, sizeof(*address));
    if (over == OVER_UNIX) {
        address->ss_family = AF_UNIX;
        return sizeof(sa_family_t);
    }
    if (over == OVER_IPV6) {
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_addr = in6addr_loopback;
        return sizeof(*ipv6);
    }
    ipv4->sin_family = AF_INET;
    ipv4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(*ipv4);
}

int raw_listener(enum transport over, struct sockaddr_storage *address, socklen_t *length)
{
    socklen_t bound = loopback(over, address);
    int fd = raw_socket(address->ss_family);

    assert_int_equal(bind(fd, (struct sockaddr *)address, bound), 0);
    assert_int_equal(listen(fd, 16), 0);
    *length = sizeof(*address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, length), 0);
    return fd;
}

int raw_connect(const struct sockaddr_storage *address, socklen_t length)
{
    int fd = raw_socket(address->ss_family);

    assert_int_equal(connect(fd, (const struct sockaddr *)address, length), 0);
    if (address->ss_family != AF_UNIX)
        assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    return fd;
}

void raw_pair(enum transport over, int fds[2])
{
    struct sockaddr_storage address;
    socklen_t length;
    int listener;

    if (over == OVER_UNIX) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        be_patient(fds[0]);
        be_patient(fds[1]);
        return;
    }
    listener = raw_listener(over, &address, &length);
    fds[0] = raw_connect(&address, length);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[1] >= 0);
    be_patient(fds[1]);
    assert_int_equal(setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    raw_close(listener);
}

nb_conn *adopt(int fd)
{
    nb_conn *conn = NULL;
    nb_error err;

    assert_status(nb_conn_adopt(&conn, fd, &err), NB_OK);
    assert_non_null(conn);
    return conn;
}

nb_conn *conn_and_peer(enum transport over, int *peer)
{
    int fds[2];

    raw_pair(over, fds);
    *peer = fds[1];
    return adopt(fds[0]);
}

void conn_pair(enum transport over, nb_conn **a, nb_conn **b)
{
    int peer;

    *a = conn_and_peer(over, &peer);
    *b = adopt(peer);
}

void raw_close(int fd)
{
    assert_int_equal(close(fd), 0);
}

void raw_close_pair(const int fds[2])
{
    raw_close(fds[0]);
    raw_close(fds[1]);
}

int raw_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);

    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

void raw_reset(int fd, int other)
{
    struct linger none = {1, 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
    raw_close(fd);
    if (other >= 0)
        until_event(other, POLLHUP);
}

void raw_send(int fd, const void *data, size_t length)
{
    const char *next = data;

    while (length > 0) {
        ssize_t n = send(fd, next, length, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        assert_true(n > 0);
        next += n;
        length -= (size_t)n;
    }
}

void raw_send_text(int fd, const char *text)
{
    raw_send(fd, text, strlen(text));
}

void raw_recv(int fd, void *buf, size_t length)
{
    char *next = buf;

    while (length > 0) {
        ssize_t n = recv(fd, next, length, 0);

        if (n < 0 && errno == EINTR)
            continue;
        assert_true(n > 0);
        next += n;
        length -= (size_t)n;
    }
}

int raw_ending(int fd, size_t *count)
{
    static char dropped[65536];
    size_t total = 0;
    ssize_t n;

    do {
        n = recv(fd, dropped, sizeof(dropped), 0);
        total += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (count != NULL)
        *count = total;
    return n < 0 ? errno : 0;
}

void raw_shrink(int fd)
{
    int out = 4096;
    int in = 65536; /* with less than a segment, TCP crawls */

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof(out)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &in, sizeof(in)), 0);
}

/* Sends so much at once, or a single byte where that is all that fits; 0 when nothing does. */
static size_t send_what_fits(int fd)
{
    static char filling[65536];
    ssize_t n = send(fd, filling, sizeof(filling), MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == EAGAIN)
        n = send(fd, filling, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    assert_true(n > 0 || errno == EAGAIN);
    return n > 0 ? (size_t)n : 0;
}

size_t raw_fill(int fd)
{
    struct pollfd room = {fd, POLLOUT, 0};
    size_t total = 0;
    size_t more;

    do {
        more = send_what_fits(fd);
        /* What was taken may move on to the other end for a while, and make room again. */
        if (more == 0 && poll(&room, 1, 20) >= 0)
            more = send_what_fits(fd);
        total += more;
    } while (more > 0);
    return total;
}

void until_arrived(int fd, size_t count)
{
    int64_t give_up = now_ns() + PATIENCE_S * NS_PER_S;
    int there = 0;

    assert_int_equal(ioctl(fd, FIONREAD, &there), 0);
    while ((size_t)there < count && now_ns() < give_up) {
        pause_briefly();
        assert_int_equal(ioctl(fd, FIONREAD, &there), 0);
    }
    assert_true((size_t)there >= count);
}

void raw_deliver(int fd, int other, const void *data, size_t length)
{
    int before = 0;

    assert_int_equal(ioctl(other, FIONREAD, &before), 0);
    raw_send(fd, data, length);
    until_arrived(other, (size_t)before + length);
}

void until_event(int fd, short events)
{
    struct pollfd wanted = {fd, events, 0};
    int n;

    do
        n = poll(&wanted, 1, (int)PATIENCE_MS);
    while (n < 0 && errno == EINTR);
    assert_int_equal(n, 1);
    assert_true((wanted.revents & events) != 0);
}

static unsigned char pattern_at(size_t place)
{
    return (unsigned char)(place * 131 + (place >> 8) * 29 + (place >> 16));
}

void pattern_fill(void *buf, size_t length, size_t offset)
{
    unsigned char *bytes = buf;

    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern_at(offset + i);
}

bool pattern_holds(const void *buf, size_t length, size_t offset)
{
    const unsigned char *bytes = buf;
    size_t i = 0;

    while (i < length && bytes[i] == pattern_at(offset + i))
        i++;
    return i == length;
}

/* ---- threads ---- */

static void *task_main(void *argument)
{
    struct task *task = argument;

    atomic_store(&task->tid, (int)gettid());
    task->run(task->argument);
    return NULL;
}

void task_start(struct task *task, void (*run)(void *), void *argument)
{
    sigset_t all;
    sigset_t old;

    task->run = run;
    task->argument = argument;
    atomic_init(&task->tid, 0);
    (void)sigfillset(&all);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
    assert_int_equal(pthread_create(&task->thread, NULL, task_main, task), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
}

/* Which calls wait for what. A processor has not all of them; those named after a time are of 32 bits. */
static const struct {
    long call;
    enum wait what;
} waiting_calls[] = {
    {SYS_recvfrom, FOR_A_SOCKET},   {SYS_recvmsg, FOR_A_SOCKET}, {SYS_sendto, FOR_A_SOCKET},
    {SYS_sendmsg, FOR_A_SOCKET},    {SYS_accept4, FOR_A_SOCKET}, {SYS_connect, FOR_A_SOCKET},
    {SYS_ppoll, FOR_EVENTS},        {SYS_futex, FOR_A_LOCK},
#ifdef SYS_poll
    {SYS_poll, FOR_EVENTS},
#endif
#ifdef SYS_accept
    {SYS_accept, FOR_A_SOCKET},
#endif
#ifdef SYS_socketcall
    {SYS_socketcall, FOR_A_SOCKET},
#endif
#ifdef SYS_ppoll_time64
    {SYS_ppoll_time64, FOR_EVENTS},
#endif
#ifdef SYS_futex_time64
    {SYS_futex_time64, FOR_A_LOCK},
#endif
};

/* The call in which a thread sleeps; -1 while it runs, and when it has ended. */
static long call_of(int tid)
{
    char path[64];
    long call = -1;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
    file = fopen(path, "re");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%ld", &call) != 1)
        call = -1; /* "running" */
    assert_int_equal(fclose(file), 0);
    return call;
}

bool thread_waits(int tid, enum wait what)
{
    long call = call_of(tid);
    bool found = false;

    for (size_t i = 0; i < COUNT(waiting_calls); i++)
        found |= waiting_calls[i].call == call && waiting_calls[i].what == what;
    return found;
}

void task_until_blocked(struct task *task)
{
    int64_t give_up = now_ns() + PATIENCE_S * NS_PER_S;
    bool blocked = false;

    while (!blocked && now_ns() < give_up) {
        int tid = atomic_load(&task->tid);

        blocked = thread_waits(tid, FOR_A_SOCKET) || thread_waits(tid, FOR_EVENTS);
        if (!blocked)
            pause_briefly();
    }
    assert_true(blocked); /* and it has not ended */
}

void task_join(struct task *task)
{
    struct timespec give_up;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &give_up), 0);
    give_up.tv_sec += (time_t)PATIENCE_S;
    assert_int_equal(pthread_timedjoin_np(task->thread, NULL, &give_up), 0);
}

/* ---- signals ---- */

struct sigaction dispose(int number, void (*handler)(int), int flags)
{
    struct sigaction action;
    struct sigaction before;

    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = flags;
    assert_int_equal(sigaction(number, &action, &before), 0);
    return before;
}

static volatile sig_atomic_t signals_handled;
static timer_t storm_timer;

static void count_signal(int number)
{
    (void)number;
    signals_handled = signals_handled + 1;
}

void storm_begin(int flags)
{
    struct sigaction action;
    struct sigevent event;
    struct itimerspec every = {{0, 2000000}, {0, 2000000}};

    memset(&action, 0, sizeof(action));
    memset(&event, 0, sizeof(event));
    signals_handled = 0;
    action.sa_handler = count_signal;
    action.sa_flags = flags;
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &storm_timer), 0);
    assert_int_equal(timer_settime(storm_timer, 0, &every, NULL), 0);
}

int storm_end(void)
{
    assert_int_equal(timer_delete(storm_timer), 0);
    /* The handler stays: a last signal may still be on its way. */
    return signals_handled;
}
