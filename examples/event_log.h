/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief The log of a server: what happens in nb_serve(), a line for each event.
 */
#ifndef NETBASICS_EXAMPLES_EVENT_LOG_H
#define NETBASICS_EXAMPLES_EVENT_LOG_H

#include <netbasics/serve.h>
#include <stdbool.h>

/** @brief Where and how a server logs. */
typedef struct event_log {
    const char *greeting; /**< Begins the line for a new connection. */
    bool quiet;           /**< Do not log each connection. */
    int output;           /**< The descriptor for ordinary events. */
    int errors;           /**< The descriptor for problems. */
} event_log;

/**
 * @brief Opens the log: standard output for ordinary events, standard error for problems.
 * @param[out] log  what log_event() takes as its context.
 * @param greeting  begins the line for a new connection; the client's address follows.
 * @param quiet     do not log each connection.
 */
void open_event_log(event_log *log, const char *greeting, bool quiet);

/**
 * @brief Logs an event; an ::nb_event_handler.
 *
 * A log must never stop a server: a line that cannot be written at once is dropped.
 *
 * @param event    what has happened.
 * @param context  the ::event_log.
 */
void log_event(const nb_event *event, void *context);

#endif
