#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does what a new user does on a fresh Debian: install the packages, copy the server of the README into a
new folder, compile it in each documented way, run it, read its man page, remove the packages.

usage: check_debs.py SOURCE_DIR [ROOT]

Without ROOT, debootstrap makes a Debian; not run as root, only the packages themselves are checked.
"""

import re
import shutil
import sys
from pathlib import Path

import tap
from commands import Failed, cases_of, expect, run
from debian import Debian, new_debian, why_none

TOOLS = ("gcc", "libc6-dev", "cmake", "make", "pkg-config", "man-db", "netcat-openbsd")
PACKAGES = ("libnetbasics0.1", "libnetbasics-dev", "netbasics-examples", "netbasics-doc")
CMAKE = """cmake_minimum_required(VERSION 3.24)
project(server LANGUAGES C)
find_package(netbasics 0.1 REQUIRED)
add_executable(server server.c)
target_link_libraries(server PRIVATE netbasics::{})
"""
# Starts the server, asks it for an echo, and stops it with a signal.
USE = """set -eu
{} & server=$!
for i in $(seq 100); do
    if answer=$(printf hello | nc -N -w 10 127.0.0.1 12345 2>/dev/null) && [ -n "$answer" ]; then break; fi
    sleep 0.1
done
kill -TERM $server
wait $server
[ "$answer" = hello ]
"""


class Debs:
    """The cases."""

    def __init__(self, source):
        self.source = source
        self.files = []

    def case_build(self):
        """the packages build"""
        run("sh", "cmake/packaging/debs.sh", cwd=self.source)
        self.files = sorted((self.source / "build/package/packages").glob("*.deb"))
        names = {file.name.split("_")[0] for file in self.files}
        if names != set(PACKAGES):
            raise Failed(f"unexpected packages: {', '.join(sorted(names))}")

    def case_descriptions(self):
        """each package has its own summary"""
        summaries = {run("dpkg-deb", "--field", file, "Description").splitlines()[0]
                     for file in self.files}
        if len(summaries) != len(PACKAGES):
            raise Failed(f"summaries: {'; '.join(sorted(summaries))}")

    def case_lintian(self):
        """lintian finds no errors"""
        run("lintian", "--fail-on", "error", "--allow-root", *self.files)


class Walk:
    """The cases on the fresh Debian."""

    def __init__(self, source, files, debian):
        self.source, self.files, self.root = source, files, debian.root
        self.inside, self.shell = debian.inside, debian.shell
        self.before = set()

    def tree(self):
        """Every file except those that belong to package tools and caches."""
        return set(self.shell("find /usr /etc -xdev ! -path '/etc/ld.so.cache*' "
                              "! -path '/usr/share/doc' | sort").splitlines())

    def case_tools(self):
        """a compiler installs on a fresh Debian"""
        # A minimal system leaves man pages out; these tests need them.
        for rules in self.root.glob("etc/dpkg/dpkg.cfg.d/*"):
            rules.unlink()
        self.inside("apt-get", "-q", "update")
        self.inside("apt-get", "-q", "install", "-y", "--no-install-recommends", *TOOLS)
        self.before = self.tree()

    def case_install(self):
        """the packages install with apt"""
        where = self.root / "root/packages"
        where.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            shutil.copy(file, where)
        self.inside("sh", "-c", "apt-get -q install -y --no-install-recommends /root/packages/*.deb")

    def case_compile(self):
        """the server of the README compiles with -lnetbasics, pkg-config and CMake, shared and static"""
        code = re.search(r"## A server.*?```c\n(.*?)```", (self.source / "README.md").read_text(),
                         re.DOTALL)[1]
        new = self.root / "root/new"
        new.mkdir(parents=True, exist_ok=True)
        (new / "server.c").write_text(code)
        self.shell("cd /root/new && cc -Wall -o plain server.c -lnetbasics")
        self.shell("cd /root/new && cc -Wall -o flags server.c $(pkg-config --cflags --libs netbasics)")
        self.shell("cd /root/new && cc -Wall -static -o static server.c"
                   " $(pkg-config --static --cflags --libs netbasics)")
        for kind in ("shared", "static"):
            (new / "CMakeLists.txt").write_text(CMAKE.format(kind))
            self.shell(f"cd /root/new && cmake -B {kind}-build && cmake --build {kind}-build")

    def case_run(self):
        """the compiled server serves, and stops on a signal"""
        for program in ("plain", "flags", "static", "shared-build/server", "static-build/server"):
            self.shell(USE.format(f"/root/new/{program}"))
        self.shell(USE.format("echo_server --quiet"))

    def case_read(self):
        """the man pages are installed"""
        for page, part in (("nb_send_all", "nb_status nb_send_all("), ("nb_serve", "RETURN VALUE"),
                           ("netbasics", "Endpoints"), ("echo_server", "--drain-ms")):
            expect(self.shell(f"MANWIDTH=80 man {page}"), part)
        self.shell("test -f /usr/share/doc/netbasics/html/index.html")

    def case_remove(self):
        """removing the packages leaves nothing behind"""
        self.inside("apt-get", "-q", "purge", "-y", *PACKAGES)
        left = self.tree() - self.before
        if left:
            raise Failed("left behind: " + ", ".join(sorted(left)))


def main(source, root=None):
    debs = Debs(Path(source))
    yield from cases_of(debs)
    why = why_none()
    if root:
        yield from cases_of(Walk(Path(source), debs.files, Debian(root)))
    elif why:
        yield "a new user's steps on a fresh Debian", why
    else:
        with new_debian() as debian:
            yield from cases_of(Walk(Path(source), debs.files, debian))


if __name__ == "__main__":
    tap.report(main(*sys.argv[1:]))
