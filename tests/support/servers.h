/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: bare clients, servers in threads, faults, and cases that leave nothing behind.
 *
 *  Assertions belong to the thread of the case; what other threads find they store in atomics. */
#ifndef NETBASICS_TESTS_SUPPORT_SERVERS_H
#define NETBASICS_TESTS_SUPPORT_SERVERS_H

#include "support.h"

#include <netdb.h>

/* Waits, bounded, until a condition holds that other threads or the kernel bring about; wait_until() is for other
   threads than that of the case. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        nb_deadline until_ = plenty();                                                             \
        while (!(condition) && !nb_expired(until_))                                                \
            a_moment();                                                                            \
    } while (0)
#define eventually(condition)                                                                      \
    do {                                                                                           \
        wait_until(condition);                                                                     \
        assert_true(condition);                                                                    \
    } while (0)

/* Between two looks at such a condition. */
void a_moment(void);

/* A time that has passed, in milliseconds. */
int64_t ms_since(int64_t begin_ns);

/* How many handlers may run at once: what many cases are run for. */
struct mode {
    int concurrency;
};
extern const struct mode sequential;
extern const struct mode workers;

/* A case with servers, clients and faults: its end closes the clients, opens the gate and stops the
   servers, and then looks, as CASE does, whether anything is left. */
int net_case_begin(void **state);
int net_case_end(void **state);
#define NET_CASE(name) cmocka_unit_test_setup_teardown(name, net_case_begin, net_case_end)
#define NET_CASE_FOR(name, mode) CASE_WITH(name, mode, net_case_begin, net_case_end)
/* The state of these is their mode. */
#define NET_CASE_FOR_BOTH(name) NET_CASE_FOR(name, sequential), NET_CASE_FOR(name, workers)

/* For a whole group of cases that want one port at several addresses, or a port that nobody listens at:
   in a network of their own, where that is allowed, no other process has a socket in the way. */
int move_to_own_network(void **state);
/* Whether it was allowed: then the settings of the network are ours, too. */
bool has_own_network(void);

/* Runs something in a thread that has a network of its own, with the loopback up. False when the
   system does not allow that. */
bool in_own_network(void (*run)(void *context), void *context);

/* --- A gate that handlers wait at until the case opens it (its end does, too). --- */

void gate_pass(void);
void gate_open(void);
void gate_close(void);
/* Lets so many pass that wait at it, or will. */
void gate_open_for(int count);
int gate_waiting(void);

/* --- Bare clients: system calls only, bounded by PATIENCE_MS. --- */

nb_address address_of(const char *text);
nb_address peer_address(const nb_conn *conn);
nb_address local_address(const nb_conn *conn);
nb_address socket_address(const nb_listener *listener, size_t index);
void assert_same_address(nb_address actual, nb_address expected);
/* A connected socket; the case closes it with hang_up() or break_off(), or its end does. */
int dial(const nb_address *to);
int dial_from(const char *local, const nb_address *to);
/* For other threads: a connected socket of the caller's, or -errno. */
int dial_quietly(const nb_address *to);
int dial_quietly_from(const nb_address *local, const nb_address *to);
void hang_up(int fd);
void hang_up_all(void);
/* Closes with a reset. */
void break_off(int fd);
void say(int fd, const void *data, size_t length);
void say_no_more(int fd);
/* Reads to the end. 0: exactly this text, whole, and an orderly end; an errno: broken off; -1: another
   text. */
int answer(int fd, const char *text);
/* Reads exactly this text: 0, or -1. */
int answer_so_far(int fd, const char *text);
/* Whether the other end is seen to have acknowledged all that was sent over TCP. Hardly waits. */
bool is_acknowledged(int fd);
/* Whether the connection is broken off: a reset has come. Never waits. */
bool is_broken(int fd);
/* Where a client connects from. */
nb_address own_address(int fd);
/* A listening socket, and its address. */
int bare_listener(const char *where, int backlog, nb_address *out);
/* A port that nobody listens at, held until the end of the case. */
int dead_port(const char *where, nb_address *out);
/* A listener whose queue is full, so that the kernel drops further attempts: they get no answer. */
void silent_port(const char *where, nb_address *out);
/* "HOST:PORT" with the port of an address; good until the fourth next call. */
const char *host_at(const char *host, const nb_address *port_of);
/* Connections waiting to be accepted from a listening socket, and the most there may be. */
int queue_length(int listening);
int queue_limit(int listening);

/* Waits for a child, which has to exit: with what. */
int exit_status(pid_t child);
/* Stops the copy of a listener that a forked child has, which then ends. */
void stop_in_a_child(nb_listener *listener);

/* --- What a resolver answers: addresses, each with a port that must not be used. --- */

struct addrinfo *answers(void); /* NULL: none */
void answers_clear(void);
void answer_address(const char *text);
void answer_sockaddr(const struct sockaddr *address, socklen_t length);
/* freeaddrinfo(3) for them, which stay, and for lists of the system. */
void answers_free(struct addrinfo *list);

/* --- The listener of a case without a server. The end of the case closes it. --- */

extern nb_listener *the_listener;
/* Makes it: the address of its first socket. */
nb_address listen_here(const char *endpoint);
/* The same at 127.0.0.1:0, with a client in its queue. */
int listen_with_a_client(void);
void close_listener(void);
/* Its next connection. */
nb_conn *accept_next(void);

/* --- Servers: nb_serve() in a thread. --- */

#define EVENT_KINDS 11
#define EVENTS_KEPT 8192

struct server {
    /* set before server_run(), from what server_new() chose */
    nb_listener *listener;
    nb_serve_options options;
    nb_handler *handler;
    void *context;
    bool by_default;
    nb_event_handler *also; /* hears of events, too, with the server as context */

    nb_address address; /* of the first socket */
    nb_status status;   /* of nb_serve(), once it has ended */
    nb_error err;
    bool mask_kept;  /* it left the signal mask of its thread alone */
    bool errno_kept; /* and its errno */
    atomic_int tid;
    atomic_bool ended;
    pthread_t thread;
    bool running;
    bool used;

    pthread_mutex_t lock;
    nb_event events[EVENTS_KEPT];
    size_t event_count;
    atomic_int heard[EVENT_KINDS];
};

struct server *server_new(const char *endpoint, nb_handler *handler, const struct mode *mode);
struct server *server_new_with(const char *endpoint, nb_handler *handler, const struct mode *mode,
                               const nb_listen_options *options);
void server_run(struct server *server);
/* The same with NULL for the options: it tells no events. */
void server_run_by_default(struct server *server);
/* Waits until nb_serve() returns. */
nb_status server_wait(struct server *server);
nb_status server_stop(struct server *server);
/* The same, after all clients have hung up: nobody lingers. */
nb_status server_finish(struct server *server);
/* Frees a server that has ended; for cases that need many, one after the other. */
void server_free(struct server *server);
nb_serve_counters server_counters(const struct server *server);
/* How many events of a kind there were, and the first of them that is kept. */
int server_heard(const struct server *server, nb_event_kind kind);
nb_event server_event(struct server *server, nb_event_kind kind, int index);
/* What the first shortage is told as, and what a server ends with. */
void check_told(struct server *server, nb_status status, int system_error);
void check_ends_with(struct server *server, nb_status status, int system_error);

/* What a case may want of its server; what is NULL or 0 is as server_new() has it. */
struct server_wishes {
    const char *at; /* NULL: loopback */
    void *context;
    nb_event_handler *also;
    int64_t drain_ms;
    int64_t linger_ms;
    int64_t linger_bytes;
    int64_t linger_max;
    int64_t max_per_peer;
    int64_t connection_ms;
    bool stop_on_signals;
};

/* A server that runs, on loopback unless another place is wished for. */
struct server *run_server(nb_handler *handler, void *context, const struct mode *mode);
struct server *run_server_so(nb_handler *handler, const struct mode *mode,
                             const struct server_wishes *wishes);
#define run_server_with(handler, mode, ...)                                                        \
    run_server_so(handler, mode, &(const struct server_wishes){__VA_ARGS__})

/* Handlers. */
#define HELLO "hello\n"
nb_status say_hello(nb_conn *conn, void *unused);
/* Waits at the gate, then says hello. */
nb_status say_hello_later(nb_conn *conn, void *unused);
/* Echoes until the end. */
nb_status echo(nb_conn *conn, void *unused);
/* What the next ones, and handlers of the case, have been told last; NB_OK when a server is made. */
extern atomic_int handler_saw;
/* Waits for the peer for ever. */
nb_status wait_for_ever(nb_conn *conn, void *unused);
/* Waits for the peer, again and again for three milliseconds each. */
nb_status retry_timeouts(nb_conn *conn, void *unused);
/* Sends until that fails. */
nb_status send_for_ever(nb_conn *conn, void *unused);

/* Clients of a server that has no others: one that waits at the gate, whose handler runs, that was
   greeted, that was greeted and is lingered for. */
int client_at_the_gate(const struct server *server);
int active_client(const struct server *server);
int greeted_client(const struct server *server);
int lingering_client(const struct server *server);
/* Connects an array of clients, or so many that are only there. */
#define dial_all(clients, to) dial_each(clients, COUNT(clients), to)
void dial_each(int *clients, size_t count, const nb_address *to);
void dial_times(int count, const nb_address *to);
/* Connects so many, whose handlers all come to the gate. */
void dial_to_the_gate(int count, const struct server *server);

void stop_and_open_gate(struct server *server);

/* That all of an array of clients get the greeting and an orderly end, or a reset. */
#define assert_all_greeted(clients) assert_each_greeted(clients, COUNT(clients))
#define assert_each_greeted(clients, count)                                                        \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < (count); i_++)                                                    \
            assert_int_equal(answer((clients)[i_], HELLO), 0);                                     \
    } while (0)
/* The same, one after the other, and each hangs up. */
#define assert_all_served(clients)                                                                 \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < COUNT(clients); i_++) {                                           \
            assert_int_equal(answer((clients)[i_], HELLO), 0);                                     \
            hang_up((clients)[i_]);                                                                \
        }                                                                                          \
    } while (0)
#define assert_all_reset(clients)                                                                  \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < COUNT(clients); i_++)                                             \
            assert_int_equal(raw_ending((clients)[i_], NULL), ECONNRESET);                         \
    } while (0)
/* That so many clients, one after the other, are greeted; they stay connected. */
#define assert_serves(server, count)                                                               \
    do {                                                                                           \
        for (int i_ = 0; i_ < (count); i_++)                                                       \
            assert_int_equal(answer(dial(&(server)->address), HELLO), 0);                          \
    } while (0)
/* That a text comes back; that this is all that comes after the client's end. */
#define assert_echoes(client, text)                                                                \
    do {                                                                                           \
        say(client, text, strlen(text));                                                           \
        assert_int_equal(answer_so_far(client, text), 0);                                          \
    } while (0)
#define assert_rest(client, text)                                                                  \
    do {                                                                                           \
        say_no_more(client);                                                                       \
        assert_int_equal(answer(client, text), 0);                                                 \
    } while (0)
/* That one connection is closed, and how. */
#define assert_closes_with(server, expected)                                                       \
    do {                                                                                           \
        eventually(server_heard(server, NB_EVENT_CLOSED) == 1);                                    \
        assert_status(server_event(server, NB_EVENT_CLOSED, 0).status, expected);                  \
    } while (0)
/* That a server which was stopped ends in order when its clients hang up; before that, one is greeted. */
#define assert_ends(server)                                                                        \
    do {                                                                                           \
        hang_up_all();                                                                             \
        assert_status(server_wait(server), NB_OK);                                                 \
    } while (0)
#define assert_ends_with(server, client)                                                           \
    do {                                                                                           \
        assert_int_equal(answer(client, HELLO), 0);                                                \
        assert_ends(server);                                                                       \
    } while (0)
/* Two counters, or how often two kinds of events were told. */
#define assert_counters(server, one, expected, other, expected_other)                              \
    do {                                                                                           \
        assert_int_equal(server_counters(server).one, expected);                                   \
        assert_int_equal(server_counters(server).other, expected_other);                           \
    } while (0)
#define assert_heard(server, one, expected, other, expected_other)                                 \
    do {                                                                                           \
        assert_int_equal(server_heard(server, NB_EVENT_##one), expected);                          \
        assert_int_equal(server_heard(server, NB_EVENT_##other), expected_other);                  \
    } while (0)

/* --- Descriptors that really run out. --- */

/* Lets the process open only so many more descriptors. */
void limit_descriptors(int more);
/* Without an effect when there is no such limit, and from any thread. */
void unlimit_descriptors(void);

#endif
