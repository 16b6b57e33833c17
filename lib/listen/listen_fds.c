/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The sockets that the service manager passed to this process (sd_listen_fds(3)). */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "listen/listen_fds.h"

#include "base/decimal.h"
#include "net/owned.h"
#include "sys/sys.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static struct nb__listen_fds none(const char *why, bool garbled)
{
    nb__owned_forget_spent(); /* if the variables are set again later, they mean other sockets */
    return (struct nb__listen_fds){0, why, garbled};
}

static const char *variable(const char *name)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nb_listen() forbids changing the environment */
    return getenv(name);
}

struct nb__listen_fds nb__listen_fds_read(void)
{
    const char *pid_text = variable("LISTEN_PID");
    const char *count_text = variable("LISTEN_FDS");
    uint32_t pid;
    uint32_t count;

    if (pid_text == NULL || count_text == NULL)
        return none("no sockets were passed: LISTEN_PID or LISTEN_FDS is not set", false);
    if (!nb__decimal_read(pid_text, strlen(pid_text), INT_MAX, &pid))
        return none("LISTEN_PID is not the number of a process", true);
    if (pid != (uint32_t)nb__sys_getpid()) /* they were passed to an ancestor */
        return none("no sockets were passed to this process: LISTEN_PID is another one", false);
    if (!nb__decimal_read(count_text, strlen(count_text), INT_MAX - NB__LISTEN_FDS_START, &count))
        return none("LISTEN_FDS is not a number of sockets", true);
    if (count == 0)
        return none("no sockets were passed: LISTEN_FDS is 0", false);
    return (struct nb__listen_fds){count, NULL, false};
}
