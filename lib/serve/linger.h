/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: connections whose handler has returned, until their peer has ended too. */
#ifndef NETBASICS_LINGER_H
#define NETBASICS_LINGER_H

#include "serve/server.h"

#include <poll.h>

/* Brings a connection that nb__handling_retire() has given to its end without holding up the caller: if the
   peer has not ended yet, it lingers, and true is returned. */
bool nb__linger(struct nb__server *server, struct nb__handling *handling);

/* Polls until a deadline for `own` descriptors and, listed behind them, those that linger; goes on
   with these. When there is no memory for so many, it may return early, after a while in which it has
   polled for `own` alone. Returns what poll(2) does, or -errno. */
int nb__linger_poll(struct nb__server *server, struct pollfd *fds, size_t own, nb_deadline until);

/* Ends the oldest of those that linger, for want of descriptors. False when there is none. The event is
   reported later. */
bool nb__linger_make_room(struct nb__server *server);
/* Whether there are such events, and reports them. */
bool nb__linger_has_events(const struct nb__server *server);
void nb__linger_report_events(struct nb__server *server);

/* Ends them all, with all events reported. */
void nb__linger_end_all(struct nb__server *server);

/* How many of one peer linger. The lock is held. */
size_t nb__linger_count_peer(const struct nb__server *server, const nb_conn *of);

#endif
