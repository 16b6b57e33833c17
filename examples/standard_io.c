/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Standard input, output and error as a program of the command line needs them. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "standard_io.h"

#include "escape.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_CAPACITY = 1024 };

static const char *name = "example";
static bool output_failed;
static pthread_mutex_t error_lock = PTHREAD_MUTEX_INITIALIZER; /* Guards what follows. */
static bool status_line_shown;                                 /* The cursor is at its end. */
static bool failure_reported;

/*
 * A program can be started with descriptors 0 to 2 closed. Without this, the next socket would become
 * standard output, and what is printed would go to a peer. Opened for the wrong direction, so that
 * reading and writing fail instead of seeming to work.
 */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(EXIT_FAILURE);
}

void prepare_standard_io(const char *program)
{
    name = program;
    fill_standard_descriptors();
    /* Makes writing to a closed pipe an error instead of the program's death. (The library does not
     * need this, nor does it do so: its sends never raise SIGPIPE.) */
    signal(SIGPIPE, SIG_IGN);
}

const char *program_name(void)
{
    return name;
}

/* After a call that failed: whether to try it again. A descriptor can be non-blocking because a program
 * that shares it has made it so; then this waits until it is ready. */
static bool should_retry(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};

    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return poll(&ready, 1, -1) >= 0 || errno == EINTR;
    return errno == EINTR;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && !should_retry(fd, POLLOUT))
            return false;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return true;
}

ssize_t read_input(char *buffer, size_t capacity)
{
    ssize_t length;

    do
        length = read(STDIN_FILENO, buffer, capacity);
    while (length < 0 && should_retry(STDIN_FILENO, POLLIN));
    if (length < 0)
        fail_with_errno("standard input");
    return length;
}

bool write_output(const char *bytes, size_t length)
{
    if (write_all(STDOUT_FILENO, bytes, length))
        return true;
    output_failed = true;
    fail_with_errno("standard output");
    return false;
}

void print_escaped(const char *before, const char *bytes, size_t length, const char *after)
{
    size_t capacity = ESCAPED_BYTE_MAX * length + 1;
    char *text = malloc(strlen(before) + capacity + strlen(after)), *end;

    if (text == NULL) {
        output_failed = true;
        fail("standard output: out of memory");
        return;
    }
    end = stpcpy(text, before);
    end += escape(end, capacity, bytes, length);
    end = stpcpy(end, after);
    write_output(text, (size_t)(end - text));
    free(text);
}

int close_output(void)
{
    if (output_failed)
        return EXIT_FAILURE;
    return close(STDOUT_FILENO) == 0 ? EXIT_SUCCESS : fail_with_errno("standard output");
}

/* With one write, so that messages of several threads and programs do not mix. */
static void report_failure(const char *line, size_t length)
{
    pthread_mutex_lock(&error_lock);
    if (status_line_shown)
        fputs("\r\033[K", stderr);
    status_line_shown = false;
    if (!failure_reported)
        write_all(STDERR_FILENO, line, length);
    failure_reported = true;
    pthread_mutex_unlock(&error_lock);
}

int fail(const char *format, ...)
{
    char line[LINE_CAPACITY];
    size_t length = (size_t)snprintf(line, sizeof line, "%s: ", name);
    va_list arguments;

    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, one line above */
    vsnprintf(line + length, sizeof line - length, format, arguments);
    va_end(arguments);
    length = strlen(line);
    line[length++] = '\n'; /* Takes the place of the NUL. */
    report_failure(line, length);
    return EXIT_FAILURE;
}

int fail_with_errno(const char *what)
{
    char text[128];
    int error = errno;

    if (strerror_r(error, text, sizeof text) != 0)
        snprintf(text, sizeof text, "error %d", error);
    return fail("%s: %s", what, text);
}

void show_status_line(const char *text)
{
    pthread_mutex_lock(&error_lock);
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    status_line_shown = true;
    pthread_mutex_unlock(&error_lock);
}

void end_status_line(void)
{
    pthread_mutex_lock(&error_lock);
    if (status_line_shown)
        fputs("\n", stderr);
    status_line_shown = false;
    pthread_mutex_unlock(&error_lock);
}
