#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each public header compiles alone, twice over, and without a warning, as C and C++.

usage: check_headers.py C_COMPILER INCLUDE_DIR...
"""

import sys
from pathlib import Path

import tap
from commands import complaints

STANDARDS = [("c", "c99"), ("c", "c11"), ("c", "c17"),
             ("c++", "c++11"), ("c++", "c++17"), ("c++", "c++20")]
MORE = ["-Wundef", "-Wshadow", "-Wconversion", "-fsyntax-only"]

OPTIONS = """#include <netbasics/netbasics.h>
extern const nb_connect_options connecting = NB_CONNECT_OPTIONS_INIT;
extern const nb_listen_options listening = NB_LISTEN_OPTIONS_INIT;
extern const nb_serve_options serving = NB_SERVE_OPTIONS_INIT;
"""


def cases(compiler, include_dirs):
    options = [*MORE, *(f"-I{directory}" for directory in include_dirs)]
    cxx_options = [*options, "-Wzero-as-null-pointer-constant"]
    headers = [path for directory in include_dirs for path in Path(directory).glob("netbasics/*.h")]
    for language, standard in STANDARDS:
        skip = tap.Skip("no such compiler") if complaints(
            compiler, language, standard, "int x;\n", *MORE) else ""
        for header in sorted(path.name for path in headers):
            text = f"#include <netbasics/{header}>\n" * 2 + "extern int not_empty;\n"
            yield (f"{header} compiles as {standard}",
                   skip or complaints(compiler, language, standard, text, *options))
        if language == "c++":
            yield (f"the _INIT macros compile without a warning as {standard}",
                   skip or complaints(compiler, language, standard, OPTIONS, *cxx_options))


if __name__ == "__main__":
    tap.report(cases(sys.argv[1], sys.argv[2:]))
