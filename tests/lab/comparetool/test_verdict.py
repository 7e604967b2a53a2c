#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unit tests of the verdict: no lab, no root."""
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from comparetool import verdict  # noqa: E402  (the path above has to be set first)

TITLES = {letter: f"case {letter}" for letter in "abcdefgh"}


def row(case, repeat, lost, by_host=0, sender="wire", side="", switchover=0):
    return {"case": case, "repeat": repeat, "sender": sender, "side": side, "sent": 1000, "lost": lost,
            "lost_by_host": by_host, "lost_switchover": switchover, "duplicates": 0, "longest_gap_ms": lost * 5}


class Faults(unittest.TestCase):
    def test_five_times_better(self):
        self.assertEqual(verdict.faults([row("b", 1, 500), row("d", 1, 100), row("e", 1, 0)]), [])

    def test_not_five_times_better(self):
        found = verdict.faults([row("b", 1, 499), row("d", 1, 100)])
        self.assertEqual(len(found), 1)
        self.assertIn("not 5 times better", found[0])

    def test_the_median_counts(self):
        rows = [row("b", i, 500) for i in (1, 2, 3)] + [row("d", 1, 10), row("d", 2, 10), row("d", 3, 400)]
        self.assertEqual(verdict.faults(rows), [])

    def test_senders_are_added_up(self):
        rows = [row("b", 1, 500), row("d", 1, 60), row("d", 1, 60, sender="vf", side="source")]
        self.assertEqual(len(verdict.faults(rows)), 1)

    def test_by_host(self):
        for case in "defg":
            self.assertEqual(len(verdict.faults([row(case, 2, 3, by_host=1)])), 1, case)

    def test_by_host_elsewhere_is_expected(self):
        self.assertEqual(verdict.faults([row(case, 1, 300, by_host=200) for case in "abch"]), [])

    def test_a_case_alone(self):
        self.assertEqual(verdict.faults([row("d", 1, 100)]), [])


class Text(unittest.TestCase):
    def test_table(self):
        text = verdict.table([row("a", 1, 5), row("a", 2, 9), row("a", 3, 7)], TITLES)
        self.assertIn("7 (9)", text)
        self.assertIn("(a) case a", text)
        self.assertNotIn("case b", text)

    def test_against_floor(self):
        rows = [row("a", 1, 10), row("h", 1, 5), row("d", 1, 12, switchover=3), row("d", 2, 20)]
        text = "\n".join(verdict.against_floor(rows))
        self.assertIn("(a)+(h): median 15", text)
        self.assertIn("(d) less (a)+(h): median +1, from -3 to +5", text)

    def test_nothing_to_compare_with(self):
        self.assertEqual(verdict.against_floor([row("d", 1, 12)]), [])


if __name__ == "__main__":
    unittest.main()
