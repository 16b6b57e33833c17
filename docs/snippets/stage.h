/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What the snippets of the reference act on: both ends of a connection on loopback. */
#ifndef NETBASICS_SNIPPETS_STAGE_H
#define NETBASICS_SNIPPETS_STAGE_H

#include <netbasics/netbasics.h>
#include <stdio.h>
#include <stdlib.h>

/* What a snippet claims is checked, so that the reference cannot promise what is not so. */
#define EXPECT(condition)                                              \
    do {                                                               \
        if (!(condition)) {                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, \
                    #condition);                                       \
            exit(1);                                                   \
        }                                                              \
    } while (0)

struct stage {
    nb_listener *listener;
    char endpoint[NB_ADDRESS_TEXT_MAX];
    nb_conn *client;
    nb_conn *server;
};

/* Listens on a port of the system's choice. */
struct stage stage_listen(void);
/* The same, and connects. */
struct stage stage_connect(void);
/* Ends what the snippet has left. */
void stage_close(struct stage *stage);
/* Sends a string from the server's end. */
void stage_say(const struct stage *stage, const char *text);
/* Sends from the server's end, and ends its stream. */
void stage_say_last(const struct stage *stage, const char *text);

#endif
