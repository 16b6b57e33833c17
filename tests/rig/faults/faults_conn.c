/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults while a connection lives: receiving, sending, ending, adopting and detaching. */
#include "talk.h"

#include <sys/mman.h>

/* The connection of a scenario. */
static nb_conn *conn;
static int peer;

/* False when there cannot be one. */
static bool begin(enum transport over)
{
    conn = connection(over, &peer);
    return conn != NULL;
}

static void exchange_over(enum transport over)
{
    if (!begin(over))
        return;
    peer_speak(peer);
    exchange(conn, peer);
}

SCENARIO_OF(exchange_over_ipv4, TWO_FAULTS, exchange_over(OVER_IPV4))
SCENARIO_OF(exchange_over_ipv6, ONE_FAULT, exchange_over(OVER_IPV6))
SCENARIO_OF(exchange_over_unix, ONE_FAULT, exchange_over(OVER_UNIX))

static void send_part(int file, const char *content, size_t from, size_t length,
                      struct account *account)
{
    uint64_t sent = 99;
    nb_status status =
        STEP_ON(conn, API_SEND, S(NB_OK), nb_send_file(conn, file, from, length, &sent, soon()));

    holds(status == NB_OK ? sent == length : sent < length);
    account_for(account, content + from, (size_t)sent);
}

/* Nobody says anything: every wait ends with its time, and nothing stays. */
SCENARIO(silence)
{
    char buf[16];
    size_t length;

    if (!begin(OVER_IPV4))
        return;
    receive_once(conn, S(NB_TIMEOUT));
    (void)STEP_ON(conn, API_RECEIVE, S(NB_TIMEOUT), nb_wait_readable(conn, soon()));
    (void)STEP_ON(conn, API_RECEIVE, S(NB_TIMEOUT),
                  nb_recv_line(conn, buf, sizeof(buf), &length, soon()));
    peer_say(peer, "at last\n");
    (void)receive_line(conn, "at last");
    close_once(conn, S(NB_TIMEOUT));
    peer_close(peer);
}

/* A line that is too long is passed over. */
SCENARIO(skipping)
{
    if (!begin(OVER_IPV4))
        return;
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

    if (!begin(over))
        return;
    raw_shrink(nb_conn_fd(conn));
    raw_shrink(peer);
    (void)STEP_ON(conn, API_SEND, S(NB_TIMEOUT),
                  nb_send_all(conn, data, sizeof(data), &sent, soon()));
    send_once(conn, 0);
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

SCENARIO_OF(peer_that_never_reads_over_ipv4, TWO_FAULTS, deafness(OVER_IPV4))
SCENARIO_OF(peer_that_never_reads_over_unix, ONE_FAULT, deafness(OVER_UNIX))

/* The peer has broken the connection off: no signal, no clean end. */
SCENARIO(reset_by_the_peer)
{
    if (!begin(OVER_IPV4))
        return;
    raw_reset(peer, nb_conn_fd(conn));
    send_once(conn, S(NB_RESET));
    send_once(conn, 0);
    receive_once(conn, S(NB_RESET));
    (void)STEP_ON(conn, API_SHUTDOWN, 0, nb_shutdown_send(conn));
    close_once(conn, 0);
}

/* Nobody is there any more to write to: that is told by a status, and by no signal. */
static void broken_pipe(bool slices)
{
    nb_slice parts[] = {{"go", 2}, {"ne", 2}};

    if (!begin(OVER_UNIX))
        return;
    peer_close(peer);
    if (slices)
        (void)STEP_ON(conn, API_SEND, S(NB_RESET), nb_send_slices(conn, parts, 2, NULL, soon()));
    else
        send_once(conn, S(NB_RESET));
    close_once(conn, 0);
}

SCENARIO_OF(broken_pipe_of_bytes, TWO_FAULTS, broken_pipe(false))
SCENARIO_OF(broken_pipe_of_slices, TWO_FAULTS, broken_pipe(true))

/* Half-closed: our stream ends, the peer's goes on. */
SCENARIO(half_close)
{
    struct account account = {.length = 0};

    if (!begin(OVER_IPV4))
        return;
    send_text(conn, "all of it", &account);
    (void)STEP_ON(conn, API_SHUTDOWN, S(NB_OK), nb_shutdown_send(conn));
    peer_say(peer, "an answer\nand more than anybody reads");
    peer_end(peer);
    (void)receive_line(conn, "an answer");
    close_and_check(conn, peer, &account);
}

SCENARIO(cancelling)
{
    char buf[16];
    size_t length;
    nb_address address;

    if (!begin(OVER_IPV4))
        return;
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

    holds(write(file, content, sizeof(content) - 1) == sizeof(content) - 1);
    if (begin(over)) {
        peer_end(peer);
        send_part(file, content, 2, 7, &account);
        send_part(file, content, 9, 9, &account);
        close_and_check(conn, peer, &account);
    }
    (void)close(file);
}

SCENARIO_OF(sending_a_file_over_ipv4, TWO_FAULTS, sending_a_file(OVER_IPV4))
SCENARIO_OF(sending_a_file_over_unix, ONE_FAULT, sending_a_file(OVER_UNIX))

SCENARIO(a_file_that_is_too_short)
{
    uint64_t sent = 99;
    int file = memfd_create("file", MFD_CLOEXEC);

    holds(write(file, "short", 5) == 5);
    if (begin(OVER_IPV4)) {
        (void)STEP_ON(conn, API_SEND, S(NB_EOF), nb_send_file(conn, file, 1, 9, &sent, soon()));
        holds(sent <= 4);
        send_once(conn, 0);
        close_once(conn, 0);
        peer_close(peer);
    }
    (void)close(file);
}

SCENARIO(asking_who_the_peer_is)
{
    nb_credentials who = NB_CREDENTIALS_INIT;
    nb_status status;

    if (!begin(OVER_UNIX))
        return;
    status = STEP(API_CREDENTIALS, S(NB_OK), nb_conn_peer_credentials(conn, &who));
    holds(who.uid == (status == NB_OK ? (int64_t)geteuid() : -1));
    DO(nb_abort(conn));
    peer_close(peer);
}

/* Out of the library again, with what was received ahead, and back in. */
SCENARIO(detaching)
{
    char ahead[32];
    size_t length = 0;
    bool line;
    nb_fd fd = -1;

    if (!begin(OVER_IPV4))
        return;
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
