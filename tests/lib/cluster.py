"""A real cluster under test: `asterism up --json` on a folder of its own, and faults by signal."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASTERISM = os.environ.get("ASTERISM", str(ROOT / "build" / "release" / "asterism"))
# Ports of their own, so that a cluster of the developer's is not in the way.
PORT_OFFSET = int(os.environ.get("ASTERISM_TEST_PORT_OFFSET", 10000))
# For a second cluster beside the first.
OTHER_PORT_OFFSET = PORT_OFFSET + 500


def wait_until(condition, seconds, what):
    """Returns the first true value of the condition."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def is_alive(pid):
    """Also a zombie lives while other threads than its first still end: until then ports and files stay open."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return fields[0] not in "ZX" or int(fields[17]) > 1
    except OSError:
        return False


def resident_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def answers(address, port):
    with contextlib.suppress(OSError):
        socket.create_connection((address, port), 1).close()
        return True
    return False


def command(*arguments, timeout=60):
    return subprocess.run([ASTERISM, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)


class Cluster:
    """Nodes count from 0; with `nodes` None there are as many as the folder has. Where the test fails, the folder stays
    and the ends of the logs are shown. `options` are more of what `asterism up` takes: racks=3, authentication=True."""

    def __init__(self, data, nodes=3, port_offset=PORT_OFFSET, **options):
        self.port_offset = port_offset
        self.data = pathlib.Path(data)
        self.options = []
        for name, value in options.items():
            self.options += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        self.count = nodes
        self.nodes = []
        self.events = []
        self.up = None

    def __enter__(self):
        self.begin()
        return self

    def begin(self):
        # The supervisor's output goes on in a file: it must never wait for a reader.
        self.data.parent.mkdir(parents=True, exist_ok=True)
        errors = open(self.data.parent / (self.data.name + ".up.log"), "ab")
        nodes = ["--nodes", str(self.count)] if self.count else []
        self.up = subprocess.Popen(
            [ASTERISM, "up", "--json", *nodes, "--data", str(self.data), "--port-offset",
             str(self.port_offset), *self.options], stdout=subprocess.PIPE, stderr=errors, text=True)
        errors.close()
        line = self.up.stdout.readline()
        assert line, f"up ended with {self.up.wait(10)}: " + self.log_tails()
        self.ready = json.loads(line)
        self.nodes = self.ready["nodes"]
        threading.Thread(target=self._collect_events, args=(self.up,), daemon=True).start()

    def _collect_events(self, process):
        for line in process.stdout:
            self.events.append(json.loads(line))

    def end(self):
        for i in range(len(self.nodes)):
            self.signal(i, signal.SIGCONT)
        if self.up and self.up.poll() is None:
            self.up.terminate()
            try:
                self.up.wait(15)
            except subprocess.TimeoutExpired:
                self.up.kill()
                self.up.wait()
        # Nodes that outlived their supervisor, whatever the reason, must not meet the next test.
        for i, node in enumerate(self.nodes):
            if is_alive(node["pid"]):
                self.signal(i, signal.SIGKILL)
                wait_until(lambda: not is_alive(node["pid"]), 20, f"{node['name']} to die")

    def __exit__(self, kind, *_):
        self.end()
        if kind is not None:
            print(self.log_tails())

    def addresses(self):
        return [node["address"] for node in self.nodes]

    @property
    def port(self):
        return self.nodes[0]["cql"]

    def signal(self, i, number):
        if is_alive(self.nodes[i]["pid"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.nodes[i]["pid"], number)

    def kill(self, i):
        self.signal(i, signal.SIGKILL)
        wait_until(lambda: not is_alive(self.nodes[i]["pid"]), 20, f"{self.nodes[i]['name']} to die")

    def freeze(self, i):
        self.signal(i, signal.SIGSTOP)

    def thaw(self, i):
        self.signal(i, signal.SIGCONT)

    def start(self, i):
        started = command("node", "start", self.nodes[i]["name"], "--data", self.data, "--json")
        assert started.returncode == 0, started.stderr + self.log_tails()
        self.nodes[i]["pid"] = json.loads(started.stdout)["pid"]

    def kill_all(self):
        """At once, as a power cut does; the supervisor is told afterwards."""
        for i in range(len(self.nodes)):
            self.signal(i, signal.SIGKILL)
        for node in self.nodes:
            wait_until(lambda: not is_alive(node["pid"]), 20, f"{node['name']} to die")
        self.up.terminate()
        self.up.wait(10)

    def log(self, i):
        return (self.data / self.nodes[i]["name"] / "node.log").read_text(errors="replace")

    def log_tails(self, lines=15):
        said = []
        for path in [self.data.parent / (self.data.name + ".up.log"), *sorted(self.data.glob("n*/node.log"))]:
            if path.exists():
                said.append(f"--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:]))
        return "\n" + "\n".join(said)
