import os
import pathlib
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tree():
    return rules.Tree(ROOT)


@pytest.fixture(scope="session")
def build():
    return pathlib.Path(os.environ.get("ASTERISM_BUILD", ROOT / "build" / "release"))
