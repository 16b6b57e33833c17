/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the one place where the library waits for descriptors. */
#ifndef NETBASICS_WAIT_H
#define NETBASICS_WAIT_H

#include <netbasics/deadline.h>
#include <poll.h>

/* Waits for events of descriptors until a deadline: how many have some, 0 when the deadline has passed (or
   after 68 years), or -errno. An expired deadline asks once. Descriptors below 0 are passed over. */
int nb__wait(struct pollfd *fds, nfds_t count, nb_deadline by);

#endif
