"""More load than a node can carry: what it takes on it serves in time, the rest is refused early, and afterwards
everything is as before."""

import multiprocessing
import os
import resource
import time

from cluster import Cluster, is_alive, resident_mb
from cql import Raw, connect, keyspace
from flood import Flood, percentile

MEMORY_MB = 256
SECONDS = 60 if os.environ.get("ASTERISM_LONG") else 10
IDLE = 9_500  # a node takes 10,000 connections
INSERT = ["INSERT INTO flood.t (k, v) VALUES (?, ?)"]


def flood_for(address, port, connections, pipeline, seconds):
    """In a process of its own, and behind the others as one on another machine would be. (served, refused, errors)"""
    os.nice(5)
    flood = Flood(address, port, INSERT, connections, pipeline)
    flood.run(seconds)
    flood.close()
    return len(flood.latencies), flood.refused, flood.errors


def ask_for(address, port, seconds):
    """A client with one request at a time: its latencies, refusals left out, and how many were refused."""
    quiet = Flood(address, port, INSERT, connections=1, pipeline=1)
    quiet.run(seconds)
    quiet.close()
    assert not quiet.errors, quiet.errors
    return quiet.latencies, quiet.refused


def test_what_is_taken_on_is_served_in_time(tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Cluster(tmp_path / "data", nodes=1, memory=MEMORY_MB) as cluster, multiprocessing.Pool(2) as clients:
        driver = connect(cluster)
        session = driver.connect()
        keyspace(session, "flood", factor=1)
        session.execute("CREATE TABLE flood.t (k bigint PRIMARY KEY, v bigint)")
        pid, server = cluster.nodes[0]["pid"], (cluster.addresses()[0], cluster.port)

        idle = [Raw(*server).startup() for _ in range(IDLE)]

        def measured(connections, pipeline, seconds):
            load = clients.apply_async(flood_for, (*server, connections, pipeline, seconds))
            latencies, turned_away = clients.apply(ask_for, (*server, seconds))
            served, refused, errors = load.get()
            assert not errors, errors
            assert turned_away <= len(latencies) / 5, "who asks little is refused for who asks much"
            p99 = percentile(latencies, 0.99) * 1e3
            print(f"{connections * pipeline:,} under way: {served / seconds:,.0f}/s served, {refused / seconds:,.0f}/s "
                  f"refused, p99 of one that waits its turn {p99:.1f} ms, {resident_mb(pid)} MB")
            return refused, p99

        refused, usual_ms = measured(connections=4, pipeline=16, seconds=3)
        assert not refused
        # Far more under way than there ever is with clients that wait for their answers.
        refused, flooded_ms = measured(connections=200, pipeline=200, seconds=SECONDS)
        assert refused and resident_mb(pid) <= MEMORY_MB
        assert flooded_ms <= 10 * max(usual_ms, 5)

        over = time.monotonic()
        while True:
            refused, after_ms = measured(connections=4, pipeline=16, seconds=1)
            if not refused and after_ms <= 2 * max(usual_ms, 5):
                break
            assert time.monotonic() - over < 5, f"{refused} refused and a p99 of {after_ms} ms after the flood"
        assert is_alive(pid) and session.execute("SELECT count(*) FROM flood.t").one()[0] > 0
        for connection in idle:
            connection.socket.close()
        driver.shutdown()
