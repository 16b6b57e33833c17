/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: structures that later versions may extend. */
#ifndef NETBASICS_VERSIONED_H
#define NETBASICS_VERSIONED_H

#include <stdbool.h>
#include <stddef.h>

/* The rules for every structure that begins with its size, whether the caller or the library fills it:

   - A later version appends only int64_t fields (for switches, too) and pointers; after an odd number of
     pointers, an int64_t. With 4-byte pointers, padding may follow an odd number of them, and a new
     pointer placed there would hold whatever an older caller left in that padding. So every byte after
     the fields known here belongs to a newer field, and has to be zero. NB__VERSIONED_SOLID() checks,
     with 8-byte pointers, that there is no other padding.
   - No structure is ever larger than NB__VERSIONED_MOST. A larger size, or one that is not a multiple of
     sizeof(size_t), means that the caller never set it: nothing after it may be read or written. */
#define NB__VERSIONED_MOST 1024

/* Fails the build if a structure with so many pointers and int64_t fields has padding. */
#define NB__VERSIONED_SOLID(type, pointers, numbers)                                               \
    _Static_assert(sizeof(void *) < 8 ||                                                           \
                       sizeof(type) == sizeof(size_t) + (size_t)8 * ((pointers) + (numbers)),      \
                   #type " has padding, or is not listed in full")

/* The reason given when nb__versioned_read() refuses options. */
#define NB__VERSIONED_REFUSED                                                                      \
    "the size of the options was not set, or one of them is not known to this version"

/* Whether the size at the beginning of a structure is plausible. */
bool nb__versioned_sized(const void *structure);

/* Reads a caller's options, of an older or newer version (the first member is the size), into the
   version known here. Fields that the caller does not know become zero; with NULL, all of them.
   False when the size is not plausible, or a field that is not known here is not zero. */
bool nb__versioned_read(void *known, size_t known_size, const void *given);

/* The other direction: fills as much of a result structure as the caller knows. The bytes of fields
   that are not known here become `unknown`. False, and nothing written, when the size is not
   plausible. */
bool nb__versioned_write(void *given, const void *known, size_t known_size, unsigned char unknown);

#endif
