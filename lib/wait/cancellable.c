/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Waiting for descriptors, and for what makes the wait pointless. */

#include "wait/cancellable.h"

#include "wait/wait.h"

#include <errno.h>
#include <stddef.h>

int nb__wait_cancellable(struct pollfd *fds, nfds_t count, nb_deadline by,
                         struct nb__cancels *cancels)
{
    struct pollfd *others = fds + count;
    int clock = -1;
    int ready;

    if (cancels->look != NULL)
        by = cancels->look(cancels->context, cancels->rung, by, &clock);
    others[0] = (struct pollfd){cancels->fds[0], POLLIN, 0};
    others[1] = (struct pollfd){cancels->fds[1], POLLIN, 0};
    others[2] = (struct pollfd){clock, POLLIN, 0};
    ready = nb__wait(fds, count + NB__WAIT_ROOM, by);
    cancels->rung = ready > 0 && others[2].revents != 0;
    if (ready > 0 && (others[0].revents | others[1].revents) != 0)
        return -ECANCELED;
    return cancels->rung ? ready - 1 : ready;
}
