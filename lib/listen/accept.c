/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Accepting: the meaning of its errors, one try, and the wait for a connection. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "listen/accept.h"

#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "conn/conn_internal.h"
#include "net/inherited.h"
#include "net/socket.h"
#include "sys/sys.h"
#include "wait/wait.h"

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define BACKOFF_FIRST_MS 5
#define BACKOFF_MOST_MS 1000

/* After so many lost connections in a row something else is wrong, such as a policy that refuses
   every accept: then accepting backs off, or ends if the error may be the listening socket's
   own. */
#define LOST_MOST 64
#define UNCLEAR_MOST 10

/* What an error of accept(2) means; see the table in the documentation of nb_serve(). */
enum accept_error { INTERRUPTED, NONE, LOST, UNCLEAR, SHORTAGE, FATAL };

static const struct {
    int error;
    enum accept_error means;
} accept_errors[] = {
    {EINTR, INTERRUPTED},    {EAGAIN, NONE},      {ECONNABORTED, LOST},    {ECONNRESET, LOST},
    {EPROTO, LOST},          {ENETDOWN, LOST},    {ENOPROTOOPT, LOST},     {EHOSTDOWN, LOST},
    {EHOSTUNREACH, LOST},    {ENETUNREACH, LOST}, {EPROTONOSUPPORT, LOST}, {ETIMEDOUT, LOST},
    {EPERM, LOST},
#ifdef ENONET
    {ENONET, LOST},
#endif
#ifdef ENOSR
    {ENOSR, LOST},
#endif
#ifdef ESOCKTNOSUPPORT
    {ESOCKTNOSUPPORT, LOST},
#endif
    {EMFILE, SHORTAGE},      {ENFILE, SHORTAGE},  {ENOBUFS, SHORTAGE},     {ENOMEM, SHORTAGE},
    {EBADF, FATAL},          {EINVAL, FATAL},     {ENOTSOCK, FATAL},       {EFAULT, FATAL},
};

static enum accept_error meaning_alone(int error)
{
    for (size_t i = 0; i < COUNT(accept_errors); i++) {
        if (accept_errors[i].error == error)
            return accept_errors[i].means;
    }
    return UNCLEAR;
}

/* The meaning of an error, given those before it. One that is not in the table (EOPNOTSUPP, for
   instance, can be an error of the network or of the socket) first counts as a lost connection: no
   server ends for what may be the error of one connection. If it goes on, it is the listening
   socket's. */
static enum accept_error meaning_of(struct nb__accepting *accepting, int error)
{
    enum accept_error alone = meaning_alone(error);

    if (alone != UNCLEAR) {
        accepting->unclear_in_row = 0;
        return alone;
    }
    return ++accepting->unclear_in_row > UNCLEAR_MOST ? FATAL : LOST;
}

static void wait_longer(struct nb__accepting *accepting, int error)
{
    int64_t next = accepting->backoff_ms == 0 ? BACKOFF_FIRST_MS : accepting->backoff_ms * 2;

    accepting->shortage = error;
    accepting->backoff_ms = next < BACKOFF_MOST_MS ? next : BACKOFF_MOST_MS;
}

enum nb__accept_result nb__accept_failed(nb_listener *listener, struct nb__accepting *accepting,
                                         int error)
{
    accepting->error = error;
    switch (meaning_of(accepting, error)) {
    case LOST:
        atomic_fetch_add(&listener->counters.lost_accepts, 1);
        if (++accepting->lost_in_row > LOST_MOST)
            wait_longer(accepting, error);
        else
            accepting->backoff_ms = 0;
        return NB__ACCEPT_LOST;
    case INTERRUPTED:
        return NB__ACCEPT_INTERRUPTED;
    case NONE: /* the system returns this only if a descriptor is free: no shortage */
        accepting->backoff_ms = 0;
        accepting->lost_in_row = 0;
        return NB__ACCEPT_NOTHING;
    case SHORTAGE:
        wait_longer(accepting, error);
        return NB__ACCEPT_SHORTAGE;
    default:
        return NB__ACCEPT_BROKEN;
    }
}

enum nb__accept_result nb__accept_poll_failed(nb_listener *listener,
                                              struct nb__accepting *accepting, int error)
{
    enum accept_error alone = meaning_alone(error);

    accepting->error = error;
    if (accepting->backoff_ms > 0 || alone == LOST || alone == UNCLEAR)
        return NB__ACCEPT_BROKEN; /* it cannot be the error of one connection */
    return nb__accept_failed(listener, accepting, error);
}

nb_status nb__accept_status(int error)
{
    nb_status status = nb__status_of_errno(error);

    if (status == NB_NO_DESCRIPTORS || status == NB_NO_MEMORY || status == NB_UNSUPPORTED)
        return status;
    return NB_SYSTEM;
}

/* Sets the options that an accepted socket has not inherited: Unix sockets inherit hardly any, and
   connections that completed before we had the listening socket have its options of that time. A
   failure here does not end the connection. */
static void make_ready(int fd, const struct nb__listen_socket *from)
{
    nb_family family = nb_address_family(&from->address);
    bool is_unix = family == NB_FAMILY_UNIX;
    bool changed;

    if (is_unix || from->shared)
        (void)nb__socket_options_set(fd, family, &from->options);
    if (is_unix && from->shared) /* not on the listening socket: others may share it */
        (void)nb__sys_pass_rights(fd, false);
    if (from->settle)
        (void)nb__inherited_settle(fd, &changed);
}

/* Tries one socket. */
static enum nb__accept_result try_socket(nb_listener *listener, struct nb__accepting *accepting,
                                         const struct nb__listen_socket *from, nb_conn *conn)
{
    nb_address peer;
    int fd = nb__socket_accept(from->fd, &peer);

    if (fd < 0)
        return nb__accept_failed(listener, accepting, -fd);
    *accepting = (struct nb__accepting){.backoff_ms = 0};
    make_ready(fd, from);
    nb__conn_open(conn, fd, nb_address_family(&from->address), &peer);
    return NB__ACCEPT_DONE;
}

enum nb__accept_result nb__accept_try(nb_listener *listener, struct nb__accepting *accepting,
                                      const struct pollfd *ready, nb_conn *conn)
{
    /* They take turns: a busy socket must not starve the others. */
    unsigned turn = atomic_fetch_add_explicit(&listener->turn, 1, memory_order_relaxed);

    for (size_t i = 0; i < listener->count; i++) {
        size_t at = (turn + i) % listener->count;
        enum nb__accept_result tried = NB__ACCEPT_NOTHING;

        if (ready == NULL || ready[at].revents != 0)
            tried = try_socket(listener, accepting, &listener->sockets[at], conn);
        if (tried != NB__ACCEPT_NOTHING)
            return tried;
    }
    return NB__ACCEPT_NOTHING;
}

size_t nb__accept_watch(const nb_listener *listener, struct pollfd *fds)
{
    fds[0] = (struct pollfd){listener->wake[0], POLLIN, 0};
    for (size_t i = 0; i < listener->count; i++)
        fds[1 + i] = (struct pollfd){listener->sockets[i].fd, POLLIN, 0};
    return 1 + listener->count;
}

static bool is_ready(int fd)
{
    struct pollfd polled = {fd, POLLIN, 0};

    return nb__wait(&polled, 1, nb_after_ms(0)) > 0;
}

uint64_t nb__accept_waiting(const nb_listener *listener)
{
    uint64_t waiting = 0;

    for (size_t i = 0; i < listener->count; i++) {
        int fd = listener->sockets[i].fd;
        int length = nb__sys_queue_length(fd);

        waiting += length >= 0 ? (uint64_t)length : is_ready(fd);
    }
    return waiting;
}

nb_deadline nb__accept_retry(const struct nb__accepting *accepting)
{
    return accepting->backoff_ms == 0 ? nb_forever() : nb_after_ms(accepting->backoff_ms);
}

/* Waits for the stop, a connection, or the end of a back-off, and then tries. */
static enum nb__accept_result wait_and_try(nb_listener *listener, struct nb__accepting *accepting,
                                           nb_conn *conn, nb_deadline by)
{
    struct pollfd fds[NB__ACCEPT_WATCHED_MAX];
    bool short_of = accepting->backoff_ms > 0;
    size_t count = nb__accept_watch(listener, fds);
    nb_deadline until = nb__earlier(by, nb__accept_retry(accepting));
    int ready = nb__wait(fds, (nfds_t)(short_of ? 1 : count), until);

    if (ready < 0 && ready != -EINTR)
        return nb__accept_poll_failed(listener, accepting, -ready);
    if (ready > 0 && fds[0].revents != 0)
        nb__listener_wake_clear(listener, listener->wake);
    if (nb__listener_stopped(listener) || (ready <= 0 && !short_of))
        return NB__ACCEPT_NOTHING;
    return nb__accept_try(listener, accepting, short_of ? NULL : fds + 1, conn);
}

/* The errno of the shortage that accepting is backing off from, or 0. It also backs off after many
   lost connections, but these are no shortage. */
static int shortage_of(const struct nb__accepting *accepting)
{
    bool is_short = accepting->backoff_ms > 0 && meaning_alone(accepting->shortage) == SHORTAGE;

    return is_short ? accepting->shortage : 0;
}

/* The result when the deadline has passed: the shortage, if there is one. */
static struct nb__result timed_out(int shortage)
{
    return nb__failure(shortage != 0 ? nb__accept_status(shortage) : NB_TIMEOUT, shortage);
}

/* Accepts into a connection that has no socket yet. */
static struct nb__result accept_into(nb_listener *listener, nb_conn *conn, nb_deadline by)
{
    struct nb__accepting accepting = {.backoff_ms = 0};

    for (;;) {
        enum nb__accept_result tried;

        if (nb__listener_stopped(listener))
            return nb__failure(NB_CANCELLED, 0);
        if (nb_expired(by))
            return timed_out(shortage_of(&accepting));
        tried = wait_and_try(listener, &accepting, conn, by);
        atomic_store(&listener->shortage, shortage_of(&accepting));
        if (tried == NB__ACCEPT_DONE)
            return nb__ok();
        if (tried == NB__ACCEPT_BROKEN)
            return nb__failure(nb__accept_status(accepting.error), accepting.error);
    }
}

/* If all accepting threads waited in poll(2), each connection would wake all of them. So only one
   does, and the others wait for their turn. False when the deadline passed first, or the listener
   was stopped. */
static bool take_turn(nb_listener *listener, nb_deadline by)
{
    bool taken;

    (void)pthread_mutex_lock(&listener->lock);
    while (listener->accepting && !nb__listener_stopped(listener) && !nb_expired(by))
        (void)nb__sys_cond_wait(&listener->vacant, &listener->lock, by);
    /* Take the turn even if it is too late: no other thread was woken for it. */
    taken = !listener->accepting;
    listener->accepting = true;
    (void)pthread_mutex_unlock(&listener->lock);
    return taken;
}

/* Wakes the next thread; after the stop, which wakes only the one in poll(2), all of them. */
static void end_turn(nb_listener *listener)
{
    (void)pthread_mutex_lock(&listener->lock);
    listener->accepting = false;
    if (nb__listener_stopped(listener))
        (void)pthread_cond_broadcast(&listener->vacant);
    else
        (void)pthread_cond_signal(&listener->vacant);
    (void)pthread_mutex_unlock(&listener->lock);
}

static struct nb__result accept_in_turn(nb_listener *listener, nb_conn *conn, nb_deadline by)
{
    struct nb__result result;

    if (!take_turn(listener, by))
        return nb__listener_stopped(listener) ? nb__failure(NB_CANCELLED, 0)
                                              : timed_out(atomic_load(&listener->shortage));
    result = accept_into(listener, conn, by);
    end_turn(listener);
    return result;
}

nb_status nb_accept(nb_listener *listener, nb_conn **out, nb_deadline by, nb_error *err)
{
    char address[NB_ADDRESS_TEXT_MAX];
    struct nb__result result = nb__failure(NB_NO_MEMORY, 0);
    nb_conn *conn;

    if (out != NULL)
        *out = NULL;
    if (listener == NULL || out == NULL)
        return nb__error_invalid(err, "accept", "expected a listener and a place for the result");
    conn = nb__conn_new();
    if (conn != NULL)
        result = accept_in_turn(listener, conn, by);
    if (result.status == NB_OK) {
        *out = conn;
        nb__error_clear(err);
        return NB_OK;
    }
    if (conn != NULL)
        nb__conn_free(conn);
    return nb__error_set(
        err, result, "accept on",
        nb_address_format(&listener->sockets[0].address, address, sizeof(address)));
}
