"""The writers: ``python -m tests.churn.writers DIRECTORY PROCESSES SECONDS NAMES``.

Each writes what it did into ``ops-N.jsonl``: when it began and when it knew (milliseconds), and what it was answered.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import Celery

from celery_pyncette import InvalidEntry, TaskState, pause_task, resume_task, schedule_task, unschedule_task
from tests.churn.plan import interval_of, kind_of, name_of

#: Seconds between two changes by one writer, at most.
PAUSE = 0.05
#: So many changes are made at least, however busy the machine is.
LEAST = 50


class Writer:
    """One process; its changes are numbered, so that no two definitions are the same."""

    def __init__(self, directory: Path, number: int, names: int) -> None:
        self.directory, self.number, self.names = directory, number, names
        self.app = Celery("proj", set_as_current=False)
        self.app.conf.update(json.loads((directory / "conf.json").read_text()))
        self.chance = random.Random(f"churn-{number}")
        self.count = 0

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with (self.directory / f"ops-{self.number}.jsonl").open("w") as log:
            while time.monotonic() < end or self.count < LEAST:
                log.write(json.dumps(self.change()) + "\n")
                time.sleep(self.chance.random() * PAUSE)

    def change(self) -> dict[str, Any]:
        """One call; what became of it."""
        self.count += 1
        name = name_of(self.chance, self.names)
        verb = (
            "schedule" if kind_of(name).steady else self.chance.choice(["schedule"] * 4 + ["pause", "resume", "remove"])
        )
        said = {"verb": verb, "name": name, "change": f"{self.number}.{self.count}", "start": _now()}
        try:
            answer = getattr(self, verb)(name, said["change"])
        except InvalidEntry as error:
            if "no such entry" not in str(error):
                raise
            answer = {"done": False}
        return {**said, "end": _now(), **answer}

    def schedule(self, name: str, change: str) -> dict[str, Any]:
        kind, interval = kind_of(name), interval_of(name, self.chance)
        more = {"interval": interval, "args": [change], "policy": kind.policy, "options": kind.options}
        state = schedule_task("proj.note", name, app=self.app, **more)
        return {**_told(state), "interval": interval * 1000}

    def pause(self, name: str, change: str) -> dict[str, Any]:
        return _told(pause_task(name, change, app=self.app))

    def resume(self, name: str, change: str) -> dict[str, Any]:
        return _told(resume_task(name, self.chance.choice(["skip", "latest", "all"]), app=self.app))

    def remove(self, name: str, change: str) -> dict[str, Any]:
        return {"done": unschedule_task(name, app=self.app)}


def _told(state: TaskState) -> dict[str, Any]:
    return {
        "done": True,
        "generation": state.generation,
        "next_due": _ms(state.next_due),
        "paused": None if state.paused is None else state.paused.note,
    }


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _now() -> float:
    return time.time() * 1000


def main() -> int:
    """Fork the writers; 0 if all of them ended well."""
    directory, processes, seconds, names = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    children = []
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            Writer(directory, number, names).run(seconds)
            os._exit(0)
        children.append(pid)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)


if __name__ == "__main__":
    sys.exit(main())
