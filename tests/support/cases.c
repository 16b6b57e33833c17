/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The cases of a program, which register themselves before main() runs. */
#include "cases.h"

#define CASES_MAX 512

static struct CMUnitTest cases[CASES_MAX]; /* cmocka passes over those without a name */
static size_t count;
static CMFixtureFunction group_begin, group_end;

void add_cases(const struct CMUnitTest *more, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (count == CASES_MAX)
            abort();
        cases[count++] = more[i];
    }
}

void set_group(CMFixtureFunction begin, CMFixtureFunction end)
{
    group_begin = begin;
    group_end = end;
}

int run_cases(void)
{
    return cmocka_run_group_tests(cases, group_begin, group_end);
}
