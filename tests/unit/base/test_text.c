/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of lines of text put together in a buffer of fixed size. */
#include "base/text.h"
#include "support.h"

#define GUARD '#'
#define LARGEST 64
#define WHOLE "something of thirty-one letters"

/* A text in a buffer that shows when somebody writes past the capacity that he was told. */
static char bytes[LARGEST + 8];
static struct nb__text text;

static void begin(size_t capacity)
{
    memset(bytes, GUARD, sizeof(bytes));
    text = nb__text_in(bytes, capacity);
}

static bool ends_in_dots(const char *line)
{
    size_t length = strlen(line);

    return length >= 3 && strcmp(line + length - 3, "...") == 0;
}

static void check_bounds(size_t capacity)
{
    for (size_t i = capacity; i < sizeof(bytes); i++)
        check_at(bytes[i] == GUARD, capacity);
    if (capacity == 0)
        return;
    check_at(memchr(bytes, '\0', capacity) != NULL, capacity);
    check_at(strlen(bytes) == text.length, capacity);
}

/* What was cut is a beginning of the whole, and says that it is cut. */
static void check_cut(size_t capacity, const char *whole)
{
    if (strlen(whole) < capacity) {
        check_at(strcmp(bytes, whole) == 0, capacity);
    } else if (capacity > 3) {
        check_at(ends_in_dots(bytes), capacity);
        check_at(strlen(bytes) == capacity - 1, capacity);
        check_at(memcmp(bytes, whole, capacity - 4) == 0, capacity);
    }
}

static void check_cut_at_any_capacity(void (*add)(const char *), const char *what,
                                      const char *whole)
{
    for (size_t capacity = 0; capacity <= LARGEST; capacity++) {
        begin(capacity);
        add(what);
        check_bounds(capacity);
        check_cut(capacity, whole);
    }
}

static void add_as_one_part(const char *what)
{
    nb__text_add(&text, "%s", what);
}

static void add_letter_by_letter(const char *what)
{
    for (; *what != '\0'; what++)
        nb__text_add(&text, "%c", *what);
}

static void add_escaped(const char *what)
{
    nb__text_add_escaped(&text, what, strlen(what));
}

/* What some parts give, one after the other, in a buffer of this capacity. */
#define check_parts(capacity, expected, ...) check_each_part(capacity, expected, TEXTS(__VA_ARGS__))
static void check_each_part(size_t capacity, const char *expected, const char *const *parts)
{
    begin(capacity);
    for (; *parts != NULL; parts++)
        add_as_one_part(*parts);
    assert_string_equal(bytes, expected);
    check_bounds(capacity);
}

#define TEST(name) TEST_AS(name, cmocka_unit_test)

TEST(new_text_is_empty)
{
    begin(8);
    assert_string_equal(bytes, "");
    assert_int_equal(text.length, 0);
}

TEST(text_without_a_buffer_accepts_and_discards_everything)
{
    text = nb__text_in(NULL, 0);
    nb__text_add(&text, "%s", "something");
    nb__text_add_escaped(&text, "some\nthing", 10);
    assert_null(text.data);
    assert_int_equal(text.length, 0);
}

TEST(text_of_capacity_one_stays_empty)
{
    begin(1);
    nb__text_add(&text, "something");
    nb__text_add_escaped(&text, "\n", 1);
    assert_string_equal(bytes, "");
    check_bounds(1);
}

TEST(parts_are_appended_in_order)
{
    begin(LARGEST);
    nb__text_add(&text, "connect to ");
    nb__text_add_escaped(&text, "[::1]:80", 8);
    nb__text_add(&text, ": %s (%d)", "refused", 111);
    assert_string_equal(bytes, "connect to [::1]:80: refused (111)");
    assert_int_equal(text.length, strlen(bytes));
}

TEST(empty_parts_add_nothing)
{
    begin(LARGEST);
    nb__text_add(&text, "%s", "");
    nb__text_add_escaped(&text, NULL, 0);
    assert_string_equal(bytes, "");
}

TEST(text_that_just_fits_is_whole)
{
    check_parts(8, "1234567", "1234567");
}

TEST(text_of_one_letter_fits_into_two_bytes)
{
    check_parts(2, "1", "1");
}

TEST(text_one_byte_too_long_ends_in_dots)
{
    check_parts(8, "1234...", "12345678");
}

TEST(text_cut_in_a_later_part_ends_in_dots)
{
    check_parts(8, "1234...", "123456", "78");
}

TEST(text_that_just_fits_is_marked_as_cut_when_a_part_follows)
{
    check_parts(8, "1234...", "1234567", "8");
}

TEST(text_that_just_fits_is_not_cut_by_an_empty_part)
{
    begin(8);
    nb__text_add(&text, "1234567");
    nb__text_add(&text, "%s", "");
    nb__text_add_escaped(&text, "", 0);
    assert_string_equal(bytes, "1234567");
}

TEST(nothing_is_appended_after_a_cut)
{
    begin(8);
    nb__text_add(&text, "12345678");
    nb__text_add(&text, "x");
    nb__text_add_escaped(&text, "y", 1);
    assert_string_equal(bytes, "1234...");
    assert_int_equal(text.length, 7);
}

TEST(part_far_too_long_is_cut)
{
    begin(8);
    nb__text_add(&text, "%100000d", 1);
    assert_string_equal(bytes, "    ...");
    check_bounds(8);
}

TEST(one_part_is_cut_correctly_in_a_buffer_of_any_size)
{
    check_cut_at_any_capacity(add_as_one_part, WHOLE, WHOLE);
}

TEST(many_parts_are_cut_correctly_in_a_buffer_of_any_size)
{
    check_cut_at_any_capacity(add_letter_by_letter, WHOLE, WHOLE);
}

TEST(printable_untrusted_bytes_are_kept)
{
    static const char printable[] = " !\"#$%&'()*+,-./0123456789:;<=>?@[]^_`{|}~"
                                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char buf[2 * sizeof(printable)];

    text = nb__text_in(buf, sizeof(buf));
    nb__text_add_escaped(&text, printable, strlen(printable));
    assert_int_equal(strlen(printable), 0x7f - 0x20 - 1);
    assert_string_equal(buf, printable);
}

TEST(all_other_untrusted_bytes_are_escaped)
{
    char expected[8];

    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned char one = (unsigned char)byte;

        if (byte >= 0x20 && byte < 0x7f && byte != '\\')
            continue;
        begin(LARGEST);
        nb__text_add_escaped(&text, &one, 1);
        (void)snprintf(expected, sizeof(expected), "\\x%02x", byte);
        assert_string_equal(bytes, expected);
    }
}

TEST(embedded_nul_does_not_end_untrusted_bytes)
{
    begin(LARGEST);
    nb__text_add_escaped(&text, "a\0b", 3);
    assert_string_equal(bytes, "a\\x00b");
}

TEST(format_characters_in_untrusted_bytes_are_not_interpreted)
{
    begin(LARGEST);
    nb__text_add_escaped(&text, "%s%n%5000d%%", 12);
    assert_string_equal(bytes, "%s%n%5000d%%");
}

TEST(different_byte_sequences_never_look_the_same)
{
    char escape[LARGEST];

    begin(LARGEST);
    add_escaped("\x1b");
    memcpy(escape, bytes, sizeof(escape));
    begin(LARGEST);
    add_escaped("\\x1b");
    assert_string_not_equal(escape, bytes);
}

TEST(untrusted_bytes_are_cut_correctly_in_a_buffer_of_any_size)
{
    check_cut_at_any_capacity(add_escaped, WHOLE, WHOLE);
}

TEST(escaped_bytes_are_cut_correctly_in_a_buffer_of_any_size)
{
    check_cut_at_any_capacity(add_escaped, "\x1b[2J\n\xff\\ab\t", "\\x1b[2J\\x0a\\xff\\x5cab\\x09");
}
