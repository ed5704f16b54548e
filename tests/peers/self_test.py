#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""self_test: what of peers.py can be wrong without a peer: the arithmetic, the text of a figure, the way a program is told and ended, and that
what is installed is pinned and names no address."""
import json
import pathlib
import re
import sys
import tempfile

import peers

HERE = pathlib.Path(__file__).resolve().parent
METRICS = """# TYPE restate_rocksdb_wal_synced_total counter
restate_rocksdb_wal_synced_total{cluster_name="a",db="log-server"} 129
restate_rocksdb_wal_synced_total{cluster_name="a",db="db"} 3
restate_rocksdb_write_wal_total{cluster_name="a",db="db"} 1000
"""
# Says its first line, then answers each with the words it was told; "die" ends it, "wait" is never answered.
STAND_IN = r"""
import json, sys, time
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    if line.strip() == "die":
        sys.exit("it was told to die")
    if line.strip() != "wait":
        print(json.dumps({"told": line.split()}), flush=True)
"""


def fails(work, text):
    """Whether `work` fails with a message that has `text` in it."""
    try:
        work()
    except peers.Failed as failed:
        return text in str(failed)
    return False


def test_quantiles_are_samples_as_the_bench_of_stead_takes_them():
    samples = list(range(100, 0, -1))
    assert [peers.quantile(samples, p) for p in (0, 500, 990, 1000)] == [1, 50, 99, 100]
    assert peers.quantile([7], 990) == 7 and peers.quantile([], 500) == 0


def test_numbers_have_four_digits():
    assert [peers.four_digits(v) for v in (10508.6, 999.96, 213.74, 5.61239, 0.0432199)] == [10509, 1000.0, 213.7, 5.612, 0.04322]
    assert json.dumps(peers.four_digits(1234.4)) == "1234"


def test_a_figure_is_a_line_of_json_as_stead_prints_it():
    one = peers.figure("peer_dbos_hello5", "p50", 10508.6, "us", {"samples": 300, "target": "x"})
    assert peers.line_of(one, True) == (
        '{"bench":"peer_dbos_hello5","metric":"p50","value":10509,"unit":"us","settings":{"samples":300,"target":"x"}}')
    assert peers.line_of(one, False).split() == ["peer_dbos_hello5", "p50", "10509", "us", "samples=300"]


def test_syncs_of_all_logs_are_added_and_a_page_without_them_is_refused():
    assert peers.synced(METRICS) == 132
    assert fails(lambda: peers.synced("restate_other 7\n"), "do not say")


def test_a_figure_of_several_rounds_is_the_median_of_each_number():
    def hello(value, floor, sync_us, partitions):
        return {**peers.figure("hello5", "p50", value, "us", {"samples": 400, "sync_us": sync_us, "partitions": partitions, "node": "v1"}),
                "floor": floor, "ratio": 99}

    rounds = [hello(900, 400, 50.5, 1), hello(20, 10, 1.5, 24), hello(2000, 1000, 250.5, 1), hello(950, 500, 60.5, 1)]
    found = peers.summary(rounds)
    assert found[0] == {"bench": "hello5", "metric": "p50", "value": 950, "unit": "us", "floor": 500, "ratio": 1.9,
                        "settings": {"samples": 1200, "sync_us": 60.5, "partitions": 1, "node": "v1", "rounds": 3}}
    assert len(found) == 2 and found[1]["value"] == 20 and found[1]["ratio"] == 2 and found[1]["settings"]["rounds"] == 1


def test_the_best_try_is_the_one_of_the_highest_median_rate():
    def rate(name, value):
        return peers.figure("sustained", "rate", value, "1/s", {"try": name})

    found = peers.summary([rate("a", 99.6), rate("b", 410.2), rate("a", 5000), rate("b", 300), rate("a", 90), rate("b", 420)])
    assert len(found) == 1 and found[0]["value"] == 410.2
    assert found[0]["settings"] == {"try": "b", "rounds": 3, "tried": "a: 100, b: 410"}
    assert peers.rate_of([{"runs": 30, "seconds": 2}, {"runs": 10, "seconds": 4}]) == 17.5


def test_a_ratio_says_how_many_times_as_good_stead_is_as_the_peer_at_its_best():
    figures = [peers.figure(*one, {}) for one in (
        ("hello5", "p50", 900, "us"), ("hello5", "p99", 5000, "us"), ("hello5_sustained", "rate", 6000, "1/s"), ("hub_hello5", "p50", 18000, "us"),
        ("peer_dbos_hello5", "p50", 9000, "us"), ("peer_dbos_hello5_sustained", "rate", 300, "1/s"),
        ("peer_restate_hello5", "p50", 13500, "us"), ("peer_restate_hello5", "p50", 9900, "us"),
        ("peer_restate_hello5_sustained", "rate", 1500, "1/s"))]
    found = {one["metric"]: one["value"] for one in peers.ratios(figures)}
    assert found == {"hello5_p50_dbos": 10, "hello5_p50_restate": 11, "hub_hello5_p50_dbos": 0.5, "hub_hello5_p50_restate": 0.55,
                     "hello5_sustained_rate_dbos": 20, "hello5_sustained_rate_restate": 4}
    assert peers.ratios(figures[:4]) == [] and len(peers.ratios(figures[:6])) == 3


def test_a_program_answers_line_by_line_and_one_that_dies_or_hangs_is_named_with_its_last_words():
    with tempfile.TemporaryDirectory() as scratch:
        folder, command = pathlib.Path(scratch), [sys.executable, "-c", STAND_IN]
        program = peers.Program("stand-in", folder, command)
        assert program.hello == {"ready": True} and program.ask("many", 64, 5) == {"told": ["many", "64", "5"]}
        program.close()
        assert program.process.returncode == 0
        program = peers.Program("stand-in", folder, command)
        assert fails(lambda: program.ask("die"), "it was told to die") and program.process.returncode is not None
        program = peers.Program("stand-in", folder, command)
        assert fails(lambda: program.ask("wait", limit_s=0.2), "more than 0.2 s") and program.process.returncode is not None


def test_a_server_that_ends_by_itself_is_named_and_one_that_runs_is_ended():
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        server = peers.Server("sleeper", folder, ["sleep", "1000"], "TERM")
        server.check()
        server.stop()
        assert server.process.returncode == -15
        server = peers.Server("talker", folder, ["sh", "-c", "echo no such disk; exit 3"], "TERM")
        server.process.wait(peers.LIMIT_S)
        assert fails(server.check, "status 3") and fails(server.check, "no such disk")


def test_ports_differ_and_a_request_is_not_led_off_loopback():
    assert len(set(peers.free_ports(8))) == 8
    peers.os.environ["HTTP_proxy"] = "http://127.0.0.1:9"
    kept = peers.environment(MORE="1")
    assert "HTTP_proxy" not in kept and kept["MORE"] == "1" and kept["RESTATE_DISABLE_TELEMETRY"] == "true"


def test_what_is_installed_is_pinned_and_names_no_address():
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    lock = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert lock[""]["dependencies"] == wanted
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version) and lock[f"node_modules/{name}"]["version"] == version, name
    for name, package in lock.items():
        assert "resolved" not in package and (name == "" or package["integrity"].startswith("sha512-")), name


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    for name, test in tests:
        print(name, flush=True)
        test()
    print(f"peers: {len(tests)} tests passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
