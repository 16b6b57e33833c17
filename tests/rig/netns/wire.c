/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: two hosts and the wire between them. */
#include "wire.h"

#include <sched.h>
#include <stdarg.h>

#define CASE_S 100 /* one case may take so long */
#define COMMAND_MAX 2048
#define PIECE ((size_t)8192)

static int hosts[2] = {-1, -1};
static const char *why = "the hosts were not made";

/* --- Hosts --- */

void no_hosts_because(const char *because)
{
    if (why == NULL)
        why = because;
}

static bool host_new(enum host host)
{
    if (unshare(CLONE_NEWNET) != 0)
        return false;
    hosts[host] = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return hosts[host] >= 0;
}

void go(enum host host)
{
    assert_int_equal(setns(hosts[host], CLONE_NEWNET), 0);
}

/* Takes the wire up, where the addresses of IPv6 and the neighbours go whenever it is down. */
static bool wire_up(enum host host)
{
    bool here = host == HERE;
    bool up;

    go(host);
    up = try_command("ip link set wire up && ip -6 addr add %s/64 dev wire nodad",
                     here ? HERE_IPV6 : THERE_IPV6);
    for (int six = 0; up && six <= 1; six++) {
        const char *other = six ? (here ? THERE_IPV6 : HERE_IPV6) : here ? THERE_IPV4 : HERE_IPV4;

        up = try_command("ip neigh replace %s lladdr 02:00:00:00:00:0%d dev wire nud permanent && "
                         "ip neigh replace %s lladdr 02:00:00:00:00:66 dev wire nud permanent",
                         other, here ? 2 : 1, six ? HOLE_IPV6 : HOLE_IPV4);
    }
    return up;
}

/* Where the kernel can be told so, a packet is what goes over a wire, and not many of them in one. */
static bool host_setup(enum host host)
{
    go(host);
    return try_command("ip link set lo up && ip addr add %s/24 dev wire && "
                       "(ip link set wire gso_max_segs 1 || true)",
                       host == HERE ? HERE_IPV4 : THERE_IPV4) &&
           wire_up(host);
}

int hosts_begin(void **state)
{
    (void)state;
    why = "network namespaces of its own are not allowed here (not root)";
    if (!host_new(THERE) || !host_new(HERE))
        return 0;
    why = "ip (iproute2) is missing, or the kernel has no veth";
    if (!try_command("ip link add wire address 02:00:00:00:00:01 type veth peer name wire "
                     "address 02:00:00:00:00:02 netns /proc/%d/fd/%d",
                     (int)getpid(), hosts[THERE]))
        return 0;
    why = "the system has no IPv6";
    if (!host_setup(THERE) || !host_setup(HERE))
        return 0;
    why = "nft (nftables) is missing, or the kernel has no filters";
    if (try_command("nft flush ruleset"))
        why = NULL;
    return 0;
}

int hosts_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        if (hosts[i] >= 0)
            close(hosts[i]);
    }
    return 0;
}

/* --- Commands --- */

static bool run_formatted(const char *format, va_list arguments)
{
    char command[COMMAND_MAX];
    int length = vsnprintf(command, sizeof(command), format, arguments);
    int status;

    assert_true(length > 0 && (size_t)length < sizeof(command));
    status = system(command); /* NOLINT(cert-env33-c): our own words, in this thread's namespace */
    if (status != 0)
        print_message("# failed: %s\n", command);
    return status == 0;
}

bool try_command(const char *format, ...)
{
    va_list arguments;
    bool done;

    va_start(arguments, format);
    done = run_formatted(format, arguments);
    va_end(arguments);
    return done;
}

void run_command(const char *format, ...)
{
    va_list arguments;
    bool done;

    va_start(arguments, format);
    done = run_formatted(format, arguments);
    va_end(arguments);
    assert_true(done);
}

/* --- Settings --- */

static struct setting {
    char file[128];
    char value[64];
} settings[8]; /* what was set before, in the order of time */
static size_t setting_count;

static void setting_write(const char *file, const char *value)
{
    run_command("echo '%s' >/proc/sys/%s", value, file);
}

void set_for_case(const char *file, const char *value)
{
    struct setting *old = &settings[setting_count];
    char path[160];
    FILE *stream;

    assert_true(setting_count < COUNT(settings));
    (void)snprintf(old->file, sizeof(old->file), "%s", file);
    (void)snprintf(path, sizeof(path), "/proc/sys/%s", file);
    stream = fopen(path, "re");
    assert_non_null(stream);
    assert_non_null(fgets(old->value, sizeof(old->value), stream));
    assert_int_equal(fclose(stream), 0);
    old->value[strcspn(old->value, "\n")] = '\0';
    setting_count++;
    setting_write(file, value);
}

static void settings_restore(void)
{
    while (setting_count > 0) {
        setting_count--;
        setting_write(settings[setting_count].file, settings[setting_count].value);
    }
}

/* --- The wire --- */

void filter(enum host host, const char *format, ...)
{
    char rule[COMMAND_MAX / 2];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(rule, sizeof(rule), format, arguments);
    va_end(arguments);
    go(host);
    run_command("nft 'add table inet bad; "
                "add chain inet bad arriving { type filter hook input priority 0; }; "
                "add rule inet bad arriving %s'",
                rule);
    go(HERE);
}

void last_ms(int ms)
{
    struct timespec rest = {ms / 1000, ms % 1000 * 1000000L};

    while (nanosleep(&rest, &rest) != 0)
        ;
}

void pull_plug(void)
{
    go(THERE);
    run_command("ip link set wire down");
    go(HERE);
}

void plug_in(void)
{
    assert_true(wire_up(THERE));
    go(HERE);
}

void black_out(void)
{
    filter(HERE, "meta l4proto tcp drop");
    filter(THERE, "meta l4proto tcp drop");
}

void after_kilobytes(enum host host, int kilobytes, const char *verdict)
{
    filter(host, "meta l4proto tcp quota over %d kbytes counter %s", kilobytes, verdict);
}

void until_packets_met(enum host host)
{
    go(host);
    run_command("looks=0; until nft list ruleset | grep -q 'counter packets [1-9]'; do "
                "looks=$((looks + 1)); [ $looks -lt 1000 ] || exit 1; sleep 0.01; done");
    go(HERE);
}

void slow_down(void)
{
    bool can = true;

    for (int host = THERE; can && host >= HERE; host--) {
        go((enum host)host);
        can = try_command("tc qdisc add dev wire root tbf rate 1mbit burst 8kb latency 300ms");
    }
    go(HERE);
    if (!can)
        skip_because("the kernel has no token buckets (tbf)");
}

void calm(void)
{
    for (int host = THERE; host >= HERE; host--) {
        go((enum host)host);
        run_command("nft flush ruleset; tc qdisc del dev wire root 2>/dev/null || true");
    }
}

void lose(int percent)
{
    filter(HERE, "meta l4proto tcp numgen random mod 100 < %d drop", percent);
    filter(THERE, "meta l4proto tcp numgen random mod 100 < %d drop", percent);
}

/* --- Cases --- */

int wire_case_begin(void **state)
{
    int failed = net_case_begin(state);

    (void)alarm(CASE_S);
    return failed;
}

void wire_case_run(void **body)
{
    CMUnitTestFunction run = (CMUnitTestFunction)(uintptr_t)*body;

    if (why != NULL)
        skip_because(why);
    run(body);
}

int wire_case_end(void **state)
{
    if (why == NULL) {
        settings_restore();
        run_command("ip link set lo up");
        calm();
    }
    return net_case_end(state);
}

/* --- Servers and clients --- */

struct server *server_there(const char *address, nb_handler *handler, void *context,
                            const nb_listen_options *options)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    struct server *server;

    (void)snprintf(endpoint, sizeof(endpoint), strchr(address, ':') != NULL ? "[%s]:0" : "%s:0",
                   address);
    go(THERE);
    server = server_new_with(endpoint, handler, &workers, options);
    go(HERE);
    server->context = context;
    server->options.drain_ms = 500;
    server->options.linger_ms = 500;
    return server;
}

struct server *serve_there(const char *address, nb_handler *handler, void *context)
{
    struct server *server = server_there(address, handler, context, NULL);

    server_run(server);
    return server;
}

nb_status listen_to_pattern(nb_conn *conn, void *context)
{
    struct heard *heard = context;
    unsigned char piece[4096];
    size_t received;
    nb_status status;

    heard->intact = true;
    while ((status = nb_recv(conn, piece, sizeof(piece), &received, nb_forever())) == NB_OK) {
        if (!pattern_holds(piece, received, heard->bytes))
            heard->intact = false;
        heard->bytes += received;
    }
    heard->status = (int)status;
    heard->ended = true;
    return NB_OK;
}

nb_conn *connect_to(const struct server *server, const nb_connect_options *options)
{
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_conn *conn;
    nb_error err;

    assert_status(nb_connect(&conn, nb_address_format(&server->address, endpoint, sizeof(endpoint)),
                             options, nb_after_ms(60000), &err),
                  NB_OK);
    return conn;
}

nb_status failure_of_connect(const char *endpoint, nb_deadline by, nb_error *err)
{
    nb_conn *conn;
    nb_status status = nb_connect(&conn, endpoint, NULL, by, err);

    assert_null(conn);
    assert_status(err->status, status);
    assert_non_null(strstr(err->message, endpoint));
    if (status == NB_TIMEOUT)
        assert_passed(by, LATE_MS);
    else
        assert_true(now_ns() - by.ns < LATE_MS * INT64_C(1000000));
    print_message("# %s\n", err->message);
    return status;
}

void assert_fails(const char *endpoint, nb_status expected)
{
    nb_error err;

    assert_status(failure_of_connect(endpoint, nb_after_ms(60000), &err), expected);
}

void assert_times_out(const char *endpoint, int64_t ms)
{
    nb_error err;

    assert_status(failure_of_connect(endpoint, nb_after_ms(ms), &err), NB_TIMEOUT);
}

/* --- Exchanges --- */

nb_status send_pattern(nb_conn *conn, size_t length, size_t *sent, nb_deadline by)
{
    unsigned char piece[PIECE];
    nb_status status = NB_OK;

    *sent = 0;
    while (status == NB_OK && *sent < length) {
        size_t rest = length - *sent;
        size_t more;

        pattern_fill(piece, sizeof(piece), *sent);
        status = nb_send_all(conn, piece, rest < PIECE ? rest : PIECE, &more, by);
        *sent += more;
    }
    return status;
}

static void send_out(void *argument)
{
    struct exchange *exchange = argument;

    exchange->sending =
        send_pattern(exchange->conn, exchange->bytes, &exchange->sent, exchange->by);
    (void)nb_shutdown_send(exchange->conn);
}

static void receive_pattern(struct exchange *exchange)
{
    unsigned char piece[PIECE];

    do {
        size_t received;

        exchange->receiving =
            nb_recv(exchange->conn, piece, sizeof(piece), &received, exchange->by);
        exchange->intact = exchange->intact && pattern_holds(piece, received, exchange->received);
        exchange->received += received;
    } while (exchange->receiving == NB_OK);
}

void exchange_begin(struct exchange *exchange, nb_conn *conn, size_t bytes, nb_deadline by)
{
    memset(exchange, 0, sizeof(*exchange));
    exchange->conn = conn;
    exchange->bytes = bytes;
    exchange->by = by;
    exchange->intact = true;
    task_start(&exchange->task, send_out, exchange);
}

void exchange_end(struct exchange *exchange)
{
    receive_pattern(exchange);
    task_join(&exchange->task);
    assert_true(now_ns() - exchange->by.ns < LATE_MS * INT64_C(1000000));
}

static void assert_named(nb_status status, nb_deadline by)
{
    if (status == NB_TIMEOUT)
        assert_true(nb_expired(by));
    else
        assert_status(status, NB_UNREACHABLE);
}

static void tell(const struct exchange *exchange, const char *network)
{
    print_message("# %s: %zu of %zu bytes out, %zu back: %s\n", network, exchange->sent,
                  exchange->bytes, exchange->received,
                  exchange->receiving == NB_EOF ? "whole" : nb_status_name(exchange->receiving));
}

void assert_whole(const struct exchange *exchange, const char *network)
{
    tell(exchange, network);
    assert_status(exchange->sending, NB_OK);
    assert_status(exchange->receiving, NB_EOF);
    assert_int_equal(exchange->received, exchange->bytes);
    assert_true(exchange->intact);
}

void assert_whole_or_named(const struct exchange *exchange, const char *network)
{
    if (exchange->receiving == NB_EOF) {
        assert_whole(exchange, network);
        return;
    }
    tell(exchange, network);
    assert_true(exchange->intact);
    assert_named(exchange->receiving, exchange->by);
    if (exchange->sending != NB_OK)
        assert_named(exchange->sending, exchange->by);
}
