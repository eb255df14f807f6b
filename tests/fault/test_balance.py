"""Nodes get other tokens under load until all store about the same, and what an upgrade may use rises with the last node."""

import json
import os
import subprocess
import threading
import time

import pytest
from cassandra import DriverException

from cluster import ASTERISM, Cluster, command, wait_until
from cql import Writers, connect, execute_concurrent_with_args, keyspace

LONG = os.environ.get("ASTERISM_LONG") == "1"
BLOB = 100_000


def status(cluster):
    return json.loads(command("status", "--data", cluster.data, "--json").stdout)


def setting(cluster, *arguments):
    return command("settings", *arguments, "--data", cluster.data)


def outlook(cluster):
    done = command("rebalance", "--dry-run", "--data", cluster.data, "--json")
    assert done.returncode == 0, done.stderr + cluster.log_tails()
    return json.loads(done.stdout)


def fill_one_node(cluster, driver, session, rows):
    """A table whose rows all lie on the first node, which its keys are chosen for."""
    session.execute("CREATE KEYSPACE lopsided WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    session.execute("CREATE TABLE lopsided.t (k int PRIMARY KEY, v blob)")
    insert = session.prepare("INSERT INTO lopsided.t (k, v) VALUES (?, ?)")
    keys, key = [], 0
    while len(keys) < rows:
        bound = insert.bind((key, b""))
        (owner,) = driver.metadata.get_replicas("lopsided", bound.routing_key)
        if owner.address == cluster.nodes[0]["address"]:
            keys.append(key)
        key += 1
    futures = []
    for key in keys:
        futures.append(session.execute_async(insert, (key, os.urandom(BLOB))))
        if len(futures) == 20:
            for future in futures:
                future.result()
            futures.clear()
    for future in futures:
        future.result()
    return keys


def tokens_by_node(driver):
    found = {}
    for token, host in driver.metadata.token_map.token_to_host_owner.items():
        found.setdefault(host.address, set()).add(token.value)
    return found


def test_a_node_that_stores_too_much_gets_other_tokens(tmp_path):
    with Cluster(tmp_path / "data") as cluster, connect(cluster) as driver:
        session = driver.connect()
        if not LONG:
            assert setting(cluster, "balancer", "off").returncode == 0
        keyspace(session, "members")
        session.execute("CREATE TABLE members.t (w int, s int, v int, PRIMARY KEY ((w, s)))")
        keys = fill_one_node(cluster, driver, session, 600)
        writers = Writers([session], "members.t", threads=2)
        before = wait_until(lambda: (seen := outlook(cluster))["unevenness"] > 0.5 and seen, 60, "files of the rows")
        assert before["unevenness_after"] < 0.15 and len(before["steps"]) > 0
        shares = {node["name"]: node["share"] for node in before["nodes"]}
        assert shares["n1"] > 1.5 and shares["n2"] < 1 and shares["n3"] < 1
        assert sum(node["tokens_moved"] for node in before["nodes"]) > 0
        table = command("rebalance", "--dry-run", "--data", cluster.data).stdout
        assert "tokens moved" in table and "steps lead there" in table
        old = tokens_by_node(driver)
        if LONG:
            wait_until(lambda: status(cluster).get("change", {}).get("what") == "rebalance", 120, "the balancer")
            wait_until(lambda: outlook(cluster)["unevenness"] < 0.2, 600, "balance")
            wait_until(lambda: "change" not in status(cluster), 60, "the end of the last step")
        else:
            done = command("node", "rebalance", "--data", cluster.data, "--json", timeout=120)
            assert done.returncode == 0, done.stderr + cluster.log_tails()
            said = json.loads(done.stdout)
            assert said["event"] == "rebalanced" and said["steps"] > 0 and said["shards_moved"] > 0, said
            assert said["unevenness"] < 0.2 < said["unevenness_before"], said
        # This driver hears of it, and looks at the tokens of nodes that it knows only when it is told to.
        driver.refresh_nodes(force_token_rebuild=True)
        assert tokens_by_node(driver) != old
        written = writers.stop()
        assert written > 100 and not writers.errors, writers.errors[:5]
        assert not writers.lost(session)
        select = session.prepare("SELECT v FROM lopsided.t WHERE k = ?")
        assert all(len(session.execute(select, (key,)).one().v) == BLOB for key in keys)
        wait_until(lambda: command("verify", "--data", cluster.data).returncode == 0, 30, "equal replicas")


HOT_PARTITIONS, HOT_ROWS = 20, 1000


class Counting:
    """Clients that count the rows of a few partitions, again and again."""

    def __init__(self, driver, select, keys, threads=3):
        self.counted, self.failed, self.wrong, self.ended = 0, 0, [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(driver.connect(), select, keys[i::threads]))
                        for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, session, select, keys):
        while not self.ended.is_set():
            for key in keys:
                try:
                    rows = session.execute(select, (key,)).one()[0]
                    self.counted += 1
                    if rows != HOT_ROWS:
                        self.wrong.append((key, rows))
                except DriverException:  # with one replica, whoever is suspected for a moment is missed
                    self.failed += 1

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def make_hot_partitions(cluster, driver, session):
    """A few partitions of one node, which are nothing beside what all ranges count for as bytes."""
    session.execute("CREATE KEYSPACE hot WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    session.execute("CREATE TABLE hot.t (k int, c int, PRIMARY KEY (k, c))")
    select = session.prepare("SELECT count(*) FROM hot.t WHERE k = ?")
    keys, key = [], 0
    while len(keys) < HOT_PARTITIONS:
        (owner,) = driver.metadata.get_replicas("hot", select.bind((key,)).routing_key)
        if owner.address == cluster.nodes[0]["address"]:
            keys.append(key)
        key += 1
    insert = session.prepare("INSERT INTO hot.t (k, c) VALUES (?, ?)")
    for key in keys:
        execute_concurrent_with_args(session, insert, [(key, c) for c in range(HOT_ROWS)], concurrency=50)
    return select, keys


def test_a_node_that_has_too_much_to_do_gets_other_tokens(tmp_path):
    """With ASTERISM_LONG by itself, which takes five minutes of load before anything moves."""
    with Cluster(tmp_path / "data") as cluster, connect(cluster) as driver:
        session = driver.connect()
        if not LONG:
            assert setting(cluster, "balancer", "off").returncode == 0
        select, keys = make_hot_partitions(cluster, driver, session)
        idle = outlook(cluster)
        assert not idle["steps"] and not idle["load_matters"] and idle["unevenness"] < 0.1, idle
        assert "too little to move anything for" in command("rebalance", "--dry-run", "--data", cluster.data).stdout
        clients = Counting(driver, select, keys)
        try:
            before = wait_until(lambda: (seen := outlook(cluster))["load_matters"] and seen["load_excess"] > 1.5 and seen,
                                60, "load")
            shares = {node["name"]: node for node in before["nodes"]}
            assert shares["n1"]["load_share"] > 2.5 and shares["n2"]["load_share"] < 0.3, shares
            assert before["steps"] and before["load_excess_after"] < 0.3 and before["unevenness_after"] < 0.1, before
            table = command("rebalance", "--dry-run", "--data", cluster.data).stdout
            assert "small rows a second by node" in table and "steps lead there" in table, table
            shown = {node["name"]: node for node in json.loads(
                command("shards", "--summary", "--data", cluster.data, "--json").stdout)["nodes"]}
            assert shown["n1"]["work_s"] > 10 * shown["n2"]["work_s"], shown
            if LONG:
                began = time.monotonic()
                wait_until(lambda: status(cluster).get("change", {}).get("what") == "rebalance", 420, "the balancer")
                assert time.monotonic() - began > 200, "load has to last"
                wait_until(lambda: "change" not in status(cluster), 60, "the end of the step")
            else:
                done = command("rebalance", "--data", cluster.data, "--json", timeout=120)
                assert done.returncode == 0, done.stderr + cluster.log_tails()
                said = json.loads(done.stdout)
                assert said["steps"] > 0 and said["load_excess_before"] > 1.5 > 0.3 > said["load_excess"], said
            after = outlook(cluster)
            assert after["load_excess"] < before["load_excess"] / 2 and after["unevenness"] < 0.1, after
            if not LONG:
                assert not after["steps"], "it is over, and nothing leads back"
            # What replicas do now, and not what is expected of them.
            ring = after["ring"]
            wait_until(lambda: (work := [node["work_s"] for node in json.loads(
                command("shards", "--summary", "--data", cluster.data, "--json").stdout)["nodes"]]) and
                max(work) < 2.7 * sum(work) / 3, 240, "the others do it")
            assert outlook(cluster)["ring"] == ring, "nothing else moved"
        finally:
            clients.stop()
        assert clients.counted > 100 > clients.failed and not clients.wrong, clients.wrong[:5]


@pytest.mark.parametrize("by", ["cancel", "add"])
def test_a_step_of_the_balancer_can_be_turned_back(tmp_path, by):
    """By who does not want it, and by a node that comes: members go before tokens."""
    with Cluster(tmp_path / "data") as cluster, connect(cluster) as driver:
        session = driver.connect()
        for name, value in (("balancer", "off"), ("move_mib_per_second", "1")):
            assert setting(cluster, name, value).returncode == 0
        assert "must be on or off" in setting(cluster, "balancer", "maybe").stderr
        nothing = command("rebalance", "--data", cluster.data)
        assert nothing.returncode == 0 and nothing.stdout.startswith("nothing moved"), nothing.stdout
        keys = fill_one_node(cluster, driver, session, 400)
        wait_until(lambda: outlook(cluster)["unevenness"] > 0.3, 60, "files of the rows")
        old = tokens_by_node(driver)
        moving = subprocess.Popen([ASTERISM, "rebalance", "--data", cluster.data, "--json"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        change = wait_until(lambda: status(cluster).get("change"), 20, "a step")
        assert change["what"] == "rebalance"
        assert {node["state"] for node in status(cluster)["nodes"]} == {"up"}, "nobody comes or goes"
        assert "gets other tokens" in command("status", "--data", cluster.data).stdout
        if by == "add":
            assert setting(cluster, "move_mib_per_second", "64").returncode == 0
        back = command("node", by, *([change["node"]] if by == "cancel" else []), "--data", cluster.data, timeout=120)
        assert back.returncode == 0, back.stderr
        assert moving.wait(60) == 1 and "was cancelled" in moving.stderr.read()
        driver.refresh_nodes(force_token_rebuild=True)
        now = tokens_by_node(driver)
        assert "change" not in status(cluster) and len(now) == (3 if by == "cancel" else 4)
        assert {address: now[address] for address in old} == old
        select = session.prepare("SELECT v FROM lopsided.t WHERE k = ?")
        assert all(len(session.execute(select, (key,)).one().v) == BLOB for key in keys)


def hold_back(cluster, i, level):
    """Writes the setting that keeps a node from supporting more; None takes it out."""
    path = cluster.data / cluster.nodes[i]["name"] / "node.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("most_feature_level")]
    if level is not None:
        lines.insert(1, f"most_feature_level = {level}")
    path.write_text("\n".join(lines) + "\n")


def level(cluster):
    return status(cluster)["feature_level"]["active"]


def test_the_feature_level_rises_with_the_last_node(tmp_path):
    with Cluster(tmp_path / "data") as cluster:
        wait_until(lambda: level(cluster) == 2, 10, "the level that a new cluster has")
    with Cluster(tmp_path / "old") as cluster:
        cluster.end()
    for path in (tmp_path / "old").glob("n*/data"):
        # As a cluster that older versions founded: nothing of the first start stays.
        subprocess.run(["rm", "-r", str(path)], check=True)
    for i in range(3):
        hold_back(cluster, i, 1)
    cluster.begin()
    try:
        assert level(cluster) == 1
        refused = setting(cluster, "balancer", "off")
        assert refused.returncode == 1 and "this needs feature level 2, and the cluster is at 1" in refused.stderr
        for i in range(3):
            cluster.kill(i)
            hold_back(cluster, i, None)
            cluster.start(i)
            wait_until(lambda: all(node["state"] == "up" for node in status(cluster)["nodes"]), 20, "all nodes")
            if i < 2:
                time.sleep(1)
                shown = command("status", "--data", cluster.data).stdout
                assert level(cluster) == 1 and "feature level 1; n1" in shown, shown
        wait_until(lambda: level(cluster) == 2, 10, "the newer level")
        assert setting(cluster, "balancer", "off").returncode == 0
        # What it is now must not meet a version that knows nothing of it.
        wait_until((cluster.data / "n2" / "data" / "feature_level_2").exists, 20, "the mark of the level")
        cluster.kill(1)
        hold_back(cluster, 1, 1)
        refused = command("node", "start", "n2", "--data", cluster.data)
        assert refused.returncode == 1 and "n2 has been at feature level 2" in refused.stderr, refused.stderr
        assert "supports no more than 1 now: it needs a newer version" in refused.stderr
        hold_back(cluster, 1, None)
        cluster.start(1)
        wait_until(lambda: all(node["state"] == "up" for node in status(cluster)["nodes"]), 20, "all nodes")
    finally:
        cluster.end()
