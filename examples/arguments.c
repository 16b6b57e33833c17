/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The command lines of the example programs. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

#include "escape.h"
#include "standard_io.h"
#include <getopt.h>
#include <netbasics/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 6, BAD_USAGE = 2 };

/* An option: a flag, or a whole number from 1 to max. */
typedef struct option_rule {
    const char *name;
    int64_t max;
    int64_t *number;
    bool *flag; /* NULL: it is a number. */
} option_rule;

/* The arguments that a program takes, and where their values go. */
typedef struct argument_rules {
    const char *help;
    option_rule options[OPTIONS_MAX]; /* Ends at the first without a name. */
    const char **operands[2];
    int operand_count;
} argument_rules;

/* Ends the program with a message that quotes an argument, which may be anything. */
static void end_with_usage(const char *help, const char *problem, const char *argument)
{
    char text[ESCAPED_ARGUMENT_MAX];

    escape(text, sizeof text, argument, strlen(argument));
    fail("%s: '%s'\n%.*s\nTry '%s --help' for more information.", problem, text,
         (int)strcspn(help, "\n"), help, program_name());
    exit(BAD_USAGE);
}

static void read_number(const option_rule *rule, const char *value)
{
    int64_t number = 0;
    bool good = true;

    for (const char *digit = value; *digit != '\0' && good; digit++) {
        good = *digit >= '0' && *digit <= '9';
        number = number * 10 + (*digit - '0');
        good = good && number <= rule->max;
    }
    if (!good || number < 1) {
        char text[ESCAPED_ARGUMENT_MAX];
        escape(text, sizeof text, value, strlen(value));
        fail("--%s: '%s': expected a whole number from 1 to %lld", rule->name, text,
             (long long)rule->max);
        exit(BAD_USAGE);
    }
    *rule->number = number;
}

static void end_with_output(const char *text)
{
    write_output(text, strlen(text));
    exit(close_output());
}

static void end_with_version(void)
{
    char text[128];

    snprintf(text, sizeof text, "%s %s\n", program_name(), nb_version());
    end_with_output(text);
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
        end_with_output(rules->help);
    } else if (option == 'V') {
        end_with_version();
    } else if (option == ':') {
        end_with_usage(rules->help, "option needs a value", argument);
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
    const bool takes_idle_ms = arguments->idle_ms != 0;
    nb_serve_options *options = arguments->options;
    const argument_rules rules = {
        help,
        {{"concurrency", 65536, &options->concurrency, NULL},
         {"connection-ms", INT32_MAX, &options->connection_ms, NULL},
         {"drain-ms", INT32_MAX, &options->drain_ms, NULL},
         {"max-per-peer", 65536, &options->max_per_peer, NULL},
         {"quiet", 0, NULL, &arguments->quiet},
         {takes_idle_ms ? "idle-ms" : NULL, INT32_MAX, &arguments->idle_ms, NULL}},
        {&arguments->endpoint},
        1};

    prepare_standard_io(name);
    read_arguments(&rules, argc, argv);
}

void read_client_arguments(client_arguments *arguments, const char *name, const char *help,
                           int argc, char **argv)
{
    const bool takes_message = arguments->message != NULL;
    /* Without a message to send, no transfer is long enough to show its progress. */
    const argument_rules rules = {help,
                                  {{"timeout-ms", INT32_MAX, &arguments->timeout_ms, NULL},
                                   {takes_message ? "quiet" : NULL, 0, NULL, &arguments->quiet}},
                                  {&arguments->endpoint, &arguments->message},
                                  takes_message ? 2 : 1};

    prepare_standard_io(name);
    read_arguments(&rules, argc, argv);
}
