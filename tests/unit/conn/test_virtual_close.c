/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the orderly end on the scripted kernel: its bounds in time and bytes, and what the
 *         peer sees of it. */
#include "kernel.h"
#include "support.h"

#define KIB ((size_t)1024)
#define S (1000 * KERNEL_MS)

/* What the peer gives, and how nb_close() ends then. */
struct ending {
    const char *name;
    struct kernel_step gives[4];
    size_t give_count;
    int64_t deadline_ns; /* 0: none */
    nb_status status;
    int64_t takes_ns;
};

#define ENDING(title, deadline_ns, status, takes_ns, ...)                                          \
    {                                                                                              \
        title, {__VA_ARGS__}, COUNT(((struct kernel_step[]){__VA_ARGS__})), deadline_ns, status,   \
            takes_ns                                                                               \
    }

static const struct ending endings[] = {
    ENDING("an end at once", 0, NB_OK, 0, {0, 0, 0}),
    ENDING("an end within 60 s", 0, NB_OK, 60 * S - 1, {60 * S - 1, 0, 0}),
    ENDING("no end within 60 s", 0, NB_TIMEOUT, 60 * S, {60 * S + 1, 0, 0}),
    ENDING("60 s anew after each byte", 0, NB_TIMEOUT, 219 * S, {50 * S, 1, 0}, {50 * S, 1, 0},
           {59 * S, 1, 0}),
    ENDING("a deadline is longer than 60 s", 200 * S, NB_OK, 100 * S, {100 * S, 0, 0}),
    ENDING("a deadline is shorter than 60 s", 5 * S, NB_TIMEOUT, 5 * S, {2 * S, 1, 0},
           {2 * S, 1, 0}),
    ENDING("64 KiB are read", 0, NB_OK, 2 * S, {S, 64 * KIB, 0}, {S, 0, 0}),
    ENDING("64 KiB and a byte are not", 0, NB_TOO_LONG, 2 * S, {S, 64 * KIB, 0}, {S, 1, 0},
           {S, 0, 0}),
    ENDING("more at once is not", 0, NB_TOO_LONG, S, {S, 65 * KIB, 0}, {S, 0, 0}),
    ENDING("a reset instead of the end", 0, NB_RESET, 2 * S, {S, 10, 0}, {S, 0, ECONNRESET}),
    ENDING("a peer that is gone", 0, NB_UNREACHABLE, 2 * S, {S, 10, 0}, {S, 0, ETIMEDOUT}),
    ENDING("no memory for a moment", 0, NB_NO_MEMORY, S, {S, 0, ENOMEM}, {S, 0, 0}),
};

#define TEST(name) TEST_AS(name, CASE)

TEST(close_ends_within_its_bounds)
{
    for (size_t i = 0; i < COUNT(endings); i++) {
        const struct ending *ending = &endings[i];
        struct kernel_peer peer = {ending->gives, ending->give_count, NULL, 1000, NULL, 0, 0};
        nb_status status;
        nb_conn *conn;
        int fd;

        kernel_begin();
        fd = kernel_connection(&peer, false);
        assert_status(nb_conn_adopt(&conn, fd, NULL), NB_OK);
        status = nb_close(conn,
                          ending->deadline_ns == 0 ? nb_forever() : KERNEL_IN(ending->deadline_ns));
        if (status != ending->status || kernel.now - KERNEL_START != ending->takes_ns ||
            kernel_open() > 0 || kernel.complaint != NULL)
            fail_msg("%s: %s after %lld ms", ending->name, nb_status_name(status),
                     (long long)((kernel.now - KERNEL_START) / KERNEL_MS));
        assert_int_equal(kernel_fate(fd), KERNEL_ENDED);
        kernel_end();
    }
}

/* In the world that a case has begun: a close ends so, after this time. */
static void check_close(const struct kernel_peer *peer, bool on_unix, nb_deadline by,
                        int64_t takes_ns)
{
    nb_conn *conn;

    assert_status(nb_conn_adopt(&conn, kernel_connection(peer, on_unix), NULL), NB_OK);
    assert_status(nb_close(conn, by), NB_TIMEOUT);
    assert_true(kernel.now == KERNEL_START + takes_ns);
    assert_null(kernel.complaint);
    kernel_end();
}

static const struct kernel_peer silent = {NULL, 0, NULL, 0, NULL, 0, 0};

TEST(signals_do_not_delay_the_end_of_a_close)
{
    for (int i = 0; i < 2; i++) {
        kernel_begin();
        kernel.signal_every_ns = 7 * KERNEL_MS;
        check_close(&silent, i == 0, KERNEL_IN(5 * S), 5 * S);
    }
}

/* All that it may drop comes at once, in the largest pieces that it reads, and then nothing. */
TEST(close_that_has_discarded_64_kib_gives_up_after_60_s)
{
    static const struct kernel_step gives[] = {{0, 64 * KIB, 0}, {100 * S, 0, 0}};
    static const struct kernel_peer peer = {gives, COUNT(gives), NULL, 0, NULL, 0, 0};

    kernel_begin();
    check_close(&peer, false, nb_forever(), 60 * S);
}

/* That is no progress: without a deadline it gives up after 60 s all the same. */
TEST(spuriously_readable_socket_does_not_delay_a_close)
{
    kernel_begin();
    kernel.idle_poll_ns = 70 * KERNEL_MS;
    check_close(&silent, false, nb_forever(), 60 * S);
}

/* A stream with a hole must not look whole. */
TEST(peer_of_a_failed_send_sees_a_reset)
{
    static const struct kernel_step some_room[] = {{0, 10, 0}};
    static const struct kernel_peer deaf = {NULL, 0, NULL, 0, some_room, 1, 0};
    nb_conn *conn;
    size_t sent;
    int fd;

    kernel_begin();
    fd = kernel_connection(&deaf, false);
    assert_status(nb_conn_adopt(&conn, fd, NULL), NB_OK);
    assert_status(nb_send_all(conn, "0123456789more", 14, &sent, KERNEL_IN(S)), NB_TIMEOUT);
    assert_int_equal(sent, 10);
    assert_status(nb_close(conn, nb_forever()), NB_TIMEOUT);
    assert_true(kernel.now == KERNEL_START + S);
    assert_int_equal(kernel_fate(fd), KERNEL_RESET);
    assert_null(kernel.complaint);
    kernel_end();
}
