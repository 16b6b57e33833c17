#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the example programs' manners: advice after a failure, progress on a terminal, and signals."""

import os
import pty
import select
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

import programs


class Advice(unittest.TestCase):
    def assert_advice(self, advice, name, *arguments, **options):
        done = programs.run(name, *arguments, **options)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertTrue(done.stderr.endswith(advice.encode() + b"\n"), done.stderr)

    def test_a_refused_connection_suggests_checking_the_server(self):
        with programs.reserved_endpoint() as endpoint:
            for client in programs.CLIENTS:
                self.assert_advice("is a server running there?", client, endpoint)

    def test_a_timeout_suggests_a_longer_one(self):
        for client in programs.CLIENTS:
            silence = programs.Silence()
            with programs.Peer(silence) as peer:
                self.assert_advice("timed out; --timeout-ms allows more time", client,
                                   "--timeout-ms", "50", peer.endpoint)
                silence.end()

    def test_a_busy_port_suggests_choosing_another(self):
        with programs.Server("echo_server") as server:
            self.assert_advice("is it running already? "
                               "Choose another path or port (0: any free port)",
                               "echo_server", server.endpoint)

    def test_an_address_of_another_host_is_refused_with_what_was_expected(self):
        self.assert_advice("expected an address of this machine and a free port",
                           "time_server", "192.0.2.1:0")

    def test_a_missing_path_suggests_checking_it(self):
        with tempfile.TemporaryDirectory() as folder:
            for program in programs.PROGRAMS:
                self.assert_advice("(ENOENT); check the path", program, f"unix:{folder}/none/x")

    def test_missing_passed_sockets_are_reported_without_advice(self):
        for server in programs.SERVERS:
            self.assert_advice("LISTEN_PID or LISTEN_FDS is not set", server, "systemd:")

    def test_an_invalid_endpoint_suggests_the_help(self):
        for program in programs.PROGRAMS:
            self.assert_advice("see --help", program, "127.0.0.1:http")


class Watched:
    """An echo_client whose standard error is a terminal: what it shows, and its standard input."""

    def __init__(self, endpoint, *options, stdin=subprocess.PIPE):
        self.shown = b""
        self.terminal, other = pty.openpty()
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(
            [programs.BIN / "echo_client", "--timeout-ms", "60000", *options, endpoint, "-"],
            stdin=stdin, stdout=subprocess.PIPE, stderr=other)
        os.close(other)
        self.drain = threading.Thread(target=self.process.stdout.read)
        self.drain.start()

    def feed(self):
        self.process.stdin.write(b"x" * 4096)
        self.process.stdin.flush()

    def look(self):
        """Reads what is shown within a twentieth of a second; returns whether there may be more."""
        if not select.select([self.terminal], [], [], 0.05)[0]:
            return True
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # The other end is closed.
            return False
        self.shown += data
        return bool(data)

    def until_progress(self, feed):
        """Feeds it until it shows its progress."""
        def shown():
            feed()
            self.look()
            return b"/s, " in self.shown
        programs.wait_until(shown, "progress on the terminal")

    def end(self):
        """Ends the input, and returns the exit status."""
        if self.process.stdin:
            self.process.stdin.close()
        status = self.process.wait(programs.LIMIT)
        self.drain.join(programs.LIMIT)
        self.process.stdout.close()
        while self.look() and select.select([self.terminal], [], [], 0)[0]:
            pass
        os.close(self.terminal)
        return status


class Progress(unittest.TestCase):
    def test_long_transfers_show_progress_unless_quiet(self):
        with programs.Server("echo_server") as server:
            loud, quiet = Watched(server.endpoint), Watched(server.endpoint, "--quiet")
            loud.until_progress(lambda: (loud.feed(), quiet.feed()))
            self.assertEqual([loud.end(), quiet.end()], [0, 0])
        self.assertRegex(loud.shown, rb"\r[0-9.]+ (bytes|KiB|MiB), [0-9.]+ (bytes|KiB|MiB)/s, \d+ s")
        self.assertTrue(loud.shown.endswith(b"\r\n"), loud.shown)
        self.assertEqual(quiet.shown, b"")

    def test_a_failure_gets_a_line_of_its_own(self):
        with programs.Server("echo_server") as server, \
                socket.create_server(("127.0.0.1", 0)) as listener:
            feeder = programs.connect(programs.endpoint_of(listener))
            with listener.accept()[0] as stdin:
                watched = Watched(server.endpoint, stdin=stdin)
            watched.until_progress(lambda: feeder.sendall(b"x" * 4096))
            programs.reset(feeder)
            self.assertEqual(watched.end(), 1)
        self.assertIn(b"\r\x1b[Kecho_client: standard input: ", watched.shown)

    def test_short_transfers_show_no_progress(self):
        with programs.Server("echo_server") as server:
            watched = Watched(server.endpoint)
            watched.feed()
            self.assertEqual(watched.end(), 0)
        self.assertEqual(watched.shown, b"")


class Signals(unittest.TestCase):
    def test_a_server_whose_parent_blocked_signals_can_be_stopped(self):
        both = {signal.SIGINT, signal.SIGTERM}
        for number in both:
            for name in programs.SERVERS:
                before = signal.pthread_sigmask(signal.SIG_BLOCK, both)
                try:
                    server = programs.Server(name)
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
                with server:
                    self.assertEqual(server.stop(number), 0)


if __name__ == "__main__":
    unittest.main()
