"""A cluster with something in it, and a headless Chromium that looks at its console."""

import base64
import contextlib
import json
import pathlib
import subprocess
import threading
import time

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common import utils
from selenium.webdriver.common.by import By

from cluster import wait_until


def pytest_addoption(parser):
    parser.addoption("--pictures", help="the folder where the screenshots of the documentation are")


class Page:
    """One window. What is not there yet is waited for."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, address, port, path="/"):
        self.driver.get("about:blank")  # or else a change of the hash alone would not load it anew
        self.driver.get(f"http://{address}:{port}{path}")
        wait_until(lambda: self.find(".card, .tree summary, .tree .hint"), 20, "the console")

    def find(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        found = self.find(selector)
        return found[0].get_attribute("textContent") if found else ""

    def state(self, name):
        found = self.find(f".card[data-node={name}]")
        return found[0].get_attribute("data-state") if found else None

    def press(self, label, seconds=5):
        """Presses the button with that accessible name."""
        def ready():
            found = self.find(f"button[aria-label='{label}']")
            return found and found[0].is_enabled() and found[0]
        wait_until(ready, seconds, f"the button {label}").click()

    def size(self, width, height, phone=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone})

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": name}]})

    def picture(self, path):
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        """What the console of the browser says that it should not."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


class NamelessService(Service):
    """Found by address: a bare machine does not know the name localhost."""

    @property
    def service_url(self):
        return f"http://127.0.0.1:{self.port}"

    def is_connectable(self):
        return utils.is_connectable(self.port, "127.0.0.1")


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    # Started here, because chromedriver would look for a browser that it started itself by the name localhost.
    port = utils.free_port()
    arguments = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                 "--disable-background-networking", "--disable-component-update", "--no-first-run",
                 f"--remote-debugging-port={port}", f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    chromium = subprocess.Popen(["/usr/bin/chromium", *arguments, "about:blank"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: utils.is_connectable(port, "127.0.0.1"), 30, "chromium")
        options = webdriver.ChromeOptions()
        options.debugger_address = f"127.0.0.1:{port}"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(service=NamelessService("/usr/bin/chromedriver"), options=options)
        yield browser
        browser.quit()
    finally:
        chromium.terminate()
        chromium.wait(10)


@pytest.fixture
def page(driver):
    window = Page(driver)
    window.size(1280, 900)
    window.scheme("dark")
    window.complaints()
    return window


def run(cluster, statement, node=0, consistency="QUORUM", **more):
    """One statement over POST /cql."""
    import urllib.request
    at = cluster.nodes[node]
    request = urllib.request.Request(
        f"http://{at['address']}:{at['http']}/cql", json.dumps({"statement": statement, "consistency": consistency, **more}).encode(),
        {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def shop(cluster):
    """The cluster with two tables and some rows."""
    for statement in (
            "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
            "CREATE TABLE shop.orders (customer text, placed timestamp, total decimal, items list<text>, "
            "PRIMARY KEY (customer, placed))",
            "CREATE TABLE shop.customers (name text PRIMARY KEY, mail text, points int)"):
        assert run(cluster, statement)["kind"] == "schema"
    names = ["ada", "alan", "barbara", "edsger", "grace", "leslie", "radia", "tony"]
    for i in range(160):
        name = names[i % len(names)]
        done = run(cluster, f"INSERT INTO shop.orders (customer, placed, total, items) VALUES ('{name}', "
                            f"'2026-03-{1 + i // 8:02}T{8 + i % 12:02}:00:00Z', {i * 7 % 90}.50, ['tea', 'star chart'])")
        assert done["kind"] == "done", done
    for i, name in enumerate(names):
        run(cluster, f"INSERT INTO shop.customers (name, mail, points) VALUES ('{name}', '{name}@example.org', {i * 11})")
    return cluster


@contextlib.contextmanager
def load(cluster):
    """A little traffic through real connections."""
    from cassandra.cluster import Cluster as Driver
    from cassandra.policies import RoundRobinPolicy
    driver = Driver(cluster.addresses(), port=cluster.port, load_balancing_policy=RoundRobinPolicy())
    session = driver.connect("shop")
    insert = session.prepare("INSERT INTO customers (name, mail, points) VALUES (?, ?, ?)")
    select = session.prepare("SELECT * FROM orders WHERE customer = ?")
    stop = threading.Event()

    def work():
        i = 0
        while not stop.is_set():
            with contextlib.suppress(Exception):
                futures = [session.execute_async(insert, (f"customer {i + k}", "x@example.org", k)) for k in range(6)]
                futures += [session.execute_async(select, ("ada",)) for _ in range(10 + i // 16 % 5 * 4)]
                for future in futures:
                    future.result()
            i += 6
            time.sleep(0.02)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        driver.shutdown()
