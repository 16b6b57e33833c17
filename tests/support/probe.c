/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: notes what is asked of the system, and moves less than that. */
#include "probe.h"

struct probe probe;

static void forget(struct probe_call *call)
{
    atomic_store(&call->longest, 0);
    atomic_store(&call->last, 0);
}

void probe_clear(void)
{
    forget_calls();
    forget(&probe.receive);
    forget(&probe.send);
    forget(&probe.allocate);
}

int probe_total(void)
{
    return calls(ON_RECV) + calls(ON_SEND) + calls(ON_POLL) + calls(ON_SETSOCKOPT) +
           calls(ON_GETSOCKOPT);
}

static void note(struct probe_call *call, size_t length)
{
    atomic_store(&call->last, length);
    if (length > atomic_load(&call->longest))
        atomic_store(&call->longest, length);
}

/* Notes a transfer: how many bytes it may move. */
static size_t limited(struct probe_call *call, size_t length)
{
    note(call, length);
    return call->limit > 0 && call->limit < length ? call->limit : length;
}

static ssize_t probed_recv(int fd, void *buf, size_t length, int flags)
{
    return real.recv(fd, buf, limited(&probe.receive, length), flags);
}

static ssize_t sent(ssize_t result)
{
    if (probe.after_send != NULL)
        probe.after_send();
    return result;
}

static ssize_t probed_send(int fd, const void *data, size_t length, int flags)
{
    return sent(real.send(fd, data, limited(&probe.send, length), flags));
}

static ssize_t probed_sendmsg(int fd, struct iovec *parts, size_t count, int flags)
{
    size_t length = 0;
    size_t most;

    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    most = limited(&probe.send, length);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len > most)
            parts[i].iov_len = most;
        most -= parts[i].iov_len;
    }
    return sent(real.sendmsg(fd, parts, count, flags));
}

static int probed_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    if (level == SOL_SOCKET && name == SO_ERROR)
        atomic_store(&probe.asked_so_error, true);
    return real.getsockopt(fd, level, name, value, length);
}

static void *probed_malloc(size_t size)
{
    note(&probe.allocate, size);
    return real.libc_malloc(size);
}

static void *probed_calloc(size_t count, size_t size)
{
    note(&probe.allocate, count * size);
    return real.libc_calloc(count, size);
}

static void *probed_realloc(void *old, size_t size)
{
    note(&probe.allocate, size);
    return real.libc_realloc(old, size);
}

int probe_begin(void **state)
{
    if (case_begin(state) != 0)
        return -1;
    probe_clear();
    probe.receive.limit = probe.send.limit = 0;
    probe.after_send = NULL;
    atomic_store(&probe.asked_so_error, false);
    sys.recv = probed_recv;
    sys.send = probed_send;
    sys.sendmsg = probed_sendmsg;
    sys.getsockopt = probed_getsockopt;
    sys.libc_malloc = probed_malloc;
    sys.libc_calloc = probed_calloc;
    sys.libc_realloc = probed_realloc;
    return 0;
}

int probe_end(void **state)
{
    assert_false(atomic_load(&probe.asked_so_error));
    return case_end(state);
}
