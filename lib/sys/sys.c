/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Every system call. Only this file, library.c and the clock depend on which system this is. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, ppoll, struct tcp_info, struct ucred */
#undef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64

#include "sys/sys.h"

#include "base/deadline_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* since Linux 6.6, with one number on all processors but Alpha */
#endif
#else
#include <sys/param.h> /* which some have to have before the next */

#include <sys/mount.h>
#endif
#ifdef __GLIBC__
#include <link.h>
#endif

/* Turns the -1 of a system call into -errno, and restores errno. */
static int outcome(int result, int saved)
{
    if (result < 0) {
        result = -errno;
        errno = saved;
    }
    return result;
}

/* The same for the most frequent calls, with the failure out of the fast path. */
__attribute__((noinline, cold)) static ssize_t failure(int saved)
{
    int error = errno;

    errno = saved;
    return -error;
}

static inline ssize_t outcome_of_transfer(ssize_t result, int saved)
{
    return result >= 0 ? result : failure(saved);
}

int nb__sys_set_cloexec(int fd)
{
    int saved = errno;

    return outcome(fcntl(fd, F_SETFD, FD_CLOEXEC), saved);
}

int nb__sys_set_blocking(int fd, bool blocking)
{
    int saved = errno;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return outcome(flags, saved);
    flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    return outcome(fcntl(fd, F_SETFL, flags), saved);
}

int nb__sys_get_flags(int fd, struct nb__flags *out)
{
    int saved = errno;
    int rc = outcome(out->of_descriptor = fcntl(fd, F_GETFD), saved);

    if (rc >= 0)
        rc = outcome(out->of_file = fcntl(fd, F_GETFL), saved);
    return rc < 0 ? rc : 0;
}

int nb__sys_set_flags(int fd, const struct nb__flags *flags)
{
    int saved = errno;
    int rc = outcome(fcntl(fd, F_SETFD, flags->of_descriptor), saved);

    return rc < 0 ? rc : outcome(fcntl(fd, F_SETFL, flags->of_file), saved);
}

#if !defined(SOCK_CLOEXEC) || !defined(SOCK_NONBLOCK) || defined(SO_NOSIGPIPE)
/* For systems without SOCK_CLOEXEC and SOCK_NONBLOCK (a child can inherit the socket before this is
   done), or without MSG_NOSIGNAL. */
static int prepare(int fd, bool blocking)
{
    int rc = nb__sys_set_cloexec(fd);

    if (rc == 0)
        rc = nb__sys_set_blocking(fd, blocking);
#ifdef SO_NOSIGPIPE
    if (rc == 0)
        rc = nb__sys_setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    if (rc == 0)
        return fd;
    (void)nb__sys_close(fd);
    return rc;
}
#else
static int prepare(int fd, bool blocking)
{
    (void)blocking;
    return fd;
}
#endif

int nb__sys_socket(int family)
{
    int saved = errno;
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
    int fd = socket(family, SOCK_STREAM, 0);
#endif

    return fd < 0 ? outcome(fd, saved) : prepare(fd, false);
}

int nb__sys_accept(int fd, struct sockaddr *peer, socklen_t *length)
{
    int saved = errno;
#ifdef SOCK_CLOEXEC
    int accepted = accept4(fd, peer, length, SOCK_CLOEXEC);
#else
    int accepted = accept(fd, peer, length);
#endif

    if (accepted < 0)
        return outcome(accepted, saved);
    /* It fails with EINVAL when the peer is gone: that is not a failure of the listening socket. */
    return prepare(accepted, true) < 0 ? -ECONNABORTED : accepted;
}

int nb__sys_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int saved = errno;

    return outcome(bind(fd, address, length), saved);
}

int nb__sys_listen(int fd, int backlog)
{
    int saved = errno;

    return outcome(listen(fd, backlog), saved);
}

int nb__sys_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int saved = errno;

    return outcome(connect(fd, address, length), saved);
}

int nb__sys_disconnect(int fd)
{
    int saved = errno;
#ifdef __linux__
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    /* To the peer, shutdown(2) looks like an orderly end; this does not. Some kernels (6.4 to 6.6)
       refuse it while a thread waits on the socket, and Unix sockets always do. */
    if (connect(fd, &nobody, sizeof(nobody)) == 0)
        return 0;
    errno = saved;
#endif
    return outcome(shutdown(fd, SHUT_RDWR), saved);
}

int nb__sys_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    int saved = errno;

    return outcome(getsockname(fd, address, length), saved);
}

int nb__sys_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    int saved = errno;

    return outcome(getpeername(fd, address, length), saved);
}

int nb__sys_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    int saved = errno;

    return outcome(setsockopt(fd, level, name, value, length), saved);
}

int nb__sys_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    int saved = errno;

    return outcome(getsockopt(fd, level, name, value, length), saved);
}

int nb__sys_shutdown(int fd, int how)
{
    int saved = errno;

    return outcome(shutdown(fd, how), saved);
}

int nb__sys_close(int fd)
{
    int saved = errno;

    return outcome(close(fd), saved);
}

static struct nb__file file_of(const struct stat *status)
{
    return (struct nb__file){
        .device = (uint64_t)status->st_dev,
        .inode = (uint64_t)status->st_ino,
        .size = (uint64_t)status->st_size,
        .mode = (unsigned)status->st_mode & 07777,
        .is_regular = S_ISREG(status->st_mode),
        .is_socket = S_ISSOCK(status->st_mode),
        .is_link = S_ISLNK(status->st_mode),
    };
}

int nb__sys_file_look(const char *path, struct nb__file *out)
{
    int saved = errno;
    struct stat status = {0}; /* the memory sanitizer of clang 14 does not know lstat(2) */
    int rc = outcome(lstat(path, &status), saved);

    if (rc == 0)
        *out = file_of(&status);
    return rc;
}

int nb__sys_file_of(int fd, struct nb__file *out)
{
    int saved = errno;
    struct stat status = {0};
    int rc = outcome(fstat(fd, &status), saved);

    if (rc == 0)
        *out = file_of(&status);
    return rc;
}

#ifdef __linux__
/* File system types of statfs(2) that other machines or programs share: a socket file there may be
   in use although nobody on this system listens on it. */
static bool is_shared_kind(uint32_t kind)
{
    static const uint32_t kinds[] = {
        0x65735546 /* FUSE, virtiofs */,
        0x6969 /* NFS */,
        0x517B /* SMB */,
        0xFF534D42 /* CIFS */,
        0xFE534D42 /* SMB2 */,
        0x01021997 /* 9p */,
        0x5346414F /* AFS */,
        0x6B414653 /* kAFS */,
        0x73757245 /* Coda */,
        0x00C36400 /* Ceph */,
        0x01161970 /* GFS2 */,
        0x7461636F /* OCFS2 */,
        0x0BD00BD0 /* Lustre */,
        0x47504653 /* GPFS */,
        0x19830326 /* BeeGFS */,
        0x564C /* NCP */,
        0x786F4256 /* VirtualBox's shared folders */,
        0xBACBACBC /* VMware's */,
        0x7C7C6673 /* Parallels' */,
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i] == kind)
            return true;
    }
    return false;
}

int nb__sys_file_is_local(const char *path)
{
    int saved = errno;
    struct statfs status = {0};
    int rc = outcome(statfs(path, &status), saved);

    return rc < 0 ? rc : !is_shared_kind((uint32_t)status.f_type);
}
#elif defined(MNT_LOCAL) && !defined(__NetBSD__)
int nb__sys_file_is_local(const char *path)
{
    int saved = errno;
    struct statfs status;
    int rc = outcome(statfs(path, &status), saved);

    return rc < 0 ? rc : (status.f_flags & MNT_LOCAL) != 0;
}
#else
int nb__sys_file_is_local(const char *path)
{
    (void)path;
    return 1; /* there is no common way to ask */
}
#endif

int nb__sys_file_set_mode(const char *path, unsigned mode)
{
    int saved = errno;
#ifdef SYS_fchmodat2
    /* The C library may use /proc, which need not be mounted. */
    long result = syscall(SYS_fchmodat2, AT_FDCWD, path, (mode_t)mode, AT_SYMLINK_NOFOLLOW);

    if (result == 0 || (errno != ENOSYS && errno != EPERM)) /* EPERM: an old system call filter */
        return outcome((int)result, saved);
#endif
    return outcome(fchmodat(AT_FDCWD, path, (mode_t)mode, AT_SYMLINK_NOFOLLOW), saved);
}

int nb__sys_file_set_mode_following(const char *path, unsigned mode)
{
    int saved = errno;

    return outcome(chmod(path, (mode_t)mode), saved);
}

int nb__sys_file_remove(const char *path)
{
    int saved = errno;

    return outcome(unlink(path), saved);
}

int nb__sys_set_mode(int fd, unsigned mode)
{
    int saved = errno;

    return outcome(fchmod(fd, (mode_t)mode), saved);
}

int nb__sys_lock_file_open(const char *path)
{
    int saved = errno;

    /* O_NONBLOCK: if something else, such as a FIFO, is there, opening it must not wait. */
    return outcome(
        open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600), saved);
}

int nb__sys_lock(int fd)
{
    int saved = errno;

    return outcome(flock(fd, LOCK_EX | LOCK_NB), saved);
}

int nb__sys_unlock(int fd)
{
    int saved = errno;

    return outcome(flock(fd, LOCK_UN), saved);
}

ssize_t nb__sys_recv(int fd, void *buf, size_t length, int flags)
{
    int saved = errno;

    return outcome_of_transfer(recv(fd, buf, length, flags), saved);
}

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* such systems have SO_NOSIGPIPE, see prepare() */
#endif

ssize_t nb__sys_send(int fd, const void *data, size_t length, int flags)
{
    int saved = errno;

    return outcome_of_transfer(send(fd, data, length, flags | MSG_NOSIGNAL), saved);
}

ssize_t nb__sys_sendmsg(int fd, struct iovec *parts, size_t count, int flags)
{
    int saved = errno;
    struct msghdr message;

    memset(&message, 0, sizeof(message)); /* musl pads the structure */
    message.msg_iov = parts;
#ifdef __GLIBC__
    message.msg_iovlen = count;
#else
    message.msg_iovlen = (int)count;
#endif
    return outcome_of_transfer(sendmsg(fd, &message, flags | MSG_NOSIGNAL), saved);
}

ssize_t nb__sys_pread(int fd, void *buf, size_t length, uint64_t offset)
{
    int saved = errno;

    return outcome_of_transfer(pread(fd, buf, length, (off_t)offset), saved);
}

/* A time_t may have 32 bits. Whoever waits longer than this checks the clock and waits again. */
#define POLL_MAX_NS (INT32_MAX * NB__NS_PER_S)

#ifdef __APPLE__
int nb__sys_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    int saved = errno;
    int64_t left = nb_remaining_ms(by);
    int ms = nb__is_forever(by) ? -1 : (left > INT32_MAX ? INT32_MAX : (int)left);

    return outcome(poll(fds, count, ms), saved);
}
#else
int nb__sys_poll(struct pollfd *fds, nfds_t count, nb_deadline by)
{
    int saved = errno;
    struct timespec wait = {0, 0};

    if (nb__is_forever(by))
        return outcome(ppoll(fds, count, NULL, NULL), saved);
    if (by.ns != 0) {
        int64_t left = nb__remaining_ns(by, nb__now_ns());

        if (left > POLL_MAX_NS)
            left = POLL_MAX_NS;
        wait.tv_sec = (time_t)(left / NB__NS_PER_S);
        wait.tv_nsec = (long)(left % NB__NS_PER_S);
    }
    return outcome(ppoll(fds, count, &wait, NULL), saved);
}
#endif

/* A time on the monotonic clock, at most as late as a 32-bit time_t can say. */
static struct timespec timespec_of(int64_t ns)
{
    struct timespec time;

    if (ns > POLL_MAX_NS)
        ns = POLL_MAX_NS;
    time.tv_sec = (time_t)(ns / NB__NS_PER_S);
    time.tv_nsec = (long)(ns % NB__NS_PER_S);
    return time;
}

#ifdef __APPLE__
int nb__sys_cond_init(pthread_cond_t *out)
{
    return pthread_cond_init(out, NULL) == 0 ? 0 : -ENOMEM;
}

static int cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock, nb_deadline by)
{
    struct timespec left = timespec_of(nb__remaining_ns(by, nb__now_ns()));

    return pthread_cond_timedwait_relative_np(cond, lock, &left);
}
#else
int nb__sys_cond_init(pthread_cond_t *out)
{
    pthread_condattr_t attributes;
    int rc;

    if (pthread_condattr_init(&attributes) != 0) /* GCOV_EXCL_BR_LINE: never fails in glibc */
        return -ENOMEM;                          /* GCOV_EXCL_LINE */
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    rc = pthread_cond_init(out, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return rc == 0 ? 0 : -ENOMEM;
}

static int cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock, nb_deadline by)
{
    struct timespec until = timespec_of(by.ns);

    return pthread_cond_timedwait(cond, lock, &until);
}
#endif

int nb__sys_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, nb_deadline by)
{
    if (nb__is_forever(by))
        return -pthread_cond_wait(cond, lock);
    return -cond_timedwait(cond, lock, by);
}

#ifdef __linux__
int nb__sys_wake_open(int fds[2])
{
    int saved = errno;

    fds[0] = fds[1] = outcome(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), saved);
    return fds[0] < 0 ? fds[0] : 0;
}
#else
int nb__sys_wake_open(int fds[2])
{
    int saved = errno;
    int rc = outcome(pipe(fds), saved);

    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = nb__sys_set_cloexec(fds[i]);
        if (rc == 0)
            rc = nb__sys_set_blocking(fds[i], false);
        if (rc != 0)
            nb__sys_wake_close(fds);
    }
    return rc;
}
#endif

int nb__sys_wake_ring(const int fds[2])
{
    static const uint64_t one = 1;
    int saved = errno;

    return outcome((int)write(fds[1], &one, sizeof(one)), saved);
}

int nb__sys_wake_clear(const int fds[2])
{
    int saved = errno;
    char rings[256];

    return outcome((int)read(fds[0], rings, sizeof(rings)), saved);
}

void nb__sys_wake_close(const int fds[2])
{
    (void)nb__sys_close(fds[0]);
    /* They differ on systems without eventfd, where a pipe takes its place. */
    if (fds[1] != fds[0])            /* GCOV_EXCL_BR_LINE */
        (void)nb__sys_close(fds[1]); /* GCOV_EXCL_LINE */
}

#ifdef __linux__
/* Older kernels fill in fewer of the fields. */
static int tcp_info(int fd, struct tcp_info *info)
{
    socklen_t length = sizeof(*info);

    memset(info, 0, sizeof(*info));
    return nb__sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length);
}

int nb__sys_queue_length(int fd)
{
    struct tcp_info info;
    int rc = tcp_info(fd, &info);

    if (rc < 0)
        return rc;
    /* For a listening socket, Linux puts the length of the accept queue and its limit into
       these. */
    if (info.tcpi_state != TCP_LISTEN || info.tcpi_sacked == 0)
        return -EOPNOTSUPP;
    return (int)info.tcpi_unacked; /* at most what listen(2) was given */
}

int nb__sys_acknowledged(int fd)
{
    int saved = errno;
    int left;
    int rc = outcome(ioctl(fd, TIOCOUTQ, &left), saved); /* SIOCOUTQ of tcp(7) and unix(7) */

    return rc < 0 ? rc : left == 0;
}

int nb__sys_tcp_closed(int fd)
{
    struct tcp_info info;
    int rc = tcp_info(fd, &info);

    return rc < 0 ? rc : info.tcpi_state == TCP_CLOSE;
}

int nb__sys_tcp_ended(int fd)
{
    struct tcp_info info;
    int rc = tcp_info(fd, &info);

    return rc < 0 ? rc : info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_CLOSE_WAIT;
}
#else
int nb__sys_queue_length(int fd)
{
    (void)fd;
    return -EOPNOTSUPP;
}

int nb__sys_acknowledged(int fd)
{
    (void)fd;
    return -EOPNOTSUPP;
}

int nb__sys_tcp_closed(int fd)
{
    (void)fd;
    return -EOPNOTSUPP;
}

int nb__sys_tcp_ended(int fd)
{
    (void)fd;
    return -EOPNOTSUPP;
}
#endif

#if defined(__linux__) && !defined(SO_PASSRIGHTS)
#if defined(__sparc__)
#define SO_PASSRIGHTS 0x5c
#elif defined(__hppa__)
#define SO_PASSRIGHTS 0x4051
#else
#define SO_PASSRIGHTS 83
#endif
#endif

int nb__sys_pass_rights(int fd, bool pass)
{
#ifdef SO_PASSRIGHTS
    return nb__sys_setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){pass}, sizeof(int));
#else
    (void)fd;
    (void)pass;
    return -EOPNOTSUPP;
#endif
}

#ifdef __linux__
int nb__sys_peer_credentials(int fd, int64_t *pid, int64_t *uid, int64_t *gid)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    int rc = nb__sys_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);

    if (rc < 0)
        return rc;
    *pid = peer.pid;
    *uid = peer.uid;
    *gid = peer.gid;
    return 0;
}
#else
int nb__sys_peer_credentials(int fd, int64_t *pid, int64_t *uid, int64_t *gid)
{
    (void)fd;
    (void)pid;
    (void)uid;
    (void)gid;
    return -EOPNOTSUPP;
}
#endif

int nb__sys_if_index(const char *name)
{
    int saved = errno;
    unsigned index = if_nametoindex(name);

    errno = saved;
    return index > 0 ? (int)index : -ENXIO; /* the kernel's indexes are positive ints */
}

int nb__sys_if_name(unsigned index, char *name)
{
    int saved = errno;
    bool found = if_indextoname(index, name) != NULL;

    errno = saved;
    return found ? 0 : -ENXIO;
}

/* The library may recover from a failed allocation, and errno must not show it then. Volatile,
   because Clang assumes that an allocation never writes errno, and would drop the restoring. */
void *nb__sys_calloc(size_t count, size_t size)
{
    volatile int saved = errno;
    void *memory = calloc(count, size);

    errno = saved;
    return memory;
}

void *nb__sys_realloc(void *memory, size_t size)
{
    volatile int saved = errno;
    void *moved = realloc(memory, size);

    errno = saved;
    return moved;
}

#ifdef __GLIBC__
/* glibc puts the thread-local variables of the program, and of the libraries loaded at its start,
   onto the stack of each thread, with its own thread descriptor and some padding. */
#define THREAD_DESCRIPTOR ((size_t)8 << 10)

static atomic_size_t stack_overhead; /* 0: not known yet */

/* Libraries loaded later need no room there; counting some of them does no harm. */
static int add_thread_variables(struct dl_phdr_info *object, size_t size, void *sum)
{
    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];

        if (header->p_type == PT_TLS)
            *(size_t *)sum += header->p_memsz + header->p_align;
    }
    return 0;
}

/* Runs when the program starts or loads this library: later another thread may hold the list's
   lock. */
__attribute__((constructor(101))) static void measure_stack_overhead(void)
{
    size_t sum = THREAD_DESCRIPTOR;

    (void)dl_iterate_phdr(add_thread_variables, &sum);
    atomic_store(&stack_overhead, sum);
}

static size_t with_overhead(size_t stack_size)
{
    if (atomic_load(&stack_overhead) == 0) /* another constructor came before ours */
        measure_stack_overhead();          /* GCOV_EXCL_LINE */
    return stack_size + atomic_load(&stack_overhead);
}
#else
/* Other C libraries add that space themselves, or keep it outside the stack. */
static size_t with_overhead(size_t stack_size)
{
    return stack_size;
}
#endif

/* Signals that a thread causes itself, or by which a profiler measures it: the program's handlers
   have to run on that thread, and the kernel kills a process if a fault occurs while its signal is
   blocked. */
static const int of_the_thread[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
                                    SIGTRAP, SIGSYS, SIGABRT, SIGPROF};

static int start_thread(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *),
                        void *argument)
{
    int saved = errno;
    sigset_t others;
    sigset_t before;
    int rc;

    (void)sigfillset(&others);
    for (size_t i = 0; i < sizeof(of_the_thread) / sizeof(of_the_thread[0]); i++)
        (void)sigdelset(&others, of_the_thread[i]);
    (void)pthread_sigmask(SIG_BLOCK, &others, &before);
    rc = pthread_create(out, attributes, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return rc;
}

int nb__sys_thread_start(pthread_t *out, size_t stack_size, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);

    if (rc != 0)
        return -rc;
    rc = pthread_attr_setstacksize(&attributes, with_overhead(stack_size));
    if (rc == 0)
        rc = start_thread(out, &attributes, run, argument);
    (void)pthread_attr_destroy(&attributes);
    return -rc;
}

int nb__sys_getpid(void)
{
    return (int)getpid();
}

#if defined(MADV_WIPEONFORK) || defined(INHERIT_ZERO)
static int clear_in_children(void *page, size_t size)
{
#ifdef MADV_WIPEONFORK
    return madvise(page, size, MADV_WIPEONFORK);
#else
    return minherit(page, size, INHERIT_ZERO);
#endif
}

/* The largest page size of any system. */
#define PAGE_MAX ((size_t)64 << 10)

/* A page that is cleared in children, or a substitute that they inherit unchanged. It lies in the
   library's own data, where unused pages take no memory, so that it goes when the library is
   unloaded. */
static atomic_int *page_in_own_memory(atomic_int *substitute)
{
    static unsigned char room[2 * PAGE_MAX];
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = room + (size - (uintptr_t)room % size) % size;

    return size <= PAGE_MAX && clear_in_children(page, size) == 0 ? page : substitute;
}

/* How many forks lie between this process and the one that asked first; 0 where the kernel does not
   tell (Linux before 4.14): there, only the PID tells processes apart. */
static int generation(void)
{
    static atomic_int substitute;
    static atomic_int *_Atomic page_of_process;
    static atomic_int generations;
    atomic_int *page = atomic_load(&page_of_process);
    int fresh = 0;

    if (page == NULL) {
        atomic_int *found = page_in_own_memory(&substitute);

        if (atomic_compare_exchange_strong(&page_of_process, &page, found))
            page = found;
    }
    if (page == &substitute)
        return 0;
    if (atomic_load(page) == 0)
        atomic_compare_exchange_strong(page, &fresh, atomic_fetch_add(&generations, 1) + 1);
    return atomic_load(page);
}
#else
static int generation(void)
{
    return 0;
}
#endif

/* The kernel clears the page in the child at the moment of the fork, however it is made; the
   handlers of pthread_atfork(3) run too late for a signal that arrives then, and not after every
   kind of fork. A child of vfork(2) shares the page: it differs by its PID, which is at most 2^22
   on Linux. */
int nb__sys_process(void)
{
    int saved = errno;
    unsigned of_lineage = (unsigned)generation() << 22;

    errno = saved;
    return (int)((of_lineage ^ (unsigned)getpid()) & INT32_MAX);
}

int nb__sys_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    int saved = errno;

    return outcome(sigaction(number, action, old), saved);
}

/* Returns whether the signal was blocked before. */
static int change_mask(int how, int number)
{
    sigset_t set;
    sigset_t before;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    (void)pthread_sigmask(how, &set, &before);
    return sigismember(&before, number) == 1;
}

int nb__sys_signal_open(int number)
{
    return change_mask(SIG_UNBLOCK, number);
}

int nb__sys_signal_block(int number)
{
    return change_mask(SIG_BLOCK, number);
}

int nb__sys_raise(int number)
{
    int saved = errno;

    return outcome(raise(number) == 0 ? 0 : -1, saved);
}

int nb__sys_getaddrinfo(const char *host, struct addrinfo **out, int *error)
{
    struct addrinfo hints;
    int saved = errno;
    int code;

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    code = getaddrinfo(host, NULL, &hints, out);
    *error = errno;
    errno = saved;
    return code;
}

void nb__sys_freeaddrinfo(struct addrinfo *list)
{
    if (list != NULL) /* musl does not take NULL */
        freeaddrinfo(list);
}
