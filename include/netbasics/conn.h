/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief One connection: receive, send, end it.
 */
#ifndef NETBASICS_CONN_H
#define NETBASICS_CONN_H

#include <netbasics/address.h>
#include <netbasics/deadline.h>
#include <netbasics/error.h>
#include <netbasics/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @defgroup conn Connections
 *  @brief Blocking sends and receives, each with a deadline and an exact count of bytes.
 *
 *  @par Order of checks
 *  Every call checks, in this order: its arguments (NB_INVALID), nb_cancel() (NB_CANCELLED), a
 *  sticky failure of its direction, a length of zero (success, without a system call), and an
 *  expired deadline (NB_TIMEOUT). Only then does it do anything. nb_recv_line(), nb_recv_until(),
 *  nb_recv_frame(), nb_skip_line() and nb_skip_until() look into the read-ahead before they look at
 *  the deadline: if it decides the call, with NB_OK or NB_TOO_LONG, the deadline does not matter.
 *  So with an expired deadline they return what is already complete and never wait. That is how a
 *  server answers all commands that have arrived in full before it waits for the rest of the next
 *  one.
 *
 *  @par Sticky failures
 *  The two directions fail independently. A **send** that failed in any way leaves a hole in the
 *  stream, so every later send returns the same status at once; a handler may therefore send
 *  without checking, and check once at the end. (After nb_send_file() has met a file that is
 *  shorter than announced, that status is NB_EOF.) A **receive** keeps NB_EOF, NB_RESET,
 *  NB_CANCELLED, NB_UNREACHABLE, NB_SYSTEM and every other failure of the connection. It also keeps
 *  the NB_TOO_LONG of the calls that look for an end, until nb_skip_line() or nb_skip_until() has
 *  found that end. NB_TIMEOUT, NB_NO_MEMORY and NB_STOPPING of a receive are never sticky.
 *
 *  @par Read-ahead
 *  nb_recv_line(), nb_recv_until() and nb_recv_frame() may receive more than they return, into a
 *  buffer of the connection. It is allocated at the first such call with 1 KiB and grows to 16 KiB
 *  if that much arrives. It grows further only for a longer line or message, as its bytes arrive,
 *  and never beyond the capacity of the call (plus the end of the line, or the head of the frame).
 *  So the capacity bounds what a peer can make us hold, and not the speed: keep it as small as the
 *  protocol allows. While one of these calls or nb_wait_readable() waits with an empty buffer, the
 *  connection keeps at most 4 KiB of it, so that thousands of connections can wait.
 *
 *  @par Resets
 *  A reset never turns into an orderly end: NB_EOF means that the peer ended its stream in order,
 *  and that no reset has arrived since, whichever direction was told of it. Bytes that arrived
 *  before a reset are still received first. (The system reports a reset once. If something else has
 *  taken the report, see nb_conn_fd(), calls ask whether the connection still exists. That works
 *  for TCP on Linux until we have ended our own stream; elsewhere such a reset can look like an
 *  end.)
 *
 *  @par Threads
 *  One thread may receive while another one sends on the same connection; two threads in the same
 *  direction need a lock of their own. nb_cancel() and the queries may be called from any thread
 *  (nb_conn_buffered() only from the one that receives). A connection is valid until nb_close(),
 *  nb_abort(), nb_conn_detach() or the return of its nb_handler(): to end it while another thread
 *  is inside a call, cancel, join, then close. No call of this group is safe in a signal handler.
 *  Do not use pthread_cancel(3) on a thread that is inside a call, which would leak what the call
 *  holds: nb_cancel() ends a wait.
 *
 *  @par Unix sockets
 *  Where this says that the peer sees a reset, the peer of a Unix socket sees an end, unless we had
 *  unread input (then Linux tells it of a reset). So a truncated stream can look whole there: send
 *  lengths, as nb_send_frame() does. And if such a peer closes while one thread sends and another
 *  receives, the system may report the reset to the send alone; the receive can then return NB_EOF.
 *  Descriptors that a peer sends (SCM_RIGHTS) are not accepted: closing one can take as long as the
 *  peer likes. Since Linux 6.16 such a send fails with EPERM (SO_PASSRIGHTS is off until
 *  nb_conn_detach()). Older systems close them unseen, and a call can then return after its
 *  deadline. A connection that was adopted, or accepted from an inherited socket, may have been
 *  sent some before.
 *
 *  @par Process
 *  No call raises SIGPIPE or changes how it is handled. Every descriptor is close-on-exec from the
 *  start. An urgent (out-of-band) byte is not part of the stream: the system sets it aside, as
 *  SO_OOBINLINE is never set. (On Unix sockets, where Linux has such bytes, nb_wait_readable() may
 *  take one for something to receive.)
 *  @{
 */

/**
 * @brief One connection.
 *
 * It belongs to the process that made it. After fork(2) the child must not use it, nor call
 * nb_close() or nb_abort(), which would end the connection for both; exit or exec closes its copy.
 * To hand one to a child, call nb_conn_detach() before, and close(2) the descriptor in the parent
 * afterwards.
 */
typedef struct nb_conn nb_conn;

/** @brief One of the two directions of a connection. */
typedef enum nb_direction {
    NB_RECEIVE = 0, /**< From the peer to us. */
    NB_SEND = 1     /**< From us to the peer. */
} nb_direction;

/** @brief A piece of memory to send. */
typedef struct nb_slice {
    const void *data; /**< The bytes; may be NULL when @c length is 0. */
    size_t length;    /**< How many. */
} nb_slice;

/**
 * @brief The process at the other end of a Unix socket: see nb_conn_peer_credentials().
 *
 * Start from NB_CREDENTIALS_INIT. Later versions append fields.
 */
typedef struct nb_credentials {
    size_t size; /**< sizeof(nb_credentials), as the caller knows it. */
    int64_t pid; /**< The process; 0 when it is in a namespace that this one does not see. */
    int64_t uid; /**< Its effective user. */
    int64_t gid; /**< Its effective group. */
} nb_credentials;

/** @brief An ::nb_credentials with nothing known. */
#define NB_CREDENTIALS_INIT                                                                        \
    {                                                                                              \
        sizeof(nb_credentials), -1, -1, -1                                                         \
    }

/** @brief A file descriptor. */
typedef int nb_fd;

NB_BEGIN_DECLS

/** @defgroup conn_receive Receiving
 *  @brief Calls that receive, and what all of them return.
 *
 *  @retval NB_STOPPING     the server is stopping and the connection is idle: see nb_conn_idle().
 *                          Nothing was consumed. No other call returns this.
 *  @retval NB_CANCELLED    the connection was cancelled. Sticky.
 *  @retval NB_RESET        the connection was reset. Sticky.
 *  @retval NB_UNREACHABLE  the peer stopped answering (keepalive), or taking bytes (user timeout).
 *                          Sticky.
 *  @retval NB_INVALID      a NULL argument, or a length or capacity out of range. Nothing was done.
 *  @retval NB_NO_MEMORY    no memory, in the system or for the read-ahead: go on as after
 *                          NB_TIMEOUT.
 *  @retval NB_SYSTEM       anything else. Sticky; see nb_conn_error().
 *
 *  @par Blocking, threads, signals
 *  Blocks until @p by; signals do not cut it short. One thread at a time may receive.
 *
 *  @see nb_recv(), nb_recv_exact(), nb_recv_until(), nb_recv_line(), nb_recv_to_end(),
 *       nb_recv_frame(), nb_wait_readable()
 *  @{
 */

/**
 * @brief Receives what is there, at least one byte.
 *
 * One call receives 1 MiB at most, so that copying from a fast peer does not outlast the deadline.
 * With nb_forever(), or in the steady state with a deadline, it is exactly one recv(2). (It takes
 * two more system calls to wait for longer than an eighth of a second on a connection that
 * nb_conn_idle() was called for, or that is served with a concurrency of 1.)
 *
 * @param conn           the connection.
 * @param[out] buf       receives the bytes.
 * @param capacity       bytes of @p buf, 1 to SIZE_MAX/2.
 * @param[out] received  how many bytes were received: at least 1 with NB_OK, else 0.
 * @param by             how long to wait for the first byte.
 * @retval NB_OK           1 to @p capacity bytes are in @p buf, and no more than 1 MiB.
 * @retval NB_EOF          the peer ended its stream. Sticky. Sending still works.
 * @retval NB_TIMEOUT      the deadline passed; nothing was consumed.
 * @retval NB_TOO_LONG     an earlier call that looked for an end failed with it.
 * @copydetails conn_receive
 * @sample{receiving.c, nb_recv}
 */
NB_NODISCARD NB_API nb_status nb_recv(nb_conn *conn, void *buf, size_t capacity, size_t *received,
                                      nb_deadline by);

/**
 * @brief Receives exactly as many bytes as asked for.
 *
 * @param conn           the connection.
 * @param[out] buf       receives the bytes; may be NULL when @p length is 0.
 * @param length         how many, 0 to SIZE_MAX/2; 0 succeeds at once.
 * @param[out] received  how many bytes are in @p buf, whatever the status.
 * @param by             bounds the whole call.
 * @retval NB_OK           all @p length bytes are there.
 * @retval NB_EOF          the stream ended before that, after @p received bytes. Sticky.
 * @retval NB_TIMEOUT      the deadline passed. The bytes so far are in @p buf and consumed: to go
 *                         on, ask for `length - received` more at `buf + received`.
 * @retval NB_TOO_LONG     an earlier call that looked for an end failed with it.
 * @copydetails conn_receive
 * @sample{receiving.c, nb_recv_exact}
 */
NB_NODISCARD NB_API nb_status nb_recv_exact(nb_conn *conn, void *buf, size_t length,
                                            size_t *received, nb_deadline by);

/**
 * @brief Receives up to and including a delimiter.
 *
 * Bytes behind the delimiter stay in the connection for the next receive call of any kind. When the
 * stream ends or the connection fails (NB_EOF, NB_RESET, NB_UNREACHABLE), @p buf holds what had
 * arrived.
 *
 * @param conn              the connection.
 * @param[out] buf          receives the bytes, the delimiter included.
 * @param capacity          bytes of @p buf, @p delimiter_length to SIZE_MAX/2.
 * @param delimiter         the bytes to look for.
 * @param delimiter_length  how many, at least 1.
 * @param[out] received     how many bytes are in @p buf, whatever the status.
 * @param by                bounds the whole call.
 * @retval NB_OK           @p buf ends with the delimiter.
 * @retval NB_EOF          the stream ended before; its last bytes are in @p buf. Sticky.
 * @retval NB_TIMEOUT      the deadline passed, and no delimiter had arrived. Nothing was consumed,
 *                         @p received is 0: make the same call again.
 * @retval NB_TOO_LONG     no delimiter within @p capacity bytes, which are in @p buf. Only those at
 *                         their end that may begin the delimiter, fewer than @p delimiter_length,
 *                         stay in the connection. Sticky until nb_skip_until() has found the
 *                         delimiter, as the tail would pass for the next message.
 * @copydetails conn_receive
 * @sample{receiving.c, nb_recv_until}
 *
 * @see nb_skip_until()
 */
NB_NODISCARD NB_API nb_status nb_recv_until(nb_conn *conn, void *buf, size_t capacity,
                                            const void *delimiter, size_t delimiter_length,
                                            size_t *received, nb_deadline by);

/**
 * @brief Receives a line, ended by LF or CRLF, and returns it as a string without that end.
 *
 * NUL bytes within the line are kept, so compare @p length with strlen() where that matters. A CR
 * that is not before the LF belongs to the line. When the stream ends or the connection fails
 * (NB_EOF, NB_RESET, NB_UNREACHABLE), @p buf holds what had arrived.
 *
 * @param conn         the connection.
 * @param[out] buf     receives the line and a NUL, whatever the status except NB_INVALID.
 * @param capacity     bytes of @p buf, the NUL included, 1 to SIZE_MAX/2: a line of `capacity - 1`
 *                     bytes fits; its end does not count.
 * @param[out] length  bytes of the line, without the NUL; may be NULL.
 * @param by           bounds the whole call.
 * @retval NB_OK           a line; an empty one is "".
 * @retval NB_EOF          the stream ended; @p buf holds a last line that had no LF, or "". Sticky.
 * @retval NB_TIMEOUT      the deadline passed, and no whole line had arrived. Nothing was consumed,
 *                         @p buf is "": make the same call again.
 * @retval NB_TOO_LONG     a line of more than `capacity - 1` bytes, of which that many are in
 *                         @p buf. Sticky until nb_skip_line() has found its end, as its tail would
 *                         pass for the next line.
 * @copydetails conn_receive
 * @sample{receiving.c, nb_recv_line}
 *
 * @see nb_skip_line()
 */
NB_NODISCARD NB_API nb_status nb_recv_line(nb_conn *conn, char *buf, size_t capacity,
                                           size_t *length, nb_deadline by);

/**
 * @brief Drops the rest of a line, with its end, to go on after one that was too long.
 *
 * The same as nb_skip_until() with LF as the delimiter; the details are there.
 *
 * @param conn  the connection.
 * @param most  how many bytes may be dropped, the LF included, 1 to SIZE_MAX/2.
 * @param by    bounds the whole call.
 * @retval NB_OK           the next call receives the line that follows. A sticky NB_TOO_LONG is
 *                         over.
 * @retval NB_TOO_LONG     @p most bytes were dropped and no LF was among them. Sticky: call again,
 *                         or give up.
 * @retval NB_TIMEOUT      the deadline passed: call again to go on.
 * @retval NB_EOF          the stream ended before; all of it was dropped. Sticky.
 * @copydetails conn_receive
 * @sample{receiving.c, nb_skip_line}
 *
 * @see nb_skip_until()
 */
NB_NODISCARD NB_API nb_status nb_skip_line(nb_conn *conn, size_t most, nb_deadline by);

/**
 * @brief Drops everything up to and including a delimiter, to go on after a message that was too
 *        long.
 *
 * It is for the NB_TOO_LONG of nb_recv_until() and nb_recv_line(), and works without one. (After
 * that of nb_recv_frame() the body follows, which has no delimiter: end such a connection.) A
 * delimiter that the bound of nb_recv_until() has cut in two is found.
 *
 * Bytes are dropped as they arrive, and nb_conn_counters() counts them. From the first of them
 * until the delimiter is found, every call but this one and nb_skip_line() returns NB_TOO_LONG, so
 * that the tail of a message never passes for one. If the call ends before that, bytes that may
 * begin the delimiter are not dropped, and the next call goes on with them.
 *
 * @param conn              the connection.
 * @param most              how many bytes may be dropped, the delimiter included:
 *                          @p delimiter_length to SIZE_MAX/2.
 * @param delimiter         the bytes to look for.
 * @param delimiter_length  how many, at least 1.
 * @param by                bounds the whole call.
 * @retval NB_OK           the next call receives what is behind the delimiter. A sticky NB_TOO_LONG
 *                         is over.
 * @retval NB_TOO_LONG     no delimiter within @p most bytes, which were dropped, but for the
 *                         beginning of one. Sticky: call again, or give up.
 * @retval NB_TIMEOUT      the deadline passed. What was dropped stays dropped: call again to go on.
 *                         (If nothing was dropped, nothing has changed.)
 * @retval NB_EOF          the stream ended before; all of it was dropped. Sticky.
 * @copydetails conn_receive
 * @sample{receiving.c, nb_skip_until}
 *
 * @see nb_skip_line()
 */
NB_NODISCARD NB_API nb_status nb_skip_until(nb_conn *conn, size_t most, const void *delimiter,
                                            size_t delimiter_length, nb_deadline by);

/**
 * @brief Receives all that is left of the peer's stream.
 *
 * @param conn           the connection.
 * @param[out] buf       receives the bytes; may be NULL when @p capacity is 0.
 * @param capacity       bytes of @p buf, 0 to SIZE_MAX/2; with 0 it waits for the end itself.
 * @param[out] received  how many bytes are in @p buf, whatever the status.
 * @param by             bounds the whole call.
 * @retval NB_OK           the peer ended its stream, now or at an earlier call; @p buf holds the
 *                         rest.
 * @retval NB_TIMEOUT      the deadline passed; the bytes so far are in @p buf and consumed.
 * @retval NB_TOO_LONG     @p buf is full and the stream goes on. Not sticky: nothing is lost, and
 *                         the next call goes on where this one ended. (It is sticky when an earlier
 *                         call that looked for an end failed with it.)
 * @copydetails conn_receive
 * @sample{receiving.c, nb_recv_to_end}
 */
NB_NODISCARD NB_API nb_status nb_recv_to_end(nb_conn *conn, void *buf, size_t capacity,
                                             size_t *received, nb_deadline by);

/**
 * @brief Receives a frame: a message that nb_send_frame() sent, or whose length comes first in four
 *        bytes, the most significant first.
 *
 * A frame is returned as a whole or not at all. It is read ahead into the buffer of the connection,
 * which grows with what arrives: a length that a peer announces allocates nothing. A stream that
 * ends inside a frame is NB_RESET.
 *
 * @param conn         the connection.
 * @param[out] buf     receives the body; may be NULL when @p capacity is 0.
 * @param capacity     bytes of @p buf, 0 to SIZE_MAX/2: the longest body that is accepted.
 * @param[out] length  bytes of the body; with NB_TOO_LONG how many were announced; else 0.
 * @param by           bounds the whole call.
 * @retval NB_OK           a frame; the body of an empty one has 0 bytes.
 * @retval NB_EOF          the peer ended its stream, after a whole frame or before the first.
 *                         Sticky.
 * @retval NB_TIMEOUT      the deadline passed, and no whole frame had arrived. Nothing was
 *                         consumed: make the same call again.
 * @retval NB_TOO_LONG     the body is longer than @p capacity. It was not read, and this is sticky:
 *                         what follows is the body, not the next frame.
 * @copydetails conn_receive
 * @sample{receiving.c, nb_recv_frame}
 */
NB_NODISCARD NB_API nb_status nb_recv_frame(nb_conn *conn, void *buf, size_t capacity,
                                            size_t *length, nb_deadline by);

/**
 * @brief Waits until a receive call has something to return: bytes, an end or a failure.
 *
 * Bytes in the connection's own buffer count. Nothing is consumed. (poll(2).)
 *
 * @param conn  the connection.
 * @param by    how long to wait; an expired deadline asks once, without waiting.
 * @retval NB_OK         nb_recv() would return at once.
 * @retval NB_TIMEOUT    nothing there.
 * @retval NB_EOF, NB_TOO_LONG
 *                       an earlier receive failed with it, and it is sticky.
 * @copydetails conn_receive
 * @sample{receiving.c, nb_wait_readable}
 */
NB_NODISCARD NB_API nb_status nb_wait_readable(nb_conn *conn, nb_deadline by);

/**
 * @brief Says that a connection is between two requests, so that a stop of its server may end it.
 *
 * For handlers of nb_serve(): call it before the receive that waits for the next request. The
 * connection is idle until the next byte comes (not at all if bytes are read ahead,
 * nb_conn_buffered(): then a request has begun). Once the server is stopped, a receive or
 * nb_wait_readable() that would wait on an idle connection returns NB_STOPPING: nothing was
 * consumed, nothing is sticky, and the handler can say goodbye and return NB_STOPPING, which ends
 * the connection in order (and lingers, see nb_serve_options::linger_ms). The connection is no
 * longer idle; a handler that receives again waits on.
 *
 * No request is lost by that:
 * - Bytes that have arrived come first, and the first byte ends the idle state: a request that has
 *   begun can be finished within the drain.
 * - A client has an eighth of a second (128 ms) for its next request, counted from the beginning of
 *   the first receive that waits for it; repeating it after NB_TIMEOUT adds nothing. So a busy
 *   client is served on during the drain: ask nb_listener_stopping() to tell it that this reply is
 *   the last one.
 * - A client that has not sent anything yet has a second for its first request, counted from the
 *   start of its handler, as it had connected in time.
 *
 * NB_TIMEOUT that a handler returns while its connection is idle means that no request came, and
 * ends the connection in order.
 *
 * @param conn  the connection; NULL does nothing, and so do connections that nb_serve() does not
 *              serve.
 *
 * @par Blocking, threads, signals
 * Never blocks. One thread at a time may receive, and only that one may call this. The first call
 * for a connection makes one system call (setsockopt(2)), later ones make none: in the steady state
 * a receive is one recv(2), as without it. One that waits for longer than an eighth of a second
 * takes two more calls.
 * @sample{serving.c, nb_conn_idle}
 *
 * @see nb_listener_stop(), nb_listener_stopping(), nb_handler
 */
NB_API void nb_conn_idle(nb_conn *conn);

/** @} */

/** @defgroup conn_send Sending
 *  @brief Calls that send, and what all of them return.
 *
 *  @retval NB_TIMEOUT      the deadline passed after some bytes, or none, were handed to the
 *                          system. Sticky in either case.
 *  @retval NB_CANCELLED    the connection was cancelled. Sticky.
 *  @retval NB_RESET        the peer, or something on the way, reset the connection. Sticky; what
 *                          the peer sent before can still be received.
 *  @retval NB_UNREACHABLE  the peer stopped answering (keepalive), or taking bytes (user timeout).
 *                          Sticky.
 *  @retval NB_PERMISSION   a firewall refused it, here or on the way. Sticky.
 *  @retval NB_NO_MEMORY    no memory. Sticky.
 *  @retval NB_INVALID      a NULL argument, a length out of range, or nb_shutdown_send() was called
 *                          before. Nothing was done.
 *  @retval NB_SYSTEM       anything else. Sticky; see nb_conn_error().
 *
 *  @par Blocking, threads, signals
 *  Blocks until @p by; signals do not cut it short. One thread at a time may send. Never raises
 *  SIGPIPE.
 *
 *  @see nb_send_all(), nb_send_slices(), nb_send_frame(), nb_send_file(), nb_close()
 *  @{
 */

/**
 * @brief Sends every byte, or tells exactly how many were sent.
 *
 * NB_OK means that the system has taken every byte, not that the peer has read them. With
 * nb_forever(), or in the steady state with a deadline, this is exactly one send(2) for lengths
 * that one call can take.
 *
 * @param conn       the connection.
 * @param data       the bytes; may be NULL when @p length is 0.
 * @param length     how many, 0 to SIZE_MAX/2; 0 succeeds at once.
 * @param[out] sent  how many bytes the system has taken, whatever the status; may be NULL.
 * @param by         bounds the whole call.
 * @retval NB_OK           everything is sent.
 * @copydetails conn_send
 * @sample{sending.c, nb_send_all}
 */
NB_API nb_status nb_send_all(nb_conn *conn, const void *data, size_t length, size_t *sent,
                             nb_deadline by);

/**
 * @brief Sends several pieces of memory, one after the other, as if they were one.
 *
 * A header and a body go out in one system call and, if they fit, in one packet. (sendmsg(2).)
 *
 * @param conn       the connection.
 * @param slices     the pieces; may be NULL when @p count is 0.
 * @param count      how many pieces; together 0 to SIZE_MAX/2 bytes.
 * @param[out] sent  how many bytes of all pieces the system has taken, whatever the status; may be
 *                   NULL.
 * @param by         bounds the whole call.
 * @retval NB_OK           everything is sent.
 * @copydetails conn_send
 * @sample{sending.c, nb_send_slices}
 */
NB_API nb_status nb_send_slices(nb_conn *conn, const nb_slice *slices, size_t count, size_t *sent,
                                nb_deadline by);

/**
 * @brief Sends a frame: the length in four bytes, the most significant first, and then the body.
 *
 * Both go out in one system call. nb_recv_frame() is the other end. (sendmsg(2).)
 *
 * @param conn    the connection.
 * @param data    the body; may be NULL when @p length is 0.
 * @param length  how many bytes, 0 to UINT32_MAX and to SIZE_MAX/2 - 4; an empty body is a frame,
 *                too.
 * @param by      bounds the whole call.
 * @retval NB_OK           the system has taken the frame.
 * @copydetails conn_send
 * @sample{sending.c, nb_send_frame}
 */
NB_API nb_status nb_send_frame(nb_conn *conn, const void *data, size_t length, nb_deadline by);

/**
 * @brief Sends a part of a file.
 *
 * The file's own position is neither used nor moved. The file is read into 256 KiB of memory, a
 * piece at a time, and sent from there; reading takes as long as the disk takes, whatever the
 * deadline. A file that cannot be read is NB_SYSTEM: nb_conn_error() has the errno, such as EISDIR
 * or EBADF. (pread(2), send(2); sendfile(2) would raise SIGPIPE.)
 *
 * @param conn       the connection.
 * @param file       a descriptor to read from, which stays the caller's: a regular file, or
 *                   anything else that pread(2) works on.
 * @param offset     where the part begins, 0 to INT64_MAX.
 * @param length     how many bytes, 0 to INT64_MAX - @p offset; 0 succeeds at once.
 * @param[out] sent  how many bytes the system has taken, whatever the status; may be NULL.
 * @param by         bounds the sending.
 * @retval NB_OK           everything is sent.
 * @retval NB_EOF          the file ended before that, after @p sent bytes. Sticky.
 * @copydetails conn_send
 * @sample{sending.c, nb_send_file}
 */
NB_API nb_status nb_send_file(nb_conn *conn, nb_fd file, uint64_t offset, uint64_t length,
                              uint64_t *sent, nb_deadline by);

/**
 * @brief Ends our stream and goes on receiving: the peer sees the end after the last byte sent.
 *
 * Calling it again is fine. Sends after it are NB_INVALID. (shutdown(2); RFC 9293 section 3.6 for
 * the half-closed state.)
 *
 * @param conn  the connection.
 * @retval NB_OK         the end is on its way, or the peer is already gone.
 * @retval NB_CANCELLED  the connection was cancelled.
 * @retval NB_EOF, NB_TIMEOUT, NB_RESET, NB_UNREACHABLE, NB_PERMISSION, NB_NO_MEMORY, NB_SYSTEM
 *                       a send has failed with it before: the stream has a hole, and no end is sent
 *                       that would make it look whole; or NB_SYSTEM, the system refused. Sticky.
 * @retval NB_INVALID    @p conn is NULL.
 *
 * @par Blocking, threads, signals
 * Never blocks. One thread at a time may send, and only that one may call this.
 * @sample{sending.c, nb_shutdown_send}
 *
 * @see nb_close(), nb_recv_to_end()
 */
NB_API nb_status nb_shutdown_send(nb_conn *conn);

/** @} */

/**
 * @brief Ends a connection in order, so that the peer gets all that was sent, and frees it.
 *
 * Ends our stream, then reads and drops what the peer still sends, until its end comes. Without
 * that, closing a socket with unread input makes the system send a reset, which can destroy the
 * reply on its way (RFC 1122 section 4.2.2.13, RFC 9112 section 9.6).
 *
 * When a send has failed, the peer sees a reset and no end: a truncated stream must not look whole.
 *
 * @param conn  the connection; NULL does nothing. It is freed whatever the status.
 * @param by    how long to wait for the peer's end. With an expired deadline the end of our stream
 *              is sent, what the peer has sent by now is dropped, and nothing is waited for; with
 *              nb_forever() it gives up after 60 seconds without a byte.
 * @retval NB_OK        the peer's end came (or @p conn is NULL).
 * @retval NB_TIMEOUT   it did not come in time.
 * @retval NB_TOO_LONG  the peer sent more than 64 KiB.
 * @retval NB_RESET     the peer reset the connection.
 * @retval NB_EOF, NB_CANCELLED, NB_UNREACHABLE, NB_PERMISSION, NB_NO_MEMORY, NB_SYSTEM
 *                      what a send, or else this wait, failed with.
 *
 * @par Blocking, threads, signals
 * Blocks until @p by; signals do not cut it short. No other thread may be inside a call on @p conn.
 * @sample{connecting.c, nb_close}
 *
 * @see nb_abort(), nb_cancel(), nb_shutdown_send()
 */
NB_API nb_status nb_close(nb_conn *conn, nb_deadline by);

/**
 * @brief Resets a connection and frees it; what is on its way is lost. (SO_LINGER of socket(7).)
 *
 * @param conn  the connection; NULL does nothing.
 *
 * @par Blocking, threads, signals
 * Never blocks. No other thread may be inside a call on @p conn.
 * @sample{connecting.c, nb_abort}
 *
 * @see nb_close(), nb_cancel()
 */
NB_API void nb_abort(nb_conn *conn);

/**
 * @brief Makes every call on a connection, blocked or to come, return NB_CANCELLED.
 *
 * The connection is broken off, so that the peer does not take what it has for the whole: on Linux
 * a TCP peer sees a reset at once (but for kernels 6.4 to 6.6, which refuse that while a call
 * waits: there it sees an end). It is not freed: its owner still closes it. Connections tied to it
 * (nb_connect_options::tie) are cancelled, too. (connect(2) to AF_UNSPEC; shutdown(2) elsewhere.)
 *
 * @param conn  the connection; NULL does nothing.
 *
 * @par Blocking, threads, signals
 * Does not block, except while the kernel finishes copying a concurrent send. Safe from any thread,
 * any number of times, as long as the connection is not being freed.
 * @sample{connecting.c, nb_cancel}
 *
 * @see nb_close(), nb_abort(), nb_listener_stop()
 */
NB_API void nb_cancel(nb_conn *conn);

/** @defgroup conn_query Asking and handing over
 *  @brief Queries, and descriptors in and out of connections.
 *
 *  @par Blocking, threads, signals
 *  Never blocks; safe from any thread.
 *  @{
 */

/**
 * @brief Returns the sticky failure of a direction.
 *
 * It decides whether to go on. A receive that timed out, that was told of a stop, or for which
 * there was no memory, can be repeated, so it leaves this at NB_OK; nb_conn_error() tells of it.
 *
 * @param conn       the connection.
 * @param direction  which direction.
 * @return NB_OK while it works; NB_CANCELLED after nb_cancel(); else the sticky status; NB_INVALID
 *         for a NULL connection or another value of @p direction.
 * @copydetails conn_query
 * @sample{asking.c, nb_conn_status}
 */
NB_API nb_status nb_conn_status(const nb_conn *conn, nb_direction direction);

/**
 * @brief Describes the failure of a direction in a line for people.
 *
 * Call it after a call that failed. It describes the sticky failure, the status of
 * nb_conn_status(), if there is one; else the last one that was not sticky (NB_TIMEOUT, NB_STOPPING
 * and NB_NO_MEMORY of a receive), even if calls have succeeded since. (NB_INVALID belongs to the
 * call, not to the connection: it is not kept.)
 *
 * @param conn       the connection.
 * @param direction  which direction.
 * @param[out] err   receives the status, the errno behind it, and a line such as `send to
 *                   192.0.2.7:80: connection reset (ECONNRESET)` or `receive from 192.0.2.7:80:
 *                   timed out`; NB_OK and an empty line when nothing has failed; NB_INVALID for a
 *                   NULL connection or another value of @p direction.
 * @copydetails conn_query
 * @sample{asking.c, nb_conn_error}
 */
NB_API void nb_conn_error(const nb_conn *conn, nb_direction direction, nb_error *err);

/**
 * @brief Gives the peer's address, as it was when the connection was made.
 *
 * @param conn      the connection.
 * @param[out] out  receives the address; ::NB_FAMILY_NONE when the system did not tell.
 * @copydetails conn_query
 * @sample{asking.c, nb_conn_peer}
 */
NB_API void nb_conn_peer(const nb_conn *conn, nb_address *out);

/**
 * @brief Gives the credentials of the peer of a Unix socket, as the system vouches for them.
 *
 * They are those of the process that connected, or that listened, at that moment. It may since have
 * passed the socket on or exited, and its PID may have been reused. So decide by user and group,
 * and take the PID for a hint. (SO_PEERCRED of unix(7).)
 *
 * @param conn      the connection.
 * @param[out] out  receives the credentials, -1 for each that is not known, fields of later
 *                  versions included. Its @c size is set before, as NB_CREDENTIALS_INIT does.
 * @retval NB_OK           @p out is set.
 * @retval NB_UNSUPPORTED  not a Unix socket, or the system does not tell (Linux does).
 * @retval NB_INVALID      a NULL argument, or a size that makes no sense.
 * @retval NB_SYSTEM, NB_NO_MEMORY
 *                         the system failed to tell.
 * @copydetails conn_query
 * @sample{asking.c, nb_conn_peer_credentials}
 */
NB_NODISCARD NB_API nb_status nb_conn_peer_credentials(const nb_conn *conn, nb_credentials *out);

/**
 * @brief Gives the local address of a connection. (getsockname(2).)
 *
 * @param conn      the connection.
 * @param[out] out  receives the address; ::NB_FAMILY_NONE when the system does not tell, as after
 *                  nb_cancel().
 * @copydetails conn_query
 * @sample{asking.c, nb_conn_local}
 */
NB_API void nb_conn_local(const nb_conn *conn, nb_address *out);

/**
 * @brief Returns how many bytes are in the connection's read-ahead.
 *
 * They were received together with a line, a message or a frame, follow it, and come first at the
 * next receive; or they are the part of one that has arrived. They are at most 16 KiB, or, if that
 * is more, the largest capacity that such a call was given, with the end or head that goes with it.
 *
 * A server must not wait for 0 before it sends its replies: half a command may be there. Receive
 * with an expired deadline, and send them at NB_TIMEOUT.
 *
 * @param conn  the connection.
 * @return bytes.
 *
 * @par Blocking, threads, signals
 * Never blocks. One thread at a time may receive, and only that one may call this.
 * @sample{asking.c, nb_conn_buffered}
 */
NB_API size_t nb_conn_buffered(const nb_conn *conn);

/**
 * @brief Gives how many bytes went through a connection.
 *
 * @param conn           the connection.
 * @param[out] received  bytes of the stream that receive calls have consumed, ends of lines
 *                       included; may be NULL.
 * @param[out] sent      bytes that sends have reported; may be NULL.
 * @copydetails conn_query
 * @sample{asking.c, nb_conn_counters}
 */
NB_API void nb_conn_counters(const nb_conn *conn, uint64_t *received, uint64_t *sent);

/**
 * @brief Returns the descriptor of a connection, for setting and reading socket options only.
 *
 * Reading, writing, closing, O_NONBLOCK and the options that nb_conn_adopt() clears belong to the
 * connection. With SO_LINGER, nb_close() could block beyond its deadline in close(2). Reading
 * SO_ERROR takes away what the system has to report of a reset. Over TCP on Linux calls see it all
 * the same, until we have ended our own stream; over a Unix socket, and elsewhere, the stream then
 * looks as if it had ended in order.
 *
 * @param conn  the connection.
 * @return the descriptor, which the connection still owns; 0 is a valid one.
 * @copydetails conn_query
 * @sample{asking.c, nb_conn_fd}
 */
NB_API nb_fd nb_conn_fd(const nb_conn *conn);

/**
 * @brief Makes a connection out of a connected stream socket.
 *
 * Sets close-on-exec, and clears O_NONBLOCK and what would break what is promised here:
 * SO_RCVTIMEO, SO_SNDTIMEO, SO_LINGER, SO_RCVLOWAT, SO_OOBINLINE, SO_TIMESTAMPING, TCP_CORK, a
 * TCP_LINGER2 below zero, IP_RECVERR and IPV6_RECVERR (others who share the socket see that). Other
 * options stay as they are. A socket whose peer is already gone is accepted, and so is one that was
 * never connected, which the system does not distinguish: the first receive tells.
 *
 * @param[out] out  receives the connection; NULL on failure.
 * @param fd        the descriptor. The connection owns it from NB_OK on; on failure it is still the
 *                  caller's.
 * @param[out] err  receives what went wrong; may be NULL.
 * @retval NB_OK           the descriptor is the connection's.
 * @retval NB_INVALID      @p out is NULL, or @p fd is no descriptor, no socket, not a stream, of a
 *                         family other than IPv4, IPv6 and Unix, or a listening one, or was adopted
 *                         and still belongs to that connection.
 * @retval NB_NO_MEMORY    no memory left.
 * @retval NB_SYSTEM       the system refused; see nb_error::system_error.
 * @copydetails conn_query
 * @sample{asking.c, nb_conn_adopt}
 */
NB_NODISCARD NB_API nb_status nb_conn_adopt(nb_conn **out, nb_fd fd, nb_error *err);

/**
 * @brief Takes the descriptor back out of a connection and frees the connection: the inverse of
 *        nb_conn_adopt().
 *
 * It is also how an nb_handler() keeps a connection beyond its return. The descriptor is blocking
 * and close-on-exec, has no socket timeouts, and again accepts descriptors that a Unix peer sends.
 *
 * @param conn           the connection.
 * @param[out] out       receives the descriptor, now the caller's.
 * @param[out] buffered  receives the read-ahead: bytes that were received but not yet asked for;
 *                       may be NULL when there are none.
 * @param capacity       bytes of @p buffered.
 * @param[out] length    how many bytes are in @p buffered; with NB_TOO_LONG how many there are; may
 *                       be NULL.
 * @retval NB_OK         the connection is gone, the descriptor is the caller's.
 * @retval NB_TOO_LONG   @p capacity is less than nb_conn_buffered(). Nothing has changed.
 * @retval NB_CANCELLED  the connection was cancelled. Nothing has changed.
 * @retval NB_INVALID    a NULL argument. Nothing has changed.
 *
 * @par Blocking, threads, signals
 * Never blocks. No other thread may be inside a call on @p conn.
 * @sample{asking.c, nb_conn_detach}
 */
NB_NODISCARD NB_API nb_status nb_conn_detach(nb_conn *conn, nb_fd *out, void *buffered,
                                             size_t capacity, size_t *length);

/** @} */

NB_END_DECLS

/** @} */

#endif
