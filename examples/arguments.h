/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief The command lines of the example programs: what they can be told, and their help.
 */
#ifndef NETBASICS_EXAMPLES_ARGUMENTS_H
#define NETBASICS_EXAMPLES_ARGUMENTS_H

#include <netbasics/serve.h>
#include <stdbool.h>
#include <stdint.h>

/** @brief What a server can be told. The program sets the defaults before the arguments are read. */
typedef struct server_arguments {
    const char *endpoint;      /**< Where to listen. */
    nb_serve_options *options; /**< Receives the limits that nb_serve() keeps. */
    int64_t idle_ms;           /**< Longest wait for a client; 0: the program waits for none. */
    bool quiet;                /**< No line for each connection. */
} server_arguments;

/** @brief What a client can be told. The program sets the defaults before the arguments are read. */
typedef struct client_arguments {
    const char *endpoint; /**< Where to connect. */
    const char *message;  /**< What to send; NULL: the program takes no message. */
    int64_t timeout_ms;   /**< How long everything together may take. */
    bool quiet;           /**< No progress on the terminal. */
} client_arguments;

/** @brief The end of every help text. */
#define ARGUMENTS_HELP                                                                             \
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
    "      --quiet           print no line for each connection\n" ARGUMENTS_HELP "\n"              \
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
    "                        host to the last byte (default 10000)\n" own ARGUMENTS_HELP "\n"      \
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

#endif
