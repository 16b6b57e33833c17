# SPDX-License-Identifier: MIT
"""Shared by the tests of the example programs: how to run them, and their peers.

The programs are in NETBASICS_BIN_DIR, by default build/dev/examples.
"""

import contextlib
import errno
import functools
import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("NETBASICS_BIN_DIR") or ROOT / "build/dev/examples").resolve()

LIMIT = 30  # Seconds for anything that has to happen; only something broken takes that long.
TEST_LIMIT = 60  # Seconds for one test.

SERVERS = ("time_server", "echo_server")
CLIENTS = ("time_client", "echo_client")
PROGRAMS = SERVERS + CLIENTS

TIME_FORMAT = "%a %b %d %H:%M:%S %Y"
TIME_LENGTH = 26


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = unittest.skipUnless(has_ipv6(), "no IPv6 here")
NETCAT = shutil.which("nc")
SOCKET_ACTIVATE = shutil.which("systemd-socket-activate")
IS_OPENBSD_NETCAT = NETCAT is not None and b"-N" in subprocess.run(
    [NETCAT, "-h"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    timeout=LIMIT, check=False).stdout


def for_each(**axes):
    """Makes a test run for every combination of these values, each in a subTest of its own."""
    def decorate(test):
        @functools.wraps(test)
        def run_all(self):
            for values in itertools.product(*axes.values()):
                row = dict(zip(axes, values))
                with self.subTest(**row):
                    test(self, **row)
        return run_all
    return decorate


def wait_until(condition, what):
    """Polls for a condition that cannot be waited for in any other way."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {LIMIT} s: {what}")
        time.sleep(0.005)


STREAMS = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def run(name, *arguments, closed=(), **options):
    """Runs a program to its end, with these descriptors closed."""
    options = {**STREAMS, **options}
    if "input" in options:
        del options["stdin"]
    return subprocess.run(with_closed(closed, [BIN / name, *arguments]), timeout=LIMIT, check=False,
                          **options)


@contextlib.contextmanager
def running(name, *arguments, **options):
    """A program that runs beside the test, and is killed at the end if it still does."""
    with subprocess.Popen([BIN / name, *arguments], **{**STREAMS, **options}) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def with_closed(descriptors, command):
    """A command that runs the given command with these descriptors closed."""
    closed = " ".join(f"{fd}>&-" for fd in descriptors)
    return ["sh", "-c", f'exec "$@" {closed}', "sh", *command] if closed else command


def closed_pipe():
    """The end for writing of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "wb")


# Moves the descriptors in its first argument to 3 and up, and executes the command that follows.
ACTIVATION = """
import fcntl, os, sys
moved = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split()]
for number, fd in enumerate(moved, 3):
    os.dup2(fd, number)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(moved)))
os.execv(sys.argv[2], sys.argv[2:])
"""


def activated(*sockets):
    """Options to start a server with these sockets, as a service manager would."""
    fds = [sock.fileno() for sock in sockets]
    numbers = " ".join(map(str, fds))
    return {"pass_fds": fds,
            "command": lambda words: [sys.executable, "-c", ACTIVATION, numbers, *words]}


def split_endpoint(endpoint):
    host, port = re.fullmatch(r"\[?([0-9a-f.:]+)\]?:(\d+)", endpoint).groups()
    return host, int(port)


def connect(endpoint):
    if endpoint.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(LIMIT)
        sock.connect(endpoint.removeprefix("unix:").replace("@", "\0", 1))
        return sock
    return socket.create_connection(split_endpoint(endpoint), timeout=LIMIT)


@contextlib.contextmanager
def connected(endpoint, count):
    """So many connections at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(endpoint)) for _ in range(count)]


def endpoint_of(sock):
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def receive_to_end(sock):
    return b"".join(iter(lambda: sock.recv(65536), b""))


def receive_exactly(sock, length):
    data = b""
    while len(data) < length:
        chunk = sock.recv(length - len(data))
        if not chunk:
            raise AssertionError(f"the stream ended after {len(data)} of {length} bytes")
        data += chunk
    return data


def ask_time(endpoint):
    with connect(endpoint) as sock:
        return receive_to_end(sock)


def echo(endpoint, data):
    """The echo of the data, which must fit into the buffers on the way."""
    with connect(endpoint) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return receive_to_end(sock)


def fill(sock):
    """Sends until nothing more fits on the way, to a peer that reads too little or nothing."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(1 << 20))


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextlib.contextmanager
def reserved_endpoint():
    """An endpoint for a server that cannot say where it listens; nobody else can take it meanwhile."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield endpoint_of(sock)


def is_taken(endpoint):
    """Whether the port cannot be bound without SO_REUSEADDR: it is in use or in TIME_WAIT."""
    with socket.socket() as sock:
        try:
            sock.bind(split_endpoint(endpoint))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def is_answered(endpoint):
    with contextlib.suppress(ConnectionRefusedError), connect(endpoint):
        return True
    return False


class Lines:
    """Collects the lines of a pipe in a thread."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.lines = []
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.collect)
        self.thread.start()

    def collect(self):
        for line in self.pipe:
            with self.changed:
                self.lines.append(line.decode("ascii").rstrip("\n"))
                self.changed.notify_all()

    def wait_for(self, prefix, count=1):
        """Waits for `count` lines that begin with the prefix, and returns what follows it in each."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.find(prefix)) >= count, LIMIT):
                raise AssertionError(f"no {prefix!r} in {self.lines}")
            return self.find(prefix)

    def find(self, prefix):
        return [line[len(prefix):] for line in self.lines if line.startswith(prefix)]

    def close(self):
        self.thread.join(LIMIT)
        self.pipe.close()


class Server:
    """A server program that runs in a with block, and is killed at its end if it still runs."""

    def __init__(self, name, *arguments, endpoint="127.0.0.1:0", command=None, **options):
        words = [BIN / name, *arguments, endpoint]
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(command(words) if command else words, **{**STREAMS, **options})
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout) if self.process.stdout else None
        self.err = Lines(self.process.stderr) if self.process.stderr else None
        self.endpoints = []

    def __enter__(self):
        if self.out:
            try:
                self.endpoints = self.out.wait_for("Listening on ")
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for lines in (self.out, self.err):
            if lines:
                lines.close()

    @property
    def endpoint(self):
        return self.endpoints[0]

    @property
    def port(self):
        return split_endpoint(self.endpoint)[1]

    def stop(self, number=signal.SIGTERM):
        """Stops the server and returns its exit status."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT)

    def sockets(self):
        """The sockets that the process has open."""
        found = []
        for path in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # It may be closed by now.
                if "socket" in os.readlink(path):
                    found.append(int(path.name))
        return found

    def cpu_seconds(self):
        """User and system time of the process."""
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text("ascii")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def thread_count(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))


class Peer:
    """The other side of a client: serves one connection in a thread."""

    def __init__(self, serve, host="127.0.0.1"):
        self.serve = serve
        self.result = None
        self.error = None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        self.listener.settimeout(LIMIT)
        self.endpoint = endpoint_of(self.listener)
        self.thread = threading.Thread(target=self.work)

    def work(self):
        try:
            conn, _ = self.listener.accept()
            with conn:
                conn.settimeout(LIMIT)
                self.result = self.serve(conn)
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.error = error

    def saw_reset(self):
        """Whether the client has ended with a reset, which is no error then."""
        self.thread.join(LIMIT)
        error, self.error = self.error, None
        return isinstance(error, ConnectionResetError)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.thread.join(LIMIT)
        self.listener.close()
        if self.thread.is_alive():
            raise AssertionError("the peer does not end")
        if self.error and kind is None:
            raise self.error


def serve_echo(conn):
    """The echo server of Python's documentation."""
    while data := conn.recv(1024):
        conn.sendall(data)


def serve_bytes(data):
    """A server that sends this to every client."""
    def serve(conn):
        conn.sendall(data)
    return serve


class Silence:
    """A server that neither reads nor writes until it is told to end."""

    def __init__(self):
        self.ended = threading.Event()
        self.end = self.ended.set

    def __call__(self, _):
        self.ended.wait(LIMIT)


def wait_for_end(conn):
    """Reads until the client is gone, with a FIN or a reset."""
    with contextlib.suppress(ConnectionError):
        return receive_to_end(conn)
    return None


class TestCase(unittest.TestCase):
    """Shared by all tests: a time limit, and what a failure must look like."""

    def setUp(self):
        def stop(*_):
            raise TimeoutError(f"the test took more than {TEST_LIMIT} s")
        old = signal.signal(signal.SIGALRM, stop)
        signal.alarm(TEST_LIMIT)
        self.addCleanup(signal.signal, signal.SIGALRM, old)
        self.addCleanup(signal.alarm, 0)

    def assert_ok(self, result, stdout):
        self.assertEqual((0, stdout, b""), (result.returncode, result.stdout, result.stderr))

    def assert_fails(self, result, name, *words, status=1, stdout=b""):
        """It said why, in one line on standard error."""
        error = result.stderr.decode("ascii")
        self.assertEqual((status, stdout), (result.returncode, result.stdout), error)
        self.assertRegex(error, rf"\A{name}: [ -~]+\n\Z")
        for word in words:
            self.assertIn(word, error)

    def assert_comes_back(self, sock, data):
        sock.sendall(data)
        self.assertEqual(data, receive_exactly(sock, len(data)))

    @contextlib.contextmanager
    def assert_takes(self, least=0, most=LIMIT):
        """What is done inside takes from so many to so many seconds."""
        begin = time.monotonic()
        yield
        self.assertGreater(time.monotonic() - begin, least)
        self.assertLess(time.monotonic() - begin, most)

    def assert_is_time(self, answer):
        self.assertEqual(TIME_LENGTH, len(answer), answer)
        self.assertEqual(b"\r\n", answer[-2:])
        time.strptime(answer[:-2].decode("ascii"), TIME_FORMAT)
