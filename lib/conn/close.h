/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the steps of nb_close(), for those who cannot block. */
#ifndef NETBASICS_CLOSE_H
#define NETBASICS_CLOSE_H

#include "conn/conn_internal.h"

/* What has gone wrong so far; an end, or too much of something, is not wrong. */
nb_status nb__conn_verdict(const nb_conn *conn);
/* Ends our stream. NB_OK, or why there is nothing to wait for. */
nb_status nb__conn_end(nb_conn *conn);
/* Drops some of what has arrived, without waiting: NB_OK at the peer's end, NB_TIMEOUT when there may be
   more, NB_TOO_LONG when that was more than *budget, or the failure. */
nb_status nb__conn_drain(nb_conn *conn, uint64_t *budget);
/* Whether all that was sent is known to have arrived at the peer's system. */
bool nb__conn_delivered(const nb_conn *conn);
/* Closes and frees, with a reset where a stream would look whole that is not. Returns how. */
nb_status nb__conn_dispose(nb_conn *conn, nb_status how);

#endif
