"""`asterism logs` over log files that the test writes, as nodes write them."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time

import pytest

ASTERISM = os.environ.get("ASTERISM", "./asterism")


def command(*arguments, timeout=30):
    return subprocess.run([ASTERISM, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)


def line(second, level, component, message):
    return f"2026-01-31T12:{second // 60:02}:{second % 60:02}.000{second % 60:03}Z {level} {component} {message}\n"


def add_node(data, number):
    folder = data / f"n{number}"
    folder.mkdir()
    (folder / "node.toml").write_text(
        f'node_id = {number}\nname = "n{number}"\naddress = "127.0.0.{number}"\ncluster_name = "asterism"\n'
        f'cql_port = 9042\nhttp_port = 7070\nrpc_port = 7000\nlog_level = "info"\n\n'
        f'[[member]]\nid = {number}\nname = "n{number}"\naddress = "127.0.0.{number}"\nrpc_port = 7000\n')
    return folder


@pytest.fixture
def data(tmp_path):
    for number in (1, 2):
        add_node(tmp_path, number)
    return tmp_path


def entries(data, *arguments):
    done = command("logs", "--data", data, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(each) for each in done.stdout.splitlines()]


def messages(data, *arguments):
    return [entry["message"] for entry in entries(data, *arguments)]


class Following:
    def __init__(self, data, *arguments):
        self.process = subprocess.Popen([ASTERISM, "logs", "--data", str(data), "--json", "--follow", *arguments],
                                        stdout=subprocess.PIPE, text=True)
        self.messages = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for each in self.process.stdout:
            self.messages.append(json.loads(each)["message"])

    def wait_for(self, expected):
        end = time.monotonic() + 10
        while self.messages != expected:
            assert time.monotonic() < end, f"{self.messages} instead of {expected}"
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(10)
        self.reader.join(10)
        self.process.stdout.close()
        assert code == 0


def test_logs_and_audit_logs_are_merged_by_time(data):
    (data / "n1" / "node.log.1").write_text(line(1, "info", "n1", "first"))
    (data / "n1" / "node.log").write_text(line(3, "warning", "n1.cql", "third") + line(6, "info", "n1", "sixth"))
    (data / "n1" / "audit.log").write_text(line(4, "info", "n1", 'event=login user="ada"'))
    (data / "n2" / "node.log").write_text(line(2, "error", "n2", "second") + line(5, "debug", "n2.raft", "fifth"))
    said = entries(data)
    assert [entry["message"] for entry in said] == ["first", "second", "third", 'event=login user="ada"', "fifth", "sixth"]
    assert said[2] == {"time": "2026-01-31T12:00:03.000003Z", "node": "n1", "level": "warning", "log": "node",
                       "component": "cql", "message": "third"}
    assert [entry["log"] for entry in said].count("audit") == 1
    assert messages(data, "n2") == ["second", "fifth"]
    assert messages(data, "--level", "warning") == ["second", "third"]
    assert messages(data, "--lines", "2") == ["fifth", "sixth"]
    assert messages(data, "--since", "2026-01-31T12:00:05") == ["fifth", "sixth"]
    assert messages(data, "--since", "1s") == [] and len(messages(data, "--since", "999999d")) == 6
    words = command("logs", "--data", data, "--lines", 4).stdout
    assert words.splitlines()[0] == "2026-01-31T12:00:03.000003Z n1   warning cql       third"
    assert " audit " in words and "\x1b" not in words


def test_what_the_log_did_not_write_stays_with_the_line_before(data):
    (data / "n1" / "node.log").write_text(
        "loose\n" + line(1, "error", "n1", "breaks") + "assertion failed:\n  \x1b[31mx > 0\n" + line(3, "info", "n1", "on"))
    (data / "n2" / "node.log").write_text(line(2, "info", "n2", "between"))
    assert messages(data) == ["loose", "breaks", "assertion failed:", "  [31mx > 0", "between", "on"]
    assert messages(data, "--level", "error") == ["breaks", "assertion failed:", "  [31mx > 0"]


def test_the_last_lines_of_long_logs_are_exact(data):
    long = "x" * 3000
    for number, name in ((1, "node.log.1"), (1, "node.log"), (2, "node.log")):
        base = 0 if name.endswith("1") else 600
        (data / f"n{number}" / name).write_text("".join(
            line(base + second, "info", f"n{number}", f"{name} {second} {long}") for second in range(600)))
    said = [message.split()[:2] for message in messages(data, "n1", "--lines", 601)]
    assert said == [["node.log.1", "599"]] + [["node.log", str(second)] for second in range(600)]
    assert len(messages(data, "--since", "2026-01-31T00:00")) == 1800


def test_endless_lines_and_other_bytes_do_no_harm(data):
    (data / "n1" / "node.log").write_bytes(b"\xff\0" * 100_000 + b"\n" + line(1, "info", "n1", "last").encode())
    (data / "n2" / "node.log").mkdir()
    done = command("logs", "--data", data)
    assert done.returncode == 0 and done.stdout.endswith("last\n")


def test_follow_goes_on_across_renaming_cutting_and_new_nodes(data):
    log = data / "n1" / "node.log"
    log.write_text(line(1, "info", "n1", "old") + line(2, "info", "n1", "recent"))
    with Following(data, "--lines", "1") as following:
        expected = ["recent"]
        following.wait_for(expected)

        def append(path, message):
            with open(path, "a") as file:
                file.write(line(5, "info", path.parent.name, message))
            expected.append(message)

        append(log, "written")
        following.wait_for(expected)
        append(data / "n2" / "audit.log", "audited")
        following.wait_for(expected)
        append(log, "before the renaming")
        log.rename(data / "n1" / "node.log.1")
        append(log, "after the renaming")
        following.wait_for(expected)
        os.truncate(log, 0)
        append(log, "cut")
        following.wait_for(expected)
        append(add_node(data, 3) / "node.log", "joined")
        following.wait_for(expected)


def test_follow_ends_when_nobody_reads(data):
    log = data / "n1" / "node.log"
    log.write_text(line(1, "info", "n1", "old"))
    following = subprocess.Popen([ASTERISM, "logs", "--data", str(data), "--follow"], stdout=subprocess.PIPE, text=True)
    assert following.stdout.readline()
    following.stdout.close()
    with open(log, "a") as file:
        file.write(line(2, "info", "n1", "unheard"))
    assert following.wait(10) == 0


def test_wrong_usage_is_named(data):
    assert "has no node n9: it has n1 n2" in command("logs", "n9", "--data", data).stderr
    assert command("logs", "--data", data, "--since", "yesterday").returncode == 2
    assert command("logs", "--data", data, "--level", "loud").returncode == 2
    assert "holds no cluster" in command("logs", "--data", data / "nothing").stderr
