/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: cancelling a connection, and ties to it. */
#ifndef NETBASICS_CANCEL_H
#define NETBASICS_CANCEL_H

#include "base/error_internal.h"
#include "conn/conn_internal.h"
#include "wait/cancellable.h"

/* Ties a connect, and later the connection it makes, to another connection. That one exists already
   when the tie is made, so that ties form trees and never cycles. */
struct nb__tie;

/* Ties a connect that begins. NB_CANCELLED when `to` is cancelled already. */
struct nb__result nb__tie_begin(struct nb__tie **out, nb_conn *to);
/* Makes a cancellation of `to` end the waits of that connect. */
void nb__tie_cancels(struct nb__tie *tie, struct nb__cancels *out);
/* For a connect that has failed: ends its tie. */
void nb__tie_end(struct nb__tie *tie);
/* For a connect that has succeeded: its connection, which is open, is tied from now on.
   NB_CANCELLED: `to` was cancelled before, and the tie has ended. */
nb_status nb__tie_complete(struct nb__tie *tie, nb_conn *conn);

/* Ends the ties of a connection, both to another one and of others to it. When this returns, no tie
   uses the connection any more. */
void nb__conn_untie(nb_conn *conn);

#endif
