#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the binary interface matches its committed description, and that a change is noticed.

usage: check_abi.py SOURCE_DIR
"""

import shutil
import sys
from pathlib import Path

import tap
from commands import cases_in_folder, expect, run


class Abi:
    """The cases."""

    def __init__(self, temporary, source):
        self.source, self.copy = source, temporary / "copy"
        shutil.copytree(source, self.copy, ignore=shutil.ignore_patterns("build*", ".git"))

    def compare(self, **options):
        return run("sh", "cmake/packaging/abi.sh", cwd=self.copy, **options)

    def change(self, path, old, new):
        file = self.copy / path
        text = file.read_text()
        expect(text, old)
        file.write_text(text.replace(old, new, 1))
        return text

    def case_same(self):
        """the shared library has the ABI that cmake/packaging/netbasics.abi describes"""
        expect(self.compare(), "is as cmake/packaging/netbasics.abi describes it")

    def case_field(self):
        """a field inserted in the middle of a structure is detected"""
        text = self.change("include/netbasics/serve.h", "    int64_t duration_ns;",
                           "    int64_t between;\n    int64_t duration_ns;")
        expect(self.compare(fails=True), "nb_event")
        (self.copy / "include/netbasics/serve.h").write_text(text)

    def case_function(self):
        """a removed function is detected"""
        text = self.change("lib/netbasics.map", "    nb_conn_fd;\n", "")
        expect(self.compare(fails=True), "nb_conn_fd")
        (self.copy / "lib/netbasics.map").write_text(text)


if __name__ == "__main__":
    tap.report(cases_in_folder(Abi, Path(sys.argv[1])))
