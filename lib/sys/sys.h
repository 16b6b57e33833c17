/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the one way into the kernel.
 *
 *  Every function is one system call, thin enough to be replaced at link time. Each returns a value
 *  >= 0, or -errno, and leaves errno as it was. Only nb__sys_poll(), nb__sys_cond_wait() and the
 *  receives and sends on a blocking socket wait. None retries. */
#ifndef NETBASICS_SYS_H
#define NETBASICS_SYS_H

#include <netbasics/deadline.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct addrinfo;
struct sigaction;

/* A stream socket: close-on-exec and non-blocking. */
int nb__sys_socket(int family);
int nb__sys_bind(int fd, const struct sockaddr *address, socklen_t length);
int nb__sys_listen(int fd, int backlog);
/* The accepted socket is close-on-exec and blocking. */
int nb__sys_accept(int fd, struct sockaddr *peer, socklen_t *length);
int nb__sys_connect(int fd, const struct sockaddr *address, socklen_t length);
/* Breaks a connection off and wakes all who wait on it; a TCP peer sees a reset if the system
   can. */
int nb__sys_disconnect(int fd);
int nb__sys_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int nb__sys_getpeername(int fd, struct sockaddr *address, socklen_t *length);
int nb__sys_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int nb__sys_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int nb__sys_set_blocking(int fd, bool blocking);
int nb__sys_set_cloexec(int fd);
/* The flags that set_blocking and set_cloexec change, saved to be restored. */
struct nb__flags {
    int of_descriptor;
    int of_file;
};
int nb__sys_get_flags(int fd, struct nb__flags *out);
int nb__sys_set_flags(int fd, const struct nb__flags *flags);
int nb__sys_shutdown(int fd, int how);
/* The descriptor is closed whatever this returns: never call it twice. */
int nb__sys_close(int fd);

ssize_t nb__sys_recv(int fd, void *buf, size_t length, int flags);
/* The sends never raise SIGPIPE. */
ssize_t nb__sys_send(int fd, const void *data, size_t length, int flags);
ssize_t nb__sys_sendmsg(int fd, struct iovec *parts, size_t count, int flags);

/* The file that a path or a descriptor refers to. */
struct nb__file {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    unsigned mode; /* the permissions only */
    bool is_regular;
    bool is_socket;
    bool is_link;
};

/* This and the next two do not follow a symbolic link. */
int nb__sys_file_look(const char *path, struct nb__file *out);
int nb__sys_file_set_mode(const char *path, unsigned mode);
int nb__sys_file_remove(const char *path);
/* Follows a symbolic link: for systems where nb__sys_file_set_mode() fails with EOPNOTSUPP. */
int nb__sys_file_set_mode_following(const char *path, unsigned mode);
/* Sets the mode, less the umask, of the file that binding a Unix socket makes. (Linux.) */
int nb__sys_set_mode(int fd, unsigned mode);
/* Whether a file is on a file system that only this kernel manages: 1, or 0 for network file
   systems and FUSE. Follows a symbolic link. */
int nb__sys_file_is_local(const char *path);
/* Opens a lock file for reading and writing; makes it, accessible to its owner only, if there is
   none. Refuses a symbolic link. */
int nb__sys_lock_file_open(const char *path);
/* The file that a descriptor refers to. */
int nb__sys_file_of(int fd, struct nb__file *out);
/* Takes an advisory lock that belongs to this descriptor. -EAGAIN when another one has it. */
int nb__sys_lock(int fd);
int nb__sys_unlock(int fd);

/* Reads from an offset, at most INT64_MAX, of a file. */
ssize_t nb__sys_pread(int fd, void *buf, size_t length, uint64_t offset);

/* Waits for events until a deadline. Returns how many descriptors have some, or 0 when the deadline
   has passed (or after 68 years, if it is further away). */
int nb__sys_poll(struct pollfd *fds, nfds_t count, nb_deadline by);

/* A condition variable whose waits have deadlines: 0 when woken, perhaps spuriously; -ETIMEDOUT. */
int nb__sys_cond_init(pthread_cond_t *out);
int nb__sys_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, nb_deadline by);

/* A wakeup: fds[0] becomes readable when fds[1] is rung. They may be one and the same. */
int nb__sys_wake_open(int fds[2]);
/* Async-signal-safe. */
int nb__sys_wake_ring(const int fds[2]);
/* Makes it unreadable again. */
int nb__sys_wake_clear(const int fds[2]);
void nb__sys_wake_close(const int fds[2]);

/* How many connections wait in the accept queue of a listening socket; -EOPNOTSUPP where the system
   does not tell. */
int nb__sys_queue_length(int fd);
/* 1 when all that was sent (the FIN, too, if it was) has been acknowledged, or on a Unix socket
   received by the peer, else 0; -EOPNOTSUPP where the system does not tell. */
int nb__sys_acknowledged(int fd);
/* 1 when TCP has closed the connection in both directions, else 0. */
int nb__sys_tcp_closed(int fd);
/* 1 when we have ended our stream over TCP, or the connection no longer exists, else 0. */
int nb__sys_tcp_ended(int fd);

/* Sets whether a Unix socket, and those accepted from it, accept descriptors from a peer:
   SO_PASSRIGHTS, since Linux 6.16. */
int nb__sys_pass_rights(int fd, bool pass);

/* Who is at the other end of a Unix socket. */
int nb__sys_peer_credentials(int fd, int64_t *pid, int64_t *uid, int64_t *gid);

/* The index of an interface, from its name; -ENXIO when there is none. */
int nb__sys_if_index(const char *name);
/* The name of an interface, into IF_NAMESIZE bytes. */
int nb__sys_if_name(unsigned index, char *name);

/* Zeroed memory, to be freed with free(3); NULL when there is none. */
void *nb__sys_calloc(size_t count, size_t size);
void *nb__sys_realloc(void *memory, size_t size);

/* Starts a thread with all signals blocked, so that no signal meant for the process is handled on
   it; except for faults, SIGABRT and SIGPROF, which are as in the calling thread. The stack size is
   what the thread can use: the space that the C library takes for thread-local variables is added
   to it. */
int nb__sys_thread_start(pthread_t *out, size_t stack_size, void *(*run)(void *), void *argument);

/* Finds the shared object that this code is part of, while it is being loaded: later the dynamic
   linker may be locked for as long as the constructors of another library run. */
void nb__sys_library_find(void);
/* Keeps this code loaded until it is released. *out is what to release, NULL when it cannot be
   unloaded anyway; otherwise this and releasing wait while another thread loads a library. 0, or
   -ENOMEM. */
int nb__sys_library_hold(void **out);
/* For callers whose code is kept loaded by something else. `held` may be NULL here and below. */
void nb__sys_library_release(void *held);
/* Releases it when the calling thread has left our code for good; never, if there is no memory for
   that. */
void nb__sys_library_release_later(void *held);

/* These six are async-signal-safe. */
int nb__sys_getpid(void);
/* A number above 0 that differs from that of every process this one was forked from. (PIDs may be
   equal: each PID namespace counts anew.) The first call must not be made in a signal handler. */
int nb__sys_process(void);
int nb__sys_sigaction(int number, const struct sigaction *action, struct sigaction *old);
/* Unblocks a signal in the calling thread: 1 when it was blocked, else 0. */
int nb__sys_signal_open(int number);
int nb__sys_signal_block(int number);
/* Sends a signal to the calling thread. */
int nb__sys_raise(int number);

/* Looks up the addresses of a host: 0 or an EAI code. With EAI_SYSTEM, *error is the errno. */
int nb__sys_getaddrinfo(const char *host, struct addrinfo **out, int *error);
void nb__sys_freeaddrinfo(struct addrinfo *list);

#endif
