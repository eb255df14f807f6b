"""What the driver learns about schema and topology, and whether it is true."""

import struct

import pytest
from cassandra import AlreadyExists, InvalidRequest, Unavailable
from cassandra.metadata import Murmur3Token

from cql import CL, connect, keyspace
from cluster import wait_until

TABLE = """CREATE TABLE things (a int, b text, c timeuuid, d int, s frozen<map<text, int>> static, v list<int>, w decimal,
  PRIMARY KEY ((a, b), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC) AND comment = 'it''s one'
  AND default_time_to_live = 86400 AND gc_grace_seconds = 3600"""


@pytest.fixture(scope="module")
def things(session):
    session.execute(TABLE)
    return session


def test_tables(driver, things):
    table = driver.metadata.keyspaces["metadata"].tables["things"]
    assert [column.name for column in table.partition_key] == ["a", "b"]
    assert [column.name for column in table.clustering_key] == ["c", "d"]
    assert [column.is_reversed for column in table.clustering_key] == [True, False]
    assert {name: column.cql_type for name, column in table.columns.items()} == {
        "a": "int", "b": "text", "c": "timeuuid", "d": "int", "s": "frozen<map<text, int>>", "v": "list<int>",
        "w": "decimal"}
    assert [name for name, column in table.columns.items() if column.is_static] == ["s"]
    assert table.options["comment"] == "it's one"
    assert table.options["default_time_to_live"] == 86400 and table.options["gc_grace_seconds"] == 3600


def test_exported_schema_makes_the_same_table(driver, things):
    text = driver.metadata.keyspaces["metadata"].tables["things"].export_as_string()
    things.execute("CREATE KEYSPACE copies WITH replication = {'class': 'NetworkTopologyStrategy', "
                   "'replication_factor': 3} AND durable_writes = true")
    things.execute(text.replace("metadata.things", "copies.things"))
    copy = driver.metadata.keyspaces["copies"].tables["things"].export_as_string()
    assert copy == text.replace("metadata.things", "copies.things")
    assert "CREATE KEYSPACE copies" in driver.metadata.keyspaces["copies"].export_as_string()


def test_keyspaces(driver, things):
    found = driver.metadata.keyspaces
    assert found["metadata"].replication_strategy.export_for_schema().replace(" ", "").startswith("{'class':'SimpleStrategy'")
    assert found["metadata"].durable_writes
    assert {"system", "system_schema"} <= set(found)


def test_changes_are_seen_at_once_everywhere(cluster, things):
    others = [connect(cluster, only=i) for i in range(3)]
    sessions = [other.connect("metadata") for other in others]
    try:
        for round in range(3):
            name = f"change_{round}"
            sessions[round].execute(f"CREATE TABLE {name} (k int PRIMARY KEY)")
            # Schema agreement: once the change is answered, every node takes it.
            for session in sessions:
                session.execute(f"INSERT INTO {name} (k) VALUES (1)")
            sessions[round].execute(f"ALTER TABLE {name} ADD v text")
            for session in sessions:
                session.execute(f"INSERT INTO {name} (k, v) VALUES (2, 'x')")
            for other in others:
                wait_until(lambda: "v" in (other.metadata.keyspaces["metadata"].tables[name].columns
                                           if name in other.metadata.keyspaces["metadata"].tables else ()),
                           5, "the event of a schema change")
            sessions[(round + 1) % 3].execute(f"DROP TABLE {name}")
            for session in sessions:
                with pytest.raises(InvalidRequest):
                    session.execute(f"SELECT * FROM {name}")
        versions = {row.schema_version for session in sessions
                    for row in [session.execute("SELECT schema_version FROM system.local").one(),
                                *session.execute("SELECT schema_version FROM system.peers")]}
        assert len(versions) == 1
    finally:
        for other in others:
            other.shutdown()


def test_alter_keeps_data(things):
    things.execute("CREATE TABLE altered (k int PRIMARY KEY, a int, b text)")
    things.execute("INSERT INTO altered (k, a, b) VALUES (1, 2, 'x')")
    things.execute("ALTER TABLE altered DROP a")
    things.execute("ALTER TABLE altered ADD c set<int>")
    things.execute("ALTER TABLE altered WITH comment = 'changed'")
    assert tuple(things.execute("SELECT * FROM altered").one()) == (1, "x", None)
    things.execute("ALTER TABLE altered ADD a int")
    assert things.execute("SELECT a FROM altered").one().a is None


def test_what_exists_already(things):
    with pytest.raises(AlreadyExists) as caught:
        things.execute(TABLE)
    assert (caught.value.keyspace, caught.value.table) == ("metadata", "things")
    with pytest.raises(AlreadyExists) as caught:
        things.execute("CREATE KEYSPACE metadata WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    assert caught.value.keyspace == "metadata"
    things.execute(TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))


def test_the_ring_that_drivers_see(cluster, driver, things):
    hosts = {host.endpoint.address: host for host in driver.metadata.all_hosts()}
    assert set(hosts) == set(cluster.addresses())
    assert len({host.host_id for host in hosts.values()}) == 3
    assert len({(host.datacenter, host.rack, host.release_version) for host in hosts.values()}) == 1
    tokens = driver.metadata.token_map.ring
    assert len(tokens) == len(set(tokens)) >= 3 and all(isinstance(token, Murmur3Token) for token in tokens)
    partitioner = things.execute("SELECT partitioner FROM system.local").one()
    assert partitioner[0] == "org.apache.cassandra.dht.Murmur3Partitioner"


def test_rows_are_where_the_token_map_says(cluster, driver, things):
    """With one replica, a node that is no replica for a key is not needed; the replica is."""
    keyspace(things, "single", 1)
    things.execute("CREATE TABLE single.t (k int PRIMARY KEY, v int)")
    insert = things.prepare("INSERT INTO single.t (k, v) VALUES (?, ?)")
    insert.consistency_level = CL.ONE
    owners = {}
    for k in range(60):
        replicas = driver.metadata.get_replicas("single", struct.pack(">i", k))
        assert len(replicas) == 1
        owners[k] = replicas[0].endpoint.address
        things.execute(insert, (k, k))
        # The server's own tokens say the same.
        token = things.execute("SELECT token(k) FROM single.t WHERE k = %s", (k,)).one()[0]
        assert token == Murmur3Token.hash_fn(struct.pack(">i", k))
    assert len(set(owners.values())) == 3, "some node owns nothing"
    assert all(list(owners.values()).count(address) >= 8 for address in cluster.addresses())
    keyspace(things, "pair", 2)
    for k in range(20):
        assert len({host.endpoint.address for host in driver.metadata.get_replicas("pair", struct.pack(">i", k))}) == 2

    # And the rows really are there: with the owner of a key frozen, nobody else can answer for it.
    victim = 2
    address = cluster.addresses()[victim]
    other = connect(cluster, only=0, level=CL.ONE, timeout=15)
    session = other.connect()
    select = session.prepare("SELECT v FROM single.t WHERE k = ?")
    cluster.freeze(victim)
    try:
        for k, owner in owners.items():
            if owner != address:
                assert session.execute(select, (k,)).one().v == k
        lost = next(k for k, owner in owners.items() if owner == address)
        with pytest.raises(Exception):
            session.execute(select, (lost,))
    finally:
        cluster.thaw(victim)
        other.shutdown()
    wait_until(lambda: row_of(things, lost) == (lost,), 20, "the node to be of use again")


def row_of(session, k):
    try:
        return session.execute(f"SELECT v FROM single.t WHERE k = {k}").one()
    except Unavailable:
        return None
