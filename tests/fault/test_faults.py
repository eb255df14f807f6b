"""One node at a time fails under load: nothing acknowledged is lost, and clients of the other nodes notice nothing.

ASTERISM_LONG=1 makes ten minutes of the half minute."""

import json
import os

import pytest

import namespaces
from chaos import load_under_faults
from cluster import Cluster, command

LONG = os.environ.get("ASTERISM_LONG") == "1"
SECONDS = 600 if LONG else 30


def kill_and_freeze(cluster):
    return {"kill": (cluster.kill, cluster.start), "freeze": (cluster.freeze, cluster.thaw)}


def verify(data):
    """All replicas hold the same, says the cluster itself."""
    verified = command("verify", "--data", data, "--json", timeout=180)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert all(json.loads(line) for line in verified.stdout.splitlines())


def test_kills_and_freezes(tmp_path):
    with Cluster(tmp_path / "data") as cluster:
        assert load_under_faults(cluster, kill_and_freeze(cluster), SECONDS) > 2000
        verify(cluster.data)


def test_cut_off(tmp_path):
    reason = namespaces.why_not()
    if reason:
        pytest.skip(reason)
    with namespaces.NamespaceCluster(tmp_path / "data") as cluster:
        faults = {"cut off": (cluster.cut_off, cluster.rejoin)}
        if LONG:
            faults |= kill_and_freeze(cluster)
        assert load_under_faults(cluster, faults, SECONDS) > 2000
        verify(cluster.data)
