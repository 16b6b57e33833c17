/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The events of the accept loop, and their lines for a log. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/events.h"

#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "conn/close.h"

#include <inttypes.h>
#include <string.h>

/* Room for a line: a peer's address is the longest part. */
#define MESSAGE_MAX (NB_ADDRESS_TEXT_MAX + 256)

#define NS_PER_MS INT64_C(1000000)

static void add_counts(struct nb__text *text, const nb_event *event)
{
    int64_t ms = event->duration_ns / NS_PER_MS;

    nb__text_add(text,
                 " after %" PRId64 ".%03" PRId64 " s, %" PRIu64 " bytes received, %" PRIu64 " sent",
                 ms / 1000, ms % 1000, event->received, event->sent);
    if (event->status == NB_TIMEOUT && event->sent > 0)
        nb__text_add(text, event->delivered ? ", all delivered" : ", not all delivered yet");
}

static void add_connection(struct nb__text *text, const nb_event *event)
{
    char peer[NB_ADDRESS_TEXT_MAX];

    nb__text_add(text, "connection %" PRIu64 " from %s: ", event->id,
                 nb_address_format(&event->address, peer, sizeof(peer)));
    if (event->kind == NB_EVENT_ACCEPTED) {
        nb__text_add(text, "accepted");
    } else if (event->kind == NB_EVENT_REFUSED) {
        nb__text_add(text, "refused, as its peer has too many");
    } else {
        if (event->status == NB_OK)
            nb__text_add(text, "closed");
        else
            nb__text_add_reason(text, event->status, event->system_error);
        add_counts(text, event);
    }
}

/* Writes the line of an event. The only text from outside is a peer's address, which is escaped. */
static void write_message(const struct nb__server *server, struct nb__text *text,
                          const nb_event *event)
{
    char address[NB_ADDRESS_TEXT_MAX];

    switch (event->kind) {
    case NB_EVENT_LISTENING:
        nb__text_add(text, "listening on %s",
                     nb_address_format(&event->address, address, sizeof(address)));
        break;
    case NB_EVENT_ACCEPT_BACKING_OFF:
        nb__text_add(text, "new connections have to wait: ");
        nb__text_add_reason(text, event->status, event->system_error);
        break;
    case NB_EVENT_ACCEPT_RECOVERED:
        nb__text_add(text, "new connections are accepted again");
        break;
    case NB_EVENT_LIMIT_REACHED:
        nb__text_add(text, "new connections have to wait: %" PRId64 " are being served",
                     server->options.concurrency);
        break;
    case NB_EVENT_LIMIT_CLEARED:
        nb__text_add(text, "new connections do not have to wait any more");
        break;
    case NB_EVENT_DRAINING:
        nb__text_add(text, "stopping: no new connections are accepted");
        break;
    case NB_EVENT_STOPPED:
        nb__text_add(text, "stopped");
        break;
    default:
        add_connection(text, event);
    }
}

static nb_event event_of(nb_event_kind kind, nb_status status, int system_error)
{
    nb_event event;

    memset(&event, 0, sizeof(event));
    event.size = sizeof(event);
    event.kind = kind;
    event.status = status;
    event.system_error = system_error;
    return event;
}

void nb__event_report(const struct nb__server *server, const nb_event *event)
{
    char message[MESSAGE_MAX];
    struct nb__text text = nb__text_in(message, sizeof(message));
    nb_event told = *event;

    if (server->options.on_event == NULL)
        return;
    write_message(server, &text, event);
    told.message = message;
    server->options.on_event(&told, server->options.event_context);
}

void nb__event_of_loop(const struct nb__server *server, nb_event_kind kind, nb_status status,
                       int system_error)
{
    nb_event event = event_of(kind, status, system_error);

    nb__event_report(server, &event);
}

void nb__event_listening(const struct nb__server *server)
{
    for (size_t i = 0; i < server->listener->count; i++) {
        nb_event event = event_of(NB_EVENT_LISTENING, NB_OK, 0);

        event.address = server->listener->sockets[i].address;
        nb__event_report(server, &event);
    }
}

/* The errno behind how a connection ended, if one of its directions has it. */
static int error_behind(const nb_conn *conn, nb_status status)
{
    static const nb_direction directions[] = {NB_SEND, NB_RECEIVE};

    for (size_t i = 0; i < 2 && status != NB_CANCELLED; i++) {
        const struct nb__side *side = &conn->sides[directions[i]];

        if (atomic_load(&side->status) == (int)status)
            return atomic_load(&side->system_error);
    }
    return 0;
}

nb_event nb__event_describe(nb_event_kind kind, const nb_conn *conn, nb_status status)
{
    nb_event event = event_of(kind, status, status == NB_OK ? 0 : error_behind(conn, status));

    event.address = conn->peer;
    event.id = conn->id;
    if (kind != NB_EVENT_CLOSED)
        return event;
    nb_conn_counters(conn, &event.received, &event.sent);
    event.duration_ns = nb__now_ns() - conn->accepted_ns;
    return event;
}

void nb__event_of_conn(const struct nb__server *server, nb_event_kind kind, const nb_conn *conn,
                       nb_status status)
{
    nb_event event = nb__event_describe(kind, conn, status);

    if (kind == NB_EVENT_CLOSED && server->options.on_event != NULL) /* it takes a system call */
        event.delivered =
            conn->waitable.fd >= 0 ? nb__conn_delivered(conn) : conn->lingering.delivered;
    nb__event_report(server, &event);
}
