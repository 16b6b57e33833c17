/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the sockets that a service manager has passed to this process. */
#ifndef NETBASICS_LISTEN_FDS_H
#define NETBASICS_LISTEN_FDS_H

#include <stdbool.h>
#include <stdint.h>

/* Their descriptors begin here. */
#define NB__LISTEN_FDS_START 3

struct nb__listen_fds {
    uint32_t count;
    const char *why; /* there are none; NULL when there are */
    bool garbled;    /* that is because what the environment says is no number */
};

/* Reads LISTEN_PID and LISTEN_FDS, as sd_listen_fds(3) does, and leaves them as they are. */
struct nb__listen_fds nb__listen_fds_read(void);

#endif
