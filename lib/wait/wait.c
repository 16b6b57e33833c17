/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The one place where the library waits for descriptors. */
#include "wait/wait.h"

#include "sys/sys.h"

int nb__wait(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    return nb__sys_poll(fds, count, by);
}
