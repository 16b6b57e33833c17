/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: which descriptors this process has given to listeners and connections by their numbers. */
#ifndef NETBASICS_OWNED_H
#define NETBASICS_OWNED_H

#include <stdbool.h>

/* Two owners of one number close it twice, and the second time it may be somebody else's. False when it has
   one already. Numbers above 65535 are not looked after. */
bool nb__owned_claim(int fd);
/* To be called before it is closed: then the number may be anybody's. */
void nb__owned_release(int fd);

/* What a listener has closed: a number that was passed is no longer what was passed. The first hundred are
   remembered, until it is told to forget. */
void nb__owned_spend(int fd);
bool nb__owned_is_spent(int fd);
void nb__owned_forget_spent(void);

#endif
