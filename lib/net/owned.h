/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: which descriptors, passed in by number, have an owner in this process. */
#ifndef NETBASICS_OWNED_H
#define NETBASICS_OWNED_H

#include <stdbool.h>

/* Claims a descriptor for a listener or connection: two owners would close it twice, and the second
   time it may belong to something else. False when it has an owner. Numbers above 65535 are not
   tracked. */
bool nb__owned_claim(int fd);
/* To be called before it is closed: afterwards the number may be reused. */
void nb__owned_release(int fd);

/* Records that a listener has closed a descriptor: it is no longer the socket that the service
   manager passed. Only numbers below 96 are recorded, until nb__owned_forget_spent(). */
void nb__owned_spend(int fd);
bool nb__owned_is_spent(int fd);
void nb__owned_forget_spent(void);

#endif
