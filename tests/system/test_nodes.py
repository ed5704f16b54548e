#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Three nodes: agents on different ones talk, one is killed under load and comes back, jobs go where their label is."""
import json
import random
import threading
import time
import unittest

from harness import PATIENCE, AgentError, Test, built, example, main, run_stead, runs, scaled, wait_until

ACCOUNTS, EACH = 30, 1000


class Transfers(threading.Thread):
    """Moves money between random accounts until it is stopped; an outcome that a dead node explains is none of its business."""

    def __init__(self, cluster, endpoints, timeout=30.0):
        super().__init__()
        self.client = cluster.client(endpoints, timeout=timeout, retry=0.25)
        self.done, self.missed, self.failure = 0, 0, None
        self.ending = threading.Event()
        self.start()

    def run(self):
        draw = random.Random(7)
        try:
            while not self.ending.is_set() or self.client.tickets:
                while len(self.client.tickets) < 24 and not self.ending.is_set():
                    source, target = draw.sample(range(ACCOUNTS), 2)
                    self.client.start("call", f"account/{source}", "transfer",
                                      {"to": f"account/{target}", "amount": draw.randint(1, 100)})
                for ticket in self.client.poll(0.05):
                    code = ticket.error.code if ticket.error else ""
                    if code in ("timeout", "unavailable", "busy"):
                        self.missed += 1
                    elif ticket.error and ticket.error.name != "too_little":
                        raise ticket.error
                    else:
                        self.done += 1
        except Exception as failure:  # told by finish(), on the test's own thread
            self.failure = failure

    def finish(self):
        self.ending.set()
        self.join(PATIENCE * 2)
        assert not self.is_alive(), "transfers without an outcome"
        if self.failure:
            raise self.failure


class Nodes(Test):
    def up(self, **options):
        cluster = self.cluster(3, modules=[built("kinds.so"), example("account")], **options)
        self.endpoints = cluster.endpoints()
        return cluster

    def owners(self, client, kind, count):
        """{node name: numbers of the agents that live there}"""
        names = {id: node["name"] for id, node in client.table.nodes.items()}
        owners = {}
        for n in range(count):
            place = client.table.owner(f"{kind}/{n}".encode())
            owners.setdefault(names[place.node], []).append(n)
        return owners

    def await_conserved(self, client):
        def settled():
            states = [client.call(f"account/{n}", "get") for n in range(ACCOUNTS)]
            on_the_way = sum(s["sent"] - s["received"] - s["refunded"] for s in states)
            return on_the_way == 0 and states

        states = wait_until("all money has arrived", settled, step=0.05)
        self.assertEqual(sum(state["balance"] for state in states), ACCOUNTS * EACH)
        self.assertGreaterEqual(min(state["balance"] for state in states), 0)

    def test_money_between_nodes_survives_kills_of_nodes(self):
        cluster = self.up()
        client = cluster.client(self.endpoints)
        for n in range(ACCOUNTS):
            client.call(f"account/{n}", "deposit", {"amount": EACH})
        self.assertEqual(set(self.owners(client, "account", ACCOUNTS)), {"n1", "n2", "n3"})
        load = Transfers(cluster, self.endpoints)
        try:
            for round in range(scaled(6, 2)):
                before = load.done
                wait_until("transfers go on", lambda: load.done > before + 50 or load.failure)
                cluster.kill(f"n{round % 3 + 1}")
                self.assertEqual(cluster.up(), 1)
        finally:
            load.finish()
        print(f"{load.done} transfers, {load.missed} without an outcome", flush=True)
        self.await_conserved(client)
        self.stop_and_check(cluster)

    def test_others_serve_while_one_is_dead_and_it_is_given_what_it_is_owed(self):
        cluster = self.up()
        client = cluster.client(self.endpoints[:1], timeout=20.0)
        client.query("status")
        owners = self.owners(client, "post", 60)
        self.assertEqual(set(owners), {"n1", "n2", "n3"})
        dead, senders = owners["n3"][0], owners["n1"][:3] + owners["n2"][:3]
        self.assertEqual(client.call(f"post/{senders[0]}", "send", {"to": f"post/{dead}"}), 1)
        wait_until("the first letter is there", lambda: client.call(f"post/{dead}", "get")["taken"] == 1)
        sent = 1
        stop, counts = threading.Event(), {"sent": 0}
        failures = []

        def write_letters():
            writer = cluster.client(self.endpoints[:2], timeout=20.0)
            try:
                while not stop.is_set() or writer.tickets:
                    while len(writer.tickets) < 16 and not stop.is_set():
                        writer.start("call", f"post/{random.choice(senders)}", "send", {"to": f"post/{dead}"})
                    for ticket in writer.poll(0.05):
                        ticket.result()
                        counts["sent"] += 1
            except Exception as failure:
                failures.append(failure)

        thread = threading.Thread(target=write_letters)
        thread.start()
        try:
            wait_until("letters go on", lambda: counts["sent"] > 50 or failures)
            cluster.kill("n3")
            at_kill = counts["sent"]
            wait_until("agents of the others are served", lambda: counts["sent"] > at_kill + 200 or failures)
            started = time.monotonic()
            with self.assertRaises(AgentError) as raised:
                cluster.client(self.endpoints[:2], timeout=1.0).call(f"post/{dead}", "get")
            self.assertIn(raised.exception.code, ("timeout", "unavailable"))
            self.assertLess(time.monotonic() - started, 5)
            at_error = counts["sent"]
            wait_until("and go on being served", lambda: counts["sent"] > at_error + 100 or failures)
            self.assertEqual(cluster.up(), 1)
        finally:
            stop.set()
            thread.join(PATIENCE)
        self.assertEqual(failures, [])
        sent += counts["sent"]
        wait_until("everything owed has arrived", lambda: client.call(f"post/{dead}", "get")["taken"] >= sent, step=0.05)
        self.assertEqual(client.call(f"post/{dead}", "get"), {"sent": 0, "taken": sent, "disorder": 0})
        print(f"{sent} letters", flush=True)
        self.stop_and_check(cluster)

    def test_backlog_of_large_letters_is_sent_once_and_in_no_ones_way(self):
        count, size = scaled(300, 100), 500000
        cluster = self.up(options=["--memory", "64M"])
        client = cluster.client(self.endpoints[:1], timeout=20.0)
        client.query("status")
        owners = self.owners(client, "post", 60)
        dead, sender = f"post/{owners['n3'][0]}", f"post/{owners['n1'][0]}"

        def resends():
            stats = run_stead("stats", "--json", "--node", self.endpoints[0])
            return sum(reactor["counters"]["resends"] for node in json.loads(stats[1])["nodes"] for reactor in node["reactors"])

        cluster.kill("n3")
        for _ in range(count):
            client.call(sender, "send", {"to": dead, "size": size})
        before, longest = resends(), 0.0
        self.assertEqual(cluster.up(), 1)
        reader = cluster.client(self.endpoints, timeout=20.0)
        taken = reader.start("call", dead, "get")

        def all_are_there():
            nonlocal taken, longest
            started = time.monotonic()
            client.call(sender, "get")
            longest = max(longest, time.monotonic() - started)
            if not reader.poll(0):
                return None
            state = taken.result()
            taken = reader.start("call", dead, "get")
            return state["taken"] == count and state

        self.assertEqual(wait_until("everything owed has arrived", all_are_there), {"sent": 0, "taken": count, "disorder": 0})
        again = resends() - before
        print(f"{count} letters of {size} bytes, {again} read from the outbox, longest call {longest * 1000:.0f} ms", flush=True)
        self.assertLessEqual(again, 3 * count)
        self.stop_and_check(cluster)

    def test_jobs_with_needs_run_only_where_the_label_is(self):
        def launch(number, *options):
            return self.make_node(f"n{number}", name=f"n{number}", modules=[built("kinds.so")],
                                  options=["--reactors", 1, *options]).launch()

        first = launch(1, "--nodes", 3)
        coordinator = wait_until("the coordinator serves", first.coordinator_endpoint)
        second = launch(2, "--coordinator", coordinator, "--label", "gpu")
        for node in (first, second, launch(3, "--coordinator", coordinator)):
            node.await_ready()
        with first.client() as client:
            somewhere = {client.call(f"where/{n}", "ask") for n in range(60)}
            self.assertEqual(somewhere, {"n1", "n2", "n3"})
            self.assertEqual({client.call(f"where-gpu/{n}", "ask") for n in range(40)}, {"n2"})
            second.kill()
            with self.assertRaises(AgentError) as raised:
                client.call("where-gpu/1", "ask", timeout=1.5)
            self.assertIn(raised.exception.code, ("timeout", "unavailable"))
            second.start()
            self.assertEqual(client.call("where-gpu/1", "ask"), "n2")

    def test_everything_placed_goes_on_without_the_coordinator(self):
        cluster = self.up()
        client = cluster.client(self.endpoints)
        for n in range(ACCOUNTS):
            client.call(f"account/{n}", "deposit", {"amount": EACH})
        load = Transfers(cluster, self.endpoints)
        try:
            cluster.kill("supervisor")  # it would start another one
            cluster.kill("coordinator")
            before = load.done
            wait_until("transfers go on", lambda: load.done > before + scaled(2000, 100) or load.failure)
        finally:
            load.finish()
        self.assertEqual(load.missed, 0)
        self.await_conserved(client)

    def stop_and_check(self, cluster):
        code, _, err = run_stead("down", "--folder", cluster.folder)
        self.assertEqual(code, 0, err)
        for n in (1, 2, 3):
            self.assert_sound(cluster.folder / f"n{n}")


class Stop(Test):
    def test_op_that_does_not_return_holds_up_a_stop_no_longer_than_its_limit(self):
        node = self.node(modules=[built("kinds.so")], options=["--stop-timeout", "1s", "--reactors", "1"])
        self.assertEqual(node.call("record/a", "add", 1), 1)
        coordinator = node.coordinator_pid()
        client = node.client()
        client.start("call", "record/a", "toil", 60000)
        wait_until("it is known to be slow", lambda: client.poll(0.02) is not None and "still_running=1" in node.log())
        begun = time.monotonic()
        self.assertEqual(node.stop(), 1)
        self.assertLess(time.monotonic() - begun, PATIENCE / 2)
        line = next(line for line in node.log().splitlines() if "event=stuck" in line)
        self.assertIn("record/a toil", line)
        self.assertFalse(runs(coordinator))
        node.start()
        self.assertEqual(node.call("record/a", "get")["count"], 1)
        self.assertEqual(node.stop(), 0)


if __name__ == "__main__":
    main()
