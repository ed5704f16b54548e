#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Orchestrations by the shell, on real nodes: started, watched, steered, killed in the middle, verified against new code.
Usage: test_orchestrations.py PROGRAM [unittest arguments]"""
import collections
import json
import pathlib
import re
import signal
import subprocess
import threading
import time

from harness import PATIENCE, CliError, Test, built, main, run_stead, scaled, undisturbed, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOWS = ROOT / "tests/system/flows.c"
MIB = 1 << 20
LIVE = ("Running", "Pending", "Suspended")


class Orchestrations(Test):
    MODULE = "flows.so"

    def serve(self, **more):
        self.n1 = self.node(modules=[built(self.MODULE)], **more)
        return self.n1

    def start(self, name, value=None, *words, id=None):
        """Starts one; its id."""
        words = [*(["--id", id] if id else []), *words]
        return self.n1.cli("run", name, *([json.dumps(value)] if value is not None else []), *words)["id"]

    def status(self, id):
        return self.n1.cli("status", id)

    def history(self, id, *words):
        return self.n1.cli("history", id, *words)

    def await_status(self, id, *wanted):
        """Waits until it is in one of these; the whole of what is known about it."""
        def look():
            it = self.status(id)
            return it if it["status"] in wanted else None
        return wait_until(f"{id} is {' or '.join(wanted)}", look)

    def await_custom(self, id, wanted):
        return wait_until(f"{id} says {wanted}", lambda: self.status(id)["custom"] == wanted)

    def refused(self, *words):
        """The error that a command ends with."""
        with self.assertRaises(CliError) as refused:
            self.n1.cli(*words)
        return refused.exception

    def types(self, id):
        return [event["type"] for event in self.history(id)]

    def compiled(self, name, *changes):
        """A module of flows.c with some texts replaced."""
        text = FLOWS.read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        source, output = self.folder / f"{name}.c", self.folder / f"{name}.so"
        source.write_text(text)
        subprocess.run(["cc", "-shared", "-fPIC", f"-I{ROOT}/include", "-o", str(output), str(source)], check=True)
        return output


class Running(Orchestrations):
    def test_run_and_wait_prints_the_output_and_nothing_else(self):
        node = self.serve()
        code, out, err = run_stead("run", "hello", '["Ada", "Bob"]', "--wait", node=node.endpoint)
        self.assertEqual((code, out), (0, '["hello, Ada", "hello, Bob"]\n'), err)
        self.assertRegex(err, r"^started [0-9a-f]{32}\n$")
        it = node.cli("run", "hello", '["Ada"]', "--wait", "--id", "greeting 1")
        self.assertEqual((it["id"], it["name"], it["version"], it["execution"], it["status"], it["output"], it["error"]),
                         ("greeting 1", "hello", 1, 1, "Completed", ["hello, Ada"], None))
        self.assertEqual(it["input"], ["Ada"])
        self.assertEqual(self.status("greeting 1"), {**it, "tasks": []})

    def test_failure_is_exit_code_1_with_its_sentence(self):
        node = self.serve()
        code, out, err = run_stead("run", "approve", '{"timeout": 20}', "--wait", "--id", "a1", node=node.endpoint)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("a1: Failed: not_approved: nobody said yes in 20 ms", err)
        self.assertEqual(self.status("a1")["error"], {"name": "not_approved", "sentence": "nobody said yes in 20 ms"})
        failed = self.refused("run", "hello", "[5]", "--wait")
        self.assertEqual(failed.code, 1)

    def test_wait_that_is_too_short_leaves_the_instance_alone(self):
        node = self.serve()
        code, out, err = run_stead("run", "approve", "--wait", "--id", "a1", "--timeout", "200ms", node=node.endpoint)
        self.assertEqual((code, out), (4, ""))
        self.assertIn("a1 is not over yet", err)
        self.assertIn(self.status("a1")["status"], LIVE)

    def test_history_tells_what_happened_in_order(self):
        node = self.serve()
        node.cli("run", "hello", '["Ada"]', "--id", "h1", "--wait")
        history = self.history("h1")
        self.assertEqual([event["id"] for event in history], list(range(1, len(history) + 1)))
        types = [event["type"] for event in history]
        for first, then in (("OrchestratorStarted", "ExecutionStarted"), ("ExecutionStarted", "TaskScheduled"),
                            ("TaskScheduled", "TaskCompleted"), ("TaskCompleted", "ExecutionCompleted")):
            self.assertLess(types.index(first), types.index(then))
        scheduled = history[types.index("TaskScheduled")]
        completed = history[types.index("TaskCompleted")]
        self.assertEqual((scheduled["name"], scheduled["value"]), ("flows.greet", "Ada"))
        self.assertEqual((completed["ref"], completed["value"]), (scheduled["id"], "hello, Ada"))
        self.assertEqual(self.history("h1", "--after", scheduled["id"]), history[scheduled["id"]:])
        code, out, _ = run_stead("history", "h1", node=node.endpoint)
        self.assertEqual((code, len(out.splitlines())), (0, len(history)))
        self.assertRegex(out, rf'(?m)^ +{completed["id"]}      TaskCompleted +<- {scheduled["id"]} "hello, Ada"$')

    def test_active_id_is_refused_unless_replaced_and_a_finished_one_is_free(self):
        node = self.serve()
        self.start("approve", id="a1")
        error = self.refused("run", "approve", "--id", "a1")
        self.assertEqual((error.code, error.error["code"]), (1, "conflict"))
        self.assertIn("--replace", error.err)
        self.start("hello", ["Ada"], "--replace", id="a1")
        self.assertEqual(self.await_status("a1", "Completed")["output"], ["hello, Ada"])
        self.start("hello", ["Bob"], id="a1")
        wait_until("the second one has ended", lambda: self.status("a1")["output"] == ["hello, Bob"])

    def test_delayed_start_is_pending(self):
        self.serve()
        self.start("hello", ["Ada"], "--delay", "1h", id="later")
        self.assertEqual(self.status("later")["status"], "Pending")
        self.start("hello", ["Ada"], "--delay", "50ms", id="soon")
        self.await_status("soon", "Completed")

    def test_unknown_names_are_answered_with_the_nearest(self):
        node = self.serve()
        code, out, err = run_stead("run", "helo", "--id", "h1", node=node.endpoint)
        self.assertEqual((code, out), (0, "h1\n"))
        self.assertIn('no node has an orchestrator "helo": it waits for one\n    did you mean "hello"?', err)
        self.assertEqual(self.status("h1")["status"], "Pending")
        names = [it["name"] for it in node.cli("cluster", "status")["nodes"][0]["orchestrators"]]
        self.assertIn("hello", names)
        self.start("approve", id="order-17")
        error = self.refused("status", "ordre-17")
        self.assertEqual((error.code, error.error["code"]), (1, "not_found"))
        self.assertIn('did you mean "order-17"?', error.err)
        self.assertEqual(self.refused("history", "nothing").error["code"], "not_found")
        self.assertEqual(self.refused("raise", "nothing", "approved").error["code"], "not_found")


class Steering(Orchestrations):
    def test_raised_event_is_taken_also_when_it_came_early(self):
        node = self.serve()
        self.start("approve", id="a1")
        self.await_custom("a1", "waits for approval")
        node.cli("raise", "a1", "ignored", "1")
        node.cli("raise", "a1", "approved", '{"by": "Ada"}')
        self.assertEqual(self.await_status("a1", "Completed")["output"], {"by": "Ada"})
        self.start("approve", None, "--delay", "1s", id="a2")
        node.cli("raise", "a2", "approved", "-2")
        self.assertEqual(self.await_status("a2", "Completed")["output"], -2)

    def test_suspended_instance_keeps_what_comes_until_it_is_resumed(self):
        node = self.serve()
        self.start("approve", id="a1")
        self.await_custom("a1", "waits for approval")
        node.cli("suspend", "a1", "lunch")
        self.await_status("a1", "Suspended")
        node.cli("raise", "a1", "approved", "1")
        wait_until("the event is in the history", lambda: "EventRaised" in self.types("a1"))
        self.assertEqual(self.status("a1")["status"], "Suspended")
        node.restart()
        self.assertEqual(self.status("a1")["status"], "Suspended")
        node.cli("resume", "a1")
        self.assertEqual(self.await_status("a1", "Completed")["output"], 1)
        self.assertEqual(self.refused("resume", "a1").error["code"], "wrong_state")

    def test_terminate_ends_the_tree(self):
        node = self.serve()
        self.start("parent", id="p1")
        self.await_custom("p1 CHILD", "waits for approval")
        self.assertEqual(self.status("p1 CHILD")["parent"], "p1")
        code, out, err = run_stead("terminate", "p1", "enough is enough", node=node.endpoint)
        self.assertEqual((code, out), (0, "terminated: p1\n"), err)
        it = self.await_status("p1", "Terminated")
        self.assertEqual(it["error"]["sentence"], "enough is enough")
        self.await_status("p1 CHILD", "Terminated")

    def test_child_hands_its_output_to_its_parent(self):
        node = self.serve()
        self.start("parent", id="p1")
        self.await_custom("p1 CHILD", "waits for approval")
        node.cli("raise", "p1 CHILD", "approved", "7")
        self.assertEqual(self.await_status("p1", "Completed")["output"], 7)

    def test_rewind_tries_the_failed_step_again_and_keeps_the_rest(self):
        node = self.serve()
        gate, log = self.folder / "gate", self.folder / "log"
        self.start("gated", {"gate": str(gate), "log": str(log)}, id="g1")
        self.assertEqual(self.await_status("g1", "Failed")["error"]["name"], "gate_closed")
        self.assertEqual(log.read_text(), "1\n")
        gate.touch()
        node.cli("rewind", "g1", "the gate is open")
        self.assertEqual(self.await_status("g1", "Completed")["output"], "through")
        self.assertEqual(log.read_text(), "1\ngate\n2\n")
        node.restart()
        self.assertEqual(self.status("g1")["output"], "through")
        self.assertEqual(self.refused("rewind", "g1").error["code"], "wrong_state")

    def test_what_was_answered_holds_at_once(self):
        node = self.serve()
        gate, log = self.folder / "gate", self.folder / "log"
        self.start("approve", id="a1")
        self.await_custom("a1", "waits for approval")
        for word, status in (("suspend", "Suspended"), ("resume", "Running"), ("terminate", "Terminated"), ("restart", ("Pending", "Running"))):
            node.cli(word, "a1")
            self.assertIn(self.status("a1")["status"], status)
        self.start("gated", {"gate": str(gate), "log": str(log), "hold": True}, id="g1")
        self.await_status("g1", "Failed")
        gate.touch()
        node.cli("rewind", "g1")
        node.cli("raise", "g1", "go")
        self.assertEqual(self.await_status("g1", "Completed")["output"], "through")

    def test_restart_begins_anew_and_purge_forgets(self):
        node = self.serve()
        self.start("hello", ["Ada"], id="h1")
        self.await_status("h1", "Completed")
        node.cli("restart", "h1")
        wait_until("it has run again", lambda: self.status("h1")["execution"] == 2 and self.status("h1")["status"] == "Completed")
        self.assertEqual(self.status("h1")["output"], ["hello, Ada"])
        self.start("approve", id="a1")
        self.assertEqual(self.refused("purge", "a1").error["code"], "wrong_state")
        self.assertEqual(node.cli("purge", "h1"), {"purged": 1})
        self.assertEqual(self.refused("status", "h1").error["code"], "not_found")
        self.assertEqual(self.refused("purge", "h1").error["code"], "not_found")

    def test_purge_by_filter_leaves_what_lives_and_what_is_younger(self):
        node = self.serve()
        for number in range(5):
            self.start("hello", ["Ada"], id=f"h{number}")
            self.await_status(f"h{number}", "Completed")
        self.start("approve", {"timeout": 1}, id="f1")
        self.await_status("f1", "Failed")
        self.start("approve", id="a1")
        self.assertEqual(node.cli("purge", "--older-than", "1h"), {"purged": 0})
        self.assertEqual(node.cli("purge", "--status", "Completed", "--prefix", "h1"), {"purged": 1})
        self.assertEqual(node.cli("purge", "--name", "hello"), {"purged": 4})
        self.assertEqual(run_stead("purge", "--older-than", "0", node=node.endpoint)[1], "purged: 1\n")
        self.assertEqual([it["id"] for it in node.cli("orchestrations")], ["a1"])

    def test_continue_as_new_is_followed_through_its_executions(self):
        node = self.serve()
        self.start("rounds", 4, "--delay", "200ms", id="r1")
        code, out, err = run_stead("history", "r1", "--follow", node=node.endpoint)
        self.assertEqual(code, 0, err)
        it = self.status("r1")
        self.assertEqual((it["status"], it["output"], it["execution"]), ("Completed", "done", 5))
        self.assertIn("ExecutionCompleted", out.splitlines()[-2] + out.splitlines()[-1])

    def test_events_that_wait_are_each_taken_once_by_executions_that_follow(self):
        """More of them than executions follow each other in one episode."""
        node = self.serve()
        self.start("adding", {"count": 60, "sum": 0}, id="n1")
        self.await_status("n1", "Running")
        node.cli("suspend", "n1")
        for number in range(1, 61):
            node.cli("raise", "n1", "number", str(number))
        node.cli("resume", "n1")
        self.assertEqual(self.await_status("n1", "Completed")["output"], {"count": 0, "sum": 1830})

    def test_instance_that_begins_anew_without_end_is_steered_and_terminated(self):
        node = self.serve()
        self.start("reborn", 100000000, id="r1")
        wait_until("it has begun anew", lambda: self.status("r1")["execution"] > 10)
        node.cli("suspend", "r1")
        self.assertEqual(self.await_status("r1", "Suspended")["status"], "Suspended")
        node.cli("resume", "r1")
        node.cli("terminate", "r1", "enough")
        self.assertEqual(self.status("r1")["status"], "Terminated")  # not Canceled: it has run

    def test_new_executions_cost_the_same_however_many_there_were(self):
        """What was deleted of the earlier ones is not passed over again and again."""
        node = self.serve()

        def seconds(count):
            begun = time.monotonic()
            it = node.cli("run", "reborn", str(count), "--wait", "--timeout", "10m")
            self.assertEqual((it["status"], it["execution"]), ("Completed", count + 1))
            return time.monotonic() - begun
        few = max(seconds(3000), 0.1)
        self.assertLess(seconds(24000), few * 8 * 3)


class Differing(Orchestrations):
    """Code that does not match the history of an instance fails it, and what comes meanwhile is not lost: with the old code it goes on as if nothing had been."""

    def run_with(self, module):
        self.n1.modules[0] = module
        self.n1.restart()

    def test_what_meets_other_code_is_kept_for_the_rewind_or_ended(self):
        node = self.serve()
        old = node.modules[0]
        other = self.compiled("other", ('return stead_await_call(o, text, "put"', 'return stead_await_call(o, text, "puts"'),
                              (Verifying.WAIT, 'int code = stead_await_activity(o, "check", input, NULL);'),
                              ("stead_lock(o, addresses, count)", "stead_lock(o, addresses, count > 1 ? 1 : count)"))
        self.start("approve", id="waits")
        self.start("locked", ["box/a"], id="holder")
        self.start("locked", ["box/b", "box/c"], id="holds")
        for id, custom in (("waits", "waits for approval"), ("holder", "holds"), ("holds", "holds")):
            self.await_custom(id, custom)
        self.start("putter", "box/a", id="puts")
        wait_until("it has called", lambda: "TaskScheduled" in self.types("puts"))

        self.run_with(other)
        node.cli("raise", "holder", "go")
        node.cli("raise", "waits", "approved", "7")
        node.cli("raise", "holds", "go")
        self.assertEqual(self.await_status("holder", "Completed")["output"], 1)
        for id in ("puts", "waits", "holds"):
            self.assertEqual(self.await_status(id, "Failed")["error"]["name"], "nondeterminism")
        node.cli("raise", "waits", "approved", "8")
        node.cli("rewind", "waits")
        self.assertEqual(self.await_status("waits", "Failed")["error"]["name"], "nondeterminism")
        node.cli("terminate", "holds", "enough")
        self.assertEqual(self.status("holds")["error"]["sentence"], "enough")
        wait_until("nothing is held any more", lambda: not node.cli("locks"))
        self.assertEqual(node.cli("show", "box/a")["state"]["count"], 2)  # the call was carried out

        self.run_with(old)
        node.cli("rewind", "puts")
        self.assertEqual(self.await_status("puts", "Completed")["output"], 2)
        self.assertEqual(node.cli("show", "box/a")["state"]["count"], 2, "and is not made again")
        node.cli("rewind", "waits")
        self.assertEqual(self.await_status("waits", "Completed")["output"], 7)
        self.assertEqual([it for it in self.types("waits") if it == "EventRaised"], ["EventRaised"] * 2)


class Large(Orchestrations):
    """Values at the limit, above it, and many at once."""
    MODULE = "soak.so"
    FABRIC = ()

    def file(self, value):
        path = self.folder / f"value-{len(value)}"
        path.write_text(json.dumps(value))
        return f"@{path}"

    def test_values_at_the_limit_pass_and_those_above_fail_alone(self):
        self.serve()
        cases = {(what, size): size if size <= MIB else "too_large" for what in ("input", "result")
                 for size in (950000, 1000000, MIB - 2048, MIB - 6, MIB, MIB + 1, 3 * MIB)}
        for what, size in cases:
            self.start("large", {"what": what, "size": size}, id=f"{what}-{size}")
        for (what, size), output in cases.items():
            status = self.await_status(f"{what}-{size}", "Completed", "Failed")
            self.assertEqual((status["status"], status["output"]), ("Completed", output), f"{what} {size}")

    def test_large_input_event_and_output_go_through_a_kill(self):
        node = self.serve()
        text, output = "x" * (MIB - 100), "x" * (MIB - 4096 - 64)
        self.n1.cli("run", "echo", self.file(output), "--id", "echo", *self.FABRIC)
        self.start("large", {"what": "event", "size": 5}, id="event")
        node.cli("raise", "event", "noise", self.file(text))
        node.cli("raise", "event", "big", self.file(text))
        node.restart()
        self.assertEqual(self.await_status("event", "Completed")["output"], len(text) + 5)
        self.assertEqual(self.await_status("echo", "Completed")["output"], output)
        self.assertIn("EventRaised", self.types("event"))
        self.start("sleeper", id="sleeper")
        large = self.file("x" * (MIB + 1))
        for words in (("raise", "sleeper", "wake", large), ("run", "echo", large, "--id", "none", *self.FABRIC)):
            self.assertEqual(self.refused(*words).error["code"], "too_large")
        self.assertEqual(self.refused("status", "none", *self.FABRIC).error["code"], "not_found")

    def test_many_large_ones_at_once(self):
        self.serve()
        for count, size in ((10, 300000), (18, MIB), (24, MIB)):
            self.start("wide", {"count": count, "size": size}, id=f"wide-{count}")
        for count, size in ((10, 300000), (18, MIB)):
            status = self.await_status(f"wide-{count}", "Completed", "Failed")
            self.assertEqual((status["status"], status["output"]), ("Completed", count * size), status["error"])
        self.assertEqual(self.await_status("wide-24", "Failed")["error"]["name"], "limit")
        self.assertEqual(self.refused("rewind", "wide-24").error["code"], "wrong_state")

    def test_large_results_that_come_together_are_taken(self):
        """Far more of them than an episode has room for."""
        self.serve()
        self.start("wide", {"count": 100, "size": 1000000, "fat": True}, id="fat")
        status = self.await_status("fat", "Completed", "Failed")
        self.assertEqual((status["status"], status["output"]), ("Completed", 100 * 1000000), status["error"])


class Looking(Orchestrations):
    def test_list_is_filtered_and_turned_page_by_page(self):
        node = self.serve()
        for number in range(12):
            self.start("hello" if number % 2 else "approve", ["Ada"] if number % 2 else None, id=f"i{number:02}")
        for number in range(1, 12, 2):
            self.await_status(f"i{number:02}", "Completed")
        self.start("approve", {"timeout": 1}, id="other")
        self.await_status("other", "Failed")

        def ids(*words):
            return [it["id"] for it in node.cli("orchestrations", *words)]
        everybody = [f"i{number:02}" for number in range(12)] + ["other"]
        self.assertEqual(ids(), everybody)
        self.assertEqual(ids("--name", "hello"), everybody[1:12:2])
        self.assertEqual(ids("--status", "failed"), ["other"])
        self.assertEqual(ids("--status", "Running", "--prefix", "i0"), ["i00", "i02", "i04", "i06", "i08"])
        self.assertEqual(ids("--prefix", "i", "--after", "i03", "--limit", "3"), ["i04", "i05", "i06"])
        self.assertEqual(ids("--from", "1h"), everybody)
        self.assertEqual(ids("--to", "1h"), [])
        it = node.cli("orchestrations", "--prefix", "other")[0]
        self.assertEqual((it["name"], it["version"], it["status"], it["parent"]), ("approve", 1, "Failed", None))
        self.assertEqual({key: self.status("other")[key] for key in it}, it)
        code, out, err = run_stead("orchestrations", "--limit", "2", node=node.endpoint)
        self.assertEqual((code, len(out.splitlines())), (0, 3))
        self.assertIn("--after 'i01'", err)

    def test_locks_are_listed_with_who_waits_and_broken(self):
        node = self.serve()
        boxes = ["box/b", "box/a"]
        self.start("locked", boxes, id="l1")
        self.await_custom("l1", "holds")
        self.start("locked", ["box/a"], id="l2")

        def locks():
            return {it["address"]: it["lock"] for it in node.cli("locks") if "address" in it}
        held = wait_until("the second one waits", lambda: (it := locks()) and it["box/a"]["waiting"] > 0 and it)
        self.assertEqual({address: lock["holder"] for address, lock in held.items()},
                         {"box/a": "orchestration/l1", "box/b": "orchestration/l1"})
        node.restart()
        self.assertEqual({address: lock["fence"] for address, lock in locks().items()},
                         {address: lock["fence"] for address, lock in held.items()})
        broken, = node.cli("locks", "break", "box/a")
        self.assertEqual((broken["holder"], broken["fence"]), ("orchestration/l1", held["box/a"]["fence"]))
        self.await_custom("l2", "holds")
        self.assertGreater(locks()["box/a"]["fence"], held["box/a"]["fence"])
        node.cli("raise", "l1", "go")
        self.assertEqual(self.await_status("l1", "Failed")["error"]["name"], "wrong_state")
        node.cli("raise", "l2", "go")
        self.assertEqual(self.await_status("l2", "Completed")["output"], 1)
        wait_until("nothing is held", lambda: locks() == {})


class Hub(Orchestrations):
    """The same commands on the other fabric."""

    def test_instance_of_the_hub_is_found_without_naming_the_fabric(self):
        node = self.serve()
        self.assertEqual(self.refused("status", "h1").error["code"], "not_found")
        self.assertFalse(node.cli("show", "hub/main")["exists"])  # looking made none
        code, out, err = run_stead("run", "hello", '["Ada"]', "--wait", "--id", "h1", "--fabric", "hub", node=node.endpoint)
        self.assertEqual((code, out), (0, '["hello, Ada"]\n'), err)
        self.assertEqual(self.status("h1")["output"], ["hello, Ada"])
        self.assertIn("ExecutionCompleted", self.types("h1"))
        self.assertEqual(self.refused("status", "h1", "--fabric", "direct").error["code"], "not_found")
        self.assertEqual([it["id"] for it in node.cli("orchestrations", "--fabric", "hub")], ["h1"])
        self.assertEqual(node.cli("orchestrations"), [])
        self.start("hello", ["Bob"], id="h1")  # ids are unique in their fabric
        self.await_status("h1", "Completed")
        self.assertEqual((self.status("h1")["output"], self.n1.cli("status", "h1", "--hub", "main")["output"]),
                         (["hello, Bob"], ["hello, Ada"]))

    def test_instance_of_the_hub_is_steered(self):
        node = self.serve()
        self.start("approve", None, "--fabric", "hub", id="a1")
        self.await_custom("a1", "waits for approval")
        node.cli("suspend", "a1")
        self.await_status("a1", "Suspended")
        node.cli("raise", "a1", "approved", "7")
        node.cli("resume", "a1")
        self.assertEqual(self.await_status("a1", "Completed")["output"], 7)
        self.start("parent", None, "--fabric", "hub", id="p1")
        self.await_custom("p1 CHILD", "waits for approval")
        code, lines, err = self.verify_hub(built("flows.so"))
        self.assertEqual((code, lines[-1]["replayed"], lines[-1]["broken"]), (0, 2, 0), err)
        new = self.compiled("new", (Verifying.WAIT, 'int code = stead_await_activity(o, "check", input, NULL);'))
        code, lines, _ = self.verify_hub(new)
        self.assertEqual((code, [line["id"] for line in lines[:-1]]), (1, ["p1 CHILD"]))
        node.cli("terminate", "p1", "enough")
        self.await_status("p1", "Terminated")
        self.await_status("p1 CHILD", "Terminated")
        self.assertEqual(node.cli("purge", "--fabric", "hub", "--name", "approve"), {"purged": 2})
        self.assertEqual([it["id"] for it in node.cli("orchestrations", "--fabric", "hub")], ["p1"])

    def verify_hub(self, module):
        code, out, err = run_stead("orchestrations", "verify", "--json", "--fabric", "hub", "--module", module, node=self.n1.endpoint)
        return code, [json.loads(line) for line in out.splitlines()], err


class Dying(Orchestrations):
    def check_steps(self, id, count, log):
        """Every step ran, each result was taken once, and the history adds up."""
        it = self.await_status(id, "Completed", "Failed")
        self.assertEqual((it["status"], it["output"]), ("Completed", sum(n * n for n in range(1, count + 1))), it["error"])
        runs = collections.Counter(map(int, log.read_text().split()))
        self.assertEqual(set(runs), set(range(1, count + 1)))
        history = self.history(id)
        scheduled = [event["id"] for event in history if event["type"] == "TaskScheduled"]
        taken = [event["ref"] for event in history if event["type"] == "TaskCompleted"]
        self.assertEqual((len(scheduled), sorted(taken)), (count, scheduled))
        return sum(runs.values()) - count

    def kill_in_the_middle(self, name, count):
        node = self.serve()
        log = self.folder / "log"
        value = json.dumps({"count": count, "log": str(log)})
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(
            run_stead("run", name, value, "--id", "s1", "--wait", node=node.endpoint, timeout=120)))
        waiting.start()
        for part in (1, 2):
            wait_until(f"{part} of 3 parts have run", lambda: log.exists() and len(log.read_text().split()) >= part * count // 3)
            node.restart()
        again = self.check_steps("s1", count, log)
        waiting.join(60)
        self.assertEqual([(code, out) for code, out, _ in answers], [(0, f"{sum(n * n for n in range(1, count + 1))}\n")], answers)
        print(f"{name}: {again} activities ran again", flush=True)
        node.stop()
        self.assert_sound(node.folder)

    def test_steps_complete_after_kills_with_every_result_taken_once(self):
        self.kill_in_the_middle("steps", scaled(300, least=30))

    def test_fan_completes_after_kills_with_every_result_taken_once(self):
        self.kill_in_the_middle("fan", scaled(1000, least=30))

    def test_many_instances_survive_a_kill(self):
        node = self.serve()
        count = scaled(100, least=20)
        for number in range(count):
            self.start("hello" if number % 3 else "approve", ["Ada", "Bob"] if number % 3 else None, id=f"m{number:03}")
        node.restart()
        for number in range(0, count, 3):
            node.cli("raise", f"m{number:03}", "approved", str(number))
        for number in range(count):
            expected = ["hello, Ada", "hello, Bob"] if number % 3 else number
            self.assertEqual(self.await_status(f"m{number:03}", "Completed")["output"], expected)

    def test_activity_that_kills_its_node_is_tried_again(self):
        node = self.serve()
        log = self.folder / "log"
        self.start("crash", {"log": str(log)}, "--delay", "500ms", id="c1")  # acknowledged before it kills
        node.wait()
        self.assertEqual(log.read_text(), "x\n")
        node.launch().wait()  # it may be killed before it says that it serves
        self.assertEqual(log.read_text(), "x\nx\n")
        node.start()
        self.assertEqual(self.await_status("c1", "Completed")["output"], 3)


class Open(Orchestrations):
    def test_status_lists_open_tasks_with_attempts_and_heartbeats(self):
        node = self.serve()
        self.start("works", {"log": str(self.folder / "log")}, id="w1")

        def second():
            tasks = self.status("w1")["tasks"]
            return tasks if tasks and tasks[0]["attempt"] == 2 and tasks[0]["beat"] else None
        before, events = wait_until("the second attempt says how far it is", second), self.status("w1")["events"]
        self.assertEqual([(task["name"], task["type"]) for task in before], [("flows.labour", "TaskScheduled")])
        self.assertGreater(before[0]["details"]["done"], 0)
        later = wait_until("it says more", lambda: [task for task in second() if task["details"] != before[0]["details"]])
        self.assertGreater(later[0]["details"]["done"], before[0]["details"]["done"])
        self.assertEqual(self.status("w1")["events"], events)  # nothing of it is stored
        self.assertEqual({turn["op"] for turn in node.cli("journal", "orchestration/w1")}, {"start", "done", "timer"})
        code, out, err = run_stead("status", "w1", node=node.endpoint)
        self.assertRegex(out, r'(?m)^waits for  \d+ TaskScheduled flows.labour, attempt 2, heartbeat .* \{"done": \d+\}$')
        node.cli("terminate", "w1")
        self.assertEqual(self.status("w1")["tasks"], [])


class Timing(Orchestrations):
    def test_activity_that_is_loaded_nowhere_fails_when_its_time_is_over(self):
        self.serve()
        began = time.monotonic()
        self.start("tardy", {"name": "flows.nowhere", "start": 500, "timeout": 0}, id="s1")
        self.start("tardy", {"name": "flows.nowhere", "start": 0, "timeout": 3000}, id="t1")
        self.start("tardy", {"name": "flows.nowhere", "start": 700, "timeout": 60000}, id="b1")
        self.start("tardy", {"name": "flows.greet", "start": 60000, "timeout": 60000}, id="g1")
        self.start("tardy", {"name": "flows.nowhere", "start": 0, "timeout": 0}, id="n1")
        self.assertEqual(self.await_status("g1", "Completed")["output"], None)
        for id, name in (("s1", "start_timeout"), ("b1", "start_timeout"), ("t1", "timeout")):
            self.assertEqual(self.await_status(id, "Failed")["error"]["name"], name, id)
        self.assertLess(time.monotonic() - began, 50)  # not when the whole time of b1 is over
        self.assertEqual(self.status("n1")["status"], "Running")


class Deadly(Orchestrations):
    """Code that faults: its node dies, again at each start, until the turn is poison; what is beside it lives."""
    AT = ("start", "timer", "event", "activity", "child", "call", "lock", "mother")
    AGAIN = "timer"
    FABRIC = ()
    NAMED = "orchestration/{}"
    BESIDE = 1

    def restart_until(self, what, condition):
        """Starts the node whenever it has died; how often that was."""
        deaths = 0

        def step():
            nonlocal deaths
            if self.n1.process.poll() is not None:
                self.assertEqual(self.n1.wait(), -signal.SIGSEGV)
                deaths += 1
                self.n1.launch().await_line()
            try:
                return condition()
            except CliError:  # it died meanwhile
                return False
        wait_until(what, step, patience=PATIENCE * 4)
        return deaths

    def have_failed(self, ids):
        return all(self.n1.cli("status", id, "--timeout", "1s")["status"] == "Failed" for id in ids)  # it may die meanwhile

    def test_code_that_ends_its_node_fails_wherever_it_does(self):
        node = self.serve(environment=undisturbed())
        doomed = [at for at in self.AT if at != "mother"] + ["daughter"]
        fuse = self.folder / "fuse"
        fuse.touch()
        waits = [threading.Thread(target=lambda at=at, words=words: told.update({at: run_stead(*words, node=node.endpoint, timeout=200)}))
                 for at in self.AT for words in [("run", "bomb", json.dumps({"at": at, "fuse": str(fuse)}), "--id", at,
                                                  "--delay", "1s", "--wait", "--timeout", "3m", *self.FABRIC)]]
        told = {}
        self.start("approve", id="asks")
        self.await_custom("asks", "waits for approval")
        beside = [self.start("hello", ["Ada"], "--delay", "1s", id=f"b{number:02}") for number in range(self.BESIDE)]
        for thread in waits:
            thread.start()
        wait_until("all are there", lambda: len(node.cli("orchestrations", "--all", *self.FABRIC)) == len(self.AT) + self.BESIDE + 1)
        node.cli("raise", "event", "go", "1")
        node.cli("raise", "asks", "approved", "1")
        ids = [*self.AT, "daughter"]
        deaths = self.restart_until("all have failed", lambda: self.have_failed(ids))
        self.assertIn(deaths, range(3, 4 * len(doomed)))  # two reactors may fault at once
        named = set(re.findall(r'event=died_in kills=3 text="([a-z/]*)', node.log_path.read_text()))
        self.assertEqual(named, {self.NAMED.format(id) for id in doomed if id != "mine"})
        for id in doomed:
            error = self.status(id)["error"]
            self.assertEqual(error["name"], "poison", id)
            if id == "mine":  # an activity
                self.assertIn("killed the process too often", error["sentence"])
                continue
            self.assertRegex(error["sentence"], r"^its code ended the process \d times after event \d+, with the same "
                                                r"input: mend the code \(bomb, version 1\) and rewind$")
        self.assertEqual(self.status("mother")["error"], self.status("daughter")["error"])
        for thread in waits:
            thread.join()
        for at in self.AT:
            code, out, err = told[at]
            self.assertEqual((code, out), (1, ""), err)
            self.assertIn(f"{at}: Failed: poison: " + ("" if at == "mine" else "its code ended the process"), err)
        self.assertEqual(node.cli("deadletters"), [])
        for id in (*beside, "asks"):
            self.await_status(id, "Completed")

        rewind = threading.Thread(target=node.cli, args=("rewind", self.AGAIN))  # as it is, it dies again
        rewind.start()
        wait_until("it has died", lambda: node.process.poll() is not None)
        self.restart_until("it has failed again", lambda: not rewind.is_alive() and self.have_failed([self.AGAIN]))
        fuse.unlink()  # the code is mended
        for id in doomed:
            node.cli("rewind", id)
            self.assertEqual(self.await_status(id, "Completed", "Failed")["output"], "lives", id)
        self.assertEqual(node.cli("locks", "list"), [])


class Verifying(Orchestrations):
    FABRIC = ()
    WAIT = 'int code = stead_set_status(o, stead_packed_for(o, "s", "waits for approval"));'

    def live_ones(self):
        """Three instances that wait, and one that is over."""
        node = self.serve(environment=undisturbed())
        for id in ("a1", "a2"):
            self.start("approve", id=id)
            self.await_custom(id, "waits for approval")
        self.start("parent", id="p1")
        self.await_custom("p1 CHILD", "waits for approval")
        self.start("approve", {"timeout": 1}, id="over")
        self.await_status("over", "Failed")
        return node

    def verify(self, module, *words):
        """(exit code, lines, err)"""
        code, out, err = run_stead("orchestrations", "verify", "--json", *self.FABRIC, "--module", module, *words, node=self.n1.endpoint)
        return code, [json.loads(line) for line in out.splitlines()], err

    def test_same_code_breaks_nobody(self):
        node = self.live_ones()
        code, lines, err = self.verify(built("flows.so"))
        self.assertEqual((code, len(lines), lines[0]["replayed"], lines[0]["broken"]), (0, 1, 4, 0), err)
        self.assertGreater(lines[0]["events"], 8)
        before = [self.status(id) for id in ("a1", "a2", "p1")]
        code, out, _ = run_stead("orchestrations", "verify", *self.FABRIC, "--module", built("flows.so"), node=node.endpoint)
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^4 instances with \d+ events replayed: none would break\n$")
        self.assertEqual([self.status(id) for id in ("a1", "a2", "p1")], before)  # without effects
        node.cli("raise", "a1", "approved", "1")
        self.assertEqual(self.await_status("a1", "Completed")["output"], 1)

    def test_who_would_break_is_named_with_event_and_sentence(self):
        self.live_ones()
        new = self.compiled("new", (self.WAIT, 'int code = stead_await_activity(o, "check", input, NULL);'))
        code, lines, err = self.verify(new)
        self.assertEqual((code, lines[-1]["replayed"], lines[-1]["broken"]), (1, 4, 3), err)
        self.assertEqual(sorted(line["id"] for line in lines[:-1]), ["a1", "a2", "p1 CHILD"])
        changed = next(event["id"] for event in self.history("a1") if event["type"] == "CustomStatusSet")
        self.assertEqual(({line["event"] for line in lines[:-1] if line["id"] == "a1"}), {changed})
        self.assertIn("check", lines[0]["sentence"])
        self.assertEqual(self.verify(new, "--name", "parent")[0], 0)
        code, lines, _ = self.verify(new, "--name", "approve", "--sample", "1")
        self.assertEqual((code, lines[-1]["replayed"], lines[-1]["broken"]), (1, 1, 1))
        code, out, _ = run_stead("orchestrations", "verify", *self.FABRIC, "--module", new, node=self.n1.endpoint)
        self.assertIn("WOULD BREAK BECAUSE", out.splitlines()[0])
        self.assertIn("3 would break", out.splitlines()[-1])

    def test_history_of_many_pages_is_shown_and_replayed_whole(self):
        node = self.serve(environment=undisturbed())
        count = scaled(4000, least=3000)
        self.start("fan", {"count": count, "log": str(self.folder / "log"), "hold": True}, id="big")
        wait_until("all is taken", lambda: self.status("big")["events"] > 2 * count)
        types = wait_until("the code waits", lambda: (it := self.types("big")).count("TaskCompleted") == count and it)
        self.assertEqual(types.count("TaskScheduled"), count)
        code, lines, err = self.verify(built("flows.so"), "--name", "fan")
        self.assertEqual((code, lines), (0, [{"replayed": 1, "broken": 0, "left_out": 0, "events": len(types)}]), err)
        last = max(event["id"] for event in self.history("big") if event["type"] == "TaskScheduled")
        new = self.compiled("one more", ("i < count; i++)\n        tasks[i] = stead_begin", "i < count - 1; i++)\n        tasks[i] = stead_begin"))
        code, lines, _ = self.verify(new, "--name", "fan")
        self.assertEqual((code, lines[0]["id"], lines[0]["event"]), (1, "big", last))
        node.cli("raise", "big", "go")
        self.await_status("big", "Completed")

    def test_large_values_are_left_out_for_people_and_not_for_the_replay(self):
        node = self.serve(environment=undisturbed())
        value = json.dumps({"count": 2, "log": str(self.folder / "log"), "hold": True, "pad": "x" * 1000000})
        self.assertEqual(run_stead("run", "fan", "-", "--id", "padded", *self.FABRIC, node=node.endpoint, stdin=value)[0], 0)
        wait_until("the code waits", lambda: self.types("padded").count("TaskCompleted") == 2)
        code, lines, err = self.verify(built("flows.so"))
        self.assertEqual((code, lines[-1]["replayed"], lines[-1]["broken"]), (0, 1, 0), err)
        started = next(event for event in self.history("padded") if event["type"] == "ExecutionStarted")
        self.assertEqual(("value" in started, started["extra"]["omitted"] > 1000000), (False, True))

    def test_code_that_crashes_does_not_take_the_report_with_it(self):
        self.live_ones()
        new = self.compiled("crashes", (self.WAIT, self.WAIT + " if (stead_instance_id(o)[1] == '2') abort();"))
        code, lines, err = self.verify(new)
        self.assertEqual((code, lines[-1]["replayed"], lines[-1]["broken"]), (1, 4, 1), err)
        self.assertEqual(lines[0]["id"], "a2")
        self.assertIn("crashed: Aborted", lines[0]["sentence"])

    def test_version_that_is_missing_is_told(self):
        self.live_ones()
        new = self.compiled("newer", (".version = 1", ".version = 2"))
        code, lines, _ = self.verify(new, "--name", "parent")
        self.assertEqual((code, lines[0]["id"], lines[0]["sentence"]), (1, "p1", "the modules have no version 1 of it"))

    def test_wrong_lines_are_usage_errors(self):
        self.serve()
        for words in ([], ["--module", "/nowhere.so"], ["--module", built("kinds.so")], ["--module", built("flows.so"), "--name", "helo"],
                      ["--module", built("flows.so"), "--status", "Failed"]):
            code, out, err = run_stead("orchestrations", "verify", *words, node=self.n1.endpoint)
            self.assertEqual((code, out), (2, ""), (words, err))
        self.assertIn('did you mean "hello"?', run_stead("orchestrations", "verify", *self.FABRIC, "--module", built("flows.so"), "--name", "helo",
                                                         node=self.n1.endpoint)[2])


class Guide(Orchestrations):
    def test_first_example_of_the_guide_does_what_is_said(self):
        text = (ROOT / "docs/ORCHESTRATIONS.md").read_text()
        source, output = self.folder / "trip.c", self.folder / "trip.so"
        source.write_text(re.search(r"^```c\n(.*?)^```", text, re.M | re.S).group(1))
        subprocess.run(["cc", "-shared", "-fPIC", f"-I{ROOT}/include", "-o", str(output), str(source)], check=True)
        self.n1 = self.node(modules=[output])
        it = self.n1.cli("run", "trip", '{"city": "Lisbon"}', "--wait")
        self.assertEqual(it["output"], {"hotel": {"hotel": "Astoria", "city": "Lisbon"}, "flight": "LH 1172"})
        self.assertEqual(self.refused("run", "trip", '{"city": "Xanadu"}', "--id", "order-17", "--wait").code, 1)
        self.assertEqual(self.status("order-17")["error"]["name"], "no_trip")
        names = [event["name"] for event in self.history("order-17") if event["type"] == "TaskScheduled"]
        self.assertEqual(names, ["book_hotel", "book_flight", "cancel_hotel"])


if __name__ == "__main__":
    main()
