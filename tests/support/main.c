/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The main() of a program that has only cases. */
#include "cases.h"

int main(void)
{
    return run_cases();
}
