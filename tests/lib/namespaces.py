"""Nodes in network namespaces of their own, joined by a bridge, so that each can be cut off. Needs root."""

import os
import pathlib
import signal
import subprocess

from cluster import ASTERISM, answers, wait_until

# Documentation addresses (RFC 5737), which no machine uses.
NETWORK = "203.0.113"


def ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


def why_not():
    """The reason why this machine cannot make namespaces, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"ast{os.getpid()}x"
    try:
        made = ip("netns", "add", name, check=False)
    except FileNotFoundError:
        return "there is no ip command (package iproute2)"
    if made.returncode:
        return f"ip netns add fails here: {made.stderr.strip()}"
    linked = ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name, check=False)
    ip("link", "del", name, check=False)
    ip("netns", "del", name, check=False)
    return f"veth devices cannot be made here: {linked.stderr.strip()}" if linked.returncode else None


class NamespaceCluster:
    """Three nodes; the test itself is at NETWORK.254. The same members as cluster.Cluster."""

    def __init__(self, data):
        self.data = pathlib.Path(data)
        self.tag = f"ast{os.getpid() % 100000}"
        self.processes = [None] * 3
        self.nodes = [{"name": f"n{k}", "address": f"{NETWORK}.{k}", "cql": 9042, "pid": 0} for k in (1, 2, 3)]
        self.port = 9042

    def __enter__(self):
        try:
            ip("link", "add", self.tag, "type", "bridge")
            ip("addr", "add", f"{NETWORK}.254/24", "dev", self.tag)
            ip("link", "set", self.tag, "up")
            for k in (1, 2, 3):
                space, outside = f"{self.tag}n{k}", f"{self.tag}v{k}"
                ip("netns", "add", space)
                ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
                ip("link", "set", outside, "master", self.tag, "up")
                ip("-n", space, "addr", "add", f"{NETWORK}.{k}/24", "dev", "eth0")
                ip("-n", space, "link", "set", "eth0", "up")
                ip("-n", space, "link", "set", "lo", "up")
                self._write_settings(k)
            for i in range(3):
                self._run(i)
            for i in range(3):
                self._wait_for(i)
        except BaseException:
            self.__exit__(True)
            raise
        return self

    def _write_settings(self, k):
        folder = self.data / f"n{k}"
        folder.mkdir(parents=True)
        text = (f'node_id = {k}\nname = "n{k}"\ncluster_name = "asterism"\naddress = "{NETWORK}.{k}"\ncql_port = 9042\n'
                'http_port = 7070\nrpc_port = 7000\nlog_level = "info"\ninsecure = true\n')
        for other in (1, 2, 3):
            text += f'\n[[member]]\nid = {other}\nname = "n{other}"\naddress = "{NETWORK}.{other}"\nrpc_port = 7000\n'
        (folder / "node.toml").write_text(text)

    def _run(self, i):
        with open(self.data / f"n{i + 1}" / "node.log", "ab") as log:
            self.processes[i] = subprocess.Popen(
                ["ip", "netns", "exec", f"{self.tag}n{i + 1}", ASTERISM, "node", "run", "--data",
                 str(self.data / f"n{i + 1}")], stdout=log, stderr=log)
        self.nodes[i]["pid"] = self.processes[i].pid  # `ip netns exec` becomes the command

    def _wait_for(self, i):
        wait_until(lambda: answers(self.nodes[i]["address"], self.port), 30, f"n{i + 1} to serve: {self.log_tails()}")

    def __exit__(self, kind, *_):
        for process in self.processes:
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            if process:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for k in (1, 2, 3):
            ip("link", "del", f"{self.tag}v{k}", check=False)
            ip("netns", "del", f"{self.tag}n{k}", check=False)
        ip("link", "del", self.tag, check=False)
        if kind is not None:
            print(self.log_tails())

    def addresses(self):
        return [node["address"] for node in self.nodes]

    def kill(self, i):
        self.processes[i].kill()
        self.processes[i].wait()

    def start(self, i):
        self._run(i)
        self._wait_for(i)

    def freeze(self, i):
        os.kill(self.nodes[i]["pid"], signal.SIGSTOP)

    def thaw(self, i):
        os.kill(self.nodes[i]["pid"], signal.SIGCONT)

    def cut_off(self, i):
        """Nothing reaches the node or leaves it; nobody is told."""
        ip("link", "set", f"{self.tag}v{i + 1}", "nomaster")

    def rejoin(self, i):
        ip("link", "set", f"{self.tag}v{i + 1}", "master", self.tag)

    def log_tails(self, lines=15):
        said = ""
        for path in sorted(self.data.glob("n*/node.log")):
            said += f"\n--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
        return said
