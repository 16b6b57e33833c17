/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: accepting for the accept loop. */
#ifndef NETBASICS_INCOMING_H
#define NETBASICS_INCOMING_H

#include "serve/server.h"

#include <poll.h>

/* Waits for the next connection, given room to poll; NULL when the listener was stopped or broke,
   or an event is pending. With `tend` it takes care of lingering connections meanwhile. While one
   thread is in here no other accepts: so it reports no events and runs none of the program's
   code. */
nb_conn *nb__incoming_next(struct nb__server *server, struct pollfd *fds, bool tend);

/* Tries to accept from the sockets that poll(2) found ready (NULL: from all), without waiting: *out
   is the connection or NULL. */
enum nb__accept_result nb__incoming_try(struct nb__server *server, const struct pollfd *ready,
                                        nb_conn **out);

/* Whether events are pending: a shortage that has begun or is over, connections that made room for
   others. */
bool nb__incoming_has_events(const struct nb__server *server);
/* Reports them, in order: for the thread that called nb_serve() alone. */
void nb__incoming_report_events(struct nb__server *server);

#endif
