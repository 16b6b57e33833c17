/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief A model of a stream that is read: what each call must come to, since it is known when each
 *         byte comes. */
#ifndef NETBASICS_TESTS_FUZZ_STREAM_H
#define NETBASICS_TESTS_FUZZ_STREAM_H

#include "fuzz.h"

enum { STREAM_MAX = 1 << 18, CAPACITY_MAX = 12000, CALLS_MAX = 24 };

extern unsigned char stream[STREAM_MAX];
extern char buf[CAPACITY_MAX]; /* what is read into */

/* What is known of the stream, and how far it was read. */
struct model {
    struct script script;
    nb_status end;     /* how the stream ends */
    bool strict;       /* no passing error comes in between: everything can be foretold */
    int64_t cancel_ns; /* when somebody cancels the connection */
    size_t place;      /* consumed so far */
    nb_status stuck[2];
    nb_conn *conn;
    int64_t begun_ns; /* when the call began, and its deadline */
    nb_deadline by;
    size_t buffered; /* what was read ahead then */
};

extern struct model model;

/* How a call ends unless its deadline comes first. */
struct expected {
    nb_status status;
    int64_t when_ns;
    size_t got;
    size_t consumed;
    bool partial; /* when the deadline comes first it gives what is there, */
    size_t most;  /* at most so much */
    size_t needs; /* when so much is in the buffer no deadline matters; 0: it always does */
};

/* The bytes that come next, and how many there are until the end. */
const unsigned char *next_bytes(void);
size_t rest(void);
size_t least(size_t a, size_t b);

/* When the next so many bytes are there, and how many of the next are there at a time. */
int64_t when(size_t count);
size_t there_before(int64_t when_ns);
size_t there_until(int64_t when_ns);
/* What a call comes to that finds neither what it looks for nor its bound. */
struct expected end_of_stream(size_t most, bool partial);
bool is_too_late(void);
bool ended_at(int64_t when_ns);

/* What a receive call came to: its status, and how many bytes of the stream are in buf. */
void check(nb_status status, size_t got, const struct expected *expected);
/* The same when buf holds something else. */
void check_counts(nb_status status, size_t got, const struct expected *expected);

/* One call, checked. */
void recv_exact(size_t length);

/* Reads a world and the script of a stream out of the input, fills the stream by a function, connects, makes
   calls, and says goodbye: what a fuzzer has to return. */
int model_run(const uint8_t *data, size_t size, void (*fill)(struct input *in),
              void (*one_call)(struct input *in));

/* Before each call: reads its deadline, and what became of the connection meanwhile. */
void model_call(struct input *in);

#endif
