/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: how connections come into the accept loop, until the stop and at the stop. */
#ifndef NETBASICS_INTAKE_H
#define NETBASICS_INTAKE_H

#include "run.h"

#include <poll.h>

/* Waits for the next connection, given room to poll; NULL when the listener was stopped or broke.
   With `tend` it looks after those that linger meanwhile. */
nb_conn *nb__intake_next(struct nb__run *run, struct pollfd *fds, bool tend);

/* At the stop: notes how many connections wait. These are complete, and no others are taken. */
void nb__intake_stop(struct nb__run *run);

/* Accepts them, given room to list the sockets, and queues them. False when descriptors or memory ran
   out, or a signal came: to be called again at *retry; else that is nb_forever(). */
bool nb__intake_rest(struct nb__run *run, struct pollfd *fds, nb_deadline *retry);

/* Closes the sockets, if they are still open. Those that could not be accepted until now are reset by
   that, and counted. */
void nb__intake_end(struct nb__run *run);

#endif
