/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What scenarios say and hear: steps on a connection, made again where that is allowed, and an
 *         exact account of what the peer has to have got. */
#ifndef NETBASICS_TESTS_TALK_H
#define NETBASICS_TESTS_TALK_H

#include "fault.h"

/* What was sent, and what the peer has to have heard. */
struct account {
    char text[256];
    size_t length;
};

/* Makes a connection of a descriptor; NULL, and it is closed, when that cannot be. */
nb_conn *adopted(int fd);
/* A connection and its peer, or NULL when there cannot be one. */
nb_conn *connection(enum transport over, int *peer);

/* Tries to connect, and again where a passing fault was in the way: then it has to work. NULL when it
   cannot be. */
nb_conn *connected(const char *endpoint, const nb_connect_options *options, enum api api);

void send_text(nb_conn *conn, const char *text, struct account *account);
void send_texts(nb_conn *conn, const char *a, const char *b, struct account *account);
/* False when nothing more can be received. */
bool receive_line(nb_conn *conn, const char *expected);
/* Passes over a line that is too long. */
bool skip_long_line(nb_conn *conn, const char *beginning);
bool receive_until(nb_conn *conn, const char *expected);
bool receive_exactly(nb_conn *conn, const char *expected);
bool receive_rest(nb_conn *conn, const char *expected);
bool receive_frame(nb_conn *conn, const char *expected);
void send_frame(nb_conn *conn, const char *body, struct account *account);

/* The peer has got what sends have reported, and an end only if that was all. */
void check_account(int peer, const struct account *account, nb_status sending, nb_status closing);
/* Closes, and looks at what the peer has got. */
void close_and_check(nb_conn *conn, int peer, const struct account *account);

/* The whole of what an exchange over a connection can be, whose peer says EXCHANGED. */
#define EXCHANGED "a line\r\npart:exactly\0\0\0\5frame and the rest"
void exchange(nb_conn *conn, struct account *account);

#endif
