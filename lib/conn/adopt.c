/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Descriptors that become connections, and connections that become descriptors. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/error_internal.h"
#include "conn/cancel.h"
#include "conn/conn_internal.h"
#include "net/inherited.h"
#include "net/owned.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <string.h>
#include <sys/time.h>

static void set_time_outs_to_none(int fd)
{
    struct timeval none = {0, 0};

    (void)nb__sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    (void)nb__sys_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
}

static int make_ready(int fd, const char **refused)
{
    int rc = nb__sys_set_cloexec(fd);

    *refused = "FD_CLOEXEC";
    if (rc < 0)
        return rc;
    *refused = "O_NONBLOCK";
    rc = nb__sys_set_blocking(fd, true);
    return rc < 0 ? rc : nb__inherited_settle(fd, refused);
}

static nb_status not_ready(nb_error *err, int rc, int fd, const char *refused)
{
    struct nb__text text = nb__error_begin(err, NB_SYSTEM, -rc);

    nb__text_add(&text, "adopt descriptor %d: %s: ", fd, refused);
    nb__text_add_reason(&text, NB_SYSTEM, -rc);
    return NB_SYSTEM;
}

static nb_status adopt_failed(nb_error *err, nb_status status, int system_error, int fd,
                              const char *why)
{
    struct nb__text text = nb__error_begin(err, status, system_error);

    nb__text_add(&text, "adopt descriptor %d: ", fd);
    if (why != NULL)
        nb__text_add(&text, "%s, expected a connected stream socket", why);
    else
        nb__text_add_reason(&text, status, system_error);
    return status;
}

static nb_status take_over(int fd, nb_error *err)
{
    const char *refused;
    int rc;

    if (!nb__owned_claim(fd))
        return adopt_failed(err, NB_INVALID, 0, fd, "a connection's already");
    rc = make_ready(fd, &refused);
    if (rc >= 0)
        return NB_OK;
    nb__owned_release(fd);
    return not_ready(err, rc, fd, refused);
}

nb_status nb_conn_adopt(nb_conn **out, nb_fd fd, nb_error *err)
{
    int rc;
    const char *why;
    struct nb__inherited found;
    nb_address peer;
    nb_status status;
    nb_conn *conn;

    if (out == NULL)
        return nb__error_invalid(err, "adopt", "expected a place for the connection, not NULL");
    *out = NULL;
    why = nb__inherited_look(fd, &found, &rc);
    if (why == NULL && found.listens)
        why = "a listening socket";
    if (why != NULL)
        return adopt_failed(err, NB_INVALID, rc < 0 ? -rc : 0, fd, why);
    conn = nb__conn_new();
    if (conn == NULL)
        return adopt_failed(err, NB_NO_MEMORY, 0, fd, NULL);
    status = take_over(fd, err);
    if (status != NB_OK) {
        nb__conn_free(conn);
        return status;
    }
    (void)nb__socket_peer(fd, &peer);
    nb__conn_open(conn, fd, nb_address_family(&found.address), &peer);
    conn->ended_before = nb__sys_tcp_ended(fd) != 0;
    conn->refuses_rights = false; /* as it came */
    conn->claimed = true;
    *out = conn;
    nb__error_clear(err);
    return NB_OK;
}

nb_status nb_conn_detach(nb_conn *conn, nb_fd *out, void *buffered, size_t capacity, size_t *length)
{
    size_t readahead;

    if (conn == NULL || out == NULL || (buffered == NULL && capacity > 0))
        return NB_INVALID;
    if (nb__conn_check(conn, NB_RECEIVE) == NB_CANCELLED)
        return NB_CANCELLED;
    readahead = nb__conn_readahead(conn);
    if (length != NULL)
        *length = readahead;
    if (capacity < readahead)
        return NB_TOO_LONG;
    if (readahead > 0) /* before it is let go: then nothing can fail any more */
        memcpy(buffered, conn->readahead.data + conn->readahead.start, readahead);
    if (conn->owner != NULL && !conn->owner->on_detach(conn->owner, conn))
        return NB_CANCELLED;
    nb__conn_untie(conn);
    if (nb__conn_check(conn, NB_RECEIVE) == NB_CANCELLED) /* until then, by what it was tied to */
        return NB_CANCELLED;
    set_time_outs_to_none(conn->waitable.fd);
    if (conn->refuses_rights)
        (void)nb__sys_pass_rights(conn->waitable.fd, true);
    if (conn->claimed)
        nb__owned_release(conn->waitable.fd);
    *out = conn->waitable.fd;
    nb__conn_free(conn);
    return NB_OK;
}
