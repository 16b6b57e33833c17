/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of how the library is kept loaded, as if it were a shared one: by the name that the
 *         dynamic linker has for it, as often as it is released. */
#include "support.h"
#include "sys/sys.h"

/* What the library itself allocates; the C library has memory of its own. */
static atomic_bool without_memory;

static void *own_libc_calloc(size_t count, size_t size)
{
    return without_memory ? NULL : real.libc_calloc(count, size);
}

REPLACE(libc_calloc, own_libc_calloc)

#ifdef __GLIBC__
#include <dlfcn.h>
#include <link.h>

/* What the dynamic linker says; each case begins in a program, as it really is. */
static struct {
    bool nothing_known;
    const void *inside; /* what it is asked about instead; NULL: what it is asked about */
    bool closed_already;
} linker;

static int asked;
static int opened;
static int loaded; /* how often it could have been loaded anew */
static atomic_int closed;

static int own_libc_dladdr1(const void *address, void *info, void **extra, int flags)
{
    asked++;
    if (linker.nothing_known)
        return 0;
    return real.libc_dladdr1(linker.inside != NULL ? linker.inside : address, info, extra, flags);
}

REPLACE(libc_dladdr1, own_libc_dladdr1)

static void *own_libc_dlopen(const char *name, int flags)
{
    opened++;
    loaded += (flags & RTLD_NOLOAD) == 0;
    errno = ENOENT; /* as it may be after a search that ended well */
    return linker.closed_already ? NULL : real.libc_dlopen(name, flags);
}

REPLACE(libc_dlopen, own_libc_dlopen)

static int own_libc_dlclose(void *library)
{
    atomic_fetch_add(&closed, 1);
    return real.libc_dlclose(library);
}

REPLACE(libc_dlclose, own_libc_dlclose)

static int begin(void **state)
{
    linker.nothing_known = linker.closed_already = false;
    linker.inside = NULL;
    without_memory = false;
    opened = loaded = 0;
    nb__sys_library_find();
    atomic_store(&closed, 0);
    return case_begin(state);
}

#define LIBRARY_CASE(name) cmocka_unit_test_setup_teardown(name, begin, case_end)

/* As if it were loaded now, as a part of the C library, which is a shared one. */
static void be_shared(void)
{
    linker.inside = dlsym(RTLD_DEFAULT, "getaddrinfo");
    assert_non_null(linker.inside);
    nb__sys_library_find();
}

static void check_nothing_is_held(void)
{
    void *held = &linker;

    errno = ODD_ERRNO;
    assert_int_equal(nb__sys_library_hold(&held), 0);
    assert_int_equal(errno, ODD_ERRNO);
    assert_null(held);
    nb__sys_library_release(held);
    nb__sys_library_release_later(held);
    assert_int_equal(opened, 0);
    assert_int_equal(closed, 0);
}

#define TEST(name) TEST_AS(name, LIBRARY_CASE)

TEST(the_library_in_an_executable_is_not_held)
{
    check_nothing_is_held();
}

TEST(a_library_unknown_to_the_dynamic_linker_is_not_held)
{
    be_shared();
    linker.nothing_known = true;
    nb__sys_library_find();
    check_nothing_is_held();
}

/* Somebody who loads a library for as long as its constructors take would have to be waited for. */
TEST(an_executable_never_calls_the_dynamic_linker)
{
    asked = 0;
    check_nothing_is_held();
    assert_int_equal(asked, 0);
}

TEST(a_shared_library_is_held_until_it_is_released)
{
    void *held = NULL;

    be_shared();
    errno = ODD_ERRNO;
    assert_int_equal(nb__sys_library_hold(&held), 0);
    assert_int_equal(errno, ODD_ERRNO);
    assert_non_null(held);
    assert_int_equal(closed, 0);
    nb__sys_library_release(held);
    assert_int_equal(closed, 1);
}

TEST(a_library_that_cannot_be_held_is_reported)
{
    void *held = &linker;

    be_shared();
    linker.closed_already = true;
    errno = ODD_ERRNO;
    assert_int_equal(nb__sys_library_hold(&held), -ENOMEM);
    assert_int_equal(errno, ODD_ERRNO);
    assert_null(held);
}

static void *held_at_the_end;
static int closed_within; /* as long as the thread was in our code */

static void hold_until_the_end(void *argument)
{
    (void)argument;
    (void)nb__sys_library_hold(&held_at_the_end);
    nb__sys_library_release_later(held_at_the_end);
    closed_within = closed;
}

TEST(a_thread_releases_the_library_after_it_has_ended)
{
    struct task task;

    be_shared();
    task_start(&task, hold_until_the_end, NULL);
    task_join(&task);
    assert_int_equal(opened, 1);
    assert_int_equal(loaded, 0);
    assert_int_equal(closed_within, 0);
    assert_int_equal(closed, 1);
}

/* The C library would end the process. */
TEST(a_thread_out_of_memory_never_releases_the_library)
{
    struct task task;

    be_shared();
    without_memory = true;
    task_start(&task, hold_until_the_end, NULL);
    task_join(&task);
    without_memory = false;
    assert_int_equal(closed, 0);
    nb__sys_library_release(held_at_the_end);
}

#endif
