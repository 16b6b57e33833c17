/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The accept loop: its options, its beginning and its end. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "base/error_internal.h"
#include "base/versioned.h"
#include "serve/engine.h"
#include "serve/events.h"
#include "serve/linger.h"
#include "serve/server.h"
#include "serve/stop_signals.h"
#include "sys/sys.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char operation[] = "serve";

NB__VERSIONED_SOLID(nb_serve_options, 2, 9);
NB__VERSIONED_SOLID(nb_serve_counters, 0, 9);

/* A number among the options: zero means its default. */
struct number {
    const char *name;
    int64_t *value;
    int64_t otherwise;
    int64_t least; /* 0, or NB_NO_LIMIT where that is allowed */
    int64_t most;
};

/* What a thread can have: the system has a minimum, and may want whole pages. */
static bool is_stack_size(int64_t size)
{
    pthread_attr_t attributes;
    bool is;

    if ((uint64_t)size > SIZE_MAX)
        return false;
    /* It always works in glibc. */
    if (pthread_attr_init(&attributes) != 0) /* GCOV_EXCL_BR_LINE */
        return true; /* GCOV_EXCL_LINE: it was not asked; starting threads tells */
    is = pthread_attr_setstacksize(&attributes, (size_t)size) == 0;
    (void)pthread_attr_destroy(&attributes);
    return is;
}

/* Checks the numbers and fills in the defaults. */
static nb_status complete(nb_serve_options *options, nb_error *err)
{
    const struct number numbers[] = {
        {"concurrency", &options->concurrency, 512, 0, INT_MAX},
        {"max_per_peer", &options->max_per_peer, NB_NO_LIMIT, NB_NO_LIMIT, INT_MAX},
        {"linger_max", &options->linger_max, 256, 0, INT_MAX},
        {"stop_on_signals", &options->stop_on_signals, 0, 0, 1},
        {"connection_ms", &options->connection_ms, 600000, NB_NO_LIMIT, INT64_MAX},
        {"linger_ms", &options->linger_ms, 5000, NB_NO_LINGER, INT64_MAX},
        {"linger_bytes", &options->linger_bytes, 65536, 0, INT64_MAX},
        {"drain_ms", &options->drain_ms, 10000, NB_NO_LIMIT, INT64_MAX},
        {"stack_size", &options->stack_size, INT64_C(256) << 10, 0, INT64_MAX},
    };

    for (size_t i = 0; i < COUNT(numbers); i++) {
        const struct number *number = &numbers[i];

        if (*number->value < number->least || *number->value > number->most)
            return nb__error_out_of_range(err, operation, number->name, *number->value,
                                          number->least, number->most);
        if (*number->value == 0)
            *number->value = number->otherwise;
    }
    if (!is_stack_size(options->stack_size))
        return nb__error_out_of_range(err, operation, "stack_size", options->stack_size,
                                      PTHREAD_STACK_MIN, INT64_MAX);
    return NB_OK;
}

static nb_status read_options(nb_serve_options *out, const nb_serve_options *given, nb_error *err)
{
    if (!nb__versioned_read(out, sizeof(*out), given))
        return nb__error_invalid(err, operation, NB__VERSIONED_REFUSED);
    return complete(out, err);
}

/* The address it listens on, for messages. */
static void failed_with(const nb_listener *listener, nb_error *err, struct nb__result result)
{
    char address[NB_ADDRESS_TEXT_MAX];

    (void)nb__error_set(err, result, operation,
                        nb_address_format(&listener->sockets[0].address, address, sizeof(address)));
}

/* Makes room to poll for all that may linger. */
static struct nb__result prepare(const struct nb__server *server, struct pollfd **fds)
{
    size_t lingerers = (size_t)server->options.linger_max;

    *fds = nb__sys_calloc(NB__ENGINE_WATCHED_MAX + lingerers, sizeof(**fds));
    return *fds != NULL ? nb__ok() : nb__failure(NB_NO_MEMORY, 0);
}

static void clean_up(struct nb__server *server, struct pollfd *fds)
{
    if (server->spare != NULL)
        nb__conn_free(server->spare);
    free(fds);
}

/* Runs the loop, with everything set up. If listening broke, the status says so after the drain. */
static struct nb__result run_loop(struct nb__server *server, struct pollfd *fds)
{
    struct nb__result result = nb__ok();

    if (server->options.concurrency == 1)
        nb__engine_inline(server, fds);
    else
        result = nb__engine_threads(server, fds);
    if (result.status != NB_OK)
        return result;
    server->began = true;
    nb__event_of_loop(server, NB_EVENT_STOPPED, NB_OK, 0);
    if (server->broken == 0)
        return nb__ok();
    return nb__failure(nb__accept_status(server->broken), server->broken);
}

/* The same, with the signals that stop it, if asked for. */
static struct nb__result run_with_signals(struct nb__server *server, struct pollfd *fds)
{
    int rc = server->options.stop_on_signals ? nb__stop_signals_take(server->listener) : 0;
    struct nb__result result;

    if (rc > 0)
        return nb__failure(NB_INVALID, 0);
    if (rc < 0)
        return nb__failure(NB_SYSTEM, -rc);
    server->opens_signals = server->options.stop_on_signals && nb__stop_signals_are_blocked();
    result = run_loop(server, fds);
    if (server->options.stop_on_signals)
        nb__stop_signals_release();
    return result;
}

nb_status nb_serve(nb_listener *listener, nb_handler *handler, void *context,
                   const nb_serve_options *options, nb_error *err)
{
    struct nb__server server = {.listener = listener, .handler = handler, .context = context};
    struct pollfd *fds = NULL;
    struct nb__result result;
    nb_status status;

    if (listener == NULL || handler == NULL)
        return nb__error_invalid(err, operation, "expected a listener and a handler, not NULL");
    status = read_options(&server.options, options, err);
    if (status != NB_OK)
        return status;
    if (atomic_exchange(&listener->served, true))
        return nb__error_invalid(err, operation, "expected a listener that was not served before");
    (void)pthread_mutex_init(&server.lock, NULL);
    (void)pthread_cond_init(&server.cancelled, NULL);
    result = prepare(&server, &fds);
    if (result.status == NB_OK)
        result = run_with_signals(&server, fds);
    if (!server.began)
        atomic_store(&listener->served, false);
    clean_up(&server, fds);
    (void)pthread_cond_destroy(&server.cancelled);
    (void)pthread_mutex_destroy(&server.lock);
    if (result.status == NB_OK)
        nb__error_clear(err);
    else if (result.status == NB_INVALID)
        (void)nb__error_invalid(err, operation, "stop_on_signals is taken by another nb_serve()");
    else
        failed_with(listener, err, result);
    return result.status;
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_acquire);
}

nb_status nb_listener_counters(const nb_listener *listener, nb_serve_counters *out)
{
    const struct nb__counters *counters;
    nb_serve_counters known;

    if (listener == NULL || out == NULL)
        return NB_INVALID;
    counters = &listener->counters;
    memset(&known, 0, sizeof(known));
    /* In this order: a connection that moves on meanwhile is missed rather than counted twice. */
    known.lingering = read_counter(&counters->lingering);
    known.active = read_counter(&counters->active);
    known.peak = read_counter(&counters->peak);
    known.accepted = read_counter(&counters->accepted);
    known.refused = read_counter(&counters->refused);
    known.lost_accepts = read_counter(&counters->lost_accepts);
    known.forced = read_counter(&counters->forced);
    known.unserved = read_counter(&counters->unserved);
    known.limit_reached = read_counter(&counters->limit_reached);
    return nb__versioned_write(out, &known, sizeof(known), 0) ? NB_OK : NB_INVALID;
}
