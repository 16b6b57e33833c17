/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of statuses, of what errno and EAI codes mean, and of error messages. */
#include "base/error_internal.h"
#include "support.h"

#include <limits.h>
#include <netdb.h>

/* A number of the headers, and its name. */
#define NAMED(name)                                                                                \
    {                                                                                              \
        name, #name                                                                                \
    }
struct number_name {
    int number;
    const char *name;
};
#define NUMBERS(...) ((const struct number_name[]){__VA_ARGS__, {0, NULL}})

/* Written out once more, and not made from the library's table: this is what may never change. */
static const struct number_name statuses[] = {
    [0] = NAMED(NB_OK),
    [1] = NAMED(NB_EOF),
    [2] = NAMED(NB_TIMEOUT),
    [3] = NAMED(NB_CANCELLED),
    [4] = NAMED(NB_TOO_LONG),
    [5] = NAMED(NB_REFUSED),
    [6] = NAMED(NB_RESET),
    [7] = NAMED(NB_UNREACHABLE),
    [8] = NAMED(NB_ADDRESS_IN_USE),
    [9] = NAMED(NB_ADDRESS_UNAVAILABLE),
    [10] = NAMED(NB_PERMISSION),
    [11] = NAMED(NB_NAME_NOT_FOUND),
    [12] = NAMED(NB_NAME_TEMPORARY),
    [13] = NAMED(NB_BAD_ENDPOINT),
    [14] = NAMED(NB_INVALID),
    [15] = NAMED(NB_NO_DESCRIPTORS),
    [16] = NAMED(NB_NO_MEMORY),
    [17] = NAMED(NB_UNSUPPORTED),
    [18] = NAMED(NB_SYSTEM),
    [19] = NAMED(NB_STOPPING),
};

static const int unknown_statuses[] = {-1, 20, 21, 255, 256, INT_MAX, INT_MIN};

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x20 || *text > 0x7e)
            return false;
    }
    return true;
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* The error of a case, which holds nothing that anybody has written. */
static nb_error err;

static int fill(void **state)
{
    (void)state;
    memset(&err, 'x', sizeof(err));
    return 0;
}

#define ERROR_CASE(name) cmocka_unit_test_setup(name, fill)
#define TEST(name) TEST_AS(name, ERROR_CASE)

TEST(status_values_are_frozen)
{
    for (int i = 0; i < (int)COUNT(statuses); i++)
        check_at(statuses[i].number == i, i);
}

TEST(status_table_has_the_frozen_rows_and_no_others)
{
    for (int number = -1000; number <= 1000; number++) {
        bool frozen = number >= 0 && number < (int)COUNT(statuses);

        check_at((strcmp(nb_status_name((nb_status)number), "NB_UNKNOWN") != 0) == frozen, number);
    }
}

TEST(every_status_is_named_as_in_the_source)
{
    for (size_t i = 0; i < COUNT(statuses); i++)
        assert_string_equal(nb_status_name((nb_status)i), statuses[i].name);
}

TEST(every_status_has_a_short_printable_text)
{
    for (int i = 0; i < (int)COUNT(statuses); i++) {
        const char *text = nb_status_text((nb_status)i);

        check_at(text != NULL, i);
        check_at(strlen(text) > 0 && strlen(text) < 40, i);
        check_at(is_printable(text), i);
    }
}

TEST(no_two_statuses_share_a_name_or_a_text)
{
    for (int i = -1; i < (int)COUNT(statuses); i++) {
        for (int j = -1; j < i; j++) {
            check_at(strcmp(nb_status_name((nb_status)i), nb_status_name((nb_status)j)) != 0, i);
            check_at(strcmp(nb_status_text((nb_status)i), nb_status_text((nb_status)j)) != 0, i);
        }
    }
}

TEST(unknown_status_value_is_named_unknown)
{
    for (size_t i = 0; i < COUNT(unknown_statuses); i++) {
        nb_status status = (nb_status)unknown_statuses[i];

        check_at(strcmp(nb_status_name(status), "NB_UNKNOWN") == 0, unknown_statuses[i]);
        check_at(strcmp(nb_status_text(status), "unknown status") == 0, unknown_statuses[i]);
    }
}

/* That each of some numbers means the same status. */
#define check_errno(expected, ...) check_means(nb__status_of_errno, expected, __VA_ARGS__)
#define check_lookup(expected, ...) check_means(nb__status_of_lookup, expected, __VA_ARGS__)
#define check_means(status_of, expected, ...)                                                      \
    check_each_means(status_of, expected, (const int[]){__VA_ARGS__},                              \
                     COUNT(((const int[]){__VA_ARGS__})))
static void check_each_means(nb_status (*status_of)(int), nb_status expected, const int *numbers,
                             size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_at(status_of(numbers[i]) == expected, numbers[i]);
}

TEST(every_errno_has_its_status)
{
    check_errno(NB_REFUSED, ECONNREFUSED);
    check_errno(NB_RESET, ECONNRESET, EPIPE, ECONNABORTED, ENETRESET, ENOTCONN);
    check_errno(NB_UNREACHABLE, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN);
    check_errno(NB_ADDRESS_IN_USE, EADDRINUSE);
    check_errno(NB_ADDRESS_UNAVAILABLE, EADDRNOTAVAIL, ENOENT, ENOTDIR, ELOOP);
    check_errno(NB_PERMISSION, EROFS, EACCES, EPERM);
    check_errno(NB_SYSTEM, ENOSPC, EBADF, EFAULT, EINVAL, EIO, ENOTSOCK, EPROTO, EAGAIN, EINTR, 0,
                -1, -ECONNREFUSED, INT_MAX, INT_MIN);
    check_errno(NB_NO_DESCRIPTORS, EMFILE, ENFILE);
    check_errno(NB_NO_MEMORY, ENOMEM, ENOBUFS);
    check_errno(NB_UNSUPPORTED, EAFNOSUPPORT, EPROTONOSUPPORT, EOPNOTSUPP, ENOPROTOOPT);
#ifdef ENONET
    check_errno(NB_UNREACHABLE, ENONET);
#endif
}

TEST(etimedout_is_not_reported_as_the_callers_deadline)
{
    assert_int_equal(nb__status_of_errno(ETIMEDOUT), NB_UNREACHABLE);
}

/* Statuses that only the library itself gives: an errno may never be mistaken for one. */
static bool is_for_a_system_error(nb_status status)
{
    switch (status) {
    case NB_OK:
    case NB_EOF:
    case NB_TIMEOUT:
    case NB_CANCELLED:
    case NB_TOO_LONG:
    case NB_BAD_ENDPOINT:
    case NB_INVALID:
        return false;
    default:
        return true;
    }
}

TEST(no_errno_maps_to_a_status_of_the_library_itself)
{
    for (int number = -4096; number <= 4096; number++) {
        nb_status status = nb__status_of_errno(number);

        check_at(is_for_a_system_error(status), number);
        check_at(status != NB_NAME_NOT_FOUND && status != NB_NAME_TEMPORARY, number);
    }
}

TEST(every_lookup_error_code_has_its_status)
{
    check_lookup(NB_NAME_NOT_FOUND, EAI_NONAME, EAI_FAIL);
    check_lookup(NB_NAME_TEMPORARY, EAI_AGAIN);
    check_lookup(NB_NO_MEMORY, EAI_MEMORY);
    check_lookup(NB_UNSUPPORTED, EAI_FAMILY);
    check_lookup(NB_SYSTEM, EAI_BADFLAGS, EAI_SERVICE, EAI_SOCKTYPE, EAI_OVERFLOW, EAI_SYSTEM,
                 ODD_ERRNO);
#ifdef EAI_NODATA
    check_lookup(NB_NAME_NOT_FOUND, EAI_NODATA);
#endif
#ifdef EAI_ADDRFAMILY
    check_lookup(NB_NAME_NOT_FOUND, EAI_ADDRFAMILY);
#endif
}

TEST(no_lookup_error_code_maps_to_a_status_of_the_library_itself)
{
    for (int code = -200; code <= 200; code++)
        check_at(is_for_a_system_error(nb__status_of_lookup(code)), code);
}

static void check_reason(nb_status status, int system_error, const char *expected)
{
    char buf[128];
    struct nb__text text = nb__text_in(buf, sizeof(buf));

    nb__text_add_reason(&text, status, system_error);
    assert_string_equal(buf, expected);
}

TEST(reason_without_a_system_error_is_the_status_text)
{
    check_reason(NB_TIMEOUT, 0, "timed out");
    check_reason(NB_NAME_NOT_FOUND, 0, "name not found");
    check_reason((nb_status)-1, 0, "unknown status");
}

TEST(reason_with_an_errno_names_it)
{
    check_reason(NB_REFUSED, ECONNREFUSED, "connection refused (ECONNREFUSED)");
    check_reason(NB_UNREACHABLE, ETIMEDOUT, "peer unreachable (ETIMEDOUT)");
    check_reason(NB_SYSTEM, EINVAL, "system error (EINVAL)");
}

/* What the manual pages name for the calls that the library makes: those on sockets (socket(2), ip(7),
   tcp(7), unix(7)), files, descriptors, threads, signals, and poll(2). */
TEST(every_errno_documented_for_our_system_calls_has_a_name)
{
    const struct number_name *row = NUMBERS(
        NAMED(EACCES), NAMED(EADDRINUSE), NAMED(EADDRNOTAVAIL), NAMED(EAFNOSUPPORT), NAMED(EAGAIN),
        NAMED(EALREADY), NAMED(EBADF), NAMED(EBUSY), NAMED(ECANCELED), NAMED(ECONNABORTED),
        NAMED(ECONNREFUSED), NAMED(ECONNRESET), NAMED(EDEADLK), NAMED(EDESTADDRREQ), NAMED(EDOM),
        NAMED(EDQUOT), NAMED(EEXIST), NAMED(EFAULT), NAMED(EFBIG), NAMED(EHOSTDOWN),
        NAMED(EHOSTUNREACH), NAMED(EILSEQ), NAMED(EINPROGRESS), NAMED(EINTR), NAMED(EINVAL),
        NAMED(EIO), NAMED(EISCONN), NAMED(EISDIR), NAMED(ELOOP), NAMED(EMFILE), NAMED(EMLINK),
        NAMED(EMSGSIZE), NAMED(ENAMETOOLONG), NAMED(ENETDOWN), NAMED(ENETRESET), NAMED(ENETUNREACH),
        NAMED(ENFILE), NAMED(ENOBUFS), NAMED(ENODEV), NAMED(ENOENT), NAMED(ENOLCK), NAMED(ENOMEM),
        NAMED(ENOPROTOOPT), NAMED(ENOSPC), NAMED(ENOSYS), NAMED(ENOTCONN), NAMED(ENOTDIR),
        NAMED(ENOTEMPTY), NAMED(ENOTSOCK), NAMED(ENOTTY), NAMED(ENXIO), NAMED(EOPNOTSUPP),
        NAMED(EOVERFLOW), NAMED(EPERM), NAMED(EPFNOSUPPORT), NAMED(EPIPE), NAMED(EPROTO),
        NAMED(EPROTONOSUPPORT), NAMED(EPROTOTYPE), NAMED(ERANGE), NAMED(EROFS), NAMED(ESPIPE),
        NAMED(ESRCH), NAMED(ESTALE), NAMED(ETIMEDOUT), NAMED(ETXTBSY), NAMED(EXDEV));
    char expected[64];

    for (; row->name != NULL; row++) {
        nb_status status = nb__status_of_errno(row->number);

        (void)snprintf(expected, sizeof(expected), "%s (%s)", nb_status_text(status), row->name);
        check_reason(status, row->number, expected);
    }
}

TEST(reason_with_an_unnamed_errno_gives_its_number)
{
    check_reason(NB_SYSTEM, ODD_ERRNO, "system error (4711)");
}

TEST(reason_with_a_lookup_error_code_names_it)
{
    check_reason(NB_NAME_NOT_FOUND, EAI_NONAME, "name not found (EAI_NONAME)");
    check_reason(NB_NAME_TEMPORARY, EAI_AGAIN, "name lookup failed for now (EAI_AGAIN)");
}

TEST(reason_for_a_lookup_out_of_memory_names_the_code)
{
    check_reason(nb__status_of_lookup(EAI_MEMORY), EAI_MEMORY, "out of memory (EAI_MEMORY)");
}

TEST(reason_for_a_lookup_in_an_unsupported_family_names_the_code)
{
    check_reason(nb__status_of_lookup(EAI_FAMILY), EAI_FAMILY, "not supported (EAI_FAMILY)");
}

static void assert_error(nb_status status, int system_error, const char *message)
{
    assert_int_equal(err.status, status);
    assert_int_equal(err.system_error, system_error);
    assert_string_equal(err.message, message);
}

TEST(cleared_error_is_ok_with_an_empty_message)
{
    nb__error_clear(&err);
    assert_error(NB_OK, 0, "");
}

TEST(new_error_has_its_codes_and_an_empty_message)
{
    struct nb__text text;
    text = nb__error_begin(&err, NB_RESET, ECONNRESET);
    assert_error(NB_RESET, ECONNRESET, "");
    nb__text_add(&text, "the message");
    assert_string_equal(err.message, "the message");
}

TEST(error_names_the_operation_its_target_and_the_reason)
{
    assert_int_equal(
        nb__error_set(&err, nb__failure(NB_REFUSED, ECONNREFUSED), "connect to", "[::1]:80"),
        NB_REFUSED);
    assert_error(NB_REFUSED, ECONNREFUSED,
                 "connect to [::1]:80: connection refused (ECONNREFUSED)");
}

TEST(error_names_what_was_refused_and_why)
{
    struct nb__result result = nb__result_about(-EADDRINUSE, "reuse_port");
    result.why = "a server listens there";
    assert_int_equal(nb__error_set(&err, result, "listen on", "*:80"), NB_ADDRESS_IN_USE);
    assert_error(NB_ADDRESS_IN_USE, EADDRINUSE,
                 "listen on *:80: reuse_port: address already in use (EADDRINUSE): "
                 "a server listens there");
}

TEST(result_is_success_or_the_status_of_the_errno)
{
    assert_int_equal(nb__result_of(0).status, NB_OK);
    assert_int_equal(nb__result_of(3).status, NB_OK);
    assert_null(nb__result_about(0, "reuse_port").what);
    assert_int_equal(nb__result_of(-EPIPE).status, NB_RESET);
    assert_int_equal(nb__result_of(-EPIPE).system_error, EPIPE);
    assert_string_equal(nb__result_about(-EPIPE, "reuse_port").what, "reuse_port");
}

TEST(error_of_an_invalid_call_says_what_is_wrong)
{
    assert_int_equal(nb__error_invalid(&err, "listen", "the backlog is negative"), NB_INVALID);
    assert_error(NB_INVALID, 0, "listen: the backlog is negative");
}

TEST(null_instead_of_an_error_is_accepted)
{
    struct nb__text text = nb__error_begin(NULL, NB_RESET, ECONNRESET);

    nb__text_add(&text, "lost");
    nb__error_clear(NULL);
    assert_int_equal(
        nb__error_set(NULL, nb__failure(NB_REFUSED, ECONNREFUSED), "connect to", "a:1"),
        NB_REFUSED);
    assert_int_equal(nb__error_invalid(NULL, "listen", "no"), NB_INVALID);
}

TEST(control_bytes_in_a_target_are_escaped)
{
    (void)nb__error_set(&err, nb__failure(NB_BAD_ENDPOINT, 0), "connect to",
                        "a\r\n\x1b[2J\x7f\xc3\xa9:80");
    assert_string_equal(err.message,
                        "connect to a\\x0d\\x0a\\x1b[2J\\x7f\\xc3\\xa9:80: bad endpoint");
}

TEST(message_is_printable_whatever_the_target)
{
    for (int byte = 1; byte < 256; byte++) {
        char subject[] = {'a', (char)byte, 'b', '\0'};

        (void)nb__error_set(&err, nb__failure(NB_RESET, EPIPE), "send to", subject);
        check_at(is_printable(err.message), byte);
        check_at(strlen(err.message) > 0, byte);
    }
}

TEST(format_characters_in_a_target_are_not_interpreted)
{
    (void)nb__error_set(&err, nb__failure(NB_TIMEOUT, 0), "connect to", "%s%n%d");
    assert_string_equal(err.message, "connect to %s%n%d: timed out");
}

TEST(target_of_any_length_leaves_room_for_the_reason)
{
    static char subject[2 * NB_ERROR_MESSAGE_MAX];
    for (size_t length = 0; length < sizeof(subject) - 1; length++) {
        subject[length] = 'a';
        memset(&err, 'x', sizeof(err));
        (void)nb__error_set(&err, nb__failure(NB_TIMEOUT, 0), "connect to", subject);
        check_at(memchr(err.message, '\0', sizeof(err.message)) != NULL, length);
        check_at(strncmp(err.message, "connect to a", 12) == 0, length);
        check_at(ends_in(err.message, "a: timed out") || ends_in(err.message, "a...: timed out"),
                 length);
        check_at(strstr(err.message, subject) != NULL || strstr(err.message, "...") != NULL,
                 length);
    }
}

/* Makes a message of so many bytes, if there is room, that ends in "x: no". */
static void make_message_of(int length)
{
    char operation[NB_ERROR_MESSAGE_MAX];

    (void)snprintf(operation, sizeof(operation), "%*s", length - (int)strlen(": no"), "x");
    (void)nb__error_invalid(&err, operation, "no");
    assert_int_equal(strlen(err.message), NB_ERROR_MESSAGE_MAX - 1);
}

TEST(message_that_just_fits_is_whole)
{
    make_message_of(NB_ERROR_MESSAGE_MAX - 1);
    assert_true(ends_in(err.message, "x: no"));
}

TEST(message_one_byte_too_long_ends_in_dots)
{
    make_message_of(NB_ERROR_MESSAGE_MAX);
    assert_true(ends_in(err.message, "..."));
}

TEST(describing_an_error_preserves_errno)
{
    errno = ODD_ERRNO;
    (void)nb__error_set(&err, nb__failure(NB_REFUSED, ECONNREFUSED), "connect to", "a:1");
    (void)nb__error_invalid(&err, "listen", "no");
    nb__error_clear(&err);
    (void)nb_status_text(NB_SYSTEM);
    assert_int_equal(errno, ODD_ERRNO);
}
