/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: what happens to a connection between accept and its handler. */
#ifndef NETBASICS_PROLOGUE_H
#define NETBASICS_PROLOGUE_H

#include "serve/server.h"

/* Takes the connection of a handling, which nb__handling_begin() has listed, through all steps
   before its handler. It runs where the handler will run and not where connections are accepted, so
   that a step that waits for the peer delays no other connection. False when there will be no
   handler: the connection has been ended. */
bool nb__prologue(struct nb__handling *handling);

#endif
