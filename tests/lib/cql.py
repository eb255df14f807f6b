"""Sessions of the real Python driver, raw connections, and a load that remembers what was acknowledged."""

import logging
import random
import socket
import struct
import threading
import time

from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster as DriverCluster
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.policies import (ConstantReconnectionPolicy, FallthroughRetryPolicy, RoundRobinPolicy, TokenAwarePolicy,
                                WhiteListRoundRobinPolicy)
from cassandra.query import SimpleStatement

logging.getLogger("cassandra").setLevel(logging.CRITICAL)
CL = ConsistencyLevel
__all__ = ["CL", "SimpleStatement", "TokenAwarePolicy", "RoundRobinPolicy", "connect", "keyspace", "Writers", "Raw",
           "execute_concurrent_with_args", "EXEC_PROFILE_DEFAULT"]


def connect(cluster, version=4, only=None, level=CL.QUORUM, timeout=10, policy=None, **options):
    """A driver's cluster object: through all nodes, or only through node `only`. No request is tried again."""
    hosts = cluster.addresses() if only is None else [cluster.addresses()[only]]
    if policy is None:
        policy = RoundRobinPolicy() if only is None else WhiteListRoundRobinPolicy(hosts)
    profile = ExecutionProfile(load_balancing_policy=policy, consistency_level=level, request_timeout=timeout,
                               retry_policy=FallthroughRetryPolicy())
    return DriverCluster(hosts, port=cluster.port, protocol_version=version, connect_timeout=5,
                         execution_profiles={EXEC_PROFILE_DEFAULT: profile},
                         reconnection_policy=ConstantReconnectionPolicy(0.3, max_attempts=None), **options)


def keyspace(session, name, factor=3, durable=True):
    session.execute(f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = "
                    f"{{'class': 'SimpleStrategy', 'replication_factor': {factor}}} AND durable_writes = {durable}")


class Writers:
    """Threads that insert rows of their own at QUORUM; each row is written once and acknowledged, or its fate is open.

    `targets()` names the sessions a request may use at this moment, so that a test can demand that none of them fails;
    `departures(node)` counts how often the node left them: what was on its way through it then does not count.
    Errors are kept as (time, node or None, text)."""

    def __init__(self, sessions, table, threads=6, targets=None, departures=None, level=CL.QUORUM):
        self.table = table
        self.sessions = sessions
        self.targets = targets or (lambda: list(range(len(sessions))))
        self.departures = departures or (lambda node: 0)
        self.acknowledged = [{} for _ in range(threads)]
        self.errors = []
        self.slowest_s = 0.0
        self._stopping = threading.Event()
        self._inserts, self._selects = [], []
        for session in sessions:
            self._inserts.append(session.prepare(f"INSERT INTO {table} (w, s, v) VALUES (?, ?, ?)"))
            self._selects.append(session.prepare(f"SELECT v FROM {table} WHERE w = ? AND s = ?"))
            self._inserts[-1].consistency_level = self._selects[-1].consistency_level = level
        self._threads = [threading.Thread(target=self._run, args=(w,), daemon=True) for w in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self, w):
        choose = random.Random(w)
        s = 0
        while not self._stopping.is_set():
            targets = self.targets()
            if not targets:
                time.sleep(0.02)
                continue
            node = choose.choice(targets)
            departures = self.departures(node)
            begun = time.monotonic()
            try:
                if s % 4 == 3 and self.acknowledged[w]:
                    key = choose.choice(list(self.acknowledged[w])[-100:])
                    row = self.sessions[node].execute(self._selects[node], (w, key), timeout=8).one()
                    if row is None or row.v != self.acknowledged[w][key]:
                        self.errors.append((begun, node, f"row ({w}, {key}) reads as {row}"))
                else:
                    value = choose.getrandbits(31)
                    self.sessions[node].execute(self._inserts[node], (w, s, value), timeout=8)
                    self.acknowledged[w][s] = value
            except Exception as error:
                if self.departures(node) == departures:
                    self.errors.append((begun, node, f"{type(error).__name__}: {error}"[:300]))
                time.sleep(0.01)
            if self.departures(node) == departures:
                self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            s += 1

    def stop(self):
        """The number of acknowledged writes."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(20)
        return sum(map(len, self.acknowledged))

    def lost(self, session, level=CL.QUORUM):
        """Acknowledged rows that are not there with what was written."""
        select = session.prepare(f"SELECT v FROM {self.table} WHERE w = ? AND s = ?")
        select.consistency_level = level
        keys = [(w, s) for w, rows in enumerate(self.acknowledged) for s in rows]
        missing = []
        for (w, s), (ok, rows) in zip(keys, execute_concurrent_with_args(session, select, keys, concurrency=64,
                                                                         raise_on_first_error=False)):
            row = rows.one() if ok else None
            if row is None or row.v != self.acknowledged[w][s]:
                missing.append((w, s, rows if not ok else row))
        return missing


class Raw:
    """A connection whose bytes the test chooses."""

    def __init__(self, address, port, timeout=5):
        self.socket = socket.create_connection((address, port), timeout)
        self.socket.settimeout(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def frame(opcode, body=b"", version=4, stream=1, flags=0, length=None):
        return struct.pack(">BBhBI", version, flags, stream, opcode, len(body) if length is None else length) + body

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """(version, opcode, body) of one frame; None where the peer closed."""
        header = self._exactly(9)
        if header is None:
            return None
        version, _, _, opcode, length = struct.unpack(">BBhBI", header)
        body = self._exactly(length)
        return None if body is None else (version, opcode, body)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionError:
                return None
            if not more:
                return None
            data += more
        return data

    def startup(self, version=4):
        """A session ready for requests."""
        self.send(self.frame(1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0", version))
        answer = self.receive()
        assert answer and answer[1] == 2, answer
        return self

    def query(self, text, stream=1):
        body = struct.pack(">I", len(text)) + text.encode() + struct.pack(">HB", CL.ONE, 0)
        self.send(self.frame(7, body, stream=stream))
        return self.receive()

    @staticmethod
    def error_of(answer):
        """(code, message) of an ERROR frame."""
        assert answer is not None and answer[1] == 0, answer
        code, size = struct.unpack(">IH", answer[2][:6])
        return code, answer[2][6:6 + size].decode()
