/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: how failures of the system become statuses and messages. */
#ifndef NETBASICS_ERROR_INTERNAL_H
#define NETBASICS_ERROR_INTERNAL_H

#include "base/text.h"

#include <netbasics/error.h>
#include <stdint.h>

/* The status of an errno, from the one table that maps them. */
nb_status nb__status_of_errno(int error);

/* What became of something, and what a message tells of it: "[WHAT: ]status (errno)[: WHY]". */
struct nb__result {
    nb_status status;
    int system_error; /* the errno or EAI code behind the status; 0: none */
    const char *what; /* what was refused (an option) or is wrong; NULL: nothing in particular */
    const char *why;  /* more about it; or NULL */
};

static inline struct nb__result nb__ok(void)
{
    return (struct nb__result){.status = NB_OK};
}

static inline struct nb__result nb__failure(nb_status status, int system_error)
{
    return (struct nb__result){.status = status, .system_error = system_error};
}

/* The result of what returned 0 or more, or -errno. */
struct nb__result nb__result_of(int rc);

/* The same; on failure it names what was refused, or is wrong. */
struct nb__result nb__result_about(int rc, const char *what);

/* The status of an EAI code of getaddrinfo; for EAI_SYSTEM, map the errno instead. */
nb_status nb__status_of_lookup(int code);

/* Adds the reason for a failure: the status in words, and what the system called it, if anything. */
void nb__text_add_reason(struct nb__text *text, nb_status status, int system_error);

/* The same with what else is known of it. */
void nb__text_add_result(struct nb__text *text, const struct nb__result *result);

/* Adds what a message is about: text from outside, escaped, and cut when it is very long. */
void nb__text_add_target(struct nb__text *text, const char *target);

/* Sets an error to "no error". NULL is fine here and below. */
void nb__error_clear(nb_error *err);

/* Begins an error: sets the status and gives the text that is to become its message. */
struct nb__text nb__error_begin(nb_error *err, nb_status status, int system_error);

/* The same, with "OPERATION TARGET: " in it already. */
struct nb__text nb__error_about(nb_error *err, const struct nb__result *result,
                                const char *operation, const char *target);

/* Sets a whole error: "OPERATION TARGET: result", where the target comes from outside and is
   escaped. Returns the status. */
nb_status nb__error_set(nb_error *err, struct nb__result result, const char *operation,
                        const char *target);

/* Sets an NB_INVALID error: "OPERATION: what". Returns NB_INVALID. */
nb_status nb__error_invalid(nb_error *err, const char *operation, const char *what);

/* The same of an option's number: "OPERATION: OPTION is VALUE, expected LEAST to MOST". */
nb_status nb__error_out_of_range(nb_error *err, const char *operation, const char *option,
                                 int64_t value, int64_t least, int64_t most);

#endif
