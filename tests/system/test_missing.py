#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A node that is down is missed by name in whatever is merged over the nodes; a backup without it is not called whole.
Usage: test_missing.py PROGRAM [unittest arguments]"""
from harness import Test, example, main, run_stead, wait_until


class Missing(Test):
    def test_down_node_is_named_and_a_backup_without_it_fails(self):
        cluster = self.cluster(3, modules=[example("counter")])
        nodes = {node["name"]: node["endpoints"][0] for node in cluster.status()["nodes"]}
        self.assertNotIn("missing", run_stead("agents", node=nodes["n1"])[2])
        cluster.kill("n2")
        wait_until("the coordinator misses n2",
                   lambda: not {node["name"]: node for node in cluster.status()["nodes"]}["n2"]["alive"])
        # The node that is asked hears of it a moment later.
        wait_until("n1 knows that n2 is down", lambda: "n2" in run_stead("agents", node=nodes["n1"])[2])
        code, _, told = run_stead("backup", str(self.folder / "backup"), node=nodes["n1"])
        self.assertEqual(code, 1)
        self.assertIn("n2", told)
        self.assertIn("not whole", told)


if __name__ == "__main__":
    main()
