/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the two forms of the accept loop. Each returns when the run is drained. */
#ifndef NETBASICS_ENGINE_H
#define NETBASICS_ENGINE_H

#include "base/error_internal.h"
#include "serve/server.h"

#include <poll.h>

/* How many descriptors an engine polls besides those of lingering connections. */
#define NB__ENGINE_WATCHED_MAX NB__ACCEPT_WATCHED_MAX

/* One handler at a time, in the calling thread. `fds` has room for NB__ENGINE_WATCHED_MAX and all
   that linger. */
void nb__engine_inline(struct nb__server *server, struct pollfd *fds);

/* Handlers in worker threads, while the calling thread supervises. NB_OK, or why it could not
   begin. */
struct nb__result nb__engine_threads(struct nb__server *server, struct pollfd *fds);

#endif
