#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles and links every C program that README.md shows, as C and C++, without a warning, and follows
the links of the pages that are read in the repository.

usage: check_readme.py README C_COMPILER STATIC_LIBRARY INCLUDE_DIR...
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import tap

STANDARDS = [("c", "c99"), ("c", "c11"), ("c++", "c++17")]


def build(compiler, language, standard, text, library, include_dirs):
    """What the compiler says against a program; nothing if it is fine."""
    with tempfile.TemporaryDirectory() as directory:
        run = subprocess.run(
            [compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror",
             *(f"-I{path}" for path in include_dirs), "-o", f"{directory}/program",
             "-", "-x", "none", library, "-pthread"],
            input=text, capture_output=True, text=True)
    return run.stderr or ("failed" if run.returncode else "")


def anchors(text):
    """The anchors that the headings of a page get."""
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
        yield f"the links of {page.name} lead somewhere", "\n".join(broken_links(page))
    yield "the badge has the version", version_problem(root)
    blocks = re.findall(r"^```c\n(.*?)^```", Path(readme).read_text(), re.DOTALL | re.MULTILINE)
    for language, standard in STANDARDS:
        skip = tap.Skip("no such compiler") if build(
            compiler, language, standard, "int main() { return 0; }\n", library, []) else ""
        for number, text in enumerate(blocks, 1):
            yield (f"program {number} of the README compiles as {standard}",
                   skip or build(compiler, language, standard, text, library, include_dirs))


if __name__ == "__main__":
    tap.report(cases(*sys.argv[1:]))
