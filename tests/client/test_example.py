"""The example does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "dynamic_tasks.py"


@pytest.mark.store("sqlite")
@pytest.mark.timeout(120)
def test_the_example_of_dynamic_tasks(tmp_path: Path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, EXAMPLE], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2000 entries at once, 0 refused" in done.stdout
    assert "hello-ada is paused" in done.stdout
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
