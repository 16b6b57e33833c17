/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief Deadlines: until when a call may wait.
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
 *  With an expired deadline a call fails with NB_TIMEOUT at once, even if it could have succeeded,
 *  and nothing is consumed. Only nb_recv_line(), nb_recv_until(), nb_recv_frame(), nb_skip_line()
 *  and nb_skip_until() still take what is complete in the connection's read-ahead. (To ask whether
 *  something is there right now, use nb_wait_readable().)
 *  @{
 */

/**
 * @brief A point in time.
 *
 * A structure and not a number, so that the compiler rejects a timeout passed by mistake. All
 * zeroes is an expired deadline.
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
 * @param ms  milliseconds from now. 0 or less: an expired deadline. Values too large for the clock
 *            give nb_forever().
 * @return the deadline.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler (clock_gettime(2)).
 * @sample{values.c, nb_after_ms}
 */
NB_API nb_deadline nb_after_ms(int64_t ms);

/**
 * @brief Returns how much time is left.
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
 * @brief Returns whether a deadline has passed.
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
