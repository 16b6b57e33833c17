/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the two forms of the accept loop. Each returns when the run is drained. */
#ifndef NETBASICS_LOOPS_H
#define NETBASICS_LOOPS_H

#include "serve/server.h"

#include <poll.h>

/* Descriptors of a loop's own that it polls besides those that linger. */
#define NB__LOOP_WATCHED_MAX NB__LISTENER_WATCHED_MAX

/* One handler at a time, in the calling thread. `fds` has room for NB__LOOP_WATCHED_MAX and all
   that linger. */
void nb__loop_sequential(struct nb__run *run, struct pollfd *fds);

/* Handlers in worker threads, while the calling thread supervises. NB_OK, or what it lacked to
   begin with, and its errno. */
nb_status nb__loop_workers(struct nb__run *run, struct pollfd *fds, int *system_error);

#endif
