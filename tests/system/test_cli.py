#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shell as a script sees it: exit codes, what is on stdout, what is on stderr. Usage: test_cli.py PROGRAM [unittest arguments]"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = ["call", "signal", "tell", "agents", "show", "journal", "deadletters", "unlock", "stats", "node", "up", "down",
            "cluster", "coordinator", "backup", "restore", "check", "run", "orchestrations", "status", "history", "raise", "terminate",
            "suspend", "resume", "rewind", "restart", "purge", "locks"]
NOBODY = "tcp://127.0.0.1:1"  # a port that nothing listens on


ASKER = """
#include "stead/agent.h"
struct asker { int64_t told; };
static const struct stead_field fields[] = {STEAD_FIELD(I64, struct asker, told), STEAD_FIELDS_END};
static int ask(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_call_options options = {.reply_op = "told", .timeout_ms = STEAD_TIMEOUT_NEVER};
    (void)state;
    return stead_call(turn, "asker/mute", "keep", args, &options);
}
static int keep(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;
    (void)state, (void)args;
    return stead_reply_later(turn, &token);
}
static int told(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    return 0;
}
static const struct stead_op ops[] = {{"ask", ask, NULL, 0, NULL}, {"keep", keep, NULL, 0, NULL}, {"told", told, NULL, 0, NULL},
                                      {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind asker = {.abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "asker",
                                        .state_size = sizeof(struct asker), .fields = fields, .ops = ops};
STEAD_MODULE(&asker);
"""


def stead(*words, node=NOBODY, stdin=None):
    """Runs the program; (exit code, stdout, stderr)."""
    environment = {**os.environ, "STEAD_NODE": node, "TZ": "UTC"}
    done = subprocess.run([PROGRAM, *words], input=stdin, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class WithoutNode(unittest.TestCase):
    def test_help_of_every_command_has_examples_and_fits_a_terminal(self):
        code, out, _ = stead("--help")
        self.assertEqual(code, 0)
        for command in COMMANDS:
            self.assertRegex(out, rf"(?m)^  {command} ")
            code, text, err = stead(command, "--help")
            self.assertEqual((code, err), (0, ""), command)
            self.assertIn("Examples:\n", text, command)
            self.assertLessEqual(max(map(len, text.splitlines())), 80, command)
            self.assertEqual(text, stead("help", command)[1])

    def test_version_is_the_same_everywhere(self):
        code, out, _ = stead("--version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^stead \d+\.\d+\.\d+\n$")
        self.assertEqual(stead("call", "--version")[1], out)

    def test_unknown_word_is_refused_with_the_nearest(self):
        code, out, err = stead("singal", "counter/a", "add")
        self.assertEqual((code, out), (2, ""))
        self.assertIn('did you mean "signal"?', err)
        self.assertIn("is no command\n", stead("xyzzy")[2])
        self.assertIn('did you mean "status"?', stead("cluster", "stauts")[2])
        self.assertIn('did you mean "orchestrations"?', stead("orchestration")[2])
        self.assertIn('did you mean "verify"?', stead("orchestrations", "verfy")[2])
        self.assertIn("did you mean Running?", stead("orchestrations", "--status", "runing")[2])
        self.assertIn("did you mean Completed?", stead("purge", "--status", "complete")[2])
        self.assertIn('did you mean "break"?', stead("locks", "braek")[2])
        self.assertIn('did you mean "retry"?', stead("deadletters", "a/b", "rerty", "1")[2])

    def test_wrong_lines_are_usage_errors(self):
        for line in (["call"], ["call", "counter/a"], ["call", "Counter/a", "add"], ["call", "nokey", "add"],
                     ["call", "counter/a", "Add"], ["call", "counter/a", "add", "1", "2"], ["call", "--foo"],
                     ["call", "--timeout", "x", "a/b", "c"], ["call", "--class", "x", "a/b", "c"],
                     ["call", "--node", "nowhere", "a/b", "c"], ["call", "--key", "", "a/b", "c"],
                     ["call", "a/b", "c", "@/does/not/exist"], ["signal", "--delay", "-1s", "a/b", "c"],
                     ["agents", "--limit", "0"], ["show"], ["journal", "a/b", "c/d"], ["deadletters", "a/b", "drop"],
                     ["up", "x"], ["up", "33"], ["up", "1", "2"],
                     ["up", "--label", "m2:gpu"], ["up", "--label", "n0:gpu"], ["up", "--label", "n2:"], ["up", "--on", "n33:--json"],
                     ["up", "--on", "--memory=1G"], ["up", "--on", "n2"], ["cluster"], ["backup"], ["restore"], ["check"],
                     ["coordinator"], ["node", "--memory", "lots"], ["node", "--log-level", "loud"],
                     ["node", "--listen", "tcp://0.0.0.0:7400"], ["run"], ["run", "Trip"], ["run", "a", "1", "2"], ["run", "a", "{"],
                     ["run", "a", "--id", "b/c"], ["run", "a", "--id", ""], ["run", "a", "--version", "0"],
                     ["run", "a", "--fabric", "air"], ["run", "a", "--fabric", "direct", "--hub", "x"], ["run", "a", "--delay", "-1"],
                     ["orchestrations", "--status", "Fine"], ["orchestrations", "--from", "soon"], ["orchestrations", "x"],
                     ["orchestrations", "verify"], ["orchestrations", "--module", "a.so"], ["orchestrations", "verify", "verify"],
                     ["orchestrations", "verify", "--module", "a.so", "--status", "Failed"],
                     ["status"], ["status", "a", "b"], ["status", "@a"], ["history"], ["history", "a?b"], ["raise", "a"],
                     ["raise", "a", ""], ["raise", "a", "b", "c"], ["terminate"], ["suspend", "a", "b", "c"], ["resume", "a#b"],
                     ["rewind"], ["restart"], ["purge"], ["purge", "a", "--older-than", "1d"], ["purge", "--status", "Running"],
                     ["locks", "break"], ["locks", "break", "x"], ["locks", "list", "a/b"]):
            code, out, err = stead(*line)
            self.assertEqual(code, 2, (line, err))
            self.assertEqual(out, "", line)
            self.assertTrue(err, line)

    def test_address_is_refused_with_what_is_wrong_with_it(self):
        for address, reason in (("alice", "no / between"), ("Counter/a", "begins with a small letter"), ("/a", "begins with a small letter"),
                                ("k" * 64 + "/a", "at most 63"), ("counter/", "key is empty"), ("counter/" + "k" * 513, "more than 512 bytes"),
                                ("counter/a\tb", "control characters"), (b"counter/\xff", "not UTF-8: write")):
            code, _, err = stead("call", address, "add")
            self.assertEqual(code, 2, address)
            self.assertIn(reason, err, address)

    def test_bad_json_is_pointed_at(self):
        code, _, err = stead("call", "counter/a", "add", "@/")
        self.assertEqual(code, 2)
        self.assertIn("cannot read /: Is a directory", err)
        code, _, err = stead("call", "counter/a", "add", "{by: 5}")
        self.assertEqual(code, 2)
        self.assertIn("column 2", err)
        self.assertIn("    {by: 5}\n     ^\n", err)
        code, _, err = stead("call", "counter/a", "add", "hello")
        self.assertEqual(code, 2)
        self.assertIn("'\"hello\"'", err)
        code, _, err = stead("call", "counter/a", "add", "-", stdin='{\n "a": 1,\n "b" 2}')
        self.assertEqual(code, 2)
        self.assertIn("line 3, column 6", err)

    def test_nobody_there_is_exit_code_3_with_a_way_out(self):
        for line in (["call", "a/b", "c"], ["call", "a/b", "add", "-5"], ["signal", "a/b", "c"], ["tell", "a/b", "c"],
                     ["agents"], ["show", "a/b"], ["journal", "a/b"], ["deadletters"], ["deadletters", "a/b"],
                     ["unlock", "a/b"], ["run", "a", "--wait"], ["orchestrations"], ["status", "a"], ["history", "a", "--follow"],
                     ["raise", "a", "b"], ["terminate", "a"], ["purge", "--older-than", "1d"], ["locks"], ["stats"], ["stats", "--watch"], ["backup", "x"],
                     ["cluster", "status", "--node", NOBODY]):
            code, out, err = stead(*line)
            self.assertEqual((code, out), (3, ""), (line, err))
            self.assertIn("stead node", err, line)
            self.assertIn("--node ENDPOINT", err, line)

    def test_somebody_who_says_nothing_is_waited_for_and_told_from_nobody(self):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            there = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
            for line in (["call", "a/b", "c"], ["stats"]):
                begun = time.monotonic()
                code, out, err = stead(*line, "--timeout", "2500ms", node=there)
                self.assertEqual((code, out), (3, ""), err)
                self.assertGreaterEqual(time.monotonic() - begun, 2.5)
                self.assertIn(f"no node answers at {there}, and nothing refuses\n    is it stopped", err)

    def test_negative_value_of_an_option_is_complained_of_by_itself(self):
        for line, what in ((["signal", "a/b", "c", "--delay", "-5"], "--delay -5: not a time"),
                           (["call", "a/b", "c", "--timeout", "-5"], "--timeout -5: not a time"),
                           (["run", "a", "--version", "-1", "--id", "b"], "--version -1: not a number above 0"),
                           (["raise", "a", "b", "--timeout", "-1"], "--timeout -1: not a time")):
            code, _, err = stead(*line)
            self.assertEqual(code, 2, line)
            self.assertIn(what, err)

    def test_error_with_json_is_a_document_too(self):
        code, out, _ = stead("call", "--json", "a/b", "c")
        self.assertEqual(code, 3)
        self.assertEqual(json.loads(out)["error"]["code"], "unavailable")

    def test_offline_commands_name_the_folder(self):
        with tempfile.TemporaryDirectory() as scratch:
            for line in (["check", f"{scratch}/none"], ["restore", f"{scratch}/none", f"{scratch}/new"],
                         ["restore", "--verify", f"{scratch}/none"], ["down", "--folder", f"{scratch}/none"]):
                code, out, err = stead(*line)
                self.assertEqual((code, out), (1, ""), (line, err))
                self.assertIn(f"{scratch}/none", err, line)
            self.assertFalse(os.path.exists(f"{scratch}/new"))

    def test_result_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not be written", done.stderr)


class WithNode(unittest.TestCase):
    """One node with the counter, on free ports."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        folder = cls.scratch.name
        subprocess.run(["cc", "-shared", "-fPIC", "-I", ROOT / "include", "-o", f"{folder}/counter.so", ROOT / "examples/counter.c"],
                       check=True)
        subprocess.run(["cc", "-shared", "-fPIC", "-I", ROOT / "include", "-o", f"{folder}/asker.so", "-x", "c", "-"],
                       input=ASKER, text=True, check=True)
        cls.log = open(f"{folder}/log", "w+")
        cls.node = subprocess.Popen([PROGRAM, "node", "--json", "--folder", f"{folder}/data", "--listen", "tcp://127.0.0.1:0",
                                     "--module", f"{folder}/counter.so", "--module", f"{folder}/asker.so"], stdout=subprocess.PIPE, stderr=cls.log, text=True)
        ready = cls.node.stdout.readline()
        if not ready:
            cls.node.wait()
            cls.log.seek(0)
            raise RuntimeError("the node did not start:\n" + cls.log.read())
        cls.endpoint = json.loads(ready)["endpoint"]

    @classmethod
    def tearDownClass(cls):
        cls.node.send_signal(signal.SIGTERM)
        status = cls.node.wait(timeout=30)
        cls.node.stdout.close()
        cls.log.close()
        checked = stead("check", f"{cls.scratch.name}/data")
        cls.scratch.cleanup()
        assert status == 0, status
        assert checked[0] == 0, checked

    def stead(self, *words, **more):
        return stead(*words, node=self.endpoint, **more)

    def test_call_prints_the_value_and_nothing_else(self):
        self.assertEqual(self.stead("call", "counter/call", "add", "5"), (0, "5\n", ""))
        self.assertEqual(self.stead("call", "counter/call", "add", "-7"), (0, "-2\n", ""))
        self.assertEqual(self.stead("call", "counter/call", "add", "-", stdin="40\n"), (0, "38\n", ""))
        code, out, _ = self.stead("call", "--json", "counter/call", "get")
        self.assertEqual((code, json.loads(out)["value"]), (0, 38))

    def test_failure_of_an_op_names_agent_op_and_reason(self):
        code, out, err = self.stead("call", "counter/fail", "add", '"five"')
        self.assertEqual((code, out), (1, ""))
        self.assertIn("counter/fail add: bad_by: ", err)
        code, out, _ = self.stead("call", "--json", "counter/fail", "add", '"five"')
        error = json.loads(out)["error"]
        self.assertEqual((code, error["code"], error["name"], error["agent"], error["op"]),
                         (1, "failed", "bad_by", "counter/fail", "add"))

    def test_unknown_kind_and_op_are_answered_with_the_nearest(self):
        code, _, err = self.stead("call", "countr/a", "add")
        self.assertEqual(code, 1)
        self.assertIn("unknown_kind", err)
        self.assertIn('did you mean the kind "counter"?', err)
        code, _, err = self.stead("call", "counter/a", "ad")
        self.assertEqual(code, 1)
        self.assertIn("unknown_op", err)
        self.assertIn('did you mean the op "add"?', err)

    def test_node_that_is_stopped_for_a_while_is_waited_for(self):
        self.node.send_signal(signal.SIGSTOP)
        try:
            call = subprocess.Popen([PROGRAM, "call", "--timeout", "30s", "counter/patient", "add"], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, env={**os.environ, "STEAD_NODE": self.endpoint})
            with self.assertRaises(subprocess.TimeoutExpired):
                call.wait(timeout=4)
        finally:
            self.node.send_signal(signal.SIGCONT)
        self.assertEqual(call.communicate(timeout=60), ("1\n", ""))
        self.assertEqual(call.returncode, 0)

    def test_call_without_a_deadline_is_shown_as_one(self):
        self.assertEqual(self.stead("signal", "asker/a", "ask")[0], 0)
        self.assertIn("  waits for    an answer, then told; times out never\n", self.stead("show", "asker/a")[1])

    def test_hub_that_is_there_with_other_settings_is_not_made(self):
        line = ("hub", "create", "x", "--partitions", "2", "--poll", "250ms", "--hide", "1m")
        self.assertEqual(self.stead(*line)[0], 0)
        self.assertEqual(self.stead(*line)[0], 0)
        self.assertEqual(self.stead("hub", "create", "x")[0], 0)
        code, out, err = self.stead("hub", "create", "x", "--partitions", "8", "--poll", "notify", "--hide", "60s", "--extended")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("hub x is there already, with other settings: partitions 2, not 8; extended no, not yes; poll fixed, not notify\n", err)
        code, out, _ = self.stead("hub", "create", "x", "--poll", "1s", "--json")
        self.assertEqual((code, json.loads(out)["error"]["code"]), (1, "conflict"))
        self.assertIn("poll 250 ms, not 1 s", json.loads(out)["error"]["sentence"])

    def test_key_has_its_effect_once_and_conflicts_with_another_payload(self):
        self.assertEqual(self.stead("call", "--key", "k1", "counter/key", "add", "5")[:2], (0, "5\n"))
        self.assertEqual(self.stead("call", "--key", "k1", "counter/key", "add", "5")[:2], (0, "5\n"))
        code, _, err = self.stead("call", "--key", "k1", "counter/key", "add", "6")
        self.assertEqual(code, 1)
        self.assertIn("conflict", err)

    def test_signal_is_seen_by_show_and_journal(self):
        self.assertEqual(self.stead("signal", "counter/seen", "add", "3"), (0, "", ""))
        self.assertEqual(self.stead("call", "counter/seen", "get"), (0, "3\n", ""))
        code, out, _ = self.stead("show", "--json", "counter/seen")
        shown = json.loads(out)
        self.assertEqual((code, shown["exists"], shown["kind"], shown["state"]), (0, True, "counter", {"value": 3}))
        self.assertIn("counter/seen\n", self.stead("show", "counter/seen")[1])
        code, out, _ = self.stead("journal", "--json", "counter/seen")
        turns = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(turn["op"], turn["cause"], turn["status"]) for turn in turns], [("add", "signal", "ok")])
        self.assertIn("signal from a client", self.stead("journal", "counter/seen")[1])

    def test_show_of_nobody_is_no_error(self):
        code, out, _ = self.stead("show", "--json", "counter/nobody")
        self.assertEqual((code, json.loads(out)["exists"]), (0, False))

    def test_agents_are_listed_by_prefix_in_order_and_in_pages(self):
        for name in "cab":
            self.assertEqual(self.stead("call", f"counter/list-{name}", "add")[0], 0)
        code, out, _ = self.stead("agents", "--prefix", "counter/list-", "--json")
        self.assertEqual(code, 0)
        self.assertEqual([json.loads(line)["address"] for line in out.splitlines()], [f"counter/list-{n}" for n in "abc"])
        _, out, err = self.stead("agents", "--prefix", "counter/list-", "--limit", "2")
        self.assertIn("counter/list-b", out)
        self.assertNotIn("counter/list-c", out)
        self.assertIn("--after 'counter/list-b'", err)
        _, out, _ = self.stead("agents", "--prefix", "counter/list-", "--after", "counter/list-b")
        self.assertIn("counter/list-c", out)

    def test_agents_are_listed_by_their_state(self):
        for name, by in (("a", 5), ("b", 12), ("c", 20)):
            self.assertEqual(self.stead("call", f"counter/where-{name}", "add", str(by))[0], 0)
        for where, names in (("value=12", "b"), ("value=12..", "bc"), ("value=..12", "a"), ("value=5..20", "ab"), ("value=x", ""),
                             ("value=null", ""), ("nothing=null", "abc")):
            code, out, _ = self.stead("agents", "--prefix", "counter/where-", "--where", where, "--fields", "value,nothing", "--json")
            self.assertEqual(code, 0)
            lines = [json.loads(line) for line in out.splitlines()]
            self.assertEqual("".join(line["address"][-1] for line in lines), names, where)
            self.assertTrue(all(list(line["fields"]) == ["value"] for line in lines), lines)
        _, out, _ = self.stead("agents", "--prefix", "counter/where-", "--fields", "value")
        self.assertIn('{"value":12}', out)
        self.assertEqual(self.stead("agents", "--held", "--json")[:2], (0, ""))
        self.assertNotEqual(self.stead("agents", "--where", "value")[0], 0)

    def test_refused_signal_is_a_dead_letter_until_it_is_dropped(self):
        self.stead("signal", "counter/dead", "add", '"x"')
        code, out, _ = self.stead("deadletters", "--json", "counter/dead")
        letters = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, len(letters), letters[0]["op"], letters[0]["args"], letters[0]["error"]["name"]),
                         (0, 1, "add", "x", "bad_by"))
        self.assertIn("counter/dead", self.stead("deadletters")[1])
        code, out, _ = self.stead("deadletters", "counter/dead", "drop", str(letters[0]["id"]))
        self.assertEqual(code, 0)
        self.assertEqual(self.stead("deadletters", "--json", "counter/dead")[1], "")
        self.assertEqual(self.stead("deadletters", "counter/dead", "drop", str(letters[0]["id"]))[0], 1)

    def test_unlock_of_an_agent_that_is_not_held_is_not_found(self):
        code, _, err = self.stead("unlock", "counter/free")
        self.assertEqual(code, 1)
        self.assertIn("not_found", err)

    def test_stats_and_status_are_whole(self):
        self.assertEqual(self.stead("call", "counter/stats", "add")[0], 0)
        code, out, _ = self.stead("stats", "--json")
        node = json.loads(out)["nodes"][0]
        self.assertEqual(code, 0)
        self.assertGreater(sum(reactor["counters"]["turns"] for reactor in node["reactors"]), 0)
        self.assertGreater(node["log_writer"]["counters"]["syncs"], 0)
        self.assertIn("TURNS", self.stead("stats")[1])
        code, out, _ = self.stead("cluster", "status", "--node", self.endpoint, "--json")
        status = json.loads(out)
        self.assertEqual((code, len(status["nodes"])), (0, 1))
        self.assertIn("counter", [kind["name"] for kind in status["nodes"][0]["kinds"]])
        self.assertGreater(len(status["shards"]), 0)

    def test_backup_restores_into_a_folder_that_checks(self):
        self.assertEqual(self.stead("call", "counter/saved", "add", "9")[:2], (0, "9\n"))
        backup, restored = f"{self.scratch.name}/backup", f"{self.scratch.name}/restored"
        code, out, err = self.stead("backup", "--json", backup)
        self.assertEqual(code, 0, err)
        directory = json.loads(out)["nodes"][0]["directory"]
        self.assertEqual(stead("restore", "--verify", directory)[0], 0)
        code, _, err = stead("check", directory)
        self.assertEqual(code, 1)
        self.assertIn(f"`stead restore --verify {directory}`", err)
        code, out, err = stead("restore", directory, restored)
        self.assertEqual(code, 0, err)
        code, out, err = stead("check", "--json", restored)
        self.assertEqual((code, json.loads(out.splitlines()[-1])["findings"]), (0, 0), err)
        self.assertEqual(stead("restore", directory, restored)[0], 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
