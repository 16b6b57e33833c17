/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The files of Unix sockets. A server that dies leaves a stale socket file, to which nobody can
 *         bind again: it is removed, but only when it is certainly stale. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "net/unix_file.h"

#include "base/deadline_internal.h"
#include "net/address_internal.h"
#include "net/socket.h"
#include "wait/wait.h"

#include <errno.h>
#include <string.h>

#define LOCK_MS 100
#define LOCK_AGAIN_MS 5

static bool same_file(const struct nb__file *a, const struct nb__file *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* Whether a descriptor is still the file at the path of a lock: its previous holder may have
   removed it. */
static int check_lock(struct nb__unix_lock *lock, int fd)
{
    struct nb__file opened;
    struct nb__file there;
    int rc = nb__sys_file_of(fd, &opened);

    if (rc == 0)
        rc = nb__sys_file_look(lock->path, &there);
    if (rc == -ENOENT || (rc == 0 && !same_file(&opened, &there)))
        return -EAGAIN;
    if (rc < 0 || !opened.is_regular)
        return rc < 0 ? rc : -EINVAL;
    lock->is_empty = opened.size == 0;
    return 0;
}

static int try_lock(struct nb__unix_lock *lock)
{
    int fd = nb__sys_lock_file_open(lock->path);
    int rc = fd < 0 ? fd : nb__sys_lock(fd);

    if (rc == 0)
        rc = check_lock(lock, fd);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        (void)nb__sys_close(fd);
    return rc;
}

void nb__unix_lock(struct nb__unix_lock *out, const char *path)
{
    nb_deadline by = nb_after_ms(LOCK_MS);
    size_t length = strlen(path);

    memcpy(out->path, path, length);
    memcpy(out->path + length, ".lock", sizeof(".lock"));
    out->fd = try_lock(out);
    while ((out->fd == -EAGAIN || out->fd == -EINTR) && !nb_expired(by)) {
        (void)nb__wait(NULL, 0, nb__earlier(by, nb_after_ms(LOCK_AGAIN_MS)));
        out->fd = try_lock(out);
    }
}

/* Removes the file before it is unlocked: whoever waits for the lock then finds it gone, and makes
   a new file. */
void nb__unix_unlock(const struct nb__unix_lock *lock)
{
    if (lock->fd < 0)
        return;
    if (lock->is_empty)
        (void)nb__sys_file_remove(lock->path);
    (void)nb__sys_unlock(lock->fd); /* a child forked meanwhile may hold the descriptor, too */
    (void)nb__sys_close(lock->fd);
}

/* 0 when a server answers, -ECONNREFUSED when nobody listens, or another -errno. */
static int probe(const nb_address *address)
{
    int fd = nb__socket_open(address);
    int rc;

    if (fd < 0)
        return fd;
    (void)nb__sys_pass_rights(fd, false); /* a passed descriptor could hold up the close */
    rc = nb__socket_connect(fd, address);
    (void)nb__sys_close(fd);
    return rc;
}

static struct nb__result in_use(const char *why)
{
    struct nb__result result = nb__result_of(-EADDRINUSE);

    result.why = why;
    return result;
}

/* Whether a probe failed for another reason: the file is gone, or this process lacks resources. */
static bool is_not_about_it(int rc)
{
    return rc == -ENOENT || rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS;
}

/* Why the socket is in use, from the result of a probe; NULL when nobody listens. */
static const char *answer(int probed)
{
    switch (probed) {
    case -ECONNREFUSED:
        return NULL;
    case 0:
    case -EAGAIN: /* its queue is full */
    case -EINPROGRESS:
        return "a server listens there";
    case -EPROTOTYPE:
        return "a socket of another type is there";
    default:
        return "a socket is there, and does not tell whether it is in use";
    }
}

/* Why a socket that refuses connections must not be removed; NULL when it may be. `is_local` is
   what nb__sys_file_is_local() returned. */
static const char *why_it_stays(int is_local, const struct nb__unix_lock *lock)
{
    if (is_local != 1)
        return "a socket is there, on a file system where nobody can tell whether it is in use";
    if (lock->fd == -EAGAIN)
        return "a dead socket is there, and the file that is locked to remove it, .lock behind its "
               "name, is locked by somebody else";
    return lock->fd >= 0 ? NULL
                         : "a dead socket is there, and the file that is locked to remove it, "
                           ".lock behind its name, cannot be locked";
}

static struct nb__result remove_dead(const char *path, const struct nb__file *before,
                                     const struct nb__unix_lock *lock)
{
    int is_local = nb__sys_file_is_local(path);
    const char *why = why_it_stays(is_local, lock);
    struct nb__file after;
    int rc;

    if (is_local == -ENOENT)
        return nb__result_of(is_local);
    if (why != NULL)
        return in_use(why);
    rc = nb__sys_file_look(path, &after);
    if (rc == 0 && !same_file(before, &after)) /* made by a program that takes no lock */
        return in_use("a socket is there that somebody has just made");
    return nb__result_of(rc == 0 ? nb__sys_file_remove(path) : rc);
}

static struct nb__result remove_if_stale(const nb_address *address,
                                         const struct nb__unix_lock *lock)
{
    const char *path = nb__address_path(address);
    struct nb__file file;
    int rc = nb__sys_file_look(path, &file);
    const char *why;

    if (rc < 0)
        return nb__result_of(rc);
    if (file.is_link)
        return in_use("a symbolic link is there");
    if (!file.is_socket)
        return in_use("a file that is no socket is there");
    rc = probe(address);
    if (is_not_about_it(rc))
        return nb__result_of(rc);
    why = answer(rc);
    return why != NULL ? in_use(why) : remove_dead(path, &file, lock);
}

struct nb__result nb__unix_remove_stale(const nb_address *address, const struct nb__unix_lock *lock)
{
    struct nb__result result = remove_if_stale(address, lock);

    return result.system_error == ENOENT ? nb__ok() : result; /* somebody else removed it */
}

void nb__unix_remove(const char *path, const struct nb__file *file)
{
    struct nb__file now;

    if (nb__sys_file_look(path, &now) == 0 && same_file(file, &now))
        (void)nb__sys_file_remove(path);
}
