import pytest


@pytest.fixture(scope="module")
def driver(cluster):
    from cql import connect

    connected = connect(cluster)
    yield connected
    connected.shutdown()


@pytest.fixture(scope="module")
def session(driver, request):
    """A session in a keyspace that is named after the file, with three replicas."""
    from cql import keyspace

    name = request.module.__name__.removeprefix("test_")
    first = driver.connect()
    keyspace(first, name)
    first.shutdown()
    # Not by set_keyspace: the driver forgets to tell connections that are made at the same time.
    return driver.connect(name)
