/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: admission: the limit of connections per peer, counters and the event. */
#ifndef NETBASICS_ADMIT_H
#define NETBASICS_ADMIT_H

#include "serve/server.h"

/* Admits the connection of a handling that nb__handling_begin() has listed. From then on it counts
   for its peer, and its end is reported. False when its peer has too many, or the drain is over:
   then it was reset. */
bool nb__admit(struct nb__handling *handling);

#endif
