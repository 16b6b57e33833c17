/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the one way into the kernel.
 *
 *  Every function is one system call, thin enough to be replaced at link time. Each returns a value
 *  >= 0, or -errno, and leaves errno as it was. Only nb__sys_poll() and
 *  nb__sys_cond_wait() wait, and the blocking receives and sends of a connection. None retries. */
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
/* Breaks a connection off and wakes all who wait on it; a TCP peer sees a reset where the system can. */
int nb__sys_disconnect(int fd);
int nb__sys_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int nb__sys_getpeername(int fd, struct sockaddr *address, socklen_t *length);
int nb__sys_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int nb__sys_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int nb__sys_set_blocking(int fd, bool blocking);
int nb__sys_set_cloexec(int fd);
/* What set_blocking and set_cloexec change: to be put back. */
struct nb__flags {
    int of_descriptor;
    int of_file;
};
int nb__sys_get_flags(int fd, struct nb__flags *out);
int nb__sys_set_flags(int fd, const struct nb__flags *flags);
int nb__sys_shutdown(int fd, int how);
/* The descriptor is gone whatever this returns: never call it twice. */
int nb__sys_close(int fd);

ssize_t nb__sys_recv(int fd, void *buf, size_t length, int flags);
/* The sends never raise SIGPIPE. */
ssize_t nb__sys_send(int fd, const void *data, size_t length, int flags);
ssize_t nb__sys_sendmsg(int fd, struct iovec *parts, size_t count, int flags);

/* What a name in the file system stands for. */
struct nb__file {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    unsigned mode; /* the permissions alone */
    bool is_regular;
    bool is_socket;
    bool is_link;
};

/* Looks at the name itself: a symbolic link is not followed by this, nor by the next two. */
int nb__sys_file_look(const char *path, struct nb__file *out);
int nb__sys_file_set_mode(const char *path, unsigned mode);
int nb__sys_file_remove(const char *path);
/* This one follows a symbolic link: for systems that say EOPNOTSUPP to the one above. */
int nb__sys_file_set_mode_following(const char *path, unsigned mode);
/* The mode, less the umask, of the file that a socket makes when it is bound. (Linux.) */
int nb__sys_set_mode(int fd, unsigned mode);
/* Whether it is on a file system that this kernel alone manages: 1, or 0 for those that others see, too, or
   that a program makes up (network file systems, FUSE). A symbolic link is followed. */
int nb__sys_file_is_local(const char *path);
/* A file that is there to be locked, for reading and writing: made, for its owner alone, when it is not
   there. A symbolic link is refused. */
int nb__sys_lock_file_open(const char *path);
/* What a descriptor stands for. */
int nb__sys_file_of(int fd, struct nb__file *out);
/* An advisory lock of this descriptor alone. -EAGAIN when somebody else has it. */
int nb__sys_lock(int fd);
int nb__sys_unlock(int fd);

/* Reads from a place in a file, which is at most INT64_MAX. */
ssize_t nb__sys_pread(int fd, void *buf, size_t length, uint64_t offset);

/* Waits for events until a deadline: how many descriptors have some, 0 when the deadline passed (or
   after 68 years, when it is further away). */
int nb__sys_poll(struct pollfd *fds, nfds_t count, nb_deadline by);

/* A condition whose waits have deadlines: 0 when it was woken, or for nothing; -ETIMEDOUT. */
int nb__sys_cond_init(pthread_cond_t *out);
int nb__sys_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, nb_deadline by);

/* A wake-up: fds[0] becomes readable when fds[1] is rung. They may be one and the same. */
int nb__sys_wake_open(int fds[2]);
/* Async-signal-safe. */
int nb__sys_wake_ring(const int fds[2]);
/* Makes it silent again. */
int nb__sys_wake_clear(const int fds[2]);
void nb__sys_wake_close(const int fds[2]);

/* How many connections wait in the queue of a listening socket; -EOPNOTSUPP where that is not told. */
int nb__sys_queue_length(int fd);
/* 1 when all that was sent, with the end if that was, has been acknowledged, or on a Unix socket received by
   the peer, else 0; -EOPNOTSUPP where that is not told. */
int nb__sys_acknowledged(int fd);
/* 1 when TCP has closed the connection in both directions, else 0. */
int nb__sys_tcp_closed(int fd);
/* 1 when we have ended our stream over TCP, or there is no connection any more, else 0. */
int nb__sys_tcp_ended(int fd);

/* Whether a Unix socket, and those accepted from it, take the descriptors that a peer sends: SO_PASSRIGHTS,
   since Linux 6.16. */
int nb__sys_pass_rights(int fd, bool pass);

/* Who is at the other end of a Unix socket. */
int nb__sys_peer_credentials(int fd, int64_t *pid, int64_t *uid, int64_t *gid);

/* The index of an interface, from its name; -ENXIO when there is none. */
int nb__sys_if_index(const char *name);
/* The name of an interface, into IF_NAMESIZE bytes. */
int nb__sys_if_name(unsigned index, char *name);

/* Memory, cleared, to be freed by free(3); NULL when there is none. */
void *nb__sys_calloc(size_t count, size_t size);
void *nb__sys_realloc(void *memory, size_t size);

/* Starts a thread with all signals blocked, so that none that is meant for the process is handled on it;
   except for faults, SIGABRT and SIGPROF, which are as in the calling thread. The stack is what the thread
   can use: what the C library takes from it for the thread's own variables comes on top. */
int nb__sys_thread_start(pthread_t *out, size_t stack_size, void *(*run)(void *), void *argument);

/* Finds out what could unload this library, when that is loaded: later the dynamic linker may be busy for
   as long as the constructors of somebody else's library take. */
void nb__sys_library_find(void);
/* Keeps this library loaded until it is released: *out is what to release, NULL when nothing could
   unload it. Otherwise this and releasing wait while another thread loads a library. 0, or -ENOMEM. */
int nb__sys_library_hold(void **out);
/* For callers that the library outlives. NULL is fine here and below. */
void nb__sys_library_release(void *held);
/* Releases it when the calling thread has left our code for good; never when that takes memory which is
   not there. */
void nb__sys_library_release_later(void *held);

/* These six are async-signal-safe. */
int nb__sys_getpid(void);
/* A number above 0 that this process shares with none that it was forked from. Their PIDs may be equal:
   each PID namespace counts anew. (The first call is not for a signal handler.) */
int nb__sys_process(void);
int nb__sys_sigaction(int number, const struct sigaction *action, struct sigaction *old);
/* Opens a signal in the calling thread: 1 when it was blocked, else 0. */
int nb__sys_signal_open(int number);
int nb__sys_signal_block(int number);
/* Sends a signal to the calling thread. */
int nb__sys_raise(int number);

/* Looks up the addresses of a host: 0 or an EAI code. With EAI_SYSTEM, *error is the errno. */
int nb__sys_getaddrinfo(const char *host, struct addrinfo **out, int *error);
void nb__sys_freeaddrinfo(struct addrinfo *list);

#endif
