#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the layers of the library, and that it is a good guest in its process.

- A folder of lib/ is a layer. Includes and calls lead from one to another in one direction only.
- Inside a folder they lead from one module (a source and its headers) to another in one direction only.
- Only sys makes system calls and names errno; only sys and deadline ask which system this is.
- Only wait polls: there is one place where the library waits for descriptors.
- Nothing prints, aborts, exits, touches what belongs to the whole process, or calls what is not safe
  beside other threads or follows the locale.

usage: check_layers.py SOURCE_DIR STATIC_LIBRARY
       check_layers.py --dot SOURCE_DIR       draws the layers, for Graphviz, from the includes
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

import tap
from commands import output

MAY_NAME_ERRNO = {"sys.c", "library.c"}
MAY_ASK_FOR_THE_SYSTEM = {"sys.c", "library.c", "deadline.c"}
MAY_CALL_THE_SYSTEM = {"sys", "library"}
MAY_POLL = {"wait"}

SYSTEM_MACRO = re.compile(
    r"\b(__linux__|__linux|__ANDROID__|__APPLE__|__MACH__|__\w*BSD__|__DragonFly__|__sun|_AIX"
    r"|__unix__|__CYGWIN__|_WIN32|__GLIBC__)\b")
ERRNO = re.compile(r"\berrno\b")
SYSTEM_CALLS = set(
    "socket bind listen accept accept4 connect shutdown close read write recv recvfrom recvmsg send "
    "sendto sendmsg sendfile splice readv writev pread pread64 poll ppoll select pselect epoll_wait pipe "
    "pipe2 eventfd dup dup2 dup3 fcntl fcntl64 ioctl getsockopt setsockopt getsockname getpeername "
    "getaddrinfo if_nametoindex if_indextoname sigaction kill raise dlopen dlclose nanosleep clock_nanosleep "
    "lstat stat fstat statfs unlink open openat chmod fchmod fchmodat flock rename link mkdir getpid syscall".split())
FORBIDDEN = set(
    "printf fprintf vprintf vfprintf dprintf vdprintf puts fputs putchar fputc fwrite perror psignal "
    "syslog stdin stdout stderr abort exit _exit _Exit quick_exit atexit __assert_fail signal "
    "sigprocmask setlocale uselocale setenv putenv unsetenv umask alarm sleep usleep "
    "strerror strsignal gai_strerror localtime gmtime ctime asctime strftime strtok rand srand "
    "inet_ntoa gethostbyname getservbyname getprotobyname".split())

COMMENTS_AND_STRINGS = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.DOTALL | re.VERBOSE)
INCLUDES = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)

DRAWING = """digraph layers {
    bgcolor = "transparent";
    graph [rankdir = BT, nodesep = 0.3, ranksep = 0.3];
    node [fontname = "Helvetica", fontsize = 11, shape = box, style = "rounded,filled", fillcolor = "#eef3f8",
          color = "#4a6785", fontcolor = "#1b2733", margin = "0.14,0.07"];
    edge [color = "#7a92aa", dir = back];
    %s
}
"""


def strip(text):
    """The text with comments blanked and strings emptied, line for line; includes stay."""
    def replacement(match):
        token = match.group()
        if token[0] != "/":
            return token if token.endswith('.h"') else token[0] * 2
        return re.sub(r"[^\n]", " ", token)
    return COMMENTS_AND_STRINGS.sub(replacement, text)


def module_of(path):
    """What a source and its headers have in common, with the folder: conn/recv."""
    return f"{path.parent.name}/{path.name.split('.')[0].removesuffix('_internal')}"


def sources(source_dir):
    return [path for pattern in ("include/netbasics/*.h*", "lib/*/*.[ch]")
            for path in sorted(source_dir.glob(pattern))]


def included_modules(code):
    """The modules of ours that the code of a file includes."""
    for quoted, bracketed in INCLUDES.findall(code):
        if quoted or bracketed.startswith("netbasics/"):
            yield module_of(Path(quoted or bracketed))


def include_graph(files):
    """For each module those that it includes."""
    graph = defaultdict(set)
    for path in files:
        graph[module_of(path)] |= {*included_modules(strip(path.read_text()))} - {module_of(path)}
    return graph


def circle(graph):
    """The names along one circle of a graph, or nothing."""
    done, way = set(), []

    def visit(name):
        if name in way:
            return [*way[way.index(name):], name]
        if name in done:
            return []
        way.append(name)
        found = next(filter(None, map(visit, sorted(graph.get(name, ())))), [])
        way.pop()
        done.add(name)
        return found

    return next(filter(None, map(visit, sorted(graph))), [])


def folder_graph(graph):
    folders = defaultdict(set)
    for module, others in graph.items():
        folder = module.split("/")[0]
        folders[folder] |= {other.split("/")[0] for other in others} - {folder}
    return folders


def line_problems(path, code):
    for number, line in enumerate(code.splitlines(), 1):
        if INCLUDES.match(line):
            continue
        if ERRNO.search(line) and path.name not in MAY_NAME_ERRNO:
            yield f"line {number} names errno: {line.strip()}"
        if SYSTEM_MACRO.search(line) and path.name not in MAY_ASK_FOR_THE_SYSTEM:
            yield f"line {number} asks which system this is: {line.strip()}"


def symbols_of_members(library):
    """For each object of the static library the names that it defines, and those that it uses."""
    listing = output("nm", "--format=posix", library)
    defined, used = {}, {}
    for line in listing.splitlines():
        member = re.search(r"\[(.*)\]:$", line)
        if member:
            name = member.group(1).split(".")[0]
            defined[name], used[name] = set(), set()
        elif line:
            symbol, kind = line.split()[:2]
            (used if kind in "Uw" else defined)[name].add(symbol)
    return defined, used


def call_graph(files, defined, used):
    """For each module those whose functions it calls."""
    modules = {path.stem: module_of(path) for path in files if path.suffix == ".c"}
    owners = {symbol: name for name, symbols in defined.items() for symbol in symbols}
    return {modules[name]: {modules[owners[symbol]] for symbol in symbols & owners.keys()} - {modules[name]}
            for name, symbols in used.items()}


def system_problems(name, used):
    if name not in MAY_CALL_THE_SYSTEM:
        for symbol in sorted(used & SYSTEM_CALLS):
            yield f"calls the system by itself: {symbol}"
    if name not in MAY_POLL and "nb__sys_poll" in used:
        yield "polls, which is for nb__wait() alone"
    for symbol in sorted(used & FORBIDDEN):
        yield f"uses {symbol}"


def lower_folders(folders):
    """For each folder those that it needs and reaches through no other: an arrow of the picture each."""
    def below(name):
        return folders[name].union(*map(below, folders[name]))
    return {name: others - set().union(*map(below, others)) for name, others in folders.items()}


def draw(source_dir):
    """The folders of lib/ as the guide shows them, with what lib/README.md says of each."""
    texts = dict(re.findall(r"^\| (\w+) \| (.+) \|$", (source_dir / "lib/README.md").read_text(), re.MULTILINE))
    folders = folder_graph(include_graph(sources(source_dir)))
    del folders["netbasics"]
    for others in folders.values():
        others.discard("netbasics")
    lines = [*(f'{name} [label = "{name}: {texts[name]}"];' for name in sorted(folders)),
             *(f"{other} -> {name};" for name, others in sorted(lower_folders(folders).items())
               for other in sorted(others))]
    return DRAWING % "\n    ".join(lines)


def cases(source_dir, library):
    files = sources(source_dir)
    stems = [path.name for path in files if path.suffix == ".c"]
    yield "no two sources have the same name", "\n".join(
        sorted({name for name in stems if stems.count(name) > 1}))
    stray = [path.name for path in sorted(source_dir.glob("lib/*.[ch]"))]
    yield "each source is in a folder", "\n".join(stray)
    for path in files:
        yield (f"{path.relative_to(source_dir)} leaves system headers and errno to sys",
               "\n".join(line_problems(path, strip(path.read_text()))))
    defined, used = symbols_of_members(library)
    for name in sorted(defined):
        yield f"{name} calls only what its layer allows", "\n".join(system_problems(name, used[name]))
    graph = include_graph(files)
    for module, others in call_graph(files, defined, used).items():
        graph[module] |= others
    yield "the folders have no circular dependencies", " needs ".join(circle(folder_graph(graph)))
    for folder in sorted(folder_graph(graph)):
        inside = {module: {other for other in others if other.startswith(f"{folder}/")}
                  for module, others in graph.items() if module.startswith(f"{folder}/")}
        yield f"{folder} has no circular dependencies", " needs ".join(circle(inside))
    yield "lib/README.md says what is in each folder", "\n".join(
        f"{path.name} is not there" for path in sorted(source_dir.glob("lib/*/"))
        if f"| {path.name} | " not in (source_dir / "lib/README.md").read_text())


if __name__ == "__main__":
    if sys.argv[1] == "--dot":
        print(draw(Path(sys.argv[2])), end="")
    else:
        tap.report(cases(*map(Path, sys.argv[1:])))
