"""Starts what is missing: containers where an engine runs, else server programs, which root on Debian may install."""

from __future__ import annotations

import enum
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tests.servers.catalogue import PROGRAMS, SERVERS, STARTED, find, program

PACKAGES = {
    "postgresql": "postgresql",
    "mariadb": "mariadb-server",
    "redis": "redis-server",
    "rabbitmq": "rabbitmq-server",
}
NEEDS = {name: PROGRAMS[f"own-{name}"] for name in SERVERS}

THREE_WAYS = """\
error: no {missing} here. Any one of these helps:
  1. start them on their standard ports, or name others in {variables}
  2. start a container engine: `make test` then runs `docker compose up` itself
  3. on Debian or Ubuntu run `make test` as root: it installs and starts {packages}
`make test-embedded` runs the tests that need no server."""


class Way(enum.Enum):
    """How missing servers are to be had."""

    NOTHING = "all are there"
    CONTAINERS = "start containers"
    PROGRAMS = "start the programs that are installed"
    INSTALL = "install Debian's packages, then start the programs"
    STOP = "stop with an error"


def choose(missing: Collection[str], installed: Collection[str], *, engine: bool, root_on_debian: bool) -> Way:
    """The way to start the missing servers, of which some have their programs installed."""
    if not missing:
        return Way.NOTHING
    if engine:
        return Way.CONTAINERS
    if set(missing) <= set(installed):
        return Way.PROGRAMS
    return Way.INSTALL if root_on_debian else Way.STOP


def ensure(say: Callable[[str], None]) -> int:
    """Find or start every server; 0 if all answer, else 1 with the three ways to get them."""
    lacking = [name for name in SERVERS if not _installed(name)]
    if lacking and _in_ci() and _root_on_debian():
        install(lacking, say)  # some tests start servers of their own, which nothing may leave out there
    missing = _missing()
    installed = [name for name in SERVERS if _installed(name)]
    way = choose(missing, installed, engine=compose() is not None, root_on_debian=_root_on_debian())
    if way is not Way.NOTHING:
        say(f"missing: {', '.join(missing)}: {way.value}")
    match way:
        case Way.CONTAINERS:
            start_containers(missing)
        case Way.INSTALL:
            install([name for name in missing if name not in installed], say)
            start_programs(_missing(), say)
        case Way.PROGRAMS:
            start_programs(missing, say)
        case Way.NOTHING | Way.STOP:
            pass
    missing = _missing()
    for name in SERVERS:
        found = find(name)
        say(f"  {name:11} {'found' if found.url else 'missing: ' + found.reason}")
    if missing:
        say(three_ways(missing))
    return 1 if missing else 0


def three_ways(missing: Sequence[str]) -> str:
    return THREE_WAYS.format(
        missing=", ".join(missing),
        variables=", ".join(SERVERS[name].variable for name in missing),
        packages=", ".join(PACKAGES[name] for name in missing),
    )


def compose() -> list[str] | None:
    """The command of docker compose, whichever generation is here, if an engine runs."""
    if not _succeeds("docker", "info"):
        return None
    for command in (["docker", "compose"], ["docker-compose"]):
        if _succeeds(*command, "version"):
            return command
    return None


def start_containers(names: Sequence[str], patience: float = 180.0) -> None:
    """Start the services of docker-compose.yml and wait until they answer."""
    command = compose()
    assert command is not None
    subprocess.run([*command, "up", "-d", *names], check=True, cwd=Path(__file__).parents[2])
    wait_for(names, lambda _: None, patience)


def wait_for(names: Sequence[str], say: Callable[[str], None], patience: float = 180.0) -> int:
    """Wait until servers answer that somebody else starts; 0 when all do, 1 when patience ends."""
    end = time.monotonic() + patience
    while waiting := set(names) & set(_missing()):
        if time.monotonic() > end:
            for name in sorted(waiting):
                say(f"{name} does not answer: {find(name).reason}")
            return 1
        time.sleep(0.5)
    return 0


def install(names: Sequence[str], say: Callable[[str], None]) -> None:
    """Install Debian's packages of these servers."""
    packages = [PACKAGES[name] for name in names]
    say(f"installing {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for args in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *args], env=quiet, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"error: apt-get {args[0]} failed\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def start_programs(names: Sequence[str], say: Callable[[str], None]) -> None:
    """Start servers with data of their own: on the standard port, or beside one that refuses us.

    They outlive this process; `stop` ends them.
    """
    from tests.support.own_databases import OwnMariadb, OwnPostgres
    from tests.support.own_rabbit import OwnRabbit
    from tests.support.own_redis import OwnRedis
    from tests.support.ports import free_port, is_free

    kinds = {"postgresql": OwnPostgres, "mariadb": OwnMariadb, "redis": OwnRedis, "rabbitmq": OwnRabbit}
    standard = {"postgresql": 5432, "mariadb": 3306, "redis": 6379, "rabbitmq": 5672}
    for name in names:
        port = standard[name] if is_free(standard[name]) else free_port()
        server = kinds[name](port=port)
        try:
            server.start()
        except BaseException:
            server.close()
            raise
        assert server.process is not None
        _remember(name, server.url, server.process.disown(), server.directory)
        say(f"started {name} on port {port}")


def stop(say: Callable[[str], None]) -> None:
    """End what `start_programs` left running, and remove its data."""
    known = json.loads(STARTED.read_text()) if STARTED.exists() else {}
    for name, facts in known.items():
        # The pid may belong to somebody else by now: only a process that works in that directory is ours.
        if _works_in(facts["pid"], facts["directory"]):
            os.killpg(facts["pid"], signal.SIGKILL)
            say(f"stopped {name}")
        shutil.rmtree(facts["directory"], ignore_errors=True)
    STARTED.unlink(missing_ok=True)


def _works_in(pid: int, directory: str) -> bool:
    listed = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    if directory in listed.stdout:
        return True
    where = Path(f"/proc/{pid}/cwd")
    return where.exists() and str(where.resolve()) == directory


def _remember(name: str, url: str, pid: int, directory: Path) -> None:
    known = json.loads(STARTED.read_text()) if STARTED.exists() else {}
    known[name] = {"url": url, "pid": pid, "directory": str(directory)}
    STARTED.parent.mkdir(exist_ok=True)
    STARTED.write_text(json.dumps(known, indent=2))


def _missing() -> list[str]:
    find.cache_clear()
    return [name for name in SERVERS if find(name).url is None]


def _installed(name: str) -> bool:
    return all(program(needed) for needed in NEEDS[name])


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("true", "1")


def _root_on_debian() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _succeeds(*args: str) -> bool:
    try:
        return subprocess.run(args, capture_output=True, timeout=30, stdin=subprocess.DEVNULL).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
