/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: one attempt to connect to one address. */
#ifndef NETBASICS_ATTEMPT_H
#define NETBASICS_ATTEMPT_H

#include "base/error_internal.h"
#include "net/socket_options.h"

#include <netbasics/address.h>
#include <netbasics/deadline.h>
#include <stdbool.h>
#include <stdint.h>

enum nb__attempt_state {
    NB__ATTEMPT_WAITS, /* not started yet */
    NB__ATTEMPT_GOES,  /* has a socket, no answer yet */
    NB__ATTEMPT_WON,   /* has a connected, blocking socket */
    NB__ATTEMPT_FAILED /* has no socket any more; `result` says why */
};

struct nb__attempt {
    const nb_address *to;
    enum nb__attempt_state state;
    int fd;
    bool asked;               /* connect(2) was called */
    struct nb__result result; /* of an attempt that failed */
    int64_t pause_ms;         /* how long to pause before the next connect(2) */
    nb_deadline again;        /* when to call it; nb_forever() while an answer may come */
};

/* What all attempts have in common. */
struct nb__connect_params {
    struct nb__socket_options options;
    nb_address local; /* the address to bind to, or none */
};

/* Makes the socket and begins to connect it. */
void nb__attempt_start(struct nb__attempt *attempt, const struct nb__connect_params *params);

/* Calls connect(2) again, if it is time for that. */
void nb__attempt_ask_again(struct nb__attempt *attempt);

/* Goes on after poll(2) reported events on the socket. */
void nb__attempt_look(struct nb__attempt *attempt, short events);

/* Closes the socket of an attempt, and records why. */
void nb__attempt_fail(struct nb__attempt *attempt, struct nb__result result);

/* Adds "ADDRESS: result" to a message. */
void nb__attempt_describe(const struct nb__attempt *attempt, struct nb__text *text);

#endif
