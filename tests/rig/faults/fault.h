/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The fault driver: what scenarios are written with, and what its parts share.
 *
 *  A scenario is a function that uses the library in steps. The driver runs it again and again, each time
 *  with one call into the kernel failing, and looks after each run whether anything is lost, leaked or
 *  stuck. The clock is virtual: where nothing can happen but the end of a wait, it jumps there. */
#ifndef NETBASICS_TESTS_FAULT_H
#define NETBASICS_TESTS_FAULT_H

#include "support.h"

/* What a step calls, as far as the contract tells them apart. */
enum api {
    API_CONNECT,
    API_CONNECT_TO_PATH, /* of a Unix socket */
    API_RACE,            /* to more than one address */
    API_LISTEN,
    API_LISTEN_TWICE,     /* at a port of the system's choice, in both families */
    API_LISTEN_AT_PATH,   /* of a Unix socket, where nothing is */
    API_LISTEN_AT_SOCKET, /* where there is a Unix socket */
    API_LISTEN_INHERITED, /* fd: and systemd: */
    API_ACCEPT,
    API_SERVE,
    API_RECEIVE,
    API_SEND,
    API_SHUTDOWN,
    API_CLOSE,
    API_ADOPT,
    API_DETACH,
    API_PARSE, /* an address with a zone */
    API_CREDENTIALS,
    API_OTHER, /* nothing that fails tells: abort, cancel, stop, questions */
    API_COUNT
};

/* A set of statuses. */
typedef uint32_t statuses;
#define S(status) ((statuses)1 << (status))

/* ---- contract.c ---- */

/* A call that failed. */
struct fault {
    enum call call;
    int error;   /* an errno, or for a lookup an EAI code */
    int detail;  /* for options: which one */
    bool always; /* from now on it fails each time */
    bool second; /* another one came before it */
    bool began;  /* the accept loop had begun */
};

/* Whether it is made to fail. */
bool can_fail(enum call call);
/* The errors that a call is made to give, ended by 0; NULL when there is no row for it. */
const int *errors_of(enum call call);
const char *name_of(enum call call);

/* Whether the scenario asks for socket options: then they are not optional. */
void wanted_options(bool wanted);

/* The statuses with which a step may end in which such a fault happened. */
statuses outcomes(enum api api, const struct fault *fault);

/* ---- step.c ---- */

/* One call of the library, whose status has to be one of these, unless faults in it explain another one.
   The status is the value. */
#define STEP(api, allowed, call) (step_begin((api), #call, NULL), step_end((call), (allowed)))
/* The same for a call on a connection, where failures may stay from an earlier step. */
#define STEP_ON(conn, api, allowed, call)                                                          \
    (step_begin((api), #call, (conn)), step_end((call), (allowed)))
/* A call without a status. */
#define DO(call) (step_begin(API_OTHER, #call, NULL), (call), (void)step_end(NB_OK, S(NB_OK)))

void step_begin(enum api api, const char *what, const nb_conn *conn);
nb_status step_end(nb_status status, statuses allowed);

/* At the begin and the end of code that the library calls back, and of threads of the scenario. */
void enter_foreign(void);
void leave_foreign(void);
bool is_foreign(void);

/* Called at a fault: what it means for the step that is under way. */
void step_notes(const struct fault *fault);
/* What the current step is, for reports. */
const char *step_name(void);

/* For the scenario to say that the accept loop has begun: what fails from now on cannot keep it from that. */
void loop_began(void);

/* Statuses that steps on connections may have, too, once there was a fault: such as of a loop that was
   stopped before it could end well. */
void also_allowed(statuses more);

/* The deadline of a step; all steps have the same, and more time where only a busy machine may be to
   blame. What fails for ever lasts that long, and has to be over before the accept loop stops. */
#define STEP_MS (unhurried ? 3000 : 300)
nb_deadline soon(void);

/* Reports that something is wrong, once for each run. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, where there is no way to go on: ends the process. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A condition that has to hold after whatever faults. */
#define holds(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            wrong("%s:%d: does not hold: %s", __FILE__, __LINE__, #condition);                     \
    } while (0)

/* Whether a fault has happened in this run, and whether it goes on for ever. */
bool disturbed(void);
bool disturbed_for_ever(void);

/* ---- kernel.c ---- */

/* The faults of a run: at the n-th call, and at the one so many calls later. */
struct plan {
    enum call call;
    int nth; /* 0: none */
    int error;
    bool always;
    int later;   /* 0: no second fault */
    int variant; /* which error of its call the second one is */
};

struct kernel {
    int calls[CALLS];  /* how often each was called in this run */
    int fired;         /* faults in this run */
    int failed[CALLS]; /* the same, call by call */
    int fired_first;   /* of these, of the first kind */
    bool fired_second;
    struct fault second;
    int calls_later; /* calls after the first fault */
    int signals;     /* SIGPIPE */
    int bad_closes;  /* closes of what is not open */
    int blocks;      /* on the heap */
    int lookups;     /* answers of the resolver not yet freed */
    int64_t jumped_ns;
};
extern struct kernel kernel;

void kernel_begin(const struct plan *plan);
/* How long it really waits before the virtual clock jumps. 0: the clock is real. */
extern int grace_ms;
/* A run in which something was wrong is repeated with more time for everything: a busy machine may have
   been late. */
extern bool patient;
/* The same, and no fault is planned. */
extern bool unhurried;
/* Whether sends take, and receives give, as little as possible. */
extern bool short_transfers;
/* Calls a function as soon as the clock has come so far; such as a stop. */
void at_time(nb_deadline when, void (*run)(void *context), void *context);

/* The same where the clock is real, by a thread; joined here, if there is one. */
void at_time_join(void);

/* Whether this is what has failed in this run, first or second. */
bool planned(enum call call, int error);

int64_t real_ns(void);

/* ---- storm.c: signals that interrupt ---- */

/* Sends one to the calling thread every fraction of a millisecond, from now on. */
void storm_start(void);
/* Whether they reach the code that runs now in the calling thread: the library's, not that of a test. */
void storm_reaches(bool library);
/* How many came, and in how long a time they could. */
int storm_signals(int64_t *exposed_ns);

/* ---- peer.c: the other side, by system calls alone ---- */

/* A socket that listens on loopback, and its endpoint. */
int peer_listen(enum transport over, char *endpoint, size_t size);
/* The other end of a connected socket, among those that wait there. */
int peer_accept(int listener, int client);
int peer_connect(const nb_address *to);
void peer_say(int fd, const char *text);
void peer_end(int fd);
/* Reads what is there, up to the end or a moment without anything: how many bytes; whether it ended. */
size_t peer_hear(int fd, char *buf, size_t size, bool *ended);
void peer_close(int fd);
bool peer_is_unix(int fd);

/* ---- driver.c ---- */

void write_text(const char *path, const char *text);

/* A scenario registers itself, as a case does. What another one tries with two faults needs but one. */
enum { ONE_FAULT = 0, TWO_FAULTS = 1, IN_THREADS = 2 /* of the library: the clock is real */ };
#define SCENARIO(name) SCENARIO_AS(name, TWO_FAULTS)
#define SCENARIO_AS(name, how)                                                                     \
    static void name(void);                                                                        \
    __attribute__((constructor)) static void add_##name(void)                                      \
    {                                                                                              \
        add_scenario(#name, name, how);                                                            \
    }                                                                                              \
    static void name(void)
/* One that is a call. */
#define SCENARIO_OF(name, how, call)                                                               \
    SCENARIO_AS(name, how)                                                                         \
    {                                                                                              \
        call;                                                                                      \
    }
void add_scenario(const char *name, void (*run)(void), int how);

#endif
