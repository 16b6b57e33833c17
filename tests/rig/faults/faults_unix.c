/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults with Unix sockets and their files, and with sockets that others have opened. */
#include "talk.h"

#include <sys/stat.h>
#include <sys/un.h>

/* Where a service manager passes its sockets. */
#define PASSED 3

/* A directory of this process, with the path of a socket in it. */
static struct {
    char directory[32];
    char path[48];
    char endpoint[64];
} place;

static void make_place(void)
{
    (void)snprintf(place.directory, sizeof(place.directory), "/tmp/faults.XXXXXX");
    if (mkdtemp(place.directory) == NULL)
        give_up("no directory");
    (void)snprintf(place.path, sizeof(place.path), "%s/socket", place.directory);
    (void)snprintf(place.endpoint, sizeof(place.endpoint), "unix:%s", place.path);
}

static void remove_place(void)
{
    (void)unlink(place.path);
    (void)rmdir(place.directory);
}

static bool is_there(void)
{
    struct stat file;

    return lstat(place.path, &file) == 0;
}

/* A socket that is bound to the path, and listens or not. */
static int bound_socket(bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, place.path, strlen(place.path) + 1);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        (listens && listen(fd, 16) != 0))
        give_up("no socket at %s", place.path);
    return fd;
}

static bool failed_at_files(void)
{
    return kernel.failed[ON_FILE_REMOVE] + kernel.failed[ON_FILE_LOOK] > 0;
}

/* A listener leaves no file behind, and neither does one that could not be. */
static void listen_at_place(enum api api)
{
    nb_listener *listener = listening(place.endpoint, NULL, api);

    if (listener != NULL) {
        holds(is_there());
        talk_at(listener, 0);
        DO(nb_listener_close(listener));
        holds(!is_there() || failed_at_files());
    }
}

SCENARIO(at_a_path)
{
    make_place();
    listen_at_place(API_LISTEN_AT_PATH);
    holds(!is_there() || failed_at_files());
    remove_place();
}

SCENARIO(at_a_stale_socket_file)
{
    make_place();
    (void)close(bound_socket(false));
    listen_at_place(API_LISTEN_AT_SOCKET);
    remove_place();
}

/* Never taken away from a server that lives, whatever fails. (A system that says it were dead is
   believed.) */
SCENARIO(at_the_socket_file_of_a_live_server)
{
    nb_listener *listener = NULL;
    nb_error err;
    nb_status status;
    bool lied;
    int server;

    make_place();
    server = bound_socket(true);
    step_begin(API_LISTEN_AT_SOCKET, "nb_listen", NULL);
    status = nb_listen(&listener, place.endpoint, NULL, &err);
    lied = planned(ON_CONNECT, ECONNREFUSED) || planned(ON_FILE_LOOK, ENOENT);
    (void)step_end(status, S(NB_ADDRESS_IN_USE) | (lied ? S(NB_OK) : 0));
    holds(lied || is_there());
    holds(err.status == status);
    DO(nb_listener_close(listener));
    (void)close(server);
    remove_place();
}

SCENARIO(at_an_abstract_name)
{
    char endpoint[64];
    nb_listener *listener;

    (void)snprintf(endpoint, sizeof(endpoint), "unix:@netbasics-faults-%d", (int)getpid());
    listener = listening(endpoint, NULL, API_LISTEN);
    if (listener == NULL)
        return;
    talk_at(listener, 0);
    DO(nb_listener_close(listener));
}

/* What listens already; when that fails, its flags are as they were. */
static void inherit(const char *endpoint, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    struct linger lingering = {1, 60};
    nb_listener *listener = NULL;
    nb_error err;
    nb_status status;

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &lingering, sizeof(lingering));
    status = STEP(API_LISTEN_INHERITED, S(NB_OK), nb_listen(&listener, endpoint, NULL, &err));
    holds(err.status == status && (listener != NULL) == (status == NB_OK));
    if (listener == NULL) {
        holds(fcntl(fd, F_GETFL) == flags || kernel.failed[ON_SET_FLAGS] > 0);
        (void)close(fd); /* still ours */
        return;
    }
    talk_at(listener, 0);
    DO(nb_listener_close(listener));
}

SCENARIO(at_a_descriptor)
{
    char address[NB_ADDRESS_TEXT_MAX];
    char endpoint[16];
    int fd = peer_listen(OVER_IPV4, address, sizeof(address));

    (void)snprintf(endpoint, sizeof(endpoint), "fd:%d", fd);
    inherit(endpoint, fd);
}

/* Each run is another process, as it were, in which nothing was passed at first. */
static void forget_what_was_passed(void)
{
    nb_listener *listener;

    enter_foreign();
    holds(nb_listen(&listener, "systemd:", NULL, NULL) == NB_ADDRESS_UNAVAILABLE);
    leave_foreign();
}

SCENARIO(at_passed_sockets)
{
    char address[NB_ADDRESS_TEXT_MAX];
    char pid[16];
    int fd = peer_listen(OVER_IPV4, address, sizeof(address));

    forget_what_was_passed();
    if (fd != PASSED) {
        (void)dup2(fd, PASSED);
        (void)close(fd);
    }
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    (void)setenv("LISTEN_PID", pid, 1);
    (void)setenv("LISTEN_FDS", "1", 1);
    inherit("systemd:", PASSED);
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
}

SCENARIO(to_a_path)
{
    nb_conn *conn;
    int server;

    make_place();
    server = bound_socket(true);
    conn = connected(place.endpoint, NULL, API_CONNECT_TO_PATH);
    if (conn != NULL) {
        int peer = peer_accept(server, nb_conn_fd(conn));

        peer_speak(peer);
        exchange(conn, peer);
    }
    (void)close(server);
    remove_place();
}
