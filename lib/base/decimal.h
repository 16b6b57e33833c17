/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: plain decimal numbers, read strictly. */
#ifndef NETBASICS_DECIMAL_H
#define NETBASICS_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a number from 0 to max: decimal, without sign, space or leading zero. */
bool nb__decimal_read(const char *text, size_t length, uint32_t max, uint32_t *out);

#endif
