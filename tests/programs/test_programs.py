#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example programs end to end: real processes, Python's sockets and netcat as the other side.

Every test uses a free port, waits only for things that happen, and is stopped if it takes too long.
"""

import calendar
import contextlib
import fcntl
import hashlib
import os
import pathlib
import pty
import random
import resource
import select
import selectors
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from programs import (
    CLIENTS, IS_OPENBSD_NETCAT, LIMIT, NETCAT, PROGRAMS, SERVERS, SOCKET_ACTIVATE, TIME_FORMAT,
    Peer, Server, Silence, TestCase, activated, ask_time, closed_pipe, connect, connected, echo,
    endpoint_of, fill, for_each, is_answered, is_taken, needs_ipv6, receive_exactly, receive_to_end,
    reserved_endpoint, reset, run, running, serve_bytes, serve_echo, split_endpoint, wait_for_end,
    wait_until, with_closed,
)


LIMITS = ("--concurrency", "--connection-ms", "--drain-ms", "--max-per-peer")
# The options of each program that take a number.
NUMBERS = {"time_server": LIMITS, "echo_server": (*LIMITS, "--idle-ms"),
           "time_client": ("--timeout-ms",), "echo_client": ("--timeout-ms",)}
ONE_OR_MANY = ("1", "8")  # One connection after another, or threads.


class CommandLines(TestCase):
    """Options and arguments of all four programs."""

    @for_each(name=PROGRAMS, option=("--help", "-h"))
    def test_help_is_complete_and_fits_a_terminal(self, name, option):
        result = run(name, option)
        self.assertEqual((0, b""), (result.returncode, result.stderr))
        text = result.stdout.decode("ascii")
        self.assertTrue(text.startswith(f"Usage: {name} "))
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        quiet = [] if name == "time_client" else ["--quiet"]
        for word in ["--help", "--version", "ENDPOINT", *NUMBERS[name], *quiet]:
            self.assertIn(word, text)

    @for_each(name=PROGRAMS, option=("--version", "-V"))
    def test_version_names_the_program_and_the_library(self, name, option):
        result = run(name, option)
        self.assertEqual((0, b""), (result.returncode, result.stderr))
        self.assertRegex(result.stdout, rb"\A%s \d+\.\d+\.\d+\n\Z" % name.encode())

    @for_each(name=PROGRAMS, option=("--help", "--version"))
    def test_help_that_cannot_be_written_is_a_failure(self, name, option):
        with open("/dev/full", "wb") as full:
            self.assert_fails(run(name, option, stdout=full), name, "standard output", stdout=None)

    def assert_usage(self, result, name, word):
        error = result.stderr.decode("ascii")
        self.assertEqual((2, b""), (result.returncode, result.stdout))
        self.assertTrue(error.startswith(f"{name}: "), error)
        self.assertIn(f"\nUsage: {name} ", error)
        self.assertIn(word, error)

    @for_each(name=PROGRAMS,
              option=("--nonsense", "-x", "-xh", "--help=yes", "--nonsense=1", "-\x1b[31m"))
    def test_unknown_options_get_the_usage(self, name, option):
        self.assert_usage(run(name, option), name, option.replace("\x1b", r"\x1b"))

    @for_each(name=PROGRAMS)
    def test_client_options_are_unknown_to_servers_and_vice_versa(self, name):
        for option in {*LIMITS, "--idle-ms", "--timeout-ms"} - {*NUMBERS[name]}:
            with self.subTest(option=option):
                self.assert_usage(run(name, f"{option}=5"), name, f"{option}=5")

    @for_each(name=PROGRAMS)
    def test_extra_arguments_get_the_usage(self, name):
        operands = ["127.0.0.1:1", "message"] if name == "echo_client" else ["127.0.0.1:1"]
        for extra in (["too much"], ["--", "--help"], [""]):
            self.assert_usage(run(name, *operands, *extra), name, f"'{extra[-1]}'")

    @for_each(name=PROGRAMS)
    def test_an_option_without_its_value_gets_the_usage(self, name):
        self.assert_usage(run(name, NUMBERS[name][0]), name, NUMBERS[name][0])

    @for_each(name=PROGRAMS, value=("0x", "-5", "", "0", "+1", " 1", "1 ", "1.5", "1e3", "ten", "1\n2",
                                    "99999999999", "18446744073709551617", "9" * 1000))
    def test_bad_values_are_named_with_what_was_expected(self, name, value):
        shown = value.replace("\n", r"\n")[:200]
        for option in NUMBERS[name]:
            with self.subTest(option=option):
                self.assert_fails(run(name, option, value), name, option, f"'{shown}", "expected",
                                  "1 to ", status=2)

    def test_invalid_endpoints_are_named(self):
        endpoints = ["99999", "-1", "", "80x", "localhost", "a:b:c", "[::1", "1:80",
                     "localhost:99999", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1: 80", "::1:80",
                     "127.1:80", "localhost:http", "[::1]80", "127.0.0.1:80 ", "256.1.1.1:80",
                     "unix:x", "unix:@", "fd:x", "systemd:x"]
        only_for_servers = [":80", "*:80", "127.0.0.1:0", "fd:3", "systemd:"]
        for name in PROGRAMS:
            for endpoint in endpoints + (only_for_servers if name in CLIENTS else []):
                with self.subTest(name=name, endpoint=endpoint):
                    self.assert_fails(run(name, endpoint), name, endpoint)
                    self.assert_fails(run(name, "--", endpoint), name, endpoint)

    @for_each(name=PROGRAMS)
    def test_control_bytes_of_an_endpoint_never_reach_the_terminal(self, name):
        self.assert_fails(run(name, "\x1b[31m\n:80"), name, r"\x1b[31m")

    def test_control_bytes_of_a_silent_endpoint_never_reach_the_terminal(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as silent:
            path = f"{folder}/\x1b[31m\nx"
            silent.bind(path)
            silent.listen()
            for name in CLIENTS:
                with self.subTest(name=name):
                    self.assert_fails(run(name, "--timeout-ms", "100", f"unix:{path}"), name,
                                      r"/\x1b[31m\nx: timed out; --timeout-ms")


class TimeServer(TestCase):
    """The time server, seen from Python."""

    def test_a_client_reads_the_time_and_decodes_it(self):
        with Server("time_server") as server:
            before = int(time.time())
            answer = ask_time(server.endpoint)
            after = int(time.time())
        self.assert_is_time(answer)
        decoded = time.mktime(time.strptime(answer.decode("ascii").rstrip(), TIME_FORMAT))
        self.assertIn(decoded, range(before - 1, after + 1))  # time() may be a tick behind.

    @for_each(zone=(("UTC0", 0), ("XXX-5:30", 19800), ("YYY9:15", -33300), ("ZZZ-24", 86400),
                    ("AAA24", -86400)),
              language=("C", "de_DE.UTF-8", "ja_JP.UTF-8"))
    def test_the_time_is_local_and_its_names_are_english(self, zone, language):
        name, offset = zone
        environment = {**os.environ, "TZ": name, "LC_ALL": language, "LANG": language}
        with Server("time_server", env=environment) as server:
            before = int(time.time())
            answer = ask_time(server.endpoint).decode("ascii")
            expected = [time.strftime("%a %b %e %H:%M:%S %Y\r\n", time.gmtime(now + offset))
                        for now in range(before - 1, int(time.time()) + 1)]
            self.assertIn(answer, expected)

    @for_each(month=range(1, 13))
    def test_days_and_months_are_written_as_ctime_does(self, month):
        # With a time zone that is years away from UTC, today can be any day.
        now = int(time.time())
        offset = calendar.timegm((2014, month, month, 12, 0, 0)) - now
        with tempfile.NamedTemporaryFile() as zone:
            zone.write(struct.pack(">4s16x6LlBB4s", b"TZif", 0, 0, 0, 0, 1, 4, offset, 0, 0, b"XXX"))
            zone.flush()
            with Server("time_server", env={**os.environ, "TZ": f":{zone.name}"}) as server:
                answer = ask_time(server.endpoint).decode("ascii")
                expected = [time.asctime(time.gmtime(each + offset)) + "\r\n"
                            for each in range(now - 1, int(time.time()) + 1)]
            self.assertIn(answer, expected)

    def test_each_connection_is_logged_with_the_address_of_the_peer(self):
        with Server("time_server") as server:
            with connect(server.endpoint) as sock:
                receive_to_end(sock)
                self.assertEqual([endpoint_of(sock)], server.out.wait_for("Got a connection from "))
            self.assertEqual(0, server.stop())
        self.assertEqual([], server.err.lines)

    @needs_ipv6
    def test_localhost_is_ipv4_and_ipv6_on_one_port(self):
        with Server("time_server", endpoint="localhost:0") as server:
            endpoints = server.out.wait_for("Listening on ", count=2)
            self.assertEqual({f"127.0.0.1:{server.port}", f"[::1]:{server.port}"}, set(endpoints))
            peers = []
            for endpoint in endpoints:
                with connect(endpoint) as sock:
                    peers.append(endpoint_of(sock))
                    self.assert_is_time(receive_to_end(sock))
            self.assertEqual(peers, server.out.wait_for("Got a connection from ", count=2))

    @needs_ipv6
    @for_each(endpoint=(":0", "*:0"))
    def test_all_interfaces_are_ipv4_and_ipv6_on_one_port(self, endpoint):
        with Server("time_server", endpoint=endpoint) as server:
            endpoints = server.out.wait_for("Listening on ", count=2)
            self.assertEqual({f"0.0.0.0:{server.port}", f"[::]:{server.port}"}, set(endpoints))
            self.assert_is_time(ask_time(f"127.0.0.1:{server.port}"))
            self.assert_is_time(ask_time(f"[::1]:{server.port}"))

    def test_a_client_that_sends_input_gets_the_time(self):
        with Server("time_server") as server, connect(server.endpoint) as sock:
            sock.sendall(b"what time is it?\n" * 100)
            self.assert_is_time(receive_to_end(sock))

    def test_quiet_prints_only_where_it_listens(self):
        with Server("time_server", "--quiet") as server:
            self.assert_is_time(ask_time(server.endpoint))
            self.assertEqual(0, server.stop())
        self.assertEqual([f"Listening on {server.endpoint}"], server.out.lines)

    def test_300_clients_at_once_all_get_the_time(self):
        with Server("time_server") as server:
            self.ask_many(server.endpoint, 300)

    def test_300_clients_at_once_all_get_the_time_with_concurrency_1(self):
        with Server("time_server", "--concurrency", "1") as server:
            self.ask_many(server.endpoint, 300)
            self.assertEqual(1, server.thread_count())

    def ask_many(self, endpoint, count):
        """Connects `count` clients before it reads anything."""
        answers = {}
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            for _ in range(count):
                sock = stack.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex(split_endpoint(endpoint))
                selector.register(sock, selectors.EVENT_READ)
                answers[sock] = b""
            while selector.get_map():
                ready = selector.select(LIMIT)
                self.assertTrue(ready, f"{len(selector.get_map())} clients wait for ever")
                for key, _ in ready:
                    chunk = key.fileobj.recv(100)
                    answers[key.fileobj] += chunk
                    if not chunk:
                        selector.unregister(key.fileobj)
        self.assertEqual(count, len(answers))
        for answer in answers.values():
            self.assert_is_time(answer)


class EchoServer(TestCase):
    """The echo server, seen from Python."""

    def test_a_short_message_is_echoed_and_logged(self):
        with Server("echo_server") as server, connect(server.endpoint) as sock:
            self.assert_comes_back(sock, b"Hello, world")
            self.assertEqual([endpoint_of(sock)], server.out.wait_for("Connected by "))

    def test_every_byte_value_is_echoed(self):
        data = bytes(range(256)) * 5
        with Server("echo_server") as server:
            self.assertEqual(data, echo(server.endpoint, data))

    def test_empty_input_is_echoed_as_nothing(self):
        with Server("echo_server") as server:
            self.assertEqual(b"", echo(server.endpoint, b""))

    @needs_ipv6
    def test_ipv6_is_served_and_logged(self):
        with Server("echo_server", endpoint="[::1]:0") as server, connect(server.endpoint) as sock:
            self.assertRegex(server.endpoint, r"^\[::1\]:\d+$")
            self.assert_comes_back(sock, b"six")
            self.assertEqual([endpoint_of(sock)], server.out.wait_for("Connected by "))

    def test_a_half_closed_client_still_gets_its_echo(self):
        data = os.urandom(100_000)
        with Server("echo_server") as server:
            self.assertEqual(data, echo(server.endpoint, data))

    def test_the_connection_stays_open_until_the_client_ends_it(self):
        with Server("echo_server") as server, connect(server.endpoint) as sock:
            for length in (1, 2, 1000, 16384, 16385, 40000):
                self.assert_comes_back(sock, os.urandom(length))
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(b"", sock.recv(1))

    def test_a_client_that_never_reads_does_not_block_others(self):
        with Server("echo_server") as server, connect(server.endpoint) as greedy:
            fill(greedy)
            self.assertEqual(b"hello", echo(server.endpoint, b"hello"))

    def test_clients_that_reset_do_no_harm(self):
        with Server("echo_server") as server:
            for _ in range(50):
                sock = connect(server.endpoint)
                sock.sendall(bytes(10000))
                reset(sock)
            self.assertEqual(b"hello", echo(server.endpoint, b"hello"))
            self.assertEqual(0, server.stop())

    def test_with_concurrency_1_a_client_waits_for_the_one_before_it(self):
        with Server("echo_server", "--concurrency", "1") as server:
            with connect(server.endpoint) as first, connect(server.endpoint) as second:
                second.sendall(b"second")
                first.sendall(b"first")
                self.assertEqual(b"first", receive_exactly(first, 5))
                second.settimeout(0.1)
                self.assertRaises(socket.timeout, second.recv, 1)
                second.settimeout(LIMIT)
                first.shutdown(socket.SHUT_WR)
                self.assertEqual(b"", first.recv(1))
                self.assertEqual(b"second", receive_exactly(second, 6))
                self.assertEqual(1, server.thread_count())

    @for_each(concurrency=ONE_OR_MANY)
    def test_connection_ms_cuts_an_idle_client_off(self, concurrency):
        # Long enough for the client that follows, on a busy machine.
        with Server("echo_server", "--connection-ms", "1000", "--concurrency", concurrency) as server:
            with self.assert_takes(0.99), connect(server.endpoint) as sock:
                self.assertRaises(ConnectionResetError, sock.recv, 1)
            self.assertEqual(b"hello", echo(server.endpoint, b"hello"))

    @for_each(name=SERVERS, limit=(1, 3))
    def test_max_per_peer_resets_excess_clients_and_admits_later_ones(self, name, limit):
        with Server(name, "--max-per-peer", str(limit)) as server, \
                connected(server.endpoint, limit) as served:
            for sock in served:  # A time server lingers for their FINs.
                sock.sendall(b"x")
                sock.recv(1)
            self.assertRaises(ConnectionResetError, ask_time, server.endpoint)
            server.out.wait_for("Refused 127.0.0.1:")
            for sock in served:
                sock.close()
            wait_until(lambda: self.is_served(server.endpoint), "a place")
            self.assertEqual(0, server.stop())

    @staticmethod
    def is_served(endpoint):
        """Whether the server serves one more client."""
        try:
            return bool(echo(endpoint, b"hello"))
        except ConnectionError:
            return False

    @for_each(concurrency=ONE_OR_MANY)
    def test_idle_ms_ends_an_idle_connection(self, concurrency):
        with Server("echo_server", "--idle-ms", "200", "--concurrency", concurrency) as server:
            with self.assert_takes(0.19), connect(server.endpoint) as sock:
                self.assertEqual(b"", sock.recv(1))  # In order: the connection was idle.
            with connect(server.endpoint) as sock:
                sock.sendall(b"x")
                self.assertEqual(b"x", receive_to_end(sock))
            self.assertEqual(b"hello", echo(server.endpoint, b"hello"))

    def test_idle_ms_does_not_end_an_active_connection(self):
        with Server("echo_server", "--idle-ms", "1000") as server, connect(server.endpoint) as sock:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                self.assert_comes_back(sock, b"x")

    def test_idle_ms_resets_a_client_that_does_not_read_its_echo(self):
        with Server("echo_server", "--idle-ms", "200") as server, \
                connect(server.endpoint) as sock, self.assertRaises(ConnectionError):
            while True:
                sock.sendall(bytes(1 << 20))

    def test_connection_ms_cuts_a_busy_client_off(self):
        with Server("echo_server", "--connection-ms", "200") as server, \
                connect(server.endpoint) as sock, self.assertRaises(ConnectionError):
            while True:
                self.assert_comes_back(sock, b"x")


class LocalSockets(TestCase):
    """The servers on Unix sockets, and on sockets that others have opened."""

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(directory.cleanup)
        self.path = f"{directory.name}/socket"
        self.endpoint = f"unix:{self.path}"

    def test_a_unix_socket_is_served_and_logged(self):
        with Server("echo_server", endpoint=self.endpoint) as server:
            self.assertEqual(self.endpoint, server.endpoint)
            self.assertEqual(0o600, stat.S_IMODE(os.lstat(self.path).st_mode))
            self.assertEqual(b"ping", echo(self.endpoint, b"ping"))
            self.assertEqual([""], server.out.wait_for("Connected by unix:"))
            self.assertEqual(0, server.stop())
            self.assertFalse(os.path.lexists(self.path))

    def test_max_per_peer_counts_the_connections_of_a_user(self):
        with Server("echo_server", "--max-per-peer", "1", endpoint=self.endpoint) as server, \
                connect(self.endpoint) as sock:
            self.assert_comes_back(sock, b"x")
            self.assertEqual(b"", ask_time(self.endpoint))  # A Unix socket has no reset.
            server.out.wait_for("Refused unix:")

    def test_an_abstract_name_is_served(self):
        with Server("time_server", endpoint=f"unix:@{self.path}") as server:
            self.assertEqual(f"unix:@{self.path}", server.endpoint)
            self.assert_is_time(ask_time(server.endpoint))
            self.assertEqual([""], server.out.wait_for("Got a connection from unix:"))

    def test_the_example_clients_work_over_unix_sockets(self):
        with Server("echo_server", endpoint=self.endpoint):
            result = run("echo_client", self.endpoint, "ping")
            self.assert_ok(result, b"Received 'ping'\n")
        with Server("time_server", endpoint=f"unix:@{self.path}") as server:
            self.assertEqual(0, run("time_client", server.endpoint).returncode)

    def test_the_socket_of_a_killed_server_is_replaced(self):
        with Server("echo_server", endpoint=self.endpoint) as server:
            self.assertEqual(-signal.SIGKILL, server.stop(signal.SIGKILL))
        self.assertTrue(os.path.lexists(self.path))
        with Server("echo_server", endpoint=self.endpoint):
            self.assertEqual(b"ping", echo(self.endpoint, b"ping"))

    def test_a_second_server_does_not_disturb_the_first(self):
        with Server("echo_server", endpoint=self.endpoint):
            self.assert_fails(run("time_server", self.endpoint), "time_server", self.endpoint,
                              "a server listens there")
            self.assertEqual(b"ping", echo(self.endpoint, b"ping"))

    def test_an_unrelated_file_at_the_path_is_kept(self):
        file = pathlib.Path(self.path)
        file.write_bytes(b"precious")
        self.assert_fails(run("echo_server", self.endpoint), "echo_server", self.endpoint,
                          "no socket")
        self.assertEqual(b"precious", file.read_bytes())

    def test_an_inherited_descriptor_is_served(self):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            fd = sock.fileno()
            with Server("echo_server", endpoint=f"fd:{fd}", pass_fds=[fd]) as server:
                self.assertEqual(endpoint_of(sock), server.endpoint)
                self.assertEqual(b"ping", echo(server.endpoint, b"ping"))
                self.assertEqual(0, server.stop())
            self.assertTrue(is_answered(server.endpoint))  # It is still ours.

    def test_an_invalid_inherited_descriptor_is_named(self):
        self.assert_fails(run("echo_server", "fd:99"), "echo_server", "fd:99", "not a socket")

    @needs_ipv6
    def test_sockets_of_a_service_manager_are_served(self):
        with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as first, \
                socket.socket(socket.AF_UNIX) as second:
            second.bind(self.path)
            second.listen()
            with Server("echo_server", endpoint="systemd:", **activated(first, second)) as server:
                endpoints = server.out.wait_for("Listening on ", count=2)
                port = first.getsockname()[1]
                self.assertEqual([f"[::]:{port}", self.endpoint], endpoints)
                with connect(f"127.0.0.1:{port}") as sock:
                    server.out.wait_for(f"Connected by {endpoint_of(sock)}")
                self.assertEqual(b"ping", echo(self.endpoint, b"ping"))
                self.assertEqual(0, server.stop())
            self.assertTrue(os.path.lexists(self.path))

    def test_a_missing_service_manager_is_reported(self):
        self.assert_fails(run("echo_server", "systemd:"), "echo_server", "systemd:", "no sockets")

    @unittest.skipUnless(SOCKET_ACTIVATE, "no systemd-socket-activate here")
    def test_systemd_activates_a_server(self):
        server = Server("echo_server", endpoint="systemd:",
                        command=lambda words: [SOCKET_ACTIVATE, "-l", self.path, *words])
        with contextlib.ExitStack() as stack:
            stack.push(server)
            wait_until(lambda: os.path.lexists(self.path) and is_answered(self.endpoint),
                       "systemd-socket-activate")
            stack.enter_context(server)
            self.assertEqual(self.endpoint, server.endpoint)
            self.assertEqual(b"ping", echo(self.endpoint, b"ping"))
            self.assertEqual(0, server.stop())


class Load:
    """Clients of a time server in eight threads, until nobody listens any more."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.stopping = False
        self.answers = []  # Whether it was connected before the stop, and what it got.
        self.threads = [threading.Thread(target=self.work) for _ in range(8)]
        for thread in self.threads:
            thread.start()

    def work(self):
        with contextlib.suppress(OSError):
            while True:
                sock = connect(self.endpoint)
                early = not self.stopping
                with sock:
                    try:
                        answer = receive_to_end(sock)
                    except OSError as error:
                        answer = repr(error).encode("ascii")
                self.answers.append((early, answer))

    def join(self):
        for thread in self.threads:
            thread.join(LIMIT)


class Stopping(TestCase):
    """How servers stop, and what their clients see."""

    @for_each(name=SERVERS, number=(signal.SIGTERM, signal.SIGINT), concurrency=("1", "512"))
    def test_both_signals_stop_an_idle_server(self, name, number, concurrency):
        with Server(name, "--concurrency", concurrency) as server:
            self.assertEqual(0, server.stop(number))
        self.assertEqual([f"Listening on {server.endpoint}"], server.out.lines)
        self.assertEqual([], server.err.lines)

    @for_each(number=(signal.SIGTERM, signal.SIGINT), concurrency=("1", "2"))
    def test_connections_queued_at_the_stop_are_still_served(self, number, concurrency):
        with Server("echo_server", "--concurrency", concurrency) as server, \
                connected(server.endpoint, int(concurrency)) as busy:
            server.out.wait_for("Connected by ", count=len(busy))
            with connected(server.endpoint, 100) as waiting:
                server.process.send_signal(number)
                for i, sock in enumerate(busy + waiting):
                    sock.sendall(b"client %d" % i)
                    sock.shutdown(socket.SHUT_WR)
                for i, sock in enumerate(busy + waiting):
                    self.assertEqual(b"client %d" % i, receive_to_end(sock))
            self.assertEqual(0, server.process.wait(LIMIT))

    @for_each(concurrency=("1", "512"))
    def test_a_stop_under_load_loses_no_connected_client(self, concurrency):
        with Server("time_server", "--quiet", "--concurrency", concurrency) as server:
            load = Load(server.endpoint)
            wait_until(lambda: len(load.answers) > 200, "200 answers")
            load.stopping = True
            with self.assert_takes(most=10):
                self.assertEqual(0, server.stop())
            load.join()
            early = [answer for was_early, answer in load.answers if was_early]
            self.assertGreater(len(early), 200)
            for answer in early:
                self.assert_is_time(answer)

    def test_a_stopped_server_waits_for_the_echo_in_progress(self):
        data = random.Random(1).randbytes(1 << 24)  # More than fits on the way.
        with Server("echo_server") as server, connect(server.endpoint) as sock:
            sender = threading.Thread(target=sock.sendall, args=(data,))
            sender.start()
            received = receive_exactly(sock, 1 << 16)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: len(server.sockets()) == 1, "the end of listening")
            received += receive_exactly(sock, len(data) - len(received))
            sender.join(LIMIT)
            self.assertEqual(b"", sock.recv(1))
            sock.close()
            self.assertEqual(0, server.process.wait(LIMIT))
        self.assertEqual(data, received)

    @for_each(concurrency=("1", "64"))
    def test_a_stop_gives_idle_clients_an_immediate_orderly_close(self, concurrency):
        arguments = ("--drain-ms", "600000", "--concurrency", concurrency)
        with Server("echo_server", *arguments) as server, \
                connected(server.endpoint, int(concurrency)) as clients:
            for sock in clients:
                sock.sendall(b"x")
            for sock in clients:
                self.assertEqual(b"x", receive_exactly(sock, 1))
            server.process.send_signal(signal.SIGINT)
            for sock in clients:
                self.assertEqual(b"", sock.recv(1))
                sock.close()
            self.assertEqual(0, server.process.wait(LIMIT))

    @for_each(concurrency=ONE_OR_MANY)
    def test_drain_ms_bounds_the_wait_for_clients_that_do_not_close(self, concurrency):
        arguments = ("--drain-ms", "300", "--concurrency", concurrency)
        with Server("echo_server", *arguments) as server, connect(server.endpoint) as sock:
            server.out.wait_for("Connected by ")
            with self.assert_takes(0.29, 5):
                self.assertEqual(0, server.stop())
            self.assertRaises(ConnectionResetError, sock.recv, 1)

    def test_drain_ms_bounds_the_wait_for_clients_that_never_read(self):
        with Server("echo_server", "--drain-ms", "300") as server, connect(server.endpoint) as sock:
            fill(sock)
            with self.assert_takes(most=5):
                self.assertEqual(0, server.stop())

    def test_ctrl_c_twice_ends_the_wait_for_clients(self):
        with Server("echo_server", "--drain-ms", "600000") as server, connect(server.endpoint) as sock:
            fill(sock)
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.6)  # Two at once would be one.
            self.assertIsNone(server.process.poll())
            self.assertEqual(0, server.stop(signal.SIGINT))

    def test_a_server_started_with_sigint_ignored_ignores_it(self):
        def ignoring(words):
            return ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *words]
        with Server("time_server", command=ignoring) as server:
            server.process.send_signal(signal.SIGINT)
            self.assert_is_time(ask_time(server.endpoint))
            self.assertEqual(0, server.stop(signal.SIGTERM))

    def test_a_server_restarts_at_once_on_its_port(self):
        for attempt in range(3):
            with Server("time_server", endpoint="localhost:0") as server:
                endpoint = server.endpoint
                self.assert_is_time(ask_time(endpoint))
                self.assertEqual(0, server.stop())
            if not is_taken(endpoint):
                self.skipTest("the system has no room for another TIME_WAIT")
            try:
                with Server("time_server", endpoint=endpoint) as server:
                    self.assert_is_time(ask_time(endpoint))
                return
            except AssertionError:
                if attempt == 2:  # A stranger may have taken the port once, but not each time.
                    raise

    @for_each(name=SERVERS, other=SERVERS)
    def test_a_server_on_a_busy_port_fails_with_the_reason(self, name, other):
        with Server(name) as server:
            self.assert_fails(run(other, server.endpoint), other, server.endpoint,
                              "address already in use")
            self.assertEqual(0, server.stop())

    @needs_ipv6
    def test_one_busy_family_is_enough_to_fail(self):
        with Server("time_server") as server:
            endpoint = f"localhost:{server.port}"
            self.assert_fails(run("time_server", endpoint), "time_server", endpoint,
                              "address already in use")

    def test_an_address_of_another_machine_cannot_be_listened_on(self):
        self.assert_fails(run("time_server", "192.0.2.1:0"), "time_server", "192.0.2.1:0")


class Resources(TestCase):
    """Servers that run out of something."""

    def test_a_server_out_of_descriptors_recovers_and_burns_no_cpu(self):
        with Server("echo_server", "--quiet") as server, contextlib.ExitStack() as stack:
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (32, 32))
            clients = [stack.enter_context(connect(server.endpoint)) for _ in range(200)]
            for i, sock in enumerate(clients):
                sock.sendall(b"client %d" % i)
            server.err.wait_for("echo_server: new connections have to wait")
            begin = server.cpu_seconds()
            time.sleep(1)  # Not for something to happen: nothing must.
            self.assertLess(server.cpu_seconds() - begin, 0.2)
            for sock in clients:
                sock.shutdown(socket.SHUT_WR)
            for i, sock in enumerate(clients):
                self.assertEqual(b"client %d" % i, receive_to_end(sock))
            server.err.wait_for("echo_server: new connections are accepted again")
            self.assertEqual(b"hello", echo(server.endpoint, b"hello"))
            self.assertEqual(0, server.stop())

    def test_a_server_logs_when_its_limit_is_reached_and_cleared(self):
        with Server("echo_server", "--quiet", "--concurrency", "2") as server, \
                connected(server.endpoint, 3) as clients:
            server.err.wait_for("echo_server: new connections have to wait: 2 are being served")
            for sock in clients:
                sock.sendall(b"x")
                sock.shutdown(socket.SHUT_WR)
            for sock in clients:
                self.assertEqual(b"x", receive_to_end(sock))
            server.err.wait_for("echo_server: new connections do not have to wait any more")
            self.assertEqual(0, server.stop())

    @for_each(name=SERVERS)
    def test_a_full_disk_does_not_stop_a_server(self, name):
        with open("/dev/full", "wb") as full:
            self.serve_unheard(name, stdout=full, stderr=full)

    @for_each(name=SERVERS)
    def test_closed_descriptors_do_not_stop_a_server_and_do_not_become_sockets(self, name):
        self.serve_unheard(name, stdin=None, stdout=None, stderr=None,
                           command=lambda words: with_closed((0, 1, 2), words))

    def serve_unheard(self, name, **options):
        """A server without a log serves as others do."""
        with reserved_endpoint() as endpoint, Server(name, endpoint=endpoint, **options) as server:
            wait_until(lambda: is_answered(endpoint), "listening")
            for _ in range(5):
                if name == "time_server":
                    self.assert_is_time(ask_time(endpoint))
                else:
                    self.assertEqual(b"hello", echo(endpoint, b"hello"))
            self.assertFalse({0, 1, 2} & set(server.sockets()))
            self.assertEqual(0, server.stop())

    @for_each(name=SERVERS)
    def test_a_closed_pipe_does_not_stop_a_server(self, name):
        reader, writer = os.pipe()
        with open(reader, "rb") as pipe, Server(name, stdout=writer, stderr=writer) as server:
            os.close(writer)
            endpoint = pipe.readline().decode("ascii").split()[-1]
            pipe.close()
            for _ in range(5):
                echo(endpoint, b"")
            self.assertEqual(0, server.stop())

    @staticmethod
    def small_pipe(blocking):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)
        os.set_blocking(writer, blocking)
        return reader, writer

    @staticmethod
    def small_socket():
        reader, writer = socket.socketpair()
        writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        return reader.detach(), writer.detach()

    def test_a_log_that_nobody_reads_does_not_stop_a_server(self):
        logs = {"a pipe": (4096, self.small_pipe, True),
                "a non-blocking pipe": (4096, self.small_pipe, False),
                "a socket": (4096, self.small_socket),
                "a terminal": (32768, pty.openpty)}
        for kind, (capacity, make, *arguments) in logs.items():
            reader, writer = make(*arguments)
            with self.subTest(kind), open(reader, "rb", buffering=0) as log, \
                    Server("time_server", stdout=writer, stderr=writer) as server:
                os.close(writer)
                endpoint = log.readline().decode("ascii").split()[-1]
                for _ in range(capacity // len("Got a connection from 127.0.0.1:1\n") + 100):
                    self.assert_is_time(ask_time(endpoint))
                self.assertEqual(0, server.stop())


class ClientOutput:
    """What both clients do when standard output is no use: NAME, ARGUMENTS to try, and a server()."""

    def fail_to_write(self, stdout):
        for arguments in self.ARGUMENTS:
            with self.subTest(arguments=arguments), self.server() as server:
                result = run(self.NAME, server.endpoint, *arguments, input=b"Hello", stdout=stdout)
                self.assert_fails(result, self.NAME, "standard output", stdout=None)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            self.fail_to_write(full)

    def test_a_closed_pipe_is_a_failure_and_not_a_signal(self):
        with closed_pipe() as pipe:
            self.fail_to_write(pipe)

    @for_each(closed=((1,), (0, 1), (0, 1, 2)))
    def test_closed_descriptors_do_not_become_the_connection(self, closed):
        def serve(conn):
            sent = self.answer(conn)
            conn.shutdown(socket.SHUT_WR)
            return sent + receive_to_end(conn)
        with Peer(serve) as peer:
            result = run(self.NAME, peer.endpoint, closed=closed)
            self.assertEqual((1, 2 in closed), (result.returncode, not result.stderr))
        self.assertEqual(self.SENT, peer.result)


class TimeClient(ClientOutput, TestCase):
    """The time client against servers in Python, most of them bad ones."""

    LINE = b"Wed Jan 29 19:14:15 2014"
    ANSWER = b"The time got from the server is "
    NAME, ARGUMENTS, SENT = "time_client", [()], b""

    def server(self):
        return Peer(self.answer)

    def answer(self, conn):
        """Answers as a time server does; gives what the client has sent."""
        conn.sendall(self.LINE + b"\r\n")
        return b""

    def ask(self, serve, *arguments, host="127.0.0.1"):
        with Peer(serve, host) as peer:
            self.endpoint = peer.endpoint
            return run("time_client", *arguments, peer.endpoint)

    def assert_no_answer(self, result, *words):
        self.assert_fails(result, "time_client", self.endpoint, *words)

    def assert_prints_the_time(self, serve, **options):
        self.assert_ok(self.ask(serve, **options), self.ANSWER + self.LINE + b"\n")

    def test_the_time_is_printed(self):
        self.assert_prints_the_time(serve_bytes(self.LINE + b"\r\n"))

    def test_a_line_that_ends_in_a_bare_lf_is_accepted(self):
        self.assert_prints_the_time(serve_bytes(self.LINE + b"\n"))

    @needs_ipv6
    def test_the_time_is_printed_over_ipv6(self):
        self.assert_prints_the_time(serve_bytes(self.LINE + b"\r\n"), host="::1")

    def test_the_example_time_server_answers_the_client(self):
        with Server("time_server", endpoint="localhost:0") as server:
            for endpoint in (*server.endpoints, f"localhost:{server.port}"):
                with self.subTest(endpoint=endpoint):
                    result = run("time_client", endpoint)
                    self.assertEqual((0, b""), (result.returncode, result.stderr))
                    self.assertTrue(result.stdout.startswith(self.ANSWER))
                    line = result.stdout[len(self.ANSWER):].decode("ascii")
                    time.strptime(line.rstrip("\n"), TIME_FORMAT)

    def test_an_answer_that_arrives_byte_by_byte_is_joined(self):
        def serve(conn):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in self.LINE + b"\r\n":
                conn.sendall(bytes([byte]))
        self.assert_prints_the_time(serve)

    def test_control_bytes_of_an_answer_never_reach_the_terminal(self):
        result = self.ask(serve_bytes(b"\x1b]0;evil\x07 \x00\x7f\xff\r'\"\\\t\r\n"))
        self.assert_ok(result, self.ANSWER + rb"\x1b]0;evil\x07 \x00\x7f\xff\r\'\"\\\t" + b"\n")

    @for_each(answer=(b"", b"Wed Jan 29", LINE, LINE + b"\r"))
    def test_a_truncated_answer_is_a_failure(self, answer):
        self.assert_no_answer(self.ask(serve_bytes(answer)), "cut short")

    def test_an_answer_that_is_too_long_is_a_failure(self):
        def flood(conn):
            with contextlib.suppress(ConnectionError):
                while True:
                    conn.sendall(bytes(65536))
        overlong = [serve_bytes(self.LINE * 100 + b"\r\n"), serve_bytes(self.LINE + b"\r\nmore"),
                    serve_bytes((self.LINE + b"\r\n") * 2), flood]
        for number, serve in enumerate(overlong):
            with self.subTest(number):
                self.assert_no_answer(self.ask(serve), "too long")

    @for_each(answer=(b"", b"Wed Jan 29", LINE + b"\r\n"))
    def test_a_reset_instead_of_an_answer_is_a_failure(self, answer):
        def serve(conn):
            conn.sendall(answer)
            reset(conn)
        self.assert_no_answer(self.ask(serve), "reset")

    def test_no_answer_is_waited_for_as_long_as_asked(self):
        with self.assert_takes(0.29, 5):
            result = self.ask(wait_for_end, "--timeout-ms", "300")
        self.assert_no_answer(result, "timed out")

    def test_the_end_of_the_answer_must_arrive_in_time(self):
        def serve(conn):
            conn.sendall(self.LINE + b"\r\n")
            wait_for_end(conn)
        self.assert_no_answer(self.ask(serve, "--timeout-ms", "300"), "timed out")

    def test_slow_progress_does_not_extend_the_timeout(self):
        def drip(conn):
            with contextlib.suppress(ConnectionError):
                for _ in range(40):
                    conn.sendall(b"x")
                    time.sleep(0.05)  # A slow server: that is what is tested.
        with self.assert_takes(most=5):
            result = self.ask(drip, "--timeout-ms", "300")
        self.assert_no_answer(result, "timed out")

    @for_each(name=CLIENTS)
    def test_a_refused_connection_is_a_failure_that_names_the_endpoint(self, name):
        with reserved_endpoint() as endpoint:
            self.assert_fails(run(name, endpoint), name, f"connect to {endpoint}", "refused")


def answer_at_the_end(conn):
    """Answers when the client has ended its stream."""
    conn.sendall(receive_to_end(conn))


MESSAGES = ("Hello, world", "-")  # The same from the command line, and from standard input.


class EchoClient(ClientOutput, TestCase):
    """The echo client against servers in Python, most of them bad ones."""

    NAME, ARGUMENTS, SENT = "echo_client", [(message,) for message in MESSAGES], b"Hello, world"

    def server(self):
        return Server("echo_server")

    @staticmethod
    def answer(conn):
        """Answers as an echo server does; gives what the client has sent."""
        data = receive_exactly(conn, 12)
        conn.sendall(data)
        return data

    @staticmethod
    def ask(peer, message, options=()):
        return run("echo_client", *options, peer.endpoint, message, input=b"Hello, world")

    def assert_echoes(self, peer, message="Hello, world", options=()):
        expected = b"Hello, world" if message == "-" else b"Received 'Hello, world'\n"
        self.assert_ok(self.ask(peer, message, options), expected)

    def assert_shows(self, message, shown, *options, serve=serve_echo):
        with Peer(serve) as peer:
            self.assert_ok(run("echo_client", peer.endpoint, *options, message),
                           b"Received '%s'\n" % shown)

    def test_the_message_is_echoed(self):
        with Peer(serve_echo) as peer:
            self.assert_ok(run("echo_client", peer.endpoint), b"Received 'Hello, world'\n")
        self.assert_shows("ahoy", b"ahoy")

    @needs_ipv6
    def test_the_message_is_echoed_over_ipv6(self):
        with Peer(serve_echo, "::1") as peer:
            self.assert_echoes(peer)

    def test_the_example_echo_server_answers_the_client(self):
        with Server("echo_server", endpoint="localhost:0") as server:
            for endpoint in (*server.endpoints, f"localhost:{server.port}"):
                with self.subTest(endpoint=endpoint):
                    self.assert_ok(run("echo_client", endpoint), b"Received 'Hello, world'\n")

    def test_an_empty_message_is_echoed(self):
        self.assert_shows("", b"")

    def test_a_message_may_look_like_an_option(self):
        self.assert_shows("--help", b"--help", "--")
        self.assert_shows("-5", b"-5")

    def test_control_bytes_of_an_echo_are_escaped(self):
        self.assert_shows(b"\x1b[2J\x07 \x01\x7f\xff\xc3\xa9\r\n\t'\"\\%s%n",
                          rb"\x1b[2J\x07 \x01\x7f\xff\xc3\xa9\r\n\t\'\"\\%s%n")

    def test_a_long_message_is_echoed_through_small_buffers(self):
        def serve(conn):
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            serve_echo(conn)
        self.assert_shows(b"x" * 20_000, b"x" * 20_000, serve=serve)

    @for_each(message=MESSAGES)
    def test_a_server_may_answer_only_after_the_end(self, message):
        with Peer(answer_at_the_end) as peer:
            self.assert_echoes(peer, message)

    @for_each(message=MESSAGES)
    def test_a_server_may_stop_echoing_once_it_sees_the_end(self, message):
        def serve(conn):  # As ncat does with the output of a program.
            data = conn.recv(100)
            if select.select([conn], [], [], 0.05)[0] and not conn.recv(100, socket.MSG_PEEK):
                return  # The client's FIN has come before the echo: there will be none.
            conn.sendall(data)
            serve_echo(conn)
        with Peer(serve) as peer:
            self.assert_echoes(peer, message)

    def test_the_client_shuts_down_at_once_when_all_is_echoed(self):
        with self.assert_takes(most=10):  # A second each, if it waited for silence.
            for message in MESSAGES * 5:
                with self.subTest(message=message), Peer(serve_echo) as peer:
                    self.assert_echoes(peer, message)

    def test_a_short_timeout_is_enough_for_an_answer_after_the_end(self):
        with Peer(answer_at_the_end) as peer:
            self.assert_echoes(peer, options=["--timeout-ms", "800"])

    def test_a_server_may_end_as_soon_as_it_has_echoed(self):
        for _ in range(20):  # The FIN can come before the sender knows that it is done.
            with Peer(self.answer) as peer:
                self.assert_echoes(peer)

    def assert_is_no_echo(self, serve, message, *words, stdout=b""):
        with Peer(serve) as peer:
            self.assert_fails(self.ask(peer, message), "echo_client", *words, stdout=stdout)

    def test_half_the_message_is_a_failure(self):
        def serve(conn):
            conn.sendall(receive_to_end(conn)[:5])
        self.assert_is_no_echo(serve, "Hello, world", "12 bytes", "5 came", stdout=b"Received 'Hello'\n")
        self.assert_is_no_echo(serve, "-", "12 bytes", "5 came", stdout=b"Hello")

    def test_more_than_the_message_is_a_failure(self):
        def serve(conn):
            conn.sendall(receive_to_end(conn) + b"!")
        self.assert_is_no_echo(serve, "Hello, world", "too long")
        self.assert_is_no_echo(serve, "-", "12 bytes", "13 came", stdout=b"Hello, world!")

    @for_each(message=MESSAGES)
    def test_a_reset_is_a_failure(self, message):
        def serve(conn):
            conn.recv(5)
            reset(conn)
        self.assert_is_no_echo(serve, message, "reset")

    @for_each(message=MESSAGES)
    def test_no_answer_is_waited_for_as_long_as_asked(self, message):
        with Peer(Silence()) as peer:
            with self.assert_takes(0.29, 5):
                result = run("echo_client", "--timeout-ms", "300", peer.endpoint, message)
            peer.serve.end()
            self.assert_fails(result, "echo_client", peer.endpoint, "timed out")

    def test_a_server_that_does_not_read_is_waited_for_as_long_as_asked(self):
        with Peer(Silence()) as peer, open("/dev/zero", "rb") as zeros:
            with self.assert_takes(most=5):
                result = run("echo_client", "--timeout-ms", "300", peer.endpoint, "-", stdin=zeros)
            peer.serve.end()
            self.assert_fails(result, "echo_client", "timed out")

    def test_standard_input_is_echoed(self):
        data = bytes(range(256)) * 1000
        with Peer(serve_echo) as peer:
            self.assert_ok(run("echo_client", peer.endpoint, "-", input=data), data)

    def test_empty_standard_input_is_echoed_as_nothing(self):
        with Peer(serve_echo) as peer:
            self.assert_ok(run("echo_client", peer.endpoint, "-", input=b""), b"")

    def test_standard_input_and_its_echo_flow_at_the_same_time(self):
        with Server("echo_server") as server, self.start(server.endpoint) as client:
            for line in (b"one\n", b"two\n", b"three\n"):
                client.stdin.write(line)
                client.stdin.flush()
                self.assertEqual(line, client.stdout.readline())
            client.stdin.close()
            self.assertEqual(b"", client.stdout.read())
            self.assertEqual(0, client.wait(LIMIT))

    @staticmethod
    def start(endpoint, *arguments):
        return running("echo_client", *arguments, endpoint, "-", stdin=subprocess.PIPE)

    def test_failures_do_not_wait_for_standard_input(self):
        def say_goodbye(conn):
            conn.sendall(conn.recv(100))
        for serve, word in ((say_goodbye, b"cut short"), (reset, b"reset")):
            with self.subTest(word=word), Peer(serve) as peer, self.start(peer.endpoint) as client:
                with contextlib.suppress(BrokenPipeError):  # It may have failed already.
                    os.write(client.stdin.fileno(), b"one\n")
                self.assertEqual(1, client.wait(LIMIT))
                self.assertRegex(client.stderr.read(), rb"\Aecho_client: [ -~]*%s[ -~]*\n\Z" % word)

    def test_the_timeout_applies_while_waiting_for_standard_input(self):
        with Server("echo_server") as server, \
                self.start(server.endpoint, "--timeout-ms", "300") as client:
            self.assertEqual(1, client.wait(LIMIT))
            self.assertIn(b"timed out", client.stderr.read())

    def test_standard_input_that_cannot_be_read_is_a_failure_and_no_end(self):
        for path, flags in (("/", os.O_RDONLY), ("/dev/null", os.O_WRONLY)):
            stdin = os.open(path, flags)
            self.addCleanup(os.close, stdin)
            with self.subTest(path=path), Peer(receive_to_end) as peer:
                result = run("echo_client", peer.endpoint, "-", stdin=stdin)
                self.assert_fails(result, "echo_client", "standard input")
                self.assertTrue(peer.saw_reset())

    def test_output_that_cannot_be_written_is_a_failure_at_once_and_no_end(self):
        with open("/dev/full", "wb") as full, Peer(serve_echo) as peer, \
                running("echo_client", peer.endpoint, "-", stdin=subprocess.PIPE, stdout=full) as client:
            client.stdin.write(b"one\n")
            client.stdin.flush()
            self.assertEqual(1, client.wait(LIMIT))
            self.assertIn(b"standard output", client.stderr.read())
            self.assertTrue(peer.saw_reset())

    def test_closed_standard_input_is_a_failure(self):
        with Server("echo_server") as server:
            self.assert_fails(run("echo_client", server.endpoint, "-", closed=(0,)), "echo_client",
                              "standard input")

    def test_a_gibibyte_is_echoed_unchanged(self):
        mebibyte = 1 << 20
        noise = memoryview(random.Random(1).randbytes(2 * mebibyte))
        sent, received, count = hashlib.sha256(), hashlib.sha256(), 0

        def feed(pipe):
            with pipe:
                for i in range(1024):
                    chunk = noise[i * 1021:i * 1021 + mebibyte]
                    sent.update(chunk)
                    pipe.write(chunk)

        with Server("echo_server") as server, \
                self.start(server.endpoint, "--timeout-ms", "60000") as client:
            feeder = threading.Thread(target=feed, args=(client.stdin,))
            feeder.start()
            while chunk := client.stdout.read1(mebibyte):
                received.update(chunk)
                count += len(chunk)
            feeder.join(LIMIT)
            self.assertEqual((0, b""), (client.wait(LIMIT), client.stderr.read()))
        self.assertEqual((1024 * mebibyte, sent.hexdigest()), (count, received.hexdigest()))


class Descriptors(TestCase):
    """Standard descriptors that another program has made non-blocking, or that nobody reads."""

    @staticmethod
    def full_pipe():
        """A full pipe whose write end is non-blocking, and how much it holds."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        held = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                held += os.write(writer, bytes(4096))
        return open(reader, "rb"), open(writer, "wb", buffering=0), held

    def assert_waits_for_room(self, stream, expected, name, *arguments, status=0):
        """A program that finds this stream full writes everything once the stream is read."""
        reader, writer, held = self.full_pipe()
        with reader, writer:
            with running(name, *arguments, **{stream: writer}) as process:
                writer.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)  # It must not end.
                output = reader.read()
                self.assertEqual((status, expected), (process.wait(LIMIT), output[held:]))

    def test_full_output_is_waited_for(self):
        message = "x" * 100_000
        for arguments, serve, expected in (
                (["echo_client"], serve_echo, b"Received 'Hello, world'\n"),
                (["echo_client", message], serve_echo, b"Received '%s'\n" % message.encode()),
                (["time_client"], serve_bytes(b"now\r\n"), b"The time got from the server is now\n")):
            with self.subTest(arguments[0]), Peer(serve) as peer:
                name, *rest = arguments
                self.assert_waits_for_room("stdout", expected, name, peer.endpoint, *rest)
        for name in PROGRAMS:
            for option in ("--help", "--version"):
                with self.subTest(name=name, option=option):
                    self.assert_waits_for_room("stdout", run(name, option).stdout, name, option)

    @for_each(name=PROGRAMS)
    def test_full_standard_error_is_waited_for_by_the_reason_of_a_failure(self, name):
        reason = run(name, "127.0.0.1:x").stderr
        self.assert_waits_for_room("stderr", reason, name, "127.0.0.1:x", status=1)

    def test_a_mebibyte_goes_through_non_blocking_descriptors(self):
        data = random.Random(1).randbytes(1 << 20)
        ours, input_end = socket.socketpair()
        theirs, output_end = socket.socketpair()
        for end in (input_end, output_end):
            end.setblocking(False)

        def feed():
            for i in range(0, len(data), 100_000):
                ours.sendall(data[i:i + 100_000])
            ours.close()

        with ours, input_end, theirs, output_end, Server("echo_server") as server, \
                running("echo_client", f"--timeout-ms={LIMIT * 1000}", server.endpoint, "-",
                        stdin=input_end, stdout=output_end) as client:
            input_end.close()
            output_end.close()
            theirs.settimeout(LIMIT)
            feeder = threading.Thread(target=feed)
            wait_until(lambda: client.poll() is not None or len(os.listdir(
                f"/proc/{client.pid}/task")) >= 2, "the start of the client")
            feeder.start()
            received = receive_to_end(theirs)
            feeder.join(LIMIT)
            self.assertEqual((0, b""), (client.wait(LIMIT), client.stderr.read()))
        self.assertEqual(data, received)

    def test_standard_input_that_has_nothing_yet_is_waited_for(self):
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        with open(reader, "rb") as stdin, open(writer, "wb", buffering=0) as feed, \
                Server("echo_server") as server, \
                running("echo_client", server.endpoint, "-", stdin=stdin) as client:
            for line in (b"one\n", b"two\n"):
                server.out.wait_for("Connected by ")
                feed.write(line)
                self.assertEqual(line, client.stdout.readline())
            feed.close()
            self.assertEqual((b"", b""), client.communicate(timeout=LIMIT))
            self.assertEqual(0, client.returncode)


@unittest.skipUnless(IS_OPENBSD_NETCAT, "no netcat with -N here")
class Netcat(TestCase):
    """The servers, seen from netcat."""

    def ask(self, endpoint, data, *options):
        host, port = split_endpoint(endpoint)
        return subprocess.run([NETCAT, *options, host, str(port)], input=data, timeout=LIMIT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def test_a_netcat_client_gets_the_time(self):
        with Server("time_server", endpoint="localhost:0") as server:
            for endpoint in server.endpoints:
                result = self.ask(endpoint, b"")
                self.assertEqual((0, b""), (result.returncode, result.stderr))
                self.assert_is_time(result.stdout)

    def test_a_netcat_client_gets_its_input_back(self):
        data = os.urandom(1_000_000)
        with Server("echo_server", endpoint="localhost:0") as server:
            for endpoint in server.endpoints:
                self.assert_ok(self.ask(endpoint, data, "-N"), data)


if __name__ == "__main__":
    unittest.main()
