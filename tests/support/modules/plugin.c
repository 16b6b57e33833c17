/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A plugin that brings the static library with it: unlike the shared one, it can be unloaded. */
#include <netbasics/export.h>

NB_API const char *plugin_name(void);

const char *plugin_name(void)
{
    return "a plugin with a copy of netbasics inside";
}
