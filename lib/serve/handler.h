/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: one connection, from its prologue to its end. */
#ifndef NETBASICS_HANDLER_H
#define NETBASICS_HANDLER_H

#include "serve/server.h"

/* Prepares the handling of a thread that runs handlers. `supervised`: another thread watches the
   clock for its connections; otherwise each wait of a connection does. */
void nb__handler_prepare(struct nb__handling *handling, struct nb__server *server, bool supervised);

/* Takes a connection that nb__handling_begin() has listed through the prologue and its handler to
   its end. True when it lingers. */
bool nb__handler_run(struct nb__handling *handling);

#endif
