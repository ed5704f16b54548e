#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each example of an orchestration does what its first lines say; and what it waits for comes after the node was killed.
Usage: test_flow_examples.py PROGRAM [unittest arguments]"""
import collections
import json
import re

from harness import CliError, Test, example, main, wait_until

ALL = ["hello", "files", "trip", "approval", "monitor", "transfer", "mapreduce", "account"]


class Flows(Test):
    def setUp(self):
        super().setUp()
        self.n1 = self.node(modules=map(example, ALL))

    def run_flow(self, name, value, *words):
        """Runs one to its end; its output."""
        return self.n1.cli("run", name, json.dumps(value), "--wait", *words)["output"]

    def failure(self, name, value, *words):
        with self.assertRaises(CliError) as refused:
            self.run_flow(name, value, *words)
        self.assertEqual(refused.exception.code, 1)
        return refused.exception

    def start(self, name, value, id):
        self.n1.cli("run", name, json.dumps(value), "--id", id)

    def await_custom(self, id, wanted):
        return wait_until(f"{id} says so", lambda: wanted(self.n1.cli("status", id)["custom"]))

    def await_end(self, id, status):
        return wait_until(f"{id} is {status}", lambda: (it := self.n1.cli("status", id))["status"] == status and it)

    def call(self, address, op, args=None):
        return self.n1.cli("call", address, op, *([] if args is None else [json.dumps(args)]))

    def test_hello_greets_in_order(self):
        self.assertEqual(self.run_flow("hello", ["Tokyo", "Seattle", "London"]),
                         ["hello, Tokyo", "hello, Seattle", "hello, London"])
        self.assertEqual(self.run_flow("hello", []), [])
        self.failure("hello", 5)

    def test_files_counts_every_file_once(self):
        words = lines = 0
        folder = self.folder / "texts"
        folder.mkdir()
        for n in range(40):
            text = "to be or not\n" * (n + 1) + "that is " * n
            (folder / f"{n}.txt").write_text(text)
            words += len(text.split())
            lines += text.count("\n")
        (folder / "inner").mkdir()
        self.assertEqual(self.run_flow("files", {"folder": str(folder)}),
                         {"files": 40, "words": words, "lines": lines, "largest": "39.txt"})
        self.failure("files", {"folder": str(folder / "none")})

    def test_trip_books_all_or_gives_everything_back(self):
        booked = self.run_flow("trip", {"city": "Lisbon"})
        self.assertEqual(set(booked), {"car", "hotel", "flight"})
        for id in booked.values():  # every part of a UUID is drawn
            self.assertRegex(id, r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        for part in (slice(0, 8), slice(9, 13), slice(24, 36)):
            self.assertEqual(len({id[part] for id in booked.values()}), 3, booked)
        kept = self.call("agency/main", "list")
        self.assertEqual(sorted(one["what"] for one in kept), ["car", "flight", "hotel"])
        self.failure("trip", {"city": "Xanadu"}, "--id", "x1")
        error = self.n1.cli("status", "x1")["error"]
        self.assertEqual(error, {"name": "no_trip", "sentence": "no flight to Xanadu; 2 bookings were given back"})
        self.assertEqual(self.call("agency/main", "list"), kept)
        calls = [event["name"] for event in self.n1.cli("history", "x1") if event["type"] == "TaskScheduled"]
        self.assertEqual(calls, ["book", "book", "book", "cancel", "cancel"])

    def test_approval_waits_over_a_kill_and_asks_the_next_after_its_patience(self):
        self.start("approval", {"amount": 900, "patience": 600000}, "order-17")
        self.await_custom("order-17", lambda said: said == "waits for the clerk")
        self.n1.restart()
        self.n1.cli("raise", "order-17", "approval", '{"by": "anna", "ok": true}')
        self.assertEqual(self.await_end("order-17", "Completed")["output"], {"approved": True, "by": "anna", "amount": 900})
        self.start("approval", {"amount": 5000, "patience": 600000}, "order-18")
        self.await_custom("order-18", lambda said: said == "waits for the manager")
        self.failure("approval", {"amount": 1, "patience": 20}, "--id", "order-19")
        self.assertEqual(self.n1.cli("status", "order-19")["error"]["name"], "nobody_answered")

    def test_monitor_begins_anew_each_round_and_sees_a_change(self):
        path = self.folder / "watched"
        self.start("monitor", {"path": str(path), "every": 20}, "watch")
        self.await_custom("watch", lambda said: said and said["rounds"] >= 3 and said["size"] == -1)
        whole = self.folder / "whole"
        whole.write_text("hello")
        whole.rename(path)  # at once: it may look between a file's creation and its first bytes
        self.await_custom("watch", lambda said: said["changes"] == 1 and said["size"] == 5)
        self.n1.restart()
        rounds = self.n1.cli("status", "watch")["custom"]["rounds"]
        self.await_custom("watch", lambda said: said["rounds"] > rounds + 2)
        it = self.n1.cli("status", "watch")
        self.assertGreater(it["execution"], 5)
        self.assertLess(it["events"], 30)
        self.n1.cli("raise", "watch", "stop")
        self.assertEqual(self.await_end("watch", "Completed")["output"]["changes"], 1)

    def test_transfer_keeps_the_sum_whichever_way_it_goes(self):
        for name in ("anna", "ben"):
            self.call(f"account/{name}", "deposit", {"amount": 1000})
        for n in range(20):  # both ways at once: locks are taken in one order, so nobody waits for ever
            pair = ("anna", "ben") if n % 2 else ("ben", "anna")
            self.start("transfer", {"from": f"account/{pair[0]}", "to": f"account/{pair[1]}", "amount": 10 + n}, f"t{n}")
        for n in range(20):
            self.await_end(f"t{n}", "Completed")
        balances = [self.call(f"account/{name}", "get")["balance"] for name in ("anna", "ben")]
        moved = sum((10 + n) * (-1 if n % 2 else 1) for n in range(20))
        self.assertEqual(balances, [1000 + moved, 1000 - moved])
        self.failure("transfer", {"from": "account/anna", "to": "account/ben", "amount": 100000})
        self.assertEqual([self.call(f"account/{name}", "get")["balance"] for name in ("anna", "ben")], balances)
        self.assertEqual(self.n1.cli("locks", "list"), [])

    def test_mapreduce_finds_the_most_frequent_words(self):
        texts = ["To be, or not to be: that is the question", "whether 'tis nobler in the mind to suffer",
                 "the slings and arrows of outrageous fortune", "or to take arms against a sea of troubles"]
        counts = collections.Counter()
        for n, text in enumerate(texts):
            self.call(f"corpus/{n}", "add", text)
            counts.update(re.findall(r"[a-z]+", text.lower()))
        found = self.run_flow("mapreduce", {"shards": 4, "top": 5}, "--id", "m1")
        self.assertEqual([count for _, count in found], sorted(counts.values(), reverse=True)[:5])
        for word, count in found:
            self.assertEqual(counts[word], count, word)
        everything = self.run_flow("mapreduce", {"shards": 4, "top": 100})
        self.assertEqual(dict(everything), dict(counts))
        wait_until("the reducers are gone", lambda: not self.n1.cli("agents", "--kind", "reducer"))


if __name__ == "__main__":
    main()
