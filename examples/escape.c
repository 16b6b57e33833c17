/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Makes bytes from outside harmless to a terminal. */
#include "escape.h"

#include <stdio.h>
#include <string.h>

/* Returns how many characters the byte became. */
static size_t escape_byte(char text[ESCAPED_BYTE_MAX + 1], unsigned char byte)
{
    static const char specials[] = "\n\r\t\\'\"", letters[] = "nrt\\'\"";
    const char *special = byte == '\0' ? NULL : strchr(specials, byte);

    if (special != NULL)
        snprintf(text, ESCAPED_BYTE_MAX + 1, "\\%c", letters[special - specials]);
    else if (byte >= ' ' && byte <= '~')
        snprintf(text, ESCAPED_BYTE_MAX + 1, "%c", byte);
    else
        snprintf(text, ESCAPED_BYTE_MAX + 1, "\\x%02x", (unsigned)byte);
    return strlen(text);
}

size_t escape(char *text, size_t capacity, const char *bytes, size_t length)
{
    size_t written = 0;

    text[0] = '\0';
    for (size_t i = 0; i < length && written + ESCAPED_BYTE_MAX < capacity; i++)
        written += escape_byte(text + written, (unsigned char)bytes[i]);
    return written;
}
