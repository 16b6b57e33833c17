#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the tests named in docs/promises.md exist, as cases or as check_*.py.

usage: check_promises.py SOURCE_DIR
"""

import re
import sys
from pathlib import Path

import tap


def cases(source_dir):
    root = Path(source_dir)
    tests = "".join(path.read_text() for pattern in ("*.c", "*.py")
                    for path in sorted((root / "tests").rglob(pattern)))
    functions = r"^(?:TEST|SCENARIO)(?:_AS|_OF)?\((\w+)|^SERVING\((\w+)|^ +def (test_\w+)\(self"
    exist = {name for names in re.findall(functions, tests, re.MULTILINE) for name in names if name}
    exist |= {path.stem for path in (root / "tests").rglob("check_*.py")}
    for row in (root / "docs/promises.md").read_text().splitlines():
        cells = row.strip("|").split("|")
        if len(cells) < 3 or set(row) <= set("|-") or cells[-1].strip() == "Tests":
            continue
        named = re.findall(r"`(\w+)`", cells[-1])
        missing = [name for name in named if name not in exist]
        yield (f"a promise has tests: {cells[-2].strip()}",
               f"no such test: {', '.join(missing)}" if missing else "" if named else "no test named")


if __name__ == "__main__":
    tap.report(cases(*sys.argv[1:]))
