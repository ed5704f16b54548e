#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stead orchestrations verify of instances that do not stay as they are while they are looked at. Usage: test_verify.py PROGRAM [unittest arguments]"""
import threading

import test_orchestrations as direct
from harness import main, run_stead, undisturbed, wait_until


class Moving(direct.Orchestrations):
    WAIT = direct.Verifying.WAIT

    def check_left_out(self, *fabric):
        """One of two ends while its new code runs, which would break it."""
        node = self.serve(environment=undisturbed())
        for id in ("a1", "a2"):
            self.start("approve", None, *fabric, id=id)
            self.await_custom(id, "waits for approval")
        begun, go = self.folder / "begun", self.folder / "go"
        new = self.compiled("holds", (self.WAIT, self.WAIT + f"""
            if (stead_instance_id(o)[1] == '2') {{
                close(open("{begun}", O_CREAT | O_WRONLY, 0600));
                while (access("{go}", F_OK) != 0)
                    usleep(1000);
                abort();
            }}"""))
        for words, told in ((("--json",), '{"replayed": 1, "broken": 0, "left_out": 1, "events": '),
                            ((), "1 left out: over, purged or begun anew meanwhile\n")):
            answers = []
            looking = threading.Thread(target=lambda: answers.append(
                run_stead("orchestrations", "verify", *words, *fabric, "--module", new, node=node.endpoint)))
            looking.start()
            wait_until("its code runs", begun.exists)
            node.cli("terminate", "a2", "enough")
            self.await_status("a2", "Terminated")
            go.touch()
            looking.join()
            code, out, err = answers[0]
            self.assertEqual(code, 0, err)
            self.assertIn(told, out)
            begun.unlink()
            go.unlink()
            node.cli("restart", "a2")
            self.await_custom("a2", "waits for approval")

    def test_those_that_ended_while_they_were_looked_at_are_counted(self):
        self.check_left_out()

    def test_those_that_ended_while_they_were_looked_at_are_counted_on_a_hub(self):
        self.check_left_out("--fabric", "hub")


if __name__ == "__main__":
    main()
