/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: how connections come into the accept loop, until the stop and at the stop. */
#ifndef NETBASICS_INTAKE_H
#define NETBASICS_INTAKE_H

#include "serve/server.h"

#include <poll.h>

/* Waits for the next connection, given room to poll; NULL when the listener was stopped or broke, or
   there is news to tell. With `tend` it looks after those that linger meanwhile. It keeps others from
   accepting, and so runs nothing of the program's: no event is told meanwhile. */
nb_conn *nb__incoming_next(struct nb__server *server, struct pollfd *fds, bool tend);

/* Whether a shortage has begun or is over and nobody has been told yet. */
bool nb__incoming_has_news(const struct nb__server *server);
/* Tells, in order: for the thread that called nb_serve() alone. */
void nb__incoming_tell_news(struct nb__server *server);

/* Whether a connection keeps within the limit of its peer; counts it as accepted or refused. The lock is
   held until it is listed, or two of a peer could both be the last one. */
bool nb__admit(struct nb__server *server, const nb_conn *conn);
/* Resets one that does not, and tells. */
void nb__admit_refuse(struct nb__server *server, nb_conn *conn);

/* At the stop: notes how many connections wait. These are complete, and no others are taken. */
void nb__incoming_stop(struct nb__server *server);

/* Accepts them, given room to list the sockets, and queues them; tells of those that are refused, and of
   shortages. For the thread that called nb_serve(). False when descriptors or memory ran
   out, or a signal came: to be called again at *retry; else that is nb_forever(). */
bool nb__incoming_drain_backlog(struct nb__server *server, struct pollfd *fds, nb_deadline *retry);

/* Takes the next one out of the queue; NULL when it is empty. */
nb_conn *nb__incoming_queued(struct nb__server *server);

/* Closes the sockets, if they are still open. Those that could not be accepted until now are reset by
   that, and counted. */
void nb__incoming_end(struct nb__server *server);

/* Resets those of the queue for which no time is left. */
void nb__incoming_reset_queue(struct nb__server *server);

#endif
