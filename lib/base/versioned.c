/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Structures that later versions may extend. */
#include "base/versioned.h"

#include <string.h>

static size_t size_of(const void *structure)
{
    size_t size;

    memcpy(&size, structure, sizeof(size));
    return size;
}

bool nb__versioned_sized(const void *structure)
{
    size_t size = size_of(structure);

    return size >= sizeof(size) && size <= NB__VERSIONED_MOST && size % sizeof(size) == 0;
}

bool nb__versioned_read(void *known, size_t known_size, const void *given)
{
    const unsigned char *bytes = given;
    size_t size = given == NULL ? 0 : size_of(given);

    memset(known, 0, known_size);
    if (given == NULL)
        return true;
    if (!nb__versioned_sized(given))
        return false;
    for (size_t i = known_size; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    memcpy(known, given, size < known_size ? size : known_size);
    return true;
}

bool nb__versioned_write(void *given, const void *known, size_t known_size, unsigned char unknown)
{
    size_t size = size_of(given);
    size_t filled = size < known_size ? size : known_size;

    if (!nb__versioned_sized(given))
        return false;
    memset((unsigned char *)given + sizeof(size), unknown, size - sizeof(size));
    memcpy((unsigned char *)given + sizeof(size), (const unsigned char *)known + sizeof(size),
           filled - sizeof(size));
    return true;
}
