/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: cases about one connection, whose other end is a raw socket. */
#ifndef NETBASICS_TESTS_SUPPORT_CONN_CASE_H
#define NETBASICS_TESTS_SUPPORT_CONN_CASE_H

#include "probe.h"

/* The connection of a case, and the socket at its other end; -1 once it is closed. */
extern nb_conn *conn;
extern int peer;
extern enum transport over;

int conn_case_begin(void **state);
/* For a case that makes its own sockets. */
int conn_case_begin_empty(void **state);
int conn_case_end(void **state);

/* Another connection to another peer. */
void start_over(void);
/* A socket of the case's own, to be adopted, that is connected to `peer`. */
int socket_to_peer(void);
/* Closes the connection of the case. */
nb_status closed(nb_deadline by);
bool is_open(int fd);

/* What the peer does; afterwards it has arrived. A literal may contain NULs. */
#define arrive(literal) arrive_bytes(literal, sizeof(literal) - 1)
#define arrive_and_end(literal) (arrive(literal), peer_ends())
#define arrive_and_reset(literal) (arrive(literal), peer_resets())
void arrive_bytes(const void *data, size_t length);
void peer_ends(void);
void peer_closes(void);
/* What receiving sees as a reset. */
void peer_resets(void);
/* What sending sees as a broken pipe, for TCP and Unix alike. */
void peer_breaks_off(void);

/* That a call returns this and gives exactly these bytes: `got` in `buf`, which the file has. */
#define assert_gives(call, status, literal)                                                        \
    do {                                                                                           \
        assert_status(call, status);                                                               \
        assert_bytes(buf, got, literal);                                                           \
    } while (0)

/* That a call returns this and reports so many bytes in `sent`, which the file has. */
#define assert_sends(call, status, count)                                                          \
    do {                                                                                           \
        assert_status(call, status);                                                               \
        assert_int_equal(sent, count);                                                             \
    } while (0)

/* What the connection says of itself: its statuses, and the bytes received and sent. */
void assert_directions(nb_status receiving, nb_status sending);
void assert_counted(uint64_t received, uint64_t sent);
/* How the peer sees the stream end (0, or an errno), after how many bytes. */
void assert_ending(int expected, size_t count);

/* Makes a large send wait for the peer, whatever the system's own idea of buffers is. */
void shrink(void);

/* A call in a thread, and what it returned. */
extern nb_status call_status;
void start_call(struct task *task, nb_status (*which)(nb_deadline), nb_deadline by);

/* The kinds of cases. */
extern const enum transport ipv4;
extern const enum transport ipv6;
extern const enum transport local;
#define ON(name, transport) CASE_WITH(name, transport, conn_case_begin, conn_case_end)
#define TCP(name) ON(name, ipv4)
#define TCP_BOTH(name) ON(name, ipv4), ON(name, ipv6)
#define UNIX(name) ON(name, local)
#define BOTH(name) ON(name, ipv4), ON(name, local)
#define ALL(name) ON(name, ipv4), ON(name, ipv6), ON(name, local)

#endif
