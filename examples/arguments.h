/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief The command lines of the example programs: what they take, and their help.
 */
#ifndef NETBASICS_EXAMPLES_ARGUMENTS_H
#define NETBASICS_EXAMPLES_ARGUMENTS_H

#include <netbasics/serve.h>
#include <stdbool.h>
#include <stdint.h>

/** @brief The arguments of a server. The program sets the defaults before they are read. */
typedef struct server_arguments {
    const char *endpoint;      /**< Where to listen. */
    nb_serve_options *options; /**< Receives the limits for nb_serve(). */
    int64_t idle_ms;           /**< Longest wait for a client; 0: there is no such option. */
    bool quiet;                /**< Do not log each connection. */
} server_arguments;

/** @brief The arguments of a client. The program sets the defaults before they are read. */
typedef struct client_arguments {
    const char *endpoint; /**< Where to connect. */
    const char *message;  /**< What to send; NULL: there is no such argument. */
    int64_t timeout_ms;   /**< Time limit for everything together. */
    bool quiet;           /**< Do not show progress on the terminal. */
} client_arguments;

/** @brief The end of every help text. */
#define COMMON_HELP                                                                                \
    "  -h, --help            print this help and exit\n"                                           \
    "  -V, --version         print the version and exit\n"

/** @brief The end of the help text of a server that waits for its clients. */
#define WAITING_SERVER_HELP                                                                        \
    SERVER_HELP_WITH(                                                                              \
        "      --idle-ms MS      longest wait for a client to send something, or to read\n"        \
        "                        what comes back (default 60000)\n")

/** @brief The end of the help text of a server that does not. */
#define SERVER_HELP SERVER_HELP_WITH("")

/** @brief The end of a server's help text, with its own options. */
#define SERVER_HELP_WITH(own)                                                                      \
    "Options:\n"                                                                                   \
    "      --concurrency N   serve at most N connections at once (default 512);\n"                 \
    "                        with 1, one after the other, without threads\n"                       \
    "      --connection-ms MS\n"                                                                   \
    "                        longest life of a connection (default 600000)\n"                      \
    "      --drain-ms MS     longest wait for open connections after SIGINT or\n"                  \
    "                        SIGTERM (default 10000)\n" own                                        \
    "      --max-per-peer N  serve at most N connections from one peer at once\n"                  \
    "                        (default: limited by --concurrency only)\n"                           \
    "      --quiet           do not print a line for each connection\n" COMMON_HELP "\n"           \
    "ENDPOINT is ADDRESS:PORT, [IPV6]:PORT, localhost:PORT, or :PORT for all\n"                    \
    "interfaces. With port 0 the system chooses a port, which is printed.\n"                       \
    "ENDPOINT can also be unix:/PATH or unix:@NAME, a Unix socket; fd:N, an inherited\n"           \
    "listening socket; or systemd:, all sockets that a service manager has passed.\n"              \
    "\n"                                                                                           \
    "Exit status: 0 after SIGINT or SIGTERM, 1 on failure, 2 for incorrect usage.\n"

/** @brief The end of the help text of a client that takes a message. */
#define MESSAGE_CLIENT_HELP                                                                        \
    CLIENT_HELP_WITH("      --quiet           do not show progress on the terminal\n")

/** @brief The end of the help text of a client that does not. */
#define CLIENT_HELP CLIENT_HELP_WITH("")

/** @brief The end of a client's help text, with its own options. */
#define CLIENT_HELP_WITH(own)                                                                      \
    "Options:\n"                                                                                   \
    "      --timeout-ms MS   time limit for everything, from the name lookup to\n"                 \
    "                        the last byte (default 10000)\n" own COMMON_HELP "\n"                 \
    "ENDPOINT is HOST:PORT, [IPV6]:PORT, unix:/PATH or unix:@NAME.\n"                              \
    "\n"                                                                                           \
    "Exit status: 0 after a complete reply, 1 on failure, 2 for incorrect usage.\n"

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
 * @brief Prepares the process and reads a client's arguments, as read_server_arguments() does.
 * @param[in,out] arguments  holds the defaults, receives what was asked for.
 * @param name               the program's name.
 * @param help               the whole help text; its first line is the usage.
 * @param argc               as main() got it.
 * @param argv               as main() got it.
 */
void read_client_arguments(client_arguments *arguments, const char *name, const char *help,
                           int argc, char **argv);

#endif
