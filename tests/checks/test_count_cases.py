#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of count_cases.py: no failure may be lost, and nothing counts that did not run."""

import unittest

from count_cases import Counts, count, figures, judged


class Count(unittest.TestCase):
    def test_tap_lines_are_counted_by_kind(self):
        output = "1..4\nok 1 - a\nnot ok 2 - b\n# why\nok 3 - c # SKIP d\nnot ok 4 # SKIP e\n"
        self.assertEqual(count(output, False), Counts(passed=1, failed=1, skipped=2))

    def test_several_groups_add_up(self):
        self.assertEqual(count("1..1\nok 1 - a\n1..1\nok 1 - b\n", True), Counts(passed=2))

    def test_unittest_summaries_are_counted(self):
        output = "Ran 7 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n"
        self.assertEqual(count(output, False), Counts(passed=3, failed=3, skipped=1))
        self.assertEqual(count("Ran 1 test in 0.1s\n\nOK\n", True), Counts(passed=1))

    def test_a_crash_after_good_cases_is_a_failure(self):
        self.assertEqual(count("1..2\nok 1 - a\n", False), Counts(passed=1, failed=1))

    def test_a_failure_without_a_failing_case_is_a_failure(self):
        self.assertEqual(count("1..1\nok 1 - a\n", False), Counts(passed=1, failed=1))

    def test_planned_cases_that_did_not_run_are_a_failure(self):
        self.assertEqual(count("1..3\nok 1 - a\n", True), Counts(passed=1, failed=1))

    def test_a_report_without_cases_is_a_failure(self):
        self.assertEqual(count("", True), Counts(failed=1))
        self.assertEqual(count("Ran 0 tests in 0.0s\n\nOK\n", True), Counts(failed=1))

    def test_all_cases_skipped_where_they_could_have_run_are_a_failure(self):
        self.assertEqual(judged(Counts(skipped=3), could_run=True), Counts(failed=1, skipped=3))
        self.assertEqual(judged(Counts(skipped=3), could_run=False), Counts(skipped=3))
        self.assertEqual(judged(Counts(1, 0, 3), could_run=True), Counts(1, 0, 3))
        self.assertEqual(judged(Counts(0, 1, 3), could_run=True), Counts(0, 1, 3))
        why = "# skipped: under qemu there is none\n# skipped: this system has none\n"
        self.assertEqual(judged(Counts(skipped=2), True, why), Counts(skipped=2))
        self.assertEqual(judged(Counts(skipped=3), True, why), Counts(failed=1, skipped=3))

    def test_figures_are_collected_from_tap_comments(self):
        self.assertEqual(figures("TAP version 13\n1..1\n# 7 faults\nok 1 - a\n"), "# 7 faults\n")
        self.assertEqual(figures("test_a (m.C) ... ok\n\n-----------------------------------\n"
                                 "Ran 1 test in 0.1s\n\nOK\nlost 5 %"), "lost 5 %\n")

    def test_the_total_mentions_skipped_cases_only_if_there_are_any(self):
        self.assertEqual(str(Counts(2, 1)), "2 passed, 1 failed")
        self.assertEqual(str(Counts(2, 1, 3)), "2 passed, 1 failed, 3 skipped")


if __name__ == "__main__":
    unittest.main()
