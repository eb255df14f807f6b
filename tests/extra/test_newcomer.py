"""What a newcomer does in the first hour, on a new clone: build, cqlsh, a node killed in the console and another added, a
million rows imported by a command that is killed half-way, exported again and compared. Opt-in, because it builds
everything (quickly where ccache knows it) and installs cqlsh."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cluster import PORT_OFFSET, ROOT, wait_until
from test_cqlsh import installed

ROWS = 1_000_000


class Terminal:
    """A command as it looks on a terminal of 100 columns."""

    def __init__(self, arguments, folder):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update(COLUMNS="100", TERM="xterm", NO_COLOR="1")
            os.execvp(arguments[0], arguments)
        self.text, self.status = "", None

    def read(self, seconds=0.1):
        """False once nobody writes any more."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def until(self, pattern, seconds, what):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, f"waited {seconds} s for {what}: {self.text[-2000:]}"
            assert self.read(), f"it ended before {what}: {self.text[-2000:]}"
        return re.search(pattern, self.text)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < end, f"it takes more than {seconds} s: {self.text[-2000:]}"
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.master)
        return self.status


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    """A new clone with `./asterism up` running in it, on a terminal."""
    folder = tmp_path_factory.mktemp("newcomer") / "asterism"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True, timeout=120)
    up = Terminal(["./asterism", "up", "--port-offset", str(PORT_OFFSET)], folder)
    try:
        up.until(r"Asterism is up: 3 nodes", 1500, "three nodes")
        up.until(r"Ctrl-C +stops all nodes", 5, "the hints")
        yield folder, up
        up.read()
        os.kill(up.pid, signal.SIGINT)
        assert up.wait(15) == 0
        assert not alive(folder)
    finally:
        if up.status is None:
            os.kill(up.pid, signal.SIGKILL)
        shutil.rmtree(folder / "build", ignore_errors=True)


@pytest.fixture
def clone(hour):
    return hour[0]


@pytest.fixture
def up(hour):
    return hour[1]


def alive(folder):
    return subprocess.run(["pgrep", "-f", f"node run .*{folder}/asterism-data"], capture_output=True).stdout


def run(folder, *arguments, status=0, timeout=120):
    done = subprocess.run(["./asterism", *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_command_of_the_readme_is_one(clone):
    text = (clone / "README.md").read_text()
    commands = set(re.findall(r"^(?:\$ )?\./asterism ((?:node |user )?[a-z]+)", text, re.M))
    assert {"up", "cql", "import", "export", "status", "verify", "node add", "user add", "logs"} <= commands
    # What a reader would type has to be found by the shell.
    assert not re.search(r"^\$ asterism ", text, re.M)
    for command in sorted(commands - {"test"}):
        assert "Usage:" in run(clone, *command.split(), "--help"), command


def test_cqlsh_makes_the_table_of_the_readme(clone):
    text = (clone / "README.md").read_text()
    statements = re.findall(r'session\.execute\("((?:CREATE (?:KEYSPACE|TABLE) shop|INSERT INTO shop)[^"]*)"\)', text)
    assert len(statements) == 3
    (clone.parent / "shop.cql").write_text(";\n".join([*statements, "SELECT customer, total FROM shop.orders;\n"]))
    done = subprocess.run([installed(), "-f", "shop.cql", "127.0.0.1", str(9042 + PORT_OFFSET)], cwd=clone.parent,
                          capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(clone.parent)})
    assert done.returncode == 0 and "12.50" in done.stdout, done.stdout + done.stderr


def test_a_node_is_killed_in_the_console_and_started_as_the_hint_says(clone, up):
    kill = urllib.request.Request(f"http://127.0.0.1:{7070 + PORT_OFFSET}/local/nodes/n2/kill", b"{}",
                                  {"Content-Type": "application/json"})
    assert urllib.request.urlopen(kill, timeout=10).status == 200
    hint = up.until(r"n2 ended by signal 9\. Start it again: (.*?)\r?\n", 5, "the hint")[1]
    assert " down " in run(clone, "status")
    # A line for the node, not one for each of its shards.
    said = run(clone, "verify", status=1)
    assert said.count("n2") <= 2 and "n2 was not compared in" in said, said
    started = subprocess.run(hint, shell=True, cwd=clone, capture_output=True, text=True, timeout=60)
    assert started.returncode == 0, started.stderr
    assert " down " not in run(clone, "status")
    wait_until(lambda: subprocess.run(["./asterism", "verify"], cwd=clone, capture_output=True).returncode == 0, 60,
               "equal replicas")


def test_a_million_rows_go_in_although_the_import_is_killed_and_come_out_again(clone):
    line = re.search(r"^(python3 -c .*) >orders\.csv$", (clone / "README.md").read_text(), re.M)[1]
    subprocess.run(f"{line} >orders.csv", shell=True, cwd=clone, check=True, timeout=120)
    assert (clone / "orders.csv").read_bytes().count(b"\n") == ROWS + 1
    progress = clone / "orders.csv.asterism-import"
    first = Terminal(["./asterism", "import", "shop.orders", "orders.csv", "--header"], clone)
    first.until(r"\[#{3,}\.+\] +[2-9]\d %  [\d,]+ rows +[\d,]+ rows/s", 120, "a fifth of the rows")
    wait_until(lambda: first.read(0.01) and progress.exists(), 20, "the record of how far it is")
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait(10) == -signal.SIGKILL and progress.exists()
    assert "go on with --resume" in run(clone, "import", "shop.orders", "orders.csv", "--header", status=1)
    said = run(clone, "import", "shop.orders", "orders.csv", "--header", "--resume", status=1, timeout=300)
    assert f"orders.csv:{ROWS + 1}: column placed" in said, said
    said = run(clone, "import", "shop.orders", "orders.csv", "--header", "--resume", "--max-errors", "1", timeout=300)
    assert "of an earlier run" in said and "1 rejected" in said and not progress.exists(), said
    assert f"{ROWS:,} rows" in run(clone, "export", "shop.orders", "out.csv", "--header", timeout=300)

    def rows(name, skip=b""):
        return sorted(line for line in (clone / name).read_bytes().splitlines()[1:] if not line.startswith(skip or b"\0"))

    # The row that cqlsh wrote is the one of ada.
    given, stored = rows("orders.csv", b"ada,"), rows("out.csv", b"ada,")
    assert len(given) == ROWS - 1 and stored == given


def test_a_node_is_added_with_progress(clone, up):
    adding = Terminal(["./asterism", "node", "add"], clone)
    adding.until(r"\[[#.]+\].*n4 joins: \d+ of \d+ shards still move", 60, "progress")
    assert adding.wait(300) == 0
    assert re.search(r"n4 is a member and serves CQL on 127\.0\.0\.4:\d+: \d+ shards moved", adding.text)
    up.until(r"n4 has come and runs as process \d+", 10, "up to take it on")
    assert json.loads(run(clone, "verify", "--json"))["ok"]
    said = run(clone, "shards", "--summary")
    assert len(re.findall(r"^ +n\d +up", said, re.M)) == 4, said
