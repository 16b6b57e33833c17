/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the connections that are being handled: their list, and the end of their time. */
#ifndef NETBASICS_HANDLING_H
#define NETBASICS_HANDLING_H

#include "serve/server.h"

/* Lists a connection as being handled, before its admission. From now on others may cancel it. The
   lock is held. */
void nb__handling_begin(struct nb__handling *handling, nb_conn *conn);
/* For a handler that has returned: returns the connection, or NULL when the handler has ended it
   already. It is no longer cancelled, but counts for its peer until nb__handling_unlist(). */
nb_conn *nb__handling_retire(struct nb__handling *handling);
/* Takes a handling off the list once nobody else uses its connection, and returns that. The lock is
   held. */
nb_conn *nb__handling_unlist(struct nb__handling *handling);
/* Waits until nobody else uses its connection, and takes it off the list. */
nb_conn *nb__handling_finish(struct nb__handling *handling);
/* The same, unless it was cancelled: then NULL, and it stays on the list. */
nb_conn *nb__handling_let_go(struct nb__handling *handling);

/* Cancels the connections whose life is over. Returns when to do so next, at the latest. */
nb_deadline nb__handling_end_lives(struct nb__server *server);
/* Cancels all connections that are being handled: the drain is over. */
void nb__handling_cancel_all(struct nb__server *server);

/* How many connections of one peer are being handled and were admitted. The lock is held. */
size_t nb__handling_count_peer(const struct nb__server *server, const nb_conn *of);

#endif
