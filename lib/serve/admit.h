/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: admission: the limit of connections of one peer. */
#ifndef NETBASICS_ADMIT_H
#define NETBASICS_ADMIT_H

#include "serve/server.h"

/* Whether a connection keeps within the limit of its peer; counts it as accepted or refused. The lock is
   held until it is listed, or two of a peer could both be the last one. */
bool nb__admit(struct nb__server *server, const nb_conn *conn);
/* Resets one that does not, and reports it. */
void nb__admit_refuse(struct nb__server *server, nb_conn *conn);

#endif
