/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Statuses: their names, their texts, and what errno and EAI codes mean. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* the EAI codes that POSIX dropped, where netdb.h has them */

#include "base/error_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <string.h>

/* How much of the target a message shows: a long one must not push the reason out. */
#define TARGET_MAX ((size_t)256)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Every status with its text. A status missing here fails the build (-Wswitch). */
#define STATUSES(X)                                                                                \
    X(NB_OK, "success")                                                                            \
    X(NB_EOF, "end of stream")                                                                     \
    X(NB_TIMEOUT, "timed out")                                                                     \
    X(NB_CANCELLED, "cancelled")                                                                   \
    X(NB_TOO_LONG, "too long")                                                                     \
    X(NB_REFUSED, "connection refused")                                                            \
    X(NB_RESET, "connection reset")                                                                \
    X(NB_UNREACHABLE, "peer unreachable")                                                          \
    X(NB_ADDRESS_IN_USE, "address already in use")                                                 \
    X(NB_ADDRESS_UNAVAILABLE, "address not available")                                             \
    X(NB_PERMISSION, "permission denied")                                                          \
    X(NB_NAME_NOT_FOUND, "name not found")                                                         \
    X(NB_NAME_TEMPORARY, "name lookup failed for now")                                             \
    X(NB_BAD_ENDPOINT, "bad endpoint")                                                             \
    X(NB_INVALID, "invalid argument")                                                              \
    X(NB_NO_DESCRIPTORS, "out of file descriptors")                                                \
    X(NB_NO_MEMORY, "out of memory")                                                               \
    X(NB_UNSUPPORTED, "not supported")                                                             \
    X(NB_SYSTEM, "system error")                                                                   \
    X(NB_STOPPING, "server is stopping")

struct meaning {
    int code;
    nb_status status;
    const char *name;
};

#define MEANS(code, status)                                                                        \
    {                                                                                              \
        code, status, #code                                                                        \
    }

/* From practice, not from the man pages alone: recv(2), for instance, does not mention ECONNRESET,
   ETIMEDOUT or EHOSTUNREACH. An errno that is not listed is NB_SYSTEM; rows with NB_SYSTEM are here
   for their names. A system call filter may return any errno, so all of POSIX's are listed. */
static const struct meaning errno_meanings[] = {
    MEANS(ECONNREFUSED, NB_REFUSED),
    MEANS(ECONNRESET, NB_RESET),
    MEANS(EPIPE, NB_RESET),
    MEANS(ECONNABORTED, NB_RESET),
    MEANS(ENETRESET, NB_RESET),
    MEANS(ENOTCONN, NB_RESET),
    MEANS(ETIMEDOUT, NB_UNREACHABLE),
    MEANS(EHOSTUNREACH, NB_UNREACHABLE),
    MEANS(ENETUNREACH, NB_UNREACHABLE),
    MEANS(EHOSTDOWN, NB_UNREACHABLE),
    MEANS(ENETDOWN, NB_UNREACHABLE),
#ifdef ENONET
    MEANS(ENONET, NB_UNREACHABLE),
#endif
    MEANS(EADDRINUSE, NB_ADDRESS_IN_USE),
    MEANS(EADDRNOTAVAIL, NB_ADDRESS_UNAVAILABLE),
    MEANS(ENODEV, NB_ADDRESS_UNAVAILABLE),
    MEANS(ENXIO, NB_ADDRESS_UNAVAILABLE),
    MEANS(ENOENT, NB_ADDRESS_UNAVAILABLE),
    MEANS(ENOTDIR, NB_ADDRESS_UNAVAILABLE),
    MEANS(ELOOP, NB_ADDRESS_UNAVAILABLE),
    MEANS(EACCES, NB_PERMISSION),
    MEANS(EPERM, NB_PERMISSION),
    MEANS(EROFS, NB_PERMISSION),
    MEANS(EMFILE, NB_NO_DESCRIPTORS),
    MEANS(ENFILE, NB_NO_DESCRIPTORS),
    MEANS(ENOMEM, NB_NO_MEMORY),
    MEANS(ENOBUFS, NB_NO_MEMORY),
    MEANS(EAFNOSUPPORT, NB_UNSUPPORTED),
    MEANS(EPFNOSUPPORT, NB_UNSUPPORTED),
    MEANS(EPROTONOSUPPORT, NB_UNSUPPORTED),
    MEANS(ENOSYS, NB_UNSUPPORTED),
#ifdef ESOCKTNOSUPPORT
    MEANS(ESOCKTNOSUPPORT, NB_UNSUPPORTED),
#endif
    MEANS(EOPNOTSUPP, NB_UNSUPPORTED),
    MEANS(ENOPROTOOPT, NB_UNSUPPORTED),
    MEANS(EBADF, NB_SYSTEM),
    MEANS(EFAULT, NB_SYSTEM),
    MEANS(EINVAL, NB_SYSTEM),
    MEANS(EIO, NB_SYSTEM),
    MEANS(EISDIR, NB_SYSTEM),
    MEANS(ENOTSOCK, NB_SYSTEM),
    MEANS(ESPIPE, NB_SYSTEM),
    MEANS(EPROTO, NB_SYSTEM),
    MEANS(EAGAIN, NB_SYSTEM),
    MEANS(ENOSPC, NB_SYSTEM),
    MEANS(E2BIG, NB_SYSTEM),
    MEANS(EALREADY, NB_SYSTEM),
    MEANS(EBADMSG, NB_SYSTEM),
    MEANS(EBUSY, NB_SYSTEM),
    MEANS(ECANCELED, NB_SYSTEM),
    MEANS(ECHILD, NB_SYSTEM),
    MEANS(EDEADLK, NB_SYSTEM),
    MEANS(EDESTADDRREQ, NB_SYSTEM),
    MEANS(EDOM, NB_SYSTEM),
    MEANS(EDQUOT, NB_SYSTEM),
    MEANS(EEXIST, NB_SYSTEM),
    MEANS(EFBIG, NB_SYSTEM),
    MEANS(EILSEQ, NB_SYSTEM),
    MEANS(EINPROGRESS, NB_SYSTEM),
    MEANS(EINTR, NB_SYSTEM),
    MEANS(EISCONN, NB_SYSTEM),
    MEANS(EMLINK, NB_SYSTEM),
    MEANS(EMSGSIZE, NB_SYSTEM),
    MEANS(ENAMETOOLONG, NB_SYSTEM),
    MEANS(ENOEXEC, NB_SYSTEM),
    MEANS(ENOLCK, NB_SYSTEM),
    MEANS(ENOTEMPTY, NB_SYSTEM),
    MEANS(ENOTRECOVERABLE, NB_SYSTEM),
    MEANS(ENOTTY, NB_SYSTEM),
    MEANS(EOVERFLOW, NB_SYSTEM),
    MEANS(EOWNERDEAD, NB_SYSTEM),
    MEANS(EPROTOTYPE, NB_SYSTEM),
    MEANS(ERANGE, NB_SYSTEM),
    MEANS(ESRCH, NB_SYSTEM),
    MEANS(ESTALE, NB_SYSTEM),
    MEANS(ETXTBSY, NB_SYSTEM),
    MEANS(EXDEV, NB_SYSTEM),
#ifdef EBADFD
    MEANS(EBADFD, NB_SYSTEM),
#endif
#ifdef ECOMM
    MEANS(ECOMM, NB_SYSTEM),
#endif
#ifdef EIDRM
    MEANS(EIDRM, NB_SYSTEM),
#endif
#ifdef EMULTIHOP
    MEANS(EMULTIHOP, NB_SYSTEM),
#endif
#ifdef ENODATA
    MEANS(ENODATA, NB_SYSTEM),
#endif
#ifdef ENOKEY
    MEANS(ENOKEY, NB_SYSTEM),
#endif
#ifdef ENOLINK
    MEANS(ENOLINK, NB_SYSTEM),
#endif
#ifdef ENOMSG
    MEANS(ENOMSG, NB_SYSTEM),
#endif
#ifdef ENOSR
    MEANS(ENOSR, NB_SYSTEM),
#endif
#ifdef ENOSTR
    MEANS(ENOSTR, NB_SYSTEM),
#endif
#ifdef EREMOTEIO
    MEANS(EREMOTEIO, NB_SYSTEM),
#endif
#ifdef ERESTART
    MEANS(ERESTART, NB_SYSTEM),
#endif
#ifdef ESHUTDOWN
    MEANS(ESHUTDOWN, NB_SYSTEM),
#endif
#ifdef ETIME
    MEANS(ETIME, NB_SYSTEM),
#endif
#ifdef ETOOMANYREFS
    MEANS(ETOOMANYREFS, NB_SYSTEM),
#endif
#ifdef EUCLEAN
    MEANS(EUCLEAN, NB_SYSTEM),
#endif
#ifdef EUSERS
    MEANS(EUSERS, NB_SYSTEM),
#endif
};

static const struct meaning lookup_meanings[] = {
    MEANS(EAI_NONAME, NB_NAME_NOT_FOUND),     MEANS(EAI_FAIL, NB_NAME_NOT_FOUND),
#ifdef EAI_NODATA
    MEANS(EAI_NODATA, NB_NAME_NOT_FOUND),
#endif
#ifdef EAI_ADDRFAMILY
    MEANS(EAI_ADDRFAMILY, NB_NAME_NOT_FOUND),
#endif
    MEANS(EAI_AGAIN, NB_NAME_TEMPORARY),      MEANS(EAI_MEMORY, NB_NO_MEMORY),
    MEANS(EAI_FAMILY, NB_UNSUPPORTED),
};

static const struct meaning *find(const struct meaning *table, size_t count, int code)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].code == code)
            return &table[i];
    }
    return NULL;
}

static nb_status status_in(const struct meaning *table, size_t count, int code)
{
    const struct meaning *meaning = find(table, count, code);

    return meaning != NULL ? meaning->status : NB_SYSTEM;
}

nb_status nb__status_of_errno(int error)
{
    return status_in(errno_meanings, COUNT(errno_meanings), error);
}

nb_status nb__status_of_lookup(int code)
{
    return status_in(lookup_meanings, COUNT(lookup_meanings), code);
}

struct nb__result nb__result_of(int rc)
{
    return rc >= 0 ? nb__ok() : nb__failure(nb__status_of_errno(-rc), -rc);
}

struct nb__result nb__result_about(int rc, const char *what)
{
    struct nb__result result = nb__result_of(rc);

    if (rc < 0)
        result.what = what;
    return result;
}

const char *nb_status_name(nb_status status)
{
    switch (status) {
#define NAME(name, text)                                                                           \
    case name:                                                                                     \
        return #name;
        STATUSES(NAME)
#undef NAME
    }
    return "NB_UNKNOWN";
}

const char *nb_status_text(nb_status status)
{
    switch (status) {
#define TEXT(name, text)                                                                           \
    case name:                                                                                     \
        return text;
        STATUSES(TEXT)
#undef TEXT
    }
    return "unknown status";
}

void nb__text_add_reason(struct nb__text *text, nb_status status, int system_error)
{
    const struct meaning *meaning = NULL;

    nb__text_add(text, "%s", nb_status_text(status));
    if (system_error == 0)
        return;
    if (status != NB_NAME_NOT_FOUND && status != NB_NAME_TEMPORARY)
        meaning = find(errno_meanings, COUNT(errno_meanings), system_error);
    if (meaning == NULL)
        meaning = find(lookup_meanings, COUNT(lookup_meanings), system_error);
    if (meaning != NULL)
        nb__text_add(text, " (%s)", meaning->name);
    else
        nb__text_add(text, " (%d)", system_error);
}

void nb__text_add_result(struct nb__text *text, const struct nb__result *result)
{
    if (result->what != NULL)
        nb__text_add(text, "%s: ", result->what);
    nb__text_add_reason(text, result->status, result->system_error);
    if (result->why != NULL)
        nb__text_add(text, ": %s", result->why);
}

void nb__text_add_target(struct nb__text *text, const char *target)
{
    size_t most = text->length + TARGET_MAX;

    for (; *target != '\0' && text->length < most; target++)
        nb__text_add_escaped(text, target, 1);
    if (*target != '\0')
        nb__text_add(text, "...");
}

void nb__error_clear(nb_error *err)
{
    (void)nb__error_begin(err, NB_OK, 0);
}

struct nb__text nb__error_begin(nb_error *err, nb_status status, int system_error)
{
    if (err == NULL)
        return nb__text_in(NULL, 0);
    err->status = status;
    err->system_error = system_error;
    return nb__text_in(err->message, sizeof(err->message));
}

struct nb__text nb__error_about(nb_error *err, const struct nb__result *result,
                                const char *operation, const char *target)
{
    struct nb__text text = nb__error_begin(err, result->status, result->system_error);

    nb__text_add(&text, "%s ", operation);
    nb__text_add_target(&text, target);
    nb__text_add(&text, ": ");
    return text;
}

nb_status nb__error_set(nb_error *err, struct nb__result result, const char *operation,
                        const char *target)
{
    struct nb__text text = nb__error_about(err, &result, operation, target);

    nb__text_add_result(&text, &result);
    return result.status;
}

nb_status nb__error_invalid(nb_error *err, const char *operation, const char *what)
{
    struct nb__text text = nb__error_begin(err, NB_INVALID, 0);

    nb__text_add(&text, "%s: %s", operation, what);
    return NB_INVALID;
}

nb_status nb__error_out_of_range(nb_error *err, const char *operation, const char *option,
                                 int64_t value, int64_t least, int64_t most)
{
    struct nb__text text = nb__error_begin(err, NB_INVALID, 0);

    nb__text_add(&text, "%s: %s is %" PRId64 ", expected %" PRId64 " to %" PRId64, operation,
                 option, value, least, most);
    return NB_INVALID;
}
