/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: cancelling a connection, and what is tied to it. */
#ifndef NETBASICS_CANCEL_H
#define NETBASICS_CANCEL_H

#include "base/error_internal.h"
#include "conn/conn_internal.h"
#include "wait/cancellable.h"

/* What ties a connect, and later the connection that comes of it, to another connection. A tie is made
   with a connection that is there already, so that they are trees and never circles. */
struct nb__tie;

/* Ties a connect that begins: NB_OK, NB_CANCELLED, or what it lacks. */
struct nb__result nb__tie_begin(struct nb__tie **out, nb_conn *to);
/* Adds to what ends the waits of that connect. */
void nb__tie_cancels(struct nb__tie *tie, struct nb__cancels *out);
/* The connect has failed: it is not tied any more. */
void nb__tie_end(struct nb__tie *tie);
/* The connect has succeeded, and its connection, which is open, is tied from now on. NB_CANCELLED: it is
   too late for that, and nothing is tied any more. */
nb_status nb__tie_complete(struct nb__tie *tie, nb_conn *conn);

/* Ends what a connection is tied to, and what is tied to it. When this returns, nobody else uses the
   connection for the sake of a tie. */
void nb__conn_untie(nb_conn *conn);

#endif
