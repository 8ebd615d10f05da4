"""The wheel holds what the package needs at run time, and works where no source tree is."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the build backend that is installed here: nothing is downloaded."""
    target = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(target)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, timeout=50)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("celery_pyncette-*-py3-none-any.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package(wheel: Path):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "celery_pyncette"],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=True,
    )
    source = {name for name in listed.stdout.split() if (CHECKOUT / name).exists()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert packed == source
    assert "celery_pyncette/py.typed" in packed


def test_the_wheel_holds_the_lua_scripts(wheel: Path):
    source = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "celery_pyncette").rglob("*.lua")}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".lua")}
    assert packed == source


def metadata(wheel: Path, name: str) -> str:
    archive = zipfile.ZipFile(wheel)
    (path,) = [entry for entry in archive.namelist() if entry.endswith(f".dist-info/{name}")]
    return archive.read(path).decode()


def test_the_wheel_names_its_dependencies_and_extras(wheel: Path):
    header = email.message_from_string(metadata(wheel, "METADATA"))
    required = {line for line in header.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert {line.split(">")[0].split("<")[0].split("=")[0] for line in required} == {
        "celery",
        "croniter",
        "sqlalchemy",
        "tzdata",
    }
    extras = {"redis", "postgresql", "mysql", "cli", "metrics", "flower", "django", "otel", "sentry", "all", "dev"}
    assert extras <= set(header.get_all("Provides-Extra", []))
    assert header["Requires-Python"] == ">=3.10"
    assert "MIT License" in metadata(wheel, "licenses/LICENSE")


def test_the_wheel_announces_its_entry_points(wheel: Path):
    points = metadata(wheel, "entry_points.txt")
    assert "[celery.beat_schedulers]\npyncette = celery_pyncette.beat.scheduler:Scheduler" in points
    assert "[celery.commands]\npyncette = celery_pyncette.cli:pyncette" in points


def test_the_package_works_from_the_wheel_alone(wheel: Path, tmp_path: Path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import celery_pyncette, pathlib, importlib\n"
        "from celery_pyncette.core import errors, policies, records\n"
        "print(pathlib.Path(celery_pyncette.__file__).parent.parent)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "site")
