/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: from errno and EAI codes to statuses and messages. */
#ifndef NETBASICS_ERROR_INTERNAL_H
#define NETBASICS_ERROR_INTERNAL_H

#include "base/text.h"

#include <netbasics/error.h>
#include <stdint.h>

/* The status of an errno, from the one table that maps them. */
nb_status nb__status_of_errno(int error);

/* The result of a step, and what a message says about it: "[WHAT: ]status (errno)[: WHY]". */
struct nb__result {
    nb_status status;
    int system_error; /* the errno or EAI code behind the status; 0: none */
    const char *what; /* the option that was refused, or what is wrong; or NULL */
    const char *why;  /* an explanation; or NULL */
};

static inline struct nb__result nb__ok(void)
{
    return (struct nb__result){.status = NB_OK};
}

static inline struct nb__result nb__failure(nb_status status, int system_error)
{
    return (struct nb__result){.status = status, .system_error = system_error};
}

/* The result of a call that returned a value >= 0, or -errno. */
struct nb__result nb__result_of(int rc);

/* The same; a failure also names what was refused, or is wrong. */
struct nb__result nb__result_about(int rc, const char *what);

/* The status of an EAI code of getaddrinfo; for EAI_SYSTEM, map the errno instead. */
nb_status nb__status_of_lookup(int code);

/* Adds the reason for a failure: the text of the status, and the name of the system's error, if
   any. */
void nb__text_add_reason(struct nb__text *text, nb_status status, int system_error);

/* Adds a whole result in the form above. */
void nb__text_add_result(struct nb__text *text, const struct nb__result *result);

/* Adds the target of an operation: text from outside, escaped, and cut when it is very long. */
void nb__text_add_target(struct nb__text *text, const char *target);

/* Sets an error to "no error". `err` may be NULL here and below. */
void nb__error_clear(nb_error *err);

/* Begins an error: sets the status and returns its message, empty, to be written. */
struct nb__text nb__error_begin(nb_error *err, nb_status status, int system_error);

/* The same, with a message that begins with "OPERATION TARGET: ". */
struct nb__text nb__error_about(nb_error *err, const struct nb__result *result,
                                const char *operation, const char *target);

/* Sets a complete error: "OPERATION TARGET: result". The target comes from outside and is escaped.
   Returns the status. */
nb_status nb__error_set(nb_error *err, struct nb__result result, const char *operation,
                        const char *target);

/* Sets an NB_INVALID error: "OPERATION: what". Returns NB_INVALID. */
nb_status nb__error_invalid(nb_error *err, const char *operation, const char *what);

/* The same for an option out of range: "OPERATION: OPTION is VALUE, expected LEAST to MOST". */
nb_status nb__error_out_of_range(nb_error *err, const char *operation, const char *option,
                                 int64_t value, int64_t least, int64_t most);

#endif
