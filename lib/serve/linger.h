/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: connections whose handler has returned, until their peer has ended too. */
#ifndef NETBASICS_LINGER_H
#define NETBASICS_LINGER_H

#include "serve/server.h"

#include <poll.h>

/* Ends a connection that nb__handling_retire() returned, without blocking: if the peer has not
   ended yet, it lingers, and true is returned. */
bool nb__linger(struct nb__server *server, struct nb__handling *handling);

/* Polls until a deadline for `own` descriptors and, listed after them, the lingering connections,
   and takes care of these. If there is no memory to poll so many, it polls only `own` for a while,
   and may return early. Returns what poll(2) does, or -errno. */
int nb__linger_poll(struct nb__server *server, struct pollfd *fds, size_t own, nb_deadline until);

/* Closes the oldest lingering connection, to free a descriptor. False when there is none. The event
   is reported later. */
bool nb__linger_make_room(struct nb__server *server);
/* Whether there are such events, and reports them. */
bool nb__linger_has_events(const struct nb__server *server);
void nb__linger_report_events(struct nb__server *server);

/* Ends them all, with all events reported. */
void nb__linger_end_all(struct nb__server *server);

/* How many connections of one peer linger. The lock is held. */
size_t nb__linger_count_peer(const struct nb__server *server, const nb_conn *of);

#endif
