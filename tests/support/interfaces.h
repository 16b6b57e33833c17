/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A machine with interfaces of odd names, all of which Linux allows. */
#ifndef NETBASICS_TESTS_SUPPORT_INTERFACES_H
#define NETBASICS_TESTS_SUPPORT_INTERFACES_H

/* The name of an interface; NULL when there is none with this index. */
const char *odd_interface(unsigned index);
/* How often the system was asked for an interface by its name. */
int interfaces_asked(void);

#endif
