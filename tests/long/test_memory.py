"""A node keeps to its memory whatever its tables hold: here twenty times as much."""

import base64
import os
import pathlib
import subprocess

from cluster import ASTERISM, Cluster
from cql import connect, keyspace
from flood import Flood

MEMORY_MB = 256
ROWS, VALUE = 5_200_000, 1000


def most_mb(pid):
    """The most memory that the process ever had."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def test_twenty_times_the_memory(tmp_path):
    path = tmp_path / "rows.csv"
    with open(path, "wb") as file:
        for i in range(ROWS):
            file.write(b"%d,%d,%b\n" % (i // 100, i, base64.b64encode(os.urandom(VALUE * 3 // 4))))
    with Cluster(tmp_path / "data", nodes=1, memory=MEMORY_MB) as cluster:
        driver = connect(cluster)
        session = driver.connect()
        keyspace(session, "large", factor=1)
        session.execute("CREATE TABLE large.t (p bigint, k bigint, v text, PRIMARY KEY (p, k))")
        pid, server = cluster.nodes[0]["pid"], (cluster.addresses()[0], cluster.port)

        def told(what):
            print(f"  {what}: {most_mb(pid):.0f} MB at most")
            assert most_mb(pid) <= MEMORY_MB

        told("empty")
        subprocess.run([ASTERISM, "import", "large.t", str(path), "--columns", "p,k,v", "--data", str(cluster.data)], check=True)
        path.unlink()
        told(f"{ROWS * VALUE / 1e9:.1f} GB written")
        for what, statement in (("partitions read", "SELECT v FROM large.t WHERE p = ?"),
                                ("ranges read", "SELECT v FROM large.t WHERE token(p) >= ? LIMIT 1000"),
                                ("rows written over", "INSERT INTO large.t (p, k, v) VALUES (?, ?, 'new')")):
            flood = Flood(*server, [statement], connections=4, pipeline=8, keys=ROWS // 100)
            flood.run(10)
            flood.close()
            assert flood.latencies and not flood.errors, flood.errors
            told(f"{what}, {len(flood.latencies) / 10:,.0f}/s")
        stored = sum(file.stat().st_size for file in (cluster.data / "n1").rglob("*.sst"))
        print(f"  {stored / 1e6:,.0f} MB of files")
        driver.shutdown()
