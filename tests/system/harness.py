# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: nodes and clusters as processes in scratch folders, killed by their pids, never left behind.

    from harness import Test, main, example, scaled, wait_until

    class Counters(Test):
        def test_sum_is_there_after_a_kill(self):
            node = self.node(modules=[example("counter")])
            self.assertEqual(node.call("counter/a", "add", 5), 5)      # through the Python client
            node.restart()                                            # SIGKILL, and up again on the same folder and port
            self.assertEqual(node.cli("show", "counter/a")["state"], {"value": 5})

    main()

Usage of every test: test_X.py PROGRAM [unittest arguments]; the modules are looked for beside PROGRAM, in its build folder.
STEAD_TEST_SCALE (default 1) scales loads and numbers of kills: scaled(50) is 50 of them, or 5 in a sanitizer build.

Nothing here waits by sleeping for long enough: wait_until() asks again until a condition holds or a deadline has passed.
Processes are started on the main thread only: they die with the thread that started them (ctest kills a test that takes too long).
"""
import ctypes
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stead_client import AgentError, Client  # noqa: E402,F401

PROGRAM = str(pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "build/stead").resolve())
BUILD = pathlib.Path(PROGRAM).parent
SCALE = float(os.environ.get("STEAD_TEST_SCALE", "1"))
PATIENCE = 30.0 / min(1.0, max(SCALE, 0.25))  # seconds for anything that must happen at last; sanitizers are slow
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def scaled(count, least=1):
    """So many of them in this build."""
    return max(least, round(count * SCALE))


def example(name):
    """The path of examples/NAME.c as a module."""
    return str(BUILD / "examples" / f"{name}.so")


def built(name):
    """The path of what tests/system/CMakeLists.txt builds."""
    return str(BUILD / "tests" / "system" / name)


def wait_until(what, condition, patience=PATIENCE, step=0.01):
    """The first true value of condition(), asked again and again; AssertionError "in N s not: what"."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"in {patience:.0f} s not: {what}")
        time.sleep(step)


def runs(pid):
    """False for a zombie too: nobody may be there to reap an orphan."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill_pid(pid, number=signal.SIGKILL):
    """Kills one process and waits until it has ended; True when it was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    wait_until(f"process {pid} ends", lambda: not runs(pid))
    return True


class Ports:
    """Ports for nodes that come back to where they were: reactor i listens on PORT + i, and while the node is down the kernel may give a
    port of its own range (from 32768) to any connection. So these lie below, in blocks; the name of an abstract socket is the lock of a
    block and ends with the process, however that ends."""

    FIRST, BLOCK, BLOCKS = 10000, 64, 350

    def __init__(self):
        self._locks = []

    def take(self, blocks=1):
        """The first port of so many blocks in a row that nobody has."""
        for number in random.sample(range(self.BLOCKS - blocks + 1), self.BLOCKS - blocks + 1):
            first = self.FIRST + number * self.BLOCK
            locks = [socket.socket(socket.AF_UNIX) for _ in range(blocks)]
            if (all(self._bind(lock, f"\0stead-test-ports-{number + i}") for i, lock in enumerate(locks)) and
                    all(map(self._free, range(first, first + blocks * self.BLOCK)))):
                self._locks += locks
                return first
            for lock in locks:
                lock.close()
        raise AssertionError("no ports are free")

    @staticmethod
    def _bind(unbound, address):
        try:
            unbound.bind(address)
        except OSError:
            return False
        return True

    def _free(self, port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return self._bind(probe, ("127.0.0.1", port))


PORTS = Ports()


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run_stead(*words, node=None, timeout=PATIENCE * 2, environment=None, stdin=None):
    """Runs the program; (exit code, stdout, stderr)."""
    environment = dict(os.environ if environment is None else environment)
    if node:
        environment["STEAD_NODE"] = node
    done = subprocess.run([PROGRAM, *map(str, words)], env=environment, input=stdin, capture_output=True, text=True,
                          timeout=timeout, preexec_fn=die_with_parent)
    return done.returncode, done.stdout, done.stderr


class CliError(AssertionError):
    """A command that ended badly: .code is its exit code, .error what --json said (a dict, or {})."""

    def __init__(self, words, code, out, err):
        super().__init__(f"stead {' '.join(map(str, words))}: exit code {code}\n{err}{out}")
        self.code, self.err = code, err
        try:
            self.error = json.loads(out).get("error", {})
        except ValueError:
            self.error = {}


def cli(command, *words, node=None, **more):
    """Runs `stead COMMAND --json WORDS` and takes what it prints: the value of a call, one document, or a list of them, one a line
    (agents, journal, deadletters, orchestrations, history, locks). Raises CliError unless the exit code is 0."""
    code, out, err = run_stead(command, "--json", *words, node=node, **more)
    if code != 0:
        raise CliError((command, *words), code, out, err)
    if command in ("agents", "journal", "deadletters", "check", "orchestrations", "history", "locks"):
        return [json.loads(line) for line in out.splitlines()]
    document = json.loads(out) if out.strip() else None
    return document.get("value") if command == "call" else document


def undisturbed():
    """The environment of a node that dies by a signal: a sanitizer would turn that into an exit code of its own."""
    return {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_abort=0"}


class Node:
    """One `stead node` with a coordinator of its own. After start() it serves at .endpoint, the same one after every restart."""

    def __init__(self, folder, modules=(), options=(), name="n1", environment=None):
        self.folder, self.name = pathlib.Path(folder), name
        self.modules, self.options = list(modules), list(map(str, options))
        self.environment = environment
        self.endpoint = None
        self.process = None
        self.log_path = self.folder.parent / (self.folder.name + ".log")
        self._log_from = 0
        self._clients, self._own_client = [], None

    # ---- Life

    def launch(self):
        """Starts the process without waiting for it to serve."""
        self.endpoint = self.endpoint or f"tcp://127.0.0.1:{PORTS.take()}"
        words = [PROGRAM, "node", "--json", "--folder", str(self.folder), "--name", self.name, "--listen",
                 self.endpoint]
        for module in self.modules:
            words += ["--module", str(module)]
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(words + self.options, stdout=subprocess.PIPE, stderr=log, text=True,
                                            env=self.environment, preexec_fn=die_with_parent)
        return self

    def await_line(self):
        """Waits for the ready line and takes .endpoint from it; False when the process ends instead."""
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise AssertionError(f"{self.name} neither serves nor ends\n{self.log()}")
        line = self.process.stdout.readline()
        if line:
            self.endpoint = json.loads(line)["endpoint"]
        return bool(line)

    def await_ready(self):
        """Waits until it serves; AssertionError with the log when the process ends instead."""
        if not self.await_line():
            raise AssertionError(f"{self.name} did not start: exit code {self.wait()}\n{self.log()}")
        return self

    def start(self):
        return self.launch().await_ready()

    def kill(self):
        """SIGKILL. Its coordinator goes on, as it does in life."""
        self.process.kill()
        return self.wait()

    def stop(self):
        """SIGTERM: its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, patience=PATIENCE):
        """The exit code of a process that ends by itself."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.log()}") from None
        self.process.stdout.close()
        return code

    def restart(self):
        """SIGKILL and up again."""
        self.kill()
        return self.start()

    def coordinator_pid(self):
        """0 when there is none."""
        words = self._coordinator_words()
        return int(words[0]) if words else 0

    def coordinator_endpoint(self):
        """None when there is none."""
        words = self._coordinator_words()
        return words[3] if words else None

    def _coordinator_words(self):
        try:
            line = (self.folder / "coordinator" / "lock").read_text()
            return line.split() if line.endswith("\n") else None
        except OSError:
            return None

    def end(self):
        """Kills whatever is left of it: the node, its coordinator, clients that nobody closed."""
        for client in self._clients:
            client.close()
        self._clients, self._own_client = [], None
        if self.process is not None and self.process.poll() is None:
            self.kill()
        pid = self.coordinator_pid()
        if pid and runs(pid) and str(self.folder) in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
            kill_pid(pid)

    def log(self):
        """What it has logged since its last start."""
        try:
            return self.log_path.read_bytes()[self._log_from:].decode(errors="replace")
        except OSError:
            return ""

    # ---- Use

    def cli(self, command, *words, **more):
        """cli() on this node."""
        return cli(command, *words, node=self.endpoint, **more)

    def client(self, **options):
        """A new Python client; closed at the end."""
        client = Client(self.endpoint, **options)
        self._clients.append(client)
        return client

    def call(self, address, op, args=None, **options):
        """One call through a Python client of its own, for the thread of the test."""
        return self._own().call(address, op, args, **options)

    def signal(self, address, op, args=None, **options):
        return self._own().signal(address, op, args, **options)

    def _own(self):
        if self._own_client is None:
            self._own_client = self.client()
        return self._own_client


class Cluster:
    """N nodes by `stead up` in one folder: names n1, n2, ...; with their coordinator and supervisor."""

    def __init__(self, folder, count, modules=(), options=()):
        self.folder, self.count = pathlib.Path(folder), count
        self.words = [word for module in modules for word in ("--module", str(module))] + list(map(str, options))
        self.port = None  # the first of n1; the same at every start
        self._clients = []

    def up(self, *words):
        """Starts the nodes that are down; how many."""
        self.port = self.port or PORTS.take(self.count)
        return cli("up", self.count, "--folder", self.folder, "--port", self.port, *words, "--", *self.words)["started"]

    def status(self):
        return cli("cluster", "status", "--folder", self.folder)

    def endpoints(self):
        """The first endpoint of n1, n2, ... in this order."""
        nodes = sorted(self.status()["nodes"], key=lambda node: int(node["name"].lstrip("n")))
        return [node["endpoints"][0] for node in nodes]

    def pid(self, name):
        """Of "n1", "coordinator" or "supervisor"; 0: none."""
        try:
            return int((self.folder / f"{name}.pid").read_text().split()[0])
        except (OSError, IndexError, ValueError):
            return 0

    def kill(self, name):
        """SIGKILL; the pid it had."""
        pid = self.pid(name)
        assert pid and kill_pid(pid), f"{name} does not run"
        return pid

    def client(self, endpoints=None, **options):
        client = Client(endpoints or self.endpoints(), **options)
        self._clients.append(client)
        return client

    def log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def end(self):
        for client in self._clients:
            client.close()
        self._clients = []
        names = ["supervisor", *(f"n{n}" for n in range(1, self.count + 1)), "coordinator"]
        run_stead("down", "--folder", self.folder)
        for name in names:
            pid = self.pid(name)
            if pid and runs(pid):
                kill_pid(pid)


class Test(unittest.TestCase):
    """A test with a scratch folder of its own, whose nodes and clusters are gone when it is over. When it fails, the ends of their logs
    are printed."""

    longMessage = True

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stead-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self._show_logs)

    def make_node(self, folder="data", **options):
        """A node that is not started: its data folder is FOLDER in the scratch folder."""
        node = Node(self.folder / folder, **options)
        self.addCleanup(node.end)
        return node

    def node(self, folder="data", **options):
        return self.make_node(folder, **options).start()

    def make_cluster(self, count, name="cluster", **options):
        cluster = Cluster(self.folder / name, count, **options)
        self.addCleanup(cluster.end)
        return cluster

    def cluster(self, count, **options):
        cluster = self.make_cluster(count, **options)
        cluster.up()
        return cluster

    def assert_sound(self, folder):
        """`stead check` finds nothing in the folder of a node that does not run."""
        code, out, err = run_stead("check", "--json", folder)
        self.assertEqual((code, json.loads(out.splitlines()[-1])["findings"] if out else None), (0, 0), out + err)

    def _show_logs(self):
        outcome = getattr(self, "_outcome", None)
        result = getattr(outcome, "result", None)
        failed = [test for test, _ in getattr(result, "failures", []) + getattr(result, "errors", [])] if result else []
        if self not in failed and not (outcome is not None and not outcome.success):
            return
        for path in sorted(self.folder.rglob("*.log")):
            if path.parent.name != "store":  # RocksDB has .log files too
                text = path.read_text(errors="replace")[-3000:]
                print(f"--- {path.relative_to(self.folder)}\n{text}", file=sys.stderr)


def main():
    unittest.main(verbosity=2)
