/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: how failures of the system become statuses and messages. */
#ifndef NETBASICS_ERROR_INTERNAL_H
#define NETBASICS_ERROR_INTERNAL_H

#include "base/text.h"

#include <netbasics/error.h>
#include <stdint.h>

/* The status of an errno, from the one table that maps them. */
nb_status nb__status_of_errno(int number);

/* The status of an EAI code of getaddrinfo; for EAI_SYSTEM, map the errno instead. */
nb_status nb__status_of_lookup(int code);

/* Adds the reason for a failure: the status in words, and what the system called it, if anything. */
void nb__text_add_reason(struct nb__text *text, nb_status status, int system_error);

/* Adds what a message is about: text from outside, escaped, and cut when it is very long. */
void nb__text_add_target(struct nb__text *text, const char *target);

/* Sets an error to "no error". NULL is fine here and below. */
void nb__error_clear(nb_error *err);

/* Begins an error: sets the status and gives the text that is to become its message. */
struct nb__text nb__error_begin(nb_error *err, nb_status status, int system_error);

/* The same, with "OPERATION SUBJECT: " in it already. */
struct nb__text nb__error_about(nb_error *err, nb_status status, int system_error,
                                const char *operation, const char *target);

/* Sets a whole error: "OPERATION TARGET: reason", where the target comes from outside and is
   escaped. Returns the status. */
nb_status nb__error_set(nb_error *err, nb_status status, int system_error, const char *operation,
                        const char *target);

/* Sets an NB_INVALID error: "OPERATION: what". Returns NB_INVALID. */
nb_status nb__error_invalid(nb_error *err, const char *operation, const char *what);

/* The same of an option's number: "OPERATION: OPTION is VALUE, expected LEAST to MOST". */
nb_status nb__error_out_of_range(nb_error *err, const char *operation, const char *option,
                                 int64_t value, int64_t least, int64_t most);

#endif
