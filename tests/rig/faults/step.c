/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The steps of a scenario: how each one ends, in what time, and what it leaves alone. */
#include "fault.h"

#define NS_PER_MS INT64_C(1000000)

/* What errno is before each step, and after it when it went well. */
#define UNTOUCHED 4711

/* How late a step may be: on the virtual clock, which leaves no room, and on a shared machine. */
#define LATE_MS 30
#define REALLY_LATE_MS 5000

/* The accept loop ends when it is told to. */
#define SERVE_MS 4000

struct step {
    enum api api;
    const char *what;
    const nb_conn *conn;
    nb_status before[2]; /* of the directions of conn */
    statuses explained;  /* by the faults in it */
    bool may_succeed;
    int was_foreign;
    int64_t began_ns;
    int64_t had_jumped_ns;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct step steps[4];
static _Thread_local size_t depth;
static _Thread_local int foreign;
static _Thread_local int errno_of_library[4];
static struct step *_Atomic outermost; /* for threads of the library: what is done by all this */
static atomic_bool began;
static atomic_uint allowed_too; /* once something was disturbed */

void enter_foreign(void)
{
    errno_of_library[foreign++] = errno;
    storm_reaches(false);
}

void leave_foreign(void)
{
    storm_reaches(--foreign == 0);
    errno = errno_of_library[foreign];
}

bool is_foreign(void)
{
    return foreign > 0;
}

void loop_began(void)
{
    atomic_store(&began, true);
}

void also_allowed(statuses more)
{
    atomic_store(&allowed_too, more);
}

static struct step *current(void)
{
    return depth > 0 ? &steps[depth - 1] : atomic_load(&outermost);
}

const char *step_name(void)
{
    struct step *step = current();

    return step != NULL ? step->what : "no step";
}

nb_deadline soon(void)
{
    return nb_after_ms(STEP_MS);
}

/* What may have threads of its own. */
static bool has_threads(enum api api)
{
    return api == API_SERVE || api == API_CONNECT || api == API_RACE;
}

void step_begin(enum api api, const char *what, const nb_conn *conn)
{
    struct step *step = &steps[depth];

    *step = (struct step){.api = api, .what = what, .conn = conn, .may_succeed = true};
    if (conn != NULL) {
        step->before[NB_RECEIVE] = nb_conn_status(conn, NB_RECEIVE);
        step->before[NB_SEND] = nb_conn_status(conn, NB_SEND);
    }
    step->was_foreign = foreign;
    step->began_ns = real_ns();
    step->had_jumped_ns = kernel.jumped_ns;
    if (api == API_SERVE)
        atomic_store(&began, false);
    if (depth == 0 && has_threads(api))
        atomic_store(&outermost, step);
    depth++;
    foreign = 0;
    storm_reaches(true);
    errno = UNTOUCHED;
}

void step_notes(const struct fault *fault)
{
    struct step *step = current();
    struct fault noted = *fault;
    statuses may_be;

    if (step == NULL) /* of a thread that nobody waits for any more */
        return;
    noted.began = atomic_load(&began);
    may_be = outcomes(step->api, &noted);
    if (depth == 0 &&
        fault->second) /* or of a lookup that an earlier fault has made nobody wait for */
        may_be |= S(NB_OK);
    (void)pthread_mutex_lock(&lock);
    step->explained |= may_be;
    step->may_succeed = step->may_succeed && (may_be & S(NB_OK)) != 0;
    (void)pthread_mutex_unlock(&lock);
}

static nb_direction direction_of(enum api api)
{
    return api == API_RECEIVE ? NB_RECEIVE : NB_SEND;
}

static bool has_direction(enum api api)
{
    return api == API_RECEIVE || api == API_SEND || api == API_SHUTDOWN;
}

/* The statuses that a call on a connection may give because of what happened to it before. */
static statuses given_before(const struct step *step, statuses allowed)
{
    nb_status sending = step->before[NB_SEND];
    nb_status receiving = step->before[NB_RECEIVE];

    if (step->api == API_CLOSE) {
        if (sending != NB_OK)
            return S(sending);
        if (receiving != NB_OK && receiving != NB_EOF && receiving != NB_TOO_LONG)
            return S(receiving);
        return allowed;
    }
    if (has_direction(step->api) && step->before[direction_of(step->api)] != NB_OK) {
        nb_status stays = step->before[direction_of(step->api)];

        return stays == NB_EOF ? S(NB_EOF) | (allowed & S(NB_OK)) : S(stays);
    }
    /* What ends when a send has told of a reset was not ended in order. */
    if (step->api == API_RECEIVE && (sending == NB_RESET || sending == NB_UNREACHABLE))
        return allowed | S(NB_RESET) | S(NB_UNREACHABLE);
    return allowed;
}

/* Failures stay as they are documented to. */
static void check_what_stays(const struct step *step, nb_status status)
{
    bool stays = step->api == API_RECEIVE
                     ? status != NB_TIMEOUT && status != NB_NO_MEMORY && status != NB_TOO_LONG
                     : true;
    nb_status now;

    if (step->conn == NULL || !has_direction(step->api) || status == NB_OK || status == NB_INVALID)
        return;
    now = nb_conn_status(step->conn, direction_of(step->api));
    if (stays && now != status)
        wrong("%s: %s, and afterwards %s", step->what, nb_status_name(status), nb_status_name(now));
    if ((status == NB_TIMEOUT || status == NB_NO_MEMORY) && step->api == API_RECEIVE &&
        now != NB_OK)
        wrong("%s: %s stays", step->what, nb_status_name(status));
}

static void check_status(const struct step *step, nb_status status, statuses allowed)
{
    statuses fine = step->conn != NULL ? given_before(step, allowed) : allowed;

    if (!step->may_succeed)
        fine &= ~S(NB_OK);
    fine |= step->explained & ~S(NB_OK);
    if (disturbed() && step->conn != NULL)
        fine |= atomic_load(&allowed_too);
    if ((fine & S(status)) == 0)
        wrong("%s: %s, which is none of %x", step->what, nb_status_name(status), fine);
}

/* Time that has passed in a step, on the clock that the library sees. */
static int64_t passed_ns(const struct step *step)
{
    return kernel.jumped_ns - step->had_jumped_ns + real_ns() - step->began_ns;
}

/* A time-out is one: it never comes early. */
static void check_patience(const struct step *step, nb_status status)
{
    bool stays = step->conn != NULL && step->before[NB_SEND] == NB_TIMEOUT;

    if (status == NB_TIMEOUT && !stays && passed_ns(step) < STEP_MS * NS_PER_MS)
        wrong("%s: timed out after %lld ns", step->what, (long long)passed_ns(step));
}

static void check_time(const struct step *step)
{
    int64_t most = (step->api == API_SERVE ? SERVE_MS : STEP_MS) + LATE_MS;
    int64_t jumped = (kernel.jumped_ns - step->had_jumped_ns) / NS_PER_MS;
    int64_t took = (real_ns() - step->began_ns) / NS_PER_MS;

    if (jumped > most)
        wrong("%s: took %lld ms on the virtual clock", step->what, (long long)jumped);
    if (took > most + REALLY_LATE_MS)
        wrong("%s: took %lld ms", step->what, (long long)took);
}

nb_status step_end(nb_status status, statuses allowed)
{
    int number = errno;
    struct step *step = &steps[--depth];

    foreign = step->was_foreign;
    storm_reaches(foreign == 0);
    if (depth == 0 && has_threads(step->api))
        atomic_store(&outermost, NULL);
    if (status == NB_OK && number != UNTOUCHED)
        wrong("%s: errno is %d after a success", step->what, number);
    check_status(step, status, allowed);
    check_what_stays(step, status);
    check_patience(step, status);
    check_time(step);
    return status;
}

bool disturbed(void)
{
    return kernel.fired > 0;
}
