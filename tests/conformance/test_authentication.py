"""Logins, permissions and their effect on every node, with the real driver."""

import base64
import json
import statistics
import time
import urllib.error
import urllib.request

import pytest
from cassandra import AuthenticationFailed, InvalidRequest, Unauthorized
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import OverloadedErrorMessage

from cluster import OTHER_PORT_OFFSET, Cluster, command, wait_until
from cql import Raw, connect, keyspace

ADMIN = ("admin", "correct horse battery staple")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "password").write_text(ADMIN[1] + "\n")
    with Cluster(folder / "data", authentication=True, admin_password_file=folder / "password") as running:
        assert "admin_password" not in running.ready
        yield running


def log_in(cluster, user=ADMIN, only=None, **options):
    return connect(cluster, only=only, auth_provider=PlainTextAuthProvider(*user), **options)


@pytest.fixture(scope="module")
def admin(guarded):
    driver = log_in(guarded)
    yield driver.connect()
    driver.shutdown()


def refused(cluster, user, **options):
    """The driver's reason why it may not log in."""
    driver = connect(cluster, only=0, auth_provider=PlainTextAuthProvider(*user) if user else None, **options)
    try:
        with pytest.raises(NoHostAvailable) as said:
            driver.connect()
    finally:
        driver.shutdown()
    reason = next(iter(said.value.errors.values()))
    assert isinstance(reason, AuthenticationFailed), reason
    return str(reason)


@pytest.mark.parametrize("version", [3, 4, 5])
def test_who_has_the_password_logs_in(guarded, admin, version):
    driver = log_in(guarded, only=1, version=version)
    assert driver.connect().execute("SELECT cluster_name FROM system.local").one().cluster_name == "asterism"
    driver.shutdown()


def test_who_has_not_does_not(guarded, admin):
    assert "Provided username admin and/or password are incorrect" in refused(guarded, ("admin", "wrong"))
    assert "Provided username nobody and/or password are incorrect" in refused(guarded, ("nobody", ADMIN[1]))
    assert "requires authentication" in refused(guarded, None)
    admin.execute("CREATE ROLE robot WITH PASSWORD = 'x'")
    assert "not permitted to log in" in refused(guarded, ("robot", "x"))


def test_nothing_is_served_before_login(guarded):
    for i in range(3):
        with Raw(guarded.addresses()[i], guarded.port) as raw:
            raw.send(raw.frame(1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0"))
            assert raw.receive()[1] == 3, "AUTHENTICATE"
            code, message = raw.error_of(raw.query("SELECT * FROM system.local"))
            assert code == 0x000A and "AUTH_RESPONSE" in message


def test_a_right_is_needed_and_a_revoke_holds_everywhere(guarded, admin):
    keyspace(admin, "shop")
    admin.execute("CREATE TABLE shop.orders (k int PRIMARY KEY, v int)")
    admin.execute("INSERT INTO shop.orders (k, v) VALUES (1, 2)")
    admin.execute("CREATE ROLE ada WITH LOGIN = true AND PASSWORD = 'lovelace'")
    drivers = [log_in(guarded, ("ada", "lovelace"), only=i) for i in range(3)]
    try:
        sessions = [driver.connect() for driver in drivers]
        for session in sessions:
            with pytest.raises(Unauthorized) as said:
                session.execute("SELECT * FROM shop.orders")
            assert "User ada has no SELECT permission on <table shop.orders> or any of its parents" in str(said.value)
        for _ in range(5):
            # Agreed on and applied on all nodes before it is acknowledged: nobody has to wait.
            admin.execute("GRANT SELECT ON shop.orders TO ada")
            selects = [session.prepare("SELECT v FROM shop.orders WHERE k = ?") for session in sessions]
            for session, select in zip(sessions, selects):
                assert session.execute(select, (1,)).one().v == 2
                with pytest.raises(Unauthorized):
                    session.execute("UPDATE shop.orders SET v = 3 WHERE k = 1")
            admin.execute("REVOKE SELECT ON shop.orders FROM ada")
            for session, select in zip(sessions, selects):
                with pytest.raises(Unauthorized):
                    session.execute(select, (1,))
    finally:
        for driver in drivers:
            driver.shutdown()


def test_lists_have_the_columns_of_cassandra(admin):
    admin.execute("CREATE ROLE IF NOT EXISTS clerks WITH OPTIONS = {'floor': '2'}")
    keyspace(admin, "lists")
    admin.execute("GRANT SELECT ON KEYSPACE lists TO clerks")
    rows = {row.role: row for row in admin.execute("LIST ROLES")}
    assert rows["admin"]._fields == ("role", "super", "login", "options", "datacenters")
    assert (rows["admin"].super, rows["admin"].login) == (True, True)
    assert dict(rows["clerks"].options) == {"floor": "2"} and not rows["clerks"].login
    users = {row.name: row.super for row in admin.execute("LIST USERS")}
    assert users["admin"] is True and "clerks" not in users
    (row,) = admin.execute("LIST ALL PERMISSIONS OF clerks")
    assert row._asdict() == {"role": "clerks", "username": "clerks", "resource": "<keyspace lists>",
                             "permission": "SELECT"}


def test_users_survive_restarts_of_all_nodes(tmp_path):
    with Cluster(tmp_path / "data", 3, OTHER_PORT_OFFSET, authentication=True) as running:
        first = ("admin", running.ready["admin_password"])
        assert len(first[1]) == 24
        settings = (tmp_path / "data" / "n1" / "node.toml").read_text()
        assert "authentication = true" in settings and first[1] not in settings
        driver = log_in(running, first)
        session = driver.connect()
        session.execute("CREATE ROLE ada WITH LOGIN = true AND PASSWORD = 'lovelace' AND SUPERUSER = true")
        session.execute("ALTER ROLE admin WITH PASSWORD = 'changed'")
        driver.shutdown()
        running.kill_all()
    with Cluster(tmp_path / "data", 3, OTHER_PORT_OFFSET, authentication=True) as running:
        assert "admin_password" not in running.ready, "it has its superuser"
        for user in (("ada", "lovelace"), ("admin", "changed")):
            driver = log_in(running, user)
            driver.connect()
            driver.shutdown()
        refused(running, first)


def test_an_open_cluster_is_closed_later(tmp_path):
    with Cluster(tmp_path / "data", 1, OTHER_PORT_OFFSET) as running:
        driver = connect(running)
        keyspace(driver.connect(), "kept", 1)
        told = command("up", "--data", tmp_path / "data", "--authentication")
        assert told.returncode == 1, "another up runs"
        driver.shutdown()
    with Cluster(tmp_path / "data", 1, OTHER_PORT_OFFSET, authentication=True) as running:
        assert "requires authentication" in refused(running, None)
        driver = log_in(running, ("admin", running.ready["admin_password"]))
        rows = driver.connect().execute("SELECT keyspace_name FROM system_schema.keyspaces")
        assert "kept" in {row.keyspace_name for row in rows}
        driver.shutdown()
    assert command("up", "--data", tmp_path / "x", "--admin-password-file", "y").returncode == 2


def test_logins_and_changes_are_audited(guarded, admin):
    refused(guarded, ("mallory", "guess"))
    with pytest.raises(Exception):
        admin.execute("DROP ROLE mallory")
    admin.execute("CREATE ROLE audited WITH PASSWORD = 'sesame'")
    logs = "".join((guarded.data / f"n{i}" / "audit.log").read_text() for i in (1, 2, 3))
    assert 'event=login user="mallory" address=127.0.0.1' in logs
    assert 'what="CREATE ROLE <role audited>" outcome=done' in logs
    assert 'what="DROP ROLE <role mallory>" outcome=refused' in logs
    assert "sesame" not in logs and "guess" not in logs


def test_unknown_users_cost_as_much_as_wrong_passwords(guarded):
    def attempt(name):
        with Raw(guarded.addresses()[0], guarded.port) as raw:
            raw.send(raw.frame(1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0"))
            raw.receive()
            token = b"\0" + name + b"\0wrong"
            begun = time.perf_counter()
            raw.send(raw.frame(15, len(token).to_bytes(4, "big") + token))
            code, _ = raw.error_of(raw.receive())
            assert code == 0x0100
            return time.perf_counter() - begun

    # In turn, so that the machine's other work touches both; the least of many is what they cost.
    times = {b"admin": [], b"nobod": []}
    for _ in range(15):
        for name, taken in times.items():
            taken.append(attempt(name))
    known, unknown = (min(taken) for taken in times.values())
    assert known > 0.002, f"hashing takes {known * 1e3:.2f} ms"
    assert 0.6 < known / unknown < 1.7, {name: statistics.median(taken) for name, taken in times.items()}


def test_a_user_makes_so_many_requests_a_second(guarded, admin):
    admin.execute("CREATE ROLE eager WITH LOGIN = true AND PASSWORD = 'pw' AND OPTIONS = {'requests_per_second': 40}")
    assert admin.execute("LIST ROLES OF eager").one().options == {"requests_per_second": "40"}
    with pytest.raises(InvalidRequest):
        admin.execute("ALTER ROLE eager WITH OPTIONS = {'requests_per_second': 'many'}")
    driver = log_in(guarded, ("eager", "pw"), only=0)
    session = driver.connect()
    time.sleep(1)
    answered = refused_requests = 0
    begun = time.monotonic()
    while time.monotonic() - begun < 2:
        try:
            session.execute("SELECT key FROM system.local")
            answered += 1
        except OverloadedErrorMessage:
            refused_requests += 1
    assert 60 <= answered <= 130 and refused_requests > 0, (answered, refused_requests)
    page = urllib.request.urlopen(f"http://{guarded.addresses()[0]}:{guarded.nodes[0]['http']}/metrics").read().decode()
    counted = next(line for line in page.splitlines() if line.startswith("asterism_requests_limited_total "))
    assert float(counted.split()[1]) >= refused_requests
    admin.execute("ALTER ROLE eager WITH OPTIONS = {}")
    for _ in range(200):
        session.execute("SELECT key FROM system.local")
    driver.shutdown()


def test_a_flood_of_logins_does_not_stop_the_node(guarded, admin):
    """Passwords are checked away from the core, so requests of those who are in go on."""
    keyspace(admin, "flood")
    admin.execute("CREATE TABLE flood.t (k int PRIMARY KEY)")
    strangers = []
    try:
        for _ in range(40):
            raw = Raw(guarded.addresses()[0], guarded.port)
            raw.send(raw.frame(1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0"))
            raw.receive()
            token = b"\0admin\0wrong"
            raw.send(raw.frame(15, len(token).to_bytes(4, "big") + token))
            strangers.append(raw)
        for k in range(50):
            admin.execute(f"INSERT INTO flood.t (k) VALUES ({k})", timeout=5)
    finally:
        for raw in strangers:
            raw.__exit__()
    driver = log_in(guarded, only=0)
    wait_until(lambda: driver.connect() is not None, 10, "a login after the flood")
    driver.shutdown()


def post_cql(cluster, statement, user=None):
    """The status and what the prompt of the console gets."""
    request = urllib.request.Request(f"http://{cluster.addresses()[0]}:{cluster.ready['nodes'][0]['http']}/cql",
                                     json.dumps({"statement": statement}).encode(),
                                     {"Content-Type": "application/json"})
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(user).encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        assert refused.code != 401 or refused.headers["WWW-Authenticate"].startswith("Basic ")
        return refused.code, None


def get(cluster, path, authorization=None, method="GET"):
    request = urllib.request.Request(f"http://{cluster.addresses()[0]}:{cluster.ready['nodes'][0]['http']}{path}",
                                     b"{}" if method == "POST" else None, {"Content-Type": "application/json"}, method=method)
    if authorization:
        request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def test_what_nodes_tell_over_http_needs_a_login_or_their_folder(guarded, admin):
    def basic(name, password):
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()

    admin.execute("CREATE ROLE onlooker WITH LOGIN = true AND PASSWORD = 'pw'")
    onlooker, secret = basic("onlooker", "pw"), "Bearer " + (guarded.data / "n1" / "node.secret").read_text()
    for path in ("/", "/status", "/shards"):
        assert get(guarded, path) == get(guarded, path, basic("onlooker", "wrong")) == 401, path
        assert get(guarded, path, "Bearer ") == get(guarded, path, "Bearer " + "0" * 64) == 401, path
        assert get(guarded, path, onlooker) == get(guarded, path, secret) == 200, path
    # An upgrade is refused in the same way, before anything else is looked at.
    assert get(guarded, "/live") == get(guarded, "/live", basic("onlooker", "wrong")) == 401
    assert get(guarded, "/live", onlooker) == 426
    for path in ("/verify", "/drain", "/members/add", "/members/remove", "/members/remove_dead", "/members/cancel"):
        assert get(guarded, path, method="POST") == 401, path
        assert get(guarded, path, onlooker, method="POST") == 403, path
    assert get(guarded, "/members/add", basic(*ADMIN), method="POST") == 400
    # What monitoring asks, and what says nothing of the cluster.
    for path in ("/metrics", "/healthz", "/console.js"):
        assert get(guarded, path) == 200, path
    status = command("status", "--data", guarded.data, "--json")
    assert status.returncode == 0 and json.loads(status.stdout.splitlines()[0]), status.stderr
    assert command("verify", "--data", guarded.data).returncode == 0


def test_statements_over_http_need_a_login_too(guarded, admin):
    admin.execute("CREATE ROLE http_reader WITH LOGIN = true AND PASSWORD = 'pw'")
    assert post_cql(guarded, "SELECT cluster_name FROM system.local")[0] == 401
    assert post_cql(guarded, "SELECT cluster_name FROM system.local", ("http_reader", "wrong"))[0] == 401
    status, answer = post_cql(guarded, "SELECT cluster_name FROM system.local", ("http_reader", "pw"))
    assert status == 200 and answer["rows"] == [["asterism"]]
    status, answer = post_cql(guarded, "CREATE ROLE eve", ("http_reader", "pw"))
    assert status == 200 and answer["name"] == "Unauthorized"
    assert post_cql(guarded, "LIST ROLES", ADMIN)[1]["kind"] == "rows"
