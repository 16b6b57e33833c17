/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief How a test program says what its cases are. */
#ifndef NETBASICS_TESTS_CASES_H
#define NETBASICS_TESTS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* cmocka wants the standard headers before it. */
#include <cmocka.h>

/* A case registers itself, so that none can be written and forgotten:

       TEST_AS(an_empty_line_is_a_line, BOTH_TRANSPORTS)
       {
           ...
       }

   `kind` is a macro that makes of a name one or more entries of a table of cmocka, such as cmocka_unit_test:
   one for each mode in which the case is to run. The parameter `state` tells the case its mode. A file whose
   cases are nearly all of one kind defines TEST(name) for that. */
#define TEST_AS(name, kind)                                                                        \
    static void name(void **state);                                                                \
    __attribute__((constructor)) static void add_##name(void)                                      \
    {                                                                                              \
        const struct CMUnitTest entries[] = {kind(name)};                                          \
                                                                                                   \
        add_cases(entries, sizeof(entries) / sizeof(entries[0]));                                  \
    }                                                                                              \
    static void name(__attribute__((unused)) void **state)
void add_cases(const struct CMUnitTest *more, size_t length);

/* What is done before the first case of a program and after the last one; NULL for nothing. */
#define TEST_GROUP(begin, end)                                                                     \
    __attribute__((constructor)) static void add_group(void)                                       \
    {                                                                                              \
        set_group(begin, end);                                                                     \
    }
void set_group(CMFixtureFunction begin, CMFixtureFunction end);

/* For a program with a main() of its own. */
int run_cases(void);

#endif
