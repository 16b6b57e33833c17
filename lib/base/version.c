/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Which version this is. */
#include <netbasics/version.h>

const char *nb_version(void)
{
    return NB_VERSION_STRING;
}
