"""While a store takes its time, other greenlets and the event loop go on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from celery_pyncette import get_task, schedule_task
from celery_pyncette.client.desk import desk_of
from celery_pyncette.runtime import Runtime
from celery_pyncette.stores.protocol import Founding
from tests.client.setting import app_of
from tests.support.proxy import TcpProxy

KINDS = [pytest.param(name, marks=pytest.mark.store(name)) for name in ("redis", "postgresql")]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> str:
    """A store with a namespace that a beat has founded."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    store = Runtime(app_of(pyncette_store_url=url, pyncette_namespace="shop")).open_store()
    store.prepare(Founding())
    store.close()
    return url


@pytest.fixture
def proxy(url: str, proxy_to: Callable[[str], TcpProxy]) -> Iterator[TcpProxy]:
    """Before the store; what is held there takes as long as the test likes."""
    return proxy_to(url)


def test_gevent(url: str, proxy: TcpProxy):
    pytest.importorskip("gevent")
    script = subprocess.Popen(
        [sys.executable, "-m", "tests.client.gevent_script", proxy.through(url)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with script:
        assert script.stdout.readline() == "ready\n"
        proxy.hold()
        script.stdin.write("go\n")
        script.stdin.flush()
        assert script.stdout.readline() == "turning\n"
        proxy.release()
        assert script.stdout.readline() == "done\n"
    assert script.returncode == 0
    app = app_of(pyncette_store_url=url, pyncette_namespace="shop")
    assert all(get_task(name, app=app) for name in ("n", "n-0", "n-19"))
    desk_of(app).close()


def test_asyncio_as_the_documentation_has_it(url: str, proxy: TcpProxy):
    app = app_of(pyncette_store_url=proxy.through(url), pyncette_namespace="shop", pyncette_store_timeout=30)

    async def schedule(name: str):
        call = partial(schedule_task, "t", name, interval=60, app=app)
        return await asyncio.get_running_loop().run_in_executor(None, call)

    async def both() -> int:
        await schedule("connects")
        proxy.hold()
        call = asyncio.create_task(schedule("n"))
        turns = 0
        while turns < 50 and not call.done():
            await asyncio.sleep(0.01)
            turns += 1
        proxy.release()
        assert (await call).name == "n"
        return turns

    assert asyncio.run(both()) == 50
    desk_of(app).close()
