#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stead bench as a program sees it: the form of its lines, its words, and that it leaves nothing behind. What it measures is never tested.
Usage: test_bench.py PROGRAM [unittest arguments]"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
PATIENCE = 60  # seconds
NAMES = ["volatile_call", "durable_call", "durable_signals_1k", "durable_signals_1m", "tell_same_reactor", "tell_cross_reactor",
         "call_cross_node", "tell_cross_node", "hello3", "hello5", "hello5_sustained", "fanout1000", "replay", "suspended_1m", "hub_hello5", "hub_task", "election", "consensus", "resident_agent", "unload_reload", "restart_1m", "list_1m", "idle"]


def bench(*words):
    """Runs the bench; (exit code, stdout, stderr)."""
    done = subprocess.run([PROGRAM, "bench", *words], capture_output=True, text=True, timeout=PATIENCE * 2)
    return done.returncode, done.stdout, done.stderr


def processes_in(folder):
    """Processes that have `folder` in their command line."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            pass  # it has ended
    return found


class Bench(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def assert_nothing_left(self):
        end = time.monotonic() + PATIENCE
        while (processes_in(self.folder) or any(self.folder.iterdir())) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(processes_in(self.folder), [])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_list_names_every_bench_once(self):
        code, out, _ = bench("--list")
        self.assertEqual(code, 0)
        self.assertEqual([line.split()[0] for line in out.splitlines()], NAMES)

    def test_unknown_name_gets_a_hint_and_runs_nothing(self):
        code, out, err = bench("--folder", str(self.folder), "durable_cal")
        self.assertEqual((code, out), (2, ""))
        self.assertIn('did you mean "durable_call"?', err)
        self.assert_nothing_left()

    def test_help_has_examples_and_fits_a_terminal(self):
        code, out, _ = bench("--help")
        self.assertEqual(code, 0)
        self.assertIn("Examples:\n", out)
        self.assertLessEqual(max(map(len, out.splitlines())), 80)

    def test_json_is_one_line_a_figure_with_its_floor(self):
        code, out, err = bench("--quick", "--json", "--folder", str(self.folder), "volatile_call", "durable_call")
        self.assertEqual(code, 0, err)
        figures = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(f["bench"], f["metric"]) for f in figures],
                         [("volatile_call", "p50"), ("volatile_call", "p99"), ("durable_call", "p50"), ("durable_call", "p99")])
        for figure in figures:
            self.assertEqual(list(figure), ["bench", "metric", "value", "unit", "floor", "ratio", "settings"])
            self.assertEqual(figure["unit"], "us")
            self.assertGreater(figure["value"], 0)
            self.assertAlmostEqual(figure["ratio"], figure["value"] / figure["floor"], delta=0.01 * figure["ratio"])
        self.assertIn("flushes_per_op", figures[-1]["settings"])
        self.assert_nothing_left()

    def test_election_and_consensus_are_measured_by_their_own_programs(self):
        code, out, err = bench("--quick", "--json", "--folder", str(self.folder), "election", "consensus")
        self.assertEqual(code, 0, err)
        figures = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(f["bench"], f["metric"], f["unit"]) for f in figures],
                         [("election", "rest_3", "us"), ("election", "rest_10", "us"), ("consensus", "decision_3", "us"),
                          ("consensus", "rate_3", "1/s"), ("consensus", "decision_5", "us"), ("consensus", "rate_5", "1/s")])
        for figure in figures:
            self.assertGreaterEqual(figure["value"], 0)  # what is left of a round less its patience may be nothing
            if not figure["metric"].startswith("rate"):
                self.assertGreater(figure["floor"], 0)
        for figure in figures[2:]:
            self.assertGreater(figure["value"], 0)
            self.assertEqual(figure["settings"]["nodes"], 3)
            members = int(figure["metric"][-1])
            self.assertGreater(figure["settings"]["messages"], 2 * (members - 1) - 1)  # an accept to each other, and its vote
            self.assertGreaterEqual(figure["settings"]["slots"], 2 * figure["settings"]["decisions"])
        self.assert_nothing_left()

    def test_bench_that_is_ended_leaves_nothing_behind(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            running = subprocess.Popen([PROGRAM, "bench", "--folder", str(self.folder), "idle"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            end = time.monotonic() + PATIENCE
            while not list(self.folder.glob("*/node.*/store")) and time.monotonic() < end:
                time.sleep(0.05)
            os.kill(running.pid, number)
            self.assertNotEqual(running.wait(timeout=PATIENCE), 0)
            self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main(verbosity=2)
