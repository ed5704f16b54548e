#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of agents in real nodes: limits, signs of life, cancelling wherever the job runs, jobs that end the process, jobs that start before the commit."""
import signal
import unittest

from harness import AgentError, Test, built, main, undisturbed, wait_until

WAIT = dict(timeout=60.0)


class Jobs(Test):
    def up(self, **options):
        return self.node(modules=[built("jobs.so")], **options)

    def have_done(self, node, boss, callee, op, **more):
        return node.call(f"boss/{boss}", "have_done", {"callee": callee, "op": op, **more}, **WAIT)

    def test_many_calls_of_one_turn_are_all_answered(self):
        node = self.up()
        for kind in ("toil", "quick"):
            self.assertEqual(self.have_done(node, "a", f"{kind}/1", "nothing", count=1000), "ok")
            self.assertEqual(node.call("boss/a", "look")["open"], 0)

    def test_chain_of_idempotent_jobs_is_answered_and_survives_a_kill(self):
        node = self.up()
        self.assertEqual(self.have_done(node, "a", "quick/1", "nothing", chain=30), "ok")
        node.restart()
        self.assertEqual(node.call("boss/a", "look"), {"open": 0, "beats": 0, "beat": 0, "last": "ok"})
        self.assertEqual(self.have_done(node, "a", "quick/1", "nothing", chain=30), "ok")

    def test_job_past_a_limit_is_answered_with_its_name(self):
        node = self.up(options=["--job-threads", "2"])
        self.assertEqual(self.have_done(node, "a", "toil/1", "wait", run_ms=50), "run_timeout")
        self.assertEqual(self.have_done(node, "a", "toil/1", "wait", heartbeat_ms=50), "heartbeat_timeout")
        for boss in ("b", "c"):  # both threads are taken
            node.call(f"boss/{boss}", "begin", {"callee": "toil/1", "op": "beat"})
        for boss in ("b", "c"):
            wait_until("it runs", lambda boss=boss: node.call(f"boss/{boss}", "look")["beats"] > 0)
        self.assertEqual(self.have_done(node, "a", "toil/1", "nothing", start_ms=50), "start_timeout")

    def test_signs_of_life_keep_a_job_alive_and_are_told(self):
        node = self.up()
        node.call("boss/a", "begin", {"callee": "toil/1", "op": "beat", "heartbeat_ms": 2000})
        wait_until("it beats", lambda: node.call("boss/a", "look")["beats"] >= 30)  # ten a second: for longer than the limit
        seen = node.call("boss/a", "look")
        self.assertGreaterEqual(seen["beat"], seen["beats"])
        self.assertEqual(seen["open"], 1)

    def cancelled(self, node, stats):
        node.call("boss/a", "begin", {"callee": "toil/1", "op": "beat"})
        wait_until("it runs", lambda: node.call("boss/a", "look")["beats"] > 0)
        node.call("boss/a", "cancel")
        with self.assertRaises(AgentError) as refused:
            node.call("boss/a", "cancel")
        self.assertEqual(refused.exception.code, "not_found")
        wait_until("it has ended", lambda: stats() == 0)
        self.assertEqual(node.call("boss/a", "look")["open"], 1)  # its reply op never ran

    def test_cancelled_job_ends(self):
        node = self.up(options=["--job-threads", "1"])
        self.cancelled(node, lambda: 0 if self.have_done(node, "b", "toil/1", "nothing") == "ok" else 1)

    def test_cancelled_jobs_end_on_every_node(self):
        client = self.cluster(3, modules=[built("jobs.so")], options=["--job-threads", "1"]).client(timeout=60.0)
        bosses = [f"boss/{n}" for n in range(18)]
        for boss in bosses:
            client.call(boss, "begin", {"callee": "toil/1", "op": "beat"})
        wait_until("each node runs one", lambda: sum(client.call(boss, "look")["beats"] > 0 for boss in bosses) >= 3)
        for boss in bosses:
            client.call(boss, "cancel")
        for n in range(12):  # on nodes drawn by chance, and none has a thread but the one that was taken
            self.assertEqual(client.call(f"boss/free{n}", "have_done", {"callee": "toil/1", "op": "nothing", "count": 5}), "ok")
        for boss in bosses:
            self.assertEqual(client.call(boss, "look")["last"], "")

    def test_job_that_ends_the_process_is_poison_in_the_end(self):
        node = self.up(environment=undisturbed())
        for op, number in (("abort", signal.SIGABRT), ("raise", signal.SIGSEGV), ("fault", signal.SIGSEGV)):
            client = node.client()
            client.start("signal", f"boss/{op}", "begin", {"callee": "toil/1", "op": op})  # nobody may live to answer it
            wait_until("it has ended", lambda: client.poll(0.02) is not None and node.process.poll() is not None)
            for _ in range(3):
                self.assertEqual(node.wait(), -number)
                node.launch().await_line()  # it may die before it says that it serves
            wait_until("it is set aside", lambda: node.call(f"boss/{op}", "look")["last"] == "poison")
        self.assertEqual(self.have_done(node, "b", "toil/1", "nothing"), "ok")


if __name__ == "__main__":
    main()
