/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: a second way between the two hosts of wire.h, whose packets a thread carries one
 *         by one from one TUN device to the other: late, out of order, twice or damaged. */
#ifndef NETBASICS_TESTS_SHUTTLE_H
#define NETBASICS_TESTS_SHUTTLE_H

#include "wire.h"

#define FAR_IPV4 "10.8.0.2"
#define FAR_IPV6 "fd08::2"

/* What happens to each packet, at random, but in every run the same. */
struct shuttle {
    int delay_ms;
    int jitter_ms;       /* added to the delay: 0 to so many, which reorders */
    int twice_percent;   /* delivered twice */
    int damaged_percent; /* delivered with a wrong bit */
};

/* Begins to carry. When that cannot be, the word why not; else NULL. */
const char *shuttle_begin(const struct shuttle *how);
/* How many packets were carried so far, and how many of them overtook another one. */
void shuttle_counts(size_t *carried, size_t *overtook);

/* A case that may begin a shuttle, which ends with it. */
int shuttle_case_end(void **state);
#define SHUTTLE_CASE(name) WIRE_CASE_UNTIL(name, shuttle_case_end)

/* Begins to carry, or skips the case. */
#define need_shuttle(...)                                                                          \
    do {                                                                                           \
        const char *why_not_ = shuttle_begin(&(struct shuttle){__VA_ARGS__});                      \
        if (why_not_ != NULL)                                                                      \
            skip_because(why_not_);                                                                \
    } while (0)

#endif
