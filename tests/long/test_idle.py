"""What nodes cost while nobody asks them anything: with nothing in them, and with thousands of shards."""

import os
import pathlib
import time

from cluster import Cluster, command, resident_mb
from cql import connect, keyspace

SECONDS = 60
SHARDS = 5000


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_cost(cluster):
    """(percent of a core, MB) of each node."""
    before = [processor_seconds(node["pid"]) for node in cluster.nodes]
    begun = time.monotonic()
    time.sleep(SECONDS)
    passed = time.monotonic() - begun
    cost = [((processor_seconds(node["pid"]) - spent) / passed * 100, resident_mb(node["pid"]))
            for node, spent in zip(cluster.nodes, before)]
    print(", ".join(f"{percent:.2f} % of a core and {size:.1f} MB" for percent, size in cost))
    return cost


def test_idle(tmp_path):
    with Cluster(tmp_path / "data") as cluster:
        time.sleep(5)  # what a start leaves to do is done
        empty = idle_cost(cluster)
        assert all(percent <= 0.5 and size <= 60 for percent, size in empty), empty

        driver = connect(cluster, schema_metadata_enabled=False)
        session = driver.connect()
        count = 0
        while True:
            status = command("status", "--data", cluster.data).stdout
            if int(status[status.index("shards ") + 7:].split(";")[0]) >= SHARDS:
                break
            for _ in range(20):
                keyspace(session, f"shards{count}")
                session.execute(f"CREATE TABLE shards{count}.t (k int PRIMARY KEY, v text)")
                session.execute(f"INSERT INTO shards{count}.t (k, v) VALUES (1, 'x')")
                count += 1
        driver.shutdown()
        time.sleep(5)
        full = idle_cost(cluster)
        for (percent, size), (percent_before, size_before) in zip(full, empty):
            assert percent - percent_before <= 10 and size - size_before <= 50, (empty, full)
