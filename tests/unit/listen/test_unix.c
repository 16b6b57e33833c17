/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of listening on Unix sockets, and of what becomes of their files. */
#undef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64 /* some systems number files with so many */

#include "net/address_internal.h"
#include "servers.h"
#include "sys/sys.h"

#include <dirent.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What happens meanwhile; each case begins without. */
static struct {
    void (*after_bind)(void);
    void (*before_listen)(void);
    void (*after_connect)(void);
    int connect_error; /* of the next one */
    void (*before_remove)(void);
    void (*after_lock_open)(void);
} meanwhile;

/* The place of the case, and the path of its socket there, and of what is locked for that. */
static char directory[32];
static char path[64];
static char lock_path[80];
static char endpoint[80];

static nb_error err;

static int own_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int failed = real.bind(fd, address, length);

    if (failed == 0 && meanwhile.after_bind != NULL)
        meanwhile.after_bind();
    return failed;
}

REPLACE(bind, own_bind)

static int own_listen(int fd, int backlog)
{
    if (meanwhile.before_listen != NULL)
        meanwhile.before_listen();
    return real.listen(fd, backlog);
}

REPLACE(listen, own_listen)

/* Somebody who comes after the stop, when the loop is about to take those that wait. */
static struct {
    atomic_bool comes;
    nb_address to;
    atomic_int result; /* of connecting */
} latecomer;

static int own_accept(int fd, struct sockaddr *peer, socklen_t *length)
{
    if (atomic_exchange(&latecomer.comes, false)) {
        int saved = errno;

        latecomer.result = dial_quietly(&latecomer.to);
        if (latecomer.result >= 0)
            close(latecomer.result);
        errno = saved;
    }
    return real.accept(fd, peer, length);
}

REPLACE(accept, own_accept)

static int own_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int error = meanwhile.connect_error;
    int failed = error != 0 ? -error : real.connect(fd, address, length);

    meanwhile.connect_error = 0;
    if (meanwhile.after_connect != NULL)
        meanwhile.after_connect();
    return failed;
}

REPLACE(connect, own_connect)

/* What happens in a case is for the socket. */
static bool is_lock(const char *name)
{
    return strcmp(name, lock_path) == 0;
}

static int own_file_remove(const char *name)
{
    if (meanwhile.before_remove != NULL && !is_lock(name))
        meanwhile.before_remove();
    return real.file_remove(name);
}

REPLACE(file_remove, own_file_remove)

static int own_lock_file_open(const char *name)
{
    int fd = real.lock_file_open(name);

    if (meanwhile.after_lock_open != NULL)
        meanwhile.after_lock_open();
    return fd;
}

REPLACE(lock_file_open, own_lock_file_open)

static int unix_case_begin(void **state)
{
    memset(&meanwhile, 0, sizeof(meanwhile));
    strcpy(directory, "/tmp/nb-unix-XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/socket", directory);
    (void)snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    (void)snprintf(endpoint, sizeof(endpoint), "unix:%s", path);
    return net_case_begin(state);
}

/* How many files there are in the directory of the case. */
static int files(void)
{
    DIR *stream = opendir(directory);
    int count = -2; /* . and .. */

    assert_non_null(stream);
    while (readdir(stream) != NULL)
        count++;
    closedir(stream);
    return count;
}

/* All that is made in the directory of a case has to be gone at its end. */
static int unix_case_end(void **state)
{
    int failed = net_case_end(state);

    if (rmdir(directory) != 0) {
        print_error("something is left in %s\n", directory);
        failed = -1;
    }
    return failed;
}

#undef NET_CASE
#define NET_CASE(name) cmocka_unit_test_setup_teardown(name, unix_case_begin, unix_case_end)
#undef NET_CASE_FOR
#define NET_CASE_FOR(name, mode) CASE_WITH(name, mode, unix_case_begin, unix_case_end)

/* --- Files --- */

static struct stat look_at(const char *name)
{
    struct stat status;

    memset(&status, 0, sizeof(status));
    if (lstat(name, &status) != 0)
        fail_msg("%s: %s", name, strerror(errno));
    return status;
}

static bool exists(const char *name)
{
    struct stat status;

    return lstat(name, &status) == 0;
}

static int mode_of(const char *name)
{
    return (int)(look_at(name).st_mode & 07777);
}

/* A bound socket of a type. The case closes it. */
static int bound_socket(const char *name, int type)
{
    char text[NB_ADDRESS_TEXT_MAX];
    socklen_t length;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    (void)snprintf(text, sizeof(text), "unix:%s", name);
    nb_address address = address_of(text);
    const struct sockaddr *raw = nb__address_sockaddr(&address, &length);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, raw, length), 0);
    return fd;
}

static int listening_socket(const char *name, int backlog)
{
    int fd = bound_socket(name, SOCK_STREAM);

    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/* What a server leaves behind that dies. */
static void leave_dead_socket(const char *name)
{
    raw_close(listening_socket(name, 8));
}

/* A path in the directory of the case; good until the next call. */
static const char *name_there(const char *name)
{
    static char text[64];

    (void)snprintf(text, sizeof(text), "%s/%s", directory, name);
    return text;
}

static void make_file(const char *name)
{
    raw_close(open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
}

static void remove_file(const char *name)
{
    assert_int_equal(unlink(name), 0);
}

/* Locks a file; raw_close() unlocks it. -1 when somebody else has the lock. */
static int lock_of(const char *name, int flags)
{
    int fd = open(name, flags | O_CLOEXEC, 0600);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    raw_close(fd);
    return -1;
}

/* Locks the path of the case in the library's way; unlock_path() ends that. */
static int lock_path_of_case(void)
{
    return lock_of(lock_path, O_RDWR | O_CREAT);
}

static void unlock_path(int lock)
{
    remove_file(lock_path);
    raw_close(lock);
}

static void check_unlocked(void)
{
    assert_false(exists(lock_path));
}

/* --- Listening --- */

/* Listens at the path of the case, and ends that again. */
static void listen_and_close(void)
{
    (void)listen_here(endpoint);
    close_listener();
}

static nb_listen_options with_mode(int64_t mode)
{
    return (nb_listen_options){.size = sizeof(nb_listen_options), .unix_mode = mode};
}

/* That listening fails, and the message has the endpoint and a word of the reason. */
static void check_refused(const char *where, const nb_listen_options *options, nb_status expected,
                          const char *word)
{
    nb_listener *listener = (nb_listener *)(void *)&meanwhile;
    nb_status status = nb_listen(&listener, where, options, &err);

    nb_listener_close(listener);
    assert_status(status, expected);
    assert_null(listener);
    assert_status(err.status, expected);
    assert_non_null(strstr(err.message, where));
    if (strstr(err.message, word) == NULL)
        fail_msg("\"%s\" does not tell \"%s\"", err.message, word);
}

/* The same at the path of the case when the call after so many good ones fails. */
static void check_refused_at(enum call on, int good, int error, nb_status expected,
                             const char *word)
{
    fail_after(on, good, error, 1);
    check_refused(endpoint, NULL, expected, word);
}

/* That the path is in use, for a reason, and that what is there stays. */
static void check_stays(const char *word)
{
    struct stat before = look_at(path);
    int count = files();

    check_refused(endpoint, NULL, NB_ADDRESS_IN_USE, word);
    struct stat after = look_at(path);
    assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
    assert_int_equal(files(), count);
    check_unlocked();
}

static void check_reached(void)
{
    nb_address address = socket_address(the_listener, 0);
    char text[NB_ADDRESS_TEXT_MAX];
    int client = dial(&address);
    nb_conn *conn = accept_next();
    nb_address peer = peer_address(conn);

    assert_string_equal(nb_address_format(&peer, text, sizeof(text)), "unix:");
    assert_status(nb_send_all(conn, HELLO, strlen(HELLO), NULL, plenty()), NB_OK);
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_int_equal(answer(client, HELLO), 0);
    hang_up(client);
    assert_status(nb_close(conn, plenty()), NB_OK);
}

#define TEST(name) TEST_AS(name, NET_CASE)

/* --- Where it listens --- */

TEST(a_path_is_listened_on)
{
    assert_same_address(listen_here(endpoint), address_of(endpoint));
    assert_int_equal(nb_listener_count(the_listener), 1);
    assert_true(S_ISSOCK(look_at(path).st_mode));
    check_reached();
    check_unlocked();
}

static const char *abstract_endpoint(void)
{
    static char text[64];

    (void)snprintf(text, sizeof(text), "unix:@%s", directory);
    return text;
}

TEST(an_abstract_name_is_listened_on)
{
    assert_same_address(listen_here(abstract_endpoint()), address_of(abstract_endpoint()));
    assert_int_equal(files(), 0);
    check_reached();
    check_refused(abstract_endpoint(), NULL, NB_ADDRESS_IN_USE, "EADDRINUSE");
}

TEST(a_path_of_maximum_length_is_listened_on)
{
    char name[128], text[160];

    (void)snprintf(name, sizeof(name), "%s/%0*d", directory, (int)(106 - strlen(directory)), 1);
    assert_int_equal(strlen(name), 107);
    (void)snprintf(text, sizeof(text), "unix:%s", name);
    (void)listen_here(text);
    assert_true(exists(name));
    check_reached();
}

TEST(a_path_too_long_to_listen_on_is_refused)
{
    char text[160];

    (void)snprintf(text, sizeof(text), "unix:%s/%0*d", directory, (int)(107 - strlen(directory)),
                   1);
    check_refused(text, NULL, NB_BAD_ENDPOINT, "too long");
    assert_int_equal(files(), 0);
}

TEST(one_accept_serves_unix_sockets_beside_others)
{
    nb_listen_options odd = with_mode(0);

    odd.backlog = 1;
    (void)listen_here(endpoint);
    assert_status(nb_listener_add(the_listener, "127.0.0.1:0", NULL, NULL), NB_OK);
    assert_status(nb_listener_add(the_listener, abstract_endpoint(), &odd, NULL), NB_OK);
    assert_status(nb_listener_add(the_listener, endpoint, NULL, &err), NB_ADDRESS_IN_USE);
    assert_int_equal(nb_listener_count(the_listener), 3);
    for (size_t i = 0; i < 3; i++) {
        nb_address address = socket_address(the_listener, i);

        (void)dial(&address);
        nb_abort(accept_next());
    }
}

TEST(a_listener_refuses_more_unix_sockets_than_it_can_hold)
{
    char text[80];

    (void)listen_here(abstract_endpoint());
    for (int i = 1; i < NB_LISTENER_SOCKETS_MAX; i++) {
        (void)snprintf(text, sizeof(text), "%s/%d", abstract_endpoint(), i);
        assert_status(nb_listener_add(the_listener, text, NULL, NULL), NB_OK);
    }
    assert_status(nb_listener_add(the_listener, endpoint, NULL, &err), NB_TOO_LONG);
    assert_non_null(strstr(err.message, "64"));
    assert_int_equal(files(), 0);
}

TEST(a_missing_directory_is_named)
{
    char text[96];

    (void)snprintf(text, sizeof(text), "unix:%s/none/socket", directory);
    check_refused(text, NULL, NB_ADDRESS_UNAVAILABLE, "ENOENT");
}

/* Descriptors that a child would have after exec. */
static int inheritable(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) == 0;
    return count;
}

static int inheritable_meanwhile;

static void count_inheritable(void)
{
    inheritable_meanwhile = inheritable();
}

/* The one of the lock, too, which is there only until the socket listens. */
TEST(no_descriptor_is_inheritable_while_listening_begins)
{
    meanwhile.before_listen = count_inheritable;
    inheritable_meanwhile = -1;
    (void)listen_here(endpoint);
    assert_int_equal(inheritable_meanwhile, inheritable());
}

TEST(success_keeps_errno_and_descriptors_are_close_on_exec)
{
    leave_dead_socket(path);
    errno = 4711;
    (void)listen_here(endpoint);
    assert_int_equal(errno, 4711);
    assert_int_equal(fcntl(nb_listener_fd(the_listener, 0), F_GETFD), FD_CLOEXEC);
}

TEST(tcp_options_are_refused_for_unix_sockets)
{
    nb_listen_options options = {.size = sizeof(options), .keepalive_count = 3};

    check_refused(endpoint, &options, NB_UNSUPPORTED, "keepalive_count");
    assert_int_equal(files(), 0);
}

/* --- The mode of its file --- */

/* The mode of the file after listening under an umask, which stays. */
static int mode_under(mode_t mask, int64_t asked)
{
    nb_listen_options options = with_mode(asked);
    mode_t old = umask(mask);

    assert_status(nb_listen(&the_listener, endpoint, &options, NULL), NB_OK);
    int mode = mode_of(path);
    close_listener();
    assert_int_equal(umask(old), mask);
    return mode;
}

TEST(the_socket_file_is_for_its_owner_only_by_default)
{
    assert_int_equal(mode_under(0, 0), 0600);
    assert_int_equal(mode_under(022, 0), 0600);
    assert_int_equal(mode_under(0777, 0), 0600);
}

TEST(the_socket_file_has_the_requested_mode_whatever_the_umask)
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    static const int modes[] = {0660, 0666, 0777, 0200, 0001};

    for (size_t i = 0; i < COUNT(masks); i++) {
        for (size_t j = 0; j < COUNT(modes); j++)
            assert_int_equal(mode_under(masks[i], modes[j]), modes[j]);
    }
}

static void check_not_wider(void)
{
    assert_int_equal(mode_of(path) & ~0620, 0);
}

static void check_as_asked(void)
{
    assert_int_equal(mode_of(path), 0620);
}

TEST(the_mode_of_the_socket_file_is_never_wider_than_requested)
{
    meanwhile.after_bind = check_not_wider;
    meanwhile.before_listen = check_as_asked;
    assert_int_equal(mode_under(0, 0620), 0620);
    assert_int_equal(mode_under(0777, 0620), 0620);
    assert_int_equal(calls(ON_LISTEN), 2);
}

TEST(a_mode_that_cannot_be_set_before_bind_is_set_before_listen)
{
    meanwhile.before_listen = check_as_asked;
    fail_next(ON_SET_MODE, EINVAL, -1);
    assert_int_equal(mode_under(0, 0620), 0620);
}

/* The C library may need /proc for what the kernel does not do by itself. */
TEST(a_mode_is_set_without_support_for_not_following_links)
{
    meanwhile.before_listen = check_as_asked;
    fail_next(ON_FILE_SET_MODE, EOPNOTSUPP, -1);
    assert_int_equal(mode_under(0777, 0620), 0620);
    assert_int_equal(calls(ON_FILE_SET_MODE_FOLLOWING), 1);
}

/* Gives the process that calls it mounts of its own. */
static bool has_own_mounts(void)
{
    return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* In a process of its own, which ends with 0, with 1 when it cannot be tried here, or with what went wrong. */
static void check_in_child(int (*run)(void), const char *why_not)
{
    skip_under_valgrind("a child answers for the memory of its parent");
    pid_t process = fork();
    if (process == 0)
        _exit(run());
    int status = exit_status(process);
    if (status == 1)
        skip_because(why_not);
    assert_int_equal(status, 0);
}

static int listen_without_proc(void)
{
    nb_listen_options options = with_mode(0660);
    nb_listener *listener;
    struct stat status = {0};

    umask(022);
    if (!has_own_mounts() || mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        return 1;
    if (nb_listen(&listener, endpoint, &options, &err) != NB_OK) {
        print_error("%s\n", err.message);
        return 2;
    }
    if (lstat(path, &status) != 0 || (status.st_mode & 07777) != 0660)
        return 3;
    nb_listener_close(listener);
    return 0;
}

TEST(a_mode_is_set_without_proc)
{
    skip_under_valgrind("there is no way without /proc");
    skip_under_qemu("there is no way without /proc");
    check_in_child(listen_without_proc, "/proc cannot be hidden here");
}

TEST(a_mode_that_the_file_system_refuses_is_named)
{
    nb_listen_options options = with_mode(0666);
    mode_t mask = umask(022);

    fail_next(ON_FILE_SET_MODE, EINVAL, 1);
    check_refused(endpoint, &options, NB_SYSTEM, "unix_mode: ");
    fail_next(ON_FILE_SET_MODE, EOPNOTSUPP, 1);
    fail_next(ON_FILE_SET_MODE_FOLLOWING, EOPNOTSUPP, 1);
    check_refused(endpoint, &options, NB_UNSUPPORTED, "unix_mode: ");
    umask(mask);
    assert_int_equal(files(), 0);
}

static int ignore_file_mode(const char *name, unsigned mode)
{
    (void)name;
    (void)mode;
    return 0;
}

static int ignore_mode(int fd, unsigned mode)
{
    (void)fd;
    (void)mode;
    return 0;
}

/* As on FUSE, where everything has the mode that whoever mounted it wants. */
TEST(a_mode_that_the_file_system_ignores_is_named)
{
    nb_listen_options options = with_mode(0666);
    mode_t mask = umask(0);

    sys.file_set_mode = ignore_file_mode;
    sys.set_mode = ignore_mode;
    check_refused(endpoint, NULL, NB_UNSUPPORTED, "unix_mode: ");
    check_refused(endpoint, &options, NB_UNSUPPORTED, "unix_mode: ");
    umask(mask);
    assert_int_equal(files(), 0);
}

TEST(a_mode_out_of_range_is_invalid)
{
    static const int64_t modes[] = {-1, 01000, 010600, INT64_MAX, INT64_MIN};

    for (size_t i = 0; i < COUNT(modes); i++) {
        nb_listen_options options = with_mode(modes[i]);

        assert_status(nb_listen(&the_listener, endpoint, &options, &err), NB_INVALID);
        assert_null(the_listener);
        assert_non_null(strstr(err.message, "unix_mode"));
    }
    assert_int_equal(files(), 0);
}

TEST(a_mode_for_an_endpoint_without_a_file_is_unsupported)
{
    nb_listen_options options = with_mode(0600);

    check_refused(abstract_endpoint(), &options, NB_UNSUPPORTED, "unix_mode");
    check_refused("127.0.0.1:0", &options, NB_UNSUPPORTED, "unix_mode");
    check_refused("localhost:0", &options, NB_UNSUPPORTED, "unix_mode");
}

/* --- What was left behind --- */

TEST(a_stale_socket_file_is_replaced)
{
    leave_dead_socket(path);
    (void)listen_here(endpoint);
    assert_int_equal(mode_of(path), 0600);
    check_reached();
    check_unlocked();
}

TEST(the_socket_file_of_a_live_server_is_kept)
{
    int server = listening_socket(path, 8);
    nb_address address = address_of(endpoint);
    char byte;

    check_stays("a server listens there");
    int knocked = accept(server, NULL, NULL);
    assert_int_equal(recv(knocked, &byte, 1, 0), 0);
    raw_close(knocked);
    (void)dial(&address);
    raw_close(accept(server, NULL, NULL));
    raw_close(server);
    remove_file(path);
}

TEST(the_socket_file_of_a_server_with_a_full_queue_is_kept)
{
    int server = listening_socket(path, 0);
    nb_address address = address_of(endpoint);

    (void)dial(&address); /* one fits even into a queue of none */
    check_stays("a server listens there");
    raw_close(server);
    remove_file(path);
}

TEST(the_socket_file_of_a_listener_of_this_library_is_kept)
{
    (void)listen_here(endpoint);
    check_stays("a server listens there");
}

TEST(a_symbolic_link_is_never_removed)
{
    const char *target = name_there("target");

    assert_int_equal(symlink(target, path), 0);
    check_stays("symbolic link"); /* to nothing */
    leave_dead_socket(target);
    check_stays("symbolic link"); /* to a dead socket */
    assert_true(exists(target));
    remove_file(path);
    remove_file(target);
}

TEST(other_kinds_of_files_are_never_removed)
{
    make_file(path);
    check_stays("no socket");
    remove_file(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    check_stays("no socket");
    remove_file(path);
    assert_int_equal(mkdir(path, 0700), 0);
    check_stays("no socket");
    assert_int_equal(rmdir(path), 0);
}

TEST(socket_files_of_other_types_are_never_removed)
{
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};

    for (size_t i = 0; i < COUNT(types); i++) {
        int fd = bound_socket(path, types[i]);

        if (types[i] == SOCK_SEQPACKET)
            assert_int_equal(listen(fd, 1), 0);
        check_stays("another type");
        raw_close(fd);
        remove_file(path);
    }
}

TEST(a_socket_file_that_cannot_be_probed_is_kept)
{
    static const int errors[] = {EACCES, EPERM, EIO};

    leave_dead_socket(path);
    for (size_t i = 0; i < COUNT(errors); i++) {
        fail_next(ON_CONNECT, errors[i], 1);
        check_stays("does not tell");
    }
    fail_next(ON_CONNECT, EINPROGRESS, 1);
    check_stays("a server listens there");
    remove_file(path);
}

/* The root of a container is such a file system, and its servers have to start again. */
static int replace_on_overlay(void)
{
    char options[128];
    nb_listener *listener;

    (void)snprintf(options, sizeof(options), "lowerdir=%s/l,upperdir=%s/u,workdir=%s/w", directory,
                   directory, directory);
    if (!has_own_mounts() || mount("none", directory, "tmpfs", 0, NULL) != 0 ||
        chdir(directory) != 0 || mkdir("l", 0700) != 0 || mkdir("u", 0700) != 0 ||
        mkdir("w", 0700) != 0 || mkdir("m", 0700) != 0 ||
        mount("overlay", "m", "overlay", 0, options) != 0)
        return 1;
    (void)snprintf(path, sizeof(path), "%s/m/socket", directory);
    (void)snprintf(endpoint, sizeof(endpoint), "unix:%s", path);
    leave_dead_socket(path);
    if (nb_listen(&listener, endpoint, NULL, &err) == NB_OK)
        return 0;
    print_error("%s\n", err.message);
    return 2;
}

TEST(a_stale_socket_file_on_an_overlay_is_replaced)
{
    check_in_child(replace_on_overlay, "no overlay can be mounted here");
}

static int others_see_it(const char *name)
{
    (void)name;
    return 0;
}

/* A server may listen on another machine, or below a file system that a program makes up. */
TEST(a_socket_file_on_a_non_local_file_system_is_kept)
{
    leave_dead_socket(path);
    sys.file_is_local = others_see_it;
    check_stays("nobody can tell");
    sys.file_is_local = real.file_is_local;
    fail_next(ON_FILE_IS_LOCAL, EIO, 1);
    check_stays("nobody can tell");
    listen_and_close();
}

/* What is another socket by the time it is to be removed is left alone. */
static void check_another_stays(void (*becomes_another)(void))
{
    leave_dead_socket(path);
    meanwhile.after_connect = becomes_another;
    check_refused(endpoint, NULL, NB_ADDRESS_IN_USE, "just made");
    assert_true(exists(path));
    remove_file(path);
}

static void replace_socket(void)
{
    const char *other = name_there("other");

    meanwhile.after_connect = NULL;
    leave_dead_socket(other);
    assert_int_equal(rename(other, path), 0);
}

TEST(a_socket_file_that_replaces_the_stale_one_is_kept)
{
    check_another_stays(replace_socket);
}

static int look_at_another_device(const char *name, struct nb__file *out)
{
    int failed = real.file_look(name, out);

    out->device += !is_lock(name);
    return failed;
}

static void change_device(void)
{
    sys.file_look = look_at_another_device;
}

TEST(a_socket_file_with_the_same_inode_on_another_device_is_kept)
{
    check_another_stays(change_device);
}

static void remove_socket(void)
{
    meanwhile.after_connect = NULL;
    remove_file(path);
}

TEST(a_stale_socket_file_that_disappears_meanwhile_does_no_harm)
{
    leave_dead_socket(path);
    meanwhile.after_connect = remove_socket;
    listen_and_close();
    fail_next(ON_BIND, EADDRINUSE, 1); /* and is gone at the first look */
    listen_and_close();
    leave_dead_socket(path);
    meanwhile.connect_error = ENOENT; /* or when asked */
    meanwhile.after_connect = remove_socket;
    listen_and_close();
    leave_dead_socket(path);
    fail_next(ON_FILE_REMOVE, ENOENT, 1);
    check_refused_at(ON_BIND, 1, EACCES, NB_PERMISSION, "EACCES"); /* it tried again */
    remove_file(path);
}

TEST(losing_the_race_for_a_path_is_address_in_use)
{
    leave_dead_socket(path);
    fail_next(ON_BIND, EADDRINUSE, 2);
    check_refused(endpoint, NULL, NB_ADDRESS_IN_USE, "EADDRINUSE");
    assert_int_equal(calls(ON_BIND), 2);
    assert_int_equal(files(), 0);
}

TEST(a_failure_while_probing_a_stale_socket_file_is_reported)
{
    leave_dead_socket(path);
    check_refused_at(ON_SOCKET, 1, EMFILE, NB_NO_DESCRIPTORS, "EMFILE");
    check_refused_at(ON_SOCKET, 1, ENOBUFS, NB_NO_MEMORY, "ENOBUFS");
    check_refused_at(ON_CONNECT, 0, ENOMEM, NB_NO_MEMORY, "ENOMEM");
    check_refused_at(ON_SOCKET, 1, ENFILE, NB_NO_DESCRIPTORS, "ENFILE");
    check_refused_at(ON_FILE_LOOK, 1, EIO, NB_SYSTEM, "EIO"); /* the first look is at the lock */
    check_refused_at(ON_FILE_LOOK, 2, EACCES, NB_PERMISSION, "EACCES");
    check_refused_at(ON_FILE_REMOVE, 0, EPERM, NB_PERMISSION, "EPERM");
    check_unlocked();
    assert_int_equal(files(), 1);
    remove_file(path);
}

/* --- The lock --- */

TEST(a_stale_socket_file_is_kept_when_the_lock_cannot_be_taken)
{
    int64_t begin = now_ns();

    leave_dead_socket(path);
    int lock = lock_path_of_case();
    check_refused(endpoint, NULL, NB_ADDRESS_IN_USE, "locked by somebody else");
    assert_true(ms_since(begin) >= 100);
    unlock_path(lock);
    check_refused_at(ON_LOCK_FILE_OPEN, 0, EACCES, NB_ADDRESS_IN_USE, "cannot be locked");
    check_refused_at(ON_LOCK, 0, EBADF, NB_ADDRESS_IN_USE, "cannot be locked");
    assert_true(exists(path));
    remove_file(lock_path); /* nobody removes what he could not lock */
    listen_and_close();
}

TEST(a_free_path_is_listened_on_when_the_lock_cannot_be_taken)
{
    int lock = lock_path_of_case();

    listen_and_close();
    unlock_path(lock);
    fail_next(ON_LOCK_FILE_OPEN, EACCES, 1);
    listen_and_close();
}

/* Anybody can lock a directory that he can read. */
TEST(a_lock_on_the_directory_does_not_prevent_listening)
{
    int lock = lock_of(directory, O_RDONLY | O_DIRECTORY);

    assert_true(lock >= 0);
    leave_dead_socket(path);
    listen_and_close();
    raw_close(lock);
}

static int mode_of_lock;

static void note_mode_of_lock(void)
{
    mode_of_lock = mode_of(lock_path);
}

/* Nobody else can open it, and so nobody else can lock it. */
TEST(the_lock_file_is_for_its_owner_only)
{
    mode_t mask = umask(0);

    meanwhile.before_listen = note_mode_of_lock;
    (void)listen_here(endpoint);
    umask(mask);
    assert_int_equal(mode_of_lock, 0600);
    assert_int_equal(files(), 1);
}

TEST(a_leftover_lock_file_does_no_harm)
{
    leave_dead_socket(path);
    make_file(lock_path);
    listen_and_close();
    assert_int_equal(files(), 0);
}

/* Other programs keep their number in such files. */
TEST(a_lock_file_of_another_program_is_kept)
{
    int file = open(lock_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_int_equal(write(file, "4711", 4), 4);
    raw_close(file);
    listen_and_close();
    assert_int_equal(files(), 1);
    assert_int_equal(look_at(lock_path).st_size, 4);
    remove_file(lock_path);
}

TEST(a_lock_path_that_is_not_a_regular_file_is_kept)
{
    const char *target = name_there("target");

    leave_dead_socket(path);
    assert_int_equal(symlink(target, lock_path), 0);
    check_refused(endpoint, NULL, NB_ADDRESS_IN_USE, "cannot be locked");
    assert_false(exists(target));
    remove_file(lock_path);
    assert_int_equal(mkfifo(lock_path, 0600), 0);
    check_refused(endpoint, NULL, NB_ADDRESS_IN_USE, "cannot be locked");
    remove_file(lock_path);
    assert_int_equal(mkdir(lock_path, 0700), 0);
    check_refused(endpoint, NULL, NB_ADDRESS_IN_USE, "cannot be locked");
    assert_int_equal(rmdir(lock_path), 0);
    remove_file(path);
}

/* Who had the lock removes its file: what was opened before that is nobody's any more. */
static void remove_lock(void)
{
    meanwhile.after_lock_open = NULL;
    remove_file(lock_path);
}

static void replace_lock(void)
{
    remove_lock();
    make_file(lock_path);
}

TEST(the_lock_is_retaken_when_its_file_was_removed_or_replaced)
{
    static void (*const ends[])(void) = {remove_lock, replace_lock};

    for (size_t i = 0; i < COUNT(ends); i++) {
        leave_dead_socket(path);
        meanwhile.after_lock_open = ends[i];
        listen_and_close();
        assert_int_equal(calls(ON_LOCK), 2 * (int)(i + 1));
        assert_int_equal(files(), 0);
    }
}

TEST(listening_waits_for_the_lock)
{
    leave_dead_socket(path);
    fail_next(ON_LOCK, EAGAIN, 3);
    fail_next(ON_POLL, EINTR, 1);
    listen_and_close();
    assert_int_equal(calls(ON_LOCK), 4);
}

static void check_locked(void)
{
    assert_int_equal(lock_of(lock_path, O_RDWR), -1);
}

TEST(the_path_is_locked_until_the_socket_listens)
{
    meanwhile.after_bind = meanwhile.before_listen = check_locked;
    (void)listen_here(endpoint);
    check_unlocked();
}

static int child_ends_with[2];
static pid_t child;

static void fork_child(void)
{
    char byte;

    child = fork();
    if (child == 0) {
        close(child_ends_with[1]);
        _exit((int)read(child_ends_with[0], &byte, 1));
    }
}

TEST(a_child_forked_meanwhile_does_not_hold_the_lock)
{
    int status;

    assert_int_equal(pipe(child_ends_with), 0);
    meanwhile.before_listen = fork_child;
    (void)listen_here(endpoint);
    check_unlocked();
    close(child_ends_with[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(child_ends_with[0]);
}

/* Listens when the barrier falls, tells how that went, and keeps listening until the end falls. */
static pid_t start_rival(const int barrier[2], const int end[2], int report)
{
    pid_t rival = fork();
    nb_listener *listener;
    unsigned char status;
    char byte;

    if (rival != 0)
        return rival;
    close(barrier[1]);
    close(end[1]);
    (void)!read(barrier[0], &byte, 1);
    status = (unsigned char)nb_listen(&listener, endpoint, NULL, NULL);
    (void)!write(report, &status, 1);
    (void)!read(end[0], &byte, 1);
    _exit(0);
}

TEST(only_one_of_many_servers_replaces_a_stale_socket_file)
{
    enum { RIVALS = 6 };
    pid_t rivals[RIVALS];
    nb_address address = address_of(endpoint);
    int barrier[2], end[2], report[2];
    int winners = 0;

    leave_dead_socket(path);
    assert_int_equal(pipe(barrier) | pipe(end) | pipe(report), 0);
    for (int i = 0; i < RIVALS; i++)
        rivals[i] = start_rival(barrier, end, report[1]);
    close(barrier[1]);
    for (int i = 0; i < RIVALS; i++) {
        unsigned char status = 0;

        assert_int_equal(read(report[0], &status, 1), 1);
        assert_true(status == NB_OK || status == NB_ADDRESS_IN_USE);
        winners += status == NB_OK;
    }
    assert_int_equal(winners, 1);
    (void)dial(&address);
    close(end[1]);
    for (int i = 0; i < RIVALS; i++)
        assert_int_equal(waitpid(rivals[i], NULL, 0), rivals[i]);
    raw_close(barrier[0]);
    raw_close(end[0]);
    raw_close(report[0]);
    raw_close(report[1]);
    remove_file(path);
}

/* --- Failures leave nothing behind --- */

TEST(a_failure_after_bind_leaves_no_file)
{
    static const struct {
        enum call on;
        int good; /* so many before it */
        int error;
        nb_status status;
    } rows[] = {
        {ON_FILE_LOOK, 1, EACCES, NB_PERMISSION}, /* one look is at the lock */
        {ON_FILE_SET_MODE, 0, EPERM, NB_PERMISSION},
        {ON_LISTEN, 0, ENOBUFS, NB_NO_MEMORY},
    };
    nb_listen_options options = with_mode(0666);
    mode_t mask = umask(022);

    for (size_t i = 0; i < COUNT(rows); i++) {
        fail_after(rows[i].on, rows[i].good, rows[i].error, 1);
        check_refused(endpoint, &options, rows[i].status, nb_status_text(rows[i].status));
        assert_int_equal(files(), 0);
        check_unlocked();
    }
    umask(mask);
}

TEST(a_failure_before_bind_leaves_no_file)
{
    check_refused_at(ON_SOCKET, 0, EMFILE, NB_NO_DESCRIPTORS, "EMFILE");
    check_refused_at(ON_BIND, 0, EACCES, NB_PERMISSION, "EACCES");
    fail_next(ON_LISTEN, EOPNOTSUPP, 1);
    check_refused(abstract_endpoint(), NULL, NB_UNSUPPORTED, "EOPNOTSUPP");
    assert_int_equal(files(), 0);
}

/* --- The end --- */

TEST(closing_the_listener_removes_its_socket_file)
{
    (void)listen_here(endpoint);
    assert_int_equal(files(), 1);
    nb_listener_stop(the_listener);
    close_listener();
    assert_int_equal(files(), 0);
}

TEST(a_file_that_replaced_the_socket_file_is_kept)
{
    (void)listen_here(endpoint);
    remove_file(path);
    leave_dead_socket(path);
    close_listener();
    assert_true(S_ISSOCK(look_at(path).st_mode));
    remove_file(path);
    (void)listen_here(endpoint);
    remove_file(path);
    make_file(path);
    close_listener();
    assert_true(S_ISREG(look_at(path).st_mode));
    remove_file(path);
}

TEST(closing_a_listener_whose_file_is_gone_succeeds)
{
    (void)listen_here(endpoint);
    remove_file(path);
    close_listener();
    assert_int_equal(files(), 0);
}

TEST(closing_a_listener_whose_file_cannot_be_removed_succeeds)
{
    (void)listen_here(endpoint);
    fail_next(ON_FILE_REMOVE, EACCES, 1);
    close_listener();
    assert_int_equal(calls(ON_FILE_REMOVE), 2); /* that of the lock was first */
    remove_file(path);
}

static void check_listening(void)
{
    nb_address address = address_of(endpoint);

    (void)dial(&address);
}

/* As long as it listens nobody takes it for dead, and its inode for another. */
TEST(the_socket_file_is_removed_before_the_socket_is_closed)
{
    (void)listen_here(endpoint);
    meanwhile.before_remove = check_listening;
    close_listener();
    assert_int_equal(calls(ON_FILE_REMOVE), 2); /* that of the lock was first */
}

/* --- The accept loop --- */

TEST_AS(the_accept_loop_serves_unix_sockets, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server_with(echo, *state, .at = endpoint);

    for (int i = 0; i < 3; i++) {
        int client = dial(&server->address);

        say(client, "ping", 4);
        assert_rest(client, "ping");
        hang_up(client);
    }
    assert_status(server_stop(server), NB_OK);
    assert_int_equal(files(), 0);
    assert_int_equal(server_counters(server).accepted, 3);
}

TEST_AS(a_reply_over_a_unix_socket_survives_unread_input, NET_CASE_FOR_BOTH)
{
    struct server *server = run_server_with(say_hello, *state, .at = endpoint);
    int client = dial(&server->address);

    say(client, "never read", 10);
    assert_rest(client, HELLO);
    assert_status(server_finish(server), NB_OK);
}

static const struct mode two_workers = {2};

/* With two busy workers nothing is accepted before the stop. */
static void check_stop_shuts_out(const char *where, int refusal)
{
    struct server *server = run_server_with(say_hello_later, &two_workers, .at = where);
    int waiting[2];

    for (size_t i = 0; i < 2; i++) {
        (void)dial(&server->address);
        eventually(gate_waiting() == (int)i + 1);
    }
    dial_all(waiting, &server->address);
    latecomer.to = server->address;
    latecomer.comes = true;
    nb_listener_stop(server->listener);
    eventually(server_heard(server, NB_EVENT_DRAINING) == 1);
    gate_open();
    assert_all_greeted(waiting);
    assert_ends(server);
    assert_int_equal(server_counters(server).accepted, 4);
    assert_int_equal(latecomer.result, -refusal);
}

TEST(no_new_client_finds_the_path_after_the_stop)
{
    check_stop_shuts_out(endpoint, ENOENT);
    assert_int_equal(files(), 0);
}

TEST(no_new_client_reaches_an_abstract_name_after_the_stop)
{
    check_stop_shuts_out(abstract_endpoint(), ECONNREFUSED);
}

/* One client that waits while the server is busy with all that it can do. */
static void check_queue_is_served(const char *where, const struct mode *mode)
{
    struct server *server = server_new(where, say_hello_later, mode);

    server->options.concurrency = 1;
    server_run(server);
    (void)client_at_the_gate(server);
    int waiting = dial(&server->address);
    stop_and_open_gate(server);
    assert_ends_with(server, waiting);
    assert_int_equal(server_counters(server).accepted, 2);
}

TEST_AS(unix_clients_in_the_accept_queue_are_served_after_the_stop, NET_CASE_FOR_BOTH)
{
    check_queue_is_served(endpoint, *state);
}

TEST_AS(an_accept_queue_that_cannot_be_shut_is_still_drained, NET_CASE_FOR_BOTH)
{
    fail_next(ON_SHUTDOWN, ENOTCONN, -1);
    check_queue_is_served(abstract_endpoint(), *state);
}
