/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: what the accept loop tells of. Under no lock, nor in the turn to accept. */
#ifndef NETBASICS_EVENTS_H
#define NETBASICS_EVENTS_H

#include "serve/server.h"

/* Tells of an event, if somebody wants to hear. */
void nb__server_tell(const struct nb__server *server, const nb_event *event);
void nb__server_event(const struct nb__server *server, nb_event_kind kind, nb_status status,
                      int system_error);

/* What there is to tell of a connection, which may be gone by the time when it is told. */
nb_event nb__server_describe(nb_event_kind kind, const nb_conn *conn, nb_status status);
void nb__server_event_of(const struct nb__server *server, nb_event_kind kind, const nb_conn *conn,
                         nb_status status);

/* Tells where it listens. */
void nb__server_announce(const struct nb__server *server);

#endif
