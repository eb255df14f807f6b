"""Errors in the protocol's words: each has its code, and its text names what is wrong and where."""

import pytest
from cassandra import InvalidRequest, Unauthorized
from cassandra.protocol import ConfigurationException, SyntaxException

from cql import Raw


@pytest.fixture(scope="module")
def table(session):
    session.execute("CREATE TABLE t (k int, c int, v text, s set<int>, PRIMARY KEY (k, c))")
    return session


@pytest.mark.parametrize("statement, place", [
    ("SELEC * FROM t", "line 1:0"), ("SELECT * FORM t", "line 1:9"), ("SELECT *\nFROM t WHERE\n  k == 1", "line 3:"),
    ("INSERT INTO t (k, c) VALUES (1, )", "line 1:32"), ("SELECT * FROM t WHERE v = 'open", "line 1:"), ("", "line 0:-1|line 1:"),
    ("SELECT * FROM t; SELECT * FROM t", "line 1:"), ("CREATE TABLE x (k int PRIMARY)", "line 1:29")])
def test_syntax_errors_say_where(table, statement, place):
    with pytest.raises(SyntaxException, match=place):
        table.execute(statement)


@pytest.mark.parametrize("statement, words", [
    ("SELECT * FROM none", "none"), ("SELECT * FROM nowhere.t", "nowhere"), ("SELECT x FROM t", "x"),
    ("INSERT INTO t (k) VALUES (1)", "c"), ("INSERT INTO t (k, c, v) VALUES ('a', 1, 'x')", "k|int"),
    ("INSERT INTO t (k, c) VALUES (99999999999, 1)", "k|int"), ("SELECT * FROM t WHERE v = 'x'", "ALLOW FILTERING"),
    ("SELECT * FROM t WHERE k = 1 ORDER BY v", "(?i)order"), ("UPDATE t SET k = 2 WHERE k = 1 AND c = 1", "k"),
    ("UPDATE t SET v = 'x' WHERE k = 1", "c"), ("DELETE FROM t WHERE c = 1", "k"),
    ("CREATE TABLE u (k int, v none, PRIMARY KEY (k))", "none"), ("CREATE TABLE u (k int, PRIMARY KEY (z))", "z"),
    ("CREATE TABLE u (k set<int> PRIMARY KEY)", "k|set"), ("ALTER TABLE t DROP k", "k"),
    ("SELECT nofunction(k) FROM t", "nofunction"), ("SELECT * FROM t WHERE k = 1 AND k = 2", "k"),
    ("INSERT INTO t (k, c) VALUES (1, 2) USING TTL -1", "(?i)ttl"),
    ("UPDATE t SET v = v + 'x' WHERE k = 1 AND c = 1", "v"), ("SELECT * FROM t LIMIT -1", "(?i)limit")])
def test_invalid_statements_name_what_is_wrong(table, statement, words):
    with pytest.raises((InvalidRequest, ConfigurationException), match=words):
        table.execute(statement)


@pytest.mark.parametrize("replication", [
    "{'class': 'NoStrategy', 'replication_factor': 1}", "{'class': 'SimpleStrategy'}", "{}",
    "{'class': 'SimpleStrategy', 'replication_factor': 'x'}", "{'class': 'SimpleStrategy', 'replication_factor': 0}",
    "{'class': 'SimpleStrategy', 'replication_factor': 1, 'more': 2}"])
def test_replication_that_makes_no_sense(table, replication):
    with pytest.raises((ConfigurationException, InvalidRequest, SyntaxException)):
        table.execute(f"CREATE KEYSPACE senseless WITH replication = {replication}")


def test_bound_values_are_checked(table):
    insert = table.prepare("INSERT INTO t (k, c, v, s) VALUES (?, ?, ?, ?)")
    assert [column.name for column in insert.column_metadata] == ["k", "c", "v", "s"]
    insert.column_metadata = [column._replace(type=insert.column_metadata[2].type) for column in insert.column_metadata[:3]]
    with pytest.raises(InvalidRequest):
        table.execute(insert.bind(("abc", "abcd", "x")))


def test_system_tables_are_read_only(table):
    for statement in ("INSERT INTO system.local (key) VALUES ('x')", "DROP TABLE system.local", "DROP KEYSPACE system",
                      "TRUNCATE system_schema.tables", "CREATE TABLE system.mine (k int PRIMARY KEY)"):
        with pytest.raises((Unauthorized, InvalidRequest)):
            table.execute(statement)


def test_codes(cluster, table):
    with Raw(*[cluster.addresses()[0], cluster.port]).startup() as raw:
        assert Raw.error_of(raw.query("SELEC"))[0] == 0x2000
        assert Raw.error_of(raw.query("SELECT * FROM errors.none"))[0] == 0x2200
        assert Raw.error_of(raw.query("SELECT * FROM t"))[0] == 0x2200  # no keyspace was chosen
        assert Raw.error_of(raw.query("CREATE TABLE errors.t (k int PRIMARY KEY)"))[0] == 0x2400
        assert Raw.error_of(raw.query("CREATE KEYSPACE x WITH replication = {'class': 'Y'}"))[0] == 0x2300
        body = b"\0\x10" + b"\7" * 16 + b"\0\1\0"
        raw.send(Raw.frame(10, body))  # EXECUTE of what nobody prepared
        code, _ = Raw.error_of(raw.receive())
        assert code == 0x2500
        assert raw.query("SELECT * FROM errors.t")[1] == 8  # and the connection still works
