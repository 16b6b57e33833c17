#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles and links every C program that README.md shows, as C and C++, without a warning.

usage: check_readme.py README C_COMPILER STATIC_LIBRARY INCLUDE_DIR...
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import tap

STANDARDS = [("c", "c99"), ("c", "c11"), ("c++", "c++17")]


def build(compiler, language, standard, text, library, include_dirs):
    """What the compiler says against a program; nothing if it is fine."""
    with tempfile.TemporaryDirectory() as directory:
        run = subprocess.run(
            [compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror",
             *(f"-I{path}" for path in include_dirs), "-o", f"{directory}/program",
             "-", "-x", "none", library, "-pthread"],
            input=text, capture_output=True, text=True)
    return run.stderr or ("failed" if run.returncode else "")


def cases(readme, compiler, library, *include_dirs):
    blocks = re.findall(r"^```c\n(.*?)^```", Path(readme).read_text(), re.DOTALL | re.MULTILINE)
    for language, standard in STANDARDS:
        skip = tap.Skip("no such compiler") if build(
            compiler, language, standard, "int main() { return 0; }\n", library, []) else ""
        for number, text in enumerate(blocks, 1):
            yield (f"program {number} of the README compiles as {standard}",
                   skip or build(compiler, language, standard, text, library, include_dirs))


if __name__ == "__main__":
    tap.report(cases(*sys.argv[1:]))
