"""`asterism user` against a real node in which clients must log in, and where there is nothing to log in to."""

import base64
import json
import os
import pty
import time
import urllib.request

import pytest

from cluster import Cluster
from pretended import ASTERISM, command, serving

ADMIN = "correct horse"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "password").write_text(ADMIN + "\n")
    with Cluster(folder / "data", nodes=1, authentication=True, admin_password_file=folder / "password") as running:
        running.login = folder / "password"
        cql(running, "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        cql(running, "CREATE TABLE shop.orders (k int PRIMARY KEY)")
        yield running


def cql(cluster, statement, user=("admin", ADMIN)):
    node = cluster.nodes[0]
    request = urllib.request.Request(
        f"http://{node['address']}:{node['http']}/cql", json.dumps({"statement": statement}).encode(),
        {"Content-Type": "application/json",
         "Authorization": "Basic " + base64.b64encode(":".join(user).encode()).decode()})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def user(cluster, *arguments, lines=(), login=True):
    more = ["--login-file", cluster.login] if login else []
    return command("user", *arguments, "--data", cluster.data, *more, input="".join(f"{line}\n" for line in lines))


def done(cluster, *arguments, **options):
    ran = user(cluster, *arguments, **options)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def users(cluster):
    listed = json.loads(done(cluster, "list", "--json"))["users"]
    return {each["name"]: (each["login"], each["superuser"]) for each in listed}


def permissions(cluster, name):
    listed = json.loads(done(cluster, "list", name, "--json"))["permissions"]
    return {(each["resource"], each["permission"]) for each in listed}


def test_users_come_log_in_and_go(guarded, tmp_path):
    assert "ada was added" in done(guarded, "add", "ada", lines=["love'lace"])
    (tmp_path / "secret").write_text("hopper\nnot this\n")
    said = done(guarded, "add", "grace", "--superuser", "--password-file", tmp_path / "secret", "--json")
    assert json.loads(said) == {"event": "user_added", "name": "grace"}
    done(guarded, "add", "clerks", "--no-login")
    assert users(guarded) == {"admin": (True, True), "ada": (True, False), "grace": (True, True),
                              "clerks": (False, False)}
    assert "ada" in done(guarded, "list") and "\x1b" not in done(guarded, "list")
    assert cql(guarded, "SELECT cluster_name FROM system.local", ("ada", "love'lace"))["kind"] == "rows"
    assert cql(guarded, "SELECT cluster_name FROM system.local", ("grace", "hopper"))["kind"] == "rows"

    done(guarded, "passwd", "ada", lines=["Ω new"])
    assert cql(guarded, "SELECT cluster_name FROM system.local", ("ada", "Ω new"))["kind"] == "rows"
    assert "ada" in done(guarded, "list", "--as", "ada", lines=["Ω new"], login=False)
    for name in ("ada", "grace", "clerks"):
        done(guarded, "remove", name)
    assert users(guarded) == {"admin": (True, True)}


def test_grants_and_what_comes_of_them(guarded):
    done(guarded, "add", "bob", lines=["pw"])
    done(guarded, "add", "clerks", "--no-login")
    done(guarded, "grant", "bob", "SELECT", "modify", "--on", "shop.orders")
    done(guarded, "grant", "clerks", "create", "--on", "shop")
    done(guarded, "grant", "bob", "--role", "clerks")
    assert permissions(guarded, "bob") == {("<table shop.orders>", "SELECT"), ("<table shop.orders>", "MODIFY"),
                                           ("<keyspace shop>", "CREATE")}
    assert cql(guarded, "INSERT INTO shop.orders (k) VALUES (1)", ("bob", "pw"))["kind"] == "done"
    done(guarded, "revoke", "bob", "modify", "--on", "shop.orders")
    done(guarded, "revoke", "bob", "--role", "clerks")
    assert permissions(guarded, "bob") == {("<table shop.orders>", "SELECT")}
    assert cql(guarded, "INSERT INTO shop.orders (k) VALUES (1)", ("bob", "pw"))["name"] == "Unauthorized"
    for on, named in (("all keyspaces", "<all keyspaces>"), ("all roles", "<all roles>"), ("role clerks", "<role clerks>")):
        done(guarded, "grant", "bob", "alter", "--on", on)
        assert (named, "ALTER") in permissions(guarded, "bob")
    for name in ("bob", "clerks"):
        done(guarded, "remove", name)


def test_names_are_taken_as_they_are(guarded):
    odd = 'Ed "quoted" O\'Hara; DROP ROLE admin'
    done(guarded, "add", odd, lines=["pw"])
    assert odd in users(guarded) and "admin" in users(guarded)
    assert (permissions(guarded, odd)) == set()
    done(guarded, "remove", odd)


def test_what_is_refused_is_said(guarded, tmp_path):
    for arguments, lines, words in (
            (("add", "admin"), ["pw"], "admin already exists"),
            (("remove", "nobody"), [], "nobody doesn't exist"),
            (("add", "eve"), [""], "must not be empty"),
            (("add", "eve"), [], "standard input has no more lines"),
            (("add", "eve", "--password-file", tmp_path / "missing"), [], "missing"),
            (("grant", "admin"), [], "--role"),
            (("grant", "admin", "select"), [], "--on takes"),
            (("grant", "admin", "select", "--on", "a.b.c"), [], "--on takes"),
            (("grant", "admin", "select", "--on", "nothing"), [], "nothing")):
        ran = user(guarded, *arguments, lines=lines)
        assert ran.returncode == 1 and words in ran.stderr and ran.stdout == "", (arguments, ran.stderr)
    wrong = user(guarded, "list", lines=["wrong"], login=False)
    assert wrong.returncode == 1 and "the name or the password is wrong" in wrong.stderr
    assert user(guarded, "grant", "admin", "nonsense", "--on", "shop").returncode == 2
    assert users(guarded) == {"admin": (True, True)}


def test_without_authentication_there_are_no_users(cluster):
    data, nodes = cluster(serving("n1"))
    ran = command("user", "list", "--data", data, input="pw\n")
    assert ran.returncode == 1 and "authentication is off" in ran.stderr and "--authentication" in ran.stderr
    assert ("POST", "/cql") not in nodes[0].asked
    assert "holds no cluster" in command("user", "list", "--data", data / "nothing").stderr


def test_without_a_node_that_serves_nothing_is_asked(cluster):
    data, _ = cluster(None)
    with open(data / "n1" / "node.toml") as file:
        text = file.read()
    (data / "n1" / "node.toml").write_text("authentication = true\n" + text)
    ran = command("user", "list", "--data", data, input="pw\n")
    assert ran.returncode == 1 and "no node serves" in ran.stderr


def typed(answers, *arguments):
    """Runs the command on a terminal, where each prompt gets its answer. Returns what it showed and its exit code."""
    child, master = pty.fork()
    if child == 0:
        os.execv(ASTERISM, [ASTERISM, *map(str, arguments)])
    shown = ""
    waiting = list(answers)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data.decode()
        if waiting and shown.endswith(waiting[0][0]):
            os.write(master, waiting.pop(0)[1].encode())
    _, status = os.waitpid(child, 0)
    os.close(master)
    assert not waiting, (waiting, shown)
    return shown, os.waitstatus_to_exitcode(status)


def test_passwords_are_asked_for_and_not_shown(guarded):
    shown, code = typed([("password of admin: ", ADMIN + "\n"), ("new password of tom: ", "tpx\x7fm\n"),
                         ("once more: ", "tpm\n")], "user", "add", "tom", "--data", guarded.data)
    assert code == 0 and "tom was added" in shown and ADMIN not in shown and "tpm" not in shown
    assert cql(guarded, "SELECT cluster_name FROM system.local", ("tom", "tpm"))["kind"] == "rows"
    shown, code = typed([("password of admin: ", ADMIN + "\n"), ("new password of tom: ", "one\n"),
                         ("once more: ", "two\n")], "user", "passwd", "tom", "--data", guarded.data)
    assert code == 1 and "the two differ" in shown
    shown, code = typed([("password of admin: ", "abc\x03")], "user", "remove", "tom", "--data", guarded.data)
    assert code == 1 and "interrupted" in shown and "tom" in users(guarded)
    done(guarded, "remove", "tom")
