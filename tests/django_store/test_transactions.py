"""``django://``: scheduling inside Django's ``atomic``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

ENGINES = {"sqlite": "django.db.backends.sqlite3", "postgresql": "django.db.backends.postgresql"}


@pytest.mark.parametrize("kind", [pytest.param(name, marks=pytest.mark.store(name)) for name in ENGINES])
def test_what_is_scheduled_in_a_transaction_is_a_part_of_it(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    url = make_url(request.getfixturevalue(f"{kind}_url"))
    where = [ENGINES[kind], url.database or "", url.username or "", url.host or "", str(url.port or "")]
    command = [sys.executable, "-m", "tests.django_store.script", *where, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 9
