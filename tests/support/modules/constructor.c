/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A library whose constructor takes its time: it says that it has begun, and waits until it may end.
 *         The dynamic linker's lock is held meanwhile. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include <stdlib.h>
#include <unistd.h>

/* The descriptors of the program that loads this. */
static int descriptor(const char *name)
{
    const char *value = getenv(name);

    return value != NULL ? atoi(value) : -1;
}

__attribute__((constructor)) static void take_time(void)
{
    char byte = 0;

    if (write(descriptor("CONSTRUCTOR_BEGINS"), &byte, 1) == 1)
        (void)!read(descriptor("CONSTRUCTOR_MAY_END"), &byte, 1);
}
