/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The race of a host's addresses for a connection (RFC 8305): attempts start one after the other,
 *         without waiting until the earlier ones fail, and the first to connect wins. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "connect/race.h"

#include "base/deadline_internal.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* How long after an attempt the next one starts: what RFC 8305 section 5 recommends, and its
   minimum. */
#define STAGGER_MS 250
#define STAGGER_MIN_MS 10

void nb__race_prepare(struct nb__race *race, const struct nb__addresses *addresses,
                      const struct nb__connect_params *params, struct nb__cancels *cancels)
{
    memset(race, 0, sizeof(*race));
    race->params = params;
    race->cancels = cancels;
    race->count = addresses->count;
    for (size_t i = 0; i < race->count; i++) {
        race->attempts[i].to = &addresses->list[i];
        race->attempts[i].fd = -1;
    }
}

/* When to start the next attempt. If time is short, the `left` attempts share it equally. */
static nb_deadline after_stagger(size_t left, nb_deadline by)
{
    int64_t now = nb__now_ns();
    int64_t share_ms = nb__remaining_ns(by, now) / (int64_t)left / NB__NS_PER_MS;

    if (share_ms > STAGGER_MS)
        share_ms = STAGGER_MS;
    return nb__ms_after(now, share_ms > STAGGER_MIN_MS ? share_ms : STAGGER_MIN_MS);
}

/* Starts the attempts that are due. If one fails at once, the next one is due. */
static void start_due(struct nb__race *race, nb_deadline by)
{
    while (race->begun < race->count && nb_expired(race->next_start) && !nb_expired(by)) {
        struct nb__attempt *attempt = &race->attempts[race->begun];

        race->next_start = after_stagger(race->count - race->begun, by);
        race->begun++;
        nb__attempt_start(attempt, race->params);
        if (attempt->state == NB__ATTEMPT_FAILED)
            race->next_start = (nb_deadline){0};
    }
}

static const struct nb__attempt *first_in(const struct nb__race *race, enum nb__attempt_state state)
{
    for (size_t i = 0; i < race->count; i++) {
        if (race->attempts[i].state == state)
            return &race->attempts[i];
    }
    return NULL;
}

/* Lists what to wait for. Returns until when to wait. */
static nb_deadline list_waits(const struct nb__race *race, nb_deadline by, struct pollfd *entries)
{
    nb_deadline until = race->begun < race->count ? nb__earlier(by, race->next_start) : by;

    for (size_t i = 0; i < race->begun; i++) { /* poll(2) ignores negative descriptors */
        const struct nb__attempt *attempt = &race->attempts[i];
        bool goes = attempt->state == NB__ATTEMPT_GOES;
        bool pauses = goes && !nb__is_forever(attempt->again);

        entries[i] = (struct pollfd){goes && !pauses ? attempt->fd : -1, POLLOUT, 0};
        if (pauses)
            until = nb__earlier(until, attempt->again);
    }
    return until;
}

/* Continues the attempts that have events, or have paused for long enough. */
static void continue_attempts(struct nb__race *race, const struct pollfd *entries)
{
    for (size_t i = 0; i < race->begun; i++) {
        struct nb__attempt *attempt = &race->attempts[i];

        if (attempt->state != NB__ATTEMPT_GOES)
            continue;
        if (entries[i].revents != 0)
            nb__attempt_look(attempt, entries[i].revents);
        else
            nb__attempt_ask_again(attempt);
        if (attempt->state == NB__ATTEMPT_FAILED)
            race->next_start = (nb_deadline){0};
    }
}

/* Waits for events, or until the next attempt is due. */
static struct nb__result wait_for_events(struct nb__race *race, nb_deadline by)
{
    struct pollfd entries[NB__ADDRESSES_MAX + NB__WAIT_ROOM];
    nb_deadline until = list_waits(race, by, entries);
    int ready = nb__wait_cancellable(entries, race->begun, until, race->cancels);

    if (ready == -EINTR)
        return nb__ok();
    if (ready == -ECANCELED)
        return nb__failure(NB_CANCELLED, 0);
    if (ready < 0)
        return nb__result_of(ready);
    continue_attempts(race, entries);
    return nb__ok();
}

/* How informative a failure is. A shortage on this machine comes first: it says that the host may
   be fine. Then what the host answered, what is forbidden here, and that the host is unreachable.
   Last, that this machine cannot use such an address at all, whatever the errno. */
static int weight(const struct nb__attempt *attempt)
{
    switch (attempt->result.status) {
    case NB_NO_DESCRIPTORS:
    case NB_NO_MEMORY:
        return 4;
    case NB_UNSUPPORTED:
    case NB_ADDRESS_UNAVAILABLE:
        return 0;
    case NB_UNREACHABLE:
        return attempt->asked ? 1 : 0;
    case NB_PERMISSION:
        return attempt->asked ? 2 : 0;
    default:
        return attempt->asked ? 3 : 0;
    }
}

/* All have failed: returns the most informative failure; among equals the first. */
static struct nb__result verdict(const struct nb__race *race)
{
    const struct nb__attempt *best = &race->attempts[0];

    for (size_t i = 1; i < race->count; i++) {
        if (weight(&race->attempts[i]) > weight(best))
            best = &race->attempts[i];
    }
    return best->result;
}

/* NB_OK when there is a winner. */
static struct nb__result run(struct nb__race *race, nb_deadline by,
                             const struct nb__attempt **winner)
{
    struct nb__result result = nb__ok();

    while (result.status == NB_OK) {
        start_due(race, by);
        *winner = first_in(race, NB__ATTEMPT_WON);
        if (*winner != NULL)
            return nb__ok();
        if (nb_expired(by))
            return nb__failure(NB_TIMEOUT, 0);
        if (race->begun == race->count && first_in(race, NB__ATTEMPT_GOES) == NULL)
            return verdict(race);
        result = wait_for_events(race, by);
    }
    return result;
}

struct nb__result nb__race_run(struct nb__race *race, nb_deadline by,
                               const struct nb__attempt **winner)
{
    struct nb__result result = run(race, by, winner);

    for (size_t i = 0; i < race->begun; i++) {
        struct nb__attempt *attempt = &race->attempts[i];

        if (attempt->fd >= 0 && attempt != *winner)
            nb__attempt_fail(attempt, result);
    }
    return result;
}

void nb__race_describe(const struct nb__race *race, struct nb__text *text)
{
    for (size_t i = 0; i < race->count; i++) {
        if (i > 0)
            nb__text_add(text, ", ");
        nb__attempt_describe(&race->attempts[i], text);
    }
}
