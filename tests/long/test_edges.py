"""Every door of a node under TLS, with bytes that no client sends: before, within and after the handshake."""

import contextlib
import os
import random
import socket
import ssl
import struct
import threading
import time
import tomllib

import pytest
from cassandra.auth import PlainTextAuthProvider

from cluster import Cluster, is_alive, resident_mb
from cql import Raw, connect, keyspace

SECONDS = float(os.environ.get("ASTERISM_EDGES_SECONDS", 60))
ATTACKERS = 3  # of each door
# What ends a connection, from either side.
ENDED = (OSError, ssl.SSLError)

HTTP = [b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /cql HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n{\"statement\": \"SELECT 1 FROM\"}",
        b"POST /cql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sta\r\n3\r\nt\":\r\n0\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x85abcd\0\0\0\0\0\x89\x80abcd\x88\x82abcd\x62\x8a"]
CQL = [Raw.frame(1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0") + Raw.frame(5) + Raw.frame(15, b"\0\0\0\x06\0a\0bcd") +
       Raw.frame(7, b"\0\0\0\x12SELECT * FROM a.b;\0\x01\0"),
       Raw.frame(1, b"\0\x02\0\x0bCQL_VERSION\0\x053.0.0\0\x0bCOMPRESSION\0\x03lz4", version=5) * 2]
RPC = [struct.pack("<IIQ", 12, 40, 7) + bytes(range(52)), struct.pack("<IIQ", 1 << 31, 1 << 31, 0), bytes(16)]


def mutated(data, choose):
    """Bits flipped, pieces lost, doubled, replaced by noise, and sometimes nothing of it."""
    data = bytearray(data)
    for _ in range(choose.choice([0, 1, 1, 3, 20])):
        at = choose.randrange(len(data) + 1)
        piece = data[at:at + choose.choice([1, 4, 100])]
        what = choose.randrange(4)
        if what == 0 and at < len(data):
            data[at] ^= 1 << choose.randrange(8)
        elif what == 1:
            del data[at:at + len(piece)]
        elif what == 2:
            data[at:at] = piece * choose.choice([1, 50])
        else:
            data[at:at + len(piece)] = choose.randbytes(choose.choice([1, 8, 300]))
    return bytes(data)


class Door:
    def __init__(self, address, port, messages, context):
        self.place, self.messages, self.context = (address, port), messages, context
        self.tried, self.inside = 0, 0

    def attack(self, choose):
        self.tried += 1
        with contextlib.suppress(*ENDED), socket.create_connection(self.place, 5) as plain:
            plain.settimeout(choose.choice([0.01, 0.3]))
            kind = choose.randrange(4)
            if kind == 0:
                plain.sendall(mutated(choose.choice(self.messages), choose))
                plain.recv(1000)
            elif kind == 1:
                self.shake_hands_badly(plain, choose)
            else:
                plain.settimeout(5)
                with self.context.wrap_socket(plain) as tls:
                    tls.settimeout(choose.choice([0.01, 0.3]))
                    self.inside += 1
                    for _ in range(choose.randrange(1, 4)):
                        tls.sendall(mutated(choose.choice(self.messages), choose))
                    if choose.random() < 0.5:
                        tls.recv(1000)
                    if choose.random() < 0.3:  # bytes that are no TLS within a session
                        os.write(tls.fileno(), choose.randbytes(50))
                        tls.recv(1000)

    def shake_hands_badly(self, plain, choose):
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.context.wrap_bio(received, sent)
        spoilt = choose.randrange(3)  # which of what the client sends
        for flight in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
            out = sent.read()
            plain.sendall(mutated(out, choose) if flight == spoilt else out)
            received.write(plain.recv(1 << 14))


@pytest.fixture
def secured(tmp_path):
    with Cluster(tmp_path / "data", tls=True, authentication=True) as running:
        yield running


def test_no_bytes_harm_a_node_or_who_is_served_beside_them(secured):
    node, address = secured.nodes[0], secured.addresses()[0]
    folder = secured.data / "n1"
    config = tomllib.loads((folder / "node.toml").read_text())
    anybody = ssl.create_default_context(cafile=secured.data / "ca.pem")
    anybody.check_hostname = False
    member = ssl.create_default_context(cafile=secured.data / "ca.pem")
    member.check_hostname = False
    member.load_cert_chain(folder / config["tls"]["certificate"], folder / config["tls"]["key"])
    doors = [Door(address, node["cql"], CQL, anybody), Door(address, node["http"], HTTP, anybody),
             Door(address, config["rpc_port"], RPC, member), Door(address, config["rpc_port"], RPC, anybody)]

    driver = connect(secured, only=0, ssl_context=anybody,
                     auth_provider=PlainTextAuthProvider("admin", secured.ready["admin_password"]))
    session = driver.connect()
    keyspace(session, "edges")
    session.execute("CREATE TABLE edges.t (k int PRIMARY KEY, v int)")
    insert, select = (session.prepare(text) for text in ("INSERT INTO edges.t (k, v) VALUES (?, ?)",
                                                         "SELECT v FROM edges.t WHERE k = ?"))
    end = time.monotonic() + SECONDS
    faults = []

    def attack(door, seed):
        choose = random.Random(seed)
        try:
            while time.monotonic() < end:
                door.attack(choose)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=attack, args=(door, f"{i} {k}")) for i, door in enumerate(doors)
               for k in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    served, slowest = 0, 0.0
    while time.monotonic() < end:
        begun = time.monotonic()
        session.execute(insert, (served % 100, served))
        assert session.execute(select, (served % 100,)).one().v == served
        slowest = max(slowest, time.monotonic() - begun)
        served += 1
    for thread in threads:
        thread.join(30)
    driver.shutdown()
    print(f"{', '.join(f'{door.tried:,} ({door.inside:,} inside)' for door in doors)} attempts on cql, http, rpc as a "
          f"member, rpc as anybody; {served:,} pairs of statements beside them, the slowest in {slowest * 1e3:.0f} ms; "
          f"{resident_mb(node['pid']):.0f} MB")
    assert not faults
    assert is_alive(node["pid"]) and all(door.tried > SECONDS for door in doors)
    assert min(door.inside for door in doors[:3]) > 0
    assert not any(event["event"] == "node_down" for event in secured.events)
    assert slowest < 5
