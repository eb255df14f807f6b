"""Clusters whose nodes are programs of the tests that answer as they are told."""

import contextlib

import pytest

from pretended import Node, unused_port


@pytest.fixture
def cluster(tmp_path):
    """make(answers of n1, of n2, …): a cluster's folder and its nodes; one whose answers are None does not run."""
    with contextlib.ExitStack() as stack:
        def make(*nodes):
            members = range(1, len(nodes) + 1)
            seeds = "".join(f'\n[[member]]\nid = {k}\nname = "n{k}"\naddress = "127.0.0.{k}"\nrpc_port = 7000\n'
                            for k in members)
            made = []
            for k, answers in zip(members, nodes):
                node, port = None, unused_port(f"127.0.0.{k}")
                if answers is not None:
                    node = Node(f"127.0.0.{k}", answers)
                    stack.callback(node.close)
                    port = node.port
                made.append(node)
                folder = tmp_path / f"n{k}"
                folder.mkdir()
                (folder / "node.toml").write_text(
                    f'node_id = {k}\nname = "n{k}"\ncluster_name = "asterism"\naddress = "127.0.0.{k}"\n'
                    f'cql_port = 9042\nhttp_port = {port}\nrpc_port = 7000\nlog_level = "info"\n{seeds}')
            return tmp_path, made
        yield make
