/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Both ends of a loopback connection, for the snippets of the reference. */
#ifndef NETBASICS_SNIPPETS_STAGE_H
#define NETBASICS_SNIPPETS_STAGE_H

#include <netbasics/netbasics.h>
#include <stdio.h>
#include <stdlib.h>

/* Checks what a snippet claims, so that the reference cannot promise what is not true. */
#define EXPECT(condition)                                              \
    do {                                                               \
        if (!(condition)) {                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__,         \
                    __LINE__, #condition);                             \
            exit(1);                                                   \
        }                                                              \
    } while (0)

struct stage {
    nb_listener *listener;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_conn *client;
    nb_conn *server;
};

/* Listens on a port that the system chooses. */
struct stage stage_listen(void);
/* The same, and connects. */
struct stage stage_connect(void);
/* Closes what the snippet has left open. */
void stage_close(struct stage *stage);
/* Sends a string from the server. */
void stage_say(const struct stage *stage, const char *text);
/* Sends a string from the server, then ends its stream. */
void stage_say_last(const struct stage *stage, const char *text);

#endif
