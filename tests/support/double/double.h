/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One double for all that tests replace: the functions of lib/sys/sys.h and of others.txt.
 *
 *  Whoever calls such a function in a test program calls the double. It counts the call, lets it fail when
 *  a fault is due, and otherwise calls the function in sys: the real one, unless the test has set another.
 *
 *      fail_next(ON_POLL, EINTR, 1);         the next poll is interrupted
 *      sys.poll = poll_that_lies;            until the end of the case
 *      REPLACE(poll, poll_that_lies)         in all cases of the program
 *      real.poll(fds, count, by)             the real one
 *      calls(ON_POLL)                        so many were called in this case
 *
 *  A function NAME of the C library is called libc_NAME here, unless it is one of pthread_NAME. */
#ifndef NETBASICS_TESTS_DOUBLE_H
#define NETBASICS_TESTS_DOUBLE_H

#include "sys/sys.h"

#include <netbasics/conn.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

struct nb__handling;
struct nb__server;

#include "calls.h" /* enum call, struct sys: one member for each function */

/* What is called; it may be set while threads run. Every case begins with what is usual. */
extern struct sys sys;
extern struct sys usual;
extern const struct sys real;

#define REPLACE(name, function)                                                                    \
    __attribute__((constructor)) static void replace_##name(void)                                  \
    {                                                                                              \
        sys.name = usual.name = (function);                                                        \
    }

/* Lets the calls after the next few fail so many times (-1: from then on). Here and below, ON_SEND is for
   sendmsg, too, and ON_LIBC_MALLOC for calloc(3) and realloc(3). */
void fail_after(enum call call, int good, int error, int times);
void fail_next(enum call call, int error, int times);
/* How many calls there were in this case, and since they were forgotten. */
int calls(enum call call);
void forget_calls(void);

/* The begin of a case: nothing was called, nothing fails, everything is as usual. */
void double_reset(void);

/* Asked at each call instead of the above when it is set: 0, or the error that the call has to give.
   `which` is level << 16 | name for an option of a socket, and 0 otherwise. */
extern int (*decide_fault)(enum call call, int which);

/* For the generated functions. */
int call_begins(enum call call, int which);
/* Whether a call does what it is for although it fails so. */
bool happens_anyway(enum call call, int error);

#endif
