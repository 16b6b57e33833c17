/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What scenarios say and hear: steps that connect, listen, accept, send and receive, made again where
 *         that is allowed, and an exact account of what the peer has to have got. */
#include "talk.h"

#define EXCHANGED "a line\r\npart:exactly\0\0\0\5frame and the rest"

/* ---- what is made ---- */

/* Looks at a try to make something; whether it is to be made once more. */
static bool again(int *tries, nb_status status, const void *made, const nb_error *err)
{
    holds((status == NB_OK) == (made != NULL));
    holds(err->status == status && (err->message[0] == '\0') == (status == NB_OK));
    return status != NB_OK && !disturbed_for_ever() && ++*tries < 3;
}

nb_conn *adopted(int fd)
{
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;
    int tries = 0;

    do
        status = STEP(API_ADOPT, S(NB_OK), nb_conn_adopt(&conn, fd, &err));
    while (again(&tries, status, conn, &err));
    if (conn == NULL)
        (void)close(fd);
    return conn;
}

nb_conn *connection(enum transport over, int *peer)
{
    int fds[2];
    nb_conn *conn;

    raw_pair(over, fds);
    conn = adopted(fds[0]);
    *peer = fds[1];
    if (conn == NULL)
        peer_close(*peer);
    return conn;
}

nb_conn *connected(const char *endpoint, const nb_connect_options *options, enum api api)
{
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;
    int tries = 0;

    do
        status = STEP(api, S(NB_OK), nb_connect(&conn, endpoint, options, soon(), &err));
    while (again(&tries, status, conn, &err));
    return conn;
}

nb_listener *listening(const char *endpoint, const nb_listen_options *options, enum api api)
{
    nb_listener *listener = NULL;
    nb_error err;
    nb_status status;
    int tries = 0;

    do
        status = STEP(api, S(NB_OK), nb_listen(&listener, endpoint, options, &err));
    while (again(&tries, status, listener, &err));
    return listener;
}

nb_conn *accepted(nb_listener *listener)
{
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status;
    int tries = 0;

    do
        status = STEP(API_ACCEPT, S(NB_OK), nb_accept(listener, &conn, soon(), &err));
    while (again(&tries, status, conn, &err));
    return conn;
}

/* ---- sends ---- */

void account_for(struct account *account, const void *bytes, size_t length)
{
    memcpy(account->text + account->length, bytes, length);
    account->length += length;
}

void send_text(nb_conn *conn, const char *text, struct account *account)
{
    size_t sent = 99;
    nb_status status =
        STEP_ON(conn, API_SEND, S(NB_OK), nb_send_all(conn, text, strlen(text), &sent, soon()));

    holds(status == NB_OK ? sent == strlen(text) : sent < strlen(text));
    account_for(account, text, sent);
}

static void send_two_slices(nb_conn *conn, struct account *account)
{
    static const char whole[] = "secondthird";
    nb_slice slices[] = {{whole, 6}, {whole + 6, 5}};
    size_t sent = 99;
    nb_status status =
        STEP_ON(conn, API_SEND, S(NB_OK), nb_send_slices(conn, slices, 2, &sent, soon()));

    holds(status == NB_OK ? sent == strlen(whole) : sent < strlen(whole));
    account_for(account, whole, sent);
}

static void send_frame(nb_conn *conn, struct account *account)
{
    static const char frame[] = "\0\0\0\6framed";
    uint64_t before;
    uint64_t after;

    nb_conn_counters(conn, NULL, &before);
    (void)STEP_ON(conn, API_SEND, S(NB_OK), nb_send_frame(conn, frame + 4, 6, soon()));
    nb_conn_counters(conn, NULL, &after);
    account_for(account, frame, (size_t)(after - before));
}

/* ---- receives ---- */

/* A step that may be made again when it ends without any result that stays. */
static bool may_be_repeated(nb_status status)
{
    return (status == NB_TIMEOUT || status == NB_NO_MEMORY) && disturbed() && !disturbed_for_ever();
}

/* That what was received, if anything, is this. */
static bool is_received(nb_status status, const char *buf, size_t length, const char *expected)
{
    if (status == NB_OK)
        holds(length == strlen(expected) && memcmp(buf, expected, length) == 0);
    return status == NB_OK;
}

bool receive_line(nb_conn *conn, const char *expected)
{
    char line[32];
    size_t length;
    nb_status status;

    do
        status = STEP_ON(conn, API_RECEIVE, S(NB_OK),
                         nb_recv_line(conn, line, sizeof(line), &length, soon()));
    while (may_be_repeated(status));
    if (status == NB_OK)
        holds(line[length] == '\0');
    return is_received(status, line, length, expected);
}

bool skip_long_line(nb_conn *conn, const char *beginning)
{
    char line[8];
    size_t length;
    nb_status status;

    do
        status = STEP_ON(conn, API_RECEIVE, S(NB_TOO_LONG),
                         nb_recv_line(conn, line, sizeof(line), &length, soon()));
    while (may_be_repeated(status));
    if (status != NB_TOO_LONG)
        return false;
    holds(strcmp(line, beginning) == 0);
    do
        status = STEP(API_RECEIVE, S(NB_OK), nb_skip_line(conn, 64, soon()));
    while (may_be_repeated(status));
    return status == NB_OK;
}

static bool receive_until_colon(nb_conn *conn, const char *expected)
{
    char buf[32];
    size_t length;
    nb_status status;

    do
        status = STEP_ON(conn, API_RECEIVE, S(NB_OK),
                         nb_recv_until(conn, buf, sizeof(buf), ":", 1, &length, soon()));
    while (may_be_repeated(status));
    return is_received(status, buf, length, expected);
}

static bool receive_frame(nb_conn *conn, const char *expected)
{
    char buf[32];
    size_t length;
    nb_status status;

    do
        status = STEP_ON(conn, API_RECEIVE, S(NB_OK),
                         nb_recv_frame(conn, buf, sizeof(buf), &length, soon()));
    while (may_be_repeated(status));
    return is_received(status, buf, length, expected);
}

/* By nb_recv_exact() or nb_recv_to_end(), which go on where they were. */
static bool receive_by(nb_status (*receive)(nb_conn *, void *, size_t, size_t *, nb_deadline),
                       nb_conn *conn, const char *expected)
{
    char buf[32];
    size_t done = 0;
    nb_status status;

    do {
        size_t length;

        status = STEP_ON(conn, API_RECEIVE, S(NB_OK),
                         receive(conn, buf + done, strlen(expected) - done, &length, soon()));
        done += length;
    } while (may_be_repeated(status));
    return is_received(status, buf, done, expected);
}

/* ---- single calls ---- */

void receive_once(nb_conn *conn, statuses allowed)
{
    char buf[16];
    size_t length;

    (void)STEP_ON(conn, API_RECEIVE, allowed, nb_recv(conn, buf, sizeof(buf), &length, soon()));
}

void send_once(nb_conn *conn, statuses allowed)
{
    (void)STEP_ON(conn, API_SEND, allowed, nb_send_all(conn, "gone", 4, NULL, soon()));
}

void close_once(nb_conn *conn, statuses allowed)
{
    (void)STEP_ON(conn, API_CLOSE, allowed, nb_close(conn, soon()));
}

/* ---- whole conversations ---- */

static void check_account(int peer, const struct account *account, nb_status sending,
                          nb_status closing)
{
    char heard[256];
    bool ended;
    size_t length = peer_hear(peer, heard, sizeof(heard), &ended);

    holds(length == account->length);
    holds(memcmp(heard, account->text, account->length) == 0);
    if (sending != NB_OK && kernel.failed[ON_SETSOCKOPT] == 0)
        holds(!ended);
    if (closing == NB_OK && kernel.failed[ON_SHUTDOWN] == 0)
        holds(ended);
}

void close_and_check(nb_conn *conn, int peer, const struct account *account)
{
    nb_status sending = nb_conn_status(conn, NB_SEND);
    nb_status closing = STEP_ON(conn, API_CLOSE, S(NB_OK), nb_close(conn, soon()));

    if (!peer_is_unix(peer))
        check_account(peer, account, sending, closing);
    peer_close(peer);
}

void peer_speak(int peer)
{
    raw_send(peer, EXCHANGED, sizeof(EXCHANGED) - 1);
    peer_end(peer);
}

void exchange(nb_conn *conn, int peer)
{
    struct account account = {.length = 0};
    nb_address address;

    send_text(conn, "first", &account);
    if (receive_line(conn, "a line") && receive_until_colon(conn, "part:") &&
        receive_by(nb_recv_exact, conn, "exactly") && receive_frame(conn, "frame")) {
        (void)STEP_ON(conn, API_RECEIVE, S(NB_OK), nb_wait_readable(conn, soon()));
        (void)receive_by(nb_recv_to_end, conn, " and the rest");
    }
    DO(nb_conn_local(conn, &address));
    send_two_slices(conn, &account);
    send_frame(conn, &account);
    close_and_check(conn, peer, &account);
}

void talk_at(nb_listener *listener, size_t index)
{
    nb_address address;
    nb_conn *conn;
    int peer;

    (void)nb_listener_address(listener, index, &address);
    peer = peer_connect(&address);
    peer_speak(peer);
    conn = accepted(listener);
    if (conn != NULL)
        exchange(conn, peer);
    else
        peer_close(peer);
}
