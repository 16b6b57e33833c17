/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Socket options that break what is promised of connections, when somebody else has set them. */
#include "support.h"

#include <netinet/tcp.h>
#include <sys/time.h>

/* Of linux/net_tstamp.h, which not everybody has: what was sent comes back with the time. */
#define SENT_WITH_TIME (1 << 1 | 1 << 4)

union value {
    int number;
    struct linger linger;
    struct timeval time;
};

static const struct row {
    const char *name;
    int level;
    int option;
    socklen_t size;
    union value spoiled;
    int wanted; /* as an int; the rest of it is 0 */
} rows[] = {
#define ROW(level, option, member, wanted, ...)                                                    \
    {                                                                                              \
#option, level, option, sizeof(((union value *)0)->member),                                \
            {.member = __VA_ARGS__ }, wanted                                                       \
    }
    ROW(SOL_SOCKET, SO_LINGER, linger, 0, {1, 60}),
    ROW(SOL_SOCKET, SO_RCVTIMEO, time, 0, {7, 500000}),
    ROW(SOL_SOCKET, SO_SNDTIMEO, time, 0, {7, 500000}),
    ROW(SOL_SOCKET, SO_RCVLOWAT, number, 1, 1000),
    ROW(SOL_SOCKET, SO_OOBINLINE, number, 0, 1),
    ROW(SOL_SOCKET, SO_TIMESTAMPING, number, 0, SENT_WITH_TIME),
    ROW(IPPROTO_TCP, TCP_CORK, number, 0, 1),
    ROW(IPPROTO_TCP, TCP_LINGER2, number, 60, -1),
    ROW(IPPROTO_IP, IP_RECVERR, number, 0, 1),
    ROW(IPPROTO_IPV6, IPV6_RECVERR, number, 0, 1),
};

size_t spoil(int fd)
{
    size_t count = 0;

    for (size_t i = 0; i < COUNT(rows); i++)
        count += setsockopt(fd, rows[i].level, rows[i].option, &rows[i].spoiled, rows[i].size) == 0;
    return count;
}

static bool is_as_wanted(const struct row *row, const union value *found)
{
    if (row->spoiled.number < 0)
        return found->number >= 0; /* the system's own number */
    if (row->level == SOL_SOCKET && (row->option == SO_RCVTIMEO || row->option == SO_SNDTIMEO))
        return found->time.tv_sec == 0 && found->time.tv_usec == 0;
    return found->number == row->wanted;
}

void check_unspoiled(int fd)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        union value found;
        socklen_t length = rows[i].size;

        memset(&found, 0, sizeof(found));
        if (getsockopt(fd, rows[i].level, rows[i].option, &found, &length) == 0 &&
            !is_as_wanted(&rows[i], &found))
            fail_msg("%s is %d", rows[i].name, found.number);
    }
}
