/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief The accept loop: a callback per connection, limits, and a drain with a deadline.
 */
#ifndef NETBASICS_SERVE_H
#define NETBASICS_SERVE_H

#include <netbasics/address.h>
#include <netbasics/conn.h>
#include <netbasics/error.h>
#include <netbasics/export.h>
#include <netbasics/listener.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @defgroup serve The accept loop
 *  @brief nb_serve() runs a handler per connection, in the calling thread or in worker threads.
 *
 *  @par Limits
 *  At most nb_serve_options::concurrency handlers run at once; beyond that, connections wait in the
 *  kernel's queue, and nothing is accepted that cannot start at once.
 *
 *  @par Accept errors
 *  One table decides what an error of accept(2) means:
 *  | errno | what the loop does |
 *  |---|---|
 *  | EINTR, EAGAIN | looks whether it was stopped, waits again |
 *  | ECONNABORTED, ECONNRESET, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ENOSR, ESOCKTNOSUPPORT, EPROTONOSUPPORT, ETIMEDOUT, EPERM | that connection is lost: it is counted, and the loop goes on |
 *  | EMFILE, ENFILE | ends the oldest connection that lingers and tries again; without any, as with the next ones |
 *  | ENOBUFS, ENOMEM | one event, waits 5 ms doubling to 1 s, tries again; another event when it works again |
 *  | EBADF, EINVAL, ENOTSOCK, EFAULT | ends with that error; it never spins |
 *  | EOPNOTSUPP, and every other | a lost connection at first; more than 10 of them in a row end the loop |
 *
 *  More than 64 lost connections in a row are taken for a shortage.
 *
 *  @par Stop and drain
 *  When the loop notices nb_listener_stop(), it looks how many connections wait in the kernel's
 *  queues. These were complete before: they are served, as far as the time of the drain allows, or
 *  counted in nb_serve_stats::unserved, or refused: all of them count for
 *  nb_serve_options::max_per_peer at once. Then the sockets are closed, and whoever comes later is refused
 *  or reset at once, even if the handshake was already under way. (A Unix socket does not tell
 *  the length of its queue: its file is removed and it is shut for newcomers, then the queue is
 *  emptied; those that could not be accepted in time, for want of descriptors, are reset and not counted.
 *  Where neither is possible, as with a Unix socket that others share, at most 4096 connections are
 *  taken.)
 *
 *  Connections between two requests (nb_conn_idle()) are told of the stop at once. Other handlers may go
 *  on for nb_serve_options::drain_ms, or until nb_listener_stop_now(); then their connections are cancelled
 *  (as with nb_cancel()), and nb_serve() returns when the last handler has returned. That time begins with
 *  the stop, even if it came before nb_serve(). A handler's own code, outside the library, cannot be cut
 *  short and is waited for; nor can its waits for connections other than its own, those that it has
 *  made itself: tie these to its own (nb_connect_options::tie), or give them deadlines. Nothing of the
 *  library runs after nb_serve() has returned.
 *  @{
 */

/** @brief No limit, for the fields that say they accept it. */
#define NB_NO_LIMIT (-1)

/** @brief For nb_serve_options::linger_ms: end connections at once, without waiting for the peer. For
 *  protocols whose handlers receive all that peers send: bytes that nobody has received, or that come
 *  later, make the system reset the connection, which can destroy the reply on its way. */
#define NB_NO_LINGER (-1)

/**
 * @brief Serves one connection.
 *
 * The connection is the handler's until it returns. What it returns says how its connection ends:
 * - NB_OK, NB_EOF, NB_STOPPING, and NB_TIMEOUT while the connection is idle (nb_conn_idle()): in order,
 *   as nb_close() does, without holding a worker for that. After a failed send the peer sees a reset all
 *   the same.
 * - anything else: with a reset, so that no truncated reply looks whole, and the status goes into the
 *   event NB_EVENT_CLOSED.
 *
 * So a handler can end with the status of the call that ended its work; one that has sent an error reply
 * returns NB_OK. The handler may also close, abort or detach the connection itself; then what it returns
 * does not matter. It may not assume that it stays on one thread across a call
 * that waits, and should keep its stack small (nb_serve_options::stack_size). It has to return: if it is left
 * by pthread_exit(3), pthread_cancel(3), longjmp(3) or a C++ exception, the connection is lost, and its place
 * among the handlers with it.
 *
 * Worker threads have signals blocked (see nb_serve()), and so has a program that a handler starts there,
 * by system(3), popen(3), posix_spawn(3), or fork(2) and execve(2): SIGTERM does not end it, nor does
 * Ctrl-C. Give it a mask of its own:
 * @snippet snippets/spawning.c spawn
 *
 * @param conn     the connection.
 * @param context  what nb_serve() was given.
 * @return how the connection ends, see above.
 */
typedef nb_status nb_handler(nb_conn *conn, void *context);

/** @brief What an ::nb_event reports. */
typedef enum nb_event_kind {
    NB_EVENT_LISTENING = 1, /**< The loop begins; once for each socket, with its address. */
    NB_EVENT_ACCEPTED = 2,  /**< A connection was accepted; with the peer. */
    NB_EVENT_REFUSED = 3,   /**< A connection over max_per_peer was broken off; with the peer. */
    NB_EVENT_ACCEPT_BACKING_OFF =
        4,                         /**< Accepting fails for want of resources; with the reason. Once
                                          for each episode. */
    NB_EVENT_ACCEPT_RECOVERED = 5, /**< The episode is over. */
    /** A connection has ended, and is closed right afterwards; with peer, status and byte counts. */
    NB_EVENT_CLOSED = 6,
    NB_EVENT_DRAINING = 7, /**< The stop was noticed, and nobody new gets in. */
    NB_EVENT_STOPPED = 8,  /**< The last connection has ended; the last event. */
    /** All nb_serve_options::concurrency places are taken, and a connection has waited for one for
     *  a second; once for each episode. Never with a concurrency of 1. Where the system does not tell how
     *  many wait (Unix sockets; systems other than Linux), only when nobody at all got a place in that
     *  second. */
    NB_EVENT_LIMIT_REACHED = 9,
    NB_EVENT_LIMIT_CLEARED = 10 /**< The episode is over: there were free places for a second. */
} nb_event_kind;

/** @brief Something that happened in the accept loop. It, and all that it points to, is valid during the
 *  callback only. Later versions append fields. */
typedef struct nb_event {
    /** @brief sizeof(nb_event), as the library knows it: a field of a later version is there when it ends
     *  within it. */
    size_t size;
    nb_event_kind kind; /**< What happened. */
    /** @brief ACCEPT_BACKING_OFF: why. CLOSED: NB_OK when both streams ended in order (with
     *  NB_NO_LINGER: when nothing went wrong so far) or the handler detached the connection;
     *  NB_CANCELLED when it was aborted or cancelled; what the handler returned when it was reset for
     *  that; NB_TIMEOUT when our stream was ended in order and the peer's end did not come within
     *  @c linger_ms, or before the connection had to make room for another one (@c linger_max, want of
     *  descriptors), or before the end of the drain: then the system goes on delivering what is not
     *  @c delivered yet;
     *  else what went wrong, as nb_close() would tell.
     *  Other events: NB_OK. */
    nb_status status;
    int system_error; /**< The errno behind @c status; 0 if none. */
    /** @brief CLOSED: whether the peer's system has acknowledged all that was sent (Unix: whether the
     *  peer has received it). False while that is not known, as with a peer that ended before it got the
     *  reply, and where the system does not tell (other than Linux). */
    bool delivered;
    nb_address address; /**< The socket (LISTENING) or the peer (ACCEPTED, REFUSED, CLOSED). */
    /** @brief ACCEPTED, REFUSED, CLOSED: which connection, from 1 on, no two of a listener the same.
     *  0 in other events. */
    uint64_t id;
    uint64_t received;   /**< CLOSED: bytes that the handler received. */
    uint64_t sent;       /**< CLOSED: bytes that the handler sent. */
    int64_t duration_ns; /**< CLOSED: nanoseconds from accept to the end. */
    /** @brief The event as one line for a log: English, printable ASCII, without a newline, such as
     *  `connection 7 from 192.0.2.7:4711: timed out after 30.001 s, 12 bytes received, 0 sent`. Never
     *  NULL. The wording may change from version to version. */
    const char *message;
} nb_event;

/**
 * @brief Is told what happens in the accept loop.
 *
 * Called from the threads of the loop, from several at once; never under a lock of the library, nor by
 * the thread whose turn it is to accept. It may call nb_listener_stop() and nb_serve_counters(). It
 * holds up the thread that calls it, so hand on what is slow to a thread of your own:
 * - ACCEPTED, REFUSED and CLOSED: the worker that has the connection. CLOSED comes from inside
 *   nb_close(), nb_abort() and nb_conn_detach() when a handler calls these: it must not hold a lock
 *   then that the event handler takes. A worker also tells of the connection that made room
 *   (@c linger_max) for its own.
 * - The others, REFUSED at the stop, and CLOSED of those that linger or that nobody had time for: the
 *   thread that called nb_serve(). As long as it is held up, others that linger are not ended,
 *   nb_serve_options::connection_ms is not enforced, and a stop and the end of its drain wait.
 *
 * With a concurrency of 1 both are the same thread.
 *
 * @param event    what happened.
 * @param context  nb_serve_options::event_context.
 */
typedef void nb_event_handler(const nb_event *event, void *context);

/**
 * @brief Options of nb_serve().
 *
 * Start from NB_SERVE_OPTIONS_INIT. Zero in a field means its default; a negative value is
 * NB_INVALID unless the field says otherwise. Later versions append fields.
 */
typedef struct nb_serve_options {
    size_t size; /**< sizeof(nb_serve_options), as the caller knows it. */
    /** @brief How many handlers may run at once. 1: in the calling thread, one after the other,
     *  without any thread. More: in so many worker threads at most, started as needed and used again.
     *  At most 2147483647, as the next two. Default 512. */
    int64_t concurrency;
    /** @brief How many connections one peer may have, those that linger included; one over that is reset
     *  (over a Unix socket the peer may see an end). A peer is an IPv4 address, an IPv6 /64 (a link-local one
     *  on its link) or, of a Unix socket, the user of the process that connected; where the system does not
     *  tell that user (it does on Linux), Unix peers are not counted. Default, and NB_NO_LIMIT: no bound but
     *  those of @c concurrency and @c linger_max, as behind a NAT or a proxy many clients are one peer. */
    int64_t max_per_peer;
    /** @brief How many connections may linger at once: for a new one the oldest makes room. What it was
     *  sent still arrives; only a peer that goes on sending sees a reset. In want of descriptors the
     *  oldest makes room, too. Default 256. */
    int64_t linger_max;
    /** @brief true: SIGINT and SIGTERM stop the listener while nb_serve() runs. One that comes at least 500
     *  ms after the one before ends the drain, too, as nb_listener_stop_now() does. A signal that was ignored
     *  stays ignored; the old dispositions come back at the end, unless the program has set others meanwhile.
     *  The signal handlers restart system calls and use alternate stacks (SA_RESTART and SA_ONSTACK of
     *  sigaction(2)). Where every thread of the program has them blocked, as a program may inherit it from
     *  its parent, the calling thread unblocks them while it waits: with a @c concurrency of 1 the signal is
     *  noticed when the handler has returned. In a child that is forked meanwhile, a signal does what the old
     *  disposition says, and the listener stays as it is. Default false. */
    int64_t stop_on_signals;
    /** @brief Bytes of stack that a handler can use in a worker thread, at least what the system demands
     *  (PTHREAD_STACK_MIN). The program's thread-local variables, which glibc puts onto the stack of each
     *  thread, come on top. Default 256 KiB. */
    int64_t stack_size;
    /** @brief Milliseconds that a connection may live, from the start of its handler (in the drain that
     *  may be later than accept) to the end of lingering; then it is cancelled. NB_NO_LIMIT: for ever.
     *  Default 600 000 (10 minutes). */
    int64_t connection_ms;
    /** @brief Milliseconds to wait for the peer's end after the handler has returned. NB_NO_LINGER:
     *  end at once. With a concurrency of 1 it is looked at between handlers. Default 5 000. */
    int64_t linger_ms;
    /** @brief Bytes to read and drop in that time; who sends more sees a reset. Default 65 536. */
    int64_t linger_bytes;
    /** @brief Milliseconds that handlers may go on after the stop. NB_NO_LIMIT: for ever. Default
     *  10 000. */
    int64_t drain_ms;
    nb_event_handler *on_event; /**< Hears of events. Default NULL: nobody. */
    void *event_context;        /**< Passed to @c on_event. */
} nb_serve_options;

/** @brief The defaults of ::nb_serve_options. */
#define NB_SERVE_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(nb_serve_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL                            \
    }

/**
 * @brief What a listener has seen while it was served.
 *
 * Set @c size before the call, or start from NB_SERVE_STATS_INIT. Later versions append fields.
 */
typedef struct nb_serve_stats {
    size_t size; /**< sizeof(nb_serve_stats), as the caller knows it. */
    /** @brief Connections that were accepted and not refused: given to a handler, still to be given to
     *  one, or among @c unserved. */
    uint64_t accepted;
    uint64_t active;       /**< Handlers running now. */
    uint64_t peak;         /**< The most handlers that ran at once. */
    uint64_t refused;      /**< Connections reset because of max_per_peer. */
    uint64_t lost_accepts; /**< Connections that were gone before they could be accepted. */
    uint64_t lingering;    /**< Connections whose handler has returned and whose end is awaited. */
    uint64_t forced;       /**< Connections cancelled because the drain was over. */
    uint64_t unserved; /**< Connections complete at the stop that no handler had time for: reset. */
    uint64_t limit_reached; /**< How often NB_EVENT_LIMIT_REACHED was told, or would have been. */
} nb_serve_stats;

/** @brief An empty ::nb_serve_stats. */
#define NB_SERVE_STATS_INIT                                                                        \
    {                                                                                              \
        sizeof(nb_serve_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0                                          \
    }

NB_BEGIN_DECLS

/**
 * @brief Accepts connections and runs a handler for each, until nb_listener_stop().
 *
 * Afterwards the listener's sockets are closed; nb_listener_close() frees the rest.
 *
 * @param listener  the listener; it stays the caller's.
 * @param handler   called for each connection.
 * @param context   passed to @p handler; never touched.
 * @param options   NULL for the defaults.
 * @param[out] err  receives what went wrong; may be NULL.
 * @retval NB_OK              stopped and drained.
 * @retval NB_INVALID         a NULL argument; a bad option, which @p err names; the listener is or
 *                            was served already; or stop_on_signals while another nb_serve() of the
 *                            process has it. Nothing was done.
 * @retval NB_NO_DESCRIPTORS  none left to begin with. (Later it waits for some to come free.)
 * @retval NB_NO_MEMORY       none left to begin with, or not even for poll(2) to wait for two
 *                            descriptors. Memory for connections, for threads and for watching
 *                            those that linger is waited for.
 * @retval NB_SYSTEM, NB_UNSUPPORTED
 *                            listening itself is broken, the connections were drained first; or not even
 *                            one thread can be started, for another reason than a shortage (EAGAIN,
 *                            ENOMEM), which is waited for. See nb_error::system_error.
 *
 * @par Blocking, threads, signals
 * Blocks until nb_listener_stop() and the drain after it. Safe from any thread. Threads that it
 * starts are all gone when it returns. They have signals blocked, so that none is handled on them, but
 * for SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT and SIGPROF, which are as in the calling
 * thread: a program's own handlers of faults, and its profiler, work in connection handlers, too.
 * @sample{serving.c, nb_serve}
 *
 * @see nb_listen(), nb_accept(), nb_serve_counters(), nb_cancel()
 */
NB_NODISCARD NB_API nb_status nb_serve(nb_listener *listener, nb_handler *handler, void *context,
                                       const nb_serve_options *options, nb_error *err);

/**
 * @brief Tells what a listener has seen while it was served.
 *
 * @param listener    the listener.
 * @param[out] stats  its @c size says how much of it to fill; fields that this library does not
 *                    know are zeroed.
 * @retval NB_OK       filled.
 * @retval NB_INVALID  a NULL argument, or a @c size that was not set. Nothing was filled.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread, during nb_serve() and after it. Each number is right, but
 * they are not all from the same moment.
 * @sample{serving.c, nb_serve_counters}
 */
NB_API nb_status nb_serve_counters(const nb_listener *listener, nb_serve_stats *stats);

NB_END_DECLS

/** @} */

#endif
