"""A byte flips in the files of a stopped node: it is found, the log names the file, nobody is served what is wrong, and
the node has its data again from the others."""

import random

import pytest

from cluster import Cluster, wait_until
from cql import CL, connect, execute_concurrent_with_args, keyspace

ROWS = 20_000


def flip(path, choose, places):
    data = bytearray(path.read_bytes())
    used = len(data.rstrip(b"\0"))  # behind it a log may have reserved zeros
    for _ in range(places):
        data[choose.randrange(used)] ^= 1 << choose.randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize("what", ["wal/*.wal", "*.sst"])
def test_flipped_bits(tmp_path, what):
    choose = random.Random(what)
    # With so little memory the tables are flushed to files.
    with Cluster(tmp_path / "data", memory=64) as cluster:
        driver = connect(cluster)
        session = driver.connect()
        keyspace(session, "damage")
        session.execute("CREATE TABLE damage.t (k int PRIMARY KEY, v text)")
        insert = session.prepare("INSERT INTO damage.t (k, v) VALUES (?, ?)")
        text = {k: f"{k} " + choose.randbytes(500).hex() for k in range(ROWS)}
        for done in execute_concurrent_with_args(session, insert, text.items(), concurrency=100):
            assert done.success
        driver.shutdown()
        cluster.kill(1)
        files = [path for path in (cluster.data / "n2").rglob(what) if path.stat().st_size > 20_000]
        assert files, "nothing to damage: " + str(sorted(str(p) for p in (cluster.data / "n2").rglob("*")))
        victim = max(files, key=lambda path: path.stat().st_size)
        flip(victim, choose, 3)
        before = len(cluster.log(1))
        cluster.start(1)

        # Only this node is asked, and what it answers must be right or an error.
        driver = connect(cluster, only=1, level=CL.ONE, timeout=15)
        session = driver.connect()
        select = session.prepare("SELECT v FROM damage.t WHERE k = ?")

        def right_rows():
            right = 0
            try:
                answers = execute_concurrent_with_args(session, select, ((k,) for k in text), concurrency=64,
                                                       raise_on_first_error=False)
            except Exception:  # the driver gives up where its only node starts anew under it
                return 0
            for k, (ok, rows) in zip(text, answers):
                row = rows.one() if ok else None
                if ok and row is not None:
                    assert row.v == text[k], f"a wrong row was served for {k}"
                    right += 1
            return right
        wait_until(lambda: right_rows() == ROWS, 60, "the node to have everything again")
        driver.shutdown()
        said = cluster.log(1)[before:]
        assert victim.name in said, f"the log does not name {victim}: {said[-3000:]}"
        # What is there now is whole: another start finds nothing.
        cluster.kill(1)
        before = len(cluster.log(1))
        cluster.start(1)
        assert "corrupt" not in cluster.log(1)[before:]
