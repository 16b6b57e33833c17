/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief How each call can fail, and what that may come to: the documentation of the statuses, as a
 *         table that can be asked. */
#include "base/error_internal.h"
#include "fault.h"

#include <netdb.h>

/* ---- how calls fail: their man pages, and practice ---- */

struct row {
    const char *name;
    const int *errors;
};

#define ERRORS(...) ((const int[]){__VA_ARGS__, 0})
#define NEVER ERRORS(0)
#define OF_SENDING                                                                                 \
    ERRORS(EPIPE, EINTR, ECONNRESET, EAGAIN, EACCES, EALREADY, EBADF, EDESTADDRREQ, EFAULT,        \
           EINVAL, EISCONN, EMSGSIZE, ENOBUFS, ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, ETIMEDOUT,  \
           EHOSTUNREACH, ENETUNREACH, ENETDOWN, EPERM, ECONNREFUSED)
#define OF_ASKING ERRORS(ENOPROTOOPT, EBADF, EFAULT, EINVAL, ENOTSOCK, EOPNOTSUPP)
#define ROW(call, ...)                                                                             \
    {                                                                                              \
#call, __VA_ARGS__                                                                         \
    }

/* A function of lib/sys/sys.h without a row makes every program of this directory fail. */
static const struct row rows[] = {
    ROW(socket,
        ERRORS(EMFILE, EAFNOSUPPORT, EACCES, EINVAL, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT)),
    ROW(bind, ERRORS(EADDRINUSE, EADDRNOTAVAIL, EACCES, EBADF, EINVAL, ENOTSOCK, EFAULT, ELOOP,
                     ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EROFS, EPERM, EAFNOSUPPORT)),
    ROW(listen, ERRORS(EADDRINUSE, EBADF, ENOTSOCK, EOPNOTSUPP, ENOBUFS)),
    ROW(accept, ERRORS(EMFILE, ECONNABORTED, EBADF, EAGAIN, EINTR, EINVAL, EFAULT, ENFILE, ENOBUFS,
                       ENOMEM, ENOTSOCK, EOPNOTSUPP, EPROTO, EPERM, ENETDOWN, ENOPROTOOPT,
                       EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, ENOSR,
                       ESOCKTNOSUPPORT, EPROTONOSUPPORT, ECONNRESET, EIO)),
    ROW(connect,
        ERRORS(ECONNREFUSED, EINTR, EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN,
               EALREADY, EBADF, EFAULT, EINPROGRESS, EISCONN, ENETUNREACH, ENOTSOCK, EPROTOTYPE,
               ETIMEDOUT, EHOSTUNREACH, ECONNRESET, ENETDOWN, EINVAL, ENOBUFS, ENOPROTOOPT)),
    ROW(disconnect, ERRORS(ENOTCONN, EINVAL)),
    ROW(getsockname, ERRORS(ENOBUFS, EBADF, EFAULT, EINVAL, ENOTSOCK)),
    ROW(getpeername, ERRORS(ENOTCONN, ENOBUFS, EBADF, EFAULT, EINVAL, ENOTSOCK)),
    ROW(setsockopt,
        ERRORS(ENOPROTOOPT, EPERM, EBADF, EFAULT, EINVAL, ENOTSOCK, EDOM, ENOMEM, EACCES, ENOBUFS)),
    ROW(getsockopt, OF_ASKING),
    ROW(set_blocking, ERRORS(EBADF, EINVAL, EPERM)),
    ROW(set_cloexec, ERRORS(EBADF, EINVAL)),
    ROW(get_flags, ERRORS(EBADF, EINVAL)),
    ROW(set_flags, ERRORS(EBADF, EINVAL, EPERM)),
    ROW(file_look, ERRORS(EACCES, EFAULT, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EIO)),
    ROW(file_set_mode, ERRORS(EACCES, EFAULT, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR,
                              EPERM, EROFS, EOPNOTSUPP, EINVAL)),
    ROW(file_set_mode_following, ERRORS(EACCES, EFAULT, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM,
                                        ENOTDIR, EPERM, EROFS, EOPNOTSUPP)),
    ROW(file_remove, ERRORS(EACCES, EBUSY, EFAULT, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM,
                            ENOTDIR, EPERM, EROFS)),
    ROW(set_mode, ERRORS(EBADF, EIO, EPERM, EROFS, EINVAL)),
    ROW(file_is_local, ERRORS(EACCES, EFAULT, EINTR, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM,
                              ENOSYS, ENOTDIR, EOVERFLOW)),
    ROW(file_of, ERRORS(EBADF, EFAULT, ENOMEM, EOVERFLOW, EIO)),
    ROW(lock_file_open, ERRORS(EACCES, EINTR, EAGAIN, EDQUOT, EISDIR, ELOOP, EMFILE, ENAMETOOLONG,
                               ENFILE, ENOENT, ENOMEM, ENOSPC, ENOTDIR, ENXIO, EPERM, EROFS)),
    ROW(lock, ERRORS(EAGAIN, EBADF, EINTR, EINVAL, ENOLCK)),
    ROW(unlock, ERRORS(EBADF, EINTR, EINVAL, ENOLCK)),
    ROW(shutdown, ERRORS(ENOTCONN, EBADF, EINVAL, ENOTSOCK)),
    ROW(close, ERRORS(EIO, EINTR, ENOSPC, EDQUOT)),
    ROW(recv, ERRORS(ECONNRESET, EINTR, EAGAIN, EBADF, ECONNREFUSED, EFAULT, EINVAL, ENOMEM,
                     ENOTCONN, ENOTSOCK, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENETDOWN, ENOBUFS,
                     EIO, ECONNABORTED, ENETRESET, EACCES, ENOPROTOOPT, EOPNOTSUPP)),
    ROW(send, OF_SENDING),
    ROW(sendmsg, OF_SENDING),
    ROW(pread, ERRORS(EINTR, EAGAIN, EBADF, EFAULT, EINVAL, EIO, EISDIR, ENXIO, EOVERFLOW, ESPIPE,
                      ENOMEM, ENOBUFS, ETIMEDOUT, ESTALE, ECONNRESET)),
    ROW(poll, ERRORS(EINTR, ENOMEM, EFAULT, EINVAL)),
    ROW(cond_init, ERRORS(ENOMEM)),
    ROW(cond_wait, NEVER),
    ROW(wake_open, ERRORS(EMFILE, EINVAL, ENFILE, ENODEV, ENOMEM)),
    ROW(wake_ring, ERRORS(EAGAIN)),
    ROW(wake_clear, ERRORS(EAGAIN, EINTR)),
    ROW(wake_close, NEVER),
    ROW(queue_length, OF_ASKING),
    ROW(acknowledged, ERRORS(EBADF, EINVAL, EFAULT, ENOTTY, EOPNOTSUPP)),
    ROW(tcp_closed, OF_ASKING),
    ROW(tcp_ended, OF_ASKING),
    ROW(pass_rights, ERRORS(ENOPROTOOPT, EBADF, EFAULT, EINVAL, ENOTSOCK, EOPNOTSUPP, EPERM)),
    ROW(peer_credentials,
        ERRORS(ENOPROTOOPT, EBADF, EFAULT, EINVAL, ENOTSOCK, EOPNOTSUPP, ENOBUFS, ENOMEM)),
    ROW(if_index, ERRORS(ENXIO)),
    ROW(if_name, ERRORS(ENXIO)),
    ROW(thread_start, ERRORS(EAGAIN, EINVAL, EPERM)),
    ROW(library_find, NEVER),
    ROW(library_hold, ERRORS(ENOMEM)),
    ROW(library_release, NEVER),
    ROW(library_release_later, NEVER),
    ROW(getpid, NEVER),
    ROW(process, NEVER),
    ROW(sigaction, ERRORS(EINVAL, EFAULT)),
    ROW(signal_open, NEVER),
    ROW(signal_block, NEVER),
    ROW(raise, ERRORS(EINVAL)),
    ROW(getaddrinfo, ERRORS(EAI_NONAME, EAI_AGAIN, EAI_FAIL, EAI_NODATA, EAI_ADDRFAMILY, EAI_MEMORY,
                            EAI_FAMILY, EAI_SYSTEM, EAI_SOCKTYPE)),
    ROW(freeaddrinfo, NEVER),
    ROW(calloc, ERRORS(ENOMEM)),
    ROW(realloc, ERRORS(ENOMEM)),
    ROW(libc_malloc, ERRORS(ENOMEM)),
    ROW(libc_calloc, ERRORS(ENOMEM)),
    ROW(libc_realloc, ERRORS(ENOMEM)),
    ROW(pthread_create, ERRORS(EAGAIN, EPERM)),
};

static const char *const names[CALLS] = {
#define NAME(name, call) [call] = #name,
    EACH_CALL(NAME)
#undef NAME
};

/* Besides those of lib/sys/sys.h: memory, whose calls come right after them, and threads. */
bool can_fail(enum call call)
{
    return call <= ON_LIBC_REALLOC || call == ON_PTHREAD_CREATE;
}

const int *errors_of(enum call call)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (strcmp(rows[i].name, names[call]) == 0)
            return rows[i].errors;
    }
    return NULL;
}

const char *name_of(enum call call)
{
    return names[call];
}

/* ---- what that may come to ---- */

#define OPTION(level, name) ((level) << 16 | (name))

/* Whether it failed with one of these, of which 0 is the end. */
static bool is_one_of(const struct fault *fault, const int *errors)
{
    while (*errors != 0 && *errors != fault->error)
        errors++;
    return *errors != 0;
}

/* The status that the table of the library gives. */
static statuses named(const struct fault *fault)
{
    return S(nb__status_of_errno(fault->error));
}

/* What waits goes on after a signal, and after a look that came too early, until its time is over. */
static statuses waited_for(const struct fault *fault, statuses otherwise)
{
    if (fault->error != EINTR && fault->error != EAGAIN)
        return otherwise;
    return fault->always ? S(NB_TIMEOUT) | S(NB_OK) : S(NB_OK);
}

/* Memory and threads, where there is no telling whether a call needs them. */
static bool is_memory(enum call call)
{
    return call == ON_CALLOC || call == ON_REALLOC || call == ON_LIBC_MALLOC ||
           call == ON_LIBC_CALLOC || call == ON_LIBC_REALLOC;
}

static statuses of_lookup(const struct fault *fault)
{
    switch (fault->error) {
    case EAI_AGAIN:
        return S(NB_NAME_TEMPORARY);
    case EAI_MEMORY:
        return S(NB_NO_MEMORY);
    case EAI_FAMILY:
        return S(NB_UNSUPPORTED);
    case EAI_SYSTEM:
        return S(NB_NO_DESCRIPTORS); /* EMFILE, says the resolver of the tests */
    case EAI_SOCKTYPE:
        return S(NB_SYSTEM);
    default:
        return S(NB_NAME_NOT_FOUND);
    }
}

static bool options_are_wanted;

void wanted_options(bool wanted)
{
    options_are_wanted = wanted;
}

/* What the library sets of its own accord is optional. */
static statuses of_option(const struct fault *fault)
{
    return options_are_wanted ? named(fault) : S(NB_OK);
}

static statuses of_connect(const struct fault *fault)
{
    if (fault->error == ENOPROTOOPT && fault->call != ON_SETSOCKOPT &&
        fault->call != ON_PASS_RIGHTS)
        return S(NB_UNREACHABLE); /* the protocol is, says ICMP */
    switch (fault->call) {
    case ON_GETADDRINFO:
        return of_lookup(fault);
    case ON_CONNECT:
        return fault->error == EINTR || fault->error == EINPROGRESS ? S(NB_OK) : named(fault);
    case ON_POLL:
        return waited_for(fault, named(fault));
    case ON_GETPEERNAME: /* asked for the state of the handshake, and for a connection to itself */
        return S(NB_OK) | (fault->error == ENOTCONN ? S(NB_TIMEOUT) : named(fault));
    case ON_SET_BLOCKING:
        return S(NB_SYSTEM);
    case ON_LIBRARY_HOLD: /* what the thread of a lookup needs */
    case ON_THREAD_START:
    case ON_PTHREAD_CREATE:
        return S(NB_NO_MEMORY);
    case ON_SETSOCKOPT:
        return of_option(fault);
    case ON_PASS_RIGHTS:
    case ON_WAKE_RING:
    case ON_GETSOCKNAME:
    case ON_CLOSE:
        return S(NB_OK);
    default:
        return named(fault);
    }
}

/* The queue of a Unix socket may be full: that is waited for. */
static statuses of_connect_to_path(const struct fault *fault)
{
    if (fault->call == ON_CONNECT && fault->error == EAGAIN)
        return waited_for(fault, 0);
    return of_connect(fault);
}

/* An attempt that fails leaves it to the others. */
static statuses of_race(const struct fault *fault)
{
    statuses alone = of_connect(fault);

    switch (fault->call) {
    case ON_SOCKET:
    case ON_CONNECT:
    case ON_SETSOCKOPT:
    case ON_GETSOCKOPT:
    case ON_GETPEERNAME:
    case ON_SET_BLOCKING:
        return alone | S(NB_OK) | S(NB_REFUSED);
    default:
        return alone;
    }
}

/* A family that is missing or not allowed leaves it to the other one, and a port that is in use to the next
   one. */
static bool may_be_got_over(const struct fault *fault)
{
    return fault->error == EADDRINUSE ||
           (fault->call != ON_LISTEN &&
            is_one_of(fault, ERRORS(EAFNOSUPPORT, EPROTONOSUPPORT, EADDRNOTAVAIL, EACCES, EPERM)));
}

/* Where neither family can be had, the status is that of the one that got further: the other one. */
static statuses of_the_other_family(void)
{
    bool denied = planned(ON_SOCKET, EACCES) || planned(ON_BIND, EACCES) || planned(ON_BIND, EPERM);

    return (denied ? S(NB_PERMISSION) : 0) |
           (planned(ON_BIND, EADDRNOTAVAIL) ? S(NB_ADDRESS_UNAVAILABLE) : 0);
}

static statuses of_listen(const struct fault *fault)
{
    switch (fault->call) {
    case ON_SETSOCKOPT:
        if (fault->detail == OPTION(IPPROTO_IPV6, IPV6_V6ONLY))
            return named(fault);
        return fault->detail == OPTION(SOL_SOCKET, SO_REUSEADDR) ? S(NB_OK) : of_option(fault);
    case ON_PASS_RIGHTS:
    case ON_CLOSE:
        return S(NB_OK);
    default:
        return named(fault);
    }
}

static statuses of_listen_twice(const struct fault *fault)
{
    bool opens = fault->call == ON_SOCKET || fault->call == ON_BIND || fault->call == ON_LISTEN;

    if (!opens || !may_be_got_over(fault))
        return of_listen(fault);
    if (fault->second)
        return named(fault) | of_the_other_family() | S(NB_OK);
    return fault->always ? named(fault) | S(NB_OK) : S(NB_OK);
}

/* Locking only matters where there is something to remove; the mode is set again when there is a file. */
static statuses of_listen_at_path(const struct fault *fault)
{
    switch (fault->call) {
    case ON_LOCK_FILE_OPEN:
    case ON_FILE_OF:
    case ON_LOCK:
    case ON_UNLOCK:
    case ON_POLL: /* until the lock is free */
    case ON_SET_MODE:
    case ON_FILE_REMOVE:
        return S(NB_OK);
    case ON_FILE_LOOK: /* at what is locked, or at the socket */
        return named(fault) | S(NB_OK);
    case ON_BIND: /* what was in the way may have gone by itself */
        return named(fault) | (fault->error == EADDRINUSE && !fault->always ? S(NB_OK) : 0);
    case ON_FILE_SET_MODE: /* what cannot be without /proc there is another way to */
        return fault->error == EOPNOTSUPP ? S(NB_OK) : named(fault);
    default:
        return of_listen(fault);
    }
}

/* A dead socket is removed on proof alone: whatever is in the way of that leaves it there. */
static statuses of_listen_at_socket(const struct fault *fault)
{
    /* It may be out of the way already. */
    statuses busy = S(NB_ADDRESS_IN_USE) | (fault->second ? S(NB_OK) : 0);

    switch (fault->call) {
    case ON_LOCK:
    case ON_LOCK_FILE_OPEN:
        return waited_for(fault, 0) != 0 && !fault->always && !fault->second ? S(NB_OK)
                                                                             : busy | S(NB_OK);
    case ON_FILE_OF:
        return busy;
    case ON_FILE_IS_LOCAL: /* it may seem to have gone by itself */
        return busy | (fault->error == ENOENT ? S(NB_OK) : 0);
    case ON_FILE_LOOK: /* at what is locked, or at the socket */
    case ON_FILE_REMOVE:
        return busy | named(fault) | S(NB_OK);
    case ON_SOCKET:
        return busy | named(fault);
    case ON_CONNECT:
        return fault->error == ECONNREFUSED ? S(NB_OK) : busy | named(fault);
    default:
        return of_listen_at_path(fault);
    }
}

static bool is_what_it_is(const struct fault *fault)
{
    return fault->detail == OPTION(SOL_SOCKET, SO_TYPE) ||
           fault->detail == OPTION(SOL_SOCKET, SO_ACCEPTCONN);
}

/* Those of the options that are cleared where they are set which the scenarios set. */
static bool is_cleared(const struct fault *fault)
{
    return fault->detail == OPTION(SOL_SOCKET, SO_LINGER) ||
           fault->detail == OPTION(SOL_SOCKET, SO_RCVTIMEO) ||
           fault->detail == OPTION(SOL_SOCKET, SO_SNDTIMEO);
}

static statuses of_listen_inherited(const struct fault *fault)
{
    switch (fault->call) {
    case ON_GETSOCKOPT: /* what it is; other options may not be there */
        return is_what_it_is(fault) ? S(NB_BAD_ENDPOINT) : S(NB_OK);
    case ON_GETSOCKNAME:
        return S(NB_BAD_ENDPOINT);
    case ON_SET_FLAGS:
        return S(NB_OK);
    case ON_SETSOCKOPT: /* some are cleared where others may have set them */
        return is_cleared(fault) ? named(fault) : of_option(fault);
    default:
        return of_listen(fault);
    }
}

/* The table of nb_serve(). */
static statuses of_accepting(const struct fault *fault, statuses at_the_end)
{
    const int *lost = /* after more than 64 of them in a row there are pauses */
        ERRORS(ECONNABORTED, ECONNRESET, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,
               EHOSTUNREACH, ENETUNREACH, ENOSR, ESOCKTNOSUPPORT, EPROTONOSUPPORT, ETIMEDOUT,
               EPERM);

    if (is_one_of(fault, ERRORS(EINTR, EAGAIN)))
        return waited_for(fault, 0);
    if (is_one_of(fault, ERRORS(EBADF, EINVAL, ENOTSOCK, EFAULT)))
        return S(NB_SYSTEM);
    if (!fault->always) /* of connections that are lost otherwise, up to ten in a row */
        return S(NB_OK);
    if (is_one_of(fault, ERRORS(EMFILE, ENFILE)))
        return S(NB_NO_DESCRIPTORS) & at_the_end;
    if (is_one_of(fault, ERRORS(ENOBUFS, ENOMEM)))
        return S(NB_NO_MEMORY) & at_the_end;
    if (is_one_of(fault, lost))
        return S(NB_TIMEOUT) & at_the_end;
    return fault->error == EOPNOTSUPP ? S(NB_UNSUPPORTED) : S(NB_SYSTEM);
}

static statuses of_accept(const struct fault *fault)
{
    switch (fault->call) {
    case ON_GETSOCKOPT: /* of what comes from a socket of others; nothing of it ends a connection */
    case ON_SETSOCKOPT:
    case ON_PASS_RIGHTS:
        return S(NB_OK);
    case ON_ACCEPT:
        return of_accepting(fault, ~(statuses)0);
    case ON_POLL:
        if (fault->error == ENOMEM &&
            fault->second) /* it may be waiting for the end of a shortage */
            return S(NB_NO_MEMORY) | S(NB_OK);
        if (fault->error == ENOMEM)
            return fault->always ? S(NB_NO_MEMORY) : S(NB_OK);
        return waited_for(fault, S(NB_SYSTEM));
    default:
        return named(fault);
    }
}

/* Before it has begun it fails for want of what it needs; later it does with what there is. */
static statuses of_serve(const struct fault *fault)
{
    statuses rest;

    if (!fault->began && fault->call == ON_SIGACTION)
        return S(NB_SYSTEM);
    if (!fault->began)
        return named(fault);
    switch (fault->call) {
    case ON_ACCEPT:
        if (fault->error == EOPNOTSUPP && fault->always) /* at first they are lost connections */
            return S(NB_UNSUPPORTED) | S(NB_OK);
        if (fault->error == EIO && fault->always) /* so are those that are not known */
            return S(NB_SYSTEM) | S(NB_OK);
        rest = of_accepting(fault, 0);
        return rest == 0 || (rest & S(NB_TIMEOUT)) != 0 ? S(NB_OK) : rest;
    case ON_POLL:
        if (fault->error == EINTR)
            return S(NB_OK);
        return fault->error == ENOMEM ? S(NB_OK) | S(NB_NO_MEMORY) : S(NB_SYSTEM);
    case ON_THREAD_START:
    case ON_PTHREAD_CREATE: /* without even one thread, waiting for one may be in vain */
        return fault->error == EAGAIN ? S(NB_OK) : S(NB_OK) | S(NB_SYSTEM);
    default:
        return S(NB_OK);
    }
}

/* What calls on a connection are said to return. A peer that does not answer may come with any errno
   that ICMP stands for. */
#define OF_SENDS                                                                                   \
    (S(NB_RESET) | S(NB_UNREACHABLE) | S(NB_NO_MEMORY) | S(NB_PERMISSION) | S(NB_SYSTEM))

static statuses on_connection(const struct fault *fault, bool sends)
{
    statuses said = sends ? OF_SENDS : OF_SENDS & ~S(NB_PERMISSION);
    statuses from_icmp = S(NB_REFUSED) | S(NB_UNSUPPORTED) | S(NB_PERMISSION);

    if ((named(fault) & said) != 0)
        return named(fault);
    return (named(fault) & from_icmp) != 0 ? S(NB_UNREACHABLE) : S(NB_SYSTEM);
}

static statuses of_receive(const struct fault *fault)
{
    switch (fault->call) {
    case ON_RECV:
    case ON_POLL:
        return waited_for(fault, on_connection(fault, false));
    case ON_SETSOCKOPT:
    case ON_TCP_CLOSED:
        return S(NB_OK);
    default:
        return named(fault);
    }
}

/* What a file fails with tells nothing of the peer. */
static statuses of_file(const struct fault *fault)
{
    if (fault->error == EINTR)
        return waited_for(fault, 0);
    return named(fault) == S(NB_NO_MEMORY) ? S(NB_NO_MEMORY) : S(NB_SYSTEM);
}

static statuses of_send(const struct fault *fault)
{
    switch (fault->call) {
    case ON_PREAD:
        return of_file(fault);
    case ON_SEND:
    case ON_SENDMSG:
    case ON_POLL:
        return waited_for(fault, on_connection(fault, true));
    case ON_SETSOCKOPT:
        return S(NB_OK);
    default:
        return named(fault);
    }
}

static statuses of_shutdown(const struct fault *fault)
{
    if (fault->call == ON_TCP_CLOSED) /* asked whether it was reset before */
        return S(NB_OK);
    return fault->error == ENOTCONN ? S(NB_OK) : S(NB_SYSTEM);
}

static statuses of_close(const struct fault *fault)
{
    switch (fault->call) {
    case ON_SHUTDOWN:
        return of_shutdown(fault);
    case ON_RECV:
    case ON_POLL:
        return waited_for(fault, on_connection(fault, false));
    default:
        return S(NB_OK);
    }
}

static statuses of_adopt(const struct fault *fault)
{
    switch (fault->call) {
    case ON_GETSOCKOPT:
        return fault->detail == OPTION(SOL_SOCKET, SO_TYPE) ? S(NB_INVALID) : S(NB_OK);
    case ON_GETSOCKNAME:
        return S(NB_INVALID);
    case ON_GETPEERNAME:
    case ON_TCP_ENDED:
        return S(NB_OK);
    default:
        return is_memory(fault->call) ? S(NB_NO_MEMORY) : S(NB_SYSTEM);
    }
}

/* Who the peer is: of a socket without a name the system is not even asked. */
static statuses of_credentials(const struct fault *fault)
{
    return fault->call == ON_GETSOCKNAME ? S(NB_UNSUPPORTED) : named(fault);
}

static statuses of_parse(const struct fault *fault)
{
    (void)fault;
    return S(NB_BAD_ENDPOINT); /* no such interface */
}

static statuses always_fine(const struct fault *fault)
{
    (void)fault;
    return S(NB_OK);
}

statuses outcomes(enum api api, const struct fault *fault)
{
    static statuses (*const of[API_COUNT])(const struct fault *fault) = {
        [API_CONNECT] = of_connect,
        [API_RACE] = of_race,
        [API_LISTEN_TWICE] = of_listen_twice,
        [API_PARSE] = of_parse,
        [API_CONNECT_TO_PATH] = of_connect_to_path,
        [API_LISTEN_AT_PATH] = of_listen_at_path,
        [API_LISTEN_AT_SOCKET] = of_listen_at_socket,
        [API_LISTEN_INHERITED] = of_listen_inherited,
        [API_LISTEN] = of_listen,
        [API_ACCEPT] = of_accept,
        [API_SERVE] = of_serve,
        [API_RECEIVE] = of_receive,
        [API_SEND] = of_send,
        [API_SHUTDOWN] = of_shutdown,
        [API_CLOSE] = of_close,
        [API_ADOPT] = of_adopt,
        [API_DETACH] = always_fine,
        [API_CREDENTIALS] = of_credentials,
        [API_OTHER] = always_fine,
    };

    return of[api](fault);
}
