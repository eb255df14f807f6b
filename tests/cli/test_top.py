"""`asterism top` on a terminal of the test's own and without one, against nodes that answer as the test tells them."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import threading
import time

import pytest

from pretended import ASTERISM, command, status_of


def loaded(name, cpu=lambda asked: 0.0, **load):
    """A node whose processor time is a function of how often it was asked."""
    asked = [0]

    def answer(*_):
        asked[0] += 1
        standard = {"state": "serving", "reads_s": 0.0, "writes_s": 0.0, "failures_s": 0.0, "median_ms": 0.25,
                    "slow_ms": 12.5, "loop_lag_ms": 0.06, "connections": 3, "hints": 0, "store_bytes": 5 << 20,
                    "resident_bytes": 21 << 20, "cpu_s": cpu(asked[0])}
        return 200, {**status_of(name), "load": {**standard, **load}}

    return {("GET", "/status"): answer}


def test_without_a_terminal_one_frame_is_printed(cluster):
    data, _ = cluster(loaded("n1", cpu=lambda asked: asked * 0.5, reads_s=1234.5, writes_s=99.4), None)
    begun = time.monotonic()
    done = command("top", "--data", data)
    assert done.returncode == 0 and time.monotonic() - begun < 5, done.stderr
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "asterism  1 of 2 nodes up   shards 48   metadata leader n1"
    assert "requests/s" in lines[1] and lines[1].endswith("██ 1.3k now")
    header, n1, n2 = (line.split() for line in lines[2:5])
    assert header == ["node", "state", "up", "cpu%", "mem", "reads", "writes", "fail", "p50", "p99", "conn", "hints",
                      "lag", "disk"]
    assert n1[:2] == ["n1", "up"] and n1[4:] == ["21M", "1.2k", "99", "0", "0.25", "12", "3", "0", "0.06", "5.0M"]
    assert 20 < float(n1[3]) < 60  # half a second a second, or a little less often
    assert n2 == ["n2", "down"] + ["-"] * 12
    assert all(len(line) <= 80 for line in lines)


def test_json(cluster):
    data, _ = cluster(loaded("n1", reads_s=10, writes_s=5, hints=7), None)
    done = command("top", "--data", data, "--json")
    said = json.loads(done.stdout)
    assert said["requests_s"] == 15 and said["shards"] == 48 and said["leader"] == "n1"
    assert said["nodes"][0]["hints"] == 7 and said["nodes"][0]["store_bytes"] == 5 << 20
    assert said["nodes"][1]["state"] == "down" and said["nodes"][1]["reads_s"] is None


def test_a_change_of_members_has_a_bar(cluster):
    change = {"node": "n4", "what": "add", "shards": 60, "moving": 15, "cancelled": False, "ready": False}
    data, _ = cluster({("GET", "/status"): (200, {**status_of("n1"), "change": change})})
    assert "[###############.....] n4 joins: 15 of 60 shards still move" in command("top", "--data", data).stdout


def test_what_is_missing_is_named(cluster, tmp_path):
    assert "holds no cluster" in command("top", "--once", "--data", tmp_path / "nothing").stderr
    assert command("top", "--every", "0", "--data", tmp_path).returncode == 2


class Terminal:
    """Runs the command on a terminal and knows what it shows: rows of text without colours."""

    def __init__(self, columns, rows, *arguments):
        self.columns, self.rows = columns, rows
        self.raw = b""
        child, self.master = pty.fork()
        if child == 0:
            time.sleep(0.05)  # until the size is set
            os.execv(ASTERISM, [ASTERISM, *map(str, arguments)])
        self.pid = child
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.master)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        with contextlib.suppress(OSError):
            while data := os.read(self.master, 65536):
                self.raw += data

    def screen(self):
        """The last whole frame."""
        frames = self.raw.decode(errors="replace").split("\x1b[H")[1:]
        whole = [frame for frame in frames if "\x1b[J" in frame]
        if not whole:
            return []
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", whole[-1].split("\x1b[J")[0])
        return re.split("\r*\n", text)

    def wait_for(self, condition, what):
        end = time.monotonic() + 10
        while not condition(self.screen()):
            assert time.monotonic() < end, f"{what}: {self.screen()}"
            time.sleep(0.02)
        return self.screen()

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        """The exit code."""
        end = time.monotonic() + 10
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.01)
        self.reader.join(5)
        assert self.raw.endswith(b"\x1b[?7h\x1b[?25h\x1b[?1049l"), self.raw[-60:]
        assert termios.tcgetattr(self.master) == self.before
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)


def nodes_shown(screen):
    return [line.split()[0] for line in screen if re.match(r"n\d+ ", line)]


@pytest.fixture
def three(cluster):
    data, _ = cluster(loaded("n1", reads_s=10, store_bytes=1), loaded("n2", reads_s=30, store_bytes=2),
                      loaded("n3", reads_s=20, store_bytes=3))
    return data


def test_the_screen_is_sorted_by_keys_resized_and_given_back(three):
    terminal = Terminal(80, 24, "top", "--data", three, "--every", "0.5")
    screen = terminal.wait_for(lambda screen: len(screen) == 24, "a whole screen")
    assert nodes_shown(screen) == ["n1", "n2", "n3"] and screen[-1].startswith("q quit")
    assert not [line for line in screen if len(line) > 80]
    assert b"\x1b[?1049h" in terminal.raw
    terminal.type("r")
    terminal.wait_for(lambda screen: nodes_shown(screen) == ["n2", "n3", "n1"], "order by reads")
    terminal.type("d\x1b[A")  # the arrow does nothing
    terminal.wait_for(lambda screen: nodes_shown(screen) == ["n3", "n2", "n1"], "order by disk")
    terminal.type("n")
    terminal.wait_for(lambda screen: nodes_shown(screen) == ["n1", "n2", "n3"], "order by name")
    terminal.wait_for(lambda screen: "requests/s" in screen[1] and "60 now" in screen[1], "the rate")
    terminal.resize(60, 6)
    screen = terminal.wait_for(lambda screen: len(screen) == 6 and all(len(line) <= 60 for line in screen), "a small one")
    assert nodes_shown(screen) == ["n1", "n2"][:len(nodes_shown(screen))] and "more nodes" in screen[4]
    terminal.resize(120, 40)
    terminal.wait_for(lambda screen: len(screen) == 40, "a large one")
    terminal.type("q")
    assert terminal.end() == 0


@pytest.mark.parametrize("way", ["key", "signal"])
def test_ctrl_c_gives_the_screen_back(three, way):
    terminal = Terminal(100, 30, "top", "--data", three)
    terminal.wait_for(lambda screen: len(screen) == 30, "a whole screen")
    terminal.type("\x03") if way == "key" else os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.end() == 0


def test_a_node_that_goes_down_is_shown_so(cluster):
    data, nodes = cluster(loaded("n1"), loaded("n2"))
    terminal = Terminal(80, 24, "top", "--data", data, "--every", "0.5")
    terminal.wait_for(lambda screen: any(re.match("n2 +up ", line) for line in screen), "n2 up")
    nodes[1].close()
    terminal.wait_for(lambda screen: any(re.match("n2 +down ", line) for line in screen), "n2 down")
    terminal.type("q")
    assert terminal.end() == 0
