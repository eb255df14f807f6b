"""The rules of the house (rules.py, symbols.py) against this checkout."""

import pathlib
import subprocess

import pytest

import rules
import symbols


def nothing(wrong):
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("rule", [
    rules.wrong_includes, rules.wrong_runtimes, rules.impure_codecs, rules.folders_without_readme, rules.wrong_map,
    rules.broken_links, rules.wrong_sizes, rules.forbidden_words], ids=lambda rule: rule.__name__)
def test_rule(tree, rule):
    nothing(rule(tree))


def test_functions_are_short(tree):
    listed = (pathlib.Path(__file__).parent / "long_functions.txt").read_text().splitlines()
    exempt = {key: int(lines) for key, lines in (line.rsplit(" ", 1) for line in listed if line)}
    nothing(rules.long_functions(tree, exempt))


def test_only_the_real_runtime_reaches_the_system(tree, build):
    """Every folder's library was built, needs no symbol that is a door, and every allowance is in use."""
    wrong = []
    for folder in sorted({rules.folder_of(name) for name in tree.sources()} - {"runtime"}):
        archive = build / "src" / folder / f"libasterism_{folder}.a"
        has_code = any(name.startswith(f"src/{folder}/") and name.endswith(".cc") and name != "src/cli/main.cc" and
                       not rules.is_equipment(name) for name in tree.sources())
        if not has_code:
            continue
        if not archive.exists():
            wrong.append(f"{archive} was not built")
            continue
        wrong += symbols.banned_calls(folder, archive) + symbols.unused_allowances(folder, archive)
    nothing(wrong)


def test_sources_are_formatted(tree):
    run = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *tree.sources()], cwd=tree.root,
                         capture_output=True, text=True)
    wrong = {line.split(":")[0] for line in run.stderr.splitlines() if "error:" in line}
    assert run.returncode == 0, "clang-format-19 -i " + " ".join(sorted(wrong))


def test_commit_subjects_name_an_area(tree):
    if not (tree.root / ".git").exists():
        pytest.skip("this is no git checkout, so there are no commits to look at")
    log = subprocess.run(["git", "log", "--no-merges", "-n", "200", "--format=%s"], cwd=tree.root, capture_output=True,
                         text=True, check=True)
    nothing(rules.wrong_subjects(log.stdout.splitlines()))
