/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: SIGINT and SIGTERM as a stop, if asked for. */
#ifndef NETBASICS_STOP_SIGNALS_H
#define NETBASICS_STOP_SIGNALS_H

#include <netbasics/listener.h>
#include <poll.h>
#include <stdbool.h>

/* Makes SIGINT and SIGTERM stop a listener. Returns 0, 1 when another listener of the process has
   them already, or -errno. */
int nb__stop_signals_take(nb_listener *listener);

/* Whether the calling thread blocks one of the signals that were taken. (One that is pending is
   handled.) */
bool nb__stop_signals_are_blocked(void);

/* nb__wait() with those signals open in the calling thread meanwhile. */
int nb__stop_signals_poll(struct pollfd *fds, nfds_t count, nb_deadline by);

/* Restores the dispositions, except those that the program has changed meanwhile. When this
   returns, no handler uses the listener any more. */
void nb__stop_signals_release(void);

#endif
