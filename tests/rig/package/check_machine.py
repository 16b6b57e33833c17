#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs each part of the tests, and the scripts that the documents name, once and briefly, each on a fresh
Debian that has only what the part installs itself. Takes an hour or two.

usage: check_machine.py SOURCE_DIR [PART...]

It tests the last commit: the new machine gets a clone.
"""

import os
import re
import sys
from pathlib import Path

import tap
from commands import Failed, run
from debian import new_debian, why_none

SCRIPTS = {"demo": "sh examples/demo.sh", "abi": "sh cmake/packaging/abi.sh",
           "debs": "sh cmake/packaging/debs.sh"}
SETTINGS = {"NETBASICS_FUZZ_SECONDS": "2", "NETBASICS_MUTANTS": "4",
            **{name: value for name, value in os.environ.items()
               if name in ("NETBASICS_FUZZ_SECONDS", "NETBASICS_MUTANTS", "NETBASICS_PLATFORMS")}}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
COUNTS = re.compile(r"^\d+ passed, \d+ failed.*$", re.MULTILINE)
LINES = 60  # of the output of what failed


def parts(source):
    """The parts that the help of run.sh names."""
    text = run("sh", source / "tests/run.sh", "--help")
    return ["quick", *re.findall(r"^  ([a-z]+) ", text, re.MULTILINE)]


def give_network(debian):
    """The certificates of this machine, to which a proxy may have added its own."""
    if not CERTIFICATES.exists():
        return {}
    (debian.root / "root/certificates.crt").write_bytes(CERTIFICATES.read_bytes())
    return {"NODE_EXTRA_CA_CERTS": "/root/certificates.crt"}


def problem(debian, source, command):
    """What went wrong on a copy of a Debian that has only a clone."""
    with debian.copied() as machine:
        run("git", "-c", "safe.directory=*", "clone", "--quiet", source, machine.root / "root/netbasics")
        try:
            said = machine.shell(f"cd /root/netbasics && {command}", **SETTINGS, **give_network(machine))
        except Failed as failure:
            return "\n".join(str(failure).splitlines()[-LINES:])
    counts = COUNTS.findall(said)
    print(f"# {command}: {counts[-1] if counts else 'done'}")
    return ""


def main(source, *chosen):
    source = Path(source)
    why = why_none()
    if why:
        yield "each part of the tests runs on a fresh Debian", why
        return
    commands = {**SCRIPTS, **{part: f"sh tests/run.sh {part}" for part in parts(source)}}
    with new_debian() as debian:
        for name in chosen or commands:
            yield f"{commands[name]} runs on a fresh Debian", problem(debian, source, commands[name])


if __name__ == "__main__":
    tap.report(main(*sys.argv[1:]))
