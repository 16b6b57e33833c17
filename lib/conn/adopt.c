/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Adopting a descriptor as a connection, and detaching one from it. */
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

static void clear_timeouts(int fd)
{
    struct timeval none = {0, 0};

    (void)nb__sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    (void)nb__sys_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
}

static struct nb__result make_ready(int fd)
{
    bool changed;
    struct nb__result result = nb__result_about(nb__sys_set_cloexec(fd), "FD_CLOEXEC");

    if (result.status == NB_OK)
        result = nb__result_about(nb__sys_set_blocking(fd, true), "O_NONBLOCK");
    return result.status == NB_OK ? nb__inherited_settle(fd, &changed) : result;
}

/* NB_INVALID and what the descriptor is, or what failed. */
static nb_status adopt_failed(nb_error *err, int fd, struct nb__result result)
{
    struct nb__text text = nb__error_begin(err, result.status, result.system_error);

    nb__text_add(&text, "adopt descriptor %d: ", fd);
    if (result.status == NB_INVALID)
        nb__text_add(&text, "%s, expected a connected stream socket", result.what);
    else
        nb__text_add_result(&text, &result);
    return result.status;
}

static struct nb__result not_suitable(const char *what)
{
    return (struct nb__result){.status = NB_INVALID, .what = what};
}

static struct nb__result look_at(int fd, struct nb__inherited *found)
{
    struct nb__result result = nb__inherited_look(fd, found);

    return result.status == NB_OK && found->listens ? not_suitable("a listening socket") : result;
}

static struct nb__result take_over(int fd)
{
    struct nb__result result;

    if (!nb__owned_claim(fd))
        return not_suitable("a connection's already");
    result = make_ready(fd);
    if (result.status == NB_OK)
        return result;
    nb__owned_release(fd);
    result.status = NB_SYSTEM; /* whatever the errno stands for elsewhere */
    return result;
}

nb_status nb_conn_adopt(nb_conn **out, nb_fd fd, nb_error *err)
{
    struct nb__inherited found;
    struct nb__result result;
    nb_address peer;
    nb_conn *conn;

    if (out == NULL)
        return nb__error_invalid(err, "adopt", "expected a place for the connection, not NULL");
    *out = NULL;
    result = look_at(fd, &found);
    if (result.status != NB_OK)
        return adopt_failed(err, fd, result);
    conn = nb__conn_new();
    if (conn == NULL)
        return adopt_failed(err, fd, nb__failure(NB_NO_MEMORY, 0));
    result = take_over(fd);
    if (result.status != NB_OK) {
        nb__conn_free(conn);
        return adopt_failed(err, fd, result);
    }
    (void)nb__socket_peer(fd, &peer);
    nb__conn_open(conn, fd, nb_address_family(&found.address), &peer);
    conn->ended_before = nb__sys_tcp_ended(fd) != 0;
    conn->refuses_rights = false; /* SO_PASSRIGHTS stays as it came */
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
    if (readahead > 0) /* before the owner lets it go: afterwards nothing may fail */
        memcpy(buffered, conn->readahead.data + conn->readahead.start, readahead);
    if (conn->owner != NULL && !conn->owner->on_detach(conn->owner, conn))
        return NB_CANCELLED;
    nb__conn_untie(conn);
    if (nb__conn_check(conn, NB_RECEIVE) == NB_CANCELLED) /* its tie may have, until it ended */
        return NB_CANCELLED;
    clear_timeouts(conn->waitable.fd);
    if (conn->refuses_rights)
        (void)nb__sys_pass_rights(conn->waitable.fd, true);
    if (conn->claimed)
        nb__owned_release(conn->waitable.fd);
    *out = conn->waitable.fd;
    nb__conn_free(conn);
    return NB_OK;
}
