/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Keeps the code of a thread loaded that outlives every use of the library. */
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
/* What has to be held to keep us loaded; NULL when nothing could unload us: we are in the program itself,
   which has no name, or in a library that says so (-z nodelete, as our own one is linked). */
static struct link_map *unloadable;

static bool stays_loaded(const struct link_map *library)
{
    const ElfW(Dyn) *entry = library->l_ld;

    while (entry->d_tag != DT_NULL && entry->d_tag != DT_FLAGS_1)
        entry++;
    return entry->d_tag == DT_FLAGS_1 && (entry->d_un.d_val & DF_1_NODELETE) != 0;
}

/* Before the constructors of whom we are part of. */
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

/* Of the C library: what C++ uses for thread_local objects. The last argument is an address in the
   library that the function belongs to. */
extern int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *where)
    __attribute__((weak));

/* Whether the C library will have memory for a few bytes more. It ends the process when it has none for
   what a thread has to do at its end. */
static bool has_memory(void)
{
    void *volatile room = nb__sys_calloc(1, 4096); /* or a compiler would not ask */
    bool has = room != NULL;

    free(room);
    return has;
}

void nb__sys_library_release_later(void *held)
{
    /* The C library calls dlclose itself: nothing of ours is on the stack when it unloads us. */
    void (*release)(void *) = (void (*)(void *))(void (*)(void))dlclose;

    /* NOLINTNEXTLINE(performance-no-int-to-ptr): ISO C has no other way to the address of a function */
    void *where = (void *)(uintptr_t)dlclose;

    if (held == NULL || !has_memory())
        return;
    /* glibc has had it since 2.18; others that look like glibc need not. */
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
