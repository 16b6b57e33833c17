/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of lines of text put together in a buffer of fixed size. */
#include "base/text.h"
#include "cases.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define GUARD '#'
#define LARGEST 64

/* A buffer that shows when somebody writes past the capacity that he was told. */
struct guarded {
    char bytes[LARGEST + 8];
    struct nb__text text;
};

static void begin(struct guarded *guarded, size_t capacity)
{
    memset(guarded->bytes, GUARD, sizeof(guarded->bytes));
    guarded->text = nb__text_in(guarded->bytes, capacity);
}

static bool ends_in_dots(const char *text)
{
    size_t length = strlen(text);

    return length >= 3 && strcmp(text + length - 3, "...") == 0;
}

/* Fails with the capacity that did it. */
#define check(condition, capacity)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("with capacity %zu: %s", (size_t)(capacity), #condition);                     \
    } while (0)

static void check_bounds(const struct guarded *guarded, size_t capacity)
{
    for (size_t i = capacity; i < sizeof(guarded->bytes); i++)
        check(guarded->bytes[i] == GUARD, capacity);
    if (capacity == 0)
        return;
    check(memchr(guarded->bytes, '\0', capacity) != NULL, capacity);
    check(strlen(guarded->bytes) == guarded->text.length, capacity);
}

/* What was cut is a beginning of the whole, and says that it is cut. */
static void check_cut(const struct guarded *guarded, size_t capacity, const char *whole)
{
    if (strlen(whole) < capacity) {
        check(strcmp(guarded->bytes, whole) == 0, capacity);
    } else if (capacity > 3) {
        check(ends_in_dots(guarded->bytes), capacity);
        check(strlen(guarded->bytes) == capacity - 1, capacity);
        check(memcmp(guarded->bytes, whole, capacity - 4) == 0, capacity);
    }
}

#define TEST(name) TEST_AS(name, cmocka_unit_test)

TEST(new_text_is_empty)
{
    struct guarded guarded;

    begin(&guarded, 8);
    assert_string_equal(guarded.bytes, "");
    assert_int_equal(guarded.text.length, 0);
}

TEST(text_without_a_buffer_takes_everything_and_keeps_nothing)
{
    struct nb__text text = nb__text_in(NULL, 0);

    nb__text_add(&text, "%s", "something");
    nb__text_add_escaped(&text, "some\nthing", 10);
    assert_null(text.data);
    assert_int_equal(text.length, 0);
}

TEST(text_of_capacity_one_stays_empty)
{
    struct guarded guarded;

    begin(&guarded, 1);
    nb__text_add(&guarded.text, "something");
    nb__text_add_escaped(&guarded.text, "\n", 1);
    assert_string_equal(guarded.bytes, "");
    check_bounds(&guarded, 1);
}

TEST(parts_stand_one_after_the_other)
{
    struct guarded guarded;

    begin(&guarded, LARGEST);
    nb__text_add(&guarded.text, "connect to ");
    nb__text_add_escaped(&guarded.text, "[::1]:80", 8);
    nb__text_add(&guarded.text, ": %s (%d)", "refused", 111);
    assert_string_equal(guarded.bytes, "connect to [::1]:80: refused (111)");
    assert_int_equal(guarded.text.length, strlen(guarded.bytes));
}

TEST(empty_parts_add_nothing)
{
    struct guarded guarded;

    begin(&guarded, LARGEST);
    nb__text_add(&guarded.text, "%s", "");
    nb__text_add_escaped(&guarded.text, NULL, 0);
    assert_string_equal(guarded.bytes, "");
}

TEST(text_that_just_fits_is_whole)
{
    struct guarded guarded;

    begin(&guarded, 8);
    nb__text_add(&guarded.text, "1234567");
    assert_string_equal(guarded.bytes, "1234567");
    check_bounds(&guarded, 8);
}

TEST(text_of_one_letter_fits_into_two_bytes)
{
    struct guarded guarded;

    begin(&guarded, 2);
    nb__text_add(&guarded.text, "1");
    assert_string_equal(guarded.bytes, "1");
    check_bounds(&guarded, 2);
}

TEST(text_one_byte_too_long_ends_in_dots)
{
    struct guarded guarded;

    begin(&guarded, 8);
    nb__text_add(&guarded.text, "12345678");
    assert_string_equal(guarded.bytes, "1234...");
    check_bounds(&guarded, 8);
}

TEST(cut_in_a_later_part_ends_in_dots)
{
    struct guarded guarded;

    begin(&guarded, 8);
    nb__text_add(&guarded.text, "123456");
    nb__text_add(&guarded.text, "78");
    assert_string_equal(guarded.bytes, "1234...");
}

TEST(part_after_a_text_that_just_fits_is_marked_as_cut)
{
    struct guarded guarded;

    begin(&guarded, 8);
    nb__text_add(&guarded.text, "1234567");
    nb__text_add(&guarded.text, "8");
    assert_string_equal(guarded.bytes, "1234...");
}

TEST(empty_part_after_a_text_that_just_fits_is_no_cut)
{
    struct guarded guarded;

    begin(&guarded, 8);
    nb__text_add(&guarded.text, "1234567");
    nb__text_add(&guarded.text, "%s", "");
    nb__text_add_escaped(&guarded.text, "", 0);
    assert_string_equal(guarded.bytes, "1234567");
}

TEST(nothing_comes_after_a_cut)
{
    struct guarded guarded;

    begin(&guarded, 8);
    nb__text_add(&guarded.text, "12345678");
    nb__text_add(&guarded.text, "x");
    nb__text_add_escaped(&guarded.text, "y", 1);
    assert_string_equal(guarded.bytes, "1234...");
    assert_int_equal(guarded.text.length, 7);
}

TEST(part_far_too_long_is_cut)
{
    struct guarded guarded;

    begin(&guarded, 8);
    nb__text_add(&guarded.text, "%100000d", 1);
    assert_string_equal(guarded.bytes, "    ...");
    check_bounds(&guarded, 8);
}

TEST(one_part_is_cut_right_in_a_buffer_of_any_size)
{
    static const char whole[] = "something of thirty-one letters";
    struct guarded guarded;

    for (size_t capacity = 0; capacity <= LARGEST; capacity++) {
        begin(&guarded, capacity);
        nb__text_add(&guarded.text, "%s", whole);
        check_bounds(&guarded, capacity);
        check_cut(&guarded, capacity, whole);
    }
}

TEST(many_parts_are_cut_right_in_a_buffer_of_any_size)
{
    static const char whole[] = "something of thirty-one letters";
    struct guarded guarded;

    for (size_t capacity = 0; capacity <= LARGEST; capacity++) {
        begin(&guarded, capacity);
        for (size_t i = 0; i < strlen(whole); i++)
            nb__text_add(&guarded.text, "%c", whole[i]);
        check_bounds(&guarded, capacity);
        check_cut(&guarded, capacity, whole);
    }
}

TEST(printable_bytes_from_outside_are_kept)
{
    static const char printable[] = " !\"#$%&'()*+,-./0123456789:;<=>?@[]^_`{|}~"
                                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char buf[2 * sizeof(printable)];
    struct nb__text text = nb__text_in(buf, sizeof(buf));

    nb__text_add_escaped(&text, printable, strlen(printable));
    assert_int_equal(strlen(printable), 0x7f - 0x20 - 1);
    assert_string_equal(buf, printable);
}

TEST(all_other_bytes_from_outside_are_escaped)
{
    struct guarded guarded;
    char expected[8];

    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned char one = (unsigned char)byte;

        if (byte >= 0x20 && byte < 0x7f && byte != '\\')
            continue;
        begin(&guarded, LARGEST);
        nb__text_add_escaped(&guarded.text, &one, 1);
        (void)snprintf(expected, sizeof(expected), "\\x%02x", byte);
        assert_string_equal(guarded.bytes, expected);
    }
}

TEST(embedded_nul_does_not_end_bytes_from_outside)
{
    struct guarded guarded;

    begin(&guarded, LARGEST);
    nb__text_add_escaped(&guarded.text, "a\0b", 3);
    assert_string_equal(guarded.bytes, "a\\x00b");
}

TEST(format_characters_from_outside_are_data)
{
    struct guarded guarded;

    begin(&guarded, LARGEST);
    nb__text_add_escaped(&guarded.text, "%s%n%5000d%%", 12);
    assert_string_equal(guarded.bytes, "%s%n%5000d%%");
}

TEST(no_two_runs_of_bytes_look_the_same)
{
    struct guarded escape;
    struct guarded letters;

    begin(&escape, LARGEST);
    begin(&letters, LARGEST);
    nb__text_add_escaped(&escape.text, "\x1b", 1);
    nb__text_add_escaped(&letters.text, "\\x1b", 4);
    assert_string_not_equal(escape.bytes, letters.bytes);
}

TEST(bytes_from_outside_are_cut_right_in_a_buffer_of_any_size)
{
    static const char bytes[] = "something of thirty-one letters";
    struct guarded guarded;

    for (size_t capacity = 0; capacity <= LARGEST; capacity++) {
        begin(&guarded, capacity);
        nb__text_add_escaped(&guarded.text, bytes, strlen(bytes));
        check_bounds(&guarded, capacity);
        check_cut(&guarded, capacity, bytes);
    }
}

TEST(escaped_bytes_are_cut_right_in_a_buffer_of_any_size)
{
    static const char bytes[] = "\x1b[2J\n\xff\\ab\t";
    static const char whole[] = "\\x1b[2J\\x0a\\xff\\x5cab\\x09";
    struct guarded guarded;

    for (size_t capacity = 0; capacity <= LARGEST; capacity++) {
        begin(&guarded, capacity);
        nb__text_add_escaped(&guarded.text, bytes, strlen(bytes));
        check_bounds(&guarded, capacity);
        check_cut(&guarded, capacity, whole);
    }
}
