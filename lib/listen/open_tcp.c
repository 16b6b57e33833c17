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

/* How often both families are tried for a port that is free in both. */
#define PORT_ROUNDS 16

/* One try of all addresses. */
struct round {
    struct nb__open_request *request;
    const struct nb__addresses *addresses;
    struct nb__listen_socket sockets[2]; /* fd -1: this family is left out */
    nb_address failed_at;
};

static int open_bound(struct nb__open_request *request, struct nb__listen_socket *out,
                      const nb_address *address)
{
    int fd = nb__open_request_socket(request, address);
    int rc;

    out->address = *address;
    if (fd < 0)
        return fd;
    rc = nb__socket_bind(fd, address);
    if (rc == 0)
        rc = nb__socket_local(fd, &out->address);
    if (rc < 0) {
        (void)nb__sys_close(fd);
        return rc;
    }
    out->fd = fd;
    return 0;
}

static void give_up(struct round *round)
{
    for (size_t i = 0; i < round->addresses->count; i++) {
        if (round->sockets[i].fd >= 0)
            (void)nb__sys_close(round->sockets[i].fd);
        round->sockets[i].fd = -1;
    }
}

/* How much a failure says, when it says only that this machine cannot use this family, or does not let us:
   then the other one may serve. 0: it says more than that. */
static int inability(const struct round *round, int rc)
{
    if (round->request->params->options.refused != NULL) /* an option never fails quietly */
        return 0;
    switch (rc) {
    case -EAFNOSUPPORT:
    case -EPROTONOSUPPORT:
    case -EOPNOTSUPP: /* policies give errnos of their own choice */
    case -ENOSYS:
        return 1;
    case -EADDRNOTAVAIL:
        return 2;
    case -EPERM:
    case -EACCES:
        return 3;
    default:
        return 0;
    }
}

/* Binds all addresses, the one at `first` first: it chooses the port for the others. */
static int bind_all(struct round *round, size_t first)
{
    size_t count = round->addresses->count;
    uint16_t port = nb_address_port(&round->addresses->list[0]);
    size_t bound = 0;
    int unable = 0;

    for (size_t i = 0; i < count; i++) {
        size_t at = (first + i) % count;
        nb_address address = nb__address_with_port(&round->addresses->list[at], port);
        int rc = open_bound(round->request, &round->sockets[at], &address);

        if (rc == 0) {
            port = nb_address_port(&round->sockets[at].address);
            bound++;
            continue;
        }
        if (inability(round, rc) == 0) {
            round->failed_at = address;
            return rc;
        }
        if (inability(round, rc) > inability(round, unable)) {
            round->failed_at = address;
            unable = rc;
        }
    }
    return bound > 0 ? 0 : unable;
}

/* With SO_REUSEADDR two sockets can be bound to one port while neither listens, so that a busy port
   may show only here. */
static int listen_all(struct round *round)
{
    for (size_t i = 0; i < round->addresses->count; i++) {
        int rc = 0;

        if (round->sockets[i].fd >= 0)
            rc = nb__sys_listen(round->sockets[i].fd, round->request->params->backlog);
        if (rc < 0) {
            round->failed_at = round->sockets[i].address;
            return rc;
        }
    }
    return 0;
}

static int try_round(struct round *round, size_t first)
{
    int rc;

    round->sockets[0].fd = round->sockets[1].fd = -1;
    rc = bind_all(round, first);
    if (rc == 0)
        rc = listen_all(round);
    if (rc < 0)
        give_up(round);
    return rc;
}

/* A port that is free in one family may be busy in the other: then they take turns in choosing. */
static int try_rounds(struct round *round)
{
    bool choose = round->addresses->count > 1 && nb_address_port(&round->addresses->list[0]) == 0;
    int rc = try_round(round, 0);

    for (size_t i = 1; choose && rc == -EADDRINUSE && i < PORT_ROUNDS; i++)
        rc = try_round(round, i % 2);
    return rc;
}

static nb_status failed_with(const struct round *round, int rc)
{
    struct nb__text text;
    nb_status status = nb__open_request_failed(round->request, rc, &text);

    if (round->addresses->count > 1) {
        char address[NB_ADDRESS_TEXT_MAX];

        nb__text_add(&text, " at %s",
                     nb_address_format(&round->failed_at, address, sizeof(address)));
    }
    return status;
}

nb_status nb__open_tcp(struct nb__open_request *request, const struct nb__addresses *addresses)
{
    struct round round = {.request = request, .addresses = addresses};
    nb_status status = nb__open_request_has_room(request, addresses->count);
    int rc;

    if (status != NB_OK)
        return status;
    rc = try_rounds(&round);
    if (rc < 0)
        return failed_with(&round, rc);
    for (size_t i = 0; i < addresses->count; i++) {
        if (round.sockets[i].fd >= 0)
            request->sockets[request->count++] = round.sockets[i];
    }
    return NB_OK;
}
