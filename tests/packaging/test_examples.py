"""The examples do what they say, as real processes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.support.wait import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 30.0


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = loaded  # dataclasses look their module up
    try:
        spec.loader.exec_module(loaded)
    finally:
        del sys.modules[path.stem]
    return loaded


@pytest.mark.store("sqlite")
@pytest.mark.timeout(180)
def test_the_demo_survives_its_own_kill(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo" / "run.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**_environment(), "TMPDIR": str(tmp_path)},
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"killed beat-[ab] with SIGKILL", done.stdout)
    said = re.search(r"(\d+) expected = (\d+) used up \+ (\d+) skipped \+ (\d+) open, missed 0, doubled 0", done.stdout)
    assert said, done.stdout
    expected, *parts = map(int, said.groups())
    assert expected == sum(parts) > 40
    assert list(tmp_path.iterdir()) == [], "it leaves something behind"


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}


@pytest.fixture(scope="module")
def tally() -> ModuleType:
    return module(EXAMPLES / "demo" / "tally.py")


def rows(tally: ModuleType, runs: list[tuple[str, int]], *, started: int, skipped: int = 0, due_at: int = 5000) -> Any:
    from types import SimpleNamespace as Thing

    record = Thing(spec=Thing(name="x"), counters=Thing(started=started, skipped=skipped), due_at=due_at)
    return tally.tally([record], {"x": 1000}, {"x": 1.0}, 5500, runs)[0]


RAN = [("x", moment) for moment in (1000, 2000, 3000, 4000)]


def test_the_tally_of_a_good_run_is_good(tally: ModuleType):
    row = rows(tally, RAN, started=4)
    assert (row.expected, row.used_up, row.skipped, row.open, row.missed, row.doubled) == (5, 4, 0, 1, 0, 0)
    assert row.good


def test_the_tally_sees_what_was_missed_doubled_or_not_accounted_for(tally: ModuleType):
    assert rows(tally, RAN[:3], started=4).missed == 1
    assert rows(tally, [*RAN, RAN[0]], started=4).doubled == 1
    assert not rows(tally, RAN, started=3).good
    assert rows(tally, RAN[1:], started=3, skipped=1).good
    assert not rows(tally, RAN[1:], started=3).good


@pytest.mark.store("redis")
@pytest.mark.timeout(120)
def test_basic(processes: Processes, redis_broker: Broker, redis_url: str):
    env = {"BROKER_URL": redis_broker.url, "STORE_URL": redis_url}
    worker = processes.worker("basic", cwd=EXAMPLES, env=env)
    beats = [processes.beat("basic", "-s", str(processes.directory / name), cwd=EXAMPLES, env=env) for name in "ab"]
    wait_until(lambda: worker.text.count("hello, world") >= 2, PATIENCE, processes.tails, every=0.1)
    worker.wait_for_log("charging for the occurrence of", PATIENCE)
    beats[0].kill()
    seen = worker.text.count("hello, world")
    wait_until(lambda: worker.text.count("hello, world") >= seen + 2, PATIENCE, processes.tails, every=0.1)
    due = re.findall(r"charging for the occurrence of (\d+)", worker.text)
    assert len(set(due)) == len(due)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sqlite", marks=pytest.mark.store("sqlite")),
        *(
            pytest.param(kind, marks=[pytest.mark.store(kind), pytest.mark.full_matrix])
            for kind in ("postgresql", "mariadb", "redis")
        ),
    ],
)
def test_persistence(kind: str, processes: Processes, redis_broker: Broker, request: pytest.FixtureRequest):
    """The schedule goes on where it was, and what was missed is made good."""
    env = {"BROKER_URL": redis_broker.url, "STORE_URL": str(request.getfixturevalue(f"{kind}_url"))}
    worker = processes.worker("persistence", cwd=EXAMPLES, env=env)

    def due() -> list[int]:
        return sorted(int(found) for found in re.findall(r"due at (\d+)", worker.text))

    def beat(name: str):
        return processes.beat("persistence", "-s", str(processes.directory / name), cwd=EXAMPLES, env=env, name=name)

    first = beat("first")
    wait_until(lambda: len(due()) >= 1, PATIENCE, processes.tails, every=0.1)
    assert first.terminate() == 0
    stopped_at, before = int(time.time() * 1000), len(due())
    wait_until(lambda: time.time() * 1000 > due()[-1] + 4500, PATIENCE, "two of them are missed")
    beat("second")
    wait_until(lambda: len(due()) >= before + 3, PATIENCE, processes.tails, every=0.1)
    assert all(later - earlier == 2000 for earlier, later in zip(due(), due()[1:], strict=False)), due()
    assert any(moment < stopped_at + 4000 for moment in due()[before:])
