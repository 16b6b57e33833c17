/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Connections whose handler has returned: their streams are ended, and what the peer still
 *         sends is dropped until its end comes, so that no reset destroys the reply. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "linger.h"

#include "address_internal.h"
#include "deadline_internal.h"
#include "events.h"
#include "sys.h"

#include <errno.h>
#include <string.h>

/* How long those that linger are left alone when there is no memory to wait for all of them. */
#define WITHOUT_MEMORY_MS 5

static void close_as(struct nb__run *run, nb_conn *conn, nb_status how)
{
    nb__run_event_of(run, NB_EVENT_CLOSED, conn, how);
    (void)nb__conn_dispose(conn, how);
}

/* Takes one out of the list. The lock is held. */
static nb_conn *take_out(struct nb__run *run, size_t index)
{
    nb_conn *conn = run->lingerers[index].conn;

    run->lingering--;
    memmove(&run->lingerers[index], &run->lingerers[index + 1],
            (run->lingering - index) * sizeof(run->lingerers[0]));
    nb__count_down(&run->listener->counters.lingering);
    return conn;
}

/* Moves one here from where it was handled, so that it always counts once for its peer. When the list
   is full, the oldest makes room for it and is returned. */
static nb_conn *add(struct nb__run *run, struct nb__work *work, const struct nb__lingerer *lingerer)
{
    nb_conn *evicted = NULL;

    nb__run_lock(run);
    (void)nb__run_unlist(run, work);
    if (run->lingering == (size_t)run->options.linger_max) {
        evicted = take_out(run, 0);
        run->evicted++;
    }
    run->lingerers[run->lingering++] = *lingerer;
    nb__count_up(&run->listener->counters.lingering);
    nb__run_unlock(run);
    return evicted;
}

static void reset(struct nb__run *run, nb_conn *conn)
{
    nb__run_event_of(run, NB_EVENT_CLOSED, conn, NB_CANCELLED);
    nb_abort(conn);
}

/* What lingering comes to at once: NB_TIMEOUT means that it has to go on. */
static nb_status end_at_once(const struct nb__run *run, nb_conn *conn, uint64_t *budget)
{
    nb_status status;

    if (run->options.linger_ms == NB_NO_LINGER)
        return nb__conn_verdict(conn); /* close(2) ends the stream as well */
    status = nb__conn_end(conn);
    return status == NB_OK ? nb__conn_drain(conn, budget) : status;
}

bool nb__linger(struct nb__run *run, struct nb__work *work)
{
    nb_conn *conn = work->conn;
    struct nb__lingerer lingerer = {.conn = conn, .budget = (uint64_t)run->options.linger_bytes};
    nb_status status = end_at_once(run, conn, &lingerer.budget);
    nb_conn *evicted;

    if (status != NB_TIMEOUT || nb__conn_check(conn, NB_SEND) != NB_OK) {
        /* Before it is closed: the peer may be back as soon as it sees that. */
        (void)nb__run_finish(run, work);
        close_as(run, conn, status);
        return false;
    }
    lingerer.until = nb__earlier(work->life, nb_after_ms(run->options.linger_ms));
    evicted = add(run, work, &lingerer);
    if (evicted != NULL)
        reset(run, evicted);
    return true;
}

/* Lists those that linger, and moves *until to the first end of their time. */
static size_t watch(struct nb__run *run, struct pollfd *fds, nb_deadline *until)
{
    size_t count;

    nb__run_lock(run);
    count = run->lingering;
    for (size_t i = 0; i < count; i++) {
        fds[i] = (struct pollfd){run->lingerers[i].conn->fd, POLLIN, 0};
        *until = nb__earlier(*until, run->lingerers[i].until);
    }
    run->evicted = 0;
    nb__run_unlock(run);
    return count;
}

/* Whether one has come to its end, and how. */
static bool has_ended(struct nb__lingerer *lingerer, bool ready, nb_status *how)
{
    *how = NB_TIMEOUT;
    if (ready)
        *how = nb__conn_drain(lingerer->conn, &lingerer->budget);
    return *how != NB_TIMEOUT || nb_expired(lingerer->until);
}

/* Takes out those that have ended. Since the list was made, others may have been added at its end,
   and have gone at its front. */
static size_t collect_ended(struct nb__run *run, const struct pollfd *fds, size_t listed)
{
    size_t count = 0;
    size_t at = run->evicted;

    for (size_t i = 0; i < run->lingering;) {
        bool ready = at < listed && fds[at].revents != 0;
        struct nb__ended *ended = &run->ended[count];

        at++;
        if (!has_ended(&run->lingerers[i], ready, &ended->how)) {
            i++;
            continue;
        }
        ended->conn = take_out(run, i);
        count++;
    }
    return count;
}

/* Goes on with those that poll found ready, and ends those whose time is over. */
static void tend(struct nb__run *run, const struct pollfd *fds, size_t count)
{
    size_t ended;

    nb__run_lock(run);
    ended = collect_ended(run, fds, count);
    nb__run_unlock(run);
    for (size_t i = 0; i < ended; i++)
        close_as(run, run->ended[i].conn, run->ended[i].how);
}

int nb__linger_poll(struct nb__run *run, struct pollfd *fds, size_t own, nb_deadline until)
{
    size_t lingering = watch(run, fds + own, &until);
    size_t listed = lingering;
    int ready = nb__sys_poll(fds, (nfds_t)(own + listed), until);

    if (ready == -ENOMEM && lingering > 0) { /* for a few the kernel needs none */
        listed = 0;
        ready = nb__sys_poll(fds, (nfds_t)own, nb__earlier(until, nb_after_ms(WITHOUT_MEMORY_MS)));
    }
    if (lingering > 0 && (ready >= 0 || ready == -EINTR))
        tend(run, fds + own, ready >= 0 ? listed : 0);
    return ready;
}

void nb__linger_end_all(struct nb__run *run)
{
    for (;;) {
        nb_conn *conn = NULL;

        nb__run_lock(run);
        if (run->lingering > 0)
            conn = take_out(run, 0);
        nb__run_unlock(run);
        if (conn == NULL)
            return;
        close_as(run, conn, NB_TIMEOUT);
    }
}

size_t nb__linger_count_peer(const struct nb__run *run, const nb_address *peer)
{
    size_t count = 0;

    for (size_t i = 0; i < run->lingering; i++)
        count += nb__address_same_peer(&run->lingerers[i].conn->peer, peer);
    return count;
}
