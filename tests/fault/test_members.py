"""Nodes join, leave, are replaced and restarted under load: no request through a healthy node fails, nothing is lost."""

import collections
import json
import os
import subprocess
import time
import urllib.error
import urllib.request

from cluster import ASTERISM, Cluster, command, wait_until
from cql import Writers, connect, keyspace

LONG = os.environ.get("ASTERISM_LONG") == "1"
ROWS_AT_LEAST = 20_000 if LONG else 1500


def member_command(cluster, *arguments):
    done = command("node", *arguments, "--data", cluster.data, "--json", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr + cluster.log_tails()
    return json.loads(done.stdout)


def join(cluster, *arguments):
    node = member_command(cluster, *arguments)
    cluster.nodes.append(node)
    return node


def status(cluster):
    return json.loads(command("status", "--data", cluster.data, "--json").stdout)


def verify(cluster):
    """All replicas hold the same. What a coordinator that was killed had sent to some of them only is brought to the
    others by the comparison in the background, which goes round in less than half a minute here."""
    told = []

    def equal():
        told[:] = [command("verify", "--data", cluster.data, "--json", timeout=60)]
        return told[0].returncode == 0

    try:
        wait_until(equal, 60, "equal replicas")
    except AssertionError:
        raise AssertionError(told[0].stdout + told[0].stderr) from None


def rows_by_node(driver, writers, table):
    """How many of the acknowledged rows each node stores, as a driver works it out from the ring."""
    statement = driver.connect().prepare(f"SELECT v FROM {table} WHERE w = ? AND s = ?")
    rows = collections.Counter()
    for w, written in enumerate(writers.acknowledged):
        for s in list(written):
            key = statement.bind((w, s)).routing_key
            rows.update(host.address for host in driver.metadata.get_replicas(table.split(".")[0], key))
    return rows


def make_table(session, name):
    keyspace(session, "members")
    session.execute(f"CREATE TABLE members.{name} (w int, s int, v int, PRIMARY KEY ((w, s)))")
    return f"members.{name}"


def check(cluster, writers, session):
    written = writers.stop()
    assert not writers.errors, writers.errors[:5]
    assert not writers.lost(session), writers.lost(session)[:5]
    verify(cluster)
    return written


def connect_to(cluster, nodes, **options):
    """A driver that begins at these nodes."""
    class Some:
        port = cluster.port

        @staticmethod
        def addresses():
            return [cluster.nodes[i]["address"] for i in nodes]
    return connect(Some, **options)


def test_join_and_leave(tmp_path):
    with Cluster(tmp_path / "data") as cluster, connect_to(cluster, [1, 2]) as driver:
        session = driver.connect()
        table = make_table(session, "t")
        writers = Writers([session], table, threads=4)
        wait_until(lambda: sum(map(len, writers.acknowledged)) > ROWS_AT_LEAST, 60, "rows")
        added = join(cluster, "add")
        assert added["name"] == "n4" and added["shards_moved"] > 0
        wait_until(lambda: len(driver.metadata.all_hosts()) == 4, 10, "the driver to learn of the fourth node")
        assert [node["state"] for node in status(cluster)["nodes"]] == ["up"] * 4
        rows = rows_by_node(driver, writers, table)
        mean = sum(rows.values()) / 4
        assert len(rows) == 4 and all(abs(count - mean) <= 0.1 * mean for count in rows.values()), rows

        member_command(cluster, "decommission", "n1")
        wait_until(lambda: len(driver.metadata.all_hosts()) == 3, 10, "the driver to learn that the first node left")
        assert {host.address for host in driver.metadata.all_hosts()} == {"127.0.0.2", "127.0.0.3", "127.0.0.4"}
        time.sleep(0.5)
        # A driver that hears of the end closes its own connections, requests under way included: its retry policy, which
        # is off here, would send these few to another node.
        writers.errors = [error for error in writers.errors
                          if error[2] != "ConnectionShutdown: Connection to 127.0.0.1:%d was closed" % cluster.port]
        check(cluster, writers, session)
        # What `up` finds in the folder afterwards are the nodes that are members.
        cluster.end()
        cluster.count = None
        cluster.begin()
        assert [node["name"] for node in cluster.nodes] == ["n2", "n3", "n4"]
        with connect(cluster) as after:
            assert not writers.lost(after.connect())


def test_replace_and_restart(tmp_path):
    with Cluster(tmp_path / "data") as cluster, connect_to(cluster, [0], only=0) as a, \
            connect_to(cluster, [1], only=0) as b:
        sessions = [a.connect(), b.connect()]
        table = make_table(sessions[0], "t")
        away, left = set(), collections.Counter()
        writers = Writers(sessions, table, threads=4, targets=lambda: [i for i in range(2) if i not in away],
                          departures=lambda node: left[node])
        wait_until(lambda: sum(map(len, writers.acknowledged)) > ROWS_AT_LEAST, 60, "rows")
        cluster.kill(2)
        replaced = join(cluster, "replace", "n3")
        assert replaced["event"] == "node_replaced" and replaced["name"] == "n4"
        names = {node["name"]: node["state"] for node in status(cluster)["nodes"]}
        assert names == {"n1": "up", "n2": "up", "n4": "up"}
        for node in (3, 0, 1):
            away.add(node)
            left[node] += 1
            cluster.kill(node)
            cluster.start(node)
            wait_until(lambda: all(state["state"] == "up" for state in status(cluster)["nodes"]), 20, "all nodes")
            if node < 2:
                wait_until(lambda: reads(sessions[node]), 20, "the driver to be back")
            away.discard(node)
        check(cluster, writers, sessions[0])


def test_a_dead_node_is_removed(tmp_path):
    with Cluster(tmp_path / "data", 4) as cluster, connect_to(cluster, [0, 1], policy=None) as driver, \
            connect_to(cluster, [0], only=0) as a, connect_to(cluster, [1], only=0) as b:
        sessions = [a.connect(), b.connect()]
        driver.connect()
        table = make_table(sessions[0], "t")
        writers = Writers(sessions, table, threads=4)
        wait_until(lambda: sum(map(len, writers.acknowledged)) > ROWS_AT_LEAST, 60, "rows")
        refused = command("node", "remove", "n4", "--data", cluster.data)
        assert refused.returncode == 1 and "only a dead node can be removed" in refused.stderr, refused.stderr
        body = urllib.request.Request(f"http://127.0.0.1:{cluster.nodes[0]['http']}/members/remove_dead",
                                      json.dumps({"name": "n4"}).encode(), method="POST")
        try:
            urllib.request.urlopen(body, timeout=20)
            raise AssertionError("a node that is up was removed")
        except urllib.error.HTTPError as error:
            assert error.code == 409 and b"decommission this one" in error.read()
        cluster.kill(3)
        removed = member_command(cluster, "remove", "n4")
        assert removed["event"] == "node_removed" and removed["shards_moved"] > 0
        assert {node["name"]: node["state"] for node in status(cluster)["nodes"]} == {"n1": "up", "n2": "up", "n3": "up"}
        wait_until(lambda: len(driver.metadata.all_hosts()) == 3, 10, "the driver to learn that the fourth node is gone")
        cluster.kill(2)
        refused = command("node", "remove", "n3", "--data", cluster.data)
        assert refused.returncode == 1 and "keyspace members has 3 replicas" in refused.stderr, refused.stderr
        cluster.start(2)
        wait_until(lambda: all(node["state"] == "up" for node in status(cluster)["nodes"]), 20, "all nodes")
        check(cluster, writers, sessions[0])


def setting(cluster, *arguments):
    return command("settings", *arguments, "--data", cluster.data, "--json")


def test_moves_keep_to_the_rate_that_is_set(tmp_path):
    with Cluster(tmp_path / "data") as cluster, connect(cluster) as driver:
        session = driver.connect()
        keyspace(session, "members")
        session.execute("CREATE TABLE members.big (k int PRIMARY KEY, v blob)")
        insert = session.prepare("INSERT INTO members.big (k, v) VALUES (?, ?)")
        for k in range(160):
            session.execute(insert, (k, os.urandom(100_000)))
        for name, value, said in [("move_mib_per_second", "0", "must be a number from 1 to 1000000, not '0'"),
                                  ("move_mib_per_second", "fast", "not 'fast'"),
                                  ("colour", "red", "there is no setting 'colour'")]:
            refused = setting(cluster, name, value)
            assert refused.returncode == 1 and said in refused.stderr, refused.stderr
        assert status(cluster)["settings"]["move_mib_per_second"] == "64"
        assert json.loads(setting(cluster, "move_mib_per_second", "1").stdout) == {"move_mib_per_second": "1"}
        adding = subprocess.Popen([ASTERISM, "node", "add", "--data", cluster.data, "--json"], stdout=subprocess.PIPE)
        began = time.monotonic()
        wait_until(lambda: status(cluster).get("change", {}).get("moved_mib_s", 0) > 0.1, 20, "rows that move")
        for _ in range(4):
            change = status(cluster)["change"]
            assert change["mib_per_second"] == 1 and change["moved_mib_s"] < 2, change
            time.sleep(0.5)
        assert "MiB/s (each node 1 at most)" in command("status", "--data", cluster.data).stdout
        # It holds at once for the change that is under way.
        assert setting(cluster, "move_mib_per_second", "1000").returncode == 0
        assert adding.wait(60) == 0
        cluster.nodes.append(json.loads(adding.stdout.read()))
        assert time.monotonic() - began > 2
        verify(cluster)


def reads(session):
    try:
        session.execute("SELECT release_version FROM system.local")
        return True
    except Exception:
        return False


def test_the_way_back(tmp_path):
    with Cluster(tmp_path / "data") as cluster, connect(cluster, only=0) as driver:
        session = driver.connect()
        table = make_table(session, "t")
        writers = Writers([session], table, threads=2)
        wait_until(lambda: sum(map(len, writers.acknowledged)) > 300, 60, "rows")
        before = sorted(map(str, session.execute("SELECT peer, tokens FROM system.peers")))
        refused = command("node", "decommission", "n1", "--data", cluster.data)
        assert refused.returncode == 1 and "keyspace members has 3 replicas" in refused.stderr
        refused = command("node", "replace", "n2", "--data", cluster.data)
        assert refused.returncode == 1 and "only a dead node can be replaced" in refused.stderr
        assert command("node", "cancel", "n2", "--data", cluster.data).returncode == 1
        # A node that comes and never starts is there to be cancelled.
        body = {"id": 4, "name": "n4", "address": "127.0.0.4", "rpc": cluster.port + 1, "cql": cluster.port,
                "http": cluster.port + 2, "datacenter": "dc1", "rack": "rack1"}
        request = urllib.request.Request(f"http://127.0.0.1:{cluster.nodes[0]['http']}/members/add",
                                         json.dumps(body).encode(), method="POST")
        assert json.load(urllib.request.urlopen(request, timeout=20)) == {"ok": True}
        change = status(cluster)["change"]
        assert change["node"] == "n4" and change["moving"] == change["shards"] > 0
        second = command("node", "decommission", "n1", "--data", cluster.data)
        assert second.returncode == 1 and "one change of members at a time: n4 is joining" in second.stderr
        cancelling = urllib.request.Request(f"http://127.0.0.1:{cluster.nodes[1]['http']}/members/cancel",
                                            json.dumps({"name": "n4"}).encode(), method="POST")
        assert json.load(urllib.request.urlopen(cancelling, timeout=20)) == {"ok": True}
        assert "change" not in status(cluster)
        assert sorted(map(str, session.execute("SELECT peer, tokens FROM system.peers"))) == before
        assert check(cluster, writers, session) > 300
