/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the files of Unix sockets: locked, proved dead, removed. */
#ifndef NETBASICS_UNIX_FILE_H
#define NETBASICS_UNIX_FILE_H

#include "sys.h"

#include <netbasics/address.h>

/* Keeps all other listeners of this library away from the directory of a path while a socket there is
   bound and does not listen yet: it would look dead. Waits a tenth of a second at most. Gives a
   descriptor, or -errno. */
int nb__unix_lock(const char *path);
/* Does nothing with what is no lock. */
void nb__unix_unlock(int lock);

/* Why the path of a socket could not be taken: -errno, or 0 when it was, and perhaps more about it. */
struct nb__unix_trouble {
    int failed;
    const char *why;
};

/* Removes the socket file at the path of an address that is in use, when it is proved that nobody
   listens there: it refuses, and is still the same file afterwards. `lock` is what nb__unix_lock()
   gave. */
struct nb__unix_trouble nb__unix_make_way(const nb_address *address, int lock);

/* Removes a file, if it is still the one that was looked at. */
void nb__unix_remove(const char *path, const struct nb__file *file);

#endif
