"""Scheduled inside the user's own transaction, before a real beat: sent once if it commits, and never if it rolls back.

A fence is an entry scheduled after all others: when it has arrived, whatever a beat could have seen before it has too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest
import sqlalchemy
from celery import Celery
from sqlalchemy.orm import Session

from celery_pyncette import schedule_task
from celery_pyncette.client.desk import desk_of
from celery_pyncette.stores.sql.address import sql_url
from tests.faults.ledger import Drain
from tests.integration.project import PATIENCE, Project
from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)

SETTINGS = """\
SECRET_KEY = "only a test"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **DATABASE}}
CELERY_BEAT_SCHEDULE = {}
CELERY_RESULT_EXPIRES = None
CELERY_PYNCETTE_STORE_URL = "django://default"
CELERY_PYNCETTE_NAMESPACE = "proj"
CELERY_PYNCETTE_POLL_INTERVAL = 0.2
"""
CELERY = """\
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
app = Celery("proj", set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
SHOP = """\
import sys
from datetime import datetime, timezone

from proj import app
import django

django.setup()
from django.db import transaction
from celery_pyncette import schedule_task


def remind(name):
    schedule_task("proj.note", name, execute_at=datetime.now(timezone.utc), app=app)


with transaction.atomic():
    remind("committed")
try:
    with transaction.atomic():
        remind("rolled-back")
        raise LookupError
except LookupError:
    pass
with transaction.atomic():
    remind("held")
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.readline()
"""


def counted(drain: Drain) -> Counter[str]:
    return Counter(message.entry for message in list(drain.messages))


def fence(app: Celery, drain: Drain, name: str, processes: Processes) -> Counter[str]:
    """All that had arrived by the time that the fence did."""
    schedule_task("proj.note", name, execute_at=_now(), app=app)
    wait_until(lambda: counted(drain)[name], PATIENCE, processes.tails)
    return counted(drain)


def client_of(url: str) -> Celery:
    app = Celery("proj", set_as_current=False)
    app.conf.update(pyncette_store_url=url)
    return app


def _now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.mark.parametrize(
    "kind",
    [pytest.param("postgresql", marks=pytest.mark.store("postgresql"))]
    + [pytest.param(kind, marks=[pytest.mark.store(kind), pytest.mark.full_matrix]) for kind in ("mariadb", "sqlite")],
)
def test_inside_a_transaction_of_sqlalchemy(kind: str, request, tmp_path: Path, processes, redis_broker: Broker):
    url = str(request.getfixturevalue(f"{kind}_url"))
    project = Project(tmp_path, processes, redis_broker, url).write(beat_schedule={}, pyncette_poll_interval=0.2)
    project.working_beat()
    app, engine = client_of(url), sqlalchemy.create_engine(sql_url(url))
    with Drain(redis_broker) as drain, Session(engine) as session:
        session.execute(sqlalchemy.text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
        session.commit()
        for number, name in enumerate(("committed", "rolled-back", "held")):
            session.execute(sqlalchemy.text(f"INSERT INTO orders VALUES ({number})"))
            schedule_task("proj.note", name, execute_at=_now(), connection=session, app=app)
            if name == "held":
                break
            session.commit() if name == "committed" else session.rollback()
        if kind != "sqlite":  # where one writer waits for the other
            assert fence(app, drain, "first fence", processes) == {"committed": 1, "first fence": 1}
        session.commit()
        arrived = fence(app, drain, "second fence", processes)
        assert session.scalar(sqlalchemy.text("SELECT count(*) FROM orders")) == 2
    del arrived["first fence"], arrived["second fence"]
    assert arrived == {"committed": 1, "held": 1}
    engine.dispose()
    desk_of(app).close()


@pytest.mark.store("postgresql")
def test_inside_atomic_of_django(tmp_path: Path, processes: Processes, redis_broker: Broker, postgresql_url: str):
    at = sqlalchemy.make_url(postgresql_url)
    database = {"NAME": at.database, "USER": at.username, "PASSWORD": at.password, "HOST": at.host, "PORT": at.port}
    broker = f"CELERY_BROKER_URL = {redis_broker.url!r}\nCELERY_TASK_DEFAULT_QUEUE = {redis_broker.queue!r}\n"
    shown = {name: value for name, value in database.items() if value is not None}
    (tmp_path / "settings.py").write_text(f"DATABASE = {shown!r}\n{SETTINGS}{broker}")
    (tmp_path / "proj.py").write_text(CELERY)
    (tmp_path / "shop.py").write_text(SHOP)
    processes.beat("proj").wait_for_log("beat_started", PATIENCE)
    app = client_of(postgresql_url)
    with Drain(redis_broker) as drain:
        shop = _shop(tmp_path)
        assert shop.stdout.readline() == "held\n"
        assert fence(app, drain, "first fence", processes) == {"committed": 1, "first fence": 1}
        assert shop.communicate("go\n", timeout=PATIENCE)[0] == ""
        assert shop.returncode == 0
        arrived = fence(app, drain, "second fence", processes)
    assert arrived == {"committed": 1, "held": 1, "first fence": 1, "second fence": 1}
    desk_of(app).close()


def _shop(directory: Path) -> subprocess.Popen[str]:
    """The Django process; it holds its last transaction open until it is told to go."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(directory), str(Path(__file__).parents[2])])}
    return subprocess.Popen(
        [sys.executable, "shop.py"], cwd=directory, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
