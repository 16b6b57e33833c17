/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Listening on sockets that others have opened, and may share: fd: and systemd:. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/error_internal.h"
#include "listen/listen_fds.h"
#include "listen/open.h"
#include "net/inherited.h"
#include "net/owned.h"
#include "sys/sys.h"

static nb_status refuse(const struct nb__opening *opening, nb_status status, const char *why)
{
    struct nb__text text = nb__opening_story(opening, status, 0);

    nb__text_add(&text, "%s: %s", nb_status_text(status), why);
    return status;
}

static nb_status unfit(const struct nb__opening *opening, int fd, int failed, const char *why)
{
    struct nb__text text = nb__opening_story(opening, NB_BAD_ENDPOINT, -failed);

    nb__text_add(&text, "%s: descriptor %d is %s, expected a stream socket that listens",
                 nb_status_text(NB_BAD_ENDPOINT), fd, why);
    return NB_BAD_ENDPOINT;
}

static nb_status look_at(const struct nb__opening *opening, struct nb__socket *out, int fd)
{
    struct nb__foreign found;
    int failed;
    const char *why = nb__foreign_look(fd, &found, &failed);

    if (why == NULL && !found.listens)
        why = "not listening";
    if (why != NULL)
        return unfit(opening, fd, failed < 0 ? failed : 0, why);
    if (!nb__owned_claim(fd))
        return refuse(opening, NB_ADDRESS_IN_USE,
                      "a listener of this process has the descriptor already");
    *out = (struct nb__socket){.fd = fd, .shared = true, .address = found.address};
    return NB_OK;
}

/* Accepted connections inherit the options; those that wait already have what was set before. */
static int set_up(struct nb__opening *opening, struct nb__socket *socket)
{
    struct nb__socket_options *options = &opening->wishes->options;
    int failed = nb__socket_options_set(socket->fd, nb_address_family(&socket->address), options);

    if (failed == 0)
        failed = nb__foreign_settle(socket->fd, &options->refused);
    socket->settle = failed > 0;
    if (failed >= 0) {
        options->refused = "FD_CLOEXEC";
        failed = nb__sys_set_cloexec(socket->fd);
    }
    if (failed == 0) {
        options->refused = "O_NONBLOCK";
        failed = nb__sys_set_blocking(socket->fd, false);
    }
    if (failed == 0)
        options->refused = NULL;
    return failed;
}

/* Makes all sockets ready, or puts all flags back. */
static nb_status make_ready(struct nb__opening *opening, size_t count)
{
    struct nb__socket *sockets = opening->sockets;
    struct nb__flags before[NB_LISTENER_SOCKETS_MAX];
    struct nb__text text;
    int failed = 0;

    for (size_t i = 0; i < count && failed == 0; i++)
        failed = nb__sys_get_flags(sockets[i].fd, &before[i]);
    if (failed < 0)
        return nb__opening_failed(opening, failed, &text);
    for (size_t i = 0; i < count && failed == 0; i++)
        failed = set_up(opening, &sockets[i]);
    for (size_t i = 0; i < count && failed < 0; i++)
        (void)nb__sys_set_flags(sockets[i].fd, &before[i]);
    return failed < 0 ? nb__opening_failed(opening, failed, &text) : NB_OK;
}

static nb_status open_inherited(struct nb__opening *opening, int first, size_t count)
{
    nb_status status = nb__opening_has_room(opening, count);
    size_t claimed = 0;

    if (status == NB_OK && opening->wishes->options.values[NB__REUSE_PORT] != 0)
        status = nb__opening_refuse(opening, "reuse_port");
    while (status == NB_OK && claimed < count) {
        status = look_at(opening, &opening->sockets[claimed], first + (int)claimed);
        claimed += status == NB_OK;
    }
    if (status == NB_OK)
        status = make_ready(opening, count);
    if (status == NB_OK)
        opening->count = count;
    for (size_t i = 0; i < claimed && status != NB_OK; i++)
        nb__owned_release(opening->sockets[i].fd);
    return status;
}

nb_status nb__open_fd(struct nb__opening *opening, int fd)
{
    return open_inherited(opening, fd, 1);
}

nb_status nb__open_passed(struct nb__opening *opening)
{
    struct nb__listen_fds passed = nb__listen_fds_read();

    if (passed.why != NULL)
        return refuse(opening, passed.garbled ? NB_BAD_ENDPOINT : NB_ADDRESS_UNAVAILABLE,
                      passed.why);
    for (uint32_t i = 0; i < passed.count && i < NB_LISTENER_SOCKETS_MAX; i++) {
        if (nb__owned_is_spent(NB__LISTEN_FDS_START + (int)i))
            return refuse(opening, NB_INVALID,
                          "sockets that were passed have been closed with their listener");
    }
    return open_inherited(opening, NB__LISTEN_FDS_START, passed.count);
}
