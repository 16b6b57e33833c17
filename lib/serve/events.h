/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the events of the accept loop. They are reported without a lock held, and never by
 *         the thread that has the turn to accept. */
#ifndef NETBASICS_EVENTS_H
#define NETBASICS_EVENTS_H

#include "serve/server.h"

/* Calls the event callback, if there is one. */
void nb__event_report(const struct nb__server *server, const nb_event *event);

/* An event of the loop itself. */
void nb__event_of_loop(const struct nb__server *server, nb_event_kind kind, nb_status status,
                       int system_error);

/* An event of a connection. nb__event_describe() only fills it in, for a connection that will be
   gone when it is reported. */
void nb__event_of_conn(const struct nb__server *server, nb_event_kind kind, const nb_conn *conn,
                       nb_status status);
nb_event nb__event_describe(nb_event_kind kind, const nb_conn *conn, nb_status status);

/* One event for each socket: its address. */
void nb__event_listening(const struct nb__server *server);

#endif
