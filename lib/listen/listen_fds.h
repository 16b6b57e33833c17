/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the sockets that the service manager passed to this process. */
#ifndef NETBASICS_LISTEN_FDS_H
#define NETBASICS_LISTEN_FDS_H

#include <stdbool.h>
#include <stdint.h>

/* The first of their descriptors. */
#define NB__LISTEN_FDS_START 3

struct nb__listen_fds {
    uint32_t count;
    const char *why; /* why there are none; NULL when there are some */
    bool garbled;    /* there are none because a variable is not a number */
};

/* Reads LISTEN_PID and LISTEN_FDS, as sd_listen_fds(3) does, and does not change them. */
struct nb__listen_fds nb__listen_fds_read(void);

#endif
