"""The import contracts hold, and they bite: a copy of the package that breaks one is found out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
LINT = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint(['--no-cache']))"


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LINT], capture_output=True, text=True, cwd=directory, timeout=55)


def test_the_import_contracts_hold():
    done = lint(CHECKOUT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "celery_pyncette", tmp_path / "celery_pyncette", ignore=skip)
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/policies.py", "import time", "1. core knows nothing"),
        ("core/policies.py", "import celery_pyncette.clock", "1. core knows nothing"),
        ("stores/memory.py", "from celery_pyncette.core import lifecycle", "2. stores store"),
        ("engine/dispatcher.py", "import celery.beat", "3. what runs"),
        ("events/workers.py", "import celery.states", "3. what runs"),
        ("beat/scheduler.py", "import celery_pyncette.cli", "4a. shells and faces"),
        ("engine/dispatcher.py", "import celery_pyncette.observe", "5a. only runtime imports observe"),
        ("engine/dispatcher.py", "from celery_pyncette.stores import open_store", "5b. only runtime opens stores"),
        ("events/event.py", "import celery_pyncette.runtime", "6. siblings are acyclic"),
    ],
)
def test_a_broken_contract_is_found(copy: Path, module: str, line: str, contract: str):
    path = copy / "celery_pyncette" / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout
    broken = done.stdout.partition("Broken contracts")[2]
    assert contract in broken


def test_only_the_clock_asks_what_time_it_is(tmp_path: Path):
    """The lint rule that says so is in force for a new module, and waived for clock.py alone."""
    probe = "import datetime\nimport time\n\nprint(time.time(), datetime.datetime.now(datetime.timezone.utc))\n"
    found = {}
    for name in ("celery_pyncette/probe.py", "celery_pyncette/clock.py"):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--select=TID251", "--stdin-filename", name, "--no-cache", "-"],
            input=probe,
            capture_output=True,
            text=True,
            cwd=CHECKOUT,
        )
        found[name] = done.stdout.count("take a Clock")
    assert found == {"celery_pyncette/probe.py": 2, "celery_pyncette/clock.py": 0}
