/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: memory that runs out as fail_after(ON_MALLOC) says. */
#include "servers.h"

#include <errno.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

/* Whether there is memory; if not, errno says so as the system does. */
static bool has_memory(void)
{
    int error = fault(ON_MALLOC);

    if (error != 0)
        errno = error;
    return error == 0;
}

void *__wrap_malloc(size_t size)
{
    return has_memory() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return has_memory() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
    return has_memory() ? __real_realloc(old, size) : NULL;
}
