#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs netbasics and the same loops written with bare system calls in turn, and prints a table.

Speed is measured here, not asserted: a missed target is shown, and only a program that fails makes
the exit status non-zero.
"""
import argparse
import concurrent.futures
import io
import os
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# Longest time that one program may take before it counts as broken.
PATIENCE_S = 60
# Concurrent connections where many are measured.
MANY = 100


class Broken(Exception):
    """A program did not do what it should."""


class Bench:
    """Where the programs are and how long to measure."""

    def __init__(self, args):
        self.nb_server, self.bare_server, self.load = args.nb_server, args.bare_server, args.load
        # Many short runs in turn, so that changes of the machine's speed affect all servers alike.
        self.runs = 5 if args.quick else 21
        self.seconds = 0.05 if args.quick else 0.1
        # On one core the rate depends on the work of both sides, not on the scheduler.
        spread = args.spread or not hasattr(os, "sched_setaffinity")
        self.cores = None if spread else {min(os.sched_getaffinity(0))}
        self.where = "on all cores" if spread else "on one core"

    # What is compared. Each is a command line without its count of connections, which run() adds.

    def bare(self, work, how="calling", clock_readings=0):
        return [self.bare_server, work, how, None, str(clock_readings)]

    def ours(self, work, concurrency, deadline="forever", linger="linger"):
        return [self.nb_server, work, str(concurrency), None, deadline, linger]

    def lines(self, bound, deadline="forever"):
        """Lines shorter than this many bytes; 0: its own buffer on top of nb_recv()."""
        return [self.nb_server, "lines", str(bound), None, deadline, "linger"]

    # How it is run.

    def run(self, server, connections, round_trips=None, tracer=()):
        """Serves the connections once; returns rate, CPU seconds of the server, tracer's stderr."""

        def pin():
            if self.cores:
                os.sched_setaffinity(0, self.cores)

        command = [*tracer, *[word or str(connections) for word in server]]
        with tempfile.TemporaryFile("w+") as stderr, \
             subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True,
                              preexec_fn=pin, start_new_session=True) as process:
            try:
                port = read_line(process, stderr)
                load = [self.load, server[1], port, str(connections)]
                if round_trips:
                    load.append(str(round_trips))
                rate = float(subprocess.run(load, stdout=subprocess.PIPE, text=True, check=True,
                                            timeout=PATIENCE_S, preexec_fn=pin).stdout)
                before = cpu_of_children()
                if process.wait(PATIENCE_S) != 0:
                    raise Broken(f"{' '.join(command)}: exit status {process.returncode}: "
                                 f"{text_of(stderr)}")
                return rate, cpu_of_children() - before, text_of(stderr)
            except (subprocess.SubprocessError, ValueError) as error:
                raise Broken(f"{' '.join(command)}: {error} {text_of(stderr)}") from error
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # the tracer and the server

    def system_calls(self, server, connections, round_trips=None):
        """Counts the system calls of the server's life, by name."""
        with tempfile.NamedTemporaryFile("r") as summary:
            self.run(server, connections, round_trips, ["strace", "-f", "-c", "-o", summary.name])
            return parse_strace(summary.read())

    def instructions(self, server, round_trips):
        """Counts the instructions that the server executes in user mode."""
        tracer = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        return int(re.search(r"Collected : (\d+)", self.run(server, 1, round_trips, tracer)[2])[1])

    def rates(self, servers, connections=None, trial=200):
        """Runs the servers in turn; returns the median rate and CPU microseconds of each.

        Without a number of concurrent connections the unit is a short connection, otherwise a round
        trip or a line. A trial run determines how many units fill the time.
        """
        def once(server, amount):
            rate, cpu, _ = self.run(server, connections or amount, connections and amount)
            return rate, cpu * 1e6 / (amount * (connections or 1))

        seconds = self.seconds * (2 if connections == MANY else 1)  # there it is noisier
        amount = max(50, int(once(servers[0], trial)[0] * seconds / (connections or 1)))
        samples = [[] for _ in servers]
        for _ in range(self.runs):
            for sample, server in zip(samples, servers):
                sample.append(once(server, amount))
        return [tuple(map(statistics.median, zip(*sample))) for sample in samples]


def read_line(process, stderr):
    """The first line that a server prints: its port."""
    if select.select([process.stdout], [], [], PATIENCE_S)[0]:
        line = process.stdout.readline().strip()
        if line:
            return line
    raise Broken(f"{' '.join(process.args)}: prints no port: {text_of(stderr)}")


def text_of(file):
    file.seek(0)
    return file.read().strip()


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def parse_strace(summary):
    """'% time, seconds, usecs/call, calls, [errors,] syscall' to {syscall: calls}."""
    fields = [line.split() for line in summary.splitlines()]
    return {f[-1]: int(f[3]) for f in fields if len(f) >= 5 and f[3].isdigit() and f[-1] != "total"}


def per_unit(measure, short, long):
    """The cost of one more unit, so that start and end do not count."""
    return (measure(long) - measure(short)) / (long - short)


# The table.

def row(figure, bare="", ours="", outcome="", target="", met=None):
    verdict = "" if met is None else "  ok" if met else "  MISSED"
    print(f"{figure:<45} {bare:>9} {ours:>9}  {outcome:<17} {target}{verdict}".rstrip(), flush=True)


def heading(text):
    print(f"\n{text}", flush=True)


def rate_rows(figure, bare, ours, least=None):
    """Rates per second, and the CPU time of the server, which varies much less."""
    rate, cpu = (mine / other for mine, other in zip(ours, bare))
    row(figure, f"{bare[0]:.0f}", f"{ours[0]:.0f}", f"{rate:.3f}",
        f">= {least:.2f}" if least else "(information)", rate >= least if least else None)
    row("    us of server CPU", f"{bare[1]:.2f}", f"{ours[1]:.2f}", f"{cpu:.3f}", "(information)")


def line_row(figure, bare, ours, least=None):
    """Lines per second, and CPU time per line, which is compared because the load costs as much."""
    ratio = bare[1] / ours[1]
    row(figure, f"{bare[0]:.0f}", f"{ours[0]:.0f}", f"{ours[0] / bare[0]:.3f}", "(information)")
    row("    ns of server CPU", f"{bare[1] * 1e3:.1f}", f"{ours[1] * 1e3:.1f}", f"{ratio:.3f}",
        f">= {least:.2f}" if least else "(information)", ratio >= least if least else None)


def difference_row(figure, bare, ours, most=None, digits=2):
    row(figure, f"{bare:.{digits}f}", f"{ours:.{digits}f}", f"{ours - bare:+.{digits}f}",
        "(information)" if most is None else f"<= {most:+.{digits}f}",
        None if most is None else ours - bare <= most + 0.02)


def usable(tool, *arguments):
    """Whether a tool is there and works here (tracing may be forbidden in a container)."""
    if not shutil.which(tool):
        print(f"  not measured: {tool} is missing; the Debian package is '{tool}'")
        return False
    trial = subprocess.run([tool, *arguments, "true"], capture_output=True, text=True, check=False)
    if trial.returncode != 0:
        print(f"  not measured: {tool} does not work here: {trial.stderr.strip()}")
    return trial.returncode == 0


# The figures.

def echo_system_calls(bench):
    heading("System calls per echo round trip (strace -f -c)")
    if not usable("strace", "-o", os.devnull):
        return

    def count(server):
        return per_unit(lambda n: sum(bench.system_calls(server, 1, n).values()), 200, 5200)

    bare = count(bench.bare("echo"))
    for name, server in (
            ("nb_forever()", bench.ours("echo", 0)),
            ("one deadline for the connection", bench.ours("echo", 0, "once")),
            ("a fresh deadline for each round trip", bench.ours("echo", 0, "each")),
            ("nb_forever(), nb_serve, concurrency 1", bench.ours("echo", 1)),
            ("fresh deadlines, nb_serve, concurrency 1", bench.ours("echo", 1, "each")),
            ("nb_forever(), nb_serve, workers", bench.ours("echo", 64)),
            ("fresh deadlines, nb_serve, workers", bench.ours("echo", 64, "each")),
            ("nb_conn_idle(), nb_serve, concurrency 1", bench.ours("echo", 1, "idle")),
            ("nb_conn_idle(), nb_serve, workers", bench.ours("echo", 64, "idle"))):
        ours = count(server)
        row("  " + name, f"{bare:.2f}", f"{ours:.2f}", f"{ours - bare:+.2f}", "2.00",
            abs(ours - 2) < 0.02)


def echo_instructions(bench):
    heading("User instructions per echo round trip (valgrind --tool=callgrind)")
    if not usable("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"):
        return

    def count(server):
        return per_unit(lambda n: bench.instructions(server, n), 500, 2500)

    # The bare loop reads the clock as often as netbasics does for its deadlines. It runs in a thread
    # where netbasics does, because libc's system calls cost more there. With a concurrency of 1 each
    # wait also checks for the stop, which the limit does not cover. The limits are what was reached once.
    plain, two, three = (count(bench.bare("echo", clock_readings=n)) for n in (0, 2, 3))
    thread = count(bench.bare("echo", "threads"))
    for name, bare, server, most in (
            ("nb_forever()", plain, bench.ours("echo", 0), 175),
            ("one deadline (bare: 2 clock readings)", two, bench.ours("echo", 0, "once"), 175),
            ("fresh deadlines (bare: 3 clock readings)", three, bench.ours("echo", 0, "each"), 192),
            ("nb_forever(), nb_serve, workers", thread, bench.ours("echo", 64), 175),
            ("nb_conn_idle(), nb_serve, workers", thread, bench.ours("echo", 64, "idle"), None),
            ("nb_forever(), nb_serve, concurrency 1", plain, bench.ours("echo", 1), None)):
        difference_row("  " + name, bare, count(server), most, digits=0)


def echo_rates(bench):
    for connections, how, concurrency, what in (
            (1, "calling", 0, "1 connection"),
            (MANY, "threads", MANY + 1, f"{MANY} connections, nb_serve with workers")):
        heading(f"Echo round trips per second, {what}, {bench.where} ({bench.runs} runs in turn)")
        bare, again, forever, each = bench.rates((
            bench.bare("echo", how), bench.bare("echo", how),
            bench.ours("echo", concurrency), bench.ours("echo", concurrency, "each")), connections)
        rate_rows("  the bare loop against itself: the noise", bare, again)
        rate_rows("  nb_forever()", bare, forever, 0.95)
        rate_rows("  a fresh deadline for each round trip", bare, each, 0.95)


def line_rates(bench):
    heading(f"Lines of 20 to 60 bytes, one connection, {bench.where} ({bench.runs} runs in turn)")
    own, tight, wide, once, each = bench.rates((
        bench.lines(0), bench.lines(64), bench.lines(16384), bench.lines(64, "once"),
        bench.lines(64, "each")), 1, trial=200000)
    line_row("  a bound of 16 KiB (bare: own buffer)", own, wide, 0.6)
    line_row("  a bound of 64 (bare: a bound of 16 KiB)", wide, tight, 0.9)
    line_row("  the same with one deadline", wide, once, 0.9)
    line_row("  the same with fresh deadlines", wide, each)


def ask_until_the_last(client):
    """Sends requests until a reply says that it is the last; returns how many were lost."""
    reply = b"more\n"
    while reply == b"more\n":
        client.sendall(b"request\n")
        reply = client.recv(100)
    return (reply != b"last\n") + (client.recv(1) != b"")


def stops(bench):
    idle, busy = 50, 40
    heading(f"A stop with {idle} idle and {busy} busy clients, in milliseconds")
    times, lost = [], 0
    for _ in range(min(bench.runs, 9)):
        with subprocess.Popen([bench.nb_server, "requests", str(idle + busy), "0", "idle", "linger"],
                              stdout=subprocess.PIPE, text=True) as process, \
             concurrent.futures.ThreadPoolExecutor(busy) as pool:
            port = int(read_line(process, io.StringIO()))
            clients = [socket.create_connection(("127.0.0.1", port), PATIENCE_S)
                       for _ in range(idle + busy)]
            for client in clients:
                client.sendall(b"request\n")
                client.recv(100)
            asking = [pool.submit(ask_until_the_last, client) for client in clients[idle:]]
            began = time.monotonic()
            process.terminate()
            lost += sum(client.recv(1) != b"" for client in clients[:idle])
            lost += sum(future.result() for future in asking)
            for client in clients:
                client.close()
            process.wait(PATIENCE_S)
            times.append((time.monotonic() - began) * 1000)
    row("  the median; the longest", f"{statistics.median(times):.0f}", f"{max(times):.0f}",
        f"{lost} lost", "none lost", lost == 0)


def short_system_calls(bench):
    heading("System calls per short connection: accept, 26 bytes out, close (strace -f -c)")
    if not usable("strace", "-o", os.devnull):
        return
    short, long = 100, 500

    def count(server):
        few, many = (bench.system_calls(server, n) for n in (short, long))
        threads = [sum(calls.get(name, 0) for name in ("clone", "clone3", "fork", "vfork"))
                   for calls in (few, many)]
        return (sum(many.values()) - sum(few.values())) / (long - short), threads

    bare, bare_threads = count(bench.bare("time"))
    each_thread, each_threads = count(bench.bare("time", "threads"))
    one, one_threads = count(bench.ours("time", 1, linger="no-linger"))
    many, many_threads = count(bench.ours("time", 64, linger="no-linger"))
    orderly, _ = count(bench.ours("time", 1))
    many_orderly, _ = count(bench.ours("time", 64))
    difference_row("  concurrency 1, no linger", bare, one, 2)
    difference_row("  concurrency 1, orderly close", bare, orderly)
    difference_row("  workers, no linger (bare: thread for each)", each_thread, many)
    difference_row("  workers, orderly close (bare: the same)", each_thread, many_orderly)

    def threads(pair):
        return f"{pair[0]}, {pair[1]}"

    row(f"  threads for {short}, {long}: concurrency 1", threads(bare_threads),
        threads(one_threads), "", "none", one_threads == [0, 0])
    row(f"  threads for {short}, {long}: workers", threads(each_threads), threads(many_threads), "",
        "no more for more", many_threads[1] - many_threads[0] < (long - short) / 50)


def short_rates(bench):
    heading(f"Short connections per second, one after another, {bench.where} ({bench.runs} runs in "
            "turn)")
    bare, again, one, orderly, each_thread, many, many_orderly = bench.rates((
        bench.bare("time"), bench.bare("time"), bench.ours("time", 1, linger="no-linger"),
        bench.ours("time", 1), bench.bare("time", "threads"),
        bench.ours("time", 64, linger="no-linger"), bench.ours("time", 64)))
    rate_rows("  the bare loop against itself: the noise", bare, again)
    rate_rows("  concurrency 1, no linger", bare, one, 0.90)
    rate_rows("  concurrency 1, orderly close", bare, orderly)
    rate_rows("  workers, no linger (bare: thread for each)", each_thread, many)
    rate_rows("  workers, orderly close (bare: the same)", each_thread, many_orderly)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nb_server")
    parser.add_argument("bare_server")
    parser.add_argument("load")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--spread", action="store_true", help="use all cores; noisier")
    parser.add_argument("--build-type", default="unknown", help="how the library was compiled")
    parser.add_argument("--flags", default="", help="the compiler's further flags")
    args = parser.parse_args()
    bench = Bench(args)

    print(f"netbasics, built as {args.build_type}; {os.uname().sysname} {os.uname().release}, "
          f"{os.cpu_count()} cores")
    if "-fsanitize" in args.flags:
        print("Built with a sanitizer: nothing to measure. Use: cmake --preset release")
        return 0
    if args.build_type not in ("Release", "RelWithDebInfo"):
        print("NOT BUILT FOR SPEED: the figures say little. Use: cmake --preset release")
    print()
    row("figure", "bare", "netbasics", "difference/ratio", "target")
    try:
        for measure in (echo_system_calls, echo_instructions, echo_rates, line_rates, stops,
                        short_system_calls, short_rates):
            measure(bench)
    except (Broken, OSError) as broken:
        print(f"\nbroken: {broken}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
