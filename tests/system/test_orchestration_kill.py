#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Orchestrations of many shapes under SIGKILL of nodes and of the coordinator: what comes out is what would have come out without.

Every shape of soak.c has an output that follows from its input. A client starts them, raises their events and takes their outputs through all kills; at the end the
agents that they called are asked for their tallies, the histories are read for results that were taken twice, and nothing may be left: no live instance, no held
lock, no message on its way.
"""
import collections
import random
import threading
import time

from harness import PATIENCE, Test, built, cli, kill_pid, main, run_stead, scaled, wait_until

KILLS_NODE, KILLS_CLUSTER, KILLS_TREE = 16, 8, 4
PURSES, EACH, RECORDS = 12, 1000, 8
MODULES = ("soak.so", "kinds.so")
LIVE = ("Running", "Pending", "Suspended")


def squares(count):
    return sum(n * n for n in range(1, count + 1))


class Soak(threading.Thread):
    """Keeps some orchestrations of random shapes under way until finish(); checks each output."""

    def __init__(self, client, prefix, seed, in_flight=32):
        super().__init__()
        self.client, self.prefix, self.in_flight = client, prefix, in_flight
        self.draw = random.Random(seed)
        self.started, self.moves, self.done, self.failure = {}, {}, 0, None
        self.ending = threading.Event()
        self.start()

    def shape(self):
        """(name, input, output, events to raise)"""
        draw, number = self.draw, len(self.started)
        name = draw.choice(("chain", "crowd", "naps", "ticks", "tree", "transfer", "transfer", "laps", "echo"))
        count = draw.randint(1, 12)
        if name in ("chain", "crowd"):
            return name, {"count": count}, squares(count), []
        if name == "naps":
            return name, {"count": count}, 2 * count, []
        if name == "ticks":
            values = [draw.randint(1, 1000) for _ in range(count)]
            return name, {"count": count}, sum(values), values
        if name == "tree":
            return name, {"levels": 2, "width": 3}, 9, []
        if name == "laps":
            return name, {"left": 5, "sum": 0}, squares(5), []
        if name == "echo":
            text = "x" * draw.randint(1, 20000)
            return name, text, text, []
        purses = draw.sample(range(PURSES), 2)
        self.moves[number] = f"record/{self.prefix}-{number % RECORDS}"
        return name, {"from": f"purse/{purses[0]}", "to": f"purse/{purses[1]}", "amount": draw.randint(1, 100),
                      "record": self.moves[number], "number": number}, None, []

    def begin(self):
        name, value, output, events = self.shape()
        id = f"{self.prefix}-{len(self.started)}"
        self.started[id] = output = value["amount"] if name == "transfer" else output
        address = f"orchestration/{id}"
        if events:  # an instance must be there before anybody can raise an event
            self.client.start("call", address, "start", {"name": name, "input": value}, context=(id, "start", events))
        else:
            self.client.start("call", address, "run", {"name": name, "input": value}, context=(id, "run", output))

    def take(self, ticket):
        id, what, wanted = ticket.context
        address = f"orchestration/{id}"
        value = ticket.result()
        if what == "start":
            for number in wanted:
                self.client.start("signal", address, "raise", {"name": "tick", "value": number}, context=(id, "raise", None))
            self.client.start("call", address, "wait", context=(id, "run", sum(wanted)))
        elif what == "run":
            assert (value["status"], value["output"]) == ("Completed", wanted), f"{id}: {value} is not {wanted!r:.100}"
            self.done += 1

    def run(self):
        try:
            while not self.ending.is_set() or self.client.tickets:
                while len(self.client.tickets) < self.in_flight and not self.ending.is_set():
                    self.begin()
                for ticket in self.client.poll(0.05):
                    self.take(ticket)
        except Exception as failure:  # told by finish(), on the test's own thread
            self.failure = failure

    def finish(self):
        self.ending.set()
        self.join(PATIENCE * 3)
        waits = [ticket.context[:2] for ticket in list(self.client.tickets.values())]
        assert not self.is_alive(), f"{len(waits)} requests without an outcome: {waits[:10]}"
        if self.failure:
            raise self.failure


class Killed(Test):
    """What both tests need; `self.endpoints` and `self.ask` are a node's or a cluster's."""

    def prepare(self, client):
        for n in range(PURSES):
            client.call(f"purse/{n}", "set", EACH)

    def listed(self, *words):
        return self.ask("orchestrations", "--all", *words)

    def at_rest(self):
        """What is still under way, by name; {} when nothing is."""
        left = {"live": [it["id"] for status in LIVE for it in self.listed("--status", status)],
                "held": [it["address"] for it in self.ask("locks", "list")]}
        for node in self.ask("stats")["nodes"]:
            for reactor in node["reactors"]:
                for gauge in ("mailbox_messages", "outputs_held", "outbox_records"):
                    left[gauge] = left.get(gauge, 0) + reactor["gauges"][gauge]
        return {name: it for name, it in left.items() if it}

    def check_rest(self):
        last = {}

        def rest():
            last["left"] = self.at_rest()
            return not last["left"]
        try:
            wait_until("nothing is under way", rest)
        except AssertionError as failure:
            raise AssertionError(f"{failure}: {str(last)[:1000]}") from None
        self.assertEqual(self.ask("deadletters"), [])

    def check_history(self, client, id):
        """Each result was taken once, and every request of a finished instance has one."""
        events, after = [], 0
        while True:
            page = client.call(f"orchestration/{id}", "history", {"after": after, "limit": 1000})
            events += page["events"]
            after = events[-1]["id"]
            if not page["more"]:
                break
        self.assertEqual([it["id"] for it in events], list(range(1, len(events) + 1)), id)
        results = collections.Counter(it["ref"] for it in events if it["type"].endswith(("Completed", "Failed", "Fired"))
                                      and it.get("ref"))
        asked = [it["id"] for it in events if it["type"] in ("TaskScheduled", "TimerCreated", "SubOrchestrationInstanceCreated")]
        self.assertEqual(results, collections.Counter(asked), f"{id}: requests and results differ")

    def check(self, client, soak):
        self.check_rest()
        purses = [client.call(f"purse/{n}", "get") for n in range(PURSES)]
        self.assertEqual(sum(purses), PURSES * EACH, f"money was made or lost: {purses}")
        for n in range(RECORDS):
            address = f"record/{soak.prefix}-{n}"
            state, wanted = client.call(address, "get"), [number for number, it in soak.moves.items() if it == address]
            self.assertEqual((state["count"], state["twice"]), (len(wanted), 0), address)
        listed = {it["id"]: it for it in self.listed("--prefix", soak.prefix)}
        self.assertEqual({it["status"] for it in listed.values()}, {"Completed"})
        self.assertEqual(set(soak.started) - set(listed), set())
        for it in listed.values():  # every child has a parent that is known
            self.assertIn(it["parent"], ["", None, *listed], f"{it['id']} is an orphan")
        for id in random.sample(sorted(listed), min(len(listed), 150)):
            self.check_history(client, id)
        print(f"{soak.prefix}: {len(soak.started)} started, {len(listed)} instances with children, {len(soak.moves)} transfers",
              flush=True)

    def kill_often(self, kills, progress, kill):
        for number in range(kills):
            before = progress()
            wait_until("work goes on", lambda: progress() > before)
            time.sleep(random.uniform(0, 0.25))  # the moment of the kill, not a wait for anything
            kill(number)

    # ---- One node

    def one_node(self, *options):
        node = self.node(modules=[built(it) for it in MODULES], options=["--reactors", 2, *options])
        self.ask = node.cli
        return node

    def test_outputs_are_right_after_kills_of_a_node(self):
        node = self.one_node("--idle", "300ms")  # some of what waits is unloaded
        client = node.client(timeout=120.0)
        self.prepare(client)
        soak = Soak(node.client(timeout=PATIENCE * 6, retry=0.25), "one", 11)
        self.addCleanup(soak.ending.set)

        def kill(number):
            coordinator = node.coordinator_pid() if number % 4 == 3 else 0
            node.kill()
            if coordinator:
                kill_pid(coordinator)
            node.start()
        self.kill_often(scaled(KILLS_NODE, 3), lambda: soak.done, kill)
        soak.finish()
        self.check(client, soak)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    # ---- Three nodes

    def test_outputs_are_right_after_kills_in_a_cluster(self):
        cluster = self.cluster(3, modules=[built(it) for it in MODULES])
        endpoints = cluster.endpoints()
        client = cluster.client(endpoints, timeout=120.0)
        self.ask = lambda *words: cli(*words, node=",".join(endpoints))
        self.prepare(client)
        soak = Soak(cluster.client(endpoints, timeout=PATIENCE * 6, retry=0.25), "three", 12)
        self.addCleanup(soak.ending.set)

        def kill(number):
            if number % 4 == 3:
                old = cluster.kill("coordinator")
                wait_until("a new coordinator", lambda: cluster.pid("coordinator") not in (0, old))
                return
            cluster.kill(f"n{number % 3 + 1}")
            self.assertEqual(cluster.up(), 1)
        self.kill_often(scaled(KILLS_CLUSTER, 3), lambda: soak.done, kill)
        soak.finish()
        self.check(client, soak)
        code, _, err = run_stead("down", "--folder", cluster.folder)
        self.assertEqual(code, 0, err)
        for n in (1, 2, 3):
            self.assert_sound(cluster.folder / f"n{n}")

    # ---- The end of a tree

    def test_termination_through_kills_leaves_no_orphan(self):
        """Three levels: one, ten, a hundred; terminated while they are being made, or when all are there."""
        node = self.one_node()
        client = node.client(timeout=120.0)
        for round in range(scaled(KILLS_TREE, 2)):
            root = f"root{round}"
            started = client.start("call", f"orchestration/{root}", "start",
                                   {"name": "tree", "input": {"levels": 2, "width": 10, "wait": True}})
            if round % 2 == 0:
                wait_until("the tree is there", lambda: client.poll(0.01) is not None and
                           len(self.listed("--prefix", root, "--status", "Running")) == 111)
            ticket = client.start("call", f"orchestration/{root}", "terminate", {"reason": "enough"})
            for _ in range(3):
                client.poll(random.uniform(0, 0.02))  # the moment of the kill
                node.restart()
            client.wait(started)
            client.wait(ticket)
            self.check_rest()
            states = collections.Counter(it["status"] for it in self.listed("--prefix", root))
            self.assertEqual(set(states), {"Terminated"})
            print(f"{root}: {dict(states)}", flush=True)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)


if __name__ == "__main__":
    main()
