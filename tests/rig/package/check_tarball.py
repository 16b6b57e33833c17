#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the source archive has the same bytes wherever it is made, and builds without a network.

usage: check_tarball.py SOURCE_DIR
"""

import os
import sys
from pathlib import Path

import tap
from commands import Failed, cases_in_folder, run


class Tarball:
    """The cases."""

    def __init__(self, temporary, source):
        self.source, self.temporary = source, temporary
        self.archives = []

    def make(self, name, umask, **env):
        """The archive, made from a clone of its own."""
        clone = self.temporary / name
        previous = os.umask(umask)
        try:
            run("git", "-c", "safe.directory=*", "clone", "--quiet", self.source, clone)
            out = run("sh", clone / "cmake/packaging/tarball.sh", self.temporary / f"{name} out", **env)
        finally:
            os.umask(previous)
        return Path(out.strip().splitlines()[-1])

    def case_same(self):
        """two archives from different folders, times, locales and umasks are identical"""
        self.archives = [self.make("one", 0o022, TZ="UTC", LC_ALL="C"),
                         self.make("another folder", 0o077, TZ="Asia/Tokyo", LC_ALL="de_DE.UTF-8")]
        first, second = (archive.read_bytes() for archive in self.archives)
        if first != second:
            raise Failed("the archives differ")

    def case_build(self):
        """the archive builds, installs and runs without a network"""
        run("tar", "-xf", self.archives[0], "-C", self.temporary)
        root = self.temporary / self.archives[0].name.removesuffix(".tar.gz")
        alone = ["unshare", "--net"] if os.geteuid() == 0 else []
        build, prefix = self.temporary / "build", self.temporary / "prefix"
        run(*alone, "cmake", "-S", root, "-B", build, "-DNETBASICS_BUILD_TESTS=OFF",
            "-DNETBASICS_BUILD_DOCS=OFF")
        run(*alone, "cmake", "--build", build, "--parallel", 2)
        run(*alone, "cmake", "--install", build, "--prefix", prefix)
        run(prefix / "bin/echo_server", "--version")


if __name__ == "__main__":
    tap.report(cases_in_folder(Tarball, Path(sys.argv[1])))
