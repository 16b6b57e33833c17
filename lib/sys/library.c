/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Keeps the library loaded while a thread that nobody waits for runs its code. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr1 */

#include "sys/sys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <dlfcn.h>
#include <link.h>
#endif

#ifdef __GLIBC__
/* The shared object that this code is part of; NULL when it cannot be unloaded: it is the program
   itself, which has no name, or a library linked with -z nodelete, as our own is. */
static struct link_map *unloadable;

static bool stays_loaded(const struct link_map *library)
{
    const ElfW(Dyn) *entry = library->l_ld;

    while (entry->d_tag != DT_NULL && entry->d_tag != DT_FLAGS_1)
        entry++;
    return entry->d_tag == DT_FLAGS_1 && (entry->d_un.d_val & DF_1_NODELETE) != 0;
}

/* Runs before the constructors of the program or library that this code is part of. */
__attribute__((constructor(101))) void nb__sys_library_find(void)
{
    static const char inside;
    struct link_map *library = NULL; /* the memory sanitizer does not know dladdr1(3) */
    Dl_info info;

    unloadable = NULL;
    if (dladdr1(&inside, &info, (void **)&library, RTLD_DL_LINKMAP) != 0 &&
        library->l_name[0] != '\0' && !stays_loaded(library))
        unloadable = library;
}

int nb__sys_library_hold(void **out)
{
    int saved = errno;

    *out = NULL;
    if (unloadable == NULL)
        return 0;
    *out = dlopen(unloadable->l_name, RTLD_LAZY | RTLD_NOLOAD);
    errno = saved;
    return *out != NULL ? 0 : -ENOMEM;
}

void nb__sys_library_release(void *held)
{
    if (held != NULL)
        (void)dlclose(held);
}

/* From the C library, which C++ uses for thread_local objects. The last argument is an address in
   the library that the function belongs to. */
extern int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *where)
    __attribute__((weak));

/* Whether the C library can allocate a few more bytes. It aborts the process when it cannot
   register what a thread has to do at its end. */
static bool has_memory(void)
{
    void *volatile room = nb__sys_calloc(1, 4096); /* volatile: the call must not be dropped */
    bool has = room != NULL;

    free(room);
    return has;
}

void nb__sys_library_release_later(void *held)
{
    /* The C library calls dlclose itself: none of our code is on the stack when it is unloaded. */
    void (*release)(void *) = (void (*)(void *))(void (*)(void))dlclose;

    /* NOLINTNEXTLINE(performance-no-int-to-ptr): ISO C has no other way for a function */
    void *where = (void *)(uintptr_t)dlclose;

    if (held == NULL || !has_memory())
        return;
    /* In glibc since 2.18; libraries that pretend to be glibc may lack it. */
    if (__cxa_thread_atexit_impl != NULL) /* GCOV_EXCL_BR_LINE */
        (void)__cxa_thread_atexit_impl(release, held, where);
}
#else
void nb__sys_library_find(void)
{
}

int nb__sys_library_hold(void **out)
{
    *out = NULL;
    return 0;
}

void nb__sys_library_release(void *held)
{
    (void)held;
}

void nb__sys_library_release_later(void *held)
{
    (void)held;
}
#endif
