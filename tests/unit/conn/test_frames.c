/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of frames: messages that say their length first. */
#include "conn_case.h"
#include "support.h"

#define SHORT_MS 20 /* a wait that is expected to be in vain */
#define HEADER 4
#define LARGE ((size_t)1 << 20)

/* Where the calls of a case receive, and what they reported. */
static char buf[4096];
static size_t got;

static nb_status frame(size_t capacity, nb_deadline by)
{
    memset(buf, '#', sizeof(buf));
    got = 4321;
    return nb_recv_frame(conn, buf, capacity, &got, by);
}

static void assert_nothing_consumed(void)
{
    uint64_t received = 1;

    assert_int_equal(got, 0);
    assert_int_equal(buf[0], '#');
    nb_conn_counters(conn, &received, NULL);
    assert_int_equal(received, 0);
}

#define TEST(name) TEST_AS(name, TCP)

/* ---- frames that arrive ---- */

TEST(the_length_of_a_frame_is_sent_most_significant_byte_first)
{
    static const struct {
        size_t length;
        unsigned char header[HEADER];
    } rows[] = {
        {0, {0, 0, 0, 0}},
        {1, {0, 0, 0, 1}},
        {255, {0, 0, 0, 255}},
        {256, {0, 0, 1, 0}},
        {0x1234, {0, 0, 0x12, 0x34}},
        {0x10203, {0, 1, 2, 3}},
    };
    static unsigned char body[0x10203];
    static unsigned char received[HEADER + sizeof(body)];

    pattern_fill(body, sizeof(body), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_status(nb_send_frame(conn, body, rows[i].length, plenty()), NB_OK);
        raw_recv(peer, received, HEADER + rows[i].length);
        assert_memory_equal(received, rows[i].header, HEADER);
        assert_true(pattern_holds(received + HEADER, rows[i].length, 0));
    }
}

TEST_AS(header_and_body_of_a_frame_are_one_system_call, BOTH)
{
    probe_clear();
    assert_status(nb_send_frame(conn, "body", 4, nb_forever()), NB_OK);
    assert_int_equal(probe_total(), 1);
    assert_int_equal(calls(ON_SEND), 1);
    assert_status(nb_send_frame(conn, NULL, 0, nb_forever()), NB_OK);
    assert_int_equal(probe_total(), 2);
    raw_recv(peer, buf, 12);
    assert_memory_equal(buf, "\0\0\0\4body\0\0\0\0", 12);
}

TEST_AS(a_frame_is_returned_without_its_header, BOTH)
{
    arrive("\0\0\0\5hello");
    assert_gives(frame(sizeof(buf), plenty()), NB_OK, "hello");
    assert_int_equal(buf[5], '#');
}

TEST(an_empty_frame_is_valid)
{
    arrive("\0\0\0\0\0\0\0\0\0\0\0\1x");
    assert_gives(frame(sizeof(buf), plenty()), NB_OK, "");
    got = 4321;
    assert_gives(nb_recv_frame(conn, NULL, 0, &got, plenty()), NB_OK, "");
    assert_gives(frame(sizeof(buf), plenty()), NB_OK, "x");
}

struct sender {
    nb_conn *conn;
    const unsigned char *data;
    const size_t *lengths;
    size_t count;
    atomic_int status;
};

static void send_frames(void *argument)
{
    struct sender *sender = argument;
    nb_status status = NB_OK;

    for (size_t i = 0; i < sender->count; i++)
        status = nb_send_frame(sender->conn, sender->data, sender->lengths[i], plenty());
    atomic_store(&sender->status, (int)status);
}

TEST_AS(frames_of_any_length_arrive_whole_through_small_buffers, BOTH)
{
    static const size_t lengths[] = {0,    1,     4091, 4092,  4093,      4096, LARGE, 3,
                                     8192, 65536, 0,    99999, LARGE - 1, 2,    LARGE, 4095};
    unsigned char *data = test_malloc(LARGE);
    unsigned char *copy = test_malloc(LARGE);
    struct sender sender = {NULL, data, lengths, COUNT(lengths), -1};
    nb_conn *receiver;
    struct task task;

    pattern_fill(data, LARGE, 7);
    conn_pair(over, &sender.conn, &receiver);
    raw_shrink(nb_conn_fd(sender.conn));
    raw_shrink(nb_conn_fd(receiver));
    task_start(&task, send_frames, &sender);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        memset(copy, 0, lengths[i]);
        assert_status(nb_recv_frame(receiver, copy, LARGE, &got, plenty()), NB_OK);
        assert_int_equal(got, lengths[i]);
        assert_true(pattern_holds(copy, got, 7));
    }
    task_join(&task);
    assert_status((nb_status)atomic_load(&sender.status), NB_OK);
    nb_abort(sender.conn);
    nb_abort(receiver);
    test_free(copy);
    test_free(data);
}

TEST_AS(frames_arrive_whole_byte_by_byte_and_despite_signals, BOTH)
{
    nb_conn *a;
    nb_conn *b;

    conn_pair(over, &a, &b);
    probe.send.limit = probe.receive.limit = 1;
    for (int i = 0; i < 3; i++) {
        fail_next(ON_SEND, EINTR, 2);
        assert_status(nb_send_frame(a, "seven..", 7, i == 0 ? nb_forever() : plenty()), NB_OK);
    }
    for (int i = 0; i < 3; i++) {
        fail_next(ON_RECV, EINTR, 2);
        assert_gives(nb_recv_frame(b, buf, 7, &got, i == 0 ? nb_forever() : plenty()), NB_OK,
                     "seven..");
    }
    nb_abort(a);
    nb_abort(b);
}

TEST(frames_that_arrived_together_are_one_receive)
{
    arrive("\0\0\0\3one\0\0\0\0\0\0\0\5three");
    probe_clear();
    assert_gives(frame(sizeof(buf), nb_forever()), NB_OK, "one");
    assert_int_equal(nb_conn_buffered(conn), 13);
    assert_status(frame(sizeof(buf), nb_forever()), NB_OK);
    assert_gives(frame(sizeof(buf), nb_forever()), NB_OK, "three");
    assert_int_equal(probe_total(), 1);
}

TEST(frames_and_other_calls_share_the_buffer)
{
    arrive("line\n\0\0\0\5framerest\0\0\0\1x");
    assert_status(nb_recv_line(conn, buf, sizeof(buf), &got, plenty()), NB_OK);
    assert_gives(frame(sizeof(buf), plenty()), NB_OK, "frame");
    assert_gives(nb_recv_exact(conn, buf, 4, &got, plenty()), NB_OK, "rest");
    assert_gives(frame(sizeof(buf), plenty()), NB_OK, "x");
}

TEST(counters_of_frames_include_the_headers)
{
    arrive("\0\0\0\3one\0\0\0\3tw");
    assert_status(nb_send_frame(conn, "four", 4, plenty()), NB_OK);
    assert_status(frame(sizeof(buf), plenty()), NB_OK);
    assert_status(frame(sizeof(buf), before_long()), NB_TIMEOUT);
    assert_counted(7, 8);
}

TEST_AS(successful_frame_calls_preserve_errno, BOTH)
{
    arrive("\0\0\0\1x");
    errno = 1234;
    assert_status(nb_send_frame(conn, "x", 1, plenty()), NB_OK);
    assert_status(frame(sizeof(buf), plenty()), NB_OK);
    assert_int_equal(errno, 1234);
}

/* ---- frames that are too long ---- */

TEST(a_frame_that_just_fits_is_received)
{
    arrive("\0\0\0\5hello\0\0\0\6hello!");
    assert_gives(frame(5, plenty()), NB_OK, "hello");
    assert_status(frame(5, plenty()), NB_TOO_LONG);
    assert_int_equal(got, 6);
    assert_int_equal(buf[0], '#');
}

TEST(a_frame_too_long_is_a_sticky_error_and_its_body_is_not_read)
{
    char body[8];
    size_t length;
    int fd;

    arrive("\0\0\0\6hello!");
    assert_status(frame(5, plenty()), NB_TOO_LONG);
    assert_int_equal(got, 6);
    assert_gives(frame(sizeof(buf), plenty()), NB_TOO_LONG, "");
    assert_status(nb_recv(conn, buf, sizeof(buf), &got, plenty()), NB_TOO_LONG);
    assert_directions(NB_TOO_LONG, NB_OK);
    assert_status(nb_conn_detach(conn, &fd, body, sizeof(body), &length), NB_OK);
    raw_recv(fd, body + length, 6 - length);
    assert_memory_equal(body, "hello!", 6);
    conn = adopt(fd);
}

TEST(the_length_announced_in_a_header_allocates_no_memory)
{
    arrive("\xff\xff\xff\xff");
    probe_clear();
    assert_status(frame(64, plenty()), NB_TOO_LONG);
    assert_int_equal(got, UINT32_MAX);
    assert_true(atomic_load(&probe.allocate.longest) <= 1024);
}

TEST(the_buffer_grows_with_the_bytes_of_a_frame_that_have_arrived)
{
    static char large[LARGE];

    arrive("\0\x0f\xff\xff");
    probe_clear();
    assert_status(nb_recv_frame(conn, large, LARGE, &got, nb_after_ms(SHORT_MS)), NB_TIMEOUT);
    assert_true(atomic_load(&probe.allocate.longest) <= 4096);
}

TEST(the_buffer_grows_to_no_more_than_the_frame)
{
    static char whole[HEADER + 50000];
    static char body[50000];

    memcpy(whole, "\0\0\xc3\x50", HEADER);
    arrive_bytes(whole, sizeof(whole));
    probe_clear();
    assert_status(nb_recv_frame(conn, body, sizeof(body), &got, plenty()), NB_OK);
    assert_int_equal(got, sizeof(body));
    assert_true(atomic_load(&probe.allocate.longest) <= sizeof(whole));
}

/* ---- frames that do not come ---- */

TEST_AS(a_timeout_anywhere_in_a_frame_consumes_nothing, BOTH)
{
    static const char whole[] = "\0\0\0\6hello!";

    for (size_t cut = 0; cut < sizeof(whole) - 1; cut++) {
        nb_deadline by;

        start_over();
        arrive_bytes(whole, cut);
        by = nb_after_ms(SHORT_MS);
        assert_status(frame(sizeof(buf), by), NB_TIMEOUT);
        assert_passed(by, 10000);
        assert_nothing_consumed();
        assert_status(nb_conn_status(conn, NB_RECEIVE), NB_OK);
        raw_send(peer, whole + cut, sizeof(whole) - 1 - cut);
        assert_gives(frame(sizeof(buf), plenty()), NB_OK, "hello!");
    }
}

TEST(bytes_of_a_frame_that_timed_out_are_available_to_every_call)
{
    arrive("\0\0\0\6hel");
    assert_status(frame(sizeof(buf), before_long()), NB_TIMEOUT);
    assert_gives(nb_recv_exact(conn, buf, 7, &got, plenty()), NB_OK, "\0\0\0\6hel");
}

TEST(an_expired_deadline_gives_only_a_frame_complete_in_the_buffer)
{
    arrive("\0\0\0\1a\0\0\0\1b\0\0\0\4c");
    assert_status(frame(sizeof(buf), past()), NB_TIMEOUT);
    assert_nothing_consumed();
    assert_int_equal(nb_conn_buffered(conn), 0);
    assert_status(frame(sizeof(buf), plenty()), NB_OK);
    probe_clear();
    assert_gives(frame(sizeof(buf), past()), NB_OK, "b");
    assert_gives(frame(sizeof(buf), past()), NB_TIMEOUT, "");
    assert_int_equal(nb_conn_buffered(conn), 5);
    assert_status(frame(3, past()), NB_TOO_LONG);
    assert_int_equal(got, 4);
    assert_int_equal(probe_total(), 0);
}

TEST_AS(the_readahead_of_frames_does_not_depend_on_their_bound, BOTH)
{
    static char stream[30 * 1000];

    for (size_t bound = 26; bound < 100000; bound *= 50) {
        static char body[26 * 50 * 50];

        start_over();
        for (size_t i = 0; i < sizeof(stream); i += 30)
            stream[i + 3] = 26;
        arrive_bytes(stream, sizeof(stream));
        probe_clear();
        for (int i = 0; i < 1000; i++) {
            assert_status(nb_recv_frame(conn, body, bound, &got, plenty()), NB_OK);
            assert_int_equal(got, 26);
        }
        assert_true(probe_total() < 10);
    }
}

TEST_AS(the_buffer_of_a_long_frame_is_freed_afterwards, BOTH)
{
    static char whole[HEADER + 50000];
    static char body[50000];

    memcpy(whole, "\0\0\xc3\x50", HEADER);
    arrive_bytes(whole, sizeof(whole));
    probe_clear();
    assert_status(nb_recv_frame(conn, body, sizeof(body), &got, plenty()), NB_OK);
    assert_status(frame(sizeof(buf), nb_after_ms(1)), NB_TIMEOUT);
    assert_true(atomic_load(&probe.allocate.last) <= 4096);
}

/* The buffer that one frame has left is as long as that, and the next one begins to come in it. */
TEST_AS(one_receive_of_a_frame_never_takes_more_than_a_mebibyte, BOTH)
{
    const size_t lengths[] = {3 * LARGE, 3 * LARGE};
    unsigned char *data = test_malloc(lengths[0]);
    unsigned char *copy = test_malloc(lengths[0]);
    struct sender sender = {NULL, data, lengths, COUNT(lengths), -1};
    nb_conn *receiver;
    struct task task;

    memset(data, 'x', lengths[0]);
    conn_pair(over, &sender.conn, &receiver);
    task_start(&task, send_frames, &sender);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        assert_status(nb_recv_frame(receiver, copy, lengths[i], &got, plenty()), NB_OK);
        assert_int_equal(got, lengths[i]);
    }
    task_join(&task);
    assert_int_equal(atomic_load(&probe.receive.longest), LARGE);
    nb_abort(sender.conn);
    nb_abort(receiver);
    test_free(copy);
    test_free(data);
}

/* The peer sends a byte of a long frame now and then. */
static atomic_bool trickling;

static void trickle(void *argument)
{
    (void)argument;
    (void)send(peer, "\0\0\x0f\xff", HEADER, MSG_NOSIGNAL);
    while (atomic_load(&trickling)) {
        (void)send(peer, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)nanosleep(&(struct timespec){0, 3000000}, NULL);
    }
}

TEST_AS(a_frame_that_trickles_extends_no_deadline, BOTH)
{
    nb_deadline by;
    struct task task;
    nb_status status;

    atomic_store(&trickling, true);
    task_start(&task, trickle, NULL);
    by = nb_after_ms(100);
    status = frame(sizeof(buf), by);
    atomic_store(&trickling, false);
    task_join(&task);
    assert_status(status, NB_TIMEOUT);
    assert_passed(by, 10000);
    assert_nothing_consumed();
}

TEST_AS(an_end_between_frames_is_eof_and_inside_a_frame_a_reset, BOTH)
{
    static const char whole[] = "\0\0\0\1x\0\0\0\6hello!";

    for (size_t cut = 0; cut < sizeof(whole) - 1; cut++) {
        nb_status ending = cut == 0 || cut == 5 ? NB_EOF : NB_RESET;

        start_over();
        arrive_bytes(whole, cut);
        peer_ends();
        if (cut >= 5)
            assert_status(frame(sizeof(buf), plenty()), NB_OK);
        assert_gives(frame(sizeof(buf), plenty()), ending, "");
        assert_status(frame(sizeof(buf), plenty()), ending);
        assert_status(nb_conn_status(conn, NB_RECEIVE), ending);
        assert_status(nb_recv(conn, buf, sizeof(buf), &got, plenty()), ending);
        assert_status(nb_conn_status(conn, NB_SEND), NB_OK);
    }
}

TEST(a_reset_inside_a_frame_is_reported_as_a_reset)
{
    arrive("\0\0\0\6hel");
    peer_breaks_off();
    assert_status(frame(sizeof(buf), plenty()), NB_RESET);
    assert_status(frame(sizeof(buf), plenty()), NB_RESET);
}

TEST(out_of_memory_for_a_frame_consumes_nothing_and_is_not_sticky)
{
    arrive("\0\0\0\6hello!");
    fail_next(ON_LIBC_MALLOC, ENOMEM, 1);
    assert_status(frame(sizeof(buf), plenty()), NB_NO_MEMORY);
    assert_nothing_consumed();
    assert_gives(frame(sizeof(buf), plenty()), NB_OK, "hello!");
}

static void run_frame(void *argument)
{
    atomic_store((atomic_int *)argument, (int)frame(sizeof(buf), nb_forever()));
}

TEST_AS(cancel_wakes_a_call_that_waits_for_a_frame, BOTH)
{
    static atomic_int status;
    struct task task;

    arrive("\0\0\0\6hel");
    task_start(&task, run_frame, &status);
    task_until_blocked(&task);
    nb_cancel(conn);
    task_join(&task);
    assert_status((nb_status)atomic_load(&status), NB_CANCELLED);
    assert_int_equal(got, 0);
    assert_status(frame(sizeof(buf), past()), NB_CANCELLED);
    assert_status(nb_send_frame(conn, "x", 1, past()), NB_CANCELLED);
}

/* ---- what is no frame ---- */

TEST(receiving_a_frame_refuses_invalid_lengths_and_null)
{
    arrive("\0\0\0\1x");
    nb_cancel(conn); /* a broken contract comes first */
    probe_clear();
    assert_gives(nb_recv_frame(NULL, buf, 1, &got, plenty()), NB_INVALID, "");
    assert_status(nb_recv_frame(conn, NULL, 1, &got, plenty()), NB_INVALID);
    assert_status(nb_recv_frame(conn, buf, 1, NULL, plenty()), NB_INVALID);
    assert_gives(frame(SIZE_MAX / 2 + 1, plenty()), NB_INVALID, "");
    assert_int_equal(probe_total(), 0);
}

TEST(sending_a_frame_refuses_invalid_lengths_and_null)
{
    const size_t longest = SIZE_MAX / 2 > UINT32_MAX ? UINT32_MAX : SIZE_MAX / 2 - 4;

    probe_clear();
    assert_status(nb_send_frame(NULL, "x", 1, plenty()), NB_INVALID);
    assert_status(nb_send_frame(conn, NULL, 1, plenty()), NB_INVALID);
    assert_status(nb_send_frame(conn, "x", longest + 1, plenty()), NB_INVALID);
    assert_status(nb_send_frame(conn, "x", SIZE_MAX, plenty()), NB_INVALID);
    assert_int_equal(probe_total(), 0);
    assert_status(nb_send_frame(conn, "x", 1, plenty()), NB_OK); /* it did not stay */
    assert_status(nb_send_frame(conn, "x", longest, past()), NB_TIMEOUT);
    assert_status(nb_send_frame(conn, "x", 1, plenty()), NB_TIMEOUT);
    assert_status(nb_send_all(conn, "x", 1, NULL, plenty()), NB_TIMEOUT);
}

TEST(no_frame_is_sent_after_shutdown)
{
    assert_status(nb_shutdown_send(conn), NB_OK);
    assert_status(nb_send_frame(conn, NULL, 0, plenty()), NB_INVALID);
}
