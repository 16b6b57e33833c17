#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the tutorial's programs: each does what the text says."""

import contextlib
import os
import pathlib
import re
import signal
import unittest

import programs

BIN = pathlib.Path(os.environ.get("NETBASICS_TUTORIAL_DIR") or
                   programs.ROOT / "build/dev/docs/tutorial").resolve()


@contextlib.contextmanager
def running(name):
    """A server on a port that the system chooses: the process and its endpoint."""
    with programs.running(BIN / name, "127.0.0.1:0", stderr=None) as process:
        line = process.stdout.readline().decode()
        yield process, re.fullmatch(r"[Ll]istening on (\S+)\n", line)[1]


class Tutorial(unittest.TestCase):
    def test_the_time_server_sends_each_client_a_line_and_closes(self):
        with running("time_server") as (_, endpoint):
            for _ in range(3):
                self.assertRegex(programs.ask_time(endpoint).decode(),
                                 r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\r\n$")

    def test_the_time_client_prints_the_line(self):
        with running("time_server") as (_, endpoint):
            done = programs.run(BIN / "time_client", endpoint)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout.decode(), r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$")

    def test_the_clients_report_what_went_wrong(self):
        done = programs.run(BIN / "time_client", "nowhere")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"nowhere", done.stderr)

    def test_the_echo_server_echoes_and_stops_at_a_signal(self):
        with running("echo_server") as (process, endpoint):
            self.assertEqual(programs.echo(endpoint, b"hello"), b"hello")
            log = process.stdout.readline() + process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(programs.LIMIT), 0)
            self.assertRegex((log + process.stdout.read()).decode(),
                             r"^connection 1 from 127\.0\.0\.1:\d+: accepted\n"
                             r"connection 1 from \S+: closed after \d+\.\d{3} s, 5 bytes received, 5 sent\n"
                             r"stopping: [^\n]+\n"
                             r"stopped\n$")

    def test_the_score_server_keeps_its_protocol_and_its_bounds(self):
        with running("score_server") as (process, endpoint):
            with programs.connect(endpoint) as sock:
                lines = sock.makefile("rb")
                error = b"ERROR expected ADD NUMBER, TOTAL or QUIT\r\n"
                for command, reply in ((b"ADD 5\r\n", b"OK 5\r\n"), (b"ADD -2\n", b"OK 3\r\n"),
                                       (b"TOTAL\r\n", b"OK 3\r\n"), (b"ADD 1 2\n", error),
                                       (b"TOTAL\0\n", error), (b"QUIT\0\n", error),
                                       (b"QUIT\r\n", b"BYE\r\n")):
                    sock.sendall(command)
                    self.assertEqual(lines.readline(), reply)
                self.assertEqual(lines.read(), b"")
            self.assertEqual(programs.echo(endpoint, b"A" * 80 + b"\n"), b"ERROR line too long\r\n")
            with programs.connect(endpoint) as sock:
                sock.sendall(b"TOTAL\n")
                self.assertEqual(programs.receive_exactly(sock, 6), b"OK 3\r\n")
                process.send_signal(signal.SIGINT)
                self.assertEqual(programs.receive_to_end(sock), b"BYE\r\n")
            self.assertEqual(process.wait(programs.LIMIT), 0)


if __name__ == "__main__":
    unittest.main()
