/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: text built piece by piece in a buffer of fixed size. */
#ifndef NETBASICS_TEXT_H
#define NETBASICS_TEXT_H

#include <stddef.h>

/* A string under construction. It is always NUL-terminated, and ends with "..." once something did
   not fit. */
struct nb__text {
    char *data;
    size_t capacity;
    size_t length;
};

/* An empty text in a buffer; with a capacity of 0 or 1 it stays empty. */
struct nb__text nb__text_in(char *buf, size_t capacity);

__attribute__((format(printf, 2, 3))) void nb__text_add(struct nb__text *text, const char *format,
                                                        ...);

/* Adds bytes from outside. Backslashes and all bytes but printable ASCII are written as \xNN. */
void nb__text_add_escaped(struct nb__text *text, const void *bytes, size_t length);

#endif
