/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The measure: the same servers as nb_server.c, written by hand with bare system calls.
 *
 *  bare_server echo|time calling|threads CONNECTIONS CLOCK_READINGS
 *
 *  Serves so many connections on a loopback port, which it prints, and exits. "calling" serves them
 *  one after the other in the calling thread, "threads" starts a thread for each. CLOCK_READINGS per
 *  round trip, each compared with a deadline, are what any loop that watches deadlines has to pay. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#include "bench.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

static bool time_server;
static int clock_readings;
static const volatile int64_t deadline = INT64_MAX;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void echo(int fd)
{
    char buf[BUFFER_BYTES];
    for (;;) {
        for (int i = 0; i < clock_readings; i++) {
            if (now_ns() >= deadline)
                die("deadline", "passed");
        }

        ssize_t n = recv(fd, buf, sizeof(buf), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die("recv", strerror(errno));
        if (n == 0)
            return;
        send_all(fd, buf, (size_t)n);
    }
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    if (time_server)
        send_all(fd, TIME_TEXT, TIME_BYTES);
    else
        echo(fd);
    close(fd);
    return NULL;
}

static void start_thread(int fd)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd);
    if (error != 0)
        die("pthread_create", strerror(error));
    pthread_detach(thread);
}

/* TCP_NODELAY is set here once: accepted sockets inherit it. */
static int listen_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int on = 1;

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        die("listen", strerror(errno));
    print_port(ntohs(address.sin_port));
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage", "bare_server echo|time calling|threads CONNECTIONS CLOCK_READINGS");
    time_server = strcmp(argv[1], "time") == 0;
    bool threads = strcmp(argv[2], "threads") == 0;
    clock_readings = number(argv[4]);

    int listener = listen_loopback();
    for (int left = number(argv[3]); left > 0; left--) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof(peer);
        int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
        if (fd < 0)
            die("accept", strerror(errno));
        if (threads)
            start_thread(fd);
        else
            serve((void *)(intptr_t)fd);
    }
    pthread_exit(NULL); /* the process ends with its last thread */
}
