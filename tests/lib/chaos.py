"""A load on real nodes while one of them at a time is killed, frozen or cut off."""

import random
import time

from cluster import answers, wait_until
from cql import CL, SimpleStatement, Writers, connect, keyspace

# How long a node may take to be of use again after it was started, thawed or joined again.
RECOVERY_S = 10


def load_under_faults(cluster, faults, seconds, every_s=8, lasting_s=3, seed=None):
    """Runs the load on sessions of which each uses one node only, and demands that what goes through healthy nodes is
    answered. `faults` maps a name to (begin(node), end(node)). Returns the number of acknowledged writes."""
    seed = random.randrange(2**32) if seed is None else seed
    print(f"seed {seed}")
    choose = random.Random(seed)
    drivers = [connect(cluster, only=i, timeout=8) for i in range(3)]
    sessions = [driver.connect() for driver in drivers]
    keyspace(sessions[0], "fault")
    sessions[0].execute("CREATE TABLE IF NOT EXISTS fault.t (w int, s int, v int, PRIMARY KEY ((w, s)))")
    for i, session in enumerate(sessions):
        wait_until(lambda: serves(cluster, session, i), 20, f"node {i} to know the table")
    healthy = {0, 1, 2}
    departures = [0, 0, 0]
    load = Writers(sessions, "fault.t", targets=lambda: sorted(healthy), departures=departures.__getitem__)
    begun, story, turn, slowest_return_s = time.monotonic(), [], 0, 0.0
    try:
        while time.monotonic() - begun < seconds - lasting_s:
            time.sleep(every_s - lasting_s)
            # Each kind in turn, so that short runs see them all.
            kind, victim = list(faults)[turn % len(faults)], choose.randrange(3)
            turn += 1
            healthy.discard(victim)
            departures[victim] += 1
            story.append((time.monotonic(), kind, victim))
            faults[kind][0](victim)
            time.sleep(lasting_s)
            faults[kind][1](victim)
            ended = time.monotonic()
            wait_until(lambda: serves(cluster, sessions[victim], victim), RECOVERY_S, f"node {victim} after {kind}")
            slowest_return_s = max(slowest_return_s, time.monotonic() - ended)
            healthy.add(victim)
        time.sleep(2)
    finally:
        acknowledged = load.stop()
    said = [(f"{at - begun:.2f}", f"through node {node}", text) for at, node, text in load.errors]
    assert not said, f"{len(said)} requests through healthy nodes failed: {said[:5]}\nfaults: " + ", ".join(
        f"{at - begun:.2f} {kind} {victim}" for at, kind, victim in story)
    print(f"{acknowledged} acknowledged, slowest {load.slowest_s:.2f} s, {len(story)} faults, "
          f"of use again within {slowest_return_s:.2f} s")
    lost = load.lost(sessions[0])
    for driver in drivers:
        driver.shutdown()
    assert not lost, f"{len(lost)} of {acknowledged} acknowledged writes are lost: {lost[:5]}"
    return acknowledged


def serves(cluster, session, i):
    """It answers at QUORUM, so it sees others and is seen."""
    if not answers(cluster.nodes[i]["address"], cluster.port):
        return False
    try:
        statement = SimpleStatement("SELECT v FROM fault.t WHERE w = -1 AND s = 0", consistency_level=CL.QUORUM)
        return session.execute(statement, timeout=1).one() is None
    except Exception:
        return False
