/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: lengths of soaks and what they use. */
#include "soak.h"

#include <malloc.h>

#define DAILY_S 200
#define NIGHTLY_S 7200

static bool at_night(void)
{
    const char *nightly = getenv("NETBASICS_NIGHTLY");

    return nightly != NULL && strcmp(nightly, "") != 0 && strcmp(nightly, "0") != 0;
}

size_t rounds(size_t daily, size_t nightly)
{
    return at_night() ? nightly : daily;
}

int soak_case_begin(void **state)
{
    int failed = net_case_begin(state);

    (void)alarm(at_night() ? NIGHTLY_S : DAILY_S);
    return failed;
}

/* The kernel's other counters of resident memory are late by some pages for each processor. */
static size_t resident(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    size_t kib = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        (void)sscanf(line, "Rss: %zu kB", &kib);
    assert_int_equal(fclose(file), 0);
    return kib << 10;
}

static size_t allocated(void)
{
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 33)
    return mallinfo2().uordblks;
#endif
#endif
    return 0;
}

struct usage usage_now(void)
{
    struct usage usage = {now_ns(), 0, allocated(), open_descriptors()};

    usage.resident = resident();
    return usage;
}

/* Of the sanitizers' own library, where there is one. */
__attribute__((weak)) void __sanitizer_symbolize_pc(void *, const char *, char *, size_t);

bool under_a_sanitizer(void)
{
    return __sanitizer_symbolize_pc != NULL;
}

static void assert_less(const char *what, size_t before, size_t now, size_t growth_max)
{
    if (!under_a_sanitizer() && now > before + growth_max)
        fail_msg("%s grew by %zu bytes", what, now - before);
}

void assert_no_growth(const struct usage *before, size_t count, const char *rounds_of_what)
{
    struct usage now = usage_now();

    print_message("# %zu %s in %lld ms: resident memory %+lld KiB, heap %+lld bytes, descriptors "
                  "%+lld\n",
                  count, rounds_of_what, (long long)((now.begin_ns - before->begin_ns) / 1000000),
                  ((long long)now.resident - (long long)before->resident) / 1024,
                  (long long)now.heap - (long long)before->heap,
                  (long long)now.descriptors - (long long)before->descriptors);
    assert_int_equal(now.descriptors, before->descriptors);
    assert_less("resident memory", before->resident, now.resident, RESIDENT_GROWTH_MAX);
    assert_less("the heap", before->heap, now.heap, HEAP_GROWTH_MAX);
}

int move_to_wide_network(void **state)
{
    FILE *range;

    (void)move_to_own_network(state);
    if (!has_own_network())
        return 0; /* the ports of all others are not for us to set */
    range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "we");
    if (range != NULL) {
        (void)fputs("1024 65000", range);
        (void)fclose(range);
    }
    return 0;
}
