/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief Connecting: from an endpoint to a connection.
 */
#ifndef NETBASICS_CONNECT_H
#define NETBASICS_CONNECT_H

#include <netbasics/conn.h>
#include <netbasics/deadline.h>
#include <netbasics/error.h>
#include <netbasics/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @defgroup connect Connecting
 *  @brief One call from an endpoint to a connection: it tries all addresses, within one deadline.
 *  @{
 */

/**
 * @brief Options of nb_connect().
 *
 * Start from NB_CONNECT_OPTIONS_INIT. Zero in a field means its default. Later versions append
 * fields.
 *
 * If the system refuses an option that was asked for, the call fails with the name of the field in
 * the message. Defaults never make it fail. TCP options give NB_UNSUPPORTED on Unix sockets.
 * (tcp(7), socket(7).)
 */
typedef struct nb_connect_options {
    size_t size; /**< sizeof(nb_connect_options), as the caller knows it. */
    /** @brief true turns on Nagle's algorithm, which holds back small packets: TCP_NODELAY off.
     *  Default false. */
    int64_t nagle;
    /** @brief Milliseconds of silence, up to 32767000 and rounded up to seconds, after which the
     *  system probes whether the peer is still there (TCP_KEEPIDLE). Setting this or one of the
     *  next two turns keepalive on; those left at 0 have the system's values. Default: no
     *  keepalive. */
    int64_t keepalive_idle_ms;
    /** @brief Milliseconds, up to 32767000 and rounded up to seconds, between two probes without an
     *  answer (TCP_KEEPINTVL). */
    int64_t keepalive_interval_ms;
    /** @brief How many probes without an answer, up to 127, mean that the peer is gone
     *  (TCP_KEEPCNT): receives then fail with NB_UNREACHABLE. */
    int64_t keepalive_count;
    /** @brief Milliseconds, up to 2147483647, that sent bytes may stay unacknowledged before the
     *  peer counts as gone, and sends and receives fail with NB_UNREACHABLE (TCP_USER_TIMEOUT, RFC
     *  5482; it replaces keepalive_count). A peer that is alive but accepts nothing for that long,
     *  because its buffer is full, counts as gone, too. Default: the system's timeout, about 15
     *  minutes on Linux. */
    int64_t user_timeout_ms;
    /** @brief Bytes, up to 2147483647, of the system's send buffer (SO_SNDBUF). The system cuts
     *  this to its maximum, and Linux doubles it. Default: the system's buffer, which grows as
     *  needed. */
    int64_t send_buffer_bytes;
    /** @brief The same of the system's receive buffer (SO_RCVBUF). */
    int64_t receive_buffer_bytes;
    /** @brief Where to connect from: an IPv4 or IPv6 address with a port, such as `192.0.2.1:0` or
     *  `[2001:db8::1]:0`; with port 0 the system chooses one. Only addresses of the same family are
     *  tried: NB_ADDRESS_UNAVAILABLE when there is none. Default NULL: the system chooses. */
    const char *local;
    /** @brief A descriptor of the caller's, not to be closed before nb_connect() returns, that
     *  makes it give up with NB_CANCELLED as soon as there is something to read, an end or an error
     *  included; nothing is read. Default NULL: none. */
    const nb_fd *cancel_fd;
    /** @brief Another connection to tie the new one to, such as the one that a handler was called
     *  for. What cancels that one (nb_cancel(), or, while nb_serve() runs its handler, the end of
     *  its life and of the drain) makes nb_connect() give up with NB_CANCELLED, and later cancels
     *  the new connection. The tie ends when either is closed, aborted or detached, or when its
     *  handler returns. What is tied to the new connection in turn is cancelled, too. It must stay
     *  valid until nb_connect() returns. Default NULL: none. */
    struct nb_conn *tie;
} nb_connect_options;

/** @brief The defaults of ::nb_connect_options. */
#define NB_CONNECT_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(nb_connect_options), false, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL                      \
    }

NB_BEGIN_DECLS

/**
 * @brief Connects to an endpoint.
 *
 * @par Endpoints
 * `host:port`, where the host is a name, four decimal parts, or an IPv6 address in brackets, a
 * link-local one with its zone (the number or name of an interface): `example.org:80`,
 * `192.0.2.7:80`, `[2001:db8::1]:80`, `[fe80::1%2]:80`. A port is decimal, 1 to 65535; service
 * names are not looked up. `localhost` and all names below it, such as `app.localhost`, are both
 * loopback addresses, whatever the resolver says (RFC 6761 section 6.3). Or a Unix socket:
 * `unix:/path`, or `unix:@name` for an abstract name; if its accept queue is full, the call tries
 * again until there is room, after 1 ms at first and later after up to 64.
 *
 * @par Attempts
 * All addresses of the host, 16 at most, race for the connection as RFC 8305 says: the families
 * take turns, beginning with the one that the resolver puts first; an attempt starts 250 ms after
 * the one before it, or at once when an attempt fails, and none is given up before the deadline. If
 * that would leave addresses untried, each gets an equal share of the time instead, 10 ms at least.
 * The first to answer wins, and the sockets of all others are closed. With nb_forever() an attempt
 * lasts until the system's own timeout (about two minutes on Linux). When all attempts fail, the
 * status is the most informative failure, among equals the first: shortages of this machine
 * (NB_NO_DESCRIPTORS, NB_NO_MEMORY) come before what the host itself did (NB_REFUSED, NB_RESET and
 * the like), then NB_PERMISSION, then NB_UNREACHABLE, and last what says only that this machine
 * cannot use such an address: it has no such family or local address, or refuses the socket itself,
 * for whatever reason. The message names every attempt and what became of it.
 *
 * @par Name lookup
 * The system's resolver knows no deadline: it runs in a thread of its own (with signals blocked as
 * in the threads of nb_serve()), and is abandoned when it takes too long. The thread ends with its
 * lookup, and then frees all that it has. The shared library therefore stays in memory once it was
 * loaded, in spite of dlclose(3). A plugin that contains the static library stays until the thread
 * has ended (with glibc; for good, if there is no memory left at that moment): in such a plugin, a
 * lookup can wait, beyond the deadline, for another thread that is inside dlopen(3), unless the
 * plugin is linked with `-z nodelete`. At most 16 abandoned lookups may be outstanding: then the
 * next lookup waits, until its own deadline, for one of them to end; waiting lookups take turns in
 * the order in which they came. (Lookups that are under way at that moment, one for each thread
 * that connects, can be abandoned, too.) So if strangers may choose the names, they can delay each
 * other's. Literals and `localhost` are never looked up, and start no thread.
 *
 * @par Sockets
 * TCP_NODELAY is on unless asked not to. TCP can connect a socket to itself if the port is unused
 * and ephemeral; this is detected and reported as NB_REFUSED. With a port in @c local, SO_REUSEADDR
 * is on, so that several attempts, and the next connect, can use the same one. If it was our end
 * that closed the last connection from that port to the same peer, the next one needs TCP
 * timestamps at both ends (systems use them by default); without them it is NB_ADDRESS_UNAVAILABLE
 * for a minute (TIME_WAIT), on Linux.
 *
 * @param[out] out  receives the connection, which the caller ends with nb_close() or nb_abort();
 *                  NULL on failure.
 * @param endpoint  where to, NUL-terminated.
 * @param options   NULL for the defaults.
 * @param by        bounds the whole call, the lookup of a name included.
 * @param[out] err  receives what became of every attempt; may be NULL.
 * @retval NB_OK                   connected.
 * @retval NB_TIMEOUT              the deadline passed. If the lookup had to wait for one of 16
 *                                 abandoned ones, the message says so.
 * @retval NB_CANCELLED            there was something to read at @c cancel_fd, or what @c tie names
 *                                 was cancelled, perhaps before anything was tried.
 * @retval NB_REFUSED              nothing listens there; the file of a Unix socket may be stale.
 * @retval NB_RESET                reset while connecting.
 * @retval NB_UNREACHABLE          no route, or no answer within the system's own timeout.
 * @retval NB_ADDRESS_IN_USE       another socket has the port of @c local.
 * @retval NB_ADDRESS_UNAVAILABLE  no local address or port to connect from, none of the family of
 *                                 @c local to connect to, no zone of a link-local address that the
 *                                 resolver gave, or no file of a Unix socket.
 * @retval NB_PERMISSION           the system does not allow it.
 * @retval NB_NAME_NOT_FOUND       the host name does not exist or has no address.
 * @retval NB_NAME_TEMPORARY       the host name could not be looked up now.
 * @retval NB_BAD_ENDPOINT         the text is not an endpoint to connect to (`*:80`, `:80`, port 0,
 *                                 `fd:` and `systemd:`), or @c local not an address to connect from
 *                                 (a link-local one needs its zone).
 * @retval NB_UNSUPPORTED          the system has none of the address families, or does not have an
 *                                 option that was asked for.
 * @retval NB_INVALID              a NULL argument, an option this library does not know, a value
 *                                 out of its range, which the message names, or a @c cancel_fd that
 *                                 is no descriptor.
 * @retval NB_NO_DESCRIPTORS       no descriptor left.
 * @retval NB_NO_MEMORY            no memory left, or no thread for the lookup.
 * @retval NB_SYSTEM               anything else, such as a Unix socket for datagrams: see
 *                                 nb_error::system_error.
 *
 * @par Blocking, threads, signals
 * Blocks until @p by; signals do not cut it short. Safe from any thread. (connect(2); RFC 6724 for
 * the order of addresses, as getaddrinfo(3) returns it.)
 * @sample{connecting.c, nb_connect}
 *
 * @see nb_recv(), nb_send_all(), nb_cancel(), nb_listen()
 */
NB_NODISCARD NB_API nb_status nb_connect(nb_conn **out, const char *endpoint,
                                         const nb_connect_options *options, nb_deadline by,
                                         nb_error *err);

NB_END_DECLS

/** @} */

#endif
