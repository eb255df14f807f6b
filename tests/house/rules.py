"""The rules of the house. Each function takes a tree (or what a tool said of it) and returns the violations as lines
of text, so that test_rules_can_fail.py can plant violations in trees of its own."""

import pathlib
import re
import subprocess

# Each folder includes only those before it.
ORDER = ["base", "ports", "runtime", "storage", "raft", "cluster", "gateway",
         "datastore", "messaging", "filesystem", "computing", "application", "ledger", "node", "cli"]
SERVICES = {"datastore", "messaging", "filesystem", "computing", "application", "ledger"}

# Step machines and codecs: neither they nor anything they include may include a header of the runtime. Beside these,
# whatever a fuzzer includes is a codec.
PURE = [
    r"raft/(?!host|simulated_group)[a-z_0-9]+\.(h|cc)",
    r"cluster/(failure_detector|ring|rpc_frame|cluster_state)\.(h|cc)",
    r"datastore/cql/(ast|lexer|notation|metadata|protocol|frame|message|request|response\w*|rows|wire_type|parser\w*)"
    r"\.(h|cc)",
    r"datastore/(type|value|ordered|literal\w*|number|duration|calendar|row|mutation|schema)\.(h|cc)",
]

LINES_MAX = 1500
WIDTH_MAX = 120
FUNCTION_LINES_MAX = 70


class Tree:
    """The files of a checkout: those that git tracks or would track, or all of them where there is no git."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=self.root, capture_output=True, text=True)
        if (self.root / ".git").exists() and listed.returncode == 0:
            paths = [pathlib.Path(name) for name in listed.stdout.split("\0") if name]
        else:
            paths = [path.relative_to(self.root) for path in self.root.rglob("*")]
            paths = [path for path in paths if not {"build", ".git", "__pycache__"} & set(path.parts)]
        self.files = sorted(str(path) for path in paths if (self.root / path).is_file())
        self._texts = {}

    def text(self, name):
        if name not in self._texts:
            self._texts[name] = (self.root / name).read_text(errors="replace")
        return self._texts[name]

    def sources(self):
        return [name for name in self.files if name.startswith("src/") and name.endswith((".h", ".cc"))]

    def includes(self, name):
        return re.findall(r'^\s*#\s*include\s*"([^"]+)"', self.text(name), re.M)

    def closure(self, name):
        """All files of src/ that `name` includes, directly or not, each with the file that includes it."""
        found, waiting = {}, [name]
        while waiting:
            here = waiting.pop()
            for include in self.includes(here):
                path = "src/" + include
                if path not in found and path in self._names():
                    found[path] = here
                    waiting.append(path)
        return found

    def _names(self):
        if not hasattr(self, "_name_set"):
            self._name_set = set(self.files)
        return self._name_set


def is_equipment(name):
    """Tests, fuzzers and what they share."""
    stem = pathlib.Path(name).stem
    return stem.endswith(("_test", "_fuzz")) or stem.startswith("test_") or stem.startswith("simulated_")


def folder_of(name):
    return name.split("/")[1]


def wrong_includes(tree):
    """Upward includes, services that know one another, folders without a place in the order, unknown headers."""
    wrong = []
    for name in tree.sources():
        here = folder_of(name)
        if here not in ORDER:
            wrong.append(f"{name}: src/{here} has no place in the order of folders")
            continue
        for include in tree.includes(name):
            there = include.split("/")[0]
            if include.endswith(".pb.h"):
                if f"src/{include[:-5]}.proto" not in tree.files:
                    wrong.append(f"{name}: includes {include}, which no .proto file makes")
            elif f"src/{include}" not in tree.files:
                wrong.append(f"{name}: includes {include}, which does not exist")
            if there not in ORDER:
                continue
            if ORDER.index(there) > ORDER.index(here):
                wrong.append(f"{name}: includes {include}, and {there} is above {here}")
            elif there != here and {there, here} <= SERVICES:
                wrong.append(f"{name}: includes {include}: services do not know one another")
    return wrong


def wrong_runtimes(tree):
    """Product code does not know which runtime it runs on; it does not include equipment of tests."""
    wrong = []
    for name in tree.sources():
        here = folder_of(name)
        for include in tree.includes(name):
            simulated, real = include.startswith("runtime/sim/"), include.startswith("runtime/real/")
            if name.startswith("src/runtime/"):
                if is_equipment(name):
                    continue
                own = name.split("/")[2]
                if (simulated and own != "sim") or (real and own != "real"):
                    wrong.append(f"{name}: includes {include}")
            elif is_equipment(name) or name.startswith("src/node/simulation"):
                continue
            elif (simulated or real) and here != "cli":
                wrong.append(f"{name}: includes {include}: only cli, node/simulation and tests choose a runtime")
            if is_equipment("src/" + include):
                wrong.append(f"{name}: includes {include}, which is equipment of tests")
    return wrong


def impure_codecs(tree):
    wrong = set()
    pure = [name for name in tree.sources() if not name.endswith("_test.cc") and
            (name.endswith("_fuzz.cc") or any(re.fullmatch("src/" + form, name) for form in PURE))]
    for name in pure:
        for include, by in tree.closure(name).items():
            if include.startswith("src/runtime/"):
                wrong.add(f"{name}: is pure and includes {include[4:]} (through {by})")
    return sorted(wrong)


def dead_headers(tree):
    """Headers that no other file includes."""
    used = {include for name in tree.sources() for include in tree.includes(name)
            if pathlib.Path(name).with_suffix("") != pathlib.Path("src/" + include).with_suffix("")}
    return [f"{name}: nothing includes it" for name in tree.sources()
            if name.endswith(".h") and name[4:] not in used]


def source_folders(tree):
    return sorted({str(pathlib.Path(name).parent) for name in tree.sources()})


def folders_without_readme(tree):
    return [f"{folder}: no README.md" for folder in source_folders(tree) if f"{folder}/README.md" not in tree.files]


def wrong_map(tree, page="docs/ARCHITECTURE.md"):
    """The map names folders in code spans: a row of a table begins with | `src/base/` |."""
    if page not in tree.files:
        return [f"{page}: does not exist"]
    mapped = {folder.rstrip("/") for folder in re.findall(r"^\|\s*`(src/[^`]+)`", tree.text(page), re.M)}
    existing = {str(parent) for name in tree.files if name.startswith("src/")
                for parent in pathlib.Path(name).parents if len(parent.parts) >= 2}
    wrong = [f"{page}: the map lacks {folder}/" for folder in sorted(existing - mapped)]
    wrong += [f"{page}: the map has {folder}/, which does not exist" for folder in sorted(mapped - existing)]
    order = [folder[4:] for folder in re.findall(r"^\|\s*`(src/[a-z]+)/?`", tree.text(page), re.M)]
    if order != [folder for folder in ORDER if folder in order]:
        wrong.append(f"{page}: the map is not in the order of layers: {' '.join(order)}")
    return wrong


def anchors(text):
    found = set()
    for title in re.findall(r"^#+\s+(.*?)\s*#*\s*$", re.sub(r"```.*?```", "", text, flags=re.S), re.M):
        found.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower())))
    return found


def broken_links(tree):
    wrong = []
    for name in tree.files:
        if not name.endswith(".md"):
            continue
        text = re.sub(r"```.*?```", "", tree.text(name), flags=re.S)
        text = re.sub(r"`[^`\n]*`", "", text)
        links = re.findall(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)", text) + re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, re.M)
        for link in links:
            if re.match(r"[a-z][a-z0-9+.-]*:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (tree.root / name).parent / path if path else tree.root / name
            if path.startswith("/") or not target.exists():
                wrong.append(f"{name}: {link} leads nowhere")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text()):
                wrong.append(f"{name}: {link}: no such heading")
    return wrong


def wrong_sizes(tree):
    wrong = []
    for name in tree.files:
        if not name.endswith((".h", ".cc", ".py", ".proto", ".cmake")):
            continue
        lines = tree.text(name).splitlines()
        if len(lines) > LINES_MAX:
            wrong.append(f"{name}: {len(lines)} lines, and {LINES_MAX} is the most")
        if name.endswith((".h", ".cc")):
            wrong += [f"{name}:{number}: {len(line)} columns" for number, line in enumerate(lines, 1)
                      if len(line) > WIDTH_MAX and "http" not in line]
    return wrong


def function_lengths(text):
    """Functions of formatted code as (name, lines): from the signature to the brace in its column."""
    lines = text.splitlines()
    found, statement, begun = [], "", 0
    end = None
    for number, line in enumerate(lines):
        if end is not None:
            if line == end or line.startswith(end + ";") or line.startswith(end + " "):
                found.append((name, number - begun + 1))
                end, statement = None, ""
            continue
        code = line.split("//")[0].rstrip()
        if not code.strip() or code.lstrip().startswith("#"):
            statement = ""
            continue
        if not statement:
            begun = number
        statement += " " + code.strip()
        if code.endswith("{"):
            match = re.search(r"([~\w:]+|operator\S+?)\s*\(", statement)
            scope = re.match(r"\s*(inline |static |constexpr )*(namespace|class|struct|union|enum|extern)\b", statement)
            if match and (not scope or re.search(r"\)\s*(const|override|noexcept|final|->.*|\s)*\{$", statement)):
                name = match.group(1)
                end = re.match(r"\s*", lines[begun]).group() + "}"
            else:
                statement = ""
        elif code.endswith((";", "}", ":")) and not code.endswith("::"):
            statement = ""
    return found


def long_functions(tree, exempt):
    """Functions over the limit against the frozen list {"file function": lines}, which may only shrink."""
    found = {}
    for name in tree.sources():
        if is_equipment(name):
            continue
        for function, lines in function_lengths(tree.text(name)):
            if lines > FUNCTION_LINES_MAX:
                found[f"{name} {function}"] = max(lines, found.get(f"{name} {function}", 0))
    wrong = [f"{key}: {lines} lines, and {exempt.get(key, FUNCTION_LINES_MAX)} is the most"
             for key, lines in sorted(found.items()) if lines > exempt.get(key, FUNCTION_LINES_MAX)]
    wrong += [f"{key}: {lines} lines are exempt and {found.get(key, 'at most 70')} needed: shorten the list"
              for key, lines in sorted(exempt.items()) if found.get(key, 0) < lines]
    return wrong


# In pieces, so that this file passes its own test.
FORBIDDEN = {
    "an absolute path of one machine": re.compile(r"(?<![\w.~}$-])/(" + "work|root|" + r"home/\w+)/"),
    "unfinished work": re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b"),
    "a conflict of a merge": re.compile(r"^(<{7} |>{7} )", re.M),
}


def forbidden_words(tree):
    wrong = []
    for name in tree.files:
        if name == "CONTRIBUTING.md" or name.endswith((".png", ".ico", ".woff2")):
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            wrong += [f"{name}:{number}: {what}: {line.strip()[:80]}" for what, form in FORBIDDEN.items()
                      if form.search(line)]
    return wrong


SUBJECT = re.compile(r"[a-z0-9_./-]+(,? [a-z0-9_./-]+){0,3}: \S.*")


def wrong_subjects(subjects):
    return [f"commit subject without an area: {subject}" for subject in subjects if not SUBJECT.fullmatch(subject)]
