#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that tests/unit mirrors lib: a folder here for each folder there, with tests in it, and no other.

usage: check_folders.py SOURCE_DIR
"""

import sys
from pathlib import Path

import tap


def folders(parent, pattern):
    """The folders that have files of this kind."""
    return {path.parent.name for path in parent.glob(f"*/{pattern}")}


def cases(source_dir):
    sources = folders(source_dir / "lib", "*.c")
    tests = folders(source_dir / "tests/unit", "test_*.c")
    for name in sorted(sources):
        yield f"lib/{name} has tests", "" if name in tests else f"there is no tests/unit/{name}/test_*.c"
    for name in sorted(tests):
        yield f"tests/unit/{name} mirrors a folder of lib", "" if name in sources else f"there is no lib/{name}"
    stray = sorted(path.name for path in (source_dir / "tests/unit").glob("*.c"))
    yield "each test is in a folder", "\n".join(stray)


if __name__ == "__main__":
    tap.report(cases(Path(sys.argv[1])))
