/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Listening sockets: both families on one port, an accept with a deadline, a stop. */
#define _POSIX_C_SOURCE 200809L

#include "listener_internal.h"

#include "address_internal.h"
#include "conn_internal.h"
#include "deadline_internal.h"
#include "error_internal.h"
#include "options.h"
#include "resolve.h"
#include "socket_options.h"
#include "sys.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* How often both families are tried for a port that is free in both. */
#define PORT_ROUNDS 16

#define BACKOFF_FIRST_MS 5
#define BACKOFF_MOST_MS 1000

/* After so many lost connections in a row something else is wrong, such as a filter that refuses
   every accept: then there is a pause, or for EOPNOTSUPP an end. */
#define LOST_MOST 64
#define UNSUPPORTED_MOST 10

static const char operation[] = "listen on";

static int set(int fd, int level, int option)
{
    return nb__sys_setsockopt(fd, level, option, &(int){1}, sizeof(int));
}

static int set_up(int fd, const nb_address *address, struct nb__socket_options *options)
{
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(address, &length);
    nb_family family = nb_address_family(address);
    int failed =
        nb__socket_options_set(fd, family, options); /* accepted connections inherit them */

    (void)set(fd, SOL_SOCKET, SO_REUSEADDR); /* a restart must not wait for TIME_WAIT */
    if (failed == 0 && family == NB_FAMILY_IPV6)
        failed = set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    return failed < 0 ? failed : nb__sys_bind(fd, raw, length);
}

/* The address with the port that the system chose. */
static int bound_address(int fd, nb_address *out)
{
    struct sockaddr_storage raw;
    socklen_t length = sizeof(raw);
    int failed = nb__sys_getsockname(fd, (struct sockaddr *)&raw, &length);

    if (failed == 0)
        *out = nb__address_from((const struct sockaddr *)&raw, length);
    return failed;
}

static int open_bound(struct nb__socket *out, const nb_address *address,
                      struct nb__socket_options *options)
{
    int fd = nb__sys_socket(nb__address_domain(address));
    int failed;

    out->address = *address;
    if (fd < 0)
        return fd;
    failed = set_up(fd, address, options);
    if (failed == 0)
        failed = bound_address(fd, &out->address);
    if (failed < 0) {
        (void)nb__sys_close(fd);
        return failed;
    }
    out->fd = fd;
    return 0;
}

/* How the sockets of an endpoint are wanted. */
struct wishes {
    int backlog;
    struct nb__socket_options options;
};

/* The sockets of one endpoint while they are being opened. */
struct opening {
    const struct nb__addresses *addresses;
    struct wishes *wishes;
    struct nb__socket sockets[2]; /* fd -1: this family is left out */
    nb_address failed_at;
};

static void give_up(struct opening *opening)
{
    for (size_t i = 0; i < opening->addresses->count; i++) {
        if (opening->sockets[i].fd >= 0)
            (void)nb__sys_close(opening->sockets[i].fd);
        opening->sockets[i].fd = -1;
    }
}

/* A machine without this family; the other one may serve. */
static bool family_is_missing(int failed)
{
    return failed == -EAFNOSUPPORT || failed == -EADDRNOTAVAIL;
}

/* Binds all addresses, the one at `first` first: it chooses the port for the others. */
static int bind_all(struct opening *opening, size_t first)
{
    size_t count = opening->addresses->count;
    uint16_t port = nb_address_port(&opening->addresses->list[0]);
    size_t bound = 0;
    int missing = 0;

    for (size_t i = 0; i < count; i++) {
        size_t at = (first + i) % count;
        nb_address address = nb__address_with_port(&opening->addresses->list[at], port);
        int failed = open_bound(&opening->sockets[at], &address, &opening->wishes->options);

        if (failed == 0) {
            port = nb_address_port(&opening->sockets[at].address);
            bound++;
            continue;
        }
        opening->failed_at = address;
        if (!family_is_missing(failed))
            return failed;
        missing = failed;
    }
    return bound > 0 ? 0 : missing;
}

/* With SO_REUSEADDR two sockets can be bound to one port while neither listens, so that a busy port
   may show only here. */
static int listen_all(struct opening *opening)
{
    for (size_t i = 0; i < opening->addresses->count; i++) {
        int failed = 0;

        if (opening->sockets[i].fd >= 0)
            failed = nb__sys_listen(opening->sockets[i].fd, opening->wishes->backlog);
        if (failed < 0) {
            opening->failed_at = opening->sockets[i].address;
            return failed;
        }
    }
    return 0;
}

static int open_round(struct opening *opening, size_t first)
{
    int failed;

    opening->sockets[0].fd = opening->sockets[1].fd = -1;
    failed = bind_all(opening, first);
    if (failed == 0)
        failed = listen_all(opening);
    if (failed < 0)
        give_up(opening);
    return failed;
}

/* A port that is free in one family may be busy in the other: then they take turns in choosing. */
static int open_all(struct opening *opening)
{
    bool choose =
        opening->addresses->count > 1 && nb_address_port(&opening->addresses->list[0]) == 0;
    int failed = open_round(opening, 0);

    for (size_t round = 1; choose && failed == -EADDRINUSE && round < PORT_ROUNDS; round++)
        failed = open_round(opening, round % 2);
    return failed;
}

static nb_status open_failed(nb_error *err, int failed, const char *endpoint,
                             const struct opening *opening)
{
    nb_status status = nb__status_of_errno(-failed);
    struct nb__text text = nb__error_about(err, status, -failed, operation, endpoint);

    nb__socket_options_tell(&text, &opening->wishes->options);
    nb__text_add_reason(&text, status, -failed);
    if (opening->addresses->count > 1) {
        char address[NB_ADDRESS_TEXT_MAX];

        nb__text_add(&text, " at %s",
                     nb_address_format(&opening->failed_at, address, sizeof(address)));
    }
    return status;
}

static nb_status too_many_sockets(nb_error *err, const char *endpoint)
{
    struct nb__text text = nb__error_about(err, NB_TOO_LONG, 0, operation, endpoint);

    nb__text_add(&text, "a listener has %d sockets at most", NB_LISTENER_SOCKETS_MAX);
    return NB_TOO_LONG;
}

static nb_status read_endpoint(struct nb__addresses *out, const char *text, nb_error *err)
{
    struct nb__endpoint endpoint;
    nb_status status = nb__endpoint_parse(&endpoint, operation, text, err);

    if (status != NB_OK)
        return status;
    if (endpoint.kind == NB__ENDPOINT_NAME)
        return nb__endpoint_refuse(
            err, operation, text,
            "names are not looked up here; expected an address, localhost or *");
    if (endpoint.kind > NB__ENDPOINT_NAME)
        return nb__error_set(err, NB_UNSUPPORTED, 0, operation, text);
    nb__resolve_local(out, &endpoint);
    return NB_OK;
}

static nb_status add_endpoint(nb_listener *listener, const char *endpoint, struct wishes *wishes,
                              nb_error *err)
{
    struct nb__addresses addresses;
    struct opening opening = {.addresses = &addresses, .wishes = wishes};
    nb_status status;
    int failed;

    addresses.count = 0;
    status = read_endpoint(&addresses, endpoint, err);
    if (status != NB_OK)
        return status;
    if (listener->count + addresses.count > NB_LISTENER_SOCKETS_MAX)
        return too_many_sockets(err, endpoint);
    failed = open_all(&opening);
    if (failed < 0)
        return open_failed(err, failed, endpoint, &opening);
    for (size_t i = 0; i < addresses.count; i++) {
        if (opening.sockets[i].fd >= 0)
            listener->sockets[listener->count++] = opening.sockets[i];
    }
    nb__error_clear(err);
    return NB_OK;
}

static nb_status read_options(struct wishes *wishes, const nb_listen_options *options,
                              nb_error *err)
{
    nb_listen_options known;

    if (!nb__options_read(&known, sizeof(known), options))
        return nb__error_invalid(err, operation, "the options are not those of this version");
    /* The system cuts it to its maximum. */
    wishes->backlog = known.backlog > 0 && known.backlog < INT_MAX ? (int)known.backlog : INT_MAX;
    wishes->options = nb__socket_options_of_listen(&known);
    return nb__socket_options_check(&wishes->options, operation, err);
}

nb_status nb_listen(nb_listener **out, const char *endpoint, const nb_listen_options *options,
                    nb_error *err)
{
    struct wishes wishes;
    nb_listener *listener;
    nb_status status;
    int failed;

    if (out != NULL)
        *out = NULL;
    if (out == NULL || endpoint == NULL)
        return nb__error_invalid(err, operation, "expected an endpoint and a place for the result");
    status = read_options(&wishes, options, err);
    if (status != NB_OK)
        return status;
    listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return nb__error_set(err, NB_NO_MEMORY, 0, operation, endpoint);
    failed = nb__sys_wake_open(listener->wake);
    if (failed < 0) {
        free(listener);
        return nb__error_set(err, nb__status_of_errno(-failed), -failed, operation, endpoint);
    }
    status = add_endpoint(listener, endpoint, &wishes, err);
    if (status == NB_OK)
        *out = listener;
    else
        nb_listener_close(listener);
    return status;
}

nb_status nb_listener_add(nb_listener *listener, const char *endpoint,
                          const nb_listen_options *options, nb_error *err)
{
    struct wishes wishes;
    nb_status status;

    if (listener == NULL || endpoint == NULL)
        return nb__error_invalid(err, operation, "expected a listener and an endpoint");
    status = read_options(&wishes, options, err);
    if (status != NB_OK)
        return status;
    if (nb__listener_stopped(listener))
        return nb__error_set(err, NB_CANCELLED, 0, operation, endpoint);
    if (atomic_load(&listener->served))
        return nb__error_invalid(err, operation, "expected a listener that is not being served");
    return add_endpoint(listener, endpoint, &wishes, err);
}

/* What an error of accept(2) means; see the table in the documentation of nb_serve(). */
enum accept_error { INTERRUPTED, NONE, LOST, SHORTAGE, FATAL };

static const struct {
    int number;
    enum accept_error means;
} accept_errors[] = {
    {EINTR, INTERRUPTED}, {EAGAIN, NONE},      {ECONNABORTED, LOST}, {EPROTO, LOST},
    {ENETDOWN, LOST},     {ENOPROTOOPT, LOST}, {EHOSTDOWN, LOST},
#ifdef ENONET
    {ENONET, LOST},
#endif
    {EHOSTUNREACH, LOST}, {EOPNOTSUPP, LOST},  {ENETUNREACH, LOST},  {ETIMEDOUT, LOST},
    {EPERM, LOST},        {EMFILE, SHORTAGE},  {ENFILE, SHORTAGE},   {ENOBUFS, SHORTAGE},
    {ENOMEM, SHORTAGE},
};

/* The meaning of an error, given those before it: EOPNOTSUPP is a lost connection at first, but a
   socket that cannot be accepted from when it does not end. */
static enum accept_error meaning_of(struct nb__accepting *accepting, int number)
{
    accepting->unsupported_in_row = number == EOPNOTSUPP ? accepting->unsupported_in_row + 1 : 0;
    if (accepting->unsupported_in_row > UNSUPPORTED_MOST)
        return FATAL;
    for (size_t i = 0; i < COUNT(accept_errors); i++) {
        if (accept_errors[i].number == number)
            return accept_errors[i].means;
    }
    return FATAL;
}

static void wait_longer(struct nb__accepting *accepting)
{
    int64_t next = accepting->backoff_ms == 0 ? BACKOFF_FIRST_MS : accepting->backoff_ms * 2;

    accepting->backoff_ms = next < BACKOFF_MOST_MS ? next : BACKOFF_MOST_MS;
}

enum nb__tried nb__listener_failed(nb_listener *listener, struct nb__accepting *accepting,
                                   int number)
{
    switch (meaning_of(accepting, number)) {
    case LOST:
        atomic_fetch_add(&listener->counters.lost_accepts, 1);
        if (++accepting->lost_in_row > LOST_MOST)
            wait_longer(accepting);
        else
            accepting->backoff_ms = 0;
        return NB__TRIED_LOST;
    case INTERRUPTED:
        return NB__TRIED_INTERRUPTED;
    case NONE: /* the system says so only when it has a descriptor to spare */
        accepting->backoff_ms = 0;
        accepting->lost_in_row = 0;
        return NB__TRIED_NOTHING;
    case SHORTAGE:
        wait_longer(accepting);
        return NB__TRIED_SHORTAGE;
    default:
        return NB__TRIED_BROKEN;
    }
}

enum nb__tried nb__listener_poll_failed(nb_listener *listener, struct nb__accepting *accepting,
                                        int number)
{
    if (accepting->backoff_ms > 0)
        return NB__TRIED_BROKEN;
    return nb__listener_failed(listener, accepting, number);
}

nb_status nb__listener_status(int number)
{
    nb_status status = nb__status_of_errno(number);

    if (status == NB_NO_DESCRIPTORS || status == NB_NO_MEMORY || status == NB_UNSUPPORTED)
        return status;
    return NB_SYSTEM;
}

/* Tries one socket. */
static enum nb__tried try_socket(nb_listener *listener, struct nb__accepting *accepting,
                                 const struct nb__socket *from, nb_conn *conn, int *system_error)
{
    struct sockaddr_storage raw;
    socklen_t length = sizeof(raw);
    int fd = nb__sys_accept(from->fd, (struct sockaddr *)&raw, &length);
    nb_address peer;

    if (fd < 0) {
        *system_error = -fd;
        return nb__listener_failed(listener, accepting, -fd);
    }
    *accepting = (struct nb__accepting){0, 0, 0};
    peer = nb__address_from((const struct sockaddr *)&raw, length);
    nb__conn_open(conn, fd, nb_address_family(&from->address), &peer);
    return NB__TRIED_ACCEPTED;
}

enum nb__tried nb__listener_try(nb_listener *listener, struct nb__accepting *accepting,
                                const struct pollfd *ready, nb_conn *conn, int *system_error)
{
    /* A busy socket must not starve the others. */
    unsigned turn = atomic_fetch_add_explicit(&listener->turn, 1, memory_order_relaxed);

    for (size_t i = 0; i < listener->count; i++) {
        size_t at = (turn + i) % listener->count;
        enum nb__tried tried = NB__TRIED_NOTHING;

        if (ready == NULL || ready[at].revents != 0)
            tried = try_socket(listener, accepting, &listener->sockets[at], conn, system_error);
        if (tried != NB__TRIED_NOTHING)
            return tried;
    }
    return NB__TRIED_NOTHING;
}

size_t nb__listener_watch(const nb_listener *listener, struct pollfd *fds)
{
    fds[0] = (struct pollfd){listener->wake[0], POLLIN, 0};
    for (size_t i = 0; i < listener->count; i++)
        fds[1 + i] = (struct pollfd){listener->sockets[i].fd, POLLIN, 0};
    return 1 + listener->count;
}

nb_deadline nb__listener_retry(const struct nb__accepting *accepting)
{
    return accepting->backoff_ms == 0 ? nb_forever() : nb_after_ms(accepting->backoff_ms);
}

/* Waits for the stop, for a connection, or for the end of a back-off, and then tries. */
static enum nb__tried wait_and_try(nb_listener *listener, struct nb__accepting *accepting,
                                   nb_conn *conn, nb_deadline by, int *system_error)
{
    struct pollfd fds[NB__LISTENER_WATCHED_MAX];
    bool short_of = accepting->backoff_ms > 0;
    size_t count = nb__listener_watch(listener, fds);
    nb_deadline until = nb__earlier(by, nb__listener_retry(accepting));
    int ready = nb__sys_poll(fds, (nfds_t)(short_of ? 1 : count), until);

    if (ready < 0 && ready != -EINTR) {
        *system_error = -ready;
        return nb__listener_poll_failed(listener, accepting, -ready);
    }
    if (nb__listener_stopped(listener) || (ready <= 0 && !short_of))
        return NB__TRIED_NOTHING;
    return nb__listener_try(listener, accepting, short_of ? NULL : fds + 1, conn, system_error);
}

/* Accepts into a connection that has no socket yet. */
static nb_status accept_into(nb_listener *listener, nb_conn *conn, nb_deadline by,
                             int *system_error)
{
    struct nb__accepting accepting = {0, 0, 0};

    for (;;) {
        enum nb__tried tried;

        if (nb__listener_stopped(listener))
            return NB_CANCELLED;
        if (nb_expired(by) && accepting.backoff_ms == 0) {
            *system_error = 0;
            return NB_TIMEOUT;
        }
        if (nb_expired(by))
            return nb__listener_status(*system_error);
        tried = wait_and_try(listener, &accepting, conn, by, system_error);
        if (tried == NB__TRIED_ACCEPTED)
            return NB_OK;
        if (tried == NB__TRIED_BROKEN)
            return nb__listener_status(*system_error);
    }
}

nb_status nb_accept(nb_listener *listener, nb_conn **out, nb_deadline by, nb_error *err)
{
    char address[NB_ADDRESS_TEXT_MAX];
    int system_error = 0;
    nb_status status = NB_NO_MEMORY;
    nb_conn *conn;

    if (out != NULL)
        *out = NULL;
    if (listener == NULL || out == NULL)
        return nb__error_invalid(err, "accept", "expected a listener and a place for the result");
    conn = nb__conn_new();
    if (conn != NULL)
        status = accept_into(listener, conn, by, &system_error);
    if (status == NB_OK) {
        *out = conn;
        nb__error_clear(err);
        return NB_OK;
    }
    if (conn != NULL)
        nb__conn_free(conn);
    if (status == NB_CANCELLED)
        system_error = 0;
    return nb__error_set(
        err, status, system_error, "accept on",
        nb_address_format(&listener->sockets[0].address, address, sizeof(address)));
}

bool nb__listener_stopped(const nb_listener *listener)
{
    return atomic_load_explicit(&listener->stopped_at_ns, memory_order_acquire) != 0;
}

void nb_listener_stop(nb_listener *listener)
{
    int64_t not_yet = 0;

    if (listener == NULL)
        return;
    atomic_compare_exchange_strong(&listener->stopped_at_ns, &not_yet, nb__now_ns());
    (void)nb__sys_wake_ring(listener->wake);
}

size_t nb_listener_count(const nb_listener *listener)
{
    return listener->count;
}

nb_status nb_listener_address(const nb_listener *listener, size_t index, nb_address *out)
{
    if (listener == NULL || out == NULL || index >= listener->count)
        return NB_INVALID;
    *out = listener->sockets[index].address;
    return NB_OK;
}

nb_fd nb_listener_fd(const nb_listener *listener, size_t index)
{
    return listener != NULL && index < listener->count ? listener->sockets[index].fd : -1;
}

void nb__listener_shut(nb_listener *listener)
{
    for (size_t i = 0; i < listener->count; i++) {
        if (listener->sockets[i].fd >= 0)
            (void)nb__sys_close(listener->sockets[i].fd);
        listener->sockets[i].fd = -1;
    }
}

void nb_listener_close(nb_listener *listener)
{
    if (listener == NULL)
        return;
    nb__listener_shut(listener);
    nb__sys_wake_close(listener->wake);
    free(listener);
}
