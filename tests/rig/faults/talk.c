/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What scenarios say and hear: steps on a connection, made again where that is allowed, and an
 *         exact account of what the peer has to have got. */
#include "talk.h"

#include <string.h>
#include <unistd.h>

nb_conn *adopted(int fd)
{
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status = STEP(API_ADOPT, S(NB_OK), nb_conn_adopt(&conn, fd, &err));

    if (status != NB_OK && !disturbed_for_ever())
        status = STEP(API_ADOPT, S(NB_OK), nb_conn_adopt(&conn, fd, &err));
    holds((status == NB_OK) == (conn != NULL));
    holds(err.status == status);
    if (conn == NULL)
        (void)close(fd);
    return conn;
}

/* A connection and its peer, or NULL when there cannot be one. */
nb_conn *connection(enum transport over, int *peer)
{
    int fds[2];

    raw_pair(over, fds);
    *peer = fds[1];
    return adopted(fds[0]);
}

nb_conn *connected(const char *endpoint, const nb_connect_options *options, enum api api)
{
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status = STEP(api, S(NB_OK), nb_connect(&conn, endpoint, options, soon(), &err));

    for (int i = 0; i < 2 && status != NB_OK && !disturbed_for_ever(); i++) {
        holds(conn == NULL);
        holds(err.status == status && err.message[0] != '\0');
        status = STEP(api, S(NB_OK), nb_connect(&conn, endpoint, options, soon(), &err));
    }
    holds((status == NB_OK) == (conn != NULL));
    holds(err.status == status && (err.message[0] == '\0') == (status == NB_OK));
    return conn;
}

/* A step that may be made again when it ends without any result that stays. */
static bool may_be_repeated(nb_status status)
{
    return (status == NB_TIMEOUT || status == NB_NO_MEMORY) && disturbed() && !disturbed_for_ever();
}

void send_text(nb_conn *conn, const char *text, struct account *account)
{
    size_t sent = 99;
    nb_status status =
        STEP_ON(conn, API_SEND, S(NB_OK), nb_send_all(conn, text, strlen(text), &sent, soon()));

    holds(status == NB_OK ? sent == strlen(text) : sent < strlen(text));
    memcpy(account->text + account->length, text, sent);
    account->length += sent;
}

void send_texts(nb_conn *conn, const char *a, const char *b, struct account *account)
{
    nb_slice slices[] = {{a, strlen(a)}, {b, strlen(b)}};
    char whole[64];
    size_t sent = 99;
    nb_status status =
        STEP_ON(conn, API_SEND, S(NB_OK), nb_send_slices(conn, slices, 2, &sent, soon()));

    holds(status == NB_OK ? sent == strlen(a) + strlen(b) : sent < strlen(a) + strlen(b));
    memcpy(whole, a, strlen(a));
    memcpy(whole + strlen(a), b, strlen(b));
    memcpy(account->text + account->length, whole, sent);
    account->length += sent;
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
        holds(strcmp(line, expected) == 0 && length == strlen(expected));
    return status == NB_OK;
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

bool receive_until(nb_conn *conn, const char *expected)
{
    char buf[32];
    size_t length;
    nb_status status;

    do
        status = STEP_ON(conn, API_RECEIVE, S(NB_OK),
                         nb_recv_until(conn, buf, sizeof(buf), ":", 1, &length, soon()));
    while (may_be_repeated(status));
    if (status == NB_OK)
        holds(length == strlen(expected) && memcmp(buf, expected, length) == 0);
    return status == NB_OK;
}

bool receive_exactly(nb_conn *conn, const char *expected)
{
    char buf[32];
    size_t done = 0;
    nb_status status;

    do {
        size_t length;

        status = STEP_ON(conn, API_RECEIVE, S(NB_OK),
                         nb_recv_exact(conn, buf + done, strlen(expected) - done, &length, soon()));
        done += length;
    } while (may_be_repeated(status));
    if (status == NB_OK)
        holds(done == strlen(expected) && memcmp(buf, expected, done) == 0);
    return status == NB_OK;
}

bool receive_rest(nb_conn *conn, const char *expected)
{
    char buf[32];
    size_t done = 0;
    nb_status status;

    do {
        size_t length;

        status =
            STEP_ON(conn, API_RECEIVE, S(NB_OK),
                    nb_recv_to_end(conn, buf + done, strlen(expected) - done, &length, soon()));
        done += length;
    } while (may_be_repeated(status));
    if (status == NB_OK)
        holds(done == strlen(expected) && memcmp(buf, expected, done) == 0);
    return status == NB_OK;
}

/* The peer has got what sends have reported, and an end only if that was all. */
void check_account(int peer, const struct account *account, nb_status sending, nb_status closing)
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

    if (account != NULL)
        check_account(peer, account, sending, closing);
    peer_close(peer);
}

bool receive_frame(nb_conn *conn, const char *expected)
{
    char buf[32];
    size_t length;
    nb_status status;

    do
        status = STEP_ON(conn, API_RECEIVE, S(NB_OK),
                         nb_recv_frame(conn, buf, sizeof(buf), &length, soon()));
    while (may_be_repeated(status));
    if (status == NB_OK)
        holds(length == strlen(expected) && memcmp(buf, expected, length) == 0);
    return status == NB_OK;
}

void send_frame(nb_conn *conn, const char *body, struct account *account)
{
    size_t length = strlen(body);
    uint64_t before;
    uint64_t after;
    char frame[64] = {0, 0, 0, (char)length};

    memcpy(frame + 4, body, length);
    nb_conn_counters(conn, NULL, &before);
    (void)STEP_ON(conn, API_SEND, S(NB_OK), nb_send_frame(conn, body, length, soon()));
    nb_conn_counters(conn, NULL, &after);
    memcpy(account->text + account->length, frame, (size_t)(after - before));
    account->length += (size_t)(after - before);
}

void exchange(nb_conn *conn, struct account *account)
{
    nb_address address;

    send_text(conn, "first", account);
    if (receive_line(conn, "a line") && receive_until(conn, "part:") &&
        receive_exactly(conn, "exactly") && receive_frame(conn, "frame")) {
        (void)STEP_ON(conn, API_RECEIVE, S(NB_OK), nb_wait_readable(conn, soon()));
        (void)receive_rest(conn, " and the rest");
    }
    DO(nb_conn_local(conn, &address));
    send_texts(conn, "second", "third", account);
    send_frame(conn, "framed", account);
}
