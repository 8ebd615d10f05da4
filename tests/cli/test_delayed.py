"""`delayed`: what is parked, seen and steered from a shell."""

from __future__ import annotations

import pytest

from celery_pyncette import delayed
from celery_pyncette.delay import interceptor
from tests.cli.setting import Shop, call, document


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.app.conf.update(pyncette_delay_queue=True, broker_url="memory://")
    interceptor.install(shop.app)
    for number, queue in enumerate(["mail", "mail", "bills"]):
        shop.app.send_task("shop.send", (number,), countdown=3600, task_id=f"id-{number}", queue=queue)
    return shop


def ids(shop: Shop) -> list[str]:
    return [message.task_id for message in delayed.list_delayed(app=shop.app).messages]


def test_they_are_listed(shop: Shop):
    said = call(shop.app, "delayed", "list", "--queue", "mail")
    assert said.exit_code == 0
    assert "id-0" in said.stdout
    assert "in 59 m" in said.stdout
    assert "id-2" not in said.stdout
    found = document(shop.app, "delayed", "list", "--limit", "2")
    assert [message["task_id"] for message in found["messages"]] == ["id-0", "id-1"]
    assert found["more"] is True


def test_they_are_counted(shop: Shop):
    found = document(shop.app, "delayed", "counts")
    assert (found["total"], found["due"]) == (3, 0)
    assert found["by_queue"] == {"mail": 2, "bills": 1}
    assert "3 parked, 0 of them due" in call(shop.app, "delayed", "counts").stdout


def test_one_is_cancelled(shop: Shop):
    said = call(shop.app, "delayed", "cancel", "id-1")
    assert (said.exit_code, said.stdout.strip()) == (0, "cancelled id-1: shop.send(1,)")
    assert ids(shop) == ["id-0", "id-2"]
    assert call(shop.app, "delayed", "cancel", "id-1").exit_code == 2


def test_one_is_moved(shop: Shop):
    assert call(shop.app, "delayed", "move", "id-0", "2040-01-01T00:00:00Z").exit_code == 0
    state = delayed.get_delayed("id-0", app=shop.app)
    assert state is not None
    assert state.eta.year == 2040
    assert document(shop.app, "delayed", "move", "id-0", "now")["message"]["state"] == "due"
    assert call(shop.app, "delayed", "move", "id-0", "2040-01-01T00:00:00").exit_code == 2
    assert call(shop.app, "delayed", "move", "id-9", "now").exit_code == 2


def test_purge_asks(shop: Shop):
    assert call(shop.app, "delayed", "purge", "--queue", "mail").exit_code == 2
    assert len(ids(shop)) == 3
    said = call(shop.app, "delayed", "purge", "--queue", "mail", "--yes")
    assert said.stdout.strip() == "2 parked message(s) of queue 'mail' taken out"
    assert ids(shop) == ["id-2"]
    assert document(shop.app, "delayed", "purge", "--yes")["count"] == 1
