/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What conn_case.h declares. */
#include "conn_case.h"

nb_conn *conn;
int peer;
enum transport over;

const enum transport ipv4 = OVER_IPV4;
const enum transport ipv6 = OVER_IPV6;
const enum transport local = OVER_UNIX;

int conn_case_begin_empty(void **state)
{
    (void)probe_begin(state);
    over = *(const enum transport *)*state;
    conn = NULL;
    peer = -1;
    return 0;
}

int conn_case_begin(void **state)
{
    (void)conn_case_begin_empty(state);
    conn = conn_and_peer(over, &peer);
    return 0;
}

static void part(void)
{
    nb_abort(conn);
    if (peer >= 0)
        raw_close(peer);
}

int conn_case_end(void **state)
{
    part();
    return probe_end(state);
}

void start_over(void)
{
    part();
    conn = conn_and_peer(over, &peer);
}

nb_status closed(nb_deadline by)
{
    nb_conn *closing = conn;

    conn = NULL;
    return nb_close(closing, by);
}

bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

int socket_to_peer(void)
{
    int fds[2];

    raw_pair(over, fds);
    peer = fds[1];
    return fds[0];
}

void arrive_bytes(const void *data, size_t length)
{
    raw_deliver(peer, nb_conn_fd(conn), data, length);
}

void peer_ends(void)
{
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    until_event(nb_conn_fd(conn), POLLRDHUP);
}

void peer_closes(void)
{
    raw_close(peer);
    peer = -1;
    until_event(nb_conn_fd(conn), POLLRDHUP);
}

void peer_breaks_off(void)
{
    raw_reset(peer, nb_conn_fd(conn));
    peer = -1;
}

void peer_resets(void)
{
    /* The peer of a Unix socket sees a reset when something was left unread. */
    if (over == OVER_UNIX)
        raw_send(nb_conn_fd(conn), "?", 1);
    peer_breaks_off();
}

void shrink(void)
{
    raw_shrink(nb_conn_fd(conn));
    raw_shrink(peer);
}

void assert_directions(nb_status receiving, nb_status sending)
{
    assert_status(nb_conn_status(conn, NB_RECEIVE), receiving);
    assert_status(nb_conn_status(conn, NB_SEND), sending);
}

void assert_counted(uint64_t received, uint64_t sent)
{
    uint64_t in = 4321;
    uint64_t out = 4321;

    nb_conn_counters(conn, &in, &out);
    assert_int_equal(in, received);
    assert_int_equal(out, sent);
}

void assert_ending(int expected, size_t count)
{
    size_t received = 4321;

    assert_int_equal(raw_ending(peer, &received), expected);
    assert_int_equal(received, count);
}

static nb_status (*call)(nb_deadline);
static nb_deadline call_by;
nb_status call_status;

static void make_call(void *unused)
{
    (void)unused;
    call_status = call(call_by);
}

void start_call(struct task *task, nb_status (*which)(nb_deadline), nb_deadline by)
{
    call = which;
    call_by = by;
    task_start(task, make_call, NULL);
}
