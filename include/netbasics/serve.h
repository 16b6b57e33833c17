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
 *  At most nb_serve_options::concurrency handlers run at once. Beyond that, connections wait in the
 *  accept queue; none is accepted that cannot start at once.
 *
 *  @par Admission
 *  An accepted connection is admitted by the thread that serves it, right before its handler: only
 *  then does nb_serve_options::max_per_peer apply, is it counted in nb_serve_counters::accepted or
 *  nb_serve_counters::refused, and is an event reported. The same holds for connections that were
 *  in the accept queues at the stop. One that is reset before its admission, because the drain or
 *  the loop has ended, is counted in nb_serve_counters::unserved and has no events.
 *
 *  @par Accept errors
 *  One table decides what an error of accept(2) means:
 *  | errno | what the loop does |
 *  |---|---|
 *  | EINTR, EAGAIN | checks whether it was stopped, waits again |
 *  | ECONNABORTED, ECONNRESET, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ENOSR, ESOCKTNOSUPPORT, EPROTONOSUPPORT, ETIMEDOUT, EPERM | that connection is lost: it is counted, and the loop goes on |
 *  | EMFILE, ENFILE | ends the oldest lingering connection and tries again; if there is none, as for the next row |
 *  | ENOBUFS, ENOMEM | one event, waits 5 ms, doubling to 1 s, and tries again; another event when it works again |
 *  | EBADF, EINVAL, ENOTSOCK, EFAULT | ends with that error; it never spins |
 *  | EOPNOTSUPP, and every other | a lost connection at first; more than 10 of them in a row end the loop |
 *
 *  More than 64 lost connections in a row count as a shortage.
 *
 *  @par Stop and drain
 *  When the loop notices nb_listener_stop(), it counts the connections in the accept queues; they
 *  completed before the stop. They are served, as far as the drain time and
 *  nb_serve_options::max_per_peer allow, or counted in nb_serve_counters::unserved. Then the
 *  sockets are closed, and later connections are refused or reset at once, even if their handshake
 *  was already under way. (The length of a Unix socket's queue is not known: its file is removed,
 *  no new connections are let in, and then the queue is emptied; those that could not be accepted
 *  in time, for lack of descriptors, are reset and not counted. If neither is possible, as with a
 *  Unix socket that others share, at most 4096 connections are accepted.)
 *
 *  @par Handlers in the drain
 *  Connections between two requests (nb_conn_idle()) are told of the stop at once. Other handlers
 *  may go on for nb_serve_options::drain_ms, or until nb_listener_stop_now(); then their
 *  connections are cancelled (as with nb_cancel()), and nb_serve() returns when the last handler
 *  has returned. The drain time begins with the stop, even if that came before nb_serve(). A
 *  handler's own code, outside the library, cannot be interrupted; nb_serve() waits for it. The
 *  same holds for its waits on connections that it made itself: tie these to its own
 *  (nb_connect_options::tie), or give them deadlines. Nothing of the library runs after nb_serve()
 *  has returned.
 *  @{
 */

/** @brief No limit, for the fields that say they accept it. */
#define NB_NO_LIMIT (-1)

/** @brief For nb_serve_options::linger_ms: end connections at once, without waiting for the peer.
 *  For protocols whose handlers receive all that peers send: bytes that were not received, or that
 *  come later, make the system reset the connection, which can destroy the reply on its way. */
#define NB_NO_LINGER (-1)

/**
 * @brief Serves one connection.
 *
 * The connection is the handler's until it returns. Its return value says how the connection ends:
 * - NB_OK, NB_EOF, NB_STOPPING, and NB_TIMEOUT while the connection is idle (nb_conn_idle()): in
 *   order, as nb_close() does, but without holding a worker for it. After a failed send the peer
 *   still sees a reset.
 * - anything else: with a reset, so that no truncated reply looks whole; NB_EVENT_CLOSED reports
 *   the status.
 *
 * So a handler can return the status of the call that ended its work; one that has sent an error
 * reply returns NB_OK. The handler may also close, abort or detach the connection itself; then its
 * return value does not matter. It must not assume that it stays on one thread across a call that
 * waits, and should use little stack (nb_serve_options::stack_size). It has to return: if it is
 * left by pthread_exit(3), pthread_cancel(3), longjmp(3) or a C++ exception, the connection is
 * leaked, and one of the @c concurrency places with it.
 *
 * Worker threads have signals blocked (see nb_serve()), and so does a program that a handler starts
 * there, with system(3), popen(3), posix_spawn(3), or fork(2) and execve(2): neither SIGTERM nor
 * Ctrl-C ends it. Give it a signal mask of its own:
 * @snippet snippets/spawning.c spawn
 *
 * @param conn     the connection.
 * @param context  what nb_serve() was given.
 * @return how the connection is to end, see above.
 */
typedef nb_status nb_handler(nb_conn *conn, void *context);

/** @brief What an ::nb_event reports. */
typedef enum nb_event_kind {
    /** The loop starts; once for each socket, with its address. */
    NB_EVENT_LISTENING = 1,
    /** A connection was admitted; with the peer. */
    NB_EVENT_ACCEPTED = 2,
    /** A connection over max_per_peer was reset; with the peer. */
    NB_EVENT_REFUSED = 3,
    /** Accepting fails for lack of resources; with the reason. Once for each episode. */
    NB_EVENT_ACCEPT_BACKING_OFF = 4,
    /** The episode is over. */
    NB_EVENT_ACCEPT_RECOVERED = 5,
    /** A connection has ended, and is closed right after this; with peer, status and counters. */
    NB_EVENT_CLOSED = 6,
    /** The stop was noticed: no new connections are accepted. */
    NB_EVENT_DRAINING = 7,
    /** The last connection has ended; the last event. */
    NB_EVENT_STOPPED = 8,
    /** All nb_serve_options::concurrency places are taken, and a connection has waited a second for
     *  one; once for each episode. Never with a concurrency of 1. Where the system does not tell
     *  how many wait (Unix sockets; systems other than Linux), only if no connection at all got a
     *  place in that second. */
    NB_EVENT_LIMIT_REACHED = 9,
    /** The episode is over: places were free for a second. */
    NB_EVENT_LIMIT_CLEARED = 10
} nb_event_kind;

/**
 * @brief Something that happened in the accept loop.
 *
 * It, and all that it points to, is valid only during the callback. Later versions append fields.
 */
typedef struct nb_event {
    /** @brief sizeof(nb_event), as the library knows it: a field of a later version is present if
     *  it ends within that size. */
    size_t size;
    nb_event_kind kind; /**< What happened. */
    /** @brief ACCEPT_BACKING_OFF: why. CLOSED: NB_OK when both streams ended in order (with
     *  NB_NO_LINGER: when nothing had gone wrong) or the handler detached the connection;
     *  NB_CANCELLED when it was aborted or cancelled; what the handler returned when it was reset
     *  for that; NB_TIMEOUT when our stream ended in order and the peer's end did not come within
     *  @c linger_ms, or before the connection had to make room for another one (@c linger_max, lack
     *  of descriptors), or before the end of the drain: then the system goes on delivering what is
     *  not @c delivered yet; else what went wrong, as nb_close() would return it. Other events:
     *  NB_OK. */
    nb_status status;
    int system_error; /**< The errno behind @c status; 0 if none. */
    /** @brief CLOSED: whether the peer's system has acknowledged all that was sent (Unix: whether
     *  the peer has received it). False while that is not known, as with a peer that ended before
     *  it got the reply, and on systems that do not tell (other than Linux). */
    bool delivered;
    nb_address address; /**< The socket (LISTENING) or the peer (ACCEPTED, REFUSED, CLOSED). */
    /** @brief ACCEPTED, REFUSED, CLOSED: the number of the connection, from 1 on, unique for its
     *  listener. 0 in other events. */
    uint64_t id;
    uint64_t received;   /**< CLOSED: bytes that the handler received. */
    uint64_t sent;       /**< CLOSED: bytes that the handler sent. */
    int64_t duration_ns; /**< CLOSED: nanoseconds from accept to the end. */
    /** @brief The event as one line for a log: English, printable ASCII, without a newline, such as
     *  `connection 7 from 192.0.2.7:4711: timed out after 30.001 s, 12 bytes received, 0 sent`.
     *  Never NULL. The wording may change from version to version. */
    const char *message;
} nb_event;

/**
 * @brief Event callback of the accept loop.
 *
 * It runs on the loop's threads, on several at once: keep it short, and pass slow work to a thread
 * of your own. No lock of the library is held, and the thread whose turn it is to accept never runs
 * it. It may call nb_listener_stop() and nb_listener_counters(). Which thread runs it:
 * - ACCEPTED, REFUSED and CLOSED: the worker that has the connection. CLOSED comes from inside
 *   nb_close(), nb_abort() and nb_conn_detach() when a handler calls these: it must not then hold a
 *   lock that the event callback takes. A worker also reports the connection that made room
 *   (@c linger_max) for its own.
 * - The others, and CLOSED of connections that linger: the thread that called nb_serve(). While the
 *   callback holds it up, other lingering connections are not ended,
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
    /** @brief How many handlers may run at once. 1: in the calling thread, one after the other, and
     *  no thread is started. More: in up to that many worker threads, started as needed and reused.
     *  At most 2147483647, as the next two. Default 512. */
    int64_t concurrency;
    /** @brief How many connections one peer may have, from admission to the end of lingering; one
     *  over that is reset (over a Unix socket the peer may see an end). A peer is an IPv4 address,
     *  an IPv6 /64 (a link-local one on its link) or, for a Unix socket, the user of the process
     *  that connected; if the system does not tell that user (Linux does), Unix peers are not
     *  counted. Default, and NB_NO_LIMIT: only @c concurrency and @c linger_max bound it, as behind
     *  a NAT or a proxy many clients are one peer. */
    int64_t max_per_peer;
    /** @brief How many connections may linger at once: for a new one the oldest makes room. What it
     *  was sent still arrives; only a peer that goes on sending sees a reset. When descriptors run
     *  out, the oldest makes room, too. Default 256. */
    int64_t linger_max;
    /** @brief true: SIGINT and SIGTERM stop the listener while nb_serve() runs. A signal at least
     *  500 ms after the one before also ends the drain, as nb_listener_stop_now() does. A signal
     *  that was ignored stays ignored; the old dispositions are restored at the end, unless the
     *  program has set others meanwhile. The signal handlers restart system calls and use alternate
     *  stacks (SA_RESTART and SA_ONSTACK of sigaction(2)). If every thread of the program has these
     *  signals blocked, as a program may inherit it from its parent, the calling thread unblocks
     *  them while it waits: with a @c concurrency of 1 the signal is noticed when the handler has
     *  returned. In a child forked meanwhile, a signal does what the old disposition says, and the
     *  listener stays as it is. Default false. */
    int64_t stop_on_signals;
    /** @brief Bytes of stack that a handler can use in a worker thread, at least the system's
     *  minimum (PTHREAD_STACK_MIN). The program's thread-local variables, which glibc puts on the
     *  stack of each thread, are added. Default 256 KiB. */
    int64_t stack_size;
    /** @brief Milliseconds that a connection may live, from the start of its handler (in the drain
     *  that may be later than accept) to the end of lingering; then it is cancelled. NB_NO_LIMIT:
     *  no bound. Default 600000 (10 minutes). */
    int64_t connection_ms;
    /** @brief Milliseconds to wait for the peer's end after the handler has returned. NB_NO_LINGER:
     *  end at once. With a concurrency of 1 it is checked between handlers. Default 5000. */
    int64_t linger_ms;
    /** @brief Bytes to read and drop in that time; a peer that sends more sees a reset. Default 64
     *  KiB. */
    int64_t linger_bytes;
    /** @brief Milliseconds that handlers may go on after the stop. NB_NO_LIMIT: no bound. Default
     *  10000. */
    int64_t drain_ms;
    nb_event_handler *on_event; /**< Event callback. Default NULL: none. */
    void *event_context;        /**< Passed to @c on_event. */
} nb_serve_options;

/** @brief The defaults of ::nb_serve_options. */
#define NB_SERVE_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(nb_serve_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL                            \
    }

/**
 * @brief What happened to a listener's connections while it was served.
 *
 * Set @c size before the call, or start from NB_SERVE_COUNTERS_INIT. Later versions append fields.
 */
typedef struct nb_serve_counters {
    size_t size;           /**< sizeof(nb_serve_counters), as the caller knows it. */
    uint64_t accepted;     /**< Connections that were admitted: each has had a handler. */
    uint64_t active;       /**< Handlers running now. */
    uint64_t peak;         /**< The most handlers that ran at once. */
    uint64_t refused;      /**< Connections reset because of max_per_peer. */
    uint64_t lost_accepts; /**< Connections that were lost before they could be accepted. */
    uint64_t lingering; /**< Connections whose handler has returned, waiting for the peer's end. */
    uint64_t forced;    /**< Connections cancelled because the drain was over. */
    uint64_t unserved;  /**< Connections complete at the stop, but not admitted in time: reset. */
    /** @brief How often NB_EVENT_LIMIT_REACHED was reported, or would have been. */
    uint64_t limit_reached;
} nb_serve_counters;

/** @brief An empty ::nb_serve_counters. */
#define NB_SERVE_COUNTERS_INIT                                                                     \
    {                                                                                              \
        sizeof(nb_serve_counters), 0, 0, 0, 0, 0, 0, 0, 0, 0                                       \
    }

NB_BEGIN_DECLS

/**
 * @brief Accepts connections and runs a handler for each of them, until nb_listener_stop().
 *
 * Afterwards the listener's sockets are closed; nb_listener_close() frees the rest.
 *
 * @param listener  the listener; it stays the caller's.
 * @param handler   called for each connection.
 * @param context   passed to @p handler; never touched.
 * @param options   NULL for the defaults.
 * @param[out] err  receives what went wrong; may be NULL.
 * @retval NB_OK              stopped and drained.
 * @retval NB_INVALID         a NULL argument; a bad option, which @p err names; the listener is
 *                            being served or was before; or stop_on_signals while another
 *                            nb_serve() of the process has it. Nothing was done.
 * @retval NB_NO_DESCRIPTORS  none left to begin with. (Later it waits for some to become free.)
 * @retval NB_NO_MEMORY       none left to begin with, or not even for poll(2) to wait for two
 *                            descriptors. (It waits for memory for connections, for threads and for
 *                            watching lingering connections.)
 * @retval NB_SYSTEM, NB_UNSUPPORTED
 *                            listening itself is broken, and the connections were drained first; or
 *                            not even one thread can be started, for a reason other than a shortage
 *                            (EAGAIN, ENOMEM), which it waits out. See nb_error::system_error.
 *
 * @par Blocking, threads, signals
 * Blocks until nb_listener_stop() and the drain after it. Safe from any thread. All threads that it
 * starts are gone when it returns. They have signals blocked, so that none is handled on them,
 * except SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT and SIGPROF, which are as in the
 * calling thread: a program's fault handlers and its profiler work in connection handlers, too.
 * @sample{serving.c, nb_serve}
 *
 * @see nb_listen(), nb_accept(), nb_listener_counters(), nb_cancel()
 */
NB_NODISCARD NB_API nb_status nb_serve(nb_listener *listener, nb_handler *handler, void *context,
                                       const nb_serve_options *options, nb_error *err);

/**
 * @brief Gives what happened to a listener's connections while it was served.
 *
 * @param listener  the listener.
 * @param[out] out  its @c size says how much of it to fill; fields that this library does not know
 *                  are zeroed.
 * @retval NB_OK       filled.
 * @retval NB_INVALID  a NULL argument, or a @c size that was not set. Nothing was filled.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread, during nb_serve() and after it. Each counter is exact; the
 * set is not an atomic snapshot, but @c active and @c lingering together never exceed @c accepted.
 * @sample{serving.c, nb_listener_counters}
 */
NB_API nb_status nb_listener_counters(const nb_listener *listener, nb_serve_counters *out);

NB_END_DECLS

/** @} */

#endif
