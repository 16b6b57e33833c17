/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private to the scripted kernel: its sockets, and how time passes. */
#ifndef NETBASICS_TESTS_KERNEL_SOCKETS_H
#define NETBASICS_TESTS_KERNEL_SOCKETS_H

#include "kernel.h"

#include <sys/socket.h>

enum kind { FRESH, CONNECTING, CONNECTED, LISTENING, WAKE };

/* One direction of a connection, and how far its script has come. */
struct lane {
    const struct kernel_step *steps;
    size_t count;
    size_t next;
    int64_t last_ns; /* when the step before was due */
    size_t bytes;    /* there to be received, or room to send */
    size_t moved;    /* received or sent so far */
    bool ended;      /* the peer's end has come */
    int passing;     /* an error that passes */
};

struct vsocket {
    enum kind kind;
    bool open;
    bool is_unix;
    bool blocking;
    bool cloexec;
    enum kernel_kind passed; /* of one that was passed: what it is */
    bool linger_resets;
    bool closed;     /* what TCP calls CLOSE */
    bool half_ended; /* we have ended our stream */
    int error;       /* to be given once */
    int64_t armed_ms[2];
    struct lane lanes[2]; /* by nb_direction */
    const struct kernel_peer *peer;
    const struct kernel_attempt *attempt;
    bool idle_wakeup;    /* poll(2) is to say writable for nothing */
    int64_t answered_ns; /* when the connect is answered */
    size_t index;        /* of a listening socket */
    size_t client;       /* of an accepted one */
    bool has_client;
    bool rung;
    enum kernel_fate fate;
    struct sockaddr_storage local;
    struct sockaddr_storage remote;
};

/* The socket behind an open descriptor; NULL, and a complaint, when there is none. */
struct vsocket *vsocket_of(int fd);
/* A new one: its descriptor. */
int vsocket_new(enum kind kind);
void vsocket_close(int fd);
/* Makes it a connection that begins now. */
void vsocket_connect(struct vsocket *socket, const struct kernel_peer *peer);

/* Notes the first contract that was broken. */
void complain(const char *what);

/* Brings all sockets to what they are now. */
void catch_up(void);

/* The client that waits longest at a listening socket; -1 when there is none. */
int first_in_queue(size_t listening);
/* How many connections wait there, those that are lost by now included. */
int vqueue_length(size_t listening);
/* Takes it out of the queue. */
void leave_queue(int client);

/* Lets time pass until something is ready: 1; 0 at the limit, -EINTR for a signal, -EBADF when that
   would never end. */
int pass_time(bool (*ready)(void *what), void *what, int64_t limit_ns);

#endif
