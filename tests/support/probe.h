/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: what the transfers and the allocations of a case are like, and transfers that fall
 *         short. How often they are called, and whether they fail, is for the double. */
#ifndef NETBASICS_TESTS_SUPPORT_PROBE_H
#define NETBASICS_TESTS_SUPPORT_PROBE_H

#include "support.h"

#include <sys/types.h>

/* A kind of call. */
struct probe_call {
    size_t limit;           /* most bytes that one may move; 0: as many as it likes */
    _Atomic size_t longest; /* the longest length that was asked for */
    _Atomic size_t last;    /* the length that was asked for last */
};

struct probe {
    struct probe_call receive;
    struct probe_call send;
    struct probe_call allocate;
    atomic_bool asked_so_error;
    void (*after_send)(void); /* called when a send comes back, in its thread */
};
extern struct probe probe;

/* Forgets what was called so far. */
void probe_clear(void);
/* How many system calls of all kinds there were. */
int probe_total(void);

/* The set-up and tear-down of a case: all as if untouched; and at the end, whether the library has
   asked for SO_ERROR, which would take away the one error that a receive has to report. */
int probe_begin(void **state);
int probe_end(void **state);

#endif
