/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: saturation: connections wait because all handlers are busy. */
#ifndef NETBASICS_SATURATION_H
#define NETBASICS_SATURATION_H

#include <stdbool.h>
#include <stdint.h>

/* The system does not tell how long a connection has been in the accept queue. But it follows from
   two checks, a second apart: if fewer were accepted in between than were in the queue at the first
   check, one of these has waited for a second. All zeroes to begin with. */
struct nb__saturation {
    bool watched;     /* it is checked, at intervals of a second or more */
    bool was_full;    /* all handlers were busy at some time since the last check */
    bool reached;     /* an episode of saturation goes on */
    uint64_t waiting; /* how many waited at the last check while all handlers were busy */
    uint64_t taken;   /* how many had been accepted before that check, in all */
};

/* What is found at a check. */
struct nb__saturation_look {
    bool full;             /* all handlers are busy */
    uint64_t waiting;      /* in the accept queues; 1 if the system only tells that there are any */
    uint64_t taken_before; /* accepted so far, counted before `waiting` */
    uint64_t taken;        /* the same, counted when `full` was found */
};

enum nb__saturation_change { NB__SATURATION_SAME, NB__SATURATION_REACHED, NB__SATURATION_CLEARED };

/* All handlers have become busy. True when checking has to begin. */
bool nb__saturation_full(struct nb__saturation *saturation);

/* The result of a check. `watched` says whether there has to be another. */
enum nb__saturation_change nb__saturation_look(struct nb__saturation *saturation,
                                               const struct nb__saturation_look *look);

#endif
