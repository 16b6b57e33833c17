/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The library, loaded and unloaded a thousand times with a little use in between: a plugin with the
 *         static one inside, and the shared one, which stays. */
#include "soak.h"

#include <dlfcn.h>

#define WARM_UP ((size_t)20)

/* The functions that are used, with the types of the headers. */
#define FUNCTIONS(use)                                                                             \
    use(nb_listen) use(nb_listener_address) use(nb_listener_stop) use(nb_listener_close)           \
        use(nb_accept) use(nb_connect) use(nb_send_all) use(nb_recv_line) use(nb_close)            \
            use(nb_abort) use(nb_serve)

#define MEMBER(name) __typeof__(name) *name;
struct loaded {
    void *handle;
    FUNCTIONS(MEMBER)
};

static void load(struct loaded *library, const char *file)
{
    library->handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library->handle == NULL)
        fail_msg("%s", dlerror());
#define FIND(name)                                                                                 \
    *(void **)&library->name = dlsym(library->handle, #name);                                      \
    assert_non_null(*(void **)&library->name);
    FUNCTIONS(FIND)
}

static bool is_loaded(const char *file)
{
    void *handle = dlopen(file, RTLD_NOW | RTLD_NOLOAD);

    if (handle != NULL)
        (void)dlclose(handle);
    return handle != NULL;
}

static void unload(struct loaded *library, const char *file)
{
    assert_int_equal(dlclose(library->handle), 0);
    assert_int_equal(is_loaded(file), strcmp(file, SHARED_LIBRARY) == 0);
}

static nb_listener *listen_with(const struct loaded *library, nb_address *address)
{
    nb_listener *listener;

    assert_status(library->nb_listen(&listener, "127.0.0.1:0", NULL, NULL), NB_OK);
    assert_status(library->nb_listener_address(listener, 0, address), NB_OK);
    return listener;
}

static nb_conn *connect_with(const struct loaded *library, const nb_address *address)
{
    nb_conn *conn;

    assert_status(library->nb_connect(&conn, host_at("localhost", address), NULL, plenty(), NULL),
                  NB_OK);
    return conn;
}

static void assert_greeted(const struct loaded *library, nb_conn *conn)
{
    char line[16];

    assert_status(library->nb_recv_line(conn, line, sizeof(line), NULL, plenty()), NB_OK);
    assert_string_equal(line, "hello");
}

/* --- Rounds --- */

/* Looks a name up, which takes a thread that holds the library meanwhile. It fails, and in a network of
   its own, without a resolver, in no time. */
static void look_up_in_vain(const struct loaded *library)
{
    nb_conn *conn;

    if (has_own_network())
        assert_int_not_equal(library->nb_connect(&conn, "nowhere.invalid:80", NULL, plenty(), NULL),
                             NB_OK);
}

static void hold_a_conversation(const struct loaded *library)
{
    nb_address address;
    nb_listener *listener = listen_with(library, &address);
    nb_conn *client = connect_with(library, &address);
    nb_conn *conn;

    assert_status(library->nb_accept(listener, &conn, plenty(), NULL), NB_OK);
    assert_status(library->nb_send_all(client, "hello\r\n", 7, NULL, plenty()), NB_OK);
    assert_greeted(library, conn);
    library->nb_abort(client);
    library->nb_abort(conn);
    library->nb_listener_close(listener);
    look_up_in_vain(library);
}

struct serving {
    const struct loaded *library;
    nb_listener *listener;
    nb_status status;
};

static nb_status greet(nb_conn *conn, void *context)
{
    const struct loaded *library = context;

    (void)library->nb_send_all(conn, "hello\n", 6, NULL, plenty());
    return NB_OK;
}

static void serve(void *argument)
{
    struct serving *serving = argument;

    serving->status = serving->library->nb_serve(serving->listener, greet,
                                                 (void *)(uintptr_t)serving->library, NULL, NULL);
}

static void serve_one_client(const struct loaded *library)
{
    nb_address address;
    nb_listener *listener = listen_with(library, &address);
    struct serving serving = {library, listener, NB_SYSTEM};
    struct task task;
    nb_conn *conn;

    task_start(&task, serve, &serving);
    conn = connect_with(library, &address);
    assert_greeted(library, conn);
    assert_status(library->nb_close(conn, plenty()), NB_OK);
    library->nb_listener_stop(listener);
    task_join(&task);
    assert_status(serving.status, NB_OK);
    library->nb_listener_close(listener);
}

static void unload_often(const char *file, void (*use)(const struct loaded *), const char *what)
{
    size_t count = rounds(1000, 20000);
    struct loaded library;
    struct usage before;

    for (size_t i = 0; i < WARM_UP + count; i++) {
        if (i == WARM_UP)
            before = usage_now();
        load(&library, file);
        use(&library);
        unload(&library, file);
    }
    assert_no_growth(&before, count, what);
}

#define TEST(name) TEST_AS(name, SOAK_CASE)

TEST(loading_and_unloading_a_plugin_repeatedly_leaks_nothing)
{
    unload_often(PLUGIN, hold_a_conversation, "times loaded, connected, unloaded");
}

TEST(serving_from_a_plugin_and_unloading_it_repeatedly_leaks_nothing)
{
    unload_often(PLUGIN, serve_one_client, "times loaded, served with threads, unloaded");
}

TEST(opening_the_shared_library_repeatedly_loads_it_once)
{
    unload_often(SHARED_LIBRARY, hold_a_conversation, "times opened, connected, closed");
}

TEST_GROUP(move_to_wide_network, NULL)
