/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Listening on the addresses of an endpoint: both families on one port. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "listen/open.h"
#include "net/address_internal.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <errno.h>

/* How many tries to find a port that is free in both families. */
#define PORT_ROUNDS 16

/* One try of all addresses. */
struct round {
    const struct nb__listen_params *params;
    const nb_address *addresses;
    size_t count;
    struct nb__listen_socket sockets[2]; /* fd -1: this family is left out */
    nb_address failed_at;
};

static struct nb__result open_bound(const struct nb__listen_params *params,
                                    struct nb__listen_socket *out, const nb_address *address)
{
    struct nb__result result = nb__listen_socket_open(params, address, &out->fd);
    int rc;

    out->address = *address;
    if (result.status != NB_OK)
        return result;
    rc = nb__socket_bind(out->fd, address);
    if (rc == 0)
        rc = nb__socket_local(out->fd, &out->address);
    if (rc < 0) {
        (void)nb__sys_close(out->fd);
        out->fd = -1;
    }
    return nb__result_of(rc);
}

static void give_up(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        if (round->sockets[i].fd >= 0)
            (void)nb__sys_close(round->sockets[i].fd);
        round->sockets[i].fd = -1;
    }
}

/* A failure that says only that this machine cannot use this family, or does not let us: then the
   other family will do. More informative ones rank higher; 0: it is another failure. */
static int inability(const struct nb__result *result)
{
    if (result->what != NULL) /* an option that fails is always reported */
        return 0;
    switch (result->system_error) {
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case EOPNOTSUPP: /* system call filters choose their errnos */
    case ENOSYS:
        return 1;
    case EADDRNOTAVAIL:
        return 2;
    case EPERM:
    case EACCES:
        return 3;
    default:
        return 0;
    }
}

/* Binds all addresses, beginning with index `first`: its port is used for the others, too. */
static struct nb__result bind_all(struct round *round, size_t first)
{
    uint16_t port = nb_address_port(&round->addresses[0]);
    size_t bound = 0;
    struct nb__result unable = nb__ok();

    for (size_t i = 0; i < round->count; i++) {
        size_t at = (first + i) % round->count;
        nb_address address = nb__address_with_port(&round->addresses[at], port);
        struct nb__result result = open_bound(round->params, &round->sockets[at], &address);

        if (result.status == NB_OK) {
            port = nb_address_port(&round->sockets[at].address);
            bound++;
            continue;
        }
        if (inability(&result) == 0) {
            round->failed_at = address;
            return result;
        }
        if (inability(&result) > inability(&unable)) {
            round->failed_at = address;
            unable = result;
        }
    }
    return bound > 0 ? nb__ok() : unable;
}

/* With SO_REUSEADDR two sockets can be bound to one port while neither listens, so a busy port may
   be reported only here. */
static struct nb__result listen_all(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        int rc = 0;

        if (round->sockets[i].fd >= 0)
            rc = nb__sys_listen(round->sockets[i].fd, round->params->backlog);
        if (rc < 0) {
            round->failed_at = round->sockets[i].address;
            return nb__result_of(rc);
        }
    }
    return nb__ok();
}

static struct nb__result try_round(struct round *round, size_t first)
{
    struct nb__result result;

    round->sockets[0].fd = round->sockets[1].fd = -1;
    result = bind_all(round, first);
    if (result.status == NB_OK)
        result = listen_all(round);
    if (result.status != NB_OK)
        give_up(round);
    return result;
}

/* A port that is free in one family may be busy in the other: then they take turns choosing it. */
static struct nb__result try_rounds(struct round *round)
{
    bool choose = round->count > 1 && nb_address_port(&round->addresses[0]) == 0;
    struct nb__result result = try_round(round, 0);

    for (size_t i = 1; choose && result.system_error == EADDRINUSE && i < PORT_ROUNDS; i++)
        result = try_round(round, i % 2);
    return result;
}

static nb_status failed_with(const struct nb__open_request *request, const struct round *round,
                             const struct nb__result *result)
{
    struct nb__text text = nb__open_request_message(request, result);

    nb__text_add_result(&text, result);
    if (round->count > 1) {
        char address[NB_ADDRESS_TEXT_MAX];

        nb__text_add(&text, " at %s",
                     nb_address_format(&round->failed_at, address, sizeof(address)));
    }
    return result->status;
}

nb_status nb__open_tcp(struct nb__open_request *request, const nb_address *addresses, size_t count)
{
    struct round round = {.params = request->params, .addresses = addresses, .count = count};
    nb_status status = nb__open_request_has_room(request, count);
    struct nb__result result;

    if (status != NB_OK)
        return status;
    result = try_rounds(&round);
    if (result.status != NB_OK)
        return failed_with(request, &round, &result);
    for (size_t i = 0; i < count; i++) {
        if (round.sockets[i].fd >= 0)
            request->sockets[request->count++] = round.sockets[i];
    }
    return NB_OK;
}
