"""A tiny Django project: settings behind `CELERY_`, tasks found by Django's apps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.project import PATIENCE, records_in
from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.support.wait import wait_until

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.timeout(60)]

SETTINGS = """\
SECRET_KEY = "only a test"
INSTALLED_APPS = ["shop"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}}

CELERY_TIMEZONE = TIME_ZONE
CELERY_RESULT_EXPIRES = None
CELERY_BEAT_SCHEDULE = {
    "stock": {"task": "shop.tasks.count", "schedule": 1.0},
    "nightly": {"task": "shop.tasks.count", "schedule": 86400.0},
}
CELERY_PYNCETTE_NAMESPACE = "shop"
CELERY_PYNCETTE_CLAIM_TIME = 5
CELERY_PYNCETTE_POLICIES = {"stock": {"delivery": "at_most_once"}}
"""

CELERY = """\
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_ours.settings")
app = Celery("site_of_ours")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""

TASKS = """\
from pathlib import Path

from celery import shared_task


@shared_task
def count():
    with Path("counted").open("a") as log:
        log.write("1\\n")
"""


@pytest.fixture
def site(tmp_path: Path, redis_broker: Broker, sqlite_url: str) -> Path:
    for package in ("site_of_ours", "shop"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    broker = f"CELERY_BROKER_URL = {redis_broker.url!r}\nCELERY_TASK_DEFAULT_QUEUE = {redis_broker.queue!r}\n"
    store = f"CELERY_PYNCETTE_STORE_URL = {sqlite_url!r}\n"
    (tmp_path / "site_of_ours" / "settings.py").write_text(SETTINGS + broker + store)
    (tmp_path / "site_of_ours" / "celery.py").write_text(CELERY)
    (tmp_path / "shop" / "tasks.py").write_text(TASKS)
    return tmp_path


def test_a_django_project_changes_one_flag(site: Path, processes: Processes, sqlite_url: str):
    processes.worker("site_of_ours.celery", cwd=site)
    beat = processes.beat("site_of_ours.celery", cwd=site)
    counted = site / "counted"
    wait_until(
        lambda: counted.exists() and len(counted.read_text().splitlines()) >= 2, PATIENCE, processes.tails, every=0.1
    )
    assert "namespace -> shop" in beat.text
    assert set(records_in(sqlite_url, "shop")) == {"stock", "nightly"}
    assert beat.terminate() == 0


def test_a_setting_with_a_typo_is_refused_by_its_name(site: Path, processes: Processes):
    settings = site / "site_of_ours" / "settings.py"
    settings.write_text(settings.read_text().replace("PYNCETTE_CLAIM_TIME", "PYNCETTE_CLAIM_TIMES"))
    beat = processes.beat("site_of_ours.celery", cwd=site)
    assert beat.wait(PATIENCE) != 0
    assert "did you mean pyncette_claim_time" in beat.text, beat.tail()
