#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sums up gcov's counts for lib/, names each line and branch that never ran, and writes HTML.

usage: coverage.py BUILD_DIR
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/checks"))
import tap  # noqa: E402

LEAST = {"lines": 99, "branches": 97}


def gcovr(build_dir, *formats):
    subprocess.run(["gcovr", "--root", ROOT, "--filter", f"{ROOT}/lib/", "--object-directory", build_dir,
                    *formats, ROOT / build_dir], check=True, stdout=subprocess.DEVNULL)


def figures(files):
    """The (reached, total) numbers of lines and of branches, and a text for each one not reached."""
    total, missing = {"lines": [0, 0], "branches": [0, 0]}, []
    for file in files:
        for line in file["lines"]:
            if line.get("gcovr/noncode"):
                continue
            total["lines"][0] += line["count"] > 0
            total["lines"][1] += 1
            if not line["count"]:
                missing.append(f"{file['file']}:{line['line_number']}: never runs")
            taken = [branch["count"] > 0 for branch in line["branches"]]
            total["branches"][0] += sum(taken)
            total["branches"][1] += len(taken)
            if line["count"] and not all(taken):
                missing.append(f"{file['file']}:{line['line_number']}: "
                               f"{taken.count(False)} of {len(taken)} branches are never taken")
    return total, missing


def cases(build_dir):
    html, data = Path(build_dir, "html"), Path(build_dir, "coverage.json")
    html.mkdir(exist_ok=True)
    gcovr(build_dir, "--json", data, "--html-details", html / "index.html")
    total, missing = figures(json.loads(data.read_text())["files"])
    print("\n".join(missing))
    for kind, (reached, number) in total.items():
        percent = 100 * reached / max(1, number)
        print(f"{kind}: {reached} of {number} = {percent:.2f} %")
        yield (f"at least {LEAST[kind]} % of all {kind} run",
               "" if percent >= LEAST[kind] else f"only {percent:.2f} %")
    print(f"see {html}/index.html")


if __name__ == "__main__":
    tap.report(cases(sys.argv[1]))
