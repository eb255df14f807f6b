"""The console's requests, as programs send them: statements, faults, metrics, and what is refused."""

import base64
import gzip
import http.client
import json
import os
import pathlib
import re
import socket
import stat
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cluster import is_alive, wait_until
from conftest import run


def ask(cluster, method, path, body=None, headers=None, node=0):
    at = cluster.nodes[node]
    connection = http.client.HTTPConnection(at["address"], at["http"], timeout=35)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def post(cluster, path, value, node=0, **headers):
    answer, content = ask(cluster, "POST", path, json.dumps(value), {"Content-Type": "application/json", **headers}, node)
    return answer.status, json.loads(content)


def test_the_files_are_compressed_tagged_and_guarded(cluster):
    total = 0
    for path, kind in (("/", "text/html"), ("/console.js", "text/javascript"), ("/console.css", "text/css"),
                       ("/icon.svg", "image/svg+xml")):
        answer, content = ask(cluster, "GET", path)
        assert answer.status == 200 and answer.getheader("Content-Type").startswith(kind)
        assert answer.getheader("Content-Encoding") == "gzip" and gzip.decompress(content)
        policy = answer.getheader("Content-Security-Policy")
        assert "default-src 'none'" in policy and "unsafe" not in policy
        again, nothing = ask(cluster, "GET", path, headers={"If-None-Match": answer.getheader("ETag")})
        assert again.status == 304 and nothing == b""
        assert not re.search(rb"(src|href)=.?https?:", gzip.decompress(content))
        total += len(content)
    assert total < 200_000
    assert ask(cluster, "GET", "/nothing")[0].status == 404


def test_statements_answer_rows_pages_and_errors_with_their_place(shop):
    rows = run(shop, "SELECT name, points FROM customers", keyspace="shop", consistency="ALL", page_size=5)
    assert rows["columns"] == [{"name": "name", "type": "text"}, {"name": "points", "type": "int"}]
    rest = run(shop, "SELECT name, points FROM customers", keyspace="shop", page_size=5, page=rows["next"])
    assert len(rows["rows"]) == 5 and len({row[0] for row in rows["rows"] + rest["rows"]}) == 8
    assert run(shop, "SELECT items, total FROM shop.orders WHERE customer = 'ada' LIMIT 1")["rows"] == \
        [["['tea', 'star chart']", "0.50"]]
    wrong = run(shop, "SELECT *\n  FORM shop.orders")
    assert (wrong["kind"], wrong["name"], wrong["line"], wrong["column"]) == ("error", "SyntaxError", 2, 3)
    assert run(shop, "SELECT * FROM shop.nothing")["name"] == "InvalidRequest"
    assert run(shop, "USE shop")["keyspace"] == "shop"
    assert "CREATE TABLE shop.orders" in run(shop, "DESCRIBE TABLE shop.orders")["rows"][0][3]


def test_pages_from_elsewhere_and_forms_are_refused(cluster):
    query = {"statement": "SELECT * FROM system.local"}
    own = f"http://{cluster.nodes[0]['address']}:{cluster.nodes[0]['http']}"
    assert post(cluster, "/cql", query, Origin=own)[0] == 200
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        for path in ("/cql", "/local/nodes/n2/kill", "/local/isolated"):
            assert post(cluster, path, query, **headers)[0] == 403
    for path in ("/cql", "/local/nodes/n2/kill"):
        assert ask(cluster, "POST", path, json.dumps(query), {"Content-Type": "text/plain"})[0].status == 415
    for body in ("", "[]", "{}", '{"statement": 1}', '{"statement": "x", "page_size": 0}', "[" * 5000):
        assert ask(cluster, "POST", "/cql", body, {"Content-Type": "application/json"})[0].status == 400
    assert ask(cluster, "GET", "/live")[0].status == 426
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode()}
    assert ask(cluster, "GET", "/live", headers={**upgrade, "Origin": "http://evil.example"})[0].status == 403


def check_metrics(text):
    """Text format 0.0.4 and the conventions of names; returns the samples."""
    kinds, samples, buckets = {}, {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds, f"{name} comes twice"
            kinds[name] = kind
            continue
        if line.startswith("#"):
            assert line.startswith("# HELP ") and len(line.split(" ", 3)) == 4
            continue
        match = re.fullmatch(r'([a-z_]+)(\{([a-z_]+="[^"\n]*"(?:,[a-z_]+="[^"\n]*")*)\})? (\S+)', line)
        assert match, line
        name, labels, value = match[1], match[3] or "", float(match[4])
        family = re.sub(r"_(bucket|sum|count)$", "", name) if name not in kinds else name
        kind = kinds[family]
        assert name.startswith("asterism_") and (kind == "counter") == name.endswith("_total"), line
        assert kind != "histogram" or (family.endswith("_seconds") and name != family)
        assert (name, labels) not in samples, f"{line} comes twice"
        samples[name, labels] = value
        if name.endswith("_bucket"):
            series = (family, re.sub(r',?le="[^"]*"', "", labels))
            bound = float(re.search(r'le="([^"]*)"', labels)[1])
            before = buckets.get(series, (0, 0))
            assert bound > before[0] and value >= before[1], line
            buckets[series] = (bound, value)
    for (family, labels), (bound, count) in buckets.items():
        assert bound == float("inf") and samples[family + "_count", labels] == count
    return samples


def test_metrics_keep_the_format_and_count(shop):
    from cassandra.cluster import Cluster as Driver
    driver = Driver([shop.nodes[0]["address"]], port=shop.port)
    session = driver.connect("shop")
    before = check_metrics(ask(shop, "GET", "/metrics")[1].decode())
    at = [i for i, host in enumerate(shop.nodes)]
    for _ in range(30):
        session.execute("SELECT * FROM customers WHERE name = 'ada'")
        session.execute("INSERT INTO customers (name, points) VALUES ('ada', 1)")
    driver.shutdown()
    totals = {}
    for node in at:
        samples = check_metrics(ask(shop, "GET", "/metrics", node=node)[1].decode())
        for (name, labels), value in samples.items():
            totals[name, labels] = totals.get((name, labels), 0) + value
    for kind in ("read", "write"):
        assert totals["asterism_cql_statements_total", f'kind="{kind}",result="ok"'] >= 30
        assert totals["asterism_cql_statement_seconds_count", f'kind="{kind}"'] >= 30
    for name in ("asterism_row_cache_hits_total", "asterism_row_cache_misses_total", "asterism_wal_syncs_total",
                 "asterism_wal_bytes_total", "asterism_hints_waiting", "asterism_raft_groups",
                 "asterism_resident_memory_bytes", "asterism_store_file_bytes", "asterism_loop_lag_seconds_count"):
        assert (name, "") in before, name
    assert totals["asterism_row_cache_hits_total", ""] > 0 and before["asterism_nodes_up", ""] == 3


def action(cluster, name, what, node=0):
    return post(cluster, f"/local/nodes/{name}/{what}", {}, node)


def test_a_node_is_cut_off_and_healed(shop):
    insert = "INSERT INTO shop.customers (name, points) VALUES ('cut', 1)"
    assert action(shop, "n2", "cut-off") == (200, {})
    wait_until(lambda: run(shop, insert, consistency="ALL").get("alive") == 2, 20, "the others to miss n2")
    assert run(shop, insert, consistency="QUORUM")["kind"] == "done"
    # Clients still reach it, and it reaches nobody.
    wait_until(lambda: run(shop, insert, node=1, consistency="QUORUM").get("alive") == 1, 20, "n2 to miss the others")
    assert run(shop, "SELECT points FROM shop.customers WHERE name = 'ada'", node=1, consistency="ONE")["kind"] == "rows"
    assert action(shop, "n2", "heal", node=1) == (200, {})
    wait_until(lambda: run(shop, insert, consistency="ALL")["kind"] == "done", 20, "n2 to be back")


def test_actions_that_make_no_sense_are_refused(cluster):
    for name, what, why in (("n9", "kill", "no such node"), ("n2", "explode", "no such action"),
                            ("n2", "start", "running"), ("n2", "", "no such action")):
        status, said = action(cluster, name, what)
        assert status == 409 and why in said["error"]
    sock = cluster.data / "up.sock"
    assert stat.S_ISSOCK(sock.stat().st_mode) and stat.S_IMODE(sock.stat().st_mode) == 0o600


def test_a_node_that_was_started_otherwise_lets_nobody_try_faults(cluster):
    assert action(cluster, "n3", "kill")[0] == 200
    wait_until(lambda: not is_alive(cluster.nodes[2]["pid"]), 20, "n3 to die")
    cluster.start(2)
    assert ask(cluster, "POST", "/local/nodes/n1/kill", "{}", {"Content-Type": "application/json"}, 2)[0].status == 404
    assert ask(cluster, "POST", "/local/isolated", "{}", {"Content-Type": "application/json"}, 2)[0].status == 404
    status, said = wait_until(lambda: (answer := action(cluster, "n3", "cut-off")) and
                              "is down" not in answer[1].get("error", "") and answer, 20, "the supervisor to know it")
    assert status == 409 and "not started by asterism up" in said["error"]
    assert action(cluster, "n3", "kill")[0] == 200
    wait_until(lambda: action(cluster, "n3", "start")[0] == 200, 15, "n3 to start again")
    cluster.nodes[2]["pid"] = int((cluster.data / "n3" / "node.pid").read_text().split()[0])


class WebSocket:
    """Enough of RFC 6455 to look at the feed."""

    def __init__(self, node):
        self.socket = socket.create_connection((node["address"], node["http"]), 10)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET /live HTTP/1.1\r\nHost: {node['address']}\r\nUpgrade: websocket\r\nConnection: Upgrade"
                            f"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        self.stream = self.socket.makefile("rb")
        assert b" 101 " in self.stream.readline()
        while self.stream.readline() != b"\r\n":
            pass

    def send(self, opcode, payload):
        mask = os.urandom(4)
        body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        assert len(body) < 126
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(body)]) + mask + body)

    def frame(self):
        first, size = self.stream.read(2)
        if size == 126:
            size, = struct.unpack("!H", self.stream.read(2))
        elif size == 127:
            size, = struct.unpack("!Q", self.stream.read(8))
        return first & 15, self.stream.read(size)

    def message(self, kind):
        while True:
            opcode, payload = self.frame()
            if opcode == 1 and json.loads(payload)["type"] == kind:
                return json.loads(payload)


def test_the_live_feed_tells_what_is_new(shop):
    feed = WebSocket(shop.nodes[0])
    view = feed.message("view")
    assert [node["name"] for node in view["nodes"]] == ["n1", "n2", "n3"] and view["local"] is True
    wait_until(lambda: all("reads_s" in node.get("load", {}) and node["process"]["state"] == "running"
                           for node in feed.message("view")["nodes"]), 20, "what the others do")
    feed.send(1, b'{"keyspace": "shop"}')
    shards = feed.message("shards")["shards"]
    assert len(shards) == 48 and all(sorted(shard["replicas"]) == [1, 2, 3] for shard in shards)
    run(shop, "CREATE TABLE shop.news (id int PRIMARY KEY)")
    while not any(event["text"] == "table shop.news was created" for event in feed.message("events")["events"]):
        pass
    feed.send(9, b"are you there")
    while feed.frame() != (10, b"are you there"):
        pass
    feed.send(8, b"\x03\xe8")
    while feed.frame()[0] != 8:
        pass
    assert feed.stream.read(1) == b""
