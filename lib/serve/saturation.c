/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Saturation: connections wait because all handlers are busy. */
#include "serve/saturation.h"

bool nb__saturation_full(struct nb__saturation *saturation)
{
    bool begins = !saturation->watched;

    saturation->watched = true;
    saturation->was_full = true;
    return begins;
}

static bool has_waited(const struct nb__saturation *saturation,
                       const struct nb__saturation_look *look)
{
    return look->full && look->waiting > 0 && look->taken - saturation->taken < saturation->waiting;
}

enum nb__saturation_change nb__saturation_look(struct nb__saturation *saturation,
                                               const struct nb__saturation_look *look)
{
    bool begins = !saturation->reached && has_waited(saturation, look);
    bool idle = !look->full && !saturation->was_full; /* there were places all the time */
    bool ends = saturation->reached && idle;

    saturation->reached = begins || (saturation->reached && !ends);
    saturation->watched = !idle;
    saturation->was_full = look->full;
    saturation->waiting = look->full ? look->waiting : 0;
    saturation->taken = look->taken_before;
    if (begins)
        return NB__SATURATION_REACHED;
    return ends ? NB__SATURATION_CLEARED : NB__SATURATION_SAME;
}
