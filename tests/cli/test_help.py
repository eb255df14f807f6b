"""What the program tells of its own commands: help, the manual page and completions."""

import os
import re
import subprocess

import pytest

ASTERISM = os.environ.get("ASTERISM", "./asterism")


def command(*arguments):
    done = subprocess.run([ASTERISM, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(*words):
    """All commands that do something, each as its words, and the text of its help."""
    text = command(*words, "--help")
    if "Subcommands:" not in text:
        return {words: text}
    found = {}
    for name in re.findall(r"^  ([a-z-]+) ", text.split("Subcommands:")[1], re.M):
        found.update(commands(*words, name))
    return found


@pytest.fixture(scope="module")
def known():
    return commands()


def test_the_manual_page_has_every_command_and_option(known):
    page = command("man").replace("\\-", "-")
    assert ("status",) in known and ("node", "start") in known
    for words, text in known.items():
        section = page.split(f'.SS "asterism {" ".join(words)} [OPTIONS]')[1].split("\n.S")[0]
        for option in re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M):
            assert option == "--help" or option in section, f"{words} {option}"


def test_the_manual_page_renders_without_warnings(tmp_path):
    (tmp_path / "asterism.1").write_text(command("man"))
    shown = subprocess.run(["man", "--warnings=all", "-l", "-Tutf8", str(tmp_path / "asterism.1")], capture_output=True,
                           text=True, env={**os.environ, "MANPAGER": "cat", "MANROFFSEQ": "", "MANWIDTH": "100"})
    assert shown.returncode == 0 and shown.stderr == ""
    assert "asterism node start" in re.sub(r"\x1b\[[0-9;]*m|.\x08", "", shown.stdout)


def complete_in_bash(tmp_path, *words):
    script = tmp_path / "completion"
    script.write_text(command("completion", "bash"))
    ask = f"source {script}; COMP_WORDS=(asterism {' '.join(words)} ''); COMP_CWORD={len(words) + 1}; _asterism; " \
          "echo ${COMPREPLY[@]}"
    return subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_every_command(known, tmp_path):
    for words, text in known.items():
        offered = complete_in_bash(tmp_path, *words)
        for option in ["--help"] + re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M):
            assert option in offered, f"{words} {option}"
    assert "start" in complete_in_bash(tmp_path, "node")
    # What is typed behind a command is no command.
    assert complete_in_bash(tmp_path, "node", "start", "n2") == complete_in_bash(tmp_path, "node", "start")
    assert complete_in_bash(tmp_path, "nonsense") == []


def test_zsh_completes_commands(tmp_path):
    script = tmp_path / "_asterism"
    script.write_text(command("completion", "zsh"))
    ask = f"compdef() {{ : }}; source {script}; compadd() {{ print -- $@ }}; " \
          "words=(asterism node start n2 ''); CURRENT=5; _asterism"
    shown = subprocess.run(["zsh", "-f", "-c", ask], capture_output=True, text=True, check=True)
    assert "--insecure" in shown.stdout.split()


def test_fish_reads_its_completions(tmp_path):
    (tmp_path / "asterism.fish").write_text(command("completion", "fish"))
    ask = f"source {tmp_path / 'asterism.fish'}; complete -C 'asterism node st'"
    shown = subprocess.run(["fish", "-c", ask], capture_output=True, text=True, check=True)
    assert "start" in shown.stdout
