"""Middlewares in children that are spawned: they inherit nothing, and run all the same, or no task does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.worker.support import EXTENSION, PATIENCE, Workshop

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.broker("redis"),
    pytest.mark.store("redis"),
    pytest.mark.needs("own-redis"),
]

NOTING = """
from celery_pyncette.middleware import skip_if


def noting(name):
    def note(run):
        say(name, run.request, app=run.task.app.main)
        yield
        say("not " + name, run.request)

    return note


"""
SPAWN = {"worker_pool_start_method": "spawn"}


def what(workshop: Workshop, task_id: str) -> list[str]:
    return [line["what"] for line in workshop.said(task_id=task_id)]


def ran(workshop: Workshop, *lines: str) -> None:
    task_id = workshop.send({})
    workshop.until(lambda: len(what(workshop, task_id)) >= len(lines), "a task has run")
    assert what(workshop, task_id) == list(lines)


def test_they_run_in_the_order_of_their_definition_wherever_they_are_defined(workshop: Workshop):
    """Of the two modules, the one that sorts first is the one that defines last."""
    body = "\nimport zoo\n\npyncette.middleware(noting('b'))\npyncette.middleware(noting('c'))\nimport ark\n"
    workshop.write(EXTENSION + NOTING + body, **SPAWN)
    (workshop.directory / "zoo.py").write_text("from proj import noting, pyncette\npyncette.middleware(noting('a'))\n")
    (workshop.directory / "ark.py").write_text("from proj import noting, pyncette\npyncette.middleware(noting('d'))\n")
    worker = workshop.worker("prefork", "-c", "1")
    ran(workshop, "a", "b", "c", "d", "began", "ended", "not d", "not c", "not b", "not a")
    assert {line["app"] for line in workshop.said("a")} == {"proj"}
    assert worker.warm_shutdown() == 0


@pytest.mark.full_matrix
def test_an_app_that_a_factory_makes_has_them_too(workshop: Workshop):
    """Importing the factory defines nothing; importing the module that calls it does."""
    workshop.write(NOTING + "\nfrom factory import extend\n\npyncette = extend(app, noting('a'))\n", **SPAWN)
    (workshop.directory / "factory.py").write_text(
        "from celery_pyncette import Pyncette\n\n"
        "def extend(app, *given):\n"
        "    pyncette = Pyncette(app)\n"
        "    for each in given:\n"
        "        pyncette.middleware(each, tasks='proj.*')\n"
        "    return pyncette\n"
    )
    workshop.worker("prefork", "-c", "1")
    ran(workshop, "a", "began", "ended", "not a")


@pytest.mark.full_matrix
def test_settings_with_a_prefix_change_nothing(workshop: Workshop):
    workshop.write(EXTENSION + NOTING + "pyncette.middleware(noting('a'))\n", **SPAWN)
    prefixed(workshop.directory)
    workshop.worker("prefork", "-c", "1")
    ran(workshop, "a", "began", "ended", "not a")


def prefixed(directory: Path) -> None:
    """Settings as in a Django project: in upper case, with a prefix."""
    proj = directory / "proj.py"
    given = 'json.loads((HERE / "conf.json").read_text())'
    upper = "{'CELERY_' + name.upper(): value for name, value in " + given + ".items()}, namespace='CELERY'"
    text = proj.read_text()
    assert given in text
    proj.write_text(text.replace(given, upper))


@pytest.mark.full_matrix
def test_with_two_apps_it_is_the_one_that_the_worker_is_of(workshop: Workshop):
    other = "\nother = Celery('other')\nPyncette(other).middleware(noting('other'))\n"
    workshop.write(EXTENSION + NOTING + "pyncette.middleware(noting('a'))\n" + other, **SPAWN)
    workshop.worker("prefork", "-c", "1")
    ran(workshop, "a", "began", "ended", "not a")


CASES: dict[str, Any] = {
    "only where it is the main process": "\nif os.environ.get('MAIN_PID') is None:\n    os.environ['MAIN_PID'] = '1'\n"
    "    pyncette.middleware(noting('a'))\n",
    "when the worker begins": "\nfrom celery.signals import celeryd_init\n\n@celeryd_init.connect\n"
    "def define(**_):\n    pyncette.middleware(noting('a'))\n",
}


@pytest.mark.full_matrix
@pytest.mark.parametrize("case", CASES)
def test_what_a_child_cannot_come_by_stops_the_worker_and_is_named(workshop: Workshop, case: str):
    workshop.write(EXTENSION + NOTING + CASES[case], **SPAWN)
    worker = workshop.processes.worker("proj", "-c", "2", pool="prefork", cwd=workshop.directory)
    task_id = workshop.send({})
    assert worker.wait(PATIENCE) == 1
    assert re.search(r"not_in_spawned_child: .* does not come by (proj|__main__):noting\.<locals>\.note", worker.text)
    assert 'or set worker_pool_start_method = "fork"' in worker.text
    assert worker.text.count("worker_stopped: a process that this worker had started could not go on") == 1
    assert what(workshop, task_id) == [], "it did not run without its middleware"
