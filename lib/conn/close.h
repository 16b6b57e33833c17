/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the steps of nb_close(), for callers that must not block. */
#ifndef NETBASICS_CLOSE_H
#define NETBASICS_CLOSE_H

#include "conn/conn_internal.h"

/* The failure of the connection so far, or NB_OK; NB_EOF and NB_TOO_LONG of a receive are no
   failures. */
nb_status nb__conn_verdict(const nb_conn *conn);
/* Ends our stream. NB_OK, or the failure because of which the peer's end need not be awaited. */
nb_status nb__conn_end(nb_conn *conn);
/* Drops some of the bytes that have arrived, without waiting: NB_OK at the peer's end of the
   stream, NB_TIMEOUT when there may be more, NB_TOO_LONG when there were more than *budget, or the
   failure. */
nb_status nb__conn_drain(nb_conn *conn, uint64_t *budget);
/* Whether all that was sent is known to have arrived at the peer's system. */
bool nb__conn_delivered(const nb_conn *conn);
/* Closes and frees the connection, with a reset if our stream would otherwise look complete
   although it is not. Returns `how`. */
nb_status nb__conn_dispose(nb_conn *conn, nb_status how);

#endif
