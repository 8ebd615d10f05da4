"""`examples/flower` as real processes: what beats send shows in Flower, also what waits in the store."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.integration.project import PATIENCE
from tests.packaging.test_contracts import CHECKOUT
from tests.support.brokers import Broker
from tests.support.ports import free_port
from tests.support.process import Processes
from tests.support.wait import wait_until

EXAMPLE = CHECKOUT / "examples" / "flower"


class Flower:
    """What one Flower answers."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"

    def page(self, path: str, **query: str) -> str:
        with urllib.request.urlopen(f"{self.root}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return answer.read().decode()

    def api(self, path: str, **query: str) -> Any:
        return json.loads(self.page(f"/api{path}", **query))


@pytest.mark.full_matrix
@pytest.mark.store("redis")
@pytest.mark.timeout(180)
def test_what_is_sent_and_what_is_parked_shows_in_flower(
    redis_broker: Broker, redis_url: str, processes: Processes, tmp_path: Path
):
    env = {"BROKER_URL": redis_broker.url, "STORE_URL": redis_url, "FLOWER_UNAUTHENTICATED_API": "1"}
    port = free_port()
    flower = Flower(port)
    started = processes.celery("proj", "flower", f"--port={port}", cwd=EXAMPLE, env=env)
    processes.worker("proj", "-E", "-c", "2", pool="threads", cwd=EXAMPLE, env=env)
    wait_until(lambda: flower.page("/healthcheck") == "OK", 60, started.tail, every=0.1, swallow=(OSError,))
    processes.beat("proj", "-s", str(tmp_path / "schedule"), cwd=EXAMPLE, env=env)

    def mailed() -> str | None:
        ended = flower.api("/tasks", taskname="proj.mail", state="SUCCESS")
        return next(iter(ended), None)

    task_id = wait_until(mailed, PATIENCE, processes.tails, every=0.2)
    info = flower.api(f"/task/info/{task_id}")
    assert (info["name"], info["args"], info["state"]) == ("proj.mail", "['newsletter']", "SUCCESS")
    page = flower.page(f"/task/{task_id}")
    assert '<a href="/schedules/entry?name=mail">mail</a>' in page
    assert re.search(r"<dt>Queue</dt>\s*<dd>celery</dd>", page)
    assert f'href="/task/{task_id}"' in flower.page("/schedules/entry", name="mail")

    parked = wait_until(lambda: flower.api("/delayed")["messages"], PATIENCE, processes.tails, every=0.2)
    assert (parked[0]["task"], parked[0]["args"], parked[0]["state"]) == ("proj.remind", "('newsletter',)", "waiting")
    page = flower.page("/schedules", view="parked")
    assert parked[0]["task_id"] in page
    assert "proj.remind" in page
    assert flower.api("/tasks", taskname="proj.remind", state="STARTED") == {}, "it waits in the store, in no worker"
