/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: one connection, from its handler to its end. */
#ifndef NETBASICS_HANDLE_H
#define NETBASICS_HANDLE_H

#include "serve/server.h"

/* Prepares the place of a thread that runs handlers. `supervised` says whether somebody else watches
   the clock for its connections; if not, each wait of a connection does. */
void nb__handler_prepare(struct nb__handling *handling, struct nb__server *server, bool supervised);

/* Runs the handler of a connection that nb__server_begin() has listed, and brings it to its end. True
   when it lingers. */
bool nb__handler_run(struct nb__handling *handling, nb_conn *conn);

#endif
