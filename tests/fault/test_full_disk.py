"""A disk fills up under all nodes: writes are refused, reads go on, and with room again the nodes go on by themselves."""

import json
import os
import subprocess

import pytest

from cluster import Cluster, command, wait_until
from cql import connect, keyspace

DISK_MB = 320


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder], capture_output=True,
                             text=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: " + mounted.stderr.strip())
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as ballast:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                pass


def phases(cluster):
    return [node.get("phase") for node in json.loads(command("status", "--data", cluster.data, "--json").stdout)["nodes"]]


def test_a_full_disk_refuses_writes_and_serves_reads(small_disk):
    with Cluster(small_disk) as cluster:
        pids = [node["pid"] for node in cluster.nodes]
        driver = connect(cluster)
        session = driver.connect()
        keyspace(session, "brim")
        session.execute("CREATE TABLE brim.t (k int PRIMARY KEY, v text)")
        insert = session.prepare("INSERT INTO brim.t (k, v) VALUES (?, ?)")
        select = session.prepare("SELECT v FROM brim.t WHERE k = ?")
        acknowledged, refused = [], []

        def write(k):
            try:
                session.execute(insert, (k, f"{k} " + "x" * 1000))
                acknowledged.append(k)
                return True
            except Exception as error:  # the driver's errors share no base that is worth naming
                refused.append((k, error))
                return False

        for k in range(500):
            assert write(k)
        ballast = small_disk / "ballast"
        fill(ballast)
        for k in range(500, 3000):
            write(k)
            if len(refused) > 5:
                break
        wait_until(lambda: phases(cluster) == ["full"] * 3, 20, "all nodes to say that their disk is full")
        for k in acknowledged:
            assert session.execute(select, (k,)).one().v.startswith(f"{k} ")
        assert not write(5000)
        ballast.unlink()
        wait_until(lambda: phases(cluster) == ["serving"] * 3, 30, "the nodes to go on")
        wait_until(lambda: write(6000), 20, "a write that succeeds")
        assert [node["pid"] for node in cluster.nodes] == pids
        for k in acknowledged:
            assert session.execute(select, (k,)).one().v.startswith(f"{k} ")
        driver.shutdown()
