#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stead compare as a program and a person see it: the words, the JSON with all its cells, the order of the fabrics, the page, and that nothing is left behind.
Usage: test_compare.py PROGRAM [unittest arguments]"""
import fcntl
import html.parser
import json
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unittest

PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
PATIENCE = 300  # seconds
FABRICS = ["direct", "hub-notify", "hub-250ms", "hub-backoff"]
WORKLOADS = ["echo", "hello3", "hello10", "fanout1", "fanout10", "fanout100", "fanout1000", "counter", "bank", "serve_resident", "serve_fetched",
             "train_resident", "train_fetched", "election"]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def compare(*words):
    """Runs it; (exit code, stdout, stderr)."""
    done = subprocess.run([PROGRAM, "compare", *words], capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


class References(html.parser.HTMLParser):
    """What a page would load, and the text of its report."""

    def __init__(self):
        super().__init__()
        self.loads, self.report, self.inside, self.ids = [], "", False, set()

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href", "data", "poster", "srcset", "action"):
                self.loads.append((tag, value))
            if name == "id":
                self.ids.add(value)
        self.inside = tag == "script" and ("id", "report") in attributes

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.report += data


class Quick(unittest.TestCase):
    """One whole quick run, looked at from several sides."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.folder = pathlib.Path(cls.scratch.name)
        (cls.folder / "data").mkdir()
        cls.page = cls.folder / "page.html"
        cls.code, cls.out, cls.err = compare("--quick", "--json", "--html", str(cls.page), "--folder", str(cls.folder / "data"))
        cls.report = json.loads(cls.out)

    def cell(self, workload, fabric, **wanted):
        found = [c for c in self.report["cells"] if c["workload"] == workload and c["fabric"] == fabric
                 and all(c[name] == value for name, value in wanted.items())]
        self.assertTrue(found, f"no cell {workload} on {fabric}")
        return found[0]

    def test_it_succeeds_and_leaves_nothing_behind(self):
        self.assertEqual(self.code, 0, self.err)
        self.assertEqual(list((self.folder / "data").iterdir()), [])

    def test_every_workload_is_measured_on_every_fabric(self):
        for workload in WORKLOADS:
            for fabric in FABRICS:
                if (workload, fabric) == ("election", "hub-backoff"):
                    continue  # no detector of any use can be built on it
                cell = self.cell(workload, fabric)
                self.assertTrue(cell["ok"], cell)
                self.assertGreater(cell["latency"]["n"], 0)
                self.assertEqual(cell["hub"], None if fabric == "direct" else "near")

    def test_quick_says_that_it_is_and_starts_nothing_cold(self):
        self.assertTrue(self.report["quick"])
        self.assertEqual({c["start"] for c in self.report["cells"]}, {"hot"})

    def test_a_quick_run_fits_into_its_minute_and_says_so(self):
        self.assertIn("less than a minute", self.err.splitlines()[0])
        self.assertLess(self.report["seconds"], 120)  # a minute; twice that beside other tests

    def test_runs_at_once_share_syncs_on_both_ways(self):
        for fabric in FABRICS[:2]:
            for workload in WORKLOADS[:-1]:
                self.assertGreater(self.cell(workload, fabric)["rate"], 0, workload)
            cell = self.cell("hello3", fabric)
            self.assertEqual(cell["in_flight"], 64)
            self.assertLess(cell["rate_syncs"], cell["per_run"]["syncs"] / 3)

    def test_no_p99_below_a_hundred_samples(self):
        for cell in self.report["cells"]:
            latency = cell["latency"]
            self.assertEqual(latency["p99_us"] is None, latency["n"] < 100, cell)
            self.assertLessEqual(latency["min_us"], latency["p50_us"])
            self.assertLessEqual(latency["p50_us"], latency["max_us"])
            self.assertEqual(len(latency["quantiles_us"]), min(101, latency["n"]))

    def test_direct_is_faster_than_notify_and_notify_than_polling(self):
        for workload in ("echo", "hello3", "hello10", "counter", "bank"):
            least = {fabric: self.cell(workload, fabric)["latency"]["min_us"] for fabric in FABRICS}  # a busy machine moves the others
            self.assertLess(least["direct"], least["hub-notify"], workload)
            self.assertLess(least["hub-notify"], least["hub-250ms"], workload)
            self.assertLess(least["hub-notify"], least["hub-backoff"], workload)
        self.assertGreater(self.cell("hello3", "hub-250ms")["latency"]["p50_us"], 250_000)

    def test_floors_are_measured_and_no_run_beats_a_round_trip(self):
        for floor in ("trip", "sync"):
            self.assertGreater(self.report["floors"][floor]["p50_us"], 0)
            self.assertGreaterEqual(self.report["floors"][floor]["n"], 100)
        for cell in self.report["cells"]:
            if cell["workload"] != "echo":
                self.assertGreater(cell["latency"]["min_us"], self.report["floors"]["trip"]["min_us"], cell)
            if cell["floor_us"] and cell["workload"] != "election":  # there 0 is less than one round of a reactor
                self.assertGreater(cell["ratio"], 0)

    def test_storage_operations_are_counted(self):
        for fabric in FABRICS[1:]:
            storage = self.cell("hello3", fabric)["per_run"]["storage"]
            self.assertGreaterEqual(storage["enqueue"], 4, storage)  # the start, three activities; and their results
            self.assertGreaterEqual(storage["write"], 4, storage)
            self.assertGreaterEqual(storage["delete"], 1, storage)
            own = self.cell("hello3", fabric)["per_run"]["orchestrator"]  # batches and retries aside, as Durable Functions
            self.assertGreaterEqual(own["enqueue"], 3, own)
            for name in ("dequeue", "read", "write"):
                self.assertGreaterEqual(own[name], 4, own)
        direct = self.cell("hello3", "direct")["per_run"]["storage"]
        self.assertEqual(sum(direct.values()), 0)
        self.assertGreater(self.cell("hello3", "hub-250ms")["per_run"]["storage"]["empty"], 1)
        fetched = self.cell("train_fetched", "direct")["per_run"]["storage"]
        self.assertGreaterEqual(fetched["read"], 8)
        self.assertEqual([self.report["known"][name] for name in ("dequeue", "enqueue", "read", "write")], [4, 3, 4, 4])

    def test_election_without_known_costs_says_so(self):
        for fabric in FABRICS[:3]:
            cell = self.cell("election", fabric)
            self.assertIsNone(cell["breakdown"])  # patience is no code
            self.assertEqual(cell["money_per_million"] is None, fabric == "direct")

    def test_fetching_costs_more_than_keeping(self):
        for name in ("serve", "train"):
            self.assertLess(self.cell(name + "_resident", "direct")["latency"]["min_us"],
                            self.cell(name + "_fetched", "direct")["latency"]["min_us"], name)

    def test_money_follows_the_operations(self):
        self.assertLess(self.cell("hello3", "direct")["money_per_million"], self.cell("hello3", "hub-notify")["money_per_million"])

    def test_idle_direct_asks_for_nothing(self):
        idle = {(i["fabric"], i["hub"]): i for i in self.report["idle"]}
        self.assertEqual(sum(idle["direct", None]["per_second"]["storage"].values()), 0)
        self.assertGreater(idle["hub-250ms", "near"]["per_second"]["storage"]["empty"], 1)
        self.assertNotIn(("hub-backoff", "near"), idle)  # it is not idle within a minute

    def test_page_holds_the_report_and_loads_nothing(self):
        text = self.page.read_text()
        page = References()
        page.feed(text)
        self.assertEqual(page.loads, [])
        self.assertNotRegex(text, r"@import|url\(")
        self.assertEqual(json.loads(page.report), self.report)
        self.assertNotIn("@@", re.sub(r"<script>.*?</script>", "", text, flags=re.S))

    @unittest.skipUnless(BROWSER, "there is no browser")
    def test_page_draws_every_section(self):
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", self.page.as_uri()],
                              capture_output=True, text=True, timeout=PATIENCE)
        dom = References()
        dom.feed(done.stdout)
        self.assertLessEqual({"overview", "distributions", "breakdown", "scaling", "throughput", "operations", "cost", "idle", "all"}, dom.ids)
        self.assertGreaterEqual(done.stdout.count("<svg"), 20)
        self.assertGreaterEqual(done.stdout.count("<tr"), len(self.report["cells"]) + 1)
        shown = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.S)
        for cell in self.report["cells"]:  # the figures of the page are those of the report
            star = " *" if cell["disturbed"] else ""
            self.assertIn(f", n {cell['latency']['n']}{star}<", shown)
            self.assertEqual(cell["disturbed"], (cell["sync_us"] or 0) > 2 * self.report["floors"]["sync"]["p50_us"])
        first = self.cell("hello3", "direct")["latency"]["p50_us"]
        times = round(self.cell("hello3", "hub-250ms")["latency"]["p50_us"] / first)
        self.assertRegex(shown, rf"<h1>[^<]*{times:,} × as long polled 4 times a second")
        self.assertNotIn("NaN", re.sub(r"<script.*?</script>", "", done.stdout, flags=re.S))


class Whole(unittest.TestCase):
    """A part of a whole run: what --quick leaves out."""

    def test_cold_starts_and_a_hub_on_another_node(self):
        with tempfile.TemporaryDirectory() as scratch:
            code, out, err = compare("--json", "--no-html", "--hub-apart", "--workloads", "echo,counter", "--fabrics", "hub-250ms", "--folder", scratch)
        self.assertEqual(code, 0, err)
        self.assertRegex(err.splitlines()[0], r"about \d+ min")
        cells = {(c["workload"], c["start"]): c for c in json.loads(out)["cells"]}
        self.assertEqual(set(cells), {(w, s) for w in ("echo", "counter") for s in ("hot", "cold")})
        for cell in cells.values():
            self.assertEqual((cell["hub"], cell["ok"]), ("apart", True), cell)
            self.assertGreaterEqual(cell["latency"]["n"], 100)
            self.assertIsNotNone(cell["latency"]["p99_us"])
        echo = cells["echo", "cold"]["latency"]
        self.assertIsNone(cells["echo", "cold"]["per_run"])
        self.assertGreater(echo["mean_us"], 150_000)  # two polls, each half an interval away in the mean
        self.assertGreater(echo["max_us"] - echo["min_us"], 250_000)  # begun at any moment of it
        self.assertLess(echo["min_us"], 125_000)


class Words(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_list_names_workloads_and_fabrics(self):
        code, out, _ = compare("--list")
        self.assertEqual(code, 0)
        names = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
        self.assertEqual(names, WORKLOADS + FABRICS)

    def test_unknown_names_get_a_hint_and_run_nothing(self):
        for words, hint in ((["--workloads", "helo3"], 'did you mean "hello3"?'), (["--fabrics", "dirct"], 'did you mean "direct"?')):
            code, out, err = compare("--folder", str(self.folder), *words)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(hint, err)
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_wrong_price_sheet_is_refused_before_anything_runs(self):
        sheet = self.folder / "prices.json"
        sheet.write_text('{"cpu_hours": 1}')
        code, out, err = compare("--prices", str(sheet), "--folder", str(self.folder))
        self.assertEqual((code, out), (2, ""))
        self.assertIn("cpu_hours", err)

    def test_one_cell_with_a_price_sheet_of_ones_own(self):
        sheet = self.folder / "prices.json"
        sheet.write_text('{"cpu_hour": 0, "stored_gigabyte": 0, "currency": "EUR", "source": "a shop"}')
        code, out, err = compare("--quick", "--json", "--no-html", "--workloads", "hello3", "--fabrics", "direct", "--prices", str(sheet),
                                 "--folder", str(self.folder))
        self.assertEqual(code, 0, err)
        report = json.loads(out)
        self.assertEqual([(c["workload"], c["fabric"]) for c in report["cells"]], [("hello3", "direct")])
        self.assertEqual(report["cells"][0]["money_per_million"], 0)
        self.assertEqual((report["prices"]["currency"], report["prices"]["source"]), ("EUR", "a shop"))
        self.assertIn("hello3", [w["name"] for w in report["workloads"]])
        self.assertTrue(err.strip(), "it says what goes on")

    def test_a_narrow_terminal_gets_narrow_tables(self):
        words = ["compare", "--quick", "--no-html", "--workloads", "hello3", "--fabrics", "direct", "--folder", str(self.folder)]
        for width in (80, 400):
            main, side = pty.openpty()
            fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
            code = subprocess.run([PROGRAM, *words], stdout=side, stderr=subprocess.DEVNULL, timeout=PATIENCE, env=dict(os.environ, TERM="xterm")).returncode
            os.close(side)
            text = b""
            try:
                while piece := os.read(main, 65536):
                    text += piece
            except OSError:  # nobody writes any more
                pass
            os.close(main)
            self.assertEqual(code, 0)
            self.assertIn(b"\x1b[1m", text)
            rows = [re.sub(r"\x1b\[\dm", "", line).rstrip() for line in text.decode().splitlines()]
            rows = [line for line in rows if re.match(r"(FABRIC|direct) ", line)]
            self.assertLessEqual(max(map(len, rows)), width)
            self.assertEqual(sum("START" in line for line in rows) > 1, width == 80, rows)
        piped = compare(*words[1:])[1]
        self.assertNotIn("\x1b", piped)

    def test_help_has_examples_and_fits_a_terminal(self):
        code, out, _ = compare("--help")
        self.assertEqual(code, 0)
        self.assertIn("Examples:\n", out)
        self.assertLessEqual(max(map(len, out.splitlines())), 80)


if __name__ == "__main__":
    unittest.main(verbosity=2)
