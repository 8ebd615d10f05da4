"""The project's own files say what is so."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.servers.catalogue import SERVERS
from tests.servers.start import NEEDS, PACKAGES

CHECKOUT = Path(__file__).parents[2]
PORTS = {"postgresql": 5432, "mariadb": 3306, "redis": 6379, "rabbitmq": 5672}


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    """Those that `docker compose up` starts: the ones of no profile."""
    every = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    return {name: service for name, service in every.items() if not service.get("profiles")}


def test_compose_has_the_servers_that_the_tests_use(services):
    assert set(services) == set(SERVERS) == set(PACKAGES) == set(NEEDS)


def test_compose_opens_standard_ports_to_this_machine_only(services):
    assert {name: service["ports"] for name, service in services.items()} == {
        name: [f"127.0.0.1:{port}:{port}"] for name, port in PORTS.items()
    }


def test_each_service_names_a_version_and_says_when_it_is_healthy(services):
    for name, service in services.items():
        assert re.search(r":\d", service["image"]), f"{name} floats"
        assert service["healthcheck"]["test"][0] == "CMD"


def test_the_addresses_that_tests_try_are_those_that_compose_opens():
    for name, server in SERVERS.items():
        assert f"127.0.0.1:{PORTS[name]}" in server.standard[0]


def make(*goals: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", *goals, *(f"{name}={value}" for name, value in variables.items())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_alone_lists_the_commands():
    done = subprocess.run(["make"], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    for goal in ("demo", "test", "test-embedded", "test-faults", "lint", "docs", "bench", "check", "clean"):
        assert re.search(rf"^  make {goal} +\S", done.stdout, re.MULTILINE), goal


def test_make_test_ensures_servers_and_leaves_the_full_matrix_out():
    plan = make("test")
    assert plan.index("scripts/venv.sh") < plan.index("tests.servers ensure") < plan.index("pytest")
    assert 'pytest -m "not full_matrix"' in plan


def test_an_environment_that_is_there_is_used_instead():
    assert "venv.sh" not in make("test", PY="/some/python")


def test_make_check_is_all_of_them():
    plan = make("check")
    for step in ("ruff format --check", "ruff check", "mypy", "importlinter", "pytest", "mkdocs build --strict"):
        assert step in plan, step


@pytest.mark.parametrize("script", ["scripts/venv.sh", ".ci/run"])
def test_scripts_parse_and_can_be_run(script: str):
    path = CHECKOUT / script
    assert path.stat().st_mode & stat.S_IXUSR
    shell = "bash" if "bash" in path.read_text().splitlines()[0] else "sh"
    assert subprocess.run([shell, "-n", str(path)]).returncode == 0


def test_a_python_that_is_too_old_is_refused_in_one_line(tmp_path: Path):
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        [CHECKOUT / "scripts" / "venv.sh", tmp_path / "venv", "dev"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": str(old)},
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: Python 3.8.1 is too old: Python 3.10 or newer is needed; set PYTHON=/path/to/python"
    ]
    assert not (tmp_path / "venv").exists()


def test_a_directory_that_is_no_environment_is_left_alone(tmp_path: Path):
    (tmp_path / "precious").touch()
    command = [CHECKOUT / "scripts" / "venv.sh", tmp_path, "dev"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is no virtual environment" in done.stderr
    assert (tmp_path / "precious").exists()


def fake(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_without_venv_virtualenv_is_used_and_else_one_line_says_what_to_install(tmp_path: Path):
    """As on Debian without python3-venv."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "tr", "rm", "touch", "echo"):
        (tools / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
    fake(tools / "python3", 'case "$2" in *ensurepip*) exit 1;; esac\necho Python 3.11.2')
    command = ["sh", str(CHECKOUT / "scripts" / "venv.sh"), str(tmp_path / "venv"), "dev"]
    environment = {"PATH": str(tools)}

    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: python3 cannot make virtual environments: apt-get install python3-venv (or install virtualenv or uv)"
    ]

    fake(tools / "virtualenv", f'echo "virtualenv $*" > {tmp_path}/called; exit 7')
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 7
    assert (tmp_path / "called").read_text() == f"virtualenv --quiet --python python3 {tmp_path}/venv\n"


def test_workflow_actions_are_pinned_and_nothing_is_permitted_by_default():
    for path in (CHECKOUT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text()
        assert yaml.safe_load(text)["permissions"] == {}, path.name
        used = re.findall(r"uses: *(\S+)", text)
        assert used
        loose = [action for action in used if not re.search(r"@[0-9a-f]{40}$", action)]
        assert loose == []
