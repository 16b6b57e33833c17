/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief Statuses for programs to decide by, and errors with a line for people to read.
 */
#ifndef NETBASICS_ERROR_H
#define NETBASICS_ERROR_H

#include <netbasics/export.h>

/** @defgroup error Statuses and errors
 *  @brief One enumeration for every outcome, and a value in the caller's memory with the details.
 *
 *  Functions return an ::nb_status; their results come through out-parameters. A function with more
 *  to report than a status (which endpoint, which attempt failed how) takes an ::nb_error last, and
 *  accepts NULL there.
 *
 *  @par NULL arguments
 *  An argument may be NULL only if its description says so. If another one is NULL, a function that
 *  returns a status returns NB_INVALID and does nothing. Any other function does nothing, or gives
 *  what stands for nothing: 0, false, "", -1 for a descriptor, ::NB_FAMILY_NONE. Functions that
 *  close, abort, cancel or stop something take NULL as done.
 *  @{
 */

/**
 * @brief The outcome of a call.
 *
 * Values are never renumbered. Later versions may append some.
 */
typedef enum nb_status {
    /** Everything that was asked for was done. */
    NB_OK = 0,
    /** The peer ended its stream in order. */
    NB_EOF = 1,
    /** The caller's deadline passed; it never means anything else. */
    NB_TIMEOUT = 2,
    /** The program itself asked for the end: nb_cancel(), nb_listener_stop(), or the end of a drain
     *  or of a connection's life. */
    NB_CANCELLED = 3,
    /** More came than the bound allows. */
    NB_TOO_LONG = 4,
    /** Nothing listens there. */
    NB_REFUSED = 5,
    /** The peer, or something on the way, reset the connection. */
    NB_RESET = 6,
    /** No route to the peer, or it stopped answering (the kernel's own ETIMEDOUT). */
    NB_UNREACHABLE = 7,
    /** Another socket has that address or port. */
    NB_ADDRESS_IN_USE = 8,
    /** This machine does not have that address, or no port is left. */
    NB_ADDRESS_UNAVAILABLE = 9,
    /** The system does not allow it (a port below 1024, a firewall, a sandbox). */
    NB_PERMISSION = 10,
    /** The host name does not exist, or has no address. */
    NB_NAME_NOT_FOUND = 11,
    /** The name could not be looked up now; later it may work. */
    NB_NAME_TEMPORARY = 12,
    /** The text is not an endpoint, or not one for this purpose. */
    NB_BAD_ENDPOINT = 13,
    /** An argument breaks the function's contract: a bug in the calling program. */
    NB_INVALID = 14,
    /** The process or the system has no file descriptor left. */
    NB_NO_DESCRIPTORS = 15,
    /** The process or the kernel has no memory left for it. */
    NB_NO_MEMORY = 16,
    /** The system, or this version of the library, cannot do that. */
    NB_UNSUPPORTED = 17,
    /** Something else failed; nb_error::system_error says what. */
    NB_SYSTEM = 18,
    /** The server is stopping, and the connection was between two requests: nb_conn_idle(). */
    NB_STOPPING = 19
} nb_status;

/** @brief Bytes of nb_error::message, the final NUL included. */
#define NB_ERROR_MESSAGE_MAX 1536

/**
 * @brief What went wrong, in the caller's memory.
 *
 * Needs no initialisation and no cleanup. A function that takes one writes all of it when it fails,
 * and sets it to NB_OK, 0 and an empty message when it succeeds.
 */
typedef struct nb_error {
    nb_status status; /**< The status that the function returned. */
    int system_error; /**< The errno, or the EAI code of a name lookup, behind it; 0 if none. */
    /** @brief One printable line: operation, endpoint, reason, and every attempt that was made.
     *  Bytes from outside the program are escaped. */
    char message[NB_ERROR_MESSAGE_MAX];
} nb_error;

NB_BEGIN_DECLS

/**
 * @brief Returns the name of a status, as in the source code.
 *
 * @param status  a status, or any other value that an int can have.
 * @return such as "NB_REFUSED", or "NB_UNKNOWN" for a value that is no status: a constant string,
 *         never NULL.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{values.c, nb_status_name}
 */
NB_API const char *nb_status_name(nb_status status);

/**
 * @brief Returns in a few English words what a status means.
 *
 * The text does not follow the locale.
 *
 * @param status  a status, or any other value that an int can have.
 * @return such as "connection refused", or "unknown status" for a value that is no status: a
 *         constant string, never NULL.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{values.c, nb_status_name}
 */
NB_API const char *nb_status_text(nb_status status);

NB_END_DECLS

/** @} */

#endif
