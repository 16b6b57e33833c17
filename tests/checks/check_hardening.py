#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks in the built files that the hardened build does what it promises.

usage: check_hardening.py C_COMPILER STATIC_LIBRARY SHARED_LIBRARY PROGRAM...
"""

import platform
import re
import sys

import tap
from commands import output

X86 = platform.machine() in ("x86_64", "i686")
PAGE = 0x1000


def absent(pattern, text, problem):
    return "" if re.search(pattern, text, re.MULTILINE) else problem


def linked(path):
    """The linker's part, in a program or a shared library."""
    dynamic, segments = output("readelf", "-Wd", path), output("readelf", "-Wl", path)
    name = path.rsplit("/", 1)[-1]
    yield (f"{name}: all symbols are bound at the start",
           absent(r"BIND_NOW|FLAGS_1.*\bNOW\b", dynamic, dynamic))
    yield (f"{name}: relocated data is read-only after the start",
           absent(r"^ *GNU_RELRO ", segments, segments))
    yield f"{name}: the stack is not executable", absent(r"^ *GNU_STACK .* RW +0x", segments, segments)
    both = re.findall(r"^ *LOAD .* (RWE|RW E|WE) .*$", segments, re.MULTILINE)
    yield f"{name}: no memory is both writable and executable", segments if both else ""


def guarded_jumps(text):
    """How many files in the output of readelf -n guard jumps (IBT) and returns (SHSTK)."""
    return len(re.findall(r"x86 feature: IBT, SHSTK", text))


def imports(path):
    symbols = output("readelf", "-W", "--dyn-syms", path)
    yield "stack frames have protectors", absent(r"UND __stack_chk_fail\b", symbols, symbols)
    yield "calls that write to buffers are fortified", absent(r"UND __\w*printf_chk\b", symbols, symbols)


def stack_probes(*paths):
    """A frame that is larger than a page must be touched page by page. The library has none: a program has."""
    code = "".join(output("objdump", "-d", "--no-show-raw-insn", path) for path in paths)
    frames = [int(size, 16) for size in re.findall(r"sub +\$0x([0-9a-f]+),%rsp", code)]
    leaps = [size for size in frames if PAGE < size < 1 << 31]
    probes = re.findall(r"sub +\$0x1000,%rsp\n.*(?:or|mov)[lq] +\$0x0,\(%rsp\)", code)
    if leaps:
        return f"{len(leaps)} frames leap over a page"
    return "" if probes else "no frame is probed"


def cases(compiler, static_library, shared_library, *programs):
    for path in (shared_library, *programs):
        yield from linked(path)
    yield from imports(shared_library)
    if not X86:
        return
    yield ("large stack frames are probed page by page",
           stack_probes(shared_library, *programs))
    members = output("ar", "t", static_library).split()
    guarded = guarded_jumps(output("readelf", "-Wn", static_library))
    yield ("jumps and returns are guarded in every object",
           "" if guarded == len(members) else f"{guarded} of {len(members)} objects")
    starts = [output(compiler, f"-print-file-name={name}").strip()
              for name in ("crti.o", "crtbeginS.o", "crtendS.o", "crtn.o")]
    notes = output("readelf", "-Wn", shared_library)
    if all(guarded_jumps(output("readelf", "-Wn", path)) for path in starts):
        problem = "" if guarded_jumps(notes) else notes
    else:
        problem = tap.Skip("the system's own start files are not")
    yield "jumps and returns are guarded in the shared library", problem


if __name__ == "__main__":
    tap.report(cases(*sys.argv[1:]))
