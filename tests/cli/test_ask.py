"""`asterism status` and `asterism verify` against nodes that answer as the test tells them."""

import json
import socket

import pytest

from pretended import command, serving, status_of


def verifying(name, code, body):
    return {**serving(name), ("POST", "/verify"): (code, body)}


AGREED = {"differences": [], "shards": 48, "tables": 3}


def test_status_tells_nodes_shards_and_leaders(cluster):
    data, nodes = cluster(serving("n1", applied=5, leader="n2"), None,
                          serving("n3", state="rebuilding", applied=9, leader="n3"))
    done = command("status", "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert [(node["name"], node["state"], node["address"]) for node in status["nodes"]] == [
        ("n1", "up", "127.0.0.1"), ("n2", "down", "127.0.0.2"), ("n3", "starting", "127.0.0.3")]
    assert status["nodes"][0]["http"] == nodes[0].port and status["nodes"][0]["cql"] == 9042
    assert status["nodes"][0]["memory_bytes"] == 3 << 20 and status["nodes"][0]["pid"] is None
    assert "memory_bytes" not in status["nodes"][1]
    assert status["shards"] == {"total": 48, "keyspaces": {"shop": 32, "logs": 16}}
    assert status["leaders"] == {"metadata": "n3"}  # of the node that has applied most

    words = command("status", "--data", data)
    assert words.returncode == 0
    for word in ("n1", "up", "down", "rebuilding", "shop 32", "metadata leader n3"):
        assert word in words.stdout
    assert "\x1b" not in words.stdout


def test_status_of_a_cluster_where_nobody_answers(cluster):
    data, _ = cluster(None, None)
    done = command("status", "--data", data, "--json")
    status = json.loads(done.stdout)
    assert done.returncode == 0
    assert [node["state"] for node in status["nodes"]] == ["down", "down"]
    assert status["shards"] is None and status["leaders"] == {"metadata": None}
    assert command("status", "--data", data / "nothing").returncode == 1


@pytest.mark.parametrize("answer", [(500, "broken"), (200, "no JSON"), (200, "[1]"), (200, "[" * 100_000)])
def test_a_node_that_answers_nonsense_is_down(cluster, answer):
    data, _ = cluster(serving("n1"), {("GET", "/status"): answer})
    states = [node["state"] for node in json.loads(command("status", "--data", data, "--json").stdout)["nodes"]]
    assert states == ["up", "down"]


def test_a_node_that_says_nothing_is_down_after_a_second(cluster):
    data, _ = cluster(serving("n1"), None)
    toml = data / "n2" / "node.toml"
    with socket.socket() as silent:
        silent.bind(("127.0.0.2", 0))
        silent.listen()
        lines = toml.read_text().splitlines()
        toml.write_text("\n".join(f"http_port = {silent.getsockname()[1]}" if line.startswith("http_port") else line
                                  for line in lines))
        done = command("status", "--data", data, "--json", timeout=5)
    assert [node["state"] for node in json.loads(done.stdout)["nodes"]] == ["up", "down"]


def test_verify_asks_the_first_node_that_serves(cluster):
    data, nodes = cluster({("GET", "/status"): (200, status_of("n1", state="starting"))},
                          verifying("n2", 200, AGREED), verifying("n3", 200, AGREED))
    done = command("verify", "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {**AGREED, "ok": True, "unreachable": [], "asked": "n2"}
    assert ("POST", "/verify") in nodes[1].asked
    assert ("POST", "/verify") not in nodes[0].asked + nodes[2].asked
    assert "3 tables in 48 shards agree" in command("verify", "--data", data).stdout


def test_verify_prints_what_differs(cluster):
    difference = {"keyspace": "shop", "table": "orders", "shard": 5, "nodes": ["n1", "n2"], "ranges": 3,
                  "what": "rows \x1b[31m differ"}
    data, _ = cluster(verifying("n1", 200, {**AGREED, "differences": [difference]}), serving("n2"))
    done = command("verify", "--data", data, "--json")
    assert done.returncode == 1
    verdict = json.loads(done.stdout)
    assert verdict["ok"] is False and verdict["differences"] == [difference]
    words = command("verify", "--data", data)
    assert words.returncode == 1
    for word in ("shop.orders", "n1, n2", "rows [31m differ"):
        assert word in words.stdout


def test_verify_without_one_of_the_nodes_is_not_ok(cluster):
    data, _ = cluster(verifying("n1", 200, AGREED), None)
    done = command("verify", "--data", data, "--json")
    assert done.returncode == 1
    verdict = json.loads(done.stdout)
    assert verdict["ok"] is False and verdict["unreachable"] == ["n2"] and verdict["differences"] == []


@pytest.mark.parametrize("answer", [(503, "the answer took too long"), (200, "{}"), (200, "nonsense")])
def test_verify_that_fails_is_not_ok(cluster, answer):
    data, _ = cluster(verifying("n1", *answer))
    done = command("verify", "--data", data, "--json")
    assert done.returncode == 1
    verdict = json.loads(done.stdout)
    assert verdict["ok"] is False and "n1" in verdict["error"]
    nobody = command("verify", "--data", data / "nothing", "--json")
    assert nobody.returncode == 1 and "no cluster" in nobody.stderr
