/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the files of Unix sockets: locked, proved dead, removed. */
#ifndef NETBASICS_UNIX_FILE_H
#define NETBASICS_UNIX_FILE_H

#include "base/error_internal.h"
#include "sys/sys.h"

#include <netbasics/address.h>

#include <stdbool.h>

/* The file that is locked while the one of a socket comes or goes. */
struct nb__unix_lock {
    int fd;        /* or -errno: not locked */
    bool is_empty; /* nobody but this library writes such files: it is removed */
    char path[sizeof(((nb_address *)0)->storage) + sizeof(".lock")];
};

/* Keeps all other listeners of this library away from a path while a socket there is bound and does not
   listen yet: it would look dead. Waits a tenth of a second at most. */
void nb__unix_lock(struct nb__unix_lock *out, const char *path);
/* Does nothing with what is not locked. */
void nb__unix_unlock(const struct nb__unix_lock *lock);

/* Removes the socket file at the path of an address that is in use, when it is proved that nobody
   listens there: it refuses, on a file system where that means something, and is still the same file
   afterwards. */
struct nb__result nb__unix_remove_stale(const nb_address *address,
                                        const struct nb__unix_lock *lock);

/* Removes a file, if it is still the one that was looked at. */
void nb__unix_remove(const char *path, const struct nb__file *file);

#endif
