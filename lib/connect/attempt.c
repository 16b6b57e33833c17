/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One attempt to connect to one address. */
#undef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* IP_BIND_ADDRESS_NO_PORT */

#include "connect/attempt.h"

#include "net/address_internal.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>

/* The longest pause before the next try while a Unix socket's accept queue is full. */
#define PAUSE_MAX_MS 64

void nb__attempt_fail(struct nb__attempt *attempt, struct nb__result result)
{
    if (attempt->fd >= 0)
        (void)nb__sys_close(attempt->fd);
    attempt->fd = -1;
    attempt->state = NB__ATTEMPT_FAILED;
    attempt->result = result;
}

/* From connect(2), ENOPROTOOPT stands for ICMP's "protocol unreachable", and EPROTOTYPE for a Unix
   socket of another type. */
static void fail_with(struct nb__attempt *attempt, int rc)
{
    struct nb__result result = nb__result_of(rc);

    if (rc == -ENOPROTOOPT)
        result.status = NB_UNREACHABLE;
    if (rc == -EPROTOTYPE && attempt->asked)
        result.what = "no stream socket is there";
    nb__attempt_fail(attempt, result);
}

/* TCP can connect a socket to itself if the port is unused and ephemeral. */
static bool is_self(int fd)
{
    nb_address local;
    nb_address peer;

    return nb__socket_local(fd, &local) == 0 && nb__socket_peer(fd, &peer) == 0 &&
           nb_address_equal(&local, &peer);
}

/* The handshake has succeeded. */
static void complete(struct nb__attempt *attempt)
{
    int rc;

    if (is_self(attempt->fd)) {
        (void)nb__sys_disconnect(attempt->fd);
        nb__attempt_fail(attempt, nb__failure(NB_REFUSED, 0));
        return;
    }
    rc = nb__sys_set_blocking(attempt->fd, true);
    if (rc < 0)
        nb__attempt_fail(attempt, nb__failure(NB_SYSTEM, -rc));
    else
        attempt->state = NB__ATTEMPT_WON;
}

/* 0 when the handshake has succeeded, -EAGAIN when it goes on (poll(2) may report events without reason),
   -errno when it failed. A socket that is closed without an error was reset at once. */
static int handshake_state(int fd, short events)
{
    socklen_t length = sizeof(int);
    nb_address peer;
    int error = 0;
    int rc = nb__sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);

    if (rc < 0 || error != 0)
        return rc < 0 ? rc : -error;
    rc = nb__socket_peer(fd, &peer);
    if (rc != -ENOTCONN)
        return rc;
    return (events & (POLLERR | POLLHUP)) != 0 ? -ECONNRESET : -EAGAIN;
}

void nb__attempt_look(struct nb__attempt *attempt, short events)
{
    int state = handshake_state(attempt->fd, events);

    if (state == 0)
        complete(attempt);
    else if (state != -EAGAIN)
        fail_with(attempt, state);
}

/* Calls connect(2). If the accept queue of a Unix socket is full, it fails at once, and there is no
   way to wait for a place. */
static void ask(struct nb__attempt *attempt)
{
    int rc = nb__socket_connect(attempt->fd, attempt->to);

    attempt->asked = true;
    attempt->again = nb_forever();
    if (rc == 0) {
        complete(attempt);
    } else if (rc == -EAGAIN && nb_address_family(attempt->to) == NB_FAMILY_UNIX) {
        attempt->again = nb_after_ms(attempt->pause_ms);
        if (attempt->pause_ms < PAUSE_MAX_MS)
            attempt->pause_ms *= 2;
    } else if (rc != -EINPROGRESS && rc != -EINTR) {
        fail_with(attempt, rc);
    }
}

void nb__attempt_ask_again(struct nb__attempt *attempt)
{
    if (nb_expired(attempt->again))
        ask(attempt);
}

/* Leaves the choice of the port to connect(2), which has more ports to choose from than bind(2). */
#ifdef IP_BIND_ADDRESS_NO_PORT
#define BIND_WITHOUT_PORT IP_BIND_ADDRESS_NO_PORT
#else
#define BIND_WITHOUT_PORT (-1)
#endif

/* Binds the socket to the local address, if there is one: 0, or -errno. */
static int bind_to(int fd, const nb_address *local)
{
    bool any_port = nb_address_port(local) == 0;

    if (nb_address_family(local) == NB_FAMILY_NONE)
        return 0;
    /* With a given port, the other attempts, and the next connect, have to bind to it, too. */
    (void)nb__sys_setsockopt(fd, any_port ? IPPROTO_IP : SOL_SOCKET,
                             any_port ? BIND_WITHOUT_PORT : SO_REUSEADDR, &(int){1}, sizeof(int));
    return nb__socket_bind(fd, local);
}

static struct nb__result set_up(const struct nb__attempt *attempt,
                                const struct nb__connect_params *params)
{
    nb_family family = nb_address_family(attempt->to);
    struct nb__result result = nb__socket_options_set(attempt->fd, family, &params->options);

    if (family == NB_FAMILY_UNIX)
        (void)nb__sys_pass_rights(attempt->fd, false);
    if (result.status != NB_OK)
        return result;
    return nb__result_about(bind_to(attempt->fd, &params->local), "local");
}

void nb__attempt_start(struct nb__attempt *attempt, const struct nb__connect_params *params)
{
    struct nb__result result;

    attempt->pause_ms = 1;
    attempt->again = nb_forever();
    if (nb__address_lacks_zone(attempt->to)) { /* a resolver may return such addresses */
        result = nb__failure(NB_ADDRESS_UNAVAILABLE, 0);
        result.what = "a link-local address without its zone";
        nb__attempt_fail(attempt, result);
        return;
    }
    attempt->fd = nb__socket_open(attempt->to);
    if (attempt->fd < 0) {
        fail_with(attempt, attempt->fd);
        return;
    }
    attempt->state = NB__ATTEMPT_GOES;
    result = set_up(attempt, params);
    if (result.status != NB_OK)
        nb__attempt_fail(attempt, result);
    else
        ask(attempt);
}

void nb__attempt_describe(const struct nb__attempt *attempt, struct nb__text *text)
{
    char address[NB_ADDRESS_TEXT_MAX];

    nb__text_add(text, "%s: ", nb_address_format(attempt->to, address, sizeof(address)));
    if (attempt->state == NB__ATTEMPT_FAILED)
        nb__text_add_result(text, &attempt->result);
    else
        nb__text_add(text, "not tried");
}
