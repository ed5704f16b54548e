#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The task hub on real nodes: what orchestrations do on the direct fabric they do here too (the same tests, test_orchestrations.py), in every mode of polling, with nodes killed
in the middle, on one node and on several; and messages that nobody can take are set aside.
Usage: test_hub.py PROGRAM [unittest arguments]"""
import concurrent.futures
import json
import time

import test_orchestrations as direct
from harness import Test, built, main, run_stead, scaled, wait_until


class OnHub:
    """Runs the tests of a class of test_orchestrations.py on the hub main, which gives back after half a second what a killed worker had taken."""
    HIDE = "500ms"
    POLL = "notify"

    def serve(self, **more):
        fresh = super().serve(**more)
        fresh.cli("hub", "create", "main", "--hide", self.HIDE, "--poll", self.POLL, "--keep", "250ms")
        return fresh

    def start(self, name, value=None, *words, id=None):
        return super().start(name, value, "--fabric", "hub", *words, id=id)


class Steering(OnHub, direct.Steering):
    def test_purge_by_filter_leaves_what_lives_and_what_is_younger(self):
        node = self.serve()
        for number in range(3):
            self.start("hello", ["Ada"], id=f"h{number}")
            self.await_status(f"h{number}", "Completed")
        self.start("approve", id="a1")
        self.await_custom("a1", "waits for approval")
        self.assertEqual(node.cli("purge", "--fabric", "hub", "--name", "hello"), {"purged": 3})
        self.assertEqual([it["id"] for it in node.cli("orchestrations", "--fabric", "hub")], ["a1"])


    def test_one_that_has_not_begun_can_be_terminated_and_does_not_begin_later(self):
        node = self.serve()
        self.start("hello", ["Ada"], "--delay", "700ms", id="h1")
        node.cli("terminate", "h1", "not needed")
        self.assertEqual(self.status("h1")["status"], "Canceled")
        self.assertEqual(self.status("h1")["error"], {"name": "canceled", "sentence": "not needed"})
        wait_until("its start has come and gone", lambda: all(
            queue["depth"] == 0 for queue in node.cli("hub", "status")["queues"].values()))
        self.assertEqual(self.status("h1")["status"], "Canceled")
        self.start("hello", ["Ada"], id="h1")
        self.assertEqual(self.await_status("h1", "Completed")["output"], ["hello, Ada"])


    def test_what_is_asked_of_one_that_has_not_begun_is_not_told_as_done(self):
        node = self.serve()
        self.start("hello", ["Ada"], "--delay", "10m", id="h1")
        self.assertEqual(run_stead("suspend", "h1", "--fabric", "hub", node=node.endpoint)[:2],
                         (0, "asked for: h1: it has not begun, and may begin before it is suspended\n"))
        self.assertEqual(node.cli("suspend", "h1"), {"suspended": False, "asked": True})
        self.assertEqual(self.status("h1")["status"], "Pending")
        self.start("approve", id="a1")
        self.await_custom("a1", "waits for approval")
        self.assertEqual(node.cli("suspend", "a1"), {"suspended": True})
        self.assertEqual(run_stead("resume", "a1", node=node.endpoint)[:2], (0, "resumed: a1\n"))


    def test_active_id_is_refused_by_the_instance_s_own_name(self):
        node = self.serve()
        self.start("approve", id="a1")
        code, _, err = run_stead("run", "approve", "--id", "a1", "--fabric", "hub", node=node.endpoint)
        self.assertEqual((code, err.splitlines()[0]), (1, "stead run: a1 start: conflict: an instance of this id is active"))


    def test_timeout_rules_where_the_hub_is_slow_to_take_what_is_asked(self):
        node = self.serve()
        node.cli("hub", "create", "slow", "--poll", "10s")
        node.cli("run", "approve", "--hub", "slow", "--id", "a1")
        wait_until("it runs", lambda: node.cli("status", "a1", "--hub", "slow")["status"] == "Running")
        begun = time.monotonic()
        code, out, err = run_stead("suspend", "a1", "--hub", "slow", "--timeout", "1s", node=node.endpoint)
        self.assertEqual((code, out), (4, ""), err)
        self.assertIn("no answer within 1 s", err)
        self.assertLess(time.monotonic() - begun, 6)


    def test_hub_on_which_something_lives_is_deleted_only_by_force(self):
        node = self.serve()
        self.start("approve", id="a1")
        self.await_custom("a1", "waits for approval")
        code, _, err = run_stead("hub", "delete", "main", node=node.endpoint)
        self.assertEqual(code, 1)
        self.assertIn("a1 is not over", err)
        self.assertEqual(self.status("a1")["status"], "Running")
        self.assertEqual(node.cli("hub", "delete", "main", "--force"), {"deleted": True})


    def test_start_that_meets_a_worker_without_its_code_waits_for_it(self):
        node = self.serve()
        modules, node.modules = node.modules, []
        node.restart()
        self.start("hello", ["Ada"], id="h1")
        self.start("hello", ["Bob"], id="h2")
        wait_until("they were put back", lambda: sum(
            queue["enqueued"] for queue in node.cli("hub", "status")["queues"].values()) >= 4)
        node.cli("terminate", "h2", "not needed")
        self.await_status("h2", "Canceled")
        node.modules = modules
        node.restart()
        self.assertEqual(self.await_status("h1", "Completed")["output"], ["hello, Ada"])
        self.assertEqual(self.status("h2")["status"], "Canceled")


class Differing(OnHub, direct.Differing):
    pass


class Large(OnHub, direct.Large):
    FABRIC = ("--fabric", "hub")
    HIDE = "10s"  # what is large takes its time


class Dying(OnHub, direct.Dying):
    def kill_in_the_middle(self, name, count):
        node = self.serve()
        log = self.folder / "log"
        self.start(name, {"count": count, "log": str(log)}, id="s1")
        for part in (1, 2):
            wait_until(f"{part} of 3 parts have run", lambda: log.exists() and len(log.read_text().split()) >= part * count // 3)
            node.restart()
        self.check_steps("s1", count, log)
        wait_until("the queues are empty", lambda: all(
            queue["depth"] == 0 for queue in node.cli("hub", "status")["queues"].values()))
        node.stop()
        self.assert_sound(node.folder)


class Timing(OnHub, direct.Timing):
    pass


class Deadly(OnHub, direct.Deadly):
    """All that is taken with what kills the node comes back after each death: it is not set aside with it."""
    FABRIC = ("--fabric", "hub")
    AT = ("start", "event", "lock", "mine", "mother")
    AGAIN = "lock"
    NAMED = "{}"
    BESIDE = 12

    def test_code_that_ends_its_node_fails_wherever_it_does(self):
        super().test_code_that_ends_its_node_fails_wherever_it_does()
        self.assertEqual(self.n1.cli("hub", "status")["queues"]["poison"]["depth"], 0)


class Verifying(OnHub, direct.Verifying):
    FABRIC = ("--fabric", "hub")


class Modes(OnHub, direct.Orchestrations):
    """Each mode of polling."""

    def run_in(self, poll, *words):
        node = self.serve()
        node.cli("hub", "create", "other", "--poll", poll, *words)
        out = node.cli("run", "hello", '["Ada", "Bob", "Eve"]', "--hub", "other", "--fabric", "hub", "--wait")
        self.assertEqual(out["output"], ["hello, Ada", "hello, Bob", "hello, Eve"])
        return node.cli("hub", "status", "other")

    def test_notify(self):
        self.run_in("notify")

    def test_fixed_interval(self):
        status = self.run_in("20ms")
        self.assertGreater(sum(worker["empty"] for worker in status["workers"]), 0)

    def test_backoff(self):
        self.run_in("backoff")

    def test_instances_may_stay_in_memory(self):
        status = self.run_in("notify", "--extended")
        self.assertLess(sum(worker["reads"] for worker in status["workers"]), sum(worker["episodes"] for worker in status["workers"]))

    def test_three_activities_cost_what_they_should(self):
        status = self.run_in("notify")
        workers, queues = status["workers"], status["queues"]
        self.assertEqual(sum(worker["reads"] for worker in workers), 4)
        self.assertEqual(sum(worker["writes"] for worker in workers), 4)
        self.assertEqual(queues["work"]["enqueued"], 3)
        self.assertEqual(sum(queue["enqueued"] for name, queue in queues.items() if name.startswith("control")), 4)


class Crowded(OnHub, direct.Orchestrations):
    """What there is no room for at the moment is asked for again, and does not wait until it is visible again."""
    HIDE = "10m"

    def test_many_large_events_come_with_little_memory(self):
        node = self.serve(options=["--memory", "64M", "--reactors", 1])
        large = self.folder / "large.json"
        large.write_text(json.dumps("x" * 1000000))
        ids = [self.start("approve", {}, id=f"a{number}") for number in range(3)]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            raised = [pool.submit(run_stead, "raise", id, "other", f"@{large}", "--fabric", "hub", node=node.endpoint) for id in ids for _ in range(15)]
            for each in raised:
                self.assertEqual(each.result()[0], 0, each.result()[2])
        for id in ids:
            node.cli("raise", id, "approved", "1", "--fabric", "hub")
        wait_until("all events have come", lambda: all(node.cli("status", id, "--fabric", "hub")["status"] == "Completed" for id in ids))


class Poison(OnHub, direct.Orchestrations):
    def queues(self):
        return self.n1.cli("hub", "status")["queues"]

    def poison(self, *words):
        code, out, err = run_stead("hub", "--json", "poison", *words, node=self.n1.endpoint)
        self.assertEqual(code, 0, err)
        return [json.loads(line) for line in out.splitlines()]

    def test_message_that_says_nothing_is_set_aside_and_can_be_put_back_and_dropped(self):
        node = self.serve()
        settings = node.cli("hub", "create", "main")
        queue = f"hub.queue/{{{settings['tags'][0]}}}main/control-0"
        node.call(queue, "enqueue", {"id": "odd", "body": {"what": "is this?"}})
        wait_until("it is set aside", lambda: self.queues()["poison"]["depth"] == 1 and self.queues()["control-0"]["depth"] == 0)
        listed, = self.poison("list")
        self.assertEqual((listed["queue"], listed["body"]), (queue, {"what": "is this?"}))
        self.assertEqual(self.poison("retry", "main", "--message", listed["message"]), [{"retried": 1}])
        wait_until("it is set aside again", lambda: [it["message"] for it in self.poison("list")] not in ([], [listed["message"]]))
        self.assertEqual(self.poison("drop"), [{"dropped": 1}])
        self.assertEqual(self.poison("list"), [])
        long = {"what": "x" * 5000}
        for number in range(3):
            node.call(queue, "enqueue", {"id": f"long{number}", "body": long})
        wait_until("they are set aside", lambda: self.queues()["poison"]["depth"] == 3)
        self.assertEqual([it["body"] for it in self.poison("list")], [long] * 3)
        self.assertEqual(self.poison("retry"), [{"retried": 3}])
        wait_until("they are set aside again", lambda: self.queues()["poison"]["depth"] == 3 and self.queues()["control-0"]["depth"] == 0)
        self.assertEqual(self.poison("drop"), [{"dropped": 3}])
        node.cli("hub", "delete", "main")
        code, _, err = run_stead("hub", "status", "gone", node=node.endpoint)
        self.assertEqual(code, 1, err)


class Several(Test):
    def test_partitions_are_shared_by_all_nodes_from_the_beginning(self):
        cluster = self.cluster(3)
        endpoints = ",".join(cluster.endpoints())
        code, _, err = run_stead("hub", "create", "main", node=endpoints)
        self.assertEqual(code, 0, err)
        status = wait_until("every worker was seen", lambda: (lambda s: s if all(w["seen"] for w in s["hub"]["workers"]) else None)(
            json.loads(run_stead("hub", "--json", "status", node=endpoints)[1])))
        busy = {w["node"] for w in wait_until("all partitions are held", lambda: (lambda s: s if sum(
            w["partitions"] for w in s["workers"]) == 4 else None)(json.loads(run_stead("hub", "--json", "status", node=endpoints)[1])))["workers"]
            if w["partitions"]}
        self.assertEqual(busy, {"n1", "n2", "n3"}, status)
        for name in ("n3", "n2"):  # not that of the hub's settings, without which nothing is found
            cluster.kill(name)
            code, out, err = run_stead("hub", "--timeout", "2s", "--json", "status", node=cluster.endpoints()[0])
            if "owns hub/main" not in err:
                break
            wait_until("it is up again", lambda: cluster.up() >= 0)
        self.assertEqual(code, 1, err)
        parts = json.loads(out)
        self.assertIn(None, parts["workers"], "what does not answer is null")
        self.assertIn("n1", {worker and worker["node"] for worker in parts["workers"]}, "and the others are told")

    def test_hub_apart_from_its_workers_is_killed_and_comes_back(self):
        cluster = self.cluster(2, modules=[built("flows.so")])
        endpoints = ",".join(cluster.endpoints())
        log = self.folder / "log"
        count = scaled(200, least=20)

        def stead(*words):
            code, out, err = run_stead(words[0], "--json", *words[1:], node=endpoints)
            return json.loads(out) if code == 0 else {"code": code, "err": err}

        self.assertIn("tags", stead("hub", "create", "main", "--hide", "500ms", "--keep", "250ms", "--apart"))
        stead("run", "steps", json.dumps({"count": count, "log": str(log)}), "--id", "s1", "--fabric", "hub")
        for part in (1, 2):
            wait_until(f"{part} of 3 parts have run", lambda: log.exists() and len(log.read_text().split()) >= part * count // 3)
            cluster.kill(f"n{part}")
            wait_until("it is up again", lambda: cluster.up() >= 0)
        it = wait_until("it is over", lambda: (lambda s: s if s.get("status") in ("Completed", "Failed") else None)(
            stead("status", "s1", "--fabric", "hub")))
        self.assertEqual((it["status"], it["output"]), ("Completed", sum(n * n for n in range(1, count + 1))))
        self.assertEqual(set(map(int, log.read_text().split())), set(range(1, count + 1)))


if __name__ == "__main__":
    main()
