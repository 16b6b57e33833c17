/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Name lookup, bounded by a deadline: the system's resolver runs in its own thread, which is
 *         abandoned when it takes too long. Whichever of the two ends last cleans up. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "net/lookup.h"

#include "base/deadline_internal.h"
#include "base/error_internal.h"
#include "sys/sys.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The system's resolver and the modules it loads need more than our own threads. */
#define STACK_SIZE ((size_t)512 << 10)

/* The longest pause between two checks for a free place. */
#define PAUSE_MAX_MS 64

/* How many can wait in order; if there are more, the others first wait to become one of these. */
#define WAITING_MAX 64

enum { GOES_ON, DONE, ABANDONED };

struct lookup {
    atomic_int state;
    pthread_t thread;
    void *library; /* held while our code runs in the thread */
    int wake[2];   /* rung when it is done */
    int code;
    int error; /* the errno behind EAI_SYSTEM */
    struct addrinfo *found;
    char host[]; /* NUL-terminated */
};

/* The number of abandoned lookups in the low half, the process they belong to in the high half: a
   child of fork(2) does not inherit its parent's threads. */
static _Atomic uint64_t tally;

static uint64_t tally_of_this_process(uint64_t value)
{
    uint64_t process = (uint64_t)(uint32_t)nb__sys_process() << 32;

    return value >> 32 == process >> 32 ? value : process;
}

static unsigned abandoned(void)
{
    return (unsigned)(tally_of_this_process(atomic_load(&tally)) & UINT32_MAX);
}

static void count_abandoned(int difference)
{
    uint64_t old = atomic_load(&tally);

    while (!atomic_compare_exchange_weak(&tally, &old,
                                         tally_of_this_process(old) + (uint64_t)difference))
        ;
}

/* The tickets of those who wait for a place: the process in the high half, the turn in the low
   half. An entry is free when it is 0, or belongs to another process, which this one was forked
   from. */
static _Atomic uint64_t waiting[WAITING_MAX];
static _Atomic uint32_t tickets;

static uint64_t ticket_new(void)
{
    return (uint64_t)(uint32_t)nb__sys_process() << 32 | atomic_fetch_add(&tickets, 1);
}

static bool is_of_process(uint64_t ticket, uint64_t other)
{
    return other != 0 && other >> 32 == ticket >> 32;
}

/* Enters a ticket and returns its index; WAITING_MAX when all entries are taken. */
static size_t note_waiting(uint64_t ticket)
{
    size_t i = 0;

    for (; i < WAITING_MAX; i++) {
        uint64_t other = atomic_load(&waiting[i]);

        if (!is_of_process(ticket, other) &&
            atomic_compare_exchange_strong(&waiting[i], &other, ticket))
            break;
    }
    return i;
}

/* How many have waited for longer. */
static unsigned waiting_before(uint64_t ticket)
{
    unsigned count = 0;

    for (size_t i = 0; i < WAITING_MAX; i++) {
        uint64_t other = atomic_load(&waiting[i]);

        if (is_of_process(ticket, other))
            count += (int32_t)((uint32_t)other - (uint32_t)ticket) < 0;
    }
    return count;
}

static bool has_place(uint64_t ticket)
{
    return abandoned() + waiting_before(ticket) < NB__LOOKUPS_ABANDONED_MAX;
}

static void dispose(struct lookup *lookup)
{
    nb__sys_wake_close(lookup->wake);
    if (lookup->found != NULL)
        nb__sys_freeaddrinfo(lookup->found);
    free(lookup);
}

/* The thread. */
static void *look_up(void *argument)
{
    struct lookup *lookup = argument;
    struct addrinfo *found = NULL;

    lookup->code = nb__sys_getaddrinfo(lookup->host, &found, &lookup->error);
    lookup->found = lookup->code == 0 ? found : NULL;
    if (atomic_exchange(&lookup->state, DONE) == GOES_ON) {
        (void)nb__sys_wake_ring(lookup->wake); /* the waiter joins this thread, then disposes */
    } else {
        void *library = lookup->library;

        dispose(lookup);
        count_abandoned(-1);
        nb__sys_library_release_later(library);
    }
    return NULL;
}

/* Acquires what a lookup needs besides memory, and starts it. */
static struct nb__result start(struct lookup *lookup)
{
    int rc = nb__sys_wake_open(lookup->wake);

    if (rc < 0)
        return nb__result_of(rc);
    rc = nb__sys_library_hold(&lookup->library);
    if (rc == 0) {
        rc = nb__sys_thread_start(&lookup->thread, STACK_SIZE, look_up, lookup);
        if (rc == 0)
            return nb__ok();
        nb__sys_library_release(lookup->library);
    }
    nb__sys_wake_close(lookup->wake);
    return nb__failure(NB_NO_MEMORY, -rc); /* of memory or threads, whatever the errno */
}

static struct nb__result begin(struct lookup **out, const char *host)
{
    size_t size = strlen(host) + 1;
    struct nb__result result;

    *out = nb__sys_calloc(1, sizeof(**out) + size);
    if (*out == NULL)
        return nb__failure(NB_NO_MEMORY, 0);
    memcpy((*out)->host, host, size);
    result = start(*out);
    if (result.status != NB_OK)
        free(*out);
    return result;
}

/* Waits for a descriptor (-1: none) to become readable. NB_TIMEOUT: nothing has happened yet. */
static struct nb__result wait_once(int fd, struct nb__cancels *cancels, nb_deadline until)
{
    struct pollfd entries[1 + NB__WAIT_ROOM] = {{fd, POLLIN, 0}};
    int ready = nb__wait_cancellable(entries, 1, until, cancels);

    if (ready == -ECANCELED)
        return nb__failure(NB_CANCELLED, 0);
    if (ready < 0 && ready != -EINTR)
        return nb__result_of(ready);
    return ready > 0 ? nb__ok() : nb__failure(NB_TIMEOUT, 0);
}

static struct nb__result await(const struct lookup *lookup, struct nb__cancels *cancels,
                               nb_deadline by)
{
    struct nb__result result;

    do
        result = wait_once(lookup->wake[0], cancels, by);
    while (result.status == NB_TIMEOUT && !nb_expired(by));
    return result;
}

/* Waits until it is a ticket's turn. */
static struct nb__result await_turn(uint64_t ticket, size_t *noted, struct nb__cancels *cancels,
                                    nb_deadline by)
{
    int64_t pause_ms = 1;

    for (;;) {
        struct nb__result result;

        if (*noted == WAITING_MAX)
            *noted = note_waiting(ticket);
        if (*noted < WAITING_MAX && has_place(ticket))
            return nb__ok();
        result = wait_once(-1, cancels, nb__earlier(by, nb_after_ms(pause_ms)));
        if (result.status != NB_TIMEOUT)
            return result;
        if (nb_expired(by))
            return nb__failure(NB_NAME_TEMPORARY, 0);
        if (pause_ms < PAUSE_MAX_MS)
            pause_ms *= 2;
    }
}

/* Waits until one more lookup may begin: first come, first served, or callers with short deadlines
   would take each place before one with a long deadline sees it. */
static struct nb__result await_place(struct nb__cancels *cancels, nb_deadline by)
{
    uint64_t ticket = ticket_new();
    size_t noted = WAITING_MAX;
    struct nb__result result;

    if (has_place(ticket))
        return nb__ok();
    result = await_turn(ticket, &noted, cancels, by);
    if (noted < WAITING_MAX)
        atomic_store(&waiting[noted], 0);
    return result;
}

/* Takes the result of a finished lookup. */
static struct nb__result collect(struct lookup *lookup, struct addrinfo **found)
{
    int code = lookup->code;

    *found = lookup->found;
    lookup->found = NULL;
    if (code == 0)
        return nb__ok();
    return code == EAI_SYSTEM ? nb__failure(nb__status_of_errno(lookup->error), lookup->error)
                              : nb__failure(nb__status_of_lookup(code), code);
}

struct nb__result nb__lookup(struct addrinfo **found, const char *host, struct nb__cancels *cancels,
                             nb_deadline by)
{
    struct lookup *lookup;
    pthread_t thread;
    struct nb__result result = await_place(cancels, by);

    if (result.status == NB_OK)
        result = begin(&lookup, host);
    if (result.status != NB_OK)
        return result;
    thread = lookup->thread; /* once abandoned, the lookup belongs to the thread */
    result = await(lookup, cancels, by);
    if (result.status != NB_OK) {
        count_abandoned(1);
        if (atomic_exchange(&lookup->state, ABANDONED) == GOES_ON) {
            (void)pthread_detach(thread);
            return result;
        }
        count_abandoned(-1); /* it has finished meanwhile */
    }
    (void)pthread_join(thread, NULL);
    if (result.status == NB_OK)
        result = collect(lookup, found);
    nb__sys_library_release(lookup->library);
    dispose(lookup);
    return result;
}
