/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Deadlines on the monotonic clock, with saturating arithmetic. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/deadline_internal.h"

#include <time.h>

int64_t nb__now_ns(void)
{
    struct timespec now;

    /* It cannot fail: the clock exists, and the pointer is valid. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NB__NS_PER_S + now.tv_nsec;
}

nb_deadline nb__ms_after(int64_t now_ns, int64_t ms)
{
    if (ms > (INT64_MAX - now_ns) / NB__NS_PER_MS)
        return nb_forever();
    return (nb_deadline){now_ns + ms * NB__NS_PER_MS};
}

nb_deadline nb_forever(void)
{
    return (nb_deadline){INT64_MAX};
}

nb_deadline nb_after_ms(int64_t ms)
{
    if (ms <= 0)
        return (nb_deadline){0};
    return nb__ms_after(nb__now_ns(), ms);
}

int64_t nb_remaining_ms(nb_deadline by)
{
    int64_t left;

    if (nb__is_forever(by))
        return INT64_MAX;
    left = nb__remaining_ns(by, nb__now_ns());
    return left / NB__NS_PER_MS + (left % NB__NS_PER_MS != 0);
}

bool nb_expired(nb_deadline by)
{
    return !nb__is_forever(by) && by.ns <= nb__now_ns();
}
