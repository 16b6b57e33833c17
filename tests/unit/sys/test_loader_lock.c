/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the library while another thread holds the lock of the dynamic linker, as it does for as
 *         long as the constructors take of what it loads: nothing waits for that.
 *
 *  The resolver of this program stands in for the system's: the shared library binds to it when it is
 *  loaded. */
#include "servers.h"

#include <dlfcn.h>
#include <netdb.h>

typedef __typeof__(nb_connect) connect_function;

static atomic_bool hangs;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)host;
    (void)service;
    (void)hints;
    (void)out;
    if (atomic_load(&hangs))
        gate_pass();
    return EAI_NONAME;
}

/* nb_connect() of the program itself, and that of the shared library. */
static connect_function *own_connect = nb_connect;
static connect_function *shared_connect;

/* --- A thread that loads a library. --- */

static struct {
    struct task task;
    int begins[2]; /* pipes */
    int may_end[2];
    void *library;
} loading;

static void load(void *unused)
{
    (void)unused;
    loading.library = dlopen(SLOW_LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

static void tell(const char *name, int fd)
{
    char number[16];

    (void)snprintf(number, sizeof(number), "%d", fd);
    assert_int_equal(setenv(name, number, 1), 0);
}

static int lock_case_begin(void **state)
{
    char byte;
    int failed = net_case_begin(state);

    atomic_store(&hangs, false);
    assert_int_equal(pipe(loading.begins), 0);
    assert_int_equal(pipe(loading.may_end), 0);
    tell("CONSTRUCTOR_BEGINS", loading.begins[1]);
    tell("CONSTRUCTOR_MAY_END", loading.may_end[0]);
    task_start(&loading.task, load, NULL);
    assert_int_equal(read(loading.begins[0], &byte, 1), 1);
    return failed;
}

static int lock_case_end(void **state)
{
    gate_open();
    assert_int_equal(write(loading.may_end[1], "", 1), 1);
    task_join(&loading.task);
    assert_non_null(loading.library);
    assert_int_equal(dlclose(loading.library), 0);
    for (int i = 0; i < 2; i++) {
        raw_close(loading.begins[i]);
        raw_close(loading.may_end[i]);
    }
    return net_case_end(state);
}

#define LOCK_CASE(name) cmocka_unit_test_setup_teardown(name, lock_case_begin, lock_case_end)
#define LOCK_CASE_FOR(name, which) CASE_WITH(name, which, lock_case_begin, lock_case_end)

#define LOCK_CASE_FOR_BOTH(name)                                                                   \
    LOCK_CASE_FOR(name, own_connect), LOCK_CASE_FOR(name, shared_connect)
#define TEST(name) TEST_AS(name, LOCK_CASE_FOR_BOTH)

/* --- What goes on meanwhile. --- */

TEST(a_lookup_keeps_its_deadline)
{
    connect_function *connect = *(connect_function **)*state;
    size_t threads = running_threads();
    nb_conn *conn;

    atomic_store(&hangs, true);
    for (int64_t ms = 20; running_threads() == threads;
         ms *= 2) /* until there was time to begin it */
        assert_status(connect(&conn, "some.test:80", NULL, nb_after_ms(ms), NULL), NB_TIMEOUT);
    eventually(gate_waiting() == 1);
    gate_open();
    eventually(running_threads() == threads);
}

TEST(a_lookup_is_answered)
{
    connect_function *connect = *(connect_function **)*state;
    nb_conn *conn;

    assert_status(connect(&conn, "some.test:80", NULL, plenty(), NULL), NB_NAME_NOT_FOUND);
}

TEST_AS(a_server_begins_serves_and_ends, LOCK_CASE)
{
    struct server *server = server_new("localhost:0", say_hello, &workers);

    server_run(server);
    for (int i = 0; i < 3; i++) {
        nb_conn *conn;
        char line[16];

        assert_status(
            nb_connect(&conn, host_at("localhost", &server->address), NULL, plenty(), NULL), NB_OK);
        assert_status(nb_recv_line(conn, line, sizeof(line), NULL, plenty()), NB_OK);
        assert_status(nb_close(conn, plenty()), NB_OK);
    }
    assert_status(server_finish(server), NB_OK);
}

static int load_shared_library(void **state)
{
    void *library = dlopen(SHARED_LIBRARY, RTLD_NOW | RTLD_LOCAL);

    (void)state;
    assert_non_null(library);
    *(void **)&shared_connect = dlsym(library, "nb_connect");
    assert_non_null(shared_connect);
    assert_ptr_not_equal(shared_connect, own_connect);
    return 0;
}

TEST_GROUP(load_shared_library, NULL)
