/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief The moment until which a call may wait.
 */
#ifndef NETBASICS_DEADLINE_H
#define NETBASICS_DEADLINE_H

#include <netbasics/export.h>
#include <stdbool.h>
#include <stdint.h>

/** @defgroup deadline Deadlines
 *  @brief Absolute points on the monotonic clock, so that retries never make a wait longer.
 *
 *  Every call that can wait takes a deadline as its last input. It bounds the whole call, however
 *  many steps that takes, and neither a signal nor progress extends it. Make one deadline and pass
 *  it to several calls to bound them together. Setting the wall clock has no influence.
 *
 *  A deadline that has passed makes a call fail with NB_TIMEOUT at once, even when it could have
 *  been served, and nothing is consumed. Only nb_recv_line(), nb_recv_until(), nb_recv_frame() and the calls
 *  that skip still take what is complete in the connection's buffer. (nb_wait_readable() is the way to ask
 *  whether something is there right now.)
 *  @{
 */

/**
 * @brief A point in time.
 *
 * A structure and not a number, so that the compiler rejects a time-out passed by mistake. All
 * zeroes is a deadline that has passed.
 */
typedef struct nb_deadline {
    int64_t ns; /**< Nanoseconds on CLOCK_MONOTONIC; INT64_MAX means never. Treat as private. */
} nb_deadline;

NB_BEGIN_DECLS

/**
 * @brief Makes the deadline that never comes.
 *
 * @return a deadline for which nb_expired() is never true.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{values.c, nb_forever}
 */
NB_API nb_deadline nb_forever(void);

/**
 * @brief Makes a deadline that many milliseconds from now.
 *
 * @param ms  milliseconds from now. 0 or less: a deadline that has passed already. Values too large
 *            for the clock give nb_forever().
 * @return the deadline.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler (clock_gettime(2)).
 * @sample{values.c, nb_after_ms}
 */
NB_API nb_deadline nb_after_ms(int64_t ms);

/**
 * @brief Tells how much time is left.
 *
 * @param by  the deadline.
 * @return milliseconds, rounded up (so that 0 means exactly that the deadline has passed);
 *         INT64_MAX for nb_forever().
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{values.c, nb_remaining_ms}
 */
NB_API int64_t nb_remaining_ms(nb_deadline by);

/**
 * @brief Tells whether a deadline has passed.
 *
 * @param by  the deadline.
 * @return true from that moment on; never for nb_forever().
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{values.c, nb_expired}
 */
NB_API bool nb_expired(nb_deadline by);

NB_END_DECLS

/** @} */

#endif
