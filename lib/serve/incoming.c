/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief How connections come into the accept loop, until the stop and at the stop. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "serve/incoming.h"

#include "base/deadline_internal.h"
#include "serve/events.h"
#include "serve/linger.h"
#include "sys/sys.h"

#include <errno.h>

/* As many connections are taken from a queue after the stop where the system does not tell its
   length. */
#define QUEUE_MOST 4096

/* Notes that a shortage has begun or is over: odd is a number of changes during one. */
static void note_shortage(struct nb__run *run, int system_error)
{
    bool shortage = run->accepting.backoff_ms > 0;
    unsigned changes = atomic_load(&run->shortage_changes);

    if (shortage == (changes % 2 != 0))
        return;
    if (shortage)
        atomic_store(&run->shortage_error, system_error);
    atomic_store(&run->shortage_changes, changes + 1);
}

static bool has_untold_shortage(const struct nb__run *run)
{
    return atomic_load(&run->shortage_changes) != atomic_load(&run->shortages_told);
}

bool nb__intake_has_news(const struct nb__run *run)
{
    return has_untold_shortage(run) || nb__linger_has_news(run);
}

void nb__intake_tell_news(struct nb__run *run)
{
    while (has_untold_shortage(run)) {
        bool begins = atomic_fetch_add(&run->shortages_told, 1) % 2 == 0;
        int system_error = begins ? atomic_load(&run->shortage_error) : 0;

        if (begins)
            nb__run_event(run, NB_EVENT_ACCEPT_BACKING_OFF, nb__listener_status(system_error),
                          system_error);
        else
            nb__run_event(run, NB_EVENT_ACCEPT_RECOVERED, NB_OK, 0);
    }
    nb__linger_tell_news(run);
}

static enum nb__tried note_outcome(struct nb__run *run, enum nb__tried tried, int system_error)
{
    note_shortage(run, system_error);
    if (tried == NB__TRIED_BROKEN)
        run->broken = system_error;
    return tried;
}

bool nb__intake_admit(struct nb__run *run, const nb_conn *conn)
{
    if (run->options.max_per_peer != NB_NO_LIMIT &&
        nb__run_count_peer(run, conn) + nb__linger_count_peer(run, conn) >=
            (uint64_t)run->options.max_per_peer) {
        nb__count_up(&run->listener->counters.refused);
        return false;
    }
    nb__count_up(&run->listener->counters.accepted);
    return true;
}

void nb__intake_refuse(struct nb__run *run, nb_conn *conn)
{
    nb_event event = nb__run_describe(NB_EVENT_REFUSED, conn, NB_OK);

    nb_abort(conn); /* whoever hears of it may take a while */
    nb__run_tell(run, &event);
}

static bool is_want_of_descriptors(enum nb__tried tried, int system_error)
{
    return tried == NB__TRIED_SHORTAGE && (system_error == EMFILE || system_error == ENFILE);
}

static bool make_room(struct nb__run *run)
{
    bool made = nb__linger_make_room(run);

    run->made_room += made;
    return made;
}

/* Tries to accept. In want of descriptors those that linger give up theirs, the oldest first. */
static enum nb__tried try_listener(struct nb__run *run, const struct pollfd *ready,
                                   int *system_error)
{
    struct nb__accepting before = run->accepting;
    enum nb__tried tried;

    do {
        run->accepting = before;
        tried = nb__listener_try(run->listener, &run->accepting, ready, run->spare, system_error);
    } while (is_want_of_descriptors(tried, *system_error) && make_room(run));
    return tried;
}

/* Who the peer of a Unix socket is, where that matters; -1 when the system does not tell. */
static int64_t user_of(const struct nb__run *run, const nb_conn *conn)
{
    int64_t pid;
    int64_t uid;
    int64_t gid;

    if (run->options.max_per_peer == NB_NO_LIMIT ||
        nb_address_family(&conn->peer) != NB_FAMILY_UNIX ||
        nb__sys_peer_credentials(conn->fd, &pid, &uid, &gid) < 0)
        return -1;
    return uid;
}

/* Tries to accept, into memory that is there before: *out is the connection or NULL. */
static enum nb__tried try_accept(struct nb__run *run, const struct pollfd *ready, nb_conn **out)
{
    int system_error = ENOMEM;
    enum nb__tried tried;

    *out = NULL;
    if (run->spare == NULL)
        run->spare = nb__conn_new();
    if (run->spare == NULL)
        tried = nb__listener_failed(run->listener, &run->accepting, system_error);
    else
        tried = try_listener(run, ready, &system_error);
    (void)note_outcome(run, tried, system_error);
    if (tried == NB__TRIED_ACCEPTED) {
        *out = run->spare;
        run->spare = NULL;
        (*out)->id = ++run->last_id;
        (*out)->accepted_ns = nb__now_ns();
        (*out)->peer_uid = user_of(run, *out);
    }
    return tried;
}

/* Waits for something to accept, or for the end of a shortage: what to try then. */
static enum nb__tried await_and_try(struct nb__run *run, struct pollfd *fds, bool tend,
                                    nb_conn **out)
{
    bool shortage = run->accepting.backoff_ms > 0;
    nb_deadline until = nb__listener_retry(&run->accepting);
    size_t count = nb__listener_watch(run->listener, fds);
    int ready;

    *out = NULL;
    if (shortage)
        count = 1; /* the stop alone */
    ready =
        tend ? nb__linger_poll(run, fds, count, until) : nb__sys_poll(fds, (nfds_t)count, until);
    if (ready < 0 && ready != -EINTR)
        return note_outcome(run, nb__listener_poll_failed(run->listener, &run->accepting, -ready),
                            -ready);
    if (ready > 0 && fds[0].revents != 0)
        nb__listener_wake_clear(run->listener, run->listener->wake);
    if (nb__listener_stopped(run->listener) || (ready <= 0 && !shortage))
        return NB__TRIED_NOTHING;
    return try_accept(run, shortage ? NULL : fds + 1, out);
}

/* How much there has been to tell of so far. */
static uint64_t count_news(const struct nb__run *run)
{
    return atomic_load(&run->shortage_changes) + run->made_room;
}

nb_conn *nb__intake_next(struct nb__run *run, struct pollfd *fds, bool tend)
{
    uint64_t before = count_news(run);
    nb_conn *conn = NULL;

    while (conn == NULL && count_news(run) == before && !nb__listener_stopped(run->listener)) {
        if (await_and_try(run, fds, tend, &conn) == NB__TRIED_BROKEN)
            nb_listener_stop(run->listener);
    }
    return conn;
}

/* How many may still be taken from a socket's queue: as many as it holds now. A Unix socket does not
   tell, but when it is shut down for reading it refuses whoever is new, and can still be emptied. */
static size_t held_by(const struct nb__socket *socket)
{
    int length;

    if (nb_address_family(&socket->address) == NB_FAMILY_UNIX && !socket->shared &&
        nb__sys_shutdown(socket->fd, SHUT_RD) == 0)
        return SIZE_MAX;
    length = nb__sys_queue_length(socket->fd);
    return length >= 0 ? (size_t)length : QUEUE_MOST;
}

/* New connections may come faster than they can be taken, so that taking them until there are none
   could go on for ever. Those that come too late are reset when the socket is closed. */
void nb__intake_stop(struct nb__run *run)
{
    nb__listener_hide(run->listener);
    for (size_t i = 0; i < run->listener->count; i++)
        run->held[i] = held_by(&run->listener->sockets[i]);
}

/* Queues a connection, unless its peer has too many. */
static void enqueue(struct nb__run *run, nb_conn *conn)
{
    bool admitted;

    nb__run_lock(run);
    admitted = nb__intake_admit(run, conn);
    if (admitted)
        nb__run_enqueue(run, conn);
    nb__run_unlock(run);
    if (!admitted)
        nb__intake_refuse(run, conn);
}

/* Takes one of those that a queue held. True when that has to be tried again later. */
static bool take_held(struct nb__run *run, const struct pollfd *ready, size_t *held)
{
    nb_conn *conn;
    enum nb__tried tried = try_accept(run, ready, &conn);

    if (conn != NULL)
        enqueue(run, conn);
    if (tried == NB__TRIED_NOTHING)
        *held = 0;
    if (tried == NB__TRIED_ACCEPTED || tried == NB__TRIED_LOST)
        *held -= 1;
    return tried == NB__TRIED_INTERRUPTED || run->accepting.backoff_ms > 0;
}

/* Takes them from all sockets. False when that has to go on later. */
static bool take_all_held(struct nb__run *run, struct pollfd *fds)
{
    size_t watched = nb__listener_watch(run->listener, fds);

    for (size_t i = 1; i < watched; i++) {
        size_t *held = &run->held[i - 1];

        fds[i].revents = POLLIN; /* from this socket alone */
        while (*held > 0 && run->broken == 0) {
            if (take_held(run, fds + 1, held))
                return false;
        }
        fds[i].revents = 0;
    }
    return true;
}

bool nb__intake_rest(struct nb__run *run, struct pollfd *fds, nb_deadline *retry)
{
    bool taken = take_all_held(run, fds);

    *retry = taken ? nb_forever() : nb_after_ms(run->accepting.backoff_ms);
    if (taken)
        nb__intake_end(run);
    nb__intake_tell_news(run);
    return taken;
}

/* How many still wait of those that a queue held; none where the system does not tell. (Who waits at a
   Unix socket could be accepted to be counted, but would then see an end instead of a reset.) */
static size_t still_waiting(const struct nb__socket *socket, size_t held)
{
    int length = held > 0 ? nb__sys_queue_length(socket->fd) : 0;
    size_t waiting = length > 0 ? (size_t)length : 0;

    return waiting < held ? waiting : held;
}

void nb__intake_end(struct nb__run *run)
{
    nb_listener *listener = run->listener;

    for (size_t i = 0; i < listener->count; i++) {
        size_t left = still_waiting(&listener->sockets[i], run->held[i]);

        atomic_fetch_add(&listener->counters.unserved, left);
        run->held[i] = 0;
    }
    nb__listener_shut(listener);
}

nb_conn *nb__intake_queued(struct nb__run *run)
{
    nb_conn *conn;

    nb__run_lock(run);
    conn = nb__run_dequeue(run);
    nb__run_unlock(run);
    return conn;
}

void nb__intake_reset_queue(struct nb__run *run)
{
    nb_conn *conn;

    while ((conn = nb__intake_queued(run)) != NULL) {
        nb__count_up(&run->listener->counters.unserved);
        nb__run_event_of(run, NB_EVENT_ACCEPTED, conn, NB_OK);
        nb__run_event_of(run, NB_EVENT_CLOSED, conn, NB_CANCELLED);
        nb_abort(conn);
    }
}
