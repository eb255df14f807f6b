"""`asterism import` and `export` against a real cluster of three nodes."""

import contextlib
import csv
import hashlib
import json
import signal
import subprocess

import pytest

from cluster import ASTERISM, Cluster, wait_until

OFFSET = 20800


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("import") / "data", 3, OFFSET) as running:
        done = cql(running, "-e", "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', "
                   "'replication_factor': 3}")
        assert done.returncode == 0, done.stderr
        yield running


def run(cluster, *arguments, input=None, timeout=60):
    return subprocess.run([ASTERISM, *map(str, arguments), "--data", str(cluster.data)], capture_output=True, text=True,
                          timeout=timeout, input=input)


def cql(cluster, *arguments):
    return run(cluster, "cql", *arguments)


def rows(cluster, statement):
    done = cql(cluster, "--json", "--consistency", "ALL", "-e", statement)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


TYPES = {"a": "ascii", "b": "bigint", "bl": "blob", "bo": "boolean", "d": "date", "de": "decimal", "dou": "double",
         "du": "duration", "f": "float", "i": "inet", "l": "list<text>", "m": "map<text, frozen<list<double>>>",
         "mm": "map<int, frozen<map<text, boolean>>>", "s": "smallint", "se": "set<text>", "te": "text", "ti": "time",
         "tin": "tinyint", "ts": "timestamp", "tu": "frozen<tuple<int, text, frozen<set<int>>>>", "u": "uuid",
         "v": "varint"}
FULL = {"a": "'ascii'", "b": "-9223372036854775808", "bl": "0x00ff", "bo": "false", "d": "'2024-02-29'",
        "de": "-123.4500", "dou": "NaN", "du": "-1y2mo3d4h5m6s7ms", "f": "-Infinity", "i": "'::1'",
        "l": "['', 'a,b', 'c\"d', 'e\nf', 'it''s']", "m": "{'ü': [1.5, NaN], '': []}", "mm": "{-1: {'x': true}}",
        "s": "-5", "se": "{'b', 'a'}", "te": "'müller ''x'', \"y\"\r\n日本'", "ti": "'12:34:56.789'", "tin": "-128",
        "ts": "'2024-02-29T12:34:56.789+0000'", "tu": "(1, null, {3, 2})",
        "u": "123e4567-e89b-12d3-a456-426614174000", "v": "123456789012345678901234567890"}
OTHER = {"te": "''", "dou": "1e100", "f": "0.1", "bl": "0x", "a": "'null'", "tu": "(null, '', {})", "l": "['x']"}


@pytest.mark.parametrize("name, options", [("t.csv", ["--header"]), ("t.csv", ["--delimiter", ";", "--null", "null"]),
                                           ("t.jsonl", [])])
def test_every_type_goes_out_and_comes_back(cluster, tmp_path, name, options):
    columns = ", ".join(f"{column} {kind}" for column, kind in TYPES.items())
    text = "DROP TABLE IF EXISTS shop.one; DROP TABLE IF EXISTS shop.two;"
    for table in "one", "two":
        text += f"CREATE TABLE shop.{table} (k int, c text, \"Quoted Name\" int, {columns}, PRIMARY KEY (k, c));"
    for k, values in enumerate([FULL, OTHER, {}]):
        names = "".join(f", {column}" for column in values)
        literals = "".join(f", {value}" for value in values.values())
        text += f"INSERT INTO shop.one (k, c, \"Quoted Name\"{names}) VALUES ({k}, '', {k}{literals});"
    done = cql(cluster, "--consistency", "QUORUM", "-e", text)
    assert done.returncode == 0, done.stderr
    path = tmp_path / name
    out = run(cluster, "export", "shop.one", path, "--json", *options)
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout)["rows"] == 3 and not (tmp_path / (name + ".part")).exists()
    if name == "t.csv":
        with open(path, newline="") as file:
            assert len(list(csv.reader(file, delimiter=";" if ";" in options else ","))) == 3 + ("--header" in options)
    else:
        assert all(json.loads(line) for line in path.read_text().splitlines())
    back = run(cluster, "import", "shop.two", path, "--json", *options)
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["rows"] == 3
    one, two = (sorted(map(json.dumps, rows(cluster, f"SELECT * FROM shop.{table}"))) for table in ("one", "two"))
    assert one == two and len(one) == 3
    again = run(cluster, "export", "shop.two", "-", "--format", path.suffix[1:], *options)
    assert again.returncode == 0, again.stderr
    assert sorted(again.stdout.encode().splitlines()) == sorted(path.read_bytes().splitlines())


def test_rows_that_do_not_parse(cluster, tmp_path):
    assert cql(cluster, "-e", "CREATE TABLE shop.bad (k int PRIMARY KEY, v bigint)").returncode == 0
    path = tmp_path / "bad.csv"
    path.write_text("k,v\n1,10\nx,20\n3,3\"0\n4,40\n5\n6,60\n")
    done = run(cluster, "import", "shop.bad", path, "--header")
    assert done.returncode == 1
    assert done.stderr.startswith(f"asterism: {path}:3: column k: Unable to make int from 'x'"), done.stderr
    assert "--resume" in done.stderr and "--max-errors" in done.stderr
    again = run(cluster, "import", "shop.bad", path, "--header")
    assert again.returncode == 1 and "--resume" in again.stderr
    done = run(cluster, "import", "shop.bad", path, "--header", "--resume", "--max-errors", "5", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["rejected"] == 3 and said["resumed"]
    rejects = [json.loads(line) for line in (tmp_path / "bad.csv.rejects").read_text().splitlines()]
    assert [(reject["line"], reject["row"]) for reject in rejects] == [(3, "x,20"), (4, "3,3\"0"), (6, "5")]
    assert rejects[1]["column"] == 4 and rejects[0]["name"] == "k"
    assert sorted(row["k"] for row in rows(cluster, "SELECT k FROM shop.bad")) == [1, 4, 6]
    assert not (tmp_path / "bad.csv.asterism-import").exists()
    piped = run(cluster, "import", "shop.bad", "-", "--columns", "v,k", input="70,7\r\n\r\n80,8")
    assert piped.returncode == 0, piped.stderr
    assert rows(cluster, "SELECT v FROM shop.bad WHERE k = 8") == [{"v": 80}]


def test_an_import_that_was_killed_goes_on_without_loss(cluster, tmp_path):
    """kill -9 in the middle, twice; a node dies meanwhile. Every row is there once, and every reject is told once."""
    count, bad = 120_000, {150, 37_777, 92_222, 119_999}
    assert cql(cluster, "-e", "CREATE TABLE shop.many (k text PRIMARY KEY, n bigint, v text)").returncode == 0
    path, progress = tmp_path / "many.csv", tmp_path / "many.csv.asterism-import"
    with open(path, "w") as file:
        for i in range(count):
            file.write(f"key-{i},{'no' if i in bad else i},\"value {i}\"\n")
    arguments = [ASTERISM, "import", "shop.many", str(path), "--max-errors", "10", "--data", str(cluster.data), "--json",
                 "--rate", "30000"]  # so that it takes long enough to be killed

    def offset():
        with contextlib.suppress(OSError):
            return json.loads(progress.read_text())["offset"]
        return 0

    for part in 0.1, 0.4:
        resume = ["--resume"] if progress.exists() else []
        process = subprocess.Popen([*arguments, *resume], stdout=subprocess.DEVNULL)
        wait_until(lambda: process.poll() is not None or offset() > part * path.stat().st_size, 30, "half of it")
        assert process.poll() is None, "it was too fast to be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    stamp = json.loads(progress.read_text())["timestamp_us"]
    before = offset()
    process = subprocess.Popen([*arguments, "--resume"], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: process.poll() is not None or offset() > before, 30, "it to go on")
    cluster.kill(2)
    try:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        out = run(cluster, "export", "shop.many", "-")
        assert out.returncode == 0, out.stderr
    finally:
        cluster.start(2)
    said = json.loads(said)
    assert said["rejected"] == len(bad) and said["resumed"] and said["rows_before"] > 0
    assert said["rows"] + said["rows_before"] == count - len(bad)
    assert said["seconds"] > 0.9 * said["rows"] / 30_000
    rejects = [json.loads(line)["line"] for line in (tmp_path / "many.csv.rejects").read_text().splitlines()]
    assert rejects == sorted(i + 1 for i in bad)
    stored = sorted(out.stdout.splitlines())
    expected = sorted(f"key-{i},{i},value {i}" for i in range(count) if i not in bad)
    assert len(stored) == len(expected)
    digest = [hashlib.sha256("\n".join(lines).encode()).hexdigest() for lines in (stored, expected)]
    assert digest[0] == digest[1]
    assert rows(cluster, "SELECT writetime(n) FROM shop.many WHERE k = 'key-7'") == [{"writetime(n)": stamp}]


@pytest.mark.parametrize("source", ["pipe", "file"])
def test_an_interrupted_import_ends_at_once(cluster, tmp_path, source):
    assert cql(cluster, "-e", "CREATE TABLE IF NOT EXISTS shop.stopped (k int PRIMARY KEY)").returncode == 0
    path = tmp_path / "rows.csv"
    path.write_text("".join(f"{k}\n" for k in range(2_000_000)))
    file = "-" if source == "pipe" else str(path)
    process = subprocess.Popen([ASTERISM, "import", "shop.stopped", file, "--data", str(cluster.data), "--concurrency", "1"],
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    if source == "pipe":
        process.stdin.write(b"1\n2\n")
        process.stdin.flush()
    else:
        wait_until((tmp_path / "rows.csv.asterism-import").exists, 20, "progress")
    wait_until(lambda: signal.SIGINT in signals_of(process.pid), 10, "it to listen")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 1
    said = process.stderr.read()
    assert b"interrupted" in said and (b"--resume" in said) == (source == "file")


def signals_of(pid):
    """The signals that a process catches."""
    with open(f"/proc/{pid}/status") as status:
        caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
    return {number for number in signal.Signals if caught >> (number - 1) & 1}


def test_errors_and_help_say_what_to_do(cluster):
    assert "KEYSPACE.TABLE" in run(cluster, "import", "orders", "-", input="").stderr
    assert "DESCRIBE TABLES" in run(cluster, "import", "shop.none", "-", input="").stderr
    assert "it has " in run(cluster, "export", "system.local", "-", "--columns", "none").stderr
    assert run(cluster, "import", "shop.none", "-", "--resume", input="").returncode == 2
    for command in "import", "export":
        shown = subprocess.run([ASTERISM, command, "--help"], capture_output=True, text=True)
        assert shown.returncode == 0 and "Exit status" in shown.stdout
