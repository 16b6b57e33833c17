#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that every Python script here works with the oldest Python that is supported.

usage: check_scripts.py SOURCE_DIR
"""

import ast
import re
import sys
from pathlib import Path

import tap


def problem(path, oldest):
    try:
        ast.parse(path.read_text(), path.name, feature_version=oldest)
    except SyntaxError as error:
        return f"{path}:{error.lineno}: {error.msg}"
    return ""


def main(source):
    source = Path(source)
    wanted = re.findall(r"find_package\(Python3 (\d+)\.(\d+) ", "".join(
        (source / folder / "CMakeLists.txt").read_text() for folder in ("docs", "docs/snippets", "tests")))
    wanted += re.findall(r"sys\.version_info < \((\d+), (\d+)\)", (source / "cmake/need.sh").read_text())
    yield "every build file asks for the same version of Python", "" if len(set(wanted)) == 1 else f"{wanted}"
    oldest = tuple(map(int, wanted[0]))
    for path in sorted([*(source / "tests").rglob("*.py"), *(source / "docs").rglob("*.py")]):
        yield f"{path.relative_to(source)} works with the oldest Python", problem(path, oldest)


if __name__ == "__main__":
    tap.report(main(*sys.argv[1:]))
