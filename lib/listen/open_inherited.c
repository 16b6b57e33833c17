/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Listening on inherited sockets, which others may share: fd: and systemd:. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "listen/listen_fds.h"
#include "listen/open.h"
#include "net/inherited.h"
#include "net/owned.h"
#include "sys/sys.h"

static nb_status refuse(const struct nb__open_request *request, nb_status status, const char *why)
{
    return nb__open_request_failed(request, (struct nb__result){.status = status, .why = why});
}

static nb_status unfit(const struct nb__open_request *request, int fd, struct nb__result result)
{
    struct nb__text text;

    result.status = NB_BAD_ENDPOINT;
    text = nb__open_request_message(request, &result);
    nb__text_add(&text, "%s: descriptor %d is %s, expected a stream socket that listens",
                 nb_status_text(NB_BAD_ENDPOINT), fd, result.what);
    return NB_BAD_ENDPOINT;
}

static nb_status look_at(const struct nb__open_request *request, struct nb__listen_socket *out,
                         int fd)
{
    struct nb__inherited found;
    struct nb__result result = nb__inherited_look(fd, &found);

    if (result.status == NB_OK && !found.listens)
        result = (struct nb__result){.status = NB_BAD_ENDPOINT, .what = "not listening"};
    if (result.status != NB_OK)
        return unfit(request, fd, result);
    if (!nb__owned_claim(fd))
        return refuse(request, NB_ADDRESS_IN_USE,
                      "a listener of this process has the descriptor already");
    *out = (struct nb__listen_socket){.fd = fd, .shared = true, .address = found.address};
    return NB_OK;
}

/* Accepted connections inherit the options; those in the accept queue have the previous ones. */
static struct nb__result set_up(const struct nb__listen_params *params,
                                struct nb__listen_socket *socket)
{
    int fd = socket->fd;
    struct nb__result result =
        nb__socket_options_set(fd, nb_address_family(&socket->address), &params->options);

    if (result.status == NB_OK)
        result = nb__inherited_settle(fd, &socket->settle);
    if (result.status == NB_OK)
        result = nb__result_about(nb__sys_set_cloexec(fd), "FD_CLOEXEC");
    if (result.status == NB_OK)
        result = nb__result_about(nb__sys_set_blocking(fd, false), "O_NONBLOCK");
    return result;
}

/* Prepares all sockets, or restores all their flags. */
static nb_status make_ready(const struct nb__open_request *request, size_t count)
{
    struct nb__listen_socket *sockets = request->sockets;
    struct nb__flags before[NB_LISTENER_SOCKETS_MAX];
    struct nb__result result = nb__ok();

    for (size_t i = 0; i < count && result.status == NB_OK; i++)
        result = nb__result_of(nb__sys_get_flags(sockets[i].fd, &before[i]));
    if (result.status != NB_OK)
        return nb__open_request_failed(request, result);
    for (size_t i = 0; i < count && result.status == NB_OK; i++)
        result = set_up(request->params, &sockets[i]);
    for (size_t i = 0; i < count && result.status != NB_OK; i++)
        (void)nb__sys_set_flags(sockets[i].fd, &before[i]);
    return result.status == NB_OK ? NB_OK : nb__open_request_failed(request, result);
}

static nb_status open_inherited(struct nb__open_request *request, int first, size_t count)
{
    nb_status status = nb__open_request_has_room(request, count);
    size_t claimed = 0;

    if (status == NB_OK && request->params->options.values[NB__REUSE_PORT] != 0)
        status = nb__open_request_refuse(request, "reuse_port");
    while (status == NB_OK && claimed < count) {
        status = look_at(request, &request->sockets[claimed], first + (int)claimed);
        claimed += status == NB_OK;
    }
    if (status == NB_OK)
        status = make_ready(request, count);
    if (status == NB_OK)
        request->count = count;
    for (size_t i = 0; i < claimed && status != NB_OK; i++)
        nb__owned_release(request->sockets[i].fd);
    return status;
}

nb_status nb__open_fd(struct nb__open_request *request, int fd)
{
    return open_inherited(request, fd, 1);
}

nb_status nb__open_inherited(struct nb__open_request *request)
{
    struct nb__listen_fds passed = nb__listen_fds_read();

    if (passed.why != NULL)
        return refuse(request, passed.garbled ? NB_BAD_ENDPOINT : NB_ADDRESS_UNAVAILABLE,
                      passed.why);
    for (uint32_t i = 0; i < passed.count && i < NB_LISTENER_SOCKETS_MAX; i++) {
        if (nb__owned_is_spent(NB__LISTEN_FDS_START + (int)i))
            return refuse(request, NB_INVALID,
                          "sockets that were passed have been closed with their listener");
    }
    return open_inherited(request, NB__LISTEN_FDS_START, passed.count);
}
