/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: one connection, from its handler to its end. */
#ifndef NETBASICS_HANDLE_H
#define NETBASICS_HANDLE_H

#include "serve/server.h"

/* Prepares the place of a thread that runs handlers. `watched` says whether somebody else watches
   the clock for its connections; if not, each wait of a connection does. */
void nb__handle_prepare(struct nb__work *work, struct nb__run *run, bool watched);

/* Runs the handler of a connection that nb__run_begin() has listed, and brings it to its end. True
   when it lingers. */
bool nb__handle(struct nb__work *work, nb_conn *conn);

#endif
