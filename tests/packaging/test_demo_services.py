"""The profile `demo` of docker-compose.yml: what it names is there, and nothing of it starts unasked."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.servers.catalogue import program

CHECKOUT = Path(__file__).parents[2]
DOCKERFILE = CHECKOUT / "deploy" / "demo" / "Dockerfile"
CELERY = {"beat-1", "beat-2", "worker-1", "worker-2", "flower"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    every = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    return {name: service for name, service in every.items() if service.get("profiles") == ["demo"]}


def test_two_of_each_and_all_that_watches_them(services):
    assert set(services) == CELERY | {"prometheus", "grafana"}
    for name in CELERY:
        assert services[name]["command"][:3] == ["celery", "-A", "proj"]
        assert services[name]["build"]["dockerfile"] == str(DOCKERFILE.relative_to(CHECKOUT))


def test_it_is_reached_from_this_machine_only_and_names_versions(services):
    for name, service in services.items():
        for port in service.get("ports", ()):
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), name
        assert re.search(r":v?\d", service["image"]), f"{name} floats"


def test_every_file_that_is_mounted_is_there(services):
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    assert mounted
    assert [path for path in mounted if not (CHECKOUT / path).is_file()] == []


def test_prometheus_asks_the_beats_where_they_answer(services):
    conf = yaml.safe_load((CHECKOUT / "deploy" / "demo" / "prometheus.yml").read_text())
    [targets] = [one["targets"] for job in conf["scrape_configs"] for one in job["static_configs"]]
    assert targets == [f"{name}:9699" for name in ("beat-1", "beat-2")]
    for name in ("beat-1", "beat-2"):
        assert services[name]["environment"]["HTTP_ADDRESS"] == "0.0.0.0:9699"
        assert "127.0.0.1:9699/live" in services[name]["healthcheck"]["test"][-1]


@pytest.mark.needs("prometheus")
def test_promtool_accepts_its_configuration(tmp_path: Path):
    shutil.copy(CHECKOUT / "deploy" / "demo" / "prometheus.yml", tmp_path)
    shutil.copy(CHECKOUT / "deploy" / "prometheus" / "alerts.yml", tmp_path)
    done = subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("docker-compose")
@pytest.mark.parametrize("profile", [[], ["--profile", "demo"]])
def test_compose_accepts_the_file(profile: list[str]):
    command = [program("docker-compose"), *profile, "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr


def test_the_image_has_what_its_commands_need(tmp_path: Path):
    """The steps of the Dockerfile, with what it copies and no more: a wheel with everything, and the example."""
    lines = DOCKERFILE.read_text().splitlines()
    copies = [shlex.split(line)[1:] for line in lines if line.startswith("COPY ")]
    (tmp_path / "src").mkdir()
    (tmp_path / "demo").mkdir()
    for *given, _ in copies:
        for path in given:
            to = tmp_path / ("demo" if path.startswith("examples") else "src")
            if (CHECKOUT / path).is_dir():
                to = to if path.startswith("examples") else to / path
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(CHECKOUT / path, to, dirs_exist_ok=True, ignore=ignored)
            else:
                shutil.copy(CHECKOUT / path, to)
            assert f"!{path}" in (CHECKOUT / ".dockerignore").read_text().splitlines()
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, "."]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path / "src")
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "celery_pyncette/flower/static/schedules.js" in names
    assert any(name.endswith(".lua") for name in names)
    assert {path.name for path in (tmp_path / "demo").glob("*.py")} == {"proj.py", "flowerconfig.py"}
    [extras] = [re.search(r"\[([a-z,]+)\]", line)[1] for line in lines if "pip install" in line]
    assert set(extras.split(",")) >= {"redis", "postgresql", "metrics", "flower"}
