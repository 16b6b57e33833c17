/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The addresses of a host race for a connection (RFC 8305): one starts after the other, none
 *         waits until another has given up, and the first to arrive wins. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "connect/race.h"

#include "base/deadline_internal.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* How long an attempt is alone before the next one starts: what RFC 8305 section 5 recommends, and
   the least that it allows. */
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

/* When to start the next attempt. Where time is short, each that is left gets an equal share of it. */
static nb_deadline after_stagger(size_t left, nb_deadline by)
{
    int64_t now = nb__now_ns();
    int64_t share_ms = nb__remaining_ns(by, now) / (int64_t)left / NB__NS_PER_MS;

    if (share_ms > STAGGER_MS)
        share_ms = STAGGER_MS;
    return nb__ms_after(now, share_ms > STAGGER_MIN_MS ? share_ms : STAGGER_MIN_MS);
}

/* Starts the attempts whose time has come. One that fails at once makes way for the next. */
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

/* Puts down what to wait for. Until when to wait. */
static nb_deadline list_waits(const struct nb__race *race, nb_deadline by, struct pollfd *entries)
{
    nb_deadline until = race->begun < race->count ? nb__earlier(by, race->next_start) : by;

    for (size_t i = 0; i < race->begun; i++) { /* poll passes over descriptors below 0 */
        const struct nb__attempt *attempt = &race->attempts[i];
        bool goes = attempt->state == NB__ATTEMPT_GOES;
        bool pauses = goes && !nb__is_forever(attempt->again);

        entries[i] = (struct pollfd){goes && !pauses ? attempt->fd : -1, POLLOUT, 0};
        if (pauses)
            until = nb__earlier(until, attempt->again);
    }
    return until;
}

/* Lets the attempts go on that have news, or have paused for long enough. */
static void go_on(struct nb__race *race, const struct pollfd *entries)
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

/* Waits until something happens or the next attempt may start. */
static struct nb__result wait_for_news(struct nb__race *race, nb_deadline by)
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
    go_on(race, entries);
    return nb__ok();
}

/* How much a failure tells: what this machine ran out of comes first, because it is the only one
   that says nothing about the host. Then what the host did, what is forbidden here, and that there is no
   way. What says only that this machine cannot use such an address means little, whatever its errno. */
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

/* All have failed: the first of those that tell most. */
static struct nb__result verdict(const struct nb__race *race)
{
    const struct nb__attempt *worst = &race->attempts[0];

    for (size_t i = 1; i < race->count; i++) {
        if (weight(&race->attempts[i]) > weight(worst))
            worst = &race->attempts[i];
    }
    return worst->result;
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
        result = wait_for_news(race, by);
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
