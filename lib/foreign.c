/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Descriptors that come from outside, looked at and made harmless before they are used. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "foreign.h"

#include "address_internal.h"
#include "sys.h"

const char *nb__foreign_look(int fd, struct nb__foreign *out, int *failed)
{
    struct sockaddr_storage raw;
    int type = 0;
    int listens = 0;
    socklen_t length = sizeof(int);

    *failed = nb__sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);
    if (*failed < 0)
        return "not a socket";
    if (type != SOCK_STREAM)
        return "not a stream socket";
    length = sizeof(int);
    out->listens =
        nb__sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0;
    length = sizeof(raw);
    if (nb__sys_getsockname(fd, (struct sockaddr *)&raw, &length) < 0)
        length = 0;
    out->address = nb__address_from((const struct sockaddr *)&raw, length);
    return nb_address_family(&out->address) == NB_FAMILY_NONE ? "not an IPv4, IPv6 or Unix socket"
                                                              : NULL;
}

int nb__foreign_close_at_once(int fd)
{
    struct linger off = {0, 0};

    return nb__sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
}
