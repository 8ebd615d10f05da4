"""The fixtures that all tests may use. Each that needs a server marks its test (see tests/support/needs.py)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.catalogue import BROKERS, STORES, find
from tests.support import brokers, databases
from tests.support.brokers import Broker
from tests.support.own_databases import OwnMariadb, OwnPostgres
from tests.support.own_rabbit import OwnRabbit
from tests.support.own_redis import OwnRedis, OwnRedisCluster
from tests.support.process import Processes
from tests.support.proxy import TcpProxy


def _server(name: str) -> str:
    found = find(name)
    assert found.url is not None, f"no {name}: {found.reason}"
    return found.url


@pytest.fixture
def fresh_namespace() -> str:
    """A namespace that no other test has."""
    return f"ns-{secrets.token_hex(5)}"


@pytest.fixture
def processes(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Processes]:
    """Starts commands, beats and workers; ends them with the test; a failure shows the end of each log."""
    started = Processes(tmp_path)
    request.node.stash.setdefault(TAILS, []).append(started.tails)
    request.node.stash.setdefault(STARTED, []).append(started)
    yield started
    started.end()


TAILS = pytest.StashKey[list[Callable[[], str]]]()
STARTED = pytest.StashKey[list[Processes]]()


def _all_ended(request: pytest.FixtureRequest) -> None:
    """What is flushed must stay empty, whichever fixture the test asked for first."""
    for started in request.node.stash.get(STARTED, []):
        started.end()


@pytest.fixture
def proxy_to() -> Iterator[Callable[[str], TcpProxy]]:
    """`proxy_to(url)` starts a TcpProxy before the server of that URL; `proxy.through(url)` is the URL behind it."""
    from urllib.parse import urlsplit

    standard = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "amqp": 5672}
    with contextlib.ExitStack() as stack:

        def start(url: str) -> TcpProxy:
            parts = urlsplit(url)
            port = parts.port or standard.get(parts.scheme.split("+")[0], 6379)
            return stack.enter_context(TcpProxy(port, parts.hostname or "127.0.0.1"))

        yield start


# --- stores ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def memory_url() -> str:
    return "memory://"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.sqlite3"


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    with databases.postgresql_database(_server("postgresql")) as url:
        yield url


@pytest.fixture
def mariadb_url() -> Iterator[str]:
    with databases.mariadb_database(_server("mariadb")) as url:
        yield url


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with databases.redis_database(_server("redis")) as url:
        yield url
        _all_ended(request)


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[OwnRedisCluster]:
    with OwnRedisCluster() as cluster:
        yield cluster


@pytest.fixture
def redis_cluster_url(redis_cluster: OwnRedisCluster) -> Iterator[str]:
    yield redis_cluster.url
    redis_cluster.clean()


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.store(name)) for name in STORES])
def store_url(request: pytest.FixtureRequest) -> str:
    """A clean store of each kind in turn."""
    return str(request.getfixturevalue(f"{request.param.replace('-', '_')}_url"))


# --- brokers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def filesystem_broker(tmp_path: Path) -> Iterator[Broker]:
    with brokers.filesystem_broker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def redis_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with brokers.redis_broker(_server("redis")) as broker:
        yield broker
        _all_ended(request)


@pytest.fixture
def rabbitmq_broker() -> Iterator[Broker]:
    with brokers.rabbitmq_broker(_server("rabbitmq")) as broker:
        yield broker


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.broker(name)) for name in BROKERS if name != "memory"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """A clean broker of each kind in turn, fit for real processes."""
    value = request.getfixturevalue(f"{request.param}_broker")
    assert isinstance(value, Broker)
    return value


# --- own servers: to be killed --------------------------------------------------------------------------------------


@pytest.fixture
def own_redis(request: pytest.FixtureRequest) -> Iterator[OwnRedis]:
    """A redis-server that forgets everything when it ends."""
    with OwnRedis() as server:
        request.node.stash.setdefault(TAILS, []).append(server.tail)
        yield server


@pytest.fixture
def own_persistent_redis(request: pytest.FixtureRequest) -> Iterator[OwnRedis]:
    """A redis-server that finds its data again."""
    with OwnRedis(persistent=True) as server:
        request.node.stash.setdefault(TAILS, []).append(server.tail)
        yield server


@pytest.fixture
def own_postgres(request: pytest.FixtureRequest) -> Iterator[OwnPostgres]:
    with OwnPostgres() as server:
        request.node.stash.setdefault(TAILS, []).append(server.tail)
        yield server


@pytest.fixture
def own_mariadb(request: pytest.FixtureRequest) -> Iterator[OwnMariadb]:
    with OwnMariadb() as server:
        request.node.stash.setdefault(TAILS, []).append(server.tail)
        yield server


@pytest.fixture(scope="session")
def _rabbit_node() -> Iterator[OwnRabbit]:
    with OwnRabbit() as node:
        yield node


@pytest.fixture
def own_rabbit(_rabbit_node: OwnRabbit, request: pytest.FixtureRequest) -> OwnRabbit:
    """A RabbitMQ node shared by the session; it runs at each test's start, whatever the test before did to it."""
    if not _rabbit_node.running:
        _rabbit_node.start()
    request.node.stash.setdefault(TAILS, []).append(_rabbit_node.tail)
    return _rabbit_node
