#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each man page exists, is well formed, fits a terminal, and agrees with the program's --help.

usage: check_man.py MAN_DIR SYMBOL_MAP PROGRAM_DIR
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import tap

TYPES = ("nb_address", "nb_conn", "nb_connect_options", "nb_credentials", "nb_deadline", "nb_direction", "nb_error",
         "nb_event", "nb_event_handler", "nb_event_kind", "nb_family", "nb_handler",
         "nb_listen_options", "nb_listener", "nb_serve_options", "nb_serve_counters", "nb_slice",
         "nb_status")
PROGRAMS = ("time_server", "time_client", "echo_server", "echo_client")
SECTIONS = {"1": ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"),
            "3": ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"),
            "7": ("NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO")}


def run(*command, **environment):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env=os.environ | environment).stdout.decode("utf-8", "replace")


def rendered(page):
    """What a reader sees on a terminal of 80 columns, without bold and underlining."""
    return re.sub(".\b", "", run("man", "-l", str(page), MANWIDTH="80", LC_ALL="C.UTF-8"))


def problems_of(page, pages):
    text = rendered(page)
    section = page.suffix[1:]
    problems = run("mandoc", "-Tlint", str(page))
    for line in text.splitlines():
        if len(line) > 80:
            problems += f"wider than 80 columns: {line}\n"
        if re.search(r"[(\[\"]\u2010$", line):
            problems += f"hyphenated before its first letter: {line}\n"
    headings = re.findall(r"^([A-Z].*)$", text, re.MULTILINE)
    for wanted in SECTIONS[section]:
        if wanted not in headings:
            problems += f"no section {wanted}\n"
    if section == "3" and "RETURN VALUE" in headings and not re.search(
            r"^RETURN VALUE\n +\S", text, re.MULTILINE):
        problems += "an empty RETURN VALUE\n"
    for name in re.findall(r"\b((?:nb_|netbasics|time_|echo_)\w*)\([137]\)", text):
        if name not in pages:
            problems += f"refers to {name}, which has no page\n"
    return problems


def warnings_of(page):
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", str(page)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                          env=os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
    return done.stderr.decode("utf-8", "replace")


def options_of(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def cases(man_dir, symbol_map, program_dir):
    pages = {page.stem: page for pattern in ("*.1", "*.7", "man3/*.3")
             for page in sorted(Path(man_dir).glob(pattern))}
    functions = set(re.findall(r"^\s+(nb_\w+);", Path(symbol_map).read_text(), re.MULTILINE))
    missing = sorted((functions | set(TYPES) | set(PROGRAMS) | {"netbasics"}) - set(pages))
    yield "every function, type and program has a page", ", ".join(missing)
    overview = rendered(pages["netbasics"])
    unnamed = sorted(name for name in functions if f"{name}(3)" not in overview)
    yield "the overview names every function", ", ".join(unnamed)
    for name, page in pages.items():
        yield f"{page.name} is well formed and fits", problems_of(page, pages) + warnings_of(page)
    for name in functions & set(pages):
        text = rendered(pages[name])
        lacks = [part for part in ("EXAMPLES", "BLOCKING, THREADS, SIGNALS") if f"\n{part}\n" not in text]
        yield f"{name}.3 documents threads and has an example", ", ".join(lacks)
    for name in PROGRAMS:
        usage = run(str(Path(program_dir) / name), "--help")
        difference = options_of(usage) ^ options_of(rendered(pages[name]).split("EXAMPLES")[0])
        yield f"{name}.1 has the options of --help", ", ".join(sorted(difference))
    print(f"# {len(pages)} pages")


if __name__ == "__main__":
    tap.report(cases(*sys.argv[1:]))
