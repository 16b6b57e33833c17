/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: stands between the library and the system, counts calls, makes them fail or
 *         fall short.
 */
#ifndef NETBASICS_TESTS_SUPPORT_PROBE_H
#define NETBASICS_TESTS_SUPPORT_PROBE_H

#include "support.h"

#include <sys/types.h>

/* A kind of call. */
struct probe_call {
    atomic_int calls;       /* how many there were */
    atomic_int failures;    /* how many of the next ones fail */
    int error;              /* with which errno */
    size_t limit;           /* most bytes that one may move; 0: as many as it likes */
    _Atomic size_t longest; /* the longest length that was asked for */
    _Atomic size_t last;    /* the length that was asked for last */
};

struct probe {
    struct probe_call receive;
    struct probe_call send; /* nb__sys_send() and nb__sys_sendmsg() */
    struct probe_call poll;
    struct probe_call set_option;
    struct probe_call get_option;
    struct probe_call allocate;
    atomic_bool asked_so_error;
    void (*after_send)(void); /* called when a send comes back, in its thread */
};
extern struct probe probe;

/* Makes the next calls of a kind fail. */
void probe_fail(struct probe_call *call, int times, int error);
/* Forgets what was counted so far. */
void probe_clear(void);
/* How many system calls of all kinds were counted. */
int probe_total(void);

/* The set-up and tear-down of a case: all as if untouched; and at the end, whether the library has
   asked for SO_ERROR, which would take away the one error that a receive has to report. */
int probe_begin(void **state);
int probe_end(void **state);

#endif
