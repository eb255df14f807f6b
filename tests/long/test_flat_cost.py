"""What a request costs the server with one table and few shards, and with a thousand tables or five thousand shards."""

import os
import time

import pytest

from cluster import Cluster
from cql import connect, keyspace
from flood import Flood

SECONDS = 5
KEYS = 20_000
TABLES = 1_000
KEYSPACES = 312  # of 16 shards each, with the one that is used


def processor_s(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost_us(cluster, statements):
    """Server's processor time for each request; the same keys in all tables together."""
    pid, flood = cluster.nodes[0]["pid"], Flood(cluster.addresses()[0], cluster.port, statements, 4, 32,
                                                KEYS // len(statements))
    flood.run(1)
    flood.latencies.clear()
    before, begun = processor_s(pid), time.monotonic()
    flood.run(SECONDS)
    used, took = processor_s(pid) - before, time.monotonic() - begun
    flood.close()
    assert not flood.errors and not flood.refused
    cost = used / len(flood.latencies) * 1e6
    print(f"  {statements[0][:40]}: {len(flood.latencies) / took:,.0f}/s, {cost:.2f} us")
    return cost


def costs(cluster, tables):
    """(write, read), the better of three."""
    inserts = [f"INSERT INTO {table} (k, v) VALUES (?, ?)" for table in tables]
    selects = [f"SELECT v FROM {table} WHERE k = ?" for table in tables]
    return min(cost_us(cluster, inserts) for _ in range(3)), min(cost_us(cluster, selects) for _ in range(3))


@pytest.mark.parametrize("kind", ["tables", "shards"])
def test_cost_is_flat(tmp_path, kind):
    with Cluster(tmp_path / "data", nodes=1) as cluster:
        driver = connect(cluster)
        session = driver.connect()
        keyspace(session, "flat", factor=1)
        session.execute("CREATE TABLE flat.t0 (k bigint PRIMARY KEY, v bigint)")
        few = costs(cluster, ["flat.t0"])
        tables = ["flat.t0"]
        if kind == "tables":
            for i in range(1, TABLES):
                tables.append(f"flat.t{i}")
                session.execute(f"CREATE TABLE {tables[-1]} (k bigint PRIMARY KEY, v bigint)")
        else:
            for i in range(KEYSPACES):
                keyspace(session, f"flat{i}", factor=1)
        many = costs(cluster, tables[:1])
        # Printed only: the statements and schemas of a thousand tables in turn are more than a core's cache holds.
        if kind == "tables":
            costs(cluster, tables)
        driver.shutdown()
        for what, one, all_of_them in zip(("write", "read"), few, many):
            print(f"{what}: {one:.2f} us, with many {kind} {all_of_them:.2f} us")
            assert all_of_them <= 1.2 * one
