/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Sends of more bytes than 32 bits can count, from memory and from a file that are not there: holes,
 *         but for a few marks. */
#include "soak.h"

#include <sys/mman.h>

#define GIB ((uint64_t)1 << 30)
#define LENGTH (5 * GIB + ((uint64_t)1 << 20))
#define PIECE ((size_t)1 << 20)

static const uint64_t marks[] = {0, 2 * GIB - 1, 2 * GIB, 4 * GIB - 1, 4 * GIB, LENGTH - 1};

static unsigned char *much; /* NULL: this is no place for it */

/* ---- the receiver ---- */

static struct {
    nb_conn *conn;
    uint64_t pause_at; /* until it may go on */
    atomic_bool paused;
    atomic_bool may_go_on;
    _Atomic uint64_t count;
    atomic_int marks; /* that came where they belong */
    nb_status end;
} receiver;

static void look_for_marks(const unsigned char *piece, size_t length)
{
    for (size_t i = 0; i < COUNT(marks); i++) {
        uint64_t at = marks[i] - receiver.count; /* huge when it is behind us */

        receiver.marks += at < length && piece[at] == i + 1;
    }
}

static void receive(void *unused)
{
    static unsigned char piece[PIECE];
    size_t got;

    (void)unused;
    while ((receiver.end = nb_recv(receiver.conn, piece, PIECE, &got, nb_forever())) == NB_OK) {
        look_for_marks(piece, got);
        receiver.count += got;
        receiver.paused = receiver.count >= receiver.pause_at;
        while (receiver.paused && !receiver.may_go_on)
            a_moment();
    }
}

/* ---- the sender ---- */

static struct {
    nb_conn *conn;
    nb_status (*send)(void);
    int file; /* to send from; -1: none */
    nb_status status;
    uint64_t sent;
} sender;

static nb_status send_memory(void)
{
    size_t sent;
    nb_status status = nb_send_all(sender.conn, much, (size_t)LENGTH, &sent, nb_forever());

    sender.sent = sent;
    return status;
}

static nb_status send_slices(void)
{
    size_t half = (size_t)(LENGTH / 2);
    nb_slice slices[] = {{much, half}, {much + half, (size_t)LENGTH - half}};
    size_t sent;
    nb_status status = nb_send_slices(sender.conn, slices, COUNT(slices), &sent, nb_forever());

    sender.sent = sent;
    return status;
}

static nb_status send_file(void)
{
    return nb_send_file(sender.conn, sender.file, 0, LENGTH, &sender.sent, nb_forever());
}

static void send_much(void *unused)
{
    (void)unused;
    sender.status = sender.send();
    (void)nb_shutdown_send(sender.conn);
}

static struct task tasks[2];

static void begin_transfer(enum transport over, nb_status (*send)(void), uint64_t pause_at)
{
    if (much == NULL)
        skip_because("gigabytes take too long under a sanitizer, and do not fit into 32 bits");

    conn_pair(over, &sender.conn, &receiver.conn);
    sender.send = send;
    receiver.pause_at = pause_at;
    receiver.paused = receiver.may_go_on = false;
    receiver.count = 0;
    receiver.marks = 0;
    task_start(&tasks[0], receive, NULL);
    task_start(&tasks[1], send_much, NULL);
}

/* The counts of the connections are those of the calls, and both sides agree. */
static void end_transfer(int64_t begin)
{
    uint64_t in;
    uint64_t out;

    task_join(&tasks[0]);
    task_join(&tasks[1]);
    nb_conn_counters(sender.conn, NULL, &out);
    nb_conn_counters(receiver.conn, &in, NULL);
    print_message("# %llu bytes sent in %lld ms\n", (unsigned long long)out,
                  (long long)ms_since(begin));
    assert_int_equal(out, sender.sent);
    assert_int_equal(in, receiver.count);
    assert_int_equal(in, out);
    assert_status(receiver.end, NB_EOF);
    nb_abort(sender.conn);
    nb_abort(receiver.conn);
}

static void check_all_of_it(enum transport over, nb_status (*send)(void))
{
    int64_t begin = now_ns();

    begin_transfer(over, send, UINT64_MAX);
    while (receiver.count < LENGTH) /* the alarm bounds it */
        a_moment();
    end_transfer(begin);
    assert_status(sender.status, NB_OK);
    assert_int_equal(sender.sent, LENGTH);
    assert_int_equal(receiver.marks, COUNT(marks));
}

/* ---- the memory ---- */

static int begin(void **state)
{
    int failed = soak_case_begin(state);

    sender.file = -1;
    much = NULL;
    if (sizeof(size_t) < sizeof(uint64_t) || under_a_sanitizer())
        return failed;
    much = mmap(NULL, (size_t)LENGTH, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (much == MAP_FAILED)
        return -1;
    for (size_t i = 0; i < COUNT(marks); i++)
        much[marks[i]] = (unsigned char)(i + 1);
    return failed;
}

static int end(void **state)
{
    if (much != NULL)
        (void)munmap(much, (size_t)LENGTH);
    if (sender.file >= 0)
        (void)close(sender.file);
    return net_case_end(state);
}

#define LONG_CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

#define TEST(name) TEST_AS(name, LONG_CASE)

TEST(more_than_4_gib_are_sent_over_tcp)
{
    check_all_of_it(OVER_IPV4, send_memory);
}

TEST(more_than_4_gib_are_sent_over_a_unix_socket)
{
    check_all_of_it(OVER_UNIX, send_memory);
}

TEST(more_than_4_gib_are_sent_in_slices)
{
    check_all_of_it(OVER_UNIX, send_slices);
}

TEST(more_than_4_gib_are_sent_from_a_file)
{
    sender.file = memfd_create("holes", MFD_CLOEXEC);
    assert_int_equal(ftruncate(sender.file, (off_t)LENGTH), 0);
    for (size_t i = 0; i < COUNT(marks); i++)
        assert_int_equal(pwrite(sender.file, &(char){(char)(i + 1)}, 1, (off_t)marks[i]), 1);
    check_all_of_it(OVER_UNIX, send_file);
}

/* (A cancelled TCP connection is reset, and then nobody can say what has come.) */
TEST(a_cancelled_send_counts_exactly_beyond_4_gib)
{
    int64_t begin = now_ns();

    begin_transfer(OVER_UNIX, send_memory, 4 * GIB + 12345);
    while (!receiver.paused)
        a_moment();
    task_until_blocked(&tasks[1]);
    nb_cancel(sender.conn);
    receiver.may_go_on = true;
    end_transfer(begin);
    assert_status(sender.status, NB_CANCELLED);
    assert_in_range(sender.sent, 4 * GIB + 12345, LENGTH - 1);
}
