#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the functions of lib/sys/sys.h, so that each of them can be made to fail: writes a list of them
(calls.h) and a wrapper for each (wraps.c), except for those that WRAPS_FILE has by hand; prints the names
for the linker's --wrap.

usage: generate.py SYS_HEADER WRAPS_FILE OUTPUT_DIR
"""

import re
import sys
from pathlib import Path

PROTOTYPE = re.compile(r"^((?:const )?\w[\w ]*?\s*\**)\b(nb__sys_\w+)\(([^;]*)\);", re.MULTILINE)
POINTER_TO_FUNCTION = re.compile(r"\(\*(\w+)\)")
NAME = re.compile(r"(\w+)(?:\[\w*\])?$")


def argument_names(parameters):
    names = []
    for parameter in re.split(r",(?![^(]*\))", parameters):
        if parameter.strip() in ("", "void"):
            continue
        found = POINTER_TO_FUNCTION.search(parameter) or NAME.search(parameter.strip())
        names.append(found.group(1))
    return ", ".join(names)


def wrap(result, name, parameters):
    call = f"__real_{name}({argument_names(parameters)})"
    kind = "CALL_" + name.removeprefix("nb__sys_")
    if result == "void":
        body = f"    (void)fault_at({kind}, 0);\n    {call};\n"
    elif result.endswith("*"):
        body = f"    return fault_at({kind}, 0) != 0 ? NULL : {call};\n"
    else:
        body = (f"    int error = fault_at({kind}, 0);\n\n"
                f"    return error != 0 ? -error : {call};\n")
    declaration = f"{result} {{}}{name}({parameters})"
    return (f"{declaration.format('__real_')};\n{declaration.format('__wrap_')};\n"
            f"{declaration.format('__wrap_')}\n{{\n{body}}}\n")


def main(header, wraps_file, output_dir):
    text = re.sub(r"/\*.*?\*/", "", Path(header).read_text(), flags=re.DOTALL)
    by_hand = set(re.findall(r"__wrap_(nb__sys_\w+)", Path(wraps_file).read_text()))
    functions = [(result.strip(), name, " ".join(parameters.split()))
                 for result, name, parameters in PROTOTYPE.findall(text)]
    names = [name for _, name, _ in functions]
    rows = " \\\n".join(f"    X({name.removeprefix('nb__sys_')})" for name in names)
    wraps = "\n".join(wrap(*function) for function in functions if function[1] not in by_hand)
    output = Path(output_dir)
    output.mkdir(parents=True, exist_ok=True)
    (output / "calls.h").write_text(f"#define SYS_CALLS(X) \\\n{rows}\n")
    (output / "wraps.c").write_text(f'#include "fault.h"\n#include "sys/sys.h"\n\n{wraps}')
    print(";".join(names), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
