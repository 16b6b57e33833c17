#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that a target which cannot be built fails and says why, with every build program.

usage: check_targets.py SOURCE_DIR C_COMPILER
"""

import shutil
import sys
import tempfile
from pathlib import Path

import tap
from commands import Failed, expect, run

GENERATORS = {"Unix Makefiles": "make", "Ninja": "ninja"}
# The options, the target, and a part of its error message.
ROWS = {
    "docs without Doxygen": ("-DCMAKE_DISABLE_FIND_PACKAGE_Doxygen=ON", "docs", "did not find Doxygen"),
    "docs without Python": ("-DCMAKE_DISABLE_FIND_PACKAGE_Python3=ON", "docs", "Python3"),
    "docs of a build without": ("-DNETBASICS_BUILD_DOCS=OFF", "docs", "NETBASICS_BUILD_DOCS=OFF"),
    "bench of a build without tests": ("-DNETBASICS_INSTALL=OFF", "bench", "NETBASICS_BUILD_TESTS=OFF"),
}


def problem(source, compiler, generator, option, target, why):
    with tempfile.TemporaryDirectory() as build:
        (Path(build) / target).mkdir()  # to make(1) it is there, and up to date
        try:
            run("cmake", "-S", source, "-B", build, "-G", generator, f"-DCMAKE_C_COMPILER={compiler}",
                "-DNETBASICS_BUILD_TESTS=OFF", "-DNETBASICS_BUILD_EXAMPLES=OFF", option)
            expect(run("cmake", "--build", build, "--target", target, fails=True), why)
        except Failed as failure:
            return str(failure)
    return ""


def main(source, compiler):
    for generator, program in GENERATORS.items():
        there = shutil.which(program)
        for name, row in ROWS.items():
            yield (f"{name} fails and says why ({generator})",
                   problem(source, compiler, generator, *row) if there
                   else tap.Skip(f"no {program} here"))


if __name__ == "__main__":
    tap.report(main(*sys.argv[1:]))
