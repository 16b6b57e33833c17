/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: bare clients, servers in threads, faults, and cases that leave nothing behind. */
#include "servers.h"

#include "net/address_internal.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SERVERS_MAX 8
#define DIALLED_MAX 1024

const struct mode sequential = {1};
const struct mode workers = {16};

void a_moment(void)
{
    (void)nanosleep(&(struct timespec){0, 500000}, NULL);
}

int64_t ms_since(int64_t begin_ns)
{
    return (now_ns() - begin_ns) / 1000000;
}

/* --- Networks --- */

struct own_network {
    void (*run)(void *context);
    void *context;
    bool made;
};

static bool loopback_up(void)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memset(&request, 0, sizeof(request));
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        close(fd);
    return up;
}

static bool moved;

int move_to_own_network(void **state)
{
    (void)state;
    moved = unshare(CLONE_NEWNET) == 0;
    if (moved)
        assert_true(loopback_up());
    return 0;
}

bool has_own_network(void)
{
    return moved;
}

static void *run_in_own_network(void *argument)
{
    struct own_network *network = argument;

    network->made = unshare(CLONE_NEWNET) == 0 && loopback_up();
    if (network->made)
        network->run(network->context);
    return NULL;
}

bool in_own_network(void (*run)(void *context), void *context)
{
    struct own_network network = {run, context, false};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, run_in_own_network, &network), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return network.made;
}

/* --- The gate --- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    int waiting;
    int passes;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0};

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = open;
    gate.passes = 0;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
}

void gate_open(void)
{
    gate_set(true);
}

void gate_close(void)
{
    gate_set(false);
}

void gate_open_for(int count)
{
    pthread_mutex_lock(&gate.lock);
    gate.passes += count;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
}

void gate_pass(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    while (!gate.open && gate.passes == 0)
        pthread_cond_wait(&gate.opened, &gate.lock);
    gate.passes -= !gate.open;
    gate.waiting--;
    pthread_mutex_unlock(&gate.lock);
}

int gate_waiting(void)
{
    pthread_mutex_lock(&gate.lock);
    int waiting = gate.waiting;
    pthread_mutex_unlock(&gate.lock);
    return waiting;
}

/* --- Bare clients --- */

static int dialled[DIALLED_MAX];
static size_t dialled_count;

nb_address address_of(const char *text)
{
    nb_address address;

    assert_int_equal(nb_address_parse(&address, text), NB_OK);
    return address;
}

nb_address peer_address(const nb_conn *conn)
{
    nb_address address;

    nb_conn_peer(conn, &address);
    return address;
}

nb_address local_address(const nb_conn *conn)
{
    nb_address address;

    nb_conn_local(conn, &address);
    return address;
}

nb_address socket_address(const nb_listener *listener, size_t index)
{
    nb_address address;

    assert_status(nb_listener_address(listener, index, &address), NB_OK);
    return address;
}

void assert_same_address(nb_address actual, nb_address expected)
{
    assert_true(nb_address_equal(&actual, &expected));
}

static int dial_with(const nb_address *local, const nb_address *to)
{
    socklen_t length;
    const struct sockaddr *peer = nb__address_sockaddr(to, &length);
    int fd = socket(peer->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    be_patient(fd);
    if (local != NULL) {
        socklen_t local_length;
        const struct sockaddr *mine = nb__address_sockaddr(local, &local_length);

        (void)bind(fd, mine, local_length);
    }
    if (connect(fd, peer, length) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

int dial_quietly(const nb_address *to)
{
    return dial_with(NULL, to);
}

int dial_quietly_from(const nb_address *local, const nb_address *to)
{
    return dial_with(local, to);
}

static int remember(int fd)
{
    assert_true(fd >= 0);
    assert_true(dialled_count < DIALLED_MAX);
    dialled[dialled_count++] = fd;
    return fd;
}

static void forget(int fd)
{
    for (size_t i = 0; i < dialled_count; i++) {
        if (dialled[i] == fd) {
            dialled[i] = dialled[--dialled_count];
            return;
        }
    }
    fail_msg("descriptor %d was not dialled", fd);
}

int dial(const nb_address *to)
{
    return remember(dial_with(NULL, to));
}

int dial_from(const char *local, const nb_address *to)
{
    nb_address mine = address_of(local);

    return remember(dial_with(&mine, to));
}

void hang_up(int fd)
{
    forget(fd);
    close(fd);
}

void hang_up_all(void)
{
    while (dialled_count > 0)
        close(dialled[--dialled_count]);
}

void break_off(int fd)
{
    struct linger at_once = {1, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    hang_up(fd);
}

void say(int fd, const void *data, size_t length)
{
    assert_int_equal(send(fd, data, length, MSG_NOSIGNAL), (ssize_t)length);
}

void say_no_more(int fd)
{
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
}

int answer(int fd, const char *text)
{
    char heard[512];
    size_t length = 0;
    ssize_t got;

    while ((got = recv(fd, heard + length, sizeof(heard) - length, 0)) > 0)
        length += (size_t)got;
    if (got < 0)
        return errno;
    return length == strlen(text) && memcmp(heard, text, length) == 0 ? 0 : -1;
}

int answer_so_far(int fd, const char *text)
{
    char heard[512];
    size_t length = strlen(text);

    if (recv(fd, heard, length, MSG_WAITALL) != (ssize_t)length)
        return -1;
    return memcmp(heard, text, length) == 0 ? 0 : -1;
}

bool is_acknowledged(int fd)
{
    int left = 1;

    for (int looks = 0; looks < 100 && left > 0; looks++) {
        if (ioctl(fd, TIOCOUTQ, &left) < 0)
            return false;
    }
    return left == 0;
}

bool is_broken(int fd)
{
    struct pollfd poll_fd = {fd, 0, 0};

    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLERR) != 0;
}

int dead_port(const char *where, nb_address *out)
{
    nb_address address = address_of(where);
    struct sockaddr_storage bound;
    socklen_t length;
    const struct sockaddr *wanted = nb__address_sockaddr(&address, &length);
    int fd = remember(socket(wanted->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));

    if (wanted->sa_family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int)), 0);
    if (nb_address_port(&address) != 0) /* which may be in TIME_WAIT */
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    assert_int_equal(bind(fd, wanted, length), 0);
    length = sizeof(bound);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
    *out = nb__address_from((struct sockaddr *)&bound, length);
    return fd;
}

nb_address own_address(int fd)
{
    struct sockaddr_storage raw;
    socklen_t length = sizeof(raw);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&raw, &length), 0);
    return nb__address_from((struct sockaddr *)&raw, length);
}

int bare_listener(const char *where, int backlog, nb_address *out)
{
    int fd = dead_port(where, out);

    be_patient(fd);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

void silent_port(const char *where, nb_address *out)
{
    int listening = bare_listener(where, 0, out);

    (void)dial(out); /* one fits even into a queue of none */
    eventually(queue_length(listening) == 1);
}

const char *host_at(const char *host, const nb_address *port_of)
{
    static char endpoints[4][NB_ADDRESS_TEXT_MAX];
    static size_t next;
    char *endpoint = endpoints[next++ % COUNT(endpoints)];

    (void)snprintf(endpoint, sizeof(endpoints[0]), "%s:%u", host,
                   (unsigned)nb_address_port(port_of));
    return endpoint;
}

static struct addrinfo answer_list[128];
static nb_address answer_addresses[COUNT(answer_list)];
static size_t answer_count;

struct addrinfo *answers(void)
{
    return answer_count > 0 ? answer_list : NULL;
}

void answers_clear(void)
{
    answer_count = 0;
}

void answer_sockaddr(const struct sockaddr *address, socklen_t length)
{
    struct addrinfo *next = &answer_list[answer_count];

    assert_true(answer_count < COUNT(answer_list));
    memset(next, 0, sizeof(*next));
    memcpy(answer_addresses[answer_count].storage, address, length);
    next->ai_family = address->sa_family;
    next->ai_socktype = SOCK_STREAM;
    next->ai_addr = (struct sockaddr *)(void *)answer_addresses[answer_count].storage;
    next->ai_addrlen = length;
    if (answer_count > 0)
        answer_list[answer_count - 1].ai_next = next;
    answer_count++;
}

void answer_address(const char *text)
{
    nb_address address = address_of(text);
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(&address, &length);

    answer_sockaddr(raw, length);
}

void answers_free(struct addrinfo *list)
{
    if (list != answer_list)
        real.freeaddrinfo(list);
}

/* What the kernel's table of sockets says of one: the length of the queue of a listening one; -1 when it
   is not there. */
static int queue_in(const char *path, int fd)
{
    char line[256];
    struct stat status;
    int length = -1;
    FILE *table = fopen(path, "re");

    assert_non_null(table);
    assert_int_equal(fstat(fd, &status), 0);
    while (fgets(line, sizeof(line), table) != NULL) {
        unsigned long inode;
        unsigned queue;

        if (sscanf(line, " %*d: %*s %*s %*x %*x:%x %*x:%*x %*x %*u %*d %lu", &queue, &inode) == 2 &&
            inode == status.st_ino)
            length = (int)queue;
    }
    (void)fclose(table);
    return length;
}

/* Of a listening socket TCP_INFO would tell, too, but not under every emulator. */
int queue_length(int listening)
{
    int length = queue_in("/proc/thread-self/net/tcp", listening);

    return length >= 0 ? length : queue_in("/proc/thread-self/net/tcp6", listening);
}

int queue_limit(int listening)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    memset(&info, 0, sizeof(info));
    assert_int_equal(getsockopt(listening, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return (int)info.tcpi_sacked;
}

int exit_status(pid_t child)
{
    int status = -1;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void stop_in_a_child(nb_listener *listener)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        nb_listener_stop(listener);
        _exit(42);
    }
    assert_int_equal(exit_status(child), 42);
}

/* --- Servers --- */

/* Not on the stack of a case, which may end before its server does. */
static struct server servers[SERVERS_MAX];

static void record(const nb_event *event, void *context)
{
    struct server *server = context;

    pthread_mutex_lock(&server->lock);
    if (server->event_count < EVENTS_KEPT) {
        server->events[server->event_count] = *event;
        server->events[server->event_count++].message = NULL; /* it will be gone */
    }
    pthread_mutex_unlock(&server->lock);
    if ((unsigned)event->kind < EVENT_KINDS)
        server->heard[event->kind]++;
    if (server->also != NULL)
        server->also(event, server);
}

static void server_reset(struct server *server)
{
    handler_saw = NB_OK;
    server->by_default = false;
    server->also = NULL;
    server->context = NULL;
    server->tid = 0;
    server->ended = false;
    server->running = false;
    server->event_count = 0;
    for (size_t i = 0; i < EVENT_KINDS; i++)
        server->heard[i] = 0;
    pthread_mutex_init(&server->lock, NULL);
}

static struct server *free_server(void)
{
    size_t i = 0;

    while (i < SERVERS_MAX && servers[i].used)
        i++;
    assert_true(i < SERVERS_MAX);
    server_reset(&servers[i]);
    return &servers[i];
}

struct server *server_new(const char *endpoint, nb_handler *handler, const struct mode *mode)
{
    return server_new_with(endpoint, handler, mode, NULL);
}

struct server *server_new_with(const char *endpoint, nb_handler *handler, const struct mode *mode,
                               const nb_listen_options *listen_options)
{
    struct server *server = free_server();
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;

    assert_status(nb_listen(&server->listener, endpoint, listen_options, &server->err), NB_OK);
    server->used = true;
    server->address = socket_address(server->listener, 0);
    server->options = options;
    server->options.concurrency = mode->concurrency;
    server->options.on_event = record;
    server->options.event_context = server;
    server->handler = handler;
    return server;
}

static bool same_mask(const sigset_t *a, const sigset_t *b)
{
    bool same = true;

    for (int number = 1; number <= SIGRTMAX; number++)
        same = same && sigismember(a, number) == sigismember(b, number);
    return same;
}

static void *serve(void *argument)
{
    struct server *server = argument;
    sigset_t before, after;

    server->tid = (int)syscall(SYS_gettid);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    errno = E2BIG;
    server->status = nb_serve(server->listener, server->handler, server->context,
                              server->by_default ? NULL : &server->options, &server->err);
    server->errno_kept = errno == E2BIG;
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    server->mask_kept = same_mask(&before, &after);
    server->ended = true;
    return NULL;
}

static void server_start(struct server *server)
{
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    server->running = true;
}

void server_run_by_default(struct server *server)
{
    server->by_default = true;
    server_start(server);
}

void server_run(struct server *server)
{
    int sockets = (int)nb_listener_count(server->listener);

    server_start(server);
    eventually(server->ended || server_heard(server, NB_EVENT_LISTENING) == sockets);
}

static bool server_join(struct server *server)
{
    wait_until(server->ended);
    if (!server->ended)
        return false;
    pthread_join(server->thread, NULL);
    server->running = false;
    return true;
}

nb_status server_wait(struct server *server)
{
    assert_true(server_join(server));
    assert_true(server->errno_kept);
    return server->status;
}

nb_status server_stop(struct server *server)
{
    nb_listener_stop(server->listener);
    return server_wait(server);
}

nb_serve_counters server_counters(const struct server *server)
{
    nb_serve_counters counters = NB_SERVE_COUNTERS_INIT;

    nb_listener_counters(server->listener, &counters);
    return counters;
}

int server_heard(const struct server *server, nb_event_kind kind)
{
    return server->heard[kind];
}

nb_event server_event(struct server *server, nb_event_kind kind, int index)
{
    nb_event found;

    memset(&found, 0, sizeof(found));
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->event_count; i++) {
        if (server->events[i].kind == kind && index-- == 0)
            found = server->events[i];
    }
    pthread_mutex_unlock(&server->lock);
    return found;
}

void check_told(struct server *server, nb_status status, int system_error)
{
    nb_event told = server_event(server, NB_EVENT_ACCEPT_BACKING_OFF, 0);

    assert_status(told.status, status);
    assert_int_equal(told.system_error, system_error);
}

void check_ends_with(struct server *server, nb_status status, int system_error)
{
    assert_status(server_wait(server), status);
    assert_status(server->err.status, status);
    assert_int_equal(server->err.system_error, system_error);
}

nb_status server_finish(struct server *server)
{
    hang_up_all();
    return server_stop(server);
}

void server_free(struct server *server)
{
    assert_false(server->running);
    nb_listener_close(server->listener);
    server->used = false;
}

/* One that does not end is left alone, with all that it needs. */
static void servers_end(void)
{
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        if (servers[i].used && servers[i].running) {
            nb_listener_stop(servers[i].listener);
            if (!server_join(&servers[i]))
                print_error("nb_serve() does not end\n");
        }
        if (servers[i].used && !servers[i].running)
            server_free(&servers[i]);
    }
}

/* --- Cases --- */

static void nothing(void *unused)
{
    (void)unused;
}

/* With its first thread a sanitizer starts one of its own, which stays. */
static void start_a_first_thread(void)
{
    static bool started;
    struct task task;

    if (!started) {
        task_start(&task, nothing, NULL);
        task_join(&task);
    }
    started = true;
}

nb_listener *the_listener;

void close_listener(void)
{
    nb_listener_close(the_listener);
    the_listener = NULL;
}

nb_address listen_here(const char *endpoint)
{
    nb_error err;

    if (nb_listen(&the_listener, endpoint, NULL, &err) != NB_OK)
        fail_msg("%s", err.message);
    assert_status(err.status, NB_OK);
    return socket_address(the_listener, 0);
}

int listen_with_a_client(void)
{
    nb_address address = listen_here("127.0.0.1:0");

    return dial(&address);
}

nb_conn *accept_next(void)
{
    nb_conn *conn;

    assert_status(nb_accept(the_listener, &conn, plenty(), NULL), NB_OK);
    return conn;
}

int net_case_begin(void **state)
{
    start_a_first_thread();
    gate_set(false);
    the_listener = NULL;
    return case_begin(state);
}

int net_case_end(void **state)
{
    close_listener();
    double_reset();
    gate_open();
    hang_up_all();
    servers_end();
    return case_end(state);
}

/* --- Handlers --- */

nb_status say_hello(nb_conn *conn, void *unused)
{
    (void)unused;
    nb_send_all(conn, HELLO, strlen(HELLO), NULL, plenty());
    return NB_OK;
}

nb_status say_hello_later(nb_conn *conn, void *unused)
{
    gate_pass();
    say_hello(conn, unused);
    return NB_OK;
}

nb_status echo(nb_conn *conn, void *unused)
{
    char buf[4096];
    size_t received;

    (void)unused;
    while (nb_recv(conn, buf, sizeof(buf), &received, nb_forever()) == NB_OK)
        nb_send_all(conn, buf, received, NULL, nb_forever());
    return NB_OK;
}

atomic_int handler_saw;

nb_status wait_for_ever(nb_conn *conn, void *unused)
{
    char byte;
    size_t received;

    (void)unused;
    handler_saw = (int)nb_recv(conn, &byte, 1, &received, nb_forever());
    return NB_OK;
}

nb_status retry_timeouts(nb_conn *conn, void *unused)
{
    size_t received;
    char byte;

    (void)unused;
    do
        handler_saw = (int)nb_recv(conn, &byte, 1, &received, nb_after_ms(3));
    while (handler_saw == NB_TIMEOUT);
    return NB_OK;
}

nb_status send_for_ever(nb_conn *conn, void *unused)
{
    static const char much[65536];

    (void)unused;
    do
        handler_saw = (int)nb_send_all(conn, much, sizeof(much), NULL, nb_forever());
    while (handler_saw == NB_OK);
    return NB_OK;
}

/* --- What cases do with servers --- */

struct server *run_server_so(nb_handler *handler, const struct mode *mode,
                             const struct server_wishes *wishes)
{
    const char *at = wishes->at != NULL ? wishes->at : "127.0.0.1:0";
    struct server *server = server_new(at, handler, mode);

    server->context = wishes->context;
    server->also = wishes->also;
    server->options.drain_ms = wishes->drain_ms;
    server->options.linger_ms = wishes->linger_ms;
    server->options.linger_bytes = wishes->linger_bytes;
    server->options.linger_max = wishes->linger_max;
    server->options.max_per_peer = wishes->max_per_peer;
    server->options.connection_ms = wishes->connection_ms;
    server->options.stop_on_signals = wishes->stop_on_signals;
    server_run(server);
    return server;
}

struct server *run_server(nb_handler *handler, void *context, const struct mode *mode)
{
    return run_server_with(handler, mode, .context = context);
}

int client_at_the_gate(const struct server *server)
{
    int client = dial(&server->address);

    eventually(gate_waiting() == 1);
    return client;
}

int active_client(const struct server *server)
{
    int client = dial(&server->address);

    eventually(server_counters(server).active == 1);
    return client;
}

int greeted_client(const struct server *server)
{
    int client = dial(&server->address);

    assert_int_equal(answer(client, HELLO), 0);
    return client;
}

int lingering_client(const struct server *server)
{
    int client = greeted_client(server);

    eventually(server_counters(server).lingering == 1);
    return client;
}

void dial_each(int *clients, size_t count, const nb_address *to)
{
    for (size_t i = 0; i < count; i++)
        clients[i] = dial(to);
}

void dial_times(int count, const nb_address *to)
{
    for (int i = 0; i < count; i++)
        (void)dial(to);
}

void dial_to_the_gate(int count, const struct server *server)
{
    dial_times(count, &server->address);
    eventually(gate_waiting() == count);
}

void stop_and_open_gate(struct server *server)
{
    nb_listener_stop(server->listener);
    gate_open();
}

/* --- Descriptors that really run out --- */

static struct rlimit limit_before;
static atomic_bool limited;

void limit_descriptors(int more)
{
    struct rlimit limit;

    skip_under_valgrind("who was accepted beyond the limit of descriptors is lost");
    int next = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
    limit = limit_before;
    limit.rlim_cur = (rlim_t)next + (rlim_t)more;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    limited = true;
}

void unlimit_descriptors(void)
{
    if (atomic_exchange(&limited, false))
        (void)setrlimit(RLIMIT_NOFILE, &limit_before);
}
