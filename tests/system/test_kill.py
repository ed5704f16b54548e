#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any moment, under load, again and again: what was acknowledged is there once, what was not at most once.

The clients go on through every kill: one in C that keeps a pipeline full (load.c), one in Python (stead_client.py). At the end the
agents are asked for everything that happened to them, and it is compared with what the clients were told.
"""
import os
import random
import subprocess
import threading
import time
import unittest

from harness import PATIENCE, AgentError, Test, built, die_with_parent, example, main, scaled, wait_until

KILLS_HISTORY, KILLS_BANK = 32, 14
AGENTS = 40


class CLoad:
    """load.c on some endpoints, until finish()."""

    def __init__(self, endpoints, prefix, in_flight=256, most=1 << 20):
        self.prefix = prefix
        words = [built("load"), endpoints, prefix, str(AGENTS), str(in_flight), str(most)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)

    def finish(self):
        """The outcomes, by number."""
        out, err = self.process.communicate(timeout=PATIENCE * 3)
        assert self.process.returncode == 0, f"load ended with {self.process.returncode}: {err}{out[-200:]!r}"
        return dict(enumerate(out.strip()))

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class PyLoad(threading.Thread):
    """The same from the Python client, with a pipeline of its own."""

    def __init__(self, node, prefix, in_flight=64):
        super().__init__()
        self.prefix, self.in_flight = prefix, in_flight
        self.client = node.client(timeout=30.0, retry=0.25)
        self.outcomes, self.failure = {}, None
        self.ending = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.ending.is_set() or self.client.tickets:
                while len(self.client.tickets) < self.in_flight and not self.ending.is_set():
                    number = len(self.outcomes)
                    self.outcomes[number] = "?"
                    self.client.start("signal" if number % 2 else "call", f"record/{self.prefix}-{number % AGENTS}", "add",
                                      number, context=number)
                for ticket in self.client.poll(0.05):
                    self.outcomes[ticket.context] = self.outcome(ticket)
        except Exception as failure:  # told by finish(), on the test's own thread
            self.failure = failure

    @staticmethod
    def outcome(ticket):
        if ticket.error is None:
            return "a"
        if ticket.error.code in ("timeout", "session_expired"):
            return "u"
        if ticket.error.code in ("unavailable", "busy", "expired"):
            return "n"
        raise ticket.error

    def finish(self):
        self.ending.set()
        self.join(PATIENCE * 2)
        assert not self.is_alive(), f"{len(self.client.tickets)} requests without an outcome"
        if self.failure:
            raise self.failure
        return self.outcomes


def numbers_of(node, address):
    """Everything that was ever added to a record, in order."""
    numbers, start = [], 0
    while True:
        page = node.call(address, "list", {"from": start}) or []
        numbers += page
        if not page:
            return numbers
        start = page[-1] + 1


class Kill(Test):
    def kill_often(self, node, kills, progress):
        """Kills the node at random moments; between two of them some work was done. The seconds that each restart took."""
        seconds = []
        for _ in range(kills):
            before = progress()
            wait_until("work goes on", lambda: progress() > before)
            time.sleep(random.uniform(0, 0.25))  # the moment of the kill, not a wait for anything
            start = time.monotonic()
            node.restart()
            seconds.append(time.monotonic() - start)
        return seconds

    def check_history(self, node, prefix, outcomes, in_order=False):
        seen = {}
        for agent in range(AGENTS):
            state = node.call(f"record/{prefix}-{agent}", "get")
            numbers = numbers_of(node, f"record/{prefix}-{agent}")
            self.assertEqual(state["twice"], 0, f"{prefix}-{agent}: an effect happened twice")
            self.assertEqual(state["count"], len(numbers), f"{prefix}-{agent}: state and keyed state disagree")
            self.assertTrue(all(number % AGENTS == agent for number in numbers))
            if in_order:
                self.assertEqual(state["late"], 0, f"{prefix}-{agent}: not in the order in which it was asked for")
            seen.update(dict.fromkeys(numbers))
        lost = [n for n, outcome in outcomes.items() if outcome == "a" and n not in seen]
        self.assertEqual(lost[:20], [], f"{prefix}: {len(lost)} acknowledged, not there")
        ghosts = [n for n, outcome in outcomes.items() if outcome == "n" and n in seen]
        self.assertEqual(ghosts[:20], [], f"{prefix}: refused, and yet there")
        self.assertEqual([n for n in seen if n not in outcomes], [], f"{prefix}: never asked for")
        counts = {kind: list(outcomes.values()).count(kind) for kind in "aun"}
        print(f"{prefix}: {counts['a']} acknowledged, {counts['u']} unknown, {counts['n']} refused", flush=True)

    def test_history_of_two_clients_is_whole_after_many_kills(self):
        # Mailboxes that are full while agents are read again after each kill: order holds across `busy`.
        node = self.node(modules=[built("kinds.so")], options=["--reactors", 2, "--mailbox", 4])
        fast = CLoad(node.endpoint, "c")
        self.addCleanup(fast.end)
        slow = PyLoad(node, "py")
        self.addCleanup(slow.ending.set)
        seconds = self.kill_often(node, scaled(KILLS_HISTORY, 3), lambda: list(slow.outcomes.values()).count("a"))
        outcomes = slow.finish()
        outcomes_fast = fast.finish()
        print(f"{len(seconds)} kills, the slowest restart {max(seconds):.2f} s", flush=True)
        self.check_history(node, "py", outcomes)
        self.check_history(node, "c", outcomes_fast, in_order="u" not in outcomes_fast.values())
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    def test_money_is_conserved_and_timers_ring_once_through_kills(self):
        count, each = 24, 1000
        node = self.node(modules=[example("account"), built("kinds.so")], options=["--idle", "200ms", "--reactors", 2])
        for n in range(count):
            node.call(f"account/{n}", "deposit", {"amount": each})
        done, armed, stop, failures = [0], [0], threading.Event(), []

        def work(seed):
            draw = random.Random(seed)
            client = node.client(retry=0.25)
            try:
                while not stop.is_set() or client.tickets:
                    while len(client.tickets) < 32 and not stop.is_set():
                        self.start_transfer(client, draw, count)
                        name = f"{seed}-{armed[0]}"
                        armed[0] += 1
                        client.start("signal", f"alarm/{draw.randrange(8)}", "arm", {"name": name, "after_ms": draw.randrange(1500)})
                    for ticket in client.poll(0.05):
                        if ticket.error is not None and ticket.error.name != "too_little":
                            raise ticket.error
                        done[0] += 1
            except Exception as failure:
                failures.append(failure)

        worker = threading.Thread(target=work, args=(1,))
        worker.start()
        self.addCleanup(stop.set)
        try:
            self.kill_often(node, scaled(KILLS_BANK, 2), lambda: done[0])
        finally:
            stop.set()
            worker.join(PATIENCE * 2)
        self.assertEqual(failures, [])

        def accounts():
            return [node.call(f"account/{n}", "get") for n in range(count)]

        def all_arrived():
            states = accounts()
            return sum(s["sent"] - s["received"] - s["refunded"] for s in states) == 0 and states

        states = wait_until("all money has arrived", all_arrived)
        self.assertEqual(sum(state["balance"] for state in states), count * each)
        self.assertGreaterEqual(min(state["balance"] for state in states), 0)

        def alarms():
            states = [node.call(f"alarm/{n}", "get") for n in range(8)]
            return {key: sum(state[key] for state in states) for key in ("armed", "rung", "twice", "early")}

        wait_until(f"all timers ring: {alarms()}", lambda: alarms()["rung"] >= armed[0])
        self.assertEqual(alarms(), {"armed": armed[0], "rung": armed[0], "twice": 0, "early": 0})
        print(f"{done[0]} transfers and timers", flush=True)
        self.assertEqual(node.stop(), 0)
        self.assert_sound(node.folder)

    @staticmethod
    def start_transfer(client, draw, count):
        source, target = draw.sample(range(count), 2)
        client.start("call", f"account/{source}", "transfer", {"to": f"account/{target}", "amount": draw.randint(1, 300)})


if __name__ == "__main__":
    main()
