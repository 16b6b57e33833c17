/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief Makes bytes from outside harmless to a terminal.
 */
#ifndef NETBASICS_EXAMPLES_ESCAPE_H
#define NETBASICS_EXAMPLES_ESCAPE_H

#include <stddef.h>

enum {
    ESCAPED_BYTE_MAX = 4,                             /**< Characters that one byte may become. */
    ESCAPED_ARGUMENT_MAX = 250 + ESCAPED_BYTE_MAX + 1 /**< Room for what a message quotes. */
};

/**
 * @brief Writes bytes as printable ASCII.
 *
 * What is not printable comes out as `\n`, `\r`, `\t` or `\xNN`; backslashes and quotes get a
 * backslash. What does not fit is left out, but no byte is cut in half.
 *
 * @param[out] text  receives the characters and a NUL.
 * @param capacity   room in @p text; `ESCAPED_BYTE_MAX * length + 1` is always enough.
 * @param bytes      the bytes.
 * @param length     how many.
 * @return how many characters were written, without the NUL.
 */
size_t escape(char *text, size_t capacity, const char *bytes, size_t length);

#endif
