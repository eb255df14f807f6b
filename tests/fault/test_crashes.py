"""All nodes are killed at once under load, again and again: what was acknowledged is there afterwards. In turn with
durable_writes and without: what the operating system has outlives the processes.

ASTERISM_LONG=1 makes 50 crashes of the three."""

import os
import time

from cluster import Cluster
from cql import Writers, connect, keyspace

CRASHES = 50 if os.environ.get("ASTERISM_LONG") == "1" else 4
KEYSPACES = ("synced", True), ("relaxed", False)


def test_everything_is_killed_at_once(tmp_path):
    loads, total = [], 0
    for crash in range(CRASHES + 1):
        with Cluster(tmp_path / "data") as cluster:
            driver = connect(cluster)
            session = driver.connect()
            for name, durable in KEYSPACES:
                keyspace(session, name, durable=durable)
            # The newest load after each crash; all of them at the end.
            for load in loads if crash == CRASHES else loads[-1:]:
                lost = load.lost(session)
                assert not lost, f"crash {crash}: {len(lost)} acknowledged writes of {load.table} are lost: {lost[:5]}"
            if crash < CRASHES:
                table = f"{KEYSPACES[crash % 2][0]}.t{crash}"
                session.execute(f"CREATE TABLE {table} (w int, s int, v int, PRIMARY KEY ((w, s)))")
                load = Writers([session], table)
                time.sleep(2)
                cluster.kill_all()
                total += load.stop()
                loads.append(load)
            driver.shutdown()
    print(f"{total} acknowledged over {CRASHES} crashes")
    assert total > 300 * CRASHES
