/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes the bounded reads: any stream, in any pieces, at any times, read by any calls with any
 *         deadlines. */
#include "stream.h"

static void recv_some(size_t capacity)
{
    size_t got = 4711;
    nb_status status = nb_recv(model.conn, buf, capacity, &got, model.by);
    struct expected expected = end_of_stream(0, false);

    require((status == NB_OK) == (got > 0) && got <= capacity);
    if (rest() > 0)
        expected = (struct expected){NB_OK, when(1), got, got, false, 0, 0};
    check(status, got, &expected);
}

/* Where a delimiter ends in the next bytes; 0 when it does not. */
static size_t find(const unsigned char *delimiter, size_t length, size_t bound)
{
    for (size_t at = 0; at + length <= bound; at++) {
        if (memcmp(next_bytes() + at, delimiter, length) == 0)
            return at + length;
    }
    return 0;
}

/* How many of the last of so many bytes may be the beginning of a delimiter. */
static size_t begun(const unsigned char *delimiter, size_t length, size_t bytes)
{
    size_t count = least(bytes, length - 1);

    while (memcmp(next_bytes() + bytes - count, delimiter, count) != 0)
        count--;
    return count;
}

static void recv_until(size_t capacity, const unsigned char *delimiter, size_t length)
{
    size_t got = 4711;
    size_t found = find(delimiter, length, least(rest(), capacity));
    nb_status status = nb_recv_until(model.conn, buf, capacity, delimiter, length, &got, model.by);
    struct expected expected = end_of_stream(capacity, false);

    if (found > 0) {
        expected = (struct expected){NB_OK, when(found), found, found, false, 0, found};
    } else if (capacity <= rest()) {
        size_t given = capacity - begun(delimiter, length, capacity);

        expected = (struct expected){NB_TOO_LONG, when(capacity), given, given, false, 0, capacity};
    }
    check(status, got, &expected);
}

/* What is dropped stays dropped, and then nothing else is received before the end is found. */
static void check_interrupted_skip(nb_status status, size_t dropped, size_t length,
                                   const struct expected *expected)
{
    size_t seen = is_too_late() ? model.buffered : there_before(model.by.ns);

    if (dropped > 0)
        model.stuck[NB_RECEIVE] = NB_TOO_LONG;
    if (model.strict) {
        require(status == NB_TIMEOUT && ended_at(model.by.ns));
        require(is_too_late() || expected->when_ns >= model.by.ns);
        require(expected->needs == 0 || expected->needs > model.buffered);
        require(dropped + length > least(seen, expected->most));
    }
    require(dropped <= there_until(kernel.now));
    model.place += dropped;
}

static void skip_until(size_t most, const unsigned char *delimiter, size_t length)
{
    size_t found = find(delimiter, length, least(rest(), most));
    struct expected expected = {model.end, model.script.end_ns, rest(), rest(), false, most, 0};
    uint64_t received;
    size_t dropped;
    nb_status status = length == 1 && *delimiter == '\n'
                           ? nb_skip_line(model.conn, most, model.by)
                           : nb_skip_until(model.conn, most, delimiter, length, model.by);

    if (found > 0) {
        expected = (struct expected){NB_OK, when(found), found, found, false, most, found};
    } else if (most <= rest()) {
        dropped = most - begun(delimiter, length, most);
        expected = (struct expected){NB_TOO_LONG, when(most), dropped, dropped, false, most, most};
    }
    nb_conn_counters(model.conn, &received, NULL);
    dropped = (size_t)received - model.place;
    if (status == NB_TIMEOUT || status == NB_NO_MEMORY)
        check_interrupted_skip(status, dropped, length, &expected);
    else
        check_counts(status, dropped, &expected);
    if (status == NB_OK)
        model.stuck[NB_RECEIVE] = NB_OK;
}

/* What the next line comes to, of at most so many bytes without its end. A CR may be one byte over
   when an LF is behind it. */
static struct expected next_line(size_t most)
{
    bool over = most < rest() && next_bytes()[most] == '\r';
    size_t bound = most + 1 + over;
    size_t found = find((const unsigned char *)"\n", 1, least(rest(), bound));
    struct expected expected = end_of_stream(most, false);

    if (found > 0) {
        size_t cr = found > 1 && next_bytes()[found - 2] == '\r';

        return (struct expected){NB_OK, when(found), found - 1 - cr, found, false, 0, found};
    }
    if (bound <= rest())
        return (struct expected){NB_TOO_LONG, when(bound), most, most, false, 0, bound};
    if (over && model.end == NB_EOF)
        expected.status = NB_TOO_LONG;
    return expected;
}

static void recv_line(size_t capacity)
{
    size_t got = 4711;
    struct expected expected = next_line(capacity - 1);
    nb_status status = nb_recv_line(model.conn, buf, capacity, &got, model.by);

    require(got < capacity && buf[got] == '\0');
    check(status, got, &expected);
}

static void recv_to_end(size_t capacity)
{
    size_t got = 4711;
    nb_status status = nb_recv_to_end(model.conn, buf, capacity, &got, model.by);
    struct expected expected = end_of_stream(capacity, true);
    nb_status stuck = model.stuck[NB_RECEIVE];

    if (capacity < rest()) {
        expected = (struct expected){NB_TOO_LONG, when(capacity + 1), capacity, capacity,
                                     true,        capacity,           0};
    } else if (expected.status == NB_EOF) {
        expected.status = NB_OK;
        stuck = status == NB_OK ? NB_EOF : stuck;
    }
    check(status, got, &expected);
    if (status == NB_TOO_LONG || status == NB_OK)
        model.stuck[NB_RECEIVE] = stuck;
}

static void wait_readable(void)
{
    nb_status status = nb_wait_readable(model.conn, model.by);
    int64_t when_ns = rest() > 0 ? when(1) : model.script.end_ns;

    if (status == NB_CANCELLED) {
        require(ended_at(model.cancel_ns));
        model.stuck[NB_RECEIVE] = status;
        return;
    }
    if (!model.strict || kernel.idle_poll_ns > 0)
        return; /* it says what poll(2) says */
    require(status == NB_OK || status == NB_TIMEOUT);
    require(ended_at(status == NB_OK ? when_ns : model.by.ns));
    require(status == NB_OK ? when_ns <= model.by.ns || when_ns <= model.begun_ns
                            : when_ns >= model.by.ns && when_ns > model.begun_ns);
}

/* A send may find a reset before a receive does, and take the kernel's only word of it. */
static void send_byte(void)
{
    nb_status expected = model.stuck[NB_SEND];
    size_t sent = 4711;
    nb_status status = nb_send_all(model.conn, "x", 1, &sent, model.by);
    bool is_gone = model.end != NB_EOF && model.script.end_ns <= kernel.now;

    require((status == NB_OK) == (sent == 1));
    if (expected != NB_OK)
        require(status == expected);
    else if (status == NB_CANCELLED)
        require(model.cancel_ns <= kernel.now);
    else if (is_too_late())
        require(status == NB_TIMEOUT);
    else if (is_gone && model.strict)
        require(status == NB_RESET || status == NB_UNREACHABLE);
    else if (model.strict)
        require(status == NB_OK);
    model.stuck[NB_SEND] = status;
}

/* Every receive call says the same, and gives nothing. */
static void check_stuck(nb_status stuck)
{
    size_t got = 4711;

    require(nb_conn_status(model.conn, NB_RECEIVE) == stuck);
    require(nb_recv(model.conn, buf, 1, &got, model.by) == stuck && got == 0);
    require(nb_recv_exact(model.conn, buf, 0, &got, model.by) == stuck && got == 0);
    require(nb_recv_until(model.conn, buf, 1, "x", 1, &got, model.by) == stuck && got == 0);
    require(nb_recv_line(model.conn, buf, 1, &got, model.by) == stuck && got == 0);
    require(nb_recv_to_end(model.conn, buf, 1, &got, model.by) ==
                (stuck == NB_EOF ? NB_OK : stuck) &&
            got == 0);
    require(nb_wait_readable(model.conn, model.by) == stuck);
    if (stuck != NB_TOO_LONG)
        require(nb_skip_line(model.conn, 1, model.by) == stuck);
}

static void skip(struct input *in, uint8_t op)
{
    size_t most = input_size(in);
    size_t length = op == 9 ? 1 : input_number(in, 2) + 1;
    const uint8_t *delimiter = op == 9 || in->size < length ? (const uint8_t *)"\n\n" : in->data;

    skip_until(most < length ? length : most, delimiter, length);
}

static void receive_until(struct input *in, size_t capacity)
{
    size_t length = input_number(in, 2) + 1;
    const uint8_t *delimiter = in->size >= length ? in->data : (const uint8_t *)"\r\n\r";

    recv_until(capacity < length ? length : capacity, delimiter, length);
}

static void receive(struct input *in, uint8_t op)
{
    size_t capacity = input_size(in);

    if (op == 0)
        recv_some(capacity);
    else if (op == 1)
        recv_exact(capacity - (capacity % 2)); /* 0, too */
    else if (op == 2)
        receive_until(in, capacity);
    else if (op == 3)
        recv_line(capacity);
    else if (op == 4)
        recv_to_end(capacity - 1);
    else
        wait_readable();
}

static void one_call(struct input *in)
{
    uint8_t op = input_byte(in) % 11;
    nb_status stuck;

    model_call(in);
    stuck = model.stuck[NB_RECEIVE];
    if (op == 6)
        send_byte();
    else if (op == 7)
        kernel_idle(input_delay(in));
    else if (op >= 9 && (stuck == NB_OK || stuck == NB_TOO_LONG))
        skip(in, op);
    else if (stuck != NB_OK)
        check_stuck(stuck);
    else
        receive(in, op);
}

/* Repeats the front of the input, as long as the script wants. */
static void fill_stream(struct input *in)
{
    size_t period = in->size > 0 ? in->size : 1;

    for (size_t i = 0; i < model.script.bytes; i++)
        stream[i] = in->size > 0 ? in->data[i % period] : 'x';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return model_run(data, size, fill_stream, one_call);
}
