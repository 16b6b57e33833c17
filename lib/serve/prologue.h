/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: what happens to a connection between accept and its handler. */
#ifndef NETBASICS_PROLOGUE_H
#define NETBASICS_PROLOGUE_H

#include "serve/server.h"

/* Takes the connection of a handling, which nb__server_begin() has listed, through all steps before its
   handler. It runs where the handler will run and not where connections are accepted, so that a step that
   waits for the peer holds up nobody else. False when the connection has no handler: it has been ended. */
bool nb__prologue(struct nb__handling *handling);

#endif
