/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Connecting: from an endpoint to a connection, under one deadline. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/error_internal.h"
#include "base/versioned.h"
#include "conn/cancel.h"
#include "conn/conn_internal.h"
#include "connect/race.h"
#include "net/address_internal.h"
#include "net/lookup.h"
#include "net/resolve.h"
#include "net/socket_options.h"
#include "sys/sys.h"
#include "wait/wait.h"

#include <netbasics/connect.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char operation[] = "connect to";

/* The addresses to try, and the attempts. Allocated: too large for small stacks. */
struct candidates {
    struct nb__addresses addresses;
    struct nb__race race;
};

/* One call of nb_connect(). */
struct connect_request {
    const char *text;
    struct nb__endpoint endpoint;
    struct nb__connect_params params;
    nb_conn *tie; /* NULL: none */
    struct nb__cancels cancels;
    bool crowded; /* too many abandoned lookups: the lookup could not begin in time */
    bool lost;    /* the race had no winner */
    struct candidates *candidates;
};

/* "connect to HOST:PORT: result", and, unless there is only one address, the result of each
   attempt. */
static void describe(const struct connect_request *request, struct nb__result result, nb_error *err)
{
    struct nb__text text = nb__error_about(err, &result, operation, request->text);
    bool tells_attempts = request->lost && request->endpoint.kind != NB__ENDPOINT_LITERAL &&
                          request->endpoint.kind != NB__ENDPOINT_UNIX;

    if (tells_attempts) /* each attempt has its own errno */
        result.system_error = 0;
    nb__text_add_result(&text, &result);
    if (tells_attempts) {
        nb__text_add(&text, " (tried ");
        nb__race_describe(&request->candidates->race, &text);
        nb__text_add(&text, ")");
    } else if (request->crowded) {
        nb__text_add(&text, " (%d earlier lookups still go on)", NB__LOOKUPS_ABANDONED_MAX);
    }
}

/* Keeps only the addresses of the local address's family. */
static void keep_family_of(struct nb__addresses *addresses, const nb_address *local)
{
    size_t kept = 0;

    if (nb_address_family(local) == NB_FAMILY_NONE)
        return;
    for (size_t i = 0; i < addresses->count; i++) {
        if (nb_address_family(&addresses->list[i]) == nb_address_family(local))
            addresses->list[kept++] = addresses->list[i];
    }
    addresses->count = kept;
}

/* Lets the addresses race. */
static struct nb__result connect_to_one(struct connect_request *request, nb_conn *conn,
                                        nb_deadline by)
{
    struct nb__race *race = &request->candidates->race;
    const struct nb__attempt *winner;
    struct nb__result result;

    nb__race_prepare(race, &request->candidates->addresses, &request->params, &request->cancels);
    result = nb__race_run(race, by, &winner);
    request->lost = result.status != NB_OK;
    if (!request->lost)
        nb__conn_open(conn, winner->fd, nb_address_family(winner->to), winner->to);
    return result;
}

/* Looks up the addresses. A lookup that fails after the deadline is a timeout, whatever it failed
   with. */
static struct nb__result resolve(struct connect_request *request, nb_deadline by)
{
    struct nb__result result;

    if (nb_expired(by))
        return nb__failure(NB_TIMEOUT, 0);
    result =
        nb__resolve(&request->candidates->addresses, &request->endpoint, &request->cancels, by);
    request->crowded = result.status == NB_NAME_TEMPORARY && result.system_error == 0;
    if (result.status != NB_OK && result.status != NB_CANCELLED && nb_expired(by))
        return nb__failure(NB_TIMEOUT, 0);
    return result;
}

static struct nb__result run(struct connect_request *request, nb_conn *conn, nb_deadline by)
{
    struct nb__addresses *addresses = &request->candidates->addresses;
    struct nb__result result = resolve(request, by);

    if (result.status != NB_OK)
        return result;
    keep_family_of(addresses, &request->params.local);
    if (addresses->count > 0)
        return connect_to_one(request, conn, by);
    result = nb__failure(NB_ADDRESS_UNAVAILABLE, 0);
    result.what = "no address of the family of local";
    return result;
}

static nb_status read_endpoint(struct nb__endpoint *endpoint, const char *text, nb_error *err)
{
    nb_status status = nb__endpoint_parse(endpoint, operation, text, 1, err);

    if (status != NB_OK)
        return status;
    if (endpoint->kind == NB__ENDPOINT_ANY)
        return nb__endpoint_refuse(err, operation, text, "all interfaces are for listening");
    if (endpoint->kind == NB__ENDPOINT_FD || endpoint->kind == NB__ENDPOINT_SYSTEMD)
        return nb__endpoint_refuse(err, operation, text, "inherited sockets are for listening");
    return NB_OK;
}

static nb_status read_local(nb_address *out, const char *text, nb_error *err)
{
    if (text == NULL)
        return NB_OK;
    if (nb_address_parse(out, text) != NB_OK || nb_address_family(out) == NB_FAMILY_UNIX)
        return nb__endpoint_refuse(
            err, "connect from", text,
            "expected an IPv4 or IPv6 address with a port, as in 192.0.2.1:0");
    if (nb__address_lacks_zone(out))
        return nb__endpoint_refuse(err, "connect from", text,
                                   "a link-local address needs a zone, as in [fe80::1%eth0]:0");
    return NB_OK;
}

static struct nb__socket_options socket_options_of(const nb_connect_options *given)
{
    struct nb__socket_options options = {{
        [NB__NAGLE] = given->nagle,
        [NB__KEEPALIVE_IDLE] = given->keepalive_idle_ms,
        [NB__KEEPALIVE_INTERVAL] = given->keepalive_interval_ms,
        [NB__KEEPALIVE_COUNT] = given->keepalive_count,
        [NB__USER_TIMEOUT] = given->user_timeout_ms,
        [NB__SEND_BUFFER] = given->send_buffer_bytes,
        [NB__RECEIVE_BUFFER] = given->receive_buffer_bytes,
    }};

    return options;
}

NB__VERSIONED_SOLID(nb_connect_options, 3, 7);

/* Checks and reads the caller's arguments. */
static nb_status read_request(struct connect_request *request, const char *endpoint,
                              const nb_connect_options *options, nb_error *err)
{
    nb_connect_options known;
    nb_status status;

    memset(request, 0, sizeof(*request));
    if (!nb__versioned_read(&known, sizeof(known), options))
        return nb__error_invalid(err, operation, NB__VERSIONED_REFUSED);
    request->text = endpoint;
    request->tie = known.tie;
    request->cancels.fds[0] = known.cancel_fd != NULL ? *known.cancel_fd : -1;
    request->cancels.fds[1] = -1;
    if (known.cancel_fd != NULL && request->cancels.fds[0] < 0)
        return nb__error_invalid(err, operation, "cancel_fd is no descriptor");
    request->params.options = socket_options_of(&known);
    status = nb__socket_options_check(&request->params.options, operation, err);
    if (status == NB_OK)
        status = read_local(&request->params.local, known.local, err);
    return status == NB_OK ? read_endpoint(&request->endpoint, endpoint, err) : status;
}

/* Checks whether cancel_fd is readable from the start: this comes before the deadline. */
static nb_status look_at_cancel_fd(const struct connect_request *request, nb_error *err)
{
    struct pollfd entry = {request->cancels.fds[0], POLLIN, 0};
    int ready = entry.fd < 0 ? 0 : nb__wait(&entry, 1, (nb_deadline){0});

    if (ready <= 0) /* a failure will show again in the first wait */
        return NB_OK;
    if ((entry.revents & POLLNVAL) != 0)
        return nb__error_invalid(err, operation, "cancel_fd is no descriptor");
    return nb__error_set(err, nb__failure(NB_CANCELLED, 0), operation, request->text);
}

/* The same as run(), tied to another connection. */
static struct nb__result run_tied(struct connect_request *request, nb_conn *conn, nb_deadline by)
{
    struct nb__tie *tie;
    struct nb__result result = nb__tie_begin(&tie, request->tie);

    if (result.status != NB_OK)
        return result;
    nb__tie_cancels(tie, &request->cancels);
    result = run(request, conn, by);
    if (result.status != NB_OK) {
        nb__tie_end(tie);
        return result;
    }
    if (nb__tie_complete(tie, conn) == NB_OK)
        return result;
    (void)nb__sys_close(conn->waitable.fd);
    return nb__failure(NB_CANCELLED, 0);
}

/* Connects as requested. */
static nb_status connect_new(nb_conn **out, struct connect_request *request, nb_deadline by,
                             nb_error *err)
{
    nb_conn *conn = nb__conn_new();
    struct nb__result result = nb__failure(NB_NO_MEMORY, 0);

    request->candidates = nb__sys_calloc(1, sizeof(*request->candidates));
    if (conn != NULL && request->candidates != NULL)
        result = request->tie != NULL ? run_tied(request, conn, by) : run(request, conn, by);
    if (result.status == NB_OK) {
        *out = conn;
        nb__error_clear(err);
    } else {
        describe(request, result, err);
        if (conn != NULL)
            nb__conn_free(conn);
    }
    free(request->candidates);
    return result.status;
}

nb_status nb_connect(nb_conn **out, const char *endpoint, const nb_connect_options *options,
                     nb_deadline by, nb_error *err)
{
    struct connect_request request;
    nb_status status;

    if (out != NULL)
        *out = NULL;
    if (out == NULL || endpoint == NULL)
        return nb__error_invalid(err, operation, "expected an endpoint and a place for the result");
    status = read_request(&request, endpoint, options, err);
    if (status == NB_OK)
        status = look_at_cancel_fd(&request, err);
    return status == NB_OK ? connect_new(out, &request, by, err) : status;
}
