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

#include <stdbool.h>
#include <string.h>

static const char operation[] = "connect to";

/* What a connect is about, and what becomes of it. */
struct errand {
    const char *text;
    struct nb__endpoint endpoint;
    struct nb__terms terms;
    nb_conn *tie; /* NULL: none */
    struct nb__cancels cancels;
    nb_status status;
    int system_error;
    bool crowded;                     /* there was no place for the lookup in time */
    const char *refused;              /* what was refused (an option) or is wrong, or NULL */
    char story[NB_ERROR_MESSAGE_MAX]; /* of each attempt, once there were any */
};

/* "connect to HOST:PORT: reason", and for more than a literal the story of each attempt. */
static void tell(const struct errand *errand, nb_error *err)
{
    struct nb__text text =
        nb__error_about(err, errand->status, errand->system_error, operation, errand->text);
    bool has_story = errand->story[0] != '\0' && errand->endpoint.kind != NB__ENDPOINT_LITERAL &&
                     errand->endpoint.kind != NB__ENDPOINT_UNIX;

    if (errand->refused != NULL)
        nb__text_add(&text, "%s: ", errand->refused);
    nb__text_add_reason(&text, errand->status, has_story ? 0 : errand->system_error);
    if (has_story)
        nb__text_add(&text, " (tried %s)", errand->story);
    else if (errand->crowded)
        nb__text_add(&text, " (%d earlier lookups still go on)", NB__LOOKUPS_ABANDONED_MAX);
}

/* Leaves only addresses of the family that the connection is to come from. */
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
static void connect_to_one(struct errand *errand, nb_conn *conn,
                           const struct nb__addresses *addresses, nb_deadline by)
{
    struct nb__text story = nb__text_in(errand->story, sizeof(errand->story));
    const struct nb__attempt *winner;
    struct nb__race race;

    nb__race_prepare(&race, addresses, &errand->terms, &errand->cancels);
    errand->status = nb__race_run(&race, by, &winner);
    errand->system_error = race.system_error;
    errand->refused = race.refused;
    if (errand->status == NB_OK)
        nb__conn_open(conn, winner->fd, nb_address_family(winner->to), winner->to);
    else
        nb__race_tell(&race, &story);
}

static void run(struct errand *errand, nb_conn *conn, nb_deadline by)
{
    struct nb__addresses addresses;

    errand->status = nb_expired(by) ? NB_TIMEOUT
                                    : nb__resolve(&addresses, &errand->endpoint, &errand->cancels,
                                                  by, &errand->system_error);
    errand->crowded = errand->status == NB_NAME_TEMPORARY && errand->system_error == 0;
    if (errand->status != NB_OK && errand->status != NB_CANCELLED && nb_expired(by)) {
        errand->status = NB_TIMEOUT; /* whatever became of the lookup, it took too long */
        errand->system_error = 0;
    }
    if (errand->status != NB_OK)
        return;
    keep_family_of(&addresses, &errand->terms.local);
    if (addresses.count > 0) {
        connect_to_one(errand, conn, &addresses, by);
    } else {
        errand->status = NB_ADDRESS_UNAVAILABLE;
        errand->refused = "no address of the family of local";
    }
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

NB__OPTIONS_SOLID(nb_connect_options, 3, 7);

/* Reads what the caller gave. */
static nb_status read_errand(struct errand *errand, const char *endpoint,
                             const nb_connect_options *options, nb_error *err)
{
    nb_connect_options known;
    nb_status status;

    memset(errand, 0, sizeof(*errand));
    if (!nb__options_read(&known, sizeof(known), options))
        return nb__error_invalid(err, operation, NB__OPTIONS_REFUSED);
    errand->text = endpoint;
    errand->tie = known.tie;
    errand->cancels.fds[0] = known.cancel_fd != NULL ? *known.cancel_fd : -1;
    errand->cancels.fds[1] = -1;
    if (known.cancel_fd != NULL && errand->cancels.fds[0] < 0)
        return nb__error_invalid(err, operation, "cancel_fd is no descriptor");
    errand->terms.options = nb__socket_options_of_connect(&known);
    status = nb__socket_options_check(&errand->terms.options, operation, err);
    if (status == NB_OK)
        status = read_local(&errand->terms.local, known.local, err);
    return status == NB_OK ? read_endpoint(&errand->endpoint, endpoint, err) : status;
}

/* Whether the caller has cancelled before we begin, also when the time is up. */
static nb_status look_at_cancel_fd(const struct errand *errand, nb_error *err)
{
    struct pollfd entry = {errand->cancels.fds[0], POLLIN, 0};
    int ready = entry.fd < 0 ? 0 : nb__sys_poll(&entry, 1, (nb_deadline){0});

    if (ready <= 0) /* a failure will show again when it is waited for */
        return NB_OK;
    if ((entry.revents & POLLNVAL) != 0)
        return nb__error_invalid(err, operation, "cancel_fd is no descriptor");
    return nb__error_set(err, NB_CANCELLED, 0, operation, errand->text);
}

/* The same, tied to another connection. */
static void run_tied(struct errand *errand, nb_conn *conn, nb_deadline by)
{
    struct nb__tie *tie;

    errand->status = nb__tie_begin(&tie, errand->tie, &errand->system_error);
    if (errand->status != NB_OK)
        return;
    nb__tie_cancels(tie, &errand->cancels);
    run(errand, conn, by);
    if (errand->status != NB_OK) {
        nb__tie_end(tie);
        return;
    }
    errand->status = nb__tie_complete(tie, conn);
    if (errand->status != NB_OK)
        (void)nb__sys_close(conn->fd);
}

nb_status nb_connect(nb_conn **out, const char *endpoint, const nb_connect_options *options,
                     nb_deadline by, nb_error *err)
{
    struct errand errand;
    nb_status status;
    nb_conn *conn;

    if (out != NULL)
        *out = NULL;
    if (out == NULL || endpoint == NULL)
        return nb__error_invalid(err, operation, "expected an endpoint and a place for the result");
    status = read_errand(&errand, endpoint, options, err);
    if (status == NB_OK)
        status = look_at_cancel_fd(&errand, err);
    if (status != NB_OK)
        return status;
    conn = nb__conn_new();
    if (conn == NULL)
        return nb__error_set(err, NB_NO_MEMORY, 0, operation, endpoint);
    if (errand.tie != NULL)
        run_tied(&errand, conn, by);
    else
        run(&errand, conn, by);
    if (errand.status != NB_OK) {
        nb__conn_free(conn);
        tell(&errand, err);
        return errand.status;
    }
    *out = conn;
    nb__error_clear(err);
    return NB_OK;
}
