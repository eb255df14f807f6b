"""Several nodes behave as one data store: what one writes, the others read; faults are told in the protocol's words."""

import time

import pytest
from cassandra import OperationTimedOut, ReadTimeout, Unavailable, WriteTimeout
from cassandra.query import SimpleStatement

from cluster import Cluster, wait_until
from cql import CL, connect, keyspace


@pytest.fixture
def three(tmp_path):
    """Nodes of its own for each test, because most kill some."""
    with Cluster(tmp_path / "data") as running:
        yield running


def test_read_through_another_node(three):
    first, third = connect(three, only=0), connect(three, only=2)
    write, read = first.connect(), third.connect()
    keyspace(write, "through")
    write.execute("CREATE TABLE through.t (k int PRIMARY KEY, v int)")
    insert = write.prepare("INSERT INTO through.t (k, v) VALUES (?, ?)")
    select = read.prepare("SELECT v FROM through.t WHERE k = ?")
    try:
        for k in range(300):
            insert.consistency_level, select.consistency_level = CL.QUORUM, CL.QUORUM
            write.execute(insert, (k, k))
            assert read.execute(select, (k,)).one().v == k
        for k in range(300, 330):
            insert.consistency_level, select.consistency_level = CL.ONE, CL.ONE
            write.execute(insert, (k, k))
            wait_until(lambda: read.execute(select, (k,)).one() is not None, 20, "a replica to take the row")
        select.consistency_level = CL.ALL
        assert all(read.execute(select, (k,)).one().v == k for k in range(330))
    finally:
        first.shutdown()
        third.shutdown()


def test_status_events_and_unavailable(three):
    driver = connect(three, only=0, timeout=12)
    session = driver.connect()
    keyspace(session, "events")
    session.execute("CREATE TABLE events.t (k int PRIMARY KEY, v int)")
    seen = []
    driver.control_connection._connection.register_watcher("STATUS_CHANGE", seen.append)
    three.kill(1)
    wait_until(lambda: any(e["change_type"] == "DOWN" and e["address"][0] == three.addresses()[1] for e in seen), 10,
               f"the event that a node is down (got {seen})")
    session.execute(SimpleStatement("INSERT INTO events.t (k, v) VALUES (1, 1)", consistency_level=CL.QUORUM))
    with pytest.raises(Unavailable) as caught:
        session.execute(SimpleStatement("INSERT INTO events.t (k, v) VALUES (2, 1)", consistency_level=CL.ALL))
    assert (caught.value.required_replicas, caught.value.alive_replicas) == (3, 2)
    three.kill(2)
    wait_until(lambda: any(e["address"][0] == three.addresses()[2] for e in seen), 10, "the second event")
    for statement in ("SELECT * FROM events.t WHERE k = 1", "INSERT INTO events.t (k, v) VALUES (3, 3)"):
        with pytest.raises(Unavailable) as caught:
            session.execute(SimpleStatement(statement, consistency_level=CL.QUORUM))
        assert (caught.value.required_replicas, caught.value.alive_replicas) == (2, 1)
    assert session.execute(SimpleStatement("SELECT v FROM events.t WHERE k = 1", consistency_level=CL.ONE)).one().v == 1
    three.start(1)
    three.start(2)
    wait_until(lambda: sum(e["change_type"] == "UP" for e in seen) >= 2, 15, f"the nodes to be up (got {seen})")
    assert session.execute(SimpleStatement("SELECT v FROM events.t WHERE k = 1", consistency_level=CL.ALL)).one().v == 1
    driver.shutdown()


def test_a_frozen_replica_times_out_at_all_and_costs_quorum_nothing(three):
    driver = connect(three, only=0, timeout=30)
    session = driver.connect()
    keyspace(session, "frozen")
    session.execute("CREATE TABLE frozen.t (k int PRIMARY KEY, v int)")
    three.freeze(1)
    begun = time.monotonic()
    for k in range(20):
        session.execute(f"INSERT INTO frozen.t (k, v) VALUES ({k}, 1)")
        assert session.execute(f"SELECT v FROM frozen.t WHERE k = {k}").one().v == 1
    assert time.monotonic() - begun < 8
    with pytest.raises((WriteTimeout, Unavailable)):
        session.execute(SimpleStatement("INSERT INTO frozen.t (k, v) VALUES (1, 1)", consistency_level=CL.ALL))
    with pytest.raises((ReadTimeout, Unavailable)):
        session.execute(SimpleStatement("SELECT * FROM frozen.t WHERE k = 1", consistency_level=CL.ALL))
    three.thaw(1)
    read_all = SimpleStatement("SELECT v FROM frozen.t WHERE k = 1", consistency_level=CL.ALL)

    def answered():
        try:
            return session.execute(read_all).one().v == 1
        except (Unavailable, ReadTimeout, OperationTimedOut):
            return False
    wait_until(answered, 15, "the node to be up again")
    driver.shutdown()


def test_statements_are_prepared_again_after_a_restart(three):
    """A restarted node answers UNPREPARED, and the driver prepares again without anybody noticing."""
    driver = connect(three, only=1, reprepare_on_up=False)
    session = driver.connect()
    keyspace(session, "again")
    session.execute("CREATE TABLE again.t (k int PRIMARY KEY, v int)")
    insert = session.prepare("INSERT INTO again.t (k, v) VALUES (?, ?)")
    select = session.prepare("SELECT * FROM again.t WHERE k = ?")
    session.execute(insert, (1, 1))
    three.kill(1)
    three.start(1)

    def answered():
        try:
            return session.execute(select, (1,)).one()
        except Exception as error:
            assert "NoHostAvailable" in type(error).__name__ or "Connection" in str(error) or "Shutdown" in str(error) \
                or isinstance(error, OperationTimedOut), error
            return None
    assert tuple(wait_until(answered, 15, "the driver to be connected again")) == (1, 1)
    session.execute(insert, (2, 2))
    # A changed table: the result's metadata are those of now.
    session.execute("ALTER TABLE again.t ADD w text")
    session.execute("INSERT INTO again.t (k, v, w) VALUES (3, 3, 'x')")
    other = connect(three, only=1)
    assert tuple(other.connect().execute("SELECT * FROM again.t WHERE k = 3").one()) == (3, 3, "x")
    other.shutdown()
    driver.shutdown()


def test_a_driver_knows_all_nodes_after_each_was_restarted(three):
    driver = connect(three)
    session = driver.connect()
    keyspace(session, "rolling")
    session.execute("CREATE TABLE rolling.t (k int PRIMARY KEY, v int)")
    for i in range(3):
        three.kill(i)
        three.start(i)
        wait_until(lambda: all(host.is_up for host in driver.metadata.all_hosts()), 15, "all hosts to be up")
    assert {host.endpoint.address for host in driver.metadata.all_hosts()} == set(three.addresses())
    driver.shutdown()
