"""Each rule of the house finds what it is for: violations planted in trees made for the purpose."""

import subprocess

import pytest

import rules
import symbols


@pytest.fixture
def plant(tmp_path):
    def planted(**files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return rules.Tree(tmp_path)
    return lambda files: planted(**files)


def test_upward_include(plant):
    tree = plant({"src/raft/a.h": '#include "datastore/b.h"\n', "src/datastore/b.h": '#include "raft/a.h"\n'})
    assert rules.wrong_includes(tree) == ["src/raft/a.h: includes datastore/b.h, and datastore is above raft"]


def test_services_that_know_one_another(plant):
    tree = plant({"src/messaging/a.cc": '#include "datastore/b.h"\n', "src/datastore/b.h": ""})
    assert "services do not know one another" in rules.wrong_includes(tree)[0]


def test_folder_without_a_place(plant):
    assert "no place" in rules.wrong_includes(plant({"src/utils/a.h": ""}))[0]


def test_include_of_what_is_not_there(plant):
    assert len(rules.wrong_includes(plant({"src/base/a.h": '#include "base/b.h"\n#include "base/c.pb.h"\n'}))) == 2


@pytest.mark.parametrize("name, include, legal", [
    ("src/storage/a.cc", "runtime/real/core.h", False), ("src/datastore/a.cc", "runtime/sim/machine.h", False),
    ("src/node/node.cc", "runtime/sim/machine.h", False), ("src/node/simulation.cc", "runtime/sim/machine.h", True),
    ("src/cli/a.cc", "runtime/real/core.h", True), ("src/storage/a_test.cc", "runtime/sim/machine.h", True),
    ("src/storage/test_rig.h", "runtime/sim/machine.h", True), ("src/storage/a.cc", "storage/test_rig.h", False),
    ("src/runtime/task.h", "runtime/real/core.h", False), ("src/runtime/sim/a.cc", "runtime/real/core.h", False),
    ("src/runtime/real/a.cc", "runtime/real/core.h", True)])
def test_choice_of_a_runtime(plant, name, include, legal):
    tree = plant({name: f'#include "{include}"\n', f"src/{include}": ""})
    assert bool(rules.wrong_runtimes(tree)) != legal


def test_codec_that_waits(plant):
    tree = plant({"src/datastore/cql/frame.h": '#include "datastore/helper.h"\n', "src/runtime/task.h": "",
                  "src/datastore/helper.h": '  # include "runtime/task.h"\n',
                  "src/storage/x_fuzz.cc": '#include "runtime/task.h"\n',
                  "src/raft/host.cc": '#include "runtime/task.h"\n'})
    assert [line.split(":")[0] for line in rules.impure_codecs(tree)] == ["src/datastore/cql/frame.h",
                                                                          "src/storage/x_fuzz.cc"]


def test_folder_without_readme(plant):
    tree = plant({"src/base/README.md": "", "src/base/a.h": "", "src/base/deep/b.h": ""})
    assert rules.folders_without_readme(tree) == ["src/base/deep: no README.md"]


def test_map_that_is_not_true(plant):
    page = "| `src/ports/` | doors |\n| `src/base/` | all |\n| `src/gone/` | was |\n"
    wrong = rules.wrong_map(plant({"docs/ARCHITECTURE.md": page, "src/base/a.h": "", "src/ports/a.h": "",
                                   "src/raft/b.h": ""}))
    assert any("lacks src/raft/" in line for line in wrong) and any("src/gone/" in line for line in wrong)
    assert any("not in the order" in line for line in wrong)
    assert rules.wrong_map(plant({"src/base/a.h": ""}), "docs/NONE.md")


def test_broken_link(plant):
    text = "[x](b.md) [y](b.md#second-part) [z](c.md) [u](b.md#none) [v](https://x.y) `[w](no)`\n\n[r]: d.md\n"
    tree = plant({"a.md": text, "b.md": "# First\n## Second part\n"})
    assert rules.broken_links(tree) == ["a.md: c.md leads nowhere", "a.md: b.md#none: no such heading",
                                        "a.md: d.md leads nowhere"]


def test_sizes(plant):
    tree = plant({"src/base/a.cc": "\n" * 1501, "src/base/b.cc": "x" * 121, "src/base/c.cc": "\n" * 1500})
    assert len(rules.wrong_sizes(tree)) == 2


LONG = """namespace x {{
class Y : public Z {{
 public:
  Y() : a_(1), b_(f([] {{ return 1; }})) {{
{member}  }}
}};
Task<Result<void>> Y::run(int a,
                          int b) const {{
{free}}}
static const Table table = {{
{table}}};
}}
"""


def test_long_functions(plant):
    text = LONG.format(member="    x();\n" * 70, free="  if (x) {\n  }\n" * 35, table="  {1, 2},\n" * 80)
    tree = plant({"src/base/a.cc": text})
    assert rules.function_lengths(text) == [("Y", 72), ("Y::run", 73)]
    key = "src/base/a.cc Y"
    assert len(rules.long_functions(tree, {})) == 2
    assert len(rules.long_functions(tree, {key: 72})) == 1
    exact = {key: 72, "src/base/a.cc Y::run": 73}
    assert rules.long_functions(tree, exact) == []
    assert "shorten the list" in rules.long_functions(tree, {**exact, key: 90})[0]
    assert "shorten the list" in rules.long_functions(tree, {**exact, "src/base/gone.cc f": 90})[0]


def test_forbidden_words(plant):
    bad = ["see /" + "work/x", "// TO" + "DO: later", "FIX" + "ME", "/ro" + "ot/file", "/home/" + "me/x"]
    good = ["a/work/x", "src/root/file", "todos", "https://x.y/work/z"]
    tree = plant({"docs/a.md": "\n".join(bad + good)})
    assert len(rules.forbidden_words(tree)) == len(bad)


def test_commit_subjects():
    good = ["raft: the host reads", "cli, real runtime: a node", "runtime/sim: plans"]
    bad = ["Fix things", "raft:no space", "WIP", "raft: ", "fixup! raft: x"]
    assert rules.wrong_subjects(good + bad) == ["commit subject without an area: " + subject for subject in bad]


CALLS = {
    "std::chrono::system_clock::now();": "system_clock::now", "std::chrono::steady_clock::now();": "steady_clock::now",
    "std::thread([] {}).join();": "std::thread::", "std::random_device()();": "std::random_device::",
    "std::this_thread::sleep_for(std::chrono::seconds(1));": "nanosleep", "rand();": "rand", "::time(nullptr);": "time",
    "::open(\"x\", 0);": "open", "::read(0, nullptr, 0);": "read", "::socket(1, 1, 1);": "socket",
    "gettimeofday(nullptr, nullptr);": "gettimeofday", "timespec t; clock_gettime(CLOCK_REALTIME, &t);": "clock_gettime",
    "std::ofstream(\"x\") << 1;": "basic_ofstream", "std::cout << 1;": "std::cout", "::fsync(1);": "fsync",
    "::getenv(\"x\");": "getenv",
    "std::filesystem::remove(\"x\");": "std::filesystem::remove", "::printf(\"%d\", 1);": "printf",
    "char b; ::getrandom(&b, 1, 0);": "getrandom",
    "pthread_create(nullptr, nullptr, nullptr, nullptr);": "pthread_create"}


def test_calls_of_the_system(tmp_path):
    said = symbols.banned_calls("raft", compiled(tmp_path, CALLS))
    for call, symbol in CALLS.items():
        assert any(symbol in line.split(": ", 1)[1] for line in said), call


def test_calls_that_compute(tmp_path):
    archive = compiled(tmp_path, [
        "std::map<std::string, std::vector<int>> m; m[std::to_string(4)].push_back(1);",
        "std::mt19937_64 r(1); std::string s(r() % 9, 'x'); std::sort(s.begin(), s.end());"])
    assert symbols.banned_calls("raft", archive) == []
    assert symbols.unused_allowances("base", archive), "an allowance that nothing needs is found"


def compiled(folder, calls):
    headers = "algorithm chrono cstdio cstdlib ctime filesystem fstream map random string thread vector"
    if any("cout" in call for call in calls):
        headers += " iostream"
    system = "fcntl pthread sys/random sys/socket sys/time unistd"
    source = "".join(f"#include <{header}>\n" for header in headers.split())
    source += "".join(f"#include <{header}.h>\n" for header in system.split())
    source += "".join(f"void planted{number}() {{ {call} }}\n" for number, call in enumerate(calls))
    (folder / "a.cc").write_text(source)
    subprocess.run(["clang++-19", "-std=c++23", "-w", "-O1", "-c", "a.cc", "-o", "a.o"], cwd=folder, check=True)
    subprocess.run(["ar", "rcs", "liba.a", "a.o"], cwd=folder, check=True)
    return folder / "liba.a"
