"""Hostile and broken clients: each is answered or dropped, memory stays bounded, and a neighbour notices nothing."""

import contextlib
import os
import random
import resource
import socket
import struct
import threading
import time

import pytest

from cluster import is_alive, resident_mb, wait_until
from cql import Raw, connect

MEMORY_MB_MAX = 60


@pytest.fixture(autouse=True)
def neighbour(cluster, session):
    """A well-behaved client on the same node, which must be answered all the time."""
    session.execute("CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY, v int)")
    pids = [node["pid"] for node in cluster.nodes]
    driver = connect(cluster, only=0, timeout=10)
    quiet = driver.connect(session.keyspace)
    insert = quiet.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
    stop, slowest, failures = threading.Event(), [0.0], []

    def work():
        k = 0
        while not stop.is_set():
            begun = time.monotonic()
            try:
                quiet.execute(insert, (k % 100, k))
            except Exception as error:
                failures.append(error)
            slowest[0] = max(slowest[0], time.monotonic() - begun)
            k += 1
            time.sleep(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()
    driver.shutdown()
    assert not failures and slowest[0] < 1.5, (failures[:3], slowest[0])
    assert all(is_alive(pid) for pid in pids)


@pytest.fixture
def raw(cluster):
    with Raw(cluster.addresses()[0], cluster.port) as connection:
        yield connection


def closed(connection):
    """Whatever the peer says, it ends the connection within the socket's timeout."""
    while (answer := connection.receive()) is not None:
        assert answer[1] == 0, answer
    return True


def test_random_bytes(cluster):
    choose = random.Random(4)
    for _ in range(200):
        with Raw(cluster.addresses()[0], cluster.port) as connection, contextlib.suppress(ConnectionError):
            connection.send(choose.randbytes(choose.choice([1, 8, 9, 100, 5000])))
            connection.socket.shutdown(socket.SHUT_WR)
            connection.receive()


def test_random_bodies(cluster):
    """Right headers and random bodies, after a good STARTUP."""
    choose = random.Random(5)
    for _ in range(60):
        with Raw(cluster.addresses()[0], cluster.port).startup() as connection, contextlib.suppress(ConnectionError):
            for _ in range(20):
                opcode = choose.choice([1, 5, 7, 9, 10, 11, 13, 15])
                connection.send(Raw.frame(opcode, choose.randbytes(choose.randrange(60))))
                answer = connection.receive()
                if answer is None:
                    break
                assert answer[1] in (0, 2, 6, 8, 12), answer


def test_bent_requests(cluster):
    """A good request with one byte changed, many times."""
    choose = random.Random(6)
    text = b"SELECT v FROM bad_input.t WHERE k = 1"
    good = struct.pack(">I", len(text)) + text + struct.pack(">HB", 1, 0)
    connection = Raw(cluster.addresses()[0], cluster.port).startup()
    for _ in range(500):
        body = bytearray(good)
        body[choose.randrange(len(body))] = choose.randrange(256)
        connection.send(Raw.frame(7, bytes(body)))
        answer = connection.receive()
        if answer is None:
            connection = Raw(cluster.addresses()[0], cluster.port).startup()
        else:
            assert answer[1] in (0, 8)
    connection.socket.close()


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1, 1 << 30])
def test_a_header_that_promises_gigabytes(cluster, raw, length):
    before = resident_mb(cluster.nodes[0]["pid"])
    raw.startup()
    raw.send(Raw.frame(7, b"x" * 1000, length=length))
    answer = raw.receive()
    assert answer is None or Raw.error_of(answer)[0] == 0x000A
    # Whoever then sends megabytes is not kept in memory either.
    with contextlib.suppress(OSError):
        for _ in range(64):
            raw.send(b"x" * 1_000_000)
    assert resident_mb(cluster.nodes[0]["pid"]) - before < 40


def test_an_unknown_opcode(raw):
    raw.startup()
    raw.send(Raw.frame(0x42))
    assert Raw.error_of(raw.receive())[0] == 0x000A


@pytest.mark.parametrize("version", [1, 2, 6, 0x42, 0x7f])
def test_an_unknown_version(raw, version):
    """Answered in a version that the server knows, so that the client can try that one."""
    raw.send(Raw.frame(1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0", version))
    answer = raw.receive()
    code, message = Raw.error_of(answer)
    assert code == 0x000A and "version" in message.lower()
    assert answer[0] & 0x7f in (3, 4, 5)


def test_a_request_before_startup(raw):
    assert Raw.error_of(raw.query("SELECT * FROM system.local"))[0] == 0x000A


def test_a_response_instead_of_a_request(raw):
    raw.send(Raw.frame(8, b"\0\0\0\1", version=0x84))
    answer = raw.receive()
    assert answer is None or answer[1] == 0


def test_nesting_and_length_of_statements(raw):
    raw.startup()
    for text in ("SELECT " + "(" * 50_000, "SELECT * FROM system.local WHERE key = " + "[" * 100_000,
                 "CREATE TABLE bad_input.d (k int PRIMARY KEY, v " + "frozen<list<" * 20_000,
                 "x" * 1_000_000, "SELECT " + "CAST(" * 20_000):
        assert raw.query(text)[1] == 0
    # Silly, and legal or not: it is answered.
    assert raw.query("SELECT " + ",".join(["key"] * 100_000) + " FROM system.local")[1] in (0, 8)
    assert raw.query("SELECT key FROM system.local")[1] == 8


def test_a_v5_segment_with_a_wrong_checksum(raw):
    raw.startup(version=5)
    raw.send(b"\x05\0\0\0\0\0" + b"junk!")
    raw.send(os.urandom(500))
    raw.socket.shutdown(socket.SHUT_WR)
    assert closed(raw)


def test_a_slow_sender(raw):
    """A request byte by byte is still a request."""
    raw.startup()
    text = b"SELECT key FROM system.local"
    for byte in Raw.frame(7, struct.pack(">I", len(text)) + text + struct.pack(">HB", 1, 0)):
        raw.send(bytes([byte]))
        time.sleep(0.005)
    assert raw.receive()[1] == 8


def test_a_reader_that_does_not_read(cluster, session):
    """Answers wait in bounded memory; the connection that does not take them is not served further."""
    session.execute("CREATE TABLE IF NOT EXISTS wide (k int PRIMARY KEY, v blob)")
    insert = session.prepare("INSERT INTO wide (k, v) VALUES (?, ?)")
    session.execute(insert, (1, b"x" * 100_000))
    connection = Raw(cluster.addresses()[0], cluster.port).startup()
    text = b"SELECT v FROM bad_input.wide WHERE k = 1"
    request = Raw.frame(7, struct.pack(">I", len(text)) + text + struct.pack(">HB", 1, 0))
    connection.socket.settimeout(0.5)
    before = resident_mb(cluster.nodes[0]["pid"])
    with contextlib.suppress(OSError):
        for _ in range(3000):
            connection.send(request)
    time.sleep(1)
    grown = resident_mb(cluster.nodes[0]["pid"]) - before
    connection.socket.close()
    assert grown < 100, f"{grown} MB for a client that does not read"


def test_many_idle_connections(cluster):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard))
    before = resident_mb(cluster.nodes[0]["pid"])
    idle = []
    try:
        for i in range(3000):
            idle.append(Raw(cluster.addresses()[0], cluster.port))
            if i % 2:
                idle[-1].startup()
        grown = resident_mb(cluster.nodes[0]["pid"]) - before
        assert grown < 60, f"{grown} MB for 3,000 idle connections"
        for connection in idle[1::100]:
            assert connection.query("SELECT key FROM system.local")[1] == 8
    finally:
        for connection in idle:
            connection.socket.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: descriptors(cluster.nodes[0]["pid"]) < 300, 20, "the node to close what was closed")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
