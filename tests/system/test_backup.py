#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A backup taken while money moves restores to a moment that was: nothing lost, nothing made, everything acknowledged before it there."""
import os
import random
import shutil
import signal
import threading
import time
import unittest

from harness import PATIENCE, AgentError, CliError, Test, cli, built, example, main, run_stead, runs, scaled, wait_until

ACCOUNTS, EACH = 20, 1000


class Load(threading.Thread):
    """Moves money and adds numbers until it is stopped."""

    def __init__(self, node):
        super().__init__()
        self.client, self.added, self.done, self.failure = node.client(), set(), 0, None
        self.count = 0
        self.ending = threading.Event()
        self.start()

    def run(self):
        draw = random.Random(3)
        try:
            while not self.ending.is_set() or self.client.tickets:
                while len(self.client.tickets) < 32 and not self.ending.is_set():
                    source, target = draw.sample(range(ACCOUNTS), 2)
                    self.client.start("signal", f"record/{self.count % 8}", "add", self.count, context=self.count)
                    self.client.start("call", f"account/{source}", "transfer",
                                      {"to": f"account/{target}", "amount": draw.randint(1, 100)})
                    self.count += 1
                for ticket in self.client.poll(0.05):
                    if ticket.error is not None and ticket.error.name != "too_little":
                        raise ticket.error
                    self.done += 1
                    if ticket.context is not None:
                        self.added.add(ticket.context)
        except Exception as failure:  # told by finish(), on the test's own thread
            self.failure = failure

    def finish(self):
        self.ending.set()
        self.join(PATIENCE)
        assert not self.is_alive(), "requests without an outcome"
        if self.failure:
            raise self.failure


POSTS = 60


class Chatter(threading.Thread):
    """Makes agents of all nodes write and call each other until it is stopped; what was acknowledged, by agent."""

    def __init__(self, client, goal=None):
        super().__init__()
        self.client, self.goal, self.failure = client, goal, None
        self.told = [0] * POSTS  # turns of each agent that were acknowledged
        self.count = self.done = 0
        self.ending = threading.Event()
        self.start()

    def run(self):
        draw = random.Random(5)
        try:
            while not self.ending.is_set() or self.client.tickets:
                if self.count == self.goal:
                    self.ending.set()
                while len(self.client.tickets) < 64 and not self.ending.is_set() and self.count != self.goal:
                    source, target = draw.sample(range(POSTS), 2)
                    self.client.start("call", f"post/{source}", "chat", {"to": f"post/{target}"}, context=source)
                    self.count += 1
                for ticket in self.client.poll(0.05):
                    ticket.result()
                    self.told[ticket.context] += 1
                    self.done += 1
        except Exception as failure:  # told by finish(), on the test's own thread
            self.failure = failure

    def finish_all(self):
        """Waits until the goal is reached."""
        self.join(PATIENCE * 2)
        self.finish()

    def finish(self):
        self.ending.set()
        self.join(PATIENCE * 2)
        assert not self.is_alive(), "requests without an outcome"
        if self.failure:
            raise self.failure


def outbox_records(cluster):
    stats = cli("stats", node=cluster.endpoints()[0])
    return sum(reactor["gauges"]["outbox_records"] for node in stats["nodes"] for reactor in node["reactors"])


def counted(cluster, counter):
    stats = cli("stats", node=cluster.endpoints()[0])
    return sum(reactor["counters"][counter] for node in stats["nodes"] for reactor in node["reactors"])


def settled_posts(client):
    """What every post says when all that was sent has come and been answered."""
    def settled():
        posts = [client.call(f"post/{n}", "count") for n in range(POSTS)]
        total = {name: sum(post[name] for post in posts) for name in posts[0]}
        settled.total = total
        return (total["sent"] + total["asked"] == total["taken"] and total["asked"] == total["answered"] and
                total["delayed"] == total["late"]) and (posts, total)

    settled.total = None
    try:
        return wait_until("every letter has come and every call was answered", settled, step=0.2)
    except AssertionError as late:
        raise AssertionError(f"{late}: {settled.total}") from None


class Backup(Test):
    def restore_cluster(self, directory, name):
        """A cluster made of a backup; not started."""
        again = self.make_cluster(3, name=name, modules=[example("account"), built("kinds.so")], options=["--reactors", 2])
        code, _, err = run_stead("restore", "--cluster", directory, again.folder)
        self.assertEqual(code, 0, err)
        return again

    def check_posts(self, client, floor):
        posts, total = settled_posts(client)
        self.assertEqual((total["disorder"], total["failed"], total["twice"]), (0, 0, 0), total)
        self.assertEqual([n for n in range(POSTS) if posts[n]["asked"] < floor[n]], [], "acknowledged, and not there")
        return [post["asked"] for post in posts], total

    def test_cluster_backed_up_under_load_restores_to_one_moment(self):
        cluster = self.cluster(3, modules=[example("account"), built("kinds.so")], options=["--reactors", 2])
        for n in range(ACCOUNTS):
            cluster.client().call(f"account/{n}", "deposit", {"amount": EACH})
        for n in range(POSTS):
            cluster.client().call(f"post/{n}", "storm", True)
        chatter, load, backups = Chatter(cluster.client()), Load(cluster), []
        try:
            for number in range(scaled(2)):
                goal = chatter.done + 40  # each begins a circle of calls that goes on by itself
                wait_until("work goes on", lambda: chatter.done > goal or chatter.failure)
                floor, added = list(chatter.told), set(load.added)
                told = cli("backup", self.folder / f"backup-{number}", node=cluster.endpoints()[0])
                self.assertNotIn("missing", told)
                directories = sorted(type(self.folder)(one["directory"]) for one in told["nodes"])
                self.assertEqual([one.name for one in directories], ["n1", "n2", "n3"])
                backups.append((directories, floor, added))
        finally:
            chatter.finish()
            load.finish()
        cluster.end()
        for number, (directories, floor, added) in enumerate(backups):
            again = self.restore_cluster(directories[0].parent, f"again-{number}")
            self.assertEqual(again.up(), 3)
            client = again.client()
            for n in range(POSTS):
                client.call(f"post/{n}", "storm", False)
            there, before = self.check_posts(client, floor)
            self.check_money_and_numbers(client, added)
            Chatter(again.client(), scaled(1500, 200)).finish_all()
            _, after = self.check_posts(client, there)
            self.assertEqual(after["asked"] - before["asked"], scaled(1500, 200))
            wait_until("every outbox is empty", lambda: outbox_records(again) == 0)
            self.assertEqual(counted(again, "history_lost"), 0)
            again.end()
            for directory in directories:
                self.assert_sound(again.folder / directory.name)
            print(f"backup {number}: {sum(floor)} acknowledged before it, {before['asked']} in it", flush=True)

    def check_money_and_numbers(self, node, before):
        """`node`: one, or the client of a cluster."""
        def settled():
            states = [node.call(f"account/{n}", "get") for n in range(ACCOUNTS)]
            return sum(s["sent"] - s["received"] - s["refunded"] for s in states) == 0 and states

        states = wait_until("all money has arrived", settled)
        self.assertEqual(sum(state["balance"] for state in states), ACCOUNTS * EACH)
        there = set()
        for agent in range(8):
            self.assertEqual(node.call(f"record/{agent}", "get")["twice"], 0)
            start = 0
            while page := node.call(f"record/{agent}", "list", {"from": start}):
                there.update(page)
                start = page[-1] + 1
        self.assertEqual(sorted(before - there)[:20], [], "acknowledged before the backup, and not in it")
        return there

    def test_backup_under_load_restores_to_a_consistent_state(self):
        modules = [example("account"), built("kinds.so")]
        node = self.node(modules=modules, options=["--reactors", 2])
        for n in range(ACCOUNTS):
            node.call(f"account/{n}", "deposit", {"amount": EACH})
        load = Load(node)
        backups = []
        try:
            for number in range(scaled(3, 2)):
                goal = load.done + scaled(2000, 100)
                wait_until("work goes on", lambda: load.done > goal or load.failure)
                before = set(load.added)
                told = node.cli("backup", self.folder / f"backup-{number}")
                self.assertEqual([one["name"] for one in told["nodes"]], ["n1"])
                backups.append((told["nodes"][0]["directory"], before))
        finally:
            load.finish()
        self.assertEqual(node.stop(), 0)
        for number, (directory, before) in enumerate(backups):
            self.assertEqual(run_stead("restore", "--verify", directory)[0], 0)
            restored = self.make_node(f"restored-{number}", modules=modules, options=["--reactors", 2])
            code, _, err = run_stead("restore", directory, restored.folder)
            self.assertEqual(code, 0, err)
            self.assert_sound(restored.folder)
            restored.start()
            there = self.check_money_and_numbers(restored, before)
            restored.call("record/0", "add", 1 << 40)  # it takes new work
            self.assertEqual(restored.stop(), 0)
            self.assert_sound(restored.folder)
            print(f"backup {number}: {len(before)} acknowledged before it, {len(there)} in it", flush=True)

    def settle_counts(self, client):
        """What the posts say when nothing moves any more; what was lost may be owed for ever."""
        def still():
            total = self.total(client)
            same, still.last = total == still.last, total
            return same and total

        still.last = None
        return wait_until("nothing moves any more", still, step=2.5)  # the last delayed letter comes after 2 s

    def total(self, client):
        posts = [client.call(f"post/{n}", "count") for n in range(POSTS)]
        return {name: sum(post[name] for post in posts) for name in posts[0]}

    def test_node_restored_alone_goes_on_with_the_others(self):
        cluster = self.cluster(3, modules=[built("kinds.so")], options=["--reactors", 2])
        client = cluster.client()
        for n in range(POSTS):
            client.call(f"post/{n}", "storm", True)
        chatter = Chatter(cluster.client())
        try:
            wait_until("work goes on", lambda: chatter.done > 40 or chatter.failure)
            told = cli("backup", self.folder / "backup", node=cluster.endpoints()[0])
            after = chatter.done + 40
            wait_until("work goes on", lambda: chatter.done > after or chatter.failure)
        finally:
            chatter.finish()
        for n in range(POSTS):
            client.call(f"post/{n}", "storm", False)
        run_stead("down", "--folder", cluster.folder)
        directory = {one["name"]: one["directory"] for one in told["nodes"]}["n2"]
        shutil.rmtree(cluster.folder / "n2")
        code, _, err = run_stead("restore", "--this-node-may-forget-what-others-remember", directory, cluster.folder / "n2")
        self.assertEqual(code, 0, err)
        shutil.rmtree(cluster.folder / "n2" / "coordinator")
        logs = {name: len(cluster.log(name)) for name in ("n1", "n2", "n3")}
        cluster.up()

        client = cluster.client()
        for n in range(POSTS):
            client.call(f"post/{n}", "storm", False)
        Chatter(cluster.client(), scaled(2000, 300)).finish_all()  # over every channel that anybody has forgotten something of
        wait_until("every outbox is empty", lambda: outbox_records(cluster) == 0)
        before = self.settle_counts(client)
        Chatter(cluster.client(), scaled(2000, 300)).finish_all()
        wait_until("every outbox is empty", lambda: outbox_records(cluster) == 0)
        after = self.settle_counts(client)
        delta = {name: after[name] - before[name] for name in after}
        count = scaled(2000, 300)
        self.assertEqual([delta[name] for name in ("asked", "taken", "answered", "failed", "disorder")],
                         [count, 2 * count, count, 0, 0], "new letters and calls all arrive, in order")
        self.assertEqual(delta["late"], delta["delayed"])
        lines = [line for name, start in logs.items() for line in cluster.log(name)[start:].splitlines()]
        lost = [line for line in lines if "history lost" in line]
        self.assertGreater(len(lost), 0)
        self.assertEqual(counted(cluster, "history_lost"), len(lost), "each is told once")
        self.assertLess(len(lost), 4 * POSTS * POSTS)
        self.assertGreater(counted(cluster, "history_lost_records"), 0)
        self.assertEqual([line for line in lines if "record_refused" in line], [])
        print(f"{len(lost)} channels go on behind {counted(cluster, 'history_lost_records')} forgotten messages", flush=True)

    def held(self, client, node, token, ms=60000):
        return client.query("hold", {"token": token, "ms": ms}, node=node)["nodes"][0]

    def test_cluster_is_restored_only_whole_and_of_one_moment(self):
        cluster = self.cluster(2, modules=[built("kinds.so")], options=["--reactors", 1])
        for name in ("first", "second"):
            cli("backup", self.folder / name, node=cluster.endpoints()[0])
        into = self.folder / "again"

        def refused(backup, why):
            code, out, err = run_stead("restore", "--cluster", backup, into)
            self.assertEqual((code, out), (1, ""))
            self.assertIn(why, err)
            self.assertFalse(into.exists())

        mixed = self.folder / "mixed"
        shutil.copytree(self.folder / "first", mixed)
        shutil.rmtree(mixed / "n2")
        refused(mixed, "not the backup of a whole cluster")
        shutil.copytree(self.folder / "second" / "n2", mixed / "n2")
        refused(mixed, "different moments")
        (mixed / "n2").rename(mixed / "n3")
        refused(mixed, "renamed")
        refused(self.folder / "first" / "n1", "no manifest")
        code, out, _ = run_stead("restore", "--cluster", "--verify", "--json", self.folder / "first")
        self.assertEqual((code, len(out.splitlines()), into.exists()), (0, 2, False))

    def test_backup_that_cannot_be_of_one_moment_fails(self):
        cluster = self.cluster(2, modules=[built("kinds.so")], options=["--reactors", 2])
        client, asker = cluster.client(), cluster.client()
        mine, other = "11" * 16, "22" * 16
        ids = {node["name"]: node["id"] for node in cluster.status()["nodes"]}

        with self.assertRaises(AgentError) as refused:
            client.query("backup", {"directory": str(self.folder / "none")}, node=ids["n1"])
        self.assertEqual(refused.exception.code, "conflict")
        with self.assertRaises(AgentError) as refused:
            client.query("hold", {"token": "xyz", "ms": 100}, node=ids["n1"])
        self.assertEqual(refused.exception.code, "bad_argument")

        # Whoever holds may die: the nodes let go by themselves. What came meanwhile was not taken before that.
        for name in ids:
            self.assertTrue(self.held(client, ids[name], mine, 1500)["held"])
        began = time.monotonic()
        tickets = [asker.start("call", f"record/{n}", "add", 1) for n in range(20)]
        self.assertFalse(self.held(client, ids["n1"], other)["held"], "another one's backup")
        code, _, err = run_stead("backup", self.folder / "second", node=cluster.endpoints()[0])
        self.assertEqual(code, 1)
        self.assertIn("another backup is being made", err)
        for ticket in tickets:
            self.assertEqual(asker.wait(ticket), 1)
        self.assertGreaterEqual(time.monotonic() - began, 1.0)
        told = client.query("backup", {"directory": str(self.folder / "late"), "token": mine, "nodes": ["n1", "n2"]}, node=ids["n1"])
        self.assertEqual(told["nodes"], [])
        self.assertIn("does not hold", told["failed"][0]["why"])

        # A node whose answer came too late for the others.
        for name in ids:
            self.assertTrue(self.held(client, ids[name], other)["held"])
        told = client.query("backup", {"directory": str(self.folder / "part"), "token": other, "nodes": ["n1"]}, node=ids["n1"])
        self.assertEqual([one["name"] for one in told["nodes"]], ["n1"])
        told = client.query("backup", {"directory": str(self.folder / "part"), "token": other, "nodes": ["n1"]}, node=ids["n2"])
        self.assertEqual(told["nodes"], [])
        self.assertIn("too late", told["failed"][0]["why"])
        self.assertFalse((self.folder / "part" / "n2").exists())

        # A node that dies while it holds comes back without the hold.
        for name in ids:
            self.assertTrue(self.held(client, ids[name], mine)["held"])
        cluster.kill("n2")
        wait_until("n2 is back", lambda: cluster.pid("n2") and runs(cluster.pid("n2")) or cluster.up())
        client = cluster.client()
        told = wait_until("n2 answers", lambda: client.query(
            "backup", {"directory": str(self.folder / "broken"), "token": mine, "nodes": ["n1", "n2"]}, node=ids["n2"],
            timeout=10))
        self.assertEqual(told["nodes"], [])
        self.assertIn("does not hold", told["failed"][0]["why"])
        self.assertFalse(self.held(client, ids["n1"], mine, 0)["held"])  # let go
        self.assertEqual(client.call("record/3", "add", 2), 2)
        told = cli("backup", self.folder / "whole", node=cluster.endpoints()[0])
        self.assertEqual([sorted(one["name"] for one in told["nodes"]), told["failed"]], [["n1", "n2"], []])
        self.assertFalse((cluster.folder / "n1" / "copy").exists())

    def test_damaged_backup_is_found_and_not_restored(self):
        node = self.node(modules=[built("kinds.so")])
        for n in range(200):
            node.signal("record/a", "add", n)
        directory = self.path_of(node.cli("backup", self.folder / "backup"))
        files = sorted(path for path in directory.rglob("*") if path.is_file() and path.stat().st_size > 100)
        self.assertTrue(files)
        for path in files:
            whole = path.read_bytes()
            middle = len(whole) // 2
            path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:])
            code, _, err = run_stead("restore", directory, self.folder / "restored")
            self.assertEqual(code, 1, f"{path.name}: a flipped bit was not seen")
            self.assertFalse((self.folder / "restored").exists(), path.name)
            self.assertTrue(err)
            path.write_bytes(whole[:middle])
            self.assertEqual(run_stead("restore", "--verify", directory)[0], 1, path.name)
            path.write_bytes(whole)
        self.assertEqual(run_stead("restore", "--verify", directory)[0], 0)

    def path_of(self, told):
        return type(self.folder)(told["nodes"][0]["directory"])

    def test_backup_into_a_folder_that_exists_is_refused_and_overwrites_nothing(self):
        node = self.node(modules=[built("kinds.so")])
        node.call("record/a", "add", 1)
        taken = self.folder / "backup"
        node.cli("backup", taken)
        names = sorted(path.name for path in taken.rglob("*"))
        with self.assertRaises(CliError):
            node.cli("backup", taken)
        self.assertEqual(sorted(path.name for path in taken.rglob("*")), names)
        self.assertEqual(run_stead("restore", "--verify", taken / "n1")[0], 0)

    def test_backup_that_is_asked_for_again_while_it_is_made_is_made_once(self):
        """A client asks again after a while; a backup takes longer: this one waits for what the coordinator knows."""
        node = self.node(modules=[built("kinds.so")])
        node.call("record/a", "add", 1)
        client = node.client()
        coordinator = node.coordinator_pid()
        os.kill(coordinator, signal.SIGSTOP)
        try:
            ticket = client.start("query", "", "backup", {"directory": str(self.folder / "backup"), "token": "1" * 32})
            wait_until("it has asked three times", lambda: client.poll(0.01) is not None and ticket.sends >= 3, step=0)
        finally:
            os.kill(coordinator, signal.SIGCONT)
        told = client.wait(ticket)
        self.assertEqual(([one["name"] for one in told["nodes"]], told["failed"]), (["n1"], []))
        self.assertEqual(run_stead("restore", "--verify", self.folder / "backup" / "n1")[0], 0)

    def test_one_node_of_several_is_restored_only_when_asked_for_by_name(self):
        cluster = self.cluster(3, modules=[built("kinds.so")], options=["--reactors", 1])
        client = cluster.client()
        for n in range(30):
            client.call(f"record/{n}", "add", n)
        told = cli("backup", self.folder / "backup", node=cluster.endpoints()[0])
        self.assertEqual(sorted(one["name"] for one in told["nodes"]), ["n1", "n2", "n3"])
        for one in told["nodes"]:
            code, _, err = run_stead("restore", one["directory"], self.folder / f"new-{one['name']}")
            self.assertEqual(code, 1)
            self.assertIn("--this-node-may-forget-what-others-remember", err)
            self.assertFalse((self.folder / f"new-{one['name']}").exists())
            code, _, err = run_stead("restore", "--this-node-may-forget-what-others-remember", one["directory"],
                                     self.folder / f"new-{one['name']}")
            self.assertEqual(code, 0, err)
            self.assert_sound(self.folder / f"new-{one['name']}")

    def test_whole_cluster_is_restored_and_started_from_its_backups(self):
        cluster = self.cluster(2, modules=[built("kinds.so")], options=["--reactors", 1])
        client = cluster.client()
        for n in range(30):
            client.call(f"record/{n}", "add", n)
        told = cli("backup", self.folder / "backup", node=cluster.endpoints()[0])
        for n in range(30):
            client.call(f"record/{n}", "add", 1000 + n)  # after the backup: forgotten by the restore
        cluster.end()

        again = self.make_cluster(2, name="again", modules=[built("kinds.so")], options=["--reactors", 1])
        again.folder.mkdir()
        for one in told["nodes"]:
            code, _, err = run_stead("restore", "--this-node-may-forget-what-others-remember", one["directory"],
                                     again.folder / one["name"])
            self.assertEqual(code, 0, err)
        (again.folder / "n1" / "coordinator").rename(again.folder / "coordinator")
        shutil.rmtree(again.folder / "n2" / "coordinator")
        self.assertEqual(again.up(), 2)
        client = again.client()
        for n in range(30):
            self.assertEqual(client.call(f"record/{n}", "list"), [n], f"record/{n}")
            client.call(f"record/{n}", "add", 2000)
        nodes = {node["name"]: node["alive"] for node in again.status()["nodes"]}
        self.assertEqual(nodes, {"n1": True, "n2": True})


if __name__ == "__main__":
    main()
