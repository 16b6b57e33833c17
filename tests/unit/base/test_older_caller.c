/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A program of an older version: its structures end earlier than those of today.
 *
 *  It declares what it uses itself, as the headers of its version did. Behind each of its structures
 *  there is no memory, so that the library reads and writes no more of them than the program has. */
#undef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "cases.h"

#include <netbasics/address.h>
#include <netbasics/deadline.h>
#include <netbasics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the version that the program was built against ---- */

typedef struct nb_conn nb_conn;
typedef struct nb_listener nb_listener;

struct connect_options {
    size_t size;
};

struct listen_options {
    size_t size;
    int64_t backlog;
};

struct event {
    size_t size;
    int kind;
};

/* All of its first version, whose handlers of events get the events of today. */
struct serve_options {
    size_t size;
    int64_t numbers[9]; /* concurrency is the first one */
    void (*on_event)(const struct event *, void *);
    void *event_context;
};

struct serve_counters {
    size_t size;
    uint64_t accepted;
    uint64_t active;
};

struct credentials {
    size_t size;
    int64_t pid;
};

nb_status nb_connect(nb_conn **, const char *, const struct connect_options *, nb_deadline,
                     nb_error *);
nb_status nb_listen(nb_listener **, const char *, const struct listen_options *, nb_error *);
nb_status nb_listener_add(nb_listener *, const char *, const struct listen_options *, nb_error *);
nb_status nb_listener_address(const nb_listener *, size_t, nb_address *);
nb_status nb_accept(nb_listener *, nb_conn **, nb_deadline, nb_error *);
void nb_listener_stop(nb_listener *);
void nb_listener_close(nb_listener *);
nb_status nb_serve(nb_listener *, nb_status (*)(nb_conn *, void *), void *,
                   const struct serve_options *, nb_error *);
nb_status nb_listener_counters(const nb_listener *, struct serve_counters *);
nb_status nb_conn_peer_credentials(const nb_conn *, struct credentials *);
void nb_abort(nb_conn *);

/* ---- structures at the end of memory ---- */

#define PATIENCE_MS 10000

static unsigned char *pages;
static size_t page;

static int make_pages(void **state)
{
    (void)state;
    page = (size_t)sysconf(_SC_PAGESIZE);
    pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0 ? 0 : -1;
}

static int free_pages(void **state)
{
    (void)state;
    return munmap(pages, 2 * page);
}

/* The last bytes before what may not be touched, cleared; and with the size that they begin with. */
static void *at_the_end(size_t size)
{
    unsigned char *structure = pages + page - size;

    memset(structure, 0, size);
    memcpy(structure, &size, sizeof(size));
    return structure;
}

#define assert_status(actual, expected)                                                            \
    assert_string_equal(nb_status_name(actual), nb_status_name(expected))

static nb_listener *listening(const char *endpoint, struct listen_options *options)
{
    nb_listener *listener = NULL;
    nb_error err;

    if (nb_listen(&listener, endpoint, options, &err) != NB_OK)
        fail_msg("%s", err.message);
    return listener;
}

static nb_conn *connected(const nb_listener *listener)
{
    struct connect_options *options = at_the_end(sizeof(*options));
    nb_address address;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_conn *conn = NULL;
    nb_error err;

    assert_status(nb_listener_address(listener, 0, &address), NB_OK);
    if (nb_connect(&conn, nb_address_format(&address, endpoint, sizeof(endpoint)), options,
                   nb_after_ms(PATIENCE_MS), &err) != NB_OK)
        fail_msg("%s", err.message);
    return conn;
}

#define TEST(name) TEST_AS(name, cmocka_unit_test)

/* ---- the cases ---- */

TEST(an_older_program_connects_and_listens)
{
    struct listen_options *options = at_the_end(sizeof(*options));
    nb_listener *listener;
    nb_conn *client;
    nb_conn *conn;
    nb_error err;

    options->backlog = 8;
    listener = listening("127.0.0.1:0", options);
    assert_status(nb_listener_add(listener, "127.0.0.1:0", options, &err), NB_OK);
    client = connected(listener);
    assert_status(nb_accept(listener, &conn, nb_after_ms(PATIENCE_MS), &err), NB_OK);
    nb_abort(conn);
    nb_abort(client);
    nb_listener_close(listener);
}

struct service {
    nb_listener *listener;
    int served;
    int heard;
    bool at_the_end; /* the last event was the last one: NB_EVENT_STOPPED */
};

static void hear(const struct event *event, void *context)
{
    struct service *service = context;

    service->heard += event->size >= sizeof(*event);
    service->at_the_end = event->kind == 8;
}

static nb_status serve_one(nb_conn *conn, void *context)
{
    struct service *service = context;

    service->served++;
    nb_abort(conn); /* so that nobody waits for the client's end */
    nb_listener_stop(service->listener);
    return NB_OK;
}

TEST(an_older_program_serves_and_reads_its_counters)
{
    nb_listener *listener = listening("127.0.0.1:0", NULL);
    nb_conn *client = connected(listener);
    struct serve_options *options = at_the_end(sizeof(*options));
    struct serve_counters *counters;
    struct service service = {listener, 0, 0, false};
    nb_error err;

    options->numbers[0] = 1;
    options->on_event = hear;
    options->event_context = &service;
    assert_status(nb_serve(listener, serve_one, &service, options, &err), NB_OK);
    assert_int_equal(service.served, 1);
    assert_int_equal(service.heard, 5); /* listening, accepted, closed, draining, stopped */
    assert_true(service.at_the_end);
    counters = at_the_end(sizeof(*counters));
    assert_status(nb_listener_counters(listener, counters), NB_OK);
    assert_int_equal(counters->accepted, 1);
    assert_int_equal(counters->active, 0);
    nb_abort(client);
    nb_listener_close(listener);
}

TEST(an_older_program_gets_the_credential_fields_it_knows)
{
    nb_listener *listener = listening("127.0.0.1:0", NULL);
    nb_conn *client = connected(listener);
    struct credentials *who = at_the_end(sizeof(*who));

    assert_status(nb_conn_peer_credentials(client, who), NB_UNSUPPORTED); /* it is a TCP socket */
    assert_int_equal(who->pid, -1);
    assert_int_equal(who->size, sizeof(*who));
    nb_abort(client);
    nb_listener_close(listener);
}

TEST_GROUP(make_pages, free_pages)
