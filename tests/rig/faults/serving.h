/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Scenarios of the accept loop, for one handler at a time and for several. */
#ifndef NETBASICS_TESTS_SERVING_H
#define NETBASICS_TESTS_SERVING_H

#include "fault.h"

/* How many handlers may run at once in the scenarios that follow. */
void serve_with(int concurrency);

/* Ten clients ask, are answered, and end; one of them does not end. */
void serve_ten(void);
/* The same at both addresses of localhost, with signals that stop. */
void serve_at_localhost(void);
/* The first handler stops the loop: those that wait in the queue are still served. */
void serve_who_waits_at_the_stop(void);
/* A handler that waits for ever is cut off at the end of the drain. */
void serve_who_never_speaks(void);
/* A handler that waits for ever is cut off at the end of its connection's life. */
void serve_for_a_life(void);
/* Handlers close, abort and keep their connections themselves. */
void serve_and_end(void);
/* One peer may have two connections. */
void serve_so_many(void);

#endif
