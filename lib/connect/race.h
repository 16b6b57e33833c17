/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the race of a host's addresses for a connection. */
#ifndef NETBASICS_RACE_H
#define NETBASICS_RACE_H

#include "base/error_internal.h"
#include "connect/attempt.h"
#include "net/resolve.h"
#include "wait/cancellable.h"

#include <netbasics/deadline.h>

struct nb__race {
    const struct nb__connect_params *params;
    struct nb__cancels *cancels;
    size_t count;
    size_t begun;
    nb_deadline next_start; /* when the next attempt starts, unless one fails before */
    struct nb__attempt attempts[NB__ADDRESSES_MAX];
};

/* Prepares a race between addresses, at least one. All that is passed must outlive the race. */
void nb__race_prepare(struct nb__race *race, const struct nb__addresses *addresses,
                      const struct nb__connect_params *params, struct nb__cancels *cancels);

/* Runs it. On NB_OK *winner is the attempt that has the socket; all other sockets are closed. On
   failure, all are. */
struct nb__result nb__race_run(struct nb__race *race, nb_deadline by,
                               const struct nb__attempt **winner);

/* Adds the result of each attempt of a failed race to a message. */
void nb__race_describe(const struct nb__race *race, struct nb__text *text);

#endif
