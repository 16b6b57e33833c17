/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Admission: the limit of connections of one peer. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/admit.h"

#include "serve/events.h"
#include "serve/linger.h"
#include "serve/stop_queue.h"

bool nb__admit(struct nb__server *server, const nb_conn *conn)
{
    if (server->options.max_per_peer != NB_NO_LIMIT &&
        nb__server_count_peer(server, conn) + nb__stop_queue_count_peer(server, conn) +
                nb__linger_count_peer(server, conn) >=
            (uint64_t)server->options.max_per_peer) {
        nb__count_up(&server->listener->counters.refused);
        return false;
    }
    nb__count_up(&server->listener->counters.accepted);
    return true;
}

void nb__admit_refuse(struct nb__server *server, nb_conn *conn)
{
    nb_event event = nb__event_describe(NB_EVENT_REFUSED, conn, NB_OK);

    nb_abort(conn); /* whoever hears of it may take a while */
    nb__event_report(server, &event);
}
