#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the test cases in JUnit files of CTest. To CTest a test is a whole program; the cases within it
are read from its output. Shows the output of the failed tests, without the cases that passed; the last line
is the sum.

A test counts as one failed case if it failed without a failing case (it crashed or hung), ran no case at
all, or ran fewer or more cases than it announced. So does a test whose cases were all skipped on a machine
that lets us do everything: what it needs should have been installed. With --show, the figures that passing
tests have printed are shown as well. A file NAME.log is the output of one test.

usage: count_cases.py [--show] FILE...
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

# "ok 1 - name", "not ok 2 - name", "ok 3 - name # SKIP why", "not ok 4 # SKIP name" (cmocka 1.1)
TAP_CASE = re.compile(r"^(not )?ok \d+\b(.*)$", re.MULTILINE)
TAP_PLAN = re.compile(r"^1\.\.(\d+)", re.MULTILINE)
# "Ran 3 tests in 0.1s" and, a little later, "FAILED (failures=1, skipped=1)"
UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
UNITTEST_BAD = re.compile(r"\b(failures|errors|unexpected successes|skipped)=(\d+)")
NOISE = re.compile(r"^(TAP version.*|1\.\.\d+|-{20,}|Ran \d+ tests? in .*|OK( \(.*\))?|)\n", re.MULTILINE)
GOOD_CASE = re.compile(r"^(ok \d+\b.*|\S+ \(.*\) \.\.\. ok)\n", re.MULTILINE)
# The reasons for skipping a case that no package can remove.
EXCUSED = re.compile(r"^# skipped: (?:under|this system|the kernel has) ", re.MULTILINE)


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def count_tap(output):
    cases = TAP_CASE.findall(output)
    kinds = ["skipped" if "# SKIP" in rest else "failed" if bad else "passed" for bad, rest in cases]
    counts = Counts(*map(kinds.count, ("passed", "failed", "skipped")))
    complete = len(cases) == sum(map(int, TAP_PLAN.findall(output)))
    return counts, complete


def count_unittest(output):
    ran = UNITTEST_RAN.search(output)
    if not ran:
        return Counts()
    bad = {kind: int(number) for kind, number in UNITTEST_BAD.findall(output[ran.end():])}
    skipped = bad.pop("skipped", 0)
    failed = sum(bad.values())
    return Counts(max(0, int(ran.group(1)) - failed - skipped), failed, skipped)


def count(output, succeeded):
    """The cases of one test."""
    counts, complete = count_tap(output)
    counts += count_unittest(output)
    if not counts.failed and not (succeeded and complete and counts.passed + counts.skipped):
        counts.failed = 1
    return counts


def may_everything():
    """Whether we are root, and not in a container without root's privileges."""
    return os.geteuid() == 0 and bool(shutil.which("unshare")) and subprocess.run(
        ["unshare", "--net", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def judged(counts, could_run, output=""):
    """Adds a failed case if all were skipped although they could have run: unless each said that this
    system, or the instrumentation, does not have what it needs."""
    excused = len(EXCUSED.findall(output)) == counts.skipped
    if could_run and counts.skipped and not counts.passed and not counts.failed and not excused:
        return Counts(0, 1, counts.skipped)
    return counts


def figures(output):
    """What a test printed besides its cases."""
    return NOISE.sub("", GOOD_CASE.sub("", output + "\n"))


def tests(file):
    """The (name, output, whether it succeeded) of each test in a file."""
    if file.suffix == ".log":
        yield file.stem, file.read_text(errors="replace"), True
        return
    for test in ElementTree.parse(file).iter("testcase"):
        yield test.get("name"), test.findtext("system-out") or "", test.get("status") == "run"


def main(*arguments):
    show = arguments[0] == "--show"
    total, could_run = Counts(), may_everything()
    for name, output, succeeded in (test for file in arguments[show:] for test in tests(Path(file))):
        counts = judged(count(output, succeeded), could_run, output)
        total += counts
        if counts.failed:
            print(f"---- {name}: {counts}\n{GOOD_CASE.sub('', output)}")
        elif show:
            print(f"---- {name}: {counts}\n{figures(output)}", end="")
    print(total)
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
