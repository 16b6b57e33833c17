/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief Standard input, output and error as a program of the command line needs them.
 *
 * Each call waits as long as it must, even on descriptors that another program has made non-blocking.
 * A failure to write is a failure of the program, not a signal. Only one message of failure is printed.
 */
#ifndef NETBASICS_EXAMPLES_STANDARD_IO_H
#define NETBASICS_EXAMPLES_STANDARD_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#if defined(__GNUC__)
/** @brief Lets the compiler check a function's arguments against its format, the parameter @p n. */
#define LIKE_PRINTF(n) __attribute__((format(printf, n, (n) + 1)))
#else
#define LIKE_PRINTF(n)
#endif

/**
 * @brief Makes the standard descriptors safe to use. Must be the first call of a program.
 * @param program  the program's name, which begins each message of failure.
 */
void prepare_standard_io(const char *program);

/**
 * @brief Returns the program's name.
 * @return what prepare_standard_io() was given.
 */
const char *program_name(void);

/**
 * @brief Reads what standard input has; waits until there is something.
 * @param[out] buffer  receives the bytes.
 * @param capacity     how many fit.
 * @return how many bytes; 0 at the end; -1 after a failure, which has been reported as by fail().
 */
ssize_t read_input(char *buffer, size_t capacity);

/**
 * @brief Writes all bytes to standard output, as they are.
 * @param bytes   the bytes.
 * @param length  how many.
 * @return whether it worked; a failure has been reported as by fail().
 */
bool write_output(const char *bytes, size_t length);

/**
 * @brief Writes what a peer has sent to standard output, escaped: see escape().
 *
 * close_output() tells whether it worked.
 *
 * @param before  text to print before it, as it is.
 * @param bytes   what the peer has sent.
 * @param length  how many bytes.
 * @param after   text to print after it, as it is.
 */
void print_escaped(const char *before, const char *bytes, size_t length, const char *after);

/**
 * @brief Closes standard output: only then is it known whether everything could be written.
 * @return the exit status: 0, or 1 after a failure, which has been reported as by fail().
 */
int close_output(void);

/**
 * @brief Reports on standard error why the program fails, in a line that begins with its name.
 *
 * Only the first call prints: with several threads, the other failures follow from the first.
 *
 * @param format  as for printf(), without the newline.
 * @return the exit status 1.
 */
int fail(const char *format, ...) LIKE_PRINTF(1);

/**
 * @brief Reports, as fail() does, what the system has refused; the reason comes from errno.
 * @param what  what was tried.
 * @return the exit status 1.
 */
int fail_with_errno(const char *what);

/**
 * @brief Shows a line on the terminal of standard error, in place of the one shown before.
 *
 * fail() erases it.
 *
 * @param text  the line, without a newline.
 */
void show_status_line(const char *text);

/** @brief Ends the line that is shown, if there is one: it stays on the terminal. */
void end_status_line(void);

#endif
