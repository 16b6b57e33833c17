/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of nb_send_file(). */
#undef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64

#include "conn_case.h"
#include "support.h"
#include "sys/sys.h"

#include <sched.h>

#define PIECE ((size_t)256 << 10) /* what is read at once */
#define LARGE ((size_t)8 << 20)   /* more than the system takes while nobody reads */

/* The file of a case. */
static FILE *stream;
static int file;

/* What a call reported as sent. */
static uint64_t sent;

static unsigned char data[LARGE];
static unsigned char copy[LARGE];

static size_t read_limit; /* most bytes of one read of the file; 0: as many as it likes */

static ssize_t limited_pread(int fd, void *buf, size_t length, uint64_t offset)
{
    return real.pread(fd, buf, read_limit > 0 && read_limit < length ? read_limit : length, offset);
}

REPLACE(pread, limited_pread)

static int begin(void **state)
{
    (void)conn_case_begin(state);
    stream = tmpfile();
    assert_non_null(stream);
    file = fileno(stream);
    sent = 4321;
    read_limit = 0;
    return 0;
}

static int end(void **state)
{
    assert_int_equal(fclose(stream), 0);
    return conn_case_end(state);
}

/* Makes the file so long. Each byte tells its place. */
static void fill_file(size_t length)
{
    pattern_fill(data, length, 0);
    assert_int_equal(ftruncate(file, 0), 0);
    assert_int_equal(pwrite(file, data, length, 0), length);
}

static nb_status send_part(uint64_t offset, uint64_t length, nb_deadline by)
{
    sent = 4321;
    return nb_send_file(conn, file, offset, length, &sent, by);
}

/* That the peer has received these bytes of the file so far, and no more. */
static void assert_peer_has(size_t offset, size_t length)
{
    raw_recv(peer, copy, length);
    assert_true(pattern_holds(copy, length, offset));
    assert_int_equal(recv(peer, copy, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* That the direction has failed for good, with the errno of the file. */
static void assert_stays(nb_status status, int system_error)
{
    nb_error err;

    assert_directions(NB_OK, status);
    nb_conn_error(conn, NB_SEND, &err);
    assert_int_equal(err.system_error, system_error);
    assert_sends(send_part(0, 1, plenty()), status, 0);
    assert_status(nb_send_all(conn, "x", 1, NULL, plenty()), status);
}

/* ---- what is sent ---- */

/* Reads in another thread, so that nothing depends on what the system takes at once. */
static void receive(void *length)
{
    raw_recv(peer, copy, *(const size_t *)length);
}

/* ---- the kinds of cases ---- */

#undef ON
#define ON(name, transport) CASE_WITH(name, transport, begin, end)
#define TEST(name) TEST_AS(name, TCP)

TEST_AS(a_file_of_any_length_arrives_whole, BOTH)
{
    static size_t lengths[] = {1, 4096, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, LARGE};

    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct task task;
        nb_status status;

        fill_file(lengths[i]);
        memset(copy, 0, lengths[i]);
        task_start(&task, receive, &lengths[i]);
        status = send_part(0, lengths[i], i % 2 == 0 ? plenty() : nb_forever());
        task_join(&task);
        assert_status(status, NB_OK);
        assert_int_equal(sent, lengths[i]);
        assert_true(pattern_holds(copy, lengths[i], 0));
    }
}

TEST(sending_part_of_a_file_does_not_move_its_offset)
{
    fill_file(5000);
    assert_int_equal(lseek(file, 7, SEEK_SET), 7);
    assert_sends(send_part(1000, 2000, plenty()), NB_OK, 2000);
    assert_peer_has(1000, 2000);
    assert_status(send_part(4999, 1, plenty()), NB_OK);
    assert_peer_has(4999, 1);
    assert_int_equal(lseek(file, 0, SEEK_CUR), 7);
    assert_counted(0, 2001);
}

TEST(a_file_offset_beyond_four_gibibytes_works)
{
    const off_t far = ((off_t)5 << 30) + 3;

    pattern_fill(data, 9, 100);
    assert_int_equal(pwrite(file, data, 9, far), 9);
    assert_status(send_part((uint64_t)far, 9, plenty()), NB_OK);
    assert_peer_has(100, 9);
}

TEST_AS(short_and_interrupted_reads_of_a_file_are_continued, BOTH)
{
    fill_file(5000);
    fail_after(ON_PREAD, 1, EINTR, 3);
    read_limit = 999;
    probe.send.limit = 500;
    fail_next(ON_SEND, EINTR, 2);
    assert_sends(send_part(0, 5000, plenty()), NB_OK, 5000);
    assert_int_equal(calls(ON_PREAD), 9);
    assert_peer_has(0, 5000);
}

TEST(send_file_allocates_at_most_one_chunk)
{
    fill_file(100);
    probe_clear();
    assert_status(send_part(0, 100, plenty()), NB_OK);
    assert_int_equal(calls(ON_LIBC_MALLOC), 1);
    assert_true(atomic_load(&probe.allocate.longest) <= 100);
    assert_status(send_part(0, INT64_MAX, plenty()), NB_EOF);
    assert_int_equal(atomic_load(&probe.allocate.longest), PIECE);
}

TEST_AS(successful_send_file_preserves_errno, BOTH)
{
    fill_file(10);
    errno = 1234;
    assert_status(nb_send_file(conn, file, 0, 10, NULL, plenty()),
                  NB_OK); /* the count may be NULL */
    assert_int_equal(errno, 1234);
    assert_peer_has(0, 10);
}

/* ---- what the file does not give ---- */

TEST_AS(a_file_shorter_than_announced_is_an_end_with_an_exact_count, BOTH)
{
    fill_file(1500);
    assert_sends(send_part(500, 1001, plenty()), NB_EOF, 1000);
    assert_peer_has(500, 1000);
    assert_stays(NB_EOF, 0);
    assert_status(nb_shutdown_send(conn), NB_EOF);
    assert_status(nb_close(conn, plenty()), NB_EOF);
    if (over == OVER_IPV4)
        assert_int_equal(raw_ending(peer, NULL), ECONNRESET); /* it does not look whole */
    conn = NULL;
}

TEST(a_file_offset_beyond_the_end_is_an_end)
{
    fill_file(10);
    assert_sends(send_part(10, 1, plenty()), NB_EOF, 0);
    assert_stays(NB_EOF, 0);
}

TEST(a_directory_cannot_be_sent)
{
    int directory = open("/", O_RDONLY);

    assert_true(directory >= 0);
    assert_sends(nb_send_file(conn, directory, 0, 1, &sent, plenty()), NB_SYSTEM, 0);
    assert_stays(NB_SYSTEM, EISDIR);
    assert_int_equal(close(directory), 0);
}

TEST(a_bad_descriptor_cannot_be_sent)
{
    assert_sends(nb_send_file(conn, -1, 0, 1, &sent, plenty()), NB_SYSTEM, 0);
    assert_stays(NB_SYSTEM, EBADF);
}

TEST(a_pipe_cannot_be_sent)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_status(nb_send_file(conn, fds[0], 0, 1, &sent, plenty()), NB_SYSTEM);
    assert_stays(NB_SYSTEM, ESPIPE);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
}

TEST(a_read_error_of_the_file_is_sticky_and_the_count_exact)
{
    static const struct {
        int error;
        nb_status status;
    } rows[] = {
        {EIO, NB_SYSTEM},       {ENOMEM, NB_NO_MEMORY},  {ENOBUFS, NB_NO_MEMORY},
        {ETIMEDOUT, NB_SYSTEM}, {ECONNRESET, NB_SYSTEM}, /* of the file, not of the peer */
        {EOVERFLOW, NB_SYSTEM},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        start_over();
        fill_file(2000);
        fail_after(ON_PREAD, 2, rows[i].error, -1);
        read_limit = 600;
        assert_sends(send_part(0, 2000, plenty()), rows[i].status, 1200);
        assert_peer_has(0, 1200);
        assert_stays(rows[i].status, rows[i].error);
    }
}

TEST(out_of_memory_in_send_file_is_sticky)
{
    fill_file(10);
    fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
    assert_sends(send_part(0, 10, plenty()), NB_NO_MEMORY, 0);
    assert_int_equal(calls(ON_PREAD), 0);
    assert_stays(NB_NO_MEMORY, 0);
}

/* ---- time, and the peer ---- */

TEST(an_expired_deadline_of_send_file_is_sticky_and_reads_nothing)
{
    fill_file(10);
    fail_next(ON_LIBC_MALLOC, ENOMEM, 1); /* it does not come to that */
    assert_sends(send_part(0, 10, past()), NB_TIMEOUT, 0);
    assert_int_equal(calls(ON_PREAD), 0);
    assert_stays(NB_TIMEOUT, 0);
    assert_status(send_part(0, 0, plenty()), NB_TIMEOUT);
}

TEST_AS(a_file_that_times_out_reports_exactly_what_was_sent, BOTH)
{
    nb_deadline by;

    fill_file(LARGE);
    shrink();
    by = nb_after_ms(200);
    assert_status(send_part(0, LARGE, by), NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_true(sent < LARGE);
    assert_counted(0, sent);
    raw_recv(peer, copy, (size_t)sent);
    assert_true(pattern_holds(copy, (size_t)sent, 0));
    assert_int_equal(shutdown(nb_conn_fd(conn), SHUT_WR), 0);
    assert_int_equal(raw_ending(peer, NULL), 0);
    assert_stays(NB_TIMEOUT, 0);
}

TEST(endless_signals_extend_no_deadline_of_send_file)
{
    nb_deadline by = nb_after_ms(30);

    fill_file(10);
    fail_after(ON_PREAD, 0, EINTR, -1);
    assert_status(send_part(0, 10, by), NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_int_equal(sent, 0);
    assert_stays(NB_TIMEOUT, 0);
}

static atomic_int status_of_thread;

static void send_for_ever(void *argument)
{
    (void)argument;
    atomic_store(&status_of_thread, (int)send_part(0, LARGE, nb_forever()));
}

TEST_AS(cancel_wakes_a_blocked_send_file, BOTH)
{
    struct task task;

    fill_file(LARGE);
    task_start(&task, send_for_ever, NULL);
    task_until_blocked(&task);
    nb_cancel(conn);
    task_join(&task);
    assert_status((nb_status)atomic_load(&status_of_thread), NB_CANCELLED);
    assert_true(sent < LARGE);
    assert_status(send_part(0, 1, past()), NB_CANCELLED);
}

TEST(cancel_ends_send_file_despite_endless_signals)
{
    struct task task;

    fill_file(LARGE);
    fail_after(ON_PREAD, 0, EINTR, -1);
    task_start(&task, send_for_ever, NULL);
    while (calls(ON_PREAD) < 10)
        (void)sched_yield();
    nb_cancel(conn);
    task_join(&task);
    assert_status((nb_status)atomic_load(&status_of_thread), NB_CANCELLED);
    assert_int_equal(sent, 0);
}

TEST_AS(send_file_to_a_closed_peer_is_a_reset_without_sigpipe, BOTH)
{
    fill_file(LARGE);
    peer_breaks_off();
    assert_status(send_part(0, LARGE, plenty()), NB_RESET);
    assert_status(send_part(0, LARGE, plenty()), NB_RESET);
}

/* ---- what is no part of a file ---- */

TEST(a_file_range_that_cannot_exist_is_invalid)
{
    fill_file(10);
    probe_clear();
    assert_sends(nb_send_file(NULL, file, 0, 1, &sent, plenty()), NB_INVALID, 0);
    assert_status(send_part((uint64_t)INT64_MAX + 1, 0, plenty()), NB_INVALID);
    assert_status(send_part(UINT64_MAX, 1, plenty()), NB_INVALID);
    assert_status(send_part(0, (uint64_t)INT64_MAX + 1, plenty()), NB_INVALID);
    assert_status(send_part(1, INT64_MAX, plenty()), NB_INVALID);
    assert_sends(send_part(INT64_MAX, UINT64_MAX, plenty()), NB_INVALID, 0);
    assert_int_equal(probe_total() + calls(ON_PREAD), 0);
    assert_status(send_part(0, 10, plenty()), NB_OK); /* it did not stay */
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_status(send_part(0, 0, plenty()), NB_INVALID);
}

TEST(a_file_range_of_zero_bytes_reads_neither_clock_nor_file)
{
    probe_clear();
    assert_sends(nb_send_file(conn, -1, INT64_MAX, 0, &sent, past()), NB_OK, 0);
    assert_int_equal(probe_total() + calls(ON_PREAD) + calls(ON_LIBC_MALLOC), 0);
    assert_status(nb_conn_status(conn, NB_SEND), NB_OK);
}
