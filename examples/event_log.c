/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The log of a server: what happens in nb_serve(), a line for each event. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "event_log.h"

#include "standard_io.h"
#include <fcntl.h>
#include <netbasics/address.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_CAPACITY = 1024 };

/*
 * Opens the same terminal or pipe once more, so that writing to it never waits: O_NONBLOCK on the
 * descriptor itself would be seen by every program that shares it. Where that is not possible, asking
 * for room beforehand has to do; it does, unless somebody else takes that room.
 */
static int open_log(int fd)
{
    char path[32];
    struct stat state;
    int opened = -1;

    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    if (isatty(fd) || (fstat(fd, &state) == 0 && S_ISFIFO(state.st_mode)))
        opened = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return opened < 0 ? fd : opened;
}

void open_event_log(event_log *log, const char *greeting, bool quiet)
{
    *log = (event_log){greeting, quiet, open_log(STDOUT_FILENO), open_log(STDERR_FILENO)};
}

/* Writes a line with one write, so that lines of several threads and programs do not mix: now or not at
 * all. */
static void write_now(int fd, const char *line, size_t length)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* Nobody takes the room meanwhile. */
    struct pollfd ready = {.fd = fd, .events = POLLOUT};

    pthread_mutex_lock(&lock);
    ssize_t written = poll(&ready, 1, 0) > 0 ? write(fd, line, length) : 0;
    pthread_mutex_unlock(&lock);
    (void)written; /* Nobody is left to be told of a failure. */
}

static void log_line(int fd, const char *format, ...) LIKE_PRINTF(2);

static void log_line(int fd, const char *format, ...)
{
    char line[LINE_CAPACITY];
    va_list arguments;

    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, one line above */
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t length = strlen(line);
    line[length++] = '\n'; /* Takes the place of the NUL. */
    write_now(fd, line, length);
}

/* Called by several threads at once. */
void log_event(const nb_event *event, void *context)
{
    const event_log *log = context;
    char address[NB_ADDRESS_TEXT_MAX];

    nb_address_format(&event->address, address, sizeof address);
    switch (event->kind) {
    case NB_EVENT_LISTENING:
        log_line(log->output, "Listening on %s", address);
        break;
    case NB_EVENT_ACCEPTED:
        if (!log->quiet)
            log_line(log->output, "%s %s", log->greeting, address);
        break;
    case NB_EVENT_REFUSED:
        if (!log->quiet)
            log_line(log->output, "Refused %s, which has too many connections", address);
        break;
    case NB_EVENT_ACCEPT_BACKING_OFF:
    case NB_EVENT_ACCEPT_RECOVERED:
    case NB_EVENT_LIMIT_REACHED:
    case NB_EVENT_LIMIT_CLEARED:
        log_line(log->errors, "%s: %s", program_name(), event->message);
        break;
    default:
        break;
    }
}
