/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Faults in the accept loop, with one handler at a time. */
#include "serving.h"

int main(int count, char **arguments)
{
    static const struct scenario scenarios[] = {
        {"serve_ten", serve_ten, 2, false, true},
        {"serve_at_localhost", serve_at_localhost, 2, false, true},
        {"serve_who_waits_at_the_stop", serve_who_waits_at_the_stop, 2, false, true},
        {"serve_who_never_speaks", serve_who_never_speaks, 2, false, true},
        {"serve_for_a_life", serve_for_a_life, 2, false, true},
        {"serve_and_end", serve_and_end, 2, false, true},
        {"serve_so_many", serve_so_many, 2, false, true},
    };

    serve_with(1);
    (void)count;
    return run_scenarios(scenarios, COUNT(scenarios), arguments + 1);
}
