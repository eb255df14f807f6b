"""Nodes are drained, stopped and started again under load by drivers with nothing but default policies."""

import contextlib
import json
import logging
import socket
import time

from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster as DriverCluster
from cluster import Cluster, answers, command, wait_until
from cql import Raw, Writers, connect, keyspace


def node(cluster, verb, name, *more):
    done = command("node", verb, name, "--data", cluster.data, "--json", *more, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr + cluster.log_tails()
    return json.loads(done.stdout)


def states(cluster):
    status = json.loads(command("status", "--data", cluster.data, "--json").stdout)
    return {each["name"]: each["state"] for each in status["nodes"]}


def adopt(cluster, started):
    """So that the cluster's end ends this process too."""
    for each in cluster.nodes:
        if each["name"] == started["name"]:
            each["pid"] = started["pid"]


def test_a_rolling_restart_fails_no_request(tmp_path):
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)
    with Cluster(tmp_path / "data") as cluster, contextlib.ExitStack() as stack:
        # As a program has it that knows its contact points and nothing else.
        driver = DriverCluster(cluster.addresses(), port=cluster.port)
        stack.callback(driver.shutdown)
        session = driver.connect()
        session.default_consistency_level = ConsistencyLevel.QUORUM
        keyspace(session, "rolling")
        session.execute("CREATE TABLE rolling.t (w int, s int, v int, PRIMARY KEY ((w, s)))")
        writers = Writers([session], "rolling.t", threads=4)
        wait_until(lambda: sum(map(len, writers.acknowledged)) > 200, 30, "rows")
        for name in ("n1", "n2", "n3"):
            before = sum(map(len, writers.acknowledged))
            assert node(cluster, "stop", name) == {"event": "node_stopped", "name": name}
            assert states(cluster)[name] == "down"
            adopt(cluster, node(cluster, "start", name))
            wait_until(lambda: sum(map(len, writers.acknowledged)) > before + 100, 20, "more rows")
        wait_until(lambda: set(states(cluster).values()) == {"up"}, 10, "all nodes")
        written = writers.stop()
        assert not writers.errors, writers.errors[:5]
        assert written > 500 and not writers.lost(session)
        assert writers.slowest_s < 5


def test_a_drained_node_serves_nobody_and_comes_back(tmp_path):
    with Cluster(tmp_path / "data") as cluster, connect(cluster, only=1) as driver, contextlib.ExitStack() as stack:
        session = driver.connect()
        keyspace(session, "drained")
        session.execute("CREATE TABLE drained.t (k int PRIMARY KEY)")
        insert = session.prepare("INSERT INTO drained.t (k) VALUES (?)")
        insert.consistency_level = ConsistencyLevel.ALL
        listener = stack.enter_context(Raw("127.0.0.2", cluster.port, 15)).startup()
        listener.send(listener.frame(11, b"\0\x01\0\x0dSTATUS_CHANGE"))
        assert listener.receive()[1] == 2
        with socket.create_connection(("127.0.0.1", cluster.port)) as silent:
            assert node(cluster, "drain", "n1") == {"event": "node_drained", "name": "n1"}
            silent.settimeout(5)
            assert silent.recv(1) == b"", "connections are closed"
        assert b"DOWN" in listener.receive()[2]
        assert states(cluster)["n1"] == "drained" and not answers("127.0.0.1", cluster.port)
        assert node(cluster, "drain", "n1")["event"] == "node_drained", "again: it is drained already"
        # It is a replica as before, and leads nothing.
        for k in range(10):
            session.execute(insert, (k,))
        leader = json.loads(command("status", "--data", cluster.data, "--json").stdout)["leaders"]["metadata"]
        assert leader in ("n2", "n3")
        session.execute("CREATE TABLE drained.u (k int PRIMARY KEY)")
        adopt(cluster, node(cluster, "start", "n1"))
        assert states(cluster)["n1"] == "up" and answers("127.0.0.1", cluster.port)
        assert b"UP" in listener.receive()[2]

        # Not while another one is down, unless one insists.
        cluster.kill(2)
        wait_until(lambda: states(cluster)["n3"] == "down", 10, "the end of the third node")
        begun = time.monotonic()
        refused = command("node", "drain", "n1", "--data", cluster.data, timeout=90)
        assert refused.returncode == 1 and "n3 is down" in refused.stderr and "--force" in refused.stderr, refused.stderr
        assert time.monotonic() - begun < 20 and states(cluster)["n1"] == "up"
        assert node(cluster, "stop", "n1", "--force")["event"] == "node_stopped"
        again = command("node", "stop", "n1", "--data", cluster.data)
        assert again.returncode == 1 and "n1 does not run" in again.stderr
