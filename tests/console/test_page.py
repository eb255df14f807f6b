"""The console as a person sees it, in a headless Chromium."""

import json
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from cluster import command, wait_until
from conftest import load, run


def at(cluster, node=0):
    return cluster.nodes[node]["address"], cluster.nodes[node]["http"]


def all_up(page):
    return all(page.state(name) == "up" for name in ("n1", "n2", "n3"))


def test_it_shows_the_cluster_without_complaints(page, shop):
    page.open(*at(shop))
    wait_until(lambda: all_up(page), 20, "three nodes up")
    wait_until(lambda: len(page.find(".shard")) == 48, 20, "the shards")
    assert "3 of 3 nodes up" in page.text(".summary")
    assert len(page.find(".star.leads")) == 1
    assert [row.text for row in page.find(".levels tbody td.good")] == ["answered"] * 6
    assert page.complaints() == []


def test_a_killed_node_is_seen_within_two_seconds_and_starts_again(page, shop):
    page.open(*at(shop))
    wait_until(lambda: all_up(page), 20, "three nodes up")
    begun = time.monotonic()
    page.press("Kill n3")
    wait_until(lambda: page.state("n3") == "down", 2, "the page to show it")
    assert time.monotonic() - begun < 2
    wait_until(lambda: len(page.find(".health.some")) == 48, 20, "the shards to show it")
    answered = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")][:2]
                for row in page.find(".levels tbody tr")]
    assert answered == [["answered"] * 2, ["answered"] * 2, ["refused"] * 2]
    # What was computed is what happens.
    page.find(".try button")[0].click()
    tried = wait_until(lambda: (cells := [cell.text for cell in page.find(".levels .tried")]) and all(cells) and cells,
                       20, "the tries")
    assert [cell.split(" · ")[0] for cell in tried] == \
        ["8/8 reads, 8/8 writes", "8/8 reads, 8/8 writes", "0/8 reads, 0/8 writes"]
    wait_until(lambda: "n3 went down" in page.text(".events"), 20, "the event")
    page.press("Start n3")
    wait_until(lambda: all_up(page), 15, "n3 to be up again")
    shop.nodes[2]["pid"] = int((shop.data / "n3" / "node.pid").read_text().split()[0])
    assert page.complaints() == []


def test_frozen_and_cut_off_nodes_come_back(page, shop):
    page.open(*at(shop))
    wait_until(lambda: all_up(page), 20, "three nodes up")
    page.press("Cut off n2")
    wait_until(lambda: page.state("n2") == "down" and "cut off" in page.text(".card[data-node=n2] .state"), 20, "the cut")
    page.press("Heal n2")
    wait_until(lambda: all_up(page), 20, "n2 to be back")
    page.press("Freeze n2")
    wait_until(lambda: page.state("n2") == "down" and "frozen" in page.text(".card[data-node=n2] .state"), 20, "the frost")
    page.press("Thaw n2")
    wait_until(lambda: all_up(page), 20, "n2 to go on")
    assert page.complaints() == []


def test_the_node_that_serves_the_page_may_die(page, shop):
    page.open(*at(shop))
    wait_until(lambda: all_up(page), 20, "three nodes up")
    page.press("Kill n1")
    wait_until(lambda: "n1 does not answer" in page.text(".banner"), 20, "the page to say so")
    links = page.find(".banner a")
    assert [link.text for link in links] == ["n2", "n3"]
    links[0].click()
    wait_until(lambda: page.text(".summary").endswith("seen from n2"), 20, "the console of n2")
    page.press("Start n1")
    wait_until(lambda: all_up(page), 15, "n1 to be up again")
    shop.nodes[0]["pid"] = int((shop.data / "n1" / "node.pid").read_text().split()[0])
    page.open(*at(shop))
    page.complaints()  # the browser says that n1 did not answer


def test_the_prompt_shows_rows_pages_and_where_an_error_is(page, shop):
    page.open(*at(shop), "/#tables")
    wait_until(lambda: page.find(".tree summary"), 20, "the tables")
    next(summary for summary in page.find(".tree details details summary") if summary.text == "orders").click()
    assert "partition key" in page.text(".tree")
    page.press("Show rows of shop.orders")
    wait_until(lambda: "100 rows so far" in page.text(".note"), 20, "the first page")
    page.find("button.more")[0].click()
    wait_until(lambda: page.text(".note").startswith("160 rows"), 20, "the second page")
    statement = page.find("#statement")[0]
    statement.clear()
    statement.send_keys("SELECT *\n  FORM shop.orders")
    statement.send_keys(Keys.CONTROL, Keys.ENTER)
    wait_until(lambda: "SyntaxError at line 2, column 3" in page.text(".note"), 20, "the error")
    assert page.text("pre.where") == "  FORM shop.orders\n  ^"
    Select(page.find("#prompt-keyspace")[0]).select_by_value("shop")
    Select(page.find("#consistency")[0]).select_by_value("ALL")
    statement.clear()
    statement.send_keys("SELECT name, mail FROM customers WHERE name = 'grace'", Keys.CONTROL, Keys.ENTER)
    wait_until(lambda: [cell.text for cell in page.find(".result td")] == ["grace", "grace@example.org"], 20, "the row")
    assert page.complaints() == []


def focus(page):
    return page.driver.execute_script("""
        const it = document.activeElement;
        return it.getAttribute('aria-label') || (it.labels && it.labels[0] && it.labels[0].textContent) || it.textContent;
    """)


def test_everything_is_reached_by_keyboard_and_has_a_name(page, shop):
    page.open(*at(shop))
    wait_until(lambda: all_up(page) and page.find(".shard") and page.find(".actions button:enabled"), 20, "the cluster")
    reached = []
    for _ in range(36):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        reached.append(focus(page))
    assert all(reached), reached
    for name in ("Sky", "Tables", "Shards of", "Kill n1", "Freeze n2", "Cut off n3", "Decommission n2", "Add a node", "Try it", "Events"):
        assert name in reached, (name, reached)
    assert any(name.startswith("n2, up") for name in reached)
    star = page.find(".star")[0]
    page.driver.execute_script("arguments[0].focus()", star)
    ActionChains(page.driver).send_keys(Keys.ENTER).perform()
    assert star.get_attribute("aria-pressed") == "true" and page.find(".card.picked")
    unnamed = page.driver.execute_script("""
        return [...document.querySelectorAll('button, select, textarea, a')].filter((it) =>
            !it.textContent.trim() && !it.getAttribute('aria-label') && !(it.labels && it.labels.length)).length;
    """)
    assert unnamed == 0


def test_a_phone_needs_no_sideways_scrolling(page, shop):
    page.size(360, 740, phone=True)
    for path in ("/", "/#tables"):
        page.open(*at(shop), path)
        wait_until(lambda: page.find(".shard") or path != "/", 20, "the shards")
        width = page.driver.execute_script("return document.documentElement.scrollWidth")
        assert width <= 360, f"{path} is {width} pixels wide"


def test_pictures(page, shop, tmp_path_factory, request):
    """docs/*.png: with --pictures=docs they are made anew."""
    wanted = request.config.getoption("--pictures")
    folder = pathlib.Path(wanted or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(exist_ok=True)
    with load(shop):
        page.size(1280, 860)
        page.open(*at(shop))
        wait_until(lambda: all_up(page) and page.find(".shard"), 20, "the cluster")
        time.sleep(35 if wanted else 1)
        page.scheme("light")
        time.sleep(1)
        page.picture(folder / "console-light.png")
        page.scheme("dark")
        page.press("Kill n3")
        wait_until(lambda: page.state("n3") == "down", 2, "the page to show it")
        time.sleep(2)
        page.picture(folder / "console-dark.png")
        page.press("Start n3")
        wait_until(lambda: all_up(page), 15, "n3 to be up again")
        shop.nodes[2]["pid"] = int((shop.data / "n3" / "node.pid").read_text().split()[0])
        page.size(360, 740, phone=True)
        time.sleep(1)
        page.picture(folder / "console-phone.png")
        if wanted:
            page.size(1280, 860)
            page.open(*at(shop), "/#tables")
            page.find(".tree details details summary")[-1].click()
            page.find("button[aria-label='Show rows of shop.orders']")[0].click()
            time.sleep(1)
            page.picture(folder / "console-tables.png")
    for scheme in ("dark", "light", "phone"):
        assert 10_000 < (folder / f"console-{scheme}.png").stat().st_size < 300_000


def test_a_picture_of_a_move(page, shop, tmp_path_factory, request):
    """docs/console-move.png: a node that joins while clients write, with more rows and keyspaces than the other tests have."""
    wanted = request.config.getoption("--pictures")
    folder = pathlib.Path(wanted or tmp_path_factory.mktemp("pictures"))
    for i in range(18 if wanted else 1):
        run(shop, f"CREATE KEYSPACE more_{i} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}")
        run(shop, f"CREATE TABLE more_{i}.rows (id int PRIMARY KEY, text text)")
    with load(shop):
        page.size(1280, 860)
        page.open(*at(shop))
        wait_until(lambda: all_up(page) and page.find(".shard"), 20, "the cluster")
        Select(page.find("#keyspace")[0]).select_by_value("shop")
        time.sleep(20 if wanted else 0)
        done = []
        adding = threading.Thread(target=lambda: done.append(command("node", "add", "--data", shop.data, "--json")))
        adding.start()
        wait_until(lambda: page.find(".moving.copying") or done, 15, "shards to move")
        wait_until(lambda: not wanted or done or float(page.find("[role=progressbar]")[0].get_attribute("aria-valuenow")) > 330,
                   60, "some to have moved")
        time.sleep(0.3 if wanted else 0)
        page.picture(folder / "console-move.png")
        adding.join()
    assert done[0].returncode == 0, done[0].stderr
    shop.nodes.append({**shop.nodes[0], **json.loads(done[0].stdout)})
    assert 10_000 < (folder / "console-move.png").stat().st_size < 300_000
