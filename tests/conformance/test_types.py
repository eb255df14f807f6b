"""Every CQL type at its extremes, through prepared and unprepared statements (protocol v4, v5)."""

import datetime
import decimal
import math
import uuid

import pytest
from cassandra import ProtocolVersion
from cassandra.util import OrderedMapSerializedKey, SortedSet, Date, Duration, Time

from cql import connect, keyspace

UUID_MAX = uuid.UUID(int=2**128 - 1)
TIMEUUID = uuid.UUID("fffffeff-ffff-1fff-bfff-ffffffffffff")

# type: values that must come back as they are
SCALARS = {
    "ascii": ["", "plain", "".join(map(chr, range(1, 128)))],
    "bigint": [0, -1, 2**63 - 1, -2**63],
    "blob": [b"", b"\0", bytes(range(256)) * 40],
    "boolean": [True, False],
    "date": [Date(0), Date(-719162), Date(2**31 - 1), Date(-2**31)],
    "decimal": [decimal.Decimal(text) for text in
                ("0", "0.00", "1E+400", "-1.0E-400", "123456789012345678901234567890.12345")],
    "double": [0.0, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan],
    "duration": [Duration(0, 0, 0), Duration(1, 2, 3), Duration(-(2**31 - 1), -2**31, -2**63),
                 Duration(2**31 - 1, 2**31 - 1, 2**63 - 1)],
    "float": [0.0, -1.5, 1.401298464324817e-45, 3.4028234663852886e38, math.inf, math.nan],
    "inet": ["0.0.0.0", "255.255.255.255", "::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
    "int": [0, -1, 2**31 - 1, -2**31],
    "smallint": [0, 2**15 - 1, -2**15],
    "text": ["", "ő\U0001F30C\x00", "x" * 70_000],
    "time": [Time(0), Time(86_399_999_999_999)],
    "timestamp": [datetime.datetime(1970, 1, 1), datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59),
                  datetime.datetime(1901, 1, 1, 1, 1, 1, 999_000)],
    "timeuuid": [TIMEUUID, uuid.UUID("00000000-0000-1000-8080-808080808080")],
    "tinyint": [0, 127, -128],
    "uuid": [uuid.UUID(int=0), UUID_MAX, uuid.uuid5(uuid.NAMESPACE_DNS, "x")],
    "varint": [0, -1, 127, 128, -129, 10**60, -(2**400)],
}

COLLECTIONS = {
    "list<int>": [[1, -2, 1], [0] * 5000],
    "set<text>": [{"b", "a", ""}],
    "map<text, bigint>": [{"a": 1, "b": -2**63}],
    "frozen<list<frozen<set<int>>>>": [[{1, 2}, {3}, set()]],
    "map<int, frozen<map<text, frozen<list<uuid>>>>>": [{1: {"x": [UUID_MAX]}, -1: {}}],
    "tuple<int, text, frozen<set<int>>>": [(1, "x", {3, 1}), (None, "x", None), (1, None, {2})],
    "frozen<tuple<tuple<int>, double>>": [((7,), 2.5)],
    "list<duration>": [[Duration(1, -0, 3)]],
    "set<inet>": [{"10.0.0.1", "::1"}],
    "map<timeuuid, boolean>": [{TIMEUUID: True}],
}


def plain(value):
    """Driver types as Python's own, for comparison."""
    if isinstance(value, (SortedSet, set, frozenset)):
        return sorted((plain(v) for v in value), key=repr)
    if isinstance(value, (OrderedMapSerializedKey, dict)):
        return sorted(((plain(k), plain(v)) for k, v in value.items()), key=repr)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value


@pytest.fixture(scope="module", params=[4, 5])
def session(cluster, request):
    assert ProtocolVersion.has_checksumming_support(request.param) == (request.param == 5), "v5 is the final one"
    driver = connect(cluster, version=request.param)
    name = f"types_v{request.param}"
    keyspace(driver.connect(), name)
    yield driver.connect(name)
    driver.shutdown()


@pytest.mark.parametrize("kind", [*SCALARS, *COLLECTIONS])
def test_values_come_back_as_they_were_written(session, kind):
    values = (SCALARS | COLLECTIONS)[kind]
    table = f"t_{[*SCALARS, *COLLECTIONS].index(kind)}"
    session.execute(f"CREATE TABLE {table} (k int PRIMARY KEY, v {kind})")
    insert = session.prepare(f"INSERT INTO {table} (k, v) VALUES (?, ?)")
    select = session.prepare(f"SELECT v FROM {table} WHERE k = ?")
    for k, value in enumerate([None, *values]):
        session.execute(insert, (k, value))
        got = session.execute(select, (k,)).one().v
        if value is not None and kind in COLLECTIONS and kind.startswith(("list", "set", "map")) and not value:
            value = None
        assert plain(got) == plain(value), f"prepared {value!r}"
        assert plain(session.execute(f"SELECT v FROM {table} WHERE k = {k}").one().v) == plain(value)


@pytest.mark.parametrize("kind", [kind for kind in SCALARS if kind != "duration"])
def test_values_are_keys(session, kind):
    """As partition key and as clustering key, where they are ordered."""
    table = f"k_{kind}"
    session.execute(f"CREATE TABLE {table} (p {kind}, c {kind}, PRIMARY KEY (p, c))")
    insert = session.prepare(f"INSERT INTO {table} (p, c) VALUES (?, ?)")
    select = session.prepare(f"SELECT p, c FROM {table} WHERE p = ?")
    # An empty text or blob is no partition key.
    values = [value for value in SCALARS[kind] if value not in ("", b"")]
    if kind == "text":
        values = [value for value in values if len(value) < 65536]
    for partition in values:
        for value in values:
            session.execute(insert, (partition, value))
        rows = session.execute(select, (partition,)).all()
        unique = {repr(plain(value)): value for value in values}
        # Of decimals that are equal there is one key, whatever their scale.
        assert len(rows) == len(set(values) if kind == "decimal" else unique)
        if kind not in ("timeuuid", "uuid", "inet", "date", "time", "float", "double"):
            assert [row.c for row in rows] == sorted(row.c for row in rows)
        assert {repr(plain(row.p)) for row in rows} <= set(unique)


def test_null_and_unset(session):
    session.execute("CREATE TABLE nulls (k int PRIMARY KEY, a int, b text, c list<int>)")
    insert = session.prepare("INSERT INTO nulls (k, a, b, c) VALUES (?, ?, ?, ?)")
    session.execute(insert, (1, 1, "x", [1]))
    session.execute(insert, (1, None))  # the rest is unset and stays
    assert tuple(session.execute("SELECT a, b, c FROM nulls WHERE k = 1").one()) == (None, "x", [1])
    session.execute(insert, (1, None, None, None))
    assert tuple(session.execute("SELECT a, b, c FROM nulls WHERE k = 1").one()) == (None, None, None)
    with pytest.raises(Exception, match="(?i)null"):
        session.execute(insert, (None, 1, "x", [1]))


def test_literals_of_statements(session):
    """Unprepared: the values travel as text of the language."""
    session.execute("CREATE TABLE literals (k int PRIMARY KEY, a ascii, b bigint, c blob, d boolean, e date, f decimal, "
                    "g double, h duration, i float, j inet, l smallint, m text, n time, o timestamp, p timeuuid, "
                    "q tinyint, r uuid, s varint, t map<text, frozen<list<int>>>, u tuple<int, text>, v set<date>)")
    session.execute(
        "INSERT INTO literals (k, a, b, c, d, e, f, g, h, i, j, l, m, n, o, p, q, r, s, t, u, v) VALUES (1, 'a''b', "
        "-9223372036854775808, 0xCAFE, TRUE, '1969-12-31', 1.50, -Infinity, P1Y2M3DT4H5M6S, NaN, '::1', -32768, $$x'y$$, "
        "'23:59:59.999999999', '1970-01-01T00:00:00.001Z', fffffeff-ffff-1fff-bfff-ffffffffffff, -128, "
        "ffffffff-ffff-ffff-ffff-ffffffffffff, 99999999999999999999, {'x': [1, 2], 'y': []}, (1, null), {'2000-01-01'})")
    row = session.execute("SELECT * FROM literals").one()
    assert (row.a, row.b, row.c, row.d) == ("a'b", -2**63, b"\xca\xfe", True)
    assert (row.e, str(row.f), row.g) == (Date(-1), "1.50", -math.inf)
    assert row.h == Duration(14, 3, ((4 * 60 + 5) * 60 + 6) * 10**9)
    assert math.isnan(row.i) and row.j == "::1" and row.l == -2**15 and row.m == "x'y"
    assert row.n == Time(86_399_999_999_999) and row.o == datetime.datetime(1970, 1, 1, 0, 0, 0, 1000)
    assert (row.p, row.q, row.r, row.s) == (TIMEUUID, -128, UUID_MAX, 99999999999999999999)
    assert plain(row.t) == plain({"x": [1, 2], "y": []}) and tuple(row.u) == (1, None)
    assert plain(row.v) == [Date("2000-01-01")]


def test_collections_in_place(session):
    session.execute("CREATE TABLE places (k int PRIMARY KEY, l list<int>, s set<text>, m map<text, int>)")
    for change in ("l = [1, 2]", "l = l + [3]", "l = [0] + l", "l[1] = 9", "s = {'a'}", "s = s + {'b', 'c'}",
                   "s = s - {'a'}", "m = {'x': 1}", "m['y'] = 2", "m = m + {'z': 3}", "m = m - {'x'}", "l = l - [2]"):
        session.execute(f"UPDATE places SET {change} WHERE k = 1")
    row = session.execute("SELECT * FROM places").one()
    assert row.l == [0, 9, 3] and plain(row.s) == ["b", "c"] and dict(row.m) == {"y": 2, "z": 3}
    session.execute("DELETE l[0], m['y'] FROM places WHERE k = 1")
    row = session.execute("SELECT * FROM places").one()
    assert row.l == [9, 3] and dict(row.m) == {"z": 3}
