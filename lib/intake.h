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

/* After the stop: keeps new connections away, and queues those that were complete. False when
   descriptors or memory ran out: to be called again at *retry; else that is nb_forever(). */
bool nb__intake_rest(struct nb__run *run, nb_deadline *retry);

#endif
