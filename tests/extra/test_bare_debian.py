"""A new Debian 12 with nothing but git: the two commands of the README are all it takes.

Opt-in, because it downloads Debian packages and builds everything anew. Needs root, debootstrap and unshare. The mirror
is that of this machine. Everything is mounted in a mount namespace of its own, so that nothing stays mounted whatever
happens, and all processes end with the process namespace that they run in."""

import contextlib
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import time

import pytest

from cluster import ROOT, wait_until
from cql import connect, keyspace

BUILD_MINUTES = 10
SECURITY = re.compile("security")
# Mounts as a booted machine has them. The root is a mount of its own, or else `ip netns exec` cannot make it private.
ENTER = """
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  sh -c 'cd /asterism; exec "$@"' sh "$@"
"""


class Here:
    """Where `asterism up` serves unless told otherwise."""

    port = 9042

    @staticmethod
    def addresses():
        return ["127.0.0.1"]


def archives():
    """The lines of this machine's apt sources for Debian itself, with bookworm in place of whatever it runs."""
    lines = []
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        text = path.read_text() if path.is_file() else ""
        found = re.findall(r"^URIs:\s*(\S+)", text, re.M) + re.findall(r"^deb\s+(?:\[[^]]*\]\s*)?(\S+)", text, re.M)
        for uri in found:
            if re.search(r"/debian(-security)?/?$", uri):
                suite = "bookworm-security" if SECURITY.search(uri) else "bookworm"
                lines.append((uri, suite))
    return list(dict.fromkeys(lines))


class Root:
    def __init__(self, path):
        self.path = path

    def enter(self, *command, network=True):
        """A process that runs in the root, in the project's folder; `network` is this machine's, or an empty one."""
        spaces = ["--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        enter = ENTER if network else "ip link set lo up\n" + ENTER
        return subprocess.Popen(["unshare", *spaces, "sh", "-euc", enter, "sh", str(self.path), *command],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def run(self, *command, timeout, network=True):
        process = self.enter(*command, network=network)
        try:
            said, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
        assert process.returncode == 0, f"{' '.join(command)}: {said[-6000:]}"
        return said


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    assert os.geteuid() == 0, "this test makes a root file system, which needs root"
    for program in ("debootstrap", "unshare", "git", "ip"):
        assert shutil.which(program), f"this test needs {program}"
    sources = archives()
    mirrors = [uri for uri, suite in sources if suite == "bookworm"]
    assert mirrors, "this machine's apt sources name no mirror of Debian"
    path = tmp_path_factory.mktemp("bare") / "root"
    made = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(path), mirrors[0]], capture_output=True,
                          text=True)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    (path / "etc/apt/sources.list").write_text("".join(f"deb {uri} {suite} main\n" for uri, suite in sources))
    settings = subprocess.run(["apt-config", "dump", "--format", "%f \"%v\";%n"], capture_output=True, text=True).stdout
    (path / "etc/apt/apt.conf.d/99machine").write_text("".join(
        line + "\n" for line in settings.splitlines()
        if re.match(r"Acquire::(https?::proxy|Check-Valid-Until|Check-Date|Retries)\b", line, re.I)))
    (path / "asterism").mkdir()
    bare = Root(path)
    bare.run("sh", "-c", "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "
             "install git ca-certificates", timeout=600)
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(path / "asterism")], check=True)
    yield bare
    mounted = pathlib.Path("/proc/mounts").read_text()
    assert str(path) not in mounted, "something of the root is still mounted"
    shutil.rmtree(path)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def nodes_left(root):
    """Processes whose root directory is the root: only the nodes' and their supervisor's could be."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/root"):
        with contextlib.suppress(OSError):
            if os.readlink(entry) == str(root.path):
                found.append(entry)
    return found


def test_up_builds_and_serves(root):
    assert not (root.path / "usr/bin/cmake").exists() and not (root.path / "usr/bin/python3").exists()
    begun, used = time.monotonic(), processor_seconds()
    up = root.enter("./asterism", "up")
    said = ""
    try:
        while "Ctrl-C" not in said:
            line = up.stdout.readline()
            assert line, f"up ended: {said}"
            said += line
        took = time.monotonic() - begun
        assert "Asterism is up: 3 nodes in" in said
        session = connect(Here).connect()
        keyspace(session, "shop")
        session.execute("CREATE TABLE shop.orders (customer text, placed timeuuid, PRIMARY KEY (customer, placed))")
        session.execute("INSERT INTO shop.orders (customer, placed) VALUES ('ada', now())")
        assert len(list(session.execute("SELECT * FROM shop.orders WHERE customer = 'ada'"))) == 1
        session.cluster.shutdown()
    finally:
        os.killpg(up.pid, signal.SIGINT)  # as a terminal does at Ctrl-C
        up.communicate(timeout=30)
    assert up.returncode == 0
    wait_until(lambda: not nodes_left(root), 5, "the nodes to end")
    # Other work of the machine is not the build's: what the processors spent counts where that is less.
    spent = (processor_seconds() - used) / os.cpu_count()
    print(f"packages and build: {took / 60:.1f} min by the clock, {spent / 60:.1f} min of {os.cpu_count()} processors")
    assert min(took, spent) <= BUILD_MINUTES * 60


def test_tests_pass(root):
    # Installs what the tests need and builds them, but runs none.
    root.run("./asterism", "test", "-N", timeout=3600)
    # In a network of their own nothing on this machine disturbs them.
    said = root.run("./asterism", "test", timeout=3600, network=False)
    print(said)
    assert "100% tests passed" in said, said[-6000:]
    # ctest shows nothing of tests that pass, and what pytest skipped counts as such.
    log = (root.path / "asterism/build/release/Testing/Temporary/LastTest.log").read_text(errors="replace")
    skipped = [line for line in log.splitlines() if re.search(r"\b[1-9]\d* skipped\b", line, re.I)]
    assert not skipped and "Not Run" not in said, (skipped, said[-6000:])
    assert all(name in said for name in ("fault.faults", "conformance", "house", "sim")), said[-6000:]
