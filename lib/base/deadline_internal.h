/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the clock, and arithmetic on deadlines. */
#ifndef NETBASICS_DEADLINE_INTERNAL_H
#define NETBASICS_DEADLINE_INTERNAL_H

#include <netbasics/deadline.h>
#include <stdbool.h>
#include <stdint.h>

#define NB__NS_PER_MS INT64_C(1000000)
#define NB__NS_PER_S INT64_C(1000000000)

static inline bool nb__is_forever(nb_deadline by)
{
    return by.ns == INT64_MAX;
}

static inline nb_deadline nb__earlier(nb_deadline a, nb_deadline b)
{
    return a.ns < b.ns ? a : b;
}

/* Nanoseconds on the monotonic clock. */
int64_t nb__now_ns(void);

/* The deadline `ms` milliseconds (not negative) after `now_ns`, at most nb_forever(). */
nb_deadline nb__ms_after(int64_t now_ns, int64_t ms);

/* Nanoseconds left at `now_ns`: 0 when the deadline has passed, INT64_MAX for nb_forever(). */
static inline int64_t nb__remaining_ns(nb_deadline by, int64_t now_ns)
{
    if (nb__is_forever(by))
        return INT64_MAX;
    return by.ns > now_ns ? by.ns - now_ns : 0;
}

#endif
