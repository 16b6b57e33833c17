/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief Shows the progress of a long transfer to people who watch.
 */
#ifndef NETBASICS_EXAMPLES_PROGRESS_H
#define NETBASICS_EXAMPLES_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/** @brief A transfer whose progress is shown. */
typedef struct progress {
    bool wanted;      /**< Somebody may be watching. */
    bool shown;       /**< The line has been shown. */
    int64_t begun_ms; /**< When the transfer began. */
    int64_t shown_ms; /**< When the line was shown last. */
} progress;

/**
 * @brief Begins to show the progress of a transfer.
 *
 * A line with bytes, rate and time appears on standard error after two seconds, if that is a terminal
 * and standard output is none: there, the line would tear the output apart.
 *
 * @param[out] transfer  the transfer.
 * @param quiet          show nothing.
 */
void progress_begin(progress *transfer, bool quiet);

/**
 * @brief Updates the line, not more often than people can read; otherwise cheap.
 * @param transfer  the transfer.
 * @param bytes     how many have been transferred since it began.
 */
void progress_update(progress *transfer, uint64_t bytes);

/**
 * @brief Updates the line for the last time, and ends it.
 * @param transfer  the transfer.
 * @param bytes     how many were transferred.
 */
void progress_end(progress *transfer, uint64_t bytes);

#endif
