/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The system calls on sockets that take or return addresses. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "net/socket.h"

#include "net/address_internal.h"
#include "sys/sys.h"

int nb__socket_open(const nb_address *address)
{
    return nb__sys_socket(nb__address_domain(address));
}

int nb__socket_bind(int fd, const nb_address *address)
{
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(address, &length);

    return nb__sys_bind(fd, raw, length);
}

int nb__socket_connect(int fd, const nb_address *address)
{
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(address, &length);

    return nb__sys_connect(fd, raw, length);
}

/* Makes a system call that returns an address. */
static int get_address(int (*call)(int, struct sockaddr *, socklen_t *), int fd, nb_address *out)
{
    struct sockaddr_storage raw;
    socklen_t length = sizeof(raw);
    int rc = call(fd, (struct sockaddr *)&raw, &length);

    *out = nb__address_from((const struct sockaddr *)&raw, rc < 0 ? 0 : length);
    return rc;
}

int nb__socket_accept(int fd, nb_address *peer)
{
    return get_address(nb__sys_accept, fd, peer);
}

int nb__socket_local(int fd, nb_address *out)
{
    return get_address(nb__sys_getsockname, fd, out);
}

int nb__socket_peer(int fd, nb_address *out)
{
    return get_address(nb__sys_getpeername, fd, out);
}
