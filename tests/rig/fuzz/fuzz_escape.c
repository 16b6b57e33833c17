/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes what becomes of bytes from outside before they get to a terminal: in messages of the
 *         library and in the output of the example programs. What is written is read back. */
#include "base/error_internal.h"
#include "base/text.h"
#include "double.h"
#include "fuzz.h"
#include "standard_io.h"

#include <sys/types.h>

#define BYTES_MAX ((size_t)2048)

/* What the example programs print, instead of standard output. */
static char printed[4 * BYTES_MAX + 64];
static size_t printed_length;

static ssize_t write_to_text(int fd, const void *bytes, size_t length)
{
    if (fd != STDOUT_FILENO) /* what a fuzzer says of itself */
        return real.libc_write(fd, bytes, length);
    require(printed_length + length < sizeof(printed));
    memcpy(printed + printed_length, bytes, length);
    printed_length += length;
    printed[printed_length] = '\0';
    return (ssize_t)length;
}

REPLACE(libc_write, write_to_text)

static unsigned hex(char c)
{
    require((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* Takes one escaped byte off the front. */
static unsigned char unescape(const char **text)
{
    static const char letters[] = "nrt\\'\"";
    static const char meant[] = "\n\r\t\\'\"";
    const char *at = *text;
    const char *letter;

    require(*at != '\0');
    *text += 1;
    if (*at != '\\')
        return (unsigned char)*at;
    *text += 1;
    if (at[1] == 'x') {
        *text += 2;
        return (unsigned char)(hex(at[2]) << 4 | hex(at[3]));
    }
    letter = at[1] != '\0' ? strchr(letters, at[1]) : NULL;
    require(letter != NULL);
    return (unsigned char)meant[letter - letters];
}

static void check_example(const uint8_t *bytes, size_t length)
{
    const char *text = printed + 1;

    printed_length = 0;
    print_escaped("<", (const char *)bytes, length, ">");
    require(printed[0] == '<' && printed[printed_length - 1] == '>');
    require_printable(printed);
    require(strlen(printed) == printed_length);
    for (size_t i = 0; i < length; i++) {
        require(*text != '\'' && *text != '"'); /* or a quoted text would seem to end */
        require(unescape(&text) == bytes[i]);
    }
    require(text == printed + printed_length - 1);
}

/* Escaped text in any room: all of it, or its front and a mark. */
static void check_text(const uint8_t *bytes, size_t length, size_t capacity)
{
    static char room[4 * BYTES_MAX + 2];
    struct nb__text text = nb__text_in(room, capacity);
    const char *at = room;

    room[capacity] = 'x';
    nb__text_add_escaped(&text, bytes, length);
    require(room[capacity] == 'x');
    if (capacity == 0)
        return;
    require(strlen(room) < capacity);
    require_printable(room);
    for (size_t i = 0; i < length; i++) {
        if (strlen(at) <= 6 && strlen(room) == capacity - 1)
            return; /* cut, at a mark that may stand in the middle of an escaped byte */
        require(unescape(&at) == bytes[i]);
    }
    require(*at == '\0');
}

/* A message about bytes from outside: the reason behind them is never pushed out. */
static void check_message(const uint8_t *bytes, size_t length, uint8_t number)
{
    char subject[BYTES_MAX + 1];
    nb_status status = nb__status_of_errno(number);
    nb_error err;

    memcpy(subject, bytes, length);
    subject[length] = '\0';
    require(nb__error_set(&err, nb__failure(status, number), "fuzz", subject) == status);
    require(err.status == status && err.system_error == number);
    require(memchr(err.message, '\0', sizeof(err.message)) != NULL);
    require_printable(err.message);
    require(strncmp(err.message, "fuzz ", 5) == 0);
    require(strstr(err.message + 5, nb_status_text(status)) != NULL);
    require(strlen(err.message) < 512);
    (void)nb__error_set(NULL, nb__failure(status, number), "fuzz", subject);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t number = input_byte(&in);
    size_t capacity = input_number(&in, 4 * BYTES_MAX);
    size_t length = in.size < BYTES_MAX ? in.size : BYTES_MAX;

    check_example(in.data, length);
    check_text(in.data, length, capacity);
    check_message(in.data, length, number);
    return 0;
}
