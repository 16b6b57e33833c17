/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Programs that other threads start meanwhile never inherit a descriptor of the library. */
#include "soak.h"

#include <dirent.h>
#include <sys/wait.h>

#define LIST "list-descriptors"

/* --- The child --- */

/* Names each descriptor beyond the first three that is not its own; how many there are. */
static int list_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    if (dir == NULL)
        return 255;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        char what[64] = "";

        if (entry->d_name[0] == '.' || number <= 2 || number == dirfd(dir))
            continue;
        if (readlinkat(dirfd(dir), entry->d_name, what, sizeof(what) - 1) < 0)
            what[0] = '?';
        (void)fprintf(stderr, "# a child has %ld: %s\n", number, what);
        count++;
    }
    (void)closedir(dir);
    return count;
}

/* How many descriptors a program has that is started now; -1 when it cannot be. */
static int descriptors_of_a_child(void)
{
    static char name[] = "child";
    static char list[] = LIST;
    char *const arguments[] = {name, list, NULL};
    pid_t child = fork();
    int status = 0;
    pid_t ended;

    if (child == 0) {
        (void)execve("/proc/self/exe", arguments, environ);
        _exit(255);
    }
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    return child > 0 && ended == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What this program itself was given is not for its children. */
static int keep_what_we_were_given(void **state)
{
    for (int fd = 3; fd < 1024; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return move_to_wide_network(state);
}

/* --- What goes on meanwhile --- */

static atomic_bool enough;
static atomic_size_t done;

static void count_if(bool good)
{
    done += good;
}

static void connect_again_and_again(void *address)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];

    (void)nb_address_format(address, endpoint, sizeof(endpoint));
    while (!enough) {
        char reply[16];
        size_t length = 0;
        nb_conn *conn;

        if (nb_connect(&conn, endpoint, NULL, plenty(), NULL) != NB_OK)
            continue;
        count_if(nb_recv_to_end(conn, reply, sizeof(reply), &length, plenty()) == NB_OK &&
                 length == strlen(HELLO));
        nb_abort(conn);
    }
}

static void listen_and_accept_again_and_again(void *unused)
{
    (void)unused;
    while (!enough) {
        nb_address address;
        nb_listener *listener;
        nb_conn *client = NULL;
        nb_conn *conn = NULL;

        if (nb_listen(&listener, "localhost:0", NULL, NULL) != NB_OK)
            continue;
        (void)nb_listener_address(listener, 0, &address);
        count_if(nb_connect(&client, host_at("localhost", &address), NULL, plenty(), NULL) ==
                     NB_OK &&
                 nb_accept(listener, &conn, plenty(), NULL) == NB_OK);
        nb_abort(client);
        nb_abort(conn);
        nb_listener_close(listener);
    }
}

#define TEST(name) TEST_AS(name, SOAK_CASE)

TEST(children_inherit_nothing_while_others_connect_and_accept)
{
    size_t count = rounds(2000, 50000);
    struct server *server = server_new("localhost:0", say_hello, &workers);
    struct task clients[2];
    struct task listeners;
    int inherited = 0;

    enough = false;
    done = 0;
    server_run(server);
    for (size_t i = 0; i < COUNT(clients); i++)
        task_start(&clients[i], connect_again_and_again, &server->address);
    task_start(&listeners, listen_and_accept_again_and_again, NULL);
    for (size_t i = 0; i < count && inherited == 0; i++)
        inherited = descriptors_of_a_child();
    enough = true;
    for (size_t i = 0; i < COUNT(clients); i++)
        task_join(&clients[i]);
    task_join(&listeners);
    print_message("# %zu children, %zu connections meanwhile\n", count, (size_t)done);
    assert_int_equal(inherited, 0);
    assert_true(done > 0);
    assert_status(server_stop(server), NB_OK);
}

TEST_GROUP(keep_what_we_were_given, NULL)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], LIST) == 0)
        return list_descriptors();
    return run_cases();
}
