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
static struct nb__unix_trouble bind_path(int fd, const nb_address *address,
                                         const struct nb__unix_lock *lock)
{
    struct nb__unix_trouble trouble = {nb__socket_bind(fd, address), NULL};

    if (trouble.failed == -EADDRINUSE) {
        trouble = nb__unix_make_way(address, lock);
        if (trouble.failed == 0)
            trouble.failed = nb__socket_bind(fd, address);
    }
    return trouble;
}

/* Only trusted users may write in the directory, and it was no symbolic link when it was looked at. */
static int change_mode(const char *path, unsigned mode)
{
    int failed = nb__sys_file_set_mode(path, mode);

    return failed == -EOPNOTSUPP ? nb__sys_file_set_mode_following(path, mode) : failed;
}

/* Some file systems take a mode and go on with their own. */
static int set_mode(struct nb__file *file, const char *path, struct nb__wishes *wishes)
{
    int failed = change_mode(path, wishes->unix_mode);

    if (failed == 0)
        failed = nb__sys_file_look(path, file);
    if (failed == 0 && file->mode != wishes->unix_mode)
        failed = -EOPNOTSUPP;
    if (failed < 0)
        wishes->options.refused = "unix_mode";
    return failed;
}

/* Remembers the file that bind(2) has made, and gives it the mode that was asked for: the umask has
   taken some of it away. Nobody can connect before the socket listens. */
static int claim(struct nb__socket *socket, const char *path, struct nb__wishes *wishes)
{
    int failed = nb__sys_file_look(path, &socket->file);

    if (failed == 0 && socket->file.mode != wishes->unix_mode)
        failed = set_mode(&socket->file, path, wishes);
    socket->has_file = failed == 0;
    return failed;
}

/* Everything behind the bind. On failure the file goes: it is ours, and its path is locked. */
static int make_listen(struct nb__socket *socket, const char *path, struct nb__wishes *wishes)
{
    int failed = claim(socket, path, wishes);

    if (failed == 0)
        failed = nb__sys_listen(socket->fd, wishes->backlog);
    if (failed < 0)
        (void)nb__sys_file_remove(path);
    return failed;
}

static struct nb__unix_trouble open_path(struct nb__socket *socket, const char *path,
                                         struct nb__wishes *wishes)
{
    struct nb__unix_lock lock;
    struct nb__unix_trouble trouble;

    nb__unix_lock(&lock, path);

    /* Never wider than asked for, not even before the socket listens. */
    (void)nb__sys_set_mode(socket->fd, wishes->unix_mode);
    trouble = bind_path(socket->fd, &socket->address, &lock);
    if (trouble.failed == 0)
        trouble.failed = make_listen(socket, path, wishes);
    nb__unix_unlock(&lock);
    return trouble;
}

static struct nb__unix_trouble open_abstract(const struct nb__socket *socket, int backlog)
{
    int failed = nb__socket_bind(socket->fd, &socket->address);

    return (struct nb__unix_trouble){failed == 0 ? nb__sys_listen(socket->fd, backlog) : failed,
                                     NULL};
}

static struct nb__unix_trouble open_socket(struct nb__opening *opening, struct nb__socket *socket)
{
    const char *path = nb__address_path(&socket->address);
    struct nb__unix_trouble trouble;

    socket->fd = nb__opening_socket(opening, &socket->address);
    if (socket->fd < 0)
        return (struct nb__unix_trouble){socket->fd, NULL};
    trouble = path != NULL ? open_path(socket, path, opening->wishes)
                           : open_abstract(socket, opening->wishes->backlog);
    if (trouble.failed < 0)
        (void)nb__sys_close(socket->fd);
    return trouble;
}

static nb_status failed_with(const struct nb__opening *opening,
                             const struct nb__unix_trouble *trouble)
{
    struct nb__text text;
    nb_status status = nb__opening_failed(opening, trouble->failed, &text);

    if (trouble->why != NULL)
        nb__text_add(&text, ": %s", trouble->why);
    return status;
}

nb_status nb__open_unix(struct nb__opening *opening, const nb_address *address)
{
    struct nb__socket socket = {.address = *address};
    nb_status status = nb__opening_has_room(opening, 1);
    struct nb__unix_trouble trouble;

    if (status != NB_OK)
        return status;
    trouble = open_socket(opening, &socket);
    if (trouble.failed < 0)
        return failed_with(opening, &trouble);
    opening->sockets[opening->count++] = socket;
    return NB_OK;
}
