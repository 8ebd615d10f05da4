"""A project with a delay queue: beats, workers with and without the package, callers in this process and others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.process import Process, Processes
from tests.support.wait import wait_until

PATIENCE = 40.0

SOURCE = """\
import json
import os
import time
from pathlib import Path

from celery import Celery

HERE = Path(__file__).parent
app = Celery("proj")
app.config_from_object(json.loads((HERE / "conf.json").read_text()))
if os.environ.get("WITH_PACKAGE") == "1":
    from celery_pyncette import Pyncette

    Pyncette(app)


def note(task, *args):
    request = task.request
    line = {
        "task": task.name, "args": args, "id": request.id, "retries": request.retries, "at": time.time(),
        "eta": request.eta, "expires": request.expires, "delivery": request.delivery_info, "headers": request.headers,
        "pid": os.getpid(),
    }
    with (HERE / "runs.jsonl").open("a") as log:
        log.write(json.dumps(line, default=str) + "\\n")


@app.task(bind=True, shared=False)
def add(self, x, y=0):
    note(self, x, y)
    return x + y


@app.task(bind=True, shared=False)
def total(self, numbers):
    note(self, numbers)
    return sum(numbers)


@app.task(bind=True, shared=False)
def length(self, value):
    note(self, sorted(value))
    return len(value)


@app.task(bind=True, shared=False)
def fail(self):
    note(self)
    raise ValueError("no")


@app.task(bind=True, shared=False)
def mend(self, *args):
    note(self, *map(str, args))


@app.task(bind=True, shared=False)
def flaky(self, failures):
    note(self, failures)
    seen = (HERE / "runs.jsonl").read_text().count(f'"id": "{self.request.id}"')
    if seen <= failures:
        raise ValueError(f"try {seen}")
    return "done"


@app.task(bind=True, shared=False)
def slow(self, seconds):
    note(self, seconds)
    time.sleep(seconds)
    return "done"


@app.task(bind=True, shared=False, max_retries=3)
def again(self, wait):
    note(self, wait)
    if self.request.retries < 2:
        raise self.retry(countdown=wait)
    return "done"
"""


class Field:
    """``broker_url`` is also the result backend."""

    def __init__(self, directory: Path, processes: Processes, broker: dict[str, Any], backend: str, store: str) -> None:
        self.directory = directory
        self.processes = processes
        self.conf = {
            **broker,
            "result_backend": backend,
            "pyncette_store_url": store,
            "pyncette_delay_queue": True,
            "pyncette_delay_threshold": 0.3,
            "pyncette_poll_interval": 0.2,
            "accept_content": ["json", "pickle"],
            "worker_prefetch_multiplier": 1,
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "proj.py").write_text(SOURCE)

    def write(self, **conf: Any) -> Field:
        self.conf.update(conf)
        (self.directory / "conf.json").write_text(json.dumps(self.conf))
        return self

    def app(self) -> Any:
        """The project's app in this process, with the package."""
        from celery import Celery

        from celery_pyncette.delay import interceptor

        module: dict[str, Any] = {"__file__": str(self.directory / "proj.py"), "__name__": "proj"}
        exec(compile(SOURCE, "proj.py", "exec"), module)
        app = module["app"]
        assert isinstance(app, Celery)
        interceptor.install(app)
        return app

    def beat(self, **options: Any) -> Process:
        beat = self.processes.beat("proj", cwd=self.directory, **options)
        beat.wait_for_log("beat_started", PATIENCE)
        return beat

    def worker(self, *args: str, package: bool = False, **options: Any) -> Process:
        env = {"WITH_PACKAGE": "1" if package else "0", "C_FORCE_ROOT": "1"}
        return self.processes.worker("proj", *args, cwd=self.directory, env=env, **options)

    def elsewhere(self, code: str) -> str:
        """Run code in another process, which has ``proj`` and the package; what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", "import proj\n" + code],
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={**_environment(self.directory), "WITH_PACKAGE": "1"},
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def runs(self, task: str = "", task_id: str = "") -> list[dict[str, Any]]:
        log = self.directory / "runs.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if task in ("", line["task"]) and task_id in ("", line["id"])]

    def wait_for(self, count: int, task: str = "", task_id: str = "") -> list[dict[str, Any]]:
        def enough() -> bool:
            return len(self.runs(task, task_id)) >= count

        wait_until(enough, PATIENCE, lambda: f"{count} runs of {task or 'all'}\n{self.processes.tails()}", every=0.1)
        return self.runs(task, task_id)

    @staticmethod
    def settle(seconds: float) -> None:
        """Time in which something that must not happen could."""
        time.sleep(seconds)


def _environment(directory: Path) -> dict[str, str]:
    import os

    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": f"{directory}{os.pathsep}{root}"}
