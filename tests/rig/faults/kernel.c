/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What stands between the library and the system: counts calls, makes them fail or fall short,
 *         keeps the clock. */
#include "fault.h"
#include "sys/sys.h"

#include <netdb.h>
#include <sys/time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* A call that fails again and again at once may be tried so often, and no more: signals, and what has to
   wait, until the time is over (each of them takes a millisecond); others not much more often than there are
   connections that may get lost in a row. */
#define PATIENT_MOST 4000
#define IMPATIENT_MOST 250

struct kernel kernel;
int grace_ms;
bool patient;
bool unhurried;
bool short_transfers;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan plan;
static _Atomic int64_t offset_ns;

static struct {
    nb_deadline when;
    void (*run)(void *context);
    void *context;
} due;

/* ---- the clock ---- */

static int own_libc_clock_gettime(clockid_t id, struct timespec *out)
{
    int result = real.libc_clock_gettime(id, out);
    int64_t now = (int64_t)out->tv_sec * NS_PER_S + out->tv_nsec;

    if (id == CLOCK_MONOTONIC) {
        now += atomic_load(&offset_ns);
        out->tv_sec = (time_t)(now / NS_PER_S);
        out->tv_nsec = (long)(now % NS_PER_S);
    }
    return result;
}

REPLACE(libc_clock_gettime, own_libc_clock_gettime)

int64_t real_ns(void)
{
    struct timespec now;

    (void)real.libc_clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t virtual_ns(void)
{
    return real_ns() + atomic_load(&offset_ns);
}

static pthread_t in_time;
static bool has_thread;

static void *run_in_time(void *unused)
{
    int64_t left = due.when.ns - real_ns();

    enter_foreign();
    if (left > 0)
        (void)nanosleep(&(struct timespec){(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)},
                        NULL);
    due.run(due.context);
    return unused;
}

void at_time(nb_deadline when, void (*run)(void *context), void *context)
{
    due.when = when;
    due.run = run;
    due.context = context;
    has_thread = grace_ms == 0 && pthread_create(&in_time, NULL, run_in_time, NULL) == 0;
}

void at_time_join(void)
{
    if (has_thread)
        (void)pthread_join(in_time, NULL);
    has_thread = false;
}

/* Does what is due by now. */
static void look_at_clock(void)
{
    void (*run)(void *context) = due.run;

    if (grace_ms == 0 || run == NULL || virtual_ns() < due.when.ns)
        return;
    due.run = NULL;
    enter_foreign();
    run(due.context);
    leave_foreign();
}

static void jump(int64_t ns)
{
    if (ns > 0) {
        atomic_fetch_add(&offset_ns, ns);
        kernel.jumped_ns += ns;
    }
    look_at_clock();
}

/* ---- locks ---- */

/* How many locks the calling thread holds. (While it waits for a condition it makes no calls.) */
static _Thread_local int locks;

static int own_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks++;
    return real.pthread_mutex_lock(mutex);
}

REPLACE(pthread_mutex_lock, own_pthread_mutex_lock)

static int own_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    locks--;
    return real.pthread_mutex_unlock(mutex);
}

REPLACE(pthread_mutex_unlock, own_pthread_mutex_unlock)

/* Even calls that are said not to wait can wait: recv(2) and close(2) for a descriptor that a peer has
   sent. So the library makes none of them while it holds a lock. */
static void check_locks(enum call call)
{
    if (locks > 0)
        wrong("%s calls %s and holds a lock", step_name(), name_of(call));
}

/* ---- faults ---- */

/* The error of the second fault: one of those of the call that it hits. */
static int second_error(enum call call)
{
    const int *errors = errors_of(call);
    int at = 0;

    while (errors != NULL && errors[at] != 0 && at < plan.variant)
        at++;
    return errors != NULL ? errors[at] : 0;
}

/* Counts a call, and sets the error that it has to give. */
static void decide(struct fault *fault)
{
    int nth = ++kernel.calls[fault->call];

    if (plan.nth == 0)
        return;
    if (plan.call == fault->call && (plan.always ? nth >= plan.nth : nth == plan.nth)) {
        kernel.fired_first++;
        fault->always = plan.always;
        fault->error = plan.error;
    } else if (kernel.fired_first > 0 && plan.later > 0 && ++kernel.calls_later == plan.later) {
        fault->second = true;
        fault->error = second_error(fault->call);
        kernel.fired_second = fault->error != 0;
        kernel.second = *fault;
    }
}

/* Whether it means no more than that one has to wait. */
static bool is_patient(const struct fault *fault)
{
    return fault->error == EINTR || fault->error == EAGAIN ||
           (fault->call == ON_GETPEERNAME && fault->error == ENOTCONN);
}

/* What failed takes its time, or a loop that waits for nothing else would never end. */
static void take_time(void)
{
    if (grace_ms == 0)
        (void)nanosleep(&(struct timespec){0, 200000}, NULL);
    else
        jump(NS_PER_MS);
}

/* What the double asks at each call: 0, or the error that it has to give. */
static int fault_at(enum call call, int detail)
{
    struct fault fault = {.call = call, .detail = detail};
    int fired;

    if (!can_fail(call) || is_foreign())
        return 0;
    check_locks(call);
    (void)pthread_mutex_lock(&lock);
    decide(&fault);
    fired = kernel.fired += fault.error != 0;
    kernel.failed[call] += fault.error != 0;
    (void)pthread_mutex_unlock(&lock);
    if (fault.error == 0)
        return 0;
    step_notes(&fault);
    if (fired > (is_patient(&fault) ? PATIENT_MOST : IMPATIENT_MOST)) {
        wrong("%s spins: %d faults", step_name(), fired);
        plan.nth = 0; /* so that it comes to an end */
    }
    if (is_patient(&fault))
        take_time();
    return fault.error;
}

void kernel_begin(const struct plan *next)
{
    int blocks = kernel.blocks;
    int lookups = kernel.lookups;

    decide_fault = fault_at;
    plan = *next;
    memset(&kernel, 0, sizeof(kernel));
    kernel.blocks = blocks;
    kernel.lookups = lookups;
    due.run = NULL;
}

static void count(int *counter, int by)
{
    (void)pthread_mutex_lock(&lock);
    *counter += by;
    (void)pthread_mutex_unlock(&lock);
}

bool planned(enum call call, int error)
{
    bool first = plan.call == call && plan.error == error && kernel.fired_first > 0;

    return first ||
           (kernel.fired_second && kernel.second.call == call && kernel.second.error == error);
}

/* ---- waiting ---- */

/* Waits for what really comes, a moment for each stretch of time in which nothing does. */
static int wait_virtually(struct pollfd *fds, nfds_t many, nb_deadline by)
{
    for (;;) {
        int64_t now = virtual_ns();
        int64_t until = due.run != NULL && due.when.ns < by.ns ? due.when.ns : by.ns;
        int64_t moment = now + grace_ms * NS_PER_MS;
        int ready = real.poll(fds, many, (nb_deadline){until < moment ? until : moment});

        if (ready != 0)
            return ready;
        if (until != INT64_MAX)
            jump(until - virtual_ns());
        if (by.ns != INT64_MAX && by.ns <= virtual_ns())
            return 0;
    }
}

static int own_poll(struct pollfd *fds, nfds_t many, nb_deadline by)
{
    return grace_ms > 0 ? wait_virtually(fds, many, by) : real.poll(fds, many, by);
}

REPLACE(poll, own_poll)

/* Waits as a blocking call does, by the socket's own timer. False when that has fired. */
static bool may_move(int fd, short events, int timer)
{
    struct pollfd entry = {fd, events, 0};
    struct timeval value = {0, 0};
    socklen_t length = sizeof(value);
    nb_deadline by = nb_forever();

    if (grace_ms == 0)
        return true;
    if (getsockopt(fd, SOL_SOCKET, timer, &value, &length) == 0 &&
        (value.tv_sec != 0 || value.tv_usec != 0))
        by.ns = virtual_ns() + value.tv_sec * NS_PER_S + value.tv_usec * 1000;
    return wait_virtually(&entry, 1, by) != 0;
}

/* ---- transfers ---- */

static ssize_t own_recv(int fd, void *buf, size_t length, int flags)
{
    if ((flags & MSG_DONTWAIT) == 0) {
        if (!may_move(fd, POLLIN, SO_RCVTIMEO))
            return -EAGAIN;
    }
    return real.recv(fd, buf, short_transfers && length > 1 ? 1 : length, flags);
}

REPLACE(recv, own_recv)

/* How many of so many bytes a send takes: all, or always another number of them. */
static size_t taken(size_t length)
{
    static unsigned turn;

    return short_transfers && length > 1 ? 1 + (size_t)turn++ * 7 % (length - 1) : length;
}

static ssize_t own_send(int fd, const void *data, size_t length, int flags)
{
    if ((flags & MSG_DONTWAIT) == 0 && !may_move(fd, POLLOUT, SO_SNDTIMEO))
        return -EAGAIN;
    return real.send(fd, data, taken(length), grace_ms > 0 ? flags | MSG_DONTWAIT : flags);
}

REPLACE(send, own_send)

static ssize_t own_sendmsg(int fd, struct iovec *parts, size_t many, int flags)
{
    size_t length = 0;

    if ((flags & MSG_DONTWAIT) == 0 && !may_move(fd, POLLOUT, SO_SNDTIMEO))
        return -EAGAIN;
    for (size_t i = 0; i < many; i++)
        length += parts[i].iov_len;
    length = taken(length);
    for (size_t i = 0; i < many; i++) {
        if (parts[i].iov_len > length)
            parts[i].iov_len = length;
        length -= parts[i].iov_len;
    }
    return real.sendmsg(fd, parts, many, grace_ms > 0 ? flags | MSG_DONTWAIT : flags);
}

REPLACE(sendmsg, own_sendmsg)

/* ---- descriptors and lookups ---- */

static int own_libc_close(int fd)
{
    int result = real.libc_close(fd);

    if (result < 0 && errno == EBADF && !is_foreign())
        count(&kernel.bad_closes, 1);
    return result;
}

REPLACE(libc_close, own_libc_close)

/* A resolver that knows one host, with an address of each family. */
static int own_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    static struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    static struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    static struct addrinfo second = {.ai_family = AF_INET, .ai_addrlen = sizeof(ipv4)};
    static struct addrinfo first = {.ai_family = AF_INET6, .ai_addrlen = sizeof(ipv6)};

    *number = 0;
    if (strcmp(host, "both.example") != 0)
        return EAI_NONAME;
    ipv6.sin6_addr = in6addr_loopback;
    ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    first.ai_addr = (struct sockaddr *)&ipv6;
    second.ai_addr = (struct sockaddr *)&ipv4;
    first.ai_next = &second;
    *out = &first;
    count(&kernel.lookups, 1);
    return 0;
}

REPLACE(getaddrinfo, own_getaddrinfo)

static void own_freeaddrinfo(struct addrinfo *list)
{
    if (list != NULL)
        count(&kernel.lookups, -1);
}

REPLACE(freeaddrinfo, own_freeaddrinfo)

/* ---- memory and threads ---- */

static void *counted(void *block)
{
    if (block != NULL)
        count(&kernel.blocks, 1);
    return block;
}

static void *own_libc_malloc(size_t size)
{
    return counted(real.libc_malloc(size));
}

REPLACE(libc_malloc, own_libc_malloc)

static void *own_libc_calloc(size_t many, size_t size)
{
    return counted(real.libc_calloc(many, size));
}

REPLACE(libc_calloc, own_libc_calloc)

static void *own_libc_realloc(void *old, size_t size)
{
    void *block = real.libc_realloc(old, size);

    return old == NULL ? counted(block) : block;
}

REPLACE(libc_realloc, own_libc_realloc)

static void own_libc_free(void *block)
{
    if (block != NULL)
        count(&kernel.blocks, -1);
    real.libc_free(block);
}

REPLACE(libc_free, own_libc_free)
