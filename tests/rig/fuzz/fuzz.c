/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What the fuzzers share. */
#include "fuzz.h"

void fuzz_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

uint8_t input_byte(struct input *in)
{
    return in->size > 0 ? in->data[--in->size] : 0;
}

size_t input_number(struct input *in, size_t most)
{
    size_t number = 0;

    if (most == 0)
        return 0;
    for (size_t range = most; range > 0; range >>= 8)
        number = number << 8 | input_byte(in);
    return most == SIZE_MAX ? number : number % (most + 1);
}

bool read_number(const char *text, unsigned long most, unsigned long *out)
{
    char again[32];

    *out = strtoul(text, NULL, 10);
    (void)snprintf(again, sizeof(again), "%lu", *out);
    return strcmp(again, text) == 0 && *out <= most;
}

void require_printable(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        require(*c >= ' ' && *c <= '~');
}

int64_t input_delay(struct input *in)
{
    static const int64_t ms[] = {0,  0,  0,   1,   5,    31,   32,    33,
                                 44, 50, 100, 300, 1000, 7000, 20000, 60000};
    uint8_t code = input_byte(in);

    return ms[code % COUNT(ms)] * KERNEL_MS + (code >> 4) % 3;
}

size_t input_size(struct input *in)
{
    static const size_t sizes[] = {1,   1,    2,    3,    5,    8,    13,   64,
                                   100, 1000, 4095, 4096, 4097, 8192, 10000};
    uint8_t code = input_byte(in);

    return code < 2 * COUNT(sizes) ? sizes[code % COUNT(sizes)] : code - 2 * COUNT(sizes) + 1;
}

nb_deadline input_deadline(struct input *in)
{
    uint8_t code = input_byte(in);

    switch (code % 8) {
    case 0:
        return (nb_deadline){kernel.now};
    case 1:
        return (nb_deadline){code > 127 ? INT64_MIN : 0};
    case 2:
        return (nb_deadline){kernel.now + 1};
    case 3:
        return (nb_deadline){INT64_MAX - code};
    case 4:
        return nb_forever();
    default:
        return (nb_deadline){kernel.now + input_delay(in) + input_delay(in)};
    }
}

bool input_script(struct input *in, struct script *script, struct kernel_step last,
                  uint8_t oddities, int error)
{
    size_t count = input_number(in, STEPS_MAX - 1);
    struct kernel_step *broken;

    script->count = 0;
    script->bytes = 0;
    script->end_ns = kernel.now;
    for (size_t i = 0; i < count; i++) {
        struct kernel_step step = {input_delay(in), input_size(in), 0};

        script->steps[script->count++] = step;
        script->bytes += step.bytes;
        script->end_ns += step.after_ns;
    }
    script->steps[script->count++] = last;
    script->bytes += last.bytes;
    script->end_ns += last.after_ns;
    if ((oddities & 0xc0) != 0 || count == 0)
        return true;
    broken = &script->steps[oddities % count];
    script->bytes -= broken->bytes;
    broken->bytes = 0;
    broken->error = error;
    return false;
}

void input_world(struct input *in)
{
    static const int64_t signals_ms[] = {0, 0, 0, 1, 7, 300};

    kernel_begin();
    kernel.late_permille = (int64_t)input_number(in, 1000);
    kernel.signal_every_ns = signals_ms[input_number(in, COUNT(signals_ms) - 1)] * KERNEL_MS;
    kernel.signals_most = kernel.idle_polls_most = 1000;
    kernel.idle_poll_ns = input_byte(in) > 220 ? 70 * KERNEL_MS : 0;
    kernel.no_timers = input_byte(in) > 240;
}

nb_conn *world_connection(const struct kernel_peer *peer, bool is_unix)
{
    bool no_timers = kernel.no_timers;
    nb_conn *conn;

    kernel.no_timers = false; /* what is adopted must have some */
    require(nb_conn_adopt(&conn, kernel_connection(peer, is_unix), NULL) == NB_OK);
    kernel.no_timers = no_timers;
    return conn;
}

static size_t bytes_within(const struct script *script, int64_t when_ns, bool inclusive)
{
    int64_t at_ns = KERNEL_START;
    size_t bytes = 0;

    for (size_t i = 0; i < script->count; i++) {
        at_ns += script->steps[i].after_ns;
        if (at_ns < when_ns || (inclusive && at_ns == when_ns))
            bytes += script->steps[i].bytes;
    }
    return bytes;
}

size_t script_before(const struct script *script, int64_t when_ns)
{
    return bytes_within(script, when_ns, false);
}

size_t script_until(const struct script *script, int64_t when_ns)
{
    return bytes_within(script, when_ns, true);
}

int64_t script_time(const struct script *script, size_t place)
{
    int64_t at_ns = KERNEL_START;
    size_t bytes = 0;

    for (size_t i = 0; i < script->count; i++) {
        at_ns += script->steps[i].after_ns;
        bytes += script->steps[i].bytes;
        if (place < bytes)
            return at_ns;
    }
    return KERNEL_NEVER;
}

bool ended_after(int64_t begun_ns, int64_t when_ns)
{
    return kernel.now == (when_ns > begun_ns ? when_ns : begun_ns);
}

void world_ends(void)
{
    if (kernel.complaint != NULL)
        fuzz_failed(kernel.complaint, "the scripted kernel", 0);
    require(kernel_open() == 0);
    require(kernel.wall_reads == 0);
    kernel_end();
}
