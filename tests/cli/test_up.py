"""The command line as scripts use it: `asterism up` and what goes with it, on the real system."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from cluster import is_alive, wait_until

ASTERISM = os.environ.get("ASTERISM", "./asterism")
# Ports of their own, so that a cluster of the developer's is not in the way.
OFFSET = 20000
CQL, HTTP = 9042 + OFFSET, 7070 + OFFSET


def command(*arguments, timeout=30):
    return subprocess.run([ASTERISM, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)


def answers(node, port="cql"):
    with contextlib.suppress(OSError):
        socket.create_connection((node["address"], node[port]), 1).close()
        return True
    return False


class Up:
    def __init__(self, data, *arguments):
        self.process = subprocess.Popen(
            [ASTERISM, "up", "--json", "--data", str(data), *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.ready = json.loads(line)
        self.nodes = self.ready["nodes"]

    def event(self):
        return json.loads(self.process.stdout.readline())

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        begun = time.monotonic()
        code = self.process.wait(10)
        return code, time.monotonic() - begun

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def test_up_names_every_endpoint_and_sigterm_stops_all_within_two_seconds(data):
    with Up(data, "--port-offset", OFFSET) as up:
        assert up.ready["ready"] is True
        assert up.ready["pid"] == up.process.pid
        assert 0 < up.ready["seconds"] < 20
        assert [node["name"] for node in up.nodes] == ["n1", "n2", "n3"]
        assert len({node["address"] for node in up.nodes}) == 3
        for node in up.nodes:
            assert (node["cql"], node["http"]) == (CQL, HTTP)
            assert is_alive(node["pid"]) and answers(node) and answers(node, "http")
        code, seconds = up.stop()
        assert code == 0 and seconds < 2
        assert not any(is_alive(node["pid"]) for node in up.nodes)
        assert not any(answers(node) for node in up.nodes)


def test_a_frozen_node_does_not_delay_the_end(data):
    with Up(data, "--nodes", 1, "--port-offset", OFFSET) as up:
        os.kill(up.nodes[0]["pid"], signal.SIGSTOP)
        code, seconds = up.stop(signal.SIGINT)
        assert code == 0 and seconds < 2
        assert not is_alive(up.nodes[0]["pid"])


def test_nodes_end_with_a_supervisor_that_was_killed(data):
    with Up(data, "--port-offset", OFFSET) as up:
        up.process.kill()
        up.process.wait()
        wait_until(lambda: not any(is_alive(node["pid"]) for node in up.nodes), 20, "the nodes to end")


def test_a_killed_node_stays_down_until_it_is_started_again(data):
    with Up(data, "--port-offset", OFFSET) as up:
        killed = up.nodes[1]
        os.kill(killed["pid"], signal.SIGKILL)
        assert up.event() == {"event": "node_down", "name": "n2", "pid": killed["pid"], "signal": 9}
        status = command("status", "--data", data, "--json")
        assert status.returncode == 0
        nodes = json.loads(status.stdout)["nodes"]
        assert [node["pid"] is None for node in nodes] == [False, True, False]
        assert [node.get("resident_bytes", 0) > 1 << 20 for node in nodes] == [True, False, True]

        started = command("node", "start", "n2", "--data", data, "--json")
        assert started.returncode == 0, started.stderr
        said = json.loads(started.stdout)
        assert said == {**killed, "pid": said["pid"]} and said["pid"] != killed["pid"]
        assert answers(said)
        assert up.event() == {"event": "node_up", "name": "n2", "pid": said["pid"]}

        again = command("node", "start", "n2", "--data", data, "--json")
        assert again.returncode == 1 and "already running" in again.stderr

        # At once, while the kernel may still take the process away.
        os.kill(said["pid"], signal.SIGKILL)
        started = command("node", "start", "n2", "--data", data, "--json")
        assert started.returncode == 0, started.stderr
        down = up.event()
        assert (down["event"], down["name"], down["pid"]) == ("node_down", "n2", said["pid"])
        third = json.loads(started.stdout)
        code, seconds = up.stop()
        assert code == 0 and seconds < 2
        assert not is_alive(third["pid"]), "a node that somebody else started was left behind"


def test_a_started_node_outlives_its_supervisor_and_is_taken_on_by_the_next(data):
    with Up(data, "--port-offset", OFFSET) as up:
        os.kill(up.nodes[2]["pid"], signal.SIGKILL)
        up.event()
        started = json.loads(command("node", "start", "n3", "--data", data, "--json").stdout)
        up.process.kill()
        up.process.wait()
        wait_until(lambda: not any(is_alive(node["pid"]) for node in up.nodes), 20, "the supervised nodes to end")
        assert answers(started)
    with Up(data) as up:
        assert up.nodes[2] == started
        assert up.stop()[0] == 0
        assert not is_alive(started["pid"])


def test_up_goes_on_with_the_same_folder(data):
    with Up(data, "--port-offset", OFFSET) as up:
        before = up.nodes
        up.stop()
    with Up(data) as up:
        assert [{**node, "pid": 0} for node in up.nodes] == [{**node, "pid": 0} for node in before]
    other = command("up", "--data", data, "--nodes", 5, "--json")
    assert other.returncode == 1
    assert "3 nodes, not 5" in other.stderr and "--data" in other.stderr


def test_one_supervisor_per_folder(data):
    with Up(data, "--port-offset", OFFSET):
        second = command("up", "--data", data)
        assert second.returncode == 1 and "already runs" in second.stderr


def test_a_port_in_use_is_named_with_what_to_try(data):
    with socket.create_server(("127.0.0.2", CQL)):
        up = command("up", "--data", data, "--port-offset", OFFSET, "--json")
    assert up.returncode == 1 and up.stdout == ""
    for word in (f"127.0.0.2:{CQL}", "--port-offset", "--cql-port", "--http-port", "--data"):
        assert word in up.stderr
    with Up(data, "--cql-port", CQL + 1, "--http-port", HTTP, "--rpc-port", 7000 + OFFSET) as up:
        assert up.nodes[0]["cql"] == CQL + 1


def test_a_damaged_configuration_is_named(data):
    with Up(data, "--nodes", 1, "--port-offset", OFFSET) as up:
        up.stop()
    with open(data / "n1" / "node.toml", "a") as file:
        file.write("\nnonsense")
    up = command("up", "--data", data)
    assert up.returncode == 1
    assert "node.toml line" in up.stderr and str(data / "n1") in up.stderr


def test_node_start_says_what_is_missing(data):
    assert "holds no cluster" in command("node", "start", "n1", "--data", data).stderr
    with Up(data, "--nodes", 1, "--port-offset", OFFSET):
        assert "has no node n9: it has n1" in command("node", "start", "n9", "--data", data).stderr


def test_joining_says_what_is_missing(data, tmp_path):
    token = tmp_path / "token"
    token.write_text("asterism1-" + "-".join(["0" * 16, "0" * 64, "plain"]))
    def join(member, *more):
        return command("node", "start", "--data", data, "--join", member, "--token", token, *more).stderr

    assert "needs --join and --token" in command("node", "start", "n1", "--data", data, "--token", token).stderr
    assert "needs --join and --token" in command("node", "start", "--data", data, "--join", "127.0.0.1").stderr
    assert "127.0.0.1:1: " in join("127.0.0.1:1", "--address", "127.0.0.9")
    assert "is no address" in join("127.0.0.1:x", "--address", "127.0.0.9")
    assert "not a loopback address" in join("10.0.0.1", "--address", "127.0.0.9")
    assert "must be a loopback address" in join("127.0.0.1:1", "--address", "10.0.0.1")
    token.write_text("nothing")
    assert "holds no join token" in join("127.0.0.1:1", "--address", "127.0.0.9")
    for verb in ("drain", "stop", "remove"):
        assert "holds no cluster" in command("node", verb, "n1", "--data", data).stderr


def test_people_get_a_table_without_colours_in_a_pipe(data):
    up = subprocess.Popen([ASTERISM, "up", "--data", str(data), "--port-offset", str(OFFSET)],
                          stdout=subprocess.PIPE, text=True)
    lines = []
    for line in up.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    up.terminate()
    text = "".join(lines)
    assert up.wait(5) == 0
    up.stdout.close()
    assert "3 nodes" in text and f"127.0.0.3:{CQL}" in text and f"cqlsh 127.0.0.1 {CQL}" in text
    assert "\x1b" not in text


def test_usage(tmp_path):
    assert command("version").stdout.startswith("asterism ")
    assert command("--help").returncode == 0
    assert command("nonsense").returncode == 2
    assert command("up", "--nodes", "0", "--data", tmp_path).returncode == 2
    for shell in ("bash", "zsh", "fish"):
        assert "status" in command("completion", shell).stdout
    script = tmp_path / "completion"
    script.write_text(command("completion", "bash").stdout)
    ask = f"source {script}; COMP_WORDS=(asterism node st); COMP_CWORD=2; _asterism; echo ${{COMPREPLY[@]}}"
    assert subprocess.run(["bash", "-c", ask], capture_output=True, text=True).stdout.split() == ["start", "stop"]
