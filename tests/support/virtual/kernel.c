/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The scripted kernel: what happens when. */
#include "kernel.h"

#include "kernel_sockets.h"

#include <errno.h>
#include <netbasics/conn.h>
#include <string.h>

/* Far above the descriptors that a process can have. */
#define FIRST_FD (1 << 24)

/* Where those begin that a service manager passes. */
#define FIRST_PASSED_FD 3

/* More sockets than any script opens, and more moments than any wait has. */
enum { SOCKETS_MAX = 512, MOMENTS_MAX = 16 };
#define STEPS_MOST 2000000

struct kernel kernel;

static struct vsocket sockets[SOCKETS_MAX];
static size_t socket_count;
static size_t passed_count; /* the first ones, which have small descriptors */
static size_t steps_taken;

/* The clients: how many have come, and which of them wait. */
static int64_t last_client_ns;
static bool waits[KERNEL_CLIENTS_MAX];

static struct moment {
    int64_t when_ns;
    void (*run)(void *argument);
    void *argument;
} moments[MOMENTS_MAX];
static size_t moment_count;

void kernel_begin(void)
{
    memset(&kernel, 0, sizeof(kernel));
    memset(sockets, 0, socket_count * sizeof(sockets[0]));
    memset(waits, 0, sizeof(waits));
    socket_count = passed_count = steps_taken = moment_count = 0;
    kernel.now = last_client_ns = KERNEL_START;
}

void kernel_end(void)
{
    kernel.now = 0;
}

void complain(const char *what)
{
    if (kernel.complaint == NULL)
        kernel.complaint = what;
}

/* Which socket a descriptor is; SOCKETS_MAX when there was never one. */
static size_t index_of(int fd)
{
    if (fd >= FIRST_PASSED_FD && fd < FIRST_PASSED_FD + (int)passed_count)
        return (size_t)(fd - FIRST_PASSED_FD);
    if (fd < FIRST_FD || fd >= FIRST_FD + (int)socket_count)
        return SOCKETS_MAX;
    return (size_t)(fd - FIRST_FD);
}

/* Whether it may be looked at although nothing is there, and never was. */
static bool is_hole(int fd)
{
    size_t at = index_of(fd);

    return fd >= FIRST_PASSED_FD && fd < FIRST_FD &&
           (at == SOCKETS_MAX || sockets[at].passed == KERNEL_HOLE);
}

struct vsocket *vsocket_of(int fd)
{
    size_t at = index_of(fd);

    if (at < SOCKETS_MAX && sockets[at].open)
        return &sockets[at];
    if (!is_hole(fd))
        complain("a descriptor is used that is not open");
    return NULL;
}

int vsocket_new(enum kind kind)
{
    if (socket_count == SOCKETS_MAX) {
        complain("too many sockets");
        return -EMFILE;
    }
    sockets[socket_count] = (struct vsocket){.kind = kind, .open = true};
    return FIRST_FD + (int)socket_count++;
}

static void lane_begin(struct lane *lane, const struct kernel_step *steps, size_t count)
{
    *lane = (struct lane){.steps = steps, .count = count, .last_ns = kernel.now};
}

void vsocket_connect(struct vsocket *socket, const struct kernel_peer *peer)
{
    socket->kind = CONNECTED;
    socket->peer = peer;
    lane_begin(&socket->lanes[NB_RECEIVE], peer->gives, peer->give_count);
    lane_begin(&socket->lanes[NB_SEND], peer->takes, peer->take_count);
    if (peer->takes == NULL)
        socket->lanes[NB_SEND].bytes = KERNEL_ALL;
    catch_up();
}

int kernel_connection(const struct kernel_peer *peer, bool is_unix)
{
    int fd = vsocket_new(CONNECTED);
    struct vsocket *socket = vsocket_of(fd);

    socket->is_unix = is_unix;
    socket->blocking = true;
    vsocket_connect(socket, peer);
    return fd;
}

/* The connection ends as close(2) ends it: in order, unless somebody would lose bytes. */
static void end_connection(struct vsocket *socket)
{
    struct lane *receive = &socket->lanes[NB_RECEIVE];

    catch_up();
    if (socket->fate == KERNEL_OPEN)
        socket->fate = socket->linger_resets || receive->bytes > 0 ? KERNEL_RESET : KERNEL_ENDED;
    if (socket->has_client) {
        kernel.outcomes[socket->client].fate = socket->fate;
        kernel.outcomes[socket->client].taken = socket->lanes[NB_SEND].moved;
    }
}

/* Whoever waits in the queue of a listening socket loses the connection with it. */
static void end_queue(const struct vsocket *socket)
{
    for (int client = first_in_queue(socket->index); client >= 0;
         client = first_in_queue(socket->index)) {
        leave_queue(client);
        if (kernel.clients[client].error == 0)
            kernel.outcomes[client].fate = KERNEL_RESET;
    }
}

void vsocket_close(int fd)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return;
    if (socket->kind == CONNECTED)
        end_connection(socket);
    if (socket->kind == LISTENING)
        end_queue(socket);
    socket->open = false;
}

uint64_t kernel_sent(int fd)
{
    return sockets[index_of(fd)].lanes[NB_SEND].moved;
}

enum kernel_fate kernel_fate(int fd)
{
    return sockets[index_of(fd)].fate;
}

size_t kernel_room(int fd)
{
    catch_up();
    return sockets[index_of(fd)].lanes[NB_SEND].bytes;
}

void kernel_pass(const struct kernel_passed *passed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct vsocket *socket = &sockets[socket_count++];

        *socket = (struct vsocket){.kind = FRESH,
                                   .open = passed[i].kind != KERNEL_HOLE,
                                   .is_unix = passed[i].family == AF_UNIX,
                                   .cloexec = passed[i].cloexec,
                                   .blocking = passed[i].blocking,
                                   .passed = passed[i].kind};
        socket->local.ss_family = (sa_family_t)passed[i].family;
        if (passed[i].kind == KERNEL_LISTENER) {
            socket->kind = LISTENING;
            socket->index = kernel.listening++;
        }
    }
    passed_count = count;
}

bool kernel_is(size_t passed, bool cloexec, bool blocking)
{
    const struct vsocket *socket = &sockets[passed];

    return socket->open && socket->cloexec == cloexec && socket->blocking == blocking;
}

void kernel_close_passed(void)
{
    for (size_t i = 0; i < passed_count; i++)
        sockets[i].open = false;
}

size_t kernel_open(void)
{
    size_t count = 0;

    for (size_t i = 0; i < socket_count; i++)
        count += sockets[i].open;
    return count;
}

void kernel_at(int64_t when_ns, void (*run)(void *argument), void *argument)
{
    if (moment_count == MOMENTS_MAX)
        complain("too many moments");
    else
        moments[moment_count++] = (struct moment){when_ns, run, argument};
}

/* ---- what has happened until now ---- */

static int64_t after(int64_t ns, int64_t more)
{
    return more > KERNEL_NEVER - ns ? KERNEL_NEVER : ns + more;
}

static int64_t next_step(const struct lane *lane)
{
    return lane->next < lane->count ? after(lane->last_ns, lane->steps[lane->next].after_ns)
                                    : KERNEL_NEVER;
}

static bool passes(int error)
{
    return error == ENOMEM || error == ENOBUFS || error == EINTR;
}

static void take_step(struct vsocket *socket, struct lane *lane)
{
    const struct kernel_step *step = &lane->steps[lane->next];

    lane->last_ns = next_step(lane);
    lane->next++;
    if (step->error == 0) {
        lane->bytes += step->bytes;
        lane->ended = step->bytes == 0;
    } else if (passes(step->error)) {
        lane->passing = step->error;
    } else if (!socket->closed) {
        socket->error = step->error;
        socket->closed = true;
    }
}

/* An error that passes is in the way of what comes after it. */
static void catch_up_lane(struct vsocket *socket, struct lane *lane)
{
    while (!socket->closed && lane->passing == 0 && next_step(lane) <= kernel.now)
        take_step(socket, lane);
}

static int64_t next_client(void)
{
    return kernel.arrived < kernel.client_count
               ? after(last_client_ns, kernel.clients[kernel.arrived].after_ns)
               : KERNEL_NEVER;
}

static bool is_shut(size_t listening)
{
    for (size_t i = 0; i < socket_count; i++) {
        if (sockets[i].kind == LISTENING && sockets[i].index == listening)
            return !sockets[i].open;
    }
    return true;
}

/* Clients come once somebody listens, and are refused when nobody does any more. */
static void catch_up_clients(void)
{
    while (kernel.listening > 0 && next_client() <= kernel.now) {
        size_t client = kernel.arrived;

        last_client_ns = next_client();
        kernel.arrived++;
        waits[client] = !is_shut(kernel.clients[client].at % kernel.listening);
        kernel.outcomes[client].queued = waits[client] && kernel.clients[client].error == 0;
    }
}

static void catch_up_connect(struct vsocket *socket)
{
    const struct kernel_attempt *attempt = socket->attempt;

    if (socket->answered_ns > kernel.now)
        return;
    if (attempt->error == 0) {
        vsocket_connect(socket, attempt->peer);
    } else {
        socket->kind = FRESH;
        socket->error = attempt->error;
        socket->closed = true;
    }
}

void catch_up(void)
{
    catch_up_clients();
    for (size_t i = 0; i < socket_count; i++) {
        struct vsocket *socket = &sockets[i];

        if (!socket->open)
            continue;
        if (socket->kind == CONNECTING)
            catch_up_connect(socket);
        if (socket->kind == CONNECTED) {
            catch_up_lane(socket, &socket->lanes[NB_RECEIVE]);
            catch_up_lane(socket, &socket->lanes[NB_SEND]);
        }
    }
}

int first_in_queue(size_t listening)
{
    for (size_t i = 0; i < kernel.arrived; i++) {
        if (waits[i] && kernel.clients[i].at % kernel.listening == listening)
            return (int)i;
    }
    return -1;
}

/* Whether an accept that fails so takes a connection out of the queue. */
static bool loses_connection(int error)
{
    return error != EINTR && error != EMFILE && error != ENFILE && error != ENOBUFS &&
           error != ENOMEM;
}

int vqueue_length(size_t listening)
{
    int length = 0;

    for (size_t i = 0; i < kernel.arrived; i++)
        length += waits[i] && kernel.clients[i].at % kernel.listening == listening &&
                  loses_connection(kernel.clients[i].error);
    return length;
}

void leave_queue(int client)
{
    waits[client] = false;
}

/* ---- time ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When something happens next, the future only. */
static int64_t next_event(void)
{
    int64_t next = kernel.listening > 0 ? next_client() : KERNEL_NEVER;

    for (size_t i = 0; i < socket_count; i++) {
        const struct vsocket *socket = &sockets[i];

        if (!socket->open)
            continue;
        if (socket->kind == CONNECTING)
            next = earlier(next, socket->answered_ns);
        for (size_t k = 0; k < 2 && socket->kind == CONNECTED && !socket->closed; k++) {
            if (socket->lanes[k].passing == 0)
                next = earlier(next, next_step(&socket->lanes[k]));
        }
    }
    for (size_t i = 0; i < moment_count; i++)
        next = earlier(next, moments[i].when_ns);
    return next;
}

static void run_moments(void)
{
    for (size_t i = 0; i < moment_count;) {
        struct moment moment = moments[i];

        if (moment.when_ns > kernel.now) {
            i++;
            continue;
        }
        moments[i] = moments[--moment_count];
        moment.run(moment.argument);
    }
}

/* Goes to the next thing that happens: 1 when that may have made something ready. */
static int go_on(int64_t limit_ns, int64_t signal_ns)
{
    int64_t next = earlier(earlier(next_event(), limit_ns), signal_ns);

    if (++steps_taken > STEPS_MOST) {
        complain("there is no end to it");
        return -EBADF;
    }
    if (next == KERNEL_NEVER) {
        complain("something waits for ever");
        return -EBADF;
    }
    if (next > kernel.now)
        kernel.now = next;
    catch_up();
    run_moments();
    return 1;
}

static int64_t next_signal(void)
{
    bool are_over = kernel.signals_most > 0 && kernel.signals >= kernel.signals_most;

    if (kernel.signal_every_ns == 0 || are_over)
        return KERNEL_NEVER;
    return after(kernel.now, kernel.signal_every_ns);
}

int pass_time(bool (*ready)(void *what), void *what, int64_t limit_ns)
{
    int64_t signal_ns = next_signal();

    catch_up();
    run_moments();
    for (;;) {
        int gone;

        if (ready(what))
            return 1;
        if (limit_ns <= kernel.now)
            return 0;
        if (signal_ns <= kernel.now) {
            kernel.signals++;
            return -EINTR;
        }
        gone = go_on(limit_ns, signal_ns);
        if (gone < 0)
            return gone;
    }
}

static bool is_never_ready(void *what)
{
    (void)what;
    return false;
}

void kernel_idle(int64_t ns)
{
    int64_t until = after(kernel.now, ns);

    while (pass_time(is_never_ready, NULL, until) == -EINTR)
        continue;
}
