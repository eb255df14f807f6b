"""A machine elsewhere joins with a token: here another folder, and an address outside of the first cluster's."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from cassandra.auth import PlainTextAuthProvider
from cluster import ASTERISM, OTHER_PORT_OFFSET, Cluster, command, is_alive, wait_until
from cql import connect, keyspace

OTHER = "127.0.0.9"


class Elsewhere:
    """What the other machine has: a folder, and whatever runs in it until the test ends."""

    def __init__(self, folder):
        self.data = folder / "elsewhere"
        self.token = folder / "token"

    def arguments(self, cluster, token, *more, member=0, address=OTHER):
        self.token.write_text(token + "\n")
        node = cluster.nodes[member]
        return ["node", "start", "--join", f"{node['address']}:{node['http']}", "--token", str(self.token), "--address",
                address, "--data", str(self.data), "--json", *more]

    def join(self, cluster, token, *more, **options):
        return command(*self.arguments(cluster, token, *more, **options), timeout=90)

    def pids(self):
        for path in self.data.glob("*/node.pid"):
            yield int(path.read_text().split()[0])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for pid in list(self.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not is_alive(pid), 20, "the node elsewhere to die")
        if kind is not None:
            for path in self.data.glob("*/node.log"):
                print(path.read_text()[-3000:])


@pytest.fixture
def elsewhere(tmp_path):
    with Elsewhere(tmp_path) as made:
        yield made


def beside(folder, nodes=1, **options):
    return Cluster(folder / "data", nodes, OTHER_PORT_OFFSET, **options)


def make_token(cluster, *more):
    made = command("node", "token", "--data", cluster.data, "--json", *more)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def members(cluster):
    """Names, and the change under way, as the first node has them."""
    status = json.loads(command("status", "--data", cluster.data, "--json").stdout)
    return [node["name"] for node in status["nodes"] if node["state"] == "up"], status.get("change")


def check_refused(elsewhere, cluster, outcome, words):
    assert outcome.returncode == 1, outcome.stdout
    assert words in outcome.stderr, outcome.stderr
    assert not list(elsewhere.data.glob("*/node.toml")) and not list(elsewhere.pids())
    names, change = members(cluster)
    assert names == [f"n{i + 1}" for i in range(len(names))] and change is None


def log_in(cluster, address, secured):
    class One:
        port = cluster.port

        @staticmethod
        def addresses():
            return [address]

    options = {}
    if secured:
        context = ssl.create_default_context(cafile=cluster.data / "ca.pem")
        context.check_hostname = False
        options = {"ssl_context": context,
                   "auth_provider": PlainTextAuthProvider("admin", cluster.ready["admin_password"])}
    return connect(One, only=0, **options)


@pytest.mark.parametrize("secured", [True, False], ids=["tls", "plain"])
def test_a_machine_joins_and_serves_rows(tmp_path, elsewhere, secured):
    options = {"tls": True, "authentication": True} if secured else {}
    with beside(tmp_path, **options) as cluster:
        driver = log_in(cluster, "127.0.0.1", secured)
        session = driver.connect()
        keyspace(session, "grown", 1)
        session.execute("CREATE TABLE grown.t (k int PRIMARY KEY)")
        for k in range(64):
            session.execute("INSERT INTO grown.t (k) VALUES (%s)", (k,))
        token = make_token(cluster)
        listed = json.loads(command("node", "token", "--data", cluster.data, "--list", "--json").stdout)["tokens"]
        assert [(one["id"], one["uses_left"]) for one in listed] == [(token["id"], 1)] and 0 < listed[0]["expires_in_s"]
        joined = elsewhere.join(cluster, token["token"], "--name", "far")
        assert joined.returncode == 0, joined.stderr
        node = json.loads(joined.stdout)
        assert (node["name"], node["address"], node["cql"]) == ("far", OTHER, cluster.port) and is_alive(node["pid"])
        wait_until(lambda: len(driver.metadata.all_hosts()) == 2, 10, "the driver to learn of the new node")
        driver.shutdown()
        driver = log_in(cluster, OTHER, secured)
        session = driver.connect()
        assert sorted(row.k for row in session.execute("SELECT k FROM grown.t")) == list(range(64))
        tokens = session.execute("SELECT tokens FROM system.local").one().tokens
        assert len(tokens) == 16
        driver.shutdown()
        audit = (cluster.data / "n1" / "audit.log").read_text()
        secret = token["token"].split("-")[2]
        assert f"JOIN far AT {OTHER} WITH TOKEN {token['id']}" in audit
        for path in [*cluster.data.glob("**/*"), *elsewhere.data.glob("**/*")]:
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path
        for name in ("node.key", "node.secret") if secured else ("node.secret",):
            assert (elsewhere.data / "far" / name).stat().st_mode & 0o777 == 0o600
        # It is a node like any other: it comes back by itself.
        os.kill(node["pid"], signal.SIGKILL)
        wait_until(lambda: not is_alive(node["pid"]), 20, "the node to die")
        again = command("node", "start", "far", "--data", elsewhere.data, "--json")
        assert again.returncode == 0, again.stderr
        refused = elsewhere.join(cluster, token["token"], "--name", "far")
        assert refused.returncode == 1 and "is a node already" in refused.stderr


def test_tokens_that_do_not_count(tmp_path, elsewhere):
    (tmp_path / "foreign").mkdir()
    with beside(tmp_path / "foreign", tls=True) as foreign:
        of_others = make_token(foreign)["token"]
    with beside(tmp_path, tls=True) as cluster:
        good, short, revoked = make_token(cluster), make_token(cluster, "--expires", "1s"), make_token(cluster)
        made_at = time.monotonic()
        parts = good["token"].split("-")
        wrong = "-".join([parts[0], parts[1], ("0" if parts[2][0] != "0" else "1") + parts[2][1:], parts[3]])
        check_refused(elsewhere, cluster, elsewhere.join(cluster, wrong), "this join token is not valid")
        unknown = "-".join([parts[0], "0" * 16, parts[2], parts[3]])
        check_refused(elsewhere, cluster, elsewhere.join(cluster, unknown), "this join token is not valid")
        assert command("node", "token", "--data", cluster.data, "--revoke", revoked["id"]).returncode == 0
        check_refused(elsewhere, cluster, elsewhere.join(cluster, revoked["token"]), "this join token is not valid")
        check_refused(elsewhere, cluster, elsewhere.join(cluster, of_others), "its authority is another one")
        plain = "-".join([*parts[:3], "plain"])
        check_refused(elsewhere, cluster, elsewhere.join(cluster, plain), "nothing was told to it")
        check_refused(elsewhere, cluster, elsewhere.join(cluster, "secret words"), "holds no join token")
        taken = elsewhere.join(cluster, good["token"], "--name", "n1")
        check_refused(elsewhere, cluster, taken, "there is a node n1 already")
        wait_until(lambda: time.monotonic() - made_at > 1.1, 20, "the token to expire")
        check_refused(elsewhere, cluster, elsewhere.join(cluster, short["token"]), "has expired")
        audit = (cluster.data / "n1" / "audit.log").read_text()
        assert "outcome=refused" in audit and "has expired" in audit and parts[2] not in audit
        # The token is as good as before, for one machine.
        joined = elsewhere.join(cluster, good["token"])
        assert joined.returncode == 0 and json.loads(joined.stdout)["name"] == "n127-0-0-9", joined.stderr
        time.sleep(2)  # attempts are counted
        with Elsewhere(tmp_path / "foreign") as third:
            again = third.join(cluster, good["token"], address="127.0.0.10")
            assert again.returncode == 1 and "used up" in again.stderr, again.stderr
            assert not list(third.pids())


def test_guessing_is_slowed_down(tmp_path, elsewhere):
    with beside(tmp_path) as cluster:
        token = make_token(cluster)["token"]
        wrong = "-".join([token.split("-")[0], "0" * 16, "0" * 64, "plain"])
        said = [elsewhere.join(cluster, wrong).stderr for _ in range(15)]
        assert "this join token is not valid" in said[0] and "too many attempts" in said[-1], said


def test_only_who_reads_the_folder_makes_tokens(tmp_path):
    with beside(tmp_path) as cluster:
        make_token(cluster)
        (cluster.data / "n1" / "node.secret").write_text("0" * 64)
        refused = command("node", "token", "--data", cluster.data)
        assert refused.returncode == 1 and "only who may read the node's folder" in refused.stderr, refused.stderr
        for bad in (("--expires", "soon"), ("--expires", "1000d"), ("--uses", "0")):
            assert command("node", "token", "--data", cluster.data, *bad).returncode == 1


def test_one_in_the_middle_learns_nothing(tmp_path, elsewhere):
    """It relays what everybody may know, and shows a certificate that the cluster's authority did not sign."""
    (tmp_path / "foreign").mkdir()
    with beside(tmp_path / "foreign", tls=True):
        pass
    with beside(tmp_path, tls=True) as cluster:
        token = make_token(cluster)["token"]
        authority = json.dumps({"cluster": "asterism", "authority": (cluster.data / "ca.pem").read_text()})
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own = tmp_path / "foreign" / "data" / "n1"
        context.load_cert_chain(own / "node.pem", own / "node.key")
        heard = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def serve():
                while True:
                    try:
                        connection, _ = listener.accept()
                        with connection, context.wrap_socket(connection, server_side=True) as stream:
                            heard.append(stream.recv(65536))
                            stream.sendall((f"HTTP/1.1 200 OK\r\nContent-Length: {len(authority)}\r\n"
                                            f"Connection: close\r\n\r\n{authority}").encode())
                    except ssl.SSLError as error:
                        heard.append(str(error).encode())
                    except OSError:
                        return

            threading.Thread(target=serve, daemon=True).start()
            cluster.nodes[0]["http"] = listener.getsockname()[1]
            refused = elsewhere.join(cluster, token)
            listener.close()
        assert refused.returncode == 1 and not list(elsewhere.data.glob("*/node.toml"))
        assert heard and b"GET /join/authority" in heard[0]
        assert token.split("-")[2].encode() not in b"".join(heard)


def test_the_authoritys_key_may_be_elsewhere(tmp_path, elsewhere):
    with beside(tmp_path, nodes=2, tls=True) as cluster:
        token = make_token(cluster)["token"]
        key = cluster.data / "ca.key"
        key.rename(cluster.data / "away.key")
        nobody = elsewhere.join(cluster, token)
        assert nobody.returncode == 1 and "no node that is up has the key" in nobody.stderr, nobody.stderr
        (cluster.data / "away.key").rename(cluster.data / "n2" / "ca.key")
        other = elsewhere.join(cluster, token)
        assert other.returncode == 1 and f"join by way of n2 (127.0.0.2:{cluster.nodes[1]['http']})" in other.stderr
        assert members(cluster) == (["n1", "n2"], None)
        joined = elsewhere.join(cluster, token, member=1)
        assert joined.returncode == 0, joined.stderr


def test_a_join_that_was_killed_goes_on(tmp_path, elsewhere):
    with beside(tmp_path, tls=True) as cluster:
        token = make_token(cluster)["token"]
        for seconds in (0.03, 0.08, 0.15):
            process = subprocess.Popen([ASTERISM, *elsewhere.arguments(cluster, token)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(seconds)
            process.kill()
            process.wait()
        joined = elsewhere.join(cluster, token)
        said = joined.stderr
        if joined.returncode != 0:
            # The last of these may have been whole already.
            assert "has joined already" in said or "is a node already" in said, said
        wait_until(lambda: members(cluster)[1] is None, 20, "the change to be over")
        pid, = elsewhere.pids()
        assert is_alive(pid)
        driver = log_in_plainly(cluster)
        assert len(driver.metadata.all_hosts()) == 2
        driver.shutdown()


def log_in_plainly(cluster):
    context = ssl.create_default_context(cafile=cluster.data / "ca.pem")
    context.check_hostname = False
    driver = connect(cluster, only=0, ssl_context=context)
    driver.connect()
    return driver
