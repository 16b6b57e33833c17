/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults while a connection lives: receiving, sending, ending, adopting and detaching. */
#include "fault.h"

#include <string.h>
#include <unistd.h>

/* What was sent, and what the peer has to have heard. */
struct account {
    char text[256];
    size_t length;
};

static nb_conn *adopted(int fd)
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
static nb_conn *connection(enum transport over, int *peer)
{
    int fds[2];

    raw_pair(over, fds);
    *peer = fds[1];
    return adopted(fds[0]);
}

/* A step that may be made again when it ends without any result that stays. */
static bool may_be_repeated(nb_status status)
{
    return (status == NB_TIMEOUT || status == NB_NO_MEMORY) && disturbed() && !disturbed_for_ever();
}

static void send_text(nb_conn *conn, const char *text, struct account *account)
{
    size_t sent = 99;
    nb_status status =
        STEP_ON(conn, API_SEND, S(NB_OK), nb_send_all(conn, text, strlen(text), &sent, soon()));

    holds(status == NB_OK ? sent == strlen(text) : sent < strlen(text));
    memcpy(account->text + account->length, text, sent);
    account->length += sent;
}

static void send_texts(nb_conn *conn, const char *a, const char *b, struct account *account)
{
    nb_slice slices[] = {{a, strlen(a)}, {b, strlen(b)}};
    char whole[64];
    size_t sent = 99;
    nb_status status =
        STEP_ON(conn, API_SEND, S(NB_OK), nb_send_all_v(conn, slices, 2, &sent, soon()));

    holds(status == NB_OK ? sent == strlen(a) + strlen(b) : sent < strlen(a) + strlen(b));
    memcpy(whole, a, strlen(a));
    memcpy(whole + strlen(a), b, strlen(b));
    memcpy(account->text + account->length, whole, sent);
    account->length += sent;
}

static bool receive_line(nb_conn *conn, const char *expected)
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

static bool receive_until(nb_conn *conn, const char *expected)
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

static bool receive_exactly(nb_conn *conn, const char *expected)
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

static bool receive_rest(nb_conn *conn, const char *expected)
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
static void check_account(int peer, const struct account *account, nb_status sending,
                          nb_status closing)
{
    char heard[256];
    bool ended;
    size_t length = peer_hear(peer, heard, sizeof(heard), &ended);

    holds(length == account->length);
    holds(memcmp(heard, account->text, account->length) == 0);
    if (sending != NB_OK && kernel.failed[CALL_setsockopt] == 0)
        holds(!ended);
    if (closing == NB_OK && kernel.failed[CALL_shutdown] == 0)
        holds(ended);
}

static void close_and_check(nb_conn *conn, int peer, const struct account *account)
{
    nb_status sending = nb_conn_status(conn, NB_SEND);
    nb_status closing = STEP_ON(conn, API_CLOSE, S(NB_OK), nb_close(conn, soon()));

    if (account != NULL)
        check_account(peer, account, sending, closing);
    peer_close(peer);
}

static void exchange(enum transport over)
{
    struct account account = {.length = 0};
    nb_address address;
    int peer;
    nb_conn *conn = connection(over, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    peer_say(peer, "a line\r\npart:exactly and the rest");
    peer_end(peer);
    send_text(conn, "first", &account);
    if (receive_line(conn, "a line") && receive_until(conn, "part:") &&
        receive_exactly(conn, "exactly")) {
        (void)STEP_ON(conn, API_RECEIVE, S(NB_OK), nb_wait_readable(conn, soon()));
        (void)receive_rest(conn, " and the rest");
    }
    DO(nb_conn_local(conn, &address));
    send_texts(conn, "second", "third", &account);
    close_and_check(conn, peer, over == OVER_UNIX ? NULL : &account);
}

static void exchange_over_ipv4(void)
{
    exchange(OVER_IPV4);
}

static void exchange_over_ipv6(void)
{
    exchange(OVER_IPV6);
}

static void exchange_over_unix(void)
{
    exchange(OVER_UNIX);
}

/* Nobody says anything: every wait ends with its time, and nothing stays. */
static void silence(void)
{
    char buf[16];
    size_t length;
    int peer;
    nb_conn *conn = connection(OVER_IPV4, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    (void)STEP_ON(conn, API_RECEIVE, S(NB_TIMEOUT),
                  nb_recv(conn, buf, sizeof(buf), &length, soon()));
    (void)STEP_ON(conn, API_RECEIVE, S(NB_TIMEOUT), nb_wait_readable(conn, soon()));
    (void)STEP_ON(conn, API_RECEIVE, S(NB_TIMEOUT),
                  nb_recv_line(conn, buf, sizeof(buf), &length, soon()));
    peer_say(peer, "at last\n");
    (void)receive_line(conn, "at last");
    (void)STEP_ON(conn, API_CLOSE, S(NB_TIMEOUT), nb_close(conn, soon()));
    peer_close(peer);
}

/* A peer that does not read: a send ends with its time and an exact account, and stays failed. */
static void deafness(enum transport over)
{
    static char data[1 << 20];
    size_t sent = 0;
    size_t heard = 0;
    int peer;
    nb_conn *conn = connection(over, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    raw_shrink(nb_conn_fd(conn));
    raw_shrink(peer);
    (void)STEP_ON(conn, API_SEND, S(NB_TIMEOUT),
                  nb_send_all(conn, data, sizeof(data), &sent, soon()));
    (void)STEP_ON(conn, API_SEND, 0, nb_send_all(conn, data, 1, NULL, soon()));
    DO(nb_abort(conn));
    while (heard < sent) {
        static char buf[65536];
        bool ended;
        size_t more = peer_hear(peer, buf, sizeof(buf), &ended);

        heard += more;
        if (more == 0)
            break;
    }
    if (over == OVER_UNIX)
        holds(heard == sent);
    holds(heard <= sent);
    peer_close(peer);
}

static void deafness_over_ipv4(void)
{
    deafness(OVER_IPV4);
}

static void deafness_over_unix(void)
{
    deafness(OVER_UNIX);
}

/* The peer has broken the connection off: no signal, no clean end. */
static void breaking_off(void)
{
    char buf[16];
    size_t length;
    int peer;
    nb_conn *conn = connection(OVER_IPV4, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    raw_reset(peer, nb_conn_fd(conn));
    (void)STEP_ON(conn, API_SEND, S(NB_RESET), nb_send_all(conn, "gone", 4, NULL, soon()));
    (void)STEP_ON(conn, API_SEND, 0, nb_send_all(conn, "gone", 4, NULL, soon()));
    (void)STEP_ON(conn, API_RECEIVE, S(NB_RESET), nb_recv(conn, buf, sizeof(buf), &length, soon()));
    (void)STEP_ON(conn, API_SHUTDOWN, 0, nb_shutdown_send(conn));
    (void)STEP_ON(conn, API_CLOSE, 0, nb_close(conn, soon()));
}

/* Half-closed: our stream ends, the peer's goes on. */
static void half_close(void)
{
    struct account account = {.length = 0};
    int peer;
    nb_conn *conn = connection(OVER_IPV4, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    send_text(conn, "all of it", &account);
    (void)STEP_ON(conn, API_SHUTDOWN, S(NB_OK), nb_shutdown_send(conn));
    peer_say(peer, "an answer\nand more than anybody reads");
    peer_end(peer);
    (void)receive_line(conn, "an answer");
    close_and_check(conn, peer, &account);
}

static void cancelling(void)
{
    char buf[16];
    size_t length;
    nb_address address;
    int peer;
    nb_conn *conn = connection(OVER_IPV4, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    DO(nb_cancel(conn));
    (void)STEP(API_OTHER, S(NB_CANCELLED), nb_recv(conn, buf, sizeof(buf), &length, soon()));
    (void)STEP(API_OTHER, S(NB_CANCELLED), nb_send_all(conn, buf, 1, NULL, soon()));
    (void)STEP(API_OTHER, S(NB_CANCELLED), nb_shutdown_send(conn));
    DO(nb_conn_local(conn, &address));
    (void)STEP(API_OTHER, S(NB_CANCELLED), nb_close(conn, soon()));
    peer_close(peer);
}

/* Out of the library again, with what was received ahead, and back in. */
static void detaching(void)
{
    char ahead[32];
    size_t length = 0;
    nb_fd fd = -1;
    int peer;
    nb_conn *conn = connection(OVER_IPV4, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    peer_say(peer, "one\ntwo");
    until_arrived(nb_conn_fd(conn), 7);
    if (receive_line(conn, "one")) {
        (void)STEP(API_DETACH, S(NB_TOO_LONG), nb_conn_detach(conn, &fd, ahead, 2, &length));
        holds(length == 3);
    }
    (void)STEP(API_DETACH, S(NB_OK), nb_conn_detach(conn, &fd, ahead, sizeof(ahead), &length));
    holds(length == 0 || memcmp(ahead, "two", 3) == 0);
    conn = adopted(fd);
    if (conn != NULL)
        DO(nb_abort(conn));
    peer_close(peer);
}

int main(void)
{
    static const struct scenario scenarios[] = {
        {"exchange_over_ipv4", exchange_over_ipv4, 2, false, true},
        {"exchange_over_ipv6", exchange_over_ipv6, 2, false, false},
        {"exchange_over_unix", exchange_over_unix, 2, false, false},
        {"silence", silence, 2, false, true},
        {"deafness_over_ipv4", deafness_over_ipv4, 2, false, true},
        {"deafness_over_unix", deafness_over_unix, 2, false, false},
        {"breaking_off", breaking_off, 2, false, true},
        {"half_close", half_close, 2, false, true},
        {"cancelling", cancelling, 2, false, true},
        {"detaching", detaching, 2, false, true},
    };

    return run_scenarios(scenarios, COUNT(scenarios));
}
