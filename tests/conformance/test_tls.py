"""TLS between clients and nodes, with the real driver: who is trusted, and who is not."""

import base64
import contextlib
import json
import socket
import ssl
import subprocess
import urllib.request
import xml.etree.ElementTree

import pytest
from cassandra import ReadTimeout, Unavailable
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable
from cluster import OTHER_PORT_OFFSET, PORT_OFFSET, Cluster, command, wait_until
from cql import CL, Raw, SimpleStatement, connect, keyspace


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("secured") / "data", tls=True, authentication=True) as running:
        yield running


def beside(folder, **options):
    """A cluster of one node beside the one that the tests share."""
    return Cluster(folder / "data", 1, OTHER_PORT_OFFSET, **options)


def trusting(cluster, check_hostname=False):
    context = ssl.create_default_context(cafile=cluster.data / "ca.pem")
    context.check_hostname = check_hostname
    return context


def log_in(cluster, context, **options):
    return connect(cluster, ssl_context=context,
                   auth_provider=PlainTextAuthProvider("admin", cluster.ready["admin_password"]), **options)


@pytest.mark.parametrize("version", [4, 5])
def test_statements_over_tls(secured, version):
    driver = log_in(secured, trusting(secured), version=version)
    session = driver.connect()
    keyspace(session, "secret")
    session.execute("CREATE TABLE IF NOT EXISTS secret.t (k int PRIMARY KEY, v blob)")
    large = bytes(range(256)) * 4096
    insert = session.prepare("INSERT INTO secret.t (k, v) VALUES (?, ?)")
    for k in range(8):
        session.execute(insert, (k, large))
    rows = list(session.execute("SELECT k, v FROM secret.t"))
    assert sorted(row.k for row in rows) == list(range(8)) and all(row.v == large for row in rows)
    assert {host.is_up for host in driver.metadata.all_hosts()} == {True}
    driver.shutdown()


def test_another_authority_is_not_trusted(secured):
    context = ssl.create_default_context()
    context.check_hostname = False
    driver = log_in(secured, context, only=0)
    with pytest.raises(NoHostAvailable) as said:
        driver.connect()
    assert "CERTIFICATE_VERIFY_FAILED" in str(said.value.errors)
    driver.shutdown()


def test_the_certificate_names_the_address(secured):
    context = trusting(secured, check_hostname=True)
    address = secured.addresses()[0]
    with socket.create_connection((address, secured.port), 5) as plain:
        with context.wrap_socket(plain, server_hostname=address) as tls:
            assert tls.version() in ("TLSv1.2", "TLSv1.3")
            assert tls.compression() is None
    with socket.create_connection((address, secured.port), 5) as plain:
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(plain, server_hostname="127.0.0.99")


@pytest.mark.parametrize("version,accepted", [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True),
                                              (ssl.TLSVersion.TLSv1_3, True)])
def test_versions(secured, version, accepted):
    context = trusting(secured)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection((secured.addresses()[0], secured.port), 5) as plain:
        if accepted:
            with context.wrap_socket(plain) as tls:
                assert "GCM" in tls.cipher()[0] or "CHACHA20" in tls.cipher()[0]
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain)


@pytest.mark.parametrize("port", ["cql", "http", "rpc"])
def test_a_scanner_finds_nothing_weak(secured, port):
    number = secured.nodes[0].get(port) or secured.nodes[0]["cql"] - 9042 + 7000
    scan = subprocess.run(["sslscan", "--xml=-", f"{secured.addresses()[0]}:{number}"], capture_output=True, text=True,
                          timeout=60)
    found = xml.etree.ElementTree.fromstring(scan.stdout).find("ssltest")
    assert {(p.get("type"), p.get("version")) for p in found.iter("protocol") if p.get("enabled") == "1"} == {
        ("tls", "1.2"), ("tls", "1.3")}
    ciphers = [cipher.get("cipher") for cipher in found.iter("cipher")]
    assert len(ciphers) >= 3
    for cipher in ciphers:
        assert cipher.startswith(("TLS_", "ECDHE-")) and ("GCM" in cipher or "CHACHA20" in cipher), cipher
    groups = {group.get("name"): int(group.get("bits")) for group in found.iter("group")}
    assert groups and min(groups.values()) >= 128, groups
    assert found.find("renegotiation").get("supported") == "0"
    assert all(bleed.get("vulnerable") == "0" for bleed in found.iter("heartbleed"))
    assert all(not c.get("supported") == "1" for c in found.iter("compression"))
    for certificate in found.iter("certificate"):
        assert certificate.find("signature-algorithm").text.strip() == "ecdsa-with-SHA256"


def test_plain_text_is_closed_and_hurts_nobody(secured):
    driver = log_in(secured, trusting(secured))
    session = driver.connect()
    for bytes_sent in (Raw.frame(1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0"), b"GET / HTTP/1.1\r\n\r\n",
                       b"\x16\x03\x01\x02\x00" + b"\xff" * 70000, b"\0" * 200000):
        for port in (secured.port, secured.nodes[0]["http"]):
            with socket.create_connection((secured.addresses()[0], port), 5) as plain:
                plain.settimeout(5)
                try:
                    plain.sendall(bytes_sent)
                    while plain.recv(4096):
                        pass
                except ConnectionError:
                    pass
        assert session.execute("SELECT cluster_name FROM system.local").one()
    driver.shutdown()


def test_http_and_the_command_line_speak_tls(secured):
    address = secured.addresses()[0]
    context = trusting(secured, check_hostname=True)
    login = base64.b64encode(f"admin:{secured.ready['admin_password']}".encode()).decode()
    status = urllib.request.Request(f"https://{address}:{secured.nodes[0]['http']}/status",
                                    headers={"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(status, context=context, timeout=5) as answer:
        assert json.load(answer)["state"] == "serving"
    with urllib.request.urlopen(f"https://{address}:{secured.nodes[0]['http']}/healthz", context=context,
                                timeout=5) as answer:
        assert answer.read() == b"serving\n"
    said = command("status", "--data", secured.data, "--json")
    assert [node["state"] for node in json.loads(said.stdout)["nodes"]] == ["up"] * 3, said
    verified = command("verify", "--data", secured.data)
    assert verified.returncode == 0, verified.stderr


def test_clients_show_certificates_where_they_must(tmp_path):
    data = tmp_path / "data"
    with beside(tmp_path, tls=True):
        pass
    settings = data / "n1" / "node.toml"
    text = settings.read_text().replace('ca = ""\nclient = "off"', f'ca = "{data}/ca.pem"\nclient = "required"')
    settings.write_text(text)
    with beside(tmp_path) as running:
        context = trusting(running)
        driver = connect(running, ssl_context=context)
        with pytest.raises(NoHostAvailable):
            driver.connect()
        driver.shutdown()
        # The node's own certificate is as good as any that the authority signed.
        context.load_cert_chain(data / "n1" / "node.pem", data / "n1" / "node.key")
        driver = connect(running, ssl_context=context)
        assert driver.connect().execute("SELECT cluster_name FROM system.local").one()
        driver.shutdown()


def test_nodes_let_in_nodes_only(secured, tmp_path):
    """The port between nodes: nothing plain, and nobody without a certificate of the cluster's."""
    address, port = secured.addresses()[0], 7000 + PORT_OFFSET
    with socket.create_connection((address, port), 5) as plain:
        plain.settimeout(5)
        plain.sendall(b"\0" * 4096)
        try:
            while plain.recv(4096):
                pass
        except ConnectionError:
            pass

    def is_let_in(context):
        with socket.create_connection((address, port), 5) as plain:
            plain.settimeout(1)
            try:
                with context.wrap_socket(plain) as tls:
                    tls.sendall(b"x")
                    return tls.recv(1) != b""
            except TimeoutError:
                return True
            except (ssl.SSLError, ConnectionError):
                return False

    stranger = trusting(secured)
    assert not is_let_in(stranger), "without a certificate"
    with beside(tmp_path, tls=True) as other:
        stranger.load_cert_chain(other.data / "n1" / "node.pem", other.data / "n1" / "node.key")
    assert not is_let_in(stranger), "with one of another cluster"
    node = trusting(secured)
    node.load_cert_chain(secured.data / "n2" / "node.pem", secured.data / "n2" / "node.key")
    assert is_let_in(node)


def test_a_node_comes_back(secured):
    driver = log_in(secured, trusting(secured), only=0)
    session = driver.connect()
    keyspace(session, "back")
    session.execute("CREATE TABLE back.t (k int PRIMARY KEY)")
    secured.kill(1)
    for k in range(20):
        session.execute(f"INSERT INTO back.t (k) VALUES ({k})")
    secured.start(1)
    for k in range(20, 40):
        session.execute(f"INSERT INTO back.t (k) VALUES ({k})")
    read = SimpleStatement("SELECT k FROM back.t", consistency_level=CL.ALL)

    def all_there():
        with contextlib.suppress(Unavailable, ReadTimeout):
            return {row.k for row in session.execute(read)} == set(range(40))
    wait_until(all_there, 15, "all replicas to answer")
    driver.shutdown()


def test_files_that_are_missing_are_named(tmp_path):
    data = tmp_path / "data"
    with beside(tmp_path, tls=True):
        pass
    (data / "n1" / "node.key").unlink()
    said = command("up", "--data", data)
    assert said.returncode == 1 and "node.key" in said.stderr


def test_other_addresses_are_refused_unless_one_insists(tmp_path):
    data = tmp_path / "data"
    with beside(tmp_path):
        pass
    settings = data / "n1" / "node.toml"
    settings.write_text(settings.read_text().replace('"127.0.0.1"', '"0.0.0.0"'))
    refused = command("node", "start", "n1", "--data", data)
    assert refused.returncode == 1
    for part in ("0.0.0.0", "authentication = true", "[tls]", "nodes =", "insecure = true", "--insecure"):
        assert part in refused.stderr, refused.stderr


def test_a_node_that_joins_is_guarded_like_the_others(tmp_path):
    with beside(tmp_path, tls=True, authentication=True) as cluster:
        driver = log_in(cluster, trusting(cluster), only=0)
        session = driver.connect()
        session.execute("CREATE KEYSPACE grown WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        session.execute("CREATE TABLE grown.t (k int PRIMARY KEY)")
        for k in range(64):
            session.execute("INSERT INTO grown.t (k) VALUES (%s)", (k,))
        driver.shutdown()
        added = command("node", "add", "--data", str(cluster.data), "--json")
        assert added.returncode == 0, added.stderr
        cluster.nodes.append(json.loads(added.stdout))
        driver = log_in(cluster, trusting(cluster, check_hostname=False), only=1)
        assert sorted(row.k for row in driver.connect().execute("SELECT k FROM grown.t")) == list(range(64))
        driver.shutdown()
        driver = connect(cluster, only=1, ssl_context=trusting(cluster))
        with pytest.raises(NoHostAvailable):
            driver.connect()
        driver.shutdown()
