/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Lingering: after a handler has returned, its stream is ended, and what the peer still sends is
 *         dropped until its end comes, so that no reset destroys the reply. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/linger.h"

#include "base/deadline_internal.h"
#include "conn/close.h"
#include "serve/events.h"
#include "serve/handling.h"
#include "sys/sys.h"

#include <errno.h>

/* How long lingering connections are left alone when there is no memory to poll all of them. */
#define WITHOUT_MEMORY_MS 5

/* How often a connection is drained at most before it is closed early: 8 MiB in all, which is more
   than a system buffers by default. */
#define LAST_DRAINS 128

static void close_as(struct nb__server *server, nb_conn *conn, nb_status how)
{
    nb__event_of_conn(server, NB_EVENT_CLOSED, conn, how);
    (void)nb__conn_dispose(conn, how);
}

/* Drops all that has come before a connection is closed although its peer has not ended. Our stream
   was ended in order, and the system goes on delivering it, unless close(2) finds unread input:
   then it would send a reset. */
static nb_status drain_at_last(nb_conn *conn)
{
    uint64_t *budget = &conn->lingering.budget;
    uint64_t before;
    nb_status status;
    int drains = 0;

    do {
        before = *budget;
        status = nb__conn_drain(conn, budget);
    } while (status == NB_TIMEOUT && *budget != before && ++drains < LAST_DRAINS);
    return status;
}

static void end_early(struct nb__server *server, nb_conn *conn)
{
    close_as(server, conn, drain_at_last(conn));
}

/* Puts one at the end of the list. The lock is held. */
static void append(struct nb__server *server, nb_conn *conn)
{
    conn->next = NULL;
    conn->lingering.older = server->newest_lingerer;
    if (server->newest_lingerer != NULL)
        server->newest_lingerer->next = conn;
    else
        server->oldest_lingerer = conn;
    server->newest_lingerer = conn;
    server->lingering++;
    nb__count_up(&server->listener->counters.lingering);
}

/* Takes one out of the list. The lock is held. */
static void take_out(struct nb__server *server, nb_conn *conn)
{
    nb_conn *older = conn->lingering.older;

    if (older != NULL)
        older->next = conn->next;
    else
        server->oldest_lingerer = conn->next;
    if (conn->next != NULL)
        conn->next->lingering.older = older;
    else
        server->newest_lingerer = older;
    server->lingering--;
    nb__count_down(&server->listener->counters.lingering);
}

/* Takes out the oldest that is not being drained just now; NULL when there is none. The lock is
   held. */
static nb_conn *take_oldest(struct nb__server *server)
{
    nb_conn *conn = server->oldest_lingerer;

    while (conn != NULL && conn->lingering.busy)
        conn = conn->next;
    if (conn != NULL)
        take_out(server, conn);
    return conn;
}

/* Moves a connection here from the list of handlings, so that it always counts once for its peer.
   If too many linger then, returns the one that has to leave: the oldest, or this one while all
   others are being drained. */
static nb_conn *add(struct nb__server *server, struct nb__handling *handling)
{
    nb_conn *evicted = NULL;
    nb_conn *conn;

    nb__server_lock(server);
    conn = nb__handling_unlist(handling);
    if (server->lingering == (size_t)server->options.linger_max) {
        evicted = take_oldest(server);
        if (evicted == NULL)
            evicted = conn;
    }
    if (evicted != conn)
        append(server, conn);
    nb__server_unlock(server);
    return evicted;
}

/* Tries to end a connection at once: NB_TIMEOUT means that it has to linger. */
static nb_status end_at_once(const struct nb__server *server, nb_conn *conn)
{
    nb_status status;

    if (server->options.linger_ms == NB_NO_LINGER)
        return nb__conn_verdict(conn); /* close(2) ends the stream as well */
    status = nb__conn_end(conn);
    return status == NB_OK ? nb__conn_drain(conn, &conn->lingering.budget) : status;
}

bool nb__linger(struct nb__server *server, struct nb__handling *handling)
{
    nb_conn *conn = handling->conn;
    nb_conn *evicted;
    bool stays;
    nb_status status;

    conn->lingering = (struct nb__lingering){.budget = (uint64_t)server->options.linger_bytes};
    status = end_at_once(server, conn);
    if (status != NB_TIMEOUT || nb__conn_check(conn, NB_SEND) != NB_OK) {
        /* Before it is closed: the peer may be back as soon as it sees that. */
        (void)nb__handling_finish(handling);
        close_as(server, conn, status);
        return false;
    }
    conn->lingering.until = nb__earlier(handling->life, nb_after_ms(server->options.linger_ms));
    evicted = add(server, handling);
    stays = evicted != conn; /* for a while: others may end it from now on */
    if (evicted != NULL)
        end_early(server, evicted);
    return stays;
}

/* Takes out the oldest that nobody is draining; NULL when there is none. */
static nb_conn *pick(struct nb__server *server)
{
    nb_conn *oldest;

    nb__server_lock(server);
    oldest = take_oldest(server);
    nb__server_unlock(server);
    return oldest;
}

bool nb__linger_make_room(struct nb__server *server)
{
    nb_conn *conn = pick(server);

    if (conn == NULL)
        return false;
    conn->lingering.how = drain_at_last(conn);
    conn->lingering.delivered = nb__conn_delivered(conn);
    (void)nb__sys_close(conn->waitable.fd);
    conn->waitable.fd = -1;
    conn->next = atomic_load(&server->unreported);
    while (!atomic_compare_exchange_weak(&server->unreported, &conn->next, conn))
        ;
    return true;
}

bool nb__linger_has_events(const struct nb__server *server)
{
    return atomic_load(&server->unreported) != NULL;
}

void nb__linger_report_events(struct nb__server *server)
{
    nb_conn *conn = atomic_exchange(&server->unreported, NULL);

    while (conn != NULL) {
        nb_conn *next = conn->next;

        nb__event_of_conn(server, NB_EVENT_CLOSED, conn, conn->lingering.how);
        nb__conn_free(conn);
        conn = next;
    }
}

/* Lists those that linger, and brings *until forward to the first end of their time. */
static size_t watch(struct nb__server *server, struct pollfd *fds, nb_deadline *until)
{
    size_t count = 0;

    nb__server_lock(server);
    for (const nb_conn *conn = server->oldest_lingerer; conn != NULL; conn = conn->next) {
        fds[count++] = (struct pollfd){conn->waitable.fd, POLLIN, 0};
        *until = nb__earlier(*until, conn->lingering.until);
    }
    nb__server_unlock(server);
    return count;
}

/* Chooses those that poll found ready and those whose time is over. Since the list for poll was
   made, some may have left and others have been added at the end. One that has got the descriptor
   of one that left may be chosen without need, which does no harm. The lock is held. */
static nb_conn *choose(struct nb__server *server, const struct pollfd *fds, size_t listed,
                       int64_t now)
{
    nb_conn *chosen = NULL;
    nb_conn **end = &chosen;
    size_t at = 0;

    for (nb_conn *conn = server->oldest_lingerer; conn != NULL; conn = conn->next) {
        while (at < listed && fds[at].fd != conn->waitable.fd)
            at++;
        if (conn->lingering.until.ns <= now || (at < listed && fds[at].revents != 0)) {
            conn->lingering.busy = true;
            *end = conn;
            end = &conn->lingering.next_busy;
        }
    }
    *end = NULL;
    return chosen;
}

/* Takes out those of the chosen ones that have ended, or whose time is over; the others go on. The
   lock is held. */
static nb_conn *take_ended(struct nb__server *server, nb_conn *chosen, int64_t now)
{
    nb_conn *ended = NULL;
    nb_conn **end = &ended;

    for (nb_conn *conn = chosen; conn != NULL; conn = conn->lingering.next_busy) {
        conn->lingering.busy = false;
        if (conn->lingering.how == NB_TIMEOUT && conn->lingering.until.ns > now)
            continue;
        take_out(server, conn);
        *end = conn;
        end = &conn->lingering.next_busy;
    }
    *end = NULL;
    return ended;
}

/* Drops what has come for one that poll found ready, or whose time is over. */
static nb_status drain_once(nb_conn *conn, int64_t now)
{
    return conn->lingering.until.ns > now ? nb__conn_drain(conn, &conn->lingering.budget)
                                          : drain_at_last(conn);
}

/* Drains those that poll found ready, and ends those that have ended or whose time is over. */
static void tend(struct nb__server *server, const struct pollfd *fds, size_t count)
{
    int64_t now = nb__now_ns();
    nb_conn *conn;

    nb__server_lock(server);
    conn = choose(server, fds, count, now);
    nb__server_unlock(server);
    if (conn == NULL)
        return;
    for (nb_conn *one = conn; one != NULL; one = one->lingering.next_busy)
        one->lingering.how = drain_once(one, now);
    nb__server_lock(server);
    conn = take_ended(server, conn, now);
    nb__server_unlock(server);
    while (conn != NULL) {
        nb_conn *next = conn->lingering.next_busy;

        close_as(server, conn, conn->lingering.how);
        conn = next;
    }
}

int nb__linger_poll(struct nb__server *server, struct pollfd *fds, size_t own, nb_deadline until)
{
    size_t lingering = watch(server, fds + own, &until);
    size_t listed = lingering;
    int ready = nb__server_poll(server, fds, (nfds_t)(own + listed), until);

    if (ready == -ENOMEM && lingering > 0) { /* polling a few needs no memory in the kernel */
        listed = 0;
        ready = nb__server_poll(server, fds, (nfds_t)own,
                                nb__earlier(until, nb_after_ms(WITHOUT_MEMORY_MS)));
    }
    if (lingering > 0 && (ready >= 0 || ready == -EINTR))
        tend(server, fds + own, ready >= 0 ? listed : 0);
    return ready;
}

void nb__linger_end_all(struct nb__server *server)
{
    nb_conn *conn;

    nb__linger_report_events(server);
    while ((conn = pick(server)) != NULL)
        end_early(server, conn);
}

size_t nb__linger_count_peer(const struct nb__server *server, const nb_conn *of)
{
    size_t count = 0;

    for (const nb_conn *conn = server->oldest_lingerer; conn != NULL; conn = conn->next)
        count += nb__server_same_peer(conn, of);
    return count;
}
