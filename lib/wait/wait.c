/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The one place where the library waits: for descriptors, or on a waitable. */
#include "wait/wait.h"

#include "sys/sys.h"

int nb__wait(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    return nb__sys_poll(fds, count, by);
}

int nb__wait_on(const struct nb__waitable *waitable, nb_direction direction,
                struct nb__wait_bounds *bounds)
{
    struct pollfd entries[] = {{waitable->fd, direction == NB_RECEIVE ? POLLIN : POLLOUT, 0},
                               {bounds->fd, POLLIN, 0}};
    int ready = nb__wait(entries, bounds->fd >= 0 ? 2 : 1, bounds->until);

    bounds->fd_ready = ready > 0 && entries[1].revents != 0;
    return bounds->fd_ready && entries[0].revents == 0 ? 0 : ready;
}
