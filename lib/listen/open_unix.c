/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Listening on a Unix socket: a path with the mode that was asked for, or an abstract name. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "listen/open.h"
#include "net/address_internal.h"
#include "net/socket.h"
#include "net/unix_file.h"
#include "sys/sys.h"

#include <errno.h>

/* Binds to a path, if need be after what a dead server has left there is out of the way. */
static struct nb__unix_result bind_path(int fd, const nb_address *address,
                                        const struct nb__unix_lock *lock)
{
    struct nb__unix_result result = {nb__socket_bind(fd, address), NULL};

    if (result.rc == -EADDRINUSE) {
        result = nb__unix_remove_stale(address, lock);
        if (result.rc == 0)
            result.rc = nb__socket_bind(fd, address);
    }
    return result;
}

/* Only trusted users may write in the directory, and it was no symbolic link when it was looked at. */
static int change_mode(const char *path, unsigned mode)
{
    int rc = nb__sys_file_set_mode(path, mode);

    return rc == -EOPNOTSUPP ? nb__sys_file_set_mode_following(path, mode) : rc;
}

/* Some file systems take a mode and go on with their own. */
static int set_mode(struct nb__file *file, const char *path, struct nb__listen_params *params)
{
    int rc = change_mode(path, params->unix_mode);

    if (rc == 0)
        rc = nb__sys_file_look(path, file);
    if (rc == 0 && file->mode != params->unix_mode)
        rc = -EOPNOTSUPP;
    if (rc < 0)
        params->options.refused = "unix_mode";
    return rc;
}

/* Remembers the file that bind(2) has made, and gives it the mode that was asked for: the umask has
   taken some of it away. Nobody can connect before the socket listens. */
static int claim(struct nb__listen_socket *socket, const char *path,
                 struct nb__listen_params *params)
{
    int rc = nb__sys_file_look(path, &socket->file);

    if (rc == 0 && socket->file.mode != params->unix_mode)
        rc = set_mode(&socket->file, path, params);
    socket->has_file = rc == 0;
    return rc;
}

/* Everything behind the bind. On failure the file goes: it is ours, and its path is locked. */
static int make_listen(struct nb__listen_socket *socket, const char *path,
                       struct nb__listen_params *params)
{
    int rc = claim(socket, path, params);

    if (rc == 0)
        rc = nb__sys_listen(socket->fd, params->backlog);
    if (rc < 0)
        (void)nb__sys_file_remove(path);
    return rc;
}

static struct nb__unix_result open_path(struct nb__listen_socket *socket, const char *path,
                                        struct nb__listen_params *params)
{
    struct nb__unix_lock lock;
    struct nb__unix_result result;

    nb__unix_lock(&lock, path);

    /* Never wider than asked for, not even before the socket listens. */
    (void)nb__sys_set_mode(socket->fd, params->unix_mode);
    result = bind_path(socket->fd, &socket->address, &lock);
    if (result.rc == 0)
        result.rc = make_listen(socket, path, params);
    nb__unix_unlock(&lock);
    return result;
}

static struct nb__unix_result open_abstract(const struct nb__listen_socket *socket, int backlog)
{
    int rc = nb__socket_bind(socket->fd, &socket->address);

    return (struct nb__unix_result){rc == 0 ? nb__sys_listen(socket->fd, backlog) : rc, NULL};
}

static struct nb__unix_result open_socket(struct nb__open_request *request,
                                          struct nb__listen_socket *socket)
{
    const char *path = nb__address_path(&socket->address);
    struct nb__unix_result result;

    socket->fd = nb__open_request_socket(request, &socket->address);
    if (socket->fd < 0)
        return (struct nb__unix_result){socket->fd, NULL};
    result = path != NULL ? open_path(socket, path, request->params)
                          : open_abstract(socket, request->params->backlog);
    if (result.rc < 0)
        (void)nb__sys_close(socket->fd);
    return result;
}

static nb_status failed_with(const struct nb__open_request *request,
                             const struct nb__unix_result *result)
{
    struct nb__text text;
    nb_status status = nb__open_request_failed(request, result->rc, &text);

    if (result->why != NULL)
        nb__text_add(&text, ": %s", result->why);
    return status;
}

nb_status nb__open_unix(struct nb__open_request *request, const nb_address *address)
{
    struct nb__listen_socket socket = {.address = *address};
    nb_status status = nb__open_request_has_room(request, 1);
    struct nb__unix_result result;

    if (status != NB_OK)
        return status;
    result = open_socket(request, &socket);
    if (result.rc < 0)
        return failed_with(request, &result);
    request->sockets[request->count++] = socket;
    return NB_OK;
}
