#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Negates each conditional of lib/ in turn, and counts how many of these mutants the tests notice.

The coverage build is not optimised, so each conditional of the source is a conditional jump (or set) of
its own. A mutant is one such instruction turned into its opposite: a single bit in a copy of each test
program. The programs that reach the line, according to gcov, are run as such copies until one of them fails
or does not end in time.

A mutant may run wild: it runs in its own directory and session, which is killed afterwards, with limits on
memory, files and time.

usage: mutate.py COVERAGE_BUILD_DIR [--sample N] [--seed N] [--only FILE] [--null]
"""

import argparse
import concurrent.futures
import functools
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/checks"))
import tap  # noqa: E402
from commands import output  # noqa: E402

GOAL = 98  # percent
GOAL_OF_SAMPLE = 92  # a sample of 150 differs from the whole by more than this only once in a thousand times
SLOW_PARTS = {"faults", "fuzz", "netns", "soak", "docs", "package"}
LIMITS = {resource.RLIMIT_DATA: 1 << 30, resource.RLIMIT_AS: 1 << 36,
          resource.RLIMIT_FSIZE: 1 << 34, resource.RLIMIT_CORE: 0}


@functools.lru_cache(maxsize=None)
def lines_of(file):
    return (ROOT / file).read_text().splitlines()


def line_of(file, number):
    return lines_of(file)[number - 1].strip()


# ---- The conditionals of the library ----

@dataclass(frozen=True)
class Place:
    """Where a conditional stands in the machine code: at an offset into a function of a source."""
    source: str  # such as conn.c
    function: str
    offset: int  # of the byte whose lowest bit is to be turned
    byte: int


@dataclass
class Mutant:
    file: str  # such as lib/conn/conn.c
    line: int
    number: int = 0  # of those of the same line
    places: list = field(default_factory=list)  # more than one for an inline function

    def __str__(self):
        return f"{self.file}:{self.line} ({self.number})"


def conditional(encoding):
    """The (position, value) of the byte that says which condition, or None."""
    if 0x70 <= encoding[0] <= 0x7f:
        return 0, encoding[0]
    start = 1 if 0x40 <= encoding[0] <= 0x4f else 0  # a REX prefix
    if len(encoding) > start + 1 and encoding[start] == 0x0f and (encoding[start + 1] >> 4) in (8, 9):
        return start + 1, encoding[start + 1]
    return None


def instructions(library):
    """Yields (source, function, offset, encoding, file, line) for each instruction of the library."""
    source = function = file = ""
    begin = line = 0
    for row in output("objdump", "-d", "-l", "--insn-width=16", library).splitlines():
        if match := re.match(r"(\S+)\.o: +file format", row):
            source = match[1]
        elif match := re.match(r"([0-9a-f]+) <([^>]+)>:$", row):
            begin, function = int(match[1], 16), match[2]
        elif match := re.match(r"(/\S+):(\d+)( \(discriminator \d+\))?$", row):
            file, line = match[1], int(match[2])
        elif match := re.match(r" *([0-9a-f]+):\t((?:[0-9a-f]{2} )+)", row):
            yield (source, function, int(match[1], 16) - begin, bytes.fromhex(match[2]), file, line)


def find_mutants(library):
    """The conditionals of lib/, those of one inline function in many sources as one."""
    found = {}
    for source, function, offset, encoding, file, line in instructions(library):
        what = conditional(encoding)
        if what is None or not file.startswith(f"{ROOT}/lib/"):
            continue
        file = str(Path(file).relative_to(ROOT))
        if line_of(file, line) == "{":
            continue  # the compiler's own, in a function with a variable number of arguments
        owner = "" if file.endswith(".h") else source
        mutant = found.setdefault((owner, function, offset), Mutant(file, line))
        mutant.places.append(Place(source, function, offset + what[0], what[1]))
    numbers = defaultdict(int)
    for mutant in found.values():
        numbers[mutant.file, mutant.line] += 1
        mutant.number = numbers[mutant.file, mutant.line]
    return sorted(found.values(), key=lambda mutant: (mutant.file, mutant.line, mutant.number))


# ---- The test programs ----

class Program:
    def __init__(self, name, command, environment):
        self.name, self.command, self.environment = name, command, environment
        self.image = Path(command[0]).read_bytes()
        self.functions = self.find_functions()
        self.seconds = 0.0
        self.lines = set()  # (file, line) that it reaches

    def find_functions(self):
        """Where the functions of each source are in the file."""
        sections = output("readelf", "-SW", self.command[0])
        text = re.search(r" \.text +PROGBITS +([0-9a-f]+) ([0-9a-f]+)", sections)
        shift = int(text[2], 16) - int(text[1], 16)
        functions, source = defaultdict(list), ""
        for row in output("readelf", "-sW", self.command[0]).splitlines():
            cells = row.split()
            if len(cells) < 8:
                continue
            if cells[3] == "FILE":
                source = cells[7]
            elif cells[3] == "FUNC" and cells[6] != "UND":
                # What was global and hidden before the linking comes after the last source.
                owner = source if cells[4] == "LOCAL" and source != "crtstuff.c" else ""
                functions[owner, cells[7]].append(int(cells[1], 16) + shift)
        return functions

    def mutated(self, mutant):
        """The program with the conditional negated, or None if it is not part of it."""
        image, changed = bytearray(self.image), False
        for place in mutant.places:
            starts = (self.functions.get((place.source, place.function)) or
                      self.functions.get(("", place.function), []))
            for start in starts:
                if image[start + place.offset] == place.byte:
                    image[start + place.offset] ^= 1
                    changed = True
        return image if changed else None


def find_programs(build_dir, slow_parts):
    """The C programs among the tests, without the slow parts."""
    listing = json.loads(output("ctest", "--test-dir", build_dir, "--show-only=json-v1"))
    for test in listing["tests"]:
        properties = {item["name"]: item["value"] for item in test.get("properties", [])}
        command = test.get("command", [])
        if (not command or slow_parts & set(properties.get("LABELS", [])) or
                not command[0].startswith(str(Path(build_dir).resolve()))):
            continue
        environment = dict(item.split("=", 1) for item in properties.get("ENVIRONMENT", []))
        yield Program(test["name"], command, environment)


writing = threading.Lock()


def limit():
    for kind, most in LIMITS.items():
        resource.setrlimit(kind, (most, most))


def run(program, image, directory, seconds, log=subprocess.DEVNULL):
    """Whether a program succeeds within a time, when it is changed to an image."""
    executable = Path(directory, program.name)
    with writing:  # a child between fork and exec keeps a file open that is about to be run
        executable.write_bytes(image)
        executable.chmod(0o700)
        child = subprocess.Popen(
            [executable, *program.command[1:]], cwd=directory, start_new_session=True, preexec_fn=limit,
            env={**os.environ, **program.environment, "TMPDIR": directory, "GCOV_PREFIX": directory},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        return child.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def measure(program):
    """The output of the unchanged program if it fails, or ""; how long it takes; which lines of lib/ it
    runs."""
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as log:
        begin = time.monotonic()
        good = run(program, program.image, directory, 300, log)
        program.seconds = time.monotonic() - begin
        program.lines = reached_lines(directory)
        log.seek(0)
        return "" if good else f"{program.name} fails:\n{log.read()}\n"


def measure_twice(program):
    """The same, with a second try if the first one fails: flaky tests are the business of the other
    parts."""
    failure = measure(program)
    if failure:
        print(f"failed once without a mutation: {failure}", flush=True)
    return failure and measure(program)


def reached_lines(directory):
    """The lines of lib/ that ran, as gcov's data in a directory tell."""
    data = [path for path in Path(directory).rglob("*.gcda")
            if "netbasics_static.dir/lib" in str(path)]
    if not data:
        return set()
    for path in data:
        notes = Path("/", path.relative_to(directory)).with_suffix(".gcno")
        path.with_suffix(".gcno").symlink_to(notes)
    lines = set()
    for document in output("gcov", "--json-format", "--stdout", *data).splitlines():
        for file in json.loads(document)["files"]:
            path = Path(ROOT, file["file"])
            if path.is_relative_to(ROOT / "lib"):
                name = str(path.relative_to(ROOT))
                lines.update((name, line["line_number"]) for line in file["lines"] if line["count"])
    return lines


# ---- Judging ----

def noticed_by(mutant, programs, null):
    """The name of the first program that fails on the mutant, or None."""
    for program in programs:
        if (mutant.file, mutant.line) not in program.lines:
            continue
        image = program.mutated(mutant)
        if image is None:
            continue
        if null:
            image = program.image
        with tempfile.TemporaryDirectory() as directory:
            if not run(program, image, directory, 5 + 4 * program.seconds):
                return program.name
    return None


def equivalents():
    """The (file, number, text of the line) of mutants that behave like the original."""
    known = set()
    for row in (Path(__file__).parent / "equivalent.txt").read_text().splitlines():
        if row and not row.startswith("#"):
            file, number, text, _ = (cell.strip() for cell in row.split(" | ", 3))
            known.add((file, int(number), text))
    return known


def text_of(mutant):
    return line_of(mutant.file, mutant.line)


def key_of(mutant):
    """As equivalents() has it."""
    return mutant.file, mutant.number, text_of(mutant)


def gone(known, mutants):
    """The rows of equivalent.txt that are no mutants, a line each."""
    return "\n".join(f"{file} | {number} | {text} | is no conditional (any more)"
                     for file, number, text in sorted(known - set(map(key_of, mutants))))


@functools.lru_cache(maxsize=None)
def excluded_lines(file):
    """The lines that the coverage leaves out, because no test can reach all of them."""
    inside, excluded = False, set()
    for number, line in enumerate(lines_of(file), 1):
        inside = inside or "GCOV_EXCL_START" in line
        if inside or "GCOV_EXCL_LINE" in line or "GCOV_EXCL_BR_LINE" in line:
            excluded.add(number)
        inside = inside and "GCOV_EXCL_STOP" not in line
    return excluded


def choose(mutants, known, sample, seed, only):
    left = [mutant for mutant in mutants if mutant.line not in excluded_lines(mutant.file) and
            key_of(mutant) not in known]
    print(f"mutants: {len(mutants)}, of which {len(mutants) - len(left)} cannot be noticed")
    left = [mutant for mutant in left if only in (None, mutant.file)]
    if sample and sample < len(left):
        left = random.Random(seed).sample(left, sample)
    return left


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build_dir")
    parser.add_argument("--sample", type=int, default=0, help="judge only so many, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="judge only those of one file, such as lib/conn/conn.c")
    parser.add_argument("--faults", action="store_true", help="let the fault driver judge, too")
    parser.add_argument("--null", action="store_true",
                        help="change nothing: all must survive, or the figures mean nothing")
    return parser.parse_args()


def cases(args):
    programs = list(find_programs(args.build_dir, SLOW_PARTS - ({"faults"} if args.faults else set())))
    by, survivors = defaultdict(int), []
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:  # they mostly wait
        failures = dict(zip(programs, pool.map(measure_twice, programs)))
        yield "the tests succeed without any mutation", "".join(failures.values())
        programs = sorted((program for program in programs if not failures[program]),
                          key=lambda program: program.seconds)
        print(f"programs: {len(programs)}, {sum(program.seconds for program in programs):.0f} s together")
        mutants, known = find_mutants(Path(args.build_dir, "libnetbasics.a")), equivalents()
        yield "the rows of equivalent.txt are there", gone(known, mutants)
        chosen = choose(mutants, known, args.sample, args.seed, args.only)
        for mutant, name in pool.map(lambda mutant: (mutant, noticed_by(mutant, programs, args.null)),
                                     chosen):
            by[name] += 1
            if name is None:
                survivors.append(mutant)
                print(f"survives: {mutant}: {text_of(mutant)}", flush=True)
    for name, count in sorted(by.items(), key=lambda item: -item[1]):
        print(f"  {name or 'no program'}: {count}")
    noticed = len(chosen) - len(survivors)
    percent = 100 * noticed / max(1, len(chosen))
    print(f"judged: {len(chosen)}, noticed: {noticed} = {percent:.1f} %")
    goal = GOAL_OF_SAMPLE if args.sample else GOAL
    yield (f"at least {goal} % of the mutants are noticed",
           "" if percent >= goal else f"only {percent:.1f} %")


if __name__ == "__main__":
    tap.report(cases(read_arguments()))
