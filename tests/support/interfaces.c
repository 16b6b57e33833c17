/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A machine with interfaces of odd names. */
#include "interfaces.h"

#include "double.h"

#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>

static const struct {
    unsigned index;
    const char *name;
} interfaces[] = {
    {1, "lo"},    {2, "eth0"}, {3, "7"},       {7, "br-lan.7"},         {8, "a]b"},
    {9, "a%b"},   {10, "%"},   {11, "\x1b]2"}, {12, "fifteen-letters"}, {13, "\\x00"},
    {14, "08"},   {15, "0"},   {16, "[::1]"},  {17, "99999999999"},     {18, "\xc3\xa9"},
    {19, "e\x7f"}};

static int asked;

int interfaces_asked(void)
{
    return asked;
}

const char *odd_interface(unsigned index)
{
    for (size_t i = 0; i < sizeof(interfaces) / sizeof(interfaces[0]); i++) {
        if (interfaces[i].index == index)
            return interfaces[i].name;
    }
    return NULL;
}

static int own_if_index(const char *name)
{
    asked++;
    for (size_t i = 0; i < sizeof(interfaces) / sizeof(interfaces[0]); i++) {
        if (strcmp(interfaces[i].name, name) == 0)
            return (int)interfaces[i].index;
    }
    return -ENXIO;
}

REPLACE(if_index, own_if_index)

static int own_if_name(unsigned index, char *name)
{
    const char *known = odd_interface(index);

    if (known == NULL)
        return -ENXIO;
    memcpy(name, known, strlen(known) + 1);
    return 0;
}

REPLACE(if_name, own_if_name)
