/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Sends each client the time, and ends the connection. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"
#include "event_log.h"
#include "failure.h"
#include <netbasics/netbasics.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char help[] = "Usage: time_server [OPTION]... [ENDPOINT]\n"
                           "Sends each client the local time, such as\n"
                           "\"Wed Jan 29 19:14:15 2014\" and CRLF, and ends the connection.\n"
                           "Listens on ENDPOINT, by default localhost:9999.\n"
                           "\n" SERVER_HELP;

/* Not from strftime(): its names depend on the locale. */
static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Handlers run in several threads at once: hence localtime_r(), and no static buffer. */
static void write_time(char *text, size_t capacity)
{
    time_t now = time(NULL);
    struct tm local = {0};

    localtime_r(&now, &local);
    snprintf(text, capacity, "%s %s %2d %02d:%02d:%02d %d\r\n", days[local.tm_wday],
             months[local.tm_mon], local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
             local.tm_year + 1900);
}

/*
 * Serves one connection. What it returns tells nb_serve() how to end it: in order, so that the client
 * gets everything, or with a reset after a failure. Ten seconds are plenty for so few bytes.
 */
static nb_status tell_time(nb_conn *conn, void *context)
{
    char text[64];

    (void)context;
    write_time(text, sizeof text);
    return nb_send_all(conn, text, strlen(text), NULL, nb_after_ms(10000));
}

int main(int argc, char **argv)
{
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;
    server_arguments arguments = {.endpoint = "localhost:9999", .options = &options};
    event_log events;
    nb_listener *listener;
    nb_error err;

    read_server_arguments(&arguments, "time_server", help, argc, argv);
    open_event_log(&events, "Got a connection from", arguments.quiet);
    tzset(); /* localtime_r() alone need not read TZ. */

    if (nb_listen(&listener, arguments.endpoint, NULL, &err) != NB_OK)
        return fail_with(&err);

    options.stop_on_signals = true;
    options.on_event = log_event;
    options.event_context = &events;

    /* Returns after SIGINT or SIGTERM, when the last connection has ended. */
    nb_status status = nb_serve(listener, tell_time, NULL, &options, &err);
    nb_listener_close(listener);
    return status == NB_OK ? 0 : fail_with(&err);
}
