/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the library as a guest that is unloaded while a lookup goes on that nobody waits for any
 *         more: the shared library stays, and a plugin with the static one inside goes with that lookup.
 *
 *  The resolver of this program stands in for the system's: the library binds to it when it is
 *  loaded. */
#include "servers.h"

#include <dlfcn.h>
#include <netdb.h>

typedef nb_status connect_function(nb_conn **out, const char *endpoint,
                                   const nb_connect_options *options, nb_deadline by,
                                   nb_error *err);

static atomic_int lookups;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)host;
    (void)service;
    (void)hints;
    (void)out;
    atomic_fetch_add(&lookups, 1);
    gate_pass();
    return EAI_AGAIN;
}

static int unload_case_begin(void **state)
{
    atomic_store(&lookups, 0);
    return net_case_begin(state);
}

#define UNLOAD_CASE(name) cmocka_unit_test_setup_teardown(name, unload_case_begin, net_case_end)

static bool is_loaded(const char *file)
{
    void *library = dlopen(file, RTLD_LAZY | RTLD_NOLOAD);

    if (library != NULL)
        (void)dlclose(library);
    return library != NULL;
}

static bool is_mapped(const char *file)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    bool mapped = false;
    char line[4096];

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        mapped = mapped || strstr(line, file) != NULL;
    (void)fclose(maps);
    return mapped;
}

static void *load(const char *file, connect_function **connect)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    assert_non_null(library);
    *(void **)connect = dlsym(library, "nb_connect");
    assert_non_null(*connect);
    return library;
}

/* Leaves one lookup behind that hangs. The deadline moves on until there was time to begin it. */
static void look_up_in_vain(connect_function *connect)
{
    size_t threads = running_threads();
    nb_conn *conn;

    for (int64_t ms = 20; running_threads() == threads; ms *= 2)
        assert_status(connect(&conn, "some.test:80", NULL, nb_after_ms(ms), NULL), NB_TIMEOUT);
}

#define TEST(name) TEST_AS(name, UNLOAD_CASE)

TEST(a_plugin_that_nothing_holds_is_unloaded_at_once)
{
    connect_function *connect;
    void *library = load(PLUGIN, &connect);
    nb_conn *conn;

    gate_open();
    assert_status(connect(&conn, "some.test:80", NULL, plenty(), NULL), NB_NAME_TEMPORARY);
    assert_int_equal(atomic_load(&lookups), 1);
    assert_int_equal(dlclose(library), 0);
    assert_false(is_mapped(PLUGIN));
}

TEST(a_hanging_lookup_keeps_its_plugin_loaded_until_it_ends)
{
    for (int round = 0; round < 3; round++) {
        connect_function *connect;
        void *library = load(PLUGIN, &connect);
        size_t threads = running_threads();

        gate_close();
        for (int i = 0; i < 4; i++)
            look_up_in_vain(connect);
        eventually(gate_waiting() == 4);
        assert_int_equal(dlclose(library), 0); /* comes back while they hang */
        assert_int_equal(gate_waiting(), 4);
        assert_true(is_mapped(PLUGIN));
        gate_open();
        eventually(running_threads() == threads);
        eventually(!is_mapped(PLUGIN));
    }
}

/* Loaded again while lookups of before hang, it is the same library and knows of them. */
TEST(a_reloaded_plugin_still_counts_abandoned_lookups)
{
    connect_function *connect;
    void *library = load(PLUGIN, &connect);
    size_t threads = running_threads();
    nb_error err;
    nb_conn *conn;

    for (int i = 0; i < 16; i++)
        look_up_in_vain(connect);
    assert_int_equal(dlclose(library), 0);
    library = load(PLUGIN, &connect);
    assert_status(connect(&conn, "some.test:80", NULL, nb_after_ms(50), &err), NB_TIMEOUT);
    assert_non_null(strstr(err.message, "(16 earlier lookups still go on)"));
    gate_open();
    eventually(running_threads() == threads);
    assert_true(is_loaded(PLUGIN));
    assert_int_equal(dlclose(library), 0);
    assert_false(is_mapped(PLUGIN));
}

/* Whoever loaded it may close it at any time. */
TEST(the_shared_library_is_never_unloaded)
{
    connect_function *connect;
    void *library = load(SHARED_LIBRARY, &connect);
    size_t threads = running_threads();

    look_up_in_vain(connect);
    eventually(gate_waiting() == 1);
    assert_int_equal(dlclose(library), 0);
    assert_true(is_mapped(SHARED_LIBRARY));
    gate_open();
    eventually(running_threads() == threads);
    assert_true(is_loaded(SHARED_LIBRARY));
}
