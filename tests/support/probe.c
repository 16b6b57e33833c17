/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: stands between the library and the system. */
#include "probe.h"

#include "sys/sys.h"

struct probe probe;

void probe_fail(struct probe_call *call, int times, int error)
{
    call->error = error;
    atomic_store(&call->failures, times);
}

static void forget(struct probe_call *call)
{
    atomic_store(&call->calls, 0);
    atomic_store(&call->longest, 0);
    atomic_store(&call->last, 0);
}

void probe_clear(void)
{
    forget(&probe.receive);
    forget(&probe.send);
    forget(&probe.poll);
    forget(&probe.set_option);
    forget(&probe.get_option);
    forget(&probe.allocate);
}

int probe_total(void)
{
    return atomic_load(&probe.receive.calls) + atomic_load(&probe.send.calls) +
           atomic_load(&probe.poll.calls) + atomic_load(&probe.set_option.calls) +
           atomic_load(&probe.get_option.calls);
}

static void leave_alone(struct probe_call *call)
{
    atomic_store(&call->failures, 0);
    call->limit = 0;
}

/* Counts a call: 0 when it may go on, or -errno. */
static int enter(struct probe_call *call, size_t length)
{
    (void)atomic_fetch_add(&call->calls, 1);
    atomic_store(&call->last, length);
    if (length > atomic_load(&call->longest))
        atomic_store(&call->longest, length);
    if (atomic_load(&call->failures) == 0)
        return 0;
    (void)atomic_fetch_sub(&call->failures, 1);
    return -call->error;
}

static size_t limited(const struct probe_call *call, size_t length)
{
    return call->limit > 0 && call->limit < length ? call->limit : length;
}

static ssize_t probed_recv(int fd, void *buf, size_t length, int flags)
{
    int failed = enter(&probe.receive, length);

    if (failed < 0)
        return failed;
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
    int failed = enter(&probe.send, length);

    if (failed < 0)
        return failed;
    return sent(real.send(fd, data, limited(&probe.send, length), flags));
}

static ssize_t probed_sendmsg(int fd, struct iovec *parts, size_t count, int flags)
{
    size_t length = 0;
    size_t most;
    int failed;

    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    failed = enter(&probe.send, length);
    if (failed < 0)
        return failed;
    most = limited(&probe.send, length);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len > most)
            parts[i].iov_len = most;
        most -= parts[i].iov_len;
    }
    return sent(real.sendmsg(fd, parts, count, flags));
}

static int probed_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    int failed = enter(&probe.poll, 0);

    return failed < 0 ? failed : real.poll(fds, count, by);
}

static int probed_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    int failed = enter(&probe.set_option, 0);

    return failed < 0 ? failed : real.setsockopt(fd, level, name, value, length);
}

static int probed_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    int failed = enter(&probe.get_option, 0);

    if (level == SOL_SOCKET && name == SO_ERROR)
        atomic_store(&probe.asked_so_error, true);
    return failed < 0 ? failed : real.getsockopt(fd, level, name, value, length);
}

static void *probed_malloc(size_t size)
{
    return enter(&probe.allocate, size) < 0 ? NULL : real.libc_malloc(size);
}

static void *probed_calloc(size_t count, size_t size)
{
    return enter(&probe.allocate, count * size) < 0 ? NULL : real.libc_calloc(count, size);
}

static void *probed_realloc(void *old, size_t size)
{
    return enter(&probe.allocate, size) < 0 ? NULL : real.libc_realloc(old, size);
}

int probe_begin(void **state)
{
    leave_alone(&probe.receive);
    leave_alone(&probe.send);
    leave_alone(&probe.poll);
    leave_alone(&probe.set_option);
    leave_alone(&probe.get_option);
    leave_alone(&probe.allocate);
    probe_clear();
    atomic_store(&probe.asked_so_error, false);
    probe.after_send = NULL;
    if (case_begin(state) != 0)
        return -1;
    sys.recv = probed_recv;
    sys.send = probed_send;
    sys.sendmsg = probed_sendmsg;
    sys.poll = probed_poll;
    sys.setsockopt = probed_setsockopt;
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
