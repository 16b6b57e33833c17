/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The socket options that callers can ask for: one table. */
#undef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE

#include "net/socket_options.h"

#include "sys/sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An option that this system does not have: it is refused, as if by the system. */
#define MISSING (-1)
#ifndef SO_REUSEPORT
#define SO_REUSEPORT MISSING
#endif
#ifndef TCP_KEEPIDLE
#ifdef TCP_KEEPALIVE
#define TCP_KEEPIDLE TCP_KEEPALIVE
#else
#define TCP_KEEPIDLE MISSING
#endif
#endif
#ifndef TCP_KEEPINTVL
#define TCP_KEEPINTVL MISSING
#endif
#ifndef TCP_KEEPCNT
#define TCP_KEEPCNT MISSING
#endif
#ifndef TCP_USER_TIMEOUT
#define TCP_USER_TIMEOUT MISSING
#endif

/* The maximums of Linux: of TCP_KEEPIDLE and TCP_KEEPINTVL (tcp(7)) in milliseconds, and of
   TCP_KEEPCNT. */
#define KEEPALIVE_MS_MAX (INT64_C(32767) * 1000)
#define KEEPALIVE_COUNT_MAX 127

static const struct row {
    const char *name; /* of the field */
    int level;
    int option;
    int64_t most;
    int64_t unit;  /* what the system's 1 stands for; values are rounded up */
    bool anywhere; /* also for Unix sockets */
} rows[NB__SOCKET_OPTIONS] = {
    [NB__NAGLE] = {"nagle", IPPROTO_TCP, TCP_NODELAY, 1, 1, false},
    [NB__KEEPALIVE_IDLE] = {"keepalive_idle_ms", IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_MS_MAX, 1000,
                            false},
    [NB__KEEPALIVE_INTERVAL] = {"keepalive_interval_ms", IPPROTO_TCP, TCP_KEEPINTVL,
                                KEEPALIVE_MS_MAX, 1000, false},
    [NB__KEEPALIVE_COUNT] = {"keepalive_count", IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT_MAX, 1,
                             false},
    [NB__USER_TIMEOUT] = {"user_timeout_ms", IPPROTO_TCP, TCP_USER_TIMEOUT, INT32_MAX, 1, false},
    [NB__SEND_BUFFER] = {"send_buffer_bytes", SOL_SOCKET, SO_SNDBUF, INT32_MAX, 1, true},
    [NB__RECEIVE_BUFFER] = {"receive_buffer_bytes", SOL_SOCKET, SO_RCVBUF, INT32_MAX, 1, true},
    [NB__REUSE_PORT] = {"reuse_port", SOL_SOCKET, SO_REUSEPORT, 1, 1, false},
};

nb_status nb__socket_options_check(const struct nb__socket_options *options, const char *operation,
                                   nb_error *err)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = options->values[i];

        if (value < 0 || value > rows[i].most)
            return nb__error_out_of_range(err, operation, rows[i].name, value, 0, rows[i].most);
    }
    return NB_OK;
}

static int set(int fd, int level, int option, int value)
{
    /* Never on Linux, which has all of them. */
    if (option == MISSING)   /* GCOV_EXCL_BR_LINE */
        return -ENOPROTOOPT; /* GCOV_EXCL_LINE */
    return nb__sys_setsockopt(fd, level, option, &value, sizeof(value));
}

/* The value for the system: TCP_NODELAY is the opposite of `nagle`. */
static int value_of(enum nb__socket_option which, int64_t asked)
{
    const struct row *row = &rows[which];

    return which == NB__NAGLE ? 0 : (int)((asked + row->unit - 1) / row->unit);
}

/* The settings of keepalive have no effect until it is on. */
static bool wants_keepalive(enum nb__socket_option which)
{
    return which == NB__KEEPALIVE_IDLE || which == NB__KEEPALIVE_INTERVAL ||
           which == NB__KEEPALIVE_COUNT;
}

static int set_one(int fd, nb_family family, enum nb__socket_option which, int64_t asked)
{
    const struct row *row = &rows[which];
    int rc = 0;

    if (family == NB_FAMILY_UNIX && !row->anywhere)
        return -EOPNOTSUPP;
    if (wants_keepalive(which))
        rc = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    return rc < 0 ? rc : set(fd, row->level, row->option, value_of(which, asked));
}

struct nb__result nb__socket_options_set(int fd, nb_family family,
                                         const struct nb__socket_options *options)
{
    if (options->values[NB__NAGLE] == 0 && family != NB_FAMILY_UNIX)
        (void)set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum nb__socket_option which = (enum nb__socket_option)i;
        int rc = 0;

        if (options->values[i] != 0)
            rc = set_one(fd, family, which, options->values[i]);
        if (rc < 0)
            return nb__result_about(rc, rows[i].name);
    }
    return nb__ok();
}
