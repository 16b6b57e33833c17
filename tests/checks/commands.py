# SPDX-License-Identifier: MIT
"""Shared by the checks: commands, the compiler, and test cases made of methods."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path


class Failed(Exception):
    """A command did not do what it should."""


def run(*command, fails=False, cwd=None, **env):
    """The output of a command, which must succeed, or with fails=True must fail."""
    done = subprocess.run(list(map(str, command)), env={**os.environ, **env}, cwd=cwd, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if (done.returncode != 0) != fails:
        raise Failed(f"{shlex.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def output(*command):
    """The output of a tool that must not fail."""
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout


def complaints(compiler, language, standard, text, *options):
    """What the compiler complains about in a program text; empty if nothing."""
    done = subprocess.run(
        [compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-",
         *options], input=text, capture_output=True, text=True, check=False)
    return done.stderr or ("failed" if done.returncode else "")


def expect(text, part):
    if part not in text:
        raise Failed(f"no '{part}' in:\n{text}")


def cases_of(subject):
    """Runs the methods named case_..., in order; their doc strings are the names of the cases."""
    for name in [name for name in vars(type(subject)) if name.startswith("case_")]:
        case, problem = getattr(subject, name), ""
        try:
            case()
        except Failed as failure:
            problem = str(failure)
        yield case.__doc__, problem


def cases_in_folder(subject, *arguments):
    """The cases of a subject that is made from a temporary folder and these arguments."""
    with tempfile.TemporaryDirectory() as folder:
        yield from cases_of(subject(Path(folder), *arguments))
