#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each example does what its first lines say, through the shell and through the second client; and again after the node was killed.
Usage: test_examples.py PROGRAM [unittest arguments]"""
import json
import threading
import time

from harness import AgentError, CliError, Test, example, main, wait_until

ALL = ["counter", "account", "limiter", "topic", "twin", "inventory", "ledger", "lock", "gossip", "word"]


class OneNode(Test):
    def setUp(self):
        super().setUp()
        self.n1 = self.node(modules=map(example, ALL), options=["--label", "gpu"])
        self.addCleanup(self.end_well)

    def end_well(self):
        """A clean stop, and a folder that is whole."""
        if self.n1.process.poll() is None:
            self.assertEqual(self.n1.stop(), 0)
            self.assert_sound(self.n1.folder)

    def call(self, address, op, args=None, *options):
        """Through the shell."""
        return self.n1.cli("call", *options, address, op, *([] if args is None else [json.dumps(args)]))

    def refusal(self, *request):
        """The error with which a call must be refused."""
        with self.assertRaises(CliError) as refused:
            self.call(*request)
        return refused.exception.error

    def show(self, address):
        return self.n1.cli("show", address)

    def test_every_op_has_a_line_of_help(self):
        kinds = self.n1.client().query("status")["nodes"][0]["kinds"]
        names = {kind["name"] for kind in kinds}
        self.assertLessEqual({"counter", "account", "topic", "inbox", "word.gpu", "election.member"}, names)
        for kind in kinds:
            self.assertTrue(kind["help"], kind["name"])
            for op in kind["ops"]:
                self.assertTrue(op["help"], (kind["name"], op["name"]))

    def test_counter_counts_and_survives_a_kill(self):
        self.assertEqual(self.call("counter/alice", "add", 5), 5)
        self.assertEqual(self.call("counter/alice", "add"), 6)
        self.assertEqual(self.refusal("counter/alice", "add", "five")["name"], "bad_by")
        self.assertEqual(self.refusal("counter/alice", "add", 2**63 - 1)["name"], "bad_by")
        self.n1.restart()
        self.assertEqual(self.call("counter/alice", "get"), 6)

    def test_account_moves_money_and_refuses_to_make_any(self):
        call = self.call
        self.assertEqual(call("account/a", "deposit", {"amount": 100}), 100)
        self.assertEqual(call("account/a", "transfer", {"to": "account/b", "amount": 30}), 70)
        wait_until("the money is there", lambda: call("account/b", "get")["balance"] == 30)
        self.assertEqual(self.refusal("account/a", "withdraw", {"amount": 71})["name"], "too_little")
        self.assertEqual(self.refusal("account/a", "transfer", {"to": "account/b", "amount": 71})["name"], "too_little")
        self.assertEqual(self.refusal("account/a", "transfer", {"to": "account/b", "amount": -1})["name"], "bad_amount")
        self.assertEqual(self.refusal("account/a", "transfer", {"to": "counter/b", "amount": 1})["name"], "bad_to")
        self.assertEqual(self.refusal("account/b", "credit", {"amount": 1})["name"], "not_an_account")
        self.assertEqual(call("account/b", "withdraw", {"amount": 10}), 20)

    def test_account_transfer_to_a_closed_account_comes_back(self):
        call = self.call
        call("account/c", "close")
        call("account/a", "deposit", {"amount": 50})
        self.assertEqual(call("account/a", "transfer", {"to": "account/c", "amount": 20}), 30)
        wait_until("the money is back", lambda: call("account/a", "get")["refunded"] == 20)
        self.assertEqual(call("account/a", "get")["balance"], 50)
        self.assertEqual(call("account/c", "get")["balance"], 0)

    def test_account_transfer_to_itself_conserves(self):
        self.call("account/self", "deposit", {"amount": 9})
        self.call("account/self", "transfer", {"to": "account/self", "amount": 4})
        wait_until("it arrived", lambda: self.call("account/self", "get")["received"] == 4)
        self.assertEqual(self.call("account/self", "get")["balance"], 9)

    def test_limiter_lets_a_burst_through_and_then_its_rate(self):
        client = self.n1.client()
        answers = [client.call("limiter/x", "take", {"burst": 5, "rate": 1}) for _ in range(7)]
        self.assertEqual([answer["allowed"] for answer in answers[:5]], [True] * 5)
        self.assertFalse(answers[6]["allowed"])
        self.assertGreater(answers[6]["retry_after_ms"], 0)
        self.assertLessEqual(answers[6]["retry_after_ms"], 1000)
        wait_until("a token dropped in", lambda: self.call("limiter/x", "take", {"burst": 5, "rate": 100})["allowed"])
        self.assertEqual(self.call("limiter/x", "take", {"tokens": 9, "burst": 5})["retry_after_ms"], -1)

    def test_topic_publishes_to_subscribers_in_order_and_keeps_its_last_messages(self):
        for name in "ab":
            self.call("topic/room", "subscribe", {"address": f"inbox/{name}"})
        client = self.n1.client()
        for number in range(1, 1101):
            client.start("call", "topic/room", "publish", f"message {number}")
        self.assertTrue(client.drain())
        for name in "ab":
            wait_until("all have it", lambda n=name: client.call(f"inbox/{n}", "get")["count"] == 1100)
            inbox = client.call(f"inbox/{name}", "get")
            self.assertEqual((inbox["last"], inbox["broken"]), (1100, False))
        page = client.call("topic/room", "read", {"after": 0, "limit": 3})
        self.assertEqual([number for number, _ in page["messages"]], [101, 102, 103])
        page = client.call("topic/room", "read", {"after": 1098})
        self.assertEqual([number for number, _ in page["messages"]], [1099, 1100])
        self.call("topic/room", "unsubscribe", {"address": "inbox/a"})
        self.assertEqual(self.refusal("topic/room", "unsubscribe", {"address": "inbox/a"})["name"], "not_subscribed")
        self.assertEqual(self.call("topic/room", "publish", "last"), 1101)
        wait_until("b has it", lambda: self.call("inbox/b", "get")["count"] == 1101)
        self.assertEqual(self.call("inbox/a", "get")["count"], 1100)

    def test_topic_reader_that_waits_is_answered_across_a_kill(self):
        self.call("topic/poll", "publish", "one")
        client = self.n1.client()
        waiting = client.start("call", "topic/poll", "read", {"after": 1, "wait": True})
        wait_until("it waits", lambda: client.poll(0.02) == [] and self.show("topic/poll")["owed"] == 1)
        self.n1.restart()
        self.assertFalse(waiting.done)
        self.assertEqual(self.call("topic/poll", "publish", "two"), 2)
        self.assertEqual(client.wait(waiting), {"messages": [[2, "two"]], "last": 2})
        self.assertEqual(self.show("topic/poll")["owed"], 0)

    def test_twin_reminds_once_every_so_often_and_by_the_calendar(self):
        call = self.call
        call("twin/lamp", "desire", {"on": True})
        self.assertFalse(call("twin/lamp", "get")["in_step"])
        call("twin/lamp", "report", {"on": True})
        self.assertTrue(call("twin/lamp", "get")["in_step"])
        call("twin/lamp", "remind", {"name": "once", "text": "dust it", "after_ms": 30})
        wait_until("it rang", lambda: call("twin/lamp", "get")["reminders"] == 1)
        self.assertEqual(call("twin/lamp", "get")["reminder"], "dust it")
        call("twin/lamp", "remind", {"name": "often", "text": "again", "every_ms": 20})
        wait_until("it rang often", lambda: call("twin/lamp", "get")["reminders"] >= 5)
        call("twin/lamp", "cancel", "often")
        self.assertEqual(self.refusal("twin/lamp", "cancel", "often")["name"], "no_such_reminder")
        call("twin/lamp", "remind", {"name": "office", "cron": "0 9 * * mon-fri", "zone": "Europe/Berlin"})
        self.assertEqual(self.refusal("twin/lamp", "remind", {"name": "x", "cron": "61 9 * * *"})["name"], "bad_schedule")
        self.assertEqual(self.refusal("twin/lamp", "remind", {"name": "x", "cron": "0 9 * * *", "zone": "Mars/Base"})["name"],
                         "bad_schedule")
        timers = self.show("twin/lamp")["timers"]
        self.assertEqual([(it["name"], it["op"], it["cron"]) for it in timers], [("office", "ring", "0 9 * * mon-fri")])
        self.assertEqual(time.gmtime(timers[0]["due_ms"] // 1000).tm_min, 0)

    def test_twin_timer_due_while_the_node_is_down_is_late_and_not_lost(self):
        self.call("twin/late", "remind", {"name": "r", "text": "now", "after_ms": 400})
        due = self.show("twin/late")["timers"][0]["due_ms"]
        self.n1.kill()
        wait_until("it is due", lambda: time.time() * 1000 > due)
        self.n1.start()
        wait_until("it rang", lambda: self.call("twin/late", "get")["reminders"] == 1)
        self.assertGreaterEqual(self.call("twin/late", "get")["reminded_ms"], due)

    def test_twin_is_offline_when_its_device_is_silent(self):
        self.call("twin/pump", "watch", 40)
        wait_until("it counts as offline", lambda: self.call("twin/pump", "get")["offline"])
        self.call("twin/pump", "watch", 0)
        self.call("twin/pump", "report", 7)
        self.assertFalse(self.call("twin/pump", "get")["offline"])

    def test_twin_that_is_retired_begins_anew(self):
        self.call("twin/old", "report", 7)
        self.call("twin/old", "remind", {"name": "r", "after_ms": 1})
        self.call("twin/old", "retire")
        self.assertIsNone(self.call("twin/old", "get")["reported"])
        self.assertEqual(self.show("twin/old")["incarnation"], 2)
        self.assertEqual(self.call("twin/old", "get")["reminders"], 0)

    def test_inventory_of_a_hundred_thousand_articles_is_paged_in_order(self):
        client = self.n1.client(timeout=60.0)
        for first in range(0, 100000, 2000):
            client.start("call", "inventory/hall", "stock", {f"sku-{n:06}": 1 + n % 7 for n in range(first, first + 2000)})
        self.assertTrue(client.drain(60))
        self.assertEqual(client.call("inventory/hall", "total"),
                         {"articles": 100000, "pieces": sum(1 + n % 7 for n in range(100000))})
        self.n1.restart()
        seen, after = [], ""
        while after is not None:
            page = client.call("inventory/hall", "list", {"after": after, "limit": 5000})
            seen += page["articles"]
            after = page["next"]
        self.assertEqual(seen, [[f"sku-{n:06}", 1 + n % 7] for n in range(100000)])
        self.assertEqual(client.call("inventory/hall", "take", {"sku": "sku-000006", "pieces": 7}), 0)
        with self.assertRaises(AgentError) as refused:
            client.call("inventory/hall", "take", {"sku": "sku-000006"})
        self.assertEqual(refused.exception.name, "too_few")
        self.assertEqual(client.call("inventory/hall", "clear", {"from": "sku-000100", "to": "sku-000200"}), 100)
        self.assertEqual(client.call("inventory/hall", "total")["articles"], 99900)
        page = client.call("inventory/hall", "list", {"after": "sku-000098", "limit": 2})
        self.assertEqual([sku for sku, _ in page["articles"]], ["sku-000099", "sku-000200"])

    def test_inventory_stock_is_all_or_nothing(self):
        self.assertEqual(self.refusal("inventory/shed", "stock", {"a": 1, "b": 0})["name"], "bad_argument")
        self.assertEqual(self.call("inventory/shed", "total"), {"articles": 0, "pieces": 0})
        self.assertEqual(self.refusal("inventory/shed", "get", "a")["name"], "no_such_article")

    def test_ledger_is_made_of_its_events_and_shows_them(self):
        client = self.n1.client()
        for number in range(1, 131):
            self.assertEqual(client.call("ledger/l", "post", {"amount": number, "text": f"no {number}"}), number)
        self.call("ledger/l", "reverse", 130)
        self.assertEqual(self.refusal("ledger/l", "reverse", 130)["name"], "not_open")
        expected = {"balance": 129 * 130 // 2, "postings": 130, "reversals": 1}
        self.assertEqual(self.call("ledger/l", "get"), expected)
        self.n1.restart()
        self.assertEqual(self.call("ledger/l", "get"), expected)
        turns = self.n1.cli("journal", "--limit", "3", "ledger/l")
        self.assertEqual([(turn["op"], turn["status"], turn["events"]) for turn in turns],
                         [("post", "ok", [["posted", {"amount": 130, "text": "no 130"}]]),
                          ("reverse", "ok", [["reversed", {"number": 130}]]), ("reverse", "failed", [])])

    def test_lock_makes_others_wait_and_fences_off_a_broken_holder(self):
        fence = self.call("lock/press", "acquire", "user/anna")
        client = self.n1.client()
        bert = client.start("call", "lock/press", "acquire", "user/bert")
        wait_until("bert waits", lambda: client.poll(0.02) == [] and
                   sum(self.show("lock/press")["mailbox"].values()) == 1)
        self.assertEqual(self.show("lock/press")["lock"], {"holder": "user/anna", "fence": fence})
        self.assertEqual(self.call("lock/press", "write", 42, "--fence", fence), 1)
        self.assertFalse(bert.done)
        self.call("lock/press", "release", fence, "--fence", fence)
        second = client.wait(bert)
        self.assertGreater(second, fence)
        self.n1.cli("unlock", "lock/press")
        third = self.call("lock/press", "acquire", "user/carl")
        self.assertGreater(third, second)
        self.assertEqual(self.refusal("lock/press", "write", 43, "--fence", second)["code"], "locked")
        self.assertEqual(self.call("lock/press", "read", None, "--fence", third)["value"], 42)

    def test_lock_that_is_not_in_memory_is_unlocked(self):
        fence = self.call("lock/door", "acquire", "user/anna")
        self.n1.restart()
        shown = self.show("lock/door")
        self.assertEqual((shown["resident"], shown["lock"]), (False, {"holder": "user/anna", "fence": fence}))
        self.assertEqual(self.n1.cli("unlock", "lock/door"), {"holder": "user/anna", "fence": fence})
        self.n1.restart()  # the unlocking itself is stored
        self.assertIsNone(self.show("lock/door")["lock"])
        second = self.call("lock/door", "acquire", "user/bert")
        self.assertGreater(second, fence)
        self.assertEqual(self.refusal("lock/door", "write", 43, "--fence", fence)["code"], "locked")
        self.n1.restart()
        self.assertEqual(self.show("lock/door")["lock"], {"holder": "user/bert", "fence": second})

    def test_word_counts_on_a_job_thread_and_stops_when_cancelled(self):
        self.assertEqual(self.call("word/any", "count", "one two\nthree\n"),
                         {"words": 3, "lines": 2, "bytes": 14, "node": "n1"})
        self.assertEqual(self.call("word.gpu/any", "count", "")["words"], 0)
        self.assertEqual(self.refusal("word/any", "count", 5)["name"], "bad_text")
        client = self.n1.client()
        started = time.monotonic()
        naps = [client.start("call", f"word/{n}", "nap", 200) for n in range(8)]
        for nap in naps:
            self.assertEqual(client.wait(nap), "n1")
        self.assertLess(time.monotonic() - started, 1.2, "eight naps took their turns")

    def test_gossip_of_one_replica_is_a_counter(self):
        self.assertEqual(self.call("gossip/only", "add", 5), 5)
        self.assertEqual(self.call("gossip/only", "get")["sum"], 5)
        self.assertEqual(self.refusal("gossip/only", "add", -5)["name"], "bad_by")


class ThreeNodes(Test):
    """Nodes of one cluster that are not alike: n2 has a label."""

    def setUp(self):
        super().setUp()
        modules = [example(name) for name in ("account", "gossip", "word")]
        first = self.make_node("n1", name="n1", modules=modules, options=["--nodes", "3"]).launch()
        lock = first.folder / "coordinator" / "lock"
        line = wait_until("the coordinator serves", lambda: lock.exists() and lock.read_text().endswith("\n") and lock.read_text())
        options = ["--coordinator", line.split()[3]]
        self.nodes = [first, self.make_node("n2", name="n2", modules=modules, options=[*options, "--label", "gpu"]).launch(),
                      self.make_node("n3", name="n3", modules=modules, options=options).launch()]
        for node in self.nodes:
            node.await_ready()

    def test_gossip_replicas_on_three_nodes_agree(self):
        """Names are tried until one lives on each node; then all count at once."""
        places, number = {}, 0
        while len(places) < 3:
            number += 1
            places.setdefault(self.nodes[0].call(f"gossip/r{number}", "get")["node"], f"gossip/r{number}")
            self.assertLess(number, 200, f"the names all live on {list(places)}")
        replicas = list(places.values())
        for replica in replicas:
            self.nodes[0].call(replica, "join", {"peers": replicas, "every_ms": 20})

        def count(client, replica):
            for _ in range(200):
                client.start("call", replica, "add", 1)
            client.drain()
        threads = [threading.Thread(target=count, args=(node.client(), replica)) for node, replica in zip(self.nodes, replicas)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for replica in replicas:
            wait_until("all know of all", lambda it=replica: self.nodes[1].call(it, "get")["sum"] == 600)

    def test_word_gpu_runs_only_where_the_label_is(self):
        client = self.nodes[2].client()
        self.assertEqual({client.call(f"word.gpu/{n}", "nap", 0) for n in range(20)}, {"n2"})
        naps = [client.start("call", f"word/{n}", "nap", 20) for n in range(60)]
        self.assertEqual({client.wait(nap) for nap in naps}, {"n1", "n2", "n3"})

    def test_account_transfers_cross_nodes(self):
        client = self.nodes[0].client()
        for n in range(12):
            client.call(f"account/{n}", "deposit", {"amount": 100})
        for n in range(240):
            client.start("call", f"account/{n % 12}", "transfer", {"to": f"account/{(n * 7 + 1) % 12}", "amount": 1})
        self.assertTrue(client.drain())

        def all_accounts():
            return [client.call(f"account/{n}", "get") for n in range(12)]
        wait_until("all money arrived", lambda: sum(it["received"] for it in all_accounts()) == 240)
        self.assertEqual(sum(it["balance"] for it in all_accounts()), 1200)
        self.assertEqual({self.nodes[0].cli("show", f"account/{n}")["node"] for n in range(12)}, {"n1", "n2", "n3"})


if __name__ == "__main__":
    main()
