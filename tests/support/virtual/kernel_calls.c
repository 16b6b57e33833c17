/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The scripted kernel: its calls, in the place of those of lib/sys/sys.c, and the clock. */
#undef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* struct timeval, clockid_t */

#include "double.h"
#include "kernel_sockets.h"

#include <errno.h>
#include <netbasics/conn.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

/* ---- the clock ---- */

static int own_libc_clock_gettime(clockid_t clock, struct timespec *now)
{
    int64_t ns = kernel.now;

    if (ns == 0)
        return real.libc_clock_gettime(clock, now);
    if (clock != CLOCK_MONOTONIC) {
        kernel.wall_reads++;
        ns += kernel.wall_ahead_ns;
    }
    now->tv_sec = (time_t)(ns / (1000 * KERNEL_MS));
    now->tv_nsec = (long)(ns % (1000 * KERNEL_MS));
    return 0;
}

REPLACE(libc_clock_gettime, own_libc_clock_gettime)

/* ---- sockets ---- */

static int own_socket(int family)
{
    int fd = vsocket_new(FRESH);

    if (fd >= 0)
        vsocket_of(fd)->local.ss_family = (sa_family_t)family;
    return fd;
}

REPLACE(socket, own_socket)

static int own_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    memcpy(&socket->local, address, length);
    if (address->sa_family != AF_UNIX && ((const struct sockaddr_in *)address)->sin_port == 0)
        ((struct sockaddr_in *)&socket->local)->sin_port = htons(4711);
    return 0;
}

REPLACE(bind, own_bind)

static int own_listen(int fd, int backlog)
{
    struct vsocket *socket = vsocket_of(fd);

    (void)backlog;
    if (socket == NULL)
        return -EBADF;
    socket->kind = LISTENING;
    socket->index = kernel.listening++;
    return 0;
}

REPLACE(listen, own_listen)

/* Where a connection without a script for it comes from: every one from another port. */
static void put_address(struct sockaddr_storage *out, int fd)
{
    struct sockaddr_in *in = (struct sockaddr_in *)out;

    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)(1024 + fd % 50000));
    in->sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
}

static int get_address(const struct sockaddr_storage *from, struct sockaddr *address,
                       socklen_t *length)
{
    socklen_t size = from->ss_family == AF_UNIX   ? sizeof(sa_family_t)
                     : from->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                  : sizeof(struct sockaddr_in6);

    memcpy(address, from, size < *length ? size : *length);
    *length = size;
    return 0;
}

static int own_accept(int fd, struct sockaddr *peer, socklen_t *length)
{
    struct vsocket *socket = vsocket_of(fd);
    struct vsocket *accepted;
    int client;
    int new;

    if (kernel.accepts < KERNEL_ACCEPTS_MAX)
        kernel.accept_times[kernel.accepts] = kernel.now;
    kernel.accepts++;
    if (socket == NULL)
        return -EBADF;
    catch_up();
    client = first_in_queue(socket->index);
    if (client < 0)
        return -EAGAIN;
    leave_queue(client);
    if (kernel.clients[client].error != 0)
        return -kernel.clients[client].error;
    new = vsocket_new(CONNECTED);
    if (new < 0)
        return new;
    accepted = vsocket_of(new);
    accepted->client = (size_t)client;
    accepted->has_client = true;
    accepted->blocking = true;
    kernel.outcomes[client].accepted = true;
    put_address(&accepted->remote, new);
    put_address(&accepted->local, fd);
    vsocket_connect(accepted, kernel.clients[client].peer);
    (void)get_address(&accepted->remote, peer, length);
    return new;
}

REPLACE(accept, own_accept)

static int own_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct vsocket *socket = vsocket_of(fd);
    size_t turn = kernel.connects++;

    if (socket == NULL)
        return -EBADF;
    if (turn >= kernel.attempt_count)
        return -EADDRNOTAVAIL;
    if (turn < KERNEL_ATTEMPTS_MAX)
        kernel.connect_times[turn] = kernel.now;
    memcpy(&socket->remote, address, length);
    put_address(&socket->local, fd);
    socket->attempt = &kernel.attempts[turn];
    if (socket->attempt->to_itself)
        socket->local = socket->remote;
    if (socket->attempt->at_once && socket->attempt->error != 0)
        return -socket->attempt->error;
    if (socket->attempt->at_once) {
        vsocket_connect(socket, socket->attempt->peer);
        return 0;
    }
    socket->kind = CONNECTING;
    socket->idle_wakeup = socket->attempt->idle_wakeup;
    socket->answered_ns = socket->attempt->after_ns > KERNEL_NEVER - kernel.now
                              ? KERNEL_NEVER
                              : kernel.now + socket->attempt->after_ns;
    return socket->attempt->interrupted ? -EINTR : -EINPROGRESS;
}

REPLACE(connect, own_connect)

static int own_disconnect(int fd)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    socket->closed = true;
    socket->error = 0;
    socket->lanes[NB_RECEIVE].bytes = 0;
    if (socket->fate == KERNEL_OPEN)
        socket->fate = socket->is_unix ? KERNEL_ENDED : KERNEL_RESET;
    return 0;
}

REPLACE(disconnect, own_disconnect)

static int own_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    if (socket->local.ss_family == 0 && socket->is_unix)
        socket->local.ss_family = AF_UNIX;
    if (socket->local.ss_family == 0)
        put_address(&socket->local, fd);
    return get_address(&socket->local, address, length);
}

REPLACE(getsockname, own_getsockname)

static int own_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    catch_up();
    if (socket->kind != CONNECTED || socket->closed)
        return -ENOTCONN;
    if (socket->remote.ss_family == 0 && socket->is_unix)
        socket->remote.ss_family = AF_UNIX;
    if (socket->remote.ss_family == 0)
        put_address(&socket->remote, fd + 1);
    return get_address(&socket->remote, address, length);
}

REPLACE(getpeername, own_getpeername)

static int arm_timer(struct vsocket *socket, nb_direction direction, const struct timeval *timer)
{
    if (kernel.no_timers)
        return -ENOPROTOOPT;
    kernel.timers_set++;
    socket->armed_ms[direction] = (int64_t)timer->tv_sec * 1000 + timer->tv_usec / 1000;
    kernel.armed_ms[direction] = socket->armed_ms[direction];
    return 0;
}

static int own_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    struct vsocket *socket = vsocket_of(fd);

    (void)length;
    if (socket == NULL)
        return -EBADF;
    if (level != SOL_SOCKET)
        return 0;
    if (name == SO_RCVTIMEO)
        return arm_timer(socket, NB_RECEIVE, value);
    if (name == SO_SNDTIMEO)
        return arm_timer(socket, NB_SEND, value);
    if (name == SO_LINGER)
        socket->linger_resets = ((const struct linger *)value)->l_onoff != 0 &&
                                ((const struct linger *)value)->l_linger == 0;
    return 0;
}

REPLACE(setsockopt, own_setsockopt)

/* The kernel tells an error once. On a connection that was not connected just now, that is for
   receives and sends to find. */
static int take_error(struct vsocket *socket)
{
    int error = socket->error;

    if (socket->attempt == NULL && error != 0)
        complain("the error of a connection is taken away by a question");
    socket->error = 0;
    socket->idle_wakeup = false;
    return error;
}

static int own_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    struct vsocket *socket = vsocket_of(fd);
    int answer = 0;

    if (socket == NULL)
        return -EBADF;
    catch_up();
    if (socket->passed == KERNEL_FILE)
        return -ENOTSOCK;
    if (level == SOL_SOCKET && name == SO_TYPE)
        answer = socket->passed == KERNEL_DATAGRAMS ? SOCK_DGRAM : SOCK_STREAM;
    if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
        answer = socket->kind == LISTENING;
    if (level == SOL_SOCKET && name == SO_ERROR)
        answer = take_error(socket);
    memset(value, 0, *length);
    memcpy(value, &answer, *length < sizeof(answer) ? *length : sizeof(answer));
    return 0;
}

REPLACE(getsockopt, own_getsockopt)

static int own_set_blocking(int fd, bool blocking)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    if (fd == kernel.refuses_fd)
        return -EPERM;
    socket->blocking = blocking;
    return 0;
}

REPLACE(set_blocking, own_set_blocking)

static int own_set_cloexec(int fd)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    socket->cloexec = true;
    return 0;
}

REPLACE(set_cloexec, own_set_cloexec)

static int own_get_flags(int fd, struct nb__flags *out)
{
    const struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    out->of_descriptor = socket->cloexec;
    out->of_file = socket->blocking;
    return 0;
}

REPLACE(get_flags, own_get_flags)

static int own_set_flags(int fd, const struct nb__flags *flags)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    socket->cloexec = flags->of_descriptor != 0;
    socket->blocking = flags->of_file != 0;
    return 0;
}

REPLACE(set_flags, own_set_flags)

static int own_shutdown(int fd, int how)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    catch_up();
    if (socket->closed)
        return -ENOTCONN;
    if (how != SHUT_RD) {
        socket->half_ended = true;
        socket->fate = KERNEL_ENDED;
    }
    return 0;
}

REPLACE(shutdown, own_shutdown)

static int own_close(int fd)
{
    vsocket_close(fd);
    return 0;
}

REPLACE(close, own_close)

static int own_queue_length(int fd)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    catch_up();
    return vqueue_length(socket->index);
}

REPLACE(queue_length, own_queue_length)

static int own_tcp_closed(int fd)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    catch_up();
    return socket->is_unix ? -EOPNOTSUPP : socket->closed;
}

REPLACE(tcp_closed, own_tcp_closed)

static int own_tcp_ended(int fd)
{
    struct vsocket *socket = vsocket_of(fd);

    if (socket == NULL)
        return -EBADF;
    catch_up();
    return socket->is_unix ? -EOPNOTSUPP : socket->closed || socket->half_ended;
}

REPLACE(tcp_ended, own_tcp_ended)

/* ---- wake-ups ---- */

static int own_wake_open(int fds[2])
{
    fds[0] = fds[1] = vsocket_new(WAKE);
    return fds[0] < 0 ? fds[0] : 0;
}

REPLACE(wake_open, own_wake_open)

static int own_wake_ring(const int fds[2])
{
    struct vsocket *wake = vsocket_of(fds[1]);

    if (wake == NULL)
        return -EBADF;
    wake->rung = true;
    return (int)sizeof(uint64_t);
}

REPLACE(wake_ring, own_wake_ring)

static int own_wake_clear(const int fds[2])
{
    struct vsocket *wake = vsocket_of(fds[0]);

    if (wake == NULL)
        return -EBADF;
    wake->rung = false;
    return (int)sizeof(uint64_t);
}

REPLACE(wake_clear, own_wake_clear)

static void own_wake_close(const int fds[2])
{
    vsocket_close(fds[0]);
}

REPLACE(wake_close, own_wake_close)

/* ---- transfers ---- */

static bool can_receive(void *what)
{
    const struct vsocket *socket = what;
    const struct lane *lane = &socket->lanes[NB_RECEIVE];

    return lane->bytes > 0 || lane->passing != 0 || lane->ended || socket->closed ||
           socket->error != 0;
}

static bool can_send(void *what)
{
    const struct vsocket *socket = what;
    const struct lane *lane = &socket->lanes[NB_SEND];

    return lane->bytes > 0 || lane->passing != 0 || socket->closed || socket->error != 0 ||
           socket->half_ended;
}

static int take(int *error)
{
    int taken = *error;

    *error = 0;
    return taken;
}

/* How late a timer is at worst: an eighth and two ticks. */
static int64_t worst_delay(int64_t ms)
{
    return ms * KERNEL_MS / 8 + 8 * KERNEL_MS;
}

/* When the timer of a direction ends a wait that begins now. */
static int64_t timer_end(const struct vsocket *socket, nb_direction direction)
{
    int64_t ms = socket->armed_ms[direction];
    int64_t due = kernel.now + ms * KERNEL_MS;

    kernel.blocked = true;
    if (kernel.by.ns != 0 && (ms == 0 || due + worst_delay(ms) > kernel.by.ns))
        kernel.misarmed = true;
    return ms == 0 ? KERNEL_NEVER : due + worst_delay(ms) / 1000 * kernel.late_permille;
}

/* Hands out bytes that are there. */
static size_t give_bytes(struct vsocket *socket, unsigned char *buf, size_t length)
{
    struct lane *lane = &socket->lanes[NB_RECEIVE];
    size_t most = socket->peer->piece == 0 ? length : socket->peer->piece;
    size_t count = lane->bytes < length ? lane->bytes : length;

    if (count > most)
        count = most;
    if (socket->peer->stream != NULL)
        memcpy(buf, socket->peer->stream + lane->moved, count);
    for (size_t i = 0; i < count && socket->peer->stream == NULL; i++)
        buf[i] = kernel_byte(lane->moved + i);
    lane->bytes -= count;
    lane->moved += count;
    return count;
}

static ssize_t own_recv(int fd, void *buf, size_t length, int flags)
{
    struct vsocket *socket = vsocket_of(fd);
    bool waits = (flags & MSG_DONTWAIT) == 0;
    int ready;

    kernel.receives++;
    if (socket == NULL || socket->kind != CONNECTED)
        return -ENOTCONN;
    waits = waits && socket->blocking;
    ready = pass_time(can_receive, socket, waits ? timer_end(socket, NB_RECEIVE) : kernel.now);
    if (ready <= 0)
        return ready == 0 ? -EAGAIN : ready;
    if (socket->lanes[NB_RECEIVE].bytes > 0)
        return (ssize_t)give_bytes(socket, buf, length);
    if (socket->lanes[NB_RECEIVE].passing != 0)
        return -take(&socket->lanes[NB_RECEIVE].passing);
    return -take(&socket->error); /* once; then it is an end */
}

REPLACE(recv, own_recv)

static int send_error(struct vsocket *socket)
{
    if (socket->lanes[NB_SEND].passing != 0)
        return take(&socket->lanes[NB_SEND].passing);
    if (socket->error != 0)
        return take(&socket->error);
    return EPIPE;
}

/* Moves into the room that there is. */
static size_t take_bytes(struct vsocket *socket, int fd, const char *data, size_t length)
{
    struct lane *lane = &socket->lanes[NB_SEND];
    size_t count = lane->bytes < length ? lane->bytes : length;

    if (count > 0 && kernel.took != NULL)
        kernel.took(fd, data, count);
    lane->bytes -= count;
    lane->moved += count;
    return count;
}

/* A send of one piece after another, until all is moved or something is in the way. A Unix socket
   starts its timer anew with every piece of the way. An error is told, and gone with that, only when the
   call has moved nothing before. */
static ssize_t send_piece(int fd, const char *data, size_t length, int flags, bool moved,
                          int64_t *limit)
{
    struct vsocket *socket = vsocket_of(fd);
    size_t sent = 0;

    while (sent < length) {
        bool waits = (flags & MSG_DONTWAIT) == 0 && socket->blocking;
        int ready;

        if (!waits)
            *limit = kernel.now;
        else if (*limit == 0 || socket->is_unix)
            *limit = timer_end(socket, NB_SEND);
        ready = pass_time(can_send, socket, *limit);
        if (ready > 0 &&
            (socket->lanes[NB_SEND].bytes == 0 || socket->closed || socket->half_ended))
            ready = moved || sent > 0 ? 0 : -send_error(socket);
        if (ready <= 0)
            return sent > 0 ? (ssize_t)sent : ready == 0 ? -EAGAIN : ready;
        sent += take_bytes(socket, fd, data + sent, length - sent);
    }
    return (ssize_t)sent;
}

static void count_send(size_t length)
{
    kernel.sends++;
    if (length > kernel.longest_send)
        kernel.longest_send = length;
}

static ssize_t own_send(int fd, const void *data, size_t length, int flags)
{
    int64_t limit = 0;

    count_send(length);
    if (vsocket_of(fd) == NULL)
        return -EBADF;
    return send_piece(fd, data, length, flags, false, &limit);
}

REPLACE(send, own_send)

static ssize_t own_sendmsg(int fd, struct iovec *parts, size_t count, int flags)
{
    int64_t limit = 0;
    size_t length = 0;
    ssize_t sent = 0;

    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    count_send(length);
    if (vsocket_of(fd) == NULL)
        return -EBADF;
    for (size_t i = 0; i < count; i++) {
        ssize_t more = send_piece(fd, parts[i].iov_base, parts[i].iov_len, flags, sent > 0, &limit);

        if (more < 0)
            return sent > 0 ? sent : more;
        sent += more;
        if ((size_t)more < parts[i].iov_len)
            break;
    }
    return sent;
}

REPLACE(sendmsg, own_sendmsg)

/* ---- poll ---- */

static short events_of_connection(struct vsocket *socket)
{
    size_t room = socket->peer->poll_room > 1 ? socket->peer->poll_room : 1;
    short events = can_receive(socket) ? POLLIN : 0;

    if (socket->lanes[NB_SEND].bytes >= room || socket->closed ||
        socket->lanes[NB_SEND].passing != 0)
        events |= POLLOUT;
    if (socket->error != 0)
        events |= POLLERR;
    if (socket->closed)
        events |= POLLHUP;
    return events;
}

static short events_of(struct vsocket *socket)
{
    switch (socket->kind) {
    case WAKE:
        return socket->rung ? POLLIN : 0;
    case LISTENING:
        return first_in_queue(socket->index) >= 0 ? POLLIN : 0;
    case CONNECTING:
        return socket->idle_wakeup ? POLLOUT : 0;
    case CONNECTED:
        return events_of_connection(socket);
    default:
        return socket->closed ? POLLOUT | POLLERR | POLLHUP : POLLOUT | POLLHUP;
    }
}

struct polled {
    struct pollfd *fds;
    nfds_t count;
    int ready;
};

static bool some_are_ready(void *what)
{
    struct polled *polled = what;

    polled->ready = 0;
    for (nfds_t i = 0; i < polled->count; i++) {
        struct pollfd *entry = &polled->fds[i];
        struct vsocket *socket = entry->fd < 0 ? NULL : vsocket_of(entry->fd);

        entry->revents = 0;
        if (socket != NULL)
            entry->revents = (short)(events_of(socket) & (entry->events | POLLERR | POLLHUP));
        polled->ready += entry->revents != 0;
    }
    return polled->ready > 0;
}

/* Says for nothing that what was asked about first is there. */
static int say_ready(const struct polled *polled)
{
    for (nfds_t i = 0; i < polled->count; i++) {
        struct pollfd *entry = &polled->fds[i];
        const struct vsocket *socket = entry->fd < 0 ? NULL : vsocket_of(entry->fd);

        if (socket != NULL && socket->kind != WAKE) {
            entry->revents = entry->events;
            kernel.idle_polls++;
            return 1;
        }
    }
    return 0;
}

/* When poll(2) gives up, or says ready for nothing. */
static int64_t poll_end(nb_deadline by, bool *for_nothing)
{
    bool are_over = kernel.idle_polls_most > 0 && kernel.idle_polls >= kernel.idle_polls_most;
    int64_t limit = by.ns;

    if (limit <= kernel.now)
        limit = kernel.now;
    else if (limit < KERNEL_NEVER - kernel.poll_late_ns)
        limit += kernel.poll_late_ns;
    *for_nothing = kernel.idle_poll_ns > 0 && !are_over && limit - kernel.now > kernel.idle_poll_ns;
    return *for_nothing ? kernel.now + kernel.idle_poll_ns : limit;
}

static int own_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    struct polled polled = {fds, count, 0};
    bool for_nothing;
    int done;

    kernel.polls++;
    kernel.last_poll = by;
    done = pass_time(some_are_ready, &polled, poll_end(by, &for_nothing));
    if (done == 0 && for_nothing)
        return say_ready(&polled);
    return done > 0 ? polled.ready : done;
}

REPLACE(poll, own_poll)
