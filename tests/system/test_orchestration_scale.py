#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Long histories, wide fan-outs and large values on a real node, before and after SIGKILL. How fast they are is measured by `stead bench`."""
import msgpack

from harness import AgentError, Test, built, main, scaled, wait_until

MIB = 1 << 20
WRAPPED = 64  # bytes around a value in a request
OUTPUT_MAX = MIB - 4096  # of an instance


def squares(count):
    return count * (count + 1) * (2 * count + 1) // 6


class Scale(Test):
    def serve(self, *options):
        self.n1 = self.node(modules=[built("soak.so"), built("kinds.so")], options=["--reactors", 2, *options])
        self.client = self.n1.client(timeout=120.0)

    def ask(self, id, op, args=None):
        return self.client.call(f"orchestration/{id}", op, args)

    def start(self, name, value, id):
        self.ask(id, "start", {"name": name, "input": value})

    def await_gate(self, id):
        return wait_until(f"{id} is at its gate", lambda: self.custom(id))

    def custom(self, id):
        status = self.ask(id, "status")
        self.assertEqual(status["status"], "Running", status)
        return status if status["custom"] == "at the gate" else None

    def gauge(self, name):
        return sum(reactor["gauges"][name] for node in self.n1.cli("stats")["nodes"] for reactor in node["reactors"])

    def check_history(self, id, events):
        """Page by page: every id once, in order."""
        after, pages = 0, 0
        while after < events:
            page = self.ask(id, "history", {"after": after, "limit": 5000})["events"]
            self.assertEqual([it["id"] for it in page], list(range(after + 1, after + 1 + len(page))))
            after, pages = page[-1]["id"], pages + 1
        self.assertEqual(after, events)
        return pages

    def pass_gate(self, id, output):
        self.ask(id, "raise", {"name": "go"})
        status = self.ask(id, "wait")
        self.assertEqual((status["status"], status["output"]), ("Completed", output))

    # ---- Many

    def test_fan_outs_and_histories_of_100_000_events_survive_a_kill(self):
        self.serve()
        widths = (scaled(10000), scaled(25000))
        for width in widths:
            self.start("crowd", {"count": width, "gate": True}, f"crowd-{width}")
        for width in widths:
            status = self.await_gate(f"crowd-{width}")
            self.assertGreaterEqual(status["events"], 2 * width)
        self.n1.restart()
        for width in widths:
            self.pass_gate(f"crowd-{width}", squares(width) + 1)
        events = self.ask(f"crowd-{widths[1]}", "status")["events"]
        self.assertGreater(self.check_history(f"crowd-{widths[1]}", events), 1 if events > 5000 else 0)
        print(f"{widths[1]} at once: {events} events", flush=True)

    def test_loop_of_events_survives_a_kill_in_its_middle(self):
        self.serve()
        count = scaled(12000, 1000)
        self.start("ticks", {"count": count}, "t1")
        for first in (0, count // 2):
            tickets = [self.client.start("signal", "orchestration/t1", "raise", {"name": "tick", "value": n})
                       for n in range(first, first + count // 2)]
            if first:
                self.n1.restart()
            self.assertTrue(self.client.drain(120.0))
            self.assertEqual([ticket.error for ticket in tickets if ticket.error], [])
        status = self.ask("t1", "wait")
        self.assertEqual((status["status"], status["output"]), ("Completed", sum(range(count))))

    def test_suspended_instances_are_unloaded_with_their_stacks(self):
        """There is room for some of them."""
        self.serve("--memory", 64 * MIB)
        count = 9000  # more than there is room for, however few are asked for
        for n in range(count):
            self.client.start("call", f"orchestration/s{n}", "start", {"name": "sleeper"})
        self.assertTrue(self.client.drain(120.0))
        self.assertLess(self.gauge("fibers"), count)
        self.assertLess(self.gauge("agents_resident"), count)
        self.n1.restart()
        self.assertEqual(self.gauge("fibers"), 0)
        for n in range(0, count, 7):
            self.client.start("signal", f"orchestration/s{n}", "raise", {"name": "wake", "value": n})
        self.assertTrue(self.client.drain(120.0))
        for n in range(0, count, 7):
            self.assertEqual(self.ask(f"s{n}", "wait")["output"], n)
        self.assertEqual(len(self.n1.cli("orchestrations", "--all", "--status", "Running")), count - len(range(0, count, 7)))

    # ---- Large

    def large(self, what, size, id=None):
        """The output of `large`."""
        id = id or f"{what}-{size}"
        self.start("large", {"what": what, "size": size}, id)
        status = self.ask(id, "wait")
        self.assertEqual(status["status"], "Completed", status["error_sentence"])
        return status["output"]

    def test_values_at_the_limit_pass_and_those_above_fail_alone(self):
        self.serve()
        for what in ("input", "result"):
            self.assertEqual(self.large(what, MIB), MIB, what)
            self.assertEqual(self.large(what, MIB + 1), "too_large", what)
            self.assertEqual(self.large(what, 3 * MIB), "too_large", what)
        self.assertEqual(len(msgpack.packb(self.large("output", OUTPUT_MAX))), OUTPUT_MAX)
        self.assertEqual(self.large("output", OUTPUT_MAX + 1), "too_large")
        self.n1.restart()
        self.assertEqual(len(msgpack.packb(self.ask(f"output-{OUTPUT_MAX}", "status")["output"])), OUTPUT_MAX)

    def test_large_inputs_and_events_go_through_a_kill(self):
        self.serve()
        text = "x" * (MIB - WRAPPED)
        output = "x" * (OUTPUT_MAX - WRAPPED)
        self.start("echo", output, "e1")
        self.start("echo", text, "e0")
        self.start("large", {"what": "event", "size": 5}, "e2")
        self.start("ticks", {"count": 20}, "e3")
        self.ask("e2", "raise", {"name": "noise", "value": text})  # nobody waits for it, but it is kept
        for n in range(19):
            self.ask("e3", "raise", {"name": "tick", "value": n})
            self.ask("e3", "raise", {"name": "noise", "value": text[:200000]})
        self.n1.restart()
        self.assertEqual(self.ask("e1", "wait")["output"], output)
        failed = self.ask("e0", "wait")  # its output has no room
        self.assertEqual((failed["status"], failed["error_name"]), ("Failed", "too_large"))
        self.ask("e2", "raise", {"name": "big", "value": text})
        self.assertEqual(self.ask("e2", "wait")["output"], len(msgpack.packb(text)))
        self.ask("e3", "raise", {"name": "tick", "value": 19})
        self.assertEqual(self.ask("e3", "wait")["output"], sum(range(20)))
        events = self.ask("e3", "status")["events"]
        self.assertGreater(self.check_history("e3", events), 1)  # 4 MB do not fit into one answer
        self.assertEqual(len(self.n1.cli("history", "e3")), events)

    def test_request_above_the_limit_is_refused_and_changes_nothing(self):
        self.serve()
        self.start("sleeper", None, "s1")
        text = "x" * (MIB + 1)
        for id, op, args in (("s1", "raise", {"name": "wake", "value": text}), ("s2", "start", {"name": "echo", "input": text})):
            with self.assertRaises(AgentError) as refused:
                self.ask(id, op, args)
            self.assertEqual(refused.exception.code, "too_large")
        with self.assertRaises(AgentError) as refused:
            self.ask("s2", "status")
        self.assertEqual(refused.exception.code, "not_found")
        self.ask("s1", "raise", {"name": "wake", "value": 1})
        self.assertEqual(self.ask("s1", "wait")["output"], 1)


if __name__ == "__main__":
    main()
