/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: option structures that grow from version to version. */
#ifndef NETBASICS_OPTIONS_H
#define NETBASICS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the options a caller gave, whatever version of the structure it knows (its first member is
   the size), into the version known here. NULL and fields that the caller does not know become
   zero. False when the size makes no sense, or a field that is not known here is not zero. */
bool nb__options_read(void *known, size_t known_size, const void *given);

/* The other direction: fills as much of a result structure as the caller knows. The bytes of fields
   that are not known here become `unknown`. */
void nb__options_write(void *given, const void *known, size_t known_size, unsigned char unknown);

#endif
