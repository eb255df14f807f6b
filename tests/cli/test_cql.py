"""`asterism cql` against a real cluster of three nodes: statements from everywhere, and the prompt on a terminal."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from cluster import ASTERISM, Cluster

OFFSET = 20700


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cql") / "data", 3, OFFSET) as running:
        done = cql(running, "-e", "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', "
                   "'replication_factor': 3}; CREATE TABLE shop.orders (customer text, placed int, total decimal, "
                   "tags set<text>, PRIMARY KEY (customer, placed)); "
                   "INSERT INTO shop.orders (customer, placed, total) VALUES ('ada', 1, 12.50)")
        assert done.returncode == 0, done.stderr
        yield running


def cql(cluster, *arguments, input=None):
    return subprocess.run([ASTERISM, "cql", *map(str, arguments), "--data", str(cluster.data)], capture_output=True,
                          text=True, timeout=60, input=input)


def rows(cluster, statement):
    done = cql(cluster, "--json", "--consistency", "ALL", "-e", statement)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_statements_from_options_files_and_pipes(cluster, tmp_path):
    done = cql(cluster, "-e", "INSERT INTO shop.orders (customer, placed) VALUES ('日本', 2); SELECT * FROM shop.orders "
               "WHERE customer IN ('ada', '日本')")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == [" customer | placed | tags | total", "----------+--------+------+-------"]
    assert sorted(lines[2:4]) == [" ada      |      1 | null | 12.50", " 日本     |      2 | null |  null"]
    assert re.fullmatch(r"\(2 rows\)  [0-9.]+ ms", lines[-1])

    (tmp_path / "part.cql").write_text("USE shop;\n\nCONSISTENCY QUORUM\nSELECT total\nFROM orders WHERE customer = 'ada';\n")
    done = cql(cluster, input=f"SOURCE '{tmp_path / 'part.cql'}'\nDESCRIBE TABLE orders\nEXIT\nnonsense;")
    assert done.returncode == 0, done.stderr
    assert "12.50" in done.stdout and "CREATE TABLE shop.orders (" in done.stdout
    assert "Consistency level set to QUORUM." in done.stdout
    assert rows(cluster, "SELECT customer, placed, total, tags FROM shop.orders WHERE customer = 'ada'") == [
        {"customer": "ada", "placed": 1, "total": "12.50", "tags": None}]


def test_the_first_error_ends_it_with_its_place(cluster, tmp_path):
    path = tmp_path / "wrong.cql"
    path.write_text("SELECT key FROM system.local;\nSELECT *\n  FORM t;\nSELECT key FROM system.local;\n")
    done = cql(cluster, "-f", path)
    assert done.returncode == 1 and done.stdout.count("(1 row)") == 1
    assert done.stderr.startswith(f"asterism: {path}:3:3: SyntaxException: mismatched input 'FORM'"), done.stderr
    done = cql(cluster, "-e", "SELECT * FROM shop.nothing")
    assert done.returncode == 1 and done.stderr.startswith("asterism: -e:1:1: InvalidRequest: "), done.stderr
    assert cql(cluster, input="SELECT 1;\n").returncode == 1
    assert cql(cluster, "--consistency", "MOST").returncode == 2


def test_errors_say_what_to_do(cluster, tmp_path):
    nothing = subprocess.run([ASTERISM, "cql", "-e", "x", "--data", tmp_path], capture_output=True, text=True)
    assert nothing.returncode == 1 and "start one with asterism up" in nothing.stderr
    refused = cql(cluster, "127.0.0.1:1", "-e", "x")
    assert refused.returncode == 1 and "127.0.0.1:1" in refused.stderr
    assert "is no address" in cql(cluster, "some.host", "-e", "x").stderr


def test_another_node_answers_when_the_first_is_dead(cluster):
    cluster.kill(0)
    try:
        assert cql(cluster, "-e", "SELECT key FROM system.local").returncode == 0
    finally:
        cluster.start(0)


class Terminal:
    """A program on a terminal of 80 columns, by what it shows."""

    def __init__(self, arguments, environment):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(environment)
            os.execv(ASTERISM, [ASTERISM, *arguments])
        self.shown = ""

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def expect(self, text, seconds=10):
        end = time.monotonic() + seconds
        while text not in self.shown:
            ready, _, _ = select.select([self.descriptor], [], [], max(0, end - time.monotonic()))
            assert ready, f"waited for {text!r}, saw {self.shown!r}"
            with contextlib.suppress(OSError):
                data = os.read(self.descriptor, 65536)
                self.shown += data.decode(errors="replace")
                if data:
                    continue
            assert text in self.shown, f"ended before {text!r}: {self.shown!r}"
        before, _, self.shown = self.shown.partition(text)
        return before

    def wait(self, seconds=10):
        end = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while select.select([self.descriptor], [], [], max(0, end - time.monotonic()))[0]:
                if not os.read(self.descriptor, 65536):
                    break
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it does not end")


def test_the_prompt(cluster, tmp_path):
    environment = {"XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "NO_COLOR": "1", "LANG": "C.UTF-8"}
    terminal = Terminal(["cql", "--data", str(cluster.data)], environment)
    terminal.expect("3 nodes. HELP lists commands")
    terminal.expect("cql> ")
    terminal.type("USE sh\t;\r")
    terminal.expect("cql:shop> ")
    terminal.type("SELECT cust\t FROM or\t\r")
    terminal.expect("... ")
    terminal.type("WHERE customer = 'ada';\r")
    assert "ada" in terminal.expect("(1 row)")
    terminal.expect("cql:shop> ")
    terminal.type("SELECT 'never finished\r")
    terminal.expect("... ")
    terminal.type("\x03")
    terminal.expect("^C")
    terminal.expect("cql:shop> ")
    terminal.type("SELECT * FORM orders;\r")
    terminal.expect("SyntaxException: line 1, column 10")
    terminal.expect("cql:shop> ")
    terminal.type("PAGING 5\r")
    terminal.expect("Pages of 5 rows.")
    terminal.type("SELECT table_name FROM system_schema.tables;\r")
    terminal.expect("-- more")
    terminal.type(" ")
    terminal.expect("-- more")
    terminal.type("q")
    terminal.expect("(10 rows so far)")
    terminal.expect("cql:shop> ")
    terminal.type("EXPAND ON\r")
    terminal.expect("Expanded output is on.")
    terminal.type("SELECT * FROM orders WHERE customer = 'ada';\r")
    terminal.expect("@ Row 1")
    terminal.expect("(1 row)")
    terminal.expect("cql:shop> ")
    terminal.type("\x04")
    assert terminal.wait() == 0
    history = (tmp_path / "state" / "asterism" / "cql_history").read_text()
    assert "customer" in history and (tmp_path / "state/asterism/cql_history").stat().st_mode & 0o077 == 0
    terminal = Terminal(["cql", "--data", str(cluster.data)], environment)
    terminal.expect("cql> ")
    terminal.type("\x1b[A\x1b[A\x1b[A\x1b[A")  # up
    terminal.type("\x03")
    terminal.expect("cql> ")
    terminal.type("EXIT\r")
    assert terminal.wait() == 0


def test_users_log_in_over_tls(tmp_path):
    password = tmp_path / "password"
    password.write_text("wrong\n")
    with Cluster(tmp_path / "data", 1, OFFSET + 1000, tls=True, authentication=True) as secured:
        text = ("-e", "LIST ROLES")
        refused = cql(secured, *text)
        assert refused.returncode == 1 and "--user" in refused.stderr, refused.stderr
        refused = cql(secured, *text, "--user", "admin", "--password-file", password)
        assert refused.returncode == 1 and "password" in refused.stderr, refused.stderr
        assert "--password-file" in cql(secured, *text, "--user", "admin").stderr
        password.write_text(secured.ready["admin_password"] + "\n")
        login = ("--user", "admin", "--password-file", password)
        assert "admin" in cql(secured, *text, *login).stdout
        address = f"{secured.addresses()[0]}:{secured.port}"
        assert "--tls --ca" in cql(secured, address, *text, *login).stderr
        named = cql(secured, address, *text, *login, "--tls", "--ca", secured.data / "ca.pem")
        assert "admin" in named.stdout, named.stderr


def test_completion_and_help_know_it():
    script = subprocess.run([ASTERISM, "completion", "bash"], capture_output=True, text=True).stdout
    probe = script + "\nCOMP_WORDS=(asterism cql 127.0.0.1 --cons); COMP_CWORD=3; _asterism; echo ${COMPREPLY[@]}"
    assert subprocess.run(["bash", "-c", probe], capture_output=True, text=True).stdout.strip() == "--consistency"
    shown = subprocess.run([ASTERISM, "cql", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and "Exit status" in shown.stdout
