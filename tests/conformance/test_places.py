"""Racks and datacenters: what drivers are told, where replicas go, and which of them count as local."""

import contextlib
import json

import pytest
from cassandra import Unavailable, WriteTimeout
from cassandra.policies import DCAwareRoundRobinPolicy

from cluster import Cluster, command, wait_until
from cql import CL, SimpleStatement, connect


@contextlib.contextmanager
def running(data, nodes, **options):
    with Cluster(data, nodes, **options) as cluster:
        driver = connect(cluster)
        try:
            yield cluster, driver, driver.connect()
        finally:
            driver.shutdown()


def test_racks(tmp_path):
    with running(tmp_path / "data", 6, racks=3) as (cluster, driver, session):
        drivers_and_status_know_the_racks(cluster, driver)
        replicas_lie_on_distinct_racks(cluster, driver, session)


def drivers_and_status_know_the_racks(cluster, driver):
    wanted = {f"127.0.0.{k}": ("dc1", f"rack{(k - 1) % 3 + 1}") for k in range(1, 7)}
    assert {host.address: (host.datacenter, host.rack) for host in driver.metadata.all_hosts()} == wanted
    for i in range(6):
        only = connect(cluster, only=i)
        local = only.connect().execute("SELECT data_center, rack FROM system.local").one()
        assert tuple(local) == wanted[cluster.nodes[i]["address"]]
        only.shutdown()
    said = json.loads(command("status", "--data", cluster.data, "--json").stdout)
    assert {node["address"]: (node["datacenter"], node["rack"]) for node in said["nodes"]} == wanted
    assert "dc1/rack3" in command("status", "--data", cluster.data).stdout


def all_keys(session, table):
    try:
        return {row.k for row in session.execute(SimpleStatement(f"SELECT k FROM {table}", fetch_size=20), timeout=5)}
    except Exception as error:  # who is silent, or back again, is not known yet
        return error


def replicas_lie_on_distinct_racks(cluster, driver, session):
    session.execute("CREATE KEYSPACE racks WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}")
    session.execute("CREATE TABLE racks.t (k int PRIMARY KEY, v int)")
    rack = {host.address: host.rack for host in driver.metadata.all_hosts()}
    driver.refresh_keyspace_metadata("racks")
    for k in range(100):
        # The driver places replicas by itself, from ring and racks.
        replicas = driver.metadata.get_replicas("racks", k.to_bytes(4, "big"))
        assert sorted(rack[host.address] for host in replicas) == ["rack1", "rack2", "rack3"]
        session.execute(SimpleStatement(f"INSERT INTO racks.t (k, v) VALUES ({k}, {k})", consistency_level=CL.ALL))
    # And the nodes agree: with two of three racks silent, what is left has every row.
    for alive in (0, 1, 2):
        dead = [i for i in range(6) if i % 3 != alive]
        for i in dead:
            cluster.freeze(i)
        try:
            only = connect(cluster, only=alive, level=CL.ONE)
            few = only.connect()
            wait_until(lambda: all_keys(few, "racks.t") == set(range(100)), 20, f"rack {alive + 1} to answer alone")
            only.shutdown()
        finally:
            for i in dead:
                cluster.thaw(i)


def test_places_are_kept(tmp_path):
    data = tmp_path / "data"
    with Cluster(data, 2, racks=2):
        pass
    refused = command("up", "--data", data, "--racks", 1)
    assert refused.returncode == 1 and "other racks or datacenters" in refused.stderr
    settings = data / "n2" / "node.toml"
    settings.write_text(settings.read_text().replace('rack = "rack2"', 'rack = "rack1"'))
    refused = command("up", "--data", data)
    assert refused.returncode == 1 and "which cannot be changed" in refused.stderr
    too_many = command("up", "--data", tmp_path / "other", "--nodes", 3, "--racks", 4)
    assert too_many.returncode == 1 and "3 nodes are too few for 4 racks" in too_many.stderr


def test_datacenters(tmp_path):
    with running(tmp_path / "data", 4, datacenters=2) as (cluster, driver, session):
        local_levels_count_the_coordinators_datacenter_only(cluster, driver, session)


def is_unavailable(session):
    with pytest.raises((Unavailable, WriteTimeout)) as said:
        session.execute(SimpleStatement("INSERT INTO places.t (k, v) VALUES (1, 1)", consistency_level=CL.QUORUM))
    if said.type is WriteTimeout:
        return False
    return (said.value.required_replicas, said.value.alive_replicas) == (3, 2)


def local_levels_count_the_coordinators_datacenter_only(cluster, driver, session):
    assert {host.datacenter for host in driver.metadata.all_hosts()} == {"dc1", "dc2"}
    session.execute("CREATE KEYSPACE places WITH replication = "
                    "{'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 2}")
    session.execute("CREATE TABLE places.t (k int PRIMARY KEY, v int)")
    local = connect(cluster, policy=DCAwareRoundRobinPolicy("dc1"), level=CL.LOCAL_QUORUM, timeout=15)
    near = local.connect()
    used = {near.execute("SELECT * FROM places.t").response_future.coordinator_host.address
            for _ in range(10)}
    assert used == {"127.0.0.1", "127.0.0.3"}, "the policy keeps to its own datacenter"
    try:
        for i in (1, 3):
            cluster.kill(i)
        # The other datacenter is gone: nobody here waits for it, and what needs it says so.
        insert = near.prepare("INSERT INTO places.t (k, v) VALUES (?, ?)")
        select = near.prepare("SELECT v FROM places.t WHERE k = ?")
        insert.consistency_level = select.consistency_level = CL.LOCAL_QUORUM
        for k in range(20):
            near.execute(insert, (k, k))
            assert near.execute(select, (k,)).one().v == k
        select.consistency_level = CL.LOCAL_ONE
        assert near.execute(select, (7,)).one().v == 7
        wait_until(lambda: is_unavailable(near), 10, "the other datacenter to be known as down")
    finally:
        for i in (1, 3):
            cluster.start(i)
    local.shutdown()
    # What it missed waited for it.
    far = connect(cluster, only=1, level=CL.LOCAL_QUORUM)
    session = far.connect()
    wait_until(lambda: all_keys(session, "places.t") == set(range(20)), 20, "the hints")
    far.shutdown()
