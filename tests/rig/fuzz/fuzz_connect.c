/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes the race of the addresses of a host: any number of them, each answering, failing or
 *         keeping silent at any time. What RFC 8305 promises is checked, not how it is done. */
#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "connect/race.h"
#include "fuzz.h"
#include "sys/sys.h"

#define STAGGER (250 * KERNEL_MS)

static struct kernel_attempt attempts[NB__ADDRESSES_MAX];
static struct nb__addresses addresses;
static struct nb__race race;
static int64_t begun_ns;
static int64_t cancel_ns;
static int wake[2];

static const int errors[] = {ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, ETIMEDOUT,
                             ECONNRESET,   EACCES,      EPERM,        EADDRNOTAVAIL,
                             ENOPROTOOPT,  ENOBUFS,     ENOMEM,       EINVAL};

static void read_attempt(struct input *in, struct kernel_attempt *attempt)
{
    static const struct kernel_peer peer = {NULL, 0, NULL, 0, NULL, 0, 0};
    uint8_t kind = input_byte(in);

    *attempt = (struct kernel_attempt){.after_ns = input_delay(in), .peer = &peer};
    if (kind % 4 == 0)
        attempt->error = errors[kind / 4 % COUNT(errors)];
    if (kind % 4 == 1)
        attempt->after_ns = KERNEL_NEVER;
    attempt->at_once = kind % 16 >= 12;
    attempt->idle_wakeup = kind % 7 == 0;
    attempt->interrupted = kind % 5 == 0;
    attempt->to_itself = kind % 31 == 2;
}

static void read_addresses(struct input *in)
{
    addresses.count = input_number(in, NB__ADDRESSES_MAX - 1) + 1;
    for (size_t i = 0; i < addresses.count; i++) {
        require(nb_address_parse(&addresses.list[i],
                                 i % 2 == 0 ? "[2001:db8::1]:80" : "192.0.2.7:80") == NB_OK);
        read_attempt(in, &attempts[i]);
    }
    kernel.attempts = attempts;
    kernel.attempt_count = addresses.count;
}

static void ring(void *argument)
{
    (void)argument;
    (void)nb__sys_wake_ring(wake);
}

/* Somebody may give up. */
static void read_cancel(struct input *in)
{
    uint8_t kind = input_byte(in);

    cancel_ns = kind < 200 ? KERNEL_NEVER : kernel.now + input_delay(in) + input_delay(in);
    require(nb__sys_wake_open(wake) == 0);
    if (cancel_ns != KERNEL_NEVER)
        kernel_at(cancel_ns, ring, NULL);
}

/* Without a deadline it is the kernel that gives up. */
static void end_silence(void)
{
    for (size_t i = 0; i < addresses.count; i++) {
        if (attempts[i].after_ns == KERNEL_NEVER) {
            attempts[i].after_ns = 130000 * KERNEL_MS;
            attempts[i].error = ETIMEDOUT;
        }
    }
}

static bool succeeds(const struct kernel_attempt *attempt)
{
    return attempt->error == 0 && !attempt->to_itself &&
           (attempt->at_once || attempt->after_ns != KERNEL_NEVER);
}

/* When an attempt that was begun is over. */
static int64_t end_of(size_t i)
{
    const struct kernel_attempt *attempt = &attempts[i];

    if (attempt->at_once)
        return kernel.connect_times[i];
    return attempt->after_ns == KERNEL_NEVER ? KERNEL_NEVER
                                             : kernel.connect_times[i] + attempt->after_ns;
}

static bool fails_at(int64_t when_ns)
{
    for (size_t i = 0; i < kernel.connects; i++) {
        if (!succeeds(&attempts[i]) && end_of(i) == when_ns)
            return true;
    }
    return false;
}

/* An attempt begins when the one before it has failed, or has been alone for 250 ms: or, where time is
   short, for its share of it, and 10 ms at least. */
static void check_staggers(nb_deadline by)
{
    for (size_t i = 1; i < kernel.connects; i++) {
        int64_t stagger = kernel.connect_times[i] - kernel.connect_times[i - 1];

        require(stagger <= STAGGER);
        require(stagger >= 10 * KERNEL_MS || fails_at(kernel.connect_times[i]));
        if (by.ns == INT64_MAX)
            require(stagger == STAGGER || fails_at(kernel.connect_times[i]));
    }
    require(kernel.connects == 0 || kernel.connect_times[0] == begun_ns);
}

static bool begins_at(size_t first, int64_t when_ns)
{
    for (size_t i = first; i < kernel.connects; i++) {
        if (kernel.connect_times[i] == when_ns)
            return true;
    }
    return false;
}

/* One that fails makes way for the next at once. */
static void check_haste(void)
{
    for (size_t i = 0; i < kernel.connects; i++) {
        bool others_wait = end_of(i) < kernel.connect_times[kernel.connects - 1];

        require(succeeds(&attempts[i]) || !others_wait || begins_at(i + 1, end_of(i)));
    }
}

/* Nobody who was begun is forgotten: what was over first decides. */
static void check_order(int64_t until_ns)
{
    for (size_t i = 0; i < kernel.connects; i++)
        require(!succeeds(&attempts[i]) || end_of(i) >= until_ns);
}

static void check_win(const struct nb__attempt *winner)
{
    size_t index = (size_t)(winner - race.attempts);

    require(index < kernel.connects && succeeds(&attempts[index]));
    require(kernel.now == end_of(index));
    require(winner->fd >= 0 && kernel_open() == 2); /* the one that cancels is the other */
    check_order(kernel.now);
    (void)nb__sys_close(winner->fd);
}

/* What each attempt came to, when all have failed. */
static void check_failure(nb_status status)
{
    int64_t last_ns = begun_ns;
    bool own = false;

    require(kernel.connects == addresses.count);
    for (size_t i = 0; i < addresses.count; i++) {
        nb_status one = race.attempts[i].result.status;

        require(!succeeds(&attempts[i]) && end_of(i) != KERNEL_NEVER);
        require(race.attempts[i].state == NB__ATTEMPT_FAILED);
        last_ns = end_of(i) > last_ns ? end_of(i) : last_ns;
        own = own || one == NB_NO_MEMORY || one == NB_NO_DESCRIPTORS;
        if (attempts[i].to_itself && attempts[i].error == 0)
            require(one == NB_REFUSED);
        else if (attempts[i].error == ENOPROTOOPT)
            require(one == NB_UNREACHABLE);
        else
            require(one == nb__status_of_errno(attempts[i].error));
    }
    require(kernel.now == last_ns);
    require(!own || status == NB_NO_MEMORY || status == NB_NO_DESCRIPTORS);
}

static void check_timeout(nb_deadline by)
{
    require(by.ns != INT64_MAX && kernel.now == (by.ns > begun_ns ? by.ns : begun_ns));
    check_order(by.ns);
    if (by.ns <= begun_ns)
        require(kernel.connects == 0);
    else if (by.ns - begun_ns >= (int64_t)addresses.count * 11 * KERNEL_MS)
        require(kernel.connects == addresses.count); /* each had its chance */
}

/* The story names everybody, on one printable line. */
static void check_story(void)
{
    char story[NB_ERROR_MESSAGE_MAX];
    struct nb__text text = nb__text_in(story, sizeof(story));

    nb__race_describe(&race, &text);
    require(strlen(story) > 0);
    require_printable(story);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nb__cancels cancels = {.fds = {-1, -1}};
    static const struct nb__connect_params none;
    struct input in = {data, size};
    const struct nb__attempt *winner = NULL;
    nb_deadline by;
    nb_status status;

    input_world(&in);
    kernel.no_timers = false;
    read_addresses(&in);
    begun_ns = kernel.now;
    read_cancel(&in);
    by = input_deadline(&in);
    if (by.ns == INT64_MAX)
        end_silence();
    cancels.fds[0] = wake[0];
    nb__race_prepare(&race, &addresses, &none, &cancels);
    status = nb__race_run(&race, by, &winner).status;
    check_staggers(by);
    if (kernel.connects > 0)
        check_haste();
    require(status == NB_CANCELLED ? kernel.now == cancel_ns : kernel.now <= cancel_ns);
    if (status == NB_OK)
        check_win(winner);
    else if (status == NB_CANCELLED)
        check_order(cancel_ns);
    else if (status == NB_TIMEOUT)
        check_timeout(by);
    else
        check_failure(status);
    if (status != NB_OK)
        check_story();
    nb__sys_wake_close(wake);
    world_ends();
    return 0;
}
