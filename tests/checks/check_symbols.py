#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the headers, the symbol map and the libraries agree on what is public.

usage: check_symbols.py SOURCE_DIR VERSION_HEADER SHARED_LIBRARY STATIC_LIBRARY
"""

import re
import sys
from pathlib import Path

import tap
from commands import output


def declared(headers):
    """The functions that the headers mark with NB_API."""
    names = set()
    for header in headers:
        code = re.sub(r"/\*.*?\*/|^\s*#.*?$", "", header.read_text(), flags=re.DOTALL | re.MULTILINE)
        names.update(re.findall(r"\bNB_API\b[^;(]*?\b(\w+)\s*\(", code))
    return names


def mapped(map_file):
    """The versioned names of a version script, such as nb_close@@NETBASICS_0.1."""
    code = re.sub(r"/\*.*?\*/", "", map_file.read_text(), flags=re.DOTALL)
    return {f"{name}@@{node}"
            for node, body in re.findall(r"(\S+)\s*\{\s*global:(.*?)(?:local:|\})", code, re.DOTALL)
            for name in re.findall(r"[^\s;]+", body)}


def exported(library, *options):
    """The symbols that a library defines; the versions themselves do not count."""
    listing = output("nm", "--defined-only", "--format=posix", *options, library)
    rows = [line.split() for line in listing.splitlines()]
    return {row[0] for row in rows if len(row) > 1 and row[1].isupper() and row[1] != "A"}


def difference(left, left_name, right, right_name):
    return "".join(f"only in {where}: {name}\n"
                   for where, names in ((left_name, left - right), (right_name, right - left))
                   for name in sorted(names))


def cases(source_dir, version_header, shared, static):
    headers = [*(source_dir / "include/netbasics").glob("*.h"), version_header]
    in_map = mapped(source_dir / "lib/netbasics.map")
    yield "the map lists exactly the functions of the headers", difference(
        {name.split("@")[0] for name in in_map}, "the map", declared(headers), "the headers")
    yield "the shared library exports exactly the functions of the map", difference(
        exported(shared, "--dynamic"), "the library", in_map, "the map")
    yield "the static library defines no global name without the prefix nb_", "\n".join(
        sorted(name for name in exported(static, "--extern-only") if not name.startswith("nb_")))


if __name__ == "__main__":
    tap.report(cases(*map(Path, sys.argv[1:])))
