/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the queue of the stop: connections that were in the backlog and wait for a
 *         handler. */
#ifndef NETBASICS_STOP_QUEUE_H
#define NETBASICS_STOP_QUEUE_H

#include "serve/server.h"

/* Appends a connection. */
void nb__stop_queue_add(struct nb__server *server, nb_conn *conn);

/* Takes the first one; NULL when there is none. The lock is held. */
nb_conn *nb__stop_queue_take(struct nb__server *server);

/* Resets all of them when no time is left; they count as unserved. */
void nb__stop_queue_reset(struct nb__server *server);

#endif
