/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief Reports failures of the library to people: what failed, why, and what they can do about it.
 */
#ifndef NETBASICS_EXAMPLES_FAILURE_H
#define NETBASICS_EXAMPLES_FAILURE_H

#include <netbasics/error.h>

/**
 * @brief Reports, as fail() does, an error of the library.
 * @param err  what a function of the library has filled in.
 * @return the exit status 1.
 */
int fail_with(const nb_error *err);

/**
 * @brief Reports, as fail() does, that the answer is not complete.
 * @param endpoint  who was to answer.
 * @param status    what a receive has returned; NB_EOF: the answer ended too early.
 * @return the exit status 1.
 */
int fail_to_receive(const char *endpoint, nb_status status);

#endif
