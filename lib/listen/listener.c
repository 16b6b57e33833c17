/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Listeners: the sockets of endpoints behind one accept, and a stop. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "listen/listener_internal.h"

#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "listen/open.h"
#include "net/address_internal.h"
#include "net/endpoint.h"
#include "net/owned.h"
#include "net/resolve.h"
#include "net/unix_file.h"
#include "sys/sys.h"

#include <stdlib.h>

static const char operation[] = "listen on";

static nb_status open_endpoint(struct nb__open_request *request)
{
    struct nb__endpoint endpoint;
    nb_address addresses[2];
    nb_status status = nb__endpoint_parse(&endpoint, operation, request->endpoint, 0, request->err);

    if (status != NB_OK)
        return status;
    if (request->params->has_unix_mode && nb__address_path(&endpoint.address) == NULL)
        return nb__open_request_refuse(request, "unix_mode");
    switch (endpoint.kind) {
    case NB__ENDPOINT_NAME:
        return nb__endpoint_refuse(
            request->err, operation, request->endpoint,
            "names are not looked up here; expected an address, localhost or *");
    case NB__ENDPOINT_UNIX:
        return nb__open_unix(request, &endpoint.address);
    case NB__ENDPOINT_FD:
        return nb__open_fd(request, endpoint.fd);
    case NB__ENDPOINT_SYSTEMD:
        return nb__open_inherited(request);
    default:
        return nb__open_tcp(request, addresses, nb__resolve_local(addresses, &endpoint));
    }
}

static nb_status add_endpoint(nb_listener *listener, const char *endpoint,
                              const struct nb__listen_params *params, nb_error *err)
{
    struct nb__open_request request = {
        .endpoint = endpoint,
        .params = params,
        .err = err,
        .sockets = listener->sockets + listener->count,
        .room = NB_LISTENER_SOCKETS_MAX - listener->count,
    };
    nb_status status = open_endpoint(&request);

    if (status != NB_OK)
        return status;
    for (size_t i = 0; i < request.count; i++) {
        request.sockets[i].options = params->options;
        (void)nb__owned_claim(request.sockets[i].fd);
    }
    listener->count += request.count;
    nb__error_clear(err);
    return NB_OK;
}

static void close_wakeups(const nb_listener *listener)
{
    nb__sys_wake_close(listener->stop);
    nb__sys_wake_close(listener->wake);
}

static int open_wakeups(nb_listener *listener)
{
    int rc = nb__sys_wake_open(listener->wake);

    if (rc < 0)
        return rc;
    rc = nb__sys_wake_open(listener->stop);
    if (rc < 0)
        nb__sys_wake_close(listener->wake);
    return rc;
}

/* A listener without sockets; NULL after a failure. */
static struct nb__result make(nb_listener **out)
{
    nb_listener *listener = nb__sys_calloc(1, sizeof(*listener));
    int rc;

    if (listener == NULL)
        return nb__failure(NB_NO_MEMORY, 0);
    rc = open_wakeups(listener);
    if (rc == 0) {
        rc = nb__sys_cond_init(&listener->vacant);
        if (rc < 0)
            close_wakeups(listener);
    }
    if (rc < 0) {
        free(listener);
        return nb__result_of(rc);
    }
    (void)pthread_mutex_init(&listener->lock, NULL);
    *out = listener;
    return nb__ok();
}

nb_status nb_listen(nb_listener **out, const char *endpoint, const nb_listen_options *options,
                    nb_error *err)
{
    struct nb__listen_params params;
    struct nb__result result;
    nb_listener *listener = NULL;
    nb_status status;

    if (out != NULL)
        *out = NULL;
    if (out == NULL || endpoint == NULL)
        return nb__error_invalid(err, operation, "expected an endpoint and a place for the result");
    status = nb__listen_params_read(&params, options, err);
    if (status != NB_OK)
        return status;
    result = make(&listener);
    if (listener == NULL)
        return nb__error_set(err, result, operation, endpoint);
    status = add_endpoint(listener, endpoint, &params, err);
    if (status == NB_OK)
        *out = listener;
    else
        nb_listener_close(listener);
    return status;
}

nb_status nb_listener_add(nb_listener *listener, const char *endpoint,
                          const nb_listen_options *options, nb_error *err)
{
    struct nb__listen_params params;
    nb_status status;

    if (listener == NULL || endpoint == NULL)
        return nb__error_invalid(err, operation, "expected a listener and an endpoint");
    status = nb__listen_params_read(&params, options, err);
    if (status != NB_OK)
        return status;
    if (nb__listener_stopped(listener))
        return nb__error_set(err, nb__failure(NB_CANCELLED, 0), operation, endpoint);
    if (atomic_load(&listener->served))
        return nb__error_invalid(err, operation, "expected a listener that is not being served");
    return add_endpoint(listener, endpoint, &params, err);
}

/* A forked child shares the wakeup, and may have stopped its own copy of the listener. After
   clearing it, the stop is checked once more: one that came in between is rung again. */
void nb__listener_wake_clear(const nb_listener *listener, const int wake[2])
{
    if (nb__listener_stopped(listener))
        return;
    (void)nb__sys_wake_clear(wake);
    if (nb__listener_stopped(listener)) /* in between: other threads must see it, too */
        (void)nb__sys_wake_ring(wake);
}

void nb_listener_stop(nb_listener *listener)
{
    int64_t not_yet = 0;

    if (listener == NULL)
        return;
    atomic_compare_exchange_strong(&listener->stopped_at_ns, &not_yet, nb__now_ns());
    (void)nb__sys_wake_ring(listener->stop);
    (void)nb__sys_wake_ring(listener->wake);
}

void nb_listener_stop_now(nb_listener *listener)
{
    if (listener == NULL)
        return;
    atomic_store(&listener->hurried, true); /* first: whoever sees the stop must see this, too */
    nb_listener_stop(listener);
}

bool nb_listener_stopping(const nb_listener *listener)
{
    return listener != NULL && nb__listener_stopped(listener);
}

nb_fd nb_listener_stop_fd(const nb_listener *listener)
{
    return listener != NULL ? listener->stop[0] : -1;
}

size_t nb_listener_count(const nb_listener *listener)
{
    return listener != NULL ? listener->count : 0;
}

nb_status nb_listener_address(const nb_listener *listener, size_t index, nb_address *out)
{
    if (listener == NULL || out == NULL || index >= listener->count)
        return NB_INVALID;
    *out = listener->sockets[index].address;
    return NB_OK;
}

nb_fd nb_listener_fd(const nb_listener *listener, size_t index)
{
    return listener != NULL && index < listener->count ? listener->sockets[index].fd : -1;
}

void nb__listener_hide(nb_listener *listener)
{
    for (size_t i = 0; i < listener->count; i++) {
        struct nb__listen_socket *socket = &listener->sockets[i];

        if (socket->has_file)
            nb__unix_remove(nb__address_path(&socket->address), &socket->file);
        socket->has_file = false;
    }
}

/* The files are removed before their sockets are closed: until then no other file can get their
   inodes. */
void nb__listener_shut(nb_listener *listener)
{
    nb__listener_hide(listener);
    for (size_t i = 0; i < listener->count; i++) {
        int fd = listener->sockets[i].fd;

        listener->sockets[i].fd = -1;
        if (fd < 0)
            continue;
        nb__owned_spend(fd);
        nb__owned_release(fd);
        (void)nb__sys_close(fd);
    }
}

void nb_listener_close(nb_listener *listener)
{
    if (listener == NULL)
        return;
    nb__listener_shut(listener);
    close_wakeups(listener);
    (void)pthread_cond_destroy(&listener->vacant);
    (void)pthread_mutex_destroy(&listener->lock);
    free(listener);
}
