/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes accepting: clients of all kinds at any times, among errors, taken by nb_accept() with
 *         any deadlines or served by nb_serve() with any options until a stop at any time. Nobody is
 *         lost or told of twice, and everything ends when it should. */
#include "fuzz.h"
#include "sys/sys.h"

#define MS KERNEL_MS

enum { CALLS_MAX = 40, PEERS = 6 };

static struct kernel_client clients[KERNEL_CLIENTS_MAX];
static nb_listener *listener;
static int64_t stopped_ns; /* when it was stopped first; until then, when it will be */

/* ---- clients ---- */

static const struct kernel_step polite[] = {{0, 5, 0}, {0, 0, 0}};
static const struct kernel_step slow[] = {{700 * MS, 1, 0}, {900 * MS, 1, 0}, {3000 * MS, 0, 0}};
static const struct kernel_step lasting[] = {{0, 5, 0}, {1200000 * MS, 0, 0}}; /* not for ever */
static const struct kernel_step resetting[] = {{0, 5, 0}, {100 * MS, 0, ECONNRESET}};
static const struct kernel_step flood[] = {{0, 70000, 0}, {60000 * MS, 0, 0}};
static const struct kernel_step little_room[] = {{0, 10, 0}};

static const struct kernel_peer peers[PEERS] = {
    {polite, 2, NULL, 0, NULL, 0, 0},   {slow, 3, NULL, 0, NULL, 0, 0},
    {lasting, 2, NULL, 0, NULL, 0, 0},  {resetting, 2, NULL, 0, NULL, 0, 0},
    {flood, 2, NULL, 1000, NULL, 0, 0}, {lasting, 2, NULL, 0, little_room, 1, 0}};

static const int lost[] = {ECONNABORTED, EPROTO, EPERM, EHOSTUNREACH, ENETDOWN, EOPNOTSUPP};
static const int shortages[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
static const int fatal[] = {EBADF, EINVAL, ENOTSOCK};

static int input_error(struct input *in)
{
    uint8_t which = input_byte(in);

    if (which > 250)
        return fatal[which % COUNT(fatal)];
    if (which > 200)
        return EINTR;
    return which % 2 == 0 ? lost[which / 2 % COUNT(lost)] : shortages[which / 2 % COUNT(shortages)];
}

static void read_clients(struct input *in)
{
    kernel.client_count = input_number(in, KERNEL_CLIENTS_MAX);
    kernel.clients = clients;
    for (size_t i = 0; i < kernel.client_count; i++) {
        uint8_t kind = input_byte(in);

        clients[i] = (struct kernel_client){input_delay(in), 0, &peers[kind % PEERS], kind >> 7};
        if (kind % 4 == 3)
            clients[i].error = input_error(in);
    }
}

static bool is_in(const int *numbers, size_t count, int number)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == number)
            return true;
    }
    return false;
}

/* How many of the clients were errors of one kind. */
static size_t count_errors(const int *numbers, size_t count)
{
    size_t errors = 0;

    for (size_t i = 0; i < kernel.client_count; i++)
        errors += is_in(numbers, count, clients[i].error);
    return errors;
}

/* ---- nb_accept() ---- */

static void stop(void *argument)
{
    (void)argument;
    if (kernel.now < stopped_ns)
        stopped_ns = kernel.now;
    nb_listener_stop(listener);
}

static size_t count_accepted(void)
{
    size_t accepted = 0;

    for (size_t i = 0; i < kernel.client_count; i++)
        accepted += kernel.outcomes[i].accepted;
    return accepted;
}

static void accept_one(struct input *in, int64_t stop_ns)
{
    size_t before = count_accepted();
    int64_t begun_ns = kernel.now;
    nb_deadline by = input_deadline(in);
    nb_conn *conn;
    nb_error err;
    nb_status status = nb_accept(listener, &conn, by, &err);

    require((status == NB_OK) == (conn != NULL) && err.status == status);
    require(count_accepted() - before == (status == NB_OK));
    require(status == NB_OK || strncmp(err.message, "accept on ", 10) == 0);
    if (status == NB_CANCELLED)
        require(stop_ns <= kernel.now);
    else
        require(stop_ns >= kernel.now);
    if (status == NB_TIMEOUT || status == NB_NO_DESCRIPTORS || status == NB_NO_MEMORY)
        require(by.ns <= kernel.now && kernel.now == (by.ns > begun_ns ? by.ns : begun_ns));
    if (status == NB_SYSTEM)
        require(is_in(fatal, COUNT(fatal), err.system_error));
    if (status == NB_OK)
        require(by.ns > begun_ns && kernel.now <= by.ns);
    nb_abort(conn);
}

/* With the stop, which comes at last, no wait is for ever. */
static void accept_them(struct input *in, int64_t stop_ns)
{
    kernel_at(stop_ns, stop, NULL);
    for (size_t i = input_number(in, CALLS_MAX); i > 0; i--)
        accept_one(in, stop_ns);
}

/* ---- nb_serve() ---- */

static struct {
    size_t events[16];
    size_t handled;
    uint8_t habits[8]; /* what the handlers do, in turn */
} served;

static void note(const nb_event *event, void *context)
{
    bool has_id = event->kind == NB_EVENT_ACCEPTED || event->kind == NB_EVENT_REFUSED ||
                  event->kind == NB_EVENT_CLOSED;

    (void)context;
    served.events[event->kind]++;
    require(event->size == sizeof(*event) && event->message[0] != '\0');
    require((event->id != 0) == has_id && event->duration_ns >= 0);
    require(served.events[NB_EVENT_ACCEPT_BACKING_OFF] >= served.events[NB_EVENT_ACCEPT_RECOVERED]);
    require(served.events[NB_EVENT_ACCEPT_BACKING_OFF] <=
            served.events[NB_EVENT_ACCEPT_RECOVERED] + 1);
    require(served.events[NB_EVENT_CLOSED] <= served.events[NB_EVENT_ACCEPTED]);
    require(served.events[NB_EVENT_STOPPED] == 0 || event->kind == NB_EVENT_STOPPED);
}

static void receive_all(nb_conn *conn, nb_deadline by)
{
    static char buf[4096];
    nb_status status;
    size_t got;

    do
        status = nb_recv(conn, buf, sizeof(buf), &got, by);
    while (status == NB_OK);
}

/* Goes on whatever a call says, until it is cancelled. */
static void insist(nb_conn *conn)
{
    while (nb_conn_status(conn, NB_RECEIVE) == NB_OK)
        receive_all(conn, nb_after_ms(3000));
}

static void detach(nb_conn *conn)
{
    nb_fd fd;

    if (nb_conn_detach(conn, &fd, NULL, 0, NULL) == NB_OK)
        (void)nb__sys_close(fd);
}

static nb_status handle(nb_conn *conn, void *context)
{
    uint8_t habit = served.habits[served.handled++ % sizeof(served.habits)];

    (void)context;
    if (habit % 10 == 0)
        receive_all(conn, nb_forever());
    else if (habit % 10 == 1)
        receive_all(conn, nb_after_ms(INT64_C(10) * habit));
    else if (habit % 10 == 2)
        insist(conn);
    else if (habit % 10 == 3)
        nb_send_all(conn, "0123456789 and more", 19, NULL, nb_after_ms(INT64_C(100) * habit));
    else if (habit % 10 == 4)
        (void)nb_close(conn, nb_forever());
    else if (habit % 10 == 5)
        nb_abort(conn);
    else if (habit % 10 == 6)
        detach(conn);
    else if (habit % 10 == 7)
        stop(NULL);
    return NB_OK;
}

static nb_serve_options read_options(struct input *in)
{
    static const int64_t times[] = {0, 1, 10, 250, 1000, 5000, 60000, NB_NO_LIMIT};
    static const int64_t drains[] = {0, 250, 1000, 60000, NB_NO_LIMIT}; /* waits look 4 times */
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;

    options.concurrency = 1;
    options.on_event = note;
    options.connection_ms = times[input_number(in, COUNT(times) - 1)];
    options.linger_ms = times[input_number(in, COUNT(times) - 2)];
    options.drain_ms = drains[input_number(in, COUNT(drains) - 1)];
    options.linger_bytes = (int64_t)input_size(in);
    options.linger_max = (int64_t)input_number(in, 4);
    options.max_per_peer = (int64_t)input_number(in, 4);
    return options;
}

/* How long the stop may take: the drain, and what handlers need to notice its end. */
static int64_t longest_stop(const nb_serve_options *options)
{
    int64_t drain_ms = options->drain_ms == 0 ? 10000 : options->drain_ms;

    return (drain_ms + drain_ms / 4 + 2) * MS;
}

static void check_counters(nb_status status, nb_serve_counters counters)
{
    require(counters.accepted == served.events[NB_EVENT_ACCEPTED]);
    require(counters.refused == served.events[NB_EVENT_REFUSED]);
    require(counters.accepted + counters.refused <= count_accepted());
    require(counters.accepted + counters.refused + counters.unserved >= count_accepted());
    require(served.events[NB_EVENT_CLOSED] == counters.accepted);
    require(served.events[NB_EVENT_STOPPED] == 1 && served.events[NB_EVENT_DRAINING] == 1);
    require(served.handled == counters.accepted);
    require(counters.active == 0 && counters.lingering == 0);
    require(counters.peak == (served.handled > 0));
    require(counters.lost_accepts <= count_errors(lost, COUNT(lost)));
    require(status == NB_OK || count_errors(fatal, COUNT(fatal)) > 0 ||
            count_errors(lost, COUNT(lost)) > 10);
}

/* Who came before the stop was taken, or is counted; and nobody's connection is left open. */
static void check_clients(nb_status status, nb_serve_counters counters)
{
    int64_t came_ns = KERNEL_START;
    size_t in_time = 0;

    for (size_t i = 0; i < kernel.client_count; i++) {
        const struct kernel_outcome *outcome = &kernel.outcomes[i];

        came_ns += clients[i].after_ns;
        require(!outcome->queued || outcome->fate != KERNEL_OPEN);
        in_time += outcome->queued && came_ns < stopped_ns;
    }
    if (status == NB_OK)
        require(counters.accepted + counters.refused + counters.unserved >= in_time);
}

static void serve_them(struct input *in, int64_t stop_ns)
{
    nb_serve_options options = read_options(in);
    nb_serve_counters counters = NB_SERVE_COUNTERS_INIT;
    nb_status status;
    nb_error err;

    memset(&served, 0, sizeof(served));
    for (size_t i = 0; i < sizeof(served.habits); i++)
        served.habits[i] = input_byte(in);
    stopped_ns = stop_ns;
    kernel_at(stop_ns, stop, NULL);
    status = nb_serve(listener, handle, NULL, &options, &err);
    require(err.status == status);
    if (options.drain_ms != NB_NO_LIMIT)
        require(kernel.now <= stopped_ns + longest_stop(&options));
    nb_listener_counters(listener, &counters);
    check_counters(status, counters);
    check_clients(status, counters);
    require(kernel.accepts <= 3 * kernel.client_count + kernel.polls + 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    int64_t stop_ns;
    uint8_t flags;

    input_world(&in);
    flags = input_byte(&in);
    read_clients(&in);
    stop_ns = kernel.now + input_delay(&in) + input_delay(&in);
    require(nb_listen(&listener, (flags & 2) != 0 ? "localhost:0" : "127.0.0.1:0", NULL, NULL) ==
            NB_OK);
    if ((flags & 1) != 0)
        serve_them(&in, stop_ns);
    else
        accept_them(&in, stop_ns);
    nb_listener_close(listener);
    world_ends();
    return 0;
}
