"""Long reads beside short ones: who counts a large table does not hold up the connection next door."""

import multiprocessing
import os
import pathlib
import random
import struct
import time

from cluster import Cluster, command, wait_until
from cql import Raw
from flood import Flood, percentile

ROWS, SECONDS = 100_000, 6
# Each reads the whole table: counts it, and looks for a value that is not there.
LONG = ["SELECT count(*) FROM asterism_bench.rows",
        "SELECT key FROM asterism_bench.rows WHERE value = 0x00 ALLOW FILTERING"]


def read_long(address, port, begun):
    """Behind the others, as a client on another machine would be: 32 long reads are always under way."""
    os.nice(5)
    flood = Flood(address, port, LONG, connections=4, pipeline=8)
    begun.set()
    flood.run(SECONDS + 6)
    flood.close()
    assert flood.latencies and not flood.errors, flood.errors
    print(f"{len(flood.latencies)} long reads in {SECONDS + 6} s, the slowest {max(flood.latencies):.1f} s")


def read_short(address, port):
    """100 reads a second of one row; what a slow one delays counts as slow too."""
    latencies, due = [], time.monotonic()
    end = due + SECONDS
    with Raw(address, port).startup() as connection:
        while due < end:
            time.sleep(max(0, due - time.monotonic()))
            answer = connection.query(f"SELECT value FROM asterism_bench.rows WHERE key = {random.randrange(ROWS)}")
            assert answer[1] == 8, answer
            latencies.append(time.monotonic() - due)
            due += 0.01
    return latencies


def open_connections(address, port):
    latencies, end = [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        began = time.monotonic()
        with Raw(address, port).startup() as connection:
            answer = connection.query("SELECT release_version FROM system.local")
            assert answer[1] == 8, answer
        latencies.append(time.monotonic() - began)
        time.sleep(0.05)
    return latencies


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_idle(pid):
    before = processor_seconds(pid)
    time.sleep(0.5)
    return processor_seconds(pid) - before < 0.1


def test_who_asks_little_does_not_wait_for_who_reads_everything(tmp_path):
    with Cluster(tmp_path / "data", nodes=1, memory=64) as cluster, multiprocessing.Pool(2) as clients:
        made = command("bench", "read", "--rows", ROWS, "--value-bytes", 300, "--seconds", 1, "--replication", 1,
                       "--keep", "--data", cluster.data)
        assert made.returncode == 0, made.stderr
        server = (cluster.addresses()[0], cluster.port)
        begun = multiprocessing.Event()
        load = multiprocessing.Process(target=read_long, args=(*server, begun))
        load.start()
        assert begun.wait(10)
        short, opened = clients.apply_async(read_short, server), clients.apply_async(open_connections, server)
        latencies, opening = short.get(), opened.get()
        load.join()
        print(f"beside 32 long reads: p99 of one row {percentile(latencies, 0.99) * 1e3:.1f} ms, "
              f"slowest new connection {max(opening) * 1e3:.1f} ms")
        assert load.exitcode == 0
        assert percentile(latencies, 0.99) < 0.5 and max(opening) < 3
        # Nobody reads on for clients that are gone: these would take over 20 s.
        with Raw(*server).startup() as leaving:
            for stream in range(400):
                leaving.send(Raw.frame(7, struct.pack(">I", len(LONG[0])) + LONG[0].encode() + b"\0\1\0", stream=stream))
            time.sleep(0.5)
        wait_until(lambda: is_idle(cluster.nodes[0]["pid"]), 30, "the long reads to end with their client")
