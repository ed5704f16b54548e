#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that loses what was not synced, is full, or fails: the node stops and says why, and comes back whole.

The library faulty_disk.c stands between the node (and its coordinator) and the kernel. After a kill every file is cut to its length at its
last successful sync, as after a power failure: what was acknowledged must be there all the same.
"""
import itertools
import random
import re
import signal
import subprocess
import time
import unittest

from faulty_disk import FaultyDisk
from harness import PATIENCE, PROGRAM, AgentError, Test, built, kill_pid, main, run_stead, scaled, wait_until

CUTS, FAILURES = 8, 8
AGENTS = 16
SANITIZED = b"asan" in subprocess.run(["ldd", PROGRAM], capture_output=True).stdout


class Adder:
    """Adds numbers to records through a pipeline; knows which were acknowledged. Goes on with another start of the node."""

    def __init__(self):
        self.acknowledged, self.count = set(), 0

    def run(self, node, until, in_flight=48):
        """Keeps the pipeline full until until() holds. What is in flight then stays unknown."""
        with node.client(timeout=10.0) as client:
            while not until():
                while len(client.tickets) < in_flight:
                    client.start("signal", f"record/{self.count % AGENTS}", "add", self.count, context=self.count)
                    self.count += 1
                self.acknowledged.update(t.context for t in client.poll(0.02) if t.error is None)

    def check(self, test, node):
        there = set()
        for agent in range(AGENTS):
            state, start = node.call(f"record/{agent}", "get"), 0
            while page := node.call(f"record/{agent}", "list", {"from": start}):
                there.update(page)
                start = page[-1] + 1
            test.assertEqual(state["twice"], 0)
        lost = sorted(self.acknowledged - there)
        test.assertEqual(lost[:20], [], f"{len(lost)} of {len(self.acknowledged)} acknowledged are not there")
        test.assertEqual([number for number in there if number >= self.count], [])


@unittest.skipIf(SANITIZED, "the sanitizer's runtime wants to be loaded before the faulty disk")
class Disk(Test):
    def setUp(self):
        super().setUp()
        (self.folder / "data").mkdir()
        self.disk = FaultyDisk(built("faulty_disk.so"), str(self.folder / "data"), str(self.folder / "disk-state"))
        self.healthy = self.make_node(modules=[built("kinds.so")], options=["--reactors", 2])

    def start(self, **faults):
        """The node on a disk with these faults."""
        self.healthy.environment = self.disk.environment(**faults)
        return self.healthy.start()

    def power_off(self, node):
        """Node and coordinator end at once, and with them what was not synced. Bytes lost."""
        node.process.kill()
        coordinator = node.coordinator_pid()
        if coordinator:
            kill_pid(coordinator)
        if node.process.stdout is not None and not node.process.stdout.closed:
            node.wait()
        return self.disk.drop_unsynced()

    def test_acknowledged_work_is_there_after_power_failures(self):
        adder, lost = Adder(), 0
        for _ in range(scaled(CUTS, 2)):
            node = self.start()
            goal = len(adder.acknowledged) + random.randint(200, 4000)
            adder.run(node, lambda: len(adder.acknowledged) >= goal)
            lost += self.power_off(node)
        node = self.start()
        adder.check(self, node)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)
        print(f"{len(adder.acknowledged)} acknowledged, {lost} bytes lost that nobody was told of", flush=True)

    def test_loss_of_synced_bytes_would_be_seen(self):
        """The test above can fail: the same with a disk that lies about what it synced."""
        adder = Adder()
        node = self.start()
        adder.run(node, lambda: len(adder.acknowledged) >= 500)
        node.process.kill()
        kill_pid(node.coordinator_pid())
        node.wait()
        log = max((path for path, _ in self.disk.records() if path.endswith(".log") and "coordinator" not in path),
                  key=lambda path: (self.folder / path).stat().st_mtime)
        with open(log, "r+b") as file:
            file.truncate((self.folder / log).stat().st_size // 2)
        node.environment = None
        try:
            node.start()
            with self.assertRaises(AssertionError):
                adder.check(self, node)
        except AssertionError as refused:
            self.assertIn("did not start", str(refused))

    def check_stops_and_comes_back(self, adder, reason, **faults):
        before = len(adder.acknowledged)
        self.healthy.environment = self.disk.environment(**faults)
        node = self.healthy.launch()
        if node.await_line():
            deadline = time.monotonic() + PATIENCE
            adder.run(node, lambda: node.process.poll() is not None or time.monotonic() > deadline)
        self.assertEqual(node.wait(), 1, node.log())
        self.assertRegex(node.log(), reason)
        self.power_off(node)
        node = self.start()
        adder.check(self, node)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)
        return len(adder.acknowledged) - before

    def test_failed_sync_stops_the_node_which_says_why_and_comes_back_whole(self):
        self.assertEqual(self.start().stop(), 0)
        # The node's own files alone: a coordinator that fails again at every start is another story, and the node waits for it.
        self.disk = FaultyDisk(built("faulty_disk.so"), str(self.folder / "data" / "store"), str(self.folder / "store-state"))
        self.addCleanup(self.healthy.end)
        adder = Adder()
        for number in range(scaled(FAILURES, 2)):
            # The first syncs are those of opening the store; the third is RocksDB's list of options, whose loss it shrugs off.
            at = (1, 2, 4, 5)[number] if number < 4 else random.randint(6, 200)
            with self.subTest(sync=at):
                acknowledged = self.check_stops_and_comes_back(adder, r"(?i)input/output error", fail_sync=at)
                print(f"sync {at}: {acknowledged} acknowledged before it failed", flush=True)
                (self.folder / "store-state").unlink()

    def test_failed_read_of_the_nodes_own_rows_stops_it_and_nothing_acknowledged_is_lost(self):
        """Letters from agents to agents, each pair in channels of its own, whose rows are in no cache."""
        switch = self.folder / "bad"
        self.healthy.options = ["--reactors", "2", "--memory", "64M"]
        node = self.start(bad_file=str(switch))
        pairs, sent = scaled(400, 100), {}
        for pair in range(pairs):
            node.call(f"post/from{pair}", "send", {"to": f"post/to{pair}"})
            sent[pair] = 1
        for number in range(600):
            node.call(f"record/{number}", "fill", 1 << 17)
        deaths = 0
        for _ in range(scaled(4, 2)):
            self.assertEqual(node.stop(), 0)
            node = self.start(bad_file=str(switch))
            for pair in range(pairs):
                node.call(f"post/from{pair}", "get")  # the agent and the client's session are in memory
            for number in range(600):
                node.call(f"record/{number}", "get")  # what that has read is in the cache no longer
            switch.touch()
            for pair in random.sample(range(pairs), pairs):
                try:
                    node.call(f"post/from{pair}", "send", {"to": f"post/to{pair}"}, timeout=0.5)
                    sent[pair] += 1
                except (AgentError, OSError):
                    if node.process.poll() is not None:
                        break
            switch.unlink()
            if node.process.poll() is None:
                continue
            deaths += 1
            self.assertEqual(node.wait(), 1, node.log())
            self.assertRegex(node.log(), r"event=disk_failed .*cannot be read")
            node = self.start(bad_file=str(switch))
        for pair in range(pairs):
            wait_until("what was sent is there", lambda: self.letters(node, pair) >= (sent[pair], True))
        self.assertGreater(deaths, 0)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    @staticmethod
    def letters(node, pair):
        """How many were taken, and whether it is all that were sent."""
        there, here = node.call(f"post/from{pair}", "get"), node.call(f"post/to{pair}", "get")
        return here["taken"], here["taken"] == there["sent"]

    def test_full_disk_stops_the_node_which_says_why_and_comes_back_whole(self):
        switch = self.folder / "full"
        adder = Adder()
        node = self.start(full_file=str(switch))
        adder.run(node, lambda: len(adder.acknowledged) >= 300)
        switch.touch()
        adder.run(node, lambda: node.process.poll() is not None)
        self.assertEqual(node.wait(), 1, node.log())
        self.assertRegex(node.log(), r"(?i)no space left")
        code, _, _ = run_stead("check", node.folder)  # a full disk can still be looked at
        self.assertEqual(code, 0)
        switch.unlink()
        node = self.start(full_file=str(switch))
        adder.check(self, node)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    def test_disk_that_is_full_for_the_store_s_own_threads_stops_the_node_which_says_why(self):
        """Their first write that fails is of a table; the store's log of what went wrong must not be the next."""
        switch = self.folder / "full"
        self.healthy.options += ["--memory", "64M"]
        node = self.start(full_file=str(switch), full_but=".log")
        with node.client(timeout=10.0) as client:
            for number in itertools.count():
                if number == 32:
                    switch.touch()
                client.start("signal", f"record/{number % 32}", "fill", 1 << 17)
                while len(client.tickets) > 8 and node.process.poll() is None:
                    client.poll(0.02)
                if node.process.poll() is not None:
                    break
        self.assertEqual(node.wait(), 1, node.log())
        self.assertRegex(node.log(), r"event=disk_failed .*(?i:no space left)")
        switch.unlink()
        node = self.start()
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    def test_start_on_a_full_disk_is_refused_with_a_reason_and_changes_nothing(self):
        switch = self.folder / "full"
        adder = Adder()
        node = self.start(full_file=str(switch))
        adder.run(node, lambda: len(adder.acknowledged) >= 300)
        self.assertEqual(node.kill(), -9)
        switch.touch()
        node.launch()
        self.assertEqual(node.wait(), 1, node.log())
        self.assertRegex(node.log(), r"(?i)no space left")
        switch.unlink()
        node.start()
        adder.check(self, node)

    def test_quota_refuses_clients_with_disk_full_and_goes_on_serving_reads(self):
        self.healthy.options += ["--disk", "64K"]
        node = self.healthy.start()
        client = node.client(timeout=5.0)
        number = 0

        def refusal():
            nonlocal number
            try:
                for _ in range(64):
                    client.start("signal", "record/q", "add", number)
                    number += 1
                return next((t.error for t in self.ended(client) if t.error is not None), None)
            except AgentError as error:
                return error

        error = wait_until("the quota is used up", refusal)
        self.assertEqual(error.code, "disk_full")
        self.assertGreater(node.call("record/q", "get")["count"], 0)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    def test_quota_lets_agents_be_destroyed_and_takes_work_again_when_there_is_room(self):
        self.healthy.options += ["--disk", "24M"]
        node = self.healthy.start()
        full = self.fill_up(node)
        self.assertGreater(len(full), 20)
        for number in full:
            node.call(f"record/{number}", "forget")
        wait_until("there is room again", lambda: self.fill(node, 0) is None, step=0.1)
        self.assertIn("disk_free", node.log())
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    def test_node_that_ends_at_its_quota_finds_the_room_of_what_it_had_deleted(self):
        self.healthy.options += ["--disk", "24M"]
        node = self.healthy.start()
        full = self.fill_up(node)
        for number in full:
            node.call(f"record/{number}", "forget")
        node.kill()
        node.start()
        wait_until("there is room again", lambda: self.fill(node, 0) is None, step=0.1)

    def test_journal_makes_way_for_work(self):
        """What is live takes a tenth of the quota; what is written, three times the quota."""
        self.healthy.options += ["--disk", "48M", "--reactors", "1"]
        node = self.healthy.start()
        for number in range(1200):
            wait_until("it is not refused for good", lambda: self.fill(node, number % 32) is None, step=0.05)
        self.assertIn("event=journal_yields", node.log())
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    @staticmethod
    def fill(node, number):
        """An agent of 128 KiB: the error, if it was refused."""
        try:
            node.call(f"record/{number}", "fill", 1 << 17)
        except AgentError as error:
            return error

    def fill_up(self, node):
        """The numbers of the agents."""
        numbers = itertools.count()
        self.assertEqual(wait_until("the quota is used up", lambda: self.fill(node, next(numbers)), step=0).code, "disk_full")
        return range(next(numbers) - 1)

    @staticmethod
    def ended(client):
        ended = []
        while client.tickets:
            ended += client.poll(0.05)
        return ended

    def test_second_opener_of_a_folder_is_refused(self):
        node = self.start()
        node.call("record/a", "add", 1)
        code, _, err = run_stead("node", "--folder", node.folder, "--listen", "tcp://127.0.0.1:0")
        self.assertEqual(code, 1)
        self.assertTrue(re.search(r"in use|in_use|already", err), err)
        code, _, err = run_stead("check", node.folder)
        self.assertEqual(code, 1)
        self.assertTrue(re.search(r"in use|in_use|already|runs|running", err), err)
        self.assertEqual(node.call("record/a", "get")["count"], 1)

    def test_start_waits_for_one_that_is_on_its_way_out(self):
        node = self.start()
        node.call("record/a", "add", 1)
        leaving = node.process
        leaving.send_signal(signal.SIGSTOP)  # its end takes long
        leaving.send_signal(signal.SIGTERM)
        node.launch()
        try:
            with self.assertRaises(subprocess.TimeoutExpired):  # not refused
                node.process.wait(1)
        finally:
            leaving.send_signal(signal.SIGCONT)
        node.await_ready()
        self.assertEqual(node.call("record/a", "get")["count"], 1)
        self.assertEqual(leaving.wait(60), 0)
        leaving.stdout.close()

    def test_start_that_recovers_is_stopped_soon(self):
        node = self.start()
        for number in range(300):
            node.call(f"record/{number}", "fill", 100_000)
        node.kill()
        node.environment = self.disk.environment(read_us=500_000)  # two minutes for what it has to replay
        node.options += ["--log-level", "debug"]
        node.launch()
        wait_until("it has its shards to recover", lambda: "event=table " in node.log())
        self.assertEqual(node.stop(), 0)  # within the harness's patience
        node.environment = None
        node.start()
        self.assertEqual(node.call("record/299", "get")["count"], 0)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)


if __name__ == "__main__":
    main()
