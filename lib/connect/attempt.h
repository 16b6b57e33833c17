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
    NB__ATTEMPT_WAITS, /* for its turn */
    NB__ATTEMPT_GOES,  /* has a socket, and no answer yet */
    NB__ATTEMPT_WON,   /* has a socket that is connected and blocking */
    NB__ATTEMPT_FAILED /* has no socket any more, and says why */
};

struct nb__attempt {
    const nb_address *to;
    enum nb__attempt_state state;
    int fd;
    bool asked;               /* for the connection: it got as far as that */
    struct nb__result result; /* of one that failed */
    int64_t pause_ms;         /* before it asks again, and */
    nb_deadline again;        /* when; nb_forever() while an answer may come */
};

/* What all attempts have in common. */
struct nb__connect_params {
    struct nb__socket_options options;
    nb_address local; /* where they come from, or no address */
};

/* Makes the socket and sends it on its way. */
void nb__attempt_start(struct nb__attempt *attempt, const struct nb__connect_params *params);

/* Asks again, when the time for that has come. */
void nb__attempt_ask_again(struct nb__attempt *attempt);

/* Goes on after poll(2) has shown events at the socket of an attempt that goes. */
void nb__attempt_look(struct nb__attempt *attempt, short events);

/* Closes the socket of an attempt, and says why. */
void nb__attempt_fail(struct nb__attempt *attempt, struct nb__result result);

/* Adds "ADDRESS: what became of it" to a message. */
void nb__attempt_describe(const struct nb__attempt *attempt, struct nb__text *text);

#endif
