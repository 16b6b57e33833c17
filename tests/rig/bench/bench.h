/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What the programs of the benchmark share: sizes, and how they give up. */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/** Bytes of one message, and of the buffer that both servers receive into. */
enum { MESSAGE_BYTES = 64, BUFFER_BYTES = 4096 };

/** What a short connection carries: the 26 bytes of the time server. */
#define TIME_TEXT "Wed Jan 29 19:14:15 2014\r\n"
enum { TIME_BYTES = sizeof(TIME_TEXT) - 1 };

/** Ends the program: a figure of a run in which something failed would mean nothing. */
static inline _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/** Sends all of it, by bare system calls. */
static inline void send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die("send", strerror(errno));
        data += n;
        length -= (size_t)n;
    }
}

/** Reads a number of the command line, which only bench.py writes. */
static inline int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 0 || value > 1000000000)
        die(text, "not a number");
    return (int)value;
}

/** Tells bench.py where the load has to go. */
static inline void print_port(unsigned port)
{
    printf("%u\n", port);
    fflush(stdout);
}

/** The lines that are sent: 20 to 60 bytes with their LF, each followed by the next, and after so many the
    first again. */
enum { LINES = 1000, LINE_MIN = 20, LINE_MAX = 60, OWN_BUFFER_BYTES = 16384 };

#endif
