/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Text built piece by piece in a buffer of fixed size. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct nb__text nb__text_in(char *buf, size_t capacity)
{
    if (capacity > 0)
        buf[0] = '\0';
    return (struct nb__text){buf, capacity, 0};
}

/* The text is full: its last bytes become "...", and nothing more is added. */
static void mark_cut(struct nb__text *text)
{
    static const char mark[] = "...";
    size_t shown = sizeof(mark) < text->capacity ? sizeof(mark) : text->capacity;

    memcpy(text->data + text->capacity - shown, mark + sizeof(mark) - shown, shown);
    text->length = text->capacity - 1;
}

void nb__text_add(struct nb__text *text, const char *format, ...)
{
    size_t room = text->capacity - text->length;
    va_list arguments;
    int wanted;

    if (text->capacity <= 1)
        return;
    va_start(arguments, format);
    wanted = vsnprintf(text->data + text->length, room, format, arguments);
    va_end(arguments);
    /* Only wide characters can make it fail, and no format here has any. */
    if (wanted < 0)                      /* GCOV_EXCL_BR_LINE */
        text->data[text->length] = '\0'; /* GCOV_EXCL_LINE */
    else if ((size_t)wanted < room)
        text->length += (size_t)wanted;
    else
        mark_cut(text);
}

void nb__text_add_escaped(struct nb__text *text, const void *bytes, size_t length)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < length; i++) {
        if (byte[i] >= 0x20 && byte[i] < 0x7f && byte[i] != '\\')
            nb__text_add(text, "%c", byte[i]);
        else
            nb__text_add(text, "\\x%02x", (unsigned)byte[i]);
    }
}
