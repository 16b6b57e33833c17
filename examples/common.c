/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What the example programs share and what is not about networking: arguments and output. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netbasics/version.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_CAPACITY = 1024, ARGUMENT_CAPACITY = 256, OPTIONS_MAX = 6 };

static const char *program_name = "example";
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;
static bool progress_is_shown; /* The cursor stands behind it. */
static bool output_failed;
static int log_output = STDOUT_FILENO, log_errors = STDERR_FILENO;

/* ---- Output ---- */

/* After a call that failed: whether to try again. Another program can have made a descriptor that we
 * share with it non-blocking; then it is waited for here. */
static bool wait_to_try_again(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};

    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return poll(&ready, 1, -1) >= 0 || errno == EINTR;
    return errno == EINTR;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && !wait_to_try_again(fd, POLLOUT))
            return false;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return true;
}

/* For one write, so that lines of several threads and programs do not mix. */
static size_t format_line(char line[LINE_CAPACITY], const char *prefix, const char *format,
                          va_list arguments)
{
    size_t length = (size_t)snprintf(line, LINE_CAPACITY, "%s%s", prefix, *prefix ? ": " : "");

    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the caller has started it */
    vsnprintf(line + length, LINE_CAPACITY - length, format, arguments);
    length = strlen(line);
    line[length++] = '\n'; /* Takes the place of the NUL. */
    return length;
}

/* Writes now or not at all. */
static void log_to(int fd, const char *prefix, const char *format, va_list arguments)
{
    char line[LINE_CAPACITY];
    size_t length = format_line(line, prefix, format, arguments);
    struct pollfd ready = {.fd = fd, .events = POLLOUT};

    pthread_mutex_lock(&output_lock);
    ssize_t written = poll(&ready, 1, 0) > 0 ? write(fd, line, length) : 0;
    pthread_mutex_unlock(&output_lock);
    (void)written; /* Nobody is left to be told of a failure. */
}

void log_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_to(log_output, "", format, arguments);
    va_end(arguments);
}

void log_problem(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_to(log_errors, program_name, format, arguments);
    va_end(arguments);
}

int fail(const char *format, ...)
{
    static bool failed;
    char line[LINE_CAPACITY];
    va_list arguments;

    va_start(arguments, format);
    size_t length = format_line(line, program_name, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&output_lock);
    if (progress_is_shown)
        fputs("\r\033[K", stderr); /* The reason has a line of its own. */
    progress_is_shown = false;
    if (!failed)
        write_all(STDERR_FILENO, line, length);
    failed = true;
    pthread_mutex_unlock(&output_lock);
    return EXIT_FAILURE;
}

/* Writes one byte as up to four printable characters and a NUL. */
static void escape_byte(char out[5], unsigned char byte)
{
    static const char specials[] = "\n\r\t\\'\"", letters[] = "nrt\\'\"";
    const char *special = byte == '\0' ? NULL : strchr(specials, byte);

    if (special != NULL)
        snprintf(out, 5, "\\%c", letters[special - specials]);
    else if (byte >= ' ' && byte <= '~')
        snprintf(out, 5, "%c", byte);
    else
        snprintf(out, 5, "\\x%02x", (unsigned)byte);
}

/* Bytes of the command line may be anything, too. */
static const char *escape_argument(char text[ARGUMENT_CAPACITY], const char *argument)
{
    size_t length = 0;

    text[0] = '\0';
    for (; *argument != '\0' && length + 5 < ARGUMENT_CAPACITY; argument++) {
        escape_byte(text + length, (unsigned char)*argument);
        length += strlen(text + length);
    }
    return text;
}

static const char *advice_on_address(int system_error)
{
    if (system_error == ENOENT)
        return "; check the path";
    if (system_error == EADDRNOTAVAIL)
        return "; expected an address of this machine, and a free port";
    return "";
}

/* What people can do about a failure, when the message alone does not tell. */
static const char *advice(nb_status status, int system_error)
{
    switch (status) {
    case NB_REFUSED:
        return "; is a server running there?";
    case NB_TIMEOUT:
        return "; --timeout-ms gives it more time";
    case NB_UNREACHABLE:
        return "; check the address and the network";
    case NB_NAME_NOT_FOUND:
        return "; check the spelling of the host";
    case NB_NAME_TEMPORARY:
        return "; check the network, and try again";
    case NB_ADDRESS_IN_USE:
        return "; is it running already? Choose another path or port (0: any that is free)";
    case NB_ADDRESS_UNAVAILABLE:
        return advice_on_address(system_error);
    case NB_PERMISSION:
        return "; choose another port or path, or ask for the right to use this one";
    case NB_NO_DESCRIPTORS:
        return "; raise the limit of open files (ulimit -n)";
    case NB_BAD_ENDPOINT:
        return "; see --help";
    default:
        return "";
    }
}

int fail_with(const nb_error *err)
{
    return fail("%s%s", err->message, advice(err->status, err->system_error));
}

int fail_to_receive(const char *endpoint, nb_status status)
{
    char text[ARGUMENT_CAPACITY];

    return fail("receive from %s: %s%s", escape_argument(text, endpoint),
                status == NB_EOF ? "the answer is cut short" : nb_status_text(status),
                advice(status, 0));
}

int fail_with_errno(const char *what)
{
    char text[128];
    int error = errno;

    if (strerror_r(error, text, sizeof text) != 0)
        snprintf(text, sizeof text, "error %d", error);
    return fail("%s: %s", what, text);
}

void print_escaped(const char *before, const char *bytes, size_t length, const char *after)
{
    char *text = malloc(strlen(before) + 4 * length + strlen(after) + 1), *end;

    if (text == NULL) {
        output_failed = true;
        fail("standard output: %s", nb_status_text(NB_NO_MEMORY));
        return;
    }
    end = stpcpy(text, before);
    for (size_t i = 0; i < length; i++) {
        escape_byte(end, (unsigned char)bytes[i]);
        end += strlen(end);
    }
    end = stpcpy(end, after);
    write_output(text, (size_t)(end - text));
    free(text);
}

bool write_output(const char *bytes, size_t length)
{
    if (write_all(STDOUT_FILENO, bytes, length))
        return true;
    output_failed = true;
    fail_with_errno("standard output");
    return false;
}

ssize_t read_input(char *buffer, size_t capacity)
{
    ssize_t length;

    do
        length = read(STDIN_FILENO, buffer, capacity);
    while (length < 0 && wait_to_try_again(STDIN_FILENO, POLLIN));
    if (length < 0)
        fail_with_errno("standard input");
    return length;
}

int close_output(void)
{
    if (output_failed)
        return EXIT_FAILURE;
    return close(STDOUT_FILENO) == 0 ? EXIT_SUCCESS : fail_with_errno("standard output");
}

/* ---- Progress ---- */

enum { PROGRESS_FIRST_MS = 2000, PROGRESS_EVERY_MS = 200 };

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *format_bytes(char text[32], double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    snprintf(text, 32, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return text;
}

static void write_progress(progress *watched, uint64_t bytes, int64_t now)
{
    double seconds = (double)(now - watched->begun_ms) / 1000;
    char amount[32], rate[32];

    pthread_mutex_lock(&output_lock);
    fprintf(stderr, "\r%s, %s/s, %.0f s\033[K", format_bytes(amount, (double)bytes),
            format_bytes(rate, (double)bytes / seconds), seconds);
    fflush(stderr);
    progress_is_shown = true;
    pthread_mutex_unlock(&output_lock);
    watched->shown = true;
    watched->shown_ms = now;
}

void progress_begin(progress *watched, bool quiet)
{
    *watched = (progress){.begun_ms = now_ms()};
    watched->wanted = !quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
}

void progress_show(progress *watched, uint64_t bytes)
{
    int64_t now;

    if (!watched->wanted)
        return;
    now = now_ms();
    if (now - watched->begun_ms >= PROGRESS_FIRST_MS &&
        now - watched->shown_ms >= PROGRESS_EVERY_MS)
        write_progress(watched, bytes, now);
}

void progress_end(progress *watched, uint64_t bytes)
{
    if (!watched->shown)
        return;
    write_progress(watched, bytes, now_ms());
    pthread_mutex_lock(&output_lock);
    fputs(progress_is_shown ? "\n" : "", stderr);
    progress_is_shown = false;
    pthread_mutex_unlock(&output_lock);
}

/* ---- Start ---- */

/*
 * A program can be started with descriptors 0 to 2 closed. The next socket would become standard
 * output, and the log would go to a peer. Opened the wrong way round, so that reading and writing
 * fail and do not seem to work.
 */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(EXIT_FAILURE);
}

/*
 * Where log lines go, for which a server never waits: the same terminal or pipe opened once more, as
 * O_NONBLOCK on what was passed would be seen by all that have it. Where that is not possible it is
 * asked for room beforehand, which is enough unless somebody else takes that room.
 */
static int open_log(int fd)
{
    char path[32];
    struct stat state;
    int opened = -1;

    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    if (isatty(fd) || (fstat(fd, &state) == 0 && S_ISFIFO(state.st_mode)))
        opened = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return opened < 0 ? fd : opened;
}

static void start(const char *name)
{
    program_name = name;
    fill_standard_descriptors();
    /* Output to a closed pipe is an error to look at, not an end. (The library neither needs this
     * nor does it: its sends never raise SIGPIPE.) */
    signal(SIGPIPE, SIG_IGN);
}

/* ---- Arguments ---- */

/* An option and where its value goes: a whole number from 1 to max or, if max is 0, a flag. */
typedef struct option_rule {
    const char *name;
    int64_t max;
    int64_t *number;
    bool *flag;
} option_rule;

/* What arguments of a program may be, and where they go. */
typedef struct argument_rules {
    const char *help;
    option_rule options[OPTIONS_MAX]; /* to the first without a name */
    const char **operands[2];
    int operand_count;
} argument_rules;

static void end_with_usage(const char *help, const char *problem, const char *argument)
{
    char text[ARGUMENT_CAPACITY];

    fail("%s: '%s'\n%.*s\nTry '%s --help' for more.", problem, escape_argument(text, argument),
         (int)strcspn(help, "\n"), help, program_name);
    exit(2);
}

static void read_number(const option_rule *rule, const char *value)
{
    char text[ARGUMENT_CAPACITY];
    int64_t number = 0;
    bool good = true;

    for (const char *digit = value; *digit != '\0' && good; digit++) {
        good = *digit >= '0' && *digit <= '9';
        number = number * 10 + (*digit - '0');
        good = good && number <= rule->max;
    }
    if (!good || number < 1) {
        fail("--%s: '%s': expected a whole number from 1 to %lld", rule->name,
             escape_argument(text, value), (long long)rule->max);
        exit(2);
    }
    *rule->number = number;
}

static void take_option(const argument_rules *rules, int option, const char *argument)
{
    if (option >= 0 && option < OPTIONS_MAX) {
        const option_rule *rule = &rules->options[option];
        if (rule->flag != NULL)
            *rule->flag = true;
        else
            read_number(rule, optarg);
    } else if (option == 'h') {
        write_output(rules->help, strlen(rules->help));
        exit(close_output());
    } else if (option == 'V') {
        char text[ARGUMENT_CAPACITY];
        snprintf(text, sizeof text, "%s %s\n", program_name, nb_version());
        write_output(text, strlen(text));
        exit(close_output());
    } else if (option == ':') {
        end_with_usage(rules->help, "value missing after option", argument);
    } else {
        end_with_usage(rules->help, "unknown option", argument);
    }
}

/* "-" is an operand, and so is "-1": no option is a digit. */
static bool is_operand(const char *argument)
{
    return argument[0] != '-' || argument[1] == '\0' || (argument[1] >= '0' && argument[1] <= '9');
}

static void read_arguments(const argument_rules *rules, int argc, char **argv)
{
    struct option options[OPTIONS_MAX + 3] = {{"help", no_argument, NULL, 'h'},
                                              {"version", no_argument, NULL, 'V'}};
    bool only_operands = false;
    int operands = 0;

    for (int i = 0; i < OPTIONS_MAX && rules->options[i].name != NULL; i++)
        options[i + 2] = (struct option){
            rules->options[i].name,
            rules->options[i].flag != NULL ? no_argument : required_argument, NULL, i};

    while (optind < argc) {
        const char *argument = argv[optind];
        if (!only_operands && strcmp(argument, "--") == 0) {
            only_operands = true;
            optind++;
        } else if (!only_operands && !is_operand(argument)) {
            take_option(rules, getopt_long(argc, argv, "+:hV", options, NULL), argument);
        } else if (operands == rules->operand_count) {
            end_with_usage(rules->help, "unexpected argument", argument);
        } else {
            *rules->operands[operands++] = argument;
            optind++;
        }
    }
}

void read_server_arguments(server_arguments *arguments, const char *name, const char *help,
                           int argc, char **argv)
{
    const bool waits = arguments->idle_ms != 0;
    const argument_rules rules = {
        help,
        {{"concurrency", 65536, &arguments->concurrency, NULL},
         {"connection-ms", INT32_MAX, &arguments->connection_ms, NULL},
         {"drain-ms", INT32_MAX, &arguments->drain_ms, NULL},
         {"max-per-peer", 65536, &arguments->max_per_peer, NULL},
         {"quiet", 0, NULL, &arguments->quiet},
         {waits ? "idle-ms" : NULL, INT32_MAX, &arguments->idle_ms, NULL}},
        {&arguments->endpoint},
        1};

    start(name);
    read_arguments(&rules, argc, argv);
    log_output = open_log(STDOUT_FILENO);
    log_errors = open_log(STDERR_FILENO);
}

void read_client_arguments(client_arguments *arguments, const char *name, const char *help,
                           int argc, char **argv)
{
    const bool messages = arguments->message != NULL;
    /* Only what takes a message can take long enough to show progress. */
    const argument_rules rules = {help,
                                  {{"timeout-ms", INT32_MAX, &arguments->timeout_ms, NULL},
                                   {messages ? "quiet" : NULL, 0, NULL, &arguments->quiet}},
                                  {&arguments->endpoint, &arguments->message},
                                  messages ? 2 : 1};

    start(name);
    read_arguments(&rules, argc, argv);
}
