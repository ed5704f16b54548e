#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Leader election and consensus between agents on both fabrics, by their commands and by hand.
Usage: test_elect.py PROGRAM [unittest arguments]"""
import json
import os
import subprocess

from harness import PROGRAM, AgentError, Test, main, wait_until

TIMES = {"ping_ms": 50, "silence_ms": 300, "answer_ms": 150}


class Elect(Test):
    def stead(self, *words, status=0):
        environment = {k: v for k, v in os.environ.items() if k != "STEAD_NODE"}
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=180, env=environment)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def lines(self, *words):
        return [json.loads(line) for line in self.stead(*words, "--json").stdout.splitlines()]

    # ---- stead elect

    def test_elect_on_tells_needs_no_storage(self):
        lines = self.lines("elect", "--agents", "3,7", "--rounds", "1")
        self.assertEqual([it["agents"] for it in lines], [3, 7])
        for line in lines:
            self.assertEqual(line["operations"], 0)
            self.assertGreaterEqual(line["messages"], line["agents"] - 2)
            self.assertGreaterEqual(line["timeouts_ms"], line["answer_ms"] - 2)
            self.assertGreater(line["floor_ms"], 0)

    def test_elect_on_polled_hub_counts_storage_and_fits_its_times_to_the_polls(self):
        line = self.lines("elect", "--agents", "3", "--rounds", "1", "--fabric", "hub", "--poll", "100ms")[0]
        self.assertGreaterEqual(line["silence_ms"], 4 * 100)
        self.assertGreaterEqual(line["answer_ms"], 3 * 100)
        self.assertGreater(line["enqueues"], 0)
        self.assertGreater(line["dequeues"], line["empty"])
        self.assertAlmostEqual(line["cost_hour"], 3 * 10 * 125 * 0.25 / 1e6 * 3600)
        self.assertGreater(line["rest_ms"], 0)

    def test_elect_on_notified_hub(self):
        line = self.lines("elect", "--agents", "5", "--rounds", "1", "--fabric", "hub", "--poll", "notify")[0]
        self.assertGreater(line["operations"], 0)

    def test_sweep_is_direct_notify_and_every_way_of_polling(self):
        lines = self.lines("elect", "--sweep", "--agents", "3", "--rounds", "1")
        self.assertEqual([(it["fabric"], it["poll_ms"], it["backoff"]) for it in lines],
                         [("direct", 0, False), *(("hub", poll, False) for poll in (0, 100, 250, 1000)), ("hub", 30000, True)])
        for it in lines:
            self.assertAlmostEqual(it["round_ms"], it["detection_ms"] + it["timeouts_ms"] + it["rest_ms"], delta=0.01)
            self.assertGreater(it["floor_ms"], 0)
            self.assertGreaterEqual(it["rest_ms"], 0)  # what is left of a round less its patience may be nothing
            self.assertEqual(it["paper_s"], 16.7)
            self.assertEqual(it["operations"] > 0, it["fabric"] == "hub")
        back_off = lines[-1]
        self.assertLess(back_off["round_ms"], 2 * 30000)  # signs of life keep the intervals far below the longest
        self.assertLess(back_off["empty"], 3 * back_off["round_ms"] / 100)  # and silence makes them longer than the first
        self.assertAlmostEqual(back_off["cost_hour"],
                               back_off["dequeues"] / back_off["round_ms"] * 1000 * 125 * 0.25 / 1e6 * 3600, places=4)

    def test_wrong_words_are_refused_before_anything_starts(self):
        for words in (("elect", "--agents", "1"), ("elect", "--fabric", "pigeon"), ("elect", "--poll", "notify"),
                      ("elect", "--fabric", "hub", "--poll", "1ms"), ("consensus", "--agents", "2"),
                      ("consensus", "--agents", "64"), ("consensus", "--in-flight", "33"), ("elect", "word")):
            self.stead(*words, status=2)

    # ---- stead consensus

    def test_consensus_survives_its_silent_leader_on_both_fabrics(self):
        for words in ((), ("--fabric", "hub", "--poll", "notify"), ("--in-flight", "8", "--nodes", "3", "--agents", "5")):
            line = self.lines("consensus", "--decisions", "20", *words)[0]
            self.assertTrue(line["agreed"])
            self.assertGreaterEqual(line["slots"], 40)
            self.assertGreater(line["gap_ms"], 100)
            self.assertEqual("p99_us" in line, False)
            self.assertEqual(line["operations"] > 0, "hub" in words)

    # ---- By hand, on a running node that is killed

    def group(self, node):
        client = node.client()
        for rank in (1, 2, 3):
            client.call(f"consensus.member/g/{rank}", "join", {"members": 3, **TIMES})
        return client

    def propose(self, client, rank, number, **more):
        return client.call(f"consensus.proposer/g/{rank}", "propose", {"id": f"c{number}", "value": f"v{number}", **more})["slot"]

    def test_proposal_that_comes_again_is_decided_once_also_after_a_kill(self):
        node = self.node()
        client = self.group(node)
        slot = self.propose(client, 1, 7)
        self.assertEqual(self.propose(client, 2, 7, again=True), slot)
        node.kill()
        node.start()
        client = node.client()
        self.assertEqual(self.propose(client, 3, 7, again=True), slot)
        other = self.propose(client, 1, 8)
        self.assertGreater(other, slot)
        wait_until("all have learned it", lambda: all(
            client.call(f"consensus.member/g/{rank}", "find", "c8")["slot"] == other for rank in (1, 2, 3)))
        logs = [client.call(f"consensus.member/g/{rank}", "read", {})["entries"] for rank in (1, 2, 3)]
        ids = [[entry[2] for entry in log] for log in logs]
        self.assertEqual(ids[0].count("c7"), 1)
        shortest = min(map(len, ids))
        self.assertEqual(ids[0][:shortest], ids[1][:shortest])
        self.assertEqual(ids[0][:shortest], ids[2][:shortest])

    def test_group_does_not_change_its_size_and_wrong_proposals_are_refused(self):
        client = self.group(self.node())
        self.propose(client, 1, 1)
        for key, op, args in (("consensus.member/g/1", "join", {"members": 5}), ("consensus.member/g/4", "join", {"members": 3}),
                              ("consensus.member/g/1", "join", {"members": 3, "fabric": "pigeon"}),
                              ("consensus.proposer/g/1", "propose", {"id": ""}), ("consensus.proposer/g/1", "propose", {"id": "x" * 41}),
                              ("consensus.proposer/g/1", "propose", {"id": "x", "value": "y" * 257})):
            with self.assertRaises(AgentError) as refused:
                client.call(key, op, args)
            self.assertEqual(refused.exception.code, "failed", (key, args))


if __name__ == "__main__":
    main()
