#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instances that have begun and whose code is not loaded any more, on either fabric.
Usage: test_unloaded.py PROGRAM [unittest arguments]"""
import json

from harness import main, wait_until
from test_hub import OnHub
from test_orchestrations import Orchestrations


class Unloaded(Orchestrations):
    def test_it_is_suspended_and_resumed(self):
        node = self.serve()
        self.start("approve", id="a1")
        self.await_custom("a1", "waits for approval")
        modules, node.modules = node.modules, []
        node.restart()
        node.cli("suspend", "a1", "its module is being built")
        self.assertEqual(self.status("a1")["status"], "Suspended")
        node.cli("raise", "a1", "approved", "1")
        wait_until("the event is in the history", lambda: "EventRaised" in self.types("a1"))
        node.modules = modules
        node.restart()
        self.assertEqual(self.status("a1")["status"], "Suspended")
        node.cli("resume", "a1")
        self.assertEqual(self.await_status("a1", "Completed")["output"], 1)

    def test_it_is_pending_until_it_is_loaded(self):
        node = self.serve()
        for id in ("a1", "a2", "a3"):
            self.start("approve", id=id)
            self.await_custom(id, "waits for approval")
        modules, node.modules = node.modules, []
        node.restart()
        for id in ("a1", "a2"):
            node.cli("suspend", id, "its module is being built")
            node.cli("resume", id)
            self.await_status(id, "Pending")
        node.cli("suspend", "a2")
        self.assertEqual(self.status("a2")["status"], "Suspended")
        for id in ("a1", "a2", "a3"):
            node.cli("raise", id, "approved", json.dumps(id))
        self.await_status("a3", "Pending")
        node.cli("terminate", "a3", "not needed")
        self.assertEqual(self.await_status("a3", "Terminated", "Canceled")["status"], "Terminated")
        node.modules = modules
        node.restart()
        self.assertEqual(self.await_status("a1", "Completed")["output"], "a1")
        self.assertEqual(self.status("a2")["status"], "Suspended")
        node.cli("resume", "a2")
        self.assertEqual(self.await_status("a2", "Completed")["output"], "a2")


class UnloadedOnHub(OnHub, Unloaded):
    pass


if __name__ == "__main__":
    main()
