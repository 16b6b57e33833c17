/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What scenarios say and hear: steps that connect, listen, accept, send and receive, made again where
 *         that is allowed, and an exact account of what the peer has to have got. */
#ifndef NETBASICS_TESTS_TALK_H
#define NETBASICS_TESTS_TALK_H

#include "fault.h"

/* What was sent, and what the peer has to have heard. */
struct account {
    char text[256];
    size_t length;
};

/* What is made of a descriptor (which is closed otherwise), by connecting, by listening and by accepting.
   It is tried again where a passing fault was in the way: then it has to work. NULL when it cannot be. */
nb_conn *adopted(int fd);
nb_conn *connected(const char *endpoint, const nb_connect_options *options, enum api api);
nb_listener *listening(const char *endpoint, const nb_listen_options *options, enum api api);
nb_conn *accepted(nb_listener *listener);
/* A connection and its peer, or NULL, and the peer is closed, when there cannot be one. */
nb_conn *connection(enum transport over, int *peer);

/* Bytes that were sent are added to an account. */
void account_for(struct account *account, const void *bytes, size_t length);
void send_text(nb_conn *conn, const char *text, struct account *account);
/* False when nothing more can be received. */
bool receive_line(nb_conn *conn, const char *expected);
/* Passes over a line that is too long. */
bool skip_long_line(nb_conn *conn, const char *beginning);

/* One call, and what it may come to. */
void receive_once(nb_conn *conn, statuses allowed);
void send_once(nb_conn *conn, statuses allowed);
void close_once(nb_conn *conn, statuses allowed);

/* Closes, and looks at what the peer has got: what sends have reported, and an end only if that was all.
   (Nobody looks at a Unix socket.) */
void close_and_check(nb_conn *conn, int peer, const struct account *account);

/* The peer says all that an exchange can be, and ends. */
void peer_speak(int peer);
/* Hears that, says something, and closes. */
void exchange(nb_conn *conn, int peer);
/* Connects to a listener's socket, is accepted, talks. */
void talk_at(nb_listener *listener, size_t index);

#endif
