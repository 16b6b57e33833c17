/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The version of the library. */
#include <netbasics/version.h>

const char *nb_version(void)
{
    return NB_VERSION_STRING;
}
