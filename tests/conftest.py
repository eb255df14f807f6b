import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, request):
    """Three nodes that the tests of one file share. Where one of these fails, the ends of the logs are shown."""
    from cluster import Cluster

    before = request.session.testsfailed
    running = Cluster(tmp_path_factory.mktemp("cluster") / "data")
    with running:
        yield running
    if request.session.testsfailed > before:
        print(running.log_tails())
