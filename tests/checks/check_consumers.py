#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that netbasics can be used in each way that the README lists, from an installation that was
moved into a folder with a space in its name, and as a part of another build.

usage: check_consumers.py SOURCE_DIR BUILD_DIR C_COMPILER [CXX_COMPILER]
"""

import re
import shlex
import sys
from pathlib import Path

import tap
from commands import Failed, cases_in_folder, expect, run

# Feature macros that a surrounding build may define: all of them, and fewer than the library needs.
FEATURE_MACROS = {
    "all": "-D_GNU_SOURCE -D_DEFAULT_SOURCE -D_BSD_SOURCE -D_POSIX_C_SOURCE=200112L "
           "-D_XOPEN_SOURCE=700 -D_FILE_OFFSET_BITS=64 -D_REENTRANT",
    "old": "-D_POSIX_SOURCE -D_POSIX_C_SOURCE=1 -D_XOPEN_SOURCE=500",
}
FEATURE_MACRO = re.compile(r"^(#define (_\w+_SOURCE|_FILE_OFFSET_BITS|_TIME_BITS)\b)", re.MULTILINE)


class Consumers:
    """The cases, one per method, named by the doc string."""

    def __init__(self, temporary, source, build, cc, cxx=None):
        self.source, self.build_tree, self.cc, self.cxx = source, build, cc, cxx
        self.consumer = source / "tests/checks/consumers"
        self.temporary = temporary
        self.prefix = temporary / "moved prefix"

    def configure(self, directory, *options, fails=False):
        return run("cmake", "-S", self.consumer, "-B", self.temporary / directory,
                   f"-DCMAKE_C_COMPILER={self.cc}", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                   *options, fails=fails)

    def build_and_run(self, directory, *options):
        """Returns the build directory."""
        cxx = f"-DCMAKE_CXX_COMPILER={self.cxx}" if self.cxx else "-DCONSUMER_CXX="
        self.configure(directory, *options, cxx)
        run("cmake", "--build", self.temporary / directory, "--parallel", 2)
        programs = sorted((self.temporary / directory).glob("consumer_*"))
        if len(programs) != (4 if self.cxx else 3):
            raise Failed(f"unexpected programs: {programs}")
        for program in programs:
            run(program)
        return self.temporary / directory

    def build_with(self, kind, directory, *options):
        """Builds and runs; netbasics::netbasics must be the library of this kind."""
        program = self.build_and_run(directory, *options) / "consumer_netbasics"
        if ("libnetbasics.so" in run("readelf", "--dynamic", program)) != (kind == "shared"):
            raise Failed(f"netbasics::netbasics is not the {kind} library")

    def pkg_config(self, *options):
        pc_dirs = [str(path.parent) for path in self.prefix.rglob("netbasics.pc")]
        return shlex.split(run("pkg-config", *options, "netbasics",
                               PKG_CONFIG_PATH=":".join(pc_dirs)))

    def lib_dir(self):
        return next(self.prefix.rglob("libnetbasics.a")).parent

    def compile_and_run(self, program, *flags):
        run(self.cc, "-o", self.temporary / program, self.consumer / "consumer.c", *flags)
        run(self.temporary / program, LD_LIBRARY_PATH=str(self.lib_dir()))

    def case_install(self):
        """the build installs, and the installation is relocatable"""
        run("cmake", "--install", self.build_tree, "--prefix", self.temporary / "prefix")
        (self.temporary / "prefix").rename(self.prefix)

    def case_programs(self):
        """the installed example programs start"""
        for program in sorted((self.prefix / "bin").iterdir()):
            run(program, "--version")

    def case_find_package(self):
        """find_package gives the three targets, static by default"""
        self.build_with("static", "find-package")

    def case_find_package_shared(self):
        """netbasics::netbasics follows BUILD_SHARED_LIBS"""
        self.build_with("shared", "find-package-shared", "-DBUILD_SHARED_LIBS=ON")

    def case_component(self):
        """netbasics::netbasics is the only component that find_package asked for"""
        self.build_with("shared", "component", "-DNETBASICS_COMPONENTS=shared")

    def case_standards(self):
        """the headers compile without a warning as C11, C17, C++17 and C++20 (C99, C++11: above)"""
        self.build_and_run("newer", "-DCONSUMER_C=11", "-DCONSUMER_CXX=17")
        self.build_and_run("newest", "-DCONSUMER_C=17", "-DCONSUMER_CXX=20")

    def case_fetch_content(self):
        """FetchContent gives the same targets"""
        self.build_and_run("fetched", f"-DNETBASICS_SOURCE={self.source}", "-DNETBASICS_FETCH=ON")

    def case_add_subdirectory(self):
        """add_subdirectory gives the same targets"""
        self.build_and_run("subdirectory", f"-DNETBASICS_SOURCE={self.source}")

    def case_feature_macros(self):
        """library and examples build inside a project with its own feature macros and warnings as errors"""
        for directory, macros in FEATURE_MACROS.items():
            self.build_and_run(directory, f"-DNETBASICS_SOURCE={self.source}",
                               "-DNETBASICS_BUILD_EXAMPLES=ON", f"-DCMAKE_C_FLAGS=-Werror {macros}")

    def case_feature_macros_of_all_sources(self):
        """every source that defines a feature macro undefines it first"""
        for folder in ("lib", "examples", "tests", "docs"):
            for path in (self.source / folder).rglob("*.[ch]"):
                text = path.read_text()
                for define, macro in FEATURE_MACRO.findall(text):
                    if f"#undef {macro}\n{define}" not in text:
                        raise Failed(f"{path}: no '#undef {macro}' right before '{define}'")

    def case_pkg_config(self):
        """pkg-config links the shared library"""
        self.compile_and_run("pkg-config-shared", *self.pkg_config("--cflags", "--libs"))

    def case_pkg_config_static(self):
        """pkg-config --static links a static program"""
        flags = self.pkg_config("--static", "--cflags", "--libs")
        expect(" ".join(flags), "-pthread")
        self.compile_and_run("pkg-config-static", "-static", *flags)

    def case_plain(self):
        """a plain compiler call needs no more than -lnetbasics"""
        self.compile_and_run("plain", f"-I{self.prefix}/include", f"-L{self.lib_dir()}",
                             "-lnetbasics")

    def case_version_accepted(self):
        """find_package accepts the version that is installed"""
        self.configure("good-version", f"-DNETBASICS_WANTED={self.pkg_config('--modversion')[0]}")

    def case_version_refused(self):
        """find_package refuses another minor version"""
        for wanted in ("0.0", "0.999", "1.0"):
            said = self.configure("bad-version", f"-DNETBASICS_WANTED={wanted}", fails=True)
            expect(" ".join(said.split()), f'compatible with requested version "{wanted}"')

    def case_component_refused(self):
        """find_package refuses an unknown component and names it"""
        said = self.configure("bad-component", "-DNETBASICS_COMPONENTS=dynamic", fails=True)
        expect(said, "no component 'dynamic'")

    def case_uninstall(self):
        """the command in the README uninstalls every file"""
        command = next(line for line in (self.source / "README.md").read_text().splitlines()
                       if "install_manifest.txt" in line).split("`")[1]
        prefix = self.temporary / "short-lived prefix"
        run("cmake", "--install", self.build_tree, "--prefix", prefix)
        run("sh", "-c", command.replace("build/", '"$1"/'), "sh", self.build_tree)
        if left := [path for path in prefix.rglob("*") if not path.is_dir()]:
            raise Failed(f"left: {left}")


if __name__ == "__main__":
    tap.report(cases_in_folder(Consumers, Path(sys.argv[1]), *sys.argv[2:]))
