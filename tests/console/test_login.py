"""The console of a cluster whose clients must log in."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import pytest
from selenium.webdriver.common.keys import Keys

from cluster import Cluster, wait_until


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "password").write_text("lovelace-1815\n")
    with Cluster(folder / "data", authentication=True, admin_password_file=folder / "password") as running:
        yield running


def test_who_logs_in_sees_the_cluster_live_and_has_the_prompt(page, guarded):
    node = guarded.nodes[0]
    page.open(f"admin:lovelace-1815@{node['address']}", node["http"])
    # The browser sends the login with the WebSocket, too.
    wait_until(lambda: all(page.state(name) == "up" for name in ("n1", "n2", "n3")), 20, "three nodes up")
    # Where a cluster is guarded, no page stops or changes it.
    assert not [button for button in page.find(".actions, .add") if button.is_displayed()]
    page.open(node["address"], node["http"], "/#tables")
    statement = page.find("#statement")[0]
    statement.send_keys("SELECT cluster_name FROM system.local", Keys.CONTROL, Keys.ENTER)
    wait_until(lambda: [cell.text for cell in page.find(".result td")] == ["asterism"], 20, "the row")
    assert page.complaints() == []
