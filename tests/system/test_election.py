#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bully algorithm over three real nodes: leaders that fall silent, are killed, or only stand still for a while.
Usage: test_election.py PROGRAM [unittest arguments]"""
import json
import os
import signal
import subprocess
import time

from harness import BUILD, AgentError, Test, main, wait_until

MEMBERS = 12
TIMES = {"ping_ms": 50, "silence_ms": 300, "answer_ms": 150}
ANSWER_NS = (TIMES["answer_ms"] - 2) * 1_000_000  # timers have the grain of a millisecond


class Election(Test):
    def setUp(self):
        super().setUp()
        self.stopped = []
        self.addCleanup(lambda: [os.kill(pid, signal.SIGCONT) for pid in self.stopped])
        self.three = self.cluster(3)
        self.endpoints = ",".join(self.three.endpoints())
        self.client = self.three.client()

    # ---- A group

    def ask(self, rank, op, args=None):
        return self.client.call(f"election.member/g/{rank}", op, args)

    def statuses(self, ranks):
        tickets = {rank: self.client.start("call", f"election.member/g/{rank}", "status") for rank in ranks}
        return {rank: self.client.wait(ticket) for rank, ticket in tickets.items()}

    def start(self, members=MEMBERS):
        for rank in range(1, members + 1):
            self.ask(rank, "start", {"members": members, **TIMES})
        self.await_leader(members, range(1, members + 1))
        return self.statuses(range(1, members + 1))

    def await_leader(self, leader, ranks):
        def agreed():
            return all(it["leader"] == leader for it in self.statuses(ranks).values())
        wait_until(f"all follow {leader}", agreed)

    def reset(self, ranks):
        for rank in ranks:
            self.ask(rank, "reset")

    def stand_still(self, name):
        pid = self.three.pid(name)
        os.kill(pid, signal.SIGSTOP)
        self.stopped.append(pid)
        return pid

    def go_on(self, pid):
        self.stopped.remove(pid)
        os.kill(pid, signal.SIGCONT)

    # ---- Tests

    def test_start_with_wrong_arguments_is_refused(self):
        for key, args in (("g/1", {}), ("g/5", {"members": 4}), ("g/1", {"members": 4, "answer_ms": 1}), ("g/x", {"members": 4}),
                          ("g/0", {"members": 4}), ("7", {"members": 9}), ("g/99999999999", {"members": 4})):
            with self.assertRaises(AgentError) as refused:
                self.client.call(f"election.member/{key}", "start", args)
            self.assertEqual(refused.exception.code, "failed", key)

    def test_silent_leader_is_followed_by_the_next_and_comes_back(self):
        self.start()
        ranks = range(1, MEMBERS + 1)
        self.reset(ranks)
        silent_ns = self.ask(MEMBERS, "fall_silent")
        self.await_leader(MEMBERS - 1, ranks[:-1])
        seen = self.statuses(ranks[:-1])
        first = min(it["first_election_ns"] for it in seen.values() if it["first_election_ns"])
        self.assertGreaterEqual(first - silent_ns, (TIMES["silence_ms"] - TIMES["ping_ms"]) * 1_000_000)
        self.assertGreaterEqual(seen[MEMBERS - 1]["waited_ns"], ANSWER_NS)
        self.assertTrue(all(it["leader_ns"] >= first + ANSWER_NS for it in seen.values()))
        # one to each member below; a member whose election comes only now (a slow machine) is told once more
        self.assertIn(seen[MEMBERS - 1]["coordinators"], range(MEMBERS - 2, 2 * (MEMBERS - 2) + 1))
        self.ask(MEMBERS, "speak")
        self.await_leader(MEMBERS, ranks)

    def test_two_highest_fall_silent_and_the_third_leads(self):
        self.start()
        self.ask(MEMBERS - 1, "fall_silent")
        self.ask(MEMBERS, "fall_silent")
        self.await_leader(MEMBERS - 2, range(1, MEMBERS - 1))

    def test_wrong_claim_from_below_changes_nothing(self):
        self.start()
        self.reset(range(1, MEMBERS + 1))
        for rank in range(1, MEMBERS + 1):
            self.client.tell(f"election.member/g/{rank}", "coordinator", MEMBERS // 2)
        self.await_leader(MEMBERS, range(1, MEMBERS + 1))
        self.assertEqual(sum(it["elections"] for it in self.statuses(range(1, MEMBERS + 1)).values()), 0)

    def test_node_that_stood_still_accuses_nobody(self):
        seen = self.start()
        leader_node = seen[MEMBERS]["node"]
        name = next(node for node in ("n1", "n2", "n3") if node != leader_node and any(it["node"] == node for it in seen.values()))
        there = [rank for rank, it in seen.items() if it["node"] == name]
        self.reset(range(1, MEMBERS + 1))
        pid = self.stand_still(name)
        time.sleep(1.2)  # the fault itself: four times the patience
        self.go_on(pid)
        wait_until("they noticed that they were late", lambda: all(it["late"] for it in self.statuses(there).values()))
        self.await_leader(MEMBERS, range(1, MEMBERS + 1))
        self.assertEqual(sum(it["elections"] for it in self.statuses(range(1, MEMBERS + 1)).values()), 0)

    def test_leader_that_stood_still_leads_again(self):
        seen = self.start()
        name = seen[MEMBERS]["node"]
        others = [rank for rank, it in seen.items() if it["node"] != name]
        pid = self.stand_still(name)
        self.await_leader(max(others), others)
        self.go_on(pid)
        self.await_leader(MEMBERS, range(1, MEMBERS + 1))

    # ---- The example

    def run_example(self, *words):
        done = subprocess.run([BUILD / "examples" / "election", "--node", self.endpoints, "--json", *words], capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_example_tells_three_times_apart_for_all_sizes(self):
        sizes = (3, 10, 50, 200)
        lines = self.run_example("--agents", ",".join(map(str, sizes)), "--rounds", "1")
        self.assertEqual([it["agents"] for it in lines], list(sizes))
        for line in lines:
            self.assertEqual(line["winner"], line["agents"] - 1)
            self.assertGreaterEqual(line["timeouts_ms"], 148)
            self.assertGreater(line["detection_ms"], 150)
            self.assertGreater(line["floor_us"], 0)
            self.assertGreaterEqual(line["messages"]["coordinator"], line["agents"] - 2)

    def test_example_kills_the_process_of_the_leaders_node(self):
        pids = ",".join(f"n{n}={self.three.pid(f'n{n}')}" for n in (1, 2, 3))
        line = self.run_example("--agents", "20", "--kill", pids)[0]
        self.assertLess(line["winner"], 20)
        self.assertEqual(sum(not self.runs(number) for number in (1, 2, 3)), 1)

    def runs(self, number):
        pid = self.three.pid(f"n{number}")
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False


if __name__ == "__main__":
    main()
