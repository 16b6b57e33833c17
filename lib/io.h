/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the raw operations of a connection, and the one place where it waits. */
#ifndef NETBASICS_IO_H
#define NETBASICS_IO_H

#include <netbasics/conn.h>
#include <netbasics/deadline.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* Most bytes that one system call is asked to move: the kernel takes any length as it stands. */
#define NB__IO_MAX ((size_t)1 << 30)

/* Most bytes of one send with a deadline: copying does not count against the kernel's timer. */
#define NB__IO_TIMED_SEND_MAX ((size_t)4 << 20)

/* Receives 1 to capacity bytes. NB_EOF is the orderly end only. Failures that stay are recorded. */
nb_status nb__io_recv(nb_conn *conn, void *buf, size_t capacity, size_t *received, nb_deadline by);

/* Sends some of the parts, at least one byte. Failures that stay are recorded. */
nb_status nb__io_send(nb_conn *conn, struct iovec *parts, size_t count, size_t *sent,
                      nb_deadline by);

/* How many bytes one nb__io_send() may be given. */
size_t nb__io_send_max(const nb_conn *conn, nb_deadline by);

/* Waits until there is something to receive, an end or a failure included. An expired deadline asks
   once. */
nb_status nb__io_wait_readable(nb_conn *conn, nb_deadline by);

/* What a receive of 0 bytes means: NB_EOF, or NB_RESET when the kernel has told about the reset
   already, to a send. */
nb_status nb__io_end_of_stream(const nb_conn *conn);

/* Records a failure of a direction, if it is one that stays. Returns the status. */
nb_status nb__io_fail(nb_conn *conn, nb_direction direction, nb_status status, int system_error);

#endif
