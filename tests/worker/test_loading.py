"""How an application gets the gate: by the extension, or by configuration alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from celery_pyncette import Pyncette
from celery_pyncette.extension import extended_apps
from tests.worker.support import Workshop

pytestmark = pytest.mark.full_matrix

CHECKOUT = Path(__file__).parents[2]


def python(code: str, cwd: Path = CHECKOUT) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_extension_reads_no_configuration_and_changes_no_entry():
    code = (
        "from celery import Celery\n"
        "from celery_pyncette import Pyncette\n"
        "app = Celery('proj')\n"
        "ext = Pyncette(app)\n"
        "print(app.configured, app.finalized, app.pyncette is ext)\n"
        "app.conf.beat_schedule = {'a': {'task': 't', 'schedule': 1.0}}\n"
        "print(app.conf.beat_schedule, app.conf.task_default_queue)\n"
    )
    assert python(code).splitlines() == [
        "False False True",
        "{'a': {'task': 't', 'schedule': 1.0}} celery",
    ]


def test_it_can_be_had_first_and_given_an_app_later():
    code = (
        "from celery import Celery\n"
        "from celery_pyncette import Pyncette\n"
        "ext = Pyncette()\n"
        "app = Celery('proj')\n"
        "@app.task(name='t')\n"
        "def t(): pass\n"
        "app.finalize()\n"
        "ext.init_app(app); ext.init_app(app)\n"
        "from celery_pyncette.extension import extended_apps\n"
        "print(len(extended_apps()), '_pyncette_gated' in type(app.tasks['t']).__dict__)\n"
    )
    assert python(code) == "1 True"


def test_a_task_that_is_called_eagerly_before_the_app_is_finalized_meets_its_middlewares():
    code = (
        "from celery import Celery\n"
        "from celery_pyncette import Pyncette\n"
        "app = Celery('proj', broker='memory://')\n"
        "app.conf.task_always_eager = True\n"
        "@Pyncette(app).middleware\n"
        "def around(run):\n"
        "    print('in', app.finalized)\n"
        "    yield\n"
        "@app.task(name='t')\n"
        "def t(): print('ran')\n"
        "t.delay()\n"
    )
    assert python(code).splitlines() == ["in False", "ran"]


def test_a_web_process_loads_nothing_of_a_worker():
    code = (
        "import sys\n"
        "from celery import Celery\n"
        "from celery_pyncette import Pyncette\n"
        "app = Celery('proj', broker='memory://')\n"
        "Pyncette(app)\n"
        "@app.task(name='t')\n"
        "def t(): pass\n"
        "app.finalize()\n"
        "app.tasks['t'].delay()\n"
        "loaded = ('celery.worker.request', 'celery_pyncette.worker.requests')\n"
        "print([name for name in loaded if name in sys.modules])\n"
    )
    assert python(code) == "[]"


def test_the_apps_of_a_process_are_remembered():
    from celery import Celery

    app = Celery("remembered", set_as_current=False)
    before = extended_apps()
    Pyncette(app)
    assert extended_apps() == (*before, app)


SHARED = """
from celery import shared_task

from proj import say


@shared_task(bind=True)
def shared(self):
    from celery_pyncette import current_occurrence

    say("began", self.request, occurrence=current_occurrence() is not None)
"""


@pytest.mark.timeout(90)
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("how", ["imports", "extension"])
def test_a_shared_task_of_another_module_has_the_gate(workshop: Workshop, start: str, how: str):
    """In a spawned child nothing imports the module of the app, only those of its tasks."""
    by_import = how == "imports"
    imports = ["celery_pyncette.worker.autoload", "tasks"] if by_import else ["tasks"]
    workshop.write(
        *([""] if by_import else []),
        imports=imports,
        **({"worker_pool_start_method": start} if start != "fork" else {}),
    )
    (workshop.directory / "tasks.py").write_text(SHARED)
    worker = workshop.worker("prefork", "-c", "1")
    ticket = workshop.run("shared", task="tasks.shared")
    workshop.reported(ticket, "succeeded")
    workshop.send(ticket, task="tasks.shared")
    workshop.until(lambda: "start_refused" in worker.text, "its copy is refused")
    (began,) = workshop.said("began", ticket.task_id)
    assert began["occurrence"] is True


@pytest.mark.timeout(90)
def test_a_worker_with_a_wrong_setting_says_so_and_runs_ordinary_tasks(workshop: Workshop):
    workshop.write(pyncette_leese=5)
    worker = workshop.worker("prefork", "-c", "1")
    worker.wait_for_log("gate_misconfigured: pyncette_leese is no setting")
    ticket = workshop.run("refused")
    ordinary = workshop.send({})
    workshop.until(lambda: workshop.said("ended", ordinary), "an ordinary task")
    workshop.until(lambda: f"{ticket.task_id}] ignored" in worker.text, "a run is refused")
    assert json.dumps(workshop.said("began", ticket.task_id)) == "[]"


@pytest.mark.timeout(90)
def test_a_worker_without_a_store_says_so_and_runs_ordinary_tasks(workshop: Workshop):
    workshop.write(pyncette_store_url=None)
    worker = workshop.worker("prefork", "-c", "1")
    worker.wait_for_log("no_store: pyncette_store_url is not set")
    ticket = workshop.run("no-lease", delivery="at_least_once")
    once = workshop.run("refused", delivery="at_most_once")
    workshop.until(lambda: workshop.said("ended", ticket.task_id), "at least once it runs without a lease")
    workshop.until(lambda: f"{once.task_id}] ignored" in worker.text, "at most once it is refused")
    assert workshop.said("began", once.task_id) == []
