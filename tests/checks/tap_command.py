#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a command, and reports it as one case, which passes if the command succeeds.

usage: tap_command.py NAME COMMAND...
"""

import subprocess
import sys

import tap


def main(name, *command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    yield name, "" if done.returncode == 0 else (
        f"status {done.returncode}\n" + done.stdout.decode("utf-8", "replace"))


if __name__ == "__main__":
    tap.report(main(*sys.argv[1:]))
