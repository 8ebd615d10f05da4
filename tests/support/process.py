"""Real processes under test: started in a session of their own, their output in a file, ended for sure."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.wait import wait_until


class Process:
    """One child process. `signal`, `kill`, `pause` act on the process alone; `end` on all that it started."""

    def __init__(
        self,
        args: Sequence[str | Path],
        *,
        log: Path,
        name: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.args = [str(arg) for arg in args]
        self.name = name or Path(self.args[0]).name
        self.log = log
        self._cwd = cwd
        self._env = dict(env) if env is not None else None
        self._user = user
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        """Start it, or start it again after it ended; the log is appended to."""
        assert not self.alive, f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, **(self._env or {})}
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.args,
                cwd=self._cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_become(self._user),
            )
        return self

    @property
    def child(self) -> subprocess.Popen[bytes]:
        assert self._child is not None, f"{self.name} was not started"
        return self._child

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        """None while it runs; -9 after SIGKILL."""
        return self.child.poll()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.child.kill()
        self.child.wait(10)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def terminate(self, deadline: float = 10.0) -> int:
        """SIGTERM; its exit status. AssertionError with the log's end if it is still there after `deadline` seconds."""
        self.signal(signal.SIGTERM)
        return self.wait(deadline)

    def warm_shutdown(self, deadline: float = 55.0) -> int:
        """SIGTERM to a worker; its exit status.

        If Celery hears it before it has read that a task began, its child waits 30 s for it to read that it ended.
        """
        return self.terminate(deadline)

    def wait(self, deadline: float = 10.0) -> int:
        try:
            return self.child.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline:g} s\n{self.tail()}") from None

    def kill_group(self) -> None:
        """SIGKILL to it and to all that it started, and wait for it."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait(10)

    end = kill_group

    def disown(self) -> int:
        """Let it outlive us: its pid, and nothing is waited for."""
        child, self._child = self.child, None
        child.returncode = 0  # else Popen warns that its process still runs
        return child.pid

    @property
    def text(self) -> str:
        """All that it has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 40) -> str:
        kept = self.text.splitlines()[-lines:]
        state = "runs" if self.alive else f"ended with {self._child.poll() if self._child else 'nothing: not started'}"
        return "\n".join([f"--- {self.name}: {state}; the end of {self.log.name}:", *kept])

    def wait_for_log(self, pattern: str, deadline: float = 15.0, *, count: int = 1) -> re.Match[str]:
        """The `count`-th match of the pattern in the log. Fails at once if the process ends without it."""

        def found() -> re.Match[str] | None:
            ended = not self.alive
            matches = list(re.finditer(pattern, self.text, re.MULTILINE))
            if len(matches) < count and ended:
                raise AssertionError(f"{self.name} ended before it wrote {pattern!r}\n{self.tail()}")
            return matches[count - 1] if len(matches) >= count else None

        match = wait_until(found, deadline, lambda: f"{self.name} wrote {pattern!r}\n{self.tail()}")
        assert match is not None
        return match


def _become(user: str | None) -> dict[str, object]:
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


class Processes:
    """Starts processes for one test (fixture `processes`) and ends them with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[Process] = []

    def start(
        self, *args: str | Path, name: str = "", cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a command. Its log is `<name>.log` in the test's directory, which is its working directory too."""
        name = name or f"{Path(str(args[0])).name}-{len(self.started)}"
        process = Process(args, log=self.directory / f"{name}.log", name=name, cwd=cwd or self.directory, env=env)
        self.started.append(process)
        return process.start()

    def python(self, *args: str | Path, name: str = "", **options: object) -> Process:
        """Start this interpreter with arguments."""
        return self.start(sys.executable, *args, name=name, **options)  # type: ignore[arg-type]

    def celery(
        self, app: str, *args: str, name: str = "", cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start `celery -A app ...`; modules in the working directory and in the checkout can be imported."""
        cwd = cwd or self.directory
        path = os.pathsep.join([str(cwd), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        env = {"PYTHONPATH": path.rstrip(os.pathsep), "PYTHONUNBUFFERED": "1", **(env or {})}
        return self.start(sys.executable, "-m", "celery", "-A", app, *args, name=name, cwd=cwd, env=env)

    def beat(
        self, app: str, *args: str, name: str = "", scheduler: str = "celery_pyncette.Scheduler", **options
    ) -> Process:
        """Start `celery beat`; its pid and schedule files are its own."""
        name = name or f"beat-{len(self.started)}"
        own = ["-S", scheduler, "-s", f"{name}-schedule", "--pidfile=", "-l", "info"]
        return self.celery(app, "beat", *own, *args, name=name, **options)

    def worker(self, app: str, *args: str, name: str = "", pool: str = "solo", **options) -> Process:
        """Start `celery worker`: one thread unless `pool` and `-c` say otherwise, without gossip, mingle, heartbeat."""
        name = name or f"worker-{len(self.started)}"
        quick = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return self.celery(
            app, "worker", "-P", pool, "-n", f"{name}@test", "-l", "info", *quick, *args, name=name, **options
        )

    def tails(self) -> str:
        return "\n".join(process.tail() for process in self.started)

    def end(self) -> None:
        for process in self.started:
            process.end()
