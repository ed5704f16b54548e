#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agents of README.md and docs/AGENTS.md do what is said there: the README's commands with its answers, and excerpts of the guide made into kinds.
Usage: test_guide.py PROGRAM [unittest arguments]"""
import os
import pathlib
import re
import subprocess
import threading
import unittest

from harness import BUILD, PROGRAM, AgentError, CliError, Test, main, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/AGENTS.md").read_text()
SANITIZED = b"asan" in subprocess.run(["ldd", PROGRAM], capture_output=True).stdout
PRELUDE = '#include <string.h>\n#include "stead/stead.h"\n'
# What an op says that is no msgpack value at all: "hello" begins with a number and goes on.
BABBLE = """
static int babble(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    (void)args;
    return stead_signal(turn, "greeter/b", "greet", stead_str("hello"));
}
static int mumble(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    (void)args;
    (void)stead_reply(turn, stead_str("hello"));
    return 0;
}
"""


def excerpt(function):
    """The example of the guide that defines `function`."""
    return next(block for block in re.findall(r"^```c\n(.*?)^```", GUIDE, re.M | re.S) if f" {function}(" in block)


def kind(name, body, ops, more="", size=8):
    """A whole kind around an excerpt."""
    table = ", ".join(f'{{"{op}", {op}, NULL, 0, NULL}}' for op in ops)
    return (f"{PRELUDE}{body}\nstatic const struct stead_op all_ops[] = {{{table}, {{NULL, NULL, NULL, 0, NULL}}}};\n"
            f"static const struct stead_kind it = {{.abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = \"{name}\", "
            f".state_size = {size}, .ops = all_ops{more}}};\nSTEAD_MODULE(&it);\n")


class Guide(Test):
    def build(self, name, source):
        path = self.folder / f"{name}.c"
        path.write_text(source)
        output = self.folder / f"{name}.so"
        subprocess.run(["cc", "-shared", "-fPIC", f"-I{ROOT}/include", "-o", str(output), str(path)], check=True)
        return output

    def serve(self, **sources):
        self.n1 = self.node(modules=[self.build(name, source) for name, source in sources.items()])
        return self.n1

    def test_readme_commands_answer_as_written(self):
        readme = (ROOT / "README.md").read_text()
        node = self.serve(counter=re.search(r"```c\n(.*?)```", readme, re.S).group(1))
        lines = re.findall(r"^build/stead call (\S+) (\S+) (\S+) +# (\d+)", readme, re.M)
        self.assertGreaterEqual(len(lines), 2)
        for address, op, argument, answer in lines:
            self.assertEqual(node.cli("call", address, op, argument), int(answer))
        node.restart()
        self.assertEqual(node.cli("show", "counter/alice")["state"], {"value": int(lines[-1][3])})
        self.assertEqual([turn["op"] for turn in node.cli("journal", "counter/alice")], ["add"] * len(lines))

    @unittest.skipIf(SANITIZED, "the archive of a sanitizer's build wants its runtime")
    def test_programs_of_the_client_guide_do_what_is_said(self):
        text = (ROOT / "docs/CLIENT.md").read_text()
        lines = re.findall(r"^    (cc|c\+\+) (.*)", text, re.M)
        self.assertEqual([compiler for compiler, _ in lines], ["cc", "c++"])
        node = self.serve(counter=re.search(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1))
        said = []
        for language, source in re.findall(r"^```(c|cpp)\n(.*?)^```", text, re.M | re.S):
            compiler, words = lines[language == "cpp"]
            name = "orders.cc" if language == "cpp" else "orders.c"
            (self.folder / name).write_text(source)
            words = [{"include": ROOT / "include", name: self.folder / name, "orders": self.folder / "orders",
                      "build/libstead_client.a": BUILD / "libstead_client.a"}.get(word, word) for word in words.split()]
            subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", *words], check=True)
            done = subprocess.run([self.folder / "orders"], env={**os.environ, "STEAD_NODE": node.endpoint}, capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            said.append(done.stdout)
        self.assertEqual(said, ["counter/alice stands at 5\n", "10000 done, 0 failed\n", "5\n"])
        self.assertEqual(node.call("counter/7", "get"), 10)

    @unittest.skipIf(SANITIZED, "the archive of a sanitizer's build wants its runtime")
    def test_what_is_installed_is_found_by_pkg_config_under_any_prefix(self):
        prefix = self.folder / "installed"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
        pc, = prefix.rglob("stead.pc")
        words = subprocess.run(["pkg-config", "--cflags", "--libs", "stead"], env={**os.environ, "PKG_CONFIG_PATH": pc.parent},
                               check=True, capture_output=True, text=True).stdout.split()
        source = self.folder / "open.c"
        source.write_text('#include <stead/client.h>\nint main(void) { struct stead_client *c; const struct stead_client_options o = '
                          '{.endpoints = "tcp://127.0.0.1:1"}; int code = stead_client_open(&o, &c); stead_client_close(&c); return code; }\n')
        subprocess.run(["cc", source, "-o", self.folder / "open", *words], check=True)
        subprocess.run([self.folder / "open"], check=True, timeout=60)

    def test_greeter_greets_and_keeps_a_refused_signal(self):
        node = self.serve(greeter=excerpt("greet"))
        self.assertEqual(node.cli("call", "greeter/door", "greet", '"Ada"'), {"text": "hello, Ada", "times": 1})
        self.assertEqual(node.cli("call", "greeter/door", "greet"), {"text": "hello, stranger", "times": 2})
        with self.assertRaises(CliError) as refused:
            node.cli("signal", "greeter/door", "greet", "5")
        self.assertEqual((refused.exception.code, refused.exception.error["name"]), (1, "bad_name"))
        self.assertEqual([letter["error"]["name"] for letter in node.cli("deadletters", "greeter/door")], ["bad_name"])
        self.assertEqual(node.cli("show", "greeter/door")["state"], {"greetings": 2})

    def test_withdraw_emits_what_the_journal_shows(self):
        more = ", .apply = apply, .fields = fields"
        body = excerpt("withdraw") + """
            static const struct stead_field fields[] = {STEAD_FIELD(I64, struct account, balance), STEAD_FIELDS_END};
            static int deposit(struct stead_turn *turn, void *state, struct stead_slice args)
            { (void)state; return stead_emit(turn, "deposited", args); }"""
        node = self.serve(account=kind("account", body, ["deposit", "withdraw"], more))
        node.call("account/a", "deposit", 10)
        node.call("account/a", "withdraw", 4)
        with self.assertRaises(AgentError) as refused:
            node.call("account/a", "withdraw", 7)
        self.assertIn("the balance is 6", str(refused.exception))
        node.restart()
        self.assertEqual(node.cli("show", "account/a")["state"], {"balance": 6})
        events = [event for turn in node.cli("journal", "account/a") for event in turn["events"]]
        self.assertEqual(events, [["deposited", 10], ["withdrawn", 4]])

    def test_keyed_state_is_added_up_over_a_range(self):
        node = self.serve(stock=kind("stock", excerpt("stock"), ["stock", "count_paint"], size=0))
        for sku, pieces in (("paint/red", 2), ("paint/blue", 3), ("brush", 50), ("paint/red", 1)):
            node.call("stock/main", "stock", {"sku": sku, "by": pieces})
        self.assertEqual(node.call("stock/main", "count_paint"), 6)

    def test_promised_answer_survives_a_kill_of_the_node(self):
        more = ", .fields = desk_fields"
        node = self.serve(desk=kind("desk", excerpt("approve"), ["request", "approve"], more, size=33))
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(node.client().call("desk/a", "request", timeout=30)))
        waiting.start()
        wait_until("the request is owed its answer", lambda: node.cli("show", "desk/a")["owed"] == 1)
        node.restart()
        node.cli("call", "desk/a", "approve", '"yes"')
        waiting.join(30)
        self.assertEqual(answers, ["yes"])

    def test_what_is_no_value_is_refused_where_it_is_said(self):
        node = self.serve(greeter=excerpt("greet"), babble=kind("babble", BABBLE, ["babble", "mumble"], size=0))
        for op in ("babble", "mumble"):
            with self.assertRaises(CliError) as refused:
                node.cli("call", "babble/a", op)
            self.assertEqual(refused.exception.error["name"], "bad_argument")
        self.assertFalse(node.cli("show", "greeter/b")["exists"])


main()
