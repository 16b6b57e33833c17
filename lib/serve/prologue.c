/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What happens to a connection between accept and its handler. */
#include "serve/prologue.h"

#include "serve/admit.h"

bool nb__prologue(struct nb__handling *handling)
{
    return nb__admit(handling);
}
