#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The coordinator and local clusters as processes: killed at any moment, brought back, started twice, stopped.
Usage: test_cluster.py PROGRAM [unittest arguments]"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import msgpack
import zmq

PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 60  # seconds for anything that must happen at last
COUNTER = r"""
#include <stead/stead.h>
struct counter { int64_t value; };
static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *counter = state;
    (void)args;
    counter->value++;
    return stead_reply(turn, stead_packed(turn, "l", counter->value));
}
static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *counter = state;
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", counter->value));
}
static const struct stead_field fields[] = {STEAD_FIELD(I64, struct counter, value), STEAD_FIELDS_END};
static const struct stead_op ops[] = {{.name = "add", .run = add},
                                      {.name = "get", .run = get, .flags = STEAD_OP_READ_ONLY},
                                      {0}};
static const struct stead_kind counter_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "counter",
                                               .durability = STEAD_DURABLE,
                                               .state_size = sizeof(struct counter),
                                               .fields = fields,
                                               .ops = ops};
STEAD_MODULE(&counter_kind);
"""


def await_(what, condition, patience=PATIENCE):
    """The first true value of condition(), waited for."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"in {patience} s not: {what}")
        time.sleep(0.02)


def runs(pid):
    """False for a zombie too: nobody may be there to reap an orphan."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def stead(*words, node=None, timeout=PATIENCE):
    environment = {**os.environ, **({"STEAD_NODE": node} if node else {})}
    done = subprocess.run([PROGRAM, *map(str, words)], env=environment, capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stead-cluster-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)


class Coordinator(Scratch):
    """What the coordinator acknowledged is there after SIGKILL, at the same endpoint."""

    def start(self):
        process = subprocess.Popen([PROGRAM, "coordinator", "--folder", self.folder / "c", "--listen",
                                    getattr(self, "endpoint", "tcp://127.0.0.1:0"), "--nodes", "1", "--idle-exit-s", "0"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def place():
            line = (self.folder / "c" / "lock").read_text() if (self.folder / "c" / "lock").exists() else ""
            return line.endswith("\n") and line.split()[0] == str(process.pid) and line.split()[3]
        endpoint = await_("a line in the lock file", place)
        self.assertEqual(endpoint, getattr(self, "endpoint", endpoint))
        self.endpoint = endpoint
        return process

    def ask(self, **request):
        """One request, sent again on new connections until it is answered."""
        for number in range(1, PATIENCE * 4):
            with self.context.socket(zmq.DEALER) as socket:
                socket.linger = 0
                socket.connect(self.endpoint)
                socket.send(msgpack.packb({"v": 1, "id": number, "table": 0, "watch": False, "node": 0, "incarnation": 0,
                                           **request}))
                while socket.poll(250):
                    answer = msgpack.unpackb(socket.recv())
                    if answer["id"] == number:
                        return answer
        raise AssertionError("the coordinator does not answer")

    def enrol(self, start):
        return self.ask(op="register", registration={
            "name": "n1", "identity": b"\1" * 16, "start": start.to_bytes(16, "little"), "spr": 4,
            "endpoints": ["tcp://127.0.0.1:1"], "labels": [], "kinds": []})

    def test_kill_under_load_loses_no_acknowledged_claim(self):
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)
        process = self.start()
        claims = {"acknowledged": 1, "tried": 1}
        answer = self.enrol(1)
        self.assertEqual((answer["status"], answer["node"], answer["incarnation"]), (0, 1, 1))
        stop = threading.Event()

        def load():
            while not stop.is_set():
                epoch = claims["acknowledged"]
                claims["tried"] = epoch + 1
                answer = self.ask(op="claim", node=1, incarnation=1, claims=[[1, epoch, 0]])
                self.assertEqual(answer["status"], 0, answer["why"])
                claims["acknowledged"] = epoch + 1

        thread = threading.Thread(target=load)
        thread.start()
        try:
            for _ in range(15):
                before = claims["acknowledged"]
                await_("claims go on", lambda: claims["acknowledged"] > before + 2)
                process.kill()
                process.wait()
                process = self.start()
        finally:
            stop.set()
            thread.join(PATIENCE)
        self.assertFalse(thread.is_alive())
        table = msgpack.unpackb(self.ask(op="table")["table"])
        epoch = {shard[0]: shard[1] for shard in table["shards"]}[1]
        self.assertEqual(epoch, claims["acknowledged"])
        self.assertEqual(claims["acknowledged"], claims["tried"])
        self.assertEqual(self.enrol(2)["incarnation"], 2)
        self.assertEqual(self.ask(op="claim", node=1, incarnation=1, claims=[[1, epoch, 0]])["status"], -21)

    def test_terminate_ends_it_cleanly_and_empties_the_lock(self):
        process = self.start()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertEqual((self.folder / "c" / "lock").read_text(), "")

    def test_second_one_on_the_folder_is_refused_with_the_first_ones_pid(self):
        process = self.start()
        code, _, err = stead("coordinator", "--folder", self.folder / "c", "--listen", "tcp://127.0.0.1:0", "--nodes", 1,
                             "--idle-exit-s", 0)
        self.assertEqual(code, 1)
        self.assertIn(str(process.pid), err)


class Load(threading.Thread):
    """Adds one to a counter, again and again, through the shell; knows what was acknowledged."""

    def __init__(self, endpoints, address):
        super().__init__()
        self.endpoints, self.address = endpoints, address
        self.acknowledged = self.unknown = 0
        self.ending = threading.Event()
        self.start()

    def run(self):
        number = 0
        while not self.ending.is_set():
            number += 1
            node = self.endpoints[number % len(self.endpoints)]
            code, _, _ = stead("call", "--timeout", "5s", self.address, "add", node=node)
            self.acknowledged += code == 0
            self.unknown += code != 0

    def stop(self):
        self.ending.set()
        self.join(PATIENCE)


class WithModule(Scratch):
    @classmethod
    def setUpClass(cls):
        cls.modules = pathlib.Path(tempfile.mkdtemp(prefix="stead-module-"))
        (cls.modules / "counter.c").write_text(COUNTER)
        subprocess.run(["cc", "-shared", "-fPIC", "-I", ROOT / "include", "-o", cls.modules / "counter.so",
                        cls.modules / "counter.c"], check=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.modules)

    def value(self, address, node):
        code, out, err = stead("call", "--json", "--timeout", "20s", address, "get", node=node)
        self.assertEqual(code, 0, err)
        return json.loads(out)["value"]


class Cluster(WithModule):
    def up(self, *words):
        self.addCleanup(stead, "down", "--folder", self.folder)
        return stead("up", *words, "--folder", self.folder, "--any-port", "--json", "--", "--module",
                     self.modules / "counter.so", "--reactors", 1)

    def down(self):
        return stead("down", "--folder", self.folder)

    def status(self):
        code, out, err = stead("cluster", "status", "--folder", self.folder, "--json")
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def pid(self, name):
        try:
            return int((self.folder / f"{name}.pid").read_text().split()[0])
        except (OSError, IndexError):
            return 0

    def endpoints(self):
        """Of n1, n2, ... in this order; the table has them in the order in which they registered."""
        return [node["endpoints"][0] for node in sorted(self.status()["nodes"], key=lambda node: node["name"])]

    def kill(self, name):
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        await_(f"{name} ends", lambda: not runs(pid))
        return pid

    def test_up_and_down_twice_keeps_the_data(self):
        for start in (1, 2):
            code, out, err = self.up(3)
            self.assertEqual(code, 0, err)
            self.assertEqual(json.loads(out)["started"], 3)
            endpoints = self.endpoints()
            self.assertEqual(len(endpoints), 3)
            for n in range(9):
                code, out, err = stead("call", "--json", f"counter/{n}", "add", node=endpoints[n % 3])
                self.assertEqual(code, 0, err)
                self.assertEqual(json.loads(out)["value"], start)
            pids = [process["pid"] for process in self.status()["processes"]]
            self.assertTrue(all(map(runs, pids)))
            code, out, err = self.down()
            self.assertEqual(code, 0, err)
            self.assertFalse(any(map(runs, pids)))
        code, _, err = self.down()
        self.assertNotEqual(code, 0)
        self.assertIn("no cluster runs", err)

    def test_second_up_is_refused_while_all_run_and_starts_what_is_down(self):
        self.assertEqual(self.up(2)[0], 0)
        code, _, err = self.up(2)
        self.assertNotEqual(code, 0)
        self.assertIn("running already", err)
        code, _, err = self.up(3)
        self.assertNotEqual(code, 0)
        self.assertIn("has 2 nodes", err)
        first = self.endpoints()[0]
        for n in range(8):
            self.assertEqual(stead("call", f"counter/{n}", "add", node=first)[0], 0)
        self.kill("n2")
        refused = [stead("call", "--timeout", "2s", f"counter/{n}", "add", node=first) for n in range(8)]
        self.assertEqual({code for code, _, _ in refused}, {0, 3})
        for n, (code, _, err) in enumerate(refused):
            if code:  # the node that is down is named
                self.assertRegex(err, rf"node n2 at tcp://127\.0\.0\.1:\d+ owns counter/{n} and does not answer")
        code, out, err = self.up(2)
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["started"], 1)
        for n, (code, _, _) in enumerate(refused):
            self.assertEqual(self.value(f"counter/{n}", first), 1 if code else 2)

    def test_request_that_overtakes_the_news_of_a_death_starts_the_node(self):
        self.assertEqual(self.up(2)[0], 0)
        supervisor, hangup = self.pid("supervisor"), 1 << (signal.SIGHUP - 1)
        os.kill(supervisor, signal.SIGSTOP)
        try:
            self.kill("n2")
            up = subprocess.Popen([PROGRAM, "up", "2", "--folder", self.folder, "--any-port", "--json", "--", "--module",
                                   self.modules / "counter.so", "--reactors", "1"], stdout=subprocess.DEVNULL)

            def pending():
                lines = pathlib.Path(f"/proc/{supervisor}/status").read_text().splitlines()
                return int(next(line.split()[1] for line in lines if line.startswith("ShdPnd")), 16)
            await_("the request is there beside the news", lambda: pending() & hangup)
        finally:
            os.kill(supervisor, signal.SIGCONT)
        self.assertEqual(up.wait(PATIENCE), 0)
        self.assertTrue(runs(self.pid("n2")))

    def test_node_that_is_stopping_is_started_again(self):
        self.assertEqual(self.up(2)[0], 0)
        old = self.pid("n2")
        os.kill(old, signal.SIGSTOP)  # its stop takes long
        try:
            os.kill(old, signal.SIGTERM)
            up = subprocess.Popen([PROGRAM, "up", "2", "--folder", self.folder, "--any-port", "--json", "--", "--module",
                                   self.modules / "counter.so", "--reactors", "1"], stdout=subprocess.DEVNULL)
            with self.assertRaises(subprocess.TimeoutExpired):  # not told that all runs
                up.wait(1)
        finally:
            os.kill(old, signal.SIGCONT)
        self.assertEqual(up.wait(PATIENCE), 0)
        self.assertNotEqual(self.pid("n2"), old)
        self.assertTrue(runs(self.pid("n2")))

    def test_kill_of_the_coordinator_under_load_loses_nothing(self):
        self.assertEqual(self.up(2)[0], 0)
        load = Load(self.endpoints(), "counter/load")
        try:
            for _ in range(5):
                before = load.acknowledged
                old = self.kill("coordinator")
                await_("a new coordinator", lambda: self.pid("coordinator") not in (0, old))
                await_("calls go on", lambda: load.acknowledged > before + 2)
        finally:
            load.stop()
        self.assertEqual(load.unknown, 0)  # it is off the data path
        self.assertEqual(self.value("counter/load", self.endpoints()[0]), load.acknowledged)
        self.kill("n1")  # the coordinator that came back knows whose shards these are
        code, _, err = self.up(2)
        self.assertEqual(code, 0, err)
        self.assertEqual(self.value("counter/load", self.endpoints()[1]), load.acknowledged)

    def test_label_of_one_node_draws_the_jobs_that_need_it_there_and_only_there(self):
        words = ["--label", "n2:gpu", "--on", "n1:--reactors=2", "--folder", self.folder, "--any-port", "--json", "--", "--module",
                 pathlib.Path(PROGRAM).parent / "tests" / "system" / "kinds.so", "--reactors", 1]
        self.addCleanup(stead, "down", "--folder", self.folder)
        code, _, err = stead("up", 3, *words)
        self.assertEqual(code, 0, err)

        def where(kind, count):
            calls = [stead("call", "--json", f"{kind}/{n}", "ask", node=self.endpoints()[0]) for n in range(count)]
            self.assertEqual({code for code, _, _ in calls}, {0}, calls)
            return {json.loads(out)["value"] for _, out, _ in calls}

        def labels():
            return {node["name"]: node["labels"] for node in self.status()["nodes"]}

        self.assertEqual(labels(), {"n1": [], "n2": ["gpu"], "n3": []})
        self.assertEqual({node["name"]: len(node["endpoints"]) for node in self.status()["nodes"]}, {"n1": 2, "n2": 1, "n3": 1})
        self.assertEqual(where("where-gpu", 8), {"n2"})
        self.assertEqual(where("where", 60), {"n1", "n2", "n3"})
        self.kill("n2")
        code, _, err = stead("up", "--label", "gpu", "--folder", self.folder)  # the supervisor would start it without
        self.assertNotEqual(code, 0)
        self.assertIn("other options", err)
        code, _, err = stead("up", *words)
        self.assertEqual(code, 0, err)
        self.assertEqual(where("where-gpu", 4), {"n2"})
        self.assertEqual(self.down()[0], 0)
        code, _, err = stead("up", "--folder", self.folder)  # those of the last time
        self.assertEqual(code, 0, err)
        self.assertEqual(labels(), {"n1": [], "n2": ["gpu"], "n3": []})
        self.assertEqual(self.down()[0], 0)
        code, _, err = stead("up", "--label", "n4:gpu", "--folder", self.folder)
        self.assertEqual(code, 2)
        self.assertIn("no n4", err)

    def test_kind_whose_label_no_node_has_says_so(self):
        self.addCleanup(stead, "down", "--folder", self.folder)
        code, _, err = stead("up", 1, "--folder", self.folder, "--any-port", "--", "--module",
                             pathlib.Path(PROGRAM).parent / "tests" / "system" / "kinds.so")
        self.assertEqual(code, 0, err)
        code, _, err = stead("call", "--timeout", "1s", "where-gpu/1", "ask", node=self.endpoints()[0])
        self.assertEqual(code, 3, err)
        self.assertIn("has the label", err)

    def test_down_ends_what_a_killed_supervisor_left(self):
        self.assertEqual(self.up(2)[0], 0)
        pids = [process["pid"] for process in self.status()["processes"]]
        self.kill("supervisor")
        code, _, err = self.up(2)
        self.assertNotEqual(code, 0)
        self.assertIn("stead down", err)
        self.assertEqual(self.down()[0], 0)
        self.assertFalse(any(map(runs, pids)))

    def test_up_with_a_module_that_is_missing_says_so_and_leaves_nothing(self):
        self.addCleanup(stead, "down", "--folder", self.folder)
        code, _, err = stead("up", 2, "--folder", self.folder, "--any-port", "--", "--module", "/does/not/exist.so")
        self.assertEqual(code, 1, err)
        self.assertIn("exist.so", err)
        self.assertNotEqual(self.down()[0], 0)

    def test_words_that_no_node_takes_are_refused_before_anything_starts(self):
        for words, reason in ((["--", "--nope=1"], "'--nope=1'"), (["--on", "n2:--memory=lots"], "--memory lots"),
                              (["--on", "n2:--folder=/tmp/x"], "given by `stead up`"), (["--", "--name", "other"], "given by `stead up`")):
            code, _, err = stead("up", 2, "--folder", self.folder, "--any-port", *words)
            self.assertEqual(code, 2, err)
            self.assertIn(reason, err)
            self.assertFalse((self.folder / "supervisor.log").exists())

    def test_up_that_fails_leaves_the_options_of_the_last_time(self):
        self.assertEqual(self.up(2)[0], 0)
        self.assertEqual(self.down()[0], 0)
        code, _, err = stead("up", "--folder", self.folder, "--module", "/does/not/exist.so")
        self.assertEqual(code, 1, err)
        code, _, err = stead("up", "--folder", self.folder)
        self.assertEqual(code, 0, err)


class SingleNode(WithModule):
    """`stead node` alone: its coordinator outlives a kill of the node and ends with its clean stop."""

    def start_node(self):
        log = (self.folder / "node.log").open("a")
        self.addCleanup(log.close)
        process = subprocess.Popen([PROGRAM, "node", "--folder", self.folder, "--listen", "tcp://127.0.0.1:0",
                                    "--reactors", "1", "--module", self.modules / "counter.so"],
                                   stdout=subprocess.PIPE, stderr=log, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        line = process.stdout.readline()
        self.assertRegex(line, r"serves at tcp://", (self.folder / "node.log").read_text())
        return process, re.search(r"tcp://\S+", line).group()

    def coordinator_pid(self):
        line = (self.folder / "coordinator" / "lock").read_text()
        return int(line.split()[0]) if line.endswith("\n") else 0

    def test_coordinator_outlives_a_killed_node_and_ends_with_a_stopped_one(self):
        node, endpoint = self.start_node()
        self.addCleanup(self.kill_coordinator)
        self.assertEqual(stead("call", "counter/a", "add", node=endpoint)[0], 0)
        coordinator = self.coordinator_pid()
        node.kill()
        node.wait()
        self.assertTrue(runs(coordinator))
        node, endpoint = self.start_node()
        self.assertEqual(self.coordinator_pid(), coordinator)
        self.assertEqual(self.value("counter/a", endpoint), 1)
        os.kill(coordinator, signal.SIGKILL)
        await_("the node starts another", lambda: self.coordinator_pid() not in (0, coordinator))
        self.assertEqual(self.value("counter/a", endpoint), 1)
        coordinator = self.coordinator_pid()
        node.send_signal(signal.SIGTERM)
        self.assertEqual(node.wait(PATIENCE), 0)
        self.assertFalse(runs(coordinator))

    def test_coordinator_ends_when_its_node_was_killed_and_its_folder_deleted(self):
        node, _ = self.start_node()
        coordinator = self.coordinator_pid()
        self.addCleanup(lambda: runs(coordinator) and os.kill(coordinator, signal.SIGKILL))
        node.kill()
        node.wait()
        shutil.rmtree(self.folder / "coordinator")
        await_("the coordinator ends", lambda: not runs(coordinator))
        self.assertFalse((self.folder / "coordinator").exists())

    def kill_coordinator(self):
        pid = self.coordinator_pid()
        if pid and runs(pid):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
