"""`celery -A proj pyncette …` as it is typed, on real stores, beside a real beat."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.brokers import Broker
from tests.support.own_redis import OwnRedis
from tests.support.process import Process, Processes
from tests.support.wait import wait_until

CHECKOUT = Path(__file__).parents[2]
MODULE = """
from celery import Celery

app = Celery("shop")
app.conf.update({settings!r})
app.conf.update(timezone="Europe/Berlin", beat_schedule={{
    "tick": {{"task": "shop.tick", "schedule": 1.0}},
    "night": {{"task": "shop.night", "schedule": "30 2 * * *", "args": ("personal",)}},
}})

@app.on_after_finalize.connect
def more(sender, **kwargs):
    sender.add_periodic_task(3600.0, sender.signature("shop.hourly"), name="added")
"""

Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path, filesystem_broker: Broker) -> Callable[[str | None], None]:
    def write(url: str | None) -> None:
        settings = dict(filesystem_broker.settings)
        if url is not None:
            settings["pyncette_store_url"] = url
        (tmp_path / "proj.py").write_text(MODULE.format(settings=settings))

    return write


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """Type `celery -A proj pyncette ARGS` and wait for its end."""

    def type_in(*args: str, first: Path | None = None) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(str(each) for each in (first, tmp_path, CHECKOUT) if each is not None)
        return subprocess.run(
            [sys.executable, "-m", "celery", "-A", "proj", "pyncette", *args],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=40,
        )

    return type_in


def beat_of(processes: Processes) -> Process:
    beat = processes.beat("proj")
    beat.wait_for_log("beat_started")
    return beat


def names(answer: subprocess.CompletedProcess[str]) -> dict[str, dict]:
    assert answer.returncode == 0, answer.stderr
    return {each["name"]: each for each in json.loads(answer.stdout)["entries"]}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sqlite", marks=pytest.mark.store("sqlite")),
        pytest.param("redis", marks=[pytest.mark.store("redis"), pytest.mark.full_matrix]),
    ],
)
def test_the_three_commands_beside_a_beat(
    kind: str, request: pytest.FixtureRequest, project: Callable[[str], None], typed: Typed, processes: Processes
):
    project(request.getfixturevalue(f"{kind}_url"))
    before = names(typed("list", "--json"))
    assert {entry["state"] for entry in before.values()} == {"unknown"}
    assert {"tick", "night", "added"} <= before.keys()
    beat = beat_of(processes)
    entries = wait_until(
        lambda: (found := names(typed("list", "--json")))["tick"]["last_run"] and found, 30, "tick has run"
    )
    assert before.keys() == entries.keys()
    assert entries["tick"]["last_run"]["outcome"] == "sent"
    assert entries["tick"]["last_run"]["lag_ms"] < 30_000
    assert entries["night"]["state"] == "waiting"
    table = typed("list")
    assert table.stderr == ""
    assert table.stdout.splitlines()[0].split()[:3] == ["NAME", "ORIGIN", "SCHEDULE"]
    assert "personal" not in table.stdout
    due = json.loads(typed("next", "night", "--json").stdout)
    assert (due["source"], due["times"][0]["local"][11:16]) == ("store", "02:30")
    health = typed("doctor", "--json")
    assert health.returncode == 0, health.stdout
    report = json.loads(health.stdout)
    assert [(each["pid"], each["same_configuration"]) for each in report["beats"]] == [(beat.pid, True)]
    servers = [each["text"] for each in report["checks"] if each["check"] == "server"]
    assert bool(servers) == (kind == "redis")


@pytest.mark.store("redis")
def test_a_store_that_goes_down_is_one_line_and_exit_code_3(
    own_redis: OwnRedis, project: Callable[[str], None], typed: Typed, processes: Processes
):
    project(own_redis.url)
    beat_of(processes).kill()
    assert typed("list").returncode == 0
    own_redis.kill()
    down = typed("list")
    assert (down.returncode, down.stdout) == (3, "")
    assert (down.stderr.startswith("Error: "), down.stderr.count("\n")) == (True, 1)
    health = typed("doctor")
    assert (health.returncode, health.stderr) == (3, "")
    assert "store     problem" in health.stdout
    following = typed("next", "night")
    assert following.returncode == 0
    assert "from the configuration alone" in following.stderr


@pytest.mark.store("redis")
def test_a_redis_that_forgets_is_told(
    own_redis: OwnRedis, project: Callable[[str], None], typed: Typed, processes: Processes
):
    import redis

    project(own_redis.url)
    beat_of(processes)
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    report = json.loads(typed("doctor", "--json").stdout)
    told = [each["text"] for each in report["checks"] if each["check"] == "server"]
    assert any("maxmemory-policy is allkeys-lru" in text for text in told)
    assert any("persistence is off" in text for text in told)
    assert typed("doctor", "--strict").returncode == 1


@pytest.mark.store("redis")
def test_a_wrong_password_is_exit_code_3_and_not_shown(
    own_redis: OwnRedis, project: Callable[[str], None], typed: Typed
):
    project(own_redis.url.replace("redis://", "redis://:geheim@"))
    refused = typed("list")
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "geheim" not in refused.stderr
    assert ":***@" in refused.stderr


def test_the_default_store_is_found_by_the_schedule_file(
    project: Callable[[str | None], None], typed: Typed, processes: Processes, tmp_path: Path
):
    project(None)
    (tmp_path / "state").mkdir()
    beat = processes.celery("proj", "beat", "-S", "pyncette", "-s", "state/schedule", "--pidfile=", "-l", "info")
    beat.wait_for_log("beat_started")
    without = typed("list")
    assert (without.returncode, "say with -s" in without.stderr) == (2, True)
    assert names(typed("list", "--json", "-s", "state/schedule"))["night"]["state"] == "waiting"
    health = json.loads(typed("doctor", "--json", "--schedule", "state/schedule").stdout)
    assert [each["pid"] for each in health["beats"]] == [beat.pid]
    assert any(each["check"] == "sharing" and each["result"] == "warning" for each in health["checks"])


def on_a_terminal(tmp_path: Path, first: Path | None = None) -> str:
    """What `list` writes to a terminal."""
    path = os.pathsep.join(str(each) for each in (first, tmp_path, CHECKOUT) if each is not None)
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": path, "TERM": "xterm", "COLUMNS": "160"}
    command = [sys.executable, "-m", "celery", "-A", "proj", "pyncette", "list"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            shown += piece
        assert child.wait(20) == 0
    os.close(ours)
    return shown.decode()


def test_a_terminal_gets_a_drawn_table_and_plain_text_without_rich(
    project: Callable[[str], None], sqlite_url: str, tmp_path: Path
):
    pytest.importorskip("rich")
    project(sqlite_url)
    drawn = on_a_terminal(tmp_path)
    assert "─" in drawn
    assert "night" in drawn
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "rich.py").write_text("raise ImportError('not installed')\n")
    plain = on_a_terminal(tmp_path, hidden)
    assert "─" not in plain
    assert "night" in plain


def test_celery_itself_offers_the_command(project: Callable[[str], None], sqlite_url: str, tmp_path: Path):
    project(sqlite_url)
    shown = subprocess.run(
        [sys.executable, "-m", "celery", "--help"], capture_output=True, text=True, timeout=40, cwd=tmp_path
    )
    assert "pyncette" in shown.stdout
    assert "error" not in shown.stdout.lower()


def test_options_that_an_application_adds_are_taken_and_told(tmp_path: Path, typed: Typed):
    (tmp_path / "proj.py").write_text(
        "import click\nfrom celery import Celery, signals\n"
        "app = Celery('shop', broker='memory://')\n"
        "app.conf.beat_schedule = {'tick': {'task': 't', 'schedule': 5}}\n"
        "app.user_options['preload'].add(click.Option(['--region'], default='north'))\n"
        "@signals.user_preload_options.connect(weak=False)\n"
        "def told(options, **kwargs): print('told', options)\n"
    )
    asked = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "proj", "pyncette", "--region", "south", "next", "tick"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(CHECKOUT)])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.count("told {'region': 'south'}") == 1
    assert "every 5 s" in asked.stdout
