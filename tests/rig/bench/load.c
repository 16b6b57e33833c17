/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The load that both servers get: a plain blocking client, which prints a rate per second.
 *
 *  load echo PORT CONNECTIONS ROUND_TRIPS   so many connections at once, so many round trips on each
 *  load time PORT CONNECTIONS               so many short connections, one after the other
 *  load lines PORT CONNECTIONS LINES        so many lines on each, one connection after the other */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

static int port, round_trips;
static pthread_barrier_t all_served;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int connect_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect", strerror(errno));
    return fd;
}

/* Receives exactly so many bytes, which must be the wanted ones. */
static void expect(int fd, const char *wanted, size_t length)
{
    char buf[MESSAGE_BYTES];
    ssize_t n = recv(fd, buf, length, MSG_WAITALL);
    if (n < 0)
        die("recv", strerror(errno));
    if ((size_t)n != length || memcmp(buf, wanted, length) != 0)
        die("recv", "not what was sent");
}

static void round_trip(int fd)
{
    static const char message[MESSAGE_BYTES] = "So many bytes, and zeroes for the rest.";
    if (send(fd, message, sizeof(message), MSG_NOSIGNAL) != (ssize_t)sizeof(message))
        die("send", strerror(errno));
    expect(fd, message, sizeof(message));
}

/* The first round trip is not measured: it shows that the server serves all of the connections. */
static void *echo(void *unused)
{
    int fd = connect_loopback();
    round_trip(fd);
    pthread_barrier_wait(&all_served);
    for (int i = 0; i < round_trips; i++)
        round_trip(fd);
    close(fd);
    return unused;
}

static double echo_rate(int connections)
{
    pthread_t *threads = calloc((size_t)connections, sizeof *threads);
    if (threads == NULL)
        die("calloc", strerror(errno));
    pthread_barrier_init(&all_served, NULL, (unsigned)connections + 1);
    for (int i = 0; i < connections; i++) {
        int error = pthread_create(&threads[i], NULL, echo, NULL);
        if (error != 0)
            die("pthread_create", strerror(error));
    }

    pthread_barrier_wait(&all_served);
    double start = now();
    for (int i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
    double rate = (double)connections * round_trips / (now() - start);

    pthread_barrier_destroy(&all_served);
    free(threads);
    return rate;
}

static double time_rate(int connections)
{
    char extra;
    double start = now();
    for (int i = 0; i < connections; i++) {
        int fd = connect_loopback();
        expect(fd, TIME_TEXT, TIME_BYTES);
        if (recv(fd, &extra, 1, 0) != 0)
            die("recv", "no end after the text");
        close(fd);
    }
    return connections / (now() - start);
}

/* Writes the lines: where each of them begins, and where the last one ends. */
static void make_lines(char *text, size_t *starts)
{
    starts[0] = 0;
    for (size_t i = 0; i < LINES; i++) {
        size_t length = LINE_MIN + i * 7919 % (LINE_MAX - LINE_MIN + 1);
        memset(text + starts[i], 'x', length - 1);
        text[starts[i] + length - 1] = '\n';
        starts[i + 1] = starts[i] + length;
    }
}

/* The server says how many there were. */
static void send_lines(int lines)
{
    static char text[LINES * LINE_MAX];
    size_t starts[LINES + 1];
    char wanted[MESSAGE_BYTES];
    int fd = connect_loopback();
    make_lines(text, starts);
    for (int left = lines; left > 0; left -= LINES)
        send_all(fd, text, starts[left < LINES ? left : LINES]);
    shutdown(fd, SHUT_WR);
    snprintf(wanted, sizeof(wanted), "%d", lines);
    expect(fd, wanted, strlen(wanted));
    close(fd);
}

static double line_rate(int connections)
{
    double start = now();
    for (int i = 0; i < connections; i++)
        send_lines(round_trips);
    return (double)connections * round_trips / (now() - start);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        die("usage", "load echo|time|lines PORT CONNECTIONS [ROUND_TRIPS|LINES]");
    port = number(argv[2]);
    int connections = number(argv[3]);
    round_trips = argc > 4 ? number(argv[4]) : 0;

    double rate = strcmp(argv[1], "time") == 0    ? time_rate(connections)
                  : strcmp(argv[1], "lines") == 0 ? line_rate(connections)
                                                  : echo_rate(connections);
    printf("%.1f\n", rate);
    return EXIT_SUCCESS;
}
