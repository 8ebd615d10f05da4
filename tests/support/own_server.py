"""A server of a test's own: own port, own data, to be killed, stopped, paused and started again at will."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.servers.catalogue import program
from tests.support.ports import free_port, is_free
from tests.support.process import Process
from tests.support.wait import wait_until

PORT_PATIENCE = 10.0


class OwnServer:
    """Base of the own servers; a context manager that starts it and ends it with all its data.

    A subclass says how its data is made (`create`), how it is started (`command`) and when it answers (`ready`).
    """

    name = ""
    polite = signal.SIGTERM
    """The signal that lets it stop in good order."""
    account = ""
    """The user that it runs as where the tests run as root, which it refuses."""
    patience = 60.0

    def __init__(self, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.user = self.account if self.account and os.geteuid() == 0 else None
        # Not pytest's directory: only root may look into that one.
        self.directory = Path(tempfile.mkdtemp(prefix=f"pyncette-{self.name}-"))
        if self.user:
            shutil.chown(self.directory, self.user, self.user)
        self._created = False
        self.process: Process | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def create(self) -> None:
        """Make its data; called once, before the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def ready(self) -> None:
        """Raise unless it answers."""
        raise NotImplementedError

    def start(self) -> OwnServer:
        """Start it and wait until it answers."""
        if not self._created:
            self.create()
            self._created = True
        # Another server there would answer in the place of ours; the children of a killed one may need a moment.
        wait_until(lambda: is_free(self.port), PORT_PATIENCE, f"port {self.port} is no longer in use")
        self.process = Process(
            self.command(),
            log=self.directory / "server.log",
            name=self.name,
            cwd=self.directory,
            env=self.environment(),
            user=self.user,
        ).start()
        wait_until(self._answers, self.patience, lambda: f"{self.name} answers\n{self.tail()}", every=0.05)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        if not self.process.alive:
            raise AssertionError(f"{self.name} ended at its start\n{self.tail()}")
        try:
            self.ready()
        except Exception:  # each driver has its own tree of errors; what is not ready yet is asked again
            return False
        return True

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL to it and its children: the crash."""
        assert self.process is not None
        self.process.kill_group()

    def stop(self, deadline: float = 30.0) -> None:
        """Let it stop in good order."""
        assert self.process is not None
        self.process.signal(self.polite)
        self.process.wait(deadline)
        self.process.kill_group()

    def restart(self, *, crash: bool = False) -> OwnServer:
        """Stop (or kill) it and start it again on the same port and data."""
        if self.running:
            self.kill() if crash else self.stop()
        return self.start()

    def pause(self) -> None:
        """SIGSTOP to all its processes: it keeps its connections and says nothing."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its data."""
        if self.process is not None:
            self.process.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def tail(self) -> str:
        return self.process.tail() if self.process else f"{self.name} was not started"

    def __enter__(self):
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self.close)
            self.start()
            cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, *args: str, deadline: float = 120.0) -> None:
        """Run one of the server's programs to its end, as the server's user."""
        become = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        done = subprocess.run(
            args,
            capture_output=True,
            text=True,
            timeout=deadline,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            **become,
        )
        assert done.returncode == 0, f"{args[0]} failed: {done.stdout}{done.stderr}"


def installed(name: str) -> str:
    path = program(name)
    assert path is not None, f"{name} is not installed"
    return path
