/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: two hosts, each a network namespace of the test's own, and a bad wire between
 *         them.
 *
 *  A socket belongs to the host at which it was made, whichever thread uses it later: so one thread
 *  goes over to the other host, listens there, comes back and connects. The namespaces are gone when
 *  the process is. Nothing here needs anything of the machine but that it is root. */
#ifndef NETBASICS_TESTS_WIRE_H
#define NETBASICS_TESTS_WIRE_H

#include "servers.h"

/* How a deadline may be overrun in here. */
#define LATE_MS 10000

/* The two hosts and their addresses. Each knows the other's hardware address for good, so that what
   happens to TCP happens to nothing else. */
enum host { HERE, THERE };
#define HERE_IPV4 "10.9.0.1"
#define THERE_IPV4 "10.9.0.2"
#define HERE_IPV6 "fd09::1"
#define THERE_IPV6 "fd09::2"
/* Addresses behind the wire that swallow everything: their hardware address is nobody's. (They differ
   from HERE as early as THERE does, so that the rules for the order of addresses prefer neither.) */
#define HOLE_IPV4 "10.9.0.3"
#define HOLE_IPV6 "fd09::3"
/* Addresses behind the wire that nobody answers for, and addresses to which there is no route. */
#define NOBODY_IPV4 "10.9.0.77"
#define NO_ROUTE_IPV4 "10.99.0.1"
#define NO_ROUTE_IPV6 "fd99::1"

/* A group of cases: its set-up makes the hosts. In a case of it the thread is at HERE and the wire is
   good; its end makes all good again, and for the rest it is a NET_CASE. Where there are no hosts it is
   skipped. */
int hosts_begin(void **state);
int hosts_end(void **state);
int wire_case_begin(void **state);
int wire_case_end(void **state);
#define WIRE_CASE(name) WIRE_CASE_UNTIL(name, wire_case_end)
/* ISO C has no other way for a function to be the state of a case. */
#define WIRE_CASE_UNTIL(name, end)                                                                 \
    {                                                                                              \
#name, wire_case_run, wire_case_begin, end,                                                \
            (void *)(uintptr_t)(name) /* NOLINT(performance-no-int-to-ptr) */                      \
    }
void wire_case_run(void **body);
/* Says that there are no hosts, and why. */
void no_hosts_because(const char *why);

/* Goes to a host: what this thread makes from now on, and threads that it starts, belong there. */
void go(enum host host);

/* Runs commands of the shell at the host where we are; they must succeed. The text is a format. */
void run_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, false when they fail. */
bool try_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Filters what arrives at a host, until calm(): a rule of nft(8), such as "tcp dport 80 drop". */
void filter(enum host host, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* How long a network stays as bad as it is, where that is what is tried. */
void last_ms(int ms);
/* Drops all TCP at both hosts. */
void black_out(void);
/* Does this to the TCP packets that arrive at a host after so many thousand bytes. */
void after_kilobytes(enum host host, int kilobytes, const char *verdict);
/* Waits until that verdict has met a packet. */
void until_packets_met(enum host host);
/* Takes the wire out of the other host, and puts it in again. */
void pull_plug(void);
void plug_in(void);
/* Takes all filters off again, and what makes the wire slow. */
void calm(void);
/* Sets a file of /proc/sys at HERE, until the end of the case. */
void set_for_case(const char *file, const char *value);
/* Drops so many of a hundred TCP packets, at random, in both directions. */
void lose(int percent);
/* Lets each direction carry one megabit a second; skips the case where the kernel cannot do that. */
void slow_down(void);

/* A server at the other host that listens at this address of the host, at any port, with these
   options; and one that runs already. */
struct server *server_there(const char *address, nb_handler *handler, void *context,
                            const nb_listen_options *options);
struct server *serve_there(const char *address, nb_handler *handler, void *context);
/* What a server has heard of a pattern; the context of its handler. */
struct heard {
    atomic_bool ended;
    atomic_bool intact;
    atomic_size_t bytes;
    atomic_int status; /* what the last receive returned */
};
nb_status listen_to_pattern(nb_conn *conn, void *heard);

/* A connection to a server; it must come about. */
nb_conn *connect_to(const struct server *server, const nb_connect_options *options);
/* Tries to connect, which must fail with what is returned: by the deadline or not much later, and
   with NB_TIMEOUT only when the deadline has passed. */
nb_status failure_of_connect(const char *endpoint, nb_deadline by, nb_error *err);
/* That it fails so in less than a minute, or with NB_TIMEOUT after so many milliseconds. */
void assert_fails(const char *endpoint, nb_status expected);
void assert_times_out(const char *endpoint, int64_t ms);

/* Sends so much of a pattern, piece by piece. */
nb_status send_pattern(nb_conn *conn, size_t length, size_t *sent, nb_deadline by);

/* Bytes sent to a server that echoes them and received again, both at once. */
struct exchange {
    nb_conn *conn;
    size_t bytes;
    nb_deadline by;
    nb_status sending;
    nb_status receiving; /* NB_EOF when all came back and then the end */
    size_t sent;
    size_t received;
    bool intact; /* each byte that came back is the right one */
    struct task task;
};
/* Starts it, and ends it, which is at its deadline or not much later. */
void exchange_begin(struct exchange *exchange, nb_conn *conn, size_t bytes, nb_deadline by);
void exchange_end(struct exchange *exchange);
/* What every network has to bring about: all arrived intact, or a named status came, and NB_TIMEOUT not
   before the deadline. Prints which. */
void assert_whole_or_named(const struct exchange *exchange, const char *network);
void assert_whole(const struct exchange *exchange, const char *network);

#endif
