/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of statuses, of what errno and EAI codes mean, and of error messages. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* the EAI codes that POSIX dropped */

#include "base/error_internal.h"
#include "cases.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ODD_ERRNO 4711

/* Fails with the number that did it. */
#define check(condition, number)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("for %d: %s", (int)(number), #condition);                                     \
    } while (0)

struct number_name {
    int number;
    const char *name;
};

/* Written out once more, and not made from the library's table: this is what may never change. */
static const struct number_name statuses[] = {
    {0, "NB_OK"},
    {1, "NB_EOF"},
    {2, "NB_TIMEOUT"},
    {3, "NB_CANCELLED"},
    {4, "NB_TOO_LONG"},
    {5, "NB_REFUSED"},
    {6, "NB_RESET"},
    {7, "NB_UNREACHABLE"},
    {8, "NB_ADDRESS_IN_USE"},
    {9, "NB_ADDRESS_UNAVAILABLE"},
    {10, "NB_PERMISSION"},
    {11, "NB_NAME_NOT_FOUND"},
    {12, "NB_NAME_TEMPORARY"},
    {13, "NB_BAD_ENDPOINT"},
    {14, "NB_INVALID"},
    {15, "NB_NO_DESCRIPTORS"},
    {16, "NB_NO_MEMORY"},
    {17, "NB_UNSUPPORTED"},
    {18, "NB_SYSTEM"},
    {19, "NB_STOPPING"},
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

#define TEST(name) TEST_AS(name, cmocka_unit_test)

TEST(status_values_are_frozen)
{
    assert_int_equal(NB_OK, 0);
    assert_int_equal(NB_EOF, 1);
    assert_int_equal(NB_TIMEOUT, 2);
    assert_int_equal(NB_CANCELLED, 3);
    assert_int_equal(NB_TOO_LONG, 4);
    assert_int_equal(NB_REFUSED, 5);
    assert_int_equal(NB_RESET, 6);
    assert_int_equal(NB_UNREACHABLE, 7);
    assert_int_equal(NB_ADDRESS_IN_USE, 8);
    assert_int_equal(NB_ADDRESS_UNAVAILABLE, 9);
    assert_int_equal(NB_PERMISSION, 10);
    assert_int_equal(NB_NAME_NOT_FOUND, 11);
    assert_int_equal(NB_NAME_TEMPORARY, 12);
    assert_int_equal(NB_BAD_ENDPOINT, 13);
    assert_int_equal(NB_INVALID, 14);
    assert_int_equal(NB_NO_DESCRIPTORS, 15);
    assert_int_equal(NB_NO_MEMORY, 16);
    assert_int_equal(NB_UNSUPPORTED, 17);
    assert_int_equal(NB_SYSTEM, 18);
    assert_int_equal(NB_STOPPING, 19);
}

TEST(status_table_has_the_frozen_rows_and_no_others)
{
    for (int number = -1000; number <= 1000; number++) {
        bool frozen = number >= 0 && number < (int)COUNT(statuses);

        check((strcmp(nb_status_name((nb_status)number), "NB_UNKNOWN") != 0) == frozen, number);
    }
}

TEST(every_status_is_named_as_in_the_source)
{
    for (size_t i = 0; i < COUNT(statuses); i++)
        assert_string_equal(nb_status_name((nb_status)statuses[i].number), statuses[i].name);
}

TEST(every_status_has_a_text_of_few_printable_words)
{
    for (int i = 0; i < (int)COUNT(statuses); i++) {
        const char *text = nb_status_text((nb_status)i);

        check(text != NULL, i);
        check(strlen(text) > 0 && strlen(text) < 40, i);
        check(is_printable(text), i);
    }
}

TEST(no_two_statuses_share_a_name_or_a_text)
{
    for (int i = -1; i < (int)COUNT(statuses); i++) {
        for (int j = -1; j < i; j++) {
            check(strcmp(nb_status_name((nb_status)i), nb_status_name((nb_status)j)) != 0, i);
            check(strcmp(nb_status_text((nb_status)i), nb_status_text((nb_status)j)) != 0, i);
        }
    }
}

TEST(value_that_is_no_status_is_named_unknown)
{
    for (size_t i = 0; i < COUNT(unknown_statuses); i++) {
        nb_status status = (nb_status)unknown_statuses[i];

        check(strcmp(nb_status_name(status), "NB_UNKNOWN") == 0, unknown_statuses[i]);
        check(strcmp(nb_status_text(status), "unknown status") == 0, unknown_statuses[i]);
    }
}

struct meaning {
    int number;
    nb_status status;
};

static const struct meaning errno_meanings[] = {
    {ECONNREFUSED, NB_REFUSED},
    {ECONNRESET, NB_RESET},
    {EPIPE, NB_RESET},
    {ECONNABORTED, NB_RESET},
    {ENETRESET, NB_RESET},
    {ENOTCONN, NB_RESET},
    {ETIMEDOUT, NB_UNREACHABLE},
    {EHOSTUNREACH, NB_UNREACHABLE},
    {ENETUNREACH, NB_UNREACHABLE},
    {EHOSTDOWN, NB_UNREACHABLE},
    {ENETDOWN, NB_UNREACHABLE},
#ifdef ENONET
    {ENONET, NB_UNREACHABLE},
#endif
    {EADDRINUSE, NB_ADDRESS_IN_USE},
    {EADDRNOTAVAIL, NB_ADDRESS_UNAVAILABLE},
    {ENOENT, NB_ADDRESS_UNAVAILABLE},
    {ENOTDIR, NB_ADDRESS_UNAVAILABLE},
    {ELOOP, NB_ADDRESS_UNAVAILABLE},
    {EROFS, NB_PERMISSION},
    {ENOSPC, NB_SYSTEM},
    {EACCES, NB_PERMISSION},
    {EPERM, NB_PERMISSION},
    {EMFILE, NB_NO_DESCRIPTORS},
    {ENFILE, NB_NO_DESCRIPTORS},
    {ENOMEM, NB_NO_MEMORY},
    {ENOBUFS, NB_NO_MEMORY},
    {EAFNOSUPPORT, NB_UNSUPPORTED},
    {EPROTONOSUPPORT, NB_UNSUPPORTED},
    {EOPNOTSUPP, NB_UNSUPPORTED},
    {ENOPROTOOPT, NB_UNSUPPORTED},
    {EBADF, NB_SYSTEM},
    {EFAULT, NB_SYSTEM},
    {EINVAL, NB_SYSTEM},
    {EIO, NB_SYSTEM},
    {ENOTSOCK, NB_SYSTEM},
    {EPROTO, NB_SYSTEM},
    {EAGAIN, NB_SYSTEM},
    {EINTR, NB_SYSTEM},
    {0, NB_SYSTEM},
    {-1, NB_SYSTEM},
    {-ECONNREFUSED, NB_SYSTEM},
    {INT_MAX, NB_SYSTEM},
    {INT_MIN, NB_SYSTEM},
};

TEST(every_errno_has_its_status)
{
    for (size_t i = 0; i < COUNT(errno_meanings); i++) {
        int number = errno_meanings[i].number;

        check(nb__status_of_errno(number) == errno_meanings[i].status, number);
    }
}

TEST(time_out_of_the_kernel_is_not_the_callers_deadline)
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

TEST(no_errno_looks_like_an_answer_of_the_library)
{
    for (int number = -4096; number <= 4096; number++) {
        nb_status status = nb__status_of_errno(number);

        check(is_for_a_system_error(status), number);
        check(status != NB_NAME_NOT_FOUND && status != NB_NAME_TEMPORARY, number);
    }
}

static const struct meaning lookup_meanings[] = {
    {EAI_NONAME, NB_NAME_NOT_FOUND},
#ifdef EAI_NODATA
    {EAI_NODATA, NB_NAME_NOT_FOUND},
#endif
#ifdef EAI_ADDRFAMILY
    {EAI_ADDRFAMILY, NB_NAME_NOT_FOUND},
#endif
    {EAI_FAIL, NB_NAME_NOT_FOUND},
    {EAI_AGAIN, NB_NAME_TEMPORARY},
    {EAI_MEMORY, NB_NO_MEMORY},
    {EAI_FAMILY, NB_UNSUPPORTED},
    {EAI_BADFLAGS, NB_SYSTEM},
    {EAI_SERVICE, NB_SYSTEM},
    {EAI_SOCKTYPE, NB_SYSTEM},
    {EAI_OVERFLOW, NB_SYSTEM},
    {EAI_SYSTEM, NB_SYSTEM},
    {ODD_ERRNO, NB_SYSTEM},
};

TEST(every_code_of_a_lookup_has_its_status)
{
    for (size_t i = 0; i < COUNT(lookup_meanings); i++) {
        int number = lookup_meanings[i].number;

        check(nb__status_of_lookup(number) == lookup_meanings[i].status, number);
    }
}

TEST(no_code_of_a_lookup_looks_like_an_answer_of_the_library)
{
    for (int code = -200; code <= 200; code++)
        check(is_for_a_system_error(nb__status_of_lookup(code)), code);
}

static void check_reason(nb_status status, int system_error, const char *expected)
{
    char buf[128];
    struct nb__text text = nb__text_in(buf, sizeof(buf));

    nb__text_add_reason(&text, status, system_error);
    assert_string_equal(buf, expected);
}

TEST(reason_without_a_system_error_is_the_status_in_words)
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
TEST(every_errno_that_the_manual_names_for_our_calls_has_a_name)
{
#define ROW(name)                                                                                  \
    {                                                                                              \
        name, #name                                                                                \
    }
    static const struct {
        int number;
        const char *name;
    } rows[] = {ROW(EACCES),        ROW(EADDRINUSE),
                ROW(EADDRNOTAVAIL), ROW(EAFNOSUPPORT),
                ROW(EAGAIN),        ROW(EALREADY),
                ROW(EBADF),         ROW(EBUSY),
                ROW(ECANCELED),     ROW(ECONNABORTED),
                ROW(ECONNREFUSED),  ROW(ECONNRESET),
                ROW(EDEADLK),       ROW(EDESTADDRREQ),
                ROW(EDOM),          ROW(EDQUOT),
                ROW(EEXIST),        ROW(EFAULT),
                ROW(EFBIG),         ROW(EHOSTDOWN),
                ROW(EHOSTUNREACH),  ROW(EILSEQ),
                ROW(EINPROGRESS),   ROW(EINTR),
                ROW(EINVAL),        ROW(EIO),
                ROW(EISCONN),       ROW(EISDIR),
                ROW(ELOOP),         ROW(EMFILE),
                ROW(EMLINK),        ROW(EMSGSIZE),
                ROW(ENAMETOOLONG),  ROW(ENETDOWN),
                ROW(ENETRESET),     ROW(ENETUNREACH),
                ROW(ENFILE),        ROW(ENOBUFS),
                ROW(ENODEV),        ROW(ENOENT),
                ROW(ENOLCK),        ROW(ENOMEM),
                ROW(ENOPROTOOPT),   ROW(ENOSPC),
                ROW(ENOSYS),        ROW(ENOTCONN),
                ROW(ENOTDIR),       ROW(ENOTEMPTY),
                ROW(ENOTSOCK),      ROW(ENOTTY),
                ROW(ENXIO),         ROW(EOPNOTSUPP),
                ROW(EOVERFLOW),     ROW(EPERM),
                ROW(EPFNOSUPPORT),  ROW(EPIPE),
                ROW(EPROTO),        ROW(EPROTONOSUPPORT),
                ROW(EPROTOTYPE),    ROW(ERANGE),
                ROW(EROFS),         ROW(ESPIPE),
                ROW(ESRCH),         ROW(ESTALE),
                ROW(ETIMEDOUT),     ROW(ETXTBSY),
                ROW(EXDEV)};
#undef ROW
    char expected[64];

    for (size_t i = 0; i < COUNT(rows); i++) {
        nb_status status = nb__status_of_errno(rows[i].number);

        (void)snprintf(expected, sizeof(expected), "%s (%s)", nb_status_text(status), rows[i].name);
        check_reason(status, rows[i].number, expected);
    }
}

TEST(reason_with_an_errno_without_a_name_gives_the_number)
{
    check_reason(NB_SYSTEM, ODD_ERRNO, "system error (4711)");
}

TEST(reason_with_a_code_of_a_lookup_names_it)
{
    check_reason(NB_NAME_NOT_FOUND, EAI_NONAME, "name not found (EAI_NONAME)");
    check_reason(NB_NAME_TEMPORARY, EAI_AGAIN, "name lookup failed for now (EAI_AGAIN)");
}

TEST(reason_for_a_lookup_without_memory_names_the_code)
{
    check_reason(nb__status_of_lookup(EAI_MEMORY), EAI_MEMORY, "out of memory (EAI_MEMORY)");
}

TEST(reason_for_a_lookup_of_another_family_names_the_code)
{
    check_reason(nb__status_of_lookup(EAI_FAMILY), EAI_FAMILY, "not supported (EAI_FAMILY)");
}

static void fill(nb_error *err)
{
    memset(err, 'x', sizeof(*err));
}

TEST(cleared_error_is_ok_with_an_empty_message)
{
    nb_error err;

    fill(&err);
    nb__error_clear(&err);
    assert_int_equal(err.status, NB_OK);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message, "");
}

TEST(begun_error_has_its_numbers_and_an_empty_message)
{
    struct nb__text text;
    nb_error err;

    fill(&err);
    text = nb__error_begin(&err, NB_RESET, ECONNRESET);
    assert_int_equal(err.status, NB_RESET);
    assert_int_equal(err.system_error, ECONNRESET);
    assert_string_equal(err.message, "");
    nb__text_add(&text, "the message");
    assert_string_equal(err.message, "the message");
}

TEST(error_tells_operation_subject_and_reason)
{
    nb_error err;

    fill(&err);
    assert_int_equal(
        nb__error_set(&err, nb__failure(NB_REFUSED, ECONNREFUSED), "connect to", "[::1]:80"),
        NB_REFUSED);
    assert_int_equal(err.status, NB_REFUSED);
    assert_int_equal(err.system_error, ECONNREFUSED);
    assert_string_equal(err.message, "connect to [::1]:80: connection refused (ECONNREFUSED)");
}

TEST(error_tells_what_was_refused_and_why)
{
    struct nb__result result = nb__result_about(-EADDRINUSE, "reuse_port");
    nb_error err;

    result.why = "a server listens there";
    assert_int_equal(nb__error_set(&err, result, "listen on", "*:80"), NB_ADDRESS_IN_USE);
    assert_int_equal(err.system_error, EADDRINUSE);
    assert_string_equal(err.message,
                        "listen on *:80: reuse_port: address already in use (EADDRINUSE): "
                        "a server listens there");
}

TEST(result_tells_success_or_what_the_errno_means)
{
    assert_int_equal(nb__result_of(0).status, NB_OK);
    assert_int_equal(nb__result_of(3).status, NB_OK);
    assert_null(nb__result_about(0, "reuse_port").what);
    assert_int_equal(nb__result_of(-EPIPE).status, NB_RESET);
    assert_int_equal(nb__result_of(-EPIPE).system_error, EPIPE);
    assert_string_equal(nb__result_about(-EPIPE, "reuse_port").what, "reuse_port");
}

TEST(error_of_a_wrong_call_tells_what_is_wrong)
{
    nb_error err;

    fill(&err);
    assert_int_equal(nb__error_invalid(&err, "listen", "the backlog is negative"), NB_INVALID);
    assert_int_equal(err.status, NB_INVALID);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message, "listen: the backlog is negative");
}

TEST(null_instead_of_an_error_is_fine)
{
    struct nb__text text = nb__error_begin(NULL, NB_RESET, ECONNRESET);

    nb__text_add(&text, "lost");
    nb__error_clear(NULL);
    assert_int_equal(
        nb__error_set(NULL, nb__failure(NB_REFUSED, ECONNREFUSED), "connect to", "a:1"),
        NB_REFUSED);
    assert_int_equal(nb__error_invalid(NULL, "listen", "no"), NB_INVALID);
}

TEST(control_bytes_of_a_subject_are_escaped)
{
    nb_error err;

    (void)nb__error_set(&err, nb__failure(NB_BAD_ENDPOINT, 0), "connect to",
                        "a\r\n\x1b[2J\x7f\xc3\xa9:80");
    assert_string_equal(err.message,
                        "connect to a\\x0d\\x0a\\x1b[2J\\x7f\\xc3\\xa9:80: bad endpoint");
}

TEST(message_is_printable_whatever_the_subject)
{
    nb_error err;

    for (int byte = 1; byte < 256; byte++) {
        char subject[] = {'a', (char)byte, 'b', '\0'};

        (void)nb__error_set(&err, nb__failure(NB_RESET, EPIPE), "send to", subject);
        check(is_printable(err.message), byte);
        check(strlen(err.message) > 0, byte);
    }
}

TEST(format_characters_of_a_subject_are_data)
{
    nb_error err;

    (void)nb__error_set(&err, nb__failure(NB_TIMEOUT, 0), "connect to", "%s%n%d");
    assert_string_equal(err.message, "connect to %s%n%d: timed out");
}

TEST(subject_of_any_length_never_pushes_out_the_reason)
{
    static char subject[2 * NB_ERROR_MESSAGE_MAX];
    nb_error err;

    for (size_t length = 0; length < sizeof(subject) - 1; length++) {
        subject[length] = 'a';
        fill(&err);
        (void)nb__error_set(&err, nb__failure(NB_TIMEOUT, 0), "connect to", subject);
        check(memchr(err.message, '\0', sizeof(err.message)) != NULL, length);
        check(strncmp(err.message, "connect to a", 12) == 0, length);
        check(ends_in(err.message, "a: timed out") || ends_in(err.message, "a...: timed out"),
              length);
        check(strstr(err.message, subject) != NULL || strstr(err.message, "...") != NULL, length);
    }
}

TEST(message_that_just_fits_is_whole)
{
    char operation[NB_ERROR_MESSAGE_MAX];
    nb_error err;
    int room = NB_ERROR_MESSAGE_MAX - 1 - (int)strlen(": no");

    (void)snprintf(operation, sizeof(operation), "%*s", room, "x");
    (void)nb__error_invalid(&err, operation, "no");
    assert_int_equal(strlen(err.message), NB_ERROR_MESSAGE_MAX - 1);
    assert_true(ends_in(err.message, "x: no"));
}

TEST(message_one_byte_too_long_ends_in_dots)
{
    char operation[NB_ERROR_MESSAGE_MAX];
    nb_error err;
    int room = NB_ERROR_MESSAGE_MAX - (int)strlen(": no");

    (void)snprintf(operation, sizeof(operation), "%*s", room, "x");
    (void)nb__error_invalid(&err, operation, "no");
    assert_int_equal(strlen(err.message), NB_ERROR_MESSAGE_MAX - 1);
    assert_true(ends_in(err.message, "..."));
}

TEST(errno_stays_when_an_error_is_told)
{
    nb_error err;

    errno = ODD_ERRNO;
    (void)nb__error_set(&err, nb__failure(NB_REFUSED, ECONNREFUSED), "connect to", "a:1");
    (void)nb__error_invalid(&err, "listen", "no");
    nb__error_clear(&err);
    (void)nb_status_text(NB_SYSTEM);
    assert_int_equal(errno, ODD_ERRNO);
}
