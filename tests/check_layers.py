#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks how the library is layered, and that it is a good guest in the process it runs in.

- A file includes headers of its own module, and of modules of a strictly lower rank.
- A module calls functions of modules of a strictly lower rank.
- Only sys makes system calls and names errno; only sys and deadline ask which system this is.
- Nothing prints, aborts, exits, touches what belongs to the whole process, or calls what is not safe
  beside other threads or follows the locale.

usage: check_layers.py SOURCE_DIR STATIC_LIBRARY
"""

import re
import subprocess
import sys
from pathlib import Path

import tap

RANKS = {
    "decimal": 0, "export": 0, "options": 0, "saturation": 0, "text": 0,
    "error": 1, "version": 1,
    "deadline": 2,
    "sys": 3,
    "address": 4, "owned": 4, "wait": 4,
    "endpoint": 5, "foreign": 5, "listen_fds": 5, "lookup": 5, "unix_file": 5,
    "resolve": 6,
    "io": 7, "cancel": 7,
    "ahead": 8, "send": 8,
    "recv": 9,
    "conn": 9, "credentials": 9, "frames": 9, "send_file": 9, "socket_options": 9,
    "attempt": 10, "opening": 10,
    "openers": 11, "race": 11,
    "open_addresses": 12, "open_inherited": 12, "open_unix": 12, "connect": 12,
    "listener": 13,
    "accept": 14, "signals": 14,
    "run": 15,
    "events": 16,
    "linger": 17, "loops": 17,
    "intake": 18, "handle": 18,
    "sequential": 19, "workers": 19,
    "serve": 20,
    "netbasics": 21,
}
# Headers that define what modules below their own work on: io, recv and send on a connection, run
# and all of its parts on what serve was given.
HEADER_RANKS = {"conn.h": 6, "conn_internal.h": 6, "listener.h": 7, "serve.h": 14}

MAY_NAME_ERRNO = {"sys.c"}
MAY_ASK_FOR_THE_SYSTEM = {"sys.c", "deadline.c"}
MAY_CALL_THE_SYSTEM = {"sys"}

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
INCLUDES = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<(?:netbasics/)?([^>]+)>)', re.MULTILINE)


def strip(text):
    """The text with comments blanked and strings emptied, line for line; includes stay."""
    def replacement(match):
        token = match.group()
        if token[0] != "/":
            return token if token.endswith('.h"') else token[0] * 2
        return re.sub(r"[^\n]", " ", token)
    return COMMENTS_AND_STRINGS.sub(replacement, text)


def module_of(file_name):
    return file_name.split(".")[0].removesuffix("_internal")


def rank_of(file_name):
    return HEADER_RANKS.get(file_name, RANKS[module_of(file_name)])


def include_problems(path, code, ours):
    for quoted, bracketed in INCLUDES.findall(code):
        header = quoted or bracketed
        if (header in ours and module_of(header) != module_of(path.name)
                and rank_of(header) >= rank_of(path.name)):
            yield f"includes {header}, which is not of a lower layer"


def line_problems(path, code):
    for number, line in enumerate(code.splitlines(), 1):
        if INCLUDES.match(line):
            continue
        if ERRNO.search(line) and path.name not in MAY_NAME_ERRNO:
            yield f"line {number} names errno: {line.strip()}"
        if SYSTEM_MACRO.search(line) and path.name not in MAY_ASK_FOR_THE_SYSTEM:
            yield f"line {number} asks which system this is: {line.strip()}"


def symbols_of_modules(library):
    """For each module of the static library the names that it defines, and those that it uses."""
    listing = subprocess.run(["nm", "--format=posix", library],
                             check=True, capture_output=True, text=True).stdout
    defined, used = {}, {}
    for line in listing.splitlines():
        member = re.search(r"\[(.*)\]:$", line)
        if member:
            module = module_of(member.group(1))
            defined[module], used[module] = set(), set()
        elif line:
            name, kind = line.split()[:2]
            (used if kind in "Uw" else defined)[module].add(name)
    return defined, used


def call_problems(module, used, defined):
    for other, names in defined.items():
        if other != module and RANKS[other] >= RANKS[module]:
            for name in sorted(used & names):
                yield f"uses {name} of {other}, which is not of a lower layer"
    if module not in MAY_CALL_THE_SYSTEM:
        for name in sorted(used & SYSTEM_CALLS):
            yield f"calls the system by itself: {name}"
    for name in sorted(used & FORBIDDEN):
        yield f"uses {name}"


def cases(source_dir, library):
    files = [path for pattern in ("include/netbasics/*.h*", "lib/*.[ch]")
             for path in sorted(source_dir.glob(pattern))]
    unknown = sorted({path.name for path in files if module_of(path.name) not in RANKS})
    yield "each module has a rank", "\n".join(unknown)
    if unknown:
        return
    ours = {path.name.removesuffix(".in") for path in files}
    for path in files:
        code = strip(path.read_text())
        yield f"{path.relative_to(source_dir)} keeps to its layer", "\n".join(
            [*include_problems(path, code, ours), *line_problems(path, code)])
    defined, used = symbols_of_modules(library)
    for module in sorted(defined, key=RANKS.get):
        yield f"{module} calls only what is below it", "\n".join(
            call_problems(module, used[module], defined))


if __name__ == "__main__":
    tap.report(cases(*map(Path, sys.argv[1:])))
