/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Accepting for the accept loop: the next connection, and what a shortage means for it. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/incoming.h"

#include "base/deadline_internal.h"
#include "serve/events.h"
#include "serve/linger.h"
#include "wait/wait.h"

#include <errno.h>

/* Notes that a shortage has begun or is over: during one, the number of changes is odd. */
static void note_shortage(struct nb__server *server)
{
    bool shortage = server->accepting.backoff_ms > 0;
    unsigned changes = atomic_load(&server->shortage_changes);

    if (shortage == (changes % 2 != 0))
        return;
    if (shortage)
        atomic_store(&server->shortage_error, server->accepting.error);
    atomic_store(&server->shortage_changes, changes + 1);
}

static bool has_unreported_shortage(const struct nb__server *server)
{
    return atomic_load(&server->shortage_changes) != atomic_load(&server->shortages_reported);
}

bool nb__incoming_has_events(const struct nb__server *server)
{
    return has_unreported_shortage(server) || nb__linger_has_events(server);
}

void nb__incoming_report_events(struct nb__server *server)
{
    while (has_unreported_shortage(server)) {
        bool begins = atomic_fetch_add(&server->shortages_reported, 1) % 2 == 0;
        int system_error = begins ? atomic_load(&server->shortage_error) : 0;

        if (begins)
            nb__event_of_loop(server, NB_EVENT_ACCEPT_BACKING_OFF, nb__accept_status(system_error),
                              system_error);
        else
            nb__event_of_loop(server, NB_EVENT_ACCEPT_RECOVERED, NB_OK, 0);
    }
    nb__linger_report_events(server);
}

static enum nb__accept_result note_outcome(struct nb__server *server, enum nb__accept_result tried)
{
    note_shortage(server);
    if (tried == NB__ACCEPT_BROKEN)
        server->broken = server->accepting.error;
    return tried;
}

static bool lacks_descriptors(const struct nb__accepting *accepting, enum nb__accept_result tried)
{
    return tried == NB__ACCEPT_SHORTAGE &&
           (accepting->error == EMFILE || accepting->error == ENFILE);
}

static bool make_room(struct nb__server *server)
{
    bool made = nb__linger_make_room(server);

    server->made_room += made;
    return made;
}

/* Tries to accept. When out of descriptors, closes lingering connections, the oldest first. */
static enum nb__accept_result try_listener(struct nb__server *server, const struct pollfd *ready)
{
    struct nb__accepting before = server->accepting;
    enum nb__accept_result tried;

    do {
        server->accepting = before;
        tried = nb__accept_try(server->listener, &server->accepting, ready, server->spare);
    } while (lacks_descriptors(&server->accepting, tried) && make_room(server));
    return tried;
}

enum nb__accept_result nb__incoming_try(struct nb__server *server, const struct pollfd *ready,
                                        nb_conn **out)
{
    enum nb__accept_result tried;

    *out = NULL;
    if (server->spare == NULL)
        server->spare = nb__conn_new();
    if (server->spare == NULL)
        tried = nb__accept_failed(server->listener, &server->accepting, ENOMEM);
    else
        tried = try_listener(server, ready);
    (void)note_outcome(server, tried);
    if (tried == NB__ACCEPT_DONE) {
        *out = server->spare;
        server->spare = NULL;
        (*out)->id = atomic_fetch_add_explicit(&server->last_id, 1, memory_order_relaxed) + 1;
        (*out)->accepted_ns = nb__now_ns();
    }
    return tried;
}

/* Waits for something to accept, or for the end of a shortage: what to try then. */
static enum nb__accept_result await_and_try(struct nb__server *server, struct pollfd *fds,
                                            bool tend, nb_conn **out)
{
    bool shortage = server->accepting.backoff_ms > 0;
    nb_deadline until = nb__accept_retry(&server->accepting);
    size_t count = nb__accept_watch(server->listener, fds);
    int ready;

    *out = NULL;
    if (shortage)
        count = 1; /* only the stop */
    ready = tend ? nb__linger_poll(server, fds, count, until) : nb__wait(fds, (nfds_t)count, until);
    if (ready < 0 && ready != -EINTR)
        return note_outcome(server,
                            nb__accept_poll_failed(server->listener, &server->accepting, -ready));
    if (ready > 0 && fds[0].revents != 0)
        nb__listener_wake_clear(server->listener, server->listener->wake);
    if (nb__listener_stopped(server->listener) || (ready <= 0 && !shortage))
        return NB__ACCEPT_NOTHING;
    return nb__incoming_try(server, shortage ? NULL : fds + 1, out);
}

/* How many changes there have been to report so far. */
static uint64_t count_events(const struct nb__server *server)
{
    return atomic_load(&server->shortage_changes) + server->made_room;
}

nb_conn *nb__incoming_next(struct nb__server *server, struct pollfd *fds, bool tend)
{
    uint64_t before = count_events(server);
    nb_conn *conn = NULL;

    while (conn == NULL && count_events(server) == before &&
           !nb__listener_stopped(server->listener)) {
        if (await_and_try(server, fds, tend, &conn) == NB__ACCEPT_BROKEN)
            nb_listener_stop(server->listener);
    }
    return conn;
}
