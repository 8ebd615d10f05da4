"""What importing the package costs, and what its names are."""

from __future__ import annotations

import importlib.metadata
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import celery_pyncette

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "celery_pyncette"
HEAVY = ("celery", "kombu", "sqlalchemy", "redis", "prometheus_client")


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=250,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy():
    code = "import celery_pyncette, sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in json.loads(python(code))}
    assert "celery_pyncette" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_importing_the_package_says_and_opens_nothing():
    code = (
        "import socket, logging, threading, sqlite3\n"
        "def refuse(*a, **k): raise SystemExit('opened a connection')\n"
        "socket.socket.connect = refuse; sqlite3.connect = refuse\n"
        "import celery_pyncette\n"
        "print(threading.active_count(), len(logging.getLogger().handlers))"
    )
    assert python(code).split() == ["1", "0"]


def test_every_public_name_can_be_had():
    names = getattr(celery_pyncette, "__all__", ("__version__",))
    assert len(set(names)) == len(names)
    missing = [name for name in names if not hasattr(celery_pyncette, name)]
    assert missing == []
    assert set(names) - {"__version__"} <= set(dir(celery_pyncette))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        celery_pyncette.no_such_name  # noqa: B018 - the look-up is the test


def test_the_version_is_the_installed_one():
    assert re.match(r"\d+\.\d+\.\d+", celery_pyncette.__version__)
    assert importlib.metadata.version("celery-pyncette") == celery_pyncette.__version__


def modules() -> list[str]:
    found = pkgutil.walk_packages([str(PACKAGE)], "celery_pyncette.", onerror=pytest.fail)
    return [module.name for module in found if not module.name.endswith("__main__")]


def test_the_modules_are_found():
    assert "celery_pyncette.core.errors" in modules()


#: Inside the rooms: what Celery and its users' settings name.
ENTRANCES = ("celery_pyncette.beat.scheduler", "celery_pyncette.worker.autoload", "celery_pyncette.cli.group")


def of_rooms(*, inside: bool) -> list[str]:
    """The modules inside the rooms, or the rooms themselves with what stands beside them and the entrances."""
    return [name for name in modules() if (name.count(".") > 1 and name not in ENTRANCES) is inside]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("inside", [False, pytest.param(True, marks=pytest.mark.full_matrix)])
def test_each_module_can_be_imported_first(inside: bool):
    """No module leans on another one having been imported before it: no hidden cycles.

    What others wrote is imported once, before the forks: it is not what is tried.
    """
    names = of_rooms(inside=inside)
    code = (
        "import importlib, sys, os\n"
        f"names = {names!r}\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "for name in [name for name in sys.modules if name.partition('.')[0] == 'celery_pyncette']:\n"
        "    del sys.modules[name]\n"
        "for name in names:\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        importlib.import_module(name); os._exit(0)\n"
        "    if os.waitpid(pid, 0)[1]: sys.exit('cannot be imported first: ' + name)\n"
    )
    assert python(code) == ""


@pytest.mark.parametrize("group", ["celery.beat_schedulers", "celery.commands"])
def test_the_entry_point_leads_somewhere(group: str):
    points = [point for point in importlib.metadata.entry_points(group=group) if point.name == "pyncette"]
    assert [point.dist.name for point in points if point.dist] == ["celery-pyncette"]
    assert callable(points[0].load())


def test_celery_finds_the_scheduler_by_its_short_name():
    from celery import Celery
    from celery.beat import Service

    app = Celery("proj", broker="memory://", set_as_current=False)
    scheduler = Service(app, scheduler_cls="pyncette").get_scheduler(lazy=True)
    assert type(scheduler) is celery_pyncette.Scheduler


def test_the_command_is_light_and_named_pyncette():
    code = (
        "import sys, celery_pyncette.cli as cli\n"
        f"print(cli.pyncette.name, [m for m in {HEAVY[2:]!r} if m in sys.modules])"
    )
    assert python(code).strip() == "pyncette []"
