/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One attempt to connect to one address. */
#define _POSIX_C_SOURCE 200809L

#include "attempt.h"

#include "address_internal.h"
#include "error_internal.h"
#include "sys.h"

#include <errno.h>
#include <stdbool.h>

void nb__attempt_fail(struct nb__attempt *attempt, nb_status status, int system_error)
{
    if (attempt->fd >= 0)
        (void)nb__sys_close(attempt->fd);
    attempt->fd = -1;
    attempt->state = NB__ATTEMPT_FAILED;
    attempt->status = status;
    attempt->system_error = system_error;
}

/* ENOPROTOOPT that is not about an option is what the kernel makes of ICMP's "protocol unreachable". */
static void fail_with_errno(struct nb__attempt *attempt, int number)
{
    bool unreachable = number == ENOPROTOOPT && attempt->refused == NULL;

    nb__attempt_fail(attempt, unreachable ? NB_UNREACHABLE : nb__status_of_errno(number), number);
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

/* The handshake is over. */
static void arrive(struct nb__attempt *attempt)
{
    int failed;

    if (is_self(attempt->fd)) {
        (void)nb__sys_disconnect(attempt->fd);
        nb__attempt_fail(attempt, NB_REFUSED, 0);
        return;
    }
    failed = nb__sys_set_blocking(attempt->fd, true);
    if (failed < 0)
        nb__attempt_fail(attempt, NB_SYSTEM, -failed);
    else
        attempt->state = NB__ATTEMPT_WON;
}

/* 0 when the handshake is over, -EAGAIN when it is not (poll may say so for nothing), -errno when it
   failed. A socket that is closed and has no error to tell was reset right away. */
static int handshake_state(int fd, short events)
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
    return (events & (POLLERR | POLLHUP)) != 0 ? -ECONNRESET : -EAGAIN;
}

void nb__attempt_look(struct nb__attempt *attempt, short events)
{
    int state = handshake_state(attempt->fd, events);

    if (state == 0)
        arrive(attempt);
    else if (state != -EAGAIN)
        fail_with_errno(attempt, -state);
}

/* Sets the options and asks for the connection: 0, or -errno. */
static int ask(struct nb__attempt *attempt, struct nb__socket_options options)
{
    socklen_t length;
    const struct sockaddr *to = nb__address_sockaddr(attempt->to, &length);
    int failed = nb__socket_options_set(attempt->fd, nb_address_family(attempt->to), &options);

    attempt->refused = options.refused;
    return failed < 0 ? failed : nb__sys_connect(attempt->fd, to, length);
}

void nb__attempt_start(struct nb__attempt *attempt, const struct nb__socket_options *options)
{
    int failed;

    attempt->fd = nb__sys_socket(nb__address_domain(attempt->to));
    if (attempt->fd < 0) {
        fail_with_errno(attempt, -attempt->fd);
        return;
    }
    attempt->state = NB__ATTEMPT_GOES;
    failed = ask(attempt, *options);
    if (failed == 0)
        arrive(attempt);
    else if (failed != -EINPROGRESS && failed != -EINTR)
        fail_with_errno(attempt, -failed);
}

void nb__attempt_tell(const struct nb__attempt *attempt, struct nb__text *text)
{
    char address[NB_ADDRESS_TEXT_MAX];

    nb__text_add(text, "%s: ", nb_address_format(attempt->to, address, sizeof(address)));
    if (attempt->refused != NULL)
        nb__text_add(text, "%s: ", attempt->refused);
    if (attempt->state == NB__ATTEMPT_FAILED)
        nb__text_add_reason(text, attempt->status, attempt->system_error);
    else
        nb__text_add(text, "not tried");
}
