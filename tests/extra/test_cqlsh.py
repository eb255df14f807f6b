"""cqlsh from PyPI against a real cluster. Opt-in, because it needs the network: make an environment with
`python3 -m venv build/cqlsh && build/cqlsh/bin/pip install cqlsh`, then run pytest on tests/extra."""

import os
import pathlib
import subprocess

import pytest

from cluster import ROOT

CQLSH = pathlib.Path(os.environ.get("CQLSH", ROOT / "build" / "cqlsh" / "bin" / "cqlsh"))


@pytest.fixture(scope="module")
def cqlsh(cluster):
    if not CQLSH.exists():
        pytest.skip(f"no cqlsh at {CQLSH} (CQLSH names another place)")

    def run(text, timeout=60):
        return subprocess.run([str(CQLSH), cluster.addresses()[0], str(cluster.port), "-e", text], capture_output=True,
                              text=True, timeout=timeout)
    return run


def test_a_session(cqlsh, tmp_path):
    made = cqlsh("CREATE KEYSPACE shell WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}; "
                 "CREATE TABLE shell.t (k int PRIMARY KEY, v map<text, int>); "
                 "INSERT INTO shell.t (k, v) VALUES (1, {'a': 1});")
    assert made.returncode == 0 and not made.stderr, made.stderr
    rows = cqlsh("SELECT * FROM shell.t")
    assert "{'a': 1}" in rows.stdout and "(1 rows)" in rows.stdout
    described = cqlsh("DESCRIBE KEYSPACE shell")
    assert "CREATE TABLE shell.t" in described.stdout, described.stderr
    assert "shell" in cqlsh("DESCRIBE KEYSPACES").stdout
    copied = cqlsh(f"COPY shell.t TO '{tmp_path}/t.csv'; TRUNCATE shell.t; COPY shell.t FROM '{tmp_path}/t.csv'; "
                   "CONSISTENCY QUORUM; SELECT count(*) FROM shell.t")
    assert "1 rows exported" in copied.stdout and "1 rows imported" in copied.stdout, copied.stdout + copied.stderr
    assert cqlsh("SELEC").returncode == 2
