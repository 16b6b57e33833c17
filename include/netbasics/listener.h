/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief Listening sockets: listen, accept, and a stop that always works.
 */
#ifndef NETBASICS_LISTENER_H
#define NETBASICS_LISTENER_H

#include <netbasics/address.h>
#include <netbasics/conn.h>
#include <netbasics/deadline.h>
#include <netbasics/error.h>
#include <netbasics/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @defgroup listener Listeners
 *  @brief One or more listening sockets behind one accept.
 *
 *  A listener stands for all sockets of its endpoints: `localhost:P` and `:P` are two, one for IPv4
 *  and one for IPv6, on the same port. nb_listener_stop(), from any thread or from a signal
 *  handler, ends every wait for connections at once.
 *  @{
 */

/**
 * @brief One or more listening sockets.
 *
 * It belongs to the process that made it. After fork(2) the child must not use it, nor call
 * nb_listener_close(). Exit or exec closes its copy.
 */
typedef struct nb_listener nb_listener;

/** @brief The most sockets that one listener can hold. */
#define NB_LISTENER_SOCKETS_MAX 64

/**
 * @brief Options of nb_listen() and nb_listener_add().
 *
 * Start from NB_LISTEN_OPTIONS_INIT. Zero in a field means its default. Later versions append
 * fields.
 *
 * If the system refuses an option that was asked for, the call fails with the name of the field in
 * the message. Defaults never make it fail. TCP options, and @c reuse_port, give NB_UNSUPPORTED on
 * Unix sockets. Accepted connections have all options of the socket that listens. (tcp(7),
 * socket(7).)
 */
typedef struct nb_listen_options {
    size_t size; /**< sizeof(nb_listen_options), as the caller knows it. */
    /** @brief The length of the accept queue: how many connections may wait to be accepted. 0 or
     *  less: the system's maximum (on Linux net.core.somaxconn). With a short backlog, clients can
     *  see a connection as established that the server never gets. */
    int64_t backlog;
    /** @brief true lets several sockets of one user listen on one port, and the system divides the
     *  connections among them: SO_REUSEPORT on. Default false, so that two servers cannot share a
     *  port unnoticed. */
    int64_t reuse_port;
    int64_t nagle;                 /**< @copybrief nb_connect_options::nagle */
    int64_t keepalive_idle_ms;     /**< @copybrief nb_connect_options::keepalive_idle_ms */
    int64_t keepalive_interval_ms; /**< @copybrief nb_connect_options::keepalive_interval_ms */
    int64_t keepalive_count;       /**< @copybrief nb_connect_options::keepalive_count */
    int64_t user_timeout_ms;       /**< @copybrief nb_connect_options::user_timeout_ms */
    int64_t send_buffer_bytes;     /**< @copybrief nb_connect_options::send_buffer_bytes */
    int64_t receive_buffer_bytes;  /**< @copybrief nb_connect_options::receive_buffer_bytes */
    /** @brief The permissions of the file of a Unix socket at a path, such as 0660: who may write
     *  may connect. The umask does not matter, and at no time are there more. 1 to 0777; default
     *  0600, the owner alone. NB_UNSUPPORTED for other endpoints, which have none, and on a file
     *  system that has modes of its own, even if the default is asked for. */
    int64_t unix_mode;
} nb_listen_options;

/** @brief The defaults of ::nb_listen_options. */
#define NB_LISTEN_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(nb_listen_options), 0, false, false, 0, 0, 0, 0, 0, 0, 0                            \
    }

NB_BEGIN_DECLS

/**
 * @brief Listens on an endpoint.
 *
 * The endpoint is one of these:
 * - an address, `localhost` or a name below it (both loopback addresses), or `*` or nothing (all
 *   interfaces, IPv4 and IPv6), with a port: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%2]:80`,
 *   `localhost:80`, `*:80`, `:80`. A port is decimal, 0 to 65535; with 0 the system chooses one,
 *   the same for both families: ask nb_listener_address(). Names are not looked up here.
 * - `unix:/path`, a Unix socket with a file. The path is absolute, and refused when it does not fit
 *   a struct sockaddr_un with its final NUL: on Linux when it has more than 107 bytes.
 * - `unix:@name`, a Unix socket with one of Linux's abstract names, which any user may connect to.
 * - `fd:N`, the listening socket that is descriptor N.
 * - `systemd:`, all sockets that a service manager has passed to this process in the way of
 *   sd_listen_fds(3): LISTEN_FDS many, from descriptor 3 on, if LISTEN_PID is this process.
 *
 * @par Addresses
 * A family that this machine does not have, or does not allow, is left out, as long as the other
 * one works; if neither does, the status is that of the one that got further. IPv6 sockets never
 * accept IPv4 connections (IPV6_V6ONLY). SO_REUSEADDR is on, so that a restart works while old
 * connections are in TIME_WAIT; SO_REUSEPORT is off unless asked for. Accepted connections have
 * TCP_NODELAY on unless asked not to.
 *
 * @par Unix sockets
 * The permissions of the file are nb_listen_options::unix_mode, by default the owner's alone. Only
 * trusted users may have write access to its directory. A stale socket file, which a dead server
 * has left there, is replaced, but only on proof: it refuses connections and is the same file
 * afterwards, while the path is locked against other listeners of this library. Anything else
 * stays, and the path is NB_ADDRESS_IN_USE, with a message that tells what it is: a socket that a
 * server listens on (it sees a connection that ends at once), a symbolic link, a file of another
 * kind, a socket whose path cannot be locked, or one on FUSE or a network file system, where a
 * socket may refuse connections though a server listens. (Two servers cannot be told from a dead
 * one: one that does not use this library, between its bind(2) and its listen(2); and one whose
 * file is seen through an overlay file system that was mounted over the directory where it
 * listens.) The lock is flock(2) on a file beside the socket: its path with `.lock` appended, of
 * mode 0600. It exists while nb_listen() opens the socket, and is then removed, unless it is not
 * empty. The file of the socket is removed by nb_listener_close(), and when nb_serve() stops, if it
 * is still the one that was made here, by device and inode.
 *
 * @par Inherited sockets
 * `fd:N` and `systemd:` take over listening stream sockets of IPv4, IPv6 or Unix that others have
 * opened and may share. On NB_OK the listener owns the descriptors, has made them non-blocking and
 * close-on-exec, has cleared the options that nb_conn_adopt() clears, and has set those that were
 * asked for; all who share a socket see that. Accepted connections are set up in the same way,
 * including those that were already waiting. Options that were not asked for stay as others have
 * set them: so a socket unit of systemd.socket(5) can turn keepalive on, or let connections wait
 * for their first byte. The backlog stays, and @c reuse_port and @c unix_mode are NB_UNSUPPORTED.
 * On failure the flags of the descriptors are as they were, and they stay the caller's. At the end
 * they are closed and nothing else: no file is removed, and others may go on. IPv4 peers of a
 * socket for both families have IPv4 addresses. The environment is read (getenv(3): not while
 * another thread changes it) and never changed. A descriptor has one owner in a process: one that a
 * listener already has is NB_ADDRESS_IN_USE (this is known of descriptors up to 65535). And what a
 * service manager has passed can be listened on once: after it was closed with its listener, its
 * number may belong to something else, and `systemd:` is NB_INVALID. When no sockets were passed,
 * or to another process, that is NB_ADDRESS_UNAVAILABLE; a descriptor that is no such socket, or a
 * variable that is no number, is NB_BAD_ENDPOINT.
 *
 * @param[out] out  receives the listener, which the caller ends with nb_listener_close(); NULL on
 *                  failure.
 * @param endpoint  where, NUL-terminated.
 * @param options   NULL for the defaults.
 * @param[out] err  receives what went wrong; may be NULL.
 * @retval NB_OK                   connections are being queued.
 * @retval NB_ADDRESS_IN_USE       another socket has that port or name, or a file is at that path,
 *                                 or a listener of this process already has that descriptor.
 * @retval NB_ADDRESS_UNAVAILABLE  this machine does not have that address or that directory, or no
 *                                 sockets were passed.
 * @retval NB_PERMISSION           the system does not allow that port or path.
 * @retval NB_BAD_ENDPOINT         the text is not an endpoint to listen on, or a descriptor is not
 *                                 a socket that listens.
 * @retval NB_UNSUPPORTED          the system does not have the address family; or it, or such an
 *                                 endpoint, does not have an option that was asked for.
 * @retval NB_TOO_LONG             more than NB_LISTENER_SOCKETS_MAX sockets were passed.
 * @retval NB_INVALID              a NULL argument, an option this library does not know, or a value
 *                                 out of its range, which the message names; or what was passed has
 *                                 been closed with its listener.
 * @retval NB_NO_DESCRIPTORS       no descriptor left.
 * @retval NB_NO_MEMORY            no memory left.
 * @retval NB_SYSTEM               anything else: see nb_error::system_error.
 *
 * @par Blocking, threads, signals
 * Never blocks, but for a path that is locked: a tenth of a second at most. Safe from any thread;
 * not for signal handlers. (bind(2), listen(2), ipv6(7), unix(7), sd_listen_fds(3).)
 * @sample{listening.c, nb_listen}
 *
 * @see nb_accept(), nb_listener_add(), nb_listener_stop(), nb_connect()
 */
NB_NODISCARD NB_API nb_status nb_listen(nb_listener **out, const char *endpoint,
                                        const nb_listen_options *options, nb_error *err);

/**
 * @brief Listens on one more endpoint, behind the same accept.
 *
 * Not while another thread accepts from or serves the listener.
 *
 * @param listener  the listener.
 * @param endpoint  as for nb_listen().
 * @param options   NULL for the defaults.
 * @param[out] err  receives what went wrong; may be NULL.
 * @retval NB_OK         the listener has the new sockets as well.
 * @retval NB_CANCELLED  the listener was stopped.
 * @retval NB_TOO_LONG   it would have more than NB_LISTENER_SOCKETS_MAX sockets.
 * @retval NB_INVALID    a NULL argument, an option this library does not know or a value out of its
 *                       range, or the listener is being served.
 * @retval NB_ADDRESS_IN_USE, NB_ADDRESS_UNAVAILABLE, NB_PERMISSION, NB_BAD_ENDPOINT
 *                       as for nb_listen(). The listener is as it was.
 * @retval NB_UNSUPPORTED, NB_NO_DESCRIPTORS, NB_NO_MEMORY, NB_SYSTEM
 *                       as for nb_listen(). The listener is as it was.
 *
 * @par Blocking, threads, signals
 * As nb_listen().
 * @sample{listening.c, nb_listener_add}
 */
NB_NODISCARD NB_API nb_status nb_listener_add(nb_listener *listener, const char *endpoint,
                                              const nb_listen_options *options, nb_error *err);

/**
 * @brief Accepts one connection from any of the listener's sockets.
 *
 * A connection that was lost before it could be accepted is skipped. When descriptors or memory run
 * out, or more than 64 connections in a row are lost, it waits and tries again, 5 ms at first, then
 * longer up to a second, and never spins.
 *
 * @param listener  the listener.
 * @param[out] out  receives the connection, which the caller ends with nb_close() or nb_abort();
 *                  NULL on failure.
 * @param by        how long to wait.
 * @param[out] err  receives what went wrong; may be NULL.
 * @retval NB_OK              a connection.
 * @retval NB_TIMEOUT         no connection could be accepted in time.
 * @retval NB_CANCELLED       the listener was stopped, as was asked for: not a failure.
 * @retval NB_NO_DESCRIPTORS  none was left at the deadline.
 * @retval NB_NO_MEMORY       none was left at the deadline, or none for the connection.
 * @retval NB_INVALID         a NULL argument.
 * @retval NB_SYSTEM, NB_UNSUPPORTED
 *                            listening itself is broken; see nb_error::system_error.
 *
 * @par Blocking, threads, signals
 * Blocks until @p by or the stop; signals do not cut it short. Several threads may accept from one
 * listener, but not while it is being served: a connection wakes one of them. No signal handler may
 * leave the call with longjmp(3): the other threads would wait for ever. (accept(2).)
 * @sample{listening.c, nb_accept}
 *
 * @see nb_listen(), nb_listener_stop(), nb_serve()
 */
NB_NODISCARD NB_API nb_status nb_accept(nb_listener *listener, nb_conn **out, nb_deadline by,
                                        nb_error *err);

/**
 * @brief Stops a listener: every nb_accept() and nb_serve(), under way or to come, ends.
 *
 * nb_accept() returns NB_CANCELLED; nb_serve() drains and returns NB_OK, and tells handlers whose
 * connections are idle (nb_conn_idle()). There is no way back.
 *
 * @param listener  the listener; NULL does nothing. Every call of this function must have returned
 *                  before nb_listener_close().
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread, any number of times, and from a signal handler, where it
 * leaves errno alone.
 * @sample{listening.c, nb_listener_stop}
 *
 * @see nb_listener_stopping(), nb_listener_stop_now(), nb_conn_idle(), nb_cancel()
 */
NB_API void nb_listener_stop(nb_listener *listener);

/**
 * @brief Stops a listener, and ends the drain of nb_serve() at once: what still runs is cancelled.
 *
 * For a second request to stop, when nobody wants to wait any longer. Connections whose handlers
 * run are cancelled and counted in nb_serve_counters::forced; those that have no handler yet are
 * reset and counted in nb_serve_counters::unserved. A listener that was not stopped before is
 * stopped, with no time for a drain.
 *
 * @param listener  the listener; NULL does nothing. Every call of this function must have returned
 *                  before nb_listener_close().
 *
 * @par Blocking, threads, signals
 * As nb_listener_stop().
 * @sample{listening.c, nb_listener_stop_now}
 */
NB_API void nb_listener_stop_now(nb_listener *listener);

/**
 * @brief Returns whether a listener was stopped.
 *
 * A handler that asks before it replies can tell its client that this reply is the last one.
 *
 * @param listener  the listener; NULL is not stopped.
 * @return true from the first nb_listener_stop() on, for good.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{serving.c, nb_conn_idle}
 *
 * @see nb_conn_idle()
 */
NB_API bool nb_listener_stopping(const nb_listener *listener);

/**
 * @brief Returns a descriptor that becomes readable when the listener is stopped, for poll(2) and
 *        nb_connect_options::cancel_fd.
 *
 * It stays readable; reading from it, writing to it and closing it belong to the library. As a
 * @c cancel_fd it ends a connect when the stop begins: for one that may go on until the end of the
 * drain, use nb_connect_options::tie instead.
 *
 * @param listener  the listener.
 * @return the descriptor, which the listener owns and nb_listener_close() closes; -1 for NULL.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread.
 * @sample{listening.c, nb_listener_stop_fd}
 */
NB_API nb_fd nb_listener_stop_fd(const nb_listener *listener);

/**
 * @brief Returns how many sockets a listener has.
 *
 * @param listener  the listener.
 * @return how many: at least 1, but 0 for NULL.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread, but not during nb_listener_add().
 * @sample{listening.c, nb_listener_address}
 */
NB_API size_t nb_listener_count(const nb_listener *listener);

/**
 * @brief Gives the address of one of the listener's sockets, with the port that it really has.
 *
 * @param listener  the listener.
 * @param index     which socket, from 0.
 * @param[out] out  receives the address. It stays known after the listener was served.
 * @retval NB_OK       @p out is set.
 * @retval NB_INVALID  a NULL argument, or no such socket.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread, but not during nb_listener_add().
 * @sample{listening.c, nb_listener_address}
 */
NB_API nb_status nb_listener_address(const nb_listener *listener, size_t index, nb_address *out);

/**
 * @brief Returns the descriptor of one of the listener's sockets, for options only.
 *
 * @param listener  the listener.
 * @param index     which socket, from 0.
 * @return the descriptor, which the listener still owns; -1 when there is no such socket, or when
 *         nb_serve() has closed it.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread, but not during nb_listener_add() or the end of nb_serve().
 * @sample{listening.c, nb_listener_fd}
 */
NB_API nb_fd nb_listener_fd(const nb_listener *listener, size_t index);

/**
 * @brief Closes a listener's sockets and frees it. Connections that it accepted live on.
 *
 * It removes the files of its Unix sockets: see nb_listen().
 *
 * @param listener  the listener; NULL does nothing. No other call on it may be under way: stop,
 *                  join, then close.
 *
 * @par Blocking, threads, signals
 * Never blocks.
 * @sample{listening.c, nb_listener_close}
 */
NB_API void nb_listener_close(nb_listener *listener);

NB_END_DECLS

/** @} */

#endif
