/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the library in a program with many thread-local variables, which the C library may
 *         take from the stack of each thread: what runs in the library's threads has its stack all the
 *         same. */
#include "servers.h"
#include "sys/sys.h"

#include <netdb.h>

/* More than the stack of a worker and that of a lookup. */
static _Thread_local volatile char variables[600 << 10];

/* What is used of either: there has to be room left for what is called. */
#define USED_BY_HANDLER ((size_t)192 << 10)
#define USED_BY_RESOLVER ((size_t)384 << 10)

static void use_stack(size_t size)
{
    volatile char page[4096];

    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (char)i;
    if (size > sizeof(page))
        use_stack(size - sizeof(page));
    variables[(
        size_t)page[1]]++; /* it is used after the call, too, which is no tail call therefore */
}

static int own_getaddrinfo(const char *host, struct addrinfo **out, int *number)
{
    (void)host;
    (void)out;
    (void)number;
    use_stack(USED_BY_RESOLVER);
    memset((void *)(uintptr_t)variables, 1, sizeof(variables));
    return EAI_NONAME;
}

REPLACE(getaddrinfo, own_getaddrinfo)

static void own_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

REPLACE(freeaddrinfo, own_freeaddrinfo)

static nb_status use_stack_and_say_hello(nb_conn *conn, void *context)
{
    use_stack(USED_BY_HANDLER);
    memset((void *)(uintptr_t)variables, 1, sizeof(variables));
    return say_hello(conn, context);
}

#define TEST(name) TEST_AS(name, NET_CASE)

TEST(a_handler_has_its_full_stack_besides_thread_local_variables)
{
    struct server *server = server_new("127.0.0.1:0", use_stack_and_say_hello, &workers);

    server_run(server);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answer(dial(&server->address), HELLO), 0);
    assert_status(server_finish(server), NB_OK);
    assert_int_equal(server_heard(server, NB_EVENT_ACCEPT_BACKING_OFF), 0);
}

TEST(a_lookup_has_its_full_stack_besides_thread_local_variables)
{
    nb_conn *conn;

    assert_status(nb_connect(&conn, "some.test:80", NULL, plenty(), NULL), NB_NAME_NOT_FOUND);
}
