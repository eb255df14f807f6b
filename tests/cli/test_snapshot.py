"""`asterism snapshot` and `restore`: everything goes into a snapshot and comes back in a cluster of another size."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from cluster import ASTERISM, Cluster, wait_until

OFFSET, OTHER = 21600, 21800


def run(data, *arguments, timeout=60, input=None):
    return subprocess.run([ASTERISM, *map(str, arguments), "--data", str(data)], capture_output=True, text=True,
                          timeout=timeout, input=input)


def cql(data, text, level="QUORUM"):
    done = run(data, "cql", "--json", "--consistency", level, "-e", text)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def create(data, name):
    done = run(data, "snapshot", "create", name, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(data):
    done = run(data, "snapshot", "list", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def restore(data, folders, *options):
    done = run(data, "restore", *folders, "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def folders(data, name, nodes=("n1", "n2", "n3")):
    return [data / node / "data" / "snapshots" / name for node in nodes]


def snapshot_files(data):
    return sorted(str(path) for path in data.glob("n*/data/snapshots/*"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("snapshot") / "data", 3, OFFSET) as running:
        yield running


TYPES = {"a": "ascii", "b": "bigint", "bl": "blob", "bo": "boolean", "d": "date", "de": "decimal", "dou": "double",
         "du": "duration", "f": "float", "i": "inet", "s": "smallint", "te": "text", "ti": "time", "tin": "tinyint",
         "ts": "timestamp", "tu": "frozen<tuple<int, text, frozen<set<int>>>>", "u": "uuid", "v": "varint"}
VALUES = {"a": "'ascii'", "b": "-9223372036854775808", "bl": "0x00ff", "bo": "false", "d": "'2024-02-29'",
          "de": "-123.4500", "dou": "NaN", "du": "-1y2mo3d4h5m6s7ms", "f": "-Infinity", "i": "'::1'", "s": "-5",
          "te": "'müller ''x'''", "ti": "'12:34:56.789'", "tin": "-128", "ts": "'2024-02-29T12:34:56.789+0000'",
          "tu": "(1, null, {3, 2})", "u": "123e4567-e89b-12d3-a456-426614174000", "v": "123456789012345678901234567890"}
COLLECTIONS = {"l": "list<text>", "m": "map<text, frozen<list<double>>>", "se": "set<text>"}


def fill(data):
    columns = ", ".join(f"{name} {kind}" for name, kind in {**TYPES, **COLLECTIONS}.items())
    names, literals = ", ".join(VALUES), ", ".join(VALUES.values())
    cql(data, f"""
        CREATE KEYSPACE shop WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}};
        CREATE KEYSPACE "Other" WITH replication = {{'class': 'NetworkTopologyStrategy', 'dc1': 2}};
        CREATE TABLE shop.all (k int, c text, st text static, sm map<text, int> static, dropped text, {columns},
                               PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC);
        CREATE TABLE "Other"."T" (k text PRIMARY KEY, v text) WITH comment = 'mine';
        CREATE TABLE "Other".truncated (k int PRIMARY KEY);
        CREATE TABLE "Other".gone (k int PRIMARY KEY);
        INSERT INTO "Other".truncated (k) VALUES (1); TRUNCATE "Other".truncated;
        INSERT INTO "Other".truncated (k) VALUES (2);
        INSERT INTO "Other".gone (k) VALUES (1); DROP TABLE "Other".gone;
        INSERT INTO shop.all (k, c, dropped) VALUES (1, 'full', 'x');
        ALTER TABLE shop.all DROP dropped; ALTER TABLE shop.all ADD added int;
        INSERT INTO shop.all (k, c, {names}) VALUES (1, 'full', {literals}) USING TIMESTAMP 1600000000000000;
        UPDATE shop.all SET l = ['a', 'b'], m = {{'x': [1.5]}}, se = {{'s', 't'}}, added = 7 WHERE k = 1 AND c = 'full';
        UPDATE shop.all SET l = l + ['c'], se = se - {{'t'}} WHERE k = 1 AND c = 'full';
        UPDATE shop.all USING TTL 5000 SET st = 'static', sm = {{'a': 1}} WHERE k = 1;
        INSERT INTO shop.all (k, c, te) VALUES (1, 'ttl', 'expires') USING TTL 4000 AND TIMESTAMP 1600000000000001;
        INSERT INTO shop.all (k, c, te) VALUES (2, 'row', 'x') USING TIMESTAMP 100;
        DELETE FROM shop.all USING TIMESTAMP 200 WHERE k = 2 AND c = 'row';
        INSERT INTO shop.all (k, c, te) VALUES (2, 'stays', 'x') USING TIMESTAMP 300;
        DELETE FROM shop.all USING TIMESTAMP 200 WHERE k = 3;
        DELETE FROM shop.all USING TIMESTAMP 200 WHERE k = 4 AND c >= 'b' AND c < 'd';
        INSERT INTO "Other"."T" (k, v) VALUES ('é', null);""", "ALL")


def contents(data):
    """All rows, with times of writing and expiry as points in time."""
    now = time.time()
    found = {}
    for table in "shop.all", '"Other"."T"', '"Other".truncated':
        found[table] = sorted(map(json.dumps, cql(data, f"SELECT * FROM {table}")))
    times = ", ".join(f"writetime({name}) AS w_{name}" for name in [*TYPES, "st"])
    found["times"] = sorted(map(json.dumps, cql(data, f"SELECT k, c, {times} FROM shop.all")))
    expiry = [(row["k"], row["c"], now + row["te"] if row["te"] else None, now + row["st"] if row["st"] else None)
              for row in cql(data, "SELECT k, c, ttl(te) AS te, ttl(st) AS st FROM shop.all")]
    return found, expiry


def same_times(one, two):
    return len(one) == len(two) and all(
        a[:2] == b[:2] and all((x is None) == (y is None) and (x is None or abs(x - y) < 5) for x, y in zip(a[2:], b[2:]))
        for a, b in zip(one, two))


def test_everything_comes_back_in_a_cluster_of_another_size(cluster, tmp_path):
    data = cluster.data
    fill(data)
    # A value that no small request takes, and many rows.
    (tmp_path / "large.jsonl").write_text(json.dumps({"k": "large", "v": "x" * 3_000_000}) + "\n")
    assert run(data, "import", '"Other"."T"', tmp_path / "large.jsonl").returncode == 0
    (tmp_path / "many.csv").write_text("".join(f"k{i},v{i}\n" for i in range(30_000)))
    assert run(data, "import", '"Other"."T"', tmp_path / "many.csv", "--columns", "k,v").returncode == 0
    # Rows that are written all the while: those before the command are in it.
    stop, written = threading.Event(), []

    def write():
        while not stop.is_set():
            if run(data, "cql", "-e", f"INSERT INTO \"Other\".truncated (k) VALUES ({1000 + len(written)})").returncode == 0:
                written.append(1000 + len(written))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: len(written) > 10, 30, "rows under load")
        before = list(written)
        made = create(data, "monday")
        later = len(written)
        wait_until(lambda: len(written) > later + 5, 30, "rows behind the snapshot")
    finally:
        stop.set()
        writer.join()
    assert [node["node"] for node in made["nodes"]] == ["n1", "n2", "n3"] and len(made["id"]) == 16
    source = [path for path in folders(data, "monday")]
    for path in source:
        assert (path / "manifest.json").exists() and list((path / "store").glob("*.sst"))
    wanted, expiry = contents(data)
    live = set(map(str, (json.loads(row)["k"] for row in wanted['"Other".truncated'])))
    cql(data, "INSERT INTO shop.all (k, c, te) VALUES (2, 'later', 'not in it')")

    # Away from the cluster, and read only.
    backup = tmp_path / "backup"
    copies = []
    for node, path in zip(("n1", "n2", "n3"), source):
        copies.append(backup / node)
        shutil.copytree(path, backup / node)
    for path in [backup, *backup.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    files = sorted(backup.rglob("*"))
    with Cluster(tmp_path / "one", 1, OTHER) as other:
        for again in range(2):
            done = restore(other.data, copies)
            assert done["rows"] > 30_000 and done["tables"] == 3
            assert (done["tables_made"], done["keyspaces_made"]) == ((0, 0) if again else (3, 2))
            found, other_expiry = contents(other.data)
            for table in "shop.all", '"Other"."T"', "times":
                assert found[table] == wanted[table], table
            assert same_times(expiry, other_expiry)
            rows = {json.loads(row)["k"] for row in found['"Other".truncated']}
            assert {2, *before} <= rows and 1 not in rows and rows <= set(map(int, live))
        assert sorted(backup.rglob("*")) == files
        described = cql(other.data, "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'Other'")
        assert "NetworkTopologyStrategy" in json.dumps(described) and '"dc1":"2"' in json.dumps(described).replace(" ", "")
        assert cql(other.data, "SELECT comment FROM system_schema.tables WHERE keyspace_name = 'Other' "
                               "AND table_name = 'T'") == [{"comment": "mine"}]
        # Deletions came along: what is older than they stays deleted.
        cql(other.data, "".join(f"INSERT INTO shop.all (k, c, te) VALUES ({k}, '{c}', 'old') USING TIMESTAMP 150;"
                                for k, c in [(2, "row"), (3, "any"), (4, "b"), (4, "d")]))
        left = cql(other.data, "SELECT k, c FROM shop.all WHERE k IN (2, 3, 4)")
        assert left == [{"k": 2, "c": "stays"}, {"k": 4, "c": "d"}]
        # What is newer stays, be it a value or a deletion.
        cql(other.data, "INSERT INTO \"Other\".\"T\" (k, v) VALUES ('k1', 'newer'); "
                        "DELETE FROM \"Other\".\"T\" WHERE k = 'k2'; INSERT INTO \"Other\".\"T\" (k, v) VALUES ('new', 'n')")
        assert restore(other.data, copies, "--table", "Other.T", "--consistency", "ALL")["tables"] == 1
        kept = cql(other.data, "SELECT k, v FROM \"Other\".\"T\" WHERE k IN ('k1', 'k2', 'k3', 'new')")
        assert sorted(row["k"] + row["v"] for row in kept) == ["k1newer", "k3v3", "newn"]
    for path in [backup, *backup.rglob("*")]:
        path.chmod(0o755)


@pytest.fixture(scope="module")
def many(cluster, tmp_path_factory):
    """A snapshot of 200,000 rows, in folders of their own."""
    folder = tmp_path_factory.mktemp("many")
    cql(cluster.data, "CREATE KEYSPACE many WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3};"
                      "CREATE TABLE many.rows (k int PRIMARY KEY, v text)")
    (folder / "rows.csv").write_text("".join(f"{i},value {i}\n" for i in range(200_000)))
    assert run(cluster.data, "import", "many.rows", folder / "rows.csv", "--columns", "k,v").returncode == 0
    create(cluster.data, "many")
    for node, path in zip(("n1", "n2", "n3"), folders(cluster.data, "many")):
        shutil.copytree(path, folder / node)
    assert run(cluster.data, "snapshot", "delete", "many").returncode == 0
    return folder


def test_a_node_killed_while_restore_runs(cluster, many, tmp_path):
    with Cluster(tmp_path / "other", 3, OTHER) as other:
        arguments = ["restore", *[many / node for node in ("n1", "n2", "n3")], "--keyspace", "many", "--json",
                     "--concurrency", "1", "--data", other.data]
        going = subprocess.Popen([ASTERISM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
        wait_until(lambda: run(other.data, "cql", "-e", "SELECT k FROM many.rows LIMIT 1").returncode == 0, 20, "rows")
        other.kill(1)
        out, errors = going.communicate(timeout=60)
        assert going.returncode == 0, errors
        assert json.loads(out)["rows"] == 200_000
        assert int(cql(other.data, "SELECT count(*) FROM many.rows")[0]["count"]) == 200_000
        # What it missed reaches it by hints, or by restoring again.
        other.start(1)
        wait_until(lambda: run(other.data, "verify").returncode == 0, 60, "replicas that agree")


def test_a_restore_that_was_killed_is_given_again(cluster, many, tmp_path):
    sources = [many / node for node in ("n1", "n2")]
    with Cluster(tmp_path / "other", 1, OTHER) as other:
        going = subprocess.Popen([ASTERISM, "restore", *map(str, sources), "--keyspace", "many", "--concurrency", "1",
                                  "--data", str(other.data)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: run(other.data, "cql", "-e", "SELECT k FROM many.rows LIMIT 1").returncode == 0, 20, "rows")
        going.send_signal(signal.SIGKILL)
        going.wait()
        # Two of three folders are enough for what was written at QUORUM, and the third is named.
        done = run(other.data, "restore", *sources, "--keyspace", "many")
        assert done.returncode == 0 and "200,000 rows of 1 tables" in done.stdout
        assert "n3" in done.stderr and "not restored" in done.stderr
        counted = cql(other.data, "SELECT count(*) FROM many.rows")
        assert int(counted[0]["count"]) == 200_000


def test_a_damaged_file_is_named_and_nothing_of_it_is_written(cluster, many, tmp_path):
    with Cluster(tmp_path / "other", 1, OTHER) as other:
        for victim in "manifest.json", "schema", "store/CURRENT", "sst":
            broken = tmp_path / victim.replace("/", "-")
            shutil.copytree(many / "n1", broken)
            path = next((broken / "store").glob("*.sst")) if victim == "sst" else broken / victim
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 0x10
            path.write_bytes(content)
            done = run(other.data, "restore", broken, many / "n2")
            assert done.returncode == 1 and str(path) in done.stderr and "damaged" in done.stderr, done.stderr
        path.unlink()
        missing = run(other.data, "restore", broken).stderr
        assert str(path) in missing and "missing" in missing
        # Nothing was begun, and the other folders do.
        assert cql(other.data, "SELECT keyspace_name FROM system_schema.tables WHERE keyspace_name = 'many'") == []
        assert restore(other.data, [many / "n2", many / "n3"], "--keyspace", "many")["rows"] == 200_000


def test_tables_of_other_columns(cluster, tmp_path):
    data = cluster.data
    cql(data, "CREATE KEYSPACE cols WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3};"
              "CREATE TABLE cols.t (k int PRIMARY KEY, b text, a text); CREATE TABLE cols.u (k int PRIMARY KEY);"
              "INSERT INTO cols.t (k, a, b) VALUES (1, 'a', 'b') USING TIMESTAMP 5", "ALL")
    create(data, "cols")
    from_here = [*folders(data, "cols"), "--keyspace", "cols"]
    # Dropped and made anew, with columns that have other numbers now.
    cql(data, "DROP TABLE cols.t; CREATE TABLE cols.t (k int PRIMARY KEY, a1 text, a text, z int, b text); DROP TABLE cols.u")
    assert restore(data, from_here)["tables_made"] == 1
    assert cql(data, "SELECT a, b, z FROM cols.t") == [{"a": "a", "b": "b", "z": None}]
    assert int(cql(data, "SELECT writetime(a) AS w FROM cols.t")[0]["w"]) == 5
    for table, words in [("k int PRIMARY KEY, a text", "no column b"), ("k int PRIMARY KEY, a int, b text", "column a"),
                         ("k int, a text, b text, PRIMARY KEY (k, a)", "column a"),
                         ("k int, x int, a text, b text, PRIMARY KEY (k, x)", "primary key")]:
        cql(data, f"DROP TABLE cols.t; CREATE TABLE cols.t ({table})")
        done = run(data, "restore", *from_here)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert cql(data, "SELECT k FROM cols.t") == []
    cql(data, "DROP KEYSPACE cols")
    assert json.loads(run(data, "restore", *from_here, "--schema-only", "--json").stdout)["tables_made"] == 2
    assert cql(data, "SELECT k FROM cols.t") == []
    assert restore(data, from_here, "--replicas", "2")["rows"] == 1
    assert run(data, "snapshot", "delete", "cols").returncode == 0


def test_wrong_names_and_wrong_folders(cluster, many):
    data = cluster.data
    for name in "../x", "a/b", "", ".hidden", "x" * 65:
        done = run(data, "snapshot", "create", name)
        assert done.returncode in (1, 2) and "name" in done.stderr, name
    create(data, "twice")
    again = run(data, "snapshot", "create", "twice")
    assert again.returncode == 1 and "snapshot delete twice" in again.stderr
    assert [each["name"] for each in listed(data)["snapshots"] if not each["missing"]].count("twice") == 1
    assert run(data, "snapshot", "delete", "twice").returncode == 0
    absent = run(data, "snapshot", "delete", "twice")
    assert absent.returncode == 1 and "no node has a snapshot twice" in absent.stderr
    assert not [path for path in snapshot_files(data) if "twice" in path]
    nothing = run(data, "restore", data)
    assert nothing.returncode == 1 and "holds no snapshot" in nothing.stderr
    unknown = run(data, "restore", many / "n1", "--table", "many.none")
    assert unknown.returncode == 1 and "many.rows" in unknown.stderr
    assert run(data, "restore", many / "n1", "--table", "rows").returncode == 2
    assert run(data, "restore", many / "n1", "--consistency", "SOME").returncode == 2
    same = run(data, "restore", many / "n1", many / "n1")
    assert same.returncode == 1 and "another folder" in same.stderr


def test_without_a_node_there_is_no_snapshot_and_no_half_of_one(cluster):
    data = cluster.data
    create(data, "before")
    files = snapshot_files(data)
    cluster.kill(2)
    done = run(data, "snapshot", "create", "half")
    assert done.returncode == 1 and "n3" in done.stderr, done.stderr
    assert snapshot_files(data) == files
    shown = run(data, "snapshot", "list")
    assert shown.returncode == 0 and "n3" in shown.stderr
    # Deleting says who keeps his part, and goes on when he is back.
    left = run(data, "snapshot", "delete", "before")
    assert left.returncode == 1 and "n3" in left.stderr
    cluster.start(2)
    # An attempt that asks while he seems down may have deleted it and not heard so; the next one finds nothing.
    rest = [path for path in files if not path.endswith("/before")]

    def all_deleted():
        again = run(data, "snapshot", "delete", "before")
        return snapshot_files(data) == rest and (again.returncode == 0 or "no node has a snapshot before" in again.stderr)
    wait_until(all_deleted, 20, "n3 to delete its part")
    wait_until(lambda: run(data, "snapshot", "create", "after").returncode == 0, 20, "a snapshot of all")
    assert not any(each["missing"] for each in listed(data)["snapshots"])


def test_a_node_that_dies_meanwhile_leaves_no_snapshot(cluster):
    data = cluster.data
    cluster.freeze(1)
    going = subprocess.Popen([ASTERISM, "snapshot", "create", "frozen", "--data", str(data)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    time.sleep(0.3)
    cluster.kill(1)
    _, errors = going.communicate(timeout=60)
    assert going.returncode == 1 and "n2" in errors, errors
    cluster.start(1)
    assert not [path for path in snapshot_files(data) if path.endswith("/frozen")]
    wait_until(lambda: run(data, "snapshot", "create", "frozen").returncode == 0, 30, "a snapshot with all nodes")
    assert all((path / "manifest.json").exists() for path in data.glob("n*/data/snapshots/*"))


def test_with_users_and_tls(tmp_path):
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    with Cluster(tmp_path / "tls", 1, OTHER, tls=True, authentication=True, admin_password_file=password) as secure:
        data = secure.data
        login = ["--user", "admin", "--password-file", password]
        made = run(data, "cql", *login, "-e", "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', "
                   "'replication_factor': 1}; CREATE TABLE k.t (k int PRIMARY KEY); INSERT INTO k.t (k) VALUES (1)")
        assert made.returncode == 0, made.stderr
        create(data, "secure")
        assert run(data, "cql", *login, "-e", "DROP KEYSPACE k").returncode == 0
        assert restore(data, folders(data, "secure", ("n1",)))["rows"] == 1
        shown = run(data, "cql", *login, "--json", "-e", "SELECT k FROM k.t")
        assert json.loads(shown.stdout) == {"k": 1}
        assert "CREATE SNAPSHOT secure" in (data / "n1" / "audit.log").read_text()
        # Without what stands in the node's folder nobody may.
        secret = data / "n1" / "node.secret"
        right = secret.read_text()
        os.chmod(secret, 0o600)
        secret.write_text("0" * len(right))
        refused = run(data, "snapshot", "list")
        assert refused.returncode == 1 and "read the node's folder" in refused.stderr
