/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes frames: any stream read as frames of bounded size, among other receives, and frames
 *         that are sent. */
#include "stream.h"

enum { HEADER = 4 };

/* What a reader has to hold. */
static size_t announced(const unsigned char *header)
{
    return (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
}

static struct expected next_frame(size_t capacity)
{
    struct expected expected = end_of_stream(0, false);
    size_t length;

    if (rest() > 0 && model.end == NB_EOF)
        expected.status = NB_RESET; /* the stream ends inside a frame */
    if (rest() < HEADER)
        return expected;
    length = announced(next_bytes());
    if (length > capacity)
        return (struct expected){NB_TOO_LONG, when(HEADER), length, HEADER, false, 0, HEADER};
    if (length + HEADER > rest())
        return expected;
    return (struct expected){NB_OK, when(HEADER + length), length, HEADER + length, false,
                             0,     HEADER + length};
}

static void recv_frame(size_t capacity)
{
    static const unsigned char mark[] = {0xa5};
    struct expected expected = next_frame(capacity);
    size_t length = 4711;
    nb_status status;

    buf[capacity] = (char)mark[0];
    status = nb_recv_frame(model.conn, buf, capacity, &length, model.by);
    require(memcmp(buf + capacity, mark, 1) == 0);
    if (status == NB_OK && model.strict)
        require(length <= capacity && memcmp(buf, next_bytes() + HEADER, length) == 0);
    else
        require(length == 0 || status == NB_TOO_LONG || !model.strict);
    check_counts(status, length, &expected);
}

/* What goes out. */
static unsigned char sent_bytes[HEADER + CAPACITY_MAX];
static size_t sent_count;

static void collect(int fd, const void *data, size_t length)
{
    (void)fd;
    require(sent_count + length <= sizeof(sent_bytes));
    memcpy(sent_bytes + sent_count, data, length);
    sent_count += length;
}

static void send_frame(size_t length)
{
    size_t sends = kernel.sends;
    bool is_gone = model.end != NB_EOF && model.script.end_ns <= kernel.now;
    nb_status status;

    sent_count = 0;
    kernel.took = collect;
    status = nb_send_frame(model.conn, stream, length, model.by);
    if (model.stuck[NB_SEND] != NB_OK)
        require(status == model.stuck[NB_SEND]);
    else if (is_too_late())
        require(status == NB_TIMEOUT);
    else if (model.strict && !is_gone)
        require(status == NB_OK);
    require(sent_count == (status == NB_OK ? HEADER + length : 0));
    require(kernel.sends - sends <= 1 ||
            status != NB_OK); /* the header is in one piece with the body */
    if (status == NB_OK)
        require(announced(sent_bytes) == length &&
                memcmp(sent_bytes + HEADER, stream, length) == 0);
    model.stuck[NB_SEND] = status;
}

static void one_call(struct input *in)
{
    uint8_t op = input_byte(in) % 8;
    size_t length = 4711;

    model_call(in);
    if (op == 0)
        send_frame(input_size(in) - 1);
    else if (op == 1)
        kernel_idle(input_delay(in));
    else if (model.stuck[NB_RECEIVE] != NB_OK)
        require(nb_recv_frame(model.conn, buf, 0, &length, model.by) == model.stuck[NB_RECEIVE] &&
                length == 0);
    else if (op == 2)
        recv_exact(input_size(in));
    else
        recv_frame(input_size(in) - 1);
}

/* Frames of all lengths, with a wrong header here and there. */
static void fill_frames(struct input *in)
{
    size_t at = 0;

    while (at < model.script.bytes) {
        size_t length = input_size(in) - 1;
        uint8_t wrong = input_byte(in);
        unsigned char header[HEADER] = {wrong > 250 ? wrong : 0, wrong > 245 ? wrong : 0,
                                        (unsigned char)(length >> 8), (unsigned char)length};

        for (size_t i = 0; i < HEADER + length && at < model.script.bytes; i++, at++)
            stream[at] = i < HEADER ? header[i] : kernel_byte(at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return model_run(data, size, fill_frames, one_call);
}
