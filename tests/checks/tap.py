# SPDX-License-Identifier: MIT
"""Reports the cases of a check in the Test Anything Protocol."""

import sys


class Skip(str):
    """The reason why a case was skipped."""


def report(cases):
    """Prints one line for each (name, problem) and exits; an empty problem means success."""
    count = failed = 0
    for name, problem in cases:
        count += 1
        if isinstance(problem, Skip):
            print(f"ok {count} - {name} # SKIP {problem}", flush=True)
            continue
        print(f"{'not ok' if problem else 'ok'} {count} - {name}", flush=True)
        for line in problem.rstrip().splitlines():
            print(f"# {line}")
        failed += bool(problem)
    print(f"1..{count}")
    sys.exit(1 if failed or count == 0 else 0)
