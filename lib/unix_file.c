/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The files of Unix sockets. A server that dies leaves its file behind, which nobody can bind
 *         again: it is removed, but only on proof. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "unix_file.h"

#include "address_internal.h"
#include "deadline_internal.h"

#include <errno.h>
#include <string.h>

#define LOCK_MS 100
#define LOCK_AGAIN_MS 5

/* The path up to the last slash; the address of a Unix socket has room for no longer one. */
static void directory_of(const char *path, char *out)
{
    size_t length = (size_t)(strrchr(path, '/') - path);

    if (length == 0) /* the root's own slash stays */
        length = 1;
    memcpy(out, path, length);
    out[length] = '\0';
}

static int wait_for_lock(int fd)
{
    nb_deadline by = nb_after_ms(LOCK_MS);
    int failed = nb__sys_lock(fd);

    while ((failed == -EAGAIN || failed == -EINTR) && !nb_expired(by)) {
        (void)nb__sys_poll(NULL, 0, nb__earlier(by, nb_after_ms(LOCK_AGAIN_MS)));
        failed = nb__sys_lock(fd);
    }
    return failed;
}

int nb__unix_lock(const char *path)
{
    char directory[sizeof(((nb_address *)0)->storage)];
    int fd;
    int failed;

    directory_of(path, directory);
    fd = nb__sys_directory_open(directory);
    failed = fd < 0 ? fd : wait_for_lock(fd);
    if (failed == 0)
        return fd;
    if (fd >= 0)
        (void)nb__sys_close(fd);
    return failed;
}

void nb__unix_unlock(int lock)
{
    if (lock < 0)
        return;
    (void)nb__sys_unlock(lock); /* a child forked meanwhile may have it, too */
    (void)nb__sys_close(lock);
}

static bool same_file(const struct nb__file *a, const struct nb__file *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* 0 when a server answers, -ECONNREFUSED when nobody listens, or another -errno. */
static int knock(const nb_address *address)
{
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(address, &length);
    int fd = nb__sys_socket(AF_UNIX);
    int failed;

    if (fd < 0)
        return fd;
    failed = nb__sys_connect(fd, raw, length);
    (void)nb__sys_close(fd);
    return failed;
}

static struct nb__unix_trouble trouble(int failed)
{
    return (struct nb__unix_trouble){failed, NULL};
}

static struct nb__unix_trouble in_use(const char *why)
{
    return (struct nb__unix_trouble){-EADDRINUSE, why};
}

/* It went by itself, or it is we who cannot knock. */
static bool is_not_about_it(int failed)
{
    return failed == -ENOENT || failed == -EMFILE || failed == -ENFILE || failed == -ENOMEM ||
           failed == -ENOBUFS;
}

/* What the answer to a knock says; with NULL nobody is there. */
static const char *answer(int knocked)
{
    switch (knocked) {
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

static struct nb__unix_trouble remove_dead(const char *path, const struct nb__file *before,
                                           int lock)
{
    struct nb__file after;
    int failed;

    if (lock < 0)
        return in_use("a dead socket is there, and its directory could not be locked to remove it");
    failed = nb__sys_file_look(path, &after);
    if (failed == 0 && !same_file(before, &after)) /* made by somebody who asks for no lock */
        return in_use("a socket is there that somebody has just made");
    return trouble(failed == 0 ? nb__sys_file_remove(path) : failed);
}

static struct nb__unix_trouble make_way(const nb_address *address, int lock)
{
    const char *path = nb__address_path(address);
    struct nb__file file;
    int failed = nb__sys_file_look(path, &file);
    const char *why;

    if (failed < 0)
        return trouble(failed);
    if (file.is_link)
        return in_use("a symbolic link is there");
    if (!file.is_socket)
        return in_use("a file that is no socket is there");
    failed = knock(address);
    if (is_not_about_it(failed))
        return trouble(failed);
    why = answer(failed);
    return why != NULL ? in_use(why) : remove_dead(path, &file, lock);
}

struct nb__unix_trouble nb__unix_make_way(const nb_address *address, int lock)
{
    struct nb__unix_trouble found = make_way(address, lock);

    return found.failed == -ENOENT ? trouble(0) : found; /* it has gone by itself */
}

void nb__unix_remove(const char *path, const struct nb__file *file)
{
    struct nb__file now;

    if (nb__sys_file_look(path, &now) == 0 && same_file(file, &now))
        (void)nb__sys_file_remove(path);
}
