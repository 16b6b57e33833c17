#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles and links every C program in README.md, as C and C++, without a warning, runs its server and
client against each other, and follows the links of the pages that are read in the repository.

usage: check_readme.py README C_COMPILER STATIC_LIBRARY INCLUDE_DIR...
"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import tap
from commands import complaints

STANDARDS = [("c", "c99"), ("c", "c11"), ("c++", "c++17")]
ENDPOINT = '"localhost:12345"'  # As the programs have it.
LIMIT = 30  # Seconds for what should take almost none.


def told(run):
    """The exit status of a program, and its output."""
    return run.returncode, run.stdout, run.stderr


def stopped(server):
    """How a server ends after Ctrl-C."""
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=LIMIT)
    return server.returncode, out, err


def conversation(directory, build_program, server_text, client_text):
    """What goes wrong between the server and the client of the README, together and alone."""
    with socket.create_server(("127.0.0.1", 0)) as sock, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port, nobody = (each.getsockname()[1] for each in (sock, deaf))
        texts = {"server": (server_text, f"fd:{sock.fileno()}"), "client": (client_text, f"127.0.0.1:{port}"),
                 "second_server": (server_text, f"127.0.0.1:{port}"),
                 "lone_client": (client_text, f"127.0.0.1:{nobody}")}
        for name, (text, endpoint) in texts.items():
            if text.count(ENDPOINT) != 1:
                return f"not one {ENDPOINT} in a program"
            if problem := build_program(f"{directory}/{name}", text.replace(ENDPOINT, f'"{endpoint}"')):
                return problem
        with subprocess.Popen([f"{directory}/server"], pass_fds=[sock.fileno()], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as server:
            try:
                results = [told(subprocess.run([f"{directory}/{name}"], timeout=LIMIT, capture_output=True,
                                               text=True)) for name in ("client", "second_server", "lone_client")]
                results.append(stopped(server))
            finally:
                server.kill()
    expected = [(0, r"Received 'Hello, world'\n", ""), (1, "", r"listen on .*: address already in use.*\n"),
                (1, "", r"connect to .*: connection refused.*\n"), (0, "", "")]
    return "\n".join(
        f"{result} instead of {wanted}" for result, wanted in zip(results, expected)
        if result[0] != wanted[0] or not all(map(re.fullmatch, wanted[1:], result[1:])))


def anchors(text):
    """The anchors of the headings of a page."""
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
            for heading in re.findall(r"^#+ (.*?)(?: \{#\w+\})?$", text, re.MULTILINE)}


def broken_links(page):
    """The links of a page that lead nowhere."""
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        other = page.parent / path if path else page
        if not other.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(other.read_text()):
            yield f"{target}: no such heading"


def version_problem(root):
    """What is wrong with the badge of the version."""
    version = re.search(r"^ *VERSION ([\d.]+)$", (root / "CMakeLists.txt").read_text(), re.MULTILINE)[1]
    texts = (root / "README.md").read_text(), (root / "docs/badges/version.svg").read_text()
    return "" if f"version {version}" in texts[0] and f">{version}<" in texts[1] else f"not {version}"


def cases(readme, compiler, library, *include_dirs):
    root = Path(readme).parent
    for page in [*sorted(root.glob("*.md")), *sorted(root.glob("docs/*.md"))]:
        yield f"{page.name} has no broken links", "\n".join(broken_links(page))
    yield "the badge shows the current version", version_problem(root)
    options = [*(f"-I{path}" for path in include_dirs), library, "-pthread"]
    blocks = re.findall(r"^```c\n(.*?)^```", Path(readme).read_text(), re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory() as directory:
        for language, standard in STANDARDS:
            def build_program(program, text, language=language, standard=standard):
                return complaints(compiler, language, standard, text, "-x", "none", *options, "-o", program)

            skip = tap.Skip("no such compiler") if build_program(
                f"{directory}/empty", "int main() { return 0; }\n") else ""
            for number, text in enumerate(blocks, 1):
                yield (f"program {number} of the README compiles as {standard}",
                       skip or build_program(f"{directory}/program", text))
            if language == "c":
                yield (f"server and client of the README work together, compiled as {standard}",
                       skip or conversation(directory, build_program, *blocks[:2]))


if __name__ == "__main__":
    tap.report(cases(*sys.argv[1:]))
