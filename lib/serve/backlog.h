/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the backlog of the listening sockets at the stop. */
#ifndef NETBASICS_BACKLOG_H
#define NETBASICS_BACKLOG_H

#include "serve/server.h"

#include <poll.h>

/* Counts the connections in the accept queues. They completed before the stop; no others are
   accepted. */
void nb__backlog_measure(struct nb__server *server);

/* Accepts them, given room to list the sockets, and queues them; reports shortages. For the thread
   that called nb_serve(). False when descriptors or memory ran out, or a signal came: to be called
   again at *retry; else that is nb_forever(). */
bool nb__backlog_take(struct nb__server *server, struct pollfd *fds, nb_deadline *retry);

/* Closes the sockets, if they are still open. Connections that could not be accepted until now are
   reset by that, and counted. */
void nb__backlog_end(struct nb__server *server);

#endif
