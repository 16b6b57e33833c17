/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Descriptors from outside, inspected and cleared of harmful options before use. */
#undef _POSIX_C_SOURCE
#undef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* options that are not in POSIX */

#include "net/inherited.h"

#include "net/socket.h"
#include "sys/sys.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>

static struct nb__result not_suitable(int rc, const char *what)
{
    struct nb__result result = nb__failure(NB_INVALID, -rc);

    result.what = what;
    return result;
}

struct nb__result nb__inherited_look(int fd, struct nb__inherited *out)
{
    int type = 0;
    int listens = 0;
    socklen_t length = sizeof(int);
    int rc = nb__sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);

    if (rc < 0)
        return not_suitable(rc, "not a socket");
    if (type != SOCK_STREAM)
        return not_suitable(0, "not a stream socket");
    length = sizeof(int);
    out->listens =
        nb__sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0;
    (void)nb__socket_local(fd, &out->address);
    if (nb_address_family(&out->address) == NB_FAMILY_NONE)
        return not_suitable(0, "not an IPv4, IPv6 or Unix socket");
    return nb__ok();
}

/* An option that this system does not have: no socket can have it set. */
#define MISSING (-1)
#ifndef SO_TIMESTAMPING
#define SO_TIMESTAMPING MISSING
#endif
#ifndef TCP_CORK
#ifdef TCP_NOPUSH
#define TCP_CORK TCP_NOPUSH
#else
#define TCP_CORK MISSING
#endif
#endif
#ifndef TCP_LINGER2
#define TCP_LINGER2 MISSING
#endif
#ifndef IP_RECVERR
#define IP_RECVERR MISSING
#endif
#ifndef IPV6_RECVERR
#define IPV6_RECVERR MISSING
#endif

union value {
    int number;
    struct linger linger;
    struct timeval time;
};

/* Each option, with the harm it does when set. */
static const struct row {
    const char *name;
    int level;
    int option;
    size_t size;
    size_t compared; /* how many of its bytes matter */
    int wanted;      /* followed by zeroes */
    bool harmless_above_zero;
} rows[] = {
#define NUMBER sizeof(int), sizeof(int)
    /* close(2) blocks, whatever the caller's deadline. */
    {"SO_LINGER", SOL_SOCKET, SO_LINGER, sizeof(struct linger), sizeof(int), 0, false},
    /* Receives and sends end before their deadline. */
    {"SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval), sizeof(struct timeval), 0,
     false},
    {"SO_SNDTIMEO", SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval), sizeof(struct timeval), 0,
     false},
    /* A receive waits although there are bytes. */
    {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, NUMBER, 1, false},
    /* Urgent bytes appear in the stream. */
    {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, NUMBER, 0, false},
    /* Time stamps of sent data fill the error queue, which is never read: poll(2) no longer
       waits. */
    {"SO_TIMESTAMPING", SOL_SOCKET, SO_TIMESTAMPING, NUMBER, 0, false},
    /* Small packets are held back. */
    {"TCP_CORK", IPPROTO_TCP, TCP_CORK, NUMBER, 0, false},
    /* If negative, close(2) resets the connection when the peer has received all but not ended
       yet. */
    {"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, NUMBER, 0, true},
    /* One ICMP message ends the connection. */
    {"IP_RECVERR", IPPROTO_IP, IP_RECVERR, NUMBER, 0, false},
    {"IPV6_RECVERR", IPPROTO_IPV6, IPV6_RECVERR, NUMBER, 0, false},
#undef NUMBER
};

static bool is_settled(int fd, const struct row *row)
{
    union value wanted = {.number = 0};
    union value found;
    socklen_t length = (socklen_t)row->size;

    memset(&wanted, 0, sizeof(wanted));
    memset(&found, 0, sizeof(found));
    wanted.number = row->wanted;
    if (nb__sys_getsockopt(fd, row->level, row->option, &found, &length) < 0)
        return true; /* it is not an option of this kind of socket */
    return (row->harmless_above_zero && found.number > 0) ||
           memcmp(&found, &wanted, row->compared) == 0;
}

struct nb__result nb__inherited_settle(int fd, bool *changed)
{
    *changed = false;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        union value wanted;
        int rc;

        if (row->option == MISSING || is_settled(fd, row))
            continue;
        memset(&wanted, 0, sizeof(wanted));
        wanted.number = row->wanted;
        rc = nb__sys_setsockopt(fd, row->level, row->option, &wanted, (socklen_t)row->size);
        if (rc < 0)
            return nb__result_about(rc, row->name);
        *changed = true;
    }
    return nb__ok();
}
