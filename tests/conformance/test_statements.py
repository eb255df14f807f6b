"""What statements mean: slices, order, limits, paging, functions, batches, time to live."""

import time

import pytest
from cassandra import InvalidRequest
from cassandra.concurrent import execute_concurrent
from cassandra.query import BatchStatement, BatchType, SimpleStatement

ROWS = 100_000


@pytest.fixture(scope="module")
def many(session):
    """100,000 rows in 7 partitions, newest first."""
    session.execute("CREATE TABLE many (k int, c int, v text, s int static, PRIMARY KEY (k, c)) "
                    "WITH CLUSTERING ORDER BY (c DESC)")
    insert = session.prepare("INSERT INTO many (k, c, v) VALUES (?, ?, ?)")
    batches = []
    for k in range(7):
        for first in range(k, ROWS, 700):
            batch = BatchStatement(BatchType.UNLOGGED)
            for i in range(first, min(first + 700, ROWS), 7):
                batch.add(insert, (k, i, str(i)))
            batches.append((batch, ()))
    assert all(result.success for result in execute_concurrent(session, batches, concurrency=32))
    return session


@pytest.mark.parametrize("size", [777, 5000])
def test_paging_over_100000_rows(many, size):
    seen = [(row.k, row.c, row.v) for row in many.execute(SimpleStatement("SELECT k, c, v FROM many", fetch_size=size),
                                                          timeout=60)]
    assert len(seen) == ROWS and set(seen) == {(i % 7, i, str(i)) for i in range(ROWS)}
    # Each partition comes in one piece and in its order.
    switches = [b[0] for a, b in zip(seen, seen[1:]) if a[0] != b[0]]
    assert len(switches) == 6
    assert all(a[1] > b[1] for a, b in zip(seen, seen[1:]) if a[0] == b[0])


def test_pages_have_the_size_that_was_asked_for(many):
    result = many.execute(SimpleStatement("SELECT c FROM many WHERE k = 3", fetch_size=100))
    assert len(result.current_rows) == 100 and result.has_more_pages
    state = result.paging_state
    second = many.execute(SimpleStatement("SELECT c FROM many WHERE k = 3", fetch_size=50), paging_state=state)
    assert second.current_rows[0].c == result.current_rows[-1].c - 7 and len(second.current_rows) == 50


def test_paging_goes_on_through_another_node(cluster, many):
    from cql import connect

    first = many.execute(SimpleStatement("SELECT c FROM many WHERE k = 2", fetch_size=1000))
    driver = connect(cluster, only=1)
    rest = driver.connect(many.keyspace).execute(SimpleStatement("SELECT c FROM many WHERE k = 2", fetch_size=1000),
                                                 paging_state=first.paging_state)
    seen = [row.c for row in first.current_rows] + [row.c for row in rest]
    driver.shutdown()
    assert seen == sorted((i for i in range(ROWS) if i % 7 == 2), reverse=True)


@pytest.mark.parametrize("where, holds", [
    ("c >= 500 AND c < 900", lambda c: 500 <= c < 900), ("c > 99000", lambda c: c > 99000),
    ("c <= 30", lambda c: c <= 30), ("c = 3", lambda c: c == 3), ("c IN (3, 4, 10, 24)", lambda c: c in (3, 4, 10, 24)),
    ("(c) > (99900)", lambda c: c > 99900)])
def test_slices(many, where, holds):
    expected = [i for i in range(ROWS) if i % 7 == 3 and holds(i)]
    rows = [row.c for row in many.execute(SimpleStatement(f"SELECT c FROM many WHERE k = 3 AND {where}", fetch_size=64))]
    assert rows == expected[::-1]
    rows = [row.c for row in many.execute(SimpleStatement(
        f"SELECT c FROM many WHERE k = 3 AND {where} ORDER BY c ASC", fetch_size=64))]
    assert rows == expected
    assert [row.c for row in many.execute(f"SELECT c FROM many WHERE k = 3 AND {where} LIMIT 2")] == expected[::-1][:2]


def test_limits(many):
    assert len(many.execute("SELECT c FROM many LIMIT 12345").all()) == 12345
    rows = many.execute("SELECT k, c FROM many PER PARTITION LIMIT 2").all()
    assert sorted((row.k, row.c) for row in rows) == sorted(
        (k, c) for k in range(7) for c in sorted((i for i in range(ROWS) if i % 7 == k))[-2:])
    assert len(many.execute("SELECT k, c FROM many PER PARTITION LIMIT 2 LIMIT 5").all()) == 5
    rows = list(many.execute(SimpleStatement("SELECT k, c FROM many PER PARTITION LIMIT 3", fetch_size=2)))
    assert len(rows) == 21
    with pytest.raises(InvalidRequest):
        many.execute("SELECT c FROM many LIMIT 0")


def test_partitions(many):
    assert {row.k for row in many.execute("SELECT DISTINCT k FROM many")} == set(range(7))
    rows = many.execute("SELECT k, c FROM many WHERE k IN (2, 1, 9) AND c < 20").all()
    assert sorted((row.k, row.c) for row in rows) == [(1, 1), (1, 8), (1, 15), (2, 2), (2, 9), (2, 16)]
    tokens = {row[0]: row[1] for row in many.execute("SELECT k, token(k) FROM many PER PARTITION LIMIT 1")}
    order = sorted(tokens, key=tokens.get)
    assert [row.k for row in many.execute("SELECT DISTINCT k FROM many")] == order
    middle = tokens[order[3]]
    rows = many.execute(f"SELECT DISTINCT k FROM many WHERE token(k) > {middle}").all()
    assert [row.k for row in rows] == order[4:]
    rows = many.execute("SELECT DISTINCT k FROM many WHERE token(k) <= token(%s)", (order[3],)).all()
    assert [row.k for row in rows] == order[:4]


def test_aggregates(many):
    assert many.execute("SELECT count(*) FROM many", timeout=60).one()[0] == ROWS
    row = many.execute("SELECT count(*), min(c), max(c), sum(c), avg(c) FROM many WHERE k = 3").one()
    expected = [i for i in range(ROWS) if i % 7 == 3]
    assert tuple(row) == (len(expected), 3, max(expected), sum(expected) - (2**32 if sum(expected) > 2**31 else 0),
                          row[4])


def test_filtering(many):
    with pytest.raises(InvalidRequest, match="ALLOW FILTERING"):
        many.execute("SELECT c FROM many WHERE v = '4242'")
    assert [row.c for row in many.execute("SELECT c FROM many WHERE v = '4242' ALLOW FILTERING", timeout=60)] == [4242]
    rows = list(many.execute(SimpleStatement("SELECT c FROM many WHERE c < 21 ALLOW FILTERING", fetch_size=4)))
    assert sorted(row.c for row in rows) == list(range(21))


def test_static_columns(session):
    session.execute("CREATE TABLE statics (k int, c int, s text static, v int, PRIMARY KEY (k, c))")
    session.execute("INSERT INTO statics (k, s) VALUES (1, 'alone')")
    assert [tuple(row) for row in session.execute("SELECT k, c, s, v FROM statics")] == [(1, None, "alone", None)]
    for c in range(3):
        session.execute("INSERT INTO statics (k, c, v) VALUES (1, %s, %s)", (c, c * 10))
    session.execute("UPDATE statics SET s = 'shared' WHERE k = 1")
    rows = [tuple(row) for row in session.execute("SELECT c, s, v FROM statics WHERE k = 1")]
    assert rows == [(0, "shared", 0), (1, "shared", 10), (2, "shared", 20)]
    assert [tuple(row) for row in session.execute("SELECT DISTINCT k, s FROM statics")] == [(1, "shared")]
    session.execute("DELETE s FROM statics WHERE k = 1")
    assert session.execute("SELECT s FROM statics WHERE k = 1 AND c = 1").one().s is None


def test_parameters(session):
    session.execute("CREATE TABLE parameters (k int, c text, v int, PRIMARY KEY (k, c))")
    session.execute("INSERT INTO parameters (k, c, v) VALUES (%s, %s, %s)", (1, "it's", 3))
    session.execute("INSERT INTO parameters (k, c, v) VALUES (%(key)s, %(c)s, %(v)s)", {"key": 1, "c": "b", "v": 4})
    named = session.prepare("INSERT INTO parameters (k, c, v) VALUES (:key, :c, :v)")
    session.execute(named, {"key": 1, "c": "named", "v": 5})
    assert [column.name for column in named.column_metadata] == ["key", "c", "v"]
    # Values beside the text of an unprepared statement are bound by position too.
    limit = session.prepare("SELECT c, v FROM parameters WHERE k = ? AND c >= ? LIMIT ?")
    assert [tuple(row) for row in session.execute(limit, (1, "a", 2))] == [("b", 4), ("it's", 3)]
    inside = session.prepare("SELECT v FROM parameters WHERE k = ? AND c IN ?")
    assert sorted(row.v for row in session.execute(inside, (1, ["b", "named", "none"]))) == [4, 5]
    assert limit.routing_key_indexes == [0]


def test_batches(session):
    session.execute("CREATE TABLE batches (k int, c int, v int, PRIMARY KEY (k, c))")
    insert = session.prepare("INSERT INTO batches (k, c, v) VALUES (?, ?, ?)")
    for kind in (BatchType.LOGGED, BatchType.UNLOGGED):
        batch = BatchStatement(kind)
        for c in range(50):
            batch.add(insert, (kind.value, c, c))
        batch.add(SimpleStatement("UPDATE batches SET v = 99 WHERE k = %s AND c = 7"), (kind.value,))
        batch.add("DELETE FROM batches WHERE k = %s AND c = 8" % kind.value)
        session.execute(batch)
        rows = {row.c: row.v for row in session.execute("SELECT c, v FROM batches WHERE k = %s", (kind.value,))}
        # Within a batch all have one timestamp: the deletion wins over the insertion, the larger value over the smaller.
        assert rows == {c: 99 if c == 7 else c for c in range(50) if c != 8}
    session.execute("BEGIN BATCH USING TIMESTAMP 5 INSERT INTO batches (k, c, v) VALUES (9, 1, 1); "
                    "UPDATE batches SET v = 2 WHERE k = 9 AND c = 2; APPLY BATCH")
    assert [tuple(row) for row in session.execute("SELECT c, v, writetime(v) FROM batches WHERE k = 9")] == [
        (1, 1, 5), (2, 2, 5)]


def test_timestamps_and_time_to_live(session):
    session.execute("CREATE TABLE times (k int PRIMARY KEY, v text, w text)")
    session.execute("INSERT INTO times (k, v) VALUES (1, 'new') USING TIMESTAMP 2000")
    session.execute("INSERT INTO times (k, v) VALUES (1, 'old') USING TIMESTAMP 1000")
    assert tuple(session.execute("SELECT v, writetime(v), ttl(v), ttl(w) FROM times WHERE k = 1").one()) == (
        "new", 2000, None, None)
    session.execute("DELETE FROM times USING TIMESTAMP 1500 WHERE k = 1")
    assert session.execute("SELECT v FROM times WHERE k = 1").one().v == "new"
    session.execute("DELETE FROM times USING TIMESTAMP 2000 WHERE k = 1")
    assert session.execute("SELECT v FROM times WHERE k = 1").one() is None
    session.execute("INSERT INTO times (k, v) VALUES (2, 'short') USING TTL 1")
    session.execute("INSERT INTO times (k, v) VALUES (3, 'long') USING TTL 1000")
    assert session.execute("SELECT v FROM times WHERE k = 2").one().v == "short"
    assert 990 <= session.execute("SELECT ttl(v) FROM times WHERE k = 3").one()[0] <= 1000
    end = time.monotonic() + 4
    while session.execute("SELECT v FROM times WHERE k = 2").one() is not None:
        assert time.monotonic() < end, "a row outlives its time"
        time.sleep(0.1)


def test_deletions(session):
    session.execute("CREATE TABLE deletions (k int, a int, b int, v int, PRIMARY KEY (k, a, b))")
    insert = session.prepare("INSERT INTO deletions (k, a, b, v) VALUES (1, ?, ?, 0)")

    def fill():
        for a in range(4):
            for b in range(4):
                session.execute(insert, (a, b))

    everything = {(a, b) for a in range(4) for b in range(4)}
    for where, gone in [("a = 1 AND b = 2", lambda a, b: (a, b) == (1, 2)), ("a = 1", lambda a, b: a == 1),
                        ("a > 1", lambda a, b: a > 1), ("a = 1 AND b >= 1 AND b < 3", lambda a, b: a == 1 and 1 <= b < 3),
                        ("(a, b) > (1, 2)", lambda a, b: (a, b) > (1, 2)), ("a IN (0, 3)", lambda a, b: a in (0, 3))]:
        fill()
        session.execute(f"DELETE FROM deletions WHERE k = 1 AND {where}")
        rows = {(row.a, row.b) for row in session.execute("SELECT a, b FROM deletions WHERE k = 1")}
        assert rows == {key for key in everything if not gone(*key)}, where
    session.execute("DELETE FROM deletions WHERE k = 1")
    assert not session.execute("SELECT * FROM deletions").all()
    fill()
    session.execute("TRUNCATE deletions")
    assert not session.execute("SELECT * FROM deletions").all()


def test_functions(session):
    session.execute("CREATE TABLE functions (k int PRIMARY KEY, t timeuuid, b blob, v text)")
    session.execute("INSERT INTO functions (k, t, b, v) VALUES (1, now(), textAsBlob('xyz'), 'x')")
    row = session.execute("SELECT toTimestamp(t) AS at, blobAsText(b) AS b, CAST(k AS text) AS k FROM functions").one()
    assert abs(row.at.timestamp() - time.time()) < 86400 and row.b == "xyz" and row.k == "1"
