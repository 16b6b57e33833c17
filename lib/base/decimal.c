/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Plain decimal numbers, read strictly: getaddrinfo would take " 80", "+80" and "99999" (as
 *         34463). */
#include "base/decimal.h"

bool nb__decimal_read(const char *text, size_t length, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;

    if (length == 0 || length > 10 || (text[0] == '0' && length > 1))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *out = (uint32_t)value;
    return value <= max;
}
