"""Every command as it is typed: on a terminal, for machines, and while the store is down."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from celery_pyncette.cli import pyncette
from tests.support.brokers import Broker
from tests.support.own_redis import OwnRedis

CHECKOUT = Path(__file__).parents[2]
pytestmark = [pytest.mark.full_matrix, pytest.mark.timeout(300), pytest.mark.store("redis")]

#: In this order each finds what it needs; what a terminal shows must contain the text.
COMMANDS: list[tuple[str, str]] = [
    ("store upgrade", "ready"),
    ("add hello --task shop.hi --interval 3600", "'hello'"),
    ("list", "hello"),
    ("show hello", "every 1 h"),
    ("next hello", "every 1 h"),
    ("pause hello --note lunch", "paused 'hello'"),
    ("resume hello --missed skip", "resumed 'hello'"),
    ("run hello", "one more run is due now"),
    ("import --from redbeat --dry-run", "would be imported from redbeat"),
    ("dead-letters list", "no dead letters"),
    ("dead-letters retry --all", "0 dead letter(s) due again"),
    ("dead-letters discard --all --yes", "0 dead letter(s) discarded"),
    ("delayed list", "nothing is parked"),
    ("delayed counts", "0 parked"),
    ("delayed purge --yes", "0 parked message(s) taken out"),
    ("doctor", "no beat lives"),
    ("remove hello --yes", "removed 'hello'"),
]
#: What a terminal is told to forget a line.
ERASED = "\x1b[2K"

MODULE = """
from celery import Celery
app = Celery("shop")
app.conf.update({settings!r})
app.conf.update(pyncette_store_url={url!r}, redbeat_redis_url={url!r}, timezone="Europe/Berlin", beat_schedule={{
    "night": {{"task": "shop.night", "schedule": "30 2 * * *"}},
}})
"""
#: All commands in one process: each would take seconds to start.
DRIVER = """
import json, sys
import click
from celery.bin.base import CLIContext
from celery_pyncette.cli import pyncette
from proj import app
for line in json.loads(sys.argv[1]):
    print(f"$ {line}", flush=True)
    try:
        code = pyncette.main(line.split(), prog_name="pyncette", standalone_mode=False,
                             obj=CLIContext(app=app, no_color=False, workdir=None))
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.exceptions.Exit as error:
        code = error.exit_code
    sys.stderr.flush()
    print(f"= {int(code or 0)}", flush=True)
"""


@dataclass(frozen=True)
class Said:
    text: str
    code: int


@pytest.fixture
def project(tmp_path: Path, filesystem_broker: Broker, own_redis: OwnRedis) -> Path:
    url = own_redis.url.replace("redis://", "redis://default:@")
    (tmp_path / "proj.py").write_text(MODULE.format(settings=dict(filesystem_broker.settings), url=url))
    (tmp_path / "driver.py").write_text(DRIVER)
    return tmp_path


def command(project: Path, lines: list[str]) -> dict[str, object]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project), str(CHECKOUT)]), "COLUMNS": "200"}
    return {
        "args": [sys.executable, str(project / "driver.py"), json.dumps(lines)],
        "cwd": project,
        "env": {**env, "TERM": "xterm"},
        "stdin": subprocess.DEVNULL,
    }


def on_a_terminal(project: Path, lines: list[str]) -> dict[str, Said]:
    ours, theirs = pty.openpty()
    with subprocess.Popen(**command(project, lines), stdout=theirs, stderr=theirs) as child:
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
        assert child.wait(20) == 0, shown
    os.close(ours)
    return split(shown.decode().replace("\r\n", "\n"))


def piped(project: Path, lines: list[str]) -> tuple[dict[str, Said], str]:
    done = subprocess.run(**command(project, lines), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return split(done.stdout), done.stderr


def split(shown: str) -> dict[str, Said]:
    found = {}
    for part in shown.split("$ ")[1:]:
        line, _, rest = part.partition("\n")
        text, _, code = rest.rpartition("= ")
        found[line] = Said(text, int(code))
    return found


def test_no_command_is_forgotten():
    # Two need a message that is parked: tests/cli/test_delayed.py.
    said = {line.split()[0] for line, _ in COMMANDS}
    assert said == set(pyncette.list_commands(None))  # type: ignore[arg-type]


def test_on_a_terminal_each_command_says_what_it_did(project: Path):
    pytest.importorskip("rich")
    said = on_a_terminal(project, [line for line, _ in COMMANDS])
    for line, expected in COMMANDS:
        assert said[line].code == (1 if line == "doctor" else 0), said[line]
        assert expected in said[line].text, said[line]
    assert "─" in said["list"].text
    assert "─" in said["show hello"].text


def test_for_machines_each_command_prints_one_document(project: Path):
    said, errors = piped(project, [f"{line} --json" for line, _ in COMMANDS])
    assert errors == ""
    for line, _ in COMMANDS:
        answer = json.loads(said[f"{line} --json"].text)
        assert (answer["format"], answer["namespace"]) == (1, "shop")


def test_with_the_store_down_each_command_says_so_in_one_line(project: Path, own_redis: OwnRedis):
    own_redis.kill()
    lines = [line for line, _ in COMMANDS if line != "doctor"]
    lines += ["delayed cancel some-id", "delayed move some-id now"]
    said = on_a_terminal(project, [*lines, "doctor", "next night"])
    assert (said["doctor"].code, "store" in said["doctor"].text, "refused" in said["doctor"].text) == (3, True, True)
    assert (said["next night"].code, "from the configuration alone" in said["next night"].text) == (0, True)
    for line in lines:
        assert said[line].code == 3, (line, said[line])
        left = said[line].text.rpartition(ERASED)[2]  # a bar, while it worked, is gone
        text = [each for each in left.split("\n") if each.strip()]
        assert len(text) == 1, (line, text)
        assert text[0].startswith("Error: redis://default:***@") or "RedBeat" in text[0], text
        assert "Traceback" not in text[0]
