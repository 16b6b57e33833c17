/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: when connections wait because all places of handlers are taken. */
#ifndef NETBASICS_SATURATION_H
#define NETBASICS_SATURATION_H

#include <stdbool.h>
#include <stdint.h>

/* The system does not tell how long a connection has been in the accept queue. But of two looks, a second
   apart, it follows: when fewer were accepted meanwhile than were in the queue the first time, one of these
   has waited for a second. All zeroes to begin with. */
struct nb__saturation {
    bool watched;     /* there are looks, at intervals of a second or more */
    bool was_full;    /* all places were taken at some time since the last look */
    bool reached;     /* it is an episode */
    uint64_t waiting; /* how many waited at the last look while all places were taken */
    uint64_t taken;   /* how many had been accepted before that look, in all */
};

/* What there is at a look. */
struct nb__saturation_look {
    bool full;             /* all places are taken */
    uint64_t waiting;      /* in the queues; 1 where a system only tells that there are any */
    uint64_t taken_before; /* accepted so far, counted before `waiting` */
    uint64_t taken;        /* the same, counted when `full` was found */
};

enum nb__saturation_change { NB__SATURATION_SAME, NB__SATURATION_REACHED, NB__SATURATION_CLEARED };

/* All places have been taken. True when the looks have to begin. */
bool nb__saturation_full(struct nb__saturation *saturation);

/* What a look comes to. `watched` says whether there has to be another. */
enum nb__saturation_change nb__saturation_look(struct nb__saturation *saturation,
                                               const struct nb__saturation_look *look);

#endif
