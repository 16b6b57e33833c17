/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Listening on a Unix socket: at a path, with the given mode, or under an abstract name. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "listen/open.h"
#include "net/address_internal.h"
#include "net/socket.h"
#include "net/unix_file.h"
#include "sys/sys.h"

#include <errno.h>

/* Binds to a path; if there is a stale socket file, removes it first. */
static struct nb__result bind_path(int fd, const nb_address *address,
                                   const struct nb__unix_lock *lock)
{
    int rc = nb__socket_bind(fd, address);
    struct nb__result result;

    if (rc != -EADDRINUSE)
        return nb__result_of(rc);
    result = nb__unix_remove_stale(address, lock);
    return result.status == NB_OK ? nb__result_of(nb__socket_bind(fd, address)) : result;
}

/* Following a link is safe: the directory is writable for trusted users only, as documented, and
   the file was no symbolic link when it was checked. */
static int change_mode(const char *path, unsigned mode)
{
    int rc = nb__sys_file_set_mode(path, mode);

    return rc == -EOPNOTSUPP ? nb__sys_file_set_mode_following(path, mode) : rc;
}

/* Some file systems accept a mode but keep their own: so it is checked. */
static struct nb__result set_mode(struct nb__file *file, const char *path, unsigned mode)
{
    int rc = change_mode(path, mode);

    if (rc == 0)
        rc = nb__sys_file_look(path, file);
    if (rc == 0 && file->mode != mode)
        rc = -EOPNOTSUPP;
    return nb__result_about(rc, "unix_mode");
}

/* Remembers the file that bind(2) made, and sets the mode that was asked for, which the umask may
   have reduced. No client can connect before the socket listens. */
static struct nb__result claim(struct nb__listen_socket *socket, const char *path, unsigned mode)
{
    struct nb__result result = nb__result_of(nb__sys_file_look(path, &socket->file));

    if (result.status == NB_OK && socket->file.mode != mode)
        result = set_mode(&socket->file, path, mode);
    socket->has_file = result.status == NB_OK;
    return result;
}

/* Everything after the bind. On failure the file is removed: it is ours, and its path is locked. */
static struct nb__result make_listen(struct nb__listen_socket *socket, const char *path,
                                     const struct nb__listen_params *params)
{
    struct nb__result result = claim(socket, path, params->unix_mode);

    if (result.status == NB_OK)
        result = nb__result_of(nb__sys_listen(socket->fd, params->backlog));
    if (result.status != NB_OK)
        (void)nb__sys_file_remove(path);
    return result;
}

static struct nb__result open_path(struct nb__listen_socket *socket, const char *path,
                                   const struct nb__listen_params *params)
{
    struct nb__unix_lock lock;
    struct nb__result result;

    nb__unix_lock(&lock, path);

    /* The mode is never wider than asked for, not even before the socket listens. */
    (void)nb__sys_set_mode(socket->fd, params->unix_mode);
    result = bind_path(socket->fd, &socket->address, &lock);
    if (result.status == NB_OK)
        result = make_listen(socket, path, params);
    nb__unix_unlock(&lock);
    return result;
}

static struct nb__result open_abstract(const struct nb__listen_socket *socket, int backlog)
{
    int rc = nb__socket_bind(socket->fd, &socket->address);

    return nb__result_of(rc == 0 ? nb__sys_listen(socket->fd, backlog) : rc);
}

static struct nb__result open_socket(struct nb__listen_socket *socket,
                                     const struct nb__listen_params *params)
{
    const char *path = nb__address_path(&socket->address);
    struct nb__result result = nb__listen_socket_open(params, &socket->address, &socket->fd);

    if (result.status != NB_OK)
        return result;
    result =
        path != NULL ? open_path(socket, path, params) : open_abstract(socket, params->backlog);
    if (result.status != NB_OK)
        (void)nb__sys_close(socket->fd);
    return result;
}

nb_status nb__open_unix(struct nb__open_request *request, const nb_address *address)
{
    struct nb__listen_socket socket = {.address = *address};
    nb_status status = nb__open_request_has_room(request, 1);
    struct nb__result result;

    if (status != NB_OK)
        return status;
    result = open_socket(&socket, request->params);
    if (result.status != NB_OK)
        return nb__open_request_failed(request, result);
    request->sockets[request->count++] = socket;
    return NB_OK;
}
