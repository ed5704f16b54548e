#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Looking at agents that are not there, and while their node is not."""
import json
import os
import queue
import signal
import subprocess
import threading

from harness import PATIENCE, PROGRAM, AgentError, Test, built, die_with_parent, main, run_stead, wait_until


class Looking(Test):
    def up(self):
        return self.node(modules=[built("kinds.so")])

    def show(self, node, address):
        code, out, err = run_stead("show", address, node=node.endpoint)
        self.assertEqual((code, err), (0, ""))
        return out

    def test_show_tells_what_waits_for_an_agent_that_was_never_made(self):
        node = self.up()
        self.assertIn("nothing was ever stored under this name", self.show(node, "record/none"))
        with self.assertRaises(AgentError):
            node.signal("record/refused", "toil", "no number")
        out = self.show(node, "record/refused")
        self.assertIn("dead letters 1: stead deadletters record/refused", out)
        self.assertIn("it has taken no message yet", out)
        self.assertNotIn("nothing was ever stored", out)
        self.assertEqual(run_stead("signal", "--delay", "1h", "record/later", "add", "1", node=node.endpoint)[0], 0)
        self.assertIn("1 signals", self.show(node, "record/later"))
        node.modules = []
        node.restart()
        self.assertIn("1 signals", self.show(node, "record/later"))
        self.assertIn("dead letters 1", self.show(node, "record/refused"))

    def test_followed_journal_goes_on_when_its_node_is_back(self):
        node = self.up()
        self.assertEqual(node.call("record/a", "add", 1), 1)
        log = self.folder / "follow.err"
        with open(log, "wb") as err:
            follower = subprocess.Popen([PROGRAM, "journal", "--follow", "--json", "record/a"], stdout=subprocess.PIPE, stderr=err,
                                        env={**os.environ, "STEAD_NODE": node.endpoint}, text=True, preexec_fn=die_with_parent)
        lines = queue.Queue()
        reader = threading.Thread(target=lambda: [lines.put(line) for line in follower.stdout])
        reader.start()
        try:
            self.assertEqual(json.loads(lines.get(timeout=PATIENCE))["op"], "add")
            for number in (2, 3):  # it goes away twice, and each time that is said once
                node.kill()
                wait_until("it says so", lambda: log.read_text().count("no node answers") == number - 1)
                node.start()
                self.assertEqual(node.call("record/a", "add", number), number)
                turn = json.loads(lines.get(timeout=PATIENCE))
                self.assertEqual((turn["op"], turn["status"]), ("add", "ok"))
            self.assertIsNone(follower.poll())
            self.assertEqual(log.read_text().count("no node answers"), 2)
            self.assertTrue(lines.empty())
        finally:
            follower.send_signal(signal.SIGINT)
            follower.wait(PATIENCE)
            reader.join()
            follower.stdout.close()


if __name__ == "__main__":
    main()
