/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults while a connection lives: receiving, sending, ending, adopting and detaching. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */

#include "talk.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void exchange_over(enum transport over)
{
    struct account account = {.length = 0};
    int peer;
    nb_conn *conn = connection(over, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    raw_send(peer, EXCHANGED, sizeof(EXCHANGED) - 1);
    peer_end(peer);
    exchange(conn, &account);
    close_and_check(conn, peer, over == OVER_UNIX ? NULL : &account);
}

static void exchange_over_ipv4(void)
{
    exchange_over(OVER_IPV4);
}

static void exchange_over_ipv6(void)
{
    exchange_over(OVER_IPV6);
}

static void exchange_over_unix(void)
{
    exchange_over(OVER_UNIX);
}

static void send_part(nb_conn *conn, int file, const char *content, size_t from, size_t length,
                      struct account *account)
{
    uint64_t sent = 99;
    nb_status status =
        STEP_ON(conn, API_SEND, S(NB_OK), nb_send_file(conn, file, from, length, &sent, soon()));

    holds(status == NB_OK ? sent == length : sent < length);
    memcpy(account->text + account->length, content + from, (size_t)sent);
    account->length += (size_t)sent;
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

/* A line that is too long is passed over. */
static void skipping(void)
{
    int peer;
    nb_conn *conn = connection(OVER_IPV4, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    peer_say(peer, "much too long for a line\r\nnext\n");
    if (skip_long_line(conn, "much to"))
        (void)receive_line(conn, "next");
    DO(nb_abort(conn));
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

/* Nobody is there any more to write to: that is told by a status, and by no signal. */
static void broken_pipe(bool slices)
{
    nb_slice parts[] = {{"go", 2}, {"ne", 2}};
    int peer;
    nb_conn *conn = connection(OVER_UNIX, &peer);

    peer_close(peer);
    if (conn == NULL)
        return;
    if (slices)
        (void)STEP_ON(conn, API_SEND, S(NB_RESET), nb_send_slices(conn, parts, 2, NULL, soon()));
    else
        (void)STEP_ON(conn, API_SEND, S(NB_RESET), nb_send_all(conn, "gone", 4, NULL, soon()));
    (void)STEP_ON(conn, API_CLOSE, 0, nb_close(conn, soon()));
}

static void broken_pipe_of_bytes(void)
{
    broken_pipe(false);
}

static void broken_pipe_of_slices(void)
{
    broken_pipe(true);
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

/* Two parts of a file, and what is not there of a third. */
static void sending_a_file(enum transport over)
{
    static const char content[] = "..a part of a file";
    struct account account = {.length = 0};
    int file = memfd_create("file", MFD_CLOEXEC);
    int peer;
    nb_conn *conn = connection(over, &peer);

    holds(write(file, content, sizeof(content) - 1) == sizeof(content) - 1);
    if (conn != NULL) {
        peer_end(peer);
        send_part(conn, file, content, 2, 7, &account);
        send_part(conn, file, content, 9, 9, &account);
        close_and_check(conn, peer, over == OVER_UNIX ? NULL : &account);
    } else {
        peer_close(peer);
    }
    (void)close(file);
}

static void sending_a_file_over_ipv4(void)
{
    sending_a_file(OVER_IPV4);
}

static void sending_a_file_over_unix(void)
{
    sending_a_file(OVER_UNIX);
}

static void a_file_that_is_too_short(void)
{
    uint64_t sent = 99;
    int file = memfd_create("file", MFD_CLOEXEC);
    int peer;
    nb_conn *conn = connection(OVER_IPV4, &peer);

    holds(write(file, "short", 5) == 5);
    if (conn != NULL) {
        (void)STEP_ON(conn, API_SEND, S(NB_EOF), nb_send_file(conn, file, 1, 9, &sent, soon()));
        holds(sent <= 4);
        (void)STEP_ON(conn, API_SEND, 0, nb_send_all(conn, "x", 1, NULL, soon()));
        (void)STEP_ON(conn, API_CLOSE, 0, nb_close(conn, soon()));
    }
    peer_close(peer);
    (void)close(file);
}

static void asking_who_the_peer_is(void)
{
    nb_credentials who = NB_CREDENTIALS_INIT;
    int peer;
    nb_conn *conn = connection(OVER_UNIX, &peer);
    nb_status status;

    if (conn != NULL) {
        status = STEP(API_CREDENTIALS, S(NB_OK), nb_conn_peer_credentials(conn, &who));
        holds(who.uid == (status == NB_OK ? (int64_t)geteuid() : -1));
        DO(nb_abort(conn));
    }
    peer_close(peer);
}

/* Out of the library again, with what was received ahead, and back in. */
static void detaching(void)
{
    char ahead[32];
    size_t length = 0;
    bool line;
    nb_fd fd = -1;
    int peer;
    nb_conn *conn = connection(OVER_IPV4, &peer);

    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    peer_say(peer, "one\ntwo");
    until_arrived(nb_conn_fd(conn), 7);
    line = receive_line(conn, "one");
    if (line && nb_conn_buffered(conn) == 3) {
        (void)STEP(API_DETACH, S(NB_TOO_LONG), nb_conn_detach(conn, &fd, ahead, 2, &length));
        holds(length == 3);
    }
    (void)STEP(API_DETACH, S(NB_OK), nb_conn_detach(conn, &fd, ahead, sizeof(ahead), &length));
    holds(!line || memcmp(ahead, "two", length) == 0);
    conn = adopted(fd);
    if (conn != NULL)
        DO(nb_abort(conn));
    peer_close(peer);
}

int main(int count, char **arguments)
{
    static const struct scenario scenarios[] = {
        {"exchange_over_ipv4", exchange_over_ipv4, 2, false, true},
        {"exchange_over_ipv6", exchange_over_ipv6, 2, false, false},
        {"exchange_over_unix", exchange_over_unix, 2, false, false},
        {"silence", silence, 2, false, true},
        {"skipping", skipping, 2, false, true},
        {"deafness_over_ipv4", deafness_over_ipv4, 2, false, true},
        {"deafness_over_unix", deafness_over_unix, 2, false, false},
        {"breaking_off", breaking_off, 2, false, true},
        {"broken_pipe_of_bytes", broken_pipe_of_bytes, 2, false, true},
        {"broken_pipe_of_slices", broken_pipe_of_slices, 2, false, true},
        {"half_close", half_close, 2, false, true},
        {"cancelling", cancelling, 2, false, true},
        {"sending_a_file_over_ipv4", sending_a_file_over_ipv4, 2, false, true},
        {"sending_a_file_over_unix", sending_a_file_over_unix, 2, false, false},
        {"a_file_that_is_too_short", a_file_that_is_too_short, 2, false, true},
        {"asking_who_the_peer_is", asking_who_the_peer_is, 2, false, true},
        {"detaching", detaching, 2, false, true},
    };

    (void)count;
    return run_scenarios(scenarios, COUNT(scenarios), arguments + 1);
}
