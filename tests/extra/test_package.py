"""The Debian package: what is in it, and that the program runs from there."""

import os
import pathlib
import shutil
import stat
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("ASTERISM_BUILD", "build/release"))


def run(*arguments, **options):
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package():
    for tool in ("cpack", "dpkg-deb", "dpkg-shlibdeps"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool} (packages cmake, dpkg-dev)")
    for old in BUILD.glob("asterism_*.deb"):
        old.unlink()
    run("ninja", "-C", BUILD, "deb")
    (made,) = BUILD.glob("asterism_*.deb")
    return made


@pytest.fixture(scope="module")
def root(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    run("dpkg-deb", "-x", package, folder)
    return folder


def test_it_has_everything_in_its_place(package):
    owners = {}
    for line in run("dpkg-deb", "-c", package).splitlines():
        mode, owner, _, _, _, name = line.split(None, 5)
        owners[name] = (mode, owner)
    for name, mode in (("usr/bin/asterism", "-rwxr-xr-x"), ("etc/asterism/node.toml", "-rw-r--r--"),
                       ("lib/systemd/system/asterism.service", "-rw-r--r--"),
                       ("usr/lib/sysusers.d/asterism.conf", "-rw-r--r--"),
                       ("usr/share/man/man1/asterism.1.gz", "-rw-r--r--"),
                       ("usr/share/bash-completion/completions/asterism", "-rw-r--r--"),
                       ("usr/share/zsh/vendor-completions/_asterism", "-rw-r--r--"),
                       ("usr/share/fish/vendor_completions.d/asterism.fish", "-rw-r--r--"),
                       ("usr/share/doc/asterism/copyright", "-rw-r--r--"),
                       ("usr/share/doc/asterism/changelog.gz", "-rw-r--r--")):
        assert owners["./" + name] == (mode, "root/root")


def test_its_control_file_names_version_and_libraries(package):
    fields = dict(line.split(": ", 1) for line in run("dpkg-deb", "-f", package).splitlines()
                  if line and not line.startswith(" "))
    assert fields["Package"] == "asterism" and fields["Section"] == "database"
    assert package.name == f"asterism_{fields['Version']}_{fields['Architecture']}.deb"
    for library in ("libc6", "librocksdb", "libssl3", "libboost-json", "libprotobuf", "systemd-sysusers"):
        assert library in fields["Depends"]
    assert run("dpkg-deb", "-I", package, "conffiles").split() == ["/etc/asterism/node.toml"]
    for script in ("postinst", "prerm", "postrm"):
        run("sh", "-n", "-c", run("dpkg-deb", "-I", package, script))


def test_the_program_runs_from_there_and_its_pages_are_its_own(root):
    program = root / "usr/bin/asterism"
    assert run(program, "version").startswith("asterism ")
    assert run("zcat", root / "usr/share/man/man1/asterism.1.gz") == run(program, "man")
    for shell, path in (("bash", "bash-completion/completions/asterism"), ("zsh", "zsh/vendor-completions/_asterism"),
                        ("fish", "fish/vendor_completions.d/asterism.fish")):
        assert (root / "usr/share" / path).read_text() == run(program, "completion", shell)
    symbols = subprocess.run(["nm", program], capture_output=True, text=True)
    assert "no symbols" in symbols.stderr


def test_a_node_starts_with_the_settings_of_the_package(root, tmp_path):
    """As the service does, with the folders that postinst makes."""
    node = tmp_path / "asterism" / "node"
    node.mkdir(parents=True)
    (node / "node.toml").symlink_to(root / "etc/asterism/node.toml")
    script = ('ip link set lo up; "$0" node run --data "$1" & node=$!; '
              'for i in $(seq 200); do "$0" status --data "$2" --json | grep -q \'"state":"up"\' && break; sleep 0.05; '
              'done; "$0" status --data "$2" --json; kill $node; wait $node')
    said = run("unshare", "--net", "--map-root-user", "sh", "-c", script, root / "usr/bin/asterism", node, node.parent)
    assert '"state":"up"' in said
    assert (node / "node.toml").is_symlink() and stat.S_IMODE((node / "audit.log").stat().st_mode) & 0o007 == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_understands_the_unit(root, tmp_path):
    text = (root / "lib/systemd/system/asterism.service").read_text()
    for setting in ("User=asterism", "Restart=on-failure", "TimeoutStopSec=", "LimitNOFILE=", "ProtectSystem=strict"):
        assert setting in text
    unit = tmp_path / "asterism.service"
    unit.write_text(text.replace("/usr/bin/asterism", str(root / "usr/bin/asterism")))
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert checked.returncode == 0 and "asterism.service" not in checked.stderr


@pytest.mark.skipif(not shutil.which("lintian"), reason="there is no lintian")
def test_lintian_finds_no_errors(package):
    checked = subprocess.run(["lintian", "--fail-on", "error", str(package)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
