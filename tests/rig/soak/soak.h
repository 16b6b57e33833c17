/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: how long a soak is, and what a process uses before and after it. */
#ifndef NETBASICS_TESTS_SOAK_H
#define NETBASICS_TESTS_SOAK_H

#include "servers.h"

/* How many rounds: few in a run of every day, many with NETBASICS_NIGHTLY=1 in the environment. */
size_t rounds(size_t daily, size_t nightly);

/* Sanitizers keep freed memory back, and are slow. */
bool under_a_sanitizer(void);

/* A case that may take long: minutes, or hours at night. */
int soak_case_begin(void **state);
#define SOAK_CASE(name) cmocka_unit_test_setup_teardown(name, soak_case_begin, net_case_end)

/* What the process uses. */
struct usage {
    int64_t begin_ns;
    size_t resident; /* bytes of memory */
    size_t heap;     /* bytes allocated, those in the caches of threads included; 0: not known */
    size_t descriptors;
};
struct usage usage_now(void);

/* Growth that is none: the allocator's and the kernel's bookkeeping. */
#define RESIDENT_GROWTH_MAX ((size_t)256 << 10)
#define HEAP_GROWTH_MAX ((size_t)64 << 10)

/* Prints what so many rounds of something took, and holds that the process uses no more than before.
   (A sanitizer keeps freed memory back, so there it is printed only.) */
void assert_no_growth(const struct usage *before, size_t count, const char *rounds_of_what);

/* The group's set-up: a network of its own, with all ports to connect from, where that is allowed. */
int move_to_wide_network(void **state);

#endif
