/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A kernel that answers from a script, on a clock of its own: nothing waits really.
 *
 *  A program that is linked with it has no other sockets. Whatever a call waits for happens when the
 *  script says so, and the clock jumps there. It models what Linux does where man pages are vague: the
 *  timers of sockets are late, a blocking send that is cut short gives its count, SO_SNDTIMEO of a Unix
 *  socket starts anew with every piece, an error is given once and then an end, poll(2) is a little
 *  late. One thread only.
 *
 *  Contracts are watched: a descriptor that is used or closed after its close, a wait that nothing can
 *  ever end, calls without number. What was broken first is kernel.complaint. */
#ifndef NETBASICS_TESTS_KERNEL_H
#define NETBASICS_TESTS_KERNEL_H

#include <netbasics/conn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_NEVER INT64_MAX
#define KERNEL_MS INT64_C(1000000)

/* As many bytes as anybody can want. */
#define KERNEL_ALL (SIZE_MAX / 4)

/* Where the clock stands at the beginning: no whole number of anything. */
#define KERNEL_START INT64_C(5000123456789)

/* What comes next in one direction, so long after what came before it. From the peer: bytes, or
   without bytes its end, or an error. To the peer: room for so many bytes, or an error. ENOMEM,
   ENOBUFS and EINTR pass; every other error ends the connection. */
struct kernel_step {
    int64_t after_ns;
    size_t bytes;
    int error;
};

/* What is on the other side of a connection. */
struct kernel_peer {
    const struct kernel_step *gives;
    size_t give_count;
    const unsigned char *stream;     /* the bytes it gives; NULL: kernel_byte() */
    size_t piece;                    /* most bytes of one receive; 0: as many as there are */
    const struct kernel_step *takes; /* NULL: it takes everything at once */
    size_t take_count;
    size_t poll_room; /* poll(2) calls the socket writable from so much room on; 0: from one byte */
};

/* What comes to a listening socket next: a client, or an error that one accept meets. */
struct kernel_client {
    int64_t after_ns;
    int error;
    const struct kernel_peer *peer;
    size_t at; /* which listening socket, in the order of their listen(2) */
};

/* What becomes of a connect, in their order. */
struct kernel_attempt {
    int64_t after_ns; /* KERNEL_NEVER: no answer at all */
    int error;
    bool at_once;     /* the call itself answers */
    bool idle_wakeup; /* poll(2) says writable at once, for nothing */
    bool interrupted; /* a signal ends the call, but not the attempt */
    bool to_itself;   /* both ends are one and the same */
    const struct kernel_peer *peer;
};

/* How a connection ended, as its peer sees it. */
enum kernel_fate { KERNEL_OPEN, KERNEL_ENDED, KERNEL_RESET };

/* What became of a client. */
struct kernel_outcome {
    bool queued; /* it came while somebody listened */
    bool accepted;
    enum kernel_fate fate;
    uint64_t taken; /* bytes that it got */
};

enum { KERNEL_CLIENTS_MAX = 64, KERNEL_ACCEPTS_MAX = 64, KERNEL_ATTEMPTS_MAX = 32 };

struct kernel {
    /* What a case may set. */
    int64_t now;             /* the monotonic clock */
    int64_t wall_ahead_ns;   /* how far the wall clock is ahead of it */
    int64_t late_permille;   /* how late the sockets' timers are: 1000 is as late as they can be */
    int64_t poll_late_ns;    /* how late poll(2) is when it times out */
    int64_t idle_poll_ns;    /* after so long poll(2) says ready for nothing; 0: never */
    size_t idle_polls_most;  /* so often at most; 0: without end */
    int64_t signal_every_ns; /* a signal interrupts who waits; 0: none */
    size_t signals_most;     /* so many of them at most; 0: without end */
    int refuses_fd;          /* this descriptor cannot be made to wait or not; 0: none */
    bool no_timers;          /* SO_RCVTIMEO and SO_SNDTIMEO cannot be set */
    nb_deadline by;          /* the deadline that holds, for what `misarmed` tells; 0: none */
    const struct kernel_client *clients;
    size_t client_count;
    const struct kernel_attempt *attempts;
    size_t attempt_count;
    void (*took)(int fd, const void *data, size_t length); /* hears of all bytes that are sent */

    /* What it tells. */
    const char *complaint; /* the first contract that was broken, or NULL */
    size_t wall_reads;     /* how often a clock other than the monotonic one was read */
    size_t signals;        /* how many have interrupted something */
    size_t receives;
    size_t sends;
    size_t polls;
    size_t idle_polls; /* of those said ready for nothing */
    size_t timers_set;
    int64_t armed_ms[2]; /* to what, the last time, by nb_direction */
    bool blocked;        /* a receive or send was allowed to wait */
    bool misarmed;       /* and its timer could have ended that after `by` */
    size_t longest_send;
    nb_deadline last_poll;
    size_t accepts;
    int64_t accept_times[KERNEL_ACCEPTS_MAX];
    size_t connects;
    int64_t connect_times[KERNEL_ATTEMPTS_MAX];
    size_t listening; /* how many sockets have listened */
    size_t arrived;   /* how many clients have come to a listening socket */
    struct kernel_outcome outcomes[KERNEL_CLIENTS_MAX];
};

extern struct kernel kernel;

/* Begins a world in which nothing has happened yet, and ends it: then the clock is the real one. */
void kernel_begin(void);
void kernel_end(void);

/* The descriptor of a connection to a peer, which has to stay as it is. */
int kernel_connection(const struct kernel_peer *peer, bool is_unix);
/* What was sent to the peer of a connection, which may be closed by now, and how it ended. */
uint64_t kernel_sent(int fd);
enum kernel_fate kernel_fate(int fd);
/* How much room a connection has now, and how many bytes wait to be received. */
size_t kernel_room(int fd);

/* What a service manager may pass at descriptor 3 and the next ones. */
enum kernel_kind { KERNEL_LISTENER, KERNEL_CONNECTION, KERNEL_DATAGRAMS, KERNEL_FILE, KERNEL_HOLE };
struct kernel_passed {
    enum kernel_kind kind;
    int family;
    bool cloexec;
    bool blocking;
};

/* Passes them: the first thing in a world. */
void kernel_pass(const struct kernel_passed *passed, size_t count);
/* Whether one of them is open and its flags are so. */
bool kernel_is(size_t passed, bool cloexec, bool blocking);
/* Closes those that are open, as the end of the process would. */
void kernel_close_passed(void);

/* How many descriptors are open. */
size_t kernel_open(void);

/* Runs a function when the clock gets there, in the middle of whatever waits. */
void kernel_at(int64_t when_ns, void (*run)(void *argument), void *argument);

/* Lets time pass while nobody calls. */
void kernel_idle(int64_t ns);

/* The byte at a place of a stream for which none are given; never an end of a line. */
static inline unsigned char kernel_byte(size_t offset)
{
    return (unsigned char)(0x80 | (offset * 31 + offset / 251));
}

/* A deadline so many nanoseconds from now. */
#define KERNEL_IN(ns) ((nb_deadline){kernel.now + (ns)})

#endif
