/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Shows the progress of a long transfer to people who watch. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "progress.h"

#include "standard_io.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_MS = 2000, EVERY_MS = 200, AMOUNT_CAPACITY = 32 };

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *format_bytes(char text[AMOUNT_CAPACITY], double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    snprintf(text, AMOUNT_CAPACITY, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return text;
}

static void show(progress *transfer, uint64_t bytes, int64_t now)
{
    double seconds = (double)(now - transfer->begun_ms) / 1000;
    char amount[AMOUNT_CAPACITY], rate[AMOUNT_CAPACITY], line[128];

    snprintf(line, sizeof line, "%s, %s/s, %.0f s", format_bytes(amount, (double)bytes),
             format_bytes(rate, (double)bytes / seconds), seconds);
    show_status_line(line);
    transfer->shown = true;
    transfer->shown_ms = now;
}

void progress_begin(progress *transfer, bool quiet)
{
    *transfer = (progress){.begun_ms = now_ms()};
    transfer->wanted = !quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
}

void progress_update(progress *transfer, uint64_t bytes)
{
    int64_t now;

    if (!transfer->wanted)
        return;
    now = now_ms();
    if (now - transfer->begun_ms >= FIRST_MS && now - transfer->shown_ms >= EVERY_MS)
        show(transfer, bytes, now);
}

void progress_end(progress *transfer, uint64_t bytes)
{
    if (!transfer->shown)
        return;
    show(transfer, bytes, now_ms());
    end_status_line();
}
