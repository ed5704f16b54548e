#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""peers: a workflow of five steps, one after another, by stead, by DBOS on PostgreSQL and by Restate, on this machine, in one run.

    peers.py STEAD INSTALLED [--json] [--quick] [--folder DIR] [--only NAME]...    measures; STEAD is the program, INSTALLED a folder with the
                                                                                  *.js of this folder and their node_modules (scripts/peers)
    peers.py --self-test                                                           what of this is arithmetic and text, without network or install

What was measured elsewhere says nothing here: a workflow that is durable costs syncs, and disks differ by a factor of ten. So the servers of
the peers are started here, on free ports of loopback, with their data beside stead's in one scratch folder, with the durability that they have by
default, and each figure carries `sync_us`: the median of appending 4 KB to a file there and syncing it, before and after that figure. All take
turns in rounds, and a figure is the median of its rounds: then a machine that gets busy meanwhile is as busy for each of them.

The peers are taken at their best. DBOS runs its workflows in the process that asks, so no client is in between; Restate's client is a kept HTTP
connection; stead's is a client of a node, in another process. Sustained rates are the best of several settings (`tried`), stead's that of one
setting. Every result is looked at. Flushes are counted by the servers: `pg_stat_wal.wal_sync`, and the syncs of the logs of Restate's RocksDBs.

Every process is ended by its id, and ends by itself should this one be killed: node's programs with their stdin, the servers by the kernel.
"""
import argparse
import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROUNDS, ROUNDS_QUICK = 3, 1
SAMPLES = 400  # of a round, as stead bench --quick takes them
WARM = 100
SECONDS = 2
IN_FLIGHT = [16, 64, 256]
DBOS_TRIES = [(16, 1), (64, 1), (64, 2)]  # in flight, by so many processes; more of either were never faster
DBOS_POOL = 32  # connections of a process
RESTATE_PARTITIONS = [24, 1]  # the default; and the fewest, with which it is best at times
LIMIT_S = 60  # of whatever is waited for
SYNC_BYTES, SYNC_COUNT = 4096, 200
HERE = pathlib.Path(__file__).resolve().parent
STEAD_BENCHES = ["hello5", "hello5_sustained", "hub_hello5"]
# What is compared with what: bench and metric of stead, bench and metric of a peer, whether more is better, what is aimed at.
RATIOS = [
    ("hello5", "p50", "peer_{}_hello5", "p50", False, "value >= 10"),
    ("hello5", "idempotent_p50", "peer_{}_hello5", "p50", False, None),
    ("hub_hello5", "p50", "peer_{}_hello5", "p50", False, "value > 1"),
    ("hello5_sustained", "rate", "peer_{}_hello5_sustained", "rate", True, None),
]


class Failed(Exception):
    """Something could not be measured; the text says what."""


# ---- Numbers and lines --------------------------------------------------------------------------


def quantile(samples, permille):
    """As stead's own: the sample at that place, no mean of two."""
    return sorted(samples)[(len(samples) - 1) * permille // 1000] if samples else 0


def four_digits(value):
    """As stead prints: four digits that count, whole numbers from 1,000 on."""
    return round(value) if value >= 1000 else float(f"{value:.4g}")


def figure(bench, metric, value, unit, settings):
    return {"bench": bench, "metric": metric, "value": four_digits(value), "unit": unit, "settings": settings}


def synced(text):
    """How often the logs of RocksDB were synced, by the page of metrics of a Restate server."""
    found = re.findall(r"^restate_rocksdb_wal_synced_total\{[^}]*\} (\d+)$", text, re.M)
    if not found:
        raise Failed("Restate's metrics do not say how often its logs were synced")
    return sum(int(number) for number in found)


def median(values):
    return sorted(values)[len(values) // 2]


def merged(figures):
    """One figure out of the same of several rounds: the median of each number, the sum of the samples."""
    last = figures[-1]
    one = {**last, "value": median([f["value"] for f in figures]), "settings": {**last["settings"], "rounds": len(figures)}}
    if "floor" in last:
        one["floor"] = median([f["floor"] for f in figures])
        one["ratio"] = four_digits(one["value"] / one["floor"])
    for name, value in last["settings"].items():
        if isinstance(value, float) or name == "samples":
            values = [f["settings"][name] for f in figures]
            one["settings"][name] = sum(values) if name == "samples" else median(values)
    return one


def best_tries(figures):
    """Of figures that differ in the setting `try` only, the highest, with all of them in `tried`; others as they are. In their order."""
    groups = {}
    for one in figures:
        key = (one["bench"], one["metric"]) if "try" in one["settings"] else id(one)
        groups.setdefault(key, []).append(one)
    found = []
    for group in groups.values():
        best = max(group, key=lambda one: one["value"])
        if "try" in best["settings"]:
            tried = ", ".join(f"{one['settings']['try']}: {one['value']:.0f}" for one in group)
            best = {**best, "settings": {**best["settings"], "tried": tried}}
        found.append(best)
    return found


def summary(figures):
    """All figures of all rounds, in the order of the first, each once."""
    groups = {}
    for one in figures:
        settings = one["settings"]
        groups.setdefault((one["bench"], one["metric"], settings.get("partitions"), settings.get("try")), []).append(one)
    return best_tries([merged(group) for group in groups.values()])


def ratios(figures):
    """How many times as good as each peer stead is, for every pair that was measured, in RATIOS' order; of several figures of a peer
    (settings of its own) the best."""
    lines = []
    for bench, metric, peer_bench, peer_metric, more, target in RATIOS:
        ours = [f for f in figures if (f["bench"], f["metric"]) == (bench, metric)]
        for peer in ("dbos", "restate"):
            theirs = [f for f in figures if (f["bench"], f["metric"]) == (peer_bench.format(peer), peer_metric)]
            if not ours or not theirs:
                continue
            mine, best = ours[0], (max if more else min)(theirs, key=lambda f: f["value"])
            value = mine["value"] / best["value"] if more else best["value"] / mine["value"]
            settings = {"stead": mine["value"], peer: best["value"], "unit": mine["unit"]}
            if target:
                settings["target"] = target
            lines.append(figure("peer_ratio", f"{bench}_{metric}_{peer}", value, "x", settings))
    return lines


def text_of(settings):
    """As stead's own tables: "samples=1000 load=0.3"."""
    return " ".join(f"{name}={value}" for name, value in settings.items() if name != "target")


def line_of(one, as_json):
    if as_json:
        return json.dumps(one, separators=(",", ":"))
    return f"{one['bench']:<28} {one['metric']:<28} {one['value']:>9} {one['unit']:<4} {text_of(one['settings'])}"


# ---- Processes ----------------------------------------------------------------------------------


def until(what, limit_s=LIMIT_S):
    """Asks `what` until it gives something true, and returns that."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.05)
    raise Failed(f"{what.__name__} took more than {limit_s} s")


def free_ports(count):
    """Held until all are found, so they differ."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def environment(**more):
    """Ours, without what would lead a request off loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "DO_NOT_TRACK": "1", "RESTATE_DISABLE_TELEMETRY": "true", **more}


def run(command, **options):
    """Runs something short; its output as text."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, **options)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: status {done.returncode}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


class Server:
    """A server with its log. The kernel ends it when this process ends."""

    def __init__(self, name, folder, command, ends_by, env=None):
        self.name, self.ends_by, self.log = name, ends_by, folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", ends_by, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=folder)

    def failed(self, why):
        tail = self.log.read_text(errors="replace").strip().splitlines()[-15:]
        return Failed(f"{self.name}: {why}\n" + "\n".join(tail))

    def check(self):
        if self.process.poll() is not None:
            raise self.failed(f"ended with status {self.process.returncode}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.Signals["SIG" + self.ends_by])
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Program:
    """A program that is told what to do by lines, and answers with a line of JSON each (loop.js)."""

    def __init__(self, name, folder, command, env=None):
        self.name, self.log = name, folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env)
        self.hello = self.answer()

    def tell(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def answer(self, limit_s=LIMIT_S):
        timer = threading.Timer(limit_s, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            self.process.kill()
            self.process.wait()
            tail = self.log.read_text(errors="replace").strip().splitlines()[-15:]
            raise Failed(f"{self.name}: ended, or took more than {limit_s} s\n" + "\n".join(tail))
        return json.loads(line)

    def ask(self, *words, limit_s=LIMIT_S):
        self.tell(*words)
        return self.answer(limit_s)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


# ---- What they have in common -------------------------------------------------------------------


class Bench:
    """Where it is measured, and what was measured: figures, of all rounds."""

    def __init__(self, options, folder):
        self.stead, self.installed, self.folder = options.stead.resolve(), options.installed.resolve(), folder
        self.figures = []

    def version(self, package):
        return json.loads((self.installed / "node_modules" / package / "package.json").read_text())["version"]

    def node(self, script, log_name, **env):
        return Program(log_name, self.folder, ["node", str(self.installed / script)], environment(**env))

    def sync_ns(self):
        """Samples of appending 4 KB and syncing them."""
        block, samples = bytes(SYNC_BYTES), []
        with open(self.folder / "sync", "wb", buffering=0) as file:
            for _ in range(SYNC_COUNT):
                start = time.monotonic_ns()
                file.write(block)
                os.fdatasync(file.fileno())
                samples.append(time.monotonic_ns() - start)
        return samples

    def beside_syncs(self, measure):
        """What `measure` returns, and the settings that say how the machine was meanwhile."""
        before = self.sync_ns()
        got = measure()
        return got, {"sync_us": four_digits(quantile(before + self.sync_ns(), 500) / 1000), "load": round(os.getloadavg()[0], 1)}

    def report_one(self, bench, us, flushes, settings):
        settings = {"samples": len(us), "flushes_per_op": round(flushes, 2), **settings}
        for metric, permille in (("p50", 500), ("p99", 990)):
            self.figures.append(figure(bench, metric, quantile(us, permille), "us", dict(settings)))

    def report_try(self, bench, name, rate, flushes, settings):
        settings = {"try": name, "seconds": SECONDS, "flushes_per_op": round(flushes, 2), **settings}
        self.figures.append(figure(bench, "rate", rate, "1/s", settings))


def rate_of(answers):
    """Runs a second of programs that ran side by side."""
    return sum(a["runs"] / a["seconds"] for a in answers)


# ---- stead --------------------------------------------------------------------------------------


def measure_stead(bench):
    for name in STEAD_BENCHES:
        command = [str(bench.stead), "bench", name, "--json", "--folder", str(bench.folder), "--quick"]
        done, settings = bench.beside_syncs(lambda: subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=5 * LIMIT_S))
        if done.returncode != 0:
            raise Failed(f"stead bench {name}: status {done.returncode}")
        for line in done.stdout.splitlines():
            one = json.loads(line)
            for quoted in ("dbos_us", "restate_us", "peer"):  # of another machine: here they are measured
                one["settings"].pop(quoted, None)
            bench.figures.append({**one, "settings": {**one["settings"], **settings}})


# ---- DBOS on PostgreSQL -------------------------------------------------------------------------


class Postgres:
    """A server of its own, with what it has by default: fsync and synchronous_commit are on. It refuses root, so as root it is its packages' user."""

    def __init__(self, folder):
        self.folder = folder / "postgres"
        self.folder.mkdir()
        self.port, self.password = free_ports(1)[0], secrets.token_hex(16)
        self.user = []
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.bin = self.find_bin()
        data, password = self.folder / "data", self.folder / "password"
        password.write_text(self.password)
        run(self.user + [self.bin / "initdb", "-D", data, "-U", "peers", "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8",
                         "--locale", "C"])
        password.unlink()
        self.server = Server("postgres-log", self.folder, [
            *self.user[1:], str(self.bin / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""], "INT")
        until(self.is_ready)
        self.sql("create database peers", "postgres")

    def find_bin(self):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
        if found:
            return found[-1].parent
        if shutil.which("postgres"):
            return pathlib.Path(shutil.which("postgres")).resolve().parent
        raise Failed("there is no program postgres")

    def is_ready(self):
        self.server.check()
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    def url(self):
        return f"postgresql://peers:{self.password}@127.0.0.1:{self.port}/peers"

    def sql(self, text, database="peers"):
        return run([self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "peers", "-d", database,
                    "-c", text], env=environment(PGPASSWORD=self.password)).strip()

    def nobody_else(self):
        return self.sql("select count(*) = 0 from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()") == "t"

    def syncs(self):
        """Of the log so far. A connection's are counted at its end for sure, so all must have ended."""
        until(self.nobody_else)
        return int(self.sql("select wal_sync from pg_stat_wal"))

    def settings(self):
        return {name: self.sql(f"show {name}") for name in ("fsync", "synchronous_commit", "wal_sync_method")}


def with_dbos(bench, postgres, processes, work):
    """Starts so many processes of DBOS, does `work` with them, ends them; what it returned, and the log's syncs meanwhile."""
    before, programs = postgres.syncs(), []
    try:
        for number in range(processes):
            programs.append(bench.node("dbos.js", "dbos", PEERS_DATABASE=postgres.url(), PEERS_POOL=str(DBOS_POOL),
                                       DBOS__VMID=f"peers-{number}"))
        got = work(programs)
    finally:
        for program in programs:
            program.close()
    return got, postgres.syncs() - before


def measure_dbos(bench):
    postgres = Postgres(bench.folder)
    try:
        with_dbos(bench, postgres, 1, lambda programs: None)  # makes its tables
        hello, start_syncs = with_dbos(bench, postgres, 1, lambda programs: programs[0].hello)
        versions = {"dbos": bench.version("@dbos-inc/dbos-sdk"), "postgres": postgres.sql("show server_version").split()[0],
                    "node": hello["node"], "pool": DBOS_POOL, **postgres.settings()}

        def one(programs):
            programs[0].ask("one", WARM)
            return bench.beside_syncs(lambda: programs[0].ask("one", SAMPLES)["us"])

        ((us, machine), syncs) = with_dbos(bench, postgres, 1, one)
        bench.report_one("peer_dbos_hello5", us, (syncs - start_syncs) / (WARM + SAMPLES), {**machine, **versions})
        for in_flight, processes in DBOS_TRIES:
            (rate, flushes), machine = bench.beside_syncs(lambda: try_dbos(bench, postgres, processes, in_flight, start_syncs))
            bench.report_try("peer_dbos_hello5_sustained", f"{in_flight} in flight by {processes}", rate, flushes, {**machine, **versions})
    finally:
        postgres.server.stop()


def try_dbos(bench, postgres, processes, in_flight, start_syncs):
    def work(programs):
        asked = []
        for words in (("one", WARM), ("many", in_flight // processes, SECONDS)):
            for program in programs:
                program.tell(*words)
            asked = [program.answer() for program in programs]
        return asked

    answers, syncs = with_dbos(bench, postgres, processes, work)
    runs = sum(answer["runs"] + WARM for answer in answers)
    return rate_of(answers), (syncs - start_syncs * processes) / runs


# ---- Restate ------------------------------------------------------------------------------------


class Restate:
    """A server of one node, with so many partitions, and the program whose handlers it calls."""

    def __init__(self, bench, partitions):
        self.folder = bench.folder / f"restate-{partitions}"
        self.folder.mkdir()
        self.ingress, self.admin, self.fabric = free_ports(3)
        program = next((bench.installed / "node_modules/@restatedev").glob("restate-server-*/bin/restate-server"), None)
        if program is None:
            raise Failed("npm has no restate-server for this machine")
        self.server = self.service = None
        try:
            self.server = Server("server", self.folder, [
                str(program), "--base-dir", str(self.folder / "data"), "--node-name", "peers", "--listen-mode", "tcp", "--no-logo",
                "--bind-ip", "127.0.0.1", "--advertised-host", "127.0.0.1", "--bind-port", str(self.fabric)],
                "TERM", environment(RESTATE_INGRESS__BIND_ADDRESS=f"127.0.0.1:{self.ingress}",
                                    RESTATE_ADMIN__BIND_ADDRESS=f"127.0.0.1:{self.admin}",
                                    RESTATE_DEFAULT_NUM_PARTITIONS=str(partitions)))
            self.service = Program("restate-service", bench.folder, ["node", str(bench.installed / "restate_service.js")], environment())
            until(self.is_ready)
        except BaseException:
            self.stop()
            raise

    def get(self, port, path, body=None):
        """The text of a page, or None when there is none (yet). Never through a proxy."""
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", data=body, headers={"content-type": "application/json"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def is_ready(self):
        """The handlers are known, and a call of one is answered."""
        self.server.check()
        body = json.dumps({"uri": f"http://127.0.0.1:{self.service.hello['port']}"}).encode()
        return self.get(self.admin, "deployments", body) and self.get(self.ingress, "hello/five", b"") == "5"

    def syncs(self):
        return synced(self.get(self.fabric, "metrics") or "")

    def stop(self):
        if self.service:
            self.service.close()
        if self.server:
            self.server.stop()


def measure_restate(bench):
    versions = {"restate": bench.version("@restatedev/restate-server"), "sdk": bench.version("@restatedev/restate-sdk")}
    for partitions in RESTATE_PARTITIONS:
        restate = Restate(bench, partitions)
        try:
            client = bench.node("restate_client.js", "restate-client", PEERS_INGRESS=str(restate.ingress))
            versions["node"] = client.hello["node"]
            try:
                client.ask("one", WARM)
                before = restate.syncs()
                us, machine = bench.beside_syncs(lambda: client.ask("one", SAMPLES)["us"])
                flushes = (restate.syncs() - before) / SAMPLES
                bench.report_one("peer_restate_hello5", us, flushes, {"partitions": partitions, **machine, **versions})
                for in_flight in IN_FLIGHT:
                    (rate, flushes), machine = bench.beside_syncs(lambda: try_restate(restate, client, in_flight))
                    bench.report_try("peer_restate_hello5_sustained", f"{in_flight} in flight, {partitions} partitions", rate, flushes,
                                     {**machine, **versions})
            finally:
                client.close()
        finally:
            restate.stop()


def try_restate(restate, client, in_flight):
    before = restate.syncs()
    answer = client.ask("many", in_flight, SECONDS)
    return rate_of([answer]), (restate.syncs() - before) / answer["runs"]


# ---- All ----------------------------------------------------------------------------------------

MEASURES = {"stead": measure_stead, "dbos": measure_dbos, "restate": measure_restate}


def measure(options):
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # then what is below is still tidied up
    scratch, wrong = pathlib.Path(tempfile.mkdtemp(prefix="stead-peers-", dir=options.folder)), set()
    scratch.chmod(0o711)  # PostgreSQL's user goes through it
    try:
        bench, rounds = Bench(options, scratch), ROUNDS_QUICK if options.quick else ROUNDS
        for number in range(rounds):
            for name in options.only or MEASURES:
                if name in wrong:
                    continue
                print(f"peers: round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
                bench.folder = scratch / f"{number}-{name}"
                bench.folder.mkdir()
                bench.folder.chmod(0o711)
                try:
                    MEASURES[name](bench)
                except (Failed, OSError, KeyError, subprocess.TimeoutExpired) as error:
                    print(f"peers: {name}: {error}", file=sys.stderr)
                    wrong.add(name)
                shutil.rmtree(bench.folder, ignore_errors=True)
        figures = summary(bench.figures)
        for one in figures + ratios(figures):
            print(line_of(one, options.json), flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description="A workflow of five steps by stead, DBOS on PostgreSQL and Restate, on this machine.")
    parser.add_argument("stead", nargs="?", type=pathlib.Path, help="the program")
    parser.add_argument("installed", nargs="?", type=pathlib.Path, help="a folder with *.js and node_modules")
    parser.add_argument("--json", action="store_true", help="a line of JSON a figure")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--folder", type=pathlib.Path, help="where the scratch folder is made: the disk that is measured")
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="this one; may be repeated")
    parser.add_argument("--self-test", action="store_true", help="checks the arithmetic and the text")
    options = parser.parse_args()
    if options.self_test:
        import self_test  # beside this file, and in need of it
        return self_test.main()
    if options.installed is None:
        parser.error("STEAD and INSTALLED, or --self-test")
    return measure(options)


if __name__ == "__main__":
    sys.exit(main())
