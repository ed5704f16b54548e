#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An idle node does nothing: no bytes written, no wake-ups of its own threads beyond the control thread's heartbeat.

By /proc: voluntary context switches and processor time of each thread, bytes written by the process. ZeroMQ's and RocksDB's threads are
counted too, but what they do is not stead's.
"""
import os
import pathlib
import time
import unittest

from harness import Test, built, main, run_stead, wait_until

SECONDS = 5.0
HEARTBEATS_A_SECOND = 4  # the control thread asks once a second, takes the answer, and looks at disk and turns
TICKS_A_SECOND = 1.4  # of a reactor that has a connection, or had one in the last minute (net/transport.h)
INSTANCES = 10000
FOREIGN = ("ZMQbg", "rocksdb")


def switches(pid):
    """{thread id: (name, voluntary switches)}"""
    counts = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        lines = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        counts[int(task.name)] = (lines["Name"], int(lines["voluntary_ctxt_switches"]))
    return counts


def written(pid):
    """Bytes that the process has handed to write()."""
    lines = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["wchar"])


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def folder_bytes(folder):
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


class Idle(Test):
    def calm(self, pid):
        """Waits until what the load left to do is done: two looks in a row that saw no thread of stead's at work."""
        def no_work():
            before = switches(pid)
            time.sleep(0.5)  # how long a look takes
            after = switches(pid)
            return all(after[t][1] - before.get(t, ("", 0))[1] <= 3 for t in after if not after[t][0].startswith(FOREIGN))

        wait_until("the node comes to rest", lambda: no_work() and no_work())

    def measure(self, node, reactors_with_connections=0):
        pid = node.process.pid
        self.calm(pid)
        before, bytes_before, files = switches(pid), written(pid), folder_bytes(node.folder / "store")
        seconds_before = processor_seconds(pid)
        time.sleep(SECONDS)  # what is measured is this time
        after, bytes_after = switches(pid), written(pid)
        busy = [(name, count - before.get(thread, ("", 0))[1]) for thread, (name, count) in after.items()]
        print(f"in {SECONDS:.0f} s: voluntary switches {busy}, {bytes_after - bytes_before} bytes, "
              f"{processor_seconds(pid) - seconds_before:.2f} s of processor", flush=True)
        total = sum(count for name, count in busy if not name.startswith(FOREIGN))
        self.assertLessEqual(total, (HEARTBEATS_A_SECOND + TICKS_A_SECOND * reactors_with_connections) * SECONDS,
                             f"wake-ups of stead's own threads: {busy}")
        self.assertEqual(folder_bytes(node.folder / "store"), files, "an idle node wrote to its store")
        return bytes_after - bytes_before

    def test_node_that_was_never_used_sleeps(self):
        node = self.node(modules=[built("kinds.so")], options=["--reactors", 2])
        self.measure(node)

    def test_node_that_was_used_sleeps_again(self):
        node = self.node(modules=[built("kinds.so")], options=["--reactors", 2, "--idle", "1s"])
        with node.client() as client:
            for n in range(2000):
                client.start("signal", f"record/{n % 50}", "add", n)
            self.assertTrue(client.drain())
            client.call("alarm/a", "arm", {"name": "far", "after_ms": 3600000})
        self.measure(node, reactors_with_connections=2)
        self.assertEqual(run_stead("call", "record/1", "get", node=node.endpoint)[0], 0)
        self.assertEqual(node.stop(), 0)

    def test_suspended_orchestrations_cost_nothing_resident_or_not(self):
        for idle, resident in (("60m", True), ("1s", False)):
            node = self.node(folder=f"data-{idle}", modules=[built("soak.so")], options=["--reactors", 2, "--idle", idle])
            with node.client() as client:
                for n in range(INSTANCES):
                    client.start("call", f"orchestration/s{n}", "start", {"name": "sleeper"})
                self.assertTrue(client.drain())

            def residents():
                return sum(it["gauges"]["agents_resident"] for it in node.cli("stats")["nodes"][0]["reactors"])
            if not resident:
                wait_until("they are unloaded", lambda: residents() == 0)
            self.measure(node, reactors_with_connections=2)
            self.assertEqual(residents(), INSTANCES if resident else 0)
            with node.client() as client:
                client.call("orchestration/s7", "raise", {"name": "wake", "value": 7})
                self.assertEqual(client.call("orchestration/s7", "wait")["output"], 7)
            self.assertEqual(node.stop(), 0)


if __name__ == "__main__":
    main()
