/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A model of a stream that is read. */
#include "stream.h"

#include "sys/sys.h"

unsigned char stream[STREAM_MAX];
char buf[CAPACITY_MAX];
struct model model;

const unsigned char *next_bytes(void)
{
    return stream + model.place;
}

size_t rest(void)
{
    return model.script.bytes - model.place;
}

size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

int64_t when(size_t count)
{
    return script_time(&model.script, model.place + count - 1);
}

struct expected end_of_stream(size_t most, bool partial)
{
    size_t got = least(rest(), most);

    return (struct expected){model.end, model.script.end_ns, got, got, partial, most, 0};
}

bool is_too_late(void)
{
    return model.by.ns <= model.begun_ns;
}

bool ended_at(int64_t when_ns)
{
    return ended_after(model.begun_ns, when_ns);
}

/* How many of the next bytes have come, given how many of all. */
static size_t of_next(size_t bytes)
{
    return bytes > model.place ? bytes - model.place : 0;
}

size_t there_before(int64_t when_ns)
{
    return of_next(script_before(&model.script, when_ns));
}

size_t there_until(int64_t when_ns)
{
    return of_next(script_until(&model.script, when_ns));
}

static void check_timeout(size_t got, const struct expected *expected)
{
    require(is_too_late() || expected->when_ns >= model.by.ns);
    require(model.by.ns != INT64_MAX && ended_at(model.by.ns));
    if (is_too_late() || !expected->partial) {
        require(got == 0);
        return;
    }
    require(got >= least(there_before(model.by.ns), expected->most));
    require(got <= least(there_until(model.by.ns), expected->most));
}

static void check_end(nb_status status, size_t got, const struct expected *expected)
{
    bool decided = expected->needs > 0 && expected->needs <= model.buffered;

    require(status == expected->status);
    require(decided || (!is_too_late() && expected->when_ns <= model.by.ns));
    require(ended_at(expected->when_ns));
    require(got == expected->got);
}

/* With errors that pass in between it is known only what must not be. */
static void check_loosely(nb_status status)
{
    uint64_t received;

    require(status != NB_TIMEOUT || kernel.now >= model.by.ns);
    nb_conn_counters(model.conn, &received, NULL);
    require(received >= model.place && received <= model.script.bytes);
    model.place = (size_t)received;
}

static bool stays(nb_status status)
{
    return status != NB_OK && status != NB_TIMEOUT && status != NB_NO_MEMORY;
}

void check(nb_status status, size_t got, const struct expected *expected)
{
    require(memcmp(buf, next_bytes(), got) == 0);
    check_counts(status, got, expected);
}

void check_counts(nb_status status, size_t got, const struct expected *expected)
{
    size_t consumed = got;

    if (status == NB_CANCELLED)
        require(ended_at(model.cancel_ns));
    else
        require(kernel.now <= model.cancel_ns || model.cancel_ns <= model.begun_ns);
    if (stays(status))
        model.stuck[NB_RECEIVE] = status;
    if (!model.strict) {
        check_loosely(status);
        return;
    }
    if (status == NB_TIMEOUT) {
        require(expected->needs == 0 || expected->needs > model.buffered);
        check_timeout(got, expected);
    } else if (status != NB_CANCELLED) {
        check_end(status, got, expected);
        consumed = expected->consumed;
    }
    require(model.place + consumed <= script_until(&model.script, kernel.now));
    model.place += consumed;
}

static void cancel(void *conn)
{
    nb_cancel(conn);
}

static struct kernel_step read_end(struct input *in)
{
    static const struct {
        int error;
        nb_status status;
    } ends[] = {{0, NB_EOF}, {0, NB_EOF}, {ECONNRESET, NB_RESET}, {ETIMEDOUT, NB_UNREACHABLE}};
    size_t which = input_number(in, COUNT(ends) - 1);

    model.end = ends[which].status;
    return (struct kernel_step){input_delay(in), 0, ends[which].error};
}

static void read_script(struct input *in, struct kernel_peer *peer)
{
    uint8_t oddities = input_byte(in);

    model.strict = input_script(in, &model.script, read_end(in), oddities, ENOMEM);
    memset(peer, 0, sizeof(*peer));
    peer->gives = model.script.steps;
    peer->give_count = model.script.count;
    peer->stream = stream;
    peer->piece = (oddities & 1) != 0 ? input_size(in) : 0;
}

static bool detaches;

/* What the connection had read ahead is handed out, or goes with it. */
static void finish(void)
{
    size_t ahead = 0;
    nb_fd fd;

    if (!detaches || nb_conn_detach(model.conn, &fd, buf, sizeof(buf), &ahead) != NB_OK) {
        (void)nb_close(model.conn, KERNEL_IN(KERNEL_MS));
        return;
    }
    require(ahead <= rest() && memcmp(buf, next_bytes(), ahead) == 0);
    (void)nb__sys_close(fd);
}

void recv_exact(size_t length)
{
    size_t got = 4711;
    nb_status status = nb_recv_exact(model.conn, buf, length, &got, model.by);
    struct expected expected = end_of_stream(length, true);

    require((status == NB_OK) == (got == length) || (length == 0 && status == NB_CANCELLED));
    if (length == 0)
        return;
    if (length <= rest())
        expected = (struct expected){NB_OK, when(length), length, length, true, length, 0};
    check(status, got, &expected);
}

static void model_begin(struct input *in, void (*fill)(struct input *in))
{
    static struct kernel_peer peer;
    uint8_t flags;

    memset(&model, 0, sizeof(model));
    input_world(in);
    flags = input_byte(in);
    read_script(in, &peer);
    fill(in);
    detaches = (flags & 2) != 0;
    model.conn = world_connection(&peer, (flags & 1) != 0);
    model.cancel_ns = (flags & 0x30) != 0 ? KERNEL_NEVER : kernel.now + input_delay(in);
    if (model.cancel_ns != KERNEL_NEVER)
        kernel_at(model.cancel_ns, cancel, model.conn);
}

void model_call(struct input *in)
{
    kernel_idle(0);
    if (model.cancel_ns <= kernel.now)
        model.stuck[NB_RECEIVE] = model.stuck[NB_SEND] = NB_CANCELLED;
    model.by = input_deadline(in);
    model.buffered = nb_conn_buffered(model.conn);
    model.begun_ns = kernel.now;
}

static void model_end(void)
{
    uint64_t received;

    nb_conn_counters(model.conn, &received, NULL);
    require(received == model.place);
    finish();
    world_ends();
}

int model_run(const uint8_t *data, size_t size, void (*fill)(struct input *in),
              void (*one_call)(struct input *in))
{
    struct input in = {data, size};

    model_begin(&in, fill);
    for (size_t i = input_number(&in, CALLS_MAX); i > 0; i--)
        one_call(&in);
    model_end();
    return 0;
}
