"""Nothing is skipped in silence: run as a user would, over a small test file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

INNER = """
import pytest

def test_on_each_store(store_url): pass
def test_pure(): pass
@pytest.mark.store("memory")
def test_memory(): pass
def test_with_rabbit(rabbitmq_broker): pass
"""


@pytest.fixture
def run(tmp_path: Path):
    """Run pytest on a test file, with no Redis and no RabbitMQ to be found."""

    def run(*args: str, inner: str = INNER, ci: bool = False, **environ: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_inner.py").write_text(inner)
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        environment |= {
            "PYNCETTE_TEST_REDIS": "redis://127.0.0.1:1/0",
            "PYNCETTE_TEST_RABBITMQ": "amqp://guest:guest@127.0.0.1:1//",
            "PYNCETTE_TEST_POSTGRESQL": "postgresql://postgres@127.0.0.1:1/postgres",
            "PYNCETTE_TEST_MARIADB": "mysql://root@127.0.0.1:1",
            "PYTHONPATH": str(CHECKOUT),
        }
        plugins = ["-p", "tests.support.fixtures", "-p", "tests.support.needs", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", "-q", "-c", CHECKOUT / "pyproject.toml", f"--rootdir={tmp_path}"]
        return subprocess.run(
            [*map(str, command), *plugins, *args, str(tmp_path / "test_inner.py")],
            capture_output=True,
            text=True,
            timeout=50,
            env=environment | ({"CI": "true"} if ci else {}) | environ,
            cwd=tmp_path,
        )

    return run


def line(output: str, what: str) -> str:
    found = re.search(rf"^{what} +(.*)$", output, re.MULTILINE)
    assert found, output
    return found[1]


def test_the_summary_lists_each_store_and_broker(run):
    done = run("--deselect", "test_inner.py::test_on_each_store[redis-cluster]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert line(done.stdout, "store   memory") == "ran 2 tests"
    assert line(done.stdout, "store   sqlite") == "ran 1 tests"
    assert line(done.stdout, "store   redis") == "not run, 1 tests not run"
    assert line(done.stdout, "broker  rabbitmq") == "not run, 1 tests not run"
    assert line(done.stdout, "broker  redis") == "not run (no test of it was chosen)"
    assert "not run: no redis" in done.stdout


def test_in_ci_a_missing_server_is_a_failure(run):
    done = run("-k", "test_with_rabbit or test_pure", ci=True)
    assert done.returncode == 1
    assert "CI=true and no rabbitmq" in done.stdout
    assert "1 passed" in done.stdout
    assert line(done.stdout, "broker  rabbitmq") == "not run, 1 tests not run"


def test_the_embedded_run_leaves_out_what_needs_a_server(run):
    done = run("-m", "not server and not full_matrix", ci=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed, 5 deselected" in done.stdout


def test_the_summary_names_other_programs_too_and_says_figures(run):
    inner = """
import pytest
@pytest.mark.needs("chromium")
def test_page(): pass
def test_speed(record_property): record_property("figure", "opened after 1 s")
"""
    done = run(inner=inner, PATH="/nowhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert line(done.stdout, "program chromium") == "not run, 1 tests not run"
    assert "no chromium (not installed: " in done.stdout
    assert "opened after 1 s" in done.stdout.splitlines()


def test_an_unknown_server_name_is_an_error(run):
    done = run(inner='import pytest\n@pytest.mark.needs("postgres")\ndef test_it(): pass\n')
    assert done.returncode == 4
    assert "know only" in done.stdout + done.stderr


def test_a_failure_shows_the_end_of_each_log(run):
    inner = """
def test_it(processes):
    process = processes.python("-c", "print('what it said')", name="speaker")
    process.wait()
    assert False
"""
    done = run(inner=inner)
    assert done.returncode == 1
    assert "speaker: ended with 0" in done.stdout
    assert "what it said" in done.stdout
