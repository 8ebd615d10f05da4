"""A scene and a browser for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.browser.chromium import Window, browser
from tests.browser.scene import Scene
from tests.servers.catalogue import find
from tests.support.databases import redis_database
from tests.support.fixtures import TAILS
from tests.support.process import Processes

SIZES = [
    pytest.param(2_000, id="2000-entries"),
    pytest.param(100_000, id="100000-entries", marks=pytest.mark.full_matrix),
]


@pytest.fixture(scope="module", params=SIZES)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """So many entries in Redis, a beat, a worker."""
    server = find("redis").url
    assert server is not None
    directory = tmp_path_factory.mktemp("scene")
    with ExitStack() as stack:
        broker, store = (stack.enter_context(redis_database(server)) for _ in range(2))
        processes = Processes(directory)
        stack.callback(processes.end)
        yield Scene(directory, processes, broker, store, request.param).play()


@pytest.fixture(autouse=True)
def _logs(request: pytest.FixtureRequest) -> None:
    """A failure shows the end of each process's log."""
    if "scene" in request.fixturenames:
        scene: Scene = request.getfixturevalue("scene")
        request.node.stash.setdefault(TAILS, []).append(scene.processes.tails)


@pytest.fixture(scope="module")
def open_flower(scene: Scene) -> str:
    """A Flower whose API needs no authentication."""
    return scene.flower(FLOWER_UNAUTHENTICATED_API="1")


@pytest.fixture(scope="module")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield Window(driver, "")


@pytest.fixture
def window(_chromium: Window, open_flower: str) -> Iterator[Window]:
    """The browser on that Flower; what a test leaves on the console fails it."""
    window = _chromium.at(open_flower)
    window.complaints()
    yield window
    assert window.complaints() == []
