/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Admission: the limit of connections per peer, counters and the event. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/admit.h"

#include "serve/events.h"
#include "serve/handling.h"
#include "serve/linger.h"
#include "sys/sys.h"

enum admission { ADMITTED, REFUSED, TOO_LATE };

/* The user ID of a Unix peer, if it is needed; -1 when the system does not tell. */
static int64_t user_of(const struct nb__server *server, const nb_conn *conn)
{
    int64_t pid;
    int64_t uid;
    int64_t gid;

    if (server->options.max_per_peer == NB_NO_LIMIT ||
        nb_address_family(&conn->peer) != NB_FAMILY_UNIX ||
        nb__sys_peer_credentials(conn->waitable.fd, &pid, &uid, &gid) < 0)
        return -1;
    return uid;
}

static bool has_too_many(const struct nb__server *server, const nb_conn *of)
{
    return server->options.max_per_peer != NB_NO_LIMIT &&
           nb__handling_count_peer(server, of) + nb__linger_count_peer(server, of) >=
               (uint64_t)server->options.max_per_peer;
}

static void note_active(struct nb__counters *counters)
{
    uint64_t active = atomic_fetch_add(&counters->active, 1) + 1;

    if (active > atomic_load(&counters->peak))
        atomic_store(&counters->peak, active);
}

/* Decides and counts. The lock is held for both, or two connections of a peer could both be its
   last one. */
static enum admission decide(struct nb__server *server, struct nb__handling *handling)
{
    struct nb__counters *counters = &server->listener->counters;

    if (server->over) {
        nb__count_up(&counters->unserved);
        return TOO_LATE;
    }
    if (has_too_many(server, handling->conn)) {
        nb__count_up(&counters->refused);
        return REFUSED;
    }
    nb__count_up(&counters->accepted);
    note_active(counters);
    handling->admitted = true;
    return ADMITTED;
}

/* A refusal is reported after the reset: the callback may take a while. */
static void reset(struct nb__server *server, struct nb__handling *handling,
                  enum admission admission)
{
    nb_conn *conn = nb__handling_finish(handling);
    nb_event event = nb__event_describe(NB_EVENT_REFUSED, conn, NB_OK);

    nb_abort(conn);
    if (admission == REFUSED)
        nb__event_report(server, &event);
}

bool nb__admit(struct nb__handling *handling)
{
    struct nb__server *server = handling->server;
    enum admission admission;

    handling->conn->peer_uid = user_of(server, handling->conn);
    nb__server_lock(server);
    admission = decide(server, handling);
    nb__server_unlock(server);
    if (admission == ADMITTED)
        nb__event_of_conn(server, NB_EVENT_ACCEPTED, handling->conn, NB_OK);
    else
        reset(server, handling, admission);
    return admission == ADMITTED;
}
