/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Waiting for descriptors until the deadline or a cancellation. */
#include "wait/cancellable.h"

#include "base/deadline_internal.h"

#include <errno.h>
#include <stddef.h>

/* How long to wait: the deadline, or less if the callback says so. */
static struct nb__wait_bounds bounds_of(const struct nb__cancels *cancels, nb_deadline by)
{
    struct nb__wait_bounds bounds = {.until = by, .fd = -1, .fd_ready = cancels->fd_ready};

    if (cancels->before_wait == NULL)
        return bounds;
    bounds.now_ns = nb__now_ns();
    cancels->before_wait(cancels->context, &bounds);
    return bounds;
}

int nb__wait_cancellable(struct pollfd *fds, nfds_t count, nb_deadline by,
                         struct nb__cancels *cancels)
{
    struct nb__wait_bounds bounds = bounds_of(cancels, by);
    struct pollfd *others = fds + count;
    int ready;

    others[0] = (struct pollfd){cancels->fds[0], POLLIN, 0};
    others[1] = (struct pollfd){cancels->fds[1], POLLIN, 0};
    others[2] = (struct pollfd){bounds.fd, POLLIN, 0};
    ready = nb__wait(fds, count + NB__WAIT_ROOM, bounds.until);
    cancels->fd_ready = ready > 0 && others[2].revents != 0;
    if (ready > 0 && (others[0].revents | others[1].revents) != 0)
        return -ECANCELED;
    return cancels->fd_ready ? ready - 1 : ready;
}
