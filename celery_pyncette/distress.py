"""How a process that a worker has started gives up: the worker stops too, instead of starting it again and again.

The worker draws up a line in its main process; it is plain data, and travels with the configuration of the app. Its
path names a file that does not exist, which no one can guess: only who gives up makes it. Where no file can be made the
worker stops all the same; it cannot say why, and its status is 0.
"""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from celery_pyncette.clock import new_id

logger = logging.getLogger(__name__)

Line = Mapping[str, Any]

#: Where the main process of a worker keeps what it tells those that it starts; no setting of anybody's.
TOLD = "_pyncette_worker"


def told(app: Any) -> Any:
    """What the worker says that has started this process, a mapping; None if none has."""
    return app.conf.get(TOLD)


def line_of(app: Any) -> Line | None:
    """How the worker is reached that has started this process; None if none has."""
    said = told(app)
    return None if said is None else said["line"]


def open_line() -> dict[str, Any]:
    """A line to this process."""
    try:
        directory = tempfile.gettempdir()
    except FileNotFoundError:  # none that can be written to
        directory = os.sep
    return {"pid": os.getpid(), "path": str(Path(directory, f"pyncette-{new_id()}{new_id()}"))}


def give_up(problem: str, line: Line | None) -> NoReturn:
    """Say why, have the worker stop that has started this process, and end it.

    :raises SystemExit: with status 1; no handler of a Celery signal swallows it.
    """
    logger.critical("%s; this process ends", problem)
    if line is not None and line["pid"] == os.getppid() and _first(problem, line["path"]):
        os.kill(line["pid"], signal.SIGTERM)
    raise SystemExit(1)


def _first(problem: str, path: str) -> bool:
    """Leave a word; whether nobody else has."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        logger.warning("the worker cannot be told why: %s", error)
        return True
    with os.fdopen(file, "w", encoding="utf-8") as word:
        word.write(problem)
    return True


def heard(line: Line) -> str | None:
    """What a process has said that gave up; it is asked for once."""
    path = Path(line["path"])
    try:
        word = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    path.unlink(missing_ok=True)
    return word
