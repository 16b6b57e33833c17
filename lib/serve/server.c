/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief One run of the accept loop: what its parts share. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/server.h"

#include "base/deadline_internal.h"
#include "net/address_internal.h"
#include "serve/stop_signals.h"
#include "sys/sys.h"
#include "wait/wait.h"

int nb__server_poll(const struct nb__server *server, struct pollfd *fds, nfds_t count,
                    nb_deadline by)
{
    return server->opens_signals ? nb__stop_signals_poll(fds, count, by) : nb__wait(fds, count, by);
}

void nb__server_lock(struct nb__server *server)
{
    (void)pthread_mutex_lock(&server->lock);
}

void nb__server_unlock(struct nb__server *server)
{
    (void)pthread_mutex_unlock(&server->lock);
}

nb_deadline nb__server_drain_end(const struct nb__server *server)
{
    int64_t stopped_at = atomic_load(&server->listener->stopped_at_ns);

    if (stopped_at != 0 && atomic_load(&server->listener->hurried))
        return (nb_deadline){0};
    if (stopped_at == 0 || server->options.drain_ms == NB_NO_LIMIT)
        return nb_forever();
    return nb__ms_after(stopped_at, server->options.drain_ms);
}

nb_deadline nb__server_drain_end_again(const struct nb__server *server, const struct pollfd *wake)
{
    if (wake->revents != 0)
        (void)nb__sys_wake_clear(server->listener->wake);
    return nb__server_drain_end(server);
}

bool nb__server_same_peer(const nb_conn *a, const nb_conn *b)
{
    if (a->peer_uid >= 0)
        return a->peer_uid == b->peer_uid;
    return nb__address_same_peer(&a->peer, &b->peer);
}
