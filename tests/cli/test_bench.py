"""`asterism bench`: figures that make sense, of clusters that are well and of those that are not."""

import json
import signal
import subprocess
import time

import pytest

from cluster import ASTERISM, Cluster, wait_until

OFFSET = 22000
FIGURES = {"operations", "ops_per_s", "p50_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("bench") / "data", 3, OFFSET) as running:
        yield running


def run(cluster, *arguments, timeout=60):
    return subprocess.run([ASTERISM, *map(str, arguments), "--data", str(cluster.data)], capture_output=True, text=True,
                          timeout=timeout)


def bench(cluster, *arguments):
    done = run(cluster, "bench", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def keyspaces(cluster):
    done = run(cluster, "cql", "--json", "-e", "SELECT keyspace_name FROM system_schema.keyspaces")
    return [json.loads(line)["keyspace_name"] for line in done.stdout.splitlines()]


def check_order(figures):
    assert figures["operations"] > 0
    assert 0 < figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"] <= figures["p999_ms"] <= figures["max_ms"]


@pytest.mark.parametrize("what, kinds", [("write", {"write"}), ("read", {"read"}), ("mixed", {"write", "read"}),
                                         ("scan", {"scan"})])
def test_each_load_gives_figures(cluster, what, kinds):
    began = time.monotonic()
    out = bench(cluster, what, "--seconds", 1, "--rows", 2000, "--value-bytes", 50)
    assert time.monotonic() - began < 30
    assert set(out) == FIGURES | {"event", "what", "seconds", "errors", "errors_by_kind", "kinds", "rows_read", "rate",
                                  "durability", "not_begun", "cpu_us_per_operation", "cpu_nodes"}
    assert out["event"] == "bench" and out["what"] == what and out["errors"] == 0 and out["errors_by_kind"] == {}
    assert set(out["kinds"]) == kinds
    for figures in [out, *out["kinds"].values()]:
        check_order(figures)
    assert sum(each["operations"] for each in out["kinds"].values()) == out["operations"]
    assert 0.9 < out["seconds"] < 5 and abs(out["ops_per_s"] * out["seconds"] - out["operations"]) < 2
    assert out["cpu_nodes"] == 3 and 1 < out["cpu_us_per_operation"] < 100_000
    reads = out["kinds"].get("read", {"operations": 0})["operations"]
    if what == "scan":
        assert out["rows_read"] > 50 * out["operations"]
    else:
        assert out["rows_read"] == reads
    assert "asterism_bench" not in keyspaces(cluster)


def test_for_people(cluster):
    done = run(cluster, "bench", "write", "--seconds", 2, "--connections", 1, "--concurrency", 4, "--rows", 100)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stderr.splitlines() if "ops/s" in line][:1] == ["1"]
    lines = done.stdout.splitlines()
    assert "4 at once over 1 connections to 3 nodes" in lines[0] and "LOCAL_QUORUM" in lines[0]
    assert lines[1].split() == ["operations", "ops/s", "p50", "p95", "p99", "p99.9", "max"]
    assert lines[2].split()[0] == "write" and "µs an operation" in done.stdout


def test_what_is_kept_is_not_loaded_again(cluster):
    bench(cluster, "read", "--seconds", 1, "--rows", 1000, "--keep", "--replication", 2)
    assert "asterism_bench" in keyspaces(cluster)
    told = run(cluster, "cql", "--json", "-e", "SELECT comment FROM system_schema.tables WHERE keyspace_name = "
                                               "'asterism_bench'; SELECT count(*) FROM asterism_bench.rows")
    comment, counted = map(json.loads, told.stdout.splitlines())
    assert comment == {"comment": "1000 rows of 100 bytes"} and int(counted["count"]) == 1000
    # With the address of a node, without its folder, the processors are not known.
    out = bench(cluster, "mixed", f"127.0.0.1:{cluster.port}", "--seconds", 1, "--rows", 1000)
    assert out["errors"] == 0 and out["cpu_us_per_operation"] is None and out["cpu_nodes"] == 0
    assert "asterism_bench" not in keyspaces(cluster)


def test_relaxed_is_the_keyspaces_durable_writes(cluster):
    for relaxed in (True, False):
        out = bench(cluster, "write", "--seconds", 1, "--rows", 100, "--keep", *(["--relaxed"] if relaxed else []))
        assert out["errors"] == 0 and out["durability"] == ("relaxed" if relaxed else "synced")
        told = run(cluster, "cql", "--json", "-e", "SELECT durable_writes FROM system_schema.keyspaces "
                                                   "WHERE keyspace_name = 'asterism_bench'; ")
        assert json.loads(told.stdout) == {"durable_writes": not relaxed}
    bench(cluster, "write", "--seconds", 1, "--rows", 100)


def test_a_rate_is_held_and_a_stall_is_charged_for_all_it_delays(tmp_path):
    # One node: nobody else can suspect it while it stands still, so that what waits is served late instead of failing.
    with Cluster(tmp_path / "data", 1, OFFSET + 10) as cluster:
        out = bench(cluster, "write", "--seconds", 2, "--rate", 500, "--rows", 1000)
        assert abs(out["operations"] + out["not_begun"] - 1000) < 20 and out["operations"] > 500, out
        going = subprocess.Popen([ASTERISM, "bench", "write", "--seconds", "5", "--rate", "500", "--rows", "1000",
                                  "--json", "--data", str(cluster.data)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        wait_until(lambda: "asterism_bench" in keyspaces(cluster), 10, "the load to begin")
        time.sleep(1)
        cluster.freeze(0)
        time.sleep(1)
        cluster.thaw(0)
        out = json.loads(going.communicate(timeout=60)[0])
    # Half of a second's operations had to wait half a second at least, although few were under way.
    assert out["errors"] == 0 and out["max_ms"] > 500 and out["p95_ms"] > 250, out


def test_errors_are_counted_when_a_node_is_killed(cluster):
    going = subprocess.Popen([ASTERISM, "bench", "mixed", "--seconds", "4", "--rows", "1000", "--consistency", "ALL",
                              "--json", "--data", str(cluster.data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
    wait_until(lambda: "asterism_bench" in keyspaces(cluster), 10, "the load to begin")
    time.sleep(1)
    cluster.kill(1)
    out, errors = going.communicate(timeout=60)
    cluster.start(1)
    assert going.returncode == 0, errors
    out = json.loads(out)
    assert out["errors"] == sum(out["errors_by_kind"].values()) > 0
    assert "Unavailable" in out["errors_by_kind"], out
    assert out["operations"] > 0 and out["cpu_nodes"] == 2


def test_ctrl_c_ends_it_with_what_was_measured(cluster):
    going = subprocess.Popen([ASTERISM, "bench", "write", "--seconds", "60", "--rows", "1000", "--json", "--data",
                              str(cluster.data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: "asterism_bench" in keyspaces(cluster), 10, "the load to begin")
    time.sleep(1)
    going.send_signal(signal.SIGINT)
    out, errors = going.communicate(timeout=10)
    assert going.returncode == 0, errors
    out = json.loads(out)
    check_order(out)
    assert out["seconds"] < 10
    assert "asterism_bench" not in keyspaces(cluster)


def test_wrong_usage(cluster):
    assert run(cluster, "bench", "sing").returncode == 2
    assert run(cluster, "bench", "--consistency", "SOME").returncode == 2
    assert run(cluster, "bench", "--seconds", "0").returncode == 2
    refused = run(cluster, "bench", "write", "127.0.0.9:1", "--seconds", "1")
    assert refused.returncode == 1 and "127.0.0.9:1" in refused.stderr
