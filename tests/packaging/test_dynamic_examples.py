"""The examples of entries at run time: in a transaction, in a Django project, behind FastAPI; with real processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery

from celery_pyncette import Pyncette
from celery_pyncette.client.desk import desk_of
from tests.packaging.test_examples import EXAMPLES, PATIENCE, module
from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.mark.store("sqlite")
def test_the_example_of_transactions(tmp_path: Path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, EXAMPLES / "transactional.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "orders:   1, 3, 5\nreminded: 1, 3, 5\n" in done.stdout
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


@pytest.mark.store("sqlite")
def test_the_example_of_a_django_project(tmp_path: Path, processes: Processes):
    project = EXAMPLES / "django_project"
    env = {"DJANGO_PROJECT_DATA": str(tmp_path)}

    def manage(*words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        paths = {**os.environ, **env, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=project, env=paths, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    manage("migrate", "--run-syncdb")
    beat = processes.beat("project", "-s", str(tmp_path / "schedule"), cwd=project, env=env)
    worker = processes.worker("project", cwd=project, env=env)
    beat.wait_for_log("beat_started", PATIENCE)
    placed = manage("order", "2", "3", "--refused", "1")
    assert placed == "the card for order 1 was refused\norder 2 is placed\norder 3 is placed\n"
    worker.wait_for_log("reminded of order 3", PATIENCE)
    worker.wait_for_log("reminded of order 2", PATIENCE)
    assert manage("order") == "order 2: 1 reminders\norder 3: 1 reminders\n"
    assert "reminded of order 1" not in worker.text


@pytest.mark.store("redis")
def test_the_example_of_fastapi(processes: Processes, redis_broker: Broker, redis_url: str, monkeypatch):
    env = {"BROKER_URL": redis_broker.url, "STORE_URL": redis_url}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    beat = processes.beat("fastapi_app", "-s", str(processes.directory / "s"), cwd=EXAMPLES, env=env)
    worker = processes.worker("fastapi_app", cwd=EXAMPLES, env=env)
    beat.wait_for_log("beat_started", PATIENCE)
    example = module(EXAMPLES / "fastapi_app.py")
    another = Pyncette(Celery("another", set_as_current=False))  # in the same process it is no reason for doubt
    asyncio.run(_visit(example, worker))
    assert another.app is not example.app
    desk_of(example.app).close()


async def _visit(example, worker) -> None:
    import httpx

    digest = "/users/42/digest"
    transport = httpx.ASGITransport(example.web)
    async with httpx.AsyncClient(transport=transport, base_url="http://web") as web:
        assert (await web.get(digest)).status_code == 404
        refused = await web.put(digest, json={"schedule": "99 * * * *"})
        assert refused.status_code == 422
        assert "schedule" in refused.json()["detail"]
        assert (await web.put(digest, json={"interval": 1})).json()["schedule"] == "every 1 s"
        await asyncio.to_thread(wait_until, lambda: "digest for user 42" in worker.text, PATIENCE, worker.tail)
        assert (await web.get(digest)).json()["state"] in ("waiting", "due", "claimed")
        assert (await web.delete(digest)).status_code == 204
        assert (await web.get(digest)).status_code == 404
