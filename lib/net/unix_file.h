/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the files of Unix sockets: locking them, and removing stale ones. */
#ifndef NETBASICS_UNIX_FILE_H
#define NETBASICS_UNIX_FILE_H

#include "base/error_internal.h"
#include "sys/sys.h"

#include <netbasics/address.h>

#include <stdbool.h>

/* The lock file, held while a socket file is made or removed. */
struct nb__unix_lock {
    int fd;        /* -errno when it is not locked */
    bool is_empty; /* then it is this library's, and is removed with the lock */
    char path[sizeof(((nb_address *)0)->storage) + sizeof(".lock")];
};

/* Keeps all other listeners of this library away from a path while a socket there is bound but does
   not listen yet: it would look stale. Waits 100 ms at most. */
void nb__unix_lock(struct nb__unix_lock *out, const char *path);
/* Does nothing when it is not locked. */
void nb__unix_unlock(const struct nb__unix_lock *lock);

/* Removes the socket file at an address that is in use, if it is certainly stale: it refuses
   connections, is on a local file system, and is still the same file afterwards. */
struct nb__result nb__unix_remove_stale(const nb_address *address,
                                        const struct nb__unix_lock *lock);

/* Removes the file at a path, if it is still the given one. */
void nb__unix_remove(const char *path, const struct nb__file *file);

#endif
