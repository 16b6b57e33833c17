/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Steps that listen and accept, made again where that is allowed. */
#ifndef NETBASICS_TESTS_LISTENING_H
#define NETBASICS_TESTS_LISTENING_H

#include "fault.h"

/* Listens: NULL when that cannot be. */
nb_listener *listening(const char *endpoint, const nb_listen_options *options, enum api api);
/* Accepts: NULL when that cannot be. */
nb_conn *accepted(nb_listener *listener);
/* Connects to a listener's socket, is accepted, talks. */
void talk_at(nb_listener *listener, size_t index);

#endif
