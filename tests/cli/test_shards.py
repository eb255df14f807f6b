"""`asterism shards` against nodes that answer as the test tells them, and against a real one."""

import json
import urllib.error
import urllib.request

import pytest

from cluster import Cluster
from pretended import command, serving

LEAST = -2**63


def shard(number, after, to, replicas, keyspace="shop", **move):
    made = {"id": number, "keyspace": keyspace, "after": str(after), "to": str(to), "replicas": replicas,
            "epoch": "3", "mode": "leaderless"}
    return {**made, "move": move} if move else made


def page(shards, after=None, applied=7, total=None):
    return {"applied": applied, "total": total or len(shards), "nodes": [{"id": k, "name": f"n{k}"} for k in (1, 2, 3)],
            "shards": shards, "next": after}


QUARTERS = [shard(4, 2**62, LEAST, [1, 2]), shard(1, LEAST, -2**62, [1, 2]), shard(2, -2**62, 0, [2, 1]),
            shard(3, 0, 2**62, [1, 2], target=[1, 3], caught_up=[3], settling=True)]


def answering(name, *pages, **more):
    answers = serving(name, **more)
    for path, answer in pages:
        answers[("GET", path)] = (200, answer)
    return answers


def test_every_shard_and_what_each_node_has(cluster):
    data, _ = cluster(answering("n1", ("/shards", page(QUARTERS))), None, serving("n3", applied=5))
    said = json.loads(command("shards", "--data", data, "--json").stdout)
    assert said["total"] == 4
    assert [(each["id"], each["to"]) for each in said["shards"]] == [
        (4, str(LEAST)), (1, str(-2**62)), (2, "0"), (3, str(2**62))]
    assert said["shards"][3]["replicas"] == ["n1", "n2"]
    assert said["shards"][3]["move"] == {"target": ["n1", "n3"], "caught_up": ["n3"], "settling": True}
    nodes = {node["name"]: node for node in said["nodes"]}
    assert [nodes[name]["state"] for name in ("n1", "n2", "n3")] == ["up", "down", "up"]
    assert [nodes[name]["shards"] for name in ("n1", "n2", "n3")] == [4, 4, 0]
    assert [nodes[name]["primary_ranges"] for name in ("n1", "n2", "n3")] == [3, 1, 0]
    assert nodes["n1"]["primary_share"] == pytest.approx(0.75) and nodes["n1"]["stored_share"] == pytest.approx(1)
    assert (nodes["n2"]["going"], nodes["n3"]["coming"]) == (1, 1)

    words = command("shards", "--data", data).stdout
    assert "settling to n1 n3; caught up: n3" in words and "75.0 %" in words and "\x1b" not in words
    summary = command("shards", "--data", data, "--summary").stdout.splitlines()
    assert len(summary) == 4 and summary[1].endswith("█" * 24) and summary[3].endswith("░" * 24)
    assert "shards" not in json.loads(command("shards", "--data", data, "--summary", "--json").stdout)


def test_pages_are_read_to_the_end_and_again_where_the_cluster_changed_meanwhile(cluster):
    turns = iter([7, 8, 8])

    def first(*_):
        return 200, page(QUARTERS[:2], after=4, applied=next(turns), total=4)

    data, nodes = cluster({**serving("n1"), ("GET", "/shards"): first,
                           ("GET", "/shards?after=4"): (200, page(QUARTERS[2:], applied=8, total=4))})
    said = json.loads(command("shards", "--data", data, "--json").stdout)
    assert said["applied"] == 8 and len(said["shards"]) == 4
    assert nodes[0].asked.count(("GET", "/shards?after=4")) == 2


def test_shares_are_the_mean_over_keyspaces(cluster):
    whole = shard(9, 5, 5, [3], keyspace="logs")
    data, _ = cluster(answering("n1", ("/shards", page(QUARTERS + [whole])), ("/shards?keyspace=logs", page([whole]))))
    nodes = {node["name"]: node for node in json.loads(command("shards", "--data", data, "--json").stdout)["nodes"]}
    assert nodes["n3"]["stored_share"] == pytest.approx(0.5) and nodes["n1"]["primary_share"] == pytest.approx(0.375)
    assert nodes["n3"]["state"] == "elsewhere"
    only = json.loads(command("shards", "logs", "--data", data, "--json").stdout)
    assert [each["id"] for each in only["shards"]] == [9]


@pytest.mark.parametrize("answer", [(500, "broken"), (200, "no JSON"), (200, "[1]")])
def test_a_node_that_answers_nonsense_is_named(cluster, answer):
    data, _ = cluster({**serving("n1"), ("GET", "/shards"): answer})
    done = command("shards", "--data", data)
    assert done.returncode == 1 and "n1 does not tell its shards" in done.stderr


def test_what_is_missing_is_named(cluster):
    data, _ = cluster(answering("n1", ("/shards", page([]))))
    assert "there is no keyspace nothing: there are shop logs" in command("shards", "nothing", "--data", data).stderr
    assert "holds no cluster" in command("shards", "--data", data / "nothing").stderr
    assert json.loads(command("shards", "--data", data, "--json").stdout)["shards"] == []


def post_cql(node, statement):
    request = urllib.request.Request(f"http://{node['address']}:{node['http']}/cql",
                                     json.dumps({"statement": statement}).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_real_cluster_tells_its_shards_in_pages(tmp_path):
    def get(path):
        node = running.nodes[0]
        try:
            with urllib.request.urlopen(f"http://{node['address']}:{node['http']}{path}", timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    with Cluster(tmp_path / "data") as running:
        for name in ("shop", *(f"k{k}" for k in range(22))):
            done = post_cql(running.nodes[0], f"CREATE KEYSPACE {name} WITH replication = "
                                              "{'class': 'SimpleStrategy', 'replication_factor': 2}")
            assert done["kind"] == "schema", done
        status, first = get("/shards")
        assert status == 200 and first["total"] == 23 * 48 and len(first["shards"]) == 1000
        status, rest = get(f"/shards?after={first['next']}")
        assert len(rest["shards"]) == 104 and rest["next"] is None
        assert not {each["id"] for each in first["shards"]} & {each["id"] for each in rest["shards"]}
        assert get("/shards?keyspace=shop")[1]["total"] == 48
        assert get("/shards?keyspace=nothing")[0] == 404 and get("/shards?after=x")[0] == 400

        said = json.loads(command("shards", "--data", running.data, "--json").stdout)
        assert said["total"] == 23 * 48
        for node in said["nodes"]:
            assert node["state"] == "up" and node["primary_ranges"] == 23 * 16 and node["store_bytes"] >= 0
            assert node["primary_share"] == pytest.approx(1 / 3) and node["stored_share"] == pytest.approx(2 / 3)
        one = command("shards", "shop", "--data", running.data)
        assert len(one.stdout.splitlines()) == 1 + 48 + 1 + 1 + 3
