/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief What the example programs share and what is not about networking: arguments and output.
 */
#ifndef NETBASICS_EXAMPLES_COMMON_H
#define NETBASICS_EXAMPLES_COMMON_H

#include <netbasics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** @brief What a server can be told. The program sets the defaults before the arguments are read. */
typedef struct server_arguments {
    const char *endpoint;  /**< Where to listen. */
    int64_t concurrency;   /**< Connections served at once; 0: the library's default. */
    int64_t connection_ms; /**< Longest life of a connection; 0: the library's default. */
    int64_t drain_ms;      /**< Longest wait for handlers after a stop; 0: the library's default. */
    int64_t idle_ms;       /**< Longest wait for a client; 0: the program waits for none. */
    int64_t max_per_peer;  /**< Connections of one peer; 0: no limit. */
    bool quiet;            /**< No line for each connection. */
} server_arguments;

/** @brief What a client can be told. The program sets the defaults before the arguments are read. */
typedef struct client_arguments {
    const char *endpoint; /**< Where to connect. */
    const char *message;  /**< What to send; NULL: the program takes no message. */
    int64_t timeout_ms;   /**< How long everything together may take. */
    bool quiet;           /**< No progress on the terminal. */
} client_arguments;

/** @brief The end of every help text. */
#define COMMON_HELP                                                                                \
    "  -h, --help            print this help and exit\n"                                           \
    "  -V, --version         print the version and exit\n"

/** @brief The end of the help text of a server that waits for its clients. */
#define WAITING_SERVER_HELP                                                                        \
    SERVER_HELP_WITH(                                                                              \
        "      --idle-ms MS      longest wait for a client to send something, or to take\n"        \
        "                        what it is sent (default 60000)\n")

/** @brief The end of the help text of a server that waits for none. */
#define SERVER_HELP SERVER_HELP_WITH("")

/** @brief The end of a server's help text, with its own options. */
#define SERVER_HELP_WITH(own)                                                                      \
    "Options:\n"                                                                                   \
    "      --concurrency N   serve at most N connections at once (default 512);\n"                 \
    "                        with 1, one after the other and without threads\n"                    \
    "      --connection-ms MS\n"                                                                   \
    "                        longest life of a connection (default 600000)\n"                      \
    "      --drain-ms MS     longest wait for open connections after SIGINT or\n"                  \
    "                        SIGTERM (default 10000)\n" own                                        \
    "      --max-per-peer N  serve at most N connections of one peer at once\n"                    \
    "                        (default: no limit but --concurrency)\n"                              \
    "      --quiet           print no line for each connection\n" COMMON_HELP "\n"                 \
    "ENDPOINT is ADDRESS:PORT, [IPV6]:PORT, localhost:PORT, or :PORT for all\n"                    \
    "interfaces. Port 0 lets the system choose one, which is printed. It can also be\n"            \
    "unix:/PATH or unix:@NAME, a Unix socket; fd:N, a listening socket that was\n"                 \
    "inherited; or systemd:, all that a service manager passed.\n"                                 \
    "\n"                                                                                           \
    "Exit status: 0 after SIGINT or SIGTERM, 1 after a failure, 2 for bad usage.\n"

/** @brief The end of the help text of a client that takes a message. */
#define MESSAGE_CLIENT_HELP                                                                        \
    CLIENT_HELP_WITH("      --quiet           show no progress on the terminal\n")

/** @brief The end of the help text of a client that takes none. */
#define CLIENT_HELP CLIENT_HELP_WITH("")

/** @brief The end of a client's help text, with its own options. */
#define CLIENT_HELP_WITH(own)                                                                      \
    "Options:\n"                                                                                   \
    "      --timeout-ms MS   longest time for everything, from the lookup of the\n"                \
    "                        host to the last byte (default 10000)\n" own COMMON_HELP "\n"         \
    "ENDPOINT is HOST:PORT, [IPV6]:PORT, unix:/PATH or unix:@NAME.\n"                              \
    "\n"                                                                                           \
    "Exit status: 0 for a whole answer, 1 after a failure, 2 for bad usage.\n"

/**
 * @brief Prepares the process and reads a server's arguments.
 *
 * Ends the program after --help, --version and bad usage. Must be the first call of main().
 *
 * @param[in,out] arguments  holds the defaults, receives what was asked for.
 * @param name               the program's name.
 * @param help               the whole help text; its first line is the usage.
 * @param argc               as main() got it.
 * @param argv               as main() got it.
 */
void read_server_arguments(server_arguments *arguments, const char *name, const char *help,
                           int argc, char **argv);

/**
 * @brief Prepares the process and reads a client's arguments.
 *
 * Ends the program after --help, --version and bad usage. Must be the first call of main().
 *
 * @param[in,out] arguments  holds the defaults, receives what was asked for.
 * @param name               the program's name.
 * @param help               the whole help text; its first line is the usage.
 * @param argc               as main() got it.
 * @param argv               as main() got it.
 */
void read_client_arguments(client_arguments *arguments, const char *name, const char *help,
                           int argc, char **argv);

#if defined(__GNUC__)
/** @brief Lets the compiler check the arguments of a function against its format. */
#define LIKE_PRINTF __attribute__((format(printf, 1, 2)))
#else
#define LIKE_PRINTF
#endif

/**
 * @brief Writes a line to standard output, with one write.
 *
 * A log must never stop a server: a line that cannot be written, or not at once, is dropped.
 *
 * @param format  as for printf(), without the newline.
 */
void log_line(const char *format, ...) LIKE_PRINTF;

/**
 * @brief Writes a line, after the program's name, to standard error; dropped like a log line.
 * @param format  as for printf(), without the newline.
 */
void log_problem(const char *format, ...) LIKE_PRINTF;

/**
 * @brief Says on standard error why the program fails.
 *
 * Only the first reason is printed: in a program of several threads the others follow from it.
 *
 * @param format  as for printf(), without the newline.
 * @return the exit status 1.
 */
int fail(const char *format, ...) LIKE_PRINTF;

/**
 * @brief Says on standard error, as fail() does, what went wrong in the library, and what to do next.
 * @param err  what a function of the library has told.
 * @return the exit status 1.
 */
int fail_with(const nb_error *err);

/**
 * @brief Says on standard error, as fail() does, why there is no whole answer, and what to do next.
 * @param endpoint  who was to answer.
 * @param status    what a receive has returned; NB_EOF: the answer is cut short.
 * @return the exit status 1.
 */
int fail_to_receive(const char *endpoint, nb_status status);

/**
 * @brief Says on standard error, as fail() does, what the system refused, in the words of errno.
 * @param what  what was tried.
 * @return the exit status 1.
 */
int fail_with_errno(const char *what);

/**
 * @brief Prints bytes on standard output in such a way that they can do no harm to a terminal.
 *
 * What is not printable ASCII comes out as `\n`, `\r`, `\t` or `\xNN`; backslashes and quotes get a
 * backslash. Waits for room; close_output() tells whether it worked.
 *
 * @param before  text of our own, printed as it is.
 * @param bytes   what a peer has sent.
 * @param length  how many bytes.
 * @param after   text of our own, printed as it is.
 */
void print_escaped(const char *before, const char *bytes, size_t length, const char *after);

/**
 * @brief Writes all bytes to standard output as they are, and waits for room.
 * @param bytes   the bytes.
 * @param length  how many.
 * @return whether it worked; if not, it has said why, as fail() does.
 */
bool write_output(const char *bytes, size_t length);

/**
 * @brief Reads from standard input what is there, and waits for something to be there.
 * @param buffer    receives the bytes.
 * @param capacity  how many fit.
 * @return how many bytes; 0 at the end; -1 after a failure, and it has said why, as fail() does.
 */
ssize_t read_input(char *buffer, size_t capacity);

/** @brief How far something is that may take long, for people who watch. */
typedef struct progress {
    bool wanted;      /**< Somebody watches. */
    bool shown;       /**< There is a line on the terminal. */
    int64_t begun_ms; /**< When it began. */
    int64_t shown_ms; /**< When the line was written last. */
} progress;

/**
 * @brief Begins to watch something.
 *
 * A line with bytes, rate and time appears on standard error after two seconds, if that is a terminal
 * and standard output is none, where the line would tear the output apart.
 *
 * @param[out] watched  what is watched.
 * @param quiet         show nothing.
 */
void progress_begin(progress *watched, bool quiet);

/**
 * @brief Tells how far it is; cheap, and shown now and then.
 * @param watched  what progress_begin() has begun.
 * @param bytes    how many there have been since.
 */
void progress_show(progress *watched, uint64_t bytes);

/**
 * @brief Shows the last figures, and ends the line.
 * @param watched  what progress_begin() has begun.
 * @param bytes    how many there have been since.
 */
void progress_end(progress *watched, uint64_t bytes);

/**
 * @brief Closes standard output: only then is it known whether everything could be written.
 * @return the exit status: 0, or 1 after saying what failed.
 */
int close_output(void);

#endif
