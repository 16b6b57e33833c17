/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the addresses of a host race for a connection. */
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
    nb_deadline next_start; /* when the next attempt begins, if nothing happens before */
    struct nb__attempt attempts[NB__ADDRESSES_MAX];
};

/* Prepares a race between addresses, at least one. They, the parameters and what cancels must stay as long as the race. */
void nb__race_prepare(struct nb__race *race, const struct nb__addresses *addresses,
                      const struct nb__connect_params *params, struct nb__cancels *cancels);

/* Runs it. On NB_OK *winner is the attempt that has the socket; all others are closed. Otherwise none
   is left. */
struct nb__result nb__race_run(struct nb__race *race, nb_deadline by,
                               const struct nb__attempt **winner);

/* Tells what became of each attempt of a race that failed. */
void nb__race_describe(const struct nb__race *race, struct nb__text *text);

#endif
