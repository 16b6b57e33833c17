/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A test of the file of a Unix socket that is seen through FUSE, as bindfs(1) and sshfs(1) show it:
 *         it refuses connections, though a server may listen where it comes from. */
#include "support.h"

#include <sys/stat.h>
#include <sys/wait.h>

#if defined(__has_include)
#if __has_include(<linux/fuse.h>)
#define HAS_FUSE
#endif
#endif

#ifdef HAS_FUSE
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/uio.h>

/* A directory with a socket and, once it was made, a file: their numbers. */
enum node { DIRECTORY = FUSE_ROOT_ID, SOCKET, FILE_BESIDE };

static bool has_file;
static atomic_int removals; /* of the socket */

static void reply(int fd, const struct fuse_in_header *to, int error, void *body, size_t size)
{
    struct fuse_out_header header = {(uint32_t)(sizeof(header) + size), -error, to->unique};
    struct iovec parts[] = {{&header, sizeof(header)}, {body, size}};

    (void)!writev(fd, parts, 2);
}

static struct fuse_attr attributes_of(uint64_t node)
{
    struct fuse_attr attributes = {.ino = node, .nlink = 1};

    attributes.mode = node == DIRECTORY ? S_IFDIR | 0700 : S_IFREG | 0600;
    if (node == SOCKET)
        attributes.mode = S_IFSOCK | 0600;
    return attributes;
}

/* Tells of a name in the directory, and that it is open when it was made. */
static void reply_with(int fd, const struct fuse_in_header *to, uint64_t node)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out opened;
    } body;

    memset(&body, 0, sizeof(body));
    body.entry.nodeid = node;
    body.entry.attr = attributes_of(node);
    reply(fd, to, 0, &body, to->opcode == FUSE_CREATE ? sizeof(body) : sizeof(body.entry));
}

static void look_up(int fd, const struct fuse_in_header *request, const char *name)
{
    if (strcmp(name, "socket") == 0)
        reply_with(fd, request, SOCKET);
    else if (has_file)
        reply_with(fd, request, FILE_BESIDE);
    else
        reply(fd, request, ENOENT, NULL, 0);
}

static void serve(int fd, const struct fuse_in_header *request, const void *body)
{
    struct fuse_init_out init = {
        .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096};
    struct fuse_attr_out found = {.attr = attributes_of(request->nodeid)};
    struct fuse_statfs_out of_system;

    memset(&of_system, 0, sizeof(of_system));
    switch (request->opcode) {
    case FUSE_INIT:
        reply(fd, request, 0, &init, sizeof(init));
        break;
    case FUSE_LOOKUP:
        look_up(fd, request, body);
        break;
    case FUSE_GETATTR:
        reply(fd, request, 0, &found, sizeof(found));
        break;
    case FUSE_STATFS:
        reply(fd, request, 0, &of_system, sizeof(of_system));
        break;
    case FUSE_CREATE:
        has_file = true;
        reply_with(fd, request, FILE_BESIDE);
        break;
    case FUSE_UNLINK:
        if (strcmp(body, "socket") == 0)
            removals++;
        else
            has_file = false;
        reply(fd, request, 0, NULL, 0);
        break;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
        reply(fd, request, 0, NULL, 0);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break; /* nobody waits for an answer */
    default:
        reply(fd, request, ENOSYS, NULL, 0);
    }
}

static void *serve_all(void *device)
{
    static _Alignas(struct fuse_in_header) char request[FUSE_MIN_READ_BUFFER * 2];
    int fd = *(int *)device;

    while (read(fd, request, sizeof(request)) >= (ssize_t)sizeof(struct fuse_in_header))
        serve(fd, (const struct fuse_in_header *)(const void *)request,
              request + sizeof(struct fuse_in_header));
    return NULL;
}

/* In a process of its own: 0, 1 when it cannot be tried here, or what went wrong. */
static int listen_through_fuse(const char *directory)
{
    char text[128];
    nb_listener *listener;
    nb_error err;
    pthread_t thread;
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    (void)snprintf(text, sizeof(text), "fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd,
                   (int)getuid(), (int)getgid());
    if (fd < 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", directory, "fuse", MS_NOSUID | MS_NODEV, text) != 0 ||
        pthread_create(&thread, NULL, serve_all, &fd) != 0)
        return 1;
    (void)snprintf(text, sizeof(text), "unix:%s/socket", directory);
    if (nb_listen(&listener, text, NULL, &err) != NB_ADDRESS_IN_USE)
        return 2;
    if (strstr(err.message, "nobody can tell") == NULL) {
        print_error("%s\n", err.message);
        return 3;
    }
    return removals == 0 ? 0 : 4;
}
#else
static int listen_through_fuse(const char *directory)
{
    (void)directory;
    return 5;
}
#endif

#define TEST(name) TEST_AS(name, CASE)

TEST(a_socket_file_seen_through_fuse_is_kept)
{
    skip_under_valgrind("no file system is made");
    skip_under_qemu("no file system is made");
    char directory[] = "/tmp/nb-fuse-XXXXXX";
    int status;
    pid_t child;

    assert_non_null(mkdtemp(directory));
    child = fork();
    if (child == 0) {
        (void)alarm(20);
        _exit(listen_through_fuse(directory));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(rmdir(directory), 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 1)
        skip_because(access("/dev/fuse", F_OK) == 0 ? "FUSE cannot be mounted here (not root)"
                                                    : "this system has no FUSE");
    if (WEXITSTATUS(status) == 5)
        skip_because("this system has no header of FUSE for this C library");
    assert_int_equal(WEXITSTATUS(status), 0);
}
