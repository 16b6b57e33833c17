/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes the sends: room that opens in any pieces at any times, sends of any length in any
 *         slices with any deadlines, against a model that knows how much room there is when. The bytes
 *         are never looked at: where they are tells which ones they are. */
#include "fuzz.h"

#include <sys/mman.h>

#define SLICES_MAX 130
#define OPS_MAX 12

/* The most that one call into the kernel may be given: with a deadline, and without one. */
#define TIMED_MOST ((size_t)4 << 20)
#define ONCE_MOST ((size_t)1 << 30)

static struct {
    struct script script;
    size_t sent; /* the peer has so many bytes by now */
    int error;   /* what breaks the connection at the end of the script, or 0 */
    bool strict;
    bool ended;
    nb_status stuck;
    nb_conn *conn;
    nb_slice slices[SLICES_MAX]; /* what is being sent, */
    size_t count;
    size_t slice; /* and where it has come to */
    size_t offset;
    size_t taken; /* by this call, as the kernel sees it */
    int64_t begun_ns;
    nb_deadline by;
} model;

/* Addresses that nobody may read. */
static const char *memory(void)
{
    static void *bytes;

    if (bytes == NULL)
        bytes = mmap(NULL, (size_t)4 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                     -1, 0);
    require(bytes != MAP_FAILED);
    return bytes;
}

/* Follows the bytes that the kernel takes: each is the next one. */
static void follow(int fd, const void *data, size_t length)
{
    const char *at = data;

    (void)fd;
    model.taken += length;
    while (length > 0) {
        const nb_slice *slice = &model.slices[model.slice];
        size_t left = slice->length - model.offset;
        size_t step = left < length ? left : length;

        require(model.slice < model.count);
        if (left > 0) {
            require(at == (const char *)slice->data + model.offset);
            at += step;
            length -= step;
            model.offset += step;
        }
        if (model.offset == slice->length) {
            model.slice++;
            model.offset = 0;
        }
    }
}

/* A piece of the way ends where a slice ends: then the next one comes from elsewhere. */
static void follow_piece(int fd, const void *data, size_t length)
{
    require(length <= (model.by.ns == INT64_MAX ? ONCE_MOST : TIMED_MOST));
    while (model.slice < model.count && model.slices[model.slice].length == model.offset) {
        model.slice++;
        model.offset = 0;
    }
    follow(fd, data, length);
}

/* When the peer has room for so many bytes more than it had until now. */
static int64_t when(size_t count)
{
    return script_time(&model.script, model.sent + count - 1);
}

static bool ended_at(int64_t when_ns)
{
    return ended_after(model.begun_ns, when_ns);
}

static size_t room_for(size_t bytes)
{
    return bytes > model.sent ? bytes - model.sent : 0;
}

static void check_timeout(size_t total, size_t sent)
{
    int64_t when_ns = when(total);

    require(model.by.ns != INT64_MAX && ended_at(model.by.ns));
    require(when_ns >= model.by.ns || model.by.ns <= model.begun_ns);
    require(model.error == 0 || model.script.end_ns >= model.by.ns ||
            model.by.ns <= model.begun_ns);
    require(sent <= room_for(script_until(&model.script, model.by.ns)));
    if (model.by.ns <= model.begun_ns)
        require(sent == 0);
    else
        require(sent >= room_for(script_before(&model.script, model.by.ns)));
}

static void check_failure(nb_status status, size_t total, size_t sent)
{
    if (status == NB_TIMEOUT) {
        check_timeout(total, sent);
        return;
    }
    require(model.error != 0);
    require(status == (model.error == ETIMEDOUT ? NB_UNREACHABLE : NB_RESET));
    require(ended_at(model.script.end_ns) && model.script.end_ns <= model.by.ns);
    if (model.begun_ns >= model.script.end_ns)
        require(sent == 0);
    else
        require(sent >= room_for(script_before(&model.script, model.script.end_ns)) &&
                sent <= room_for(model.script.bytes));
}

/* What a send of so many bytes came to. */
static void check(nb_status status, size_t total, size_t sent)
{
    require(sent == model.taken && sent <= total);
    if (model.stuck != NB_OK) {
        require(status == model.stuck && sent == 0);
        return;
    }
    require((status == NB_OK) == (sent == total) || total == 0);
    require(status != NB_TIMEOUT || kernel.now >= model.by.ns);
    if (model.strict && status == NB_OK && total > 0) {
        require(model.by.ns > model.begun_ns && when(total) <= model.by.ns);
        require(ended_at(when(total)));
    } else if (model.strict && status != NB_OK) {
        check_failure(status, total, sent);
    }
    model.sent += sent;
    model.stuck = status;
}

static void begin(struct input *in)
{
    model.slice = model.offset = model.taken = 0;
    model.by = input_deadline(in);
    model.begun_ns = kernel.now;
}

static size_t input_length(struct input *in)
{
    uint8_t code = input_byte(in);

    if (code == 255)
        return ((size_t)1 << 31) + input_byte(in);
    return code % 8 == 7 ? (TIMED_MOST * (code >> 5)) + input_size(in) : input_size(in) - 1;
}

static void send_all(struct input *in)
{
    size_t length = input_length(in);
    size_t sent = 4711;
    nb_status status;

    begin(in);
    model.count = 1;
    model.slices[0] = (nb_slice){memory(), length};
    status = nb_send_all(model.conn, model.slices[0].data, length, &sent, model.by);
    check(status, length, sent);
}

static void send_slices(struct input *in)
{
    size_t sent = 4711;
    size_t total = 0;
    nb_status status;

    model.count = input_number(in, input_byte(in) % 4 == 0 ? SLICES_MAX : 5);
    for (size_t i = 0; i < model.count; i++) {
        size_t length = input_length(in);
        const char *data = memory() + (size_t)(input_byte(in) + 1) * 12345;

        model.slices[i] = (nb_slice){length == 0 && input_byte(in) > 127 ? NULL : data, length};
        total += length;
    }
    begin(in);
    status = nb_send_slices(model.conn, model.slices, model.count, &sent, model.by);
    check(status, total, sent);
}

static void end_stream(void)
{
    nb_status status = nb_shutdown_send(model.conn);

    if (model.stuck != NB_OK)
        require(status == model.stuck);
    else
        require(status == NB_OK);
    model.ended = model.ended || status == NB_OK;
}

static void one_call(struct input *in)
{
    size_t sent = 4711;
    uint8_t op;

    if (model.ended) {
        require(nb_send_all(model.conn, "x", 1, &sent, nb_forever()) == NB_INVALID && sent == 0);
        require(nb_shutdown_send(model.conn) == NB_OK);
        return;
    }
    op = input_byte(in) % 8;
    if (op == 0)
        kernel_idle(input_delay(in));
    else if (op == 1 && input_byte(in) > 200)
        end_stream();
    else if (op == 2 || op == 3)
        send_slices(in);
    else if (op > 3)
        send_all(in);
}

/* There is room for all in the end, or the connection breaks. */
static struct kernel_step read_last(struct input *in)
{
    static const int errors[] = {0, 0, ECONNRESET, ETIMEDOUT, EPIPE};

    model.error = errors[input_number(in, COUNT(errors) - 1)];
    return (struct kernel_step){input_delay(in), model.error == 0 ? KERNEL_ALL : 0, model.error};
}

static void read_script(struct input *in, struct kernel_peer *peer)
{
    uint8_t oddities = input_byte(in);

    model.strict = input_script(in, &model.script, read_last(in), oddities, ENOBUFS);
    memset(peer, 0, sizeof(*peer));
    peer->takes = model.script.steps;
    peer->take_count = model.script.count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct kernel_peer peer;
    enum kernel_fate fate;
    uint64_t sent;
    uint8_t flags;
    int fd;

    memset(&model, 0, sizeof(model));
    input_world(&in);
    flags = input_byte(&in);
    read_script(&in, &peer);
    model.conn = world_connection(&peer, (flags & 1) != 0);
    kernel.took = follow_piece;
    fd = nb_conn_fd(model.conn);
    for (size_t i = input_number(&in, OPS_MAX); i > 0; i--)
        one_call(&in);
    nb_conn_counters(model.conn, NULL, &sent);
    require(sent == model.sent && kernel_sent(fd) == model.sent);
    (void)nb_close(model.conn, KERNEL_IN(0));
    fate = kernel_fate(fd);
    require(fate == (model.stuck == NB_OK ? KERNEL_ENDED : KERNEL_RESET));
    world_ends();
    return 0;
}
