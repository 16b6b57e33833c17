/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Connecting: all addresses of an endpoint, one after the other, under one deadline. */
#define _POSIX_C_SOURCE 200809L

#include "address_internal.h"
#include "conn_internal.h"
#include "deadline_internal.h"
#include "error_internal.h"
#include "options.h"
#include "resolve.h"
#include "socket_options.h"
#include "sys.h"

#include <errno.h>

static const char operation[] = "connect to";

/* 0 when the handshake is over, -EAGAIN when it is not (poll may say so for nothing), -errno when it
   failed. A socket that is closed and has no error to tell was reset right away. */
static int handshake_state(int fd, short revents)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(int);
    int error = 0;
    int failed = nb__sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);

    if (failed < 0 || error != 0)
        return failed < 0 ? failed : -error;
    length = sizeof(peer);
    failed = nb__sys_getpeername(fd, (struct sockaddr *)&peer, &length);
    if (failed != -ENOTCONN)
        return failed;
    return (revents & (POLLERR | POLLHUP)) != 0 ? -ECONNRESET : -EAGAIN;
}

static nb_status await_handshake(int fd, nb_deadline by, int *system_error)
{
    for (;;) {
        struct pollfd entry = {fd, POLLOUT, 0};
        int state = nb__sys_poll(&entry, 1, by);

        if (state == 0)
            return NB_TIMEOUT;
        if (state > 0)
            state = handshake_state(fd, entry.revents);
        if (state == 0)
            return NB_OK;
        if (state != -EINTR && state != -EAGAIN) {
            *system_error = -state;
            return nb__status_of_errno(-state);
        }
    }
}

/* TCP can connect a socket to itself, when a dead port lies in the range that local ports come from. */
static bool is_self(int fd)
{
    struct sockaddr_storage ends[2];
    socklen_t lengths[2] = {sizeof(ends[0]), sizeof(ends[1])};
    nb_address local;
    nb_address peer;

    if (nb__sys_getsockname(fd, (struct sockaddr *)&ends[0], &lengths[0]) < 0 ||
        nb__sys_getpeername(fd, (struct sockaddr *)&ends[1], &lengths[1]) < 0)
        return false;
    local = nb__address_from((const struct sockaddr *)&ends[0], lengths[0]);
    peer = nb__address_from((const struct sockaddr *)&ends[1], lengths[1]);
    return nb_address_equal(&local, &peer);
}

static nb_status connect_socket(int fd, const nb_address *to, struct nb__socket_options *options,
                                nb_deadline by, int *system_error)
{
    socklen_t length;
    const struct sockaddr *address = nb__address_sockaddr(to, &length);
    nb_status status = NB_OK;
    int failed = nb__socket_options_set(fd, nb_address_family(to), options);

    if (failed == 0)
        failed = nb__sys_connect(fd, address, length);

    if (failed == -EINPROGRESS || failed == -EINTR) {
        status = await_handshake(fd, by, system_error);
    } else if (failed < 0) {
        *system_error = -failed;
        status = nb__status_of_errno(-failed);
    }
    if (status != NB_OK)
        return status;
    if (is_self(fd)) {
        (void)nb__sys_disconnect(fd);
        return NB_REFUSED;
    }
    failed = nb__sys_set_blocking(fd, true);
    *system_error = -failed;
    return failed < 0 ? NB_SYSTEM : NB_OK;
}

static nb_status try_address(nb_conn *conn, const nb_address *to,
                             struct nb__socket_options *options, nb_deadline by, int *system_error)
{
    int fd = nb__sys_socket(nb__address_domain(to));
    nb_status status;

    *system_error = 0;
    if (fd < 0) {
        *system_error = -fd;
        return nb__status_of_errno(-fd);
    }
    status = connect_socket(fd, to, options, by, system_error);
    if (status == NB_OK)
        nb__conn_open(conn, fd, nb_address_family(to), to);
    else
        (void)nb__sys_close(fd);
    return status;
}

/* An equal share of the time that is left, for the first of so many attempts. */
static nb_deadline share(nb_deadline by, size_t attempts)
{
    int64_t now;

    if (nb__is_forever(by) || attempts == 1)
        return by;
    now = nb__now_ns();
    return (nb_deadline){now + nb__remaining_ns(by, now) / (int64_t)attempts};
}

/* Tries the addresses in turn, and tells in `tried` how each attempt failed. */
static nb_status try_all(nb_conn *conn, const struct nb__addresses *addresses,
                         struct nb__socket_options *options, nb_deadline by, int *system_error,
                         struct nb__text *tried)
{
    nb_status status = NB_TIMEOUT;

    for (size_t i = 0; i < addresses->count && !nb_expired(by); i++) {
        const nb_address *to = &addresses->list[i];
        char text[NB_ADDRESS_TEXT_MAX];

        status = try_address(conn, to, options, share(by, addresses->count - i), system_error);
        if (status == NB_OK)
            return NB_OK;
        nb__text_add(tried, "%s%s: ", i > 0 ? ", " : "", nb_address_format(to, text, sizeof(text)));
        nb__socket_options_tell(tried, options);
        nb__text_add_reason(tried, status, *system_error);
    }
    return status;
}

/* "connect to HOST:PORT: reason", and for more than a literal the story of each attempt. */
static nb_status failed_with(nb_error *err, nb_status status, int system_error,
                             const char *endpoint, const struct nb__socket_options *options,
                             const char *tried)
{
    struct nb__text text = nb__error_about(err, status, system_error, operation, endpoint);

    nb__socket_options_tell(&text, options);
    nb__text_add_reason(&text, status, tried[0] == '\0' ? system_error : 0);
    if (tried[0] != '\0')
        nb__text_add(&text, " (tried %s)", tried);
    return status;
}

static nb_status connect_endpoint(nb_conn *conn, const struct nb__endpoint *endpoint,
                                  const char *text, struct nb__socket_options *options,
                                  nb_deadline by, nb_error *err)
{
    struct nb__addresses addresses;
    char story[NB_ERROR_MESSAGE_MAX];
    struct nb__text tried = nb__text_in(story, sizeof(story));
    int system_error = 0;
    nb_status status = NB_TIMEOUT;

    if (!nb_expired(by))
        status = nb__resolve(&addresses, endpoint, &system_error);
    if (status != NB_OK && nb_expired(by)) {
        status = NB_TIMEOUT; /* whatever became of the lookup, it took too long */
        system_error = 0;
    }
    if (status == NB_OK)
        status = try_all(conn, &addresses, options, by, &system_error, &tried);
    if (status == NB_OK)
        return NB_OK;
    if (endpoint->kind == NB__ENDPOINT_LITERAL)
        story[0] = '\0';
    return failed_with(err, status, system_error, text, options, story);
}

static nb_status read_endpoint(struct nb__endpoint *endpoint, const char *text, nb_error *err)
{
    nb_status status = nb__endpoint_parse(endpoint, operation, text, err);

    if (status != NB_OK)
        return status;
    if (endpoint->kind == NB__ENDPOINT_ANY)
        return nb__endpoint_refuse(err, operation, text, "all interfaces are for listening");
    if (endpoint->kind == NB__ENDPOINT_FD || endpoint->kind == NB__ENDPOINT_SYSTEMD)
        return nb__endpoint_refuse(err, operation, text, "inherited sockets are for listening");
    if (endpoint->port == 0 && endpoint->kind != NB__ENDPOINT_UNIX)
        return nb__endpoint_refuse(err, operation, text, "port 0 is for listening");
    return NB_OK;
}

nb_status nb_connect(nb_conn **out, const char *endpoint, const nb_connect_options *options,
                     nb_deadline by, nb_error *err)
{
    nb_connect_options known;
    struct nb__socket_options socket_options;
    struct nb__endpoint where;
    nb_status status;
    nb_conn *conn;

    if (out != NULL)
        *out = NULL;
    if (out == NULL || endpoint == NULL)
        return nb__error_invalid(err, operation, "expected an endpoint and a place for the result");
    if (!nb__options_read(&known, sizeof(known), options))
        return nb__error_invalid(err, operation, "the options are not those of this version");
    socket_options = nb__socket_options_of_connect(&known);
    status = nb__socket_options_check(&socket_options, operation, err);
    if (status == NB_OK)
        status = read_endpoint(&where, endpoint, err);
    if (status != NB_OK)
        return status;
    conn = nb__conn_new();
    if (conn == NULL)
        return nb__error_set(err, NB_NO_MEMORY, 0, operation, endpoint);
    status = connect_endpoint(conn, &where, endpoint, &socket_options, by, err);
    if (status != NB_OK) {
        nb__conn_free(conn);
        return status;
    }
    *out = conn;
    nb__error_clear(err);
    return NB_OK;
}
