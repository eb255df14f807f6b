"""cqlsh from PyPI against a real cluster. Opt-in, because it needs the network once: it is installed into a virtual
environment in the build folder. CQLSH names another one that is there already."""

import csv
import os
import pathlib
import subprocess
import sys

import pytest

from cluster import ROOT

BUILD = pathlib.Path(os.environ.get("ASTERISM_BUILD", ROOT / "build" / "release"))
TYPES = {"a": "ascii", "b": "bigint", "bl": "blob", "bo": "boolean", "d": "date", "de": "decimal", "dou": "double",
         "f": "float", "i": "inet", "l": "list<int>", "m": "map<text, frozen<list<int>>>", "s": "smallint",
         "se": "set<text>", "te": "text", "ti": "time", "tin": "tinyint", "ts": "timestamp",
         "tu": "frozen<tuple<int, text>>", "u": "uuid", "v": "varint"}
# What is written, and how cqlsh shows it.
VALUES = {"a": ("'ascii'", "ascii"), "b": ("9223372036854775807", "9223372036854775807"),
          "bl": ("0xdeadbeef", "0xdeadbeef"), "bo": ("true", "True"), "d": ("'2024-02-29'", "2024-02-29"),
          "de": ("123.4500", "123.4500"), "dou": ("1e100", "1e+100"), "f": ("1.5", "1.5"),
          "i": ("'127.0.0.1'", "127.0.0.1"), "l": ("[1, 2, 3]", "[1, 2, 3]"),
          "m": ("{'x': [1, 2], 'y': []}", "{'x': [1, 2], 'y': []}"), "s": ("-5", "-5"),
          "se": ("{'b', 'a'}", "{'a', 'b'}"), "te": ("'müller ''x'', \"y\"'", "müller 'x', \"y\""),
          "ti": ("'12:34:56.789'", "12:34:56.789000000"), "tin": ("-128", "-128"),
          "ts": ("'2024-02-29T12:34:56.789+0000'", "2024-02-29 12:34:56.789000+0000"), "tu": ("(1, 'x')", "(1, 'x')"),
          "u": ("123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
          "v": ("123456789012345678901234567890", "123456789012345678901234567890")}
assert list(VALUES) == list(TYPES)


def installed():
    if "CQLSH" in os.environ:
        return os.environ["CQLSH"]
    home = BUILD / "cqlsh"
    program = home / "bin" / "cqlsh"
    if not program.exists():
        make = [sys.executable, "-m", "venv", "--clear", str(home)]
        fill = [str(home / "bin" / "pip"), "-q", "install", "cqlsh"]
        for command in (make, fill):
            made = subprocess.run(command, capture_output=True, text=True)
            assert made.returncode == 0, f"cqlsh cannot be installed: {made.stdout}{made.stderr}"
    return str(program)


@pytest.fixture(scope="module")
def cqlsh(cluster, tmp_path_factory):
    """run(text) gives standard output and standard error; errors must be expected."""
    program = installed()
    folder = tmp_path_factory.mktemp("cqlsh")

    def run(text, fails=False, input=None):
        (folder / "text.cql").write_text((text or "") + "\n")
        arguments = ["-f", "text.cql"] if input is None else []
        done = subprocess.run([program, *arguments, cluster.addresses()[0], str(cluster.port)], input=input or "",
                              cwd=folder, timeout=60, capture_output=True, text=True,
                              env={**os.environ, "HOME": str(folder), "TZ": "UTC", "PYTHONIOENCODING": "utf-8"})
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert fails == bool(done.stderr), done.stderr
        return done.stderr if fails else done.stdout
    run("CREATE KEYSPACE shell WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3};")
    run.folder = folder
    return run


def cells(line):
    return [cell.strip() for cell in line.split(" | ")]


@pytest.fixture(scope="module")
def types(cqlsh):
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    cqlsh(f"CREATE TABLE shell.types (k int, c timeuuid, st int static, \"Quoted Name\" text, {columns}, "
          "PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC) AND comment = 'it''s';\n"
          f"INSERT INTO shell.types (k, c, st, \"Quoted Name\", {', '.join(TYPES)}) VALUES "
          f"(1, 50554d6e-29bb-11e5-b345-feff819cdc9f, 7, 'q', {', '.join(text for text, _ in VALUES.values())});\n"
          "INSERT INTO shell.types (k, c) VALUES (2, now());")
    return cqlsh


def test_select_shows_every_type(types):
    said = types(f"SELECT {', '.join(VALUES)} FROM shell.types;")
    rows = [cells(line) for line in said.splitlines() if " | " in line]
    assert rows[0] == list(VALUES)
    assert rows[1] == [shown for _, shown in VALUES.values()]
    assert set(rows[2]) == {"null"} and "(2 rows)" in said
    row = types("SELECT st, \"Quoted Name\" FROM shell.types WHERE k = 1;").splitlines()
    assert [cells(line) for line in row if " | " in line] == [["st", "Quoted Name"], ["7", "q"]]
    types("CREATE TABLE shell.lengths (k int PRIMARY KEY, d duration); INSERT INTO shell.lengths (k, d) VALUES (1, "
          "1y2mo3d4h5m6s);")
    assert "1y2mo3d4h5m6s" in types("SELECT d FROM shell.lengths;")


def test_expand(types):
    said = types("EXPAND ON\nSELECT k, te FROM shell.types WHERE k = 1;\nEXPAND OFF\nSELECT k FROM shell.types;")
    assert "@ Row 1" in said and " te | müller 'x', \"y\"" in said and said.count("@ Row") == 1


def test_describe(types):
    assert "Cluster: asterism\nPartitioner: org.apache.cassandra.dht.Murmur3Partitioner" in types("DESCRIBE CLUSTER")
    assert {"shell", "system", "system_schema"} <= set(types("DESCRIBE KEYSPACES").split())
    assert "types" in types("USE shell;\nDESCRIBE TABLES").split()
    table = types("DESCRIBE TABLE shell.types")
    table = table[table.index("CREATE TABLE"):].strip()
    for text in ["CREATE TABLE shell.types (", "    st int static,", "    \"Quoted Name\" text,", "PRIMARY KEY (k, c)",
                 "WITH CLUSTERING ORDER BY (c DESC)", "comment = 'it''s'"]:
        assert text in table, table
    for name, kind in TYPES.items():
        assert f"    {name} {kind},\n" in table, name
    keyspace = "CREATE KEYSPACE shell WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '3'}"
    for what in ["KEYSPACE shell", "SCHEMA", "FULL SCHEMA", "shell"]:
        said = types(f"DESCRIBE {what}")
        assert keyspace in said and table in said, what
    assert "CREATE TABLE system.local (" in types("DESCRIBE FULL SCHEMA")


def test_what_describe_says_makes_the_same_table(types):
    text = types("DESCRIBE TABLE shell.types").replace("shell.types", "shell.again")
    types(text[text.index("CREATE TABLE"):])
    assert types("DESCRIBE TABLE shell.again") == text


def test_copy(types):
    types("CREATE TABLE shell.copied (k int, c timeuuid, st int static, \"Quoted Name\" text, "
          + ", ".join(f"{name} {kind}" for name, kind in TYPES.items()) + ", PRIMARY KEY (k, c));")
    out, back = types.folder / "out.csv", types.folder / "back.csv"
    assert "2 rows exported to 1 files" in types(f"COPY shell.types TO '{out}' WITH HEADER = true;")
    with open(out, newline="") as file:
        rows = {row["k"]: row for row in csv.DictReader(file, doublequote=False, escapechar="\\")}
    assert set(rows) == {"1", "2"} and rows["2"]["te"] == ""
    # A CSV file holds no more than milliseconds.
    for name, (_, shown) in VALUES.items():
        assert rows["1"][name] == shown.replace(".789000+", ".789+"), name
    assert "2 rows imported from 1 files" in types(f"COPY shell.copied FROM '{out}' WITH HEADER = true;")
    types(f"COPY shell.copied TO '{back}' WITH HEADER = true;")
    assert sorted(out.read_text().splitlines()) == sorted(back.read_text().splitlines())


def test_copy_many_rows_and_page(types):
    folder = types.folder
    (folder / "many.csv").write_text("".join(f"{i % 50},{i},text {i}\n" for i in range(5000)))
    assert "5000 rows imported from 1 files" in types(
        "CREATE TABLE shell.many (k int, c int, v text, PRIMARY KEY (k, c));\n"
        f"COPY shell.many (k, c, v) FROM '{folder}/many.csv' WITH CHUNKSIZE = 500;")
    types(f"COPY shell.many (k, c, v) TO '{folder}/many2.csv' WITH PAGESIZE = 300;")
    assert sorted((folder / "many2.csv").read_text().splitlines()) == sorted(
        (folder / "many.csv").read_text().splitlines())
    said = types("PAGING 100\nSELECT c FROM shell.many LIMIT 730;")
    assert "Page size: 100" in said and "(730 rows)" in said
    assert "(5000 rows)" in types("PAGING OFF\nSELECT c FROM shell.many;")


def test_settings_and_source(types):
    said = types("CONSISTENCY\nCONSISTENCY QUORUM\nCONSISTENCY\nSERIAL CONSISTENCY\nPAGING\nTRACING\nSHOW HOST\n"
                 "SELECT count(*) FROM shell.types;")
    for text in ["Current consistency level is ONE.", "Consistency level set to QUORUM.",
                 "Current consistency level is QUORUM.", "Current serial consistency level is SERIAL.",
                 "PAGING is ON", "TRACING is OFF", "Connected to asterism at", "Aggregation query used without"]:
        assert text in said, text
    (types.folder / "some.cql").write_text("SELECT k FROM shell.types WHERE k = 1;\nDESCRIBE CLUSTER\n")
    said = types(f"SOURCE '{types.folder}/some.cql'")
    assert "(1 rows)" in said and "Cluster: asterism" in said
    # Requests are not traced; that must not keep anybody waiting.
    said = types("TRACING ON\nSELECT k FROM shell.types WHERE k = 1;\n"
                 "INSERT INTO shell.types (k, c) VALUES (3, now());\nTRACING OFF\n"
                 "SELECT c FROM shell.types WHERE k = 3;")
    assert said.count("(1 rows)") == 2


@pytest.mark.parametrize("text, error", [
    ("SELEC;", "SyntaxException: line 1:0 no viable alternative at input 'SELEC'"),
    ("SELECT * FROM shell.nothing;", "InvalidRequest: Error from server: code=2200"),
    ("INSERT INTO shell.types (k) VALUES (1);", "Some clustering keys are missing: c"),
    ("SELECT * FROM shell.types WHERE te = 'x';", "use ALLOW FILTERING"),
    ("CREATE TABLE shell.types (k int PRIMARY KEY);", "AlreadyExists: Table 'shell.types' already exists"),
    ("USE nowhere;", "Keyspace 'nowhere' does not exist"),
    ("SELECT JSON k FROM shell.types;", "SELECT JSON is not supported yet"),
    ("DESCRIBE TABLE shell.nothing", "Table 'nothing' not found in keyspace 'shell'"),
    ("DESCRIBE KEYSPACE nowhere", "'nowhere' not found in keyspaces"),
])
def test_errors(types, text, error):
    assert error in types(text, fails=True)


def test_a_shell_without_a_file(types):
    assert "(1 rows)" in types(None, input="SELECT k FROM shell.types WHERE k = 1;\nexit\n")
