#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rewinds of what failed in or behind a critical section, and of trees: the same on either fabric.
Usage: test_rewind.py PROGRAM [unittest arguments]"""
import json
import pathlib
import subprocess
import threading

from harness import CliError, Test, built, main, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Rewind(Test):
    FABRIC = "direct"

    def serve(self):
        self.n1 = self.node(modules=[built("rewinds.so")])
        self.fabric = ("--fabric", self.FABRIC)
        if self.FABRIC == "hub":
            self.n1.cli("hub", "create", "main", "--hide", "500ms", "--poll", "notify", "--keep", "250ms")
        self.gate, self.log = self.folder / "gate", self.folder / "log"
        return self.n1

    def start(self, name, value, id):
        self.n1.cli("run", name, json.dumps(value), "--id", id, *self.fabric)

    def steer(self, verb, id, *words):
        self.n1.cli(verb, id, *words, *self.fabric)

    def look(self, id):
        return self.n1.cli("status", id, *self.fabric)

    def await_status(self, id, wanted):
        def look():
            it = self.look(id)
            return it if it["status"] == wanted else None
        return wait_until(f"{id} is {wanted}", look)

    def count(self, address):
        return self.n1.cli("show", address)["state"]["count"]

    def args(self, **more):
        return {"gate": str(self.gate), "log": str(self.log), **more}

    def check_section(self, name):
        """It fails; somebody else takes one of its agents; it is rewound, and waits for that; its node dies; it goes on."""
        node = self.serve()
        self.start(name, self.args(**{"from": "till/a", "to": "till/b"}), "s1")
        self.assertEqual(self.await_status("s1", "Failed")["error"]["name"], "gate_closed")
        wait_until("nothing is held", lambda: not node.cli("locks"))
        self.assertEqual(self.count("till/a"), 1)
        self.start("holder", "till/b", "h1")
        wait_until("somebody else holds one", lambda: [it["address"] for it in node.cli("locks")] == ["till/b"])
        self.gate.touch()
        self.steer("rewind", "s1")
        wait_until("it holds what it can", lambda: len(node.cli("locks")) == 2)
        node.restart()
        self.assertEqual(self.look("s1")["status"], "Running")
        self.steer("raise", "h1", "go")
        self.await_status("s1", "Completed")
        self.assertEqual((self.count("till/a"), self.count("till/b")), (1, 1))
        wait_until("nothing is held any more", lambda: not node.cli("locks"))

    def test_failure_behind_an_unlocked_section_is_mended(self):
        self.check_section("transfer")

    def test_failure_inside_a_section_is_mended(self):
        self.check_section("inside")

    def test_termination_reaches_who_waits_for_its_locks_again(self):
        node = self.serve()
        self.start("transfer", self.args(**{"from": "till/a", "to": "till/b"}), "s1")
        self.await_status("s1", "Failed")
        self.start("holder", "till/b", "h1")
        wait_until("somebody else holds one", lambda: [it["address"] for it in node.cli("locks")] == ["till/b"])
        self.steer("rewind", "s1")
        wait_until("it holds what it can", lambda: len(node.cli("locks")) == 2)
        self.steer("terminate", "s1")
        wait_until("it has given that back", lambda: [it["address"] for it in node.cli("locks")] == ["till/b"])
        self.steer("raise", "h1", "go")
        wait_until("nothing is held any more", lambda: not node.cli("locks"))

    def test_failed_child_is_rewound_with_its_parent(self):
        node = self.serve()
        self.start("family", self.args(), "f1")
        self.await_status("f1", "Failed")
        self.await_status("f1 KID", "Failed")
        self.steer("rewind", "f1")  # it fails again
        wait_until("both have failed again", lambda: self.look("f1 KID")["status"] == self.look("f1")["status"] == "Failed"
                   and len([it for it in node.cli("history", "f1", *self.fabric) if it["type"] == "ExecutionFailed"]) == 2)
        self.gate.touch()
        self.steer("rewind", "f1")
        self.assertEqual(self.await_status("f1", "Completed")["output"], "through")
        self.assertEqual(self.look("f1 KID")["execution"], 1)
        self.assertEqual(self.log.read_text(), "step\ngate\n")

    def test_child_that_was_rewound_alone_is_asked_for_its_output(self):
        self.serve()
        self.start("family", self.args(), "f1")
        self.await_status("f1", "Failed")
        self.gate.touch()
        self.steer("rewind", "f1 KID")
        self.await_status("f1 KID", "Completed")
        self.steer("rewind", "f1")
        self.assertEqual(self.await_status("f1", "Completed")["output"], "through")
        self.assertEqual(self.look("f1 KID")["execution"], 1)
        self.assertEqual(self.log.read_text(), "step\ngate\n")

    def test_child_whose_code_differs_fails_its_parents_task_by_this_name(self):
        node = self.serve()
        self.start("asks", self.args(), "a1")
        wait_until("the child has begun", lambda: self.log.exists() and "TaskCompleted" in [
            it["type"] for it in node.cli("history", "a1 KID", *self.fabric)])
        other = self.folder / "other.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-DCHANGED", f"-I{ROOT}/include", "-o", str(other),
                        str(ROOT / "tests/system/rewinds.c")], check=True)
        node.modules[0] = other
        node.restart()
        self.steer("raise", "a1 KID", "go")
        self.assertEqual(self.await_status("a1", "Completed")["output"], [-1, "nondeterminism"])


    def rewind_in_spite_of_all(self, id):
        """Asks until it has been done: nodes die."""
        def asked():
            try:
                self.steer("rewind", id)
            except CliError as error:
                return error.error.get("code") == "wrong_state"
            return True
        wait_until(f"{id} is rewound", asked)

    def test_many_are_rewound_while_their_node_is_killed(self):
        node = self.serve()
        sections, families = [f"s{number}" for number in range(24)], [f"f{number}" for number in range(8)]
        for number, id in enumerate(sections):
            accounts = {"from": f"till/a{number % 4}", "to": f"till/b{number % 3}"}
            self.start(("transfer", "inside")[number % 2], self.args(**accounts), id)
        for id in families:
            self.start("family", self.args(), id)
        for id in sections + families:
            self.await_status(id, "Failed")
        self.gate.touch()
        mixed = sections[::3] + families + sections[1::3] + sections[2::3]
        rewinding = [threading.Thread(target=lambda ids: [self.rewind_in_spite_of_all(id) for id in ids], args=(mixed[part::3],))
                     for part in range(3)]
        for thread in rewinding:
            thread.start()
        for part in (2, 8, 16, 24):
            wait_until(f"{part} have been rewound", lambda: sum(self.look(id)["status"] != "Failed" for id in mixed) >= part)
            node.restart()
        for thread in rewinding:
            thread.join()
        for id in mixed:
            self.await_status(id, "Completed")
        for side, count in (("a", 4), ("b", 3)):
            self.assertEqual(sum(self.count(f"till/{side}{number}") for number in range(count)), len(sections))
        self.assertEqual(self.log.read_text().split().count("step"), len(families))  # before the first kill
        self.assertEqual({self.look(f"{id} KID")["execution"] for id in families}, {1})
        wait_until("nothing is held any more", lambda: not node.cli("locks"))


class OnHub(Rewind):
    FABRIC = "hub"


if __name__ == "__main__":
    main()
