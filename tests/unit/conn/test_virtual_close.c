/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the orderly end on the scripted kernel: its bounds in time and bytes, and what the
 *         peer sees of it. */
#include "kernel.h"
#include "support.h"

#include <errno.h>
#include <string.h>

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

static const struct ending endings[] = {
    {"an end at once", {{0, 0, 0}}, 1, 0, NB_OK, 0},
    {"an end within 60 s", {{60 * S - 1, 0, 0}}, 1, 0, NB_OK, 60 * S - 1},
    {"no end within 60 s", {{60 * S + 1, 0, 0}}, 1, 0, NB_TIMEOUT, 60 * S},
    {"60 s anew after each byte",
     {{50 * S, 1, 0}, {50 * S, 1, 0}, {59 * S, 1, 0}},
     3,
     0,
     NB_TIMEOUT,
     219 * S},
    {"a deadline is longer than 60 s", {{100 * S, 0, 0}}, 1, 200 * S, NB_OK, 100 * S},
    {"a deadline is shorter than 60 s",
     {{2 * S, 1, 0}, {2 * S, 1, 0}},
     2,
     5 * S,
     NB_TIMEOUT,
     5 * S},
    {"64 KiB are read", {{S, 64 * KIB, 0}, {S, 0, 0}}, 2, 0, NB_OK, 2 * S},
    {"64 KiB and a byte are not",
     {{S, 64 * KIB, 0}, {S, 1, 0}, {S, 0, 0}},
     3,
     0,
     NB_TOO_LONG,
     2 * S},
    {"more at once is not", {{S, 65 * KIB, 0}, {S, 0, 0}}, 2, 0, NB_TOO_LONG, S},
    {"a reset instead of the end", {{S, 10, 0}, {S, 0, ECONNRESET}}, 2, 0, NB_RESET, 2 * S},
    {"a peer that is gone", {{S, 10, 0}, {S, 0, ETIMEDOUT}}, 2, 0, NB_UNREACHABLE, 2 * S},
    {"no memory for a moment", {{S, 0, ENOMEM}, {S, 0, 0}}, 2, 0, NB_NO_MEMORY, S},
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

TEST(signals_do_not_keep_a_close_from_its_end)
{
    static const struct kernel_peer silent = {NULL, 0, NULL, 0, NULL, 0, 0};
    nb_conn *conn;

    for (int i = 0; i < 2; i++) {
        nb_deadline by;

        kernel_begin();
        kernel.signal_every_ns = 7 * KERNEL_MS;
        assert_status(nb_conn_adopt(&conn, kernel_connection(&silent, i == 0), NULL), NB_OK);
        by = KERNEL_IN(5 * S);
        assert_status(nb_close(conn, by), NB_TIMEOUT);
        assert_true(kernel.now == by.ns);
        assert_null(kernel.complaint);
        kernel_end();
    }
}

/* All that it may drop comes at once, in the largest pieces that it reads, and then nothing. */
TEST(close_that_has_dropped_the_most_gives_up_after_60_s)
{
    static const struct kernel_step gives[] = {{0, 64 * KIB, 0}, {100 * S, 0, 0}};
    static const struct kernel_peer peer = {gives, COUNT(gives), NULL, 0, NULL, 0, 0};
    nb_conn *conn;

    kernel_begin();
    assert_status(nb_conn_adopt(&conn, kernel_connection(&peer, false), NULL), NB_OK);
    assert_status(nb_close(conn, nb_forever()), NB_TIMEOUT);
    assert_true(kernel.now == KERNEL_START + 60 * S);
    assert_null(kernel.complaint);
    kernel_end();
}

/* That is no progress: without a deadline it gives up after 60 s all the same. */
TEST(socket_that_is_readable_for_nothing_does_not_keep_a_close)
{
    static const struct kernel_peer silent = {NULL, 0, NULL, 0, NULL, 0, 0};
    nb_conn *conn;

    kernel_begin();
    kernel.idle_poll_ns = 70 * KERNEL_MS;
    assert_status(nb_conn_adopt(&conn, kernel_connection(&silent, false), NULL), NB_OK);
    assert_status(nb_close(conn, nb_forever()), NB_TIMEOUT);
    assert_true(kernel.now == KERNEL_START + 60 * S);
    assert_null(kernel.complaint);
    kernel_end();
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
