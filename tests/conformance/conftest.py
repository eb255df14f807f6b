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

    made = driver.connect()
    name = request.module.__name__.removeprefix("test_")
    keyspace(made, name)
    made.set_keyspace(name)
    return made
