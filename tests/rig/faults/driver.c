/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Runs scenarios with every fault, in processes of their own, and tells what went wrong. */
#include "fault.h"
#include "servers.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define PROCESSES_MOST 16
#define SCENARIOS_MOST 32
#define REPORTS_MOST 8
#define REPORT_SIZE 600

/* How long nothing may happen before waiting is over, at first, and when something was wrong: a busy
   machine may have been late. */
#define GRACE_MS 3
#define PATIENT_GRACE_MS 400

/* A run that takes so long is stuck. */
#define STUCK_S 20

/* In how many calls after the first fault the second one is tried, and with how many errors. */
#define LATER_MOST 12
#define VARIANTS 2

/* How long a scenario is repeated in a storm of signals. */
#define STORM_NS INT64_C(400000000)

/* What the processes of a scenario share with the one that looks after them. */
struct shared {
    atomic_int runs;
    atomic_int faults;
    atomic_int pairs;
    atomic_int repeated;
    atomic_int wrongs;
    atomic_int signals;
    _Atomic int64_t exposed_ns;
    atomic_bool done[PROCESSES_MOST];
    atomic_int beat[PROCESSES_MOST]; /* changes with each run */
    char doing[PROCESSES_MOST][REPORT_SIZE];
    char reports[REPORTS_MOST][REPORT_SIZE];
};

static struct scenario {
    const char *name;
    void (*run)(void);
    bool pairs; /* two faults, too */
    bool in_threads;
    int processes; /* that share the runs; more than cores where threads wait for each other */
} scenarios[SCENARIOS_MOST];
static size_t scenario_count;

static struct shared *shared;
static const struct scenario *scenario;
static int process;

static struct plan plan;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char finding[REPORT_SIZE]; /* what is wrong in this run */

void add_scenario(const char *name, void (*run)(void), int how)
{
    bool in_threads = (how & IN_THREADS) != 0;

    if (scenario_count == SCENARIOS_MOST)
        abort();
    scenarios[scenario_count++] =
        (struct scenario){name, run, (how & TWO_FAULTS) != 0, in_threads, in_threads ? 12 : 2};
}

/* ---- what is wrong ---- */

static void find(const char *format, va_list arguments)
{
    (void)pthread_mutex_lock(&lock);
    if (finding[0] == '\0')
        (void)vsnprintf(finding, sizeof(finding), format, arguments);
    (void)pthread_mutex_unlock(&lock);
}

void wrong(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    find(format, arguments);
    va_end(arguments);
}

static void describe(char *out, size_t size)
{
    int length = snprintf(out, size, "%s %s %d %d %s", scenario->name,
                          plan.nth > 0 ? name_of(plan.call) : "-", plan.nth, plan.error,
                          plan.always ? "always" : "once");

    if (plan.later > 0)
        (void)snprintf(out + length, size - (size_t)length, " %d %d", plan.later, plan.variant);
}

static void report_of(const char *doing, const char *what)
{
    int at = atomic_fetch_add(&shared->wrongs, 1);

    if (at < REPORTS_MOST)
        (void)snprintf(shared->reports[at], REPORT_SIZE, "[%.290s] %.290s", doing, what);
}

static void report(void)
{
    char doing[REPORT_SIZE / 2];

    describe(doing, sizeof(doing));
    report_of(doing, finding);
}

void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    find(format, arguments);
    va_end(arguments);
    wrong("%s", step_name());
    report();
    atomic_store(&shared->done[process], true);
    _exit(1);
}

bool disturbed_for_ever(void)
{
    return plan.always && kernel.fired > 0;
}

/* ---- one run ---- */

static void on_broken_pipe(int number)
{
    (void)number;
    (void)__atomic_fetch_add(&kernel.signals, 1, __ATOMIC_RELAXED);
}

/* A joined thread is gone for us a little before it is gone for the system. */
static size_t threads_in_the_end(size_t wanted)
{
    int64_t until = real_ns() + INT64_C(2000000000);
    size_t threads = running_threads();

    while (threads != wanted && real_ns() < until) {
        (void)nanosleep(&(struct timespec){0, 100000}, NULL);
        threads = running_threads();
    }
    return threads;
}

static void run_once(const struct plan *next)
{
    size_t descriptors = open_descriptors();
    size_t threads = running_threads();
    int blocks = kernel.blocks;
    int lookups = kernel.lookups;

    plan = *next;
    finding[0] = '\0';
    describe(shared->doing[process], REPORT_SIZE);
    atomic_fetch_add(&shared->beat[process], 1);
    kernel_begin(&plan);
    scenario->run();
    at_time_join();
    if (threads_in_the_end(threads) != threads)
        wrong("%zu threads before, %zu after", threads, running_threads());
    if (open_descriptors() != descriptors)
        wrong("%zu descriptors before, %zu after", descriptors, open_descriptors());
    if (kernel.blocks != blocks)
        wrong("%d blocks before, %d after", blocks, kernel.blocks);
    if (kernel.lookups != lookups)
        wrong("%d answers of the resolver were not freed", kernel.lookups - lookups);
    if (kernel.signals > 0)
        wrong("%d times SIGPIPE", kernel.signals);
    if (kernel.bad_closes > 0)
        wrong("%d times a descriptor was closed that was none", kernel.bad_closes);
    atomic_fetch_add(&shared->runs, 1);
}

/* One run, and, where a time that was too short may be to blame, another one. */
static void run_plan(const struct plan *next)
{
    int grace = grace_ms;

    run_once(next);
    if (finding[0] != '\0') {
        patient = true;
        unhurried = next->nth == 0;
        grace_ms = grace > 0 ? PATIENT_GRACE_MS : 0;
        run_once(next);
        patient = unhurried = false;
        grace_ms = grace;
        atomic_fetch_add(&shared->repeated, finding[0] == '\0');
    }
    atomic_fetch_add(&shared->faults, kernel.fired_first > 0);
    atomic_fetch_add(&shared->pairs, kernel.fired_second);
    if (finding[0] != '\0')
        report();
}

/* ---- all runs ---- */

static void run_pairs(const struct plan *first)
{
    for (int later = 1; later <= LATER_MOST; later++) {
        for (int variant = 0; variant < VARIANTS; variant++) {
            struct plan both = *first;

            both.later = later;
            both.variant = variant;
            run_plan(&both);
        }
        if (kernel.calls_later < later)
            break;
    }
}

/* A call fails with an error, the first time, the second time, and so on. */
static void run_all_of(enum call call, int error, bool with_pairs)
{
    bool reached = true;

    for (int nth = 1; reached; nth++) {
        struct plan next = {.call = call, .nth = nth, .error = error};

        run_plan(&next);
        reached = kernel.fired_first > 0;
        if (reached && with_pairs)
            run_pairs(&next);
        next.always = true;
        if (reached)
            run_plan(&next);
    }
}

/* Every transfer is as short as it can be: without a fault, and with signals in between. */
static void run_short(void)
{
    static const enum call interrupted[] = {ON_RECV, ON_SEND, ON_SENDMSG, ON_POLL};
    static const struct plan nothing;

    short_transfers = true;
    run_plan(&nothing);
    for (size_t i = 0; i < COUNT(interrupted); i++)
        run_all_of(interrupted[i], EINTR, false);
    short_transfers = false;
}

/* Signals interrupt all that waits, again and again; the clock is real. */
static void run_in_storm(void)
{
    static const struct plan nothing;
    int64_t until = real_ns() + (getenv("NETBASICS_NIGHTLY") != NULL ? 20 : 1) * STORM_NS;
    int64_t exposed;

    grace_ms = 0;
    storm_start();
    do {
        short_transfers = !short_transfers;
        run_plan(&nothing);
    } while (finding[0] == '\0' && real_ns() < until);
    atomic_store(&shared->signals, storm_signals(&exposed));
    atomic_store(&shared->exposed_ns, exposed);
}

static void run_share(void)
{
    int turn = 0;

    if (process == scenario->processes)
        run_in_storm();
    if (process == 0)
        run_short();
    for (int call = 0; call < CALLS && process < scenario->processes; call++) {
        const int *errors = errors_of((enum call)call);

        for (int i = 0; errors != NULL && errors[i] != 0; i++) {
            bool with_pairs = scenario->pairs && i < VARIANTS;

            if (turn++ % scenario->processes == process)
                run_all_of((enum call)call, errors[i], with_pairs);
        }
    }
}

/* ---- processes ---- */

void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)!write(fd, text, strlen(text));
    (void)close(fd);
}

static void prepare(void)
{
    static const struct plan nothing;

    for (int fd = 3; fd < 64; fd++) /* what is inherited is in the way of sockets that are passed */
        (void)close(fd);
    (void)move_to_own_network(NULL); /* without thousands of connections that have ended */
    if (has_own_network())
        write_text("/proc/sys/net/ipv4/tcp_max_tw_buckets", "16");
    (void)dispose(SIGPIPE, on_broken_pipe, 0);
    enter_foreign(); /* all but the steps */
    grace_ms = scenario->in_threads ? 0 : GRACE_MS;
    run_plan(&nothing);
}

static void report_child(int child, const char *what)
{
    char doing[REPORT_SIZE]; /* the child may be writing it still */

    memcpy(doing, shared->doing[child], sizeof(doing) - 1);
    doing[sizeof(doing) - 1] = '\0';
    report_of(doing, what);
}

static void look_after(const pid_t *children, int count)
{
    int seen[PROCESSES_MOST] = {0};
    int64_t since[PROCESSES_MOST] = {0};
    int left = count;

    for (int i = 0; i < count; i++)
        since[i] = real_ns();
    while (left > 0) {
        (void)nanosleep(&(struct timespec){0, 5000000}, NULL);
        left = 0;
        for (int i = 0; i < count; i++) {
            int beat = atomic_load(&shared->beat[i]);

            if (atomic_load(&shared->done[i]))
                continue;
            left++;
            if (beat != seen[i])
                since[i] = real_ns();
            seen[i] = beat;
            if (waitpid(children[i], NULL, WNOHANG) == children[i]) {
                if (atomic_exchange(&shared->done[i], true))
                    continue;
                report_child(i, "it crashed");
            } else if (real_ns() - since[i] > STUCK_S * INT64_C(1000000000)) {
                atomic_store(&shared->done[i], true);
                report_child(i, "it is stuck");
                (void)kill(children[i], SIGKILL);
            }
        }
    }
    for (int i = 0; i < count; i++)
        if (children[i] > 0)
            (void)waitpid(children[i], NULL, 0);
}

static void run_processes(void)
{
    const int count = scenario->processes + 1; /* one is in a storm of signals */
    pid_t children[PROCESSES_MOST];

    (void)fflush(stdout);
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            process = i;
            prepare();
            if (finding[0] == '\0')
                run_share();
            atomic_store(&shared->done[i], true);
            exit(0);
        }
        if (children[i] < 0) {
            atomic_store(&shared->done[i], true);
            report_child(i, "it could not be started");
        }
    }
    look_after(children, count);
}

static double kilohertz(void)
{
    double ms = (double)atomic_load(&shared->exposed_ns) / 1e6;

    return ms > 0 ? atomic_load(&shared->signals) / ms : 0;
}

static bool run_scenario(const struct scenario *next, size_t number)
{
    int64_t began = real_ns();
    int reports;

    scenario = next;
    memset(shared, 0, sizeof(*shared));
    run_processes();
    reports = atomic_load(&shared->wrongs);
    for (int i = 0; i < reports && i < REPORTS_MOST; i++)
        printf("# wrong: %s\n", shared->reports[i]);
    printf("# %s: %d faults, %d pairs, %d runs (%d repeated), %d signals at %.1f kHz, %.1f s\n",
           next->name, atomic_load(&shared->faults), atomic_load(&shared->pairs),
           atomic_load(&shared->runs), atomic_load(&shared->repeated),
           atomic_load(&shared->signals), kilohertz(), (double)(real_ns() - began) / 1e9);
    printf("%s %zu - %s\n", reports == 0 ? "ok" : "not ok", number, next->name);
    (void)fflush(stdout);
    return reports == 0;
}

/* A function of lib/sys/sys.h that nothing is known about is not tested. */
static bool all_calls_have_rows(void)
{
    bool all = true;

    for (int call = 0; call < CALLS; call++) {
        if (!can_fail((enum call)call) || errors_of((enum call)call) != NULL)
            continue;
        printf("# contract.c has no row for %s\n", name_of((enum call)call));
        all = false;
    }
    printf("%s 1 - every function of lib/sys/sys.h has a row\n", all ? "ok" : "not ok");
    return all;
}

static enum call call_named(const char *name)
{
    int call = 0;

    while (call < CALLS - 1 && strcmp(name_of((enum call)call), name) != 0)
        call++;
    return (enum call)call;
}

/* Runs one scenario with one fault, in this process, as reports name it. */
static int run_one(char **words)
{
    struct plan one = {
        .call = call_named(words[1]), .nth = atoi(words[2]), .error = atoi(words[3])};
    size_t at = 0;

    one.always = strcmp(words[4], "always") == 0;
    one.later = words[5] != NULL ? atoi(words[5]) : 0;
    one.variant = one.later > 0 ? atoi(words[6]) : 0;
    while (at < scenario_count - 1 && strcmp(scenarios[at].name, words[0]) != 0)
        at++;
    scenario = &scenarios[at];
    prepare();
    run_once(&one);
    printf("%s\n", finding[0] != '\0' ? finding : "nothing is wrong");
    return finding[0] != '\0';
}

/* Runs all of them, tells about each. Arguments are one run as a report names it, to be looked at:
   SCENARIO CALL N ERROR once|always [CALLS-LATER VARIANT]. */
int main(int count, char **words)
{
    bool good;

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    if (count > 1)
        return run_one(words + 1);
    printf("1..%zu\n", scenario_count + 1);
    good = all_calls_have_rows();
    for (size_t i = 0; i < scenario_count; i++)
        good = run_scenario(&scenarios[i], i + 2) && good;
    return good ? 0 : 1;
}
