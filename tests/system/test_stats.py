#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `stead stats` and the log tell of a real node's turns."""
from harness import Test, built, main


class Stats(Test):
    def setUp(self):
        super().setUp()
        self.n1 = self.node(modules=[built("kinds.so")], options=["--reactors", 1])
        self.client = self.n1.client()

    def reactor(self):
        return self.n1.cli("stats")["nodes"][0]["reactors"][0]

    def test_turns_commits_and_batches_have_their_times(self):
        for number in range(200):
            self.client.call("record/a", "add", number)
        histograms = self.reactor()["histograms"]
        for name in ("turn_ns", "commit_ns", "batch_turns"):
            self.assertGreater(histograms[name]["count"], 0, name)
            self.assertGreater(histograms[name]["p99"], 0, name)

    def test_slow_turn_is_counted_and_named_in_the_log(self):
        self.client.call("record/quick", "add", 1)
        self.assertEqual(self.reactor()["counters"]["turns_slow"], 0)
        for _ in range(3):
            self.client.call("record/slow", "toil", 150)
        self.assertGreaterEqual(self.reactor()["counters"]["turns_slow"], 1)
        self.assertRegex(self.n1.log(), r"event=turn_slow agent=record/slow op=toil ms=\d{3,}")


class Reactors(Test):
    def setUp(self):
        super().setUp()
        self.n1 = self.node(modules=[built("kinds.so")], options=["--reactors", 4])

    def test_each_reactor_has_its_place_in_every_look(self):
        client = self.n1.client()
        for number in range(200):
            client.call(f"record/r{number}", "add", number)
        before = self.n1.cli("stats")["nodes"][0]["reactors"]
        self.assertGreater(len({it["counters"]["turns"] for it in before}), 1)
        for _ in range(12):
            looks = self.n1.cli("stats")["nodes"][0]["reactors"]
            self.assertEqual([it["reactor"] for it in looks], [0, 1, 2, 3])
            self.assertEqual([it["counters"]["turns"] for it in looks], [it["counters"]["turns"] for it in before])


if __name__ == "__main__":
    main()
