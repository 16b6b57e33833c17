#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that no function of the library needs much stack: who calls it may have a small one.

The compiler tells how much each function takes. It is asked with flags of our own, because sanitizers and
coverage make frames larger.

usage: check_stack.py SOURCE_DIR C_COMPILER INCLUDE_DIR...
       check_stack.py --largest SOURCE_DIR C_COMPILER INCLUDE_DIR...     prints the largest frames
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import tap

MOST = 2048  # bytes
LEVELS = ["-O0", "-O2"]


def stack_usage(compile_it, source):
    """(bytes, kind, where and which) for each function of a source; None if the compiler does not tell."""
    with tempfile.TemporaryDirectory() as directory:
        usage = Path(directory) / "it.su"
        if subprocess.run([*compile_it, source, "-o", usage.with_suffix(".o")]).returncode:
            return None
        rows = [line.split("\t") for line in usage.read_text().splitlines()] if usage.exists() else None
    return rows and [(int(size), kind, place) for place, size, kind in rows]


def frames(source_dir, compiler, include_dirs, level):
    """All frames of the library, the largest first, or why they are not known."""
    compile_it = [compiler, "-std=c11", level, "-fPIC", "-fstack-usage", "-c", f"-I{source_dir}/lib",
                  *(f"-I{directory}" for directory in include_dirs)]
    found = []
    for source in sorted(Path(source_dir, "lib").rglob("*.c")):
        usage = stack_usage(compile_it, source)
        if usage is None:
            return tap.Skip(f"{compiler} does not tell how much stack {source.name} takes")
        found += usage
    return sorted(found, reverse=True)


def cases(*arguments):
    for level in LEVELS:
        found = frames(*arguments, level)
        name = f"no function of the library takes more than {MOST} bytes of stack with {level}"
        if isinstance(found, tap.Skip):
            yield name, found
            continue
        yield name, "\n".join(f"{place} takes {size} ({kind})" for size, kind, place in found
                              if size > MOST or kind == "dynamic") if found else "no functions found"


if __name__ == "__main__":
    largest = sys.argv[1] == "--largest"
    source_dir, compiler, *include_dirs = sys.argv[2 if largest else 1:]
    if largest:
        for level in LEVELS:
            print(level, *frames(source_dir, compiler, include_dirs, level)[:10], sep="\n")
    else:
        tap.report(cases(source_dir, compiler, include_dirs))
