#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the double of all functions that tests replace: those of lib/sys/sys.h and of others.txt.

calls.h gets a number and a pointer for each function, wraps.c the function that is linked in its
place (and counts, fails, or calls that pointer). Prints the names for the linker's --wrap.

usage: generate.py OUTPUT_DIR HEADER...
"""

import re
import sys
from pathlib import Path

PROTOTYPE = re.compile(r"^((?:const |struct )*\w+\s*\**)\s*(\w+)\(([^;]*)\);", re.MULTILINE)
POINTER_TO_FUNCTION = re.compile(r"\(\*(\w+)\)")
NAME = re.compile(r"(\w+)(?:\[\w*\])?$")


class Function:
    def __init__(self, result, name, parameters):
        self.result = result.strip()
        self.name = name
        self.parameters = " ".join(parameters.split())
        self.is_libc = not name.startswith("nb_")
        has_own_name = name.startswith(("nb_", "pthread_"))
        self.short = name.removeprefix("nb__sys_") if has_own_name else "libc_" + name
        self.call = "ON_" + self.short.upper()

    def arguments(self):
        names = []
        for parameter in re.split(r",(?![^(]*\))", self.parameters):
            if parameter != "void":
                found = POINTER_TO_FUNCTION.search(parameter) or NAME.search(parameter.strip())
                names.append(found.group(1))
        return names

    def declared(self, prefix):
        # Only one C library has this one.
        weak = " __attribute__((weak))" if (prefix, self.name) == ("__real_", "dladdr1") else ""
        return f"{self.result} {prefix}{self.name}({self.parameters}){weak};"

    def failure(self):
        """What it does when it has to fail with `failure`."""
        if self.short == "getaddrinfo":
            return f"*out = NULL, *{self.arguments()[-1]} = EMFILE, failure"
        if self.result.endswith("*"):
            return "errno = failure, NULL" if self.is_libc else "NULL"
        if self.result == "bool":
            return "false"
        if self.is_libc and "pthread" not in self.name:
            return "errno = failure, -1"
        return "failure" if self.is_libc else "-failure"

    def wrap(self):
        arguments = self.arguments()
        is_option = {"level", "name"} <= set(arguments)
        which = "(int)((unsigned)level << 16 | (unsigned)name)" if is_option else "0"
        begins = f"call_begins({self.call}, {which})"
        # By hand: GCC 12 does not read an atomic pointer atomically to call what it points to.
        call = f"atomic_load(&sys.{self.short})({', '.join(arguments)})"
        if self.result == "void":
            body = f"    (void){begins};\n    {call};\n"
        else:
            body = f"    int failure = {begins};\n"
            if self.result == "int":
                happens = f"failure == 0 || happens_anyway({self.call}, failure)"
                body += f"    int answer = {happens} ? {call} : 0;\n"
                call = "answer"
            body += f"\n    if (failure != 0)\n        return {self.failure()};\n    return {call};\n"
        return (f"{self.declared('__wrap_')}\n"
                f"{self.declared('__wrap_')[:-1]}\n{{\n{body}}}\n")


def functions_of(headers):
    for header in headers:
        text = re.sub(r"/\*.*?\*/", "", Path(header).read_text(), flags=re.DOTALL)
        yield from (Function(*found) for found in PROTOTYPE.findall(text))


def main(output_dir, *headers):
    functions = list(functions_of(headers))
    lines = ["enum call {", *(f"    {each.call}," for each in functions), "    CALLS", "};", "",
             "#define EACH_CALL(X) \\",
             " \\\n".join(f"    X({each.short}, {each.call})" for each in functions), "",
             "struct sys {",
             *(f"    {each.result} (*_Atomic {each.short})({each.parameters});"
               for each in functions),
             "};"]
    real = "\n".join(f"    .{each.short} = __real_{each.name}," for each in functions)
    tables = "\n".join(f"{kind} = {{\n{real}\n}};" for kind in
                       ("const struct sys real", "struct sys sys", "struct sys usual"))
    output = Path(output_dir)
    output.mkdir(parents=True, exist_ok=True)
    (output / "calls.h").write_text("\n".join(lines) + "\n")
    (output / "wraps.c").write_text("\n".join(
        ['#include "double.h"\n\n#include <errno.h>\n#include <stdatomic.h>\n',
         *(each.declared("__real_") for each in functions), tables, "",
         *(each.wrap() for each in functions)]))
    print(";".join(each.name for each in functions), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
