/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: option structures that grow from version to version. */
#ifndef NETBASICS_OPTIONS_H
#define NETBASICS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* The rules for every structure that begins with its size, in both directions:

   - What a later version appends is an int64_t (a switch, too) or a pointer, but behind an odd number of
     pointers an int64_t: where a pointer has 4 bytes, padding may follow the last of them, and a field
     that comes to lie there would be whatever an older caller has left in it. So every byte behind the
     fields that are known here belongs to a field that is not, and has to be zero. NB__VERSIONED_SOLID()
     checks that there is no other padding, where pointers have 8 bytes.
   - No structure is ever larger than NB__VERSIONED_MOST. A size beyond that, or one that does not end on
     a field's boundary, was never set: nothing behind it may be read or written. */
#define NB__VERSIONED_MOST 1024

/* How many of its bytes are no fields: what is given are the number of pointers and of int64_t. */
#define NB__VERSIONED_SOLID(type, pointers, numbers)                                               \
    _Static_assert(sizeof(void *) < 8 ||                                                           \
                       sizeof(type) == sizeof(size_t) + (size_t)8 * ((pointers) + (numbers)),      \
                   #type " has padding, or is not listed in full")

/* What to say of options that nb__versioned_read() refuses. */
#define NB__VERSIONED_REFUSED                                                                      \
    "the size of the options was not set, or one of them is not known to this version"

/* Whether the size at the beginning of a structure can be one. */
bool nb__versioned_sized(const void *structure);

/* Reads the options a caller gave, whatever version of the structure it knows (its first member is
   the size), into the version known here. NULL and fields that the caller does not know become
   zero. False when the size makes no sense, or a field that is not known here is not zero. */
bool nb__versioned_read(void *known, size_t known_size, const void *given);

/* The other direction: fills as much of a result structure as the caller knows. The bytes of fields
   that are not known here become `unknown`. False, and it is untouched, when the size makes no sense. */
bool nb__versioned_write(void *given, const void *known, size_t known_size, unsigned char unknown);

#endif
