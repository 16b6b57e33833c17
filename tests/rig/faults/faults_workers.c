/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults in the accept loop, with several handlers at a time. */
#include "serving.h"

int main(int count, char **arguments)
{
    static const struct scenario scenarios[] = {
        {"serve_ten", serve_ten, 12, true, true},
        {"serve_at_localhost", serve_at_localhost, 12, true, true},
        {"serve_who_waits_at_the_stop", serve_who_waits_at_the_stop, 12, true, true},
        {"serve_who_never_speaks", serve_who_never_speaks, 12, true, true},
        {"serve_for_a_life", serve_for_a_life, 12, true, true},
        {"serve_and_end", serve_and_end, 12, true, true},
        {"serve_so_many", serve_so_many, 12, true, true},
    };

    serve_with(2);
    (void)count;
    return run_scenarios(scenarios, COUNT(scenarios), arguments + 1);
}
