/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Sending a part of a file.
 *
 *  The bytes go through a buffer: sendfile(2) and splice(2) raise SIGPIPE, and no timer bounds them. */
#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "conn/conn_internal.h"
#include "conn/io.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define BUFFER_MAX ((size_t)256 << 10)

/* What is still to be sent. */
struct part {
    nb_fd file;
    uint64_t offset;
    uint64_t length;
    unsigned char *buffer;
};

static size_t next_length(const struct part *part)
{
    return part->length < BUFFER_MAX ? (size_t)part->length : BUFFER_MAX;
}

/* Except for a lack of memory, an error of the file is NB_SYSTEM: it says nothing about the peer,
   whatever the same errno means on a socket. */
static nb_status file_failed(nb_conn *conn, int error)
{
    nb_status status = nb__status_of_errno(error);

    return nb__io_fail(conn, NB_SEND, status == NB_NO_MEMORY ? status : NB_SYSTEM, error);
}

/* Reads the next bytes: at least one, or the reason why there is none. An endless series of signals
   must not hold it past the deadline. */
static nb_status read_next(nb_conn *conn, const struct part *part, size_t *got, nb_deadline by)
{
    ssize_t outcome = nb__sys_pread(part->file, part->buffer, next_length(part), part->offset);

    while (outcome == -EINTR) {
        if (nb__conn_check(conn, NB_SEND) == NB_CANCELLED)
            return NB_CANCELLED;
        if (nb_expired(by))
            return nb__io_fail(conn, NB_SEND, NB_TIMEOUT, 0);
        outcome = nb__sys_pread(part->file, part->buffer, next_length(part), part->offset);
    }
    if (outcome < 0)
        return file_failed(conn, (int)-outcome);
    *got = (size_t)outcome;
    return outcome == 0 ? nb__io_fail(conn, NB_SEND, NB_EOF, 0) : NB_OK;
}

static nb_status send_part(nb_conn *conn, struct part *part, uint64_t *sent, nb_deadline by)
{
    while (part->length > 0) {
        size_t got = 0;
        size_t gone;
        nb_status status = read_next(conn, part, &got, by);

        if (status != NB_OK)
            return status;
        status = nb_send_all(conn, part->buffer, got, &gone, by);
        *sent += gone;
        if (status != NB_OK)
            return status;
        part->offset += got;
        part->length -= got;
    }
    return NB_OK;
}

nb_status nb_send_file(nb_conn *conn, nb_fd file, uint64_t offset, uint64_t length, uint64_t *sent,
                       nb_deadline by)
{
    struct part part = {file, offset, length, NULL};
    bool valid = offset <= INT64_MAX && length <= INT64_MAX - offset;
    nb_status status = nb__conn_check_send(conn, valid);
    uint64_t done = 0;

    if (status == NB_OK && length > 0 && nb_expired(by))
        status = nb__io_fail(conn, NB_SEND, NB_TIMEOUT, 0);
    if (status == NB_OK && length > 0) {
        part.buffer = nb__sys_calloc(1, next_length(&part));
        status = part.buffer == NULL ? nb__io_fail(conn, NB_SEND, NB_NO_MEMORY, 0)
                                     : send_part(conn, &part, &done, by);
        free(part.buffer);
    }
    if (sent != NULL)
        *sent = done;
    return status;
}
