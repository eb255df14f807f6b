"""Nodes that come, leave and are drained, as the console shows them; and its buttons for that."""

import json
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from cluster import ASTERISM, command, wait_until
from conftest import load, run


def at(cluster, node=0):
    return cluster.nodes[node]["address"], cluster.nodes[node]["http"]


def up(page, *names):
    return all(page.state(name) == "up" for name in names)


def open_console(page, cluster, *names):
    page.open(*at(cluster))
    wait_until(lambda: up(page, *names) and page.find(".shard"), 20, f"{', '.join(names)} up")
    # Everything that the page shows of a change, as it shows it: the steps may be short.
    page.driver.execute_script("""
        window.seen = {values: [], states: new Set(), spoken: new Set(), arcs: 0, streams: 0, details: new Set()};
        const look = () => {
            const panel = document.querySelector('.change');
            if (panel.hidden) return;
            seen.values.push(Number(panel.querySelector('[role=progressbar]').getAttribute('aria-valuenow')));
            seen.spoken.add(panel.querySelector('[role=status]').textContent);
            seen.details.add(panel.querySelector('.detail').textContent);
            seen.arcs = Math.max(seen.arcs, document.querySelectorAll('.moving').length);
            seen.streams = Math.max(seen.streams, document.querySelectorAll('.stream').length);
            for (const card of document.querySelectorAll('.card')) seen.states.add(card.dataset.node + ' ' + card.dataset.state);
        };
        new MutationObserver(look).observe(document.getElementById('app'),
                                           {subtree: true, childList: true, attributes: true, characterData: true});
    """)


def seen(page):
    return page.driver.execute_script("""
        return {...seen, states: [...seen.states], spoken: [...seen.spoken], details: [...seen.details]};
    """)


def agree(page, label):
    """Presses the button with that name, and the one in the question that follows."""
    page.press(label)
    wait_until(lambda: page.find("dialog[open] .primary"), 20, "the question")[0].click()


def check_progress(page, words):
    wait_until(lambda: page.text(".change h2") == words, 60, words)
    moved, total = page.text(".change b").split(" of ")
    assert total.startswith(f"{moved} shards moved"), page.text(".change b")
    what = seen(page)
    assert what["values"] == sorted(what["values"]) and what["values"][-1] == int(moved) > 0
    assert what["arcs"] > 0 and what["streams"] > 0
    assert any("copying" in detail or "settling" in detail for detail in what["details"]), what["details"]
    assert f"{words}. {moved} of {moved} shards moved" in what["spoken"]
    # Nobody wants to hear every shard.
    assert len(what["spoken"]) <= 8, what["spoken"]
    return what


def test_a_node_is_added_with_a_button(page, shop):
    open_console(page, shop, "n1", "n2", "n3")
    page.press("Add a node")
    question = wait_until(lambda: page.find("dialog[open]"), 20, "the question")[0]
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    wait_until(lambda: not page.find("dialog"), 20, "the question to go")
    assert not page.find(".card[data-node=n4]")
    page.press("Add a node")
    question = wait_until(lambda: page.find("dialog[open]"), 20, "the question")[0]
    assert question.get_attribute("aria-labelledby")
    # By keyboard: from "No" to "Add it".
    ActionChains(page.driver).send_keys(Keys.TAB, Keys.ENTER).perform()
    wait_until(lambda: page.state("n4") == "joining", 15, "n4 to join")
    assert page.find(".star.joining")
    what = check_progress(page, "n4 is a member")
    assert "n4 joining" in what["states"]
    wait_until(lambda: up(page, "n1", "n2", "n3", "n4"), 20, "four nodes up")
    assert len(page.find(".star")) == 4 and "4 of 4 nodes up" in page.text(".summary")
    told = page.text(".events")
    assert "n4 joins:" in told and "n4 is a member" in told
    assert page.complaints() == []
    pid = int((shop.data / "n4" / "node.pid").read_text().split()[0])
    shop.nodes.append({**shop.nodes[0], "name": "n4", "address": "127.0.0.4", "pid": pid})


def test_a_drained_node_is_shown_as_drained(page, shop):
    open_console(page, shop, "n1", "n2", "n3", "n4")
    drained = subprocess.Popen([ASTERISM, "node", "drain", "n4", "--data", shop.data, "--json"])
    wait_until(lambda: page.state("n4") == "drained", 40, "n4 to be drained")
    assert page.find(".star.drained") and page.text(".card[data-node=n4] .state") == "drained"
    assert drained.wait(10) == 0
    # It serves no clients, but it is a replica as before.
    assert [row.text for row in page.find(".levels tbody td.good")] == ["answered"] * 6
    wait_until(lambda: "n4 is drained: it may be stopped" in page.text(".events"), 20, "the event")
    started = command("node", "start", "n4", "--data", shop.data, "--json")
    assert started.returncode == 0, started.stderr
    shop.nodes[3]["pid"] = json.loads(started.stdout)["pid"]
    wait_until(lambda: up(page, "n4"), 15, "n4 to serve again")


def test_what_a_node_lags_behind_and_what_is_compared_is_shown(page, shop):
    open_console(page, shop, "n1", "n2", "n3", "n4")
    wait_until(lambda: "compared" in page.text(".card[data-node=n1] .copies"), 15, "the comparison")
    assert "no lag" in page.text(".card[data-node=n2] .copies")
    page.press("Freeze n2")
    wait_until(lambda: page.state("n2") == "down", 20, "n2 to be down")
    for i in range(40):
        run(shop, f"INSERT INTO shop.customers (name, points) VALUES ('missed {i}', {i})", consistency="ONE")
    wait_until(lambda: "behind" in page.text(".card[data-node=n2] .copies"), 20, "what n2 lacks")
    page.press("Thaw n2")
    wait_until(lambda: "no lag" in page.text(".card[data-node=n2] .copies"), 15, "n2 to have it all")


def test_a_change_is_turned_back_with_a_button(page, shop):
    open_console(page, shop, "n1", "n2", "n3", "n4")
    # Shards go to n3 as well: while it is down the change waits.
    page.press("Kill n3")
    wait_until(lambda: page.state("n3") == "down", 20, "n3 to be down")
    agree(page, "Decommission n4")
    wait_until(lambda: page.state("n4") == "leaving" and page.find(".change:not([hidden])"), 20, "the change")
    assert not page.find(".add")[0].is_enabled()
    begun = command("node", "decommission", "n1", "--data", shop.data, "--json")
    assert begun.returncode == 1 and "one change of members at a time" in begun.stderr
    agree(page, "Turn the change of n4 back")
    # It waits for n3 where a shard had come that far; else it may be over at once.
    way_back, end = "n4 goes back to what it was", "Everything is back: n4 is a member as before"
    wait_until(lambda: page.text(".change h2") in (way_back, end), 20, "the way back")
    wait_until(lambda: way_back in page.text(".events"), 20, "the event")
    page.press("Start n3", 30)
    wait_until(lambda: up(page, "n1", "n2", "n3", "n4"), 60, "everything to be back")
    wait_until(lambda: page.text(".change h2") == end, 30, "the end")
    shop.nodes[2]["pid"] = int((shop.data / "n3" / "node.pid").read_text().split()[0])
    assert "n4 is a member as before: the change was turned back" in page.text(".events")
    assert (shop.data / "n4" / "node.toml").exists()


def test_a_node_leaves_with_a_button_under_load(page, shop):
    open_console(page, shop, "n1", "n2", "n3", "n4")
    with load(shop):
        agree(page, "Decommission n4")
        what = check_progress(page, "n4 has left the cluster")
    assert "n4 leaving" in what["states"]
    wait_until(lambda: not page.find(".card[data-node=n4]") and len(page.find(".star")) == 3, 20, "the star to go")
    assert "n4 has left the cluster" in page.text(".events")
    wait_until(lambda: not (shop.data / "n4" / "node.toml").exists(), 20, "its settings to go")
    wait_until(lambda: page.find(".add")[0].is_enabled(), 20, "the next change to be possible")
    shop.nodes.pop()
    assert page.complaints() == []


def test_a_phone_shows_a_change_without_sideways_scrolling(page, shop):
    page.size(360, 740, phone=True)
    open_console(page, shop, "n1", "n2", "n3")
    done = []
    adding = threading.Thread(target=lambda: done.append(command("node", "add", "--data", shop.data, "--json")))
    adding.start()
    widths = set()

    def ended():
        widths.add(page.driver.execute_script("return document.documentElement.scrollWidth"))
        return page.text(".change h2").endswith(" is a member")

    wait_until(ended, 60, "a new member")
    adding.join()
    assert done[0].returncode == 0, done[0].stderr
    assert max(widths) <= 360, widths
    shop.nodes.append({**shop.nodes[0], **json.loads(done[0].stdout)})
