#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lets a fuzzer search for failing inputs for NETBASICS_FUZZ_SECONDS (60; nightly an hour).

New inputs that reach new code are kept beside the fuzzer, for the next run. A failing input stays there as
well, and its path is printed. With --merge, the inputs worth keeping are copied to KEPT_INPUTS.

usage: run_fuzzer.py [--merge] FUZZER KEPT_INPUTS
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Each run finds more inputs; only a few small ones are kept.
KEPT_MOST = 40


def seconds():
    return int(os.environ.get("NETBASICS_FUZZ_SECONDS") or
               (3600 if os.environ.get("NETBASICS_NIGHTLY") else 60))


def environment():
    return dict(os.environ,
                ASAN_OPTIONS="detect_stack_use_after_return=1:allocator_may_return_null=1",
                UBSAN_OPTIONS="print_stacktrace=1")


def options(fuzzer, kept, found):
    dictionary = kept.parent.parent / f"{kept.name}.dict"
    bad = found.parent / "bad-"
    return ([str(fuzzer), f"-max_total_time={seconds()}", "-timeout=20", "-rss_limit_mb=2000",
             "-max_len=2048", "-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={bad}"] +
            ([f"-dict={dictionary}"] if dictionary.exists() else []) + [str(found), str(kept)])


def run(fuzzer, kept, found):
    """Prints one case, and what the fuzzer has done."""
    done = subprocess.run(options(fuzzer, kept, found), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, errors="replace", env=environment(),
                          timeout=2 * seconds() + 300, check=False)
    executed = re.search(r"stat::number_of_executed_units: *(\d+)", done.stdout)
    covered = re.findall(r" cov: (\d+) ft: (\d+)", done.stdout)
    print("1..1")
    print(f"{'ok' if done.returncode == 0 else 'not ok'} 1 - {fuzzer.name}")
    if done.returncode != 0:
        print("\n".join(f"# {line}" for line in done.stdout.splitlines()[-80:]))
    print(f"{executed.group(1) if executed else 'no'} executions of {fuzzer.name}"
          f" in {seconds()} s" + (f", {covered[-1][0]} branches reached" if covered else ""))
    return done.returncode


def merge(fuzzer, kept, found):
    """Replaces the kept inputs by as few and as small ones as possible that reach the same code."""
    with tempfile.TemporaryDirectory() as directory:
        small = Path(directory)
        subprocess.run([str(fuzzer), "-merge=1", "-use_value_profile=0", str(small), str(kept),
                        str(found)], env=environment(), check=True, stderr=subprocess.DEVNULL)
        by_size = sorted(small.iterdir(), key=lambda path: path.stat().st_size)
        step = max(1, len(by_size) / KEPT_MOST)
        chosen = [by_size[int(i * step)] for i in range(min(KEPT_MOST, len(by_size)))]
        for number, path in enumerate(chosen, 1):
            shutil.copy(path, kept / f"{number:02}")
        print(f"{len(chosen)} of {len(by_size)} inputs are kept in {kept}")


def main(*arguments):
    *flags, fuzzer, kept = arguments
    fuzzer, kept = Path(fuzzer).resolve(), Path(kept).resolve()
    found = fuzzer.parent / f"{fuzzer.name}.found" / "inputs"
    found.mkdir(parents=True, exist_ok=True)
    if "--merge" in flags:
        merge(fuzzer, kept, found)
        return 0
    return run(fuzzer, kept, found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
