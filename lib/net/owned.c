/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Which descriptors, passed in by number, have an owner in this process. It takes no lock: a
 *         child of fork(2) could inherit it locked for ever. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "net/owned.h"

#include "sys/sys.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A bit for each number, in the low half of each word; in the high half the process they belong to:
   a child of fork(2) begins with none. */
#define NUMBERS_PER_WORD 32

static _Atomic uint64_t owned[65536 / NUMBERS_PER_WORD];
static _Atomic uint64_t spent[96 / NUMBERS_PER_WORD];

static uint64_t bit_of(int fd)
{
    return UINT64_C(1) << (fd % NUMBERS_PER_WORD);
}

static uint64_t of_this_process(uint64_t word)
{
    uint64_t process = (uint64_t)(uint32_t)nb__sys_process() << 32;

    return word >> 32 == process >> 32 ? word : process;
}

/* Sets or clears the bit of a number. Returns whether it was set. */
static bool change(_Atomic uint64_t *words, size_t count, int fd, bool set)
{
    size_t at = (size_t)fd / NUMBERS_PER_WORD;
    uint64_t before;
    uint64_t now;

    if (fd < 0 || at >= count)
        return false;
    before = atomic_load(&words[at]);
    do {
        now = of_this_process(before);
        now = set ? now | bit_of(fd) : now & ~bit_of(fd);
    } while (!atomic_compare_exchange_weak(&words[at], &before, now));
    return (of_this_process(before) & bit_of(fd)) != 0;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool nb__owned_claim(int fd)
{
    return !change(owned, COUNT(owned), fd, true);
}

void nb__owned_release(int fd)
{
    (void)change(owned, COUNT(owned), fd, false);
}

void nb__owned_spend(int fd)
{
    (void)change(spent, COUNT(spent), fd, true);
}

bool nb__owned_is_spent(int fd)
{
    size_t at = (size_t)fd / NUMBERS_PER_WORD;

    return at < COUNT(spent) && (of_this_process(atomic_load(&spent[at])) & bit_of(fd)) != 0;
}

void nb__owned_forget_spent(void)
{
    for (size_t i = 0; i < COUNT(spent); i++)
        atomic_store(&spent[i], 0);
}
