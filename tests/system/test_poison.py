#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A message whose turn ends the process: it is tried three times, then set aside and listed, and everything else goes on, once.

So is a timer that rings again, as long as the node is not stopped cleanly; and an agent whose load ends the process cannot be read until then.

The process that starts again knows by the file of its turns which message it died of; the file outlives SIGKILL, since the kernel writes it.
"""
import os

from harness import AgentError, Test, built, main, wait_until

TRIES = 3  # struct stead_settings, poison_kills_max


class Poison(Test):
    def setUp(self):
        super().setUp()
        self.n1 = self.node(modules=[built("fragile.so")], options=["--reactors", 2])

    def outlive(self, done):
        """Starts the node again as often as it ends, until done() holds; how often it ended."""
        ends = 0

        def look():
            nonlocal ends
            if self.n1.process.poll() is not None:
                self.assertNotEqual(self.n1.wait(), 0)
                ends += 1
                self.assertLessEqual(ends, TRIES, self.n1.log())
                self.n1.launch()
                self.n1.await_line()
                return False
            try:
                return done()
            except (AgentError, AssertionError, OSError):
                return False  # it is about to end

        wait_until("the node goes on", look)
        return ends

    def send(self, *request):
        """The node may die of it before it has answered: then the client asks again."""
        self.client = self.n1.client(timeout=60.0)
        return self.client.start(*request)

    def letters(self):
        """A node that dies of it while it is asked does not come back by itself: outlive() has to have its turn."""
        letters = self.n1.cli("deadletters", "--timeout", "2s")
        return [(letter["address"], letter["op"], letter["error"]["name"]) for letter in letters]

    def get(self, address):
        return self.n1.call(address, "get", timeout=5.0)

    def assert_goes_on(self):
        """It has come to rest: other agents work, it stops cleanly, comes back whole and tries nothing again."""
        before = self.letters()
        self.assertEqual(self.n1.call("fragile/other", "mark"), 1)
        self.assertEqual(self.n1.stop(), 0)
        self.assert_sound(self.n1.folder)
        self.n1.start()
        self.assertEqual(self.get("fragile/other"), 1)
        self.assertEqual(self.letters(), before)

    def test_signal_of_an_agent_is_set_aside_and_those_around_it_run_once(self):
        ticket = self.send("signal", "fragile/a", "upset", "fragile/b")
        ends = self.outlive(lambda: self.client.poll(0.02) is not None and ticket.done and self.letters() and self.get("fragile/b") == 2)
        self.assertEqual(ends, TRIES)
        self.assertEqual(self.letters(), [("fragile/b", "strike", "poison")])
        self.assertEqual(self.get("fragile/b"), 2)  # and nothing of what the fatal turn did
        self.assert_goes_on()
        letter, = self.n1.cli("deadletters", "fragile/b")
        self.n1.cli("deadletters", "fragile/b", "drop", letter["id"])
        self.assertEqual(self.letters(), [])

    def test_call_of_a_client_is_answered_with_poison(self):
        ticket = self.send("call", "fragile/c", "strike")
        self.assertEqual(self.outlive(lambda: self.client.poll(0.05) is not None and ticket.done), TRIES)
        self.assertEqual(ticket.error.code, "poison")
        self.assertEqual(self.get("fragile/c"), 0)
        self.assert_goes_on()

    def test_timer_is_set_aside(self):
        ticket = self.send("call", "fragile/d", "arm", 1)
        self.assertEqual(self.outlive(lambda: self.client.poll(0.02) is not None and ticket.done and self.letters()), TRIES)
        self.assertEqual(self.letters(), [("fragile/d", "strike", "poison")])
        self.assert_goes_on()

    def test_answer_is_set_aside(self):
        ticket = self.send("signal", "fragile/e", "ask", "fragile/f")
        self.assertEqual(self.outlive(lambda: self.client.poll(0.02) is not None and ticket.done and self.letters()), TRIES)
        self.assertEqual(self.letters(), [("fragile/e", "strike", "poison")])
        self.assertEqual(self.get("fragile/f"), 1)
        self.assert_goes_on()

    def died_in(self, text):
        """Deaths by this in the log of all lives, as they are counted."""
        lines = self.n1.log_path.read_text(errors="replace").splitlines()
        return [int(line.split("kills=")[1].split()[0]) for line in lines if "event=died_in" in line and text in line]

    def mend(self):
        """Stops cleanly and starts with other code."""
        self.assertEqual(self.n1.stop(), 0)
        self.n1.environment = {**os.environ, "FRAGILE_MENDED": "1"}
        self.n1.start()

    def test_timer_that_rings_again_is_set_aside_once(self):
        ticket = self.send("call", "fragile/g", "beat", 20)
        self.assertEqual(self.outlive(lambda: self.client.poll(0.02) is not None and ticket.done and self.letters()), TRIES)
        self.assertEqual(self.died_in('"fragile/g strike"'), [1, 2, 3])
        due = {timer["due_ms"] for timer in self.n1.cli("show", "fragile/g")["timers"]}
        wait_until("further periods pass", lambda: {timer["due_ms"] for timer in self.n1.cli("show", "fragile/g")["timers"]} != due)
        self.assertEqual(self.letters(), [("fragile/g", "strike", "poison")])
        self.assertIsNone(self.n1.process.poll())
        self.assertIn("timer strike of fragile/g rings no more", self.n1.log())
        self.mend()
        wait_until("it rings again", lambda: self.get("fragile/g") >= 1000)

    def test_agent_whose_load_ends_the_process_cannot_be_read_until_it_is_mended(self):
        self.assertIsNone(self.n1.call("fragile/h", "wire", "load"))
        self.n1.kill()
        self.n1.start()
        ticket = self.send("call", "fragile/h", "get")
        self.assertEqual(self.outlive(lambda: self.client.poll(0.02) is not None and ticket.done), TRIES)
        self.assertEqual(ticket.error.code, "corrupt")
        self.assertIn("its load (on_load) has ended the process 3 times", str(ticket.error))
        self.assertEqual(self.died_in('"fragile/h on_load"'), [1, 2, 3])
        self.assertEqual(self.n1.call("fragile/other", "mark"), 1)
        self.mend()
        self.assertEqual(self.get("fragile/h"), 0)

    def test_timer_of_an_agent_whose_load_ends_the_process_waits(self):
        self.assertIsNone(self.n1.call("fragile/i", "wire", "load"))
        self.assertIsNone(self.n1.call("fragile/i", "arm", 1000))
        self.n1.kill()
        self.n1.start()
        self.outlive(lambda: "agent cannot be loaded: fragile/i" in self.n1.log())
        self.assertEqual(self.died_in('"fragile/i on_load"'), [1, 2, 3])
        self.mend()
        wait_until("it rings", lambda: self.get("fragile/i") == 1000)

    def test_unload_that_ends_the_process_is_named_and_then_left_out(self):
        self.assertIsNone(self.n1.call("fragile/j", "wire", "unload"))
        for kills in range(1, TRIES + 1):
            self.assertNotEqual(self.n1.stop(), 0)
            self.n1.start()
            self.assertEqual(self.died_in('"fragile/j on_unload"'), list(range(1, kills + 1)))
            self.assertEqual(self.get("fragile/j"), 0)
        self.assertEqual(self.n1.stop(), 0)
        self.assertIn("on_unload of fragile/j is left out", self.n1.log())
        self.assert_sound(self.n1.folder)


if __name__ == "__main__":
    main()
