#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A node with little memory: however many agents there are, and however large, it takes what it was given and the fixed part that
OPERATIONS names."""
import collections
import pathlib
import re
import subprocess
import unittest

from harness import PROGRAM, AgentError, Test, built, die_with_parent, main, scaled, wait_until

MIB = 1 << 20
MEMORY, FIXED = 64 * MIB, 48 * MIB
AGENTS = 400_000  # at some 350 bytes twice what fits
SANITIZED = b"asan" in subprocess.run(["ldd", PROGRAM], capture_output=True).stdout


@unittest.skipIf(SANITIZED, "the sanitizer's own memory is many times the program's")
class Memory(Test):
    def resident(self, node, name):
        status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
        return int(re.search(name + r":\s+(\d+) kB", status)[1]) * 1024

    def stats(self, node, part, name):
        return sum(reactor[part][name] for reactor in node.cli("stats")["nodes"][0]["reactors"])

    def ask_all(self, node, agents, op, args, flight):
        """Asks each agent of the kind hoard once, so many at a time."""
        with node.client(timeout=60) as client:
            tickets = collections.deque()
            for number in range(agents):
                tickets.append(client.start("call", f"hoard/{number}", op, args))
                if len(tickets) >= flight:
                    client.wait(tickets.popleft())
            while tickets:
                client.wait(tickets.popleft())

    def test_many_agents_stay_within_the_budget_and_the_fixed_part(self):
        node = self.node(modules=[built("kinds.so")], options=["--memory", MEMORY, "--reactors", 2])
        agents = scaled(AGENTS)
        load = subprocess.Popen([built("load"), node.endpoint, "m", str(agents), "2000", str(agents)], stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.addCleanup(load.wait)
        self.addCleanup(load.kill)

        wait_until("every agent has had its turn", lambda: self.stats(node, "counters", "turns") >= agents, patience=180, step=0.2)
        load.stdin.close()
        self.assertEqual(load.wait(), 0)
        self.assertLess(self.stats(node, "gauges", "agents_resident"), agents)  # else the test is too tame
        top = self.resident(node, "VmHWM")
        print(f"{agents} agents: at most {top / MIB:.0f} MiB, {self.resident(node, 'RssFile') / MIB:.0f} of them files", flush=True)
        self.assertLess(top, MEMORY + FIXED)
        self.assertEqual(node.stop(), 0)

    def test_what_is_written_faster_than_it_is_moved_out_waits(self):
        node = self.node(modules=[built("kinds.so")], options=["--memory", MEMORY, "--reactors", 2])
        size, agents, flight = 50_000, scaled(8 * MEMORY // 50_000), 256
        with node.client(timeout=60) as client:
            tickets = collections.deque()
            for number in range(agents):
                tickets.append(client.start("call", f"record/{number}", "fill", size))
                if len(tickets) >= flight:
                    client.wait(tickets.popleft())
            while tickets:
                client.wait(tickets.popleft())
        top = self.resident(node, "VmHWM")
        print(f"{agents * size / MIB:.0f} MiB written: at most {top / MIB:.0f} MiB", flush=True)
        self.assertLess(top, MEMORY + FIXED + 2 * flight * size)  # what is under way, in the request and in its entry
        node.kill()
        node.start()
        self.assertLess(self.resident(node, "VmHWM"), MEMORY + FIXED)

    def test_buffers_of_states_are_in_the_budget(self):
        node = self.node(modules=[built("kinds.so")], options=["--memory", MEMORY, "--reactors", 2])
        size, flight = 10_000, 64
        agents = scaled(4 * MEMORY // size)
        self.ask_all(node, agents, "keep", size, flight)
        self.ask_all(node, agents, "size", None, flight)
        self.assertLess(self.stats(node, "gauges", "agents_resident") * size, MEMORY)
        top = self.resident(node, "VmHWM")
        print(f"{agents} buffers, {agents * size / MIB:.0f} MiB: at most {top / MIB:.0f} MiB", flush=True)
        self.assertLess(top, MEMORY + FIXED + 2 * flight * size)
        self.assertEqual(node.stop(), 0)

    def test_lists_of_large_things_arrive_and_stay_within_the_budget(self):
        """Each list is larger than an answer may be."""
        node = self.node(modules=[built("kinds.so")], options=["--memory", MEMORY, "--reactors", 2])
        size, count, turns = 1_000_000, scaled(60, least=40), 6
        self.ask_all(node, count, "keep", size, 2)
        with node.client(timeout=60) as client:
            for number in range(count):
                with self.assertRaises(AgentError):
                    client.signal(f"record/{number % 3}", "add", bytes(size))

        agents = node.cli("agents", "--kind", "hoard", "--fields", "bytes", "--all")
        self.assertEqual({agent["address"] for agent in agents}, {f"hoard/{number}" for number in range(count)})
        self.assertTrue(all(len(agent["fields"]["bytes"]["$bin"]) > size for agent in agents))
        everybodys = node.cli("deadletters", "--limit", 10 * count)
        self.assertEqual(len({(letter["address"], letter["id"]) for letter in everybodys}), count)
        self.assertTrue(all(len(letter["args"]["$bin"]) > size for letter in everybodys))
        ones = node.cli("deadletters", "record/1", "--limit", 10 * count)
        self.assertEqual([letter["id"] for letter in ones], sorted(it["id"] for it in everybodys if it["address"] == "record/1"))
        self.assertEqual(node.cli("deadletters", "record/1", "--limit", 7), ones[:7])
        node.cli("deadletters", "record/1", "drop", ones[-1]["id"])
        self.assertEqual(node.cli("show", "record/1")["dead_letters"], len(ones) - 1)
        top = self.resident(node, "VmHWM")
        print(f"lists of {count * size / MIB:.0f} MiB: at most {top / MIB:.0f} MiB", flush=True)
        self.assertLess(top, MEMORY + FIXED + 16 * size)  # some copies of some pages are under way

        with node.client(timeout=60) as client:
            for _ in range(turns):
                client.call("events/e", "emit", {"count": 100, "size": 100_000})
        top = self.resident(node, "VmHWM")
        journal = node.cli("journal", "events/e")
        self.assertEqual([len(turn["events"]) for turn in journal], [100] * turns)
        self.assertLess(self.resident(node, "VmHWM"), top + 5 * 100 * 100_000)  # a turn, in its entry and in its answer
        self.assertEqual(node.stop(), 0)

    def test_a_start_does_not_read_large_states(self):
        node = self.node(modules=[built("kinds.so")], options=["--memory", MEMORY, "--reactors", 2])
        size, agents = 3_000_000, 32
        self.ask_all(node, agents, "keep", size, 2)
        self.assertEqual(node.stop(), 0)  # all is in files, none of it in logs that a start replays
        node.start()
        read = int(re.search(r"rchar: (\d+)", pathlib.Path(f"/proc/{node.process.pid}/io").read_text())[1])
        print(f"{agents * size / MIB:.0f} MiB stored: {read / MIB:.0f} MiB read", flush=True)
        self.assertLess(read, 8 * agents * size)  # not for each of some thousand slots
        self.ask_all(node, agents, "size", None, 2)
        self.assertEqual(node.stop(), 0)


main()
