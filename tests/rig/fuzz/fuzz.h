/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What the fuzzers share: numbers and scripts out of the input, and a way to fail.
 *
 *  Each fuzzer is a file with LLVMFuzzerTestOneInput(), which checks what it calls against a model.
 *  clang makes it a libFuzzer; with replay.c it is a program that runs files of inputs. */
#ifndef NETBASICS_TESTS_FUZZ_H
#define NETBASICS_TESTS_FUZZ_H

#include "kernel.h"

#include <netbasics/netbasics.h>

/* What nearly every fuzzer needs; the build defines _GNU_SOURCE for all of them. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Its name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Ends the program, so that the fuzzer keeps the input. */
#define require(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_failed(#condition, __FILE__, __LINE__);                                           \
    } while (0)
_Noreturn void fuzz_failed(const char *what, const char *file, int line);

/* An input: text is read at its front, numbers at its end, so that inserted bytes move neither. */
struct input {
    const uint8_t *data;
    size_t size;
};

/* The last byte; 0 when there is none left. */
uint8_t input_byte(struct input *in);
/* A number up to a bound. */
size_t input_number(struct input *in, size_t most);
/* A number that looks just as the system would write it. */
bool read_number(const char *text, unsigned long most, unsigned long *out);
void require_printable(const char *text);
/* One of a table of times or sizes where something changes. */
int64_t input_delay(struct input *in);
size_t input_size(struct input *in);
/* In the past, soon, later or never. */
nb_deadline input_deadline(struct input *in);

/* A script for one direction. */
enum { STEPS_MAX = 16 };
struct script {
    struct kernel_step steps[STEPS_MAX];
    size_t count;
    size_t bytes;   /* all together */
    int64_t end_ns; /* when the last step comes, given that the first one counts from the start */
};

/* Reads steps of bytes; `last` comes after them. Of some scripts, as oddities tells, one step is this passing
   error instead: false, for not everything can be foretold then. */
bool input_script(struct input *in, struct script *script, struct kernel_step last,
                  uint8_t oddities, int error);

/* Begins a world with timers, signals and delays out of the input. */
void input_world(struct input *in);

/* A connection to a peer. */
nb_conn *world_connection(const struct kernel_peer *peer, bool is_unix);

/* How many bytes of a script have come before a moment, or with it. */
size_t script_before(const struct script *script, int64_t when_ns);
size_t script_until(const struct script *script, int64_t when_ns);
/* When the byte at a place comes; KERNEL_NEVER when it does not. */
int64_t script_time(const struct script *script, size_t place);

/* Whether it is this moment, or was when a call began. */
bool ended_after(int64_t begun_ns, int64_t when_ns);

/* Ends the world: nothing is open, and nothing was complained of. */
void world_ends(void);

#endif
